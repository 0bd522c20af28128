// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What does a CPU's first look at each page cost: through the BAR's own mmap under stock
 * vfio-pci, under barter-vfio-pci, and through a dma-buf, contiguous and scattered? And
 * what do copies cost, uncached and combined?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../tests/device/lib/access.h"
#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/memattr.h"
#include "../tests/device/lib/pci.h"
#include "bench.h"

#define SAMPLES	9
#define SMALL	(16 * MIB)
#define GIB	(1024 * MIB)
#define PAGES	(SMALL / PAGE)

static struct dev big;

static uint64_t faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

/* A mapping at a multiple of 1 GiB, of length @n. */
static volatile uint8_t *map_at(int fd, uint64_t offset, size_t n)
{
	volatile uint8_t *p = buf_map_aligned(fd, offset, n, GIB);

	if (!p)
		fail("mmap: %s", strerror(errno));
	return p;
}

/* Map, look at each page, unmap: times of each and the faults. */
static uint64_t look(const char *what, int fd, uint64_t offset, size_t n,
		     size_t step)
{
	uint64_t map[SAMPLES], touch[SAMPLES], unmap[SAMPLES], least = ~0ull;
	char text[100];

	for (int s = 0; s < SAMPLES; s++) {
		uint64_t began = clock_now(), before, count;
		volatile uint8_t *p = map_at(fd, offset, n);

		map[s] = clock_since(began);
		before = faults();
		began = clock_now();
		for (size_t at = 0; at < n; at += step)
			p[at];
		touch[s] = clock_since(began);
		count = faults() - before;
		if (count < least)
			least = count;
		began = clock_now();
		munmap((void *)p, n);
		unmap[s] = clock_since(began);
	}
	snprintf(text, sizeof(text), "%s: mmap", what);
	report_time(text, times_of(map, SAMPLES));
	snprintf(text, sizeof(text), "%s: first look at all", what);
	report_time(text, times_of(touch, SAMPLES));
	report_count(text, least, "faults");
	snprintf(text, sizeof(text), "%s: munmap", what);
	report_time(text, times_of(unmap, SAMPLES));
	return least;
}

static void device_mmap(const char *who)
{
	char text[80];

	snprintf(text, sizeof(text), "16 MiB, BAR's mmap, %s", who);
	look(text, big.fd, big.offset[BIG_BAR], SMALL, PAGE);
	snprintf(text, sizeof(text), "2 GiB, BAR's mmap, %s", who);
	look(text, big.fd, big.offset[BIG_BAR], 2 * GIB, 2 * MIB);
}

static int scattered(void)
{
	static struct vfio_region_dma_range ranges[PAGES];
	int fd;

	/* No two that follow each other are side by side, nor in order. */
	for (uint64_t i = 0; i < PAGES; i++)
		ranges[i] = (struct vfio_region_dma_range){
			2 * PAGE * (i * 7 % PAGES), PAGE };
	fd = buf_export(&big, BIG_BAR, ranges, PAGES);
	if (fd < 0)
		fail("export: %s", strerror(-fd));
	return fd;
}

static void copies(const char *what, uint32_t attribute)
{
	static uint64_t ram[MIB / 8];
	uint64_t out[SAMPLES], in[SAMPLES];
	int fd = buf_export1(&big, BIG_BAR, 0, MIB);
	volatile uint64_t *p;
	char text[80];

	if (fd < 0 || buf_memattr(&big, fd, attribute, 0))
		fail("a buffer with attribute %u", attribute);
	p = buf_map(fd, 0, MIB, PROT_READ | PROT_WRITE);
	for (int s = 0; s < SAMPLES; s++) {
		uint64_t began;

		p[0];
		began = clock_now();
		for (size_t i = 0; i < MIB / 8; i++)
			p[i] = ram[i];
		out[s] = clock_since(began);
		began = clock_now();
		for (size_t i = 0; i < MIB / 8; i++)
			ram[i] = p[i];
		in[s] = clock_since(began);
	}
	munmap((void *)p, MIB);
	close(fd);
	snprintf(text, sizeof(text), "write 1 MiB by 8 bytes, %s", what);
	report_time(text, times_of(out, SAMPLES));
	snprintf(text, sizeof(text), "read 1 MiB by 8 bytes, %s", what);
	report_time(text, times_of(in, SAMPLES));
}

int main(void)
{
	uint64_t pmd, pud, scatter;
	char bdf[BDF_LENGTH];
	int fd;

	big_open(&big);
	memcpy(bdf, big.bdf, sizeof(bdf));
	report_begin("touch", "what does a CPU's first look at each page cost?");
	fd = buf_export1(&big, BIG_BAR, 0, 2 * GIB);
	if (fd < 0)
		fail("export: %s", strerror(-fd));
	pmd = look("16 MiB, dma-buf, contiguous", fd, 0, SMALL, PAGE);
	pud = look("2 GiB, dma-buf, contiguous", fd, 0, 2 * GIB, 2 * MIB);
	close(fd);
	fd = scattered();
	scatter = look("16 MiB, dma-buf, 4,096 pages scattered", fd, 0, SMALL, PAGE);
	close(fd);
	device_mmap("barter-vfio-pci");
	copies("UC", BARTER_MEMATTR_UC);
	copies("WC", BARTER_MEMATTR_WC);
	report_note("UC and WC: instructions are the same; what combining saves only hardware shows");
	dev_close(&big);
	if (pci_bind(bdf, "vfio-pci") || dev_open_bound(&big, bdf) ||
	    dev_set_memory(&big, true))
		fail("%s under vfio-pci", bdf);
	device_mmap("stock vfio-pci");
	dev_close(&big);
	report_target("a contiguous 16 MiB", (double)pmd, 8, "faults");
	report_target("a contiguous 2 GiB", (double)pud, 2, "faults");
	report_target("16 MiB scattered by 4 KiB", (double)scatter, 256, "faults");
	return report_end();
}
