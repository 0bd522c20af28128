// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The demo's steps that lend: bind, export, write, hand over, DMA.
 */
#include "stage.h"
#include "engine.h"
#include "guard.h"
#include "holder.h"
#include "program.h"
#include "report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BAR 2
#define PAGE 4096ULL

static const char *driver_of(const char *name, struct barter_topology **topology)
{
	const struct barter_pci *pci;
	struct barter_bdf bdf;

	if (barter_bdf_parse(name, &bdf) || barter_topology_read(topology))
		give_up("the PCI tree cannot be read");
	pci = barter_topology_find(*topology, &bdf);
	return pci && barter_pci_driver(pci) ? barter_pci_driver(pci) : "none";
}

void bind_device(struct stage *stage)
{
	char *bind[] = { "barter", "bind", (char *)stage->bdf, NULL };
	char *doctor[] = { "barter", "doctor", (char *)stage->bdf, NULL };
	char *topo[] = { "barter", "topo", "--svg", "-o",
			 (char *)stage->topology_path, NULL };
	struct barter_topology *topology;
	struct utsname name;
	const char *driver;
	int status;

	uname(&name);
	step("hand device %s to the driver that lends, on Linux %s", stage->bdf,
	     name.release);
	status = run_program(bind);
	check(!status, "exit status 0", "barter bind: exit status %d", status);
	driver = driver_of(stage->bdf, &topology);
	check(!strcmp(driver, BARTER_DRIVER), BARTER_DRIVER,
	      "driver of %s: %s", stage->bdf, driver);
	barter_topology_free(topology);
	driver = driver_of(stage->engine_bdf, &topology);
	check(!strcmp(driver, "barter-dma"), "barter-dma",
	      "driver of the DMA engine %s: %s", stage->engine_bdf, driver);
	barter_topology_free(topology);
	status = run_program(doctor);
	check(!status, "exit status 0: nothing is missing",
	      "barter doctor: exit status %d", status);
	status = run_program(topo);
	check(!status, "exit status 0", "barter topo --svg: exit status %d",
	      status);
}

/* Small and always the same: what is random here must repeat. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/*
 * Ranges of 4 to 16 KiB, most of them single pages, one in each of as many
 * equal parts of the BAR, the parts in shuffled order.
 */
static void choose_ranges(struct stage *stage)
{
	static const uint64_t pages[] = { 1, 1, 2, 1, 1, 4, 1, 3 };
	uint64_t part = stage->bar_length / RANGES;
	uint32_t seed = 2026, order[RANGES], i;

	for (i = 0; i < RANGES; i++)
		order[i] = i;
	for (i = RANGES - 1; i > 0; i--) {
		uint32_t other = next_random(&seed) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[other];
		order[other] = swap;
	}
	for (i = 0; i < RANGES; i++) {
		uint64_t length = pages[next_random(&seed) % 8] * PAGE;
		uint64_t room = (part - length) / PAGE;

		stage->ranges[i].offset = order[i] * part +
					  next_random(&seed) % room * PAGE;
		stage->ranges[i].length = length;
		stage->length += length;
	}
}

void export_ranges(struct stage *stage)
{
	struct barter_export what = {
		.size = sizeof(what),
		.bar = BAR,
		.open_flags = O_RDWR,
		.nr_ranges = RANGES,
		.ranges = stage->ranges,
	};
	struct barter_region region;
	struct barter_range *now;
	uint64_t length = 0;
	uint32_t nr = 0;
	void *address;
	int ret;

	step("lend %d ranges, scattered through its BAR %d in shuffled order, as one buffer",
	     RANGES, BAR);
	ret = barter_device_open(stage->bdf, BARTER_OPEN_MEMORY,
				 &stage->device);
	if (ret)
		give_up("open: %s", strerror(-ret));
	ret = barter_device_region(stage->device, BAR, &region);
	if (ret || region.length != 64 << 20)
		give_up("BAR %d should have 64 MiB", BAR);
	stage->bar_length = region.length;
	ret = barter_device_map(stage->device, BAR, 0, region.length,
				PROT_READ | PROT_WRITE, &address);
	if (ret)
		give_up("mmap of the BAR: %s", strerror(-ret));
	stage->bar = address;

	choose_ranges(stage);
	ret = barter_device_export(stage->device, &what, &stage->buffer);
	if (ret)
		give_up("export: %s", strerror(-ret));
	note("ranges: 0x%07llx+%llu, 0x%07llx+%llu, 0x%07llx+%llu ...",
	     (unsigned long long)stage->ranges[0].offset,
	     (unsigned long long)stage->ranges[0].length,
	     (unsigned long long)stage->ranges[1].offset,
	     (unsigned long long)stage->ranges[1].length,
	     (unsigned long long)stage->ranges[2].offset,
	     (unsigned long long)stage->ranges[2].length);
	barter_buffer_length(stage->buffer, &length);
	check(length == stage->length, "the sum of all ranges",
	      "dma-buf fd %d of %llu KiB", stage->buffer,
	      (unsigned long long)length >> 10);
	ret = barter_buffer_ranges(-1, stage->buffer, &now, &nr);
	check(!ret && nr == RANGES &&
	      !memcmp(now, stage->ranges, sizeof(stage->ranges)),
	      "exactly the ranges that were lent", "/dev/barter lists %u ranges",
	      nr);
	if (!ret)
		free(now);
}

