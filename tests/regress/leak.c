// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What importers leave behind: I/O virtual addresses, which run out soon for a
 * device that has few address bits, and memory, which the slabs count.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/xattr.h>

static int attach_with_bits(int t, int fd, uint16_t bits)
{
	struct barter_test_attach req = { .dmabuf_fd = fd, .dma_bits = bits };

	return tester_attach_as(t, &req);
}

void b12_importers_come_and_go_without_a_leak(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), t = tester_open(), id, ret = 0;
	struct barter_test_map map;
	unsigned int i;

	must(fd >= 0, "export");
	/* 24 bits are 16 MiB, far less than what comes and goes. */
	for (i = 0; i < 1000 && ret >= 0; i++) {
		ret = attach_with_bits(t, fd, 24);
		if (ret >= 0)
			ret = tester_detach(t, ret);
	}
	check(ret >= 0, "%u importers that never map", i);
	for (i = 0; i < 100 && ret >= 0; i++) {
		id = ret = attach_with_bits(t, fd, 24);
		if (ret >= 0)
			ret = map_soon(t, id, NULL);
		if (ret >= 0)
			ret = tester_detach(t, id);
	}
	check_errno(ret, 0, "100 that map; after %u", i);
	close(fd);

	/* They detach when the exporter's device has been closed. */
	for (i = 0; i < 20 && ret >= 0; i++) {
		fd = buf_export1(&mem, BAR, 0, MIB);
		id = ret = attach_with_bits(t, fd, 24);
		if (ret >= 0)
			ret = map_soon(t, id, NULL);
		fixture_close();
		if (id >= 0)
			tester_detach(t, id);
		close(fd);
		fixture_open();
	}
	check_errno(ret, 0, "20 that detach late; after %u", i);
	fd = buf_export1(&mem, BAR, 0, MIB);
	id = attach_with_bits(t, fd, 24);
	check_errno(map_soon(t, id, &map), 0, "there is room for one more");
	check(map.segments[0].address + map.segments[0].length <= 1ull << 24,
	      "below 2^24");
	close(t);
	close(fd);
}

#define PIECES	16

/* 16 pieces of 64 KiB where 19 bits give room for less than eight. */
static int scattered(void)
{
	struct vfio_region_dma_range r[PIECES];

	for (unsigned int i = 0; i < PIECES; i++)
		r[i] = (struct vfio_region_dma_range){
			(PIECES - i) * 3 * 65536ull, 65536,
		};
	return buf_export(&mem, BAR, r, PIECES);
}

#define NEIGHBOURS	7

/*
 * Buffers mapped side by side: does any of them get an address that another has, or
 * none? On each CPU, since each keeps addresses that were given back.
 */
static void addresses_are_apart(int t, uint64_t length)
{
	struct barter_test_map maps[NEIGHBOURS];
	unsigned int zero = 0, twice = 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int fd = buf_export1(&mem, BAR, 0, length), ids[NEIGHBOURS];
	cpu_set_t all, one;

	must(fd >= 0 && !sched_getaffinity(0, sizeof(all), &all), "export");
	for (int cpu = 0; cpu < cpus; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		for (int i = 0; i < NEIGHBOURS; i++) {
			ids[i] = tester_attach(t, fd, 0);
			must(ids[i] >= 0 && !map_soon(t, ids[i], &maps[i]),
			     "map a neighbour");
			zero += !maps[i].segments[0].address;
			for (int j = 0; j < i; j++)
				twice += maps[i].segments[0].address ==
					 maps[j].segments[0].address;
		}
		for (int i = 0; i < NEIGHBOURS; i++)
			tester_detach(t, ids[i]);
	}
	sched_setaffinity(0, sizeof(all), &all);
	check(!zero, "%u of %ld maps got the address 0", zero, cpus * NEIGHBOURS);
	check(!twice, "%u addresses were given out twice", twice);
	close(fd);
}

/* Two ranges: the kernel's own exporter fails half way (N1). */
static void map_two(int t, unsigned int times)
{
	struct vfio_region_dma_range two[] = {
		{ 5 * MIB, 2 * PAGE }, { 2 * MIB, PAGE },
	};
	int fd = buf_export(&mem, BAR, two, 2);

	for (unsigned int i = 0; i < times; i++) {
		int id = tester_attach(t, fd, 0);

		must(id >= 0, "attach");
		tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL);
		tester_detach(t, id);
	}
	close(fd);
}

