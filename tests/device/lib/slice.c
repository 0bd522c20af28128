// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Slices and the end of one buffer, see slice.h.
 */
#define _GNU_SOURCE
#include "slice.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "buf.h"

int slice_call(struct barter_slice *s)
{
	return ioctl(barter_fd(), BARTER_IOC_SLICE, s) ? -errno : s->out_fd;
}

struct barter_slice slice_request(int fd, const struct barter_range *ranges,
				  uint32_t nr)
{
	return (struct barter_slice){
		.size = sizeof(struct barter_slice),
		.dmabuf_fd = fd,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = nr,
		.ranges = (uintptr_t)ranges,
	};
}

int slice_of(int fd, const struct barter_range *ranges, uint32_t nr)
{
	struct barter_slice s = slice_request(fd, ranges, nr);

	return slice_call(&s);
}

int slice1(int fd, uint64_t offset, uint64_t n)
{
	struct barter_range range = { offset, n };

	return slice_of(fd, &range, 1);
}

int slice_read_only(int fd, uint64_t offset, uint64_t n)
{
	struct barter_range range = { offset, n };
	struct barter_slice s = slice_request(fd, &range, 1);

	s.flags = BARTER_SLICE_READ_ONLY;
	s.open_flags = O_RDONLY | O_CLOEXEC;
	return slice_call(&s);
}

int revoke_call(const struct dev *d, uint32_t argsz, uint32_t op,
		struct barter_feature_revoke *r)
{
	struct {
		struct vfio_device_feature head;
		struct barter_feature_revoke body;
	} call = {
		.head = { .argsz = argsz, .flags = op | BARTER_FEATURE_REVOKE },
		.body = *r,
	};

	return ioctl(d->fd, VFIO_DEVICE_FEATURE, &call) ? -errno : 0;
}

int buf_end(const struct dev *d, int fd)
{
	struct barter_feature_revoke r = { .size = sizeof(r), .dmabuf_fd = fd };

	return revoke_call(d, sizeof(struct vfio_device_feature) + sizeof(r),
			   VFIO_DEVICE_FEATURE_SET, &r);
}

int buf_export_as(const struct dev *d, int bar, uint64_t offset, uint64_t n,
		  uint32_t flags, uint32_t open_flags)
{
	struct barter_range range = { offset, n };
	struct {
		struct vfio_device_feature head;
		struct barter_feature_export body;
	} call = {
		.head = {
			.argsz = sizeof(call),
			.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT,
		},
		.body = {
			.size = sizeof(call.body),
			.flags = flags,
			.region_index = (uint32_t)bar,
			.open_flags = open_flags,
			.nr_ranges = 1,
			.ranges = (uintptr_t)&range,
		},
	};
	int fd = ioctl(d->fd, VFIO_DEVICE_FEATURE, &call);

	return fd < 0 ? -errno : fd;
}

int buf_export_ro(const struct dev *d, int bar, uint64_t offset, uint64_t n)
{
	return buf_export_as(d, bar, offset, n, BARTER_EXPORT_READ_ONLY,
			     O_RDONLY | O_CLOEXEC);
}
