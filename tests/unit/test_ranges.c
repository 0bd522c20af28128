// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * ranges.c: tables of cases, and random exports held against the model.
 * Built once for each page size that kernels use.
 */
#include "ranges.h"

#include "model.h"
#include "narrow.h"
#include "tap.h"

#define P ((u64)PAGE_SIZE)
#define TOP (0ULL - P)			/* the last page of 64 bits */
#define RANGES(...) ((const struct barter_range[]){ __VA_ARGS__ })
#define COUNT(...) (sizeof(RANGES(__VA_ARGS__)) / sizeof(struct barter_range))
#define ROW(bar, expected, runs, length, ...) \
	{ #__VA_ARGS__ " in " #bar, RANGES(__VA_ARGS__), COUNT(__VA_ARGS__), \
	  bar, expected, runs, length }

struct row {
	const char *name;
	const struct barter_range *ranges;
	u32 nr;
	u64 bar_length;
	int expected;
	u32 runs;
	u64 length;
};

static void check_rows(const struct row *rows, size_t nr_rows)
{
	size_t i;

	for (i = 0; i < nr_rows; i++) {
		const struct row *row = &rows[i];
		struct barter_ranges r = { .length = 7777, .nr = 77 };
		int ret;

		ret = ranges_make(barter_ranges_take, &r, row->ranges, row->nr,
				  row->bar_length);
		CHECK(ret == row->expected, "%s: %d, not %d", row->name, ret,
		      row->expected);
		CHECK(r.nr == (row->expected ? 77 : row->runs), "%s: %u runs",
		      row->name, r.nr);
		CHECK(r.length == (row->expected ? 7777 : row->length),
		      "%s: length 0x%llx", row->name, r.length);
		if (!ret)
			ranges_free(&r);
	}
}

