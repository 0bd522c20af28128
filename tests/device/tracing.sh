#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# tracing.sh: the scripts of packaging/tracing in bpftrace, and barter's tracepoints in
# trace-cmd and perf, tell of what really happens. Runs inside the test machine; TAP on
# standard output.

. /tests/tap.sh
tap_begin tracing

# comes FILE PATTERN: will a line like that be there within 120 s?
comes() {
	tries=1200
	until grep -qe "$2" "$1" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		usleep 100000
	done
}

# begin NAME: the script runs, and its last line says that all probes are in place.
begin() {
	{
		cat /tests/bpftrace/$1.bt
		# bpftrace attaches in order, timers among them.
		printf '%s\n' 'interval:ms:200 { if (!@ready) { printf("ready\n"); @ready = 1; } }'
	} >/tmp/$1.bt
	bpftrace /tmp/$1.bt >/tmp/$1.out 2>&1 &
	eval "$1=\$!"
	comes /tmp/$1.out '^ready'
	cp /tmp/$1.out /tmp/said
	grep -q '^ready' /tmp/said
	result $? "$1: bpftrace takes the script"
}
end() {
	eval "kill -INT \$$1; wait \$$1"
	cp /tmp/$1.out /tmp/said
}
# A buffer that is read by DMA and by a CPU while the device is reset.
use() {
	rm -f /tmp/end /tmp/letgo /tmp/stuck.log
	barter export "$VM_VRAM0" 2 0+64K 1M+64K -- sh -c '
		holder $BARTER_FD stuck >/tmp/stuck.log 2>&1 & stuck=$!
		holder $BARTER_FD dma & dma=$!
		until grep -q mapped /tmp/stuck.log; do usleep 20000; done
		usleep 500000
		echo 1 >/sys/bus/pci/devices/$VM_VRAM0/reset &
		reset=$!
		usleep 300000
		: >/tmp/letgo
		wait $reset
		barter info $BARTER_FD | sed -n "s/^number  *//p" >/tmp/number
		kill $dma $stuck' >/tmp/use.log 2>&1
}

as_new "$VM_VRAM0"
as_new "$VM_EDU" barter-dma
barter bind "$VM_VRAM0" >/tmp/said 2>&1
result $? 'bind'
exits 0 'bpftrace knows the tracepoints' bpftrace -l 'tracepoint:barter:*'
for event in export attach map unmap fault revoke_start revoke_end wait_maps buf_revoke; do
	says "^tracepoint:barter:barter_$event\$" "among them $event"
done

begin revokes
begin faults
begin importers
use
id=$(cat /tmp/number)
end revokes
says "^[0-9:]* sh  *[0-9]* $VM_VRAM0  *4  *0  *[0-9]* us" 'revokes: who, of which device, why, how long'
says "sh  *[0-9]* buffer $id waits for [12] maps to be let go" 'revokes: what it waits for'
says '^@us_by_reason\[4\]' 'revokes: times by reason'
grep -e " $VM_VRAM0  *4  *0 " /tmp/said | awk '$7 >= 250000 { found = 1 } END { exit !found }'
result $? 'revokes: the reset waited as long as the importer'
end faults
says "^@faults\[$id, holder, 0\]: [1-9]" 'faults: by buffer, program and size'
end importers
says "holder  *[0-9]*  *$id $VM_EDU attaches, error 0" 'importers: who attaches'
says "holder  *[0-9]*  *$id $VM_EDU by sgt, error 0" 'importers: by which interconnect'
# From 6.16 on all ranges of a buffer are in one window of I/O virtual addresses.
case $(uname -r) in 6.1[2-5].*) segments=2 ;; *) segments=1 ;; esac
says "holder  *[0-9]*  *$id $VM_EDU maps, $segments segments, error 0" 'importers: who maps'
says "$id $VM_EDU unmaps" 'importers: who unmaps'
says "^@maps\[$id, $VM_EDU\]: [1-9]" 'importers: how often'

exits 0 'trace-cmd record' trace-cmd record -q -o /tmp/trace.dat -e barter \
	barter export "$VM_VRAM0" 2 0+64K -- true
exits 0 'trace-cmd report' trace-cmd report -i /tmp/trace.dat
says "barter_export: *buffer=[0-9]* device=$VM_VRAM0 bar=2 runs=1 length=65536" 'has the export'
says "barter_revoke_end: *device=$VM_VRAM0 reason=0x20 .*error=0" 'has the end'
exits 0 'perf record' perf record -q -o /tmp/perf.data -e 'barter:*' -- \
	barter export "$VM_VRAM0" 2 0+64K -- true
exits 0 'perf script' perf script -i /tmp/perf.data
says "barter:barter_export: buffer=[0-9]* device=$VM_VRAM0 bar=2 runs=1 length=65536" 'has the export'
says "barter:barter_revoke_end: device=$VM_VRAM0 reason=0x20 .*error=0" 'has the end'
barter unbind "$VM_VRAM0" >/dev/null
tap_done
