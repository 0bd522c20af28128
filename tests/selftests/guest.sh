#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# The kernel's own VFIO selftests, each with the device on stock vfio-pci first and
# on barter-vfio-pci then. What passes with the one and not with the other fails
# here. What fails or is skipped with both is a skip, with the reason of the test.
# Runs inside the test machine; TAP on standard output.

programs=/tests/vfio
seconds=$((60 * ${BARTER_TIME_SCALE:-1}))
# The NVMe controller, which has virtual functions: these tests want BARs of whole
# pages, and ivshmem has one of 256 bytes.
device=$VM_NVME_PF
out=/out/vfio
mkdir -p $out

# driver DEVICE DRIVER: bind the one to the other.
driver() {
	at=/sys/bus/pci/devices/$1
	[ ! -e "$at/driver" ] || echo "$1" >"$at/driver/unbind"
	echo "$2" >"$at/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink -f "$at/driver")")" = "$2" ]
}

# results FILE PROGRAM STATUS: a line "TEST<tab>RESULT<tab>REASON" for each test.
# The harness numbers them; "# SKIP" tells a reason, as does what it printed before.
results() {
	awk -v program="$2" -v status="$3" '
		/^# +RUN +/ { why = "" }
		/^#.*Expected/ && why == "" { why = $0; sub(/^# */, "", why) }
		/^ *Expression:/ && why == "" { why = $0; sub(/^ */, "", why) }
		/errno:/ && why ~ /^Expression/ { why = why $0 }
		/^(not )?ok [0-9]+ / {
			line = $0
			result = /^ok/ ? "passes" : "fails"
			sub(/^(not )?ok [0-9]+ /, "", line)
			sub(/^- */, "", line)
			reason = result == "fails" ? why : ""
			if (match(line, / *# SKIP */)) {
				result = "skipped"
				reason = substr(line, RSTART + RLENGTH)
				line = substr(line, 1, RSTART - 1)
			}
			sub(/ *#.*/, "", line)
			print program "." line "\t" result "\t" reason
			seen++
			next
		}
		# A program that could not begin says why in plain words.
		!seen && NF && (last == "" || /Expression:/) { last = $0; sub(/^ */, "", last) }
		END {
			if (!seen) {
				if (status == 0) result = "passes"
				else if (status == 4) result = "skipped"
				else result = "fails"
				print program "\t" result "\t" last
			} else if (status > 1 && status != 4) {
				print program ".end\tfails\texit status " status
			}
		}' "$1" | tr -d '\r'
}

# round DRIVER: all programs, with the device on that driver.
round() {
	mkdir -p $out/$1
	for program in $programs/*; do
		name=$(basename "$program")
		echo "# $1: $name $device"
		if ! driver "$device" "$1"; then
			printf '%s\tfails\t%s\n' "$name" "the device cannot be bound to $1"
			continue
		fi >>$out/$1.results
		timeout -s KILL "$seconds" "$program" "$device" >$out/$1/$name.log 2>&1 </dev/null
		results $out/$1/$name.log "$name" $? >>$out/$1.results
	done
}

# Whether VFs may be made is asked of the driver that is bound.
for parameter in /sys/module/vfio_pci/parameters/enable_sriov \
		/sys/module/barter_vfio_pci/parameters/enable_sriov; do
	[ ! -e $parameter ] || echo Y >$parameter
done
echo 64 >/proc/sys/vm/nr_hugepages

printf "#   kernel\t%s\n" "$(uname -r)"
round vfio-pci
round barter-vfio-pci

# What both did, test by test.
awk -F'\t' '
	FNR == 1 { file++ }
	file == 1 { stock[$1] = $2; why[$1] = $3; names[++n] = $1; next }
	{
		# It ends the program before its first test.
		if ($3 ~ /strcmp\(vf_driver, "vfio-pci"\)/) { named[$1] = $3; next }
		ours[$1] = $2
		reason[$1] = $3
		if (!($1 in stock)) { stock[$1] = "missing"; names[++n] = $1 }
	}
	END {
		for (i = 1; i <= n; i++) {
			name = names[i]
			program = name
			sub(/\..*/, "", program)
			if (!(name in ours)) ours[name] = "missing"
			if (program in named) reason[name] = named[program]
			s = stock[name]
			b = ours[name]
			text = reason[name] != "" ? reason[name] : why[name]
			printf "#   selftest\t%s\t%s\t%s\t%s\n", name, s, b, text
			if (program in named) {
				if (!told[program]++)
					printf "ok %d - %s # SKIP it asserts the name of the driver\n", ++lines, program
			} else if (s == "passes" && b == "passes") {
				printf "ok %d - %s\n", ++lines, name
			} else if (s == "passes" || s == "missing" || b == "missing") {
				printf "not ok %d - %s\n", ++lines, name
				printf "#   stock vfio-pci: %s; barter-vfio-pci: %s: %s\n", s, b, text
				bad++
			} else {
				printf "ok %d - %s # SKIP stock vfio-pci: %s; barter-vfio-pci: %s: %s\n", ++lines, name, s, b, text
			}
		}
		if (!n) { print "not ok 1 - no test was found"; lines = bad = 1 }
		printf "1..%d\n", lines
		exit bad ? 1 : 0
	}' $out/vfio-pci.results $out/barter-vfio-pci.results
