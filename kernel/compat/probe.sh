#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# probe.sh INCLUDE VERSION_H LOG [any]: ask a kernel's headers, found below
# INCLUDE, what that kernel has, and print -DBARTER_PROBED and, for each probe that
# says yes, -DBARTER_HAVE_NAME. LOG gets every question and its answer. Where the answers can't be
# trusted, or VERSION_H is of a kernel that META does not list (unless "any"), one
# line "error: ..." is printed instead, which probe.mk stops the build with.
#
# A probe is a fixed string in one header, never a pattern and never a version:
# distributions carry features back. Two sentinels guard the asking itself, one
# that every kernel has and one that none has. A header that isn't there is no
# "no": something moved, and the probe has to be looked at.
set -u
include=$1 version_h=$2 log=$3 any=${4:-}
meta=$(dirname "$0")/../../META

# name, header, the string (all the rest of the line)
probes='
INVALIDATE_MAPPINGS   linux/dma-buf.h        invalidate_mappings
FENCE_DRIVER_NAME     linux/dma-fence.h      dma_fence_driver_name
GENERIC_PT            linux/iommu.h          is_iommupt
IOMMU_COOKIE_IOMMUFD  linux/iommu.h          IOMMU_COOKIE_IOMMUFD
DMA_IOVA              linux/dma-mapping.h    dma_iova_link
VFIO_GET_IOMAP        linux/vfio_pci_core.h  vfio_pci_core_get_iomap
VFIO_GET_DMABUF_PHYS  linux/vfio_pci_core.h  vfio_pci_core_get_dmabuf_phys
VFIO_MATCH_TOKEN_UUID linux/vfio.h           match_token_uuid
VFIO_REGION_INFO_CAPS linux/vfio.h           get_region_info_caps
VFIO_PASID_IOAS       linux/vfio.h           pasid_attach_ioas
'

# The log is kept whatever happens; the temporary one is for two makes at a time.
note() { echo "$*" >>"$log.$$"; }
finish() { mv -f "$log.$$" "$log"; exit 0; }
fail() {
	note "error: $*"
	echo "error: $* (log: $log)"
	finish
}

# ask NAME HEADER STRING: yes or no in $answer.
ask() {
	[ -r "$include/$2" ] ||
		fail "cannot read the kernel header $include/$2, which probe $1 asks for '$3'"
	grep -qF -e "$3" "$include/$2" 2>>"$log.$$"
	case $? in
	0) answer=yes ;;
	1) answer=no ;;
	*) fail "grep failed when probe $1 asked $include/$2 for '$3'" ;;
	esac
	note "$answer $1 $2 '$3'"
}

meta_value() { sed -n "s/^$1=//p" "$meta"; }

# 6.12 is older than 6.9, 7.0 newer than both.
number() { echo "$1" | { IFS=. read -r major minor rest; echo $((major * 1000 + minor)); }; }

: >"$log.$$" 2>/dev/null || { echo "error: cannot write the log of the header probes, $log"; exit 0; }
note "headers: $include"

kernel=$(sed -n 's/^#define LINUX_VERSION_MAJOR \([0-9]*\)$/\1/p' "$version_h" 2>/dev/null).$(
	sed -n 's/^#define LINUX_VERSION_PATCHLEVEL \([0-9]*\)$/\1/p' "$version_h" 2>/dev/null)
case $kernel in
.*|*.) fail "cannot read the kernel's version in $version_h" ;;
esac
oldest=$(meta_value KERNEL_OLDEST) newest=$(meta_value KERNEL_NEWEST)
[ -n "$oldest" ] && [ -n "$newest" ] || fail "cannot read KERNEL_OLDEST and KERNEL_NEWEST in $meta"
note "kernel: $kernel, supported: $oldest to $newest${any:+, any kernel was asked for}"
if [ "$(number "$kernel")" -lt "$(number "$oldest")" ]; then
	side="older than" take="Use a newer kernel"
elif [ "$(number "$kernel")" -gt "$(number "$newest")" ]; then
	side="newer than" take="Use an older kernel or a newer barter"
else
	side=
fi
[ -z "$side" ] || [ -n "$any" ] ||
	fail "these headers are of Linux $kernel, $side what this version supports: $oldest to $newest." \
	     "$take; to try it all the same, give make BARTER_ANY_KERNEL=1"

ask SANE linux/dma-buf.h 'struct dma_buf_ops {'
[ $answer = yes ] ||
	fail "the header probes can't be trusted: $include/linux/dma-buf.h has no 'struct dma_buf_ops {'"
ask INSANE linux/dma-buf.h 'barter (no kernel has this)'
[ $answer = no ] || fail "the header probes can't be trusted: they answer yes to everything"

flags=-DBARTER_PROBED
while read -r name header string; do
	[ -n "$name" ] || continue
	ask "$name" "$header" "$string"
	[ $answer = no ] || flags="$flags -DBARTER_HAVE_$name"
done <<END
$probes
END
echo "$flags"
finish
