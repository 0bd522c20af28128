#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# scanout.sh: "barter scanout" with a VF's buffer on its PF; the colours of every
# format. Runs inside the test machine "vram"; TAP on standard output.

. /tests/tap.sh
tap_begin scanout

# lent COMMAND: with the VF's second MiB's first page and, behind it, its first page.
lent() { barter export "$VM_VF0" 2 1M+4K 0+4K -- sh -c "$1"; }

# pixels HEX WHAT: of /tmp/x.ppm, whose head has three lines.
pixels() {
	seen=$(tail -n +4 /tmp/x.ppm | hexdump -v -e '1/1 "%02x"')
	echo "pixels $seen, expected $1" >/tmp/said
	[ "$seen" = "$1" ]
	result $? "$2"
}

pf=$VM_PF
# An earlier suite may have left its own.
echo >/sys/module/barter/parameters/pci_bar_pairs
echo >/sys/module/barter_pf/parameters/vfs
exits 1 'a PF without its driver' barter scanout "$pf"
says 'modprobe barter-pf' 'is told how to get it'
echo barter-pf >"/sys/bus/pci/devices/$pf/driver_override"
exits 0 'bind the PF' sh -c "echo $pf >/sys/bus/pci/drivers_probe"
exits 0 'bind the VF' barter bind "$VM_VF0"
exits 0 'status' barter scanout "$pf"
says '^state  *none$' 'no picture'
exits 1 'a frame of nothing' barter scanout "$pf" -o /tmp/x.ppm
says 'no picture was set' 'is refused'

exits 1 'a VF that nobody vouches for' \
	lent "barter scanout $pf --set \$BARTER_FD --size 4x2"
says 'pci_bar_pairs' 'names the parameter'
echo "$VM_VF0=$pf" >/sys/module/barter/parameters/pci_bar_pairs
exits 1 'a VF whose memory is not known' \
	lent "barter scanout $pf --set \$BARTER_FD --size 4x2"
says 'barter_pf/parameters/vfs' 'names the parameter'
echo "$VM_VF0@$VM_VF0_OFFSET+$VM_VF0_SIZE" >/sys/module/barter_pf/parameters/vfs

exits 1 'too large a picture' \
	lent "barter scanout $pf --set \$BARTER_FD --size 64x64"
says 'does not fit into its 8192 bytes' 'names the length'
exits 1 'an odd picture' \
	lent "barter scanout $pf --set \$BARTER_FD --size 3x2 --format NV12"
says 'even for NV12' 'says what is right'
exits 1 'no buffer' lent "barter scanout $pf --set 0 --size 4x2"
says 'is no dma-buf' 'says so'
exits 1 'no fd' lent "barter scanout $pf --set 99 --size 4x2"
says 'is not open' 'says so'

# Over the end of the first piece, 2 x 2 pixels of each.
exits 0 'XRGB8888' lent "
	barter poke --fd \$BARTER_FD 4092 0x00ff8001 0x55102030 &&
	barter poke --fd \$BARTER_FD 4103 --width 1 0xfe 0xdc 0xba 0 0 0 0xff 0 &&
	barter scanout $pf --set \$BARTER_FD --size 2x2 --stride 11 --offset 4092 &&
	barter scanout $pf -o /tmp/x.ppm"
pixels ff8001102030badcfeff0000 'its colours'
exits 0 'its status' lent "
	barter scanout $pf --set \$BARTER_FD --size 2x2 && barter scanout $pf"
says '^state  *live$' 'live'
says '^picture  *2 x 2 XRGB8888$' 'size and format'
says "^buffer of  *$VM_VF0\$" 'whose buffer it is'
says '^  0x900000+0x1000$' 'where the first piece is in the PF'\''s memory'
says '^  0x800000+0x1000$' 'where the second is'
exits 0 'the same as JSON' lent "
	barter scanout $pf --set \$BARTER_FD --size 2x2 --json"
says '"state": *"live"' 'live'
says '"offset": *9437184' 'the first piece'

exits 0 'RGB565' lent "
	barter poke --fd \$BARTER_FD 4094 --width 2 0xf800 0x07e0 0x001f 0x8410 &&
	barter scanout $pf --set \$BARTER_FD --size 2x2 --format rgb565 --offset 4094 -o /tmp/x.ppm"
pixels ff000000ff000000ff848284 'its colours'

# Black and white, then red, green, blue of BT.601.
exits 0 'NV12' lent "
	barter poke --fd \$BARTER_FD 4095 --width 1 16 235 81 81 41 41 126 16 81 81 41 41 &&
	barter poke --fd \$BARTER_FD 5000 --width 1 128 128 90 240 240 110 &&
	barter scanout $pf --set \$BARTER_FD --size 6x2 --format NV12 --offset 4095,5000 -o /tmp/x.ppm"
pixels 000000ffffffff0000ff00000000ff0000ff808080000000ff0000ff00000000ff0000ff 'its colours'
exits 0 'NV12, the second plane behind the first' lent "
	barter poke --fd \$BARTER_FD 0 --width 1 145 145 145 145 54 34 &&
	barter scanout $pf --set \$BARTER_FD --size 2x2 --format NV12 -o /tmp/x.ppm"
pixels 00ff0100ff0100ff0100ff01 'green'

exits 0 'the VF was closed: status' barter scanout "$pf"
says '^state  *dark$' 'dark'
exits 0 'and a frame' barter scanout "$pf" -o /tmp/x.ppm
pixels 000000000000000000000000 'black'
exits 0 'as PNG' barter scanout "$pf" -o /tmp/x.png
head -c 4 /tmp/x.png | grep -q PNG
result $? 'is one'
exits 1 'a file that cannot be written' barter scanout "$pf" -o /nowhere/x.ppm
says 'cannot be written' 'says so'
exits 0 'clear' barter scanout "$pf" --clear
exits 0 'status' barter scanout "$pf"
says '^state  *none$' 'no picture'
barter unbind "$VM_VF0" >/dev/null 2>&1
tap_done
