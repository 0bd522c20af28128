# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# What the commands print as JSON is what doc/json.md says, and each command is in it. What
# takes real buffers is in the suite json of tests/device.

# schema NAME: its schema in doc/json.md, as JSON.
schema() {
	awk -v fence="\`\`\`json $1" '$0 == fence { on = 1; next } /^```/ { on = 0 } on' \
		"$root/doc/json.md"
}
well_formed() { [ -s "$work/schema" ] && jq -e . "$work/schema" > /dev/null; }
# follows NAME: is each document in $work/out as the schema says?
follows() {
	schema "$1" > "$work/schema"
	jq -e . < "$work/schema" > /dev/null 2> "$work/err" || return 1
	jq --slurpfile schema "$work/schema" -f "$here/schema.jq" \
		< "$work/out" > "$work/faults" 2> "$work/err" || return 1
	[ -s "$work/out" ] || echo "no document" > "$work/faults"
	cat "$work/faults" >> "$work/err"
	[ ! -s "$work/faults" ]
}
# departs NAME TEXT FROM TO: the checker finds TEXT once FROM has become TO in the answer.
departs() {
	cp "$work/out" "$work/right"
	sed "s/$3/$4/" < "$work/right" > "$work/out"
	! follows "$1" && grep -qF -- "$2" "$work/faults"
	local ret=$?
	cp "$work/right" "$work/out"
	return $ret
}

if ! command -v jq > /dev/null; then
	skip "JSON is as doc/json.md says" "no jq"
else
	tree_begin "$work/json"
	tree_base
	ok "json: help" run 0 help --json
	ok "json: help is as documented" follows help
	json_commands=$(jq -r '.commands[].name' < "$work/out")
	for command in $json_commands; do
		ok "doc/json.md has $command" grep -q "^\`\`\`json $command\( \|$\)" "$root/doc/json.md"
		schema "$command" > "$work/schema"
		[ "$command" = vend ] || ok "doc/json.md: the schema of $command is JSON" well_formed
	done
	ok "json: list" run 0 list --all --json
	ok "json: list is as documented" follows list
	ok "the checker finds another type" departs list ".devices[0].group: " \
		'"group": 0' '"group": "0"'
	ok "the checker finds a missing key" departs list "driver: missing" \
		'"driver":' '"driven":'
	ok "the checker finds a new key" departs list "driven: not documented" \
		'"driver":' '"driven":'
	ok "the checker finds another word" departs list ".lendable: " \
		'"lendable": "now"' '"lendable": "never"'
	ok "json: doctor" run 1 doctor --json 02:00.0
	ok "json: doctor is as documented" follows doctor
	ok "json: doctor --fix --dry-run" run 1 doctor --fix --dry-run --json 02:00.0
	ok "json: doctor --fix is as documented" follows doctor
	ok "json: topo" run 1 topo --json
	ok "json: topo is as documented" follows topo
	ok "json: bind" run 1 bind --json 01:00.0 00:1f.2
	ok "json: bind is as documented" follows bind
	ok "json: bind tells of each" json \
		'[.devices[].done] == [true, false] and (.devices[1].error | contains("lpc_ich"))'
	ok "json: unbind" run 1 unbind --json 02:00.0
	ok "json: unbind is as documented" follows unbind
	ok "json: unbind says why not" json '.devices[0].error | contains("not bound to barter-vfio-pci")'
	mkdir -p "$TREE/sys/kernel/debug/barter"
	cp "$here/buffers.txt" "$TREE/sys/kernel/debug/barter/buffers"
	ok "json: top" run 0 top -n 2 -d 0.1 --json
	ok "json: top is as documented" follows top
	ok "json: top prints a line for each look" [ "$(wc -l < "$work/out")" = 2 ]
	printf '[one]\ndevice = 0000:01:00.0\nbar = 2\nranges = 0+4K\nallow = uid:0\naccess = read-write\n' > "$work/policy"
	ok "json: vend --check" run 0 vend --check --json --policy "$work/policy"
	ok "json: vend --check is as documented" follows "vend --check"
	echo nonsense >> "$work/policy"
	ok "json: vend --check of a wrong policy" run 1 vend --check --json --policy "$work/policy"
	ok "json: that is as documented" follows "vend --check"
	ok "json: and says which line" json '.errors[0].text | contains(":7")'
fi
