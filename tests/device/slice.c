// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Slices: the right bytes and no others, never more rights; who is revoked with
 * whom, and who outlives whom. What ends one buffer is in final.c.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/cause.h"
#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	57
#define PARAM	"/sys/module/barter_vfio_pci/parameters/slice_tells_device"

/* Two runs that do not touch, and one that overlaps the first. */
static const struct vfio_region_dma_range pieces[] = {
	{ 4 * MIB, 2 * MIB }, { MIB, MIB }, { 5 * MIB, 4 * PAGE },
};
#define LENGTH	(3 * MIB + 4 * PAGE)

static int parent_new(void)
{
	fill(bar, SEED, 0, 8 * MIB);
	return buf_export(&mem, BAR, pieces, 3);
}

/* Does the slice's page at @pos show that byte of the BAR? */
static bool shows(const volatile uint8_t *p, uint64_t pos, uint64_t offset)
{
	return differs(p + pos, SEED, offset, PAGE) < 0;
}

static void right_bytes(void)
{
	/* Across the seam of two runs, backwards, twice the same, the end. */
	static const struct barter_range cut[] = {
		{ 2 * MIB - PAGE, 3 * PAGE }, { 0, PAGE }, { PAGE, PAGE },
		{ MIB, PAGE }, { MIB, PAGE }, { LENGTH - PAGE, PAGE },
	};
	static const uint64_t where[] = {
		6 * MIB - PAGE, MIB, MIB + PAGE, 4 * MIB, 4 * MIB + PAGE,
		5 * MIB, 5 * MIB, 5 * MIB + 3 * PAGE,
	};
	int fd = parent_new(), slice, i;
	volatile uint8_t *p, *q;

	slice = slice_of(fd, cut, 6);
	need(slice >= 0, "six pieces");
	is(lseek(slice, 0, SEEK_END), 8 * PAGE, "length");
	is(fcntl(slice, F_GETFD), FD_CLOEXEC, "O_CLOEXEC");
	p = buf_map(slice, 0, 8 * PAGE, RW);
	need(p, "mmap");
	for (i = 0; i < 8; i++)
		ok(shows(p, (uint64_t)i * PAGE, where[i]),
		   "page %d is byte 0x%llx of the BAR", i,
		   (unsigned long long)where[i]);
	is(poke(p + PAGE, 0x12345678), 0, "write");
	is(*(volatile uint32_t *)(bar + MIB), 0x12345678, "it is in the BAR");
	is(*(volatile uint32_t *)(bar + MIB + PAGE), pattern(SEED, MIB + PAGE),
	   "and nowhere beside it");
	ok(!buf_map(slice, 8 * PAGE, PAGE, PROT_READ), "nothing behind the end");
	munmap((void *)p, 8 * PAGE);
	close(slice);

	slice = slice1(fd, 0, 2 * MIB);
	p = buf_map_aligned(slice, 0, 2 * MIB, 2 * MIB);
	q = buf_map(fd, 0, PAGE, RW);
	ok(p && q && !poke(p, 1) && *(volatile uint32_t *)q == 1,
	   "the parent sees what the slice writes");
	munmap((void *)p, 2 * MIB);
	munmap((void *)q, PAGE);
	close(slice);
	close(fd);
}

static void slice_of_a_slice(void)
{
	static const struct barter_range cut[] = {
		{ 2 * MIB - 2 * PAGE, 4 * PAGE }, { 8 * PAGE, 4 * PAGE },
	};
	int fd = parent_new(), one, two, three;
	volatile uint8_t *p;

	one = slice_of(fd, cut, 2);
	two = slice1(one, PAGE, 6 * PAGE);
	three = slice1(two, 2 * PAGE, 2 * PAGE);
	need(one >= 0 && two >= 0 && three >= 0, "three generations");
	p = buf_map(two, 0, 6 * PAGE, RW);
	ok(p && shows(p, 0, 6 * MIB - PAGE) && shows(p, PAGE, MIB) &&
	   shows(p, 3 * PAGE, 4 * MIB + 8 * PAGE) &&
	   shows(p, 5 * PAGE, 4 * MIB + 10 * PAGE), "the second's bytes");
	munmap((void *)p, 6 * PAGE);
	p = buf_map(three, 0, 2 * PAGE, RW);
	ok(p && shows(p, 0, MIB + PAGE) && shows(p, PAGE, 4 * MIB + 8 * PAGE),
	   "the third's bytes");
	munmap((void *)p, 2 * PAGE);
	is_errno(slice1(two, 5 * PAGE, 2 * PAGE), EINVAL,
		 "beyond the second, but inside the first");
	close(three);
	close(two);
	close(one);
	close(fd);
}

