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
*)
	echo "Bail out! no expectations for machine '$machine'"
	exit 1
	;;
esac
tap_done
