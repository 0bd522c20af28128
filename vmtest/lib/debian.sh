# SPDX-License-Identifier: GPL-2.0-only
# Debian packages, downloaded and unpacked, never installed.
#
# Packages come through apt, which checks each against the archive's signed
# index. The machine's own index is asked first. Where that has no such package
# (no index yet, or a suite that is not configured) an index of our own is kept
# below the cache, made from the mirror and key that the machine's apt uses:
# nothing on the machine is changed either way, and no root is needed.

debian_index=machine
debian_apt_opts=(-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3)

# Suites that have carried newer kernels for Debian 12, after the configured ones.
readonly DEBIAN_EXTRA_SUITES='bookworm bookworm-security bookworm-backports'

# debian_mirrors: the archives that this machine's apt uses, as URIs that end in /.
debian_mirrors() {
	apt-get update --print-uris 2>/dev/null |
		sed -n "s|^'\(.*/\)dists/.*/InRelease'.*|\1|p" | sort -u
}

# debian_own_index: switch every later apt call to an index of our own.
debian_own_index() { debian_read_index own "$cache_dir/apt" "$DEBIAN_EXTRA_SUITES"; }

# debian_read_index NAME DIR SUITES: the same, of these suites, kept in DIR.
debian_read_index() {
	local dir=$2 suites=$3 uri signed suite
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

	debian_index=$1
	mkdir -p "$dir/lists/partial" "$dir/parts"
	step "reading the mirror's package index into $dir"
	: >"$dir/sources.list.new"
	debian_mirrors | while read -r uri; do
		for suite in $suites; do
			case "$uri $suite" in
			*debian-security/*' '*-security) ;;
			*debian-security/*|*' '*-security) continue ;;
			*/debian/' '*) ;;
			*) continue ;;
			esac
			signed=; [ -e "$keyring" ] && signed="[signed-by=$keyring]"
			echo "deb $signed $uri $suite main" >>"$dir/sources.list.new"
		done
	done
	[ -s "$dir/sources.list.new" ] ||
		die "this machine's apt has no Debian mirror among its sources"
	mv "$dir/sources.list.new" "$dir/sources.list"
	debian_apt_opts+=(-o Dir::State::lists="$dir/lists"
		-o Dir::Etc::sourcelist="$dir/sources.list"
		-o Dir::Etc::sourceparts="$dir/parts"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	apt-get "${debian_apt_opts[@]}" -q update >&2 ||
		say "parts of the index could not be read; going on with what there is"
}

# debian_have PACKAGE[=VERSION]: can it be downloaded?
debian_have() {
	apt-cache "${debian_apt_opts[@]}" show "$1" >/dev/null 2>&1
}

# debian_plan PACKAGE...: NAME=VERSION of these and of all that they depend on, as if
# nothing were installed. Takes an index of our own, in $debian_root.
debian_plan() {
	local plan status=$debian_root/status

	: >"$status"
	plan=$(LC_ALL=C apt-get "${debian_apt_opts[@]}" -o Dir::State::status="$status" \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Architecture=amd64 -o APT::Install-Recommends=false -s -y \
		install "$@" 2>/dev/null) || return
	sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' <<<"$plan" | sort
}

# debian_releases SERIES: the release names of the plain amd64 kernels of a series
# ("6.12": 6.12.117+deb12-amd64; "7": 7.0.13+deb13-amd64), newest first.
debian_releases() {
	local re="^linux-image-${1//./\\.}(\.[0-9]+){0,2}([+-][a-z0-9.~]+)?-amd64(-unsigned)?\$" pkg

	apt-cache "${debian_apt_opts[@]}" pkgnames linux-image- | grep -E "$re" |
		sed 's/^linux-image-//; s/-unsigned$//' | grep '\..*\.' | sort -Vru |
	while read -r pkg; do
		if debian_have "linux-image-$pkg" || debian_have "linux-image-$pkg-unsigned"; then
			echo "$pkg"
		fi
	done
}

# debian_newest SERIES: the newest of them, or nothing.
debian_newest() { debian_releases "$1" | head -n1; }

# debian_unpack ROOT PACKAGE...: download into ROOT/.debs and unpack below ROOT;
# false where the machine's index promises what the mirror does not have any more
# (then our own index has been read, for another try).
debian_unpack() {
	local root=$1 deb quiet= what; shift

	what=$*
	[ $# -le 10 ] || quiet=-qq what="$# packages"
	mkdir -p "$root/.debs"
	step "downloading $what"
	if ! (cd "$root/.debs" && apt-get "${debian_apt_opts[@]}" $quiet download "$@" >&2); then
		[ "$debian_index" = machine ] || die "apt could not download: $*"
		say "the machine's package index may be out of date"
		rm -rf "$root/.debs"
		debian_own_index
		return 1
	fi
	[ -z "$quiet" ] || step "unpacking them"
	for deb in "$root"/.debs/*.deb; do
		[ -n "$quiet" ] || step "unpacking ${deb##*/}"
		dpkg-deb -x "$deb" "$root" || die "cannot unpack $deb"
	done
	rm -rf "$root/.debs"
}

# debian_stock SERIES: into the current folder, Debian's own binary kernel.
debian_stock() {
	local series=$1 release image abi root=$PWD

	release=$(debian_newest "$series")
	if [ -z "$release" ]; then
		debian_own_index
		release=$(debian_newest "$series")
	fi
	[ -n "$release" ] || die "no Debian kernel $series for amd64 on this machine's mirror"
	say "kernel $release: about 125 MB to download once, 200 MB unpacked in $cache_dir"

	image=linux-image-$release
	debian_have "$image" || image=$image-unsigned
	abi=${release%-amd64}
	debian_unpack "$root" "$image" "linux-headers-$release" \
		"linux-headers-$abi-common" "linux-kbuild-$abi" ||
		{ debian_stock "$series"; return; }

	debian_headers "$release"
	rm -f "$root/lib/modules/$release/build" "$root/lib/modules/$release/source"
	mkdir -p modules/lib && mv lib/modules modules/lib/modules && rmdir lib 2>/dev/null
	depmod -b "$root/modules" "$release" || die "depmod failed for $release"
	mv "boot/vmlinuz-$release" vmlinuz
	mv "boot/config-$release" config
	apt-cache "${debian_apt_opts[@]}" show "$image" | sed -n 's/^Version: //p' | head -n1 >version
	rm -rf boot usr/share
	echo "$release" >release.new
}

# debian_headers RELEASE: make the unpacked headers usable where they are, as build.
debian_headers() {
	local headers=usr/src/linux-headers-$1

	# Their Makefile names /usr/src: make it find itself and its neighbour.
	sed -i -e 's|^KBUILD_OUTPUT *=.*|KBUILD_OUTPUT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))|' \
		-e 's|^include /usr/src/|include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../|' \
		"$headers/Makefile"
	# With the headers' vmlinux (type information only) every module build would
	# ask for pahole; without it the build skips that part and goes on.
	rm -f "$headers/vmlinux"
	ln -s "$headers" build
}

# debian_busybox ARCHITECTURE: into the current folder, the static busybox for a
# guest of another architecture than this machine's.
debian_busybox() (
	debian_apt_opts+=(-o APT::Architecture="$1" -o APT::Architectures="$1")
	debian_read_index guest "$PWD/.apt" "$DEBIAN_EXTRA_SUITES"
	debian_unpack "$PWD/.busybox" "busybox-static:$1"
	mv .busybox/bin/busybox busybox || die "there is no busybox for $1"
	rm -rf .busybox .apt
)
