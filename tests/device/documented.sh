#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# documented.sh: the command lines that README.md and the commands' man pages show with
# a prompt ("# barter ...") are run, one after the other in each document, and say what
# stands below them there. They were written on stock-6.12; on another kernel they only
# have to be well-formed. Runs inside the test machine; TAP on standard output.

. /tests/tap.sh
. /tests/pages.sh
tap_begin documented

written_here=no
case $(uname -r) in 6.12.*+deb*-amd64) written_here=yes ;; esac

# Without what changes from run to run: the kernel's patches, the number of a buffer, that
# of an fd; and without blanks at the ends of lines.
plain() { sed -e 's/Linux [0-9][^ ]*/Linux N/' -e 's/^number  *[0-9]*/number N/' -e 's/fd [0-9]*:/fd N:/' -e 's/^ *//' -e 's/ *$//' -e '/^$/d'; }

# finish: run $command, which stands in line $line of $document; /tmp/expected has what
# it says there.
finish() {
	[ -n "$command" ] || return
	sh -c "$command" >/tmp/raw 2>&1 </dev/null
	status=$?
	plain </tmp/raw >/tmp/got
	plain </tmp/expected >/tmp/wanted
	diff /tmp/wanted /tmp/got >/tmp/said
	same=$?
	[ $written_here = yes ] || same=0
	[ $status != 2 ] && [ $same = 0 ]
	result $? "$document:$line: $command"
	command=
}

total=0
for path in /tests/documents/README.md /tests/documents/man1/*; do
	document=${path##*/}
	barter unbind "$VM_VRAM0" >/dev/null 2>&1
	barter unbind "$VM_VRAM1" >/dev/null 2>&1
	pages_blocks "$path" >/tmp/blocks
	command=
	while read -r number text; do
		case $text in
		'# barter '*)
			finish
			line=$number command=${text#'# '} total=$((total + 1))
			: >/tmp/expected
			;;
		*)
			echo "$text" >>/tmp/expected
			;;
		esac
		[ "$number" != 0 ] || finish
	done </tmp/blocks
	finish
done
[ $total -ge 20 ]
result $? "there are $total of them"
barter unbind "$VM_VRAM0" >/dev/null 2>&1
barter unbind "$VM_VRAM1" >/dev/null 2>&1
tap_done
