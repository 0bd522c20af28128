// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The demo's steps that take back: reset, memory off, close.
 */
#include "stage.h"
#include "engine.h"
#include "guard.h"
#include "holder.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The DMA loop writes into the last bytes of the buffer. */
#define SCRIBBLE 2048

static void start_dma_loop(struct stage *stage, struct scribbler *scribbler)
{
	memset(scribbler, 0, sizeof(*scribbler));
	scribbler->engine = engine_open(stage->buffer);
	scribbler->offset = stage->length - SCRIBBLE;
	scribbler->length = SCRIBBLE;
	if (scribbler->engine < 0 || scribbler_start(scribbler))
		give_up("the DMA loop cannot be started");
}

/* Wait until @count more transfers went through; 0 after 5 s without. */
static int wait_for_dma(struct scribbler *scribbler, int count)
{
	int until = atomic_load(&scribbler->done) + count, i;

	for (i = 0; i < 500 && atomic_load(&scribbler->done) < until; i++)
		sleep_ms(10);
	return atomic_load(&scribbler->done) >= until;
}

static uint64_t generation(const struct stage *stage)
{
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = stage->buffer,
	};

	return barter_buffer_info(-1, &info) ? 0 : info.out_generation;
}

void reset_under_dma(struct stage *stage)
{
	struct barter_dma_status before, after;
	struct scribbler loop;
	uint64_t changes;
	char reasons[80];
	int ret, state, done;

	step("reset the device in the middle of a DMA loop");
	start_dma_loop(stage, &loop);
	wait_for_dma(&loop, 2);
	done = atomic_load(&loop.done);
	check(done >= 2, "2 transfers or more",
	      "DMA loop runs: %d transfers so far", done);
	engine_status(loop.engine, &before);
	changes = generation(stage);
	ret = barter_device_reset(stage->device);
	engine_status(loop.engine, &after);
	changes = generation(stage) - changes;
	check(!ret, "0", "VFIO_DEVICE_RESET: %s",
	      ret ? strerror(-ret) : "done");
	check(after.out_revokes > before.out_revokes, "1 or more",
	      "times that the buffer was taken from the DMA engine: %llu",
	      (unsigned long long)(after.out_revokes - before.out_revokes));
	state = buffer_state(stage, reasons, sizeof(reasons));
	check(state == BARTER_STATE_OK && changes >= 2, "ok, after 2 changes or more",
	      "after it the buffer is %s again, after %llu changes of state",
	      barter_state_name((uint32_t)state), (unsigned long long)changes);
	wait_for_dma(&loop, 2);
	check(atomic_load(&loop.done) >= done + 2, "2 transfers more",
	      "the DMA loop goes on by itself: %d transfers by now",
	      atomic_load(&loop.done));
	check(!atomic_load(&loop.others), "ENODEV only",
	      "while it was away: ENODEV %d times, other errors %d",
	      atomic_load(&loop.refused), atomic_load(&loop.others));
	check(picture_in_memory(stage), "the same bytes",
	      "the same mapping shows the picture");
	scribbler_stop(&loop);
	close(loop.engine);
}

/* Every way that leads to the memory, each of which must be closed. */
static void try_every_way(struct stage *stage, const char *when)
{
	int ret, readable, writable, state;
	char bytes[8] = { 0 }, reasons[80];
	void *address;

	readable = !guarded_copy(bytes, stage->memory, sizeof(bytes));
	writable = !guarded_copy(stage->memory, bytes, sizeof(bytes));
	check(!readable && !writable, "SIGBUS",
	      "%s: its own mapping: read %s, write %s", when,
	      readable ? "works" : "SIGBUS", writable ? "works" : "SIGBUS");
	readable = !guarded_copy(bytes, stage->bar, sizeof(bytes));
	check(!readable, "SIGBUS", "%s: the device's own BAR mapping: %s", when,
	      readable ? "works" : "SIGBUS");
	ret = holder_ask(stage->holder, HOLDER_READ, 0, bytes, sizeof(bytes));
	check(ret == -EFAULT, "SIGBUS", "%s: the other process: %s", when,
	      ret == -EFAULT ? "SIGBUS" : ret ? strerror(-ret) : "works");
	ret = engine_copy(stage->engine, 0, 0, bytes, sizeof(bytes));
	check(ret == -ENODEV, "ENODEV", "%s: DMA: %s", when,
	      ret ? strerrorname_np(-ret) : "works");
	ret = barter_buffer_map(stage->buffer, 0, stage->length, PROT_READ,
				&address);
	readable = !ret && !guarded_copy(bytes, address, sizeof(bytes));
	if (!ret)
		barter_unmap(address, stage->length);
	check(!ret && !readable, "mmap() works, access is SIGBUS",
	      "%s: a new mapping: %s", when, ret ? strerror(-ret) :
	      readable ? "works" : "can be made, access is SIGBUS");
	state = buffer_state(stage, reasons, sizeof(reasons));
	check(state == BARTER_STATE_REVOKED, "revoked",
	      "%s: /dev/barter: %s (%s)", when,
	      state < 0 ? strerror(-state) :
	      barter_state_name((uint32_t)state), reasons);
}

