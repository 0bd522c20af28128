#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# top.sh: what "barter top" shows while a buffer is lent, read by a CPU and by DMA, reset,
# held up and closed. Runs inside the test machine; TAP on standard output.

. /tests/tap.sh
tap_begin top

# comes FILE PATTERN: will a line like that be there within 60 s?
comes() {
	tries=600
	until grep -qe "$2" "$1" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		usleep 100000
	done
}
# look FILTER: what jq finds in one look.
look() { barter top -n 1 --json | jq -r "$1" 2>/dev/null; }
# becomes FILTER WHAT: within 60 s a look makes it true; the last one is in /tmp/said.
becomes() {
	tries=120
	until barter top -n 1 --json >/tmp/said 2>&1 && jq -e "$1" </tmp/said >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || break
		usleep 500000
	done
	[ $tries -gt 0 ]
	result $? "$2"
}

as_new "$VM_VRAM0"
as_new "$VM_EDU" barter-dma
exits 0 'bind' barter bind "$VM_VRAM0"
exits 0 'nothing is lent' barter top -n 1
says ' 0 buffers' 'which it says'
exits 1 'as somebody else' su -s /bin/sh nobody -c 'barter top -n 1'
says 'run it as root' 'it says what that takes'

rm -f /tmp/end /tmp/letgo
barter export --name 'one two' "$VM_VRAM0" 2 0+64K 1M+64K -- sh -c '
	holder $BARTER_FD dma & echo $! >/tmp/dma.pid
	until [ -e /tmp/end ]; do usleep 100000; done
	kill $(cat /tmp/dma.pid)' >/tmp/export.log 2>&1 &
export=$!
becomes '.buffers[0] | .maps == 1 and .importers[0].name == env.VM_EDU and
	.importers[0].driver == "barter-dma" and .importers[0].interconnect == "sgt"' \
	'a buffer that is read by DMA: its importer, and what it uses'
becomes '.buffers[0] | .name == "one two" and .length == 131072 and .nr_ranges == 2' \
	'its name and size'
becomes '.buffers[0].holders | map(.program) | contains(["barter", "holder"])' \
	'who holds it'
place=$(look '.buffers[0].holders[] | select(.program == "holder") | "\(.pid):\(.fd)"')
exits 0 'what it says of a holder is for info' barter info "$place"
says '^name *one two$' 'the same buffer'
barter top -n 6 -d 0.7 --json >/tmp/said 2>&1
jq -se 'map(.buffers[0].faults_per_second) | .[0] == 0 and any(. > 0)' </tmp/said >/tmp/sum 2>&1
result $? 'faults since the look before'
exits 0 'as a table' barter top -n 2 -d 0.2 --importers
says "^ *[0-9]* $VM_VRAM0/2  128 KiB ok  *1 .*\"one two\" .*[0-9]:[0-9]* holder" 'a row'
says "importer $VM_EDU (barter-dma): sgt of .*1 mapped" 'an importer'
[ "$(grep -c '^  ID DEVICE/BAR' /tmp/said)" = 2 ]
result $? 'a table for each look'

barter top -d 0.1 --json >/tmp/said 2>&1 &
top=$!
comes /tmp/said '"state": "ok"'
echo 1 >"/sys/bus/pci/devices/$VM_VRAM0/reset"
comes /tmp/said '"generation": [3-9].*"state": "ok"\|"state": "ok".*"generation": [3-9]'
result $? 'a reset is counted'
jq -se 'map(.buffers[0].changes) | add >= 3' </tmp/said >/tmp/sum 2>&1
result $? 'as changes since the look before'
kill $top
wait $top
result $? 'SIGTERM ends it with status 0'

touch /tmp/end
wait $export
barter export "$VM_VRAM0" 2 0+4K -- sh -c '
	holder $BARTER_FD stuck >/tmp/stuck.log 2>&1 & echo $! >/tmp/stuck.pid
	until [ -e /tmp/ended ]; do usleep 100000; done
	kill $(cat /tmp/stuck.pid)' >/tmp/export.log 2>&1 &
export=$!
comes /tmp/stuck.log mapped
result $? 'an importer that does not let go'
echo 1 >"/sys/bus/pci/devices/$VM_VRAM0/reset" &
reset=$!
becomes '.buffers[0] | .state == "revoking" and (.reasons | contains(["reset"])) and
	(.blocker // "" | contains(env.VM_EDU))' 'a reset that waits: the state, why, for whom'
exits 0 'the same as a table' barter top -n 1
says " 1 being revoked" 'in its head'
says "revoking: .*reset.*; waits for .*$VM_EDU" 'below its row'
touch /tmp/letgo
wait $reset
becomes '.buffers[0] | .state == "ok" and .blocker == null' 'it lets go: the reset is over'

# Who holds a buffer whose device was closed has a dead one.
touch /tmp/ended
wait $export
barter export "$VM_VRAM0" 2 0+4K -- sh -c 'sleep 1000 & echo $! >/tmp/sleep.pid' >/dev/null
becomes '.buffers[0] | .state == "dead" and (.reasons | contains(["closed"])) and
	.holders[0].program == "sleep"' 'closed: dead, and who still holds it'
kill "$(cat /tmp/sleep.pid)"
becomes '.buffers | length == 0' 'and gone with its last holder'
barter unbind "$VM_VRAM0" >/dev/null
tap_done