/* ---- what is refused ---- */

static void refused(struct barter_slice s, int error, const char *what)
{
	int files = count_fds();

	is_errno(slice_call(&s), error, "%s", what);
	is(count_fds(), files, "%s: no new fd", what);
}

static void refusals(void)
{
	static struct barter_range many[16];
	struct barter_range cut[2] = { { 0, PAGE }, { PAGE, PAGE } };
	int fd = parent_new(), null = open("/dev/null", O_RDWR), i;
	struct barter_slice good = slice_request(fd, cut, 2), s;
	uint8_t larger[sizeof(s) + 8];

#define REFUSED(field, value, error)					\
	do {								\
		s = good;						\
		s.field = value;					\
		refused(s, error, #field " = " #value);			\
	} while (0)
	REFUSED(size, sizeof(s) - 1, EINVAL);
	REFUSED(size, 0, EINVAL);
	REFUSED(size, 4097, E2BIG);
	REFUSED(flags, 2, EINVAL);
	REFUSED(flags, BARTER_SLICE_READ_ONLY, EINVAL);
	REFUSED(__reserved, 1, EINVAL);
	REFUSED(__reserved2, 1, EINVAL);
	REFUSED(open_flags, O_RDWR | O_NONBLOCK, EINVAL);
	REFUSED(open_flags, O_ACCMODE, EINVAL);
	REFUSED(nr_ranges, 0, EINVAL);
	REFUSED(nr_ranges, BARTER_MAX_RANGES + 1, E2BIG);
	REFUSED(dmabuf_fd, -1, EBADF);
	REFUSED(dmabuf_fd, null, EINVAL);
	REFUSED(ranges, 0, EFAULT);
	REFUSED(ranges, ~0ull, EFAULT);
#define BAD_RANGE(o, n, error)						\
	do {								\
		cut[1] = (struct barter_range){ o, n };			\
		refused(good, error, "range " #o " + " #n);		\
	} while (0)
	BAD_RANGE(0, 0, EINVAL);
	BAD_RANGE(1, PAGE, EINVAL);
	BAD_RANGE(0, PAGE + 1, EINVAL);
	BAD_RANGE(LENGTH, PAGE, EINVAL);
	BAD_RANGE(LENGTH - PAGE, 2 * PAGE, EINVAL);
	BAD_RANGE(0, LENGTH + PAGE, EINVAL);
	BAD_RANGE(0ull - PAGE, PAGE, EOVERFLOW);
	BAD_RANGE(0ull - PAGE, 2 * PAGE, EOVERFLOW);
	BAD_RANGE(PAGE, 0ull - 2 * PAGE, EINVAL);
	for (i = 0; i < 5; i++)
		many[i] = (struct barter_range){ 0, LENGTH };
	s = slice_request(fd, many, 5);
	refused(s, E2BIG, "five times the parent");
	s.nr_ranges = 4;
	i = slice_call(&s);
	ok(i >= 0, "four times the parent");
	close(i);

	memset(larger, 0, sizeof(larger));
	memcpy(larger, &good, sizeof(good));
	cut[1] = (struct barter_range){ PAGE, PAGE };
	((struct barter_slice *)larger)->size = sizeof(larger);
	i = slice_call((struct barter_slice *)larger);
	ok(i >= 0, "a larger structure that ends in zeros");
	close(i);
	larger[sizeof(larger) - 1] = 1;
	is_errno(slice_call((struct barter_slice *)larger), E2BIG,
		 "and one that does not");
	close(null);
	close(fd);
}

/* Overcommit does not add up from slice to slice. */
static void four_times_the_bar(void)
{
	struct barter_range whole[4];
	int fd = buf_export1(&mem, BAR, 0, bar_length), one, small, i;

	for (i = 0; i < 4; i++)
		whole[i] = (struct barter_range){ 0, bar_length };
	one = slice_of(fd, whole, 4);
	need(one >= 0, "four times the BAR");
	for (i = 0; i < 4; i++)
		whole[i].length = 4 * bar_length;
	is_errno(slice_of(one, whole, 4), E2BIG, "four times that");
	is_errno(slice_of(one, whole, 2), E2BIG, "twice that");
	i = slice_of(one, whole, 1);
	ok(i >= 0, "as much again");
	close(i);
	close(one);

	/* And the holder of a small one cannot get near that. */
	small = slice1(fd, 0, PAGE);
	for (i = 0; i < 4; i++)
		whole[i] = (struct barter_range){ 0, PAGE };
	one = slice_of(small, whole, 4);
	need(one >= 0, "four times a page");
	whole[0].length = 4 * PAGE;
	is_errno(slice_of(one, whole, 2), E2BIG, "five times, of a page");
	i = slice1(one, 0, 4 * PAGE);
	ok(i >= 0, "four times");
	close(small);
	is_errno(slice_of(i, whole, 2), E2BIG, "five times, without the page");
	close(i);
	close(one);
	close(fd);
}

/* A level counts as long as somebody holds it. */
static void levels(void)
{
	int fds[BARTER_MAX_LEVELS + 1], n = (int)BARTER_MAX_LEVELS, i, extra;
	int before = buf_count(mem.bdf);
	bool gone;

	fds[0] = buf_export1(&mem, BAR, 0, MIB);
	for (i = 1; i <= n; i++)
		fds[i] = slice1(fds[i - 1], 0, MIB);
	need(fds[n] >= 0, "%d levels of slices", n);
	is_errno(slice1(fds[n], 0, MIB), ELOOP, "one more");
	extra = slice1(fds[n - 1], 0, MIB);
	ok(extra >= 0, "one beside the last");
	close(extra);
	close(fds[0]);
	extra = slice1(fds[n], 0, MIB);
	ok(extra >= 0, "one more, now that the first is closed");
	is_errno(slice1(extra, 0, MIB), ELOOP, "but not two");
	close(extra);
	while (n > 0)
		close(fds[n--]);
	WAIT_FOR(gone, buf_count(mem.bdf) == before, 5000);
	ok(gone, "nothing is left");
}

/* The answer cannot be written: no fd, and nothing is left. */
static void no_way_out(void)
{
	struct barter_range cut = { 0, PAGE };
	int fd = parent_new(), files = count_fds(), before;
	struct rlimit most, few;
	struct barter_slice *s;

	s = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*s = slice_request(fd, &cut, 1);
	before = buf_count(mem.bdf);
	mprotect(s, PAGE, PROT_READ);
	is_errno(slice_call(s), EFAULT, "read-only memory");
	is(count_fds(), files, "no fd");
	is(buf_count(mem.bdf), before, "no buffer");
	mprotect(s, PAGE, RW);
	getrlimit(RLIMIT_NOFILE, &most);
	few = (struct rlimit){ 3, most.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	is_errno(slice_call(s), EMFILE, "no fd is free");
	setrlimit(RLIMIT_NOFILE, &most);
	is(buf_count(mem.bdf), before, "no buffer");
	munmap(s, PAGE);
	close(fd);
}

/* ---- rights ---- */

static int mode_slice(int fd, unsigned int mode, uint32_t flags)
{
	struct barter_range cut = { 0, PAGE };
	struct barter_slice s = slice_request(fd, &cut, 1);

	s.open_flags = mode;
	s.flags = flags;
	return slice_call(&s);
}

static void never_more_rights(void)
{
	static const struct {
		const char *name;
		uint32_t flags;
		unsigned int mode;
		int errors[6];	/* O_RDWR, O_WRONLY, O_RDONLY, RO, RO|WR, RO|W */
	} parents[] = {
		{ "O_RDWR", 0, O_RDWR, { 0, 0, 0, 0, EINVAL, EINVAL } },
		{ "O_WRONLY", 0, O_WRONLY,
		  { EPERM, 0, EPERM, EPERM, EINVAL, EINVAL } },
		{ "O_RDONLY", 0, O_RDONLY,
		  { EPERM, EPERM, EPERM, 0, EINVAL, EINVAL } },
		{ "read-only", BARTER_EXPORT_READ_ONLY, O_RDONLY,
		  { EPERM, EPERM, EPERM, 0, EINVAL, EINVAL } },
	};
	static const unsigned int modes[] = {
		O_RDWR, O_WRONLY, O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY,
	};
	unsigned int i, j;

	for (i = 0; i < 4; i++) {
		int fd = buf_export_as(&mem, BAR, 0, MIB, parents[i].flags,
				       parents[i].mode);

		ok(fd >= 0, "%s: export", parents[i].name);
		for (j = 0; j < 6; j++) {
			uint32_t flags = j < 3 ? 0 : BARTER_SLICE_READ_ONLY;
			int slice = mode_slice(fd, modes[j], flags);

			is_errno(slice, parents[i].errors[j],
				 "%s: a slice with mode %u%s", parents[i].name,
				 modes[j], flags ? ", read-only" : "");
			if (slice < 0)
				continue;
			is(fcntl(slice, F_GETFL) & O_ACCMODE, modes[j],
			   "its mode");
			is(fcntl(slice, F_GETFD), 0, "no O_CLOEXEC");
			close(slice);
		}
		close(fd);
	}
}

static void read_only_slices(void)
{
	int fd = parent_new(), one, two;
	struct barter_info info;
	volatile uint8_t *p;

	one = slice_read_only(fd, PAGE, 4 * PAGE);
	two = slice_read_only(one, PAGE, PAGE);
	need(one >= 0 && two >= 0, "a read-only slice, and one of that");
	is_errno(slice1(one, 0, PAGE), EPERM, "none that may be written");
	ok(!buf_map(two, 0, PAGE, RW) && errno == EACCES, "no writable mmap");
	p = buf_map(two, 0, PAGE, PROT_READ);
	ok(p && shows(p, 0, 4 * MIB + 2 * PAGE), "the right bytes");
	is(poke(p, 1), SIGSEGV, "cannot be written");
	is(mprotect((void *)p, PAGE, RW) ? errno : 0, EACCES,
	   "cannot be made writable");
	munmap((void *)p, PAGE);
	is_errno(buf_info(two, &info), 0, "info");
	is(info.out_flags, BARTER_BUFFER_SLICE | BARTER_BUFFER_READ_ONLY |
	   BARTER_BUFFER_UNTOLD, "what it is");
	is_errno(buf_info(fd, &info), 0, "info of the parent");
	is(info.out_flags, 0, "is not concerned");
	close(two);
	close(one);
	close(fd);
}

/* ---- what is told ---- */

static int told(const char *value)
{
	int fd = open(PARAM, O_WRONLY), ret;

	ret = fd < 0 || write(fd, value, 1) != 1 ? -errno : 0;
	close(fd);
	return ret;
}

static int slice_ranges(int fd, struct barter_range *to, uint32_t room)
{
	struct barter_info info = {
		.size = sizeof(info), .dmabuf_fd = fd, .nr_ranges = room,
		.ranges = (uintptr_t)to,
	};

	return ioctl(barter_fd(), BARTER_IOC_INFO, &info) ? -errno :
		(int)info.out_nr_ranges;
}

static void what_info_tells(void)
{
	/* Neighbours are merged, and so nothing tells of the parent's seams. */
	static const struct barter_range cut[] = {
		{ PAGE, PAGE }, { 2 * PAGE, 2 * MIB }, { 0, PAGE },
	};
	struct barter_info of_parent, info;
	struct barter_range seen[8] = { 0 };
	int fd = parent_new(), slice = slice_of(fd, cut, 3), other;

	need(slice >= 0, "slice");
	is_errno(buf_info(fd, &of_parent), 0, "info of the parent");
	is(of_parent.out_parent, 0, "which has none");
	is(of_parent.out_slices, 1, "and one slice");
	is(of_parent.out_bar, BAR, "and tells its BAR");
	is_errno(buf_info(slice, &info), 0, "info of the slice");
	is(info.out_flags, BARTER_BUFFER_SLICE | BARTER_BUFFER_UNTOLD, "flags");
	ok(info.out_id && info.out_id != of_parent.out_id, "a number of its own");
	is(info.out_parent, of_parent.out_id, "its parent's");
	is(info.out_length, 2 * MIB + 2 * PAGE, "length");
	is(info.out_bar, 0xffffffff, "no BAR");
	is(info.out_domain, 0xffffffff, "no domain");
	is(info.out_bus, 0xff, "no bus");
	is(info.out_devfn, 0xff, "no slot and function");
	is(slice_ranges(slice, seen, 8), 2, "two ranges");
	ok(seen[0].offset == PAGE && seen[0].length == 2 * MIB + PAGE &&
	   seen[1].offset == 0 && seen[1].length == PAGE,
	   "as they are in the parent");
	ok(file_has(BUFFERS, "slice parent "), "debugfs tells the parent");

	is_errno(told("1"), 0, "slice_tells_device=1");
	is_errno(buf_info(slice, &info), 0, "info of the slice");
	is(info.out_flags, BARTER_BUFFER_SLICE, "flags");
	is(info.out_bar, BAR, "its BAR");
	ok(info.out_bus == of_parent.out_bus &&
	   info.out_devfn == of_parent.out_devfn &&
	   info.out_domain == of_parent.out_domain, "its device");
	is(slice_ranges(slice, seen, 8), 2, "two ranges");
	is(seen[0].offset, PAGE, "still as they are in the parent");
	is_errno(told("0"), 0, "slice_tells_device=0");

	other = slice1(slice, PAGE, PAGE);
	is_errno(buf_info(other, &of_parent), 0, "info of a slice of it");
	is_errno(buf_info(slice, &info), 0, "info of the slice");
	is(of_parent.out_parent, info.out_id, "its parent is the slice");
	close(slice);
	is_errno(buf_info(fd, &info), 0, "the slice in between is closed");
	is_errno(buf_info(other, &of_parent), 0, "info of the slice of it");
	is(of_parent.out_parent, info.out_id, "its parent is the next above");
	is(info.out_slices, 1, "which has it");
	close(fd);
	is_errno(buf_info(other, &of_parent), 0, "that is closed too");
	is(of_parent.out_parent, 0, "no parent is left");
	close(other);
}

/* The text of a route names devices; whoever is not root asks by its own device. */
static int asks_as_nobody(void *arg)
{
	struct barter_route r = {
		.size = sizeof(r),
		.flags = BARTER_ROUTE_F_DEVICE_FD,
		.dmabuf_fd = *(int *)arg,
		.device_fd = mem.fd,
	};

	barter_fd();
	if (setuid(65534))
		return 2;
	if (ioctl(barter_fd(), BARTER_IOC_ROUTE, &r))
		return 3;
	return r.out_text[0] ? 1 : 0;
}

static void what_a_route_tells(void)
{
	int fd = parent_new(), slice = slice1(fd, 0, PAGE);

	is(in_child(asks_as_nobody, &slice, 5000), 0,
	   "not the devices between, of a slice");
	is(in_child(asks_as_nobody, &fd, 5000), 1, "but of its parent");
	told("1");
	is(in_child(asks_as_nobody, &slice, 5000), 1, "or where it is permitted");
	told("0");
	close(slice);
	close(fd);
}

/* ---- together with the parent ---- */

static void revoked_and_restored(void)
{
	int fd = parent_new(), one = slice1(fd, 0, MIB), two, born;
	volatile uint8_t *p;
	unsigned int i;
	uint32_t v;

	two = slice1(one, PAGE, PAGE);
	close(fd);
	p = buf_map(two, 0, PAGE, RW);
	need(p && shows(p, 0, 4 * MIB + PAGE), "a slice of a slice");
	for (i = 0; i < nr_causes; i++) {
		const struct cause *c = &causes[i];
		struct barter_info a, b;

		if (!c->end) {
			buf_info(two, &a);
			is_errno(c->begin(&mem), 0, "%s", c->name);
			buf_info(two, &b);
			ok(b.out_generation > a.out_generation,
			   "%s: it was revoked", c->name);
		} else {
			is_errno(c->begin(&mem), 0, "%s", c->name);
			is(buf_state(two), BARTER_STATE_REVOKED, "%s: REVOKED",
			   c->name);
			is(buf_reasons(two), c->reason, "%s: reason", c->name);
			is(peek(p, &v), SIGBUS, "%s: access faults", c->name);
			born = slice1(two, 0, PAGE);
			is(buf_state(born), BARTER_STATE_REVOKED,
			   "%s: a new slice is born revoked", c->name);
			is(buf_reasons(born), c->reason, "%s: its reason",
			   c->name);
			is_errno(c->end(&mem), 0, "%s: end", c->name);
			is(buf_state(born), BARTER_STATE_OK, "%s: restored",
			   c->name);
			close(born);
		}
		is(buf_state(two), BARTER_STATE_OK, "%s: OK", c->name);
		/* A reset need not keep the memory's contents: rewrite. */
		fill(bar, SEED, 0, 8 * MIB);
		ok(shows(p, 0, 4 * MIB + PAGE), "%s: the bytes are back",
		   c->name);
	}
	munmap((void *)p, PAGE);
	close(two);
	close(one);
}

static void closed_device(void)
{
	int fd = parent_new(), one = slice1(fd, 0, MIB), two = slice1(one, 0, PAGE);
	volatile uint8_t *p = buf_map(two, 0, PAGE, RW);
	uint32_t v;

	need(p && !peek(p, &v), "a slice of a slice");
	close(fd);
	fixture_reopen();
	is(buf_state(one), BARTER_STATE_DEAD, "the slice is dead");
	is(buf_reasons(two), BARTER_REASON_CLOSED, "and the slice of it");
	is(peek(p, &v), SIGBUS, "access faults");
	is_errno(slice1(one, 0, PAGE), EBADFD, "a new slice");
	munmap((void *)p, PAGE);
	close(one);
	close(two);
}

/* Parents go before their children, in every order of three. */
static void released_in_any_order(void)
{
	static const int orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	int before = buf_count(mem.bdf), i, j;
	bool gone;

	for (i = 0; i < 6; i++) {
		int fds[3], extra;

		fds[0] = buf_export1(&mem, BAR, 0, MIB);
		fds[1] = slice1(fds[0], 0, MIB);
		fds[2] = slice1(fds[1], 0, MIB);
		extra = slice1(fds[1], 0, PAGE);
		for (j = 0; j < 3; j++) {
			close(fds[orders[i][j]]);
			is(buf_state(extra), BARTER_STATE_OK,
			   "order %d: %d closed, the fourth goes on", i, j + 1);
		}
		is_errno(dev_reset(&mem), 0, "order %d: reset", i);
		close(extra);
	}
	WAIT_FOR(gone, buf_count(mem.bdf) == before, 5000);
	ok(gone, "nothing is left");
}

/* ---- DMA ---- */

static void dma_through_slices(void)
{
	static const struct barter_range cut[] = {
		{ 2 * MIB - PAGE, 2 * PAGE }, { 0, PAGE },
	};
	uint8_t out[PAGE], in[PAGE];
	int fd = parent_new(), slice = slice_of(fd, cut, 2), edu, i;
	struct barter_route r;

	need(slice >= 0, "slice");
	if (buf_route(slice, edu_bdf(), &r) || !r.out_route) {
		skip("no route", "DMA into a slice");
		return;
	}
	edu = edu_open();
	need(edu >= 0 && !edu_import(edu, slice), "import");
	for (i = 0; i < (int)sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 3);
	is_errno(edu_write(edu, PAGE - 1024, out, 2048), 0,
		 "write across the seam");
	ok(!memcmp((void *)(bar + 6 * MIB - 1024), out, 1024) &&
	   !memcmp((void *)(bar + MIB), out + 1024, 1024), "the right places");
	is(*(volatile uint32_t *)(bar + 6 * MIB), pattern(SEED, 6 * MIB),
	   "not the parent's neighbour");
	is(*(volatile uint32_t *)(bar + 4 * MIB), pattern(SEED, 4 * MIB),
	   "not the next piece");
	is_errno(edu_read(edu, 2 * PAGE, in, 1024), 0, "read the last piece");
	is(differs(in, SEED, 4 * MIB, 1024), -1, "its bytes");
	is_errno(edu_write(edu, 3 * PAGE, out, 1024), EINVAL, "beyond the end");
	close(edu);
	close(slice);
	close(fd);
}

/* ---- huge pages ---- */

/* Touch all of a mapping whose address is @phase modulo 2 MiB. */
static bool touch_all(int fd, size_t n, size_t phase)
{
	size_t space = n + 4 * MIB;
	char *area = mmap(NULL, space, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)area + 2 * MIB - 1) & ~(2 * MIB - 1)) +
		   phase;
	volatile uint8_t *p = mmap(at, n, PROT_READ, MAP_SHARED | MAP_FIXED,
				   fd, 0);
	unsigned int bad = 0;
	uint32_t v;

	if (p == MAP_FAILED)
		return false;
	for (size_t i = 0; i < n; i += PAGE)
		bad += peek(p + i, &v) || v != pattern(SEED, 3 * MIB + 5 * PAGE + i);
	munmap(area, space);
	return !bad;
}

/*
 * Where the slice begins in its parent and in the BAR has no say: its address does. What
 * that must be, INFO tells, and no more than that.
 */
static void huge_pages(void)
{
	int fd = buf_export1(&mem, BAR, 3 * MIB, 16 * MIB), slice;
	struct barter_info info;

	fill(bar + 3 * MIB, SEED, 3 * MIB, 12 * MIB);
	slice = slice1(fd, 5 * PAGE, 8 * MIB);
	need(slice >= 0 && !buf_info(slice, &info), "a slice from page 5 on");
	is(info.out_huge_phase, MIB + 5 * PAGE, "phase: 1 MiB and five pages");
	ok(touch_all(slice, 8 * MIB, info.out_huge_phase), "mapped there");
	buf_info(slice, &info);
	is(info.out_faults_pmd, kernel_has_32_bits() ? 0 : 3, "by huge pages");
	/* What is before the first and behind the last, 64 KiB a fault. */
	ok(kernel_has_32_bits() ||
	   (info.out_faults_pte >= 30 && info.out_faults_pte <= 36),
	   "and small ones at the ends: %llu faults",
	   (unsigned long long)info.out_faults_pte);
	close(slice);
	slice = slice1(fd, 5 * PAGE, 8 * MIB);
	ok(touch_all(slice, 8 * MIB, 0), "mapped at another address");
	buf_info(slice, &info);
	is(info.out_faults_pmd, 0, "no huge pages");
	ok(info.out_faults_pte >= 128, "but %llu faults",
	   (unsigned long long)info.out_faults_pte);
	close(slice);
	close(fd);
}

int main(void)
{
	fixture_open();
	CASE(right_bytes);
	CASE(slice_of_a_slice);
	CASE(refusals);
	CASE(four_times_the_bar);
	CASE(levels);
	CASE(no_way_out);
	CASE(never_more_rights);
	CASE(read_only_slices);
	CASE(what_info_tells);
	CASE(what_a_route_tells);
	CASE(revoked_and_restored);
	CASE(closed_device);
	CASE(released_in_any_order);
	CASE(dma_through_slices);
	CASE(huge_pages);
	return tap_done();
}
