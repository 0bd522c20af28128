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

# kernel_build_source FRAGMENT: configure ./src as allnoconfig plus FRAGMENT, build
# it, and lay out the current folder as kernel_make must. Says how far it is.
kernel_build_source() {
	local fragment=$1 root=$PWD line missing= objects=0 began=$SECONDS

	make -s -C src KCONFIG_ALLCONFIG="$fragment" allnoconfig >config.log 2>&1 ||
		die "configuring failed; see $root/config.log"
	while read -r line; do
		case $line in
		CONFIG_*) grep -qxF "$line" src/.config || missing+=" ${line%%=*}" ;;
		esac
	done <"$fragment"
	[ -z "$missing" ] || die "Kconfig dropped from ${fragment##*/}:$missing"

	say "building the kernel with $(nproc) jobs; log in $root/build.log"
	make -C src -j"$(nproc)" bzImage modules </dev/null 2>build.err |
	tee build.log | while read -r line; do
		objects=$((objects + 1))
		[ $((objects % 200)) -ne 0 ] ||
			say "$objects steps of about 1900, $(((SECONDS - began) / 60)) min: ${line:0:50}"
	done
	[ "${PIPESTATUS[0]}" -eq 0 ] || { tail -n 20 build.err >&2; die "the kernel build failed"; }

	rm -rf modules && make -s -C src INSTALL_MOD_PATH="$root/modules" modules_install \
		>>build.log 2>&1 || die "modules_install failed; see $root/build.log"
	find modules -type l \( -name build -o -name source \) -delete
	find src -name '*.o' -not -path 'src/scripts/*' -not -path 'src/tools/*' -delete
	cp src/arch/x86/boot/bzImage vmlinuz
	cp src/.config config
	ln -sfn src build
	make -s -C src kernelrelease >release.new
}
