// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What does a map of many scattered ranges cost as iommu-domain, as sgt, and as pci-bar,
 * by their number? And what of a map as iommu-domain is the look whether the addresses
 * are in use?
 */
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "../tests/device/lib/tester.h"

#define RANGES	4096
#define SAMPLES	9

static struct barter_bench sgt, domain, bar;
static struct dev big;

static void point(const char *line, uint32_t ranges, const struct barter_bench *req)
{
	report_point("map by interconnect", line, ranges, bench_times(req, 0));
	report_point("unmap by interconnect", line, ranges, bench_times(req, 1));
}

static void by_number(uint32_t ranges, unsigned int samples, unsigned int batch)
{
	int fd = big_export(&big, ranges);

	bench_run(&sgt, BARTER_BENCH_SGT, fd, edu_bdf(), samples, batch);
	bench_run(&domain, BARTER_BENCH_DOMAIN, fd, edu_bdf(), samples, batch);
	bench_run(&bar, BARTER_BENCH_BAR, fd, big.bdf, samples, batch);
	close(fd);
	point("sgt", ranges, &sgt);
	point("iommu-domain", ranges, &domain);
	point("pci-bar", ranges, &bar);
}

int main(void)
{
	double asked;

	big_open(&big);
	report_begin("domain", "scattered ranges: as iommu-domain, sgt or pci-bar?");
	by_number(1, SAMPLES, 16);
	by_number(64, SAMPLES, 4);
	by_number(65536, 5, 1);
	by_number(RANGES, SAMPLES, 1);

	report_time("sgt: map", bench_times(&sgt, 0));
	report_time("sgt: unmap", bench_times(&sgt, 1));
	report_time("iommu-domain: map", bench_times(&domain, 0));
	report_time("iommu-domain: unmap", bench_times(&domain, 1));
	report_count("sgt: map", sgt.out_counts[0], "IOMMU commands");
	report_count("sgt: unmap", sgt.out_counts[1], "IOMMU commands");
	report_count("iommu-domain: map", domain.out_counts[0], "IOMMU commands");
	report_count("iommu-domain: unmap", domain.out_counts[1],
		     "IOMMU commands");
	asked = (double)bench_times(&domain, 2).least;
	report_time("is each of 4096 pages in use? a map asks so before the page tables of 7.x",
		    bench_times(&domain, 2));
	report_ratio("to ask so, of the map", asked / (double)bench_times(&domain, 0).least);
	report_target("iommu-domain, unmap: the IOMMU's cache is told",
		      domain.out_counts[1], 1, "times");
	report_target("iommu-domain, map and unmap, of sgt's instructions",
		      100.0 * (bench_times(&domain, 0).least +
			       bench_times(&domain, 1).least) /
		      (bench_times(&sgt, 0).least + bench_times(&sgt, 1).least),
		      99.99, "%");
	return report_end();
}
