// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, for maps of guest memory: with a mock guest, where only
 * barter-vgpu and the DMA API allocate, and with VFIO. DMA mappings are compared as well;
 * pages that stay pinned are seen by the space itself.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/fault.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/vgpu.h"

#define AT	(1ull << 30)
#define PAGES	700ul

static struct guest g;
static uint8_t *ram;
static struct vt_map map, other;

static int call_mock(void)
{
	return vt_map(VT_MOCK, 900 * PAGE, 1500, VT_W, VT_PLAIN0, &map);
}

static bool whole_mock(int ret)
{
	struct vt_mock m;

	(void)ret;
	vt_mock(VT_MOCK_ANY, 1, 900, 1500, &m);
	return m.out_pinned == 1500 && m.out_most == 1 &&
		map.out_segments == map.out_runs &&
		!vt_unmap(VT_MOCK, map.out_id);
}

static int call_vfio(void)
{
	return vt_map(VT_VFIO0, AT, PAGES, VT_W, VT_PCI, &map);
}

static bool whole_vfio(int ret)
{
	struct vt_look look = { .poke = 0 };

	(void)ret;
	return map.out_segments == 1 &&
		!vt_look(VT_VFIO0, map.out_id, PAGES - 1, &look) &&
		look.value == 77 && !vt_unmap(VT_VFIO0, map.out_id);
}

static void before_share(void)
{
	if (vt_map(VT_VFIO0, AT + 100 * PAGE, 100, VT_W, VT_NONE, &other))
		tap_bail("a map to share with");
}

static void after_share(void)
{
	if (vt_unmap(VT_VFIO0, other.out_id))
		tap_bail("the map that was shared has gone");
}

static void before_unmap(void)
{
	if (call_vfio() || vt_map(VT_VFIO0, AT, 10, VT_R, VT_PLAIN0, NULL))
		tap_bail("maps");
}

static int call_unmap(void)
{
	return guest_unmap(&g, AT, PAGES * PAGE);
}

static bool whole_unmap(int ret)
{
	bool empty;

	(void)ret;
	WAIT_FOR(empty, !vt_stat(VT_VFIO0).out_pages && !vt_stat(VT_VFIO0).out_maps,
		 10000);
	return empty;
}

static void after_unmap(void)
{
	/* If it failed, nothing or all has been unmapped. */
	guest_unmap(&g, AT, PAGES * PAGE);
	if (guest_map(&g, ram, AT, PAGES * PAGE, true))
		tap_bail("map again");
}

static int call_copy(void)
{
	char bytes[100];

	return vt_copy(VT_VFIO0, AT, bytes, sizeof(bytes), false);
}

/* Nothing is left of what failed. */
static bool nothing_left(void)
{
	struct vt_stat mock = vt_stat(VT_MOCK), vfio = vt_stat(VT_VFIO0);
	struct vt_mock m;
	unsigned long shared = other.out_id ? 100 : 0;

	vt_mock(VT_MOCK_ANY, 1, 0, VT_MOCK_PAGES, &m);
	return !m.out_pinned && !m.out_wrong && !mock.out_pages &&
		!mock.out_maps && !mock.out_batches &&
		(vfio.out_pages == shared || vfio.out_maps == 2);
}

static void sweeps(void)
{
	const struct fault_call calls[] = {
		{ .name = "map, mock", .call = call_mock, .whole = whole_mock,
		  .least = 10, .fails = 10 },
		{ .name = "map", .call = call_vfio, .whole = whole_vfio,
		  .least = 10, .fails = 8, .sparse = true,
		  .errnos = { EFAULT } },
		{ .name = "unmap by the guest", .before = before_unmap,
		  .call = call_unmap, .whole = whole_unmap, .after = after_unmap },
		{ .name = "copy", .call = call_copy, .least = 1, .fails = 1 },
		{ .name = "map that shares", .before = before_share,
		  .call = call_vfio, .whole = whole_vfio, .after = after_share,
		  .least = 10, .fails = 8, .sparse = true,
		  .errnos = { EFAULT } },
	};

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		other.out_id = 0;
		fault_sweep(&calls[i]);
	}
}

int main(void)
{
	int fd;

	fault_init();
	fd = vt_open();
	ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	*(uint64_t *)(ram + (PAGES - 1) * PAGE) = 77;
	if (vt_segments(0xffffffff, 0xffffffff) ||
	    vt_mock(VT_MOCK_NEW, 0, 0, 0, NULL) ||
	    guest_open(&g, 0, NULL, false) ||
	    guest_map(&g, ram, AT, PAGES * PAGE, true))
		tap_bail("a guest");
	fault_witness = nothing_left;
	CASE_LIMIT(sweeps, 900);
	guest_close(&g);
	close(fd);
	return tap_done();
}
