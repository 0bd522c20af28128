# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# Wrong usage exits 2 and says what is wrong on stderr only; help exits 0.

tree_begin "$work/usage"

wrong() {
	local name="usage: $*"
	ok "$name" run 2 "$@"
	ok "$name: nothing on stdout" out_empty
	ok "$name: points at the help" err_has "barter help"
}

wrong
sed -i 's/^/barter help /' "$work/err"
wrong nonsense
wrong help nonsense
wrong list extra
wrong list --nonsense
wrong list --json=yes
wrong doctor not-a-device
wrong bind
wrong bind 01:00
wrong bind 01:00.8
wrong bind 01:20.0
wrong unbind
wrong unbind zz:00.0
wrong export
wrong export 01:00.0 2
wrong export 01:00.0 6 0+4096
wrong export 01:00.0 2 4096
wrong export 01:00.0 2 0+4096 --
wrong export --native 01:00.0 2 0+4096 8192+4096
wrong export 01:00.0 2 0+-1
wrong export 01:00.0 2 0x+1
wrong export 01:00.0 2 0+99999999999999999999
wrong info
wrong info 3x
wrong info 1:
wrong info :3
wrong info 0:3
wrong info 3 4
wrong watch
wrong watch 3x
wrong watch ""
wrong watch 1:
wrong watch 0:3
wrong watch 3 4
wrong watch --all 3
wrong topo --json --svg
wrong topo -o
wrong topo --importer nonsense
wrong topo extra
wrong peek 01:00.0 2
wrong peek 01:00.0 2 x
wrong peek 01:00.0 2 0 4 5
wrong peek --width 3 01:00.0 2 0
wrong peek --fd x 0
wrong peek --raw --json 01:00.0 2 0
wrong poke 01:00.0 2 0
wrong poke --width 1 01:00.0 2 0 256
wrong poke 01:00.0 2 0 nonsense
wrong scanout
wrong scanout nonsense
wrong scanout 01:00.0 02:00.0
wrong scanout 01:00.0 --set 3
wrong scanout 01:00.0 --set x --size 4x4
wrong scanout 01:00.0 --size 4x4
wrong scanout 01:00.0 --format NV12
wrong scanout 01:00.0 --set 3 --size 4
wrong scanout 01:00.0 --set 3 --size 0x4
wrong scanout 01:00.0 --set 3 --size 4x4x
wrong scanout 01:00.0 --set 3 --size 4x4 --format RGB888
wrong scanout 01:00.0 --set 3 --size 4x4 --stride x
wrong scanout 01:00.0 --set 3 --size 4x4 --stride 16,16
wrong scanout 01:00.0 --set 3 --size 4x4 --format NV12 --offset 0,
wrong scanout 01:00.0 --set 3 --size 4x4 --stride 4G
wrong scanout 01:00.0 --set 3 --size 4x4 --clear
wrong scanout 01:00.0 --clear -o x.png
wrong scanout 01:00.0 --json -o x.png

wrong vend extra
wrong vend --policy
wrong vend --check --status
wrong vend --metrics --status
wrong vend --take-back
wrong vend --take-back x
wrong vend --take-back 0
wrong vend --json
wrong vend --metrics --json
wrong doctor --dry-run
wrong unbind --nonsense 01:00.0
wrong top extra
wrong top -n
wrong top -n 0
wrong top -n x
wrong top -d 0
wrong top -d 1h
wrong top -d 99999
wrong top -d nan
wrong top --sort nonsense
wrong borrow
wrong borrow a b
wrong borrow a --
wrong borrow --list a
wrong borrow --list -- true
wrong borrow --seconds 0 a
wrong borrow --seconds 1h a
wrong borrow --seconds 99999999999 a

ok "--version names META's version" run 0 --version
ok "--version says $(sed -n 's/^VERSION=//p' "$root/META")" \
	out_has "barter $(sed -n 's/^VERSION=//p' "$root/META")"
ok "help of help" run 0 help help
ok "help of help: says what it takes" out_has "usage: barter help [COMMAND]"
ok "help" run 0 help
# The whole of it on one screen, with a line for the prompt.
fits() {
	awk -v rows="$1" 'length > 80 { bad = 1 } END { exit bad || NR > rows }' "$work/out"
}
all_commands=$("$barter" help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p')
ok "help has all commands" [ "$(wc -w <<<"$all_commands")" = 14 ]
ok "help fits a screen of 24 x 80" fits 23
for command in bind borrow doctor export info list peek poke scanout top topo unbind vend watch; do
	ok "help names $command" out_has "  $command"
done
for command in $all_commands; do
	ok "help $command" run 0 help "$command"
	ok "help $command shows its usage" out_has "usage: barter $command"
	ok "help $command is 80 columns wide" fits 60
	ok "help $command tells of --json" out_has "--json"
	ok "$command --help is the same" run 0 "$command" --help
	ok "$command --help shows its usage" out_has "usage: barter $command"
done
if [ -w /dev/full ]; then
	"$barter" help > /dev/full 2> "$work/err"
	ok "an answer that cannot be written is a failure" [ $? = 1 ]
else
	skip "an answer that cannot be written" "no /dev/full"
fi
