// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Range arithmetic: what a caller asked for, checked and merged.
 *
 * Every number that comes in here was chosen by a user. barter_ranges_check()
 * is the one place that judges it; all other functions rely on a structure
 * that passed, and none of them allocates, takes a lock or loops more than once
 * over the runs; but for the cuts, which search, none sleeps. This file must
 * stay free of struct device and of everything else that user space lacks: the
 * unit tests and the fuzzer compile it as it is.
 */
#include "ranges.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#endif

#include <uapi/linux/barter.h>

/* Searches between two chances for others to run. */
#define CUT_BATCH	1024

static bool page_multiple(u64 value)
{
	return !(value & (PAGE_SIZE - 1));
}

/**
 * barter_ranges_check - judge the ranges of an export
 * @ranges: what the caller asked for, in the caller's order; a copy in kernel
 *	memory, so that it cannot change between this call and
 *	barter_ranges_fill()
 * @nr: number of entries at @ranges
 * @bar_length: bytes in the BAR
 * @nr_runs: set to the number of runs that remain after neighbours that touch
 *	are merged: range i+1 begins in the BAR where range i ends
 * @length: set to the bytes of all ranges together
 *
 * Ranges may overlap and come in any order; only neighbours in the caller's
 * order are merged, since the order of the bytes is the caller's.
 *
 * Context: any, no locks needed.
 *
 * Return: 0, or without touching @nr_runs and @length
 *  -EINVAL	no range at all, or the first bad range has length 0, is not made
 *		of whole pages, does not lie whole inside the BAR, or makes the
 *		sum overflow
 *  -EOVERFLOW	the first bad range has an offset plus length beyond 64 bits
 *  -E2BIG	more than BARTER_MAX_RANGES ranges; or all ranges are good but
 *		their sum is above BARTER_MAX_OVERCOMMIT times the BAR or does
 *		not fit a size_t
 */
int barter_ranges_check(const struct barter_range *ranges, u32 nr,
			u64 bar_length, u32 *nr_runs, u64 *length)
{
	u64 total = 0, previous_end = 0;
	u32 runs = 0, i;
	u64 most;

	if (!nr)
		return -EINVAL;
	if (nr > BARTER_MAX_RANGES)
		return -E2BIG;

	for (i = 0; i < nr; i++) {
		u64 end;

		if (!ranges[i].length || !page_multiple(ranges[i].length) ||
		    !page_multiple(ranges[i].offset))
			return -EINVAL;
		if (check_add_overflow((u64)ranges[i].offset,
				       (u64)ranges[i].length, &end))
			return -EOVERFLOW;
		if (end > bar_length)
			return -EINVAL;
		if (check_add_overflow(total, (u64)ranges[i].length, &total))
			return -EINVAL;
		if (!i || ranges[i].offset != previous_end)
			runs++;
		previous_end = end;
	}

	if (!check_mul_overflow(bar_length, (u64)BARTER_MAX_OVERCOMMIT, &most) &&
	    total > most)
		return -E2BIG;
	if (total != (size_t)total)
		return -E2BIG;

	*nr_runs = runs;
	*length = total;
	return 0;
}

/* The next run of @out begins at @pos with this piece, or its last one grows by it. */
static void ranges_append(struct barter_ranges *out, u64 pos, u64 offset,
			  u64 length)
{
	struct barter_run *run = out->nr ? &out->runs[out->nr - 1] : NULL;

	if (run && run->offset + run->length == offset) {
		run->length += length;
		return;
	}
	run = &out->runs[out->nr++];
	run->pos = pos;
	run->offset = offset;
	run->length = length;
}

/**
 * barter_ranges_fill - build the runs of a buffer
 * @out: to be filled; the caller allocated room for the number of runs that
 *	barter_ranges_check() gave for the very same @ranges
 * @ranges: ranges that passed barter_ranges_check()
 * @nr: number of entries at @ranges, at least 1
 *
 * Sets every field of @out.
 *
 * Context: any, no locks needed; nobody else may look at @out yet.
 */
void barter_ranges_fill(struct barter_ranges *out,
			const struct barter_range *ranges, u32 nr)
{
	u64 pos = 0;
	u32 i;

	out->nr = 0;
	for (i = 0; i < nr; i++) {
		ranges_append(out, pos, ranges[i].offset, ranges[i].length);
		pos += ranges[i].length;
	}
	out->length = pos;
}

/**
 * barter_ranges_find - which run holds a byte of the buffer
 * @r: the buffer's runs
 * @pos: byte in the buffer, counted from its start
 *
 * Takes a number of steps that grows with the logarithm of the number of runs.
 *
 * Context: any; @r does not change during the life of a buffer.
 *
 * Return: the run with run->pos <= @pos < run->pos + run->length, or NULL when
 * @pos is not below the buffer's length.
 */
const struct barter_run *barter_ranges_find(const struct barter_ranges *r,
					    u64 pos)
{
	u32 first = 0, end = r->nr;

	if (pos >= r->length)
		return NULL;

	/* runs[0].pos is 0, hence runs[first].pos <= pos all the way. */
	while (end - first > 1) {
		u32 middle = first + (end - first) / 2;

		if (r->runs[middle].pos <= pos)
			first = middle;
		else
			end = middle;
	}
	return &r->runs[first];
}

/* How much of @left bytes from @pos on lies in @run. */
static u64 run_part(const struct barter_run *run, u64 pos, u64 left)
{
	return min(run->pos + run->length - pos, left);
}

