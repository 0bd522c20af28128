/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The kernel's own buffers beside barter's: who made a buffer, what feature 11
 * is told to give, and barter's own numbers.
 */
#ifndef TESTS_NATIVE_H
#define TESTS_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

#define BARTERS	"barter"
#define NATIVE	"vfio_pci_core"

/* The module of a dma-buf's exporter; "" for what is none. */
const char *exporter_of(int fd);

/* The parameter feature11: what it shows, and 0 or -errno for writing it. */
void feature11_read(char *text, size_t size);
int feature11_write(const char *text);

/* BARTER_FEATURE_NATIVE or feature 11 with one range; fd or -errno. */
int native_export(const struct dev *d, uint32_t feature, int bar,
		  uint64_t offset, uint64_t n);
/* BARTER_FEATURE_EXPORT; fd or -errno. */
int own_export(const struct dev *d, int bar,
	       const struct vfio_region_dma_range *ranges, uint32_t nr);

/*
 * Does the kernel have an exporter of its own? Asked of the kernel's own
 * vfio-pci, to which device @bdf is bound for it.
 */
bool kernel_exports(const char *bdf);

#endif
