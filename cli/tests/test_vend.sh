# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# The broker: its commands with a policy of nothing, a device that is not there, the
# protocols of a service manager; then vend-test, which has devices of its own.

vend=$work/vend
mkdir -p "$vend"
tree_begin "$vend/tree"
tree_base
socket=$vend/socket policy=$vend/policy
printf '# nothing\n' > "$policy"
chmod 644 "$policy"

# broker OPTION...: one that runs, what it says in $vend/log
broker() {
	"$barter" vend --policy "$policy" "$@" > "$vend/log" 2>&1 < /dev/null &
	broker=$!
}
log_has() { grep -qF -- "$1" "$vend/log"; }
# ends STATUS: the broker does, with that
ends() {
	local got
	wait "$broker"
	got=$?
	cp "$vend/log" "$work/err"
	[ "$got" = "$1" ]
}

ok "vend --check" run 0 vend --check --policy "$policy"
ok "vend --check says how many offers there are" out_has "0 offers"
printf '[a]\nbar = 9\n' > "$policy"
ok "vend --check of a wrong policy" run 1 vend --check --policy "$policy"
ok "vend --check names the line" err_has "$policy:2: \"9\" is no BAR"
ok "vend with a wrong policy" run 1 vend --policy "$policy" --socket "$socket"
ok "vend with a wrong policy names the line" err_has "$policy:2:"
ok "vend with a wrong policy leaves no socket" [ ! -e "$socket" ]
ok "vend without a policy" run 1 vend --policy "$vend/none" --socket "$socket"
ok "vend --check of memory = wc" sh -c "
	printf '[a]\ndevice = 1:0.0\nbar = 0\nranges = 0+4K\nallow = any\naccess = read-only\nmemory = wc\n' > $policy"
ok "vend --check of what it cannot do" run 1 vend --check --policy "$policy"
ok "vend --check says why" err_has "memory = wc: the BAR is not prefetchable"
sed -i 's/^bar = 0/bar = 2/' "$policy"
ok "vend --check of memory = wc where it can be" run 0 vend --check --policy "$policy"
for arguments in --status --metrics "--take-back 1" --reload; do
	# shellcheck disable=SC2086
	ok "vend $arguments without a broker" run 1 vend $arguments --socket "$socket"
	ok "vend $arguments says what to do" err_has "barter vend, or: systemctl start barter-vend.socket"
done
ok "borrow without a broker" run 1 borrow x --socket "$socket"

printf '[a]\ndevice = 0000:77:00.0\nbar = 0\nranges = 0+4K\nallow = any\naccess = read-only\n' > "$policy"
broker --socket "$socket"
ok "the broker starts" until_true log_has "$policy: 1 offers"
ok "the broker says what it cannot open" until_true log_has "0000:77:00.0: cannot be opened: No such device"
ok "vend --status" run 0 vend --status --socket "$socket"
ok "vend --status of nothing" out_has "nothing is lent"
ok "vend --metrics" run 0 vend --metrics --socket "$socket"
ok "vend --metrics of nothing" out_has 'barter_vend_leases{state="lent"} 0'
ok "vend --status --json" run 0 vend --status --json --socket "$socket"
[ -n "$json_tool" ] && ok "vend --status --json is JSON" is_json
ok "borrow --list" run 0 borrow --list --socket "$socket"
ok "borrow --list names the offer" out_has "0000:77:00.0 BAR 0, 4 KiB in 1 ranges, read-only, uc, exclusive, unlimited, lent 0"
# One that does not answer: whoever waits at a terminal is told so, once a second is over.
if command -v python3 > /dev/null && command -v script > /dev/null; then
	python3 - "$vend/silent" <<'PYTHON' > /dev/null 2>&1 &
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1] + "-soon")
s.listen(4)
os.rename(sys.argv[1] + "-soon", sys.argv[1])
time.sleep(60)
PYTHON
	silent=$!
	until_true test -S "$vend/silent"
	timeout 8 script -qec "'$barter' vend --reload --socket '$vend/silent'" /dev/null > "$work/out" < /dev/null 2> "$work/err"
	ok "vend --reload says on a terminal that it waits" out_has "barter: vend: the policy is being read, 2 s"
	timeout 3 "$barter" vend --reload --socket "$vend/silent" > "$work/out" 2>&1
	ok "elsewhere it waits" [ $? = 124 ]
	ok "and says nothing" out_empty
	{ kill "$silent"; wait "$silent"; } 2> /dev/null
else
	skip "vend --reload says on a terminal that it waits" "no python3 or no script"
fi
# A command that asks this broker, since completion knows the usual place alone.
mkdir -p "$vend/bin"
printf '#!/bin/sh\ncase $1 in borrow|vend) exec "%s" "$@" --socket "%s" ;; esac\nexec "%s" "$@"\n' \
	"$barter" "$socket" "$barter" > "$vend/bin/barter"
chmod +x "$vend/bin/barter"
if [ -e /usr/share/bash-completion/bash_completion ]; then
	commands=$vend/bin
	ok "bash: borrow has the offers" offers "barter borrow " a
	ok "bash: --take-back has the leases, of which there are none" offers "barter vend --take-back " ""
	commands=
else
	skip "bash: borrow has the offers" "no bash-completion"
