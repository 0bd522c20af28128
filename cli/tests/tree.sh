# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# Made-up machines: folders that look like /sys and /dev to barter.
#
#   tree_begin DIR                      an empty machine; sets BARTER_SYSFS, BARTER_DEV
#   tree_device PATH ID CLASS DRIVER GROUP [BAR...]
#       PATH    bridges from the root bus down and the device, joined by '/'
#       ID      vvvv:dddd        CLASS  cccccc
#       DRIVER  or -             GROUP  or -
#       BAR     INDEX=LENGTH[,io][,prefetch][,64][,unset], LENGTH in hexadecimal
#   tree_module NAME                    a loaded module

tree_begin() {
	TREE=$1
	rm -rf "$TREE"
	mkdir -p "$TREE/sys/bus/pci/devices" "$TREE/sys/bus/pci/drivers" \
		"$TREE/sys/module" "$TREE/sys/kernel/iommu_groups" \
		"$TREE/sys/devices" "$TREE/dev/vfio"
	: > "$TREE/sys/bus/pci/drivers_probe"
	export BARTER_SYSFS=$TREE/sys BARTER_DEV=$TREE/dev BARTER_RUN=$TREE/run
}

tree_module() {
	mkdir -p "$TREE/sys/module/$1"
}

tree_driver() {
	mkdir -p "$TREE/sys/bus/pci/drivers/$1"
}

tree_bars() {
	local bar index length rest flags start i line
	for i in 0 1 2 3 4 5 6; do
		line="0x0000000000000000 0x0000000000000000 0x0000000000000000"
		for bar; do
			index=${bar%%=*} rest=${bar#*=}
			[ "$index" = "$i" ] || continue
			length=$((0x${rest%%,*}))
			flags=$((0x40200)) start=$((0xfe00000000))
			case ,$rest, in *,io,*) flags=$((0x40101)) start=$((0xc000));; esac
			case ,$rest, in *,prefetch,*) flags=$((flags | 0x2008));; esac
			case ,$rest, in *,64,*) flags=$((flags | 0x100004));; esac
			case ,$rest, in *,unset,*) flags=$((flags | 0x20000000)) start=0;; esac
			line=$(printf '0x%016x 0x%016x 0x%016x' \
				"$start" $((start + length - 1)) "$flags")
		done
		echo "$line"
	done
}

tree_device() {
	local path=$1 id=$2 class=$3 driver=$4 group=$5
	local name=${path##*/} root folder up
	shift 5
	root=pci${name%%:*}:00
	folder=$TREE/sys/devices/$root/$path
	mkdir -p "$folder"
	echo "0x${id%:*}" > "$folder/vendor"
	echo "0x${id#*:}" > "$folder/device"
	echo "0x$class" > "$folder/class"
	echo "(null)" > "$folder/driver_override"
	tree_bars "$@" > "$folder/resource"
	up=$(echo "$root/$path" | sed 's|[^/]*|..|g')/..
	if [ "$driver" != - ]; then
		tree_driver "$driver"
		ln -sfn "$up/bus/pci/drivers/$driver" "$folder/driver"
	fi
	if [ "$group" != - ]; then
		mkdir -p "$TREE/sys/kernel/iommu_groups/$group"
		echo DMA-FQ > "$TREE/sys/kernel/iommu_groups/$group/type"
		ln -sfn "$up/kernel/iommu_groups/$group" "$folder/iommu_group"
	fi
	ln -sfn "../../../devices/$root/$path" "$TREE/sys/bus/pci/devices/$name"
}

# A machine as the test bed boots it: ivshmem and edu behind root ports.
tree_base() {
	tree_device 0000:00:00.0 8086:29c0 060000 - 0
	tree_device 0000:00:01.0 1b36:000c 060400 pcieport 1 0=1000
	tree_device 0000:00:01.0/0000:01:00.0 1af4:1110 050000 barter-vfio-pci 2 \
		0=100 2=4000000,prefetch,64
	tree_device 0000:00:02.0 1b36:000c 060400 pcieport 3 0=1000
	tree_device 0000:00:02.0/0000:02:00.0 1234:11e8 00ff00 barter_dma 4 0=100000
	tree_device 0000:00:1f.0 8086:2918 060100 lpc_ich 5
	tree_device 0000:00:1f.2 8086:2922 010601 ahci 5 4=20,io 5=1000
	tree_device 0000:00:1f.3 8086:2930 0c0500 - 5 4=40,io
	tree_module barter
	tree_module barter_vfio_pci
	tree_module vfio_iommu_type1
	: > "$TREE/dev/barter"
	: > "$TREE/dev/vfio/vfio"
	: > "$TREE/dev/vfio/2"
	chmod 666 "$TREE/dev/barter" "$TREE/dev/vfio/vfio"
}
