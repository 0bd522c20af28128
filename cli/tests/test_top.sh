# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# top on a debugfs that is made up; live buffers are in the suite top of tests/device.

tree_begin "$work/top"
tree_base
buffers=$TREE/sys/kernel/debug/barter/buffers
ok "top: debugfs is not mounted" run 1 top -n 1
ok "top: no debugfs, said" err_has "this kernel has no debugfs"
mkdir -p "$TREE/sys/kernel/debug"
ok "top: nothing of barter in debugfs" run 1 top -n 1
ok "top: which is said to be not mounted" err_has "mount -t debugfs debugfs"
rm -r "$TREE/sys/module/barter"
ok "top: module is missing" run 1 top -n 1
ok "top: module is missing, remedy" err_has "modprobe barter-vfio-pci"
tree_module barter
mkdir -p "${buffers%/*}"
: > "$buffers"
ok "top: no buffer" run 0 top -n 1
ok "top: no buffer, said" out_has "0 buffers"
if [ "$(id -u)" != 0 ]; then
	chmod 0 "$buffers"
	ok "top: no permission" run 1 top -n 1
	ok "top: no permission, said" err_has "run it as root"
	chmod 600 "$buffers"
else
	skip "top: no permission" "root may open everything"
fi

cp "$here/buffers.txt" "$buffers"
# The first column of each row that is a buffer.
ids() { sed -n 's/^ *\([0-9]\{1,\}\) 0.*/\1/p' "$work/out" | xargs; }
ok "top" run 0 top -n 1
ok "top: its head" out_has " by id: 3 buffers, 1152 KiB; 2 out of reach, 1 being revoked; 2 importers"
ok "top: a row" out_has "   7 0000:01:00.0/2  128 KiB revoking   2    1     2       6    0.0    4 \"frame 1\""
ok "top: who keeps a revoke waiting" out_has \
	"revoking: memory,reset; waits for barter-dma 0000:00:06.0, 1 map"
ok "top: why a buffer is dead" out_has "dead: closed"
ok "top: a name of control characters is no harm" out_has '"?[31mred"'
ok "top: no colours in a file" out_lacks $'\033'
ok "top: importers are not shown unless asked for" out_lacks "importer "
ok "top --importers" run 0 top -n 1 --importers
ok "top --importers: in use and pinned" out_has \
	"importer 0000:00:06.0 (barter-dma): sgt of sgt,iommu-domain, 1 mapped, pinned"
ok "top --importers: none in use" out_has \
	"importer 0000:02:00.0 (other): no interconnect in use of sgt, 0 mapped"
for sort in "id:7 9 12" "device:7 9 12" "length:12 7 9" "state:7 12 9" "mmaps:7 9 12" \
	"faults:12 7 9" "rate:7 9 12" "changes:7 9 12"; do
	ok "top --sort ${sort%%:*}" run 0 top -n 1 --sort "${sort%%:*}"
	ok "top --sort ${sort%%:*}: ${sort#*:}" [ "$(ids)" = "${sort#*:}" ]
done
if command -v jq > /dev/null; then
	ok "top --json" run 0 top -n 1 --json
	ok "top --json: name, reasons" json \
		'.buffers[0] | .name == "frame 1" and .reasons == ["memory", "reset"] and .state == "revoking"'
	ok "top --json: a slice" json '.buffers[1] | .slice and .parent == 7 and .read_only'
	ok "top --json: importers" json \
		'.buffers[0].importers | .[0].pinned and .[1].interconnect == null and (.[0].interconnects | length) == 2'
else
	skip "top --json: values" "no jq"
fi

# Between two looks, faults and changes of state. The first has what was there before.
: > "$work/out"
"$barter" top -d 0.3 --json > "$work/out" 2> "$work/err" < /dev/null &
ok "top: begins" until_true [ -s "$work/out" ]
sed 's/pte 300/pte 450/; s/generation 2 /generation 5 /' "$buffers" > "$buffers.new"
mv "$buffers.new" "$buffers"
for ((tries = 600; tries; tries--)); do
	grep -q '"changes": 3,' "$work/out" && break
	sleep 0.1
