// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory attributes: mappings are cached as was asked for, by the page table's own
 * word; where that cannot be had the call says so; and no page is mapped in two ways
 * unless somebody has asked for it by force.
 *
 * With the argument "nopat" the machine has no page attribute tables.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/fixture.h"
#include "lib/memattr.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2 * MIB)
#define SEED	71
#define UC	BARTER_MEMATTR_UC
#define WC	BARTER_MEMATTR_WC
#define FORCE	BARTER_MEMATTR_FORCE

static int t;

/* The BAR's mapping of the fixture is an alias of everything: not here. */
static void put_away(void)
{
	munmap((void *)bar, bar_length);
	bar = NULL;
}

static int reopen(void)
{
	char bdf[BDF_LENGTH];

	memcpy(bdf, mem.bdf, sizeof(bdf));
	dev_close(&mem);
	return dev_open(&mem, bdf);
}

static int lend(uint64_t offset, uint64_t n, uint32_t memattr)
{
	int fd = buf_export1(&mem, BAR, offset, n);
	int ret = fd < 0 ? fd : buf_memattr(&mem, fd, memattr, 0);

	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

static int try_map(int fd)
{
	void *p = buf_map(fd, 0, PAGE, RW);

	if (!p)
		return -errno;
	munmap(p, PAGE);
	return 0;
}

/* Does the page table have the page at @p, with that attribute? */
static bool is_cached_as(const volatile uint8_t *p, uint32_t memattr,
			 bool large)
{
	struct barter_test_page page;
	uint32_t want = memattr == WC ? BARTER_TEST_TYPE_WC :
					BARTER_TEST_TYPE_UC_MINUS;
	int ret = tester_page(t, p, &page);

	if (ret || page.out_type != want || page.out_large != large ||
	    (memattr == WC && page.out_bits != 1)) {
		diag("page table: %d, bits %u, type %u, large %u", ret,
		     page.out_bits, page.out_type, page.out_large);
		return false;
	}
	return true;
}

static void touch(volatile uint8_t *p, size_t n, size_t step)
{
	for (size_t i = 0; i < n; i += step)
		(void)*(volatile uint32_t *)(p + i);
}

/* ---- how pages are cached ---- */

static void pages_are_as_asked(void)
{
	for (uint32_t memattr = UC; memattr <= WC; memattr++) {
		const char *name = memattr == WC ? "WC" : "UC";
		int fd = lend(MIB + PAGE, 40 * PAGE, memattr);
		volatile uint8_t *p = buf_map(fd, 0, 40 * PAGE, RW), *q;
		struct barter_test_page page;
		unsigned int wrong = 0;
		char *space;

		need(p, "%s: export, set and mmap", name);
		is(tester_page(t, p, &page), -ENODATA, "%s: nothing yet", name);
		fill(p, SEED, 0, 40 * PAGE);
		for (size_t i = 0; i < 40; i++)
			wrong += !is_cached_as(p + i * PAGE, memattr, false);
		is(wrong, 0, "%s: each page", name);
		tester_page(t, p + 3 * PAGE, &page);
		ok(page.out_writable, "%s: writable", name);

		/* Whatever is done to the mapping. */
		is(mprotect((void *)p, 2 * PAGE, PROT_READ), 0, "%s: mprotect",
		   name);
		ok(is_cached_as(p, memattr, false), "%s: read-only", name);
		is(poke(p, 1), SIGSEGV, "%s: cannot be written", name);
		mprotect((void *)p, 2 * PAGE, RW);
		is(poke(p, pattern(SEED, 0)), 0, "%s: written again", name);
		ok(is_cached_as(p, memattr, false), "%s: still so", name);
		space = mmap(NULL, 4 * PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		q = mremap((void *)(p + 8 * PAGE), 4 * PAGE, 4 * PAGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, space);
		ok((char *)q == space && is_cached_as(q, memattr, false),
		   "%s: moved", name);
		is(differs(q, SEED, 8 * PAGE, 4 * PAGE), -1, "%s: bytes", name);
		is_errno(dev_reset(&mem), 0, "%s: reset", name);
		is(tester_page(t, p, &page), -ENODATA, "%s: gone", name);
		touch(p, 8 * PAGE, PAGE);
		touch(q, 4 * PAGE, PAGE);
		ok(is_cached_as(p + 7 * PAGE, memattr, false) &&
		   is_cached_as(q + PAGE, memattr, false),
		   "%s: as before after a restore", name);
		is(differs(p, SEED, 0, 8 * PAGE), -1, "%s: all bytes", name);
		munmap(space, 4 * PAGE);
		munmap((void *)p, 40 * PAGE);
		close(fd);
	}
}

/* Device memory of each page is the right one, in whatever order. */
static void scattered_pages(void)
{
	struct vfio_region_dma_range r[300];
	volatile uint8_t *p, *reference;
	unsigned int wrong = 0;
	int fd;

	reference = dev_map(&mem, BAR, 0, bar_length);
	need(reference, "the BAR");
	fill(reference, SEED + 1, 0, 4 * MIB);
	munmap((void *)reference, bar_length);
	for (unsigned int i = 0; i < 300; i++)
		r[i] = (struct vfio_region_dma_range){
			(i * 37 % 300) * 3 * PAGE, PAGE + i % 2 * PAGE };
	fd = buf_export(&mem, BAR, r, 300);
	need(fd >= 0 && !buf_memattr(&mem, fd, WC, 0), "300 ranges");
	p = buf_map_aligned(fd, 0, 450 * PAGE, HUGE);
	need(p, "mmap");
	/* From behind, so that most come as neighbours. */
	touch(p + 449 * PAGE, PAGE, PAGE);
	for (unsigned int i = 0, at = 0; i < 300; at += r[i++].length / PAGE) {
		wrong += differs(p + at * PAGE, SEED + 1, r[i].offset,
				 r[i].length) >= 0;
		wrong += !is_cached_as(p + at * PAGE, WC, false);
	}
	is(wrong, 0, "each page is the right one, and WC");
	munmap((void *)p, 450 * PAGE);
	close(fd);
}

static long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* Huge pages are not to be had; one fault fills as much in all the same. */
static void faults_of_16_mib(void)
{
	int fd = lend(16 * MIB, 16 * MIB, WC);
	volatile uint8_t *p = buf_map_aligned(fd, 0, 16 * MIB, HUGE);
	struct barter_info info;
	long faults;

	need(p, "16 MiB");
	faults = minor_faults();
	touch(p, 16 * MIB, PAGE);
	faults = minor_faults() - faults;
	ok(faults >= 8 && faults <= 12, "the process saw %ld faults", faults);
	buf_info(fd, &info);
	is(info.out_faults_pte, 8, "8 faults, of single pages");
	is(info.out_faults_pmd + info.out_faults_pud, 0, "none larger");
	is(info.out_memattr, WC, "info says WC");
	munmap((void *)p, 16 * MIB);
	close(fd);

	/* Uncached ones are as they were. */
	fd = lend(16 * MIB, 16 * MIB, UC);
	p = buf_map_aligned(fd, 0, 16 * MIB, HUGE);
	touch(p, 16 * MIB, PAGE);
	if (!kernel_has_32_bits())
		ok(is_cached_as(p + 5 * MIB, UC, true), "UC: by huge pages");
	munmap((void *)p, 16 * MIB);
	close(fd);
}

static int child_reads(void *arg)
{
	volatile uint8_t *p = arg;

	if (!is_cached_as(p, WC, false))
		return 10;
	touch(p + 3 * MIB, PAGE, PAGE);
	return is_cached_as(p + 3 * MIB, WC, false) ? 0 : 11;
}

static void children_have_it_too(void)
{
	int fd = lend(8 * MIB, 4 * MIB, WC);
	volatile uint8_t *p = buf_map_aligned(fd, 0, 4 * MIB, HUGE);

	need(p, "mmap");
	touch(p, PAGE, PAGE);
	is(in_child(child_reads, (void *)p, 20000), 0, "after fork");
	munmap((void *)p, 4 * MIB);
	close(fd);
}

/* What is mapped stays as it is. */
static void later_mappings_only(void)
{
	int fd = lend(0, 2 * PAGE, UC);
	volatile uint8_t *p = buf_map(fd, 0, PAGE, RW), *q;

	need(p, "mmap");
	is_errno(buf_memattr(&mem, fd, WC, 0), EBUSY, "WC beside UC");
	is_errno(buf_memattr(&mem, fd, WC, FORCE), 0, "by force");
	q = buf_map(fd, 0, PAGE, RW);
	need(q, "a second mmap");
	touch(p, PAGE, PAGE);
	touch(q, PAGE, PAGE);
	ok(is_cached_as(p, UC, false), "the first is UC");
	ok(is_cached_as(q, WC, false), "the second is WC");
	is_errno(buf_memattr(&mem, fd, UC, 0), EBUSY, "back, beside WC");
	munmap((void *)q, PAGE);
	is_errno(buf_memattr(&mem, fd, UC, 0), 0, "back, without WC");
	munmap((void *)p, PAGE);
	close(fd);
}

/* What a buffer has when a slice is cut, the slice has; forced is forced there too. */
static void slices_have_it_too(void)
{
	int fd = lend(0, 4 * PAGE, WC), slice = slice1(fd, PAGE, PAGE), uc;
	volatile uint8_t *p = buf_map(slice, 0, PAGE, RW), *q;
	struct barter_info info;

	need(p && !buf_info(slice, &info), "a slice, mapped");
	is(info.out_memattr, WC, "a slice of WC is WC");
	touch(p, PAGE, PAGE);
	ok(is_cached_as(p, WC, false), "its page too");
	uc = buf_export1(&mem, BAR, PAGE, PAGE);
	is_errno(try_map(uc), EBUSY, "UC beside it");
	is_errno(buf_memattr(&mem, fd, UC, FORCE), 0, "its parent UC, by force");
	buf_info(slice, &info);
	is(info.out_memattr, WC, "the slice stays as it is");
	ok(!info.out_forced, "and not forced");
	close(slice);
	slice = slice1(fd, PAGE, PAGE);
	buf_info(slice, &info);
	ok(info.out_memattr == UC && info.out_forced, "a new one is forced");
	q = buf_map(slice, 0, PAGE, RW);
	ok(q, "and mapped beside WC");
	munmap((void *)q, PAGE);
	munmap((void *)p, PAGE);
	close(uc);
	close(slice);
	close(fd);
}

/* ---- refusals ---- */

static int call(uint32_t size, uint32_t flags, int fd, uint32_t memattr,
		uint32_t op)
{
	struct {
		struct vfio_device_feature h;
		struct barter_feature_memattr m;
		uint32_t more[2];
	} arg = {
		.h = { .argsz = sizeof(arg),
		       .flags = op | BARTER_FEATURE_MEMATTR },
		.m = { .size = size, .flags = flags, .dmabuf_fd = fd,
		       .memattr = memattr },
	};

	arg.more[1] = size == 25;
	if (size == 25)
		arg.m.size = sizeof(arg.m) + 8;
	return ioctl(mem.fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

static void refusals(void)
{
	const uint32_t set = VFIO_DEVICE_FEATURE_SET;
	const uint32_t n = sizeof(struct barter_feature_memattr);
	int fd = buf_export1(&mem, BAR, 0, PAGE), foreign = tester_foreign();
	int dead, other;
	char bdf[BDF_LENGTH];
	struct dev d;

	is_errno(call(n, 0, fd, UC, set), 0, "UC is always there");
	is_errno(call(n + 8, 0, fd, UC, set), 0, "a larger structure");
	is_errno(call(25, 0, fd, UC, set), E2BIG, "that is not zero");
	is_errno(call(n - 1, 0, fd, UC, set), EINVAL, "a smaller one");
	is_errno(call(n + 12, 0, fd, UC, set), EINVAL, "beyond argsz");
	is_errno(call(n, 2, fd, UC, set), EINVAL, "unknown flag");
	is_errno(call(n, 0, fd, 2, set), ENOENT, "no such attribute");
	is_errno(call(n, FORCE, fd, ~0u, set), ENOENT, "nor by force");
	is_errno(call(n, 0, -1, WC, set), EBADF, "no fd");
	is_errno(call(n, 0, mem.fd, WC, set), EINVAL, "no dma-buf");
	is_errno(call(n, 0, foreign, WC, set), ENODEV, "not barter's");
	is_errno(call(n, 0, fd, UC, VFIO_DEVICE_FEATURE_GET), EINVAL, "GET");
	is_errno(call(n, 0, -1, 9, set | VFIO_DEVICE_FEATURE_PROBE), 0,
		 "PROBE of SET");
	is_errno(call(n, 0, -1, 9, VFIO_DEVICE_FEATURE_GET |
		      VFIO_DEVICE_FEATURE_PROBE), EINVAL, "PROBE of GET");
	if (!pci_find(PCI_IVSHMEM, 1, bdf) && !dev_open(&d, bdf)) {
		other = buf_export1(&d, BAR, 0, PAGE);
		is_errno(call(n, 0, other, WC, set), ENODEV, "another device's");
		close(other);
		dev_close(&d);
	}
	dead = buf_export1(&mem, BAR, 0, PAGE);
	need(!reopen(), "closed and opened again");
	is_errno(call(n, 0, dead, WC, set), EBADFD, "a dead one");
	close(dead);
	close(foreign);
	close(fd);
}

static void not_prefetchable(void)
{
	uint64_t length, flags;
	char bdf[BDF_LENGTH];
	struct dev d;
	int fd;

	if (getenv("VM_EDU"))
		snprintf(bdf, sizeof(bdf), "%.15s", getenv("VM_EDU"));
	else if (pci_find(PCI_EDU, 0, bdf))
		tap_bail("this machine has no edu");
	pci_bar(bdf, 0, &length, &flags);
	need(length >= PAGE && !(flags & 0x2000) && !dev_open(&d, bdf),
	     "a BAR that is not prefetchable");
	fd = buf_export1(&d, 0, 0, PAGE);
	need(fd >= 0, "export");
	is_errno(buf_memattr(&d, fd, WC, 0), EPERM, "WC");
	is_errno(buf_memattr(&d, fd, UC, 0), 0, "UC");
	is_errno(buf_memattr(&d, fd, WC, FORCE), 0, "WC by force");
	close(fd);
	dev_close(&d);
	pci_unbind(bdf);
}

static void without_pat(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	volatile uint8_t *p;
	uint32_t v;

	is_errno(buf_memattr(&mem, fd, WC, 0), EOPNOTSUPP, "WC");
	is_errno(buf_memattr(&mem, fd, WC, FORCE), EOPNOTSUPP, "by force");
	is_errno(buf_memattr(&mem, fd, UC, 0), 0, "UC");
	p = buf_map(fd, 0, PAGE, RW);
	is(p && !peek(p, &v), 1, "UC can be mapped");
	munmap((void *)p, PAGE);
	close(fd);
}

/* At export, with a name; in a structure that may be an old one. */
static int export_as(struct barter_feature_export *what)
{
	struct barter_range range = { MIB, 2 * PAGE };
	struct {
		struct vfio_device_feature h;
		struct barter_feature_export e;
	} arg = {
		.h = { .argsz = sizeof(arg),
		       .flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT },
		.e = *what,
	};
	int fd;

	arg.e.size = what->size ?: sizeof(*what);
	arg.e.region_index = BAR;
	arg.e.open_flags = O_RDWR | O_CLOEXEC;
	arg.e.nr_ranges = 1;
	arg.e.ranges = (uintptr_t)&range;
	fd = ioctl(mem.fd, VFIO_DEVICE_FEATURE, &arg);
	return fd < 0 ? -errno : fd;
}

static bool maps_have(const char *text)
{
	return file_has("/proc/self/maps", text);
}

static void at_export(void)
{
	struct barter_feature_export what = { .memattr = WC };
	struct barter_info info;
	volatile uint8_t *p;
	int fd;

	strcpy(what.name, "a frame");
	fd = export_as(&what);
	need(fd >= 0 && !buf_info(fd, &info), "WC, with a name");
	is(info.out_memattr, WC, "info says WC");
	ok(!strcmp(info.out_name, "a frame"), "and the name: %s", info.out_name);
	ok(file_has(BUFFERS, "memattr wc name a\\040frame"), "debugfs too");
	p = buf_map(fd, 0, PAGE, RW);
	need(p, "mmap");
	touch(p, PAGE, PAGE);
	ok(is_cached_as(p, WC, false), "is mapped so");
	ok(maps_have("/dmabuf:a frame"), "and has the name");
	what.memattr = UC;
	memset(what.name, 'x', sizeof(what.name));
	is_errno(export_as(&what), EINVAL, "a name without end");
	what.name[sizeof(what.name) - 1] = 0;
	close(fd);
	fd = export_as(&what);
	need(fd >= 0, "the longest name; UC of the same page");
	is_errno(try_map(fd), EBUSY, "which cannot be mapped beside it");
	buf_info(fd, &info);
	is(strlen(info.out_name), sizeof(what.name) - 1, "its length");
	munmap((void *)p, PAGE);
	p = buf_map(fd, 0, PAGE, RW);
	need(p, "when it is gone it can");
	what = (struct barter_feature_export){ .memattr = WC };
	is_errno(export_as(&what), EBUSY, "WC beside that");
	what.flags = BARTER_EXPORT_FORCE_ATTRIBUTE;
	close(fd);
	fd = export_as(&what);
	ok(fd >= 0, "by force");
	close(fd);
	munmap((void *)p, PAGE);
	what.memattr = 7;
	is_errno(export_as(&what), ENOENT, "no such attribute");
	what = (struct barter_feature_export){ .__reserved2 = 1 };
	is_errno(export_as(&what), EINVAL, "reserved");
	what = (struct barter_feature_export){ .flags = 1U << 31 };
	is_errno(export_as(&what), EINVAL, "unknown flag");
	/* As programs knew it before: what is behind is not looked at. */
	what = (struct barter_feature_export){ .size = 32, .memattr = 9 };
	fd = export_as(&what);
	need(fd >= 0 && !buf_info(fd, &info), "the old structure");
	ok(info.out_memattr == UC && !info.out_name[0], "UC, no name");
	close(fd);
}

/* ---- aliases ---- */

static void aliases_are_refused(void)
{
	int uc = lend(4 * MIB, 4 * PAGE, UC), wc = lend(4 * MIB + 3 * PAGE,
							PAGE, WC);
	int beside = lend(4 * MIB + 4 * PAGE, PAGE, WC);
	volatile uint8_t *p, *q;
	struct barter_info info;

	need(uc >= 0 && wc >= 0 && beside >= 0, "three buffers");
	p = buf_map(uc, 0, PAGE, RW);
	need(p, "UC mapped");
	/* The buffers count, not what is mapped of them. */
	is_errno(try_map(wc), EBUSY, "WC of a page of it");
	is_errno(try_map(beside), 0, "WC of the page behind");
	is_errno(buf_memattr(&mem, wc, WC, 0), EBUSY, "said at once, too");
	buf_info(wc, &info);
	is(info.out_mmaps, 0, "none is left");
	munmap((void *)p, PAGE);
	is_errno(try_map(wc), 0, "WC when UC is gone");

	p = buf_map(wc, 0, PAGE, RW);
	is_errno(try_map(uc), EBUSY, "UC beside WC");
	is_errno(buf_memattr(&mem, uc, WC, 0), 0, "both WC");
	is_errno(try_map(uc), 0, "is none");
	is_errno(buf_memattr(&mem, uc, UC, FORCE), 0, "by force");
	q = buf_map(uc, 0, PAGE, RW);
	ok(q, "UC beside WC by force");
	/* Who has said so is not in others' way either. */
	is_errno(try_map(wc), 0, "WC again");
	munmap((void *)p, PAGE);
	is_errno(try_map(wc), 0, "WC beside UC that was forced");
	munmap((void *)q, PAGE);

	/* The same page of another BAR is another page. */
	p = buf_map(wc, 0, PAGE, RW);
	q = mmap(NULL, PAGE, RW, MAP_SHARED, mem.fd, (off_t)mem.offset[0]);
	ok(p && q != MAP_FAILED, "another BAR");
	munmap((void *)q, PAGE);
	munmap((void *)p, PAGE);
	close(uc);
	close(wc);
	close(beside);
}

static int try_bar(uint64_t offset, size_t n)
{
	void *p = mmap(NULL, n, RW, MAP_SHARED, mem.fd,
		       (off_t)(mem.offset[BAR] + offset));

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, n);
	return 0;
}

static void aliases_of_the_bars_own_mapping(void)
{
	int wc = lend(2 * MIB, 2 * PAGE, WC);
	volatile uint8_t *p;

	if (!dev_maps_bar(&mem, BAR)) {
		skip("VFIO cannot map it on this kernel", "the BAR's mapping");
		close(wc);
		return;
	}
	p = buf_map(wc, 0, PAGE, RW);
	need(p, "WC mapped");
	is_errno(try_bar(2 * MIB - PAGE, PAGE), 0, "the BAR before it");
	is_errno(try_bar(2 * MIB - PAGE, 2 * PAGE), EBUSY, "over its beginning");
	is_errno(try_bar(2 * MIB + PAGE, PAGE), EBUSY, "its second page");
	is_errno(try_bar(2 * MIB + 2 * PAGE, PAGE), 0, "behind it");
	is_errno(buf_memattr(&mem, wc, WC, FORCE), 0, "by force");
	is_errno(try_bar(0, bar_length), 0, "all of the BAR");
	munmap((void *)p, PAGE);
	is_errno(buf_memattr(&mem, wc, WC, 0), 0, "no force");
	p = mmap(NULL, PAGE, RW, MAP_SHARED, mem.fd,
		 (off_t)(mem.offset[BAR] + 2 * MIB));
	is_errno(try_map(wc), EBUSY, "WC beside the BAR's mapping");
	munmap((void *)p, PAGE);
	is_errno(try_map(wc), 0, "WC when it is gone");
	close(wc);
}

/* Sets of pages, against a model. */
#define MODEL	256

static unsigned int draw(struct vfio_region_dma_range *r, unsigned int most,
			 bool pages[MODEL])
{
	unsigned int nr = 1 + (unsigned int)random() % most;

	memset(pages, 0, MODEL);
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int at = (unsigned int)random() % (MODEL - 4);
		unsigned int n = 1 + (unsigned int)random() % 4;

		r[i] = (struct vfio_region_dma_range){ at * PAGE, n * PAGE };
		memset(pages + at, 1, n);
	}
	return nr;
}

static void scattered_aliases(void)
{
	unsigned int wrong = 0, refused = 0, rounds = 300;

	srandom(20260404);
	for (unsigned int i = 0; i < rounds; i++) {
		struct vfio_region_dma_range r[40];
		bool pages[3][MODEL], alias = false;
		int fds[3];
		void *p[2];
		int got;

		for (int j = 0; j < 3; j++) {
			unsigned int nr = draw(r, i % 3 ? 6 : 40, pages[j]);

			fds[j] = buf_export(&mem, BAR, r, nr);
		}
		p[0] = buf_map(fds[0], 0, PAGE, RW);
		p[1] = buf_map(fds[1], 0, PAGE, RW);
		for (int k = 0; k < MODEL; k++)
			alias |= pages[2][k] && (pages[0][k] || pages[1][k]);
		got = buf_memattr(&mem, fds[2], WC, 0);
		wrong += got != (alias ? -EBUSY : 0);
		refused += alias;
		/* And from the other side. */
		munmap(p[0], PAGE);
		munmap(p[1], PAGE);
		wrong += buf_memattr(&mem, fds[2], WC, 0) != 0;
		p[0] = buf_map(fds[2], 0, PAGE, RW);
		for (int j = 0; j < 2; j++) {
			alias = false;
			for (int k = 0; k < MODEL; k++)
				alias |= pages[2][k] && pages[j][k];
			wrong += try_map(fds[j]) != (alias ? -EBUSY : 0);
		}
		munmap(p[0], PAGE);
		for (int j = 0; j < 3; j++)
			close(fds[j]);
	}
	is(wrong, 0, "%u rounds", rounds);
	ok(refused > rounds / 10 && refused < rounds * 9 / 10,
	   "%u were refused", refused);
}

/* 60,000 ranges on either side, and many mappings to look through. */
static void many_ranges(void)
{
	enum { NR = 8000, MAPS = 1000 };
	struct vfio_region_dma_range *r = calloc(NR, sizeof(*r));
	int even, odd;
	void *p, **maps = calloc(MAPS, sizeof(*maps));
	unsigned int failed = 0;
	int64_t took;

	for (unsigned int i = 0; i < NR; i++)
		r[i] = (struct vfio_region_dma_range){
			i * 7919ull % NR * 2 * PAGE, PAGE };
	even = buf_export(&mem, BAR, r, NR);
	for (unsigned int i = 0; i < NR; i++)
		r[i].offset += PAGE;
	odd = buf_export(&mem, BAR, r, NR);
	need(even >= 0 && odd >= 0, "every second page, and the others");
	for (unsigned int i = 0; i < MAPS; i++)
		failed += !(maps[i] = buf_map(even, 0, PAGE, RW));
	is_errno(buf_memattr(&mem, odd, WC, 0), 0, "WC of the others");
	took = now_ms();
	p = buf_map(odd, 0, PAGE, RW);
	took = now_ms() - took;
	ok(p && took < 10000, "mapped in %d ms", (int)took);
	is(failed, 0, "%d mappings", MAPS);
	munmap(p, PAGE);
	close(odd);
	/* One page too many. */
	r[NR - 1].offset -= PAGE;
	odd = buf_export(&mem, BAR, r, NR);
	is_errno(buf_memattr(&mem, odd, WC, 0), EBUSY, "one page is shared");
	for (unsigned int i = 0; i < MAPS; i++)
		munmap(maps[i], PAGE);
	is_errno(buf_memattr(&mem, odd, WC, 0), 0, "when nothing is mapped");
	close(even);
	close(odd);
	free(maps);
	free(r);
}

/* The dead are in nobody's way, though their VMAs are there. */
static void the_dead_do_not_count(void)
{
	int wc = lend(0, PAGE, WC), uc;
	volatile uint8_t *p = buf_map(wc, 0, PAGE, RW);
	uint32_t v;

	need(p && !peek(p, &v), "WC mapped");
	need(!reopen(), "closed and opened");
	uc = lend(0, PAGE, UC);
	is_errno(try_map(uc), 0, "UC of the same page");
	is(peek(p, &v), SIGBUS, "the old mapping is dead");
	munmap((void *)p, PAGE);
	close(wc);
	close(uc);
}

/* ---- at once ---- */

static int toggler(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg, both = 0;
	int64_t until = now_ms() + 4000;
	int fd = buf_export1(&mem, BAR, (seed % 2) * 2 * PAGE, 4 * PAGE);

	while (now_ms() < until) {
		uint32_t memattr = (uint32_t)rand_r(&seed) % 2;
		volatile uint8_t *p;
		int ret = buf_memattr(&mem, fd, memattr, 0);
		uint32_t v;

		if (ret && ret != -EBUSY)
			return 10;
		p = buf_map(fd, 0, 4 * PAGE, RW);
		if (!p && errno != EBUSY)
			return 11;
		if (!p)
			continue;
		if (!peek(p, &v) && !ret) {
			struct barter_test_page page;

			if (!tester_page(t, p, &page) && page.out_type !=
			    (memattr ? BARTER_TEST_TYPE_WC :
			     BARTER_TEST_TYPE_UC_MINUS))
				return 12;
			both |= 1u << memattr;
		}
		if (rand_r(&seed) % 4 == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			reap(pid, 10000);
		}
		munmap((void *)p, 4 * PAGE);
	}
	return both ? 0 : 13;
}

static int resets(void *arg)
{
	int64_t until = now_ms() + 4000;

	(void)arg;
	while (now_ms() < until) {
		sysfs_put("1", "/sys/bus/pci/devices/%s/reset", mem.bdf);
		dev_reset(&mem);
	}
	return 0;
}

static void all_at_once(void)
{
	pid_t pids[5];
	int fd;

	for (uintptr_t i = 0; i < 4; i++)
		pids[i] = spawn(toggler, (void *)(i + 1));
	pids[4] = spawn(resets, NULL);
	for (int i = 0; i < 5; i++)
		is(reap(pids[i], 60000), 0, "process %d", i);
	fd = lend(0, 8 * PAGE, WC);
	is_errno(fd < 0 ? fd : try_map(fd), 0, "nothing is in the way");
	close(fd);
}

int main(int argc, char **argv)
{
	fixture_open();
	t = tester_open();
	put_away();
	if (argc > 1 && !strcmp(argv[1], "nopat")) {
		CASE(without_pat);
		return tap_done();
	}
	CASE(pages_are_as_asked);
	CASE(scattered_pages);
	CASE(faults_of_16_mib);
	CASE(children_have_it_too);
	CASE(later_mappings_only);
	CASE(slices_have_it_too);
	CASE(refusals);
	CASE(at_export);
	CASE(not_prefetchable);
	CASE(aliases_are_refused);
	CASE(aliases_of_the_bars_own_mapping);
	CASE_LIMIT(scattered_aliases, 120);
	CASE_LIMIT(many_ranges, 120);
	CASE(the_dead_do_not_count);
	CASE(all_at_once);
	return tap_done();
}
