// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter_map_aligned() beside other threads. mmap() is replaced (ld --wrap) by one in
 * which another thread maps memory of its own, at the worst of moments and just there:
 * where a mapping that was refused has left a gap, or where one is about to be. That
 * memory must be there afterwards.
 */
#include "../internal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define MIB    (1ULL << 20)
#define LENGTH (4 * MIB)

static int tests, bad;

static void is(long long got, long long want, const char *what)
{
	tests++;
	if (got == want)
		return;
	bad++;
	printf("not ok - mapping: %s: got %lld, want %lld\n", what, got, want);
}

static enum { NOBODY, AFTER_A_REFUSAL, BEFORE } other;
static unsigned int times; /* that the other thread is as fast */
static unsigned int asked; /* for mappings of the file */
static char *others[8];
static unsigned int nr_others;

void *__real_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);

static void other_thread_maps(void *at, size_t n)
{
	char *p;

	if (!at || !times || nr_others == sizeof(others) / sizeof(others[0]))
		return;
	times--;
	p = __real_mmap64(at, n, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		return;
	memset(p, 0x5a, 4096);
	others[nr_others++] = p;
}

void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	if (fd < 0)
		return __real_mmap64(at, n, prot, flags, fd, offset);
	asked++;
	if (other == AFTER_A_REFUSAL) {
		/* As the kernel does it: what was there is gone, and nothing is there. */
		if (flags & MAP_FIXED)
			munmap(at, n);
		other_thread_maps(at, n);
		errno = EBADFD;
		return MAP_FAILED;
	}
	if (other == BEFORE)
		other_thread_maps(at, n);
	return __real_mmap64(at, n, prot, flags, fd, offset);
}

static bool others_are_there(void)
{
	unsigned char in[LENGTH / 4096];

	for (unsigned int i = 0; i < nr_others; i++) {
		if (mincore(others[i], LENGTH, in) || others[i][0] != 0x5a)
			return false;
		munmap(others[i], LENGTH);
	}
	nr_others = 0;
	return true;
}

/* Of an object that begins 1 MiB into an aligned part of a device's memory. */
static int map(int fd, void **p)
{
	asked = 0;
	return barter_map_aligned(fd, MIB, MIB, LENGTH, PROT_READ | PROT_WRITE, p);
}

int main(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	void *p = NULL;

	if (fd < 0 || ftruncate(fd, 16 * MIB)) {
		perror("memfd");
		return 1;
	}
	is(map(fd, &p), 0, "alone");
	is((uintptr_t)p % (2 * MIB), MIB, "the address agrees with the memory");
	is(asked, 1, "mapped once");
	strcpy(p, "x");
	is(barter_unmap(p, LENGTH), 0, "unmap");

	p = NULL;
	other = AFTER_A_REFUSAL, times = 1;
	is(map(fd, &p), -EBADFD, "refused");
	is(p == NULL, true, "nothing is said to be mapped");
	is(asked, 1, "asked once");
	is(nr_others, 1, "another thread maps where that was to be");
	is(others_are_there(), true, "and has its memory");

	other = BEFORE, times = 1;
	is(map(fd, &p), 0, "another thread is faster");
	is((uintptr_t)p % (2 * MIB), MIB, "another such address");
	is(asked, 2, "mapped at the second try");
	is(others_are_there(), true, "the other has its memory");
	is(barter_unmap(p, LENGTH), 0, "unmap");

	other = BEFORE, times = 100;
	is(map(fd, &p), 0, "it is faster each time");
	is(asked > 2 && asked < 8, true, "no endless race");
	is(nr_others, asked - 1, "as often as an address was asked for");
	is(others_are_there(), true, "it has all of its memory");
	strcpy(p, "x");
	is(barter_unmap(p, LENGTH), 0, "unmap");

	is(barter_map_aligned(fd, 0, 0, 0, PROT_READ, &p), -EINVAL, "nothing");
	is(barter_map_aligned(fd, 0, 0, UINT64_MAX, PROT_READ, &p), -EINVAL, "too much");
	close(fd);
	printf("# mapping: %d checks, %d failed\n", tests, bad);
	return !!bad;
}
