// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The largest buffer there may be: it can be exported, mapped by CPU and by DMA,
 * is charged to who made it, and one range more is refused. Needs a BAR of 1 GiB
 * or more, so that a million pages stay below four times its length.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/access.h"
#include "lib/buf.h"
#include "lib/proc.h"
#include "lib/slice.h"
#include "lib/stall.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/watch.h"

#define BAR	2
#define MAX	BARTER_MAX_RANGES
#define RW	(PROT_READ | PROT_WRITE)
#define CGROUP	"/sys/fs/cgroup"
#define GROUP	CGROUP "/barter-test"

static struct dev big;
static struct export *request;

/* No two that follow each other are adjacent: nothing can be merged. */
static void scatter(uint32_t nr)
{
	const uint64_t pages = big.length[BAR] / PAGE;

	request->h.argsz = (uint32_t)(sizeof(*request) +
				      nr * sizeof(request->ranges[0]));
	request->r.nr_ranges = nr;
	for (uint64_t i = 0; i < nr; i++)
		request->ranges[i] = (struct vfio_region_dma_range){
			i * 7 % pages * PAGE, PAGE };
}

static void the_most_ranges(void)
{
	struct barter_info info;
	volatile uint8_t *p, *bar;
	uint32_t v = 0;
	bool wrong = false;
	int fd;

	scatter(MAX);
	fd = export_call(&big, request);
	need(fd >= 0, "%u ranges", MAX);
	buf_info(fd, &info);
	is(info.out_nr_ranges, MAX, "none is merged");
	is(info.out_length, MAX * PAGE, "length");
	p = buf_map(fd, 0, MAX * PAGE, RW);
	bar = dev_map(&big, BAR, 0, big.length[BAR]);
	need(p && bar, "mmap of all of it");
	for (uint64_t i = 0; i < MAX; i += MAX / 64 - 1) {
		*(volatile uint32_t *)(bar + request->ranges[i].offset) =
			(uint32_t)i + 1;
		wrong |= peek(p + i * PAGE, &v) || v != (uint32_t)i + 1;
	}
	ok(!wrong, "the right bytes, from the first to the last");
	is_errno(dev_set_memory(&big, false), 0, "revoke");
	is(peek(p, &v), SIGBUS, "the first page faults");
	is(peek(p + (MAX - 1) * PAGE, &v), SIGBUS, "the last page faults");
	is_errno(dev_set_memory(&big, true), 0, "restore");
	is(peek(p + (MAX - 1) * PAGE, &v), 0, "the last page is back");
	munmap((void *)p, MAX * PAGE);
	munmap((void *)bar, big.length[BAR]);
	close(fd);
}

static void the_most_ranges_by_dma(void)
{
	struct barter_test_map map;
	int t = tester_open(), fd, id;

	scatter(MAX);
	fd = export_call(&big, request);
	need(fd >= 0, "%u ranges", MAX);
	id = tester_attach(t, fd, 0);
	need(id >= 0, "attach");
	is_errno(tester_map(t, id, 0, &map), 0, "map");
	is(map.out_length, MAX * PAGE, "all of it");
	ok(map.out_segments && map.out_segments <= MAX, "%u segments",
	   map.out_segments);
	is_errno(dev_set_memory(&big, false), 0, "revoke");
	is(tester_stat(t, id).out_mapped, 0, "the map is gone");
	is_errno(dev_set_memory(&big, true), 0, "restore");
	close(fd);
	close(t);
}

static void one_more(void)
{
	int fd;

	scatter(MAX);
	request->ranges[MAX] = request->ranges[0];
	request->r.nr_ranges = MAX + 1;
	request->h.argsz += sizeof(request->ranges[0]);
	fd = export_call(&big, request);
	is_errno(fd, E2BIG, "%u ranges", MAX + 1);
}

