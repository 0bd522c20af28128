// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * One PCI device, from its folder in sysfs.
 *
 * Only what cannot be missing is an error; a device may vanish while it is
 * read, and -ENODEV says so.
 */
#include "topology.h"

#include <dirent.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ioport flags of the "resource" file, from the kernel's <linux/ioport.h>. */
#define IORESOURCE_IO		0x00000100ULL
#define IORESOURCE_MEM		0x00000200ULL
#define IORESOURCE_PREFETCH	0x00002000ULL
#define IORESOURCE_MEM_64	0x00100000ULL
#define IORESOURCE_UNSET	0x20000000ULL

static int attribute(const struct barter_pci *pci, const char *name,
		     char *text, size_t length)
{
	char path[BARTER_PATH_LENGTH];
	int ret = barter_path_sysfs(path, sizeof(path),
				    "bus/pci/devices/%s/%s", pci->name, name);

	return ret ? ret : barter_file_read(path, text, length);
}

static int attribute_number(const struct barter_pci *pci, const char *name,
			    unsigned long *value)
{
	char text[32], *end;
	int ret = attribute(pci, name, text, sizeof(text));

	if (ret)
		return ret;
	*value = strtoul(text, &end, 0);
	return end == text ? -EINVAL : 0;
}

static void attribute_link(const struct barter_pci *pci, const char *name,
			   char *text, size_t length)
{
	char path[BARTER_PATH_LENGTH];

	if (barter_path_sysfs(path, sizeof(path), "bus/pci/devices/%s/%s",
			      pci->name, name) ||
	    barter_link_name(path, text, length))
		text[0] = '\0';
}

static void read_bars(struct barter_pci *pci)
{
	char text[4096], *line, *next;
	uint32_t index;

	if (attribute(pci, "resource", text, sizeof(text)))
		return;
	for (index = 0, line = text; index < BARTER_BARS; index++) {
		unsigned long long first, last, flags;
		struct barter_bar *bar = &pci->bars[index];

		next = strchr(line, '\n');
		if (sscanf(line, "%llx %llx %llx", &first, &last, &flags) == 3 &&
		    flags & (IORESOURCE_IO | IORESOURCE_MEM) && last >= first) {
			bar->index = index;
			bar->length = last - first + 1;
			bar->flags =
				(flags & IORESOURCE_MEM ? BARTER_BAR_MEMORY : 0) |
				(flags & IORESOURCE_PREFETCH ?
				 BARTER_BAR_PREFETCH : 0) |
				(flags & IORESOURCE_MEM_64 ? BARTER_BAR_64 : 0) |
				(flags & IORESOURCE_UNSET ?
				 BARTER_BAR_UNASSIGNED : 0);
		}
		if (!next)
			break;
		line = next + 1;
	}
}

/*
 * Where the device hangs: its real folder is
 * .../devices/pci0000:00/0000:00:01.0/0000:01:00.0, the host bridge first and
 * then each bridge on the way down.
 */
static int read_place(struct barter_pci *pci)
{
	char path[BARTER_PATH_LENGTH], *real, *part, *rest = NULL;
	struct barter_bdf bdf;
	int ret;

	ret = barter_path_sysfs(path, sizeof(path), "bus/pci/devices/%s",
				pci->name);
	if (ret)
		return ret;
	real = realpath(path, NULL);
	if (!real)
		return errno == ENOENT ? -ENODEV : -errno;
	for (part = strtok_r(real, "/", &rest); part;
	     part = strtok_r(NULL, "/", &rest)) {
		if (!strncmp(part, "pci", 3) && strchr(part, ':'))
			snprintf(pci->root, sizeof(pci->root), "%.31s", part);
		else if (strcmp(part, pci->name) &&
			 !barter_bdf_parse(part, &bdf))
			barter_bdf_format(&bdf, pci->parent_name);
	}
	free(real);
	return 0;
}

static void read_group(struct barter_pci *pci)
{
	char path[BARTER_PATH_LENGTH], number[32], *end;

	pci->group = -1;
	attribute_link(pci, "iommu_group", number, sizeof(number));
	if (!number[0])
		return;
	pci->group = (int)strtol(number, &end, 10);
	if (*end) {
		pci->group = -1;
		return;
	}
	if (barter_path_sysfs(path, sizeof(path), "kernel/iommu_groups/%d/type",
			      pci->group) ||
	    barter_file_read(path, pci->group_type, sizeof(pci->group_type)))
		pci->group_type[0] = '\0';
}

