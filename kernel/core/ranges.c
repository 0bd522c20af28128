// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Range arithmetic: what a caller asked for, checked and merged.
 *
 * Every number that comes in here was chosen by a user. barter_ranges_take()
 * is the one place that judges it; all other functions rely on a structure
 * that passed, and none of them allocates, takes a lock or loops more than once
 * over the runs; but for the cuts, which search, and the longest none sleeps. This file must
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

/* Steps, or searches, between two chances for others to run. */
#define CUT_BATCH	1024

/* No piece ends there: all are made of whole pages. */
#define NOWHERE		U64_MAX

/**
 * struct merge - runs that are being built
 * @table: where they go
 * @next: where the next one goes
 * @length: bytes so far
 * @last_end: offset behind the last run; NOWHERE before the first
 * @end: offset behind the highest run
 */
struct merge {
	union barter_slot *table;
	union barter_slot *next;
	u64 length;
	u64 last_end;
	u64 end;
};

/*
 * A new run begins with this piece, or the last one grows by it. With a million of them
 * each instruction counts. False if the sum overflows.
 */
static inline bool merge_add(struct merge *m, u64 offset, u64 length)
{
	if (offset != m->last_end) {
		m->next->pos = m->length;
		m->next->offset = offset;
		m->next++;
	}
	m->last_end = offset + length;
	if (m->last_end > m->end)
		m->end = m->last_end;
	return !check_add_overflow(m->length, length, &m->length);
}

/* But for @out->one. */
static inline void merge_end(struct merge *m, struct barter_ranges *out)
{
	out->length = m->length;
	out->end = m->end;
	out->nr = m->next - m->table;
	out->runs = m->table;
}

/* Why a range is bad: what is asked first comes first. */
static int range_error(const struct barter_range *range)
{
	u64 end;

	if (!range->length || (range->length | range->offset) & (PAGE_SIZE - 1))
		return -EINVAL;
	if (check_add_overflow((u64)range->offset, (u64)range->length, &end))
		return -EOVERFLOW;
	return -EINVAL;
}

/**
 * barter_ranges_take - judge the ranges of an export, and make runs of them
 * @out: to be filled
 * @table: what the caller asked for, in the caller's order; a copy in kernel memory,
 *	that nobody else can change. Becomes the table of the runs, also on failure in
 *	part; from @out->nr on it is free then
 * @nr: number of entries at @table
 * @bar_length: bytes in the BAR
 *
 * Neighbours that touch are merged: range i+1 begins in the BAR where range i ends.
 * Ranges may overlap and come in any order; only neighbours in the caller's order are
 * merged, since the order of the bytes is the caller's.
 *
 * Once over the table: with a million ranges this is what an export takes.
 *
 * Context: any, no locks needed.
 *
 * Return: 0, or without touching @out
 *  -EINVAL	no range at all, or the first bad range has length 0, is not made
 *		of whole pages, does not lie whole inside the BAR, or makes the
 *		sum overflow
 *  -EOVERFLOW	the first bad range has an offset plus length beyond 64 bits
 *  -E2BIG	more than BARTER_MAX_RANGES ranges; or all ranges are good but
 *		their sum is above BARTER_MAX_OVERCOMMIT times the BAR or does
 *		not fit a size_t
 */
int barter_ranges_take(struct barter_ranges *out, union barter_slot *table,
		       u32 nr, u64 bar_length)
{
	struct merge m = { table, table, .last_end = NOWHERE };
	const union barter_slot *slot, *end;
	u64 most;

	if (!nr)
		return -EINVAL;
	if (nr > BARTER_MAX_RANGES)
		return -E2BIG;

	/* A run is written where its first range was, or further down. */
	end = table + nr;
	for (slot = table; slot < end; slot++) {
		u64 offset = slot->range.offset, length = slot->range.length;

		/* Of length 0 less 1 is beyond every BAR. */
		if ((offset | length) & (PAGE_SIZE - 1) ||
		    length - 1 >= bar_length || offset > bar_length - length)
			return range_error(&slot->range);
		if (!merge_add(&m, offset, length))
			return -EINVAL;
	}

	if (!check_mul_overflow(bar_length, (u64)BARTER_MAX_OVERCOMMIT, &most) &&
	    m.length > most)
		return -E2BIG;
	if (m.length != (size_t)m.length)
		return -E2BIG;
	merge_end(&m, out);
	return 0;
}

/* The index of the run that holds byte @pos, which is below the buffer's length. */
static u32 ranges_index(const struct barter_ranges *r, u64 pos)
{
	u32 first = 0, end = r->nr;

	/* runs[0].pos is 0, hence runs[first].pos <= pos all the way. */
	while (end - first > 1) {
		u32 middle = first + (end - first) / 2;

		if (r->runs[middle].pos <= pos)
			first = middle;
		else
			end = middle;
	}
	return first;
}