/**
 * barter_ranges_cut_check - judge the ranges of a slice
 * @parent: the runs of the buffer that it is cut from
 * @ranges: pieces of that buffer, as for barter_ranges_check()
 * @nr: number of entries at @ranges
 * @least: bytes that their sum may have BARTER_MAX_OVERCOMMIT times
 * @nr_runs: set to the number of runs in the BAR, neighbours merged
 * @length: set to the bytes of all ranges together
 *
 * For each range one search and one step for each run of @parent that it covers, at
 * most twice BARTER_MAX_RANGES steps in all: a range that covers more fails.
 *
 * Context: may sleep, no locks needed.
 *
 * Return: as barter_ranges_check(), with the buffer in the place of the BAR; also
 * -E2BIG for more than BARTER_MAX_RANGES runs, or a sum above BARTER_MAX_OVERCOMMIT
 * times @least.
 */
int barter_ranges_cut_check(const struct barter_ranges *parent,
			    const struct barter_range *ranges, u32 nr,
			    u64 least, u32 *nr_runs, u64 *length)
{
	u64 total, most, previous_end = 0;
	u32 runs = 0, unused, i;
	int ret;

	ret = barter_ranges_check(ranges, nr, parent->length, &unused, &total);
	if (ret)
		return ret;
	if (!check_mul_overflow(least, (u64)BARTER_MAX_OVERCOMMIT, &most) &&
	    total > most)
		return -E2BIG;

	for (i = 0; i < nr; i++) {
		u64 pos = ranges[i].offset, left = ranges[i].length, part;
		const struct barter_run *run = barter_ranges_find(parent, pos);

		if (i % CUT_BATCH == CUT_BATCH - 1)
			cond_resched();
		for (; left; run++, pos += part, left -= part) {
			u64 offset = run->offset + (pos - run->pos);

			part = run_part(run, pos, left);
			if (!runs || offset != previous_end)
				runs++;
			if (runs > BARTER_MAX_RANGES)
				return -E2BIG;
			previous_end = offset + part;
		}
	}
	*nr_runs = runs;
	*length = total;
	return 0;
}

/**
 * barter_ranges_cut_fill - build the runs of a slice
 * @out: to be filled; with room for the number of runs that
 *	barter_ranges_cut_check() gave for the very same @parent and @ranges
 * @parent: the runs of the buffer that it is cut from
 * @ranges: ranges that passed barter_ranges_cut_check()
 * @nr: number of entries at @ranges, at least 1
 *
 * Sets every field of @out. No run of it reaches beyond the runs of @parent.
 *
 * Context: may sleep, no locks needed; nobody else may look at @out yet.
 */
void barter_ranges_cut_fill(struct barter_ranges *out,
			    const struct barter_ranges *parent,
			    const struct barter_range *ranges, u32 nr)
{
	u64 at = 0;
	u32 i;

	out->nr = 0;
	for (i = 0; i < nr; i++) {
		u64 pos = ranges[i].offset, left = ranges[i].length, part;
		const struct barter_run *run = barter_ranges_find(parent, pos);

		if (i % CUT_BATCH == CUT_BATCH - 1)
			cond_resched();
		for (; left; run++, pos += part, left -= part, at += part) {
			part = run_part(run, pos, left);
			ranges_append(out, at, run->offset + (pos - run->pos),
				      part);
		}
	}
	out->length = at;
}

/**
 * barter_ranges_segments - how many DMA segments a buffer takes
 * @r: the buffer's runs
 * @max_segment: most bytes in one segment; 0 if there is no limit
 *
 * Each run is cut on its own, so no segment spans two runs. The caller rounds
 * @max_segment down to what it cuts by, e.g. whole pages.
 *
 * Context: any; goes once over all runs.
 *
 * Return: the number of segments. It can exceed 32 bits for a small
 * @max_segment; the caller compares it with what it can allocate.
 */
u64 barter_ranges_segments(const struct barter_ranges *r, u64 max_segment)
{
	u64 segments = 0;
	u32 i;

	if (!max_segment)
		return r->nr;
	for (i = 0; i < r->nr; i++)
		segments += div64_u64(r->runs[i].length - 1, max_segment) + 1;
	return segments;
}

/**
 * barter_ranges_end - how far into the BAR the buffer reaches
 * @r: the buffer's runs
 *
 * Context: any.
 *
 * Return: the offset behind the highest byte of any run.
 */
u64 barter_ranges_end(const struct barter_ranges *r)
{
	u64 end = 0;
	u32 i;

	for (i = 0; i < r->nr; i++)
		if (r->runs[i].offset + r->runs[i].length > end)
			end = r->runs[i].offset + r->runs[i].length;
	return end;
}

/**
 * barter_ranges_longest - the longest contiguous piece
 * @r: at least one run
 *
 * Return: the run; of several that are as long, the first.
 */
const struct barter_run *barter_ranges_longest(const struct barter_ranges *r)
{
	const struct barter_run *longest = &r->runs[0];
	u32 i;

	for (i = 1; i < r->nr; i++)
		if (r->runs[i].length > longest->length)
			longest = &r->runs[i];
	return longest;
}

/**
 * barter_ranges_contiguous - is a part of the buffer one piece of the BAR
 * @r: the buffer's runs
 * @bar_start: CPU physical address of the BAR
 * @pos: first byte of the part, counted from the start of the buffer
 * @length: bytes in the part
 * @address: set to the CPU physical address of byte @pos, only when the answer
 *	is true
 *
 * For deciding on a huge page: the caller then checks that @address and the
 * virtual address have the alignment for it.
 *
 * Context: any.
 *
 * Return: true if @length is not 0 and [@pos, @pos + @length) lies in one run.
 */
bool barter_ranges_contiguous(const struct barter_ranges *r, u64 bar_start,
			      u64 pos, u64 length, u64 *address)
{
	const struct barter_run *run = barter_ranges_find(r, pos);

	if (!run || !length || length > run->length - (pos - run->pos))
		return false;
	*address = bar_start + run->offset + (pos - run->pos);
	return true;
}
