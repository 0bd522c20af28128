# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# tap.sh: Test Anything Protocol for suites that are shell scripts, which leave in
# /tmp/said what the command has said that they ask about.

# tap_begin NAME: what each test's name begins with.
tap_begin() {
	tap_name=$1 n=0 bad=0
}

# result STATUS TEXT: one test, passed if STATUS is 0.
result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $tap_name: $2"
	else
		bad=$((bad + 1))
		echo "not ok $n - $tap_name: $2"
		sed 's/^/#   /' /tmp/said
	fi
}

# exits STATUS WHAT COMMAND...: the command's output is in /tmp/said then.
exits() {
	want=$1 what=$2
	shift 2
	"$@" >/tmp/said 2>&1 </dev/null
	[ "$?" = "$want" ]
	result $? "$what"
}

# says PATTERN WHAT: of what was said.
says() {
	grep -qe "$1" /tmp/said
	result $? "$2"
}

# as_new DEVICE [DRIVER]: with that driver or none, as on a machine that was just booted.
# Suites before this one may have left it with another.
as_new() {
	[ ! -e "/sys/bus/pci/devices/$1/driver" ] ||
		echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
	echo >"/sys/bus/pci/devices/$1/driver_override"
	[ -z "${2-}" ] || echo "$1" >"/sys/bus/pci/drivers/$2/bind"
}

# The plan; fails if a test has.
tap_done() {
	echo "1..$n"
	[ "$bad" = 0 ]
}
