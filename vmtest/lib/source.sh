# SPDX-License-Identifier: GPL-2.0-only
# Kernels built here from Debian's source packages, out of fragments of a
# configuration (kernels/*.config) on top of allnoconfig.
#
# The source is unpacked once below sources/ in the cache, and all kernels of that
# version are built outside of it: each takes its objects' room only.

# source_fragments NAME...: what these fragments come to, later ones being stronger:
# the last word on each option, sorted, so that comments and order do not count.
source_fragments() {
	(cd "$vmtest_dir/kernels" && cat "${@/%/.config}") | awk '
		/^CONFIG_[A-Z0-9_]*=/ { name = $1; sub(/=.*/, "", name); line[name] = $0 }
		/^# CONFIG_[A-Z0-9_]* is not set$/ { line[$2] = $0 }
		END { for (name in line) print line[name] }' | LC_ALL=C sort
}

# source_key STOCK NAME...: what distinguishes a build of these fragments from the
# source of a stock kernel. That comes first, so that the two are of one version.
source_key() {
	local stock; stock=$("$vmtest_dir/kernel" "$1") || return
	shift
	echo "$(cat "$stock/version")-$(source_fragments "$@" | sha256sum | cut -c1-8)"
}

# source_ensure SERIES VERSION SUITES: leaves the source of that version of Debian's
# kernel package in $source_dir; of the newest one if the archive has dropped that
# version. SUITES, if not empty, are where an index of our own is read from.
source_ensure() {
	local pkg=linux-source-$1 version=$2 suites=$3 lock

	source_dir=$cache_dir/sources/$pkg-$version
	mkdir -p "$source_dir"
	exec {lock}>"$source_dir.lock"
	flock "$lock"
	if [ ! -e "$source_dir/version" ]; then
		say "the source of $version: 160 MB to download, 1.6 GB unpacked in $source_dir"
		rm -rf "$source_dir" && mkdir -p "$source_dir"
		[ -z "$suites" ] || debian_read_index next "$source_dir/.apt" "$suites"
		(cd "$source_dir" && source_unpack "$pkg" "$version") || exit "$BED_FAILED"
		rm -rf "$source_dir/.apt"
	fi
	exec {lock}>&-
}

# source_unpack PACKAGE VERSION: into ./linux, and last of all ./version.
source_unpack() {
	local pkg=$1 version=$2

	debian_have "$pkg" || [ "$debian_index" != machine ] || debian_own_index
	debian_have "$pkg=$version" || {
		say "$pkg $version is not in the archive any more; taking its newest"
		version=$(apt-cache "${debian_apt_opts[@]}" show "$pkg" |
			sed -n 's/^Version: //p' | sort -Vr | head -n1)
	}
	rm -rf linux unpack && mkdir unpack
	debian_unpack "$PWD/unpack" "$pkg=$version" || { source_unpack "$1" "$2"; return; }
	step "unpacking the kernel source"
	tar -C unpack -xf "unpack/usr/src/$pkg.tar.xz" || die "cannot unpack the kernel source"
	mv "unpack/$pkg" linux && rm -rf unpack
	echo "$version" >version
}

# source_configure NAME...: in ./obj, allnoconfig of $source_dir and these fragments,
# every option of which must hold in the end.
source_configure() {
	local lost

	mkdir -p obj
	source_fragments "$@" >fragment
	make -s -C "$source_dir/linux" O="$PWD/obj" KCONFIG_ALLCONFIG="$PWD/fragment" \
		allnoconfig >config.log 2>&1 || die "configuring failed; see $PWD/config.log"
	lost=$(grep '^CONFIG' fragment | grep -vxFf obj/.config
		sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1=/p' fragment | grep -Ff - obj/.config)
	[ -z "$lost" ] || die "the configuration ($*) does not hold:" $lost
}

# source_build STOCK SUITES NAME...: the kernel of these fragments from the source of
# a stock kernel, laid out in the current folder as kernel_make must.
source_build() {
	local stock series root=$PWD objects=0 began=$SECONDS
	local jobs=${BARTER_JOBS:-$(nproc)}

	stock=$("$vmtest_dir/kernel" "$1") || exit "$BED_FAILED"
	series=$(sed 's/^\([0-9]*\.[0-9]*\).*/\1/' "$stock/release")
	source_ensure "$series" "$(cat "$stock/version")" "$2"
	cp "$source_dir/version" version
	shift 2
	source_configure "$@"

	say "building the kernel once with $jobs jobs, 5 to 30 minutes; log in $root/build.log"
	make -C obj -j$jobs bzImage modules </dev/null 2>build.err |
	tee build.log | while read -r line; do
		objects=$((objects + 1))
		[ $((objects % 200)) -ne 0 ] ||
			say "$objects steps of about 2200, $(((SECONDS - began) / 60)) min: ${line:0:50}"
	done
	[ "${PIPESTATUS[0]}" -eq 0 ] || { tail -n 20 build.err >&2; die "the kernel build failed"; }

	rm -rf modules && make -s -C obj INSTALL_MOD_PATH="$root/modules" modules_install \
		>>build.log 2>&1 || die "modules_install failed; see $root/build.log"
	find modules -type l \( -name build -o -name source \) -delete
	find obj \( -name '*.o' -o -name '*.a' -o -name '*.ko' \) \
		-not -path 'obj/scripts/*' -not -path 'obj/tools/*' -delete
	rm -f obj/vmlinux obj/vmlinux.unstripped obj/.tmp_vmlinux* \
		obj/arch/x86/boot/compressed/vmlinux*
	cp obj/arch/x86/boot/bzImage vmlinuz
	cp obj/.config config
	ln -sfn obj build
	make -s -C obj kernelrelease >release.new
}
