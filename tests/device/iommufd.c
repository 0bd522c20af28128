// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A device's DMA through iommufd into scattered ranges of another's BAR, by
 * native buffers of barter-vfio-pci: bytes arrive where they should and nowhere
 * else, no more once the memory is taken back, and again after a new map.
 *
 * edu is driven from user space and reports no fault, so only the bytes count,
 * as the host has them. While VFIO thinks memory is off it is turned on behind
 * its back: what keeps the bytes out then is the IOMMU.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/engine.h"
#include "lib/host.h"
#include "lib/iommufd.h"
#include "lib/native.h"
#include "lib/proc.h"
#include "lib/tap.h"

#define BAR		2
#define RW		(PROT_READ | PROT_WRITE)
/* Both below 28 bits, which is all that an unchanged edu can address. */
#define RAM_IOVA	0x1000000ull
#define WINDOW		0x8000000ull
#define QUIET		0x11	/* what the BAR holds before */
#define CHUNK		ENGINE_CHUNK

static const struct vfio_region_dma_range ranges[] = {
	{ 2 * MIB, 2 * PAGE }, { 5 * PAGE, PAGE }, { 63 * MIB, 3 * PAGE },
};

#define RANGES	(sizeof(ranges) / sizeof(*ranges))
#define LENGTH	(6 * PAGE)

static char mem_bdf[BDF_LENGTH], edu_bdf[BDF_LENGTH];
static char edu_driver[64];
static struct ioas ioas;
static struct dev mem, edu;
static volatile uint8_t *engine;
static uint8_t *ram;
static int buffers[RANGES];

/* Where @at in the window lies in the BAR, and how far it goes on there. */
static uint64_t place(uint64_t at, size_t *n)
{
	for (unsigned int i = 0; i < RANGES; i++) {
		if (at < ranges[i].length) {
			*n = ranges[i].length - at;
			return ranges[i].offset + at;
		}
		at -= ranges[i].length;
	}
	tap_bail("a test's own mistake: beyond the window");
}

/* DMA of a pattern into the window, or out of it into RAM's second page. */
static bool put(uint64_t at, uint32_t seed)
{
	fill(ram, seed, at, CHUNK);
	return !engine_load(engine, RAM_IOVA, CHUNK) &&
	       !engine_store(engine, WINDOW + at, CHUNK);
}

static bool get(uint64_t at)
{
	memset(ram, 0, CHUNK);
	return !engine_load(engine, WINDOW + at, CHUNK) &&
	       !engine_store(engine, RAM_IOVA + PAGE, CHUNK);
}

/* Does the host see that pattern there? */
static bool arrived(uint64_t at, uint32_t seed)
{
	static uint8_t bytes[CHUNK];

	for (size_t done = 0, n; done < CHUNK; done += n) {
		uint64_t offset = place(at + done, &n);

		if (n > CHUNK - done)
			n = CHUNK - done;
		if (host_read(offset, bytes + done, n))
			return false;
	}
	return differs(bytes, seed, at, CHUNK) < 0;
}

