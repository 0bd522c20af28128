// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Parts of a buffer for somebody else, and one buffer taken back.
 */
#include "internal.h"

#include <fcntl.h>
#include <sys/ioctl.h>

BARTER_API int barter_buffer_slice(int control, const struct barter_cut *cut,
				   int *fd)
{
	struct barter_slice slice = {
		.size = sizeof(slice),
		.flags = cut->flags,
		.dmabuf_fd = cut->fd,
		.open_flags = cut->open_flags | O_CLOEXEC,
		.nr_ranges = cut->nr_ranges,
		.ranges = (uintptr_t)cut->ranges,
	};
	int ret;

	/* A larger structure may ask for what this library cannot do. */
	if (cut->size != sizeof(*cut))
		return -EINVAL;
	ret = barter_control_call(control, BARTER_IOC_SLICE, &slice);
	if (ret)
		return ret == -ENOTTY ? -EOPNOTSUPP : ret;
	*fd = slice.out_fd;
	return 0;
}

BARTER_API int barter_buffer_revoke(struct barter_device *device, int fd)
{
	struct {
		struct vfio_device_feature head;
		struct barter_feature_revoke body;
	} call = {
		.head = {
			.argsz = sizeof(call),
			.flags = VFIO_DEVICE_FEATURE_SET |
				 BARTER_FEATURE_REVOKE,
		},
		.body = {
			.size = sizeof(call.body),
			.dmabuf_fd = fd,
		},
	};
	int ret = barter_peers_unmap_buffer(device, fd);

	if (ret)
		return ret;
	if (ioctl(device->fd, VFIO_DEVICE_FEATURE, &call))
		return errno == ENOTTY ? -EOPNOTSUPP : -errno;
	return 0;
}
