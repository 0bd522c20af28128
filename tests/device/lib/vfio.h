/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A VFIO device by its raw ABI: group and type1 container, no library between
 * the test and the kernel.
 */
#ifndef TESTS_VFIO_H
#define TESTS_VFIO_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci.h"

struct dev {
	char bdf[BDF_LENGTH];
	int container;
	int group;
	int fd;
	bool borrowed;		/* container and group belong to another dev */
	uint64_t config;	/* offset of config space in @fd */
	uint64_t length[6];	/* of each BAR, 0 where there is none */
	uint64_t offset[6];	/* of each BAR in @fd */
	uint32_t flags[6];	/* VFIO_REGION_INFO_FLAG_* */
};

/* Bind to the lender and open. Memory decoding is on afterwards. */
int dev_open(struct dev *d, const char *bdf);
/* The same in the group and container of @other. */
int dev_open_in(struct dev *d, const char *bdf, const struct dev *other);
/* As dev_open(), but leave the driver that is bound, and COMMAND. */
int dev_open_bound(struct dev *d, const char *bdf);
/* Group and container alone, without the device itself. */
int dev_open_group(struct dev *d, const char *bdf);
void dev_close(struct dev *d);

/* Fill in what VFIO says of the regions of an open device. */
int dev_regions(struct dev *d);
int dev_region(const struct dev *d, uint32_t index,
	       struct vfio_region_info *info);
int dev_read(const struct dev *d, unsigned int offset, void *data, size_t n);
/* 0 if all @n bytes were written; -EIO for less. */
int dev_write(const struct dev *d, unsigned int offset, const void *data,
	      size_t n);
uint16_t dev_command(const struct dev *d);
int dev_set_memory(const struct dev *d, bool on);
/* Offset of a PCI capability in config space, 0 if absent. */
unsigned int dev_capability(const struct dev *d, uint8_t id);

/*
 * Can a BAR be mapped through VFIO? Not on a 32-bit kernel, except BAR 0: it takes
 * no offset beyond 4 GiB there. dev_map() goes by sysfs then, and that shows the same
 * memory, but knows nothing of VFIO's revokes.
 */
bool dev_maps_bar(const struct dev *d, int bar);
void *dev_map(const struct dev *d, int bar, uint64_t offset, size_t n);
int dev_reset(const struct dev *d);
int dev_hot_reset(const struct dev *d);
/* VFIO_DEVICE_FEATURE with no data, e.g. low power. */
int dev_feature_set(const struct dev *d, unsigned int feature);

/* Map @n bytes of our memory for the device's DMA; and back. */
int dev_dma_map(const struct dev *d, void *p, uint64_t iova, uint64_t n);
/* How many bytes were unmapped, or -errno. */
int64_t dev_dma_unmap(const struct dev *d, uint64_t iova, uint64_t n);

#endif
