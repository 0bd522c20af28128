// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Guest memory by VFIO: what pages there are is held against what /proc/self/pagemap
 * says of them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/fixture.h"
#include "../lib/iommufd.h"
#include "vgpu_core.h"

#define HUGE	(2 * MIB)

static void vfio_pages(void)
{
	const unsigned long n = 3000;
	uint8_t *p = begin(n, true);
	struct vt_map map, none;
	struct vt_stat s0 = vt_stat(VT_VFIO0), s1;
	unsigned long wrong = 0;

	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, &map), "3000 pages");
	s1 = vt_stat(VT_VFIO0);
	is(s1.out_pins - s0.out_pins, 6, "calls of VFIO");
	is(map.out_runs, runs_of(p, n), "runs are those of the page table");
	is(map.out_segments, map.out_runs, "and the segments, for a plain device");
	for (unsigned long i = 0; i < n; i++) {
		struct vt_look look = { .poke = 1, .value = ~i };

		wrong += vt_look(VT_VFIO0, map.out_id, i, &look) ||
			 look.value != i * 0x10001 + 7 ||
			 *(volatile uint64_t *)(p + i * PAGE) != ~i;
	}
	is(wrong, 0, "each page is the guest's page");
	need(!vt_map(VT_VFIO0, AT + 100 * PAGE, 1000, VT_W, VT_PCI, &none),
	     "1000 of them behind the IOMMU");
	is(none.out_segments, 1, "one segment");
	is(vt_stat(VT_VFIO0).out_pins, s1.out_pins, "no further call");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	is(vt_unmap(VT_VFIO0, none.out_id), 0, "unmap the other");
	is_empty(VT_VFIO0, "unmapped");
	end(p, n);
}

static void vfio_scattered(void)
{
	const unsigned long n = 1300;
	uint8_t *p = memory(2 * n);
	unsigned long i, wrong = 0;
	struct vt_map map;

	need(!guest_open(&g, 0, NULL, false), "a guest");
	for (i = 0; i < n; i++)
		wrong += !!guest_map(&g, p + 2 * i * PAGE, AT + i * PAGE, PAGE, true);
	is(wrong, 0, "every second page, mapped by itself");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, &map), "all of them");
	ok(map.out_runs > n / 2, "%llu runs", (unsigned long long)map.out_runs);
	is(map.out_segments, map.out_runs, "as many segments");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PCI, &map), "behind the IOMMU");
	is(map.out_segments, 1, "one segment");
	is(guest_unmap(&g, AT + 700 * PAGE, PAGE), 0, "the guest unmaps one page");
	is_empty(VT_VFIO0, "the map is gone");
	is_errno(vt_map(VT_VFIO0, AT, n, VT_W, VT_PCI, NULL), ENOENT, "cannot be again");
	is_empty(VT_VFIO0, "undone");
	end(p, 2 * n);
}

static void vfio_huge(void)
{
	struct vt_map map;
	uint8_t *p;

	sysfs_write("4", "/proc/sys/vm/nr_hugepages");
	p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	need(p != MAP_FAILED, "two huge pages");
	need(!guest_open(&g, 0, NULL, false) && !guest_map(&g, p, AT, 2 * HUGE, true),
	     "a guest of them");
	need(!vt_map(VT_VFIO0, AT, HUGE / PAGE, VT_W, VT_PLAIN0, &map), "one of them");
	is(map.out_runs, 1, "one run");
	is(map.out_segments, 1, "one segment");
	is(map.out_longest, HUGE, "of 2 MiB");
	vt_unmap(VT_VFIO0, map.out_id);
	need(!vt_map(VT_VFIO0, AT + 3 * PAGE, 1000, VT_W, VT_PLAIN0, &map),
	     "1000 pages of both, not aligned");
	is(map.out_runs, runs_of(p + 3 * PAGE, 1000), "runs as by the page table");
	ok(map.out_runs <= 2, "at most two");
	is(map.out_segments, map.out_runs, "as many segments");
	guest_close(&g);
	is_empty(VT_VFIO0, "closed");
	munmap(p, 2 * HUGE);
	sysfs_write("0", "/proc/sys/vm/nr_hugepages");
}

