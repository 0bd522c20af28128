#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# json.sh [vram]: what commands answer as JSON about real devices and buffers is what
# doc/json.md says. Runs inside the test machine; TAP on standard output.

. /tests/tap.sh
tap_begin "json${1:+ $1}"

# follows NAME: is each document in FILE (/tmp/said) as the schema of that name?
follows() {
	file=${2:-/tmp/said}
	awk -v fence="\`\`\`json $1" '$0 == fence { on = 1; next } /^```/ { on = 0 } on' \
		/tests/json.md >/tmp/schema
	{
		[ -s /tmp/schema ] || echo "no schema $1"
		[ -s "$file" ] || echo "no document"
		jq --slurpfile schema /tmp/schema -f /tests/schema.jq <"$file" 2>&1
	} >/tmp/faults
	[ "$file" = /tmp/said ] || cp "$file" /tmp/said
	cat /tmp/faults >>/tmp/said
	[ ! -s /tmp/faults ]
	result $? "$1 is as documented"
}

if [ "${1-}" = vram ]; then
	pf=$VM_PF vf=$VM_VF0
	echo barter-pf >"/sys/bus/pci/devices/$pf/driver_override"
	echo "$pf" >/sys/bus/pci/drivers_probe
	barter bind "$vf" >/dev/null
	echo "$vf=$pf" >/sys/module/barter/parameters/pci_bar_pairs
	echo "$vf@$VM_VF0_OFFSET+$VM_VF0_SIZE" >/sys/module/barter_pf/parameters/vfs
	exits 0 'scanout without a picture' barter scanout "$pf" --json
	follows scanout
	exits 0 'scanout of a picture' barter export "$vf" 2 0+4K -- \
		sh -c "barter scanout $pf --set \$BARTER_FD --size 4x2 --json"
	follows scanout
	barter scanout "$pf" --clear >/dev/null 2>&1
	echo >/sys/module/barter/parameters/pci_bar_pairs
	echo >/sys/module/barter_pf/parameters/vfs
	echo "$pf" >/sys/bus/pci/drivers/barter-pf/unbind
	echo >"/sys/bus/pci/devices/$pf/driver_override"
	tap_done
	exit
fi

# As the machine comes up, whatever ran before.
barter unbind "$VM_VRAM0" "$VM_VRAM1" >/dev/null 2>&1
exits 0 'list' barter list --all --json
follows list
exits 0 'bind' barter bind --json "$VM_VRAM0"
follows bind
exits 1 'doctor' barter doctor --json "$VM_VRAM0" "$VM_VRAM1"
follows doctor
exits 0 'topo' barter topo --json
follows topo
exits 0 'export' barter export --json "$VM_VRAM0" 2 0+64K 1M+4K
follows export
exits 0 'export with a command' sh -c 'barter export --json "$VM_VRAM0" 2 0+64K -- \
	sh -c "barter info --json \$BARTER_FD >/tmp/info; barter poke --fd \$BARTER_FD 0 0; barter poke --json --fd \$BARTER_FD 4 0x1234 >/tmp/poke
	barter peek --json --fd \$BARTER_FD 0 16 >/tmp/peek; barter top -n 2 -d 0.1 --json >/tmp/top"'
follows export
follows info /tmp/info
follows poke /tmp/poke
follows peek /tmp/peek
follows top /tmp/top
grep -q '"bytes": "34120000"' /tmp/poke && grep -q '"bytes": "0000000034120000' /tmp/peek
result $? 'peek reads what poke wrote'
exits 0 'watch until the end' sh -c 'barter export "$VM_VRAM0" 2 0+4K -- \
	sh -c "barter watch --json \$BARTER_FD >/tmp/watch & until [ -s /tmp/watch ]; do usleep 50000; done"
	tries=200; until tail -n 1 /tmp/watch | grep -q dead || [ $((tries -= 1)) = 0 ]; do usleep 100000; done'
follows watch /tmp/watch
if grep -q ' vfio_pci_dma_buf_cleanup' /proc/kallsyms; then
	exits 0 'export of a native buffer' barter export --native --json "$VM_VRAM0" 2 0+64K
	follows 'export --native'
	exits 0 'info of a native buffer' barter export --native "$VM_VRAM0" 2 0+64K -- \
		sh -c 'barter info --json $BARTER_FD'
	follows 'info (native)'
else
	exits 1 'no native buffer' barter export --native --json "$VM_VRAM0" 2 0+64K
fi

# The broker.
printf '[one]\ndevice = %s\nbar = 2\nranges = 0+64K\nallow = uid:0\naccess = read-write\nlifetime = 1h\n' \
	"$VM_VRAM0" >/tmp/policy
exits 0 'vend --check' barter vend --check --json --policy /tmp/policy
follows 'vend --check'
barter vend --policy /tmp/policy --socket /tmp/vend >/tmp/vend.log 2>&1 &
broker=$!
tries=300
until [ -S /tmp/vend ] || [ $((tries -= 1)) = 0 ]; do usleep 100000; done
exits 0 'borrow --list' barter borrow --list --json --socket /tmp/vend
follows 'borrow --list'
exits 0 'borrow' barter borrow one --json --socket /tmp/vend -- true
follows borrow
barter borrow one --json --socket /tmp/vend >/tmp/lease 2>&1 &
lease=$!
tries=300
until [ -s /tmp/lease ] || [ $((tries -= 1)) = 0 ]; do usleep 100000; done
exits 0 'vend --status' barter vend --status --json --socket /tmp/vend
follows 'vend --status'
number=$(jq '.[0].lease' </tmp/said)
exits 0 'vend --reload' barter vend --reload --json --socket /tmp/vend
follows 'vend --reload'
exits 0 'vend --take-back' barter vend --take-back "$number" --json --socket /tmp/vend
follows 'vend --take-back'
wait $lease
kill $broker
wait $broker
exits 0 'unbind' barter unbind --json "$VM_VRAM0"
follows unbind
exits 1 'unbind once more' sh -c 'barter unbind --json "$VM_VRAM0" 2>/dev/null'
follows unbind
tap_done
