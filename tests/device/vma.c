// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a process may do to a mapping: cut, split, fork, move, protect, advise.
 * Each shows the right bytes afterwards, the count of mappings stays right, and
 * the kernel warns of nothing (the test bed stops at a warning).
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/fixture.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2 * MIB)
#define SEED	21

/*
 * Two layouts: one that is mapped by PMDs (aligned and contiguous), one by
 * single pages (two ranges out of order, an odd number of pages each).
 */
struct layout {
	const char *name;
	struct vfio_region_dma_range r[2];
	unsigned int nr;
	size_t length;
};

static const struct layout layouts[] = {
	{ "huge", { { 8 * MIB, 4 * MIB } }, 1, 4 * MIB },
	{ "pages", { { 7 * MIB + PAGE, 101 * PAGE },
		     { 3 * MIB + 5 * PAGE, 51 * PAGE } }, 2, 152 * PAGE },
};

static const struct layout *l;
static int fd;
static volatile uint8_t *p;

/* The offset in the BAR of a byte of the buffer. */
static uint64_t in_bar(size_t pos)
{
	if (pos < l->r[0].length)
		return l->r[0].offset + pos;
	return l->r[1].offset + pos - l->r[0].length;
}

/* Do @n bytes at @at show the buffer from @pos on? */
static bool shows(const volatile uint8_t *at, size_t pos, size_t n)
{
	for (size_t i = 0; i < n; i += PAGE) {
		uint32_t v;

		if (peek(at + i, &v) || v != pattern(SEED, in_bar(pos + i)) ||
		    differs(at + i, SEED, in_bar(pos + i), PAGE) >= 0) {
			diag("byte %#zx of the buffer is wrong", pos + i);
			return false;
		}
	}
	return true;
}

static int mmaps(void)
{
	struct barter_info info;

	return buf_info(fd, &info) ? -1 : (int)info.out_mmaps;
}

static bool begin(bool touch)
{
	fd = buf_export(&mem, BAR, l->r, l->nr);
	p = fd < 0 ? NULL : buf_map_aligned(fd, 0, l->length, HUGE);
	if (!ok(p, "%s: export and mmap", l->name))
		return false;
	if (touch)
		ok(shows(p, 0, l->length), "%s: right bytes", l->name);
	return is(mmaps(), 1, "%s: one mapping", l->name);
}

static void end(void)
{
	munmap((void *)p, l->length);
	is(mmaps(), 0, "%s: no mapping at the end", l->name);
	close(fd);
}

static void with_each_layout(void (*fn)(void))
{
	for (unsigned int i = 0; i < 2; i++) {
		l = &layouts[i];
		for (int touch = 0; touch < 2; touch++) {
			if (!begin(touch))
				return;
			fn();
			end();
		}
	}
}

static void cut_the_middle(void)
{
	const size_t at = l->length / PAGE / 2 * PAGE;

	is(munmap((void *)(p + at), 2 * PAGE), 0, "%s: munmap", l->name);
	is(mmaps(), 2, "%s: two pieces", l->name);
	ok(shows(p, 0, at), "%s: before the hole", l->name);
	ok(shows(p + at + 2 * PAGE, at + 2 * PAGE, l->length - at - 2 * PAGE),
	   "%s: behind the hole", l->name);
}

static void cut_the_ends(void)
{
	is(munmap((void *)p, PAGE), 0, "%s: the head", l->name);
	is(munmap((void *)(p + l->length - PAGE), PAGE), 0, "%s: the tail",
	   l->name);
	is(mmaps(), 1, "%s: one piece", l->name);
	ok(shows(p + PAGE, PAGE, l->length - 2 * PAGE), "%s: the rest",
	   l->name);
}

