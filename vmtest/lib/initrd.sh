# SPDX-License-Identifier: GPL-2.0-only
# The guest's root: one initramfs made of two archives. The base (busybox, init,
# vmctl; one for each width of programs) is kept in build/vmtest and made again when
# its sources change; the rest (modules, files of -f, the command) is made for each run.

# What every guest loads, then what is there for modprobe, if the kernel has it.
readonly LOAD_MODULES='vfio vfio-pci vfio_iommu_type1'
readonly SPARE_MODULES='iommufd mdev aer_inject'

# newer FILE SOURCE...: is FILE there and newer than each source?
newer() {
	local file=$1 source; shift

	[ -e "$file" ] || return 1
	for source; do
		[ "$file" -nt "$source" ] || return 1
	done
}

# Compile the host's and the guest's programs, and pack the base.
build_tools() {
	local cc=${CC:-gcc} busybox dir applet base=$tools/base$kernel_bits.cpio
	local flags='-std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wno-unused-result'
	local guest_flags="$flags -static -m$kernel_bits -D_FILE_OFFSET_BITS=64"

	busybox=$(command -v busybox) || die "busybox is missing; run scripts/deps"
	[ "$kernel_bits" = 64 ] || busybox=$kernel_dir/busybox
	mkdir -p "$tools"
	exec {tools_lock}>"$tools.lock"
	flock "$tools_lock"
	if ! [ -e "$tools/tsc" ] || ! newer "$tools/runner" "$vmtest_dir"/host/* "$vmtest_dir"/*.h; then
		"$cc" $flags -o "$tools/tsc" "$vmtest_dir/host/tsc.c" &&
		"$cc" $flags -o "$tools/runner" "$vmtest_dir"/host/{runner,memory}.c ||
			die "the host's programs do not compile"
	fi
	if ! newer "$base" "$vmtest_dir"/guest/* "$vmtest_dir"/*.h \
			"$busybox" "$vmtest_dir/lib/initrd.sh"; then
		dir=$tools/base.$$
		rm -rf "$dir"
		mkdir -p "$dir"/{bin,dev,etc,lib,lib64,out,proc,root,run,sys,tmp,usr/bin,usr/sbin,var}
		"$cc" $guest_flags -o "$dir/init" "$vmtest_dir"/guest/{init,system,modules,kernel_log,races}.c &&
		"$cc" $guest_flags -o "$dir/usr/bin/vmctl" "$vmtest_dir/guest/vmctl.c" ||
			die "the guest's programs do not compile"
		cp "$busybox" "$dir/bin/busybox"
		# Not asked of the guest's own: a 64-bit host need not run programs of 32 bits.
		(cd "$dir/bin" && busybox --list | grep -vx busybox |
			xargs -I'{}' ln -s busybox '{}')
		ln -s bin "$dir/sbin"
		ln -s /run "$dir/var/run"
		echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
		echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >>"$dir/etc/passwd"
		printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/etc/group"
		chmod 1777 "$dir/tmp"
		pack "$dir" >"$base.new" && mv "$base.new" "$base" ||
			die "cannot pack the base of the initramfs"
		rm -rf "$dir"
	fi
	exec {tools_lock}>&-
}

# pack DIR: DIR as an archive of root's files on standard output.
pack() {
	(cd "$1" && find . -mindepth 1 -print0 | cpio -0 -o -H newc -R 0:0 --quiet)
}

# guest_modules ROOT: the kernel's modules and the project's into ROOT, and the
# list of what to load into ROOT/etc/vmtest/modules.
guest_modules() {
	local root=$1 tree=lib/modules/$kernel_release mod path name ko
	local src=$kernel_dir/modules own=("${own_modules[@]}")

	mkdir -p "$root/$tree/updates"
	cp "$src/$tree"/modules.{order,builtin,builtin.modinfo} "$root/$tree/"
	# One module may be built in here and another not exist: both are fine.
	for mod in $LOAD_MODULES $SPARE_MODULES $system_modules $machine_modules "${extra_modules[@]}"; do
		modprobe -C /dev/null -q -d "$src" -S "$kernel_release" -D "$mod" 2>/dev/null
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$work/ko.list"
	while read -r path; do
		path=${path#"$src"/}
		path=${path#/}
		mkdir -p "$root/${path%/*}"
		case $path in
		*.xz) xz -dc "$src/$path" >"$root/${path%.xz}" ;;
		*.zst) zstd -qdc "$src/$path" >"$root/${path%.zst}" ;;
		*.gz) gzip -dc "$src/$path" >"$root/${path%.gz}" ;;
		*) cp "$src/$path" "$root/$path" ;;
		esac || die "cannot unpack module $path"
	done <"$work/ko.list"
	for ko in "${own[@]}"; do
		cp "$ko" "$root/$tree/updates/"
	done
	depmod -b "$root" "$kernel_release" || die "depmod failed on the guest's modules"

	own=("${own[@]##*/}")
	own=" ${own[*]%.ko} "
	for mod in $LOAD_MODULES $own; do
		[[ " ${unloaded_modules[*]} " != *" $mod "* ]] || continue
		modprobe -C /dev/null -q -d "$root" -S "$kernel_release" -D "$mod" |
			sed -n "s|^insmod $root||p" | sed 's/ *$//'
	done | awk '!seen[$0]++' | while read -r path; do
		name=${path##*/}
		[[ $own == *" ${name%.ko} "* ]] && path+=' !'
		echo "$path"
	done >"$root/etc/vmtest/modules"
}

