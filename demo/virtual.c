// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The guest of a virtual device, see virtual.h: VFIO by its raw ABI, a ring of commands.
 */
#include "virtual.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REGION(index)	((off_t)(index) << 40)

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int bind_engine(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	write_text(path, bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	return write_text(path, "barter-vedu") ?:
	       write_text("/sys/bus/pci/drivers_probe", bdf);
}

int virtual_make(const char *bdf, const char *uuid)
{
	char path[160];
	int ret = bind_engine(bdf);

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/mdev_supported_types/barter-vedu-engine/create",
		 bdf);
	return ret ?: write_text(path, uuid);
}

int virtual_destroy(const char *uuid)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
	return write_text(path, "1");
}

static int open_group(const char *uuid)
{
	char path[128], link[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%.16s", strrchr(link, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int virtual_open(struct virtual *v, const char *uuid)
{
	struct { struct vfio_irq_set h; int32_t fd; } irq = {
		.h = {
			.argsz = sizeof(irq),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSI_IRQ_INDEX,
			.count = 1,
		},
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	v->tail = 0;
	v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	v->group = open_group(uuid);
	if (v->container < 0 || v->group < 0)
		return -ENODEV;
	if (ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container) ||
	    ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	v->irq = eventfd(0, EFD_CLOEXEC);
	irq.fd = v->irq;
	if (v->device < 0 || ioctl(v->device, VFIO_DEVICE_SET_IRQS, &irq) ||
	    pwrite(v->device, &command, 2,
		   REGION(VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND) != 2)
		return -errno;
	return virtual_set(v, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE);
}

void virtual_close(struct virtual *v)
{
	close(v->irq);
	close(v->device);
	close(v->group);
	close(v->container);
}

int virtual_set(const struct virtual *v, unsigned int reg, uint32_t value)
{
	return pwrite(v->device, &value, 4, REGION(0) + reg) == 4 ? 0 : -EIO;
}

uint64_t virtual_get(const struct virtual *v, unsigned int reg)
{
	uint64_t value = 0;

	if (pread(v->device, &value, 8, REGION(0) + reg) != 8)
		give_up("a register cannot be read");
	return value;
}

int virtual_give(const struct virtual *v, void *memory, uint64_t address, uint64_t length)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = address,
		.size = length,
	};

	return ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int virtual_take(const struct virtual *v, uint64_t address, uint64_t length)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = address, .size = length,
	};

	return ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

unsigned int virtual_queue(struct virtual *v, const struct barter_vedu_command *command)
{
	unsigned int slot = v->tail;

	if (pwrite(v->device, command, sizeof(*command),
		   REGION(0) + BARTER_VEDU_RING + slot * sizeof(*command)) !=
	    sizeof(*command))
		give_up("the ring cannot be written");
	v->tail = (slot + 1) % BARTER_VEDU_NR_SLOTS;
	return slot;
}

void virtual_run(const struct virtual *v)
{
	virtual_set(v, BARTER_VEDU_TAIL, v->tail);
}

int virtual_wait(const struct virtual *v, int ms)
{
	struct pollfd poll_irq = { .fd = v->irq, .events = POLLIN };
	uint64_t events;

	if (poll(&poll_irq, 1, ms) != 1)
		return -ETIMEDOUT;
	return read(v->irq, &events, 8) == 8 ? 0 : -EIO;
}

uint32_t virtual_status(const struct virtual *v, unsigned int slot, uint64_t *value)
{
	struct barter_vedu_command command = { 0 };

	if (pread(v->device, &command, sizeof(command),
		  REGION(0) + BARTER_VEDU_RING + slot * sizeof(command)) !=
	    sizeof(command))
		give_up("the ring cannot be read");
	if (value)
		*value = command.out_value;
	return command.out_status;
}
