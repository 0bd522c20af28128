// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * ranges.c a second time, with the size_t of a 32-bit kernel, so that its
 * limit on the length of a buffer is tested without a 32-bit C library.
 */
#include "narrow.h"

#include <uapi/linux/barter.h>

/* All headers are in: from here on the word is the project's own source's. */
#define size_t u32
#define barter_ranges_take narrow_ranges_take
#define barter_ranges_find narrow_ranges_find
#define barter_ranges_longest narrow_ranges_longest
#define barter_ranges_cut_check narrow_ranges_cut_check
#define barter_ranges_cut_fill narrow_ranges_cut_fill
#define barter_ranges_segments narrow_ranges_segments
#define barter_ranges_contiguous narrow_ranges_contiguous

bool narrow_ranges_find(const struct barter_ranges *r, u64 pos,
			struct barter_run *run);
struct barter_run narrow_ranges_longest(const struct barter_ranges *r);
int narrow_ranges_cut_check(const struct barter_ranges *parent,
			    const struct barter_ranges *cut, u64 least,
			    u32 *nr_runs);
void narrow_ranges_cut_fill(struct barter_ranges *out, union barter_slot *table,
			    const struct barter_ranges *parent,
			    const struct barter_ranges *cut);
u64 narrow_ranges_segments(const struct barter_ranges *r, u64 max_segment);
bool narrow_ranges_contiguous(const struct barter_ranges *r, u64 bar_start,
			      u64 pos, u64 length, u64 *address);

#include "ranges.c"
