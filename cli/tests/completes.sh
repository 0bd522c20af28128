# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# Asks bash what it completes, for the tests of any command.

# completes LINE: what bash offers for it into $work/out, one on each line. The command is
# the one in $commands, or the one to be tested.
completes() {
	PATH="${commands:-${barter%/*}}:$PATH" bash --norc -c '
		. /usr/share/bash-completion/bash_completion
		. "$1"
		COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9 COMP_KEY=9
		# As readline takes it apart.
		COMP_WORDS=() rest=$2
		while [ -n "$rest" ]; do
			case $rest in
			" "*) rest=${rest# } ;;
			:*) COMP_WORDS+=(:) rest=${rest#:} ;;
			*) word=${rest%%[ :]*} COMP_WORDS+=("$word") rest=${rest#"$word"} ;;
			esac
		done
		[[ $2 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_barter
		printf "%s\n" "${COMPREPLY[@]}"' bash "$root/packaging/completion/barter.bash" "$1" \
		> "$work/out" 2> "$work/err"
}
# offers LINE WORDS: it offers these, whatever their order.
offers() {
	completes "$1"
	[ "$(sort < "$work/out" | xargs)" = "$2" ]
}
