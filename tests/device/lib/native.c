// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Native buffers, see native.h.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tap.h"

#define PARAMETER "/sys/module/barter_vfio_pci/parameters/feature11"

const char *exporter_of(int fd)
{
	static char name[32];
	char path[64], line[256];
	FILE *f;

	name[0] = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "exp_name: %31s", name) == 1)
			break;
	if (f)
		fclose(f);
	return name;
}

void feature11_read(char *text, size_t size)
{
	sysfs_read(text, size, PARAMETER);
}

int feature11_write(const char *text)
{
	return sysfs_write(text, PARAMETER);
}

int native_export(const struct dev *d, uint32_t feature, int bar,
		  uint64_t offset, uint64_t n)
{
	struct vfio_region_dma_range range = { offset, n };
	struct export *e = export_new(bar, &range, 1);
	int fd;

	e->h.flags = VFIO_DEVICE_FEATURE_GET | feature;
	fd = export_call(d, e);
	free(e);
	return fd;
}

int own_export(const struct dev *d, int bar,
	       const struct vfio_region_dma_range *ranges, uint32_t nr)
{
	struct {
		struct vfio_device_feature h;
		struct barter_feature_export r;
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_GET |
				 BARTER_FEATURE_EXPORT,
		},
		.r = {
			.size = sizeof(arg.r),
			.region_index = (uint32_t)bar,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = nr,
			.ranges = (uintptr_t)ranges,
		},
	};
	int fd = ioctl(d->fd, VFIO_DEVICE_FEATURE, &arg);

	return fd < 0 ? -errno : fd;
}

bool kernel_exports(const char *bdf)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_DMA_BUF,
	};
	struct dev d;
	bool yes;

	if (pci_bind(bdf, "vfio-pci") || dev_open_bound(&d, bdf))
		tap_bail("%s cannot be opened under vfio-pci", bdf);
	yes = !ioctl(d.fd, VFIO_DEVICE_FEATURE, &probe);
	dev_close(&d);
	return yes;
}
