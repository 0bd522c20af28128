// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * See model.h. Nothing here may call ranges.c to find out what is right.
 */
#include "model.h"

#include <stdlib.h>

typedef unsigned __int128 u128;

#define MOST_RUNS_COUNTED 4096

int model_check(const struct barter_range *ranges, u32 nr, u64 bar_length,
		u64 most_bytes, u32 *nr_runs, u64 *length)
{
	u128 sum = 0;
	u32 runs = 0, i;

	if (nr == 0)
		return -EINVAL;
	if (nr > 1048576)
		return -E2BIG;
	for (i = 0; i < nr; i++) {
		u128 end = (u128)ranges[i].offset + ranges[i].length;

		if (ranges[i].length == 0)
			return -EINVAL;
		if (ranges[i].length % PAGE_SIZE)
			return -EINVAL;
		if (ranges[i].offset % PAGE_SIZE)
			return -EINVAL;
		if (end >> 64)
			return -EOVERFLOW;
		if (end > bar_length)
			return -EINVAL;
		sum += ranges[i].length;
		if (sum >> 64)
			return -EINVAL;
		if (i == 0 || (u128)ranges[i - 1].offset +
			      ranges[i - 1].length != ranges[i].offset)
			runs++;
	}
	if (sum > (u128)bar_length * 4 || sum > most_bytes)
		return -E2BIG;
	*nr_runs = runs;
	*length = sum;
	return 0;
}

int ranges_make(take_fn *take, struct barter_ranges *r,
		const struct barter_range *ranges, u32 nr, u64 bar_length)
{
	union barter_slot *table = NULL;
	int ret;

	/* What is judged by its number alone is not looked at. */
	if (ranges) {
		table = malloc(nr * sizeof(*table));
		memcpy(table, ranges, nr * sizeof(*table));
	}
	ret = take(r, table, nr, bar_length);
	if (ret)
		free(table);
	return ret;
}

void ranges_free(struct barter_ranges *r)
{
	free((void *)r->runs);
}

int ranges_cut(const struct barter_ranges *parent,
	       const struct barter_range *ranges, u32 nr, u64 least,
	       u32 *nr_runs, u64 *length)
{
	struct barter_ranges cut;
	int ret;

	ret = ranges_make(barter_ranges_take, &cut, ranges, nr, parent->length);
	if (ret)
		return ret;
	ret = barter_ranges_cut_check(parent, &cut, least, nr_runs);
	if (!ret)
		*length = cut.length;
	ranges_free(&cut);
	return ret;
}

/* The page of the BAR behind each page of the buffer. */
static u64 *expand(const struct barter_range *ranges, u32 nr, u64 npages)
{
	u64 *pages = malloc(npages * sizeof(*pages));
	u64 n = 0, page;
	u32 i;

	for (i = 0; i < nr; i++)
		for (page = 0; page < ranges[i].length / PAGE_SIZE; page++)
			pages[n++] = ranges[i].offset / PAGE_SIZE + page;
	return pages;
}

static const char *compare_runs(const struct barter_ranges *r, u32 nr_runs,
				u64 length)
{
	u64 pos = 0, end = 0, last_end = U64_MAX;
	struct barter_run longest = { };
	u32 i;

	if (r->nr != nr_runs)
		return "runs: number";
	if (r->length != length)
		return "runs: length of the buffer";
	for (i = 0; i < r->nr; i++) {
		struct barter_run run = barter_ranges_run(r, i);

		if (run.pos != pos)
			return "runs: a hole between two";
		if (!run.length || run.length > length - pos)
			return "runs: length of one";
		if (run.offset == last_end)
			return "runs: neighbours not merged";
		last_end = run.offset + run.length;
		if (last_end > end)
			end = last_end;
		if (run.length > longest.length)
			longest = run;
		pos += run.length;
	}
	if (pos != length)
		return "runs: lengths of all";
	if (r->end != end)
		return "runs: where the highest ends";
	if (barter_ranges_longest(r).pos != longest.pos ||
	    barter_ranges_longest(r).length != longest.length)
		return "runs: the longest";
	return NULL;
}

static const char *compare_find(const struct barter_ranges *r, const u64 *pages,
				u64 npages, u64 salt)
{
	u64 i;

	for (i = 0; i < npages; i++) {
		const u64 in_page[] = {
			0, PAGE_SIZE - 1, (salt ^ i) % PAGE_SIZE
		};
		unsigned int j;

		for (j = 0; j < ARRAY_SIZE(in_page); j++) {
			u64 pos = i * PAGE_SIZE + in_page[j];
			struct barter_run run;

			if (!barter_ranges_find(r, pos, &run))
				return "find: nothing inside the buffer";
			if (pos < run.pos || pos - run.pos >= run.length)
				return "find: another run";
			if (run.offset + (pos - run.pos) !=
			    pages[i] * PAGE_SIZE + in_page[j])
				return "find: another byte of the BAR";
		}
	}
	return NULL;
}

static const char *compare_segments(const struct barter_ranges *r, u64 salt)
{
	const u64 limits[] = {
		1, PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 4294967295ULL,
		1 + salt % (8 * PAGE_SIZE), U64_MAX
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		u128 segments = 0;
		u32 j;

		for (j = 0; j < r->nr; j++)
			segments += ((u128)barter_ranges_run(r, j).length +
				     limits[i] - 1) / limits[i];
		if (barter_ranges_segments(r, limits[i]) != segments)
			return "segments: count";
	}
	if (barter_ranges_segments(r, 0) != r->nr)
		return "segments: without a limit";
	return NULL;
}

