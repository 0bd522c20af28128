# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# doctor on machines that lack one thing each: it says exactly that, and what
# to do. /dev/barter is a plain file here, so routes cannot be had.

tree_begin "$work/doctor-good"
tree_base
ok "doctor: nothing missing" run 0 doctor
ok "doctor: IOMMU" out_has "on; 8 devices translated by default"
ok "doctor: says so" out_has "nothing is missing"
ok "doctor: known limits are named" out_has "MAP_DMA"
ok "doctor BDF" run 0 doctor 01:00.0
ok "doctor BDF: bound" out_has "bound to barter-vfio-pci"
ok "doctor BDF: alone" out_has "alone in IOMMU group 2"
ok "doctor BDF: node" out_has "/dev/vfio/2 may be opened"
ok "doctor --json" run 0 doctor --json
[ -z "$json_tool" ] || ok "doctor --json is JSON" is_json
if command -v jq > /dev/null; then
	ok "doctor --json: counts" json '.missing == 0'
	ok "doctor --json: findings" json '.findings | length > 5'
fi
ok "doctor: unknown device" run 1 doctor 09:00.0
ok "doctor: unknown device is named" err_has "09:00.0: no such PCI device"

ok "doctor: device not bound" run 1 doctor 02:00.0
ok "doctor: device not bound, which driver" out_has "bound to barter_dma"
ok "doctor: device not bound, remedy" out_has "do:  barter bind 0000:02:00.0"
ok "doctor: shared group" run 1 doctor 00:1f.2
ok "doctor: shared group, with whom" out_has \
	"shares IOMMU group 5 with 0000:00:1f.0, which is bound to lpc_ich"
ok "doctor: whole group is listed" out_has "0000:00:1f.3 (no driver)"
ok "doctor: a bridge" run 1 doctor 00:01.0
ok "doctor: a bridge, why" out_has "a bridge has nothing to lend"

# Kernels that barter is not for; its modules may be loaded into a newer one all the same.
newest=$(sed -n 's/^KERNEL_NEWEST=//p' "$root/META")
release() {
	mkdir -p "$TREE/proc/sys/kernel"
	echo "$1" > "$TREE/proc/sys/kernel/osrelease"
}
tree_begin "$work/doctor-kernel"
tree_base
export BARTER_PROC=$TREE/proc
release 6.1.0-44-amd64
ok "doctor: old kernel" run 1 doctor
ok "doctor: old kernel, what is needed" out_has "need Linux 6.12 or later"
ok "doctor: old kernel, remedy" out_has "apt install linux-image-6.12-amd64"
release 6.12.117+deb12-amd64
ok "doctor: oldest kernel" run 0 doctor
ok "doctor: oldest kernel, no word" out_has "nothing is missing"
release "$newest.4-amd64"
ok "doctor: newest kernel" run 0 doctor
ok "doctor: newest kernel, no word" out_lacks "newer than"
release "${newest%.*}.$((${newest#*.} + 1))"
ok "doctor: newer kernel" run 0 doctor
ok "doctor: newer kernel, said" out_has "newer than $newest"
ok "doctor: newer kernel, why" out_has "DKMS builds no modules"
unset BARTER_PROC

# The variable of firmware: four bytes of attributes, then whether it is on.
secure_boot() {
	printf '\6\0\0\0'"\\$1" \
		> "$TREE/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
}
tree_begin "$work/doctor-secure-boot"
tree_base
mkdir -p "$TREE/sys/firmware/efi/efivars"
secure_boot 0
ok "doctor: Secure Boot off" run 0 doctor
ok "doctor: Secure Boot off, no word" out_lacks "Secure Boot"
secure_boot 1
ok "doctor: Secure Boot on, loaded" run 0 doctor
ok "doctor: Secure Boot on, loaded: said" out_has "barter.ko is loaded all the same"
rm -r "$TREE/sys/module/barter" "$TREE/dev/barter"
ok "doctor: Secure Boot on, not loaded" run 1 doctor
ok "doctor: Secure Boot on, not loaded: why" out_has "Key was rejected by service"
ok "doctor: Secure Boot on, not loaded: remedy" out_has "mokutil --import /var/lib/dkms/mok.pub"

# One thing taken away at a time.
tree_begin "$work/doctor-modules"
tree_base
rm -r "$TREE/sys/module/barter" "$TREE/sys/module/barter_vfio_pci" "$TREE/dev/barter"
ok "doctor: no modules" run 1 doctor
ok "doctor: no modules, barter" out_has "do:  modprobe barter-vfio-pci"
ok "doctor: no modules, node" out_has "since barter.ko is not loaded"
mkdir "$TREE/sys/module/barter"
ok "doctor: node missing though loaded" run 1 doctor
ok "doctor: node missing, said" out_has "although barter.ko is loaded"

tree_begin "$work/doctor-type1"
tree_base
rm -r "$TREE/sys/module/vfio_iommu_type1" "$TREE/dev/vfio/vfio"
ok "doctor: no type 1" run 1 doctor
ok "doctor: no type 1, remedy" out_has "do:  modprobe vfio_iommu_type1"
ok "doctor: no /dev/vfio/vfio" out_has "do:  modprobe vfio"
: > "$TREE/dev/iommu"
ok "doctor: iommufd is enough" run 0 doctor

# What feature 11 gives: the parameter, and what the machine has.
tree_begin "$work/doctor-feature11"
tree_base
mkdir "$TREE/sys/module/barter_vfio_pci/parameters"
feature11() {
	echo "$1" > "$TREE/sys/module/barter_vfio_pci/parameters/feature11"
	ok "doctor: feature 11 $1" run 0 doctor
	ok "doctor: feature 11 $1, said" out_has "$2"
}
feature11 "[auto] barter" "the kernel has no exporter of its own"
feature11 "[auto] barter native" "the kernel has no iommufd"
feature11 "auto [barter]" "barter: gives barter's buffers"
feature11 "auto barter [native]" "native: gives the kernel's own buffers"
: > "$TREE/dev/iommu"
feature11 "[auto] barter native" "the kernel's own buffers for one range"
feature11 "[auto] barter" "the kernel has no exporter of its own"

if [ "$(id -u)" != 0 ]; then
	tree_begin "$work/doctor-mode"
	tree_base
	chmod 0 "$TREE/dev/barter" "$TREE/dev/vfio/2"
	ok "doctor: no permission" run 1 doctor 01:00.0
	ok "doctor: no permission, /dev/barter" out_has "chmod 0666 /dev/barter"
	ok "doctor: no permission, device" out_has "chown $(id -u) /dev/vfio/2"
else
	skip "doctor: no permission" "root may open everything"
fi

for table in DMAR:intel_iommu=on IVRS:amd_iommu=off NONE:firmware\'s; do
	tree_begin "$work/doctor-iommu"
	tree_device 0000:00:00.0 8086:29c0 060000 - -
	tree_device 0000:00:03.0 1af4:1110 050000 - - 2=4000000
	mkdir -p "$TREE/sys/firmware/acpi/tables"
	: > "$TREE/sys/firmware/acpi/tables/${table%%:*}"
	ok "doctor: no IOMMU, ${table%%:*}" run 1 doctor 00:03.0
	ok "doctor: no IOMMU, ${table%%:*}: said" \
		out_has "no device is in an IOMMU group"
	ok "doctor: no IOMMU, ${table%%:*}: remedy" out_has "${table#*:}"
	ok "doctor: no IOMMU, ${table%%:*}: device" \
		out_has "cannot be lent: in no IOMMU group"
done
