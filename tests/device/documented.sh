#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# documented.sh: the command lines that README.md and the man pages of sections 1, 4 and 7 show
# with a prompt ("# barter ...") are run, one after the other in each document, and say what
# stands below them there. They were written on stock-6.12; on another kernel they only
# have to be well-formed. Then the lines of README.md that load the modules, which have no
# prompt. Runs inside the test machine; TAP on standard output.

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
	case $command in
	*' &')
		sh -c "exec ${command% &}" >/tmp/background.log 2>&1 </dev/null &
		background="$background $!" status=0
		for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S /tmp/vend ] || sleep 1; done
		[ -S /tmp/vend ] || status=2
		cp /tmp/background.log /tmp/raw
		[ $status != 0 ] || : >/tmp/raw
		;;
	*)
		sh -c "$command" >/tmp/raw 2>&1 </dev/null
		status=$?
		;;
	esac
	plain </tmp/raw >/tmp/got
	plain </tmp/expected >/tmp/wanted
	diff /tmp/wanted /tmp/got >/tmp/said
	same=$?
	[ $written_here = yes ] || same=0
	[ $status != 2 ] && [ $status != 126 ] && [ $status != 127 ] && [ $same = 0 ]
	result $? "$document:$line: $command"
	command=
}

# As it is before the first line of any document.
begin_again() {
	[ -z "$background" ] || { kill $background; wait; } 2>/dev/null
	background=
	rm -f /tmp/vend
	for uuid in /sys/bus/mdev/devices/*; do
		[ ! -e "$uuid/remove" ] || echo 1 >"$uuid/remove"
	done
	echo >/sys/module/barter/parameters/pci_bar_pairs
	[ ! -e /sys/module/barter_pf ] || echo >/sys/module/barter_pf/parameters/vfs
	as_new "$VM_VRAM0"
	as_new "$VM_VRAM1"
	case $1 in
	*vgpu*) as_new "$VM_EDU" ;;
	*) as_new "$VM_EDU" barter-dma ;;
	esac
}

# The policy that barter-vend(1) shows, and who is named in it.
mkdir -p /tmp/documented
cd /tmp/documented || exit
grep -q compositor /etc/passwd || echo 'compositor:x:100:100::/:/bin/sh' >>/etc/passwd
grep -qs '^video:' /etc/group || echo 'video:x:44:' >>/etc/group
pages_blocks /tests/documents/man1/barter-vend.1 |
	sed -n '/ \[framebuffer\]$/,/^0$/s/^[1-9][0-9]* //p' >policy

total=0 background=
for path in /tests/documents/README.md /tests/documents/man[147]/*; do
	document=${path##*/}
	# mdev is not in all kernels, nor is what comes from it.
	[ "$document" != barter-vgpu.7 ] || [ $written_here = yes ] ||
		[ -d /sys/bus/pci/drivers/barter-vedu ] || continue
	begin_again "$document"
	pages_blocks "$path" >/tmp/blocks
	command=
	while read -r number text; do
		case $text in
		'# '*)
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
begin_again
[ $total -ge 40 ]
result $? "there are $total of them"

# unload: all of barter's modules, those first that nobody uses.
unload() {
	for _ in 1 2 3 4 5 6; do
		for module in /sys/module/barter*; do rmmod "${module##*/}" 2>/dev/null; done
	done
	! ls -d /sys/module/barter* >/tmp/said 2>&1
}
loaded=$(cd /sys/module && echo barter*)
mkdir -p build/modules/host/kernel
for module in barter barter-vfio-pci; do
	ln -sf "$(find / -xdev -name $module.ko | head -1)" build/modules/host/kernel/$module.ko
done
unload
result $? 'the modules are unloaded'
while read -r number text; do
	case "$number $text" in
	*' modprobe barter-vfio-pci'|*' insmod '*|*' modprobe vfio-pci')
		exits 0 "README.md:$number: $text" sh -c "$text"
		;;
	'0 ')
		[ ! -d /sys/module/barter ] || {
			exits 0 'the driver is there' ls -d /sys/bus/pci/drivers/barter-vfio-pci
			unload
			result $? 'and goes again'
		}
		;;
	esac
done <<END
$(pages_blocks /tests/documents/README.md)
END
for module in $loaded; do modprobe "$module" || bad=$((bad + 1)); done
begin_again
tap_done