static void protect_a_page(void)
{
	volatile uint8_t *q = p + 33 * PAGE;
	uint32_t v;

	is(mprotect((void *)q, PAGE, PROT_READ), 0, "%s: read-only", l->name);
	is(mmaps(), 3, "%s: three pieces", l->name);
	is(poke(q, 1), SIGSEGV, "%s: no write", l->name);
	ok(shows(p, 0, l->length), "%s: all can be read", l->name);
	is(mprotect((void *)q, PAGE, PROT_NONE), 0, "%s: no access", l->name);
	is(peek(q, &v), SIGSEGV, "%s: no read", l->name);
	is(mprotect((void *)q, PAGE, RW), 0, "%s: all access", l->name);
	is(poke(q, pattern(SEED, in_bar(33 * PAGE))), 0, "%s: write",
	   l->name);
	ok(shows(p, 0, l->length), "%s: right bytes", l->name);
}

static int child(void *arg)
{
	(void)arg;
	if (mmaps() != 2)
		return 10;
	if (!shows(p, 0, l->length))
		return 11;
	if (munmap((void *)(p + 8 * PAGE), PAGE))
		return 12;
	return mmaps() == 3 ? 0 : 13;
}

static void fork_it(void)
{
	is(in_child(child, NULL, 20000), 0, "%s: the child's copy", l->name);
	is(mmaps(), 1, "%s: gone with the child", l->name);
	ok(shows(p, 0, l->length), "%s: the parent's copy", l->name);
}

static void do_not_fork(void)
{
	is(madvise((void *)p, l->length, MADV_DONTFORK), 0, "%s: advise",
	   l->name);
	is(in_child(child, NULL, 20000), 10, "%s: the child has none", l->name);
}

/* To an address that is not congruent any more: by pages, then back. */
static void move_it(void)
{
	uint8_t *space = mmap(NULL, l->length + 2 * HUGE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
	uint8_t *to = (uint8_t *)(((uintptr_t)space + HUGE - 1) & ~(HUGE - 1)) +
		      PAGE;
	void *q = mremap((void *)p, l->length, l->length,
			 MREMAP_MAYMOVE | MREMAP_FIXED, to);

	need(q == to, "%s: mremap", l->name);
	is(mmaps(), 1, "%s: one mapping", l->name);
	ok(shows(q, 0, l->length), "%s: right bytes at the new place", l->name);
	q = mremap(to, l->length, l->length, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)p);
	ok(q == p, "%s: back", l->name);
	ok(shows(p, 0, l->length), "%s: right bytes at the old place", l->name);
	munmap(space, l->length + 2 * HUGE);
}

static void move_a_part(void)
{
	uint8_t *to = mmap(NULL, 16 * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *q = mremap((void *)(p + 32 * PAGE), 16 * PAGE, 16 * PAGE,
			 MREMAP_MAYMOVE | MREMAP_FIXED, to);

	need(q == to, "%s: mremap of 16 pages", l->name);
	is(mmaps(), 3, "%s: three pieces", l->name);
	ok(shows(q, 32 * PAGE, 16 * PAGE), "%s: the part", l->name);
	ok(shows(p, 0, 32 * PAGE), "%s: before it", l->name);
	ok(shows(p + 48 * PAGE, 48 * PAGE, l->length - 48 * PAGE),
	   "%s: behind it", l->name);
	munmap(to, 16 * PAGE);
}

static void grow_it(void)
{
	void *q = mremap((void *)p, l->length, l->length + PAGE,
			 MREMAP_MAYMOVE);

	ok(q == MAP_FAILED, "%s: beyond the end is refused", l->name);
	ok(shows(p, 0, l->length), "%s: nothing happened", l->name);
	q = mremap((void *)p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	ok(q == MAP_FAILED, "%s: a part cannot grow either", l->name);
	is(mmaps() >= 1, 1, "%s: still there", l->name);
}

static void shrink_it(void)
{
	void *q = mremap((void *)p, l->length, l->length / 2 & ~(PAGE - 1), 0);

	ok(q == p, "%s: mremap", l->name);
	ok(shows(p, 0, l->length / 2 & ~(PAGE - 1)), "%s: the rest", l->name);
}

/* Whatever advice and locking answer: the bytes stay, nothing warns. */
static void advise_it(void)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE,
		MADV_DODUMP, MADV_WIPEONFORK,
	};

	for (unsigned int i = 0; i < sizeof(advice) / sizeof(*advice); i++) {
		int ret = madvise((void *)p, l->length, advice[i]);

		if (ret && errno == EIO)
			is(ret, 0, "%s: advice %d", l->name, advice[i]);
		if (!shows(p, 0, l->length))
			ok(0, "%s: after advice %d", l->name, advice[i]);
	}
	mlock((void *)p, l->length);
	ok(shows(p, 0, l->length), "%s: locked", l->name);
	munlock((void *)p, l->length);
	msync((void *)p, l->length, MS_SYNC | MS_INVALIDATE);
	ok(shows(p, 0, l->length), "%s: right bytes", l->name);
}

