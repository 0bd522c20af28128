# SPDX-License-Identifier: GPL-2.0-only
# TAP for the packaging tests, outside of a tree and inside.

nr=0 bad=0
# ok NAME COMMAND...: one test, whose status it gives; what the command prints is shown if it fails.
ok() {
	local name=$1 said

	shift
	nr=$((nr + 1))
	if said=$("$@" 2>&1); then
		echo "ok $nr - $name"
	else
		bad=$((bad + 1))
		echo "not ok $nr - $name"
		printf '#   %s\n' "command: $*" "${said:0:4000}" | head -n 40
		return 1
	fi
}

skip() {
	nr=$((nr + 1))
	echo "ok $nr - $1 # SKIP $2"
}

not() { ! "$@"; }
has() { grep -qF -- "$2" "$1" || { echo "$1 lacks: $2"; tail -n 30 "$1"; return 1; }; }
lacks() { ! grep -F -- "$2" "$1"; }
same() { [ "$1" = "$2" ] || { printf 'is:     %s\nwanted: %s\n' "$1" "$2"; return 1; }; }
# nothing COMMAND...: it prints nothing.
nothing() {
	local said

	said=$("$@") || true
	same "$said" ""
}