/* The host looks at the memory itself, again and again. */
static void watch_from_outside(const struct stage *stage)
{
	char first[65], again[65];
	int i, changed = 0, looks = 6;

	if (host_sha256(stage, first))
		give_up("the host cannot be asked");
	for (i = 1; i < looks; i++) {
		sleep_ms(250);
		if (host_sha256(stage, again))
			give_up("the host cannot be asked");
		changed += !!strcmp(first, again);
	}
	check(!changed, "0",
	      "host's SHA-256 of all 64 MiB, %d looks in 1.25 s: %d changed (%.12s...)",
	      looks, changed, first);
}

void take_away(struct stage *stage)
{
	struct scribbler loop;
	long long returned;
	char reasons[80];
	int ret, done, state;

	step("in the middle of a DMA loop turn memory decoding off and reset the device");
	start_dma_loop(stage, &loop);
	wait_for_dma(&loop, 2);
	done = atomic_load(&loop.done);
	check(done >= 2, "2 transfers or more",
	      "DMA loop runs: %d transfers so far", done);
	ret = barter_device_set_memory(stage->device, 0);
	returned = clock_ns();
	done = atomic_load(&loop.done);
	check(!ret, "0", "memory decoding off: %s",
	      ret ? strerror(-ret) : "done");
	try_every_way(stage, "memory off");
	ret = barter_device_reset(stage->device);
	check(!ret, "0", "VFIO_DEVICE_RESET: %s",
	      ret ? strerror(-ret) : "done");
	try_every_way(stage, "after the reset");
	watch_from_outside(stage);
	check(atomic_load(&loop.last_start) < returned &&
	      atomic_load(&loop.refused) > 10 && !atomic_load(&loop.others),
	      "none begun after the call returned, and only ENODEV since",
	      "the DMA loop meanwhile: %d transfers ended after the call, all begun before it; ENODEV %d times, other errors %d",
	      atomic_load(&loop.done) - done, atomic_load(&loop.refused),
	      atomic_load(&loop.others));

	step("give the memory back");
	ret = barter_device_set_memory(stage->device, 1);
	check(!ret, "0", "memory decoding on: %s", ret ? strerror(-ret) : "done");
	state = buffer_state(stage, reasons, sizeof(reasons));
	check(state == BARTER_STATE_OK, "ok", "/dev/barter: %s",
	      barter_state_name((uint32_t)state));
	check(picture_in_memory(stage), "the same bytes",
	      "the same mapping, without a new mmap, shows the picture: every byte");
	check(picture_at_holder(stage), "the same bytes",
	      "the other process sees it through its old mapping too");
	check(wait_for_dma(&loop, 2), "2 transfers or more",
	      "the DMA loop goes on by itself");
	scribbler_stop(&loop);
	close(loop.engine);
}

static void try_dead(struct stage *stage, const char *when)
{
	char bytes[8] = { 0 }, reasons[80];
	int ret, readable, state;
	void *address;

	readable = !guarded_copy(bytes, stage->memory, sizeof(bytes));
	check(!readable, "SIGBUS", "%s: the old mapping: %s", when,
	      readable ? "works" : "SIGBUS");
	ret = holder_ask(stage->holder, HOLDER_READ, 0, bytes, sizeof(bytes));
	check(ret == -EFAULT, "SIGBUS", "%s: the other process: %s", when,
	      ret == -EFAULT ? "SIGBUS" : ret ? strerror(-ret) : "works");
	ret = holder_ask(stage->holder, HOLDER_MAP, 0, NULL, 0);
	check(ret == -EBADFD, "EBADFD",
	      "%s: a new mapping by the other process: %s", when,
	      ret ? strerrorname_np(-ret) : "works");
	ret = barter_buffer_map(stage->buffer, 0, stage->length, PROT_READ,
				&address);
	check(ret == -EBADFD, "EBADFD", "%s: a new mapping: %s", when,
	      ret ? strerrorname_np(-ret) : "works");
	ret = engine_copy(stage->engine, 0, 0, bytes, sizeof(bytes));
	check(ret == -EBADFD, "EBADFD", "%s: DMA: %s", when,
	      ret ? strerrorname_np(-ret) : "works");
	state = buffer_state(stage, reasons, sizeof(reasons));
	check(state == BARTER_STATE_DEAD, "dead", "%s: /dev/barter: %s (%s)",
	      when, state < 0 ? strerror(-state) :
	      barter_state_name((uint32_t)state), reasons);
}

void close_for_good(struct stage *stage)
{
	struct barter_device *again;
	int ret;

	step("close the device: this is final, whoever still holds the fd");
	/* The BAR's own mapping keeps the device's file open. */
	barter_unmap(stage->bar, stage->bar_length);
	stage->bar = NULL;
	barter_device_close(stage->device);
	stage->device = NULL;
	try_dead(stage, "closed");
	ret = barter_device_open(stage->bdf, BARTER_OPEN_MEMORY, &again);
	check(!ret, "0", "the device can be opened again: %s",
	      ret ? strerror(-ret) : "done");
	if (!ret) {
		try_dead(stage, "reopened");
		barter_device_close(again);
	}
	close(stage->engine);
	close(stage->holder);
	barter_unmap(stage->memory, stage->length);
	close(stage->buffer);
}
