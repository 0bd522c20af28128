#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# checklist.sh: the table of README.md of what to look at on real hardware: each row's command
# is run as it stands there, and says what the row expects. A row that is not known here fails.
# Two are of an installed system: tests/packaging/in_tree. Runs inside the test machine vram,
# whose devices have the addresses of the table; TAP on standard output.

. /tests/tap.sh
. /tests/pages.sh
tap_begin checklist
readme=/tests/documents/README.md
tab=$(printf '\t')

# dump BYTES: lspci's dump of a configuration space on standard input, with bytes changed:
# "OFFSET BYTE,OFFSET BYTE...", all in hexadecimal.
dump() {
	awk -v bytes="$1" '
	function number(hex,  i, n) {
		for (i = n = 0; i++ < length(hex); ) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
		return n
	}
	/^[0-9a-f]+: / {
		at = number(substr($1, 1, length($1) - 1))
		for (i = 2; i <= NF; i++) byte[at + i - 2] = $i
		next
	}
	NF { print }
	END {
		n = split(bytes, change, ",")
		for (i = 1; i <= n; i++) {
			split(change[i], one, " ")
			byte[number(one[1])] = one[2]
		}
		for (at = 0; at < 4096; at += 16) {
			printf "%02x:", at
			for (i = at; i < at + 16; i++) printf " %s", i in byte ? byte[i] : "00"
			print ""
		}
	}'
}
# A list of capabilities at 0x40, with PCI Express alone; behind it the first of the extended
# ones, for BAR 2: it can have 64 to 256 MiB (bits 10 to 12 of the first word) and has 64.
express='06 10,34 40,40 10,41 00,42 02,43 00'
rebar='102 01,103 00,104 00,105 1c,106 00,107 00,108 22,109 06,10a 00,10b 00'

# span EXPECTED NUMBER: the words between backquotes of a row, the first, the second...
span() { echo "$1" | cut -d'`' -f$(($2 * 2)); }

as_new "$VM_PF"
as_new "$VM_VF1"
barter bind 01:00.0 >/tmp/said 2>&1
result $? 'the device is bound'
pages_checklist "$readme" >/tmp/rows
while IFS="$tab" read -r number check command expected; do
	row="README.md:$number: $command"
	case "$check: $command" in
	# Not in this machine, see above.
	'headers of that kernel: '*|'Secure Boot: '*) ;;
	'kernel, 6.12 to 7.3: uname -r')
		exits 0 "$row" sh -c "$command"
		says '^6\.1[2-9]\.\|^7\.[0-3]\.' 'a kernel of that range'
		;;
	'IOMMU on: ls /sys/class/iommu')
		exits 0 "$row" sh -c "$command"
		says . 'at least one name'
		;;
	'IOMMU groups: barter list')
		exits 0 "$row" sh -c "$command"
		group=$(basename "$(readlink /sys/bus/pci/devices/0000:01:00.0/iommu_group)")
		awk -v group="$group" '
			/^DEVICE/ { at = index($0, "GROUP") }
			/^0000:01:00.0 / { found = at && substr($0, at, 5) ~ "^ *" group " *$" }
			END { exit !found }' /tmp/said
		result $? "the device's group is number $group"
		;;
	'size of the BAR: lspci -vv -s 01:00.0')
		exits 0 "$row" sh -c "$command"
		says "$(span "$expected" 1 | sed 's/[][]/\\&/g; s/\.\.\./.*/g')" "as it is written: $(span "$expected" 1)"
		says "Region 2: .*\[size=$((VM_PF_SIZE >> 20))M\]" 'the size is that of the BAR'
		;;
	'Resizable BAR, if it is not: lspci -vv -s 01:00.0')
		# No device of QEMU's has one: the capability is put into a dump of this device's
		# configuration space, which lspci reads in place of the device.
		lspci -xxxx -s 01:00.0 2>/dev/null | dump "$express,100 15,101 00,$rebar" >/tmp/dump
		exits 0 "$row -F DUMP" sh -c "$command -F /tmp/dump"
		says 'Physical Resizable BAR' 'it has such a BAR'
		says "BAR 2: current size: 64MB, $(span "$expected" 1): .* 256MB" "a larger size is $(span "$expected" 1)"
		lspci -xxxx -s 01:00.0 2>/dev/null | dump "$express,100 0b,101 00,$rebar" >/tmp/dump
		exits 0 "$row -F ANOTHER DUMP" sh -c "$command -F /tmp/dump"
		grep -q 'Express.*Endpoint' /tmp/said && ! grep -q 'Physical Resizable BAR' /tmp/said
		result $? 'without the capability it says nothing of it'
		;;
	'ACS, for DMA between devices: lspci -vv')
		exits 0 "$row" sh -c "$command"
		bridge=$(basename "$(dirname "$(readlink -f /sys/bus/pci/devices/0000:01:00.0)")")
		mv /tmp/said /tmp/all
		awk -v RS= -v bridge="${bridge#0000:}" 'index($0, bridge " ") == 1' /tmp/all >/tmp/said
		says "ACSCtl:.* $(span "$expected" 2) " "the bridge above, $bridge: $(span "$expected" 2)"
		;;
	'route: barter topo --importer 03:00.0 --exporter 01:00.0')
		exits 0 "$row" sh -c "$command"
		says "^0000:03:00\.0  *$(span "$expected" 2) " "and so the route is $(span "$expected" 2)"
		;;
	'everything else: barter doctor 01:00.0')
		exits 0 "$row" sh -c "$command"
		says "^$(span "$expected" 1)" "$(span "$expected" 1)"
		;;
	*)
		echo 'tests/device/checklist.sh does not know what it should say' >/tmp/said
		result 1 "$row"
		;;
	esac
done </tmp/rows
[ "$(wc -l </tmp/rows)" -ge 10 ]
result $? 'there are ten rows or more'
as_new "$VM_PF"
tap_done