fi
ok "borrow --list --json" run 0 borrow --list --json --socket "$socket"
[ -n "$json_tool" ] && ok "borrow --list --json is JSON" is_json
ok "borrow of a device that is not there" run 1 borrow a --socket "$socket"
ok "borrow says where to look" err_has "its log and \"barter doctor\" tell why"
ok "borrow of what is not offered" run 1 borrow b --socket "$socket"
ok "borrow says how to learn what is" err_has "barter borrow --list"
ok "vend --take-back of nothing" run 1 vend --take-back 7 --socket "$socket"
ok "vend --take-back says so" err_has "no such lease"
ok "a second broker" run 1 vend --policy "$policy" --socket "$socket"
ok "a second broker is told" err_has "Address already in use"
printf 'x\n' >> "$policy"
ok "vend --reload of a wrong policy" run 1 vend --reload --socket "$socket"
ok "vend --reload says that nothing has changed" err_has "the policy stays as it was: $policy:7:"
printf '# none\n' > "$policy"
ok "vend --reload" run 0 vend --reload --socket "$socket"
ok "vend --reload says what there is" out_has "0 offers"
ok "borrow --list of nothing" run 0 borrow --list --socket "$socket"
ok "borrow --list says so" out_has "nothing is offered"
kill -KILL "$broker"
ends 137
ok "a socket is left behind" [ -S "$socket" ]
broker --socket "$socket"
ok "the next broker takes its place" until_true log_has "0 offers"
kill -TERM "$broker"
ok "SIGTERM" ends 0
ok "SIGTERM: the socket is gone" [ ! -e "$socket" ]
ok "SIGTERM: and the lock" [ ! -e "$socket.lock" ]

# Of brokers that start on a socket that a dead one has left one is first, and the
# others do not take its socket away.
stale() { python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$1"; }
if command -v python3 > /dev/null && command -v flock > /dev/null; then
	stale "$socket"
	timeout 20 flock "$socket.lock" "$barter" vend --policy "$policy" --socket "$socket" > "$work/out" 2> "$work/err"
	ok "a broker that starts while another does" err_has "Address already in use"
	ok "it leaves the socket alone" [ -S "$socket" ]
	lost=0 many=0 none=0
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -f "$socket" "$vend"/race?
		stale "$socket"
		for i in 1 2 3 4 5 6; do
			"$barter" vend --policy "$policy" --socket "$socket" > "$vend/race$i" 2>&1 &
		done
		# All but one give up, when they have begun, which takes a busy machine a while.
		one_left() { [ "$(cat "$vend"/race? 2> /dev/null | grep -c "Address already in use")" = 5 ]; }
		until_true one_left || until_true one_left || until_true one_left ||
			many=$((many + 1))
		until_true "$barter" vend --status --socket "$socket" > /dev/null 2>&1 || lost=$((lost + 1))
		"$barter" vend --status --socket "$socket" > /dev/null 2>&1 || none=$((none + 1))
		# Only who runs: a number of one that has ended may be somebody else's.
		kill -TERM $(jobs -pr) 2> /dev/null
		wait
	done
	ok "one of six brokers answers" [ "$lost$none" = 00 ]
	ok "five of six give up" [ "$many" = 0 ]
	rm -f "$socket"
else
	skip "brokers that start at once" "no python3 or flock"
fi
: > "$socket"
ok "a file in the way" run 1 vend --policy "$policy" --socket "$socket"
ok "a file in the way is left alone" [ -f "$socket" ]

# A service manager, as systemd is one: hands a socket over, and listens.
if command -v python3 > /dev/null; then
	python3 - "$barter" "$policy" "$vend" > "$work/out" 2> "$work/err" <<'PYTHON'
import os, signal, socket, sys
barter, policy, folder = sys.argv[1:]
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(folder + "/notify")
told.settimeout(10)
def spawn(kind, **more):
    listener = socket.socket(socket.AF_UNIX, kind)
    path = folder + "/activated%d" % kind
    listener.bind(path)
    listener.listen(5)
    pid = os.fork()
    if not pid:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        env = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()),
                   NOTIFY_SOCKET=folder + "/notify", **more)
        os.execve(barter, [barter, "vend", "--policy", policy], env)
    return pid, path
def expect(text):
    while True:
        got = told.recv(4096).decode()
        if text in got:
            return
        if "WATCHDOG" not in got:
            sys.exit("told %r, expected %r" % (got, text))
pid, path = spawn(socket.SOCK_SEQPACKET, WATCHDOG_USEC="200000")
expect("READY=1")
for i in range(3):
    expect("WATCHDOG=1")
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(path)
os.kill(pid, signal.SIGHUP)
expect("RELOADING=1")
expect("READY=1")
os.kill(pid, signal.SIGTERM)
expect("STOPPING=1")
if os.waitpid(pid, 0)[1] or not os.path.exists(path):
    sys.exit("exit status, or the socket is gone")
pid, path = spawn(socket.SOCK_STREAM)
if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 1:
    sys.exit("a socket of another type was taken")
PYTHON
	ok "a service manager hands over the socket, and is told" [ $? = 0 ]
else
	skip "a service manager hands over the socket" "no python3"
fi

# Side by side, since they mostly wait. Their lines count as ours.
for program in $vend_tests; do
	"${VEND:-$root/build/cli}/$program" > "$vend/$program" 2> "$vend/$program.err" &
	eval "${program//-/_}=$!"
done
for program in $vend_tests; do
	eval "wait \$${program//-/_}"
	status=$?
	cp "$vend/$program" "$work/out"
	cp "$vend/$program.err" "$work/err"
	tests=$(grep -c '^ok ' "$work/out") skips=$(grep -c '^ok .*# SKIP' "$work/out")
	passed=$((passed + tests - skips))
	count_skips <"$work/out"
	ok "$program: exit status $status, $(tail -n 1 "$work/out")" \
		[ "$status$(tail -n 1 "$work/out")" = "01..$tests" ]
done
