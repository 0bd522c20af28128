// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * VFIO_DEVICE_FEATURE: lending BARs, and the power features that take them away.
 */
#include <linux/barter_feature.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "barter_vfio.h"

struct barter_vfio_request {
	u32 bar;
	u32 flags;
	u32 open_flags;
	u32 nr_ranges;
	const void __user *ranges;
	u32 memattr;
	const char *name;
};

static int barter_vfio_lend(struct barter_vfio *bv,
			    const struct barter_vfio_request *req)
{
	struct barter_lend lend = {
		.bar = req->bar,
		.open_flags = req->open_flags,
		.flags = req->flags,
		.memattr = req->memattr,
		.name = req->name,
	};
	const struct barter_range *ranges;
	int ret;

	if (!req->nr_ranges)
		return -EINVAL;
	if (req->bar >= PCI_STD_NUM_BARS)
		return -ENODEV;
	if (req->nr_ranges > BARTER_MAX_RANGES)
		return -E2BIG;

	ranges = barter_lend_copy(&lend, req->ranges, req->nr_ranges);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	ret = barter_vfio_claim(bv, req->bar);
	if (!ret)
		ret = barter_export_fd(bv->exp, &lend);
	barter_lend_cleanup(&lend);
	return ret;
}

/* Upstream's feature 11: same layout, same errno, plus barter's own limits. */
static int barter_vfio_feature11(struct barter_vfio *bv, u32 flags,
				 struct vfio_device_feature_dma_buf __user *arg,
				 size_t argsz)
{
	struct vfio_device_feature_dma_buf req;
	struct barter_vfio_request lend;
	int ret;

	/* One layout, two names: the ranges go to core as they are. */
	static_assert(sizeof(struct barter_range) ==
		      sizeof(struct vfio_region_dma_range));
	static_assert(offsetof(struct barter_range, length) ==
		      offsetof(struct vfio_region_dma_range, length));

	if (barter_vfio_feature11_native())
		return barter_vfio_native(bv, flags, arg, argsz);

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(req));
	if (ret != 1)
		return ret;
	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (barter_vfio_feature11_auto(req.nr_ranges))
		return barter_vfio_native(bv, flags, arg, argsz);
	if (req.flags)
		return -EINVAL;

	lend = (struct barter_vfio_request) {
		.bar = req.region_index,
		.open_flags = req.open_flags,
		.nr_ranges = req.nr_ranges,
		.ranges = arg->dma_ranges,
	};
	return barter_vfio_lend(bv, &lend);
}

/* barter's own number: always barter's buffer, in a structure that can grow. */
static int barter_vfio_export(struct barter_vfio *bv, u32 flags,
			      struct barter_feature_export __user *arg,
			      size_t argsz)
{
	struct barter_feature_export req;
	struct barter_vfio_request lend;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 offsetofend(typeof(req), ranges));
	if (ret != 1)
		return ret;
	ret = barter_feature_copy(&req, sizeof(req), offsetofend(typeof(req), ranges),
				  arg, argsz);
	if (ret)
		return ret;
	if (req.flags & ~(BARTER_EXPORT_READ_ONLY | BARTER_EXPORT_FORCE_ATTRIBUTE) ||
	    req.__reserved ||
	    req.__reserved2 || strnlen(req.name, sizeof(req.name)) ==
			       sizeof(req.name))
		return -EINVAL;

	lend = (struct barter_vfio_request) {
		.bar = req.region_index,
		.flags = req.flags,
		.open_flags = req.open_flags,
		.nr_ranges = req.nr_ranges,
		.ranges = u64_to_user_ptr(req.ranges),
		.memattr = req.memattr,
		.name = req.name,
	};
	return barter_vfio_lend(bv, &lend);
}

/* What memory was can be reached no more once this has begun. */
static int barter_vfio_low_power(struct barter_vfio *bv, u32 flags,
				 void __user *arg, size_t argsz)
{
	int ret;

	if (flags & VFIO_DEVICE_FEATURE_PROBE ||
	    !(flags & VFIO_DEVICE_FEATURE_SET))
		return vfio_pci_core_ioctl_feature(&bv->core.vdev, flags, arg,
						   argsz);

	ret = barter_exporter_revoke(bv->exp, BARTER_REASON_CONFIG,
				     BARTER_REVOKE_KILLABLE);
	if (ret)
		return ret;
	ret = vfio_pci_core_ioctl_feature(&bv->core.vdev, flags, arg, argsz);
	barter_vfio_update(bv, BARTER_REVOKE_KILLABLE);
	barter_exporter_restore(bv->exp, BARTER_REASON_CONFIG);
	return ret;
}

/**
 * barter_vfio_feature - vfio_device_ops.device_feature
 * @vdev: the device
 * @flags: VFIO_DEVICE_FEATURE_* number and operation
 * @arg: the caller's data
 * @argsz: bytes at @arg
 *
 * Return: what the feature says; -ENOTTY for one that nobody here knows.
 */
int barter_vfio_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			size_t argsz)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	int ret;

	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return barter_vfio_feature11(bv, flags, arg, argsz);
	case BARTER_FEATURE_EXPORT:
		return barter_vfio_export(bv, flags, arg, argsz);
	case BARTER_FEATURE_MEMATTR:
		return barter_feature_memattr(bv->exp, flags, arg, argsz);
	case BARTER_FEATURE_NATIVE:
		return barter_vfio_native(bv, flags, arg, argsz);
	case BARTER_FEATURE_REVOKE:
		return barter_feature_revoke(bv->exp, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return barter_vfio_low_power(bv, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		ret = vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
		barter_vfio_update(bv, BARTER_REVOKE_KILLABLE);
		return ret;
	default:
		return vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
	}
}
