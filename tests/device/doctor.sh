#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# doctor.sh MACHINE: does "barter doctor" say what is missing on this machine,
# and what to do? Runs inside the test machine; TAP on standard output.

machine=$1
. /tests/tap.sh
tap_begin "doctor $machine"

# check NAME COMMAND...: one test, passed if the command succeeds.
check() {
	name=$1
	shift
	"$@"
	result $? "$name"
}

# doctor [DEVICE]: its output in /tmp/said, its status in $status.
doctor() {
	barter doctor "$@" >/tmp/said 2>&1
	status=$?
}

says() { grep -q -- "$1" /tmp/said; }
silent() { ! says "$1"; }
exits() { [ "$status" = "$1" ]; }
# The finding $1 is followed by a remedy that contains $2.
remedy() { grep -A3 -- "$1" /tmp/said | grep -q -- "do: .*$2"; }
json_valid() { barter doctor --json | grep -q '^[[{]'; }

case $machine in
base)
	doctor
	check 'nothing is missing' says 'nothing is missing'
	check 'exit status 0' exits 0
	check 'the three limits of a revoke are named' \
		[ "$(grep -c '^note *limit of revoke' /tmp/said)" = 3 ]
	echo N >/sys/module/barter_vfio_pci/parameters/mmap_buffers
	doctor
	check 'without mmap_buffers there is a fourth' says 'limit of revoke.*mmap_buffers is off'
	echo Y >/sys/module/barter_vfio_pci/parameters/mmap_buffers
	doctor "$VM_VRAM0"
	check 'an unbound device is a finding' says "^MISSING *$VM_VRAM0 .*bound to no driver"
	check 'its remedy' remedy "$VM_VRAM0 .*bound to no driver" "barter bind $VM_VRAM0"
	check 'exit status 1' exits 1
	barter bind "$VM_VRAM0"
	check 'barter bind works' [ "$?" = 0 ]
	doctor "$VM_VRAM0"
	check 'the bound device lacks nothing' says 'nothing is missing'
	check 'exit status 0 again' exits 0
	doctor 0000:ff:1f.7
	check 'a device that is not there is an error' exits 1
	doctor nonsense
	check 'nonsense is a usage error' exits 2
	check 'JSON' json_valid
	;;
noiommu)
	doctor
	check 'no IOMMU is the finding' says '^MISSING *IOMMU  *no device is in an IOMMU group'
	check 'its remedy for firmware' remedy 'MISSING *IOMMU' 'firmware'
	check 'its remedy for the kernel' remedy 'MISSING *IOMMU' 'intel_iommu=on'
	check 'exit status 1' exits 1
	doctor "$VM_VRAM0"
	check 'the device cannot be lent' says "^MISSING *$VM_VRAM0 .*no IOMMU group"
	;;
nop2p)
	doctor
	check 'the host bridge is the finding' says 'host bridge 8086:29c0 is not on the allowlist'
	check 'its remedy' remedy '8086:29c0 is not on the allowlist' \
		'echo 8086:29c0 > /sys/module/barter/parameters/allow_host_bridges'
	check 'exit status 1' exits 1
	echo 8086:29c0 >/sys/module/barter/parameters/allow_host_bridges
	doctor
	check 'gone once the remedy is applied' silent 'not on the allowlist'
	if grep -q ' pci_p2pdma_distance_many$' /proc/kallsyms; then
		# CONFIG_PCI_P2PDMA: the kernel's own no is final.
		check 'the kernel refuses all the same' says 'pci_p2pdma_distance(), refuses'
		check 'exit status 1 still' exits 1
	else
		check 'exit status 0' exits 0
	fi
	echo >/sys/module/barter/parameters/allow_host_bridges
	;;
shared)
	doctor "$VM_VRAM0"
	check 'the shared group is named' says "$VM_VRAM0 .*shares IOMMU group"
	check 'with the device that shares it' says "shares IOMMU group .*$VM_VRAM1"
	barter bind "$VM_VRAM0"
	doctor "$VM_VRAM0"
	check 'still named when bound' says "$VM_VRAM0 .*shares IOMMU group"
	;;
nomodules)
	doctor
	check 'barter is missing' says '^MISSING *barter  '
	check 'its remedy' remedy 'MISSING *barter  ' 'modprobe barter'
	check 'barter-vfio-pci is missing' says '^MISSING *barter-vfio-pci '
	check 'its remedy too' remedy 'MISSING *barter-vfio-pci ' 'modprobe barter-vfio-pci'
	check '/dev/barter is missing' says '^MISSING */dev/barter'
	check 'exit status 1' exits 1
	;;
