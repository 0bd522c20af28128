# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# What bash and zsh complete, of the words that the command itself knows, on a made-up
# machine.

tree_begin "$work/completion"
tree_base
ln -s ../../../../devices/x "$TREE/sys/bus/pci/drivers/barter-vfio-pci/0000:01:00.0"

# completes LINE: what bash offers for it into $work/out, one on each line.
completes() {
	PATH="${barter%/*}:$PATH" bash --norc -c '
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
offers() {
	completes "$1"
	[ "$(sort < "$work/out" | xargs)" = "$2" ]
}

if ! [ -e /usr/share/bash-completion/bash_completion ]; then
	skip "bash completes" "no bash-completion"
else
	ok "bash: commands" offers "barter t" "top topo"
	ok "bash: all commands" offers "barter " \
		"--version bind borrow doctor export help info list peek poke scanout top topo unbind vend watch"
	ok "bash: help" offers "barter help un" unbind
	# Each option of each command's help.
	for command in $("$barter" help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p'); do
		"$barter" help "$command" | sed '1,/^$/d' |
			grep -oE '^ +--?[a-z-]+' | tr -d ' ' > "$work/options"
		completes "barter $command -"
		cp "$work/out" "$work/offered"
		ok "bash: options of $command" \
			[ -z "$(grep -vxFf "$work/offered" "$work/options")" ]
		ok "bash: options of $command are there" [ -s "$work/options" ]
	done
	# readline has taken "0000:" apart; what was typed of it is not repeated.
	ok "bash: devices" offers "barter bind 0000:0" \
		"00:00.0 00:01.0 00:02.0 00:1f.0 00:1f.2 00:1f.3 01:00.0 02:00.0"
	ok "bash: several devices" offers "barter doctor 0000:01:00.0 0000:02" "02:00.0"
	ok "bash: one device for export" offers "barter export 0000:01:00.0 " ""
	ok "bash: unbind has those that are bound" offers "barter unbind " 0000:01:00.0
	ok "bash: --importer" offers "barter topo --importer 0000:02" "02:00.0"
	ok "bash: --sort" offers "barter top --sort m" mmaps
	ok "bash: --attribute" offers "barter export --attribute " "uc wc"
fi

# What a person sees in a terminal after a tab. Each shell has a server of its own: one
# that was told to end still takes calls for a moment, and loses them.
turn=0
term() { tmux -L "barter-c-$$-$turn" -f /dev/null "$@" 2> /dev/null; }
# shows LINE TEXT
shows() {
	local end=$((SECONDS + 20))
	term send-keys C-u "clear" Enter
	term send-keys -l "$1"
	term send-keys Tab
	while term capture-pane -p > "$work/out"; do
		grep -qF -- "$2" "$work/out" && return 0
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
	return 1
}
# shell COMMAND...: one whose prompt is "ready> "
shell() {
	local end=$((SECONDS + 60))
	turn=$((turn + 1))
	term new-session -d -x 100 -y 30 "$@" || return
	until term capture-pane -p | grep -q 'ready>'; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# What _command_offset does needs a bash that completes.
if ! [ -e /usr/share/bash-completion/bash_completion ] || ! command -v tmux > /dev/null; then
	skip "bash: a command behind --" "no bash-completion or no tmux"
else
	cat > "$work/bashrc" <<-END
		. /usr/share/bash-completion/bash_completion
		. '$root/packaging/completion/barter.bash'
		PATH='${barter%/*}':\$PATH PS1='ready> '
	END
	ok "bash in a terminal" shell bash --noprofile --rcfile "$work/bashrc" -i
	ok "bash: a command behind --" \
		shows "barter export 0000:01:00.0 2 0+4K -- basena" "0+4K -- basename"
	# It is the inner command that has this option.
	ok "bash: and what that takes" \
		shows "barter export 0000:01:00.0 2 0+4K -- barter topo --impo" "topo --importer"
	term kill-server
fi

if ! command -v zsh > /dev/null || ! command -v tmux > /dev/null; then
	skip "zsh completes" "no zsh or no tmux"
else
	mkdir -p "$work/zsh"
	cat > "$work/zsh/.zshrc" <<-END
		fpath=('$root/packaging/completion' \$fpath)
		PATH='${barter%/*}':\$PATH PS1='ready> '
		autoload -Uz compinit; compinit -u -d '$work/zsh/dump'
	END
	ok "zsh" shell env "ZDOTDIR=$work/zsh" zsh -i
	ok "zsh: commands" shows "barter unb" "barter unbind"
	# All that they have in common is typed already: so zsh lists them.
	ok "zsh: commands with what they do" shows "barter top" "all buffers live"
	ok "zsh: options" shows "barter doctor --dr" "barter doctor --dry-run"
	ok "zsh: devices" shows "barter bind 0000:02" "barter bind 0000:02:00.0"
	ok "zsh: bound devices" shows "barter unbind " "barter unbind 0000:01:00.0"
	ok "zsh: words of an option" shows "barter top --sort ch" "--sort changes"
	ok "zsh: a command behind --" \
		shows "barter export 0000:01:00.0 2 0+4K -- basena" "0+4K -- basename"
	term kill-server
fi
