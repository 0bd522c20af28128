// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How much memory of the kernel does a buffer take, a range of it, a slice, an
 * attachment? From /proc/meminfo (slab and vmalloc) before and after making many, so
 * with all that dma-buf, the file and its inode take; caches that grow by whole pages
 * are in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/native.h"
#include "../tests/device/lib/pci.h"
#include "../tests/device/lib/slice.h"
#include "../tests/device/lib/tester.h"
#include "bench.h"

#define PAGE	4096ull
#define MANY	4000u

static struct dev big;
static int fds[MANY];

static int64_t kernel_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kib;
	char line[128];
	int64_t sum = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %lu", &kib) == 1 ||
		    sscanf(line, "VmallocUsed: %lu", &kib) == 1)
			sum += (int64_t)kib * 1024;
	if (f)
		fclose(f);
	return sum;
}

static void report_each(const char *what, const char *who, int64_t bytes,
			unsigned int nr)
{
	char text[100];

	snprintf(text, sizeof(text), "%s, %s", what, who);
	report_count(text, (uint64_t)(bytes > 0 ? bytes + nr / 2 : 0) / nr, "bytes");
}

static int export_of(uint32_t nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	int fd;

	for (uint64_t i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){ 2 * i * PAGE, PAGE };
	fd = buf_export(&big, BIG_BAR, ranges, nr);
	free(ranges);
	return fd;
}

static void drop(void)
{
	for (unsigned int i = 0; i < MANY; i++)
		close(fds[i]);
	/* Inodes and files go by RCU. */
	usleep(300000);
}

static void buffers(const char *who)
{
	int64_t before = kernel_bytes();

	for (unsigned int i = 0; i < MANY; i++) {
		fds[i] = buf_export1(&big, BIG_BAR, i * PAGE, PAGE);
		if (fds[i] < 0)
			fail("export: %s", strerror(-fds[i]));
	}
	report_each("a buffer of one range", who, kernel_bytes() - before, MANY);
	drop();
}

static void ranges(const char *who)
{
	const unsigned int nr = 65536, copies = 8;
	int64_t before = kernel_bytes();
	int made[8], bad = 0;

	for (unsigned int i = 0; i < copies; i++) {
		made[i] = export_of(nr);
		bad |= made[i] < 0;
	}
	if (!bad)
		report_each("a range, of 65536", who, kernel_bytes() - before,
			    nr * copies);
	else
		report_note("a range, %s: %s", who, strerror(-made[0]));
	for (unsigned int i = 0; i < copies; i++)
		if (made[i] >= 0)
			close(made[i]);
	usleep(300000);
}

static void slices(void)
{
	int whole = buf_export1(&big, BIG_BAR, 0, MANY * PAGE);
	int64_t before = kernel_bytes();

	for (unsigned int i = 0; i < MANY; i++) {
		fds[i] = slice1(whole, i * PAGE, PAGE);
		if (fds[i] < 0)
			fail("slice: %s", strerror(-fds[i]));
	}
	report_each("a slice of one range", "barter", kernel_bytes() - before, MANY);
	drop();
	close(whole);
}

/*
 * So many importers that what others have left is no matter. A crowd of 1,023 takes
 * 16 KiB itself, which is taken off.
 */
static void attachments(const char *who)
{
	const unsigned int crowds = 16, each = BARTER_BENCH_CROWD - 1;
	int fd = buf_export1(&big, BIG_BAR, 0, PAGE), files[16];
	struct barter_bench_crowd req;
	int64_t before;

	for (unsigned int i = 0; i < crowds; i++)
		files[i] = crowd_open();
	before = kernel_bytes();
	for (unsigned int i = 0; i < crowds; i++) {
		int ret = crowd_do_by(files[i], &req, BARTER_BENCH_GATHER, fd,
				      edu_bdf(), each, false);

		if (ret)
			fail("%u importers: %s", each, strerror(-ret));
	}
	report_each("an attachment", who,
		    kernel_bytes() - before - crowds * 16384ll, crowds * each);
	for (unsigned int i = 0; i < crowds; i++)
		close(files[i]);
	close(fd);
}

static void all(const char *who)
{
	buffers(who);
	ranges(who);
	attachments(who);
}

int main(void)
{
	struct rlimit files = { 2 * MANY, 2 * MANY };
	char bdf[BDF_LENGTH];

	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("RLIMIT_NOFILE: %s", strerror(errno));
	big_open(&big);
	memcpy(bdf, big.bdf, sizeof(bdf));
	report_begin("memory", "how much memory of the kernel does each thing take?");
	all("barter");
	slices();
	dev_close(&big);
	if (kernel_exports(bdf)) {
		if (dev_open_bound(&big, bdf) || dev_set_memory(&big, true))
			fail("%s under vfio-pci", bdf);
		all("kernel");
		dev_close(&big);
	}
	return report_end();
}
