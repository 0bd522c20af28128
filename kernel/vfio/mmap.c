// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * mmap of a BAR through the device's own file.
 *
 * What vfio-pci-core would map is mapped as a buffer of the exporter's, so that
 * it has a name and goes away at a reset that core does not see coming. What core
 * would refuse, and regions that are no BARs, are left to core.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "barter_vfio.h"
#include "../compat/compat_vfio.h"

static bool mmap_buffers = true;
module_param(mmap_buffers, bool, 0644);
MODULE_PARM_DESC(mmap_buffers,
		 "Map BARs through buffers: mappings have names, and a reset through sysfs takes them away (default: yes). Holds for mmap calls from now on.");

/**
 * barter_vfio_claim - claim a BAR for VFIO, as core does before it touches one
 * @bv: the device, open
 * @bar: BAR index, 0 to 5
 *
 * Context: may be called with mmap_lock held.
 *
 * Return: 0; -ENODEV: there is no such BAR; -EBUSY: another driver has it; -ENOMEM;
 * -EINTR: a fatal signal came.
 */
int barter_vfio_claim(struct barter_vfio *bv, unsigned int bar)
{
	int ret;

	/* What is claimed stays so for as long as the device is open. */
	if (!IS_ERR_OR_NULL((__force void *)READ_ONCE(bv->core.barmap[bar])))
		return 0;
	if (!pci_resource_len(bv->core.pdev, bar))
		return -ENODEV;
	if (mutex_lock_killable(&bv->claim_lock))
		return -EINTR;
	ret = barter_vfio_claim_bar(&bv->core, bar);
	mutex_unlock(&bv->claim_lock);
	return ret;
}

/* By the rules of vfio_pci_core_mmap(). */
static bool barter_vfio_maps(const struct barter_vfio *bv, unsigned long bar,
			     u64 offset, const struct vm_area_struct *vma)
{
	if (bar >= PCI_STD_NUM_BARS || !(vma->vm_flags & VM_SHARED) ||
	    !bv->core.bar_mmap_supported[bar])
		return false;
	return offset + (vma->vm_end - vma->vm_start) <=
		PAGE_ALIGN(pci_resource_len(bv->core.pdev, bar));
}

/**
 * barter_vfio_mmap - vfio_device_ops.mmap
 * @vdev: the device, open
 * @vma: whose page offset has the region's index and an offset in the region
 *
 * Return: 0 or what vfio_pci_core_mmap() says; also -ENOMEM for the buffer, and
 * -EINTR.
 */
int barter_vfio_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	unsigned int shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT;
	unsigned long bar = vma->vm_pgoff >> shift;
	u64 offset = (u64)(vma->vm_pgoff & ((1UL << shift) - 1)) << PAGE_SHIFT;
	char name[BARTER_BUFFER_NAME_LENGTH];
	int ret;

	if (!READ_ONCE(mmap_buffers) || !barter_vfio_maps(bv, bar, offset, vma))
		return vfio_pci_core_mmap(vdev, vma);
	ret = barter_vfio_claim(bv, bar);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "vfio:%s/%lu", pci_name(bv->core.pdev),
		 bar);
	return barter_exporter_mmap(bv->exp, bar, offset, name, vma);
}