static void good_exports_give_runs_and_length(void)
{
	const struct row rows[] = {
		ROW(P, 0, 1, P, { 0, P }),
		ROW(4 * P, 0, 1, P, { 3 * P, P }),
		ROW(4 * P, 0, 1, 4 * P, { 0, 4 * P }),
		ROW(4 * P, 0, 2, 2 * P, { 0, P }, { 2 * P, P }),
		ROW(4 * P, 0, 1, 2 * P, { 0, P }, { P, P }),
		ROW(4 * P, 0, 1, 4 * P, { 0, P }, { P, 2 * P }, { 3 * P, P }),
		/* touching, but the other way round: the order is the caller's */
		ROW(4 * P, 0, 2, 2 * P, { P, P }, { 0, P }),
		ROW(4 * P, 0, 2, 3 * P, { 2 * P, P }, { 0, 2 * P }),
		ROW(4 * P, 0, 2, 3 * P, { P, P }, { 2 * P, P }, { 0, P }),
		/* overlapping */
		ROW(4 * P, 0, 2, 2 * P, { 0, P }, { 0, P }),
		ROW(4 * P, 0, 2, 4 * P, { 0, 2 * P }, { P, 2 * P }),
		ROW(4 * P, 0, 3, 3 * P, { P, P }, { P, P }, { P, P }),
		/* at the top of 64 bits */
		ROW(TOP, 0, 1, P, { TOP - P, P }),
		ROW(TOP, 0, 1, TOP, { 0, TOP }),
		ROW(1ULL << 62, 0, 3, 3ULL << 62, { 0, 1ULL << 62 },
		    { 0, 1ULL << 62 }, { 0, 1ULL << 62 }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void malformed_ranges_are_einval(void)
{
	const struct row rows[] = {
		ROW(4 * P, -EINVAL, 0, 0, { 0, 0 }),
		ROW(4 * P, -EINVAL, 0, 0, { P, 0 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, 1 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, P - 1 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, P + 1 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, P / 2 }),
		ROW(4 * P, -EINVAL, 0, 0, { 1, P }),
		ROW(4 * P, -EINVAL, 0, 0, { P / 2, P }),
		ROW(4 * P, -EINVAL, 0, 0, { P - 1, P }),
		/* the second of two */
		ROW(4 * P, -EINVAL, 0, 0, { 0, P }, { P, 0 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, P }, { 1, P }),
		/* misaligned is told before overflow */
		ROW(4 * P, -EINVAL, 0, 0, { U64_MAX, P }),
		ROW(4 * P, -EINVAL, 0, 0, { TOP, U64_MAX }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void ranges_outside_the_bar_are_einval(void)
{
	const struct row rows[] = {
		ROW(0, -EINVAL, 0, 0, { 0, P }),
		ROW(P - 1, -EINVAL, 0, 0, { 0, P }),
		ROW(256, -EINVAL, 0, 0, { 0, P }),
		ROW(4 * P, -EINVAL, 0, 0, { 4 * P, P }),
		ROW(4 * P, -EINVAL, 0, 0, { 5 * P, P }),
		ROW(4 * P, -EINVAL, 0, 0, { 3 * P, 2 * P }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, 5 * P }),
		ROW(4 * P, -EINVAL, 0, 0, { TOP - P, P }),
		ROW(4 * P + P / 2, -EINVAL, 0, 0, { 4 * P, P }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, P }, { 4 * P, P }),
		ROW(TOP - 1, -EINVAL, 0, 0, { TOP - P, P }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void offset_plus_length_beyond_64_bits_is_eoverflow(void)
{
	const struct row rows[] = {
		ROW(4 * P, -EOVERFLOW, 0, 0, { TOP, P }),
		ROW(U64_MAX, -EOVERFLOW, 0, 0, { TOP, P }),
		ROW(4 * P, -EOVERFLOW, 0, 0, { P, TOP }),
		ROW(4 * P, -EOVERFLOW, 0, 0, { TOP, TOP }),
		ROW(4 * P, -EOVERFLOW, 0, 0, { 1ULL << 63, 1ULL << 63 }),
		ROW(4 * P, -EOVERFLOW, 0, 0, { 0, P }, { TOP, P }),
		/* the first bad range decides */
		ROW(4 * P, -EOVERFLOW, 0, 0, { TOP, P }, { 0, 0 }),
		ROW(4 * P, -EINVAL, 0, 0, { 0, 0 }, { TOP, P }),
		ROW(4 * P, -EINVAL, 0, 0, { 4 * P, P }, { TOP, P }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void a_sum_beyond_64_bits_is_einval(void)
{
	const struct row rows[] = {
		ROW(1ULL << 63, -EINVAL, 0, 0, { 0, 1ULL << 63 },
		    { 0, 1ULL << 63 }),
		ROW(1ULL << 62, -EINVAL, 0, 0, { 0, 1ULL << 62 },
		    { 0, 1ULL << 62 }, { 0, 1ULL << 62 }, { 0, 1ULL << 62 }),
		ROW(TOP, -EINVAL, 0, 0, { 0, TOP }, { 0, P }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void a_sum_above_four_times_the_bar_is_e2big(void)
{
	const struct row rows[] = {
		ROW(P, 0, 4, 4 * P, { 0, P }, { 0, P }, { 0, P }, { 0, P }),
		ROW(P, -E2BIG, 0, 0, { 0, P }, { 0, P }, { 0, P }, { 0, P },
		    { 0, P }),
		ROW(2 * P, 0, 5, 8 * P, { 0, 2 * P }, { 0, 2 * P },
		    { 0, 2 * P }, { 0, P }, { 0, P }),
		ROW(2 * P, -E2BIG, 0, 0, { 0, 2 * P }, { 0, 2 * P },
		    { 0, 2 * P }, { 0, 2 * P }, { P, P }),
		/* 4 * BAR is just below 64 bits */
		ROW((1ULL << 62) - P, -E2BIG, 0, 0, { 0, (1ULL << 62) - P },
		    { 0, (1ULL << 62) - P }, { 0, (1ULL << 62) - P },
		    { 0, (1ULL << 62) - P }, { 0, P }),
		/* a bad range is told before the sum */
		ROW(P, -EINVAL, 0, 0, { 0, P }, { 0, P }, { 0, P }, { 0, P },
		    { 0, P }, { 0, 0 }),
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void the_number_of_ranges_is_limited(void)
{
	struct barter_ranges r = { .length = 7777, .nr = 77 };
	struct barter_range *ranges;
	u32 i;

	/* Judged before the first range is looked at. */
	CHECK(barter_ranges_take(&r, NULL, 0, P) == -EINVAL, "no range");
	CHECK(barter_ranges_take(&r, NULL, BARTER_MAX_RANGES + 1, P) == -E2BIG,
	      "one range too many");
	CHECK(barter_ranges_take(&r, NULL, (u32)-1, U64_MAX) == -E2BIG,
	      "2^32 - 1 ranges");
	CHECK(r.nr == 77 && r.length == 7777, "written on error");

	ranges = calloc(BARTER_MAX_RANGES, sizeof(*ranges));
	for (i = 0; i < BARTER_MAX_RANGES; i++) {
		ranges[i].offset = 2 * P * i;
		ranges[i].length = P;
	}
	CHECK(!ranges_make(barter_ranges_take, &r, ranges, BARTER_MAX_RANGES,
			   2 * P * BARTER_MAX_RANGES),
	      "as many ranges as allowed");
	CHECK(r.nr == BARTER_MAX_RANGES && r.length == P * BARTER_MAX_RANGES,
	      "%u runs, 0x%llx bytes", r.nr, r.length);
	ranges_free(&r);
	free(ranges);
}

static void a_buffer_fits_the_size_t_of_a_32_bit_kernel(void)
{
	const u64 bar = 4ULL << 30;
	const struct barter_range four_gib[] = { { 0, 4ULL << 30 } };
	const struct barter_range below[] = { { 0, (4ULL << 30) - P } };
	const struct barter_range twice[] = {
		{ 0, 2ULL << 30 }, { 0, 2ULL << 30 }
	};
	struct barter_ranges r = { .length = 7777, .nr = 77 };

	CHECK(ranges_make(narrow_ranges_take, &r, four_gib, 1, bar) == -E2BIG,
	      "4 GiB");
	CHECK(ranges_make(narrow_ranges_take, &r, twice, 2, bar) == -E2BIG,
	      "2 GiB and 2 GiB");
	CHECK(r.nr == 77 && r.length == 7777, "written on error");
	CHECK(!ranges_make(narrow_ranges_take, &r, below, 1, bar), "4 GiB - 1");
	CHECK(r.length == (4ULL << 30) - P, "0x%llx", r.length);
	ranges_free(&r);
	CHECK(!ranges_make(barter_ranges_take, &r, four_gib, 1, bar),
	      "4 GiB with 64 bits");
	ranges_free(&r);
}

static struct barter_ranges *build(const struct barter_range *ranges, u32 nr,
				   u64 bar_length)
{
	struct barter_ranges *r = malloc(sizeof(*r));

	if (ranges_make(barter_ranges_take, r, ranges, nr, bar_length))
		abort();
	return r;
}

static void drop(struct barter_ranges *r)
{
	ranges_free(r);
	free(r);
}

static const struct barter_range scattered[] = {
	{ 8 * P, 2 * P }, { 10 * P, P }, { 0, P }, { 0, 2 * P }
};

static void runs_are_in_the_callers_order(void)
{
	struct barter_ranges *r = build(scattered, ARRAY_SIZE(scattered),
					16 * P);
	const struct barter_run expected[] = {
		{ 0, 8 * P, 3 * P }, { 3 * P, 0, P }, { 4 * P, 0, 2 * P }
	};
	u32 i;

	CHECK(r->nr == ARRAY_SIZE(expected), "%u", r->nr);
	CHECK(r->length == 6 * P, "0x%llx", r->length);
	for (i = 0; i < r->nr; i++) {
		struct barter_run run = barter_ranges_run(r, i);

		CHECK(run.pos == expected[i].pos, "run %u", i);
		CHECK(run.offset == expected[i].offset, "run %u", i);
		CHECK(run.length == expected[i].length, "run %u", i);
	}
	drop(r);
}

static void find_gives_the_run_of_each_byte(void)
{
	struct barter_ranges *r = build(scattered, ARRAY_SIZE(scattered),
					16 * P);
	const struct {
		u64 pos;
		int run;
	} rows[] = {
		{ 0, 0 }, { 1, 0 }, { 3 * P - 1, 0 }, { 3 * P, 1 },
		{ 4 * P - 1, 1 }, { 4 * P, 2 }, { 6 * P - 1, 2 },
		{ 6 * P, -1 }, { 6 * P + 1, -1 }, { U64_MAX, -1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct barter_run run = { .pos = 7 }, expected = { .pos = 7 };
		bool found = barter_ranges_find(r, rows[i].pos, &run);

		if (rows[i].run >= 0)
			expected = barter_ranges_run(r, rows[i].run);
		CHECK(found == (rows[i].run >= 0) &&
		      !memcmp(&run, &expected, sizeof(run)), "byte 0x%llx",
		      rows[i].pos);
	}
	drop(r);
}

static void segments_cut_each_run_on_its_own(void)
{
	struct barter_ranges *r = build(scattered, ARRAY_SIZE(scattered),
					16 * P);
	const struct barter_range huge[] = { { 0, 1ULL << 62 } };

	CHECK(barter_ranges_segments(r, 0) == 3, "no limit");
	CHECK(barter_ranges_segments(r, U64_MAX) == 3, "a limit beyond all");
	CHECK(barter_ranges_segments(r, 3 * P) == 3, "as long as the longest");
	CHECK(barter_ranges_segments(r, 3 * P - 1) == 4, "one byte less");
	CHECK(barter_ranges_segments(r, 2 * P) == 4, "two pages");
	CHECK(barter_ranges_segments(r, P) == 6, "single pages");
	CHECK(barter_ranges_segments(r, 1) == 6 * P, "single bytes");
	drop(r);

	r = build(huge, 1, 1ULL << 62);
	CHECK(barter_ranges_segments(r, P) == (1ULL << 62) / P, "beyond 32 bits");
	drop(r);
}

static void end_is_behind_the_highest_run(void)
{
	static const struct {
		struct barter_range ranges[3];
		u32 nr;
		u64 end;
	} rows[] = {
		{ { { 0, P } }, 1, P },
		{ { { 5 * P, 2 * P } }, 1, 7 * P },
		/* First, in the middle, last. */
		{ { { 9 * P, P }, { 0, P }, { 4 * P, P } }, 3, 10 * P },
		{ { { 0, P }, { 9 * P, P }, { 4 * P, P } }, 3, 10 * P },
		{ { { 0, P }, { 4 * P, P }, { 9 * P, P } }, 3, 10 * P },
		/* Neither the highest offset nor the longest. */
		{ { { 0, 9 * P }, { 8 * P, 3 * P }, { 10 * P, P } }, 3, 11 * P },
		{ { { 2 * P, 8 * P }, { 9 * P, P }, { 0, P } }, 3, 10 * P },
		{ { { 0, P }, { 16 * P - P, P } }, 2, 16 * P },
	};
	const struct barter_range huge[] = {
		{ (1ULL << 62) - P, P }, { 0, P },
	};
	struct barter_ranges *r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		r = build(rows[i].ranges, rows[i].nr, 16 * P);
		CHECK(r->end == rows[i].end, "row %zu: 0x%llx", i, r->end);
		drop(r);
	}
	r = build(huge, 2, 1ULL << 62);
	CHECK(r->end == 1ULL << 62, "beyond 32 bits");
	drop(r);
}

static void the_longest_run_is_the_first_of_its_length(void)
{
	static const struct {
		struct barter_range ranges[4];
		u32 nr, longest;
	} rows[] = {
		{ { { 0, P } }, 1, 0 },
		{ { { 9 * P, P }, { 0, 2 * P }, { 4 * P, P } }, 3, 1 },
		{ { { 9 * P, P }, { 0, P }, { 4 * P, 2 * P } }, 3, 2 },
		{ { { 9 * P, 3 * P }, { 0, P }, { 4 * P, 3 * P } }, 3, 0 },
		/* By growing, not by one range. */
		{ { { 9 * P, 2 * P }, { 0, P }, { P, P }, { 2 * P, P } }, 4, 1 },
		{ { { 0, P }, { P, P }, { 2 * P, P }, { 9 * P, 2 * P } }, 4, 0 },
	};
	struct barter_ranges *r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		r = build(rows[i].ranges, rows[i].nr, 16 * P);
		CHECK(barter_ranges_longest(r).pos == r->runs[rows[i].longest].pos,
		      "row %zu", i);
		drop(r);
	}
}

/* What is taken over is used up in place, from the front. */
static void the_runs_take_the_place_of_the_ranges(void)
{
	union barter_slot table[] = {
		{ { 8 * P, P } }, { { 9 * P, P } }, { { 2 * P, P } },
		{ { 3 * P, 2 * P } }, { { 0, P } },
	};
	struct barter_ranges r = { };

	CHECK(!barter_ranges_take(&r, table, ARRAY_SIZE(table), 16 * P), "taken");
	CHECK(r.runs == table && r.nr == 3, "%u runs", r.nr);
	CHECK(table[3].range.offset == 3 * P && table[4].range.offset == 0,
	      "what is behind the runs is as it was");
}

static void contiguous_never_spans_two_runs(void)
{
	struct barter_ranges *r = build(scattered, ARRAY_SIZE(scattered),
					16 * P);
	const u64 start = 0x380000000000ULL;
	const struct {
		u64 pos, length;
		bool contiguous;
		u64 offset;
	} rows[] = {
		{ 0, 3 * P, true, 8 * P },
		{ 0, 3 * P + 1, false, 0 },
		{ P, 2 * P, true, 9 * P },
		{ P, 2 * P + 1, false, 0 },
		{ 3 * P - 1, 1, true, 11 * P - 1 },
		{ 3 * P - 1, 2, false, 0 },
		{ 3 * P, P, true, 0 },
		{ 3 * P, 2 * P, false, 0 },
		{ 4 * P + 5, P, true, 5 },
		{ 4 * P, 2 * P, true, 0 },
		{ 4 * P, 2 * P + 1, false, 0 },
		{ 6 * P, 1, false, 0 },
		{ 6 * P, 0, false, 0 },
		{ 0, 0, false, 0 },
		{ P, U64_MAX, false, 0 },
		{ P, 0 - P, false, 0 },
		{ U64_MAX, 1, false, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 address = 7;
		bool got;

		got = barter_ranges_contiguous(r, start, rows[i].pos,
					       rows[i].length, &address);
		CHECK(got == rows[i].contiguous, "row %zu", i);
		CHECK(address == (rows[i].contiguous ? start + rows[i].offset :
						       7),
		      "row %zu: 0x%llx", i, address);
	}
	drop(r);
}

/* A number of bytes that is often good, often nearly good. */
static u64 random_bytes(u64 pages)
{
	u64 value = random_below(pages + 2) * P;

	switch (random_below(60)) {
	case 0:
		return value + 1;
	case 1:
		return value - 1;
	case 2:
		return value + P / 2;
	case 3:
		return random_u64();
	case 4:
		return TOP - value;
	case 5:
		return 1ULL << random_below(64);
	default:
		return value;
	}
}

static void random_exports_agree_with_the_model(void)
{
	struct barter_range ranges[24];
	unsigned int round, good = 0;

	for (round = 0; round < 200000; round++) {
		u64 pages = 1 + random_below(40), bar = pages * P;
		u64 start = random_state;
		const char *wrong;
		u32 nr = random_below(ARRAY_SIZE(ranges) + 1), i;
		struct barter_ranges r;

		if (!random_below(50))
			bar = random_bytes(pages);
		for (i = 0; i < nr; i++) {
			ranges[i].length = random_below(4) ?
				P * (1 + random_below(3)) : random_bytes(pages);
			if (i && random_below(2))
				ranges[i].offset = ranges[i - 1].offset +
						   ranges[i - 1].length;
			else if (random_below(20))
				ranges[i].offset = random_below(pages) * P;
			else
				ranges[i].offset = random_bytes(pages);
			if (random_below(8) && pages * P > ranges[i].length)
				ranges[i].offset %= pages * P -
						    ranges[i].length;
			if (random_below(40))
				ranges[i].offset -= ranges[i].offset % P;
		}
		wrong = model_compare(ranges, nr, bar, random_u64());
		CHECK(!wrong, "round %u from state %llu: %s", round,
		      (unsigned long long)start, wrong);
		if (!ranges_make(barter_ranges_take, &r, ranges, nr, bar)) {
			good++;
			ranges_free(&r);
		}
	}
	/* Both sides of the check must have been visited. */
	CHECK(good > 20000 && good < 180000, "%u of 200000 were good", good);
}

/* { what is cut, result, runs, length } of two runs: 4 pages at 8, then 4 at 2. */
static void a_cut_stays_inside_its_buffer(void)
{
	static const struct barter_range parent[] = {
		{ 8 * P, 4 * P }, { 2 * P, 2 * P }, { 4 * P, 2 * P },
	};
	const struct row rows[] = {
		ROW(16 * P, 0, 1, P, { 0, P }),
		ROW(16 * P, 0, 1, 4 * P, { 0, 4 * P }),
		ROW(16 * P, 0, 2, 8 * P, { 0, 8 * P }),
		ROW(16 * P, 0, 2, 2 * P, { 3 * P, 2 * P }),
		ROW(16 * P, 0, 1, P, { 7 * P, P }),
		ROW(16 * P, 0, 3, 3 * P, { 7 * P, P }, { 7 * P, P }, { 0, P }),
		/* Neighbours in the buffer are neighbours in the BAR, or not. */
		ROW(16 * P, 0, 1, 2 * P, { 0, P }, { P, P }),
		ROW(16 * P, 0, 2, 2 * P, { 3 * P, P }, { 4 * P, P }),
		/* Neighbours in the BAR only. */
		ROW(16 * P, 0, 1, 3 * P, { 4 * P, 2 * P }, { 6 * P, P }),
		ROW(16 * P, -EINVAL, 0, 0, { 0, 9 * P }),
		ROW(16 * P, -EINVAL, 0, 0, { 7 * P, 2 * P }),
		ROW(16 * P, -EINVAL, 0, 0, { 8 * P, P }),
		ROW(16 * P, -EINVAL, 0, 0, { 0, 0 }),
		ROW(16 * P, -EINVAL, 0, 0, { 1, P }),
		ROW(16 * P, -EINVAL, 0, 0, { 0, P / 2 }),
		ROW(16 * P, -EOVERFLOW, 0, 0, { TOP, 2 * P }),
		ROW(16 * P, 0, 8, 32 * P, { 0, 8 * P }, { 0, 8 * P },
		    { 0, 8 * P }, { 0, 8 * P }),
		ROW(16 * P, -E2BIG, 0, 0, { 0, 8 * P }, { 0, 8 * P },
		    { 0, 8 * P }, { 0, 8 * P }, { 0, P }),
		/* Four times the buffer, and more than that of the BAR. */
		ROW(7 * P, -E2BIG, 0, 0, { 0, 8 * P }, { 0, 8 * P },
		    { 0, 8 * P }, { 0, 8 * P }),
	};
	struct barter_ranges *from = build(parent, 3, 16 * P);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		u32 runs = 77;
		u64 length = 7777;
		int ret = ranges_cut(from, row->ranges, row->nr,
				     row->bar_length, &runs, &length);

		CHECK(ret == row->expected, "%s: %d, not %d", row->name, ret,
		      row->expected);
		CHECK(runs == (row->expected ? 77 : row->runs), "%s: %u runs",
		      row->name, runs);
		CHECK(length == (row->expected ? 7777 : row->length),
		      "%s: length 0x%llx", row->name, length);
	}
	drop(from);
}

/* Few ranges of a buffer of many runs become too many runs. */
static void the_runs_of_a_cut_are_limited(void)
{
	const u32 nr = BARTER_MAX_RANGES / 2 + 1;
	struct barter_range *parent = calloc(nr, sizeof(*parent));
	struct barter_range twice[2] = { { 0, nr * P }, { 0, nr * P } };
	struct barter_ranges *from;
	u64 length;
	u32 runs, i;

	for (i = 0; i < nr; i++)
		parent[i] = (struct barter_range){ i * 2 * P, P };
	from = build(parent, nr, nr * 2 * P);
	CHECK(!ranges_cut(from, twice, 1, nr * 2 * P, &runs, &length) &&
	      runs == nr, "once");
	CHECK(ranges_cut(from, twice, 2, nr * 2 * P, &runs, &length) == -E2BIG,
	      "twice");
	twice[1].length -= 2 * P;
	CHECK(!ranges_cut(from, twice, 2, nr * 2 * P, &runs, &length) &&
	      runs == BARTER_MAX_RANGES, "as many as may be: %u", runs);
	drop(from);
	free(parent);
}

static void random_cuts_agree_with_the_model(void)
{
	struct barter_range parent[8], cut[8];
	unsigned int round, good = 0;

	for (round = 0; round < 200000; round++) {
		u64 pages = 1 + random_below(24), whole = 0, start = random_state;
		u32 nr = 1 + random_below(8), nr_cut = random_below(9), i;
		const char *wrong;

		for (i = 0; i < nr; i++) {
			parent[i].length = P * (1 + random_below(pages < 4 ?
								 pages : 4));
			parent[i].offset = random_below(pages + 1) * P;
			if (i && random_below(2))
				parent[i].offset = parent[i - 1].offset +
						   parent[i - 1].length;
			parent[i].offset %= pages * P - parent[i].length + P;
			whole += parent[i].length;
		}
		for (i = 0; i < nr_cut; i++) {
			cut[i].length = random_below(20) ?
				P * (1 + random_below(5)) : random_bytes(pages);
			cut[i].offset = random_below(20) ?
				random_below(whole / P) * P : random_bytes(pages);
			if (i && random_below(2))
				cut[i].offset = cut[i - 1].offset +
						cut[i - 1].length;
			if (random_below(8) && cut[i].length < whole)
				cut[i].offset %= whole - cut[i].length + 1;
			if (random_below(40))
				cut[i].offset -= cut[i].offset % P;
		}
		wrong = model_compare_cut(parent, nr, pages * P, cut, nr_cut);
		CHECK(!wrong, "round %u from state %llu: %s", round,
		      (unsigned long long)start, wrong);
		good += nr_cut && cut[0].offset + cut[0].length <= whole;
	}
	CHECK(good > 20000 && good < 190000, "%u of 200000 may be good", good);
}

int main(void)
{
	printf("# page size %llu\n", P);
	random_start();
	CASE(good_exports_give_runs_and_length);
	CASE(malformed_ranges_are_einval);
	CASE(ranges_outside_the_bar_are_einval);
	CASE(offset_plus_length_beyond_64_bits_is_eoverflow);
	CASE(a_sum_beyond_64_bits_is_einval);
	CASE(a_sum_above_four_times_the_bar_is_e2big);
	CASE(the_number_of_ranges_is_limited);
	CASE(a_buffer_fits_the_size_t_of_a_32_bit_kernel);
	CASE(runs_are_in_the_callers_order);
	CASE(find_gives_the_run_of_each_byte);
	CASE(segments_cut_each_run_on_its_own);
	CASE(end_is_behind_the_highest_run);
	CASE(the_longest_run_is_the_first_of_its_length);
	CASE(the_runs_take_the_place_of_the_ranges);
	CASE(contiguous_never_spans_two_runs);
	CASE(random_exports_agree_with_the_model);
	CASE(a_cut_stays_inside_its_buffer);
	CASE(the_runs_of_a_cut_are_limited);
	CASE(random_cuts_agree_with_the_model);
	return tap_done();
}
