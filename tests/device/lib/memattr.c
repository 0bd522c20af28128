// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory attributes, see memattr.h.
 */
#include "memattr.h"

#include <errno.h>
#include <sys/ioctl.h>

int buf_memattr(const struct dev *d, int fd, uint32_t memattr, uint32_t flags)
{
	struct {
		struct vfio_device_feature h;
		struct barter_feature_memattr m;
	} arg = {
		.h = { .argsz = sizeof(arg),
		       .flags = VFIO_DEVICE_FEATURE_SET |
				BARTER_FEATURE_MEMATTR },
		.m = { .size = sizeof(arg.m), .flags = flags, .dmabuf_fd = fd,
		       .memattr = memattr },
	};

	return ioctl(d->fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}
