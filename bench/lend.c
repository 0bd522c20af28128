// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What do export, attach, map, unmap, revoke and restore cost, by ranges and by
 * importers, and what do they cost under the kernel's own exporter? The same device
 * under barter-vfio-pci and then under stock vfio-pci, if that lends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/native.h"
#include "../tests/device/lib/pci.h"
#include "../tests/device/lib/proc.h"
#include "../tests/device/lib/tester.h"
#include "bench.h"

#define SAMPLES	9
#define PAGE	4096ull

static const uint32_t ranges[] = { 1, 64, 4096, 65536 };
static const uint32_t crowds[] = { 1, 10, 100, 1000 };
#define SIZES	4

/* Who lends: barter, or the kernel. Least times in ns, 0: it cannot. */
static const char *const lenders[] = { "barter", "kernel" };
static double export_cost[2][SIZES], revoke_cost[2][SIZES], restore_cost[2][SIZES];
static double map_cost[2], unmap_cost[2];
static uint64_t unmap_commands;
static struct dev big;

static struct export *request(uint32_t nr)
{
	struct vfio_region_dma_range *r = calloc(nr, sizeof(*r));
	struct export *e;

	for (uint64_t i = 0; i < nr; i++)
		r[i] = (struct vfio_region_dma_range){ 2 * i * PAGE, PAGE };
	e = export_new(BIG_BAR, r, nr);
	free(r);
	return e;
}

static int export_of(uint32_t nr)
{
	struct export *e = request(nr);
	int fd = export_call(&big, e);

	free(e);
	return fd;
}

static void exports(int who)
{
	for (int i = 0; i < SIZES; i++) {
		struct export *e = request(ranges[i]);
		uint64_t made[SAMPLES], closed[SAMPLES];
		int fd = 0;

		for (int s = 0; s < SAMPLES && fd >= 0; s++) {
			uint64_t began = clock_now();

			fd = export_call(&big, e);
			made[s] = clock_since(began);
			began = clock_now();
			close(fd);
			closed[s] = clock_since(began);
		}
		free(e);
		if (fd < 0) {
			report_note("export, %s, %u: %s", lenders[who], ranges[i],
				    strerror(-fd));
			continue;
		}
		report_point("export by ranges", lenders[who], ranges[i],
			     times_of(made, SAMPLES));
		report_point("close by ranges", lenders[who], ranges[i],
			     times_of(closed, SAMPLES));
		export_cost[who][i] = times_of(made, SAMPLES).least / 1e3;
	}
}

static void maps(int who)
{
	static struct barter_bench req;

	for (int i = 0; i < SIZES; i++) {
		int fd, ret;

		/* And the kernel warns of it. */
		if (who && i) {
			report_note("map of %u ranges, kernel: not tried, it fails behind an IOMMU (doc/upstream-bugs.md)",
				    ranges[i]);
			continue;
		}
		fd = export_of(ranges[i]);
		if (fd < 0)
			continue;
		ret = bench_try(&req, BARTER_BENCH_SGT, fd, edu_bdf(), SAMPLES,
				ranges[i] < 64 ? 16 : 1);
		close(fd);
		if (ret) {
			report_note("map, %s, %u: %s", lenders[who], ranges[i],
				    strerror(-ret));
			continue;
		}
		report_point("map by ranges", lenders[who], ranges[i],
			     bench_times(&req, 0));
		report_point("unmap by ranges", lenders[who], ranges[i],
			     bench_times(&req, 1));
		if (!i) {
			map_cost[who] = bench_times(&req, 0).least / 1e3;
			unmap_cost[who] = bench_times(&req, 1).least / 1e3;
		}
		if (!who && ranges[i] == 4096)
			unmap_commands = req.out_counts[1];
	}
}

static uint64_t memory(bool on)
{
	uint64_t spent, began = clock_now();
	int ret = dev_set_memory(&big, on);

	spent = clock_since(began);
	if (ret)
		fail("memory %d: %s", on, strerror(-ret));
	return spent;
}