# guest_file ROOT FILE[:GUESTPATH]: a file or folder of the host into ROOT, with
# the libraries of every dynamically linked program in it.
guest_file() {
	local root=$1 file=$2 to= target program

	if [ ! -e "$file" ] && [[ $file == *:* ]]; then
		to=${file##*:}
		file=${file%:*}
	fi
	[ -e "$file" ] || die "-f: there is no $file"
	if [ -z "$to" ]; then
		to=/
		[ -f "$file" ] && [ -x "$file" ] && to=/usr/bin/
	fi
	[[ $to == */ ]] && to+=$(basename "$file")
	target=$root/${to#/}
	mkdir -p "$(dirname "$target")"
	cp -rL "$file" "$target" || die "-f: cannot read $file"
	while IFS= read -r program; do
		guest_libraries "$root" "$program"
	done < <(if [ -d "$target" ]; then find "$target" -type f -perm /111; else echo "$target"; fi)
}

# guest_libraries32 ROOT PROGRAM: what ldd would say of it, which asks the program itself:
# not every host runs those for 32 bits. Its loader, and the libraries, from where the
# compiler takes them.
guest_libraries32() {
	local root=$1 program=$2 name file to

	readelf -ld "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p; s/.*(NEEDED).*\[\(.*\)\]/\1/p' |
	while read -r name; do
		file=$("${CC:-cc}" -m32 -print-file-name="${name##*/}")
		[[ $file == /* ]] || die "-f: ${program#"$root"} lacks $name; run scripts/deps"
		to=$root/lib32/$name
		[[ $name != /* ]] || to=$root$name
		[ ! -e "$to" ] || continue
		mkdir -p "${to%/*}"
		cp -L "$file" "$to" || die "-f: cannot read $file"
		[[ $name == /* ]] || guest_libraries32 "$root" "$to"
	done || exit "$BED_FAILED"
}

guest_libraries() {
	local root=$1 program=$2 lib

	[ "$(head -c4 "$program" | tr -d '\0')" = $'\177ELF' ] || return 0
	if [ "$(head -c5 "$program" | tail -c1)" = $'\1' ] && readelf -l "$program" | grep -q interpreter; then
		guest_libraries32 "$root" "$program"
		return
	fi
	if ldd "$program" 2>/dev/null | grep -q 'not found'; then
		die "-f: ${program#"$root"} lacks libraries: $(ldd "$program" | grep 'not found' | xargs)"
	fi
	# Static programs make ldd fail, and bring nothing.
	ldd "$program" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		[ -e "$root$lib" ] && continue
		mkdir -p "$root${lib%/*}"
		cp -L "$lib" "$root$lib" || die "-f: cannot read $lib"
		# One from an unusual place is also put where the loader looks anyway.
		case $lib in
		/lib*|/usr/lib*) ;;
		*) mkdir -p "$root/usr/lib" && cp -L "$lib" "$root/usr/lib/" ;;
		esac
	done || exit "$BED_FAILED"
}
