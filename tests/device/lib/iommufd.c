// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * iommufd by its raw ABI, see iommufd.h.
 */
#define _GNU_SOURCE
#include "iommufd.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IOAS_ALLOC		_IO(';', 0x81)
#define IOAS_MAP		_IO(';', 0x85)
#define IOAS_UNMAP		_IO(';', 0x86)
#define IOAS_MAP_FILE		_IO(';', 0x8f)
#define DEVICE_BIND_IOMMUFD	_IO(';', 100 + 18)
#define DEVICE_ATTACH_IOMMUFD	_IO(';', 100 + 19)

#define MAP_FIXED_IOVA		1u
#define MAP_WRITEABLE		2u
#define MAP_READABLE		4u

struct ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_id;
};

struct ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t id;
	int32_t fd;		/* of a file; else 0 */
	uint64_t start;		/* in the file; else the address */
	uint64_t length;
	uint64_t iova;
};

struct ioas_unmap {
	uint32_t size;
	uint32_t id;
	uint64_t iova;
	uint64_t length;
};

struct device_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};

struct device_attach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t id;
};

bool iommufd_there(void)
{
	return !access("/dev/iommu", F_OK) &&
	       !access("/dev/vfio/devices", F_OK);
}

bool iommufd_or_skip(const char *what)
{
	if (iommufd_there())
		return true;
	skip("the kernel has no iommufd", "%s", what);
	return false;
}

int ioas_open(struct ioas *ioas)
{
	struct ioas_alloc alloc = { .size = sizeof(alloc) };

	ioas->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (ioas->fd < 0)
		return -errno;
	if (ioctl(ioas->fd, IOAS_ALLOC, &alloc)) {
		int ret = -errno;

		close(ioas->fd);
		return ret;
	}
	ioas->id = alloc.out_id;
	return 0;
}

void ioas_close(struct ioas *ioas)
{
	close(ioas->fd);
	ioas->fd = -1;
}

static int map(const struct ioas *ioas, unsigned long request, int fd,
	       uint64_t start, uint64_t length, uint64_t iova, bool write)
{
	struct ioas_map arg = {
		.size = sizeof(arg),
		.flags = MAP_FIXED_IOVA | MAP_READABLE |
			 (write ? MAP_WRITEABLE : 0),
		.id = ioas->id,
		.fd = fd,
		.start = start,
		.length = length,
		.iova = iova,
	};

	return ioctl(ioas->fd, request, &arg) ? -errno : 0;
}

int ioas_map_file(const struct ioas *ioas, int fd, uint64_t start,
		  uint64_t length, uint64_t iova)
{
	return map(ioas, IOAS_MAP_FILE, fd, start, length, iova, true);
}

int ioas_map_memory(const struct ioas *ioas, void *p, uint64_t length,
		    uint64_t iova)
{
	return ioas_map_memory_as(ioas, p, length, iova, true);
}

int ioas_map_memory_as(const struct ioas *ioas, void *p, uint64_t length,
		       uint64_t iova, bool write)
{
	return map(ioas, IOAS_MAP, 0, (uintptr_t)p, length, iova, write);
}

int ioas_unmap(const struct ioas *ioas, uint64_t iova, uint64_t length)
{
	struct ioas_unmap arg = {
		.size = sizeof(arg),
		.id = ioas->id,
		.iova = iova,
		.length = length,
	};

	return ioctl(ioas->fd, IOAS_UNMAP, &arg) ? -errno : 0;
}

static int open_node(const char *bdf)
{
	char path[300];
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (fd == -ENOENT && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.32s",
			 entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	closedir(dir);
	return fd;
}

int dev_open_by_cdev_bound(struct dev *d, const char *bdf,
			   const struct ioas *ioas)
{
	struct device_bind bind = {
		.argsz = sizeof(bind), .iommufd = ioas->fd,
	};
	struct device_attach attach = {
		.argsz = sizeof(attach), .id = ioas->id,
	};
	int ret;

	memset(d, 0, sizeof(*d));
	snprintf(d->bdf, sizeof(d->bdf), "%s", bdf);
	d->container = d->group = -1;
	d->fd = open_node(bdf);
	if (d->fd < 0)
		return d->fd;
	if (ioctl(d->fd, DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(d->fd, DEVICE_ATTACH_IOMMUFD, &attach)) {
		ret = -errno;
		dev_close(d);
		return ret;
	}
	ret = dev_regions(d);
	if (ret)
		dev_close(d);
	return ret;
}

int dev_open_by_cdev(struct dev *d, const char *bdf, const struct ioas *ioas)
{
	int ret = pci_bind(bdf, pci_lender());

	if (ret)
		return ret;
	ret = dev_open_by_cdev_bound(d, bdf, ioas);
	return ret ?: dev_set_memory(d, true);
}