fix)
	# Each thing missing in turn; modules last, as the suites' own go with them.
	as_new "$VM_VRAM0"
	as_new "$VM_EDU" barter-dma
	barter doctor --fix >/tmp/said 2>&1
	check 'fix: nothing to do' says 'nothing that --fix does by itself'
	rm /dev/barter
	doctor --fix --dry-run
	check 'a node that is missing' says 'would do: mknod -m 0666 /dev/barter'
	check 'exit status 1: it is missing still' exits 1
	check '--dry-run makes nothing' [ ! -e /dev/barter ]
	doctor --fix
	check 'is made' says 'done: mknod -m 0666 /dev/barter'
	check 'as the kernel has it' [ "$(stat -c '%F %a' /dev/barter)" = 'character special file 666' ]
	check 'and works' says '^ok */dev/barter'
	check 'exit status 0' exits 0
	# With iommufd nobody needs containers, nor type 1.
	if [ ! -e /dev/iommu ]; then
		rm /dev/vfio/vfio
		doctor --fix
		check "VFIO's node" says 'done: mknod -m 0666 /dev/vfio/vfio'
		check 'works too' says '^ok */dev/vfio/vfio'
	fi
	chmod 600 /dev/barter
	doctor --fix
	check 'rights are not given' [ "$(stat -c %a /dev/barter)" = 600 ]
	check 'but told of' says 'not by everybody (mode 0600)'
	su -s /bin/sh nobody -c 'barter doctor --fix' >/tmp/said 2>&1
	check 'as somebody else: what root has to do' says '/dev/barter: chmod 0666 /dev/barter'
	chmod 666 /dev/barter

	# A device: bound if it has no driver, left if it has one.
	doctor --fix
	check 'a device that nobody named' silent "barter bind $VM_VRAM0$"
	doctor --fix --dry-run "$VM_VRAM0"
	check 'one that is named and has no driver' says "would do: barter bind $VM_VRAM0"
	su -s /bin/sh nobody -c "barter doctor --fix $VM_VRAM0" >/tmp/said 2>&1
	check 'as somebody else it fails' says "^failed: barter bind $VM_VRAM0: .*run as root"
	doctor --fix "$VM_VRAM0"
	check 'as root it is bound' says "done: barter bind $VM_VRAM0"
	check 'and lacks nothing' exits 0
	doctor --fix "$VM_VRAM0"
	check 'once more: nothing to do' says 'nothing that --fix does by itself'
	barter unbind "$VM_VRAM0" >/tmp/said 2>&1
	driver=$(basename "$(readlink "/sys/bus/pci/devices/$VM_EDU/driver")")
	doctor --fix "$VM_EDU"
	check 'one with a driver is left to you' says "^  $VM_EDU: barter bind $VM_EDU"
	check 'and keeps it' [ "$(basename "$(readlink "/sys/bus/pci/devices/$VM_EDU/driver")")" = "$driver" ]

	# Modules, all that hang on barter.ko.
	for _ in 1 2 3 4; do
		lsmod | awk '/^barter/ { print $1 }' | xargs -r -n 1 rmmod 2>/dev/null
	done
	check 'barter.ko is away' [ ! -e /sys/module/barter ]
	doctor --fix --dry-run
	check 'what it would load' says 'would do: modprobe barter-vfio-pci'
	check '--dry-run loads nothing' [ ! -e /sys/module/barter ]
	su -s /bin/sh nobody -c 'barter doctor --fix' >/tmp/said 2>&1
	check 'as somebody else it fails, with the reason' says '^failed: modprobe barter: .*; run as root'
	doctor --fix
	check 'as root it is loaded' says 'done: modprobe barter-vfio-pci'
	check 'once' [ "$(grep -c 'modprobe barter-vfio-pci' /tmp/said)" = 1 ]
	check 'nothing is missing' says 'nothing is missing'
	check 'exit status 0 then' exits 0
	if [ ! -e /dev/iommu ]; then
		rmmod vfio_iommu_type1
		doctor --fix
		check 'type 1' says 'done: modprobe vfio_iommu_type1'
		check 'is there again' [ -e /sys/module/vfio_iommu_type1 ]
	fi
	mv "/lib/modules/$(uname -r)" /lib/away
	rmmod barter-vfio-pci
	doctor --fix
	check 'a module that is not installed' says '^failed: modprobe barter-vfio-pci: .*is it installed'
	check 'is missing still' exits 1
	mv /lib/away "/lib/modules/$(uname -r)"
	doctor --fix
	check 'until it is' exits 0
	;;
*)
	echo "Bail out! no expectations for machine '$machine'"
	exit 1
	;;
esac
tap_done
