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

if ! command -v zsh > /dev/null || ! command -v tmux > /dev/null; then
	skip "zsh completes" "no zsh or no tmux"
else
	zterm() { tmux -L "barter-z-$$" -f /dev/null "$@" 2> /dev/null; }
	# zsh_offers LINE TEXT: after a tab
	zsh_offers() {
		local end=$((SECONDS + 20))
		zterm send-keys C-u "clear" Enter
		zterm send-keys -l "$1"
		zterm send-keys Tab
		while zterm capture-pane -p > "$work/out"; do
			grep -qF -- "$2" "$work/out" && return 0
			[ $SECONDS -lt $end ] || return 1
			sleep 0.1
		done
		return 1
	}
	mkdir -p "$work/zsh"
	cat > "$work/zsh/.zshrc" <<-END
		fpath=('$root/packaging/completion' \$fpath)
		PATH='${barter%/*}':\$PATH PS1='ready> '
		autoload -Uz compinit; compinit -u -d '$work/zsh/dump'
	END
	ok "zsh" zterm new-session -d -x 100 -y 30 env "ZDOTDIR=$work/zsh" zsh -i
	until zterm capture-pane -p | grep -q 'ready>' || [ $SECONDS -gt 600 ]; do sleep 0.2; done
	ok "zsh: commands" zsh_offers "barter unb" "barter unbind"
	ok "zsh: commands with what they do" zsh_offers "barter to" "all buffers live"
	ok "zsh: options" zsh_offers "barter doctor --dr" "barter doctor --dry-run"
	ok "zsh: devices" zsh_offers "barter bind 0000:02" "barter bind 0000:02:00.0"
	ok "zsh: bound devices" zsh_offers "barter unbind " "barter unbind 0000:01:00.0"
	ok "zsh: words of an option" zsh_offers "barter top --sort ch" "--sort changes"
	zterm kill-server
fi
