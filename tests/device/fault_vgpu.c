// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, for maps of guest memory: with a mock guest, where only
 * barter-vgpu and the DMA API allocate, and with VFIO, by a type 1 container and by
 * iommufd. DMA mappings are compared as well; pages that stay pinned are seen by the
 * space itself. Spaces are made and ended in fault_vedu.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/fault.h"
#include "lib/iommufd.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/vgpu.h"

#define AT	(1ull << 30)
#define PAGES	700ul
#define MANY	   3u /* maps of the mock guest, and the pages of each */
#define MANY_PAGES 10ul

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

static bool is_empty(void)
{
	bool empty;

	WAIT_FOR(empty, !vt_stat(VT_VFIO0).out_pages && !vt_stat(VT_VFIO0).out_maps, 10000);
	return empty;
}

static void after_unmap(void)
{
	/* If it failed, nothing or all has been unmapped. */
	guest_unmap(&g, AT, PAGES * PAGE);
	if (!is_empty() || guest_map(&g, ram, AT, PAGES * PAGE, true))
		tap_bail("map again");
}

/* The maps' DMA mappings have gone with them; all is made anew. */
static bool whole_unmap(int ret)
{
	bool empty = is_empty();

	(void)ret;
	after_unmap();
	before_unmap();
	return empty;
}

static int call_copy(void)
{
	char bytes[100];

	return vt_copy(VT_VFIO0, AT, bytes, sizeof(bytes), false);
}

static char written[100];

static void before_write(void)
{
	memset(written, 0x5a, sizeof(written));
	memset(ram, 0, sizeof(written));
}

static int call_write(void)
{
	return vt_copy(VT_VFIO0, AT, written, sizeof(written), true);
}

static bool whole_write(int ret)
{
	(void)ret;
	return !memcmp(ram, written, sizeof(written));
}

/* ---- several maps at a time, and all of a device ---- */

static unsigned long kept; /* pages of the mock guest that are pinned */
static uint32_t ids[MANY];

static void map_many(void)
{
	for (unsigned int i = 0; i < MANY; i++) {
		if (vt_map(VT_MOCK, i * 100 * PAGE, MANY_PAGES, VT_R, VT_PLAIN0, &map))
			tap_bail("maps");
		ids[i] = map.out_id;
	}
	kept = MANY * MANY_PAGES;
}

static void unmap_all(void)
{
	for (unsigned int i = 0; i < MANY; i++)
		vt_unmap(VT_MOCK, ids[i]);
	kept = 0;
}

static int call_unmap_many(void)
{
	return vt_unmap_many(VT_MOCK, ids, MANY);
}

static int call_revoke(void)
{
	return vt_revoke(VT_MOCK, VT_PLAIN0);
}

static bool whole_gone(int ret)
{
	struct vt_mock m;

	(void)ret;
	vt_mock(VT_MOCK_ANY, 1, 0, VT_MOCK_PAGES, &m);
	map_many();
	return !m.out_pinned;
}

static int call_spaces(void)
{
	static char text[8192];
	int fd = open("/sys/kernel/debug/barter-vgpu/spaces", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = read(fd, text, sizeof(text)) <= 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Nothing is left of what failed. */
static bool nothing_left(void)
{
	struct vt_stat mock = vt_stat(VT_MOCK), vfio = vt_stat(VT_VFIO0);
	struct vt_mock m;
	unsigned long shared = other.out_id ? 100 : 0;

	vt_mock(VT_MOCK_ANY, 1, 0, VT_MOCK_PAGES, &m);
	return m.out_pinned == kept && !m.out_wrong && mock.out_pages == kept &&
	       !mock.out_maps == !kept && !mock.out_batches == !kept &&
	       (vfio.out_pages == shared || vfio.out_maps == 2);
}

static void sweeps(void)
{
	const struct fault_call calls[] = {
		{ .name = "map, mock",
		  .call = call_mock,
		  .whole = whole_mock,
		  .least = 10,
		  .fails = 10 },
		{ .name = "map",
		  .call = call_vfio,
		  .whole = whole_vfio,
		  .least = 10,
		  .fails = 8,
		  .sparse = true,
		  .errnos = { EFAULT } },
		{ .name = "unmap by the guest",
		  .before = before_unmap,
		  .call = call_unmap,
		  .whole = whole_unmap,
		  .after = after_unmap,
		  .none = true },
		{ .name = "read", .call = call_copy, .least = 1, .fails = 1 },
		{ .name = "write",
		  .before = before_write,
		  .call = call_write,
		  .whole = whole_write,
		  .least = 1,
		  .fails = 1 },
		{ .name = "map that shares",
		  .before = before_share,
		  .call = call_vfio,
		  .whole = whole_vfio,
		  .after = after_share,
		  .least = 10,
		  .fails = 8,
		  .sparse = true,
		  .errnos = { EFAULT } },
	};

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		other.out_id = 0;
		fault_sweep(&calls[i]);
	}
}

static void many(void)
{
	static const struct fault_call calls[] = {
		{ .name = "unmap of several",
		  .before = map_many,
		  .call = call_unmap_many,
		  .whole = whole_gone,
		  .after = unmap_all,
		  .least = 1,
		  .fails = 1 },
		{ .name = "all of a device",
		  .before = map_many,
		  .call = call_revoke,
		  .whole = whole_gone,
		  .after = unmap_all,
		  .none = true },
		{ .name = "read spaces",
		  .before = map_many,
		  .call = call_spaces,
		  .after = unmap_all,
		  .least = 3 },
	};

	other.out_id = 0;
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

static void begin(bool iommufd)
{
	if (guest_open(&g, 0, NULL, iommufd) || guest_map(&g, ram, AT, PAGES * PAGE, true))
		tap_bail("a guest");
	fault_witness = nothing_left;
}

/* The same calls, with iommufd behind VFIO. */
static void by_iommufd(void)
{
	const struct fault_call calls[] = {
		{ .name = "map, iommufd",
		  .call = call_vfio,
		  .whole = whole_vfio,
		  .least = 10,
		  .fails = 8,
		  .sparse = true,
		  .errnos = { EFAULT } },
		{ .name = "unmap by the guest, iommufd",
		  .before = before_unmap,
		  .call = call_unmap,
		  .whole = whole_unmap,
		  .after = after_unmap,
		  .none = true },
		{ .name = "read, iommufd", .call = call_copy, .least = 1, .fails = 1 },
		{ .name = "write, iommufd",
		  .before = before_write,
		  .call = call_write,
		  .whole = whole_write,
		  .least = 1,
		  .fails = 1 },
	};

	fault_witness = NULL;
	guest_close(&g);
	other.out_id = 0;
	begin(true);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

int main(void)
{
	int fd;

	fault_init();
	fd = vt_open();
	ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	*(uint64_t *)(ram + (PAGES - 1) * PAGE) = 77;
	if (vt_segments(0xffffffff, 0xffffffff) || vt_mock(VT_MOCK_NEW, 0, 0, 0, NULL))
		tap_bail("a guest");
	begin(false);
	CASE_LIMIT(sweeps, 900);
	CASE_LIMIT(many, 120);
	if (iommufd_or_skip("maps by iommufd"))
		CASE_LIMIT(by_iommufd, 600);
	guest_close(&g);
	close(fd);
	return tap_done();
}