static const char *compare_contiguous(const struct barter_ranges *r,
				      const u64 *pages, u64 npages, u64 salt)
{
	const u64 bar_start = 0xfe000000ULL;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		u64 pos, length, page, last, address = 0xdead;
		bool expected = true, got;

		salt = salt * 6364136223846793005ULL + 1442695040888963407ULL;
		pos = (salt >> 33) % ((npages + 1) * PAGE_SIZE);
		if (i & 1)
			pos -= pos % PAGE_SIZE;
		salt = salt * 6364136223846793005ULL + 1442695040888963407ULL;
		length = (salt >> 33) % ((npages + 1) * PAGE_SIZE);
		if (i & 2)
			length -= length % PAGE_SIZE;
		if (i % 16 == 15)
			length = U64_MAX - length;

		if (length == 0 || (u128)pos + length >
				   (u128)npages * PAGE_SIZE) {
			expected = false;
		} else {
			last = (pos + length - 1) / PAGE_SIZE;
			for (page = pos / PAGE_SIZE; page < last; page++)
				if (pages[page] + 1 != pages[page + 1])
					expected = false;
		}
		got = barter_ranges_contiguous(r, bar_start, pos, length,
					       &address);
		if (got != expected)
			return "contiguous: answer";
		if (!got && address != 0xdead)
			return "contiguous: address written for a no";
		if (got && address != bar_start +
				      pages[pos / PAGE_SIZE] * PAGE_SIZE +
				      pos % PAGE_SIZE)
			return "contiguous: address";
	}
	return NULL;
}

const char *model_compare(const struct barter_range *ranges, u32 nr,
			  u64 bar_length, u64 salt)
{
	struct barter_ranges r = { .length = 7777, .nr = 77 };
	u64 length = 7777, *pages;
	struct barter_run run;
	const char *wrong;
	u32 runs = 77;
	int ret;

	ret = ranges_make(barter_ranges_take, &r, ranges, nr, bar_length);
	if (ret != model_check(ranges, nr, bar_length, (size_t)-1, &runs,
			       &length)) {
		if (!ret)
			ranges_free(&r);
		return "take: result";
	}
	if (ret)
		return r.nr != 77 || r.length != 7777 || r.end || r.runs ?
			"take: written for a no" : NULL;

	wrong = compare_runs(&r, runs, length);
	if (!wrong && runs <= MOST_RUNS_COUNTED)
		wrong = compare_segments(&r, salt);
	if (!wrong && (barter_ranges_find(&r, length, &run) ||
		       barter_ranges_find(&r, U64_MAX, &run)))
		wrong = "find: something outside the buffer";
	if (!wrong && length / PAGE_SIZE <= MODEL_MOST_PAGES) {
		pages = expand(ranges, nr, length / PAGE_SIZE);
		wrong = compare_find(&r, pages, length / PAGE_SIZE, salt);
		if (!wrong)
			wrong = compare_contiguous(&r, pages,
						   length / PAGE_SIZE, salt);
		free(pages);
	}
	ranges_free(&r);
	return wrong;
}

/* Pages that follow one another in the BAR are one run. */
static u32 count_runs(const u64 *pages, u64 npages)
{
	u32 runs = 0;
	u64 i;

	for (i = 0; i < npages; i++)
		runs += i == 0 || pages[i] != pages[i - 1] + 1;
	return runs;
}

static const char *compare_cut_pages(const struct barter_ranges *from,
				     const u64 *from_pages,
				     const struct barter_range *ranges, u32 nr,
				     u64 length, u32 runs)
{
	u64 *pages = expand(ranges, nr, length / PAGE_SIZE), i;
	struct barter_ranges cut, r;
	union barter_slot *table;
	const char *wrong;

	for (i = 0; i < length / PAGE_SIZE; i++)
		pages[i] = from_pages[pages[i]];
	if (runs != count_runs(pages, length / PAGE_SIZE)) {
		free(pages);
		return "cut: number of runs";
	}
	if (ranges_make(barter_ranges_take, &cut, ranges, nr, from->length))
		abort();
	/* Exactly as much as asked for: ASan sees one run too many. */
	table = malloc(runs * sizeof(*table));
	memset(&r, 0xa5, sizeof(r));
	barter_ranges_cut_fill(&r, table, from, &cut);
	wrong = compare_runs(&r, runs, length);
	if (!wrong)
		wrong = compare_find(&r, pages, length / PAGE_SIZE, 5);
	ranges_free(&cut);
	free(table);
	free(pages);
	return wrong;
}

const char *model_compare_cut(const struct barter_range *parent, u32 nr_parent,
			      u64 bar_length, const struct barter_range *ranges,
			      u32 nr)
{
	u64 whole, length_expected = 7777, length = 7777, *pages;
	u32 nr_runs, unused = 0, runs = 77;
	struct barter_ranges from;
	const char *wrong = NULL;
	int ret, expected;

	if (model_check(parent, nr_parent, bar_length, (size_t)-1, &nr_runs,
			&whole) || whole / PAGE_SIZE > MODEL_MOST_PAGES)
		return NULL;
	if (ranges_make(barter_ranges_take, &from, parent, nr_parent, bar_length))
		return "cut: its parent";
	pages = expand(parent, nr_parent, whole / PAGE_SIZE);

	expected = model_check(ranges, nr, whole, (size_t)-1, &unused,
			       &length_expected);
	if (!expected && (u128)length_expected > (u128)bar_length * 4)
		expected = -E2BIG;
	ret = ranges_cut(&from, ranges, nr, bar_length, &runs, &length);
	if (ret != expected)
		wrong = "cut: result";
	else if (ret && (runs != 77 || length != 7777))
		wrong = "cut: written for a no";
	else if (!ret && length != length_expected)
		wrong = "cut: length";
	else if (!ret)
		wrong = compare_cut_pages(&from, pages, ranges, nr, length, runs);
	free(pages);
	ranges_free(&from);
	return wrong;
}
