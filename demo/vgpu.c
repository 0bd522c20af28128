// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-vgpu: a guest has a virtual device, and lets it filter a picture in the guest's
 * own memory. Every byte that is moved is moved by DMA of the physical device, edu, out
 * of the guest's memory and back; no CPU copies any. For machine "base".
 */
#include "picture.h"
#include "program.h"
#include "report.h"
#include "virtual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define UUID	"ba27e200-0000-4000-8000-000000000001"
#define GUEST	0x40000000ULL	/* where the guest sees its memory */
#define MEMORY	(1UL << 20)
#define AT	4321		/* of the picture in it: on no boundary of anything */

#define HORIZON	0xffffffffffffffffULL

struct act {
	const char *bdf;
	struct picture picture, wanted;
	struct virtual gpu;
	uint8_t *memory;
	uint32_t row;		/* bytes */
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void set_up(struct act *act)
{
	int ret;

	step("a virtual device over the DMA engine %s, for a guest", act->bdf);
	ret = virtual_make(act->bdf, UUID);
	check(!ret, "0", "the engine's driver makes mediated device %s: %s", UUID,
	      ret ? strerror(-ret) : "done");
	ret = ret ?: virtual_open(&act->gpu, UUID);
	if (ret)
		give_up("the device cannot be opened: %s", strerror(-ret));
	act->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (act->memory == MAP_FAILED)
		give_up("out of memory");
	ret = virtual_give(&act->gpu, act->memory, GUEST, MEMORY);
	check(!ret, "0", "the guest's memory: %lu KiB at guest address %#llx", MEMORY >> 10,
	      GUEST);
	memcpy(act->memory + AT, act->picture.pixels, act->picture.length);
	act->row = act->picture.width * 3;
}

/* The lower half becomes the upper half, as if in water, below a white line. */
static void filter_by_cpu(struct act *act)
{
	uint32_t half = act->picture.height / 2, y;

	act->wanted = act->picture;
	act->wanted.pixels = malloc(act->wanted.length);
	if (!act->wanted.pixels)
		give_up("out of memory");
	memcpy(act->wanted.pixels, act->picture.pixels, act->wanted.length);
	for (y = half; y < act->picture.height; y++)
		memcpy(act->wanted.pixels + y * act->row,
		       act->picture.pixels + (2 * half - 1 - y) * act->row, act->row);
	memset(act->wanted.pixels + half * act->row, 0xff, act->row);
}

static uint64_t guest_row(const struct act *act, uint32_t y)
{
	return GUEST + AT + (uint64_t)y * act->row;
}

static void filter_by_device(struct act *act)
{
	uint32_t half = act->picture.height / 2, y, commands = 0, good = 0, slot = 0;
	struct barter_vedu_command command = {
		.op = BARTER_VEDU_OP_COPY, .length = act->row,
	};
	double start = seconds();
	int ret;

	step("the guest writes a picture into its memory and %u commands into a ring: show the upper half below a white line again, upside down",
	     act->picture.height - half + 1);
	if (act->picture.height - half + 1 >= BARTER_VEDU_NR_SLOTS)
		give_up("the picture is too high");
	for (y = half; y < act->picture.height; y++) {
		command.src = guest_row(act, 2 * half - 1 - y);
		command.dst = guest_row(act, y);
		virtual_queue(&act->gpu, &command);
		commands++;
	}
	command = (struct barter_vedu_command) {
		.op = BARTER_VEDU_OP_FILL, .flags = BARTER_VEDU_F_INTERRUPT,
		.dst = guest_row(act, half), .length = act->row, .value = HORIZON,
	};
	virtual_queue(&act->gpu, &command);
	commands++;
	virtual_run(&act->gpu);
	ret = virtual_wait(&act->gpu, 120000);
	check(!ret, "an interrupt", "the last command's interrupt after %.1f s: %s",
	      seconds() - start, ret ? strerror(-ret) : "came");
	for (slot = 0; slot < commands; slot++)
		good += virtual_status(&act->gpu, slot, NULL) == BARTER_VEDU_S_OK;
	check(good == commands, "all", "%u of %u commands succeeded", good, commands);
	note("the engine was used %llu times; the driver pinned the guest's pages and mapped them for it",
	     (unsigned long long)virtual_get(&act->gpu, BARTER_VEDU_TRANSFERS));
}

static uint64_t fnv1a(const uint8_t *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

static void compare(struct act *act)
{
	struct barter_vedu_command command = {
		.op = BARTER_VEDU_OP_CHECKSUM, .flags = BARTER_VEDU_F_INTERRUPT,
		.src = GUEST + AT, .length = act->picture.length,
	};
	uint64_t sum, stray = 0, value = 0;
	struct picture seen = act->picture;
	unsigned int slot;
	uint32_t status;
	size_t i;

	step("the same by the CPU, on a copy");
	filter_by_cpu(act);
	seen.pixels = act->memory + AT;
	check(!memcmp(seen.pixels, act->wanted.pixels, seen.length), "the same bytes",
	      "what the device left in the guest's memory is that: %zu bytes, every byte",
	      seen.length);
	for (i = 0; i < MEMORY; i++)
		stray += (i < AT || i >= AT + seen.length) && act->memory[i];
	check(!stray, "0", "bytes changed beside it: %llu", (unsigned long long)stray);
	slot = virtual_queue(&act->gpu, &command);
	virtual_run(&act->gpu);
	if (virtual_wait(&act->gpu, 60000))
		give_up("no interrupt");
	sum = fnv1a(act->wanted.pixels, act->wanted.length);
	status = virtual_status(&act->gpu, slot, &value);
	check(status == BARTER_VEDU_S_OK && value == sum, "the CPU's",
	      "the device's checksum of it is %016llx", (unsigned long long)value);
	check(!picture_write("/out/vgpu.png", &seen), "written", "written as vgpu.png");
}

/* The guest takes its memory away while the device writes to it. */
static void take_memory(struct act *act)
{
	struct barter_vedu_command command = {
		.op = BARTER_VEDU_OP_FILL, .flags = BARTER_VEDU_F_INTERRUPT,
		.dst = GUEST, .length = MEMORY, .value = 0x4141414141414141ULL,
	};
	uint64_t began = virtual_get(&act->gpu, BARTER_VEDU_TRANSFERS), changed = 0, written = 0;
	unsigned int slot;
	double start;
	size_t i;
	int ret;

	step("the guest unmaps its memory while the device writes to it");
	memset(act->memory, 0, MEMORY);
	slot = virtual_queue(&act->gpu, &command);
	virtual_run(&act->gpu);
	while (virtual_get(&act->gpu, BARTER_VEDU_TRANSFERS) < began + 4)
		usleep(1000);
	usleep(50000);
	start = seconds();
	ret = virtual_take(&act->gpu, GUEST, MEMORY);
	check(!ret, "0", "VFIO_IOMMU_UNMAP_DMA took %.0f ms, for the transfer that was on its way",
	      (seconds() - start) * 1000);
	for (i = 0; i < MEMORY; i++)
		written += act->memory[i] != 0;
	check(written && written < MEMORY, "a part", "written until then: %llu of %lu bytes",
	      (unsigned long long)written, MEMORY);
	memset(act->memory, 0x42, MEMORY);
	ret = virtual_wait(&act->gpu, 10000);
	check(!ret && virtual_status(&act->gpu, slot, NULL) == BARTER_VEDU_S_UNMAPPED,
	      "memory was unmapped", "the command failed, for that reason");
	usleep(300000);
	for (i = 0; i < MEMORY; i++)
		changed += act->memory[i] != 0x42;
	check(!changed, "0", "bytes written since the call returned: %llu",
	      (unsigned long long)changed);
	virtual_close(&act->gpu);
	ret = virtual_destroy(UUID);
	check(!ret, "0", "the virtual device is removed");
}

int main(void)
{
	struct act act = {
		.bdf = from_environment("VM_EDU"),
	};

	if (picture_read("/picture.png", &act.picture))
		return 1;
	report_open("/out/report.txt");
	note("a virtual device filters a picture in its guest's memory, by DMA of the physical one");
	set_up(&act);
	filter_by_device(&act);
	compare(&act);
	take_memory(&act);
	picture_free(&act.wanted);
	picture_free(&act.picture);
	return report_close();
}