/* 50 maps of 1 MiB, of which each is refused when a part has been mapped. */
static void refuse_maps(int t)
{
	int worked = 0;

	for (unsigned int i = 0; i < 50; i++) {
		int fd = scattered(), id = attach_with_bits(t, fd, 19);

		must(fd >= 0 && id >= 0, "1 MiB in %u pieces", PIECES);
		worked += !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL);
		tester_detach(t, id);
		close(fd);
		/* What is unmapped is given back by a timer, 10 ms later. */
		if (i % 10 == 9)
			usleep(30000);
	}
	check(!worked, "1 MiB does not fit below 2^19");
}

void n2a_refused_maps_leave_nothing_behind(void)
{
	int t = tester_open(), fd = buf_export1(&mem, BAR, 0, 65536), id;

	must(fd >= 0, "export");
	if (dma_is_debugged()) {
		cannot("DMA API debugging takes a refused mapping for a leak");
		goto out;
	}
	id = attach_with_bits(t, fd, 19);
	must(id >= 0 && !map_soon(t, id, NULL), "64 KiB fit below 2^19");
	must(!tester_detach(t, id), "detach");
	refuse_maps(t);
	id = attach_with_bits(t, fd, 19);
	check_errno(map_soon(t, id, NULL), 0,
		    "64 KiB still fit after 50 maps that were refused half way");
	tester_detach(t, id);
	addresses_are_apart(t, PAGE);
out:
	close(t);
	close(fd);
}

void n2b_maps_that_fail_give_addresses_back_once(void)
{
	int t = tester_open();

	map_two(t, 20);
	addresses_are_apart(t, 3 * PAGE);
	/* Without room the kernel looks at all addresses that were given back. */
	if (!dma_is_debugged())
		refuse_maps(t);
	else if (own)
		cannot("DMA API debugging takes a refused mapping for a leak");
	close(t);
}

static int inject(unsigned int nth)
{
	char text[16];
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC), n;

	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%u", nth);
	n = write(fd, text, (size_t)n) == n ? 0 : -errno;
	close(fd);
	return n;
}

/* Was the failure that was ordered delivered? Calls it off. */
static bool injected(void)
{
	char text[16] = "";
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	bool done;

	done = read(fd, text, sizeof(text) - 1) > 0 && atoi(text) == 0;
	close(fd);
	inject(0);
	return done;
}

void n3_maps_that_run_out_of_memory_leave_nothing_behind(void)
{
	struct vfio_region_dma_range two[] = {
		{ 5 * MIB, MIB / 2 }, { 2 * MIB, MIB / 2 },
	};
	unsigned int failed = 0, wrong = 0, nth, round;
	int t = tester_open(), fd, id, ret = -1, before;
	bool same;

	/* The kernel's own exporter cannot map two (N1). */
	fd = own ? buf_export1(&mem, BAR, 0, MIB) :
		   buf_export(&mem, BAR, two, 2);
	if (inject(0)) {
		cannot("no fault injection in this kernel");
		close(t);
		close(fd);
		return;
	}
	/* Not one line for each, and also where the kernel may wait. */
	sysfs_write("0", "/sys/kernel/debug/failslab/verbose");
	sysfs_write("0", "/sys/kernel/debug/fail_page_alloc/verbose");
	/* Copies of user memory do not count: a place never found in the stack. */
	sysfs_write("0", "/sys/kernel/debug/fail_usercopy/stacktrace-depth");
	sysfs_write("1", "/sys/kernel/debug/fail_usercopy/require-start");
	sysfs_write("N", "/sys/kernel/debug/failslab/ignore-gfp-wait");
	sysfs_write("N", "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait");
	must(fd >= 0, "export");
	id = attach_with_bits(t, fd, 24);
	must(id >= 0 && !map_soon(t, id, NULL), "1 MiB fits below 2^24");
	must(!tester_unmap(t, id), "unmap");
	before = dma_entries();

	/*
	 * 16 maps would fill all addresses. Of memory that a device only reads DMA API
	 * debugging makes no notes for which it could lack memory.
	 */
	for (round = 0; round < 40; round++) {
		for (nth = 1; nth < 60; nth++) {
			bool was;

			must(!inject(nth), "order failure %u", nth);
			ret = tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL);
			was = injected();
			if (!ret)
				tester_unmap(t, id);
			if (!was)
				break;
			failed += ret != 0;
			wrong += ret && ret != -ENOMEM;
		}
	}
	check(failed >= 40, "%u maps ran out of memory", failed);
	WAIT_FOR(same, dma_entries() == before, 3000);
	if (own) {
		diag("%u answered with something else than ENOMEM; %d DMA mappings became %d",
		     wrong, before, dma_entries());
	} else {
		check(!wrong, "%u answered with something else than ENOMEM", wrong);
		check(same, "%d DMA mappings became %d", before, dma_entries());
	}
	check_errno(map_soon(t, id, NULL), 0, "a map still works");
	close(t);
	close(fd);
}

