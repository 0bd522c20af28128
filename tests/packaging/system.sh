# SPDX-License-Identifier: GPL-2.0-only
# What in_system asks and does: systemd, the policy, clients of the broker.

# until_true COMMAND...: wait for it, a minute at most.
until_true() {
	local deadline=$((SECONDS + 60))

	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || { echo "not within a minute: $*"; return 1; }
		sleep 0.1
	done
}

# ---- systemd ----

state() { systemctl show -P ActiveState "$1"; }
active() { [ "$(state "$1")" = active ] || { systemctl status --no-pager "$1"; return 1; }; }
property() { systemctl show -P "$1" barter-vend.service; }
log_has() {
	until_true sh -c 'journalctl -u barter-vend.service -o cat | grep -q -- "$1"' sh "$1" ||
		{ journalctl -u barter-vend.service -o cat | tail -n 20; return 1; }
}
no_unit_failed() { nothing systemctl --failed --no-legend --plain; }

all_is_up() {
	local said

	said=$(timeout 300 systemctl is-system-running --wait)
	[ "$said" = running ] || { echo "$said"; systemctl --failed; systemctl list-jobs; return 1; }
}

# The service has another process than PID, and has said that it is ready.
is_another() {
	local now

	now=$(property MainPID)
	[ "$now" != 0 ] && [ "$now" != "$1" ] && [ "$(state barter-vend.service)" = active ]
}
restarted() { until_true is_another "$1" || { systemctl status --no-pager barter-vend.service; return 1; }; }

# With DIRECTIVE for WatchdogSec=, or without again.
quick_watchdog() {
	local dir=/run/systemd/system/barter-vend.service.d

	if [ "$1" = off ]; then
		rm -rf "$dir"
	else
		mkdir -p "$dir" && printf '[Service]\nWatchdogSec=%s\n' "$1" >"$dir/watchdog.conf"
	fi
	systemctl daemon-reload && systemctl restart barter-vend.service
}
watchdog_is_told() {
	local before

	[ "$(property WatchdogUSec)" = 30s ] || { property WatchdogUSec; return 1; }
	before=$(property WatchdogTimestampMonotonic)
	until_true sh -c '[ "$(systemctl show -P WatchdogTimestampMonotonic barter-vend.service)" != "$1" ]' sh "$before"
}

refuses_without_policy() {
	! systemctl start barter-vend.socket >/tmp/said 2>&1 || { echo "it was started"; return 1; }
	grep -q 'Assert' /tmp/said || { cat /tmp/said; return 1; }
	systemctl reset-failed barter-vend.socket 2>/dev/null
	not active barter-vend.socket
}

security_is_at_most() {
	systemd-analyze security --no-pager --threshold="$1" barter-vend.service >/tmp/security ||
		{ grep '✗\|Overall' /tmp/security; return 1; }
}

# ---- The packages ----

# dpkg alone: apt would look for others that it cannot have here.
install_packages() { dpkg --install $debs/"$1"/barter-tools_*.deb $debs/"$1"/libbarter1_*.deb; }
broker_version() { "/proc/$(property MainPID)/exe" --version 2>&1; }

# ---- Devices ----

group_of() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }
# What the host sees in the memory of the first.
word() { /run/initramfs/usr/bin/vmctl host-read "$1" 4 | od -An -tx4 | tr -d ' '; }

# All of ours and of VFIO's, whatever depends on what.
unload_all() {
	local round module

	for round in 1 2 3 4 5; do
		for module in /sys/module/{barter*,vfio*}; do
			[ ! -e "$module/initstate" ] || rmmod "${module##*/}" 2>/dev/null
		done
	done
	[ ! -e /dev/vfio/vfio ] && [ ! -e /sys/module/vfio ] && [ ! -e /dev/barter ] ||
		{ cat /proc/modules; return 1; }
}

# ---- The policy, and clients ----

offer() {
	printf '[%s]\ndevice = %s\nbar = 2\nranges = %s\nallow = %s\naccess = read-write\n' "$@"
}
# policy NAME...: one with these offers.
policy() {
	local name

	mkdir -p /etc/barter
	for name; do
		case $name in
		left) offer left "$VM_VRAM0" '0+64K 1M+64K' uid:alice ;;
		right) offer right "$VM_VRAM0" '64K+128K' uid:bob ;;
		more) offer more "$VM_VRAM0" '2M+128K' any ;;
		shared) offer shared "$VM_VRAM1" '0+128K' any ;;
		esac
	done >/etc/barter/vend.policy
}

as() { runuser -u "$1" -- "${@:2}"; }
client_says() { [ "$(tail -n 1 "/tmp/client-$1" 2>/dev/null)" = "$2" ]; }