/* Is each piece of the picture where the BAR has that range? */
static int pieces_in_bar(const struct stage *stage, int *pieces)
{
	uint64_t start = 0, first = PICTURE_AT;
	uint64_t end = PICTURE_AT + stage->picture.length;
	int i, good = 1;

	*pieces = 0;
	for (i = 0; i < RANGES; i++) {
		const struct barter_range *range = &stage->ranges[i];
		uint64_t from = start > first ? start : first;
		uint64_t to = start + range->length < end ?
			      start + range->length : end;

		if (from < to) {
			const char *there = stage->bar + range->offset +
					    (from - start);

			(*pieces)++;
			good &= !memcmp(there, stage->picture.pixels +
					(from - first), to - from);
		}
		start += range->length;
	}
	return good;
}

/* Bytes of the BAR that are not zero and in no range. */
static uint64_t strays(const struct stage *stage)
{
	uint8_t *lent = calloc(1, stage->bar_length / PAGE);
	uint64_t page, i, count = 0;
	int r;

	if (!lent)
		give_up("out of memory");
	for (r = 0; r < RANGES; r++)
		memset(lent + stage->ranges[r].offset / PAGE, 1,
		       stage->ranges[r].length / PAGE);
	for (page = 0; page < stage->bar_length / PAGE; page++) {
		const volatile uint64_t *words =
			(const volatile uint64_t *)(stage->bar + page * PAGE);

		for (i = 0; !lent[page] && i < PAGE / 8; i++)
			count += words[i] ? 8 : 0;
	}
	free(lent);
	return count;
}

void write_picture(struct stage *stage)
{
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = stage->buffer,
	};
	void *address;
	uint64_t stray;
	int ret, pieces, good;

	step("mmap the buffer and write the picture into it: %u x %u, %zu bytes, from byte %d on",
	     stage->picture.width, stage->picture.height,
	     stage->picture.length, PICTURE_AT);
	ret = barter_buffer_map(stage->buffer, 0, 0, PROT_READ | PROT_WRITE,
				&address);
	if (ret)
		give_up("mmap: %s", strerror(-ret));
	stage->memory = address;
	if (guarded_copy(stage->memory + PICTURE_AT, stage->picture.pixels,
			 stage->picture.length))
		give_up("SIGBUS");
	check(picture_in_memory(stage), "the same bytes",
	      "read back through the mapping: every byte");
	good = pieces_in_bar(stage, &pieces);
	check(good && pieces > 1, "each piece at its range's offset in the BAR",
	      "seen through the device's own BAR mapping: %d pieces, each in its place",
	      pieces);
	stray = strays(stage);
	check(!stray, "0", "bytes changed elsewhere in the 64 MiB: %llu",
	      (unsigned long long)stray);
	ret = barter_buffer_info(-1, &info);
	check(!ret && info.out_mmaps == 1, "1 mapping",
	      "mappings: %u, page faults: %llu", info.out_mmaps,
	      (unsigned long long)(info.out_faults_pte + info.out_faults_pmd +
				   info.out_faults_pud));
}

void hand_over(struct stage *stage)
{
	int state;

	step("hand the fd, and nothing else, to another process");
	stage->holder = holder_start("demo-holder", stage->buffer);
	if (stage->holder < 0)
		give_up("the other process cannot be started");
	note("it runs as user nobody and got the fd over a socket (SCM_RIGHTS)");
	check(picture_at_holder(stage), "the same bytes",
	      "it reads the picture from its own mapping: every byte");
	state = holder_ask(stage->holder, HOLDER_STATE, 0, NULL, 0);
	check(state == BARTER_STATE_OK, "ok", "it asks /dev/barter: %s",
	      state < 0 ? strerror(-state) :
	      barter_state_name((uint32_t)state));
}

static void tell_route(const struct stage *stage)
{
	struct barter_route route = {
		.size = sizeof(route),
		.dmabuf_fd = stage->buffer,
		.device_fd = -1,
	};
	struct barter_bdf bdf;
	int ret;

	barter_bdf_parse(stage->engine_bdf, &bdf);
	route.domain = bdf.domain;
	route.bus = bdf.bus;
	route.devfn = bdf.devfn;
	ret = barter_route_query(-1, &route);
	check(!ret && route.out_route != BARTER_ROUTE_NONE, "a route",
	      "route: %s (%.*s)", ret ? strerror(-ret) :
	      barter_route_name(route.out_route), BARTER_TEXT_LENGTH,
	      ret ? "" : route.out_text);
}

void move_by_dma(struct stage *stage)
{
	struct picture frame = stage->picture;
	struct barter_dma_status status;
	long long start, took;
	int ret;

	step("let edu's DMA engine %s move it, peer to peer, from the scattered buffer to RAM",
	     stage->engine_bdf);
	tell_route(stage);
	stage->engine = engine_open(stage->buffer);
	if (stage->engine < 0)
		give_up("import: %s", strerror(-stage->engine));
	frame.pixels = calloc(1, frame.length);
	if (!frame.pixels)
		give_up("out of memory");
	start = clock_ns();
	ret = engine_copy(stage->engine, 0, PICTURE_AT, frame.pixels,
			  frame.length);
	took = clock_ns() - start;
	check(!ret, "0", "DMA of %zu bytes in %.1f s: %s", frame.length,
	      (double)took / 1e9, ret ? strerror(-ret) : "done");
	check(!memcmp(frame.pixels, stage->picture.pixels, frame.length),
	      "the same bytes", "what arrived is the picture, every byte");
	ret = engine_status(stage->engine, &status);
	check(!ret && status.out_segments > 0, "1 or more",
	      "behind the IOMMU the buffer was %u DMA segments",
	      status.out_segments);
	check(!picture_write(stage->frame_path, &frame), "written",
	      "written as frame.png");
	picture_free(&frame);
}
