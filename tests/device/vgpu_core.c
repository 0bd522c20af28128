// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Guest memory for drivers of vGPUs: what barter-vgpu pins, maps and answers, with a
 * mock guest; in vgpu_core/ with this program as the guest of a VFIO device without
 * hardware (vfio.c, reach.c), and what it is charged to (charge.c).
 *
 * vgpu_core:misuse: calls of a driver that the kernel warns of.
 * vgpu_core:p2pmem: a device's memory that the kernel itself lends.
 * vgpu_core:bounce, vgpu_core:dax: see reach.c.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fixture.h"
#include "vgpu_core/vgpu_core.h"

#define BATCH	512

struct guest g;

uint8_t *memory(unsigned long npages)
{
	uint8_t *p = mmap(NULL, npages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("%lu pages: %s", npages, strerror(errno));
	madvise(p, npages * PAGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < npages; i++)
		*(uint64_t *)(p + i * PAGE) = i * 0x10001 + 7;
	return p;
}

uint8_t *begin(unsigned long npages, bool write)
{
	uint8_t *p = memory(npages);
	int ret = guest_open(&g, 0, NULL, false);

	if (!ret)
		ret = guest_map(&g, p, AT, npages * PAGE, write);
	if (ret)
		tap_bail("a guest of %lu pages: %s", npages, strerror(-ret));
	return p;
}

void end(uint8_t *p, unsigned long npages)
{
	guest_close(&g);
	if (p)
		munmap(p, npages * PAGE);
}

void is_empty(uint32_t space, const char *when)
{
	struct vt_stat s;
	bool empty;

	WAIT_FOR(empty, (s = vt_stat(space), !s.out_pages && !s.out_maps &&
			 !s.out_batches), 10000);
	ok(empty, "%s: no page pinned, no map (%llu, %llu)", when,
	   (unsigned long long)s.out_pages, (unsigned long long)s.out_maps);
}

void new_mock(void)
{
	int ret = vt_mock(VT_MOCK_NEW, 0, 0, 0, NULL);

	if (ret)
		tap_bail("a mock guest: %s", strerror(-ret));
}

void mock_is_clean(const char *when)
{
	struct vt_mock m;

	vt_mock(VT_MOCK_LET, 0, 0, VT_MOCK_PAGES, &m);
	ok(!m.out_pinned && !m.out_wrong, "%s: every pin is undone, once", when);
	is_empty(VT_MOCK, when);
}

static void sizes(void)
{
	static const unsigned long lengths[] = { 1, 2, 511, 512, 513, 1024, 1025, 4096, 8192 };

	new_mock();
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		unsigned long n = lengths[i];
		struct vt_stat s0 = vt_stat(VT_MOCK), s1;
		struct vt_mock m;
		struct vt_map map;

		need(!vt_map(VT_MOCK, 0, n, VT_W, VT_PLAIN0, &map), "%lu pages", n);
		s1 = vt_stat(VT_MOCK);
		is(s1.out_pins - s0.out_pins, (n + BATCH - 1) / BATCH,
		   "%lu pages: calls of the backend", n);
		is(s1.out_pinned - s0.out_pinned, n, "%lu pages: pinned", n);
		vt_mock(VT_MOCK_LET, 0, 0, n, &m);
		ok(m.out_pinned == n && m.out_most == 1, "%lu pages: each once", n);
		if (n <= VT_MOCK_RUN)
			is(map.out_runs, 1, "%lu pages: one run", n);
		else
			ok(map.out_runs > (n - VT_MOCK_RUN) / 2,
			   "%lu pages: %llu runs", n,
			   (unsigned long long)map.out_runs);
		is(map.out_segments, map.out_runs, "%lu pages: as many segments", n);
		is(vt_unmap(VT_MOCK, map.out_id), 0, "%lu pages: unmap", n);
		mock_is_clean("unmapped");
	}
}

