# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# What bash and zsh complete, of the words that the command itself knows, on a made-up
# machine.

tree_begin "$work/completion"
tree_base
ln -s ../../../../devices/x "$TREE/sys/bus/pci/drivers/barter-vfio-pci/0000:01:00.0"

# What a process has open.
mkdir -p "$work/held/fd" "$work/held/fdinfo"
ln -s /dmabuf:frame.1 "$work/held/fd/7"
ln -s "/dmabuf:a b" "$work/held/fd/8"
ln -s /dev/null "$work/held/fd/9"
printf 'pos:\t0\nsize:\t4096\nexp_name:\tbarter\nname:\tframe.1\n' > "$work/held/fdinfo/7"
printf 'pos:\t0\nname:\ta b\n' > "$work/held/fdinfo/8"
printf 'pos:\t0\nname:\tfalse\n' > "$work/held/fdinfo/9"
# offers_of_holder LINE WORDS: what it offers where a process, @ in both, has two buffers as
# fd 7 and 8, and another file.
offers_of_holder() {
	unshare -m bash -c '
		sleep 100 &
		holder=$!
		trap "kill $holder" EXIT
		for part in fd fdinfo; do mount --bind "$work/held/$part" "/proc/$holder/$part"; done
		offers "${1//@/$holder}" "${2//@/$holder}"' bash "$1" "$2"
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
	if ! unshare -m true 2> /dev/null; then
		skip "bash: buffers" "takes root"
	else
		export -f offers completes
		export work root barter
		ok "bash: buffers by their names" offers_of_holder "barter info f" frame.1
		ok "bash: buffers by who holds them" offers_of_holder "barter info @:" "7 8"
		ok "bash: for watch, too" offers_of_holder "barter watch --json fr" frame.1
		ok "bash: no device for info" offers "barter info 0000:0" ""
	fi
	# As "barter vend --status" writes them.
	mkdir -p "$work/leases"
	cat > "$work/leases/barter" <<-END
		#!/bin/sh
		[ "\$1 \$2" = "vend --status" ] || exec "$barter" "\$@"
		printf '%-5s %-16s %-11s uid 0, pid 7 (x), read-only, 5 s\n' 12 frame lent 13 frame lent
	END
	chmod +x "$work/leases/barter"
	commands=$work/leases
	ok "bash: --take-back has the leases" offers "barter vend --take-back " "12 13"
	commands=
	ok "bash: --fd has this shell's" offers "barter peek --fd " ""
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
	if ! unshare -m true 2> /dev/null; then
		skip "zsh: buffers" "takes root"
	else
		ok "zsh where a process has buffers" shell env "ZDOTDIR=$work/zsh" unshare -m bash -c '
			sleep 60 &
			for part in fd fdinfo; do mount --bind "$0/$part" "/proc/$!/$part"; done
			exec zsh -i' "$work/held"
		ok "zsh: buffers by their names" shows "barter info fra" "barter info frame.1"
		ok "zsh: a name of two words" shows "barter info a" 'barter info a\ b'
		term kill-server
	fi
fi
