#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# errors.sh: what a user meets who does it wrongly: the command names the thing, the
# reason and the remedy, and has the right exit status. Runs inside the test machine; TAP
# on standard output.

. /tests/tap.sh
tap_begin errors

# refused WHAT THING REASON REMEDY COMMAND...: exit status 1, one line with all three.
refused() {
	what=$1 thing=$2 reason=$3 remedy=$4
	shift 4
	exits 1 "$what" "$@"
	line=$(grep '^barter: ' /tmp/said)
	case $line in
	barter:\ $thing:\ *"$reason"*"$remedy"*) result 0 "$what: thing, reason, remedy" ;;
	*) result 1 "$what: thing '$thing', reason '$reason', remedy '$remedy'" ;;
	esac
}
user() { su -s /bin/sh nobody -c "$*"; }
# lent COMMAND: with a buffer of 64 KiB.
lent() { barter export "$VM_VRAM0" 2 0+64K -- sh -c "$1"; }

as_new "$VM_VRAM0"
as_new "$VM_VRAM1"

# No such device, or not ready.
for command in "bind" "unbind" "doctor" "export" "peek"; do
	operands=
	[ $command = export ] && operands='2 0+4K'
	[ $command = peek ] && operands='2 0'
	refused "$command: no such device" 0000:09:00.0 'no such PCI device' 'barter list' \
		barter $command 0000:09:00.0 $operands
done
refused 'export: not bound' "$VM_VRAM0" 'not bound to a VFIO driver' "barter bind $VM_VRAM0" \
	barter export "$VM_VRAM0" 2 0+4K
refused 'unbind: not bound' "$VM_VRAM0" 'is not bound to barter-vfio-pci but to no driver' \
	'barter list' barter unbind "$VM_VRAM0"
refused 'bind: a bridge' 0000:00:03.0 'is a bridge' 'barter list' barter bind 00:03.0
refused 'bind: as somebody else' "$VM_VRAM0" 'ermission denied' 'run as root' \
	user "barter bind $VM_VRAM0"
exits 0 'bind' barter bind "$VM_VRAM0"
refused 'export: as somebody else' "$VM_VRAM0" 'no permission to open its VFIO node /dev/vfio/' \
	'chown 65534 /dev/vfio/' user "barter export $VM_VRAM0 2 0+4K"
refused 'unbind: as somebody else' "$VM_VRAM0" 'ermission denied' 'run as root' \
	user "barter unbind $VM_VRAM0"
refused 'topo: as somebody else' routes 'takes root' 'run as root' user 'barter topo'
refused 'bound to another driver that lends nothing' "$VM_VRAM1" 'its driver does not lend' \
	"barter bind $VM_VRAM1" sh -c 'echo vfio-pci >/sys/bus/pci/devices/$VM_VRAM1/driver_override
	echo $VM_VRAM1 >/sys/bus/pci/drivers_probe; barter export $VM_VRAM1 2 0+4K'
echo "$VM_VRAM1" >/sys/bus/pci/drivers/vfio-pci/unbind
echo >"/sys/bus/pci/devices/$VM_VRAM1/driver_override"

# In use.
exits 0 'hold it' true
barter export "$VM_VRAM0" 2 0+4K -- sleep 1000 >/dev/null 2>&1 &
tries=100
until barter top -n 1 | grep -q ' 1 buffer' || [ $((tries -= 1)) = 0 ]; do usleep 100000; done
refused 'export: in use' "$VM_VRAM0" 'is in use: process ' 'end that program first' \
	barter export "$VM_VRAM0" 2 0+4K
refused 'unbind: in use' "$VM_VRAM0" '(barter) has /dev/vfio/' 'end that program first' \
	barter unbind "$VM_VRAM0"
kill $!
kill "$(pidof sleep)"
wait

# Ranges.
range() {
	refused "export: $1" "$VM_VRAM0" "$3" "$4" barter export "$VM_VRAM0" ${5:-2} 0+4K "$2"
}
range 'an offset that is no page' 100+4K 'range 0x64+0x1000 of BAR 2: offset and length must be multiples' \
	'pages are of 4096 bytes'
range 'a length that is no page' 4K+100 'range 0x1000+0x64 of BAR 2: offset and length must be multiples' \
	'pages are of 4096 bytes'
range 'no length' 4K+0 'range 0x1000+0x0 of BAR 2: its length is 0' 'pages are of'
range 'beyond the BAR' 64M+4K 'range 0x4000000+0x1000 of BAR 2: it ends beyond the BAR' \
	'the BAR has 64 MiB'