/* The limit of a sum, with few ranges and with the most. */
static void four_times_the_bar(void)
{
	const uint64_t n = big.length[BAR];
	struct vfio_region_dma_range r[5] = {
		{ 0, n }, { 0, n }, { 0, n }, { 0, n }, { 0, PAGE },
	};
	struct barter_info info;
	int fd = buf_export(&big, BAR, r, 4);

	is_errno(fd, 0, "%llu bytes", (unsigned long long)(4 * n));
	buf_info(fd, &info);
	is(info.out_length, 4 * n, "length");
	close(fd);
	is_errno(buf_export(&big, BAR, r, 5), E2BIG, "and a page more");
}

/* An adjacent million becomes one. */
static void merged(void)
{
	struct barter_info info;
	int fd;

	scatter(MAX);
	for (uint64_t i = 0; i < MAX; i++)
		request->ranges[i].offset = i % (big.length[BAR] / PAGE) * PAGE;
	fd = export_call(&big, request);
	need(fd >= 0, "%u adjacent ranges", MAX);
	buf_info(fd, &info);
	is(info.out_nr_ranges, MAX * PAGE / big.length[BAR] ?: 1,
	   "are as many as the BAR is gone through");
	close(fd);
}

/*
 * Buffers of 8 GiB each, of which a page is mapped: each takes a window of 8 GiB out of
 * 6 TiB. When there is none left mmap says so, and what is mapped is not touched.
 */
static void windows_run_out(void)
{
	enum { MOST = 1000 };
	const uint64_t n = big.length[BAR];
	struct vfio_region_dma_range r[4] = {
		{ 0, n }, { 0, n }, { 0, n }, { 0, n },
	};
	int fd = buf_export(&big, BAR, r, 4), slice, small, error = 0;
	static volatile uint8_t *maps[MOST];
	unsigned int nr = 0, bad = 0;
	volatile uint8_t *p;
	uint32_t v;

	need(fd >= 0 && 4 * n >= 8ull << 30, "8 GiB");
	while (nr < MOST && !error) {
		slice = slice1(fd, 0, 4 * n);
		maps[nr] = buf_map(slice, 4 * n - PAGE, PAGE, PROT_READ);
		error = maps[nr] ? 0 : errno;
		nr += !error;
		close(slice);
	}
	is(error, ENOSPC, "mmap of number %u", nr + 1);
	/* 1 TiB for each BAR, less its beginning. */
	is(nr, 6 * 127, "that many were mapped");
	small = slice1(fd, 0, PAGE);
	p = buf_map(small, 0, PAGE, PROT_READ);
	ok(p && !peek(p, &v), "a small one finds room");
	munmap((void *)p, PAGE);
	close(small);
	for (unsigned int i = 0; i < nr; i++)
		bad += peek(maps[i], &v) != 0;
	is(bad, 0, "all others work");

	slice = slice1(fd, 0, 4 * n);
	ok(!buf_map(slice, 0, PAGE, PROT_READ) && errno == ENOSPC, "ENOSPC again");
	munmap((void *)maps[--nr], PAGE);
	p = buf_map(slice, 0, PAGE, PROT_READ);
	ok(p && !peek(p, &v), "the same buffer, when one has gone");
	munmap((void *)p, PAGE);
	close(slice);
	while (nr)
		munmap((void *)maps[--nr], PAGE);
	close(fd);
}

static void faults_of_2_gib(void)
{
	const uint64_t gib = 1ull << 30;
	struct barter_info info;
	volatile uint8_t *p;
	uint32_t v;
	int fd;

	need(big.length[BAR] >= 2 * gib, "a BAR of 2 GiB");
	fd = buf_export1(&big, BAR, 0, 2 * gib);
	need(fd >= 0, "export");
	p = buf_map_aligned(fd, 0, 2 * gib, gib);
	need(p, "mmap, congruent with the memory");
	for (uint64_t i = 0; i < 2 * gib; i += 16 * MIB)
		peek(p + i, &v);
	buf_info(fd, &info);
	is(info.out_faults_pud, 2, "PUD faults");
	is(info.out_faults_pmd + info.out_faults_pte, 0, "smaller faults");
	is_errno(dev_set_memory(&big, false), 0, "revoke");
	is(peek(p + gib, &v), SIGBUS, "access faults");
	is_errno(dev_set_memory(&big, true), 0, "restore");
	peek(p, &v);
	peek(p + gib, &v);
	buf_info(fd, &info);
	is(info.out_faults_pud, 4, "PUD faults, after two more accesses");
	is(munmap((void *)(p + 5 * MIB), PAGE), 0, "a hole in the first GiB");
	is(peek(p + 5 * MIB - PAGE, &v), 0, "before the hole");
	is(peek(p + 5 * MIB + PAGE, &v), 0, "behind the hole");
	is(mprotect((void *)(p + gib + MIB), PAGE, PROT_READ), 0,
	   "another page is made read-only");
	is(peek(p + gib + MIB, &v), 0, "and can be read");
	munmap((void *)p, 2 * gib);
	close(fd);
}

