#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# export.sh: what "barter export" and "barter info" say of either kind of buffer,
# and "barter doctor" of what feature 11 gives. Runs inside the test machine; TAP
# on standard output.

. /tests/tap.sh
tap_begin export

parameter=/sys/module/barter_vfio_pci/parameters/feature11
# Does the kernel lend by itself? It has a function for drivers that ask it to.
native=no
grep -q ' vfio_pci_dma_buf_cleanup' /proc/kallsyms && native=yes
iommufd=no
grep -q ' iommufd_' /proc/kallsyms && iommufd=yes

exits 0 'bind' barter bind "$VM_VRAM0"
exits 0 'a buffer of barter'\''s' \
	barter export "$VM_VRAM0" 2 0+64K 1M+4K -- sh -c 'barter info $BARTER_FD'
says '^kind  *barter$' 'is said to be one'
exits 0 'the same as JSON' \
	barter export "$VM_VRAM0" 2 0+64K -- sh -c 'barter info --json $BARTER_FD'
says '"kind": *"barter"' 'is said to be one there too'
exits 0 'read-only' \
	barter export --read-only "$VM_VRAM0" 2 0+64K -- sh -c 'barter info $BARTER_FD'
says '^number .*, read-only$' 'is said to be that'
exits 0 'read-only as JSON' \
	barter export --read-only "$VM_VRAM0" 2 0+64K -- sh -c 'barter info --json $BARTER_FD'
says '"read_only": *true' 'is said to be that there too'
says '"slice": *false' 'and no slice'
exits 1 'a word in a read-only buffer' \
	barter export --read-only "$VM_VRAM0" 2 0+64K -- sh -c 'barter poke --fd $BARTER_FD 0 1'
exits 2 'native, two ranges: a usage error' barter export --native "$VM_VRAM0" 2 0+64K 1M+4K
says 'one range' 'which says what is right'
if [ $native = yes ]; then
	exits 0 'native' \
		barter export --native "$VM_VRAM0" 2 0+64K -- sh -c 'barter info $BARTER_FD'
	says '^kind  *native$' 'is said to be native'
	says '65536 bytes' 'with its length'
	exits 0 'native, held' barter export --native "$VM_VRAM0" 2 0+64K
	says '^kind  *native$' 'says what it holds'
	exits 0 'native as JSON' \
		barter export --native "$VM_VRAM0" 2 0+64K -- sh -c 'barter info --json $BARTER_FD'
	says '"kind": *"native"' 'is said to be native there too'
	exits 1 'native, beyond the BAR' barter export --native "$VM_VRAM0" 2 64M+4K
	says 'it ends beyond the BAR' 'says so'
else
	exits 1 'native' barter export --native "$VM_VRAM0" 2 0+64K
	says "$VM_VRAM0: .*Linux 6.19 or later with CONFIG_VFIO_PCI_DMABUF" 'says what it takes'
	says 'without --native barter lends it' 'and what to do'
fi

exits 0 'an attribute and a name' barter export --attribute wc --name 'frame 1' \
	"$VM_VRAM0" 2 0+64K -- sh -c 'barter info $BARTER_FD'
says '^attribute  *wc$' 'info says the attribute'
says '^name  *frame 1$' 'and the name'
exits 0 'info by name' barter export --name 'frame 1' "$VM_VRAM0" 2 0+64K -- \
	barter info 'frame 1'
says '^name  *frame 1$' 'is of that buffer'
# Of whoever holds it; held twice it is still one.
exits 0 'by the name of what another process holds' barter export --name held "$VM_VRAM0" 2 0+64K -- \
	sh -c 'sleep 60 & eval "exec $BARTER_FD<&-"; barter info held; status=$?; kill $!; exit $status'
says '^length  *64 KiB' 'is found'
exits 0 'watch by name' barter export --name seen "$VM_VRAM0" 2 0+64K -- sh -c '
	barter watch seen >/tmp/watched &
	for _ in $(seq 300); do grep -q ok /tmp/watched && break; sleep 0.1; done
	kill $!; wait $!; [ $? = 143 ] && cat /tmp/watched'
says '^ok, generation 0$' 'says how it stands'
exits 1 'a name that no buffer has' barter export --name one "$VM_VRAM0" 2 0+64K -- barter info on
says '^barter: on: no buffer of that name' 'says so'
barter bind "$VM_VRAM1" >/dev/null
exits 1 'a name that two have' barter export --name twin "$VM_VRAM0" 2 0+64K -- \
	barter export --name twin "$VM_VRAM1" 2 0+64K -- barter info twin
says '^barter: twin: several buffers have that name; say which: [0-9]*:[0-9]*, [0-9]*:[0-9]*$' 'names both'
barter unbind "$VM_VRAM1" >/dev/null
# A terminal would do what such a name says.
escape=$(printf '\033[31mred\177')
exits 0 'a name of control characters' barter export --name "$escape" \
	"$VM_VRAM0" 2 0+64K -- sh -c 'barter info $BARTER_FD'
says '^name  *?\[31mred?$' 'is shown without them'
exits 0 'the same as JSON' barter export --name "$escape" \
	"$VM_VRAM0" 2 0+64K -- sh -c 'barter info --json $BARTER_FD'
says '"name": *"\\u001b\[31mred\\u007f"' 'says which they are'
exits 0 'uncached by default' barter export "$VM_VRAM0" 2 0+64K -- sh -c 'barter info --json $BARTER_FD'
says '"attribute": *"uc"' 'is said as JSON'
says '"name": *null' 'and that there is no name'
exits 2 'an attribute that there is not' barter export --attribute wb "$VM_VRAM0" 2 0+64K
says 'expected uc or wc' 'says which there are'
exits 2 'a name that is too long' barter export --name 12345678901234567890123456789012 "$VM_VRAM0" 2 0+64K
exits 2 'native with a name' barter export --native --name x "$VM_VRAM0" 2 0+64K
barter bind "$VM_EDU" >/dev/null
exits 1 'a BAR that is not prefetchable' barter export --attribute wc "$VM_EDU" 0 0+64K
says 'not prefetchable.*--force' 'says why, and what to do'
exits 0 'by force' barter export --attribute wc --force "$VM_EDU" 0 0+64K -- true
barter unbind "$VM_EDU" >/dev/null

echo auto >$parameter
barter doctor >/tmp/said 2>&1
case $native$iommufd in
yesyes) says '^ok  *feature 11  *auto: gives the kernel.s own buffers for one range' 'doctor: auto' ;;
yesno) says '^ok  *feature 11  *auto: gives barter.s buffers.*no iommufd' 'doctor: auto' ;;
*) says '^ok  *feature 11  *auto: gives barter.s buffers.*no exporter' 'doctor: auto' ;;
esac
echo barter >$parameter
barter doctor >/tmp/said 2>&1
says '^ok  *feature 11  *barter: ' 'doctor: barter'
if [ $native = yes ]; then
	echo native >$parameter
	barter doctor >/tmp/said 2>&1
	says '^ok  *feature 11  *native: ' 'doctor: native'
fi
echo auto >$parameter
tap_done
