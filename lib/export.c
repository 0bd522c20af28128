// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Lend pieces of a BAR: barter's own VFIO feature for its buffers, feature 11
 * under one of two numbers for those of the kernel's own exporter.
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

static int probe(struct barter_device *device, uint32_t number)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 number,
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &probe) ? -errno : 0;
}

BARTER_API int barter_device_can_export(struct barter_device *device)
{
	return probe(device, BARTER_FEATURE_EXPORT) ? -EOPNOTSUPP : 0;
}

BARTER_API int barter_device_can_export_native(struct barter_device *device)
{
	int ret = probe(device, BARTER_FEATURE_NATIVE);

	/* Under any other driver feature 11 is the kernel's own. */
	if (ret == -ENOTTY)
		ret = probe(device, VFIO_DEVICE_FEATURE_DMA_BUF);
	return ret ? -EOPNOTSUPP : 0;
}

static int export_own(struct barter_device *device,
		      const struct barter_export *what)
{
	struct {
		struct vfio_device_feature head;
		struct barter_feature_export body;
	} call = {
		.head = {
			.argsz = sizeof(call),
			.flags = VFIO_DEVICE_FEATURE_GET |
				 BARTER_FEATURE_EXPORT,
		},
		.body = {
			.size = sizeof(call.body),
			.flags = what->flags,
			.region_index = what->bar,
			.open_flags = what->open_flags | O_CLOEXEC,
			.nr_ranges = what->nr_ranges,
			.ranges = (uintptr_t)what->ranges,
			.memattr = what->memattr,
		},
	};
	int got;

	if (what->name) {
		if (strlen(what->name) >= sizeof(call.body.name))
			return -EINVAL;
		memcpy(call.body.name, what->name, strlen(what->name));
	}
	got = ioctl(device->fd, VFIO_DEVICE_FEATURE, &call);
	return got < 0 ? -errno : got;
}

/* iommufd takes no more than one range, and so does the library. */
static int export_native(struct barter_device *device,
			 const struct barter_export *what)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_buf body;
		struct vfio_region_dma_range range;
	} call = {
		.head = {
			.argsz = sizeof(call),
			.flags = VFIO_DEVICE_FEATURE_GET |
				 BARTER_FEATURE_NATIVE,
		},
		.body = {
			.region_index = what->bar,
			.open_flags = what->open_flags | O_CLOEXEC,
			.nr_ranges = 1,
		},
	};
	int got;

	if (what->nr_ranges > 1)
		return -EOPNOTSUPP;
	memcpy(&call.range, what->ranges, sizeof(call.range));
	got = ioctl(device->fd, VFIO_DEVICE_FEATURE, &call);
	if (got < 0 && errno == ENOTTY) {
		call.head.flags = VFIO_DEVICE_FEATURE_GET |
				  VFIO_DEVICE_FEATURE_DMA_BUF;
		got = ioctl(device->fd, VFIO_DEVICE_FEATURE, &call);
	}
	return got < 0 ? -errno : got;
}

BARTER_API int barter_device_export(struct barter_device *device,
				    const struct barter_export *what, int *fd)
{
	int got;

	/* A larger structure may ask for what this library cannot do. */
	if (what->size != sizeof(*what) ||
	    (what->flags & ~(BARTER_EXPORT_NATIVE | BARTER_EXPORT_READ_ONLY |
			     BARTER_EXPORT_FORCE_ATTRIBUTE)) ||
	    (what->flags & BARTER_EXPORT_NATIVE &&
	     (what->flags & ~BARTER_EXPORT_NATIVE || what->memattr ||
	      what->name)) ||
	    (what->open_flags & ~(uint32_t)(O_ACCMODE | O_CLOEXEC)) ||
	    !what->nr_ranges)
		return -EINVAL;
	if (what->nr_ranges > BARTER_MAX_RANGES)
		return -E2BIG;
	got = what->flags & BARTER_EXPORT_NATIVE ?
	      export_native(device, what) : export_own(device, what);
	/* Drivers that know nothing of features, or nothing of this one. */
	if (got == -ENOTTY)
		return -EOPNOTSUPP;
	if (got < 0)
		return got;
	*fd = got;
	return 0;
}

BARTER_API int barter_buffer_set_memattr(struct barter_device *device, int fd,
					 uint32_t memattr, uint32_t flags)
{
	struct {
		struct vfio_device_feature head;
		struct barter_feature_memattr body;
	} call = {
		.head = {
			.argsz = sizeof(call),
			.flags = VFIO_DEVICE_FEATURE_SET |
				 BARTER_FEATURE_MEMATTR,
		},
		.body = {
			.size = sizeof(call.body),
			.flags = flags,
			.dmabuf_fd = fd,
			.memattr = memattr,
		},
	};

	if (!ioctl(device->fd, VFIO_DEVICE_FEATURE, &call))
		return 0;
	return errno == ENOTTY ? -EOPNOTSUPP : -errno;
}
