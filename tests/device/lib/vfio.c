// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A VFIO device by its raw ABI, see vfio.h.
 */
#define _GNU_SOURCE
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_group(const char *bdf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int nr = pci_group(bdf), fd;
	char path[64];

	if (nr < 0)
		return nr;
	snprintf(path, sizeof(path), "/dev/vfio/%d", nr);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

int dev_region(const struct dev *d, uint32_t index,
	       struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){
		.argsz = sizeof(*info), .index = index,
	};
	return ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, info) ? -errno : 0;
}

int dev_regions(struct dev *d)
{
	struct vfio_region_info info;
	int ret;

	for (unsigned int i = 0; i < 6; i++) {
		if (dev_region(d, i, &info))
			continue;
		d->length[i] = info.size;
		d->offset[i] = info.offset;
		d->flags[i] = info.flags;
	}
	ret = dev_region(d, VFIO_PCI_CONFIG_REGION_INDEX, &info);
	d->config = info.offset;
	return ret;
}

static int open_device(struct dev *d)
{
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
	return d->fd < 0 ? -errno : dev_regions(d);
}

int dev_open_group(struct dev *d, const char *bdf)
{
	int ret;

	memset(d, 0, sizeof(*d));
	snprintf(d->bdf, sizeof(d->bdf), "%s", bdf);
	d->fd = d->group = -1;
	d->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (d->container < 0)
		return -errno;
	ret = d->group = open_group(bdf);
	if (ret >= 0 &&
	    !ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) &&
	    !ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return 0;
	dev_close(d);
	return ret < 0 ? ret : -EIO;
}

int dev_open_bound(struct dev *d, const char *bdf)
{
	int ret = dev_open_group(d, bdf);

	if (ret)
		return ret;
	ret = open_device(d);
	if (ret)
		dev_close(d);
	return ret;
}

int dev_open(struct dev *d, const char *bdf)
{
	int ret = pci_bind(bdf, pci_lender());

	if (ret)
		return ret;
	ret = dev_open_bound(d, bdf);
	if (ret)
		return ret;
	return dev_set_memory(d, true);
}

int dev_open_in(struct dev *d, const char *bdf, const struct dev *other)
{
	int ret;

	memset(d, 0, sizeof(*d));
	snprintf(d->bdf, sizeof(d->bdf), "%s", bdf);
	d->borrowed = true;
	d->container = other->container;
	d->group = other->group;
	ret = open_device(d);
	return ret ?: dev_set_memory(d, true);
}

void dev_close(struct dev *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (!d->borrowed) {
		if (d->group >= 0)
			close(d->group);
		if (d->container >= 0)
			close(d->container);
	}
	d->fd = d->group = d->container = -1;
}

int dev_read(const struct dev *d, unsigned int offset, void *data, size_t n)
{
	ssize_t done = pread(d->fd, data, n, (off_t)(d->config + offset));

	return done < 0 ? -errno : (size_t)done == n ? 0 : -EIO;
}

int dev_write(const struct dev *d, unsigned int offset, const void *data,
	      size_t n)
{
	ssize_t done = pwrite(d->fd, data, n, (off_t)(d->config + offset));

	return done < 0 ? -errno : (size_t)done == n ? 0 : -EIO;
}

uint16_t dev_command(const struct dev *d)
{
	uint16_t value = 0;

	dev_read(d, PCI_COMMAND, &value, 2);
	return value;
}

int dev_set_memory(const struct dev *d, bool on)
{
	uint16_t value = dev_command(d);

	value = on ? value | PCI_COMMAND_MEMORY :
		value & (uint16_t)~PCI_COMMAND_MEMORY;
	return dev_write(d, PCI_COMMAND, &value, 2);
}

unsigned int dev_capability(const struct dev *d, uint8_t id)
{
	uint16_t status = 0;
	uint8_t pos = 0, entry[2];

	if (dev_read(d, PCI_STATUS, &status, 2) ||
	    !(status & PCI_STATUS_CAP_LIST) ||
	    dev_read(d, PCI_CAPABILITY_LIST, &pos, 1))
		return 0;
	for (int left = 48; pos && left; left--) {
		if (dev_read(d, pos, entry, 2))
			return 0;
		if (entry[0] == id)
			return pos;
		pos = entry[1];
	}
	return 0;
}

bool dev_maps_bar(const struct dev *d, int bar)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, d->fd,
		       (off_t)d->offset[bar]);

	if (p != MAP_FAILED)
		munmap(p, 4096);
	return p != MAP_FAILED || errno != EOVERFLOW || sizeof(long) > 4;
}

static void *map_by_sysfs(const struct dev *d, int bar, uint64_t offset,
			  size_t n)
{
	char path[80];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d",
		 d->bdf, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return MAP_FAILED;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)offset);
	close(fd);
	return p;
}

void *dev_map(const struct dev *d, int bar, uint64_t offset, size_t n)
{
	void *p = dev_maps_bar(d, bar) ?
		mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
		     (off_t)(d->offset[bar] + offset)) :
		map_by_sysfs(d, bar, offset, n);

	return p == MAP_FAILED ? NULL : p;
}

int dev_reset(const struct dev *d)
{
	return ioctl(d->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

int dev_hot_reset(const struct dev *d)
{
	struct {
		struct vfio_pci_hot_reset h;
		int32_t fd;
	} arg = {
		.h = { .argsz = sizeof(arg), .count = 1 },
		.fd = d->group,
	};

	return ioctl(d->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg) ? -errno : 0;
}

int dev_feature_set(const struct dev *d, unsigned int feature)
{
	struct vfio_device_feature arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DEVICE_FEATURE_SET | feature,
	};

	return ioctl(d->fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

int dev_dma_map(const struct dev *d, void *p, uint64_t iova, uint64_t n)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)p,
		.iova = iova,
		.size = n,
	};

	return ioctl(d->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int64_t dev_dma_unmap(const struct dev *d, uint64_t iova, uint64_t n)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = n,
	};

	if (ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -errno;
	return (int64_t)unmap.size;
}
