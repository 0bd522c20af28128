/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-bench know of each other.
 */
#ifndef BARTER_BENCH_KMOD_H
#define BARTER_BENCH_KMOD_H

#include <linux/dma-buf.h>
#include <linux/ktime.h>

#include "barter-bench.h"

struct barter_importer;
struct pci_dev;

/* What asking for the time takes, which is in every measurement. */
extern u64 bench_clock_ns;

static inline u64 bench_elapsed(u64 from, u64 to)
{
	return to - from > bench_clock_ns ? to - from - bench_clock_ns : 0;
}

/* attach.c */
extern const struct dma_buf_attach_ops bench_plain_ops;
extern struct barter_importer bench_importer, bench_bar_importer;
int bench_attach(struct dma_buf *dmabuf, struct pci_dev *pdev,
		 struct barter_bench *req);

/* map.c */
int bench_sgt(struct dma_buf *dmabuf, struct pci_dev *pdev,
	      struct barter_bench *req);
int bench_domain(struct dma_buf *dmabuf, struct pci_dev *pdev,
		 struct barter_bench *req);
int bench_bar(struct dma_buf *dmabuf, struct pci_dev *pdev,
	      struct barter_bench *req);

/* crowd.c */
struct bench_crowd;
int bench_crowd(struct bench_crowd **crowd, struct barter_bench_crowd *req);
void crowd_dissolve(struct bench_crowd *crowd, struct barter_bench_crowd *req);

/* count.c */
enum { COUNT_ALLOCATIONS, COUNT_IOMMU, COUNT_NR };
int count_init(void);
int count_begin(unsigned int what);
u64 count_read(void);
void count_end(unsigned int what);
void *count_symbol(const char *name);

#endif /* BARTER_BENCH_KMOD_H */