static void cache(void)
{
	struct vt_map a, b, c, d;
	struct vt_stat s;
	struct vt_mock m;

	new_mock();
	need(!vt_map(VT_MOCK, 0, 64, VT_R, VT_PLAIN0, &a), "a map");
	need(!vt_map(VT_MOCK, 0, 64, VT_R, VT_PLAIN0, &b), "the same again");
	is(b.out_id, a.out_id, "it is the same map");
	need(!vt_map(VT_MOCK, 0, 64, VT_R, VT_PLAIN1, &c), "for another device");
	ok(c.out_id != a.out_id, "is another map");
	need(!vt_map(VT_MOCK, 0, 64, VT_R, VT_NONE, &d), "for no device");
	is(d.out_segments, 0, "which has no segments");
	s = vt_stat(VT_MOCK);
	is(s.out_pins, 1, "pinned by one call");
	is(s.out_pages, 64, "64 pages");
	is(s.out_hits, 1, "one hit");
	is(s.out_maps, 3, "three maps");
	vt_unmap(VT_MOCK, a.out_id);
	ok(vt_stat(VT_MOCK).out_maps == 3, "one of its references goes: still there");
	vt_unmap(VT_MOCK, b.out_id);
	vt_unmap(VT_MOCK, d.out_id);
	s = vt_stat(VT_MOCK);
	ok(s.out_maps == 1 && s.out_pages == 64, "others go: the pages stay");
	vt_mock(VT_MOCK_LET, 0, 0, 64, &m);
	is(m.out_pinned, 64, "for the second device");
	vt_unmap(VT_MOCK, c.out_id);
	mock_is_clean("the last goes");

	need(!vt_map(VT_MOCK, 0, 64, VT_R, VT_NONE, &a), "for reading");
	need(!vt_map(VT_MOCK, 0, 64, VT_W, VT_NONE, &b), "and for writing");
	ok(a.out_id != b.out_id, "are two maps");
	is(vt_stat(VT_MOCK).out_pages, 128, "which count each for itself");
	vt_unmap(VT_MOCK, a.out_id);
	vt_unmap(VT_MOCK, b.out_id);
	mock_is_clean("both gone");
}

static void overlap(void)
{
	struct vt_map a, b, c;
	struct vt_stat s;
	struct vt_mock m;

	new_mock();
	need(!vt_map(VT_MOCK, 100 * PAGE, 100, VT_W, VT_NONE, &a), "100+100");
	need(!vt_map(VT_MOCK, 300 * PAGE, 100, VT_W, VT_NONE, &b), "300+100");
	need(!vt_map(VT_MOCK, 50 * PAGE, 500, VT_W, VT_PLAIN0, &c), "50+500");
	s = vt_stat(VT_MOCK);
	is(s.out_pages, 500, "each page pinned once");
	is(s.out_pins, 5, "what lay between, by three calls");
	vt_mock(VT_MOCK_LET, 0, 50, 500, &m);
	ok(m.out_pinned == 500 && m.out_most == 1, "says the backend");
	is(c.out_runs, 1, "one run, though of five batches");
	is(c.out_segments, 1, "one segment");
	vt_unmap(VT_MOCK, c.out_id);
	is(vt_stat(VT_MOCK).out_pages, 200, "what only it needed is unpinned");
	vt_unmap(VT_MOCK, a.out_id);
	vt_unmap(VT_MOCK, b.out_id);
	mock_is_clean("all gone");

	/* Part of a batch, beginning in the middle of its runs. */
	need(!vt_map(VT_MOCK, 2000 * PAGE, 300, VT_W, VT_NONE, &a), "scattered");
	need(!vt_map(VT_MOCK, 2050 * PAGE, 100, VT_W, VT_PLAIN0, &b), "100 of it");
	for (unsigned int i = 0; i < 100; i++) {
		struct vt_look x = { .poke = 0 }, y = { .poke = 0 };

		vt_look(VT_MOCK, a.out_id, 50 + i, &x);
		vt_look(VT_MOCK, b.out_id, i, &y);
		if (x.out_pfn != y.out_pfn || y.out_address != y.out_pfn * PAGE ||
		    y.out_length != y.out_run * PAGE) {
			ok(false, "page %u is the same page, and its address", i);
			break;
		}
	}
	ok(true, "the same pages, each at its address");
	vt_unmap(VT_MOCK, a.out_id);
	is(vt_stat(VT_MOCK).out_pages, 300, "a batch stays as a whole");
	vt_unmap(VT_MOCK, b.out_id);
	mock_is_clean("and goes as a whole");
}