static bool quiet(uint64_t offset, size_t n)
{
	static uint8_t bytes[4 * PAGE];

	if (n > sizeof(bytes) || host_read(offset, bytes, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != QUIET)
			return false;
	return true;
}

static void silence(void)
{
	for (unsigned int i = 0; i < RANGES; i++)
		host_fill(ranges[i].offset - PAGE, ranges[i].length + 2 * PAGE,
			  QUIET);
}

static bool neighbours_are_quiet(void)
{
	for (unsigned int i = 0; i < RANGES; i++)
		if (!quiet(ranges[i].offset - PAGE, PAGE) ||
		    !quiet(ranges[i].offset + ranges[i].length, PAGE))
			return false;
	return true;
}

static bool ranges_are_quiet(void)
{
	for (unsigned int i = 0; i < RANGES; i++)
		if (!quiet(ranges[i].offset, ranges[i].length))
			return false;
	return true;
}

/* One native buffer for each range, at consecutive addresses. */
static int map_ranges(void)
{
	uint64_t iova = WINDOW;
	int ret = 0;

	for (unsigned int i = 0; i < RANGES && !ret; i++) {
		ret = ioas_map_file(&ioas, buffers[i], 0, ranges[i].length,
				    iova);
		iova += ranges[i].length;
	}
	return ret;
}

static int unmap_ranges(void)
{
	uint64_t iova = WINDOW;
	int ret = 0;

	for (unsigned int i = 0; i < RANGES; i++) {
		int error = ioas_unmap(&ioas, iova, ranges[i].length);

		ret = ret ?: error;
		iova += ranges[i].length;
	}
	return ret;
}

static int lend(void)
{
	for (unsigned int i = 0; i < RANGES; i++) {
		buffers[i] = native_export(&mem, BARTER_FEATURE_NATIVE, BAR,
					   ranges[i].offset, ranges[i].length);
		if (buffers[i] < 0)
			return buffers[i];
	}
	return map_ranges();
}

static void unlend(void)
{
	for (unsigned int i = 0; i < RANGES; i++)
		close(buffers[i]);
}

/* Why native buffers are there at all. */
static void takes_no_other_buffer(void)
{
	int native, own, one;

	own = own_export(&mem, BAR, &ranges[0], 1);
	need(own >= 0, "a buffer of barter's");
	is_errno(ioas_map_file(&ioas, own, 0, PAGE, WINDOW), EOPNOTSUPP,
		 "iommufd refuses it");
	close(own);

	feature11_write("barter");
	one = buf_export1(&mem, BAR, 0, PAGE);
	is_errno(ioas_map_file(&ioas, one, 0, PAGE, WINDOW), EOPNOTSUPP,
		 "feature 11, barter: refused");
	close(one);
	feature11_write("native");
	one = buf_export1(&mem, BAR, 0, PAGE);
	is_errno(ioas_map_file(&ioas, one, 0, PAGE, WINDOW), 0,
		 "feature 11, native: mapped");
	is_errno(ioas_unmap(&ioas, WINDOW, PAGE), 0, "and unmapped");
	close(one);
	native = buf_export(&mem, BAR, ranges, 2);
	need(native >= 0, "a native buffer of two ranges");
	is_errno(ioas_map_file(&ioas, native, 0, PAGE, WINDOW), EOPNOTSUPP,
		 "iommufd refuses that too");
	close(native);
	feature11_write("auto");
}

/* A program for stock vfio-pci: feature 11, one range, as in the beginning. */
static void a_stock_program_loses_nothing(void)
{
	int fd = buf_export1(&mem, BAR, ranges[0].offset, ranges[0].length);

	silence();
	need(fd >= 0, "export by feature 11");
	is_errno(ioas_map_file(&ioas, fd, 0, ranges[0].length, WINDOW), 0,
		 "IOMMU_IOAS_MAP_FILE");
	ok(put(PAGE, 1) && arrived(PAGE, 1), "DMA arrives");
	/* iommufd holds the buffer itself. */
	close(fd);
	ok(put(0, 2) && arrived(0, 2), "also when the fd is closed");
	is_errno(ioas_unmap(&ioas, WINDOW, ranges[0].length), 0, "unmap");
	ok(neighbours_are_quiet(), "the neighbours are untouched");
}

static void dma_into_scattered_ranges(void)
{
	unsigned int wrong = 0;

	silence();
	need(!lend(), "three ranges at one IOVA");
	for (uint64_t at = 0; at < LENGTH; at += CHUNK)
		wrong += !put(at, 3);
	is(wrong, 0, "all of it written by DMA");
	for (uint64_t at = 0; at < LENGTH; at += CHUNK)
		wrong += !arrived(at, 3);
	is(wrong, 0, "every byte is where it belongs");
	ok(neighbours_are_quiet(), "and no other byte changed");

	ok(put(2 * PAGE - CHUNK / 2, 4) && arrived(2 * PAGE - CHUNK / 2, 4),
	   "one transfer across the border of two ranges");
	ok(get(3 * PAGE) &&
	   differs(ram + PAGE, 3, 3 * PAGE, CHUNK) < 0,
	   "read by DMA");
	is_errno(unmap_ranges(), 0, "unmap");
	silence();
	put(0, 5);
	ok(ranges_are_quiet(), "no DMA arrives after that");
	unlend();
}

/* Pieces of one buffer instead of one buffer for each piece. */
static void pieces_of_one_buffer(void)
{
	int fd = native_export(&mem, BARTER_FEATURE_NATIVE, BAR, 0, 64 * MIB);
	uint64_t iova = WINDOW;
	int ret = 0;

	silence();
	need(fd >= 0, "a native buffer of the whole BAR");
	for (unsigned int i = 0; i < RANGES && !ret; i++) {
		ret = ioas_map_file(&ioas, fd, ranges[i].offset,
				    ranges[i].length, iova);
		iova += ranges[i].length;
	}
	is_errno(ret, 0, "three pieces of it mapped");
	for (unsigned int i = 0; i < 3; i++)
		ok(put(2 * i * PAGE, 6) && arrived(2 * i * PAGE, 6),
		   "DMA at page %u arrives", 2 * i);
	ok(neighbours_are_quiet(), "and no other byte changed");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(dev_set_memory(&mem, true), 0, "and on");
	silence();
	for (unsigned int i = 0; i < 3; i++)
		put(2 * i * PAGE, 7);
	ok(ranges_are_quiet(), "no piece is left");
	is_errno(unmap_ranges(), 0, "unmap");
	close(fd);
}

static void after_the_restore(void)
{
	uint64_t at = 3 * PAGE;

	silence();
	put(at, 9);
	ok(ranges_are_quiet(), "nothing is mapped again by itself");
	is_errno(map_ranges(), EEXIST, "the old maps are in the way");
	is_errno(unmap_ranges(), 0, "unmap");
	is_errno(map_ranges(), 0, "map the same buffers again");
	ok(put(at, 10) && arrived(at, 10), "DMA arrives again");
	is_errno(unmap_ranges(), 0, "unmap");
	unlend();
}

/* Is the BAR reachable by whoever has an address, and does nothing come? */
static void nothing_gets_through(void)
{
	silence();
	need(!pci_raw_set_memory(mem_bdf, true), "the BAR decodes");
	put(0, 8);
	put(4 * PAGE, 8);
	ok(ranges_are_quiet(), "no DMA gets through");
	pci_raw_set_memory(mem_bdf, false);
}

static void memory_off_ends_dma(void)
{
	need(!lend() && put(0, 7) && arrived(0, 7), "DMA arrives");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	nothing_gets_through();
	is_errno(unmap_ranges(), 0, "unmap");
	is_errno(map_ranges(), ENODEV, "map while revoked");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is_errno(map_ranges(), 0, "map");
	ok(put(0, 11) && arrived(0, 11), "DMA arrives again");
	/* Once more, and nobody unmaps. */
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	after_the_restore();
}

static void reset_ends_dma(void)
{
	need(!lend() && put(0, 12) && arrived(0, 12), "DMA arrives");
	is_errno(dev_reset(&mem), 0, "VFIO_DEVICE_RESET");
	after_the_restore();
}

/* The engine moves its bytes at the end of a transfer, which takes 100 ms. */
static void dma_that_runs_is_cut_off(void)
{
	bool idle;

	silence();
	need(!lend() && put(0, 13) && arrived(0, 13), "DMA arrives");
	silence();
	fill(ram, 14, 0, CHUNK);
	need(!engine_load(engine, RAM_IOVA, CHUNK), "the engine is loaded");
	engine_begin_store(engine, WINDOW, CHUNK);
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	pci_raw_set_memory(mem_bdf, true);
	ok(engine_busy(engine), "the transfer ran meanwhile");
	WAIT_FOR(idle, !engine_busy(engine), 5000);
	ok(idle && ranges_are_quiet(), "it did not get through");
	pci_raw_set_memory(mem_bdf, false);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	after_the_restore();
}

static void close_is_for_ever(void)
{
	need(!lend() && put(0, 15) && arrived(0, 15), "DMA arrives");
	dev_close(&mem);
	nothing_gets_through();
	need(!dev_open_by_cdev(&mem, mem_bdf, &ioas), "opened again");
	silence();
	put(0, 16);
	ok(ranges_are_quiet(), "no DMA arrives");
	is_errno(unmap_ranges(), 0, "unmap");
	is_errno(map_ranges(), ENODEV, "the buffers are of no use");
	unlend();
}

static void find(const char *variable, uint32_t id, char bdf[BDF_LENGTH])
{
	if (getenv(variable))
		snprintf(bdf, BDF_LENGTH, "%.15s", getenv(variable));
	else if (pci_find(id, 0, bdf))
		tap_bail("this machine has no %08x", id);
}

static void set_up(void)
{
	pci_driver(edu_bdf, edu_driver, sizeof(edu_driver));
	if (ioas_open(&ioas) || dev_open_by_cdev(&mem, mem_bdf, &ioas) ||
	    dev_open_by_cdev(&edu, edu_bdf, &ioas))
		tap_bail("the devices cannot be opened by their cdev");
	feature11_write("auto");
	engine = engine_map(&edu);
	ram = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!engine || ram == MAP_FAILED ||
	    ioas_map_memory(&ioas, ram, 2 * PAGE, RAM_IOVA))
		tap_bail("the DMA engine cannot be driven");
}

static void tear_down(void)
{
	munmap((void *)engine, PAGE);
	dev_close(&edu);
	dev_close(&mem);
	ioas_close(&ioas);
	munmap(ram, 2 * PAGE);
	if (edu_driver[0])
		pci_bind(edu_bdf, edu_driver);
}

int main(void)
{
	find("VM_VRAM0", PCI_IVSHMEM, mem_bdf);
	find("VM_EDU", PCI_EDU, edu_bdf);
	if (!kernel_exports(mem_bdf)) {
		skip("the kernel has no exporter of its own",
		     "DMA through iommufd");
		return tap_done();
	}
	if (!iommufd_there()) {
		skip("the kernel has no iommufd", "DMA through iommufd");
		return tap_done();
	}
	set_up();
	CASE(a_stock_program_loses_nothing);
	CASE(takes_no_other_buffer);
	CASE(dma_into_scattered_ranges);
	CASE(pieces_of_one_buffer);
	CASE(memory_off_ends_dma);
	CASE(reset_ends_dma);
	CASE(dma_that_runs_is_cut_off);
	CASE(close_is_for_ever);
	tear_down();
	return tap_done();
}
