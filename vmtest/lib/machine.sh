# SPDX-License-Identifier: GPL-2.0-only
# Machines. One short file each in vmtest/machines/ with
#
#   machine_about    one line for people
#   machine_cpu      QEMU's -cpu
#   machine_cpus     number of CPUs (2)
#   machine_qemu     own (this machine's QEMU, the default) or newer (qemu.sh)
#   machine_modules  kernel modules to take along for modprobe, not loaded
#   machine_devices  function that calls
#       memory NAME SIZE    a zeroed backing file mem/NAME, as memdev=NAME
#       window NAME MEMORY OFFSET SIZE
#                           a part of that memory, as memdev=NAME (newer QEMU)
#       network NAME        a port of the one hub there is, as netdev=NAME
#       disk NAME SIZE      a zeroed disk mem/NAME, as drive=NAME
#       shared_ram          the guest's RAM as a memfd, which virtio-gpu's blobs want
#       memfd NAME SIZE     memory without a file in mem/, as memdev=NAME
#       udmabuf             QEMU gets /dev/udmabuf: this machine's, or what stands for it;
#                           $VM_UDMABUF tells which
#       device ...          one -device
#       append ...          words for the kernel command line
#       guest NAME VALUE    a variable in the command's environment
#
# machine_include NAME starts from another machine.

qemu_args=() kernel_append=() guest_env=()

machine_names() { (cd "$vmtest_dir/machines" && ls -1); }

machine_include() {
	[ -f "$vmtest_dir/machines/$1" ] ||
		die "no machine '$1'; there are: $(machine_names | xargs)"
	. "$vmtest_dir/machines/$1"
}

machine_load() {
	machine_about= machine_cpu=EPYC machine_cpus=2 machine_qemu=own machine_modules=
	machine_include "$1"
}

memory() {
	rm -f "$work/mem/$1" && truncate -s "$2" "$work/mem/$1" || die "no room for $1 ($2)"
	qemu_args+=(-object "memory-backend-file,id=$1,share=on,mem-path=mem/$1,size=$2")
}

window() {
	qemu_args+=(-object "memory-backend-file,id=$1,share=on,mem-path=mem/$2,offset=$3,size=$4")
}

network() { qemu_args+=(-netdev "hubport,id=$1,hubid=0"); }

disk() {
	rm -f "$work/mem/$1" && truncate -s "$2" "$work/mem/$1" || die "no room for $1 ($2)"
	qemu_args+=(-drive "id=$1,if=none,format=raw,file=mem/$1")
}

shared_ram() {
	qemu_args+=(-object "memory-backend-memfd,id=ram,share=on,size=$kernel_memory"
		-machine memory-backend=ram)
}

memfd() { qemu_args+=(-object "memory-backend-memfd,id=$1,share=on,size=$2"); }

udmabuf() {
	local shim=$tools/udmabuf.so source=$vmtest_dir/preload/udmabuf.c

	if [ -w /dev/udmabuf ]; then
		guest VM_UDMABUF host
		return
	elif ! newer "$shim" "$source"; then
		"${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -fPIC -shared -o "$shim.$$" "$source" &&
			mv "$shim.$$" "$shim" || die "the shim for udmabuf does not compile"
	fi
	guest VM_UDMABUF preload
	[[ ${qemu_command[*]} != *"$shim"* ]] || return 0
	say "this host has no /dev/udmabuf: QEMU runs with vmtest/preload/udmabuf.c in its place"
	qemu_command=(env "LD_PRELOAD=$shim" "${qemu_command[@]}")
}

device() { qemu_args+=(-device "$1"); }
append() { kernel_append+=("$@"); }
guest() { guest_env+=("$1=$2"); }
