// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Fuzz target for ranges.c: any bytes become an export, and a slice of one, and each answer must
 * agree with the page-by-page model.
 *
 * The first byte chooses how numbers are read. Raw: 8 bytes each, so that the
 * fuzzer reaches the ends of 64 bits. Small: 1 byte each, counted in pages, so
 * that valid exports with many ranges are common.
 */
#include "model.h"

#include <stdlib.h>

#define MOST_RANGES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static u64 read_number(const uint8_t **data, size_t *left, bool raw)
{
	u64 value = 0;
	size_t bytes = raw ? sizeof(value) : 1;

	if (bytes > *left)
		bytes = *left;
	memcpy(&value, *data, bytes);
	*data += bytes;
	*left -= bytes;
	return raw ? value : value * PAGE_SIZE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct barter_range *ranges;
	u64 bar_length, salt;
	const char *wrong;
	bool raw, pages;
	u32 nr = 0;

	if (length < 2)
		return 0;
	raw = data[0] & 1;
	pages = data[0] & 2;
	salt = data[1] * 0x9e3779b97f4a7c15ULL;
	data += 2;
	length -= 2;
	bar_length = read_number(&data, &length, raw);

	ranges = calloc(MOST_RANGES, sizeof(*ranges));
	while (length && nr < MOST_RANGES) {
		ranges[nr].offset = read_number(&data, &length, raw);
		ranges[nr].length = read_number(&data, &length, raw);
		if (raw && pages) {
			ranges[nr].offset &= ~(u64)(PAGE_SIZE - 1);
			ranges[nr].length &= ~(u64)(PAGE_SIZE - 1);
		}
		nr++;
	}

	wrong = model_compare(ranges, nr, bar_length, salt);
	/* The first half once more, and the second cut from it. */
	if (!wrong)
		wrong = model_compare_cut(ranges, nr / 2, bar_length,
					  ranges + nr / 2, nr - nr / 2);
	free(ranges);
	if (wrong) {
		fprintf(stderr, "ranges.c and the model differ: %s\n", wrong);
		abort();
	}
	return 0;
}
