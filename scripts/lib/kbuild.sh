# SPDX-License-Identifier: GPL-2.0-only
# Compiling copies of the modules' sources against headers of the cache, aside from
# build/modules; for scripts/matrix and tests/kbuild. Needs $top.

# kbuild_sources FOLDER: a fresh copy of what the modules are made of.
kbuild_sources() {
	rm -rf "$1"
	mkdir -p "$1/tests/device"
	cp -r "$top"/{META,include,kernel} "$1/"
	cp -r "$top/tests/device/kmod" "$1/tests/device/"
}

# kbuild_view KERNEL_DIR VIEW: the headers that an unpacked Debian kernel's folder has,
# as VIEW/build, with a configuration of its own that may be edited; the rest is links.
kbuild_view() {
	local from view=$2 name

	from=$(readlink -f "$1") || return
	name=$(basename "$(readlink -f "$from/build")")
	rm -rf "$view"
	mkdir -p "$view/usr/src"
	ln -s "$from/usr/lib" "$view/usr/lib"
	ln -s "$from"/usr/src/* "$view/usr/src/"
	rm "$view/usr/src/$name"
	cp -a "$from/usr/src/$name" "$view/usr/src/$name"
	ln -s "usr/src/$name" "$view/build"
}

# kbuild_farm VIEW: let files of the headers that all flavours share be edited or
# removed too: replace the link to them by a tree of links.
kbuild_farm() {
	local common

	common=$(echo "$1"/usr/src/linux-headers-*-common)
	common=${common%/}
	cp -rs "$(readlink -f "$common")" "$common.farm" && rm "$common" && mv "$common.farm" "$common"
}

# kbuild_through [TREE FOLDER...]: what kbuild_make runs from now on: the programs of a
# tree, which sees the FOLDERs; without one this machine's.
kbuild_through() {
	kbuild_prefix=()
	[ $# -eq 0 ] || kbuild_prefix=("$top/vmtest/toolchain" "$@" --)
}
kbuild_through

# kbuild_make KDIR FOLDER TARGET [ARGUMENT]...: make TARGET of the module folder FOLDER.
kbuild_make() {
	local kdir folder=$2 target=$3

	kdir=$(readlink -f "$1") || return
	shift 3
	"${kbuild_prefix[@]}" make -C "$kdir" -j"$(nproc)" --no-print-directory M="$folder" \
		CONFIG_DEBUG_INFO_BTF_MODULES= "$@" "$target"
}

# kbuild_clang VIEW: let headers that were configured for gcc be compiled with by
# clang. What Kconfig would have answered for clang is put into the configuration:
# the packages have no Kconfig files to ask. Nothing but compiling is meant.
kbuild_clang() {
	local conf=$1/build/include/config/auto.conf header=$1/build/include/generated/autoconf.h

	kbuild_config() {
		local value=$2

		sed -i "/^CONFIG_$1=/d" "$conf"
		sed -i "/^#define CONFIG_$1 /d" "$header"
		[ "$value" != n ] || return 0
		echo "CONFIG_$1=$value" >>"$conf"
		[ "$value" != y ] || value=1
		echo "#define CONFIG_$1 $value" >>"$header"
	}
	kbuild_config CC_IS_GCC n
	kbuild_config GCC_VERSION 0
	kbuild_config CC_IS_CLANG y
	kbuild_config CLANG_VERSION 190107
	# Options that only gcc knows ...
	kbuild_config GCC_NO_STRINGOP_OVERFLOW n
	kbuild_config CC_NO_STRINGOP_OVERFLOW n
	kbuild_config GCC10_NO_ARRAY_BOUNDS n
	kbuild_config CC_NO_ARRAY_BOUNDS n
	kbuild_config CC_HAS_MIN_FUNCTION_ALIGNMENT n
	kbuild_config CC_HAS_SANE_FUNCTION_ALIGNMENT n
	kbuild_config CC_HAS_UBSAN_BOUNDS_STRICT n
	kbuild_config UBSAN_BOUNDS_STRICT n
	kbuild_config CC_IMPLICIT_FALLTHROUGH '"-Wimplicit-fallthrough"'
	# ... what clang has instead ...
	kbuild_config UBSAN_ARRAY_BOUNDS y
	kbuild_config FTRACE_MCOUNT_USE_CC n
	kbuild_config FTRACE_MCOUNT_USE_OBJTOOL y
	# ... and what the kernel takes from gcc alone: per-CPU data by segment.
	kbuild_config CC_HAS_NAMED_AS n
	kbuild_config CC_HAS_NAMED_AS_FIXED_SANITIZERS n
	kbuild_config USE_X86_SEG_SUPPORT n
}

# kbuild_findings LOG: what a build printed that is not its progress.
kbuild_findings() {
	grep -vE '^  [A-Z_]+ +(\[M\] +)?[^ ]+$|^make(\[[0-9]+\])?: (Entering|Leaving) directory' "$1"
}
