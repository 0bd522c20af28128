// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Native buffers: those of the kernel's own exporter, which vfio-pci-core has
 * from Linux 6.19 on. iommufd accepts no other, and of them only such with one
 * range. Both kinds come from one device side by side; core revokes its own, at
 * its own points and with its own waits, and barter knows nothing of them.
 *
 * What feature 11 gives is a choice of the administrator's; either kind can be
 * had through a number of its own whatever that choice is.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "barter_vfio.h"
#include "../compat/compat_vfio.h"

enum {
	FEATURE11_AUTO,
	FEATURE11_BARTER,
	FEATURE11_NATIVE,	/* last: left out where it cannot be had */
};

static const char * const feature11_names[] = {
	[FEATURE11_AUTO] = "auto",
	[FEATURE11_BARTER] = "barter",
	[FEATURE11_NATIVE] = "native",
};

static int feature11 = FEATURE11_AUTO;

static int feature11_set(const char *text, const struct kernel_param *kp)
{
	int choice = __sysfs_match_string(feature11_names,
					  ARRAY_SIZE(feature11_names), text);

	if (choice < 0) {
		pr_err("%s: expected auto, barter or native; nothing was changed\n",
		       kp->name);
		return choice;
	}
	if (choice == FEATURE11_NATIVE && !BARTER_VFIO_HAS_NATIVE) {
		pr_err("%s: this kernel has no exporter of its own (Linux 6.19 or later with CONFIG_VFIO_PCI_DMABUF); use auto or barter; nothing was changed\n",
		       kp->name);
		return -EOPNOTSUPP;
	}
	WRITE_ONCE(feature11, choice);
	return 0;
}

/* All that may be written; what is in force stands in brackets. */
static int feature11_get(char *buffer, const struct kernel_param *kp)
{
	int choice = READ_ONCE(feature11), length = 0, i;

	for (i = FEATURE11_AUTO; i <= FEATURE11_NATIVE; i++) {
		if (i == FEATURE11_NATIVE && !BARTER_VFIO_HAS_NATIVE)
			break;
		length += scnprintf(buffer + length, PAGE_SIZE - length,
				    i == choice ? "%s[%s]" : "%s%s",
				    i ? " " : "", feature11_names[i]);
	}
	length += scnprintf(buffer + length, PAGE_SIZE - length, "\n");
	return length;
}

static const struct kernel_param_ops feature11_ops = {
	.set = feature11_set,
	.get = feature11_get,
};
module_param_cb(feature11, &feature11_ops, NULL, 0644);
MODULE_PARM_DESC(feature11,
		 "Whose buffers VFIO_DEVICE_FEATURE_DMA_BUF gives: barter, native (the kernel's own), or auto (default: native for one range where the kernel has iommufd, which accepts nothing else; else barter). Holds for exports from now on.");

/**
 * barter_vfio_native_init - let vfio-pci-core lend this device too
 * @bv: the device, after vfio_pci_core_init_dev()
 */
void barter_vfio_native_init(struct barter_vfio *bv)
{
	barter_vfio_allow_native(&bv->core);
}

/**
 * barter_vfio_feature11_native - is feature 11 the kernel's own
 *
 * Return: true if every request for it goes to core as it is.
 */
bool barter_vfio_feature11_native(void)
{
	return READ_ONCE(feature11) == FEATURE11_NATIVE;
}

/**
 * barter_vfio_feature11_auto - is a request for feature 11 better left to core
 * @nr_ranges: how many ranges it has
 *
 * A buffer of several ranges is of no use to iommufd, and core's own cannot be
 * mapped behind an IOMMU (7.2, 7.3); barter's can.
 *
 * Return: true if it is.
 */
bool barter_vfio_feature11_auto(u32 nr_ranges)
{
	return BARTER_VFIO_HAS_NATIVE && IS_ENABLED(CONFIG_IOMMUFD) &&
	       READ_ONCE(feature11) == FEATURE11_AUTO && nr_ranges == 1;
}

/**
 * barter_vfio_native - export by vfio-pci-core
 * @bv: the device
 * @flags: the operation; whatever the number, core gets its own
 * @arg: struct vfio_device_feature_dma_buf and ranges
 * @argsz: bytes at @arg
 *
 * Return: what core says, or -EOPNOTSUPP where it has no exporter.
 */
int barter_vfio_native(struct barter_vfio *bv, u32 flags, void __user *arg,
		       size_t argsz)
{
	if (!BARTER_VFIO_HAS_NATIVE)
		return -EOPNOTSUPP;
	flags &= ~VFIO_DEVICE_FEATURE_MASK;
	return vfio_pci_core_ioctl_feature(&bv->core.vdev,
					   flags | VFIO_DEVICE_FEATURE_DMA_BUF,
					   arg, argsz);
}
