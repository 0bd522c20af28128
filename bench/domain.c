// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What does a map of many scattered ranges cost as iommu-domain, and as sgt?
 */
#include <unistd.h>

#include "bench.h"
#include "../tests/device/lib/tester.h"

#define RANGES	4096
#define SAMPLES	9

int main(void)
{
	static struct barter_bench sgt, domain;
	static struct dev big;
	int fd;

	big_open(&big);
	fd = big_export(&big, RANGES);
	bench_run(&sgt, BARTER_BENCH_SGT, fd, edu_bdf(), SAMPLES, 1);
	bench_run(&domain, BARTER_BENCH_DOMAIN, fd, edu_bdf(), SAMPLES, 1);
	close(fd);

	report_begin("domain", "4096 scattered ranges: iommu-domain or sgt?");
	report_time("sgt: map", bench_times(&sgt, 0));
	report_time("sgt: unmap", bench_times(&sgt, 1));
	report_time("iommu-domain: map", bench_times(&domain, 0));
	report_time("iommu-domain: unmap", bench_times(&domain, 1));
	report_count("sgt: map", sgt.out_counts[0], "IOMMU commands");
	report_count("sgt: unmap", sgt.out_counts[1], "IOMMU commands");
	report_count("iommu-domain: map", domain.out_counts[0], "IOMMU commands");
	report_count("iommu-domain: unmap", domain.out_counts[1],
		     "IOMMU commands");
	report_target("iommu-domain, unmap: the IOMMU's cache is told",
		      domain.out_counts[1], 1, "times");
	report_target("iommu-domain, map and unmap, of sgt's instructions",
		      100.0 * (bench_times(&domain, 0).least +
			       bench_times(&domain, 1).least) /
		      (bench_times(&sgt, 0).least + bench_times(&sgt, 1).least),
		      99.99, "%");
	return report_end();
}