static void vfio_errors(void)
{
	uint8_t *p = begin(1000, false), *hole = memory(8);
	struct vt_map map;
	char bytes[64];

	is_errno(vt_map(VT_VFIO0, AT, 10, VT_W, VT_NONE, NULL), EPERM,
		 "read-only guest memory, for writing");
	is(vt_map(VT_VFIO0, AT, 10, VT_R, VT_NONE, &map), 0, "for reading");
	vt_unmap(VT_VFIO0, map.out_id);
	is_errno(vt_map(VT_VFIO0, AT - PAGE, 10, VT_R, VT_NONE, NULL), ENOENT,
		 "a page before it");
	is_errno(vt_map(VT_VFIO0, AT, 1001, VT_R, VT_PLAIN0, NULL), ENOENT,
		 "a page behind it, after a whole batch");
	is_errno(vt_map(VT_VFIO0, 0, 1, VT_R, VT_NONE, NULL), ENOENT, "nothing there");
	is_errno(vt_map(VT_VFIO0, TOP, 2, VT_R, VT_NONE, NULL), EOVERFLOW, "overflow");
	is_empty(VT_VFIO0, "all undone");
	need(!guest_map(&g, hole, 0, 8 * PAGE, true), "more memory");
	munmap(hole + 4 * PAGE, PAGE);
	is_errno(vt_map(VT_VFIO0, 0, 8, VT_W, VT_NONE, NULL), EFAULT,
		 "the guest's process unmapped a page of its own");
	is_empty(VT_VFIO0, "undone");
	is(vt_copy(VT_VFIO0, AT + 4090, bytes, sizeof(bytes), false), 0, "read");
	ok(!memcmp(bytes, p + 4090, sizeof(bytes)), "what is there");
	is_errno(vt_copy(VT_VFIO0, AT + 4090, bytes, 8, true), EPERM, "write");
	is_errno(vt_copy(VT_VFIO0, 1ull << 40, bytes, 8, false), ENOENT, "read nothing");
	memset(bytes, 0x5a, sizeof(bytes));
	is(vt_copy(VT_VFIO0, PAGE - 3, bytes, 8, true), 0, "write elsewhere");
	ok(!memcmp(hole + PAGE - 3, bytes, 8), "it is there");
	end(p, 1000);
	munmap(hole, 4 * PAGE);
	munmap(hole + 5 * PAGE, 3 * PAGE);
	is_errno(vt_map(VT_VFIO0, AT, 10, VT_R, VT_NONE, NULL), ENODEV,
		 "the device is closed");
}

/* A BAR as a guest's memory: by its sysfs file, and as a buffer that barter lends. */
static void vfio_bar(void)
{
	uint8_t *p = memory(8), *lent;
	struct vt_map map;
	struct log log;
	int fd;

	fixture_open();
	fd = buf_export1(&mem, BAR, 0, 16 * PAGE);
	lent = buf_map(fd, 0, 16 * PAGE, PROT_READ | PROT_WRITE);
	need(fd >= 0 && lent, "a buffer");
	need(!guest_open(&g, 0, NULL, false), "a guest");
	need(!guest_map(&g, p, AT, 8 * PAGE, true) &&
	     !guest_map(&g, lent, AT + 8 * PAGE, 16 * PAGE, true) &&
	     !guest_map(&g, bar, AT + 64 * PAGE, 16 * PAGE, true),
	     "whose memory is RAM and, behind it, the buffer; and elsewhere the BAR");
	log_open(&log);
	is_errno(vt_map(VT_VFIO0, AT + 8 * PAGE, 16, VT_W, VT_PCI, NULL), EREMOTE,
		 "the buffer's address");
	ok(log_wait(&log, "barter-vgpu-test.0", "use the dma-buf", 2000),
	   "the log says what to use instead");
	log_close(&log);
	is_errno(vt_map(VT_VFIO0, AT + 64 * PAGE, 1, VT_R, VT_NONE, NULL), EREMOTE,
		 "the BAR's address");
	is_errno(vt_map(VT_VFIO0, AT, 24, VT_R, VT_NONE, NULL), EREMOTE,
		 "RAM with the buffer behind it");
	is_errno(vt_map(VT_VFIO0, AT, 25, VT_R, VT_NONE, NULL), ENOENT,
		 "and nothing behind that");
	is_empty(VT_VFIO0, "all undone");
	is(vt_map(VT_VFIO0, AT, 8, VT_W, VT_NONE, &map), 0, "the RAM alone");
	end(p, 8);
	is_empty(VT_VFIO0, "closed");
	munmap(lent, 16 * PAGE);
	close(fd);
	fixture_close();
}

/*
 * A device's memory for which the kernel has struct pages, and which it lends itself: the
 * guest's process may have it, but not have it pinned. Read-only: files like that cannot be
 * pinned for writing, whatever is in them.
 */
static void p2pmem_by(const uint8_t *cmb, bool by_iommufd)
{
	const char *how = by_iommufd ? "iommufd" : "type 1";
	struct log log;

	need(!guest_open(&g, 0, NULL, by_iommufd) && !guest_map(&g, cmb, AT / 4, 4 * PAGE, false),
	     "%s: a guest of it", how);
	log_open(&log);
	is_errno(vt_map(VT_VFIO0, AT / 4, 4, VT_R, VT_NONE, NULL), EREMOTE, "%s: cannot be pinned",
		 how);
	ok(log_wait(&log, "barter-vgpu-test.0", "use the dma-buf", 2000),
	   "%s: the log says what to use instead", how);
	is_errno(vt_map(VT_VFIO0, AT / 4 + 3 * PAGE, 1, VT_R, VT_PLAIN0, NULL), EREMOTE,
		 "%s: nor for a device", how);
	log_close(&log);
	is_empty(VT_VFIO0, how);
	guest_close(&g);
}

