// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * PCI devices by way of sysfs, see pci.h.
 */
#define _GNU_SOURCE
#include "pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

const char *pci_lender(void)
{
	return getenv("BARTER_DRIVER") ?: "barter-vfio-pci";
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int sysfs_write(const char *text, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	printf("# %s < %s\n", path, text);
	fflush(stdout);
	return write_file(path, text);
}

int sysfs_put(const char *text, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return write_file(path, text);
}

int sysfs_read(char *text, size_t size, const char *fmt, ...)
{
	char path[256];
	ssize_t n;
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	text[0] = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return (int)n;
}

#define DMA_API "/sys/kernel/debug/dma-api/"

bool dma_is_debugged(void)
{
	char off[4];

	return sysfs_read(off, sizeof(off), DMA_API "disabled") > 0 && off[0] == 'N';
}

int dma_entries(void)
{
	char all[16], unused[16];

	if (!dma_is_debugged() || sysfs_read(all, sizeof(all), DMA_API "nr_total_entries") <= 0 ||
	    sysfs_read(unused, sizeof(unused), DMA_API "num_free_entries") <= 0)
		return -1;
	return atoi(all) - atoi(unused);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int pci_find(uint32_t id, unsigned int nth, char bdf[BDF_LENGTH])
{
	struct dirent **list;
	int n, ret = -ENODEV;

	n = scandir(DEVICES, &list, NULL, by_name);
	for (int i = 0; i < n; i++) {
		char vendor[16], device[16];

		if (list[i]->d_name[0] != '.' &&
		    sysfs_read(vendor, sizeof(vendor), DEVICES "/%s/vendor",
			       list[i]->d_name) > 0 &&
		    sysfs_read(device, sizeof(device), DEVICES "/%s/device",
			       list[i]->d_name) > 0 &&
		    strtoul(vendor, NULL, 16) << 16 == (id & 0xffff0000ul) &&
		    strtoul(device, NULL, 16) == (id & 0xffffu) &&
		    ret == -ENODEV && !nth--) {
			snprintf(bdf, BDF_LENGTH, "%.15s", list[i]->d_name);
			ret = 0;
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return ret;
}

static void link_name(const char *path, char *name, size_t size)
{
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	name[0] = 0;
	if (n < 0)
		return;
	target[n] = 0;
	snprintf(name, size, "%s", strrchr(target, '/') + 1);
}

void pci_driver(const char *bdf, char *name, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/driver", bdf);
	link_name(path, name, size);
}

void pci_parent(const char *bdf, char *name, size_t size)
{
	char path[128], *real, *slash;

	name[0] = 0;
	snprintf(path, sizeof(path), DEVICES "/%s", bdf);
	real = realpath(path, NULL);
	if (!real)
		return;
	slash = strrchr(real, '/');
	*slash = 0;
	slash = strrchr(real, '/') + 1;
	if (strncmp(slash, "pci", 3))
		snprintf(name, size, "%s", slash);
	free(real);
}

int pci_group(const char *bdf)
{
	char path[128], name[32];

	snprintf(path, sizeof(path), DEVICES "/%s/iommu_group", bdf);
	link_name(path, name, sizeof(name));
	return name[0] ? atoi(name) : -ENODEV;
}

int pci_exists(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s", bdf);
	return !access(path, F_OK);
}

int pci_unbind(const char *bdf)
{
	return sysfs_write(bdf, DEVICES "/%s/driver/unbind", bdf);
}

/*
 * Feature 11 is barter's here, also on kernels where it would be native. Only
 * the tests that are about native buffers ask for something else, later.
 */
static void choose_barters(const char *driver)
{
	static const char *const path =
		"/sys/module/barter_vfio_pci/parameters/feature11";
	char now[80];

	if (!strcmp(driver, pci_lender()) &&
	    sysfs_read(now, sizeof(now), "%s", path) > 0 &&
	    !strstr(now, "[barter]"))
		sysfs_write("barter", "%s", path);
}

int pci_bind(const char *bdf, const char *driver)
{
	char name[64];
	int ret;

	choose_barters(driver);
	pci_driver(bdf, name, sizeof(name));
	if (!strcmp(name, driver))
		return 0;
	if (name[0]) {
		ret = pci_unbind(bdf);
		if (ret)
			return ret;
	}
	ret = sysfs_write(driver, DEVICES "/%s/driver_override", bdf);
	if (ret)
		return ret;
	ret = sysfs_write(bdf, "/sys/bus/pci/drivers_probe");
	if (ret)
		return ret;
	pci_driver(bdf, name, sizeof(name));
	return strcmp(name, driver) ? -ENXIO : 0;
}

int pci_reset(const char *bdf)
{
	return sysfs_write("1", DEVICES "/%s/reset", bdf);
}

bool pci_can_reset(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/reset", bdf);
	return !access(path, W_OK);
}

int pci_remove(const char *bdf)
{
	return sysfs_write("1", DEVICES "/%s/remove", bdf);
}

int pci_rescan(void)
{
	return sysfs_write("1", "/sys/bus/pci/rescan");
}

uint64_t pci_bar(const char *bdf, int bar, uint64_t *length, uint64_t *flags)
{
	unsigned long long start = 0, end = 0, bits = 0;
	char path[128];
	FILE *f;

	*length = *flags = 0;
	snprintf(path, sizeof(path), DEVICES "/%s/resource", bdf);
	f = fopen(path, "re");
	if (!f)
		return 0;
	for (int i = 0; i <= bar; i++)
		if (fscanf(f, "%llx %llx %llx", &start, &end, &bits) != 3)
			start = end = bits = 0;
	fclose(f);
	if (!bits)
		return 0;
	*length = end - start + 1;
	*flags = bits;
	return start;
}

static int raw_config(const char *bdf, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/config", bdf);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int pci_raw_command(const char *bdf)
{
	uint16_t value = 0;
	int fd = raw_config(bdf, O_RDONLY), ret;

	if (fd < 0)
		return fd;
	ret = pread(fd, &value, 2, PCI_COMMAND) == 2 ? value : -EIO;
	close(fd);
	return ret;
}

int pci_raw_set_memory(const char *bdf, bool on)
{
	int fd = raw_config(bdf, O_RDWR), ret = 0;
	uint16_t value;

	if (fd < 0)
		return fd;
	if (pread(fd, &value, 2, PCI_COMMAND) != 2) {
		close(fd);
		return -EIO;
	}
	value = on ? value | PCI_COMMAND_MEMORY :
		value & (uint16_t)~PCI_COMMAND_MEMORY;
	if (pwrite(fd, &value, 2, PCI_COMMAND) != 2)
		ret = -EIO;
	close(fd);
	return ret;
}
