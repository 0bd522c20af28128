/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample importer over edu's DMA engine, /dev/barter-dma0.
 */
#ifndef TESTS_EDU_H
#define TESTS_EDU_H

#include <linux/barter-dma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDU_CHUNK	2048	/* one transfer, 100 ms */

/* The device file, or -errno. */
int edu_open(void);
/*
 * Bind edu's driver anew, with an IOMMU domain of its own or with the kernel's.
 * 0 or -errno.
 */
int edu_own_domain(bool own);
int edu_import(int edu, int dmabuf);
/* 0 or -errno; @done may be NULL. */
int edu_copy(int edu, uint32_t flags, uint64_t offset, void *user, size_t n,
	     uint64_t *done);
static inline int edu_read(int edu, uint64_t offset, void *to, size_t n)
{
	return edu_copy(edu, 0, offset, to, n, NULL);
}
static inline int edu_write(int edu, uint64_t offset, void *from, size_t n)
{
	return edu_copy(edu, BARTER_DMA_F_TO_BUFFER, offset, from, n, NULL);
}
struct barter_dma_status edu_status(int edu);

#endif
