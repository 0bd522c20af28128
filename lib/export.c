// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Lend pieces of a BAR: VFIO_DEVICE_FEATURE 11.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

_Static_assert(sizeof(struct barter_range) ==
	       sizeof(struct vfio_region_dma_range),
	       "both describe a piece of a BAR alike");
_Static_assert(offsetof(struct barter_range, length) ==
	       offsetof(struct vfio_region_dma_range, length),
	       "both describe a piece of a BAR alike");

BARTER_API int barter_device_can_export(struct barter_device *device)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_DMA_BUF,
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &probe) ?
	       -EOPNOTSUPP : 0;
}

BARTER_API int barter_device_export(struct barter_device *device,
				    const struct barter_export *what, int *fd)
{
	struct vfio_device_feature_dma_buf *body;
	struct vfio_device_feature *feature;
	size_t length;
	int got, ret = 0;

	/* A larger structure may ask for what this library cannot do. */
	if (what->size != sizeof(*what) || what->flags ||
	    (what->open_flags & ~(uint32_t)(O_ACCMODE | O_CLOEXEC)) ||
	    !what->nr_ranges)
		return -EINVAL;
	if (what->nr_ranges > BARTER_MAX_RANGES)
		return -E2BIG;
	length = sizeof(*feature) + sizeof(*body) +
		 what->nr_ranges * sizeof(body->dma_ranges[0]);
	feature = calloc(1, length);
	if (!feature)
		return -ENOMEM;
	feature->argsz = (uint32_t)length;
	feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	body = (void *)feature->data;
	body->region_index = what->bar;
	body->open_flags = what->open_flags | O_CLOEXEC;
	body->nr_ranges = what->nr_ranges;
	memcpy(body->dma_ranges, what->ranges,
	       what->nr_ranges * sizeof(body->dma_ranges[0]));

	got = ioctl(device->fd, VFIO_DEVICE_FEATURE, feature);
	if (got >= 0)
		*fd = got;
	/* Drivers that know nothing of features, or nothing of this one. */
	else if (errno == ENOTTY)
		ret = -EOPNOTSUPP;
	else
		ret = -errno;
	free(feature);
	return ret;
}
