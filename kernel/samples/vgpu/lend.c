// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * VFIO_DEVICE_FEATURE of a vEDU with memory: ranges of its BAR 2 as a dma-buf, by
 * the numbers and in the layout of barter-vfio-pci (<linux/barter.h>).
 */
#include <linux/barter_feature.h>
#include <linux/uaccess.h>

#include "vedu.h"

/* Ranges of BAR 2 become ranges of the memory's BAR: here is what keeps guests apart. */
static int vedu_ranges_shift(struct barter_range *ranges, u32 nr, u64 start)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (ranges[i].offset > VEDU_SLICE ||
		    ranges[i].length > VEDU_SLICE - ranges[i].offset)
			return -EINVAL;
		ranges[i].offset += start;
	}
	return 0;
}

static int vedu_lend(struct vedu *v, u32 region, const void __user *from,
		     struct barter_lend *lend)
{
	struct barter_range *ranges;
	int ret;

	if (!lend->nr)
		return -EINVAL;
	if (region != VEDU_BAR2)
		return -ENODEV;
	if (lend->nr > BARTER_MAX_RANGES)
		return -E2BIG;
	ranges = barter_lend_copy(lend, from, lend->nr);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	ret = vedu_ranges_shift(ranges, lend->nr, vedu_window_start(v->window));
	if (!ret) {
		lend->bar = VEDU_BAR2;
		ret = barter_export_fd(vedu_window_exporter(v->window), lend);
	}
	barter_lend_cleanup(lend);
	return ret;
}

static int vedu_feature11(struct vedu *v, u32 flags,
			  struct vfio_device_feature_dma_buf __user *arg, size_t argsz)
{
	struct vfio_device_feature_dma_buf req;
	struct barter_lend lend = {};
	int ret;

	static_assert(sizeof(struct barter_range) == sizeof(struct vfio_region_dma_range));

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(req));
	if (ret != 1)
		return ret;
	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.flags)
		return -EINVAL;
	lend.nr = req.nr_ranges;
	lend.open_flags = req.open_flags;
	return vedu_lend(v, req.region_index, arg->dma_ranges, &lend);
}

static int vedu_export(struct vedu *v, u32 flags, void __user *arg, size_t argsz)
{
	struct barter_feature_export req;
	size_t least = offsetofend(typeof(req), ranges);
	struct barter_lend lend = {};
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, least);
	if (ret != 1)
		return ret;
	ret = barter_feature_copy(&req, sizeof(req), least, arg, argsz);
	if (ret)
		return ret;
	if (req.flags & ~(BARTER_EXPORT_READ_ONLY | BARTER_EXPORT_FORCE_ATTRIBUTE) ||
	    req.__reserved || req.__reserved2 ||
	    strnlen(req.name, sizeof(req.name)) == sizeof(req.name))
		return -EINVAL;
	lend.nr = req.nr_ranges;
	lend.open_flags = req.open_flags;
	lend.flags = req.flags;
	lend.memattr = req.memattr;
	lend.name = req.name;
	return vedu_lend(v, req.region_index, u64_to_user_ptr(req.ranges), &lend);
}

/* vfio_device_ops.device_feature */
int vedu_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz)
{
	struct vedu *v = vedu_from_vdev(vdev);
	struct barter_exporter *exp;

	if (!v->window)
		return -ENOTTY;
	exp = vedu_window_exporter(v->window);
	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return vedu_feature11(v, flags, arg, argsz);
	case BARTER_FEATURE_EXPORT:
		return vedu_export(v, flags, arg, argsz);
	case BARTER_FEATURE_MEMATTR:
		return barter_feature_memattr(exp, flags, arg, argsz);
	case BARTER_FEATURE_REVOKE:
		return barter_feature_revoke(exp, flags, arg, argsz);
	default:
		return -ENOTTY;
	}
}