# hold NAME USER: a client of that user has it, until "gone NAME" or "give_back NAME".
hold() {
	rm -f "/tmp/client-$1" "/tmp/client-$1.log"
	install -o "$2" -m 644 /dev/null "/tmp/client-$1"
	# The memory's end ends the holder, and that the lease.
	runuser -u "$2" -- barter borrow "$1" -- $here/holder "/tmp/client-$1" >"/tmp/client-$1.log" 2>&1 &
	until_true client_says "$1" mapped || { cat "/tmp/client-$1.log"; return 1; }
}
held() { client_says "$1" mapped && pgrep_holder "$1" >/dev/null; }
gone() { until_true client_says "$1" gone || { cat "/tmp/client-$1" "/tmp/client-$1.log"; return 1; }; }
# Its process; the tree has no pgrep.
pgrep_holder() {
	local dir

	for dir in /proc/[0-9]*; do
		if tr '\0' ' ' <"$dir/cmdline" 2>/dev/null | grep -q "^$here/holder /tmp/client-$1 "; then
			echo "${dir#/proc/}"
			return
		fi
	done
	return 1
}
# As it writes it into the memory.
client() { printf '%08x' "$(pgrep_holder "$1")"; }
give_back() {
	kill "$(pgrep_holder "$1")" && until_true not status_has "$1 "
}
status_has() { barter vend --status | grep -q -- "$1" || { barter vend --status; return 1; }; }
# That many leases are lent.
status_is_of() { same "$(barter vend --status | grep -c ' lent ')" "$1"; }

reloads_by_signal() {
	local before

	before=$(journalctl -u barter-vend.service -o cat | grep -c ': 3 offers$')
	systemctl kill --kill-whom=main --signal=HUP barter-vend.service &&
		until_true sh -c '[ "$(journalctl -u barter-vend.service -o cat | grep -c ": 3 offers\$")" -gt "$1" ]' sh "$before"
}

# fails_soon COMMAND...: it fails, and not for being stopped after half a minute.
fails_soon() {
	local began=$SECONDS

	! "$@" >/tmp/said 2>&1 || { echo "it did not fail"; return 1; }
	[ $((SECONDS - began)) -lt 30 ] || { echo "after $((SECONDS - began)) s"; return 1; }
}

# ---- The sandbox ----

# in_unit NAME SED...: run the probes in a unit that is made from the broker's by sed's
# script; the result is in /run/barter-NAME.
in_unit() {
	local name=$1

	shift
	rm -f "/run/barter-$name"
	sed -e '/^\(Exec\|Restart=\|Watchdog\|Type=\|Requires=\|After=\|Wants=\|Assert\|Condition\|Also=\|\[Install\]\)/d' \
		-e "s|^\[Service\]|&\nType=oneshot\nExecStart=$here/sandbox\nStandardOutput=file:/run/barter-$name|" \
		"$@" /usr/lib/systemd/system/barter-vend.service >"/run/systemd/system/barter-$name.service"
	systemctl daemon-reload && systemctl start "barter-$name.service" &&
		grep -q '^end of ' "/run/barter-$name" || { cat "/run/barter-$name"; return 1; }
}
tried() { grep -q "^$2 $3" "/run/barter-$1" || { grep "^$2 " "/run/barter-$1"; return 1; }; }

# Root without the sandbox may do all; root within it no more than what the broker
# needs: so it is the sandbox that keeps it from the rest. And its own user neither.
sandbox_has_its_walls() {
	local name needed='open_barter open_vfio read_sysfs see_others start_thread'

	install -o nobody -m 4755 $here/sandbox /usr/local/bin/barter-sandbox
	touch /home/barter-sandbox /root/barter-sandbox /tmp/barter-sandbox
	chmod 666 /dev/vda /dev/ttyS1 /dev/kmsg
	$here/sandbox listen &
	listener=$!
	ok "the probes run without a sandbox" in_unit free \
		-e '/^\(ExecStart\|StandardOutput\|Type\|Description\|\[\)/!d'
	ok "as root in it" in_unit root -e '/^\(User\|Group\)=/d'
	ok "and as the broker does" in_unit user
	for name in $(sed '$d; s/ .*//' /run/barter-free); do
		ok "$name: root may" tried free "$name" possible
		if [[ " $needed " == *" $name "* ]]; then
			ok "$name: in the sandbox too" tried root "$name" possible
			ok "$name: the broker may" tried user "$name" possible
		else
			ok "$name: not in the sandbox" tried root "$name" refused
			ok "$name: the broker may not" tried user "$name" refused
		fi
	done
	kill $listener
	rm -rf /usr/local/bin/barter-sandbox /{home,root,tmp}/barter-sandbox /run/systemd/system/barter-{free,root,user}.service
	systemctl daemon-reload
}