/* Objects in all general-purpose slabs of up to 96 bytes. */
static long small_objects(void)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	char line[256], name[64];
	long active, all, size, sum = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld %ld %ld", name, &active, &all,
			   &size) == 4 &&
		    strstr(name, "kmalloc") && size <= 96)
			sum += active;
	if (!f)
		return -errno;
	fclose(f);
	return sum;
}

#define MAPS	8000

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

#define SMALL 32 /* bytes of a scatterlist of one entry */

/*
 * From 7.0 on the slabs keep a list of objects per CPU (mm/slub.c, struct slab_sheaf),
 * in which the names of those that were given out stay until others are in their place.
 * kmemleak takes what a list names for in use, and would find it after the end of the
 * test. So give out as many others of that size as all lists have room for.
 */
static void forget_who_was_given_out(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t all, one;
	char value[SMALL];

	must(!sched_getaffinity(0, sizeof(all), &all), "CPUs");
	for (int cpu = 0; cpu < cpus; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		/* Takes memory for the value before it sees that there is none. */
		for (int i = 0; i < 5000; i++)
			getxattr("/", "user.none", value, sizeof(value));
	}
	sched_setaffinity(0, sizeof(all), &all);
}

/*
 * What kmemleak has found, after the two scans 6 s apart that it takes; of it in
 * @ours what the kernel's exporter allocated.
 */
static long leaked(long *ours)
{
	bool first = false;
	char line[256];
	long all = 0;
	FILE *f;

	forget_who_was_given_out();
	sysfs_write("scan", KMEMLEAK);
	sleep(6);
	sysfs_write("scan", KMEMLEAK);
	f = fopen(KMEMLEAK, "re");
	*ours = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "unreferenced", 12)) {
			all++;
			first = true;
		} else if (first && strstr(line, "dma_buf_phys_vec_to_sgt")) {
			(*ours)++;
			first = false;
		}
	}
	if (f)
		fclose(f);
	return all;
}

/*
 * The test bed takes every leak for a failure. Those that the kernel's exporter
 * made in this boot are recorded here instead, if there are no others.
 */
static void count_leaks(void)
{
	long theirs, all = leaked(&theirs);

	check(!all, "kmemleak finds nothing: %ld objects after %u maps", all,
	      MAPS / 20);
	if (own && all == theirs)
		sysfs_write("clear", KMEMLEAK);
}

void forget_native_leaks(void)
{
	long theirs, all;

	if (access(KMEMLEAK, W_OK))
		return;
	all = leaked(&theirs);
	diag("%ld objects leaked, %ld of them by the kernel's exporter (M2)", all,
	     theirs);
	if (all == theirs)
		sysfs_write("clear", KMEMLEAK);
}

void m2_unmap_frees_the_scatterlist(void)
{
	/* Freed memory stays in KASAN's quarantine: slabs tell nothing there. */
	bool kmemleak = !access(KMEMLEAK, W_OK);
	unsigned int maps = kmemleak ? MAPS / 20 : MAPS;
	int fd = buf_export1(&mem, BAR, 0, PAGE), t = tester_open();
	int id = tester_attach(t, fd, 0), ret = 0;
	long before, more;

	must(fd >= 0 && id >= 0, "attach");
	before = small_objects();
	must(before > 0, "/proc/slabinfo");
	for (unsigned int i = 0; i < maps && !ret; i++) {
		ret = tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL);
		if (!ret)
			ret = tester_unmap(t, id);
	}
	check_errno(ret, 0, "%u maps and unmaps", maps);
	more = small_objects() - before;
	if (kmemleak)
		count_leaks();
	else
		check(more < MAPS / 4,
		      "the slabs get all back: %+ld objects after %u maps", more,
		      MAPS);
	close(t);
	close(fd);
}
