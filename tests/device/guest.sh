#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# guest.sh SECONDS SUITE...: inside the test machine, run one suite after the
# other, /tests/SUITE each; SUITE:ARGUMENT hands it an argument. The TAP goes to
# standard output between marker lines and to /out/SUITE.tap; the kernel log gets
# a marker too, so that what the kernel says can be traced to a suite.

limit=$1
shift
for suite; do
	program=/tests/${suite%%:*}
	argument=
	[ "$program" = "/tests/$suite" ] || argument=${suite#*:}
	# With fail-nth armed, memory may be missing for the page that the kernel keeps
	# its notes for restartable sequences in: it then kills the program.
	case $suite in
	fault*) export GLIBC_TUNABLES=glibc.pthread.rseq=0 ;;
	*) unset GLIBC_TUNABLES ;;
	esac
	echo "### begin $suite"
	echo "<6>barter-tests: begin $suite" >/dev/kmsg
	{
		timeout -s KILL "$limit" "$program" $argument 2>&1
		echo "### end $suite $?"
	} | tee "/out/$suite.tap"
done
echo "<6>barter-tests: begin -" >/dev/kmsg
