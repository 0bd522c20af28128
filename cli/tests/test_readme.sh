# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# Every command line of README.md and of the man pages is run by a test. Those with a prompt
# are by tests/device/documented.sh, which takes them from there; each other one of README.md
# is in the list below, with the test that runs it as it stands. A man page has none such.

. "$root/scripts/lib/pages.sh"

# The line, the file of its test, and the words there by which that has it, if it has not the line
# itself; by tabs. "-" is for words that are no command.
runners() {
	sed "s/^\t*//; s/VERSION/$(sed -n 's/^VERSION=//p' "$root/META")/" <<'END'
	apt install ./build/deb/*.deb	tests/packaging/in_tree	s/^\(apt install [^#]*[^ #]\) *#
	apt install linux-image-6.12-amd64	tests/readme/run
	barter doctor --fix	tests/device/doctor.sh
	barter doctor 01:00.0	tests/device/checklist.sh
	barter list	tests/device/checklist.sh
	barter top	tests/device/top.sh
	barter topo --importer 03:00.0 --exporter 01:00.0	tests/device/checklist.sh
	barter unbind	tests/device/doctor.sh
	dkms install barter/VERSION	tests/packaging/in_tree	as_written "dkms install barter/$new"
	dkms remove barter/VERSION --all	tests/packaging/in_tree	as_written "dkms remove barter/$new --all"
	insmod build/modules/host/kernel/barter-vfio-pci.ko	tests/device/documented.sh	*' insmod '*
	insmod build/modules/host/kernel/barter.ko	tests/device/documented.sh	*' insmod '*
	ls /lib/modules/$(uname -r)/build/Makefile	tests/packaging/in_tree
	ls /sys/class/iommu	tests/device/checklist.sh
	lspci -vv	tests/device/checklist.sh
	lspci -vv -s 01:00.0	tests/device/checklist.sh
	make bench	tests/readme/run
	make check	tests/readme/run
	make check-all	tests/readme/run
	make check-whole	tests/readme/run
	make deb	tests/packaging/run
	make demo	tests/readme/run
	make examples	tests/readme/run
	make fuzz	tests/readme/run
	make help	tests/readme/run
	make install	tests/packaging/run	make -s install DESTDIR=
	make install-dkms	tests/packaging/in_tree
	make lib cli	tests/packaging/run	make -s lib cli
	make rpm	tests/packaging/run
	make uninstall	tests/packaging/in_tree
	make vm	tests/readme/run
	make vm MACHINE=vram	tests/readme/run
	modprobe barter-vfio-pci	tests/device/documented.sh
	modprobe vfio-pci	tests/device/documented.sh
	mokutil --import	tests/packaging/in_tree
	mokutil --sb-state	tests/packaging/in_tree
	mokutil --test-key	tests/packaging/in_tree
	scripts/build-modules /lib/modules/$(uname -r)/build	tests/kbuild/run	scripts\/build-modules .*
	uname -r	tests/device/checklist.sh
	Physical Resizable BAR	-
	Region 2: Memory at ... [size=...]	-
	not supported	-
	nothing is missing	-
END
}

# shown DOCUMENT: its lines without a prompt, in blocks where none has one; and of a Markdown
# file what the text has between backquotes, if it is more than a word.
shown() {
	pages_blocks "$1" | awk '
		{ text = $0; sub(/^[0-9]+ ?/, "", text) }
		$0 == "0" { if (!prompt) printf "%s", block; block = ""; prompt = 0; next }
		text ~ /^# / { prompt = 1 }
		{ block = block text "\n" }' | sed 's/ *#.*//; /^$/d'
	[[ $1 != *.md ]] || pages_spans "$1" | grep ' '
}
# all_run DOCUMENT: is each in the list, and nothing else?
all_run() {
	diff <(runners | cut -f1 | LC_ALL=C sort) <(shown "$1" | LC_ALL=C sort -u) >"$work/out" 2>"$work/err"
}
all_run_not() { ! all_run "$1"; }

# has_it FILE WORDS: in a line that is no comment.
has_it() { grep -v '^[[:space:]]*#' "$root/$1" 2>"$work/err" | grep -qF -- "$2"; }
has_it_not() { ! has_it "$1" "$2"; }

: >"$work/out"
: >"$work/err"
ok "each command of README.md is in the list of who runs it, and no other" all_run "$root/README.md"
for line in '`ls /nowhere` says it.' $'```\nnonsense\n```' '| check | `lspci -n` | - |'; do
	{ cat "$root/README.md"; echo; echo "$line"; } >"$work/planted.md"
	ok "one that is not is found out: $line" all_run_not "$work/planted.md"
done
grep -v '^modprobe vfio-pci$' "$root/README.md" >"$work/planted.md"
ok "so is one that README.md has not" all_run_not "$work/planted.md"
while IFS=$'\t' read -r line file words; do
	[ "$file" = - ] || ok "$file runs: $line" has_it "$file" "${words:-$line}"
done < <(runners)
ok "a file that does not is found out" has_it_not tests/readme/run 'make deb '
for document in "$root"/doc/man/man[147]/*; do
	ok "${document##*/} has no command line without a prompt" \
		[ "$(shown "$document" | grep -cE '^((/?[a-z./-]+/)?(barter|echo|cat|cd|modprobe|insmod|apt|make|build-modules|dkms|lspci) )')" = 0 ]
done
