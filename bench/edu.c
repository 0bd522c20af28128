// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a DMA engine has made into another device's memory: peer to peer, or bounced
 * through RAM. The same question as p2p.c's, of an engine that moves 2 KiB at a time and
 * is told each of them. How many bytes go over the bus, and how many instructions does
 * the CPU spend beside waiting?
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/engine.h"
#include "../tests/device/lib/tester.h"
#include "bench.h"

#define SAMPLES	5
#define PAGE	4096u
#define PAGES	8u
#define BYTES	(PAGES * PAGE)
#define CHUNKS	(BYTES / ENGINE_CHUNK)
#define RW	(PROT_READ | PROT_WRITE)
#define RAM_IOVA	0x1000000ull	/* two halves: what the engine is given, and makes */
#define WINDOW_IOVA	0x2000000ull	/* the other device's memory */

static volatile uint8_t *engine, *window;
static uint8_t *ram;
static uint64_t cpu, bus;

static uint64_t word(unsigned int sample, size_t at)
{
	return (at + 1) * 0x9e3779b97f4a7c15 + sample;
}

/* The engine has the next 2 KiB; how, is not what is asked. */
static void produce(size_t at)
{
	if (engine_load(engine, RAM_IOVA + at, ENGINE_CHUNK))
		fail("the engine takes nothing");
}

/* What the engine has goes to @iova. What the wait takes is not counted. */
static void deliver(uint64_t iova)
{
	uint64_t began = clock_now();

	engine_begin_store(engine, iova, ENGINE_CHUNK);
	cpu += clock_since(began);
	while (engine_busy(engine))
		usleep(5000);
	bus += ENGINE_CHUNK;
}

static void peer_to_peer(size_t at)
{
	deliver(WINDOW_IOVA + at);
}

static void bounce(size_t at)
{
	volatile uint64_t *to = (volatile uint64_t *)(window + at);
	const uint64_t *from = (const uint64_t *)(ram + BYTES);
	uint64_t began;

	deliver(RAM_IOVA + BYTES);
	began = clock_now();
	for (size_t i = 0; i < ENGINE_CHUNK / 8; i++)
		to[i] = from[i];
	cpu += clock_since(began);
	bus += ENGINE_CHUNK;
}

static uint64_t moved[2], instructions[2];

static void measure(int way, const char *name, void (*run)(size_t at))
{
	uint64_t samples[SAMPLES];
	char text[80];

	for (unsigned int s = 0; s < SAMPLES; s++) {
		memset((void *)window, 0, BYTES);
		for (size_t at = 0; at < BYTES; at += 8)
			*(uint64_t *)(ram + at) = word(s, at);
		cpu = bus = 0;
		for (size_t at = 0; at < BYTES; at += ENGINE_CHUNK) {
			produce(at);
			run(at);
		}
		samples[s] = cpu;
		for (size_t at = 0; at < BYTES; at += 8)
			if (*(volatile uint64_t *)(window + at) != word(s, at))
				fail("%s: byte %zu is wrong", name, at);
	}
	snprintf(text, sizeof(text), "32 KiB, %s: the CPU, without waiting", name);
	report_time(text, times_of(samples, SAMPLES));
	snprintf(text, sizeof(text), "32 KiB, %s: over the bus", name);
	report_count(text, bus, "bytes");
	moved[way] = bus;
	instructions[way] = times_of(samples, SAMPLES).least / 1000;
}

int main(void)
{
	static struct dev big, edu;
	int fd;

	big_open(&big);
	fd = big_export(&big, PAGES);
	window = buf_map(fd, 0, BYTES, RW);
	ram = mmap(NULL, 2 * BYTES, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!window || ram == MAP_FAILED || dev_open(&edu, edu_bdf()) ||
	    dev_dma_map(&edu, ram, RAM_IOVA, 2 * BYTES) ||
	    dev_dma_map(&edu, (void *)window, WINDOW_IOVA, BYTES))
		fail("the engine reaches no memory");
	engine = engine_map(&edu);
	if (!engine)
		fail("no engine");
	report_begin("edu", "32 KiB from a DMA engine into 8 scattered pages of a BAR: peer to peer, or bounced?");
	measure(0, "peer to peer", peer_to_peer);
	measure(1, "bounced", bounce);
	report_count("32 KiB: of the engine, either way", CHUNKS, "commands");
	report_target("each byte goes over the bus, peer to peer",
		      (double)moved[0] / BYTES, 1, "times");
	report_target("the CPU's work, of that with a bounce",
		      (double)instructions[0] / (double)instructions[1], 0.1, "times");
	close(fd);
	dev_close(&edu);
	dev_close(&big);
	return report_end();
}
