# SPDX-License-Identifier: GPL-2.0-only
# Headers of kernels that are only compiled for, never booted: Debian packages that
# are unpacked below the cache. headers.list has the releases, with the SHA-256 of
# each package: the mirrors keep most of these files long after no index has them any
# more, so apt can't vouch for them (headers.list says which sums come from where).

headers_list() { grep -v '^#' "$vmtest_dir/headers.list"; }

# headers_ensure SERIES: leaves the folder in $kernel_dir: build, release, version.
# False if the mirror does not have the packages.
headers_ensure() {
	local series release version common flavour kbuild abi lock

	read -r series release version common flavour kbuild < <(headers_list | grep "^${1//./\\.} ")
	[ -n "$release" ] || die "no headers of Linux '$1'; there are: $(headers_list | cut -d' ' -f1 | xargs)"
	kernel_dir=$cache_dir/headers/$release
	[ ! -e "$kernel_dir/release" ] || return 0
	mkdir -p "$cache_dir/headers"
	exec {lock}>"$kernel_dir.lock"
	flock "$lock"
	if [ ! -e "$kernel_dir/release" ]; then
		abi=${release%-amd64}
		rm -rf "$kernel_dir" && mkdir -p "$kernel_dir/.debs"
		step "headers of Linux $release: 15 MB to download once, 90 MB unpacked in $kernel_dir"
		(
			cd "$kernel_dir" &&
			headers_deb "linux-headers-${abi}-common_${version}_all" "$common" &&
			headers_deb "linux-headers-${release}_${version}_amd64" "$flavour" &&
			headers_deb "linux-kbuild-${abi}_${version}_amd64" "$kbuild" &&
			debian_headers "$release" && rm -rf .debs usr/share &&
			echo "$version" >version && echo "$release" >release
		) || { rm -rf "$kernel_dir"; return 1; }
	fi
	exec {lock}>&-
}

# headers_deb NAME SHA256: download a file of the kernel's folder in the archive, with
# apt's own downloader, and unpack it here; false if it is not there or not the same.
headers_deb() {
	local mirror deb=.debs/$1.deb

	for mirror in $(debian_mirrors | grep '/debian/$'); do
		/usr/lib/apt/apt-helper "${debian_apt_opts[@]}" -q download-file \
			"${mirror}pool/main/l/linux/$1.deb" "$deb" "SHA256:$2" >&2 && break
	done
	[ "$(sha256sum <"$deb" 2>/dev/null)" = "$2  -" ] || {
		say "this machine's mirror has no $1.deb with the sum in headers.list"
		return 1
	}
	dpkg-deb -x "$deb" .
}