static void many(void)
{
	uint32_t ids[1024];
	struct vt_stat s0, s1;
	struct vt_map map;

	new_mock();
	for (int any = 1; any >= 0; any--) {
		vt_mock(VT_MOCK_ANY, (uint32_t)any, 0, 0, NULL);
		for (unsigned int i = 0; i < 1024; i++) {
			unsigned int at = (i * 5) % 1024;

			if (vt_map(VT_MOCK, at * PAGE, 1, VT_W, VT_NONE, &map)) {
				ok(false, "page %u", at);
				return;
			}
			ids[i] = map.out_id;
		}
		s0 = vt_stat(VT_MOCK);
		is(vt_unmap_many(VT_MOCK, ids, 1024), 0, "unmap 1024 maps of a page");
		s1 = vt_stat(VT_MOCK);
		is(s1.out_unpins - s0.out_unpins, any ? 2 : 1024,
		   any ? "calls of a backend that unpins any range" :
			 "of one that unpins what it pinned");
		mock_is_clean("unmapped");
	}
	s0 = vt_stat(VT_MOCK);
	vt_map(VT_MOCK, 0, 1, VT_W, VT_NONE, &map);
	vt_map(VT_MOCK, 0, 1, VT_W, VT_NONE, &map);
	ids[0] = ids[1] = map.out_id;
	ids[2] = 0;
	is(vt_unmap_many(VT_MOCK, ids, 3), 0, "two references of one map, and none");
	mock_is_clean("unmapped");
}

static void refused(void)
{
	struct vt_mock m;
	struct vt_map map;
	struct log log;
	int ret;

	new_mock();
	is_errno(vt_map(VT_MOCK, 0, 0, VT_R, VT_NONE, NULL), EINVAL, "no page");
	is_errno(vt_map(VT_MOCK, 12, 1, VT_R, VT_NONE, NULL), EINVAL, "not aligned");
	is_errno(vt_map(VT_MOCK, 0, 1, 0, VT_NONE, NULL), EINVAL, "no rights");
	is_errno(vt_map(VT_MOCK, 0, 1, 2, VT_NONE, NULL), EINVAL, "writing alone");
	is_errno(vt_map(VT_MOCK, 0, 1, 7, VT_NONE, NULL), EINVAL, "unknown rights");
	is_errno(vt_map(VT_MOCK, 8191 * PAGE, 2, VT_R, VT_NONE, NULL), ENOENT,
		 "beyond the guest's memory");
	is_errno(vt_map(VT_MOCK, TOP, 2, VT_R, VT_NONE, NULL), EOVERFLOW,
		 "beyond all addresses");
	is_errno(vt_map(VT_MOCK, TOP, 1, VT_R, VT_NONE, NULL), ENOENT,
		 "the last page of all");
	is_errno(vt_map(VT_MOCK, PAGE, ~0ull, VT_R, VT_NONE, NULL),
		 kernel_has_32_bits() ? EDQUOT : EOVERFLOW, "as many as can be said");
	is_errno(vt_map(VT_MOCK, 0, 1ul << 30, VT_R, VT_NONE, NULL), EDQUOT,
		 "more than any limit");
	is_errno(vt_map(VT_MOCK, 0, (1ul << 18) + 1, VT_R, VT_NONE, NULL), EDQUOT,
		 "a page more than the limit");
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RO, 1500, 1, NULL);
	is_errno(vt_map(VT_MOCK, 0, 4096, VT_W, VT_PLAIN0, NULL), EPERM,
		 "a page for reading only, in the third batch");
	ret = vt_map(VT_MOCK, 0, 4096, VT_R, VT_PLAIN0, &map);
	is(ret, 0, "is no matter for reading");
	vt_unmap(VT_MOCK, map.out_id);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_NONE, 4095, 1, NULL);
	is_errno(vt_map(VT_MOCK, 0, 4096, VT_R, VT_PLAIN0, NULL), ENOENT,
		 "a page that is not there, the last of eight batches");
	log_open(&log);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BAR, 700, 1, NULL);
	is_errno(vt_map(VT_MOCK, 0, 1024, VT_R, VT_NONE, NULL), EREMOTE,
		 "a page that is a device's");
	ok(log_wait(&log, "memory of a device", "dma-buf", 2000),
	   "the log names the way to such memory");
	log_close(&log);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RW, 0, VT_MOCK_PAGES, NULL);
	for (uint32_t nth = 1; nth <= 3; nth++) {
		vt_mock(VT_MOCK_FAIL, nth, 0, 0, NULL);
		is_errno(vt_map(VT_MOCK, 1024 * PAGE, 1500, VT_W, VT_PLAIN0, NULL),
			 ENOMEM, "batch %u fails", nth);
		mock_is_clean("undone");
	}
	is_errno(vt_map(VT_MOCK, 0, 64, VT_R, VT_NEAR, &map), ENXIO,
		 "a device that would need bounce buffers");
	mock_is_clean("all refused");
	vt_mock(VT_MOCK_LET, 0, 0, VT_MOCK_PAGES, &m);
	is(m.out_dirty, 0, "nothing is dirty");
}

