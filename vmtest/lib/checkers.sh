# SPDX-License-Identifier: GPL-2.0-only
# The programs that check the modules' sources: a toolchain tree (toolchain.sh) with
# both compilers, sparse and coccinelle, of Debian's next release, and beside it the
# kernel's own scripts for them. All of it is unpacked below the cache, not installed.
#
# Debian 12's clang and sparse are too old for the headers of 7.x, and so is the next
# release's sparse: that one program comes from the release after it, without what
# its package depends on (a compiler, and libraries for programs that come with it).

# What kernel modules take to build with both compilers, and what checks them.
readonly CHECKERS='gcc-14-for-host pahole libelf1t64 libssl3t64 libdw1t64
	clang-19 coccinelle libpython3.13 perl'

# checkers_cached: are they there? Makes nothing.
checkers_cached() {
	[ -e "$cache_dir/toolchains/checkers/packages" ] &&
		[ -e "$cache_dir/toolchains/kernel-scripts/tools/docs/kernel-doc" ]
}

# checkers_ensure: leaves the tree in $toolchain_dir and the scripts in $scripts_dir.
checkers_ensure() {
	local link=$cache_dir/toolchains/checkers debian_root sparse tools lock

	mkdir -p "$cache_dir/toolchains"
	scripts_dir=$cache_dir/toolchains/kernel-scripts
	exec {lock}>"$link.lock"
	flock "$lock"
	if ! checkers_cached; then
		say "first use of the checkers: 350 MB to download once, 1 GB unpacked in $cache_dir"
		debian_root=$cache_dir/toolchains/checkers.apt
		debian_read_index checkers "$debian_root" 'trixie trixie-backports forky'
		debian_apt_opts+=(-o APT::Default-Release=trixie)
		tools=$(toolchain_plan $CHECKERS) || die "no $CHECKERS on this machine's mirror"
		sparse=$(apt-cache "${debian_apt_opts[@]}" show sparse |
			sed -n 's/^Version: //p' | sort -V | tail -n1)
		toolchain_ensure $tools "sparse=$sparse"
		# What coccinelle looks for is the name that only a development package has.
		ln -sf x86_64-linux-gnu/libpython3.13.so.1.0 "$toolchain_dir/usr/lib/libpython3.13.so"
		checkers_scripts
		rm -rf "$debian_root"
		ln -sfn "${toolchain_dir##*/}" "$link"
	fi
	exec {lock}>&-
	toolchain_dir=$(readlink -f "$link")
}

# The kernel's semantic patches, scripts and kernel-doc, of its newest source package.
checkers_scripts() {
	local package unpack=$scripts_dir.unpack

	[ ! -e "$scripts_dir/tools/docs/kernel-doc" ] || return 0
	package=$(apt-cache "${debian_apt_opts[@]}" pkgnames linux-source- |
		grep -E '^linux-source-[0-9]+\.[0-9]+$' | sort -V | tail -n1)
	rm -rf "$unpack" && mkdir -p "$unpack"
	debian_unpack "$unpack" "$package"
	step "unpacking the kernel's scripts"
	tar -C "$unpack" -xf "$unpack/usr/src/$package.tar.xz" --wildcards \
		'*/scripts/coccinelle' '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/checker-valid.sh' \
		'*/tools/docs/kernel-doc' '*/tools/lib/python' ||
		die "cannot unpack the scripts of $package"
	rm -rf "$scripts_dir" && mv "$unpack/$package/tools" "$unpack/$package/scripts/" &&
		mv "$unpack/$package/scripts" "$scripts_dir" && rm -rf "$unpack"
	apt-cache "${debian_apt_opts[@]}" show "$package" |
		sed -n 's/^Version: //p' | head -n1 >"$scripts_dir/version"
}
