// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory for BAR 2 of a vEDU: lent by each of the numbers, mapped by its user and
 * through a buffer, touched, attached to and mapped for DMA.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/memattr.h"
#include "../lib/slice.h"
#include "../lib/tester.h"
#include "fault_vedu.h"

#define RANGES 64
/* An address far from all others: no page table is there. */
#define ALONE  ((void *)0x200000000000)
#define USED   (8 * PAGE)

/* ---- export ---- */

static struct vfio_region_dma_range ranges[RANGES];
static struct export *eleven;
static struct {
	struct vfio_device_feature h;
	struct barter_feature_export r;
} named;

static int call_eleven(void)
{
	return export_call(&g.d, eleven);
}

static int call_named(void)
{
	int fd = ioctl(g.d.fd, VFIO_DEVICE_FEATURE, &named);

	return fd < 0 ? -errno : fd;
}

/* Also the last page, which is 3 pages on for each that is before it. */
static bool whole_buffer(int got, uint32_t nr, uint32_t memattr, const char *name)
{
	volatile uint8_t *p = buf_map(got, 0, nr * PAGE, RW);
	struct barter_info info;
	bool fine;

	fine = p && lend_shows(p, PAGE) &&
	       lend_shows(p + (nr - 1) * PAGE, PAGE + (nr - 1) * 3 * PAGE) &&
	       !buf_info(got, &info) && info.out_state == BARTER_STATE_OK &&
	       info.out_nr_ranges == nr && info.out_memattr == memattr &&
	       !strcmp(info.out_name, name);
	if (p)
		munmap((void *)p, nr * PAGE);
	close(got);
	return fine;
}

static bool whole_eleven(int got)
{
	return whole_buffer(got, eleven->r.nr_ranges, BARTER_MEMATTR_UC, "");
}

static bool whole_named(int got)
{
	return whole_buffer(got, RANGES, named.r.memattr, named.r.name);
}

static void exports(void)
{
	static const struct fault_call eleven_calls[] = {
		{ .name = "feature 11, one range",
		  .call = call_eleven,
		  .whole = whole_eleven,
		  .least = 5,
		  .fails = 4 },
		{ .name = "feature 11, 64 ranges",
		  .call = call_eleven,
		  .whole = whole_eleven,
		  .least = 5,
		  .fails = 4 },
	};
	static const struct fault_call named_calls[] = {
		{ .name = "export with a name",
		  .call = call_named,
		  .whole = whole_named,
		  .least = 6,
		  .fails = 4 },
		{ .name = "export write-combining",
		  .call = call_named,
		  .whole = whole_named,
		  .least = 6,
		  .fails = 4 },
	};

	guest_up(false);
	for (uint32_t i = 0; i < RANGES; i++)
		ranges[i] = (struct vfio_region_dma_range){ PAGE + i * 3 * PAGE, PAGE };
	for (int i = 0; i < 2; i++) {
		eleven = export_new(2, ranges, i ? RANGES : 1);
		fault_sweep(&eleven_calls[i]);
		free(eleven);
	}
	for (uint32_t i = 0; i < 2; i++) {
		named.h.argsz = sizeof(named);
		named.h.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT;
		named.r = (struct barter_feature_export){
			.size = sizeof(named.r),
			.region_index = 2,
			.flags = i ? BARTER_EXPORT_FORCE_ATTRIBUTE : 0,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = RANGES,
			.ranges = (uintptr_t)ranges,
			.name = "without memory",
			.memattr = i ? BARTER_MEMATTR_WC : BARTER_MEMATTR_UC,
		};
		fault_sweep(&named_calls[i]);
	}
	guest_down();
}

/* ---- what else is asked about a buffer ---- */

static uint32_t feature;

