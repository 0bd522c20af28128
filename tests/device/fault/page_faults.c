// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory when what is mapped is touched: by the program, and by the kernel for it; of
 * one range, of scattered ones, of a slice, write-combining, of the BAR itself; by pages
 * of every size.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/memattr.h"
#include "../lib/slice.h"
#include "fault.h"

/* An address far from all others: no page table is there. */
#if UINTPTR_MAX > 0xffffffff
#define ALONE ((void *)0x200000000000)
#else
#define ALONE ((void *)0x60000000)
#endif

static volatile uint8_t *map;
static int file = -1;
static int shown = -1; /* the buffer that is mapped: lent, or a slice of it */

static uint64_t fault_length;
static uint32_t seen;

static void map_alone(int fd)
{
	shown = fd;
	map = mmap(ALONE, fault_length, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (map != ALONE)
		tap_bail("no mapping at %p: %s", ALONE, strerror(errno));
}

static void lend_alone(void)
{
	lend_one(fault_length);
	map_alone(lent);
}

static void lend_scattered(void)
{
	lend_ranges((uint32_t)(fault_length / PAGE), PAGE);
	map_alone(lent);
}

/* Of a scattered buffer: the first page, and one that is not beside it. */
static void lend_slice(void)
{
	static const struct barter_range ranges[] = { { 0, PAGE }, { 5 * PAGE, PAGE } };

	lend_ranges(8, PAGE);
	map_alone(slice_of(lent, ranges, 2));
}

static void close_alone(void)
{
	munmap((void *)map, fault_length);
	if (shown != lent)
		close(shown);
	lend_close();
}

static int call_load(void)
{
	int sig = peek(map, &seen);

	return sig == SIGBUS ? -EIO : sig ? -EFAULT : 0;
}

static int call_store(void)
{
	int sig = poke(map, pattern(SEED, OFFSET));

	seen = pattern(SEED, OFFSET);
	return sig == SIGBUS ? -EIO : sig ? -EFAULT : 0;
}

/* The kernel touches it for a read(). */
static int call_kernel(void)
{
	return read(file, (void *)(map + 64), 4) == 4 ? 0 : -errno;
}

static bool whole_load(int ret)
{
	struct barter_info info;

	(void)ret;
	return seen == pattern(SEED, OFFSET) && lend_shows(map, OFFSET) &&
	       !buf_info(shown, &info) && info.out_faults_pte + info.out_faults_pmd >= 1;
}

static bool whole_kernel(int ret)
{
	uint32_t v = 1;

	(void)ret;
	return !peek(map + 64, &v) && !v;
}

/*
 * The kernel repeats a program's own access until there is memory; that of a
 * system call fails.
 */
static void page_faults(void)
{
	static const struct {
		const char *what;
		uint64_t length;
		void (*lend)(void);
	} kinds[] = {
		{ "", PAGE, lend_alone },
		{ ", huge", LENT, lend_alone },
		{ ", scattered", 64 * PAGE, lend_scattered },
		{ ", slice", 2 * PAGE, lend_slice },
	};
	char names[3][64];

	file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	for (unsigned int k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		const struct fault_call calls[] = {
			{ .name = names[0],
			  .before = kinds[k].lend,
			  .call = call_load,
			  .whole = whole_load,
			  .after = close_alone,
			  .least = 2,
			  .moves = true },
			{ .name = names[1],
			  .before = kinds[k].lend,
			  .call = call_store,
			  .whole = whole_load,
			  .after = close_alone,
			  .least = 2,
			  .moves = true },
			{ .name = names[2],
			  .before = kinds[k].lend,
			  .call = call_kernel,
			  .whole = whole_kernel,
			  .after = close_alone,
			  .least = 2,
			  .moves = true,
			  .errnos = { EFAULT } },
		};

		snprintf(names[0], sizeof(names[0]), "load%s", kinds[k].what);
		snprintf(names[1], sizeof(names[1]), "store%s", kinds[k].what);
		snprintf(names[2], sizeof(names[2]), "read() into it%s", kinds[k].what);
		fault_length = kinds[k].length;
		for (int i = 0; i < 3; i++)
			fault_sweep(&calls[i]);
	}
	close(file);
	fill(bar + OFFSET, SEED, OFFSET, PAGE);
}

/* Page tables are made by the fault itself. */
static void lend_combined(void)
{
	lend_one(LENT);
	if (buf_memattr(&mem, lent, BARTER_MEMATTR_WC, BARTER_MEMATTR_FORCE))
		tap_bail("no write-combining");
	map_alone(lent);
}

static void combined_faults(void)
{
	const struct fault_call calls[] = {
		{ .name = "load, write-combining",
		  .before = lend_combined,
		  .call = call_load,
		  .whole = whole_load,
		  .after = close_alone,
		  .least = 2,
		  .moves = true },
		{ .name = "read() into it, write-combining",
		  .before = lend_combined,
		  .call = call_kernel,
		  .whole = whole_kernel,
		  .after = close_alone,
		  .least = 2,
		  .moves = true,
		  .errnos = { EFAULT } },
	};

	file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	fault_length = LENT;
	for (int i = 0; i < 2; i++)
		fault_sweep(&calls[i]);
	close(file);
	fill(bar + OFFSET, SEED, OFFSET, PAGE);
}

/* In a mapping of the BAR itself. */
static void map_bar_alone(void)
{
	map = mmap(ALONE, fault_length, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, mem.fd,
		   (off_t)(mem.offset[BAR] + OFFSET));
	if (map != ALONE)
		tap_bail("no mapping at %p: %s", ALONE, strerror(errno));
}

static void unmap_bar_alone(void)
{
	munmap((void *)map, fault_length);
}

static bool whole_bar_load(int ret)
{
	(void)ret;
	return seen == pattern(SEED, OFFSET) && lend_shows(map, OFFSET);
}

static void faults_of_the_bar(void)
{
	static const char *const names[] = { "load of the BAR", "load of the BAR, huge" };

	for (int huge = 0; huge < 2; huge++) {
		const struct fault_call c = {
			.name = names[huge],
			.before = map_bar_alone,
			.call = call_load,
			.whole = whole_bar_load,
			.after = unmap_bar_alone,
			.least = 2,
			.moves = true,
		};

		fault_length = huge ? LENT : PAGE;
		fault_sweep(&c);
	}
}

/* A page of 1 GiB, which takes a large BAR; nothing smaller takes its place. */
static volatile uint8_t *big_bar;

static void lend_gib(void)
{
	lent = buf_export1(&big, BAR, 0, GIB);
	map_alone(lent);
	*(volatile uint32_t *)big_bar = pattern(SEED, OFFSET);
}

static bool is_gib(void)
{
	struct barter_info info;

	return !buf_info(lent, &info) && info.out_faults_pud == 1 && !info.out_faults_pmd &&
	       !info.out_faults_pte;
}

static bool whole_gib_load(int ret)
{
	(void)ret;
	return seen == pattern(SEED, OFFSET) && is_gib();
}

static bool whole_gib_kernel(int ret)
{
	return whole_kernel(ret) && is_gib();
}

static void faults_of_a_gib(void)
{
	const struct fault_call calls[] = {
		{ .name = "load, 1 GiB",
		  .before = lend_gib,
		  .call = call_load,
		  .whole = whole_gib_load,
		  .after = close_alone,
		  .least = 1,
		  .moves = true },
		{ .name = "store, 1 GiB",
		  .before = lend_gib,
		  .call = call_store,
		  .whole = whole_gib_load,
		  .after = close_alone,
		  .least = 1,
		  .moves = true },
		{ .name = "read() into it, 1 GiB",
		  .before = lend_gib,
		  .call = call_kernel,
		  .whole = whole_gib_kernel,
		  .after = close_alone,
		  .least = 1,
		  .moves = true,
		  .errnos = { EFAULT } },
	};

	need(big_open(), "a BAR of 1 GiB or more");
	big_bar = dev_map(&big, BAR, 0, PAGE);
	file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	need(big_bar && file >= 0, "mapped");
	fault_length = GIB;
	for (int i = 0; i < 3; i++)
		fault_sweep(&calls[i]);
	close(file);
	munmap((void *)big_bar, PAGE);
	dev_close(&big);
}

void page_fault_cases(void)
{
	CASE_LIMIT(combined_faults, 60);
	CASE_LIMIT(page_faults, 120);
	CASE_LIMIT(faults_of_the_bar, 60);
	CASE_LIMIT(faults_of_a_gib, 60);
}
