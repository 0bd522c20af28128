// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Is a map as pci-bar linear in the number of ranges, with one allocation?
 */
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

#define SAMPLES	15

int main(void)
{
	static const struct {
		uint32_t ranges;
		unsigned int batch;
	} sizes[] = { { 64, 64 }, { 4096, 4 }, { 65536, 1 } };
	double cost[3], least = 0;
	static struct barter_bench req;
	static struct dev big;
	uint64_t most = 0;
	char text[80];

	big_open(&big);
	report_begin("bar", "is a map as pci-bar linear in the ranges, with one allocation?");
	for (unsigned int i = 0; i < 3; i++) {
		int fd = big_export(&big, sizes[i].ranges);

		bench_run(&req, BARTER_BENCH_BAR, fd, big.bdf, SAMPLES,
			  sizes[i].batch);
		close(fd);
		snprintf(text, sizeof(text), "map of %u ranges", sizes[i].ranges);
		report_time(text, bench_times(&req, 0));
		report_count(text, req.out_counts[0], "allocations");
		snprintf(text, sizeof(text), "unmap of %u ranges",
			 sizes[i].ranges);
		report_time(text, bench_times(&req, 1));
		cost[i] = bench_times(&req, 0).least / 1e3 / sizes[i].ranges;
		if (!i || cost[i] < least)
			least = cost[i];
		if (req.out_counts[0] > most)
			most = req.out_counts[0];
		if (!req.out_counts[0])
			fail("no allocation was seen: counting does not work");
	}
	for (unsigned int i = 1; i < 3; i++) {
		snprintf(text, sizeof(text), "a range of %u, of a range of 64",
			 sizes[i].ranges);
		report_target(text, cost[i] / cost[0], 1.5, "times");
	}
	report_target("a map, at most", most, 1, "allocations");
	return report_end();
}
