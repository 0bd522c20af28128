/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Range arithmetic: what a caller asked for, checked and merged.
 *
 * No struct device here: the same source builds in user space, where it runs
 * under sanitizers and a fuzzer.
 *
 * Words: a *range* is what the caller gave, (offset, length) in a BAR. A *run*
 * is what is kept: neighbours that touch are merged into one, and each run
 * knows at which byte of the buffer it starts. @length is bytes, positions in
 * the buffer are called @pos, an @end is exclusive.
 */
#ifndef BARTER_CORE_RANGES_H
#define BARTER_CORE_RANGES_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "ranges_user.h"
#endif

struct barter_range;

/**
 * struct barter_run - one contiguous piece
 * @pos: first byte in the buffer
 * @offset: first byte in the BAR, or in the buffer that a slice was cut from
 * @length: bytes
 */
struct barter_run {
	u64 pos;
	u64 offset;
	u64 length;
};

/**
 * struct barter_ranges - all pieces of a buffer, in the buffer's order
 * @length: bytes of the whole buffer
 * @nr: number of @runs, at least 1
 * @runs: sorted by pos, without holes in pos
 */
struct barter_ranges {
	u64 length;
	u32 nr;
	struct barter_run runs[];
};

int barter_ranges_check(const struct barter_range *ranges, u32 nr,
			u64 bar_length, u32 *nr_runs, u64 *length);
void barter_ranges_fill(struct barter_ranges *out,
			const struct barter_range *ranges, u32 nr);
const struct barter_run *barter_ranges_find(const struct barter_ranges *r,
					    u64 pos);
int barter_ranges_cut_check(const struct barter_ranges *parent,
			    const struct barter_range *ranges, u32 nr,
			    u64 least, u32 *nr_runs, u64 *length);
void barter_ranges_cut_fill(struct barter_ranges *out,
			    const struct barter_ranges *parent,
			    const struct barter_range *ranges, u32 nr);
u64 barter_ranges_segments(const struct barter_ranges *r, u64 max_segment);
u64 barter_ranges_end(const struct barter_ranges *r);
const struct barter_run *barter_ranges_longest(const struct barter_ranges *r);
bool barter_ranges_contiguous(const struct barter_ranges *r, u64 bar_start,
			      u64 pos, u64 length, u64 *address);

#endif /* BARTER_CORE_RANGES_H */
