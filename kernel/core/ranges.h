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

#include <uapi/linux/barter.h>

/**
 * union barter_slot - an entry of a table: first a range, then a run
 * @range: as the caller gave it
 * @pos: first byte of the run in the buffer
 * @offset: first byte of the run in the BAR, or in the buffer that a slice was cut from
 *
 * How long a run is, the next one's @pos says. So a run takes no more room than a
 * range, and the table that the ranges were copied to becomes that of the runs.
 */
union barter_slot {
	struct barter_range range;
	struct {
		u64 pos;
		u64 offset;
	};
};

/**
 * struct barter_run - one contiguous piece, as it is looked at
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
 * @end: offset behind the highest byte of any run
 * @nr: number of runs, at least 1
 * @runs: sorted by pos, without holes in pos
 * @one: where a single run is, unless @runs is memory of its own (table.c)
 */
struct barter_ranges {
	u64 length;
	u64 end;
	u32 nr;
	const union barter_slot *runs;
	union barter_slot one;
};

/**
 * barter_ranges_run - look at a run
 * @r: the buffer's runs
 * @i: which one, below @r->nr
 *
 * Return: the run.
 */
static inline struct barter_run barter_ranges_run(const struct barter_ranges *r,
						  u32 i)
{
	const union barter_slot *slot = &r->runs[i];
	u64 end = i + 1 < r->nr ? slot[1].pos : r->length;

	return (struct barter_run){ slot->pos, slot->offset, end - slot->pos };
}

int barter_ranges_take(struct barter_ranges *out, union barter_slot *table,
		       u32 nr, u64 bar_length);
bool barter_ranges_find(const struct barter_ranges *r, u64 pos,
			struct barter_run *run);
struct barter_run barter_ranges_longest(const struct barter_ranges *r);
int barter_ranges_cut_check(const struct barter_ranges *parent,
			    const struct barter_ranges *cut, u64 least,
			    u32 *nr_runs);
void barter_ranges_cut_fill(struct barter_ranges *out, union barter_slot *table,
			    const struct barter_ranges *parent,
			    const struct barter_ranges *cut);
u64 barter_ranges_segments(const struct barter_ranges *r, u64 max_segment);
bool barter_ranges_contiguous(const struct barter_ranges *r, u64 bar_start,
			      u64 pos, u64 length, u64 *address);

#endif /* BARTER_CORE_RANGES_H */
