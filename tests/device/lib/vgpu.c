// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * vGPUs and their guests, see vgpu.h.
 */
#define _GNU_SOURCE
#include "vgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "access.h"
#include "pci.h"
#include "tap.h"
#include "tester.h"
#include "typed.h"

int vt_file = -1;

static int call(int fd, unsigned long nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int vt_open(void)
{
	int fd = open("/dev/barter-test-vgpu", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		tap_bail("/dev/barter-test-vgpu: %s", strerror(errno));
	if (vt_file < 0)
		vt_file = fd;
	return fd;
}

int vt_map(uint32_t space, uint64_t iova, uint64_t npages, uint32_t prot,
	   uint32_t device, struct vt_map *map)
{
	struct vt_map own;

	map = map ? map : &own;
	*map = (struct vt_map){
		.space = space, .iova = iova, .npages = npages, .prot = prot,
		.device = device,
	};
	return call(vt_file, VT_MAP, map);
}

int vt_unmap(uint32_t space, uint32_t id)
{
	struct vt_id req = { .space = space, .id = id };

	return call(vt_file, VT_UNMAP, &req);
}

int vt_unmap_many(uint32_t space, const uint32_t *ids, uint32_t nr)
{
	struct vt_many req = {
		.space = space, .nr = nr, .ids = (uintptr_t)ids,
	};

	return call(vt_file, VT_UNMAP_MANY, &req);
}

int vt_look(uint32_t space, uint32_t id, uint64_t index, struct vt_look *look)
{
	*look = (struct vt_look){
		.space = space, .id = id, .index = index, .poke = look->poke,
		.value = look->value,
	};
	return call(vt_file, VT_LOOK, look);
}

struct vt_stat vt_stat(uint32_t space)
{
	struct vt_stat stat = { .space = space };
	int ret = call(vt_file, VT_STAT, &stat);

	if (ret)
		tap_bail("VT_STAT: %s", strerror(-ret));
	return stat;
}

int vt_copy(uint32_t space, uint64_t iova, void *buffer, uint64_t n, bool write)
{
	struct vt_copy req = {
		.space = space, .write = write, .iova = iova,
		.buffer = (uintptr_t)buffer, .length = n,
	};

	return call(vt_file, VT_COPY, &req);
}

int vt_behave(uint32_t space, uint32_t behaviour, uint32_t delay_ms)
{
	struct vt_setup req = {
		.space = space, .behaviour = behaviour, .delay_ms = delay_ms,
	};

	return call(vt_file, VT_SETUP, &req);
}

int vt_segments(uint32_t longest, uint64_t boundary)
{
	struct typed_bdf edu = typed_bdf(edu_bdf());
	struct vt_setup req = {
		.space = VT_VFIO0, .max_segment = longest, .boundary = boundary,
		.domain = edu.domain, .bus = edu.bus, .devfn = edu.devfn,
	};

	return call(vt_file, VT_SETUP, &req);
}

int vt_letgo(uint32_t space)
{
	return call(vt_file, VT_LETGO, (void *)(uintptr_t)space);
}

int vt_revoke(uint32_t space, uint32_t device)
{
	struct vt_id req = { .space = space, .id = device };

	return call(vt_file, VT_REVOKE, &req);
}

int vt_mock(uint32_t op, uint32_t arg, uint64_t first, uint64_t npages,
	    struct vt_mock *result)
{
	struct vt_mock own;

	result = result ? result : &own;
	*result = (struct vt_mock){
		.op = op, .arg = arg, .first = first, .npages = npages,
	};
	return call(vt_file, VT_MOCK_CALL, result);
}

int vt_time(struct vt_time *time)
{
	return call(vt_file, VT_TIME, time);
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int group_of(unsigned int device)
{
	char path[128], target[256];
	ssize_t n;

	snprintf(path, sizeof(path),
		 "/sys/bus/platform/devices/barter-vgpu-test.%u/iommu_group",
		 device);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

int guest_device(struct guest *g, unsigned int device)
{
	char name[64];

	snprintf(name, sizeof(name), "barter-vgpu-test.%u", device);
	g->fd = ioctl(g->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (g->fd < 0)
		g->fd = -errno;
	return g->fd;
}

int guest_open(struct guest *g, unsigned int device, const struct guest *other,
	       bool iommufd)
{
	char path[64];
	int nr = group_of(device), ret;

	*g = (struct guest){ -1, -1, -1 };
	snprintf(path, sizeof(path), "/dev/vfio/%d", nr);
	g->container = other ? dup(other->container) :
		open_node(iommufd ? "/dev/iommu" : "/dev/vfio/vfio");
	g->group = nr < 0 ? nr : open_node(path);
	ret = g->container < 0 ? g->container : g->group;
	if (ret >= 0)
		ret = call(g->group, VFIO_GROUP_SET_CONTAINER, &g->container);
	if (ret >= 0 && !other)
		ret = call(g->container, VFIO_SET_IOMMU,
			   (void *)VFIO_TYPE1v2_IOMMU);
	if (ret >= 0)
		ret = guest_device(g, device);
	if (ret < 0)
		guest_close(g);
	return ret < 0 ? ret : 0;
}

void guest_close(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	if (g->group >= 0)
		close(g->group);
	if (g->container >= 0)
		close(g->container);
	*g = (struct guest){ -1, -1, -1 };
}

int guest_map(const struct guest *g, const volatile void *p, uint64_t iova,
	      uint64_t n, bool write)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .vaddr = (uintptr_t)p, .iova = iova,
		.size = n,
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 (write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
	};

	return call(g->container, VFIO_IOMMU_MAP_DMA, &map);
}

int guest_unmap(const struct guest *g, uint64_t iova, uint64_t n)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = n,
	};
	int ret = call(g->container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	return ret ? ret : unmap.size == n ? 0 : -ERANGE;
}

unsigned long runs_of(const volatile void *p, unsigned long npages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned long runs = 0;
	uint64_t entry, pfn, last = 0;

	for (unsigned long i = 0; i < npages; i++) {
		off_t at = (off_t)(((uintptr_t)p / PAGE + i) * sizeof(entry));

		if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
			break;
		pfn = entry & ((1ull << 55) - 1);
		if (!(entry >> 63) || !pfn)
			break;
		runs += !i || pfn != last + 1;
		last = pfn;
	}
	close(fd);
	return runs;
}
