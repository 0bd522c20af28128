# SPDX-License-Identifier: GPL-2.0-only
# bash completion of barter. Commands and options come from "barter help", so that
# there is no second list of them.

# Addresses of the PCI devices (of those that lend), and open dma-bufs as PID:FD and by
# their names, but for those that a shell would take apart.
_barter_lenders() {
	command ls "${BARTER_SYSFS:-/sys}/bus/pci/drivers/barter-vfio-pci" 2>/dev/null |
		grep -x '[0-9a-f]*:[0-9a-f]*:[0-9a-f]*\.[0-7]'
}
_barter_devices() { command ls "${BARTER_SYSFS:-/sys}/bus/pci/devices" 2>/dev/null; }
_barter_buffers() {
	command find /proc/[0-9]*/fd -maxdepth 1 -lname '/dmabuf:*' 2>/dev/null |
		sed 's|^/proc/||; s|/fd/|:|'
}
_barter_names() {
	local buffer
	for buffer in $(_barter_buffers); do
		sed -n 's/^name:\t\([A-Za-z_][A-Za-z0-9_.+-]*\)$/\1/p' \
			"/proc/${buffer/://fdinfo/}" 2>/dev/null
	done
}

_barter() {
	local cur prev words cword command help options word at nr=0 IFS=$' \t\n'
	COMPREPLY=()
	_get_comp_words_by_ref -n : cur prev words cword
	offer() {
		mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
		__ltrim_colon_completions "$cur"
	}

	if [ "$cword" -eq 1 ]; then
		offer "$(barter help 2>/dev/null | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p') help --version"
		return
	fi
	command=${words[1]}
	if [ "$command" = help ]; then
		offer "$(barter help 2>/dev/null | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p') --json"
		return
	fi
	# What comes after "--" is a command of its own. Its place is counted in the words
	# as readline has them, an address being several.
	for ((at = 2; at < COMP_CWORD; at++)); do
		if [ "${COMP_WORDS[at]}" = -- ]; then
			_command_offset $((at + 1))
			return
		fi
	done
	for ((at = 2; at < cword; at++)); do
		[[ ${words[at]} == -* ]] || nr=$((nr + 1))
	done
	help=$(barter help "$command" 2>/dev/null) || return 0
	case $prev in
	--importer|--exporter) offer "$(_barter_devices)"; return ;;
	--attribute) offer 'uc wc'; return ;;
	--format) offer 'XRGB8888 RGB565 NV12'; return ;;
	--width) offer '1 2 4 8'; return ;;
	--sort) offer 'id device length state mmaps faults rate changes'; return ;;
	--policy|--socket|-o) _filedir; return ;;
	--take-back) offer "$(barter vend --status 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }')"; return ;;
	# Of this shell, for the command to inherit.
	--set|--fd) offer "$(_barter_buffers | sed -n "s/^$$://p")"; return ;;
	--size|--stride|--offset|--name|--seconds|-d|-n) return ;;
	esac
	if [[ $cur == -* ]]; then
		options=$(grep -oE -- '(^|[[ |])--?[a-z][a-z-]*' <<<"${help%%$'\n\n'*}" | tr -d '[| ')
		offer "$options --help"
		return
	fi
	word=${help%%$'\n\n'*}
	word=${word//$'\n'/ }
	case "$command $word" in
	unbind*) offer "$(_barter_lenders)" ;;
	*PID:FD*) offer "$(_barter_buffers; _barter_names)" ;;
	*'{NAME '*) offer "$(barter borrow --list 2>/dev/null | awk '/ BAR / { print $1 }')" ;;
	*'BDF...'*|*'[BDF...]'*) offer "$(_barter_devices)" ;;
	*BDF*|*' PF') [ "$nr" -gt 0 ] || offer "$(_barter_devices)" ;;
	esac
}
complete -F _barter barter
