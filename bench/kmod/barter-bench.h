/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * /dev/barter-bench: how long does it take, and how often does it happen. One
 * call measures one thing, over and over.
 */
#ifndef BARTER_BENCH_H
#define BARTER_BENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BARTER_BENCH_SAMPLES	32

enum {
	/* By an importer that is not registered: attach, detach, negotiate, undo. */
	BARTER_BENCH_ATTACH_PLAIN,
	/* By one that is, and that lists three types: the same. */
	BARTER_BENCH_ATTACH_KNOWN,
	/* Map and unmap as DMA addresses; counts of what the IOMMU was sent. */
	BARTER_BENCH_SGT,
	/*
	 * Map and unmap in an own domain; the same. As third step: ask of each page
	 * whether it is in use, before anything is mapped.
	 */
	BARTER_BENCH_DOMAIN,
	/* Map and unmap as pieces of a BAR; counts of allocations. */
	BARTER_BENCH_BAR,
	BARTER_BENCH_NR,
};

/**
 * struct barter_bench - BARTER_BENCH_IOC_RUN
 * @what: BARTER_BENCH_*
 * @dmabuf_fd: the buffer
 * @domain: PCI address of the importer's device
 * @bus: of it
 * @devfn: of it
 * @samples: how many, at most BARTER_BENCH_SAMPLES
 * @batch: runs in each sample
 * @__reserved: 0
 * @out_ps: the time of one run in each sample, in picoseconds, by step
 * @out_counts: events in one run, by step; the most seen in any sample
 */
struct barter_bench {
	__u32 what;
	__s32 dmabuf_fd;
	__u32 domain;
	__u32 bus;
	__u32 devfn;
	__u32 samples;
	__u32 batch;
	__u32 __reserved;
	__aligned_u64 out_ps[4][BARTER_BENCH_SAMPLES];
	__aligned_u64 out_counts[2];
};

#define BARTER_BENCH_IOC_RUN	_IO(0xBD, 0)

/* What a file's importers do; there is one crowd to a file. */
enum {
	BARTER_BENCH_GATHER,	/* attach, all of them, and map if asked to */
	BARTER_BENCH_MAP_AGAIN,	/* those that were told to unmap */
	BARTER_BENCH_DISSOLVE,	/* unmap and detach all */
};

#define BARTER_BENCH_CROWD	1024

/**
 * struct barter_bench_crowd - BARTER_BENCH_IOC_CROWD
 * @action: BARTER_BENCH_GATHER, and so on; what follows is for that
 * @dmabuf_fd: the buffer, of whomever
 * @domain: PCI address of the importers' device
 * @bus: of it
 * @devfn: of it
 * @nr: how many, at most BARTER_BENCH_CROWD
 * @map: 1: map too
 * @__reserved: 0
 * @out_attach_ps: of one of them, on average
 * @out_map_ps: likewise
 * @out_unmap_ps: likewise, when dissolved
 * @out_detach_ps: likewise
 */
struct barter_bench_crowd {
	__u32 action;
	__s32 dmabuf_fd;
	__u32 domain;
	__u32 bus;
	__u32 devfn;
	__u32 nr;
	__u32 map;
	__u32 __reserved;
	__aligned_u64 out_attach_ps;
	__aligned_u64 out_map_ps;
	__aligned_u64 out_unmap_ps;
	__aligned_u64 out_detach_ps;
};

#define BARTER_BENCH_IOC_CROWD	_IO(0xBD, 1)

#endif /* BARTER_BENCH_H */