static void read_vfio_node(struct barter_pci *pci)
{
	char path[BARTER_PATH_LENGTH];
	struct dirent *entry;
	DIR *dir = NULL;

	if (!barter_path_sysfs(path, sizeof(path),
			       "bus/pci/devices/%s/vfio-dev", pci->name))
		dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		if (!barter_path_dev(path, sizeof(path), "vfio/devices/%s",
				     entry->d_name) && !access(path, F_OK))
			snprintf(pci->vfio_node, sizeof(pci->vfio_node),
				 "vfio/devices/%.40s", entry->d_name);
		break;
	}
	if (dir)
		closedir(dir);
	if (pci->vfio_node[0] || pci->group < 0)
		return;
	if (!barter_path_dev(path, sizeof(path), "vfio/%d", pci->group) &&
	    !access(path, F_OK))
		snprintf(pci->vfio_node, sizeof(pci->vfio_node), "vfio/%d",
			 pci->group);
}

/* Fill @pci, of which only the name is set. */
int barter_pci_read(struct barter_pci *pci)
{
	unsigned long vendor, device, class_code;
	int ret;

	ret = barter_bdf_parse(pci->name, &pci->bdf);
	if (!ret)
		ret = attribute_number(pci, "vendor", &vendor);
	if (!ret)
		ret = attribute_number(pci, "device", &device);
	if (!ret)
		ret = attribute_number(pci, "class", &class_code);
	if (!ret)
		ret = read_place(pci);
	if (ret)
		return ret == -ENOENT ? -ENODEV : ret;
	pci->vendor = (uint16_t)vendor;
	pci->device = (uint16_t)device;
	pci->class_code = (uint32_t)class_code & 0xffffff;
	attribute_link(pci, "driver", pci->driver, sizeof(pci->driver));
	if (attribute(pci, "driver_override", pci->override,
		      sizeof(pci->override)) ||
	    !strcmp(pci->override, "(null)"))
		pci->override[0] = '\0';
	read_bars(pci);
	read_group(pci);
	read_vfio_node(pci);
	return 0;
}

BARTER_API const char *barter_pci_name(const struct barter_pci *pci)
{
	return pci->name;
}

BARTER_API struct barter_bdf barter_pci_bdf(const struct barter_pci *pci)
{
	return pci->bdf;
}

BARTER_API uint16_t barter_pci_vendor(const struct barter_pci *pci)
{
	return pci->vendor;
}

BARTER_API uint16_t barter_pci_device(const struct barter_pci *pci)
{
	return pci->device;
}

BARTER_API uint32_t barter_pci_class(const struct barter_pci *pci)
{
	return pci->class_code;
}

BARTER_API const char *barter_pci_driver(const struct barter_pci *pci)
{
	return pci->driver[0] ? pci->driver : NULL;
}

BARTER_API const char *barter_pci_override(const struct barter_pci *pci)
{
	return pci->override[0] ? pci->override : NULL;
}

BARTER_API int barter_pci_group(const struct barter_pci *pci)
{
	return pci->group;
}

BARTER_API const char *barter_pci_group_type(const struct barter_pci *pci)
{
	return pci->group_type[0] ? pci->group_type : NULL;
}

BARTER_API const struct barter_pci *barter_pci_parent(
		const struct barter_pci *pci)
{
	return pci->parent;
}

BARTER_API const char *barter_pci_root(const struct barter_pci *pci)
{
	return pci->root;
}

BARTER_API const char *barter_pci_vfio_node(const struct barter_pci *pci)
{
	return pci->vfio_node[0] ? pci->vfio_node : NULL;
}

BARTER_API int barter_pci_bar(const struct barter_pci *pci, uint32_t index,
			      struct barter_bar *bar)
{
	if (index >= BARTER_BARS)
		return -EINVAL;
	if (!pci->bars[index].length)
		return -ENODEV;
	*bar = pci->bars[index];
	return 0;
}
