# SPDX-License-Identifier: GPL-2.0-only
# A kernel of another Debian release than this machine's, with the compiler and
# libraries that building modules for it takes: a tree of packages that are unpacked
# below the cache and never installed. vmtest/toolchain runs a command in it.
#
# apt works out what belongs to it, with an index of its own and as if nothing were
# installed. The tree's name is a hash of all packages and versions in it, so kernels
# that agree on these share it; the file "packages", written last, lists them.

# What kernel modules take to build beside what the headers depend on.
readonly TOOLCHAIN_TOOLS='binutils make gawk bash dash coreutils sed grep findutils diffutils perl-base'

# toolchain_packages RELEASE: NAME=VERSION of all that belongs into the toolchain of
# a kernel; false if something of it or of the kernel's headers can't be had.
toolchain_packages() {
	local plan

	plan=$(toolchain_plan "linux-headers-$1") || return
	grep -v '^linux-' <<<"$plan"
}

# toolchain_plan PACKAGE...: NAME=VERSION of these, of the tools, and of all that they
# depend on.
toolchain_plan() { debian_plan "$@" $TOOLCHAIN_TOOLS; }

# kernel_packages RELEASE: the packages that make up a kernel's image: one in some
# releases; in others that one is empty and names the others.
kernel_packages() {
	local deps

	deps=$(apt-cache "${debian_apt_opts[@]}" depends "linux-image-$1" |
		sed -n "s/^ *\(Pre\)\?Depends: \(linux-[a-z]*-$1\)\$/\2/p") || return
	echo "linux-image-$1" $deps
}

# toolchain_ensure NAME=VERSION...: leaves the tree in $toolchain_dir.
toolchain_ensure() {
	local hash lock program

	hash=$(printf '%s\n' "$@" | sha256sum | cut -c1-12)
	toolchain_dir=$cache_dir/toolchains/$hash
	mkdir -p "$cache_dir/toolchains"
	exec {lock}>"$toolchain_dir.lock"
	flock "$lock"
	if [ ! -e "$toolchain_dir/packages" ]; then
		say "its compiler and tools go into $toolchain_dir, for all kernels that use the same"
		rm -rf "$toolchain_dir" && mkdir -p "$toolchain_dir/root"
		debian_unpack "$toolchain_dir" "$@"
		(cd "$toolchain_dir/usr/share" && rm -rf doc man info locale)
		# What the packages' scripts would have done.
		for program in awk:gawk sh:dash which:which.debianutils; do
			[ -e "$toolchain_dir/usr/bin/${program%:*}" ] ||
				ln -s "${program#*:}" "$toolchain_dir/usr/bin/${program%:*}"
		done
		"$vmtest_dir/toolchain" "$toolchain_dir" -- sh -c 'cd /tmp && make --version >m &&
			gcc=$(ls /usr/bin/$(uname -m)-linux-gnu-gcc-[0-9]*) &&
			echo "int x;" | $gcc -c -x c -o x.o - && ld -r -o y.o x.o && awk 1 m >n' ||
			die "the compiler in $toolchain_dir does not run"
		printf '%s\n' "$@" >"$toolchain_dir/packages"
	fi
	exec {lock}>&-
}

# next_stock SERIES SUITES: into the current folder, the newest binary kernel of the
# series in these suites that has both an image and headers.
next_stock() {
	local series=$1 suites=$2 root=$PWD debian_root=$PWD/.apt release tools= packages tree abi

	debian_read_index next "$debian_root" "$suites"
	for release in $(debian_releases "$series"); do
		packages=$(kernel_packages "$release") && tools=$(toolchain_packages "$release") &&
			debian_have_all $packages && break
		tools=
	done
	[ -n "$tools" ] || die "no Debian kernel $series for amd64 in $suites on this machine's mirror"
	say "kernel $release: 200 to 270 MB to download once with its compiler, 450 MB unpacked in $cache_dir"

	toolchain_ensure $tools
	abi=${release%-amd64}
	debian_unpack "$root" $packages "linux-headers-$release" \
		"linux-headers-$abi-common" "linux-kbuild-$abi"
	apt-cache "${debian_apt_opts[@]}" show "linux-image-$release" |
		sed -n 's/^Version: //p' | head -n1 >version
	ln -s "../../toolchains/${toolchain_dir##*/}" toolchain

	tree=usr/lib/modules/$release
	[ -d "$tree" ] || tree=lib/modules/$release
	mv "$tree/vmlinuz" vmlinuz 2>/dev/null || mv "boot/vmlinuz-$release" vmlinuz ||
		die "kernel $release came without an image"
	mv "$tree/config" config 2>/dev/null || mv "boot/config-$release" config ||
		die "kernel $release came without its configuration"
	mkdir -p modules/lib/modules
	rm -f "$tree/build" "$tree/source"
	mv "$tree" modules/lib/modules/
	depmod -b "$root/modules" "$release" || die "depmod failed for $release"
	debian_headers "$release"
	rm -rf boot usr/share .apt
	echo "$release" >release.new
}

# debian_have_all PACKAGE...: can all be downloaded?
debian_have_all() {
	local package

	for package; do
		debian_have "$package" || return
	done
}
