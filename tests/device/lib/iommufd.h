/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * iommufd and VFIO's character devices by their raw ABI. The kernel's header
 * may be older than iommufd, so what is used of it is spelt out in the .c file.
 */
#ifndef TESTS_IOMMUFD_H
#define TESTS_IOMMUFD_H

#include <stdbool.h>
#include <stdint.h>

#include "vfio.h"

/* Where devices do DMA. */
struct ioas {
	int fd;
	uint32_t id;
};

/* Does this kernel have iommufd and VFIO's character devices? */
bool iommufd_there(void);
/* The same, and if it has none says that @what is skipped, so that it is not forgotten. */
bool iommufd_or_skip(const char *what);
int ioas_open(struct ioas *ioas);
void ioas_close(struct ioas *ioas);
/* At a fixed @iova, for reading and writing. */
int ioas_map_file(const struct ioas *ioas, int fd, uint64_t start,
		  uint64_t length, uint64_t iova);
int ioas_map_memory(const struct ioas *ioas, void *p, uint64_t length,
		    uint64_t iova);
/* The same, for writing only if @write. */
int ioas_map_memory_as(const struct ioas *ioas, void *p, uint64_t length,
		       uint64_t iova, bool write);
int ioas_unmap(const struct ioas *ioas, uint64_t iova, uint64_t length);

/* As dev_open() and dev_open_bound(), by the character device. */
int dev_open_by_cdev(struct dev *d, const char *bdf, const struct ioas *ioas);
int dev_open_by_cdev_bound(struct dev *d, const char *bdf,
			   const struct ioas *ioas);

#endif
