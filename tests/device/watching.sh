#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# watching.sh: what "barter watch" prints of a reset and of the end of a buffer.
# Runs inside the test machine; TAP on standard output.

. /tests/tap.sh
tap_begin watching

# comes PATTERN FILE: will a line like that be there within 20 s?
comes() {
	tries=200
	until grep -qe "$1" "$2" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		usleep 100000
	done
}
# The buffer's holder: lets both watchers begin, resets the device, and lets go.
cat >/tmp/holder <<'END'
. /tmp/comes
barter watch $BARTER_FD >/tmp/text 2>&1 &
echo $! >/tmp/text.pid
barter watch --json $BARTER_FD >/tmp/json 2>&1 &
echo $! >/tmp/json.pid
comes '^ok, generation 0$' /tmp/text || exit 10
comes '"generation": 0,' /tmp/json || exit 11
echo 1 >"/sys/bus/pci/devices/$VM_VRAM0/reset" || exit 12
comes '^ok, generation 3' /tmp/text || exit 13
comes '"generation": 3, .*"state": "ok"' /tmp/json || exit 14
END
sed -n '/^comes()/,/^}/p' "$0" >/tmp/comes

exits 0 'bind' barter bind "$VM_VRAM0"
exits 0 'a reset, watched' barter export "$VM_VRAM0" 2 0+64K -- sh /tmp/holder
for kind in text json; do
	tries=200
	while [ -d "/proc/$(cat /tmp/$kind.pid)" ] && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		usleep 100000
	done
	[ $tries -gt 0 ]
	result $? "$kind: ends with the buffer"
done
cp /tmp/text /tmp/said
tail -n 1 /tmp/text | grep -q '^dead (closed), generation 5'
result $? 'text: the last line says why'
cp /tmp/json /tmp/said
tail -n 1 /tmp/json |
	grep -qx '{"generation": 5, "changes": [12], "state": "dead", "reasons": \["closed"\]}'
result $? 'json: the last line says why'
# Each line accounts for all changes since the one before.
awk -F '[:,]' '{ sum += $4; if ($2 != sum) exit 1 }' /tmp/json
result $? 'json: no change is missed in the count'
exits 1 'no buffer' sh -c 'barter watch 0'
says "is no buffer of barter's" 'says so'
exits 1 'no such fd' barter watch 77
says 'is not open' 'says so'
tap_done