/* A GiB in one entry, with its number in each of four places. */
static volatile uint8_t *gib_map(int *fd)
{
	const uint64_t gib = 1ull << 30;
	struct barter_info info;
	volatile uint8_t *p;

	*fd = buf_export1(&big, BAR, 0, gib);
	p = *fd < 0 ? NULL : buf_map_aligned(*fd, 0, gib, gib);
	if (!ok(p, "a GiB, mapped congruently with the memory"))
		return NULL;
	for (uint32_t i = 0; i < 4; i++)
		*(volatile uint32_t *)(p + i * gib / 4) = 0x61b0 + i;
	buf_info(*fd, &info);
	is(info.out_faults_pud, 1, "one PUD fault");
	return p;
}

static bool gib_shows(const volatile uint8_t *p, unsigned int first, unsigned int end)
{
	uint32_t v;

	for (uint32_t i = first; i < end; i++)
		if (peek(p + (uint64_t)i * (256 * MIB), &v) || v != 0x61b0 + i)
			return false;
	return true;
}

/*
 * mm splits entries of 2 MiB, but none of 1 GiB: it takes what is behind one for a table,
 * or leaves one that two VMAs share. Whoever maps a buffer can have a VMA split.
 */
static void gib_in_pieces(void)
{
	const uint64_t half = 512 * MIB;
	volatile uint8_t *p;
	pid_t pid;
	int fd;

	p = gib_map(&fd);
	if (!p)
		return;
	is(madvise((void *)(p + half), half, MADV_DONTFORK), 0,
	   "the second half is not for children");
	is_errno(dev_set_memory(&big, false), 0, "the owner takes the memory back");
	is(peek(p, &(uint32_t){ 0 }), SIGBUS, "access to the first half faults");
	is(peek(p + half, &(uint32_t){ 0 }), SIGBUS, "and to the second");
	is_errno(dev_set_memory(&big, true), 0, "and lends it again");
	ok(gib_shows(p, 0, 4), "all of it is there");
	munmap((void *)p, 2 * half);
	close(fd);

	p = gib_map(&fd);
	if (!p)
		return;
	is(madvise((void *)(p + half), half, MADV_DONTFORK), 0, "once more");
	pid = fork();
	if (pid == 0)
		_exit(!gib_shows(p, 0, 2));
	is(reap(pid, 10000), 0, "a child has the first half");
	ok(gib_shows(p, 0, 4), "its parent both");
	munmap((void *)p, 2 * half);
	close(fd);

	p = gib_map(&fd);
	if (!p)
		return;
	is(munmap((void *)(p + half), half), 0, "the second half goes");
	ok(gib_shows(p, 0, 2), "the first is there");
	munmap((void *)p, half);
	close(fd);

	p = gib_map(&fd);
	if (!p)
		return;
	is(mprotect((void *)p, 2 * half, PROT_READ), 0, "all is closed for writing");
	is(poke(p, 0x61b0), SIGSEGV, "it is");
	ok(gib_shows(p, 0, 4), "but can be read");
	is(mprotect((void *)p, 2 * half, PROT_READ | PROT_WRITE), 0, "and open again");
	is(poke(p, 0x61b0), 0, "it is");
	is(mprotect((void *)(p + MIB), PAGE, PROT_NONE), 0, "a page is closed");
	is(peek(p + MIB, &(uint32_t){ 0 }), SIGSEGV, "it is");
	ok(gib_shows(p, 0, 4), "the others are not");
	munmap((void *)p, 2 * half);
	close(fd);
}