static int call_probe(void)
{
	struct vfio_device_feature arg = {
		.argsz = sizeof(arg),
		.flags = feature | VFIO_DEVICE_FEATURE_PROBE,
	};

	return ioctl(g.d.fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

static void probes(void)
{
	static const struct {
		const char *name;
		uint32_t feature;
	} features[] = {
		{ "probe export", VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET },
		{ "probe export by barter's number",
		  BARTER_FEATURE_EXPORT | VFIO_DEVICE_FEATURE_GET },
		{ "probe memory attribute", BARTER_FEATURE_MEMATTR | VFIO_DEVICE_FEATURE_SET },
		{ "probe revoke", BARTER_FEATURE_REVOKE | VFIO_DEVICE_FEATURE_SET },
	};

	guest_up(false);
	for (unsigned int i = 0; i < sizeof(features) / sizeof(*features); i++) {
		const struct fault_call c = {
			.name = features[i].name,
			.call = call_probe,
			.none = true,
		};

		feature = features[i].feature;
		fault_sweep(&c);
	}
	guest_down();
}

static volatile uint8_t *map;
static int importers, id;

static void lend(void)
{
	lent = buf_export1(&g.d, 2, PAGE, USED);
	if (lent < 0)
		tap_bail("no buffer to begin with");
}

static int call_attribute(void)
{
	return buf_memattr(&g.d, lent, BARTER_MEMATTR_WC, 0);
}

static bool whole_attribute(int ret)
{
	struct barter_info info;
	bool fine = !buf_info(lent, &info) && info.out_memattr == BARTER_MEMATTR_WC;

	(void)ret;
	return !buf_memattr(&g.d, lent, BARTER_MEMATTR_UC, 0) && fine;
}

/* Another buffer of the same vEDU is mapped: the ranges of both are compared. */
static int beside = -1;
static void *beside_map;

static void lend_two(void)
{
	lend();
	beside = buf_export1(&g.d, 2, MIB, PAGE);
	beside_map = buf_map(beside, 0, PAGE, RW);
	if (!beside_map)
		tap_bail("no second buffer");
}

static void close_two(void)
{
	munmap(beside_map, PAGE);
	close(beside);
	if (buf_state(lent) != BARTER_STATE_OK)
		tap_bail("the buffer has gone");
	lend_close();
}

static void lend_and_map(void)
{
	lend();
	importers = tester_open();
	id = tester_attach(importers, lent, 0);
	map = buf_map(lent, 0, USED, RW);
	if (!map || !lend_shows(map, PAGE) || id < 0 ||
	    tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL))
		tap_bail("no buffer in use to begin with");
}

static void unmap_and_close(void)
{
	munmap((void *)map, USED);
	close(importers);
	lend_close();
}

static int call_end(void)
{
	return buf_end(&g.d, lent);
}

static bool whole_end(int ret)
{
	uint32_t v;
	bool fine = buf_state(lent) == BARTER_STATE_DEAD && peek(map, &v) == SIGBUS &&
		    !tester_stat(importers, id).out_mapped;

	(void)ret;
	unmap_and_close();
	lend_and_map();
	return fine;
}

static void attribute_and_end(void)
{
	static const struct fault_call calls[] = {
		{ .name = "memory attribute",
		  .before = lend_two,
		  .call = call_attribute,
		  .whole = whole_attribute,
		  .after = close_two,
		  .least = 1,
		  .strict = true },
		{ .name = "end of a buffer",
		  .before = lend_and_map,
		  .call = call_end,
		  .whole = whole_end,
		  .after = unmap_and_close,
		  .none = true,
		  .moves = true },
	};

	guest_up(false);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	guest_down();
}

/* ---- CPU mappings ---- */

static int shown_file;
static off_t shown_at;

static int call_mmap(void)
{
	void *p = mmap(ALONE, USED, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, shown_file, shown_at);

	map = p;
	return p == MAP_FAILED ? -errno : 0;
}

static bool whole_mmap(int ret)
{
	bool fine = lend_shows(map, PAGE) && lend_shows(map + USED - PAGE, USED);

	(void)ret;
	munmap((void *)map, USED);
	return fine;
}

static void map_it(void)
{
	if (call_mmap())
		tap_bail("mmap: %s", strerror(errno));
}

static void unmap_it(void)
{
	munmap((void *)map, USED);
}

static uint32_t seen;

static int call_load(void)
{
	int sig = peek(map, &seen);

	return sig == SIGBUS ? -EIO : sig ? -EFAULT : 0;
}

static bool whole_load(int ret)
{
	(void)ret;
	return seen == pattern(SEED, PAGE) && lend_shows(map, PAGE);
}

static void sweep_mappings(const char *what)
{
	char names[2][64];
	const struct fault_call calls[] = {
		{ .name = names[0],
		  .call = call_mmap,
		  .whole = whole_mmap,
		  .least = 2,
		  .fails = 1,
		  .moves = true },
		{ .name = names[1],
		  .before = map_it,
		  .call = call_load,
		  .whole = whole_load,
		  .after = unmap_it,
		  .least = 2,
		  .moves = true },
	};

	snprintf(names[0], sizeof(names[0]), "mmap of %s", what);
	snprintf(names[1], sizeof(names[1]), "load of %s", what);
	for (int i = 0; i < 2; i++)
		fault_sweep(&calls[i]);
}

static void mmaps(void)
{
	guest_up(false);
	shown_file = g.d.fd;
	shown_at = (off_t)g.d.offset[2] + PAGE;
	sweep_mappings("BAR 2");
	lend();
	shown_file = lent;
	shown_at = 0;
	sweep_mappings("a buffer of BAR 2");
	lend_close();
	guest_down();
}

/* ---- importers ---- */

static void lend_and_open(void)
{
	lend();
	importers = tester_open();
}

static void lend_and_attach(void)
{
	lend_and_open();
	id = tester_attach(importers, lent, 0);
	if (id < 0)
		tap_bail("no importer to begin with");
}

static void close_both(void)
{
	close(importers);
	lend_close();
}

static int call_attach(void)
{
	return tester_attach(importers, lent, 0);
}

static bool whole_attach(int got)
{
	return !tester_map(importers, got, BARTER_TEST_TO_DEVICE, NULL) &&
	       !tester_detach(importers, got);
}

static int call_dma_map(void)
{
	return tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL);
}

static bool whole_dma_map(int ret)
{
	(void)ret;
	return !tester_unmap(importers, id);
}

static void dma_maps(void)
{
	static const struct fault_call calls[] = {
		{ .name = "attach",
		  .before = lend_and_open,
		  .call = call_attach,
		  .whole = whole_attach,
		  .after = close_both,
		  .least = 2 },
		{ .name = "DMA map",
		  .before = lend_and_attach,
		  .call = call_dma_map,
		  .whole = whole_dma_map,
		  .after = close_both,
		  .least = 2,
		  .fails = 1 },
	};

	guest_up(false);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	guest_down();
}

void lend_cases(void)
{
	CASE_LIMIT(exports, 120);
	CASE_LIMIT(probes, 60);
	CASE_LIMIT(attribute_and_end, 120);
	CASE_LIMIT(mmaps, 120);
	CASE_LIMIT(dma_maps, 120);
}
