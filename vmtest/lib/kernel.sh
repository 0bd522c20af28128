# SPDX-License-Identifier: GPL-2.0-only
# The cache of kernels. A kernel is one short file in vmtest/kernels/ with
#
#   kernel_about   one line for people
#   kernel_memory  memory the guest needs (default 1G)
#   kernel_bits    width of the guest's programs (default 64); where it is 32 the
#                  kernel's folder holds a busybox of that width
#   kernel_words   words for the kernel command line
#   kernel_key     optional function: prints what distinguishes one build from
#                  another; a new key means a new kernel
#   kernel_make    function: makes the kernel in the current folder, as
#                    vmlinuz, config, version (of the source package),
#                    build (what KDIR points at), modules/lib/modules/RELEASE,
#                  where the host's compiler will not do toolchain, a link to a
#                  tree of toolchain.sh, and last of all release.new, with RELEASE
#
# kernel_ensure leaves the finished one in $kernel_dir. A kernel counts as
# finished once its file "release" exists; one maker at a time works on it, and
# an interrupted one is taken up again.

cache_dir=${BARTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/barter}

kernel_names() { (cd "$vmtest_dir/kernels" && ls -1 | grep -v '\.config$'); }

kernel_load() {
	local file="$vmtest_dir/kernels/$1"

	[ -f "$file" ] || die "no kernel '$1'; there are: $(kernel_names | xargs)"
	kernel_about= kernel_memory=1G kernel_bits=64 kernel_words= kernel_fragments=
	kernel_key() { :; }
	. "$file"
}

# kernel_cached NAME: is it finished? Makes nothing; one whose key depends on another
# kernel that is not there is not either.
kernel_cached() {
	local key

	kernel_load "$1"
	# In a key, only kernels that are there may be asked for.
	key=$(BARTER_NO_MAKE=1 kernel_key 2>/dev/null) || return
	[ -e "$cache_dir/kernels/$1${key:+-$key}/release" ]
}

# kernel_clean: remove builds that are none of this checkout's kernels any more.
kernel_clean() {
	local name key dir

	for name in $(kernel_names); do
		kernel_load "$name"
		key=$(BARTER_NO_MAKE=1 kernel_key 2>/dev/null) && [ -n "$key" ] || continue
		for dir in "$cache_dir/kernels/$name"-*/; do
			dir=${dir%/}
			[ -d "$dir" ] && [ "${dir##*/}" != "$name-$key" ] || continue
			say "removing $dir"
			flock -n "$dir.lock" rm -rf "$dir" || { say "it is being made"; continue; }
			rm -f "$dir.lock"
		done
	done
}

kernel_ensure() {
	local name=$1 key

	kernel_load "$name"
	key=$(kernel_key) || exit "$BED_FAILED"
	kernel_dir=$cache_dir/kernels/$name${key:+-$key}
	if [ ! -e "$kernel_dir/release" ]; then
		[ -z "${BARTER_NO_MAKE:-}" ] || exit "$BED_FAILED"
		mkdir -p "$kernel_dir"
		exec {kernel_lock}>"$kernel_dir.lock"
		flock -n "$kernel_lock" || {
			step "waiting for another run that is making kernel $name"
			flock "$kernel_lock"
		}
		if [ ! -e "$kernel_dir/release" ]; then
			say "first use of kernel $name: $kernel_about"
			(cd "$kernel_dir" && kernel_make) || exit "$BED_FAILED"
			[ -s "$kernel_dir/release.new" ] || die "kernel $name was not finished"
			mv "$kernel_dir/release.new" "$kernel_dir/release"
			say "kernel $name is ready in $kernel_dir"
		fi
		exec {kernel_lock}>&-
	fi
	[ -z "$key" ] || ln -sfn "${kernel_dir##*/}" "$cache_dir/kernels/$name"
	kernel_release=$(cat "$kernel_dir/release")
	kernel_build=$kernel_dir/build
}

# kernel_unpacked: $kernel_dir/vmlinux, the kernel without its compression, if QEMU can
# start it (PVH) and it is one of Debian's (zstd): for the guest to unpack itself takes
# a third of the time of a boot. Leaves in $kernel_image what is to be started.
kernel_unpacked() {
	local vmlinuz=$kernel_dir/vmlinuz new=$kernel_dir/vmlinux.$$ sectors start size

	kernel_image=$kernel_dir/vmlinux
	[ ! "$kernel_image" -nt "$vmlinuz" ] || return 0
	kernel_image=$vmlinuz
	grep -qsx CONFIG_PVH=y "$kernel_dir/config" &&
		grep -qx CONFIG_KERNEL_ZSTD=y "$kernel_dir/config" && [ -w "$kernel_dir" ] || return 0
	# setup_sects, payload_offset, payload_length of the boot protocol; behind the
	# payload is the unpacked length, which zstd does not know.
	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$vmlinuz")
	read -r start size < <(od -An -tu4 -j $((0x248)) -N 8 "$vmlinuz")
	tail -c +$(((sectors + 1) * 512 + start + 1)) "$vmlinuz" | head -c $((size - 4)) |
		zstd -qdc >"$new" && mv "$new" "$kernel_dir/vmlinux" && kernel_image=$kernel_dir/vmlinux
	rm -f "$new"
}
