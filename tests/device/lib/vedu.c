// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * vEDUs and their guests, see vedu.h.
 */
#define _GNU_SOURCE
#include "vedu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pci.h"
#include "proc.h"

#define TYPES	"/sys/bus/pci/devices/%s/mdev_supported_types/" VEDU_DRIVER "-%s"
#define DEVICE_BIND_IOMMUFD	_IO(';', 100 + 18)
#define DEVICE_ATTACH_IOMMUFD	_IO(';', 100 + 19)

static void uuid_of(unsigned int nr, char uuid[40])
{
	snprintf(uuid, 40, VEDU_UUID, nr % 100);
}

int vedu_create(const char *edu, const char *type, unsigned int nr)
{
	char uuid[40];

	uuid_of(nr, uuid);
	return sysfs_put(uuid, TYPES "/create", edu, type);
}

int vedu_remove(unsigned int nr)
{
	char uuid[40];

	uuid_of(nr, uuid);
	return sysfs_put("1", "/sys/bus/mdev/devices/%s/remove", uuid);
}

int vedu_available(const char *edu, const char *type)
{
	char text[32];
	int ret = sysfs_read(text, sizeof(text), TYPES "/available_instances", edu, type);

	return ret < 0 ? ret : atoi(text);
}

static int open_group(const char *uuid, const struct guest *other, struct guest *g)
{
	char path[128], link[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%.16s", strrchr(link, '/') + 1);
	g->d.group = open(path, O_RDWR | O_CLOEXEC);
	if (g->d.group < 0)
		return -errno;
	g->d.container = other ? dup(other->d.container) :
				 open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (ioctl(g->d.group, VFIO_GROUP_SET_CONTAINER, &g->d.container))
		return -errno;
	if (!other && ioctl(g->d.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	g->d.fd = ioctl(g->d.group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	return g->d.fd < 0 ? -errno : 0;
}

static int open_cdev(const char *uuid, const struct guest *other, struct guest *g)
{
	struct { uint32_t argsz, flags; int32_t fd; uint32_t id; } bind;
	struct { uint32_t argsz, flags, id; } attach;
	struct dirent *entry;
	char path[300];
	int ret;
	DIR *dir;

	if (other) {
		g->ioas.id = other->ioas.id;
		g->ioas.fd = dup(other->ioas.fd);
	} else {
		ret = ioas_open(&g->ioas);
		if (ret)
			return ret;
	}
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/vfio-dev", uuid);
	dir = opendir(path);
	while (dir && g->d.fd < 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.32s", entry->d_name);
		g->d.fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	if (g->d.fd < 0)
		return -errno;
	memset(&bind, 0, sizeof(bind));
	bind.argsz = sizeof(bind);
	bind.fd = g->ioas.fd;
	memset(&attach, 0, sizeof(attach));
	attach.argsz = sizeof(attach);
	attach.id = g->ioas.id;
	if (ioctl(g->d.fd, DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(g->d.fd, DEVICE_ATTACH_IOMMUFD, &attach))
		return -errno;
	return 0;
}

static int set_eventfd(const struct guest *g, uint32_t index, int fd)
{
	struct { struct vfio_irq_set h; int32_t fd; } arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = index,
			.count = 1,
		},
		.fd = fd,
	};

	return ioctl(g->d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0;
}

static int guest_start(struct guest *g)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	int ret = dev_regions(&g->d);

	g->irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	g->request = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = ret ?: set_eventfd(g, VFIO_PCI_MSI_IRQ_INDEX, g->irq);
	ret = ret ?: set_eventfd(g, VFIO_PCI_REQ_IRQ_INDEX, g->request);
	ret = ret ?: dev_write(&g->d, PCI_COMMAND, &command, 2);
	return ret ?: vedu_set(g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE);
}

static int guest_open_by(struct guest *g, unsigned int nr, bool by_iommufd,
			 const struct guest *other)
{
	char uuid[40];
	int ret;

	memset(g, 0, sizeof(*g));
	g->nr = nr;
	g->by_iommufd = by_iommufd;
	g->d.fd = g->d.group = g->d.container = g->ioas.fd = g->irq = g->request = -1;
	uuid_of(nr, uuid);
	ret = by_iommufd ? open_cdev(uuid, other, g) : open_group(uuid, other, g);
	ret = ret ?: guest_start(g);
	if (ret)
		vedu_close(g);
	return ret;
}

int vedu_open(struct guest *g, unsigned int nr, bool by_iommufd)
{
	return guest_open_by(g, nr, by_iommufd, NULL);
}

int vedu_open_beside(struct guest *g, unsigned int nr, const struct guest *other)
{
	return guest_open_by(g, nr, other->by_iommufd, other);
}

void vedu_close(struct guest *g)
{
	dev_close(&g->d);
	if (g->ioas.fd >= 0)
		ioas_close(&g->ioas);
	if (g->irq >= 0)
		close(g->irq);
	if (g->request >= 0)
		close(g->request);
	g->irq = g->request = -1;
}

int vedu_map(const struct guest *g, void *p, uint64_t iova, uint64_t n, bool write)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 (write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)p,
		.iova = iova,
		.size = n,
	};

	if (g->by_iommufd)
		return ioas_map_memory_as(&g->ioas, p, n, iova, write);
	return ioctl(g->d.container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int vedu_unmap(const struct guest *g, uint64_t iova, uint64_t n)
{
	int64_t ret;

	if (g->by_iommufd)
		return ioas_unmap(&g->ioas, iova, n);
	ret = dev_dma_unmap(&g->d, iova, n);
	return ret < 0 ? (int)ret : 0;
}

static int bar0(const struct guest *g, bool write, unsigned int at, void *data, size_t n)
{
	off_t pos = (off_t)(g->d.offset[0] + at);
	ssize_t done = write ? pwrite(g->d.fd, data, n, pos) :
			       pread(g->d.fd, data, n, pos);

	return done == (ssize_t)n ? 0 : done < 0 ? -errno : -EIO;
}

uint32_t vedu_get(const struct guest *g, unsigned int reg)
{
	uint32_t value = ~0u;

	bar0(g, false, reg, &value, 4);
	return value;
}

uint64_t vedu_get64(const struct guest *g, unsigned int reg)
{
	uint64_t value = ~0ull;

	bar0(g, false, reg, &value, 8);
	return value;
}

int vedu_set(const struct guest *g, unsigned int reg, uint32_t value)
{
	return bar0(g, true, reg, &value, 4);
}

unsigned int vedu_submit(struct guest *g, const struct barter_vedu_command *cmd)
{
	unsigned int slot = g->tail;

	bar0(g, true, BARTER_VEDU_RING + slot * sizeof(*cmd), (void *)cmd, sizeof(*cmd));
	g->tail = (slot + 1) % BARTER_VEDU_NR_SLOTS;
	vedu_set(g, BARTER_VEDU_TAIL, g->tail);
	return slot;
}

int vedu_wait(const struct guest *g, unsigned int slot, uint64_t *value, int ms)
{
	struct barter_vedu_command cmd = { 0 };
	bool over;

	WAIT_FOR(over, !bar0(g, false, BARTER_VEDU_RING + slot * sizeof(cmd), &cmd,
			     sizeof(cmd)) && cmd.out_status, ms);
	if (value)
		*value = cmd.out_value;
	return over ? (int)cmd.out_status : -ETIMEDOUT;
}

int vedu_run(struct guest *g, const struct barter_vedu_command *cmd, uint64_t *value)
{
	return vedu_wait(g, vedu_submit(g, cmd), value, 60000);
}

int vedu_copy(struct guest *g, uint64_t dst, uint64_t src, uint64_t n)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_COPY, .src = src, .dst = dst, .length = n,
	};

	return vedu_run(g, &cmd, NULL);
}

int vedu_fill(struct guest *g, uint64_t dst, uint64_t n, uint64_t value)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_FILL, .dst = dst, .length = n, .value = value,
	};

	return vedu_run(g, &cmd, NULL);
}

int vedu_hold(struct guest *g, uint64_t iova, uint64_t n, uint64_t *segments)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_HOLD, .src = iova, .length = n,
	};

	return vedu_run(g, &cmd, segments);
}

int vedu_release(struct guest *g, uint64_t iova, uint64_t n)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_RELEASE, .src = iova, .length = n,
	};

	return vedu_run(g, &cmd, NULL);
}

uint64_t fnv1a(const void *p, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	const uint8_t *bytes = p;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	return hash;
}

long pages_pinned(void)
{
	long value, acquired = 0, released = 0;
	char name[64];
	FILE *f;

	/* Each CPU has counts of its own, that are added up now and then, and by this. */
	sysfs_put("1", "/proc/sys/vm/stat_refresh");
	f = fopen("/proc/vmstat", "re");
	while (f && fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			acquired = value;
		if (!strcmp(name, "nr_foll_pin_released"))
			released = value;
	}
	if (f)
		fclose(f);
	return acquired - released;
}

long pages_pinned_are(long want, int ms)
{
	bool there;

	WAIT_FOR(there, pages_pinned() == want, ms);
	return there ? want : pages_pinned();
}

long memory_locked(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}