static volatile int spinning;

static void *spins(void *at)
{
	volatile uint8_t *p = at;
	uint32_t v;

	spinning = 1;
	while (!peek(p, &v))
		;
	return NULL;
}

/* mm clears an entry of 1 GiB that is to move, and no CPU is told. */
static void gib_moves(void)
{
	const uint64_t gib = 1ull << 30;
	volatile uint8_t *p, *room, *q;
	pthread_t thread;
	int fd;

	p = gib_map(&fd);
	if (!p)
		return;
	room = mmap(NULL, 3 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(room != MAP_FAILED, "room elsewhere");
	q = (void *)(((uintptr_t)room + gib - 1) & ~(gib - 1));
	spinning = 0;
	pthread_create(&thread, NULL, spins, (void *)p);
	while (!spinning)
		;
	ok(mremap((void *)p, gib, gib, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)q) == (void *)q,
	   "it moves");
	pthread_join(thread, NULL);
	ok(true, "who read where it was has lost it");
	ok(gib_shows(q, 0, 4), "all of it is where it went");
	is_errno(dev_set_memory(&big, false), 0, "the owner takes the memory back");
	is(peek(q, &(uint32_t){ 0 }), SIGBUS, "access faults");
	is_errno(dev_set_memory(&big, true), 0, "and lends it again");
	munmap((void *)room, 3 * gib);
	close(fd);
}

static volatile pid_t reader;

static void *writes(void *at)
{
	*(volatile uint8_t *)at = 0x7e;
	return NULL;
}

static void *reads(void *at)
{
	reader = gettid();
	return (void *)(uintptr_t) * (volatile uint8_t *)at;
}

/*
 * While one thread's fault is about to put a huge page there, huge pages are switched
 * off, and another's comes with a small one, for which mm has put a table where the huge
 * one was to be; or, within 2 MiB, finds its own place taken by the huge one.
 */
static void huge_pages_go_meanwhile(const char *insert, uint64_t n, uint64_t align, uint64_t other)
{
	int fd = buf_export1(&big, BAR, 0, n);
	volatile uint8_t *p = fd < 0 ? NULL : buf_map_aligned(fd, 0, n, align);
	pthread_t one, two;
	void *was = NULL;
	bool there;
	uint32_t v;

	need(p, "a buffer, mapped congruently");
	stall_at(insert);
	reader = 0;
	pthread_create(&one, NULL, writes, (void *)p);
	WAIT_FOR(there, stalled() == 1, 10000);
	ok(there, "a fault is about to insert a huge page");
	is(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0, "they are switched off");
	pthread_create(&two, NULL, reads, (void *)(p + other));
	WAIT_FOR(there, reader && sleeps_in(reader, "barter_vm_"), 8000);
	ok(there, "another thread's fault waits");
	is(stalled(), 1, "the first is still there");
	stall_ends();
	pthread_join(one, NULL);
	pthread_join(two, &was);
	stall_at("");
	is(p[0], 0x7e, "the first has written");
	is(peek(p + other, &v), 0, "the other's memory is there");
	is((uint8_t)v, (uint8_t)(uintptr_t)was, "as it was read");
	is(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0, "on again");
	munmap((void *)p, n);
	close(fd);
}

static void table_where_a_gib_was_to_be(void)
{
	huge_pages_go_meanwhile("vmf_insert_pfn_pud", 1ull << 30, 1ull << 30, 4 * MIB);
}