range 'a sum beyond 64 bits' 0xfffffffffffff000+8K 'it ends beyond the BAR' 'the BAR has 64 MiB'
range 'no such BAR' 0+4K 'no BAR 5' 'barter list' 5
range 'a BAR below a page' 0+4K 'it ends beyond the BAR' 'the BAR has 256 B' 0
refused 'peek: beyond the BAR' "$VM_VRAM0 BAR 2" 'offset 0x4000000 plus 4 bytes is beyond its end at 0x4000000' \
	'smaller offset' barter peek "$VM_VRAM0" 2 64M
refused 'peek: unaligned' "$VM_VRAM0 BAR 2" 'offset 0x2 or length 4 is no multiple of the access width, 4' \
	'--width' barter peek --width 4 "$VM_VRAM0" 2 2
refused 'peek: too long' "$VM_VRAM0 BAR 2" 'a LENGTH of 134217728 bytes' 'in pieces' \
	barter peek "$VM_VRAM0" 2 0 128M
refused 'poke: no such BAR' "$VM_VRAM0 BAR 4" 'no such BAR' 'barter list' \
	barter poke "$VM_VRAM0" 4 0 1

# Buffers that are none, dead, revoked or read-only.
refused 'info: not open' 'fd 77' 'is not open' 'PID:FD' barter info 77
refused 'info: no buffer' 'fd 0' "is no buffer of barter's" 'barter export' barter info 0
refused 'info: no such process' 2147483000:3 'no such process' 'barter top' \
	barter info 2147483000:3
refused 'info: no such fd' 1:999 'has no such fd open' 'barter top' barter info 1:999
refused 'info: of another user' 1:0 'no permission' 'run as root' user 'barter info 1:0'
refused 'watch: no buffer' 'fd 0' 'cannot be watched' 'barter export' barter watch 0
refused 'peek --fd: no buffer' 'fd 0' 'is no dma-buf' 'BARTER_FD' barter peek --fd 0 0
cat >/tmp/dead.sh <<'END'
barter info $BARTER_FD >/dev/null
(
	tries=200
	until barter info $BARTER_FD | grep -q '^state *dead (closed)' || [ $((tries -= 1)) = 0 ]; do
		usleep 100000
	done
	barter peek --fd $BARTER_FD 0 >/tmp/dead 2>&1
	echo $? >>/tmp/dead
) &
END
lent 'sh /tmp/dead.sh'
tries=300
until [ "$(tail -n 1 /tmp/dead 2>/dev/null)" = 1 ] || [ $((tries -= 1)) = 0 ]; do usleep 100000; done
cp /tmp/dead /tmp/said
says '^barter: fd [0-9]*: cannot be mapped\|the buffer is dead: .*exported anew' 'peek --fd of a dead buffer'
refused 'poke --fd: read-only' 'fd *' 'is read-only' 'without --read-only' \
	barter export --read-only "$VM_VRAM0" 2 0+4K -- sh -c 'barter poke --fd $BARTER_FD 0 1'

# Brokers and files.
refused 'borrow: no broker' /tmp/none 'no broker listens there' 'run: barter vend' \
	barter borrow one --socket /tmp/none
exits 1 'vend: no policy' barter vend --policy /tmp/none --socket /tmp/x
says '/tmp/none' 'names it'
refused 'vend: a folder that is not there' /none/x 'cannot listen there' '--socket' \
	sh -c ': >/tmp/empty; barter vend --policy /tmp/empty --socket /none/x'
refused 'topo: a file that cannot be' /none/x 'cannot be written' '-o' barter topo -o /none/x
exits 127 'export: no such command' barter export "$VM_VRAM0" 2 0+4K -- no-such-command
says 'no-such-command: cannot be run: No such file' 'names it'
barter unbind "$VM_VRAM0" >/dev/null

# Modules.
mount --move /sys/kernel/debug /mnt 2>/dev/null || { mkdir -p /mnt; mount --move /sys/kernel/debug /mnt; }
refused 'top: no debugfs' '/sys/kernel/debug/barter/buffers' 'debugfs is not mounted' \
	'mount -t debugfs' barter top -n 1
mount --move /mnt /sys/kernel/debug
rmmod barter-vfio-pci
refused 'bind: no driver' barter-vfio-pci 'the driver is not loaded' 'modprobe barter-vfio-pci' \
	barter bind "$VM_VRAM0"
modprobe barter-vfio-pci
exits 0 'which helps' barter bind "$VM_VRAM0"
barter unbind "$VM_VRAM0" >/dev/null
tap_done
