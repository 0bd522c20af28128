# SPDX-License-Identifier: GPL-2.0-only
# QEMU. Most machines run with this machine's own. One whose file says
# machine_qemu=newer takes what that may lack (windows of a memory, igb, virtual
# CPUs that survive a device's reset): version 11 or later. Where this machine's own
# is older, Debian's is unpacked below the cache, with all libraries it needs, and
# never installed.
#
# The unpacked one runs by its tree's own dynamic linker: no root, no namespace, and
# to whoever started it an ordinary child that dies of its own signals. The tree's
# name is a hash of all packages in it; the file "packages", written last, lists them.

readonly QEMU_NEWER=11
readonly QEMU_SUITES='trixie trixie-backports'

# qemu_choose WHICH: own or newer; leaves the start of its command in $qemu_command.
qemu_choose() {
	qemu_command=(qemu-system-x86_64)
	case $1 in
	own) return ;;
	newer) ;;
	*) die "no QEMU '$1'; there are: own newer" ;;
	esac
	[ "$(qemu_own_version)" -lt "$QEMU_NEWER" ] || return 0
	qemu_ensure
	qemu_in_tree "$qemu_dir"
}

# qemu_own_version: the first number of the version of this machine's own, or 0.
qemu_own_version() {
	local text

	text=$(qemu-system-x86_64 --version 2>/dev/null |
		sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p')
	echo "${text:-0}"
}

# qemu_in_tree TREE: $qemu_command for the one unpacked there.
qemu_in_tree() {
	local lib=$1/usr/lib/x86_64-linux-gnu

	qemu_command=(env QEMU_MODULE_DIR="$lib/qemu"
		"$lib/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$lib"
		"$1/usr/bin/qemu-system-x86_64"
		-L "$1/usr/share/qemu" -L "$1/usr/share/seabios" -L "$1/usr/lib/ipxe/qemu")
}

# qemu_cached: is it there already, or none needed? Makes nothing.
qemu_cached() {
	[ "$(qemu_own_version)" -ge "$QEMU_NEWER" ] || [ -e "$cache_dir/qemu/newer/packages" ]
}

# qemu_ensure: leaves the tree in $qemu_dir.
qemu_ensure() {
	local link=$cache_dir/qemu/newer lock

	if [ ! -e "$link/packages" ]; then
		mkdir -p "$cache_dir/qemu"
		exec {lock}>"$link.lock"
		flock -n "$lock" || {
			step "waiting for another run that is fetching QEMU"
			flock "$lock"
		}
		# In a shell of its own: the index it reads is of no use to others.
		[ -e "$link/packages" ] || (qemu_make) ||
			die "there is no QEMU $QEMU_NEWER or later: this machine has an older one," \
				"and Debian's could not be had"
		exec {lock}>&-
	fi
	qemu_dir=$(readlink -f "$link")
}

# qemu_make: the newest one of QEMU_SUITES, and the link to it.
qemu_make() {
	local debian_root=$cache_dir/qemu/apt packages version tree

	say "first use of a QEMU newer than this machine's: 46 MB to download once, 150 MB unpacked in $cache_dir"
	debian_read_index next "$debian_root" "$QEMU_SUITES"
	debian_apt_opts+=(-o APT::Default-Release="${QEMU_SUITES##* }")
	# Of what apt would install, what runs: not what sets up users.
	packages=$(debian_plan qemu-system-x86) &&
		packages=$(grep -E '^(lib|zlib|qemu|seabios|ipxe)' <<<"$packages") ||
		die "no qemu-system-x86 in $QEMU_SUITES on this machine's mirror"
	version=$(sed -n 's/^qemu-system-x86=\([0-9]*:\)\?//p' <<<"$packages")
	[ "${version%%.*}" -ge "$QEMU_NEWER" ] ||
		die "no QEMU $QEMU_NEWER in $QEMU_SUITES on this machine's mirror, only $version"

	tree=$cache_dir/qemu/$(sha256sum <<<"$packages" | cut -c1-12)
	rm -rf "$tree" && mkdir -p "$tree"
	debian_unpack "$tree" $packages
	rm -rf "$tree"/usr/share/{doc,man,info,locale,bug,lintian}
	qemu_runs "$tree" || die "QEMU $version does not run out of $tree"
	echo "$packages" >"$tree/packages"
	ln -sfn "${tree##*/}" "$cache_dir/qemu/newer"
	rm -rf "$debian_root"
	say "QEMU $version is ready in $tree"
}

# qemu_runs TREE: with no library of this machine's, and with all ROMs?
qemu_runs() {
	local lib=$1/usr/lib/x86_64-linux-gnu

	qemu_in_tree "$1"
	! "$lib/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$lib" \
		--list "$1/usr/bin/qemu-system-x86_64" | grep -v linux-vdso | grep -vF "$1/" &&
	echo quit | "${qemu_command[@]}" -M q35 -accel tcg -S -nodefaults -display none \
		-monitor stdio -netdev hubport,id=net0,hubid=0 -device pcie-root-port,id=rp0 \
		-device igb,netdev=net0,bus=rp0 -vga std >/dev/null
}

# What machines of a guest need that run their own firmware, or SeaBIOS.
readonly GUEST_ROMS='qemu/kvmvapic.bin qemu/linuxboot_dma.bin qemu/multiboot_dma.bin qemu/pvh.bin
	seabios/bios-256k.bin'

# guest_qemu ROOT: a QEMU that is new enough into the guest's root, unchanged, as
# qemu-system-x86_64: 70 MB.
guest_qemu() {
	local root=$1 tree=/ share lib=/usr/lib/qemu rom
	local loader=$lib/ld-linux-x86-64.so.2 program=$lib/qemu-system-x86_64

	if [ "$(qemu_own_version)" -ge "$QEMU_NEWER" ]; then
		guest_file "$root" "$(command -v qemu-system-x86_64)"
	else
		qemu_ensure
		tree=$qemu_dir
		mkdir -p "$root$lib"
		"$tree/usr/lib/x86_64-linux-gnu/${loader##*/}" --inhibit-cache \
			--library-path "$tree/usr/lib/x86_64-linux-gnu" \
			--list "$tree/usr/bin/qemu-system-x86_64" |
			grep -o "$tree/[^ ]*" | xargs cp -L -t "$root$lib" &&
			cp -L "$tree/usr/lib/x86_64-linux-gnu/${loader##*/}" \
				"$tree/usr/bin/qemu-system-x86_64" "$root$lib" ||
			die "no room for QEMU in the guest's root"
		mkdir -p "$root/usr/bin"
		printf '#!/bin/sh\nexec %s --library-path %s %s -L /usr/share/qemu "$@"\n' \
			"$loader" "$lib" "$program" >"$root/usr/bin/qemu-system-x86_64"
		chmod 755 "$root/usr/bin/qemu-system-x86_64"
	fi
	share=$root/usr/share/qemu
	mkdir -p "$share"
	for rom in $GUEST_ROMS; do
		cp -L "$tree/usr/share/$rom" "$share/" || die "QEMU came without ${rom##*/}"
	done
}

# qemu_clean: remove trees that have been succeeded.
qemu_clean() {
	local dir current

	current=$(readlink "$cache_dir/qemu/newer")
	for dir in "$cache_dir"/qemu/*/; do
		dir=${dir%/}
		[ -d "$dir" ] && [ ! -L "$dir" ] && [ "${dir##*/}" != "$current" ] || continue
		say "removing $dir"
		flock -n "$cache_dir/qemu/newer.lock" rm -rf "$dir" || say "it is being made"
	done
}