void p2pmem(void)
{
	const char *bdf = getenv("VM_CMB");
	char path[128];
	uint8_t *cmb;
	bool there;
	int fd;

	need(bdf && !system("modprobe nvme") && !pci_bind(bdf, "nvme"), "a device with memory");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/p2pmem/allocate", bdf);
	WAIT_FOR(there, (fd = open(path, O_RDWR | O_CLOEXEC)) >= 0, 10000);
	need(there, "that the kernel lends");
	cmb = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(cmb != MAP_FAILED, "and that a process may map");
	p2pmem_by(cmb, false);
	if (iommufd_or_skip("by iommufd"))
		p2pmem_by(cmb, true);
	munmap(cmb, 4 * PAGE);
	close(fd);
	is_errno(pci_unbind(bdf), 0, "it is nobody's again");
}

static void vfio_unmap(void)
{
	uint8_t *p = begin(1000, true);
	struct vt_stat s0 = vt_stat(VT_VFIO0);

	for (uint32_t prot = VT_R; prot <= VT_W; prot += 2)
		for (uint32_t device = VT_NONE; device < VT_DEVICES; device++)
			if (device != VT_NEAR && vt_map(VT_VFIO0, AT + 8 * PAGE * device,
							900, prot, device, NULL))
				ok(false, "a map");
	is(vt_stat(VT_VFIO0).out_maps, 8, "eight maps of the same memory");
	is(guest_unmap(&g, AT, 1000 * PAGE), 0, "the guest unmaps it");
	is_empty(VT_VFIO0, "when that has returned");
	is(vt_stat(VT_VFIO0).out_invalidates - s0.out_invalidates, 8, "all were told of");
	is(guest_unmap(&g, AT, 1000 * PAGE), -ERANGE, "there is nothing left");
	vt_behave(VT_VFIO0, VT_LATER, 200);
	need(!guest_map(&g, p, AT, 1000 * PAGE, true), "mapped again");
	need(!vt_map(VT_VFIO0, AT, 1000, VT_W, VT_PCI, NULL), "for a driver that is slow");
	is(guest_unmap(&g, AT, 1000 * PAGE), 0, "the guest unmaps it");
	is_empty(VT_VFIO0, "when that has returned");
	vt_behave(VT_VFIO0, VT_PROMPT, 0);
	end(p, 1000);
}

/* The same calls, with iommufd behind VFIO. */
static void iommufd(void)
{
	uint8_t *p = memory(2000);
	struct vt_map a, b;
	char bytes[64];

	if (access("/dev/iommu", F_OK)) {
		skip("no iommufd", "guest memory by iommufd");
		munmap(p, 2000 * PAGE);
		return;
	}
	need(!guest_open(&g, 0, NULL, true), "a guest in iommufd");
	need(!guest_map(&g, p, AT / 4, 1000 * PAGE, true) &&
	     !guest_map(&g, p + 1000 * PAGE, AT / 4 + 1000 * PAGE, 1000 * PAGE, false),
	     "its memory, half of it read-only");
	need(!vt_map(VT_VFIO0, AT / 4, 2000, VT_R, VT_PLAIN0, &a), "all, for reading");
	is(a.out_runs, runs_of(p, 2000), "runs are those of the page table");
	need(!vt_map(VT_VFIO0, AT / 4 + 7 * PAGE, 900, VT_W, VT_PCI, &b), "for writing");
	is(b.out_segments, 1, "one segment");
	is_errno(vt_map(VT_VFIO0, AT / 4 + 500 * PAGE, 600, VT_W, VT_NONE, NULL), EPERM,
		 "read-only");
	is_errno(vt_map(VT_VFIO0, AT / 4, 2001, VT_R, VT_NONE, NULL), ENOENT, "unmapped");
	is(vt_copy(VT_VFIO0, AT / 4 + 5, bytes, 64, false), 0, "read");
	ok(!memcmp(bytes, p + 5, 64), "what is there");
	is_errno(vt_copy(VT_VFIO0, 1, bytes, 8, false), ENOENT, "read nothing");
	is(vt_unmap(VT_VFIO0, b.out_id), 0, "unmap");
	is(guest_unmap(&g, AT / 4 + 1000 * PAGE, 1000 * PAGE), 0, "the guest unmaps half");
	is_empty(VT_VFIO0, "the map is gone");
	is(vt_map(VT_VFIO0, AT / 4, 1000, VT_W, VT_PCI, NULL), 0, "the other half");
	guest_close(&g);
	is_empty(VT_VFIO0, "closed");
	munmap(p, 2000 * PAGE);
}

void vfio_cases(void)
{
	CASE(vfio_pages);
	CASE(vfio_scattered);
	CASE(vfio_huge);
	CASE(vfio_errors);
	CASE(vfio_bar);
	CASE(vfio_unmap);
	CASE(iommufd);
}
