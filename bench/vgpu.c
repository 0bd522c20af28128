// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What does it cost to map guest memory for the device behind a vGPU: beside a loop
 * that pins and maps page by page, by type 1 and by iommufd; how much of it is VFIO's,
 * and the DMA API's; when it is mapped already; and to find one of many?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../tests/device/lib/access.h"
#include "../tests/device/lib/vgpu.h"
#include "bench.h"

#define SAMPLES	9
#define AT	(1ull << 32)
#define BYTES	(16 * MIB)
#define PAGES	(BYTES / PAGE)
#define FEW	1024u
#define LOTS	131072u
#define EACH	8u
/* A page costs no more than that, beside what VFIO and the DMA API take for it. */
#define OWN	100

static struct guest g;

/* The least of some samples, in ns for each page; also a row each. */
static double measure(const char *name, struct vt_time req, double *unmap)
{
	uint64_t map_ps[SAMPLES], unmap_ps[SAMPLES];
	uint64_t pages = req.npages * req.repeat;
	struct times t;
	char text[128];
	int ret;

	for (int i = 0; i < SAMPLES; i++) {
		ret = vt_time(&req);
		if (ret)
			fail("%s: %s", name, strerror(-ret));
		map_ps[i] = req.out_map_ns * 1000 / pages;
		unmap_ps[i] = req.out_unmap_ns * 1000 / pages;
	}
	t = times_of(unmap_ps, SAMPLES);
	if (unmap)
		*unmap = (double)t.least / 1e3;
	snprintf(text, sizeof(text), "%s: unmap, a page", name);
	report_time(text, t);
	t = times_of(map_ps, SAMPLES);
	snprintf(text, sizeof(text), "%s: map, a page", name);
	report_time(text, t);
	return (double)t.least / 1e3;
}

static uint8_t *ram(bool huge)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "we");
	uint8_t *p;

	if (!f || fprintf(f, "%lu", BYTES / (2 * MIB)) < 0 || fclose(f))
		fail("huge pages: %s", strerror(errno));
	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 (huge ? MAP_HUGETLB : 0), -1, 0);
	if (p == MAP_FAILED)
		fail("16 MiB: %s", strerror(errno));
	madvise(p, BYTES, MADV_NOHUGEPAGE);
	/*
	 * In an order in which no page comes beside the one before: what the kernel then
	 * takes from its lists makes as many pieces as there are pages, in every run.
	 */
	for (unsigned long i = 0; i < PAGES; i++)
		p[i * 1021 % PAGES * PAGE] = 1;
	return p;
}

static void guest_of(const uint8_t *p, bool iommufd)
{
	int ret = guest_open(&g, 0, NULL, iommufd);

	if (!ret)
		ret = guest_map(&g, p, AT, BYTES, true);
	if (ret)
		fail("a guest: %s", strerror(-ret));
}

/* What memory there is, in how many pieces, and what that means for a device. */
static void pieces(const char *what, const uint8_t *p)
{
	unsigned long runs = runs_of(p, PAGES);
	struct vt_stat was = vt_stat(VT_VFIO0);
	struct vt_map map;
	char name[128];

	if (vt_map(VT_VFIO0, AT, PAGES, VT_W, VT_PLAIN0, &map))
		fail("map");
	snprintf(name, sizeof(name), "%s: runs by the page table", what);
	report_count(name, runs, "runs");
	snprintf(name, sizeof(name), "%s: segments of a device without IOMMU", what);
	report_count(name, map.out_segments, "segments");
	snprintf(name, sizeof(name), "%s: calls of VFIO", what);
	report_count(name, vt_stat(VT_VFIO0).out_pins - was.out_pins, "calls");
	snprintf(name, sizeof(name), "%s: more segments than runs", what);
	report_target(name, (double)map.out_segments - (double)runs, 0, "segments");
	vt_unmap(VT_VFIO0, map.out_id);
}