/* What a backend should not say is never taken for success. */
static void answers(void)
{
	static const int none[] = { 1, 4, -4096, INT_MAX, INT_MIN };
	uint8_t bytes[16];

	new_mock();
	for (unsigned int i = 0; i < sizeof(none) / sizeof(*none); i++) {
		vt_mock(VT_MOCK_ANSWER, 0, (uint64_t)none[i], 0, NULL);
		is_errno(vt_map(VT_MOCK, 0, 4, VT_R, VT_PLAIN0, NULL), EIO, "a pin says %d",
			 none[i]);
		vt_mock(VT_MOCK_ANSWER, 0, 0, 0, NULL);
		vt_mock(VT_MOCK_ANSWER, 1, (uint64_t)none[i], 0, NULL);
		is_errno(vt_copy(VT_MOCK, 0, bytes, sizeof(bytes), false), EIO, "a copy says %d",
			 none[i]);
		vt_mock(VT_MOCK_ANSWER, 1, 0, 0, NULL);
	}
	vt_mock(VT_MOCK_ANSWER, 0, (uint64_t)-EILSEQ, 0, NULL);
	is_errno(vt_map(VT_MOCK, 0, 4, VT_R, VT_PLAIN0, NULL), EILSEQ, "an errno is handed on");
	vt_mock(VT_MOCK_ANSWER, 0, 0, 0, NULL);
	mock_is_clean("nothing was pinned");
}

static void limits(void)
{
	struct vt_map a, b;

	vt_mock(VT_MOCK_LIMITS, 0, 1000, 3, NULL);
	new_mock();
	vt_mock(VT_MOCK_LIMITS, 0, 0, 0, NULL);
	is_errno(vt_map(VT_MOCK, 0, 1001, VT_W, VT_NONE, NULL), EDQUOT, "1001 of 1000 pages");
	need(!vt_map(VT_MOCK, 0, 900, VT_W, VT_NONE, &a), "900 pages");
	is_errno(vt_map(VT_MOCK, 900 * PAGE, 101, VT_W, VT_NONE, NULL), EDQUOT,
		 "101 more");
	is_errno(vt_map(VT_MOCK, 0, 1000, VT_R, VT_NONE, NULL), EDQUOT,
		 "900 again with other rights");
	need(!vt_map(VT_MOCK, 0, 1000, VT_W, VT_NONE, &b), "100 more");
	is(vt_stat(VT_MOCK).out_pages, 1000, "at the limit");
	need(!vt_map(VT_MOCK, 0, 10, VT_W, VT_NONE, NULL), "what is pinned costs nothing");
	is_errno(vt_map(VT_MOCK, 0, 11, VT_W, VT_NONE, NULL), EDQUOT, "a fourth map");
	is(vt_map(VT_MOCK, 0, 10, VT_W, VT_NONE, NULL), 0, "the third again");
	is(vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL), 0, "close takes all back");
	mock_is_clean("closed");
	is_errno(vt_map(VT_MOCK, 0, 1, VT_R, VT_NONE, NULL), ENODEV, "closed: a map");
	vt_mock(VT_MOCK_OPEN, 0, 0, 0, NULL);
	is(vt_map(VT_MOCK, 0, 1, VT_R, VT_NONE, &a), 0, "open again");
	vt_unmap(VT_MOCK, a.out_id);
	mock_is_clean("end");
}