static void small_page_where_2_mib_are(void)
{
	huge_pages_go_meanwhile("vmf_insert_pfn_pmd", 2 * MIB, 2 * MIB, PAGE);
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static long long charged(void)
{
	char text[64] = "";
	int fd = open(GROUP "/memory.current", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	return atoll(text);
}

/* The exit status tells which check failed; 0 none. */
static int charged_child(void *arg)
{
	long long before, with, after;
	bool back;
	int fd;

	(void)arg;
	if (put(GROUP "/cgroup.procs", "0"))
		return 10;
	/* The request itself is the child's memory: touch it first. */
	scatter(MAX);
	before = charged();
	fd = export_call(&big, request);
	if (fd < 0)
		return 11;
	with = charged();
	/* 24 bytes for a run: more than 16 MiB for a million of them. */
	if (with - before < 16 * (long long)MIB)
		return 12;
	close(fd);
	WAIT_FOR(back, (after = charged()) - before < 4 * (long long)MIB, 10000);
	return back ? 0 : 13;
}

/* 40,960 watches of 64 bytes or more, with eventfds that were charged before. */
static int watching_child(void *arg)
{
	struct rlimit most = { 65536, 65536 };
	static int events[BARTER_MAX_WATCHES], files[40];
	long long before, with, after;
	bool back;
	int fd;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &most) || put(GROUP "/cgroup.procs", "0"))
		return 10;
	fd = buf_export1(&big, BAR, 0, PAGE);
	for (int i = 0; i < BARTER_MAX_WATCHES; i++)
		events[i] = event_new();
	for (int n = 0; n < 40; n++)
		files[n] = watch_file();
	before = charged();
	for (int n = 0; n < 40; n++)
		for (int i = 0; i < BARTER_MAX_WATCHES; i++)
			if (watch_begin(files[n], fd, events[i], NULL))
				return 11;
	with = charged();
	if (with - before < 2 * (long long)MIB)
		return 12;
	for (int n = 0; n < 40; n++)
		close(files[n]);
	WAIT_FOR(back, (after = charged()) - before < (long long)MIB, 10000);
	close(fd);
	return back ? 0 : 13;
}

static int limited_child(void *arg)
{
	struct export *local = request;
	int fd;

	(void)arg;
	if (put(GROUP "/cgroup.procs", "0"))
		return 10;
	fd = export_call(&big, local);
	if (fd >= 0)
		return 11;
	return fd == -ENOMEM ? 0 : 12;
}

static void charged_to_the_caller(void)
{
	int status;

	put(CGROUP "/cgroup.subtree_control", "+memory");
	if ((mkdir(GROUP, 0755) && errno != EEXIST) || charged() < 0) {
		skip("this kernel has no memory cgroup", "charged");
		return;
	}
	is(in_child(charged_child, NULL, 30000), 0,
	   "an export is charged, its release gives it back");
	is(in_child(watching_child, NULL, 60000), 0, "so are watches");
	scatter(MAX);
	need(!put(GROUP "/memory.max", "8388608"), "a limit of 8 MiB");
	put(GROUP "/memory.swap.max", "0");
	status = in_child(limited_child, NULL, 30000);
	is(status, 0, "over the limit: ENOMEM, and nobody is killed");
	put(GROUP "/memory.max", "max");
	is(rmdir(GROUP), 0, "the group is empty");
}

int main(void)
{
	char bdf[BDF_LENGTH];
	int ret = -ENODEV;

	for (unsigned int i = 0; !pci_find(PCI_IVSHMEM, i, bdf); i++) {
		uint64_t n, flags;

		pci_bar(bdf, BAR, &n, &flags);
		if (n >= MAX / BARTER_MAX_OVERCOMMIT * PAGE) {
			ret = dev_open(&big, bdf);
			break;
		}
	}
	if (ret)
		tap_bail("no ivshmem with a BAR of 1 GiB: %s", strerror(-ret));
	request = malloc(sizeof(*request) + (MAX + 1) * sizeof(request->ranges[0]));
	memset(request, 0, sizeof(*request));
	request->h.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	request->r.region_index = BAR;
	request->r.open_flags = O_RDWR | O_CLOEXEC;
	CASE(the_most_ranges);
	CASE_LIMIT(the_most_ranges_by_dma, 240);
	CASE(one_more);
	CASE(four_times_the_bar);
	CASE(faults_of_2_gib);
	CASE_LIMIT(gib_in_pieces, 60);
	CASE_LIMIT(gib_moves, 60);
	CASE(table_where_a_gib_was_to_be);
	CASE(small_page_where_2_mib_are);
	CASE(windows_run_out);
	CASE(merged);
	CASE(charged_to_the_caller);
	return tap_done();
}
