/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A second opinion on ranges.c: the same questions answered page by page,
 * slowly and without cleverness, with 128-bit numbers that cannot overflow.
 */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H

#include "ranges.h"

#include <uapi/linux/barter.h>

/* Buffers up to this many pages are compared page by page. */
#define MODEL_MOST_PAGES 512

int model_check(const struct barter_range *ranges, u32 nr, u64 bar_length,
		u64 most_bytes, u32 *nr_runs, u64 *length);

/*
 * barter_ranges_take() on a copy of @ranges, in memory of exactly their size, so that
 * ASan sees whatever lies beyond it; for ranges_free(). On failure @r has none.
 */
typedef int take_fn(struct barter_ranges *out, union barter_slot *table, u32 nr,
		    u64 bar_length);
int ranges_make(take_fn *take, struct barter_ranges *r,
		const struct barter_range *ranges, u32 nr, u64 bar_length);
void ranges_free(struct barter_ranges *r);

/* barter_ranges_cut_check() of @ranges, which may be malformed. */
int ranges_cut(const struct barter_ranges *parent,
	       const struct barter_range *ranges, u32 nr, u64 least,
	       u32 *nr_runs, u64 *length);

/*
 * Runs all functions of ranges.c on one input and compares each answer.
 * @salt varies the positions that are asked for. NULL if all agree, else what
 * did not.
 */
const char *model_compare(const struct barter_range *ranges, u32 nr,
			  u64 bar_length, u64 salt);

/*
 * The same for a slice: @parent and @ranges are a good export and what is cut from
 * it, which may be malformed.
 */
const char *model_compare_cut(const struct barter_range *parent, u32 nr_parent,
			      u64 bar_length, const struct barter_range *ranges,
			      u32 nr);

#endif /* TESTS_UNIT_MODEL_H */
