# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# What is written about the commands: each has a page with all that it takes; every
# command line in a document is run by a shell on a made-up machine, where it may fail,
# but never for its usage; what the text mentions there is.

. "$root/scripts/lib/pages.sh"
tree_begin "$work/pages"
tree_base

"$root/scripts/pages" commands "$barter" > "$work/out" 2> "$work/err"
ok "every command has a page with its options and fields" [ $? = 0 ]

# In place of barter: notes what is wrong usage, and runs what export and borrow would.
# A broker that this machine may have is left alone.
mkdir -p "$work/bin" "$work/cwd"
cat > "$work/bin/barter" <<END
#!/bin/sh
echo "\$*" >> "$work/ran"
case \$1 in
vend|borrow) name=\$1; shift; set -- "\$name" --socket "$work/nobody" "\$@" ;;
esac
$(command -v timeout) 20 "$barter" "\$@" > "$work/said" 2>&1 < /dev/null
[ \$? != 2 ] || { echo "barter \$*"; $(command -v cat) "$work/said"; } >> "$work/refused"
case \$1 in export|borrow) ;; *) exit 1 ;; esac
while [ \$# -gt 0 ] && [ "\$1" != -- ]; do shift; done
[ \$# -gt 1 ] || exit 1
shift
"\$@"
END
chmod +x "$work/bin/barter"
ln -s "$(command -v sh)" "$work/bin/sh"
ln -s "$(command -v timeout)" "$(command -v grep)" "$(command -v wc)" "$work/bin"
# What reads an answer: a filter that is none is found out, where jq is.
ln -s "$(command -v jq || command -v cat)" "$work/bin/jq"

# runs LINE: are all commands of it well-formed, and was there one?
runs() {
	: > "$work/ran"
	: > "$work/refused"
	(cd "$work/cwd" && PATH=$work/bin BARTER_FD=0 "$work/bin/sh" -c "$1
wait") > "$work/out" 2> "$work/err" < /dev/null
	cat "$work/refused" >> "$work/err"
	[ -s "$work/ran" ] && ! [ -s "$work/refused" ] && ! grep -q 'not found\|yntax error' "$work/err"
}
runs_not() { ! runs "$1"; }

for line in "barter list --nonsense" "barter nonsense" "nonsense" "barter export 01:00.0 2" \
	"barter export 01:00.0 2 0+4K -- sh -c 'barter peek --fdx \$BARTER_FD 0'" \
	"barter borrow x -- sh -c 'barter info \$BARTER_FD 7'" "barter vend --status --check &"; do
	ok "a wrong line is found out: $line" runs_not "$line"
done

lines=0
for document in $(cd "$root" && ls README.md CHANGELOG.md doc/*.md doc/man/man*/* bench/README.md vmtest/README.md); do
	# What was typed there was run, and some of it is wrong on purpose.
	[ "$document" != doc/walkthrough.md ] || continue
	while read -r number line; do
		lines=$((lines + 1))
		ok "$document:$number" runs "${line#\# }"
	done < <(pages_commands "$root/$document")
done
ok "there are such lines" [ "$lines" -ge 40 ]
while read -r line; do
	ok "help: $line" runs "$line"
done < <(for command in $("$barter" help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p'); do
	"$barter" help "$command" | sed -n '/^Example: /,$p' | sed 's/^Example: *//' |
		sed -e ':a' -e '/\\$/N; s/\\\n *//; ta'
done)

# `barter NAME --option` in the text of a document, and .Ql barter NAME in a page.
mentioned() {
	cat "$root"/README.md "$root"/doc/*.md | grep -oE '`barter [a-z][^`]*`' | tr -d '`'
	sed -n -E 's/^\.(Ql|Ic) (barter [a-z].*)/\2/p; s/.*[(]?\.Ql (barter [a-z][^.]*).*/\1/p' "$root"/doc/man/man*/*
}
while read -r _ name rest; do
	ok "barter $name is mentioned, and is there" run 0 help "$name"
	for word in $rest; do
		[[ $word != -- ]] || break
		[[ $word != --* ]] || ok "barter $name: $word is mentioned, and is there" out_has "$word"
	done
done < <(mentioned | sort -u)
