# SPDX-License-Identifier: GPL-2.0-only
# What man pages in mdoc say, for scripts/install and scripts/pages.

# pages_names PAGE: the names that it documents.
pages_names() {
	awk '/^\.Sh / { on = $2 == "NAME" } on && $1 == ".Nm" && NF > 1 { print $2 }' "$1"
}

# pages_synopsis PAGE: its functions as prototypes, one on each line.
pages_synopsis() {
	awk '
	function word(n,  text) {
		text = ""
		for (; n <= NF; n++) text = text (text == "" ? "" : " ") $n
		gsub(/"/, "", text)
		return text
	}
	# "a" "b c" d: quoted arguments, or single words.
	function split_arguments(text,  out, at, end) {
		out = ""
		while (text != "") {
			sub(/^ +/, "", text)
			if (substr(text, 1, 1) == "\"") {
				end = index(substr(text, 2), "\"")
				at = substr(text, 2, end - 1)
				text = substr(text, end + 2)
			} else {
				end = index(text " ", " ")
				at = substr(text, 1, end - 1)
				text = substr(text, end + 1)
			}
			if (at != "") out = out (out == "" ? "" : ", ") at
		}
		return out
	}
	function tell(arguments) { print type " " name "(" arguments ");" }
	/^\.Sh / { on = $2 == "SYNOPSIS" }
	!on { next }
	$1 == ".Ft" { type = word(2) }
	$1 == ".Fn" {
		name = $2
		$1 = $2 = ""
		tell(split_arguments($0))
	}
	$1 == ".Fo" { name = $2; list = "" }
	$1 == ".Fa" { list = list (list == "" ? "" : ", ") word(2) }
	$1 == ".Fc" { tell(list) }
	' "$1" | pages_normal
}

# pages_declared HEADER...: what the headers declare, likewise.
pages_declared() {
	cat "$@" | awk '
	/^#/ || more { more = /\\$/; text = text ";"; next }
	{ text = text " " $0 }
	END {
		while ((at = index(text, "/*"))) {
			end = index(substr(text, at), "*/")
			text = substr(text, 1, at - 1) " " substr(text, at + end + 1)
		}
		gsub(/[ \t]+/, " ", text)
		while (match(text, /[;{}"] ?(extern |static inline )?[a-z_][a-z_0-9 ]*[ *]+barter_[a-z_0-9]+\([^()]*\) ?[;{]/)) {
			one = substr(text, RSTART + 1, RLENGTH - 2)
			text = substr(text, RSTART + RLENGTH - 1)
			sub(/^ ?(extern |static inline )?/, "", one)
			print one ";"
		}
	}' | pages_normal
}

# One way to write a prototype.
pages_normal() {
	sed -E 's/[ \t]+/ /g; s/ ?\* ?/ */g; s/\* \*/**/g; s/\( /(/g; s/ \)/)/g; s/ ;/;/g; s/\(\);/(void);/'
}

# pages_literal PAGE [SECTION]: its literal blocks, as they are read, with a line
# "@N LINE" before each, which says where in the page it begins.
pages_literal() {
	awk -v section="${2:-}" '
	/^\.Sh / { here = substr($0, 5); gsub(/"/, "", here) }
	section != "" && here != section { next }
	/^\.Bd -literal/ { on = 1; print "@" ++nr " " NR; next }
	/^\.Ed/ { on = 0 }
	on && !/^\.\\"/ { gsub(/\\e/, "\\"); gsub(/\\&/, ""); gsub(/\\-/, "-"); print }
	' "$1"
}

# pages_blocks DOCUMENT: what is shown as it is typed or read in a page or a Markdown
# file, as "LINE TEXT", continued lines as one; "0" ends a block.
pages_blocks() {
	awk '
	{ text = $0; here = on }
	FILENAME ~ /\.md$/ {
		if (/^```/) { on = !on; if (!on) print 0; next }
		if (!on) here = sub(/^    /, "", text)
	}
	FILENAME !~ /\.md$/ {
		if (/^\.Bd -literal/) { on = 1; next }
		if (/^\.Ed/) { on = 0; print 0; next }
		gsub(/\\e/, "\\", text)
		gsub(/\\[&]/, "", text)
		gsub(/\\-/, "-", text)
		if (sub(/^\.Dl /, "", text)) here = 1
	}
	!here { next }
	{ continues = sub(/\\$/, "", text); whole = whole text; if (!line) line = FNR }
	!continues { print line " " whole; whole = ""; line = 0 }
	' "$1"
}

# pages_commands DOCUMENT: the command lines of barter in it, as "LINE COMMAND", with
# their prompt if they have one.
pages_commands() { pages_blocks "$1" | grep -E '^[0-9]+ (# )?barter [a-z]'; }

# pages_spans DOCUMENT: what stands between backquotes in the text of a Markdown file, one on
# each line.
pages_spans() {
	awk '
	function tell(  n, i, part) {
		n = split(text, part, "`")
		for (i = 2; i < n; i += 2) print part[i]
		text = ""
	}
	/^```/ { code = !code; tell(); next }
	code { next }
	/^ *$/ || /^\|/ { tell() }
	{ text = text (text == "" ? "" : " ") $0 }
	END { tell() }
	' "$1"
}

# pages_says DOCUMENT COMMAND: does a Markdown file show that command line, as a line or in its
# text? Says so if not.
pages_says() {
	{ pages_blocks "$1" | sed 's/^[0-9]* //; s/^# //; s/ *#.*//'; pages_spans "$1"; } | grep -qxF -- "$2" ||
		{ echo "$1 does not show: $2"; return 1; }
}

# pages_checklist DOCUMENT: the table "check, command, expected" of a Markdown file, as lines
# "LINE CHECK COMMAND EXPECTED", by tabs; "the same" is the command of the row above.
pages_checklist() {
	awk '
	/^\| check \| command \| expected \|$/ { on = 1; next }
	on && !/^\|/ { exit }
	!on || /^\|-/ { next }
	{
		split($0, cell, / \| /)
		sub(/^\| /, "", cell[1])
		if (cell[2] !~ /^the same/ && match(cell[2], /`[^`]*`/))
			command = substr(cell[2], RSTART + 1, RLENGTH - 2)
		sub(/ \|$/, "", cell[3])
		print FNR "\t" cell[1] "\t" command "\t" cell[3]
	}' "$1"
}
