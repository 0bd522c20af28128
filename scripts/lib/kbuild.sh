# SPDX-License-Identifier: GPL-2.0-only
# Compiling copies of the modules' sources against headers of the cache, aside from
# build/modules; for scripts/matrix, scripts/lint and tests/kbuild. Needs $top.

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

# kbuild_make KDIR FOLDER TARGET [ARGUMENT]...: make TARGET of the module folder FOLDER.
# Through the tree $kbuild_tree if that is set; then $kbuild_sees are folders to see in it.
kbuild_make() {
	local kdir folder=$2 target=$3 make=(make)

	kdir=$(readlink -f "$1") || return
	shift 3
	[ -z "${kbuild_tree:-}" ] ||
		make=("$top/vmtest/toolchain" "$kbuild_tree" $kbuild_sees -- make)
	"${make[@]}" -C "$kdir" -j"$(nproc)" --no-print-directory M="$folder" \
		CONFIG_DEBUG_INFO_BTF_MODULES= "$@" "$target"
}