static void populate(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		volatile uint8_t *q;

		l = &layouts[i];
		if (!begin(false))
			return;
		q = mmap(NULL, l->length, RW, MAP_SHARED | MAP_POPULATE, fd, 0);
		ok(q != MAP_FAILED && shows(q, 0, l->length),
		   "%s: MAP_POPULATE", l->name);
		munmap((void *)q, l->length);
		end();
	}
}

/* A mapping keeps the buffer when the fd is closed. */
static void closed_fd(void)
{
	l = &layouts[0];
	if (!begin(true))
		return;
	close(fd);
	ok(shows(p, 0, l->length), "after close of the dma-buf fd");
	munmap((void *)p, l->length);
}

static void many_mappings(void)
{
	enum { N = 300 };
	volatile uint8_t *q[N];
	bool wrong = false;

	l = &layouts[1];
	if (!begin(false))
		return;
	for (int i = 0; i < N; i++) {
		q[i] = buf_map(fd, (size_t)i % 152 * PAGE, PAGE, RW);
		wrong |= !q[i] || !shows(q[i], (size_t)i % 152 * PAGE, PAGE);
	}
	ok(!wrong, "%d mappings show the right bytes", N);
	is(mmaps(), N + 1, "and are counted");
	for (int i = 0; i < N; i++)
		munmap((void *)q[i], PAGE);
	end();
}

/* Each buffer has a window of its own: none shows another's bytes. */
static void many_buffers(void)
{
	enum { N = 200 };
	volatile uint8_t *q[N];
	bool wrong = false;
	int fds[N];

	for (unsigned int i = 0; i < N; i++) {
		fds[i] = buf_export1(&mem, BAR, i * 3 * PAGE, 2 * PAGE);
		q[i] = fds[i] < 0 ? NULL : buf_map(fds[i], 0, 2 * PAGE, RW);
	}
	for (unsigned int i = 0; i < N; i++)
		wrong |= !q[i] ||
			differs(q[i], SEED, i * 3 * PAGE, 2 * PAGE) >= 0;
	ok(!wrong, "%d buffers, each shows its own bytes", N);
	for (unsigned int i = 0; i < N; i++) {
		munmap((void *)q[i], 2 * PAGE);
		close(fds[i]);
	}
}

#define FOR_EACH(fn) static void fn##_both(void) { with_each_layout(fn); }
FOR_EACH(cut_the_middle)
FOR_EACH(cut_the_ends)
FOR_EACH(protect_a_page)
FOR_EACH(fork_it)
FOR_EACH(do_not_fork)
FOR_EACH(move_it)
FOR_EACH(move_a_part)
FOR_EACH(grow_it)
FOR_EACH(shrink_it)
FOR_EACH(advise_it)

int main(void)
{
	fixture_open();
	fill(bar, SEED, 0, bar_length);
	CASE(cut_the_middle_both);
	CASE(cut_the_ends_both);
	CASE(protect_a_page_both);
	CASE(fork_it_both);
	CASE(do_not_fork_both);
	CASE(move_it_both);
	CASE(move_a_part_both);
	CASE(grow_it_both);
	CASE(shrink_it_both);
	CASE(advise_it_both);
	CASE(populate);
	CASE(closed_fd);
	CASE(many_mappings);
	CASE(many_buffers);
	return tap_done();
}