static void dirty(void)
{
	struct vt_mock m;
	struct vt_map a, b;

	new_mock();
	vt_map(VT_MOCK, 10 * PAGE, 600, VT_R, VT_PLAIN0, &a);
	vt_map(VT_MOCK, 20 * PAGE, 30, VT_W, VT_PLAIN0, &b);
	vt_unmap(VT_MOCK, a.out_id);
	vt_mock(VT_MOCK_LET, 0, 0, VT_MOCK_PAGES, &m);
	is(m.out_dirty, 0, "a map for reading leaves no page dirty");
	vt_unmap(VT_MOCK, b.out_id);
	vt_mock(VT_MOCK_LET, 0, 0, VT_MOCK_PAGES, &m);
	is(m.out_dirty, 30, "one for writing its own");
	vt_mock(VT_MOCK_LET, 0, 20, 30, &m);
	is(m.out_dirty, 30, "and those are they");
	mock_is_clean("end");
}

static void segments(void)
{
	struct vt_look look = { .poke = 0 };
	struct vt_map map;

	new_mock();
	is(vt_segments(64 * 1024, 0), 0, "devices of 64 KiB a segment");
	need(!vt_map(VT_MOCK, 0, 1024, VT_W, VT_PLAIN0, &map), "4 MiB in one run");
	is(map.out_segments, 64, "64 segments");
	is(map.out_longest, 65536, "of 64 KiB");
	vt_look(VT_MOCK, map.out_id, 1001, &look);
	is(look.out_address, map.out_first + 1001 * PAGE, "address of a page inside");
	is(look.out_length, (1008 - 1001) * PAGE, "to the end of its segment");
	vt_unmap(VT_MOCK, map.out_id);
	is(vt_segments(0xffffffff, 1 * MIB - 1), 0, "no limit, a boundary of 1 MiB");
	need(!vt_map(VT_MOCK, 0, 1024, VT_W, VT_PLAIN0, &map), "4 MiB in one run");
	is(map.out_segments, 4, "four segments");
	is(map.out_longest, MIB, "of 1 MiB");
	vt_unmap(VT_MOCK, map.out_id);
	is(vt_segments(0xffffffff, 0xffffffff), 0, "no limits");
	need(!vt_map(VT_MOCK, 1000 * PAGE, 5000, VT_W, VT_PCI, &map),
	     "5000 scattered pages, behind an IOMMU");
	is(map.out_segments, 1, "one segment");
	is(map.out_longest, 5000 * PAGE, "of all");
	ok(map.out_runs > 2000, "of %llu runs", (unsigned long long)map.out_runs);
	vt_unmap(VT_MOCK, map.out_id);
	mock_is_clean("end");
}

static void copies(void)
{
	static uint8_t a[300000], b[300000];

	new_mock();
	fill(a, 5, 0, sizeof(a));
	is(vt_copy(VT_MOCK, 4093, a, 299999, true), 0, "write 299999 bytes");
	is(vt_copy(VT_MOCK, 4093, b, 299999, false), 0, "read them");
	ok(!memcmp(a, b, 299999), "the same");
	is(vt_copy(VT_MOCK, 4093, a, 0, true), 0, "no byte");
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RO, 40, 1, NULL);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_NONE, 60, 1, NULL);
	is_errno(vt_copy(VT_MOCK, 39 * PAGE, a, 3 * PAGE, true), EPERM, "read-only");
	is(vt_copy(VT_MOCK, 39 * PAGE, a, 3 * PAGE, false), 0, "but to be read");
	is_errno(vt_copy(VT_MOCK, 59 * PAGE, a, 3 * PAGE, false), ENOENT, "absent");
	is_errno(vt_copy(VT_MOCK, -5ull, a, 6, false), EOVERFLOW, "overflow");
	vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
	is_errno(vt_copy(VT_MOCK, 0, a, 6, false), ENODEV, "closed");
}