done
kill $!
wait $!
ok "top: SIGTERM ends it, status 0" [ $? = 0 ]
if command -v jq > /dev/null; then
	ok "top: the first look has none" json -s \
		'.[0].buffers[2] | .faults_per_second == 0 and .changes == 0'
	ok "top: faults since the look before" json -s \
		'map(.buffers[2].faults_per_second) | map(select(. > 0)) | length == 1'
	ok "top: changes since the look before" json -s 'map(.buffers[2].changes) | add == 3'
fi
rm "$buffers"
{
	cp "$here/buffers.txt" "$buffers"
	: > "$work/out"
	"$barter" top -d 0.2 > "$work/out" 2> "$work/err" < /dev/null &
	ok "top: begins" until_true [ -s "$work/out" ]
	rm "$buffers"
	wait $!
	status=$?
}
ok "top: its file goes: an end" [ $status = 1 ]
ok "top: which is told" err_has "debugfs is not mounted"
cp "$here/buffers.txt" "$buffers"

# On a terminal: keys, sizes, and what is left behind. tmux is one.
if ! command -v tmux > /dev/null; then
	skip "top on a terminal" "no tmux"
else
	terminal() { tmux -L "barter-$$" -f /dev/null "$@" 2> /dev/null; }
	# on_screen TEXT: within 20 s
	on_screen() {
		local end=$((SECONDS + 20))
		while terminal capture-pane -p > "$work/out"; do
			grep -qF -- "$1" "$work/out" && return 0
			[ $SECONDS -lt $end ] || return 1
			sleep 0.1
		done
		return 1
	}
	ok "terminal" terminal new-session -d -x 80 -y 24 \
		env "PS1=ready> " "PATH=${barter%/*}:$PATH" sh -i
	terminal send-keys 'echo before; barter top -d 30' Enter
	ok "terminal: the table is there" on_screen 'DEVICE/BAR'
	ok "terminal: lines are cut at its edge" [ "$(awk 'length > 80' "$work/out" | wc -l)" = 0 ]
	ok "terminal: what was there is away" out_lacks "before"
	terminal send-keys s
	ok "terminal: s sorts by the next key" on_screen 'by device'
	terminal send-keys i
	ok "terminal: i shows importers" on_screen 'importer 0000:00:06.0'
	sed -i 's/maps 1 pinned/maps 17 pinned/' "$buffers"
	terminal send-keys Space
	ok "terminal: another key looks at once" on_screen '17 mapped'
	terminal resize-window -x 100 -y 6
	ok "terminal: fewer lines" on_screen 'more lines'
	ok "terminal: no line is there twice" [ "$(grep -c DEVICE/BAR "$work/out")" = 1 ]
	terminal resize-window -x 40 -y 24
	ok "terminal: narrower" on_screen 'dead: closed'
	terminal capture-pane -e -p > "$work/out"
	ok "terminal: in colour" out_has $'\033'
	terminal send-keys q
	ok "terminal: q ends, and what was there is back" on_screen 'before'
	terminal send-keys 'stty -a | grep -o " icanon"' Enter
	ok "terminal: it is as it was" on_screen ' icanon'
	terminal send-keys 'NO_COLOR=1 barter top -d 30' Enter
	ok "terminal: NO_COLOR" on_screen 'DEVICE/BAR'
	terminal capture-pane -e -p > "$work/out"
	ok "terminal: NO_COLOR is heeded" out_lacks $'\033['
	terminal send-keys C-c
	ok "terminal: ^C ends it" on_screen 'ready>'
	terminal resize-window -x 130 -y 24
	terminal send-keys 'clear; barter list' Enter
	ok "terminal: list" on_screen 'LENDABLE'
	terminal capture-pane -e -p > "$work/out"
	ok "terminal: list in colour" out_has $'\033'
	terminal kill-server
fi