/* 16 MiB, cold. */
static void cold(bool huge, bool iommufd)
{
	static const char *const hows[] = {
		[VT_TIME_MAP] = "", [VT_TIME_LOOP] = ", page by page",
		[VT_TIME_PIN] = ", VFIO alone", [VT_TIME_DMA] = ", the DMA API alone",
	};
	struct vt_time req = {
		.space = VT_VFIO0, .prot = VT_W, .device = VT_PCI, .iova = AT,
		.npages = PAGES, .repeat = 1,
	};
	double map[4], unmap[4];
	uint8_t *p = ram(huge);
	char what[64], name[128];

	snprintf(what, sizeof(what), "%s16 MiB of %s", iommufd ? "iommufd, " : "",
		 huge ? "huge pages" : "small pages");
	guest_of(p, iommufd);
	for (req.how = VT_TIME_MAP; req.how <= VT_TIME_DMA; req.how++) {
		snprintf(name, sizeof(name), "%s%s", what, hows[req.how]);
		map[req.how] = measure(name, req, &unmap[req.how]);
	}
	pieces(what, p);
	snprintf(name, sizeof(name), "%s: map, of the loop's", what);
	report_target(name, map[VT_TIME_MAP] / map[VT_TIME_LOOP], 0.25, "times");
	snprintf(name, sizeof(name), "%s: map and unmap, of the loop's", what);
	report_target(name, (map[VT_TIME_MAP] + unmap[VT_TIME_MAP]) /
			    (map[VT_TIME_LOOP] + unmap[VT_TIME_LOOP]), 0.25, "times");
	/* What is neither VFIO's nor the DMA API's. */
	snprintf(name, sizeof(name), "%s: barter's own of a map, a page", what);
	report_target(name, map[VT_TIME_MAP] - map[VT_TIME_PIN] - map[VT_TIME_DMA], OWN,
		      "instructions");
	snprintf(name, sizeof(name), "%s: barter's own of an unmap, a page", what);
	report_target(name, unmap[VT_TIME_MAP] - unmap[VT_TIME_PIN] - unmap[VT_TIME_DMA],
		      OWN, "instructions");
	guest_close(&g);
	munmap(p, BYTES);
}

static void cached(void)
{
	struct vt_time req = {
		.space = VT_VFIO0, .prot = VT_W, .device = VT_PCI, .iova = AT,
		.npages = 64, .repeat = 16, .step = 64,
	};
	uint8_t *p = ram(false);
	double miss, hit;

	guest_of(p, false);
	miss = measure("64 pages, cold", req, NULL);
	if (vt_map(VT_VFIO0, AT, 64, VT_W, VT_PCI, NULL))
		fail("map");
	req.step = 0;
	hit = measure("64 pages, mapped already", req, NULL);
	report_target("64 pages, mapped already, of cold", hit / miss, 0.05, "times");
	guest_close(&g);
	munmap(p, BYTES);
}

/* What one look takes among @nr maps of EACH pages. */
static double look(unsigned int nr)
{
	struct vt_time req = {
		.space = VT_MOCK, .prot = VT_R, .npages = EACH, .repeat = 61,
		.step = nr / 64 * EACH, .iova = 3 * EACH * PAGE,
	};
	char name[96];

	for (unsigned int i = (unsigned int)vt_stat(VT_MOCK).out_maps; i < nr; i++)
		if (vt_map(VT_MOCK, (uint64_t)i * EACH * PAGE, EACH, VT_R, VT_NONE, NULL))
			fail("map %u", i);
	snprintf(name, sizeof(name), "8 pages, mapped already, among %u maps of %u pages",
		 nr, nr * EACH);
	return measure(name, req, NULL);
}

static void lookup(void)
{
	double few, lots;

	if (vt_mock(VT_MOCK_LIMITS, 0, VT_MOCK_GUEST, LOTS + 16, NULL) ||
	    vt_mock(VT_MOCK_NEW, 0, 0, 0, NULL) ||
	    vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RW, 0, VT_MOCK_GUEST, NULL))
		fail("a mock guest");
	few = look(FEW);
	lots = look(LOTS);
	report_target("a look among a million pinned pages, of one among 8192",
		      lots / few, 2.0, "times");
	if (vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL))
		fail("close");
}

int main(void)
{
	int fd = vt_open();

	if (vt_segments(0xffffffff, 0xffffffff))
		fail("the devices");
	report_begin("vgpu", "what does it cost to map guest memory for a vGPU?");
	for (int iommufd = 0; iommufd <= !access("/dev/iommu", F_OK); iommufd++) {
		cold(false, iommufd);
		cold(true, iommufd);
	}
	cached();
	lookup();
	close(fd);
	return report_end();
}