/**
 * barter_ranges_find - which run holds a byte of the buffer
 * @r: the buffer's runs
 * @pos: byte in the buffer, counted from its start
 * @run: set to the run with run->pos <= @pos < run->pos + run->length, only when the
 *	answer is true
 *
 * Takes a number of steps that grows with the logarithm of the number of runs.
 *
 * Context: any; @r does not change during the life of a buffer.
 *
 * Return: is @pos below the buffer's length?
 */
bool barter_ranges_find(const struct barter_ranges *r, u64 pos,
			struct barter_run *run)
{
	if (pos >= r->length)
		return false;
	*run = barter_ranges_run(r, ranges_index(r, pos));
	return true;
}

/**
 * barter_ranges_longest - the longest run
 * @r: the buffer's runs
 *
 * Asked for now and then, so it is looked for only then. Context: may sleep; goes once
 * over all runs.
 *
 * Return: the run; of several that are as long, the first.
 */
struct barter_run barter_ranges_longest(const struct barter_ranges *r)
{
	struct barter_run longest = barter_ranges_run(r, 0);
	u32 i;

	for (i = 1; i < r->nr; i++) {
		struct barter_run run = barter_ranges_run(r, i);

		if (run.length > longest.length)
			longest = run;
		if (i % CUT_BATCH == 0)
			cond_resched();
	}
	return longest;
}

/**
 * barter_ranges_cut_check - judge the ranges of a slice
 * @parent: the runs of the buffer that it is cut from
 * @cut: pieces of that buffer, by barter_ranges_take() with its length as the BAR's
 * @least: bytes that their sum may have BARTER_MAX_OVERCOMMIT times
 * @nr_runs: set to the number of runs in the BAR, neighbours merged
 *
 * For each piece one search and one step for each run of @parent that it covers, at
 * most twice BARTER_MAX_RANGES steps in all: a piece that covers more fails.
 *
 * Context: may sleep, no locks needed.
 *
 * Return: 0, or without touching @nr_runs -E2BIG: a sum above BARTER_MAX_OVERCOMMIT
 * times @least, or more than BARTER_MAX_RANGES runs.
 */
int barter_ranges_cut_check(const struct barter_ranges *parent,
			    const struct barter_ranges *cut, u64 least,
			    u32 *nr_runs)
{
	u64 most, last_end = NOWHERE;
	u32 runs = 0, i;

	if (!check_mul_overflow(least, (u64)BARTER_MAX_OVERCOMMIT, &most) &&
	    cut->length > most)
		return -E2BIG;

	for (i = 0; i < cut->nr; i++) {
		struct barter_run piece = barter_ranges_run(cut, i);
		u64 pos = piece.offset, end = pos + piece.length, part;
		u32 at = ranges_index(parent, pos);

		if (i % CUT_BATCH == CUT_BATCH - 1)
			cond_resched();
		for (; pos < end; at++, pos += part) {
			struct barter_run run = barter_ranges_run(parent, at);
			u64 skip = pos - run.pos;

			part = min(run.length - skip, end - pos);
			runs += run.offset + skip != last_end;
			if (runs > BARTER_MAX_RANGES)
				return -E2BIG;
			last_end = run.offset + skip + part;
		}
	}
	*nr_runs = runs;
	return 0;
}

/**
 * barter_ranges_cut_fill - build the runs of a slice
 * @out: to be filled
 * @table: with room for the number of runs that barter_ranges_cut_check() gave for
 *	the very same @parent and @cut
 * @parent: the runs of the buffer that it is cut from
 * @cut: what passed barter_ranges_cut_check()
 *
 * Sets every field of @out but @one. No run of it reaches beyond the runs of @parent.
 *
 * Context: may sleep, no locks needed; nobody else may look at @out yet.
 */
void barter_ranges_cut_fill(struct barter_ranges *out, union barter_slot *table,
			    const struct barter_ranges *parent,
			    const struct barter_ranges *cut)
{
	struct merge m = { table, table, .last_end = NOWHERE };
	u32 i;

	for (i = 0; i < cut->nr; i++) {
		struct barter_run piece = barter_ranges_run(cut, i);
		u64 pos = piece.offset, end = pos + piece.length, part;
		u32 at = ranges_index(parent, pos);

		if (i % CUT_BATCH == CUT_BATCH - 1)
			cond_resched();
		for (; pos < end; at++, pos += part) {
			struct barter_run run = barter_ranges_run(parent, at);
			u64 skip = pos - run.pos;

			part = min(run.length - skip, end - pos);
			merge_add(&m, run.offset + skip, part);
		}
	}
	merge_end(&m, out);
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
		segments += div64_u64(barter_ranges_run(r, i).length - 1,
				      max_segment) + 1;
	return segments;
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
	struct barter_run run;

	if (!barter_ranges_find(r, pos, &run) || !length ||
	    length > run.length - (pos - run.pos))
		return false;
	*address = bar_start + run.offset + (pos - run.pos);
	return true;
}