static void invalidate(void)
{
	struct vt_map a, b, c;
	struct vt_mock m;
	struct vt_stat s;

	new_mock();
	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &a);
	vt_map(VT_MOCK, 50 * PAGE, 700, VT_R, VT_PLAIN1, &b);
	vt_map(VT_MOCK, 1000 * PAGE, 100, VT_R, VT_NONE, &c);
	is(vt_mock(VT_MOCK_UNMAP, 0, 99, 1, &m), 0, "the guest unmaps page 99");
	is(m.out_pinned, 0, "it is unpinned when that returns");
	s = vt_stat(VT_MOCK);
	is(s.out_invalidates, 2, "two maps had it, and were told of");
	is(s.out_maps, 1, "the third was left alone");
	is(vt_unmap(VT_MOCK, a.out_id), -ENOENT, "the driver has given them back");
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, 1000, NULL), 0, "the guest unmaps more");
	is(vt_stat(VT_MOCK).out_invalidates, 2, "of which nobody needs to know");
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, ~0ull >> 12, NULL), 0, "the guest unmaps all");
	mock_is_clean("all gone");

	vt_behave(VT_MOCK, VT_MISUSE, 0);
	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &a);
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, 1, NULL), 0, "with a driver that calls back");
	is(vt_stat(VT_MOCK).out_misused, 0, "which is refused to map and copy there");
	vt_behave(VT_MOCK, VT_PROMPT, 0);
	mock_is_clean("misuse");

	vt_behave(VT_MOCK, VT_LATER, 300);
	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &a);
	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &a);
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, 1, NULL), 0, "with a driver that takes 300 ms");
	mock_is_clean("late");
	vt_behave(VT_MOCK, VT_PROMPT, 0);

	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &a);
	vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN1, &b);
	is(vt_revoke(VT_MOCK, VT_PLAIN0), 0, "a device goes");
	s = vt_stat(VT_MOCK);
	ok(s.out_maps == 1 && s.out_pages == 100, "its map goes, the other's stays");
	is(vt_revoke(VT_MOCK, VT_PLAIN1), 0, "the other goes");
	mock_is_clean("both gone");
}

/* Taking memory back from where memory is taken back would wait for itself. */
static void misuse(void)
{
	struct vt_map map;
	struct log log;

	new_mock();
	vt_behave(VT_MOCK, VT_WARNED, 0);
	need(!vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &map), "a map");
	log_open(&log);
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, 1, NULL), 0,
	   "a driver closes the space, and revokes the device, in its invalidate");
	ok(log_wait(&log, "WARNING", "barter_vgpu_close", 2000), "the kernel warns of the close");
	ok(log_wait(&log, "WARNING", "barter_vgpu_revoke_device", 2000), "and of the revoke");
	log_close(&log);
	vt_behave(VT_MOCK, VT_PROMPT, 0);
	mock_is_clean("unmapped");
	need(!vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &map), "the space is open");
	vt_behave(VT_MOCK, VT_WARNED, 0);
	is(vt_revoke(VT_MOCK, VT_PLAIN0), 0, "the same while the device is revoked");
	vt_behave(VT_MOCK, VT_PROMPT, 0);
	mock_is_clean("revoked");
	need(!vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &map), "the space is still open");
	vt_behave(VT_MOCK, VT_WARNED, 0);
	is(vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL), 0, "the same while it is closed");
	vt_behave(VT_MOCK, VT_PROMPT, 0);
	mock_is_clean("closed");
}

int main(int argc, char **argv)
{
	int fd = vt_open();

	if (vt_segments(0xffffffff, 0xffffffff))
		tap_bail("the devices");
	if (argc > 1) {
		if (!strcmp(argv[1], "misuse"))
			CASE(misuse);
		else if (!strcmp(argv[1], "p2pmem"))
			CASE(p2pmem);
		else if (!strcmp(argv[1], "bounce"))
			CASE(bounce);
		else if (!strcmp(argv[1], "dax"))
			CASE(dax);
		else
			tap_bail("there is no part \"%s\"", argv[1]);
		goto out;
	}
	CASE(sizes);
	CASE(cache);
	CASE(overlap);
	CASE(many);
	CASE(refused);
	CASE(answers);
	CASE(limits);
	CASE(dirty);
	CASE(segments);
	CASE(copies);
	CASE(invalidate);
	vfio_cases();
	charge_cases();
out:
	close(fd);
	return tap_done();
}