/* Memory off and on with that many importers, each of which has a map. */
static void crowd(int who, int i)
{
	uint64_t off[SAMPLES], on[SAMPLES], attach[SAMPLES], map[SAMPLES];
	struct barter_bench_crowd req;
	int fd = export_of(1), ret;

	for (int s = 0; s < SAMPLES; s++) {
		ret = crowd_do(&req, BARTER_BENCH_GATHER, fd, edu_bdf(),
			       crowds[i], true);
		if (ret)
			fail("%u importers: %s", crowds[i], strerror(-ret));
		attach[s] = req.out_attach_ps;
		map[s] = req.out_map_ps;
		off[s] = memory(false);
		on[s] = memory(true);
		crowd_do(&req, BARTER_BENCH_DISSOLVE, fd, edu_bdf(), 0, false);
		if (req.out_unmap_ps > 1000000)
			fail("an importer was not told");
	}
	close(fd);
	report_point("attach one by importers", lenders[who], crowds[i],
		     times_of(attach, SAMPLES));
	report_point("map one by importers", lenders[who], crowds[i],
		     times_of(map, SAMPLES));
	report_point("revoke by importers", lenders[who], crowds[i],
		     times_of(off, SAMPLES));
	report_point("restore by importers", lenders[who], crowds[i],
		     times_of(on, SAMPLES));
	revoke_cost[who][i] = times_of(off, SAMPLES).least / 1e3;
	restore_cost[who][i] = times_of(on, SAMPLES).least / 1e3;
}

static void nobody(int who)
{
	uint64_t off[SAMPLES], on[SAMPLES];
	int fd = export_of(1);

	for (int s = 0; s < SAMPLES; s++) {
		off[s] = memory(false);
		on[s] = memory(true);
	}
	close(fd);
	report_point("revoke by importers", lenders[who], 0, times_of(off, SAMPLES));
	report_point("restore by importers", lenders[who], 0, times_of(on, SAMPLES));
}

static void all(int who)
{
	exports(who);
	maps(who);
	nobody(who);
	for (int i = 0; i < SIZES; i++)
		crowd(who, i);
}

static void compared(void)
{
	char text[80];

	for (int i = 0; i < SIZES; i++) {
		if (!export_cost[1][i])
			continue;
		snprintf(text, sizeof(text), "export of %u ranges, of the kernel's own",
			 ranges[i]);
		report_target(text, export_cost[0][i] / export_cost[1][i], 1, "times");
	}
	report_ratio("map of one range, of the kernel's own",
		     map_cost[0] / map_cost[1]);
	report_ratio("unmap of one range, of the kernel's own",
		     unmap_cost[0] / unmap_cost[1]);
	for (int i = 0; i < SIZES; i++) {
		snprintf(text, sizeof(text),
			 "revoke under %u importers, of the kernel's own", crowds[i]);
		report_ratio(text, revoke_cost[0][i] / revoke_cost[1][i]);
		snprintf(text, sizeof(text),
			 "restore under %u importers, of the kernel's own", crowds[i]);
		report_ratio(text, restore_cost[0][i] / restore_cost[1][i]);
	}
}

int main(void)
{
	char bdf[BDF_LENGTH];

	big_open(&big);
	memcpy(bdf, big.bdf, sizeof(bdf));
	report_begin("lend", "what does lending cost, beside the kernel's own exporter?");
	all(0);
	report_target("export: a range of 65536, of a range of 64",
		      export_cost[0][3] / 65536 / (export_cost[0][1] / 64), 1.3, "times");
	report_target("revoke: an importer of 1000, of an importer of 100",
		      revoke_cost[0][3] / 1000 / (revoke_cost[0][2] / 100), 1.25, "times");
	if (!kernel_before(6, 16))
		report_target("unmap of 4096 ranges", (double)unmap_commands, 1,
			      "commands to the IOMMU");
	dev_close(&big);
	if (kernel_exports(bdf)) {
		if (dev_open_bound(&big, bdf) || dev_set_memory(&big, true))
			fail("%s under vfio-pci", bdf);
		all(1);
		compared();
		dev_close(&big);
	} else {
		report_note("this kernel has no exporter of its own to compare with");
	}
	return report_end();
}
