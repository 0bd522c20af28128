// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Blocks of a disk into another device's memory: peer to peer, or bounced through RAM.
 * How many bytes go over the bus, how many commands does the disk get, and how many
 * instructions does the CPU spend beside waiting? On machine nvme, with the example's
 * driver.
 */
#define _GNU_SOURCE
#define main example_main
#define fail example_fail
#include "../examples/nvme.c"
#undef main
#undef fail

#include "../tests/device/lib/pci.h"
#include "bench.h"

#define SAMPLES	9
#define BAR	2
#define BYTES	(16 * CHUNK)
#define BLOCK	4096		/* of the disk, where the data is */

static struct nvme disk;
static uint64_t cpu, bus;
static unsigned int commands;

/* One command, waited for; what the wait takes is not counted. */
static void command(unsigned int opcode, uint64_t block, uint64_t iova)
{
	uint64_t began = clock_now();

	begin(&disk, opcode, 0, block, CHUNK, iova);
	cpu += clock_since(began);
	if (wait_for(&disk.queues[1]))
		fail("the disk");
	commands++;
	bus += CHUNK;
}

static void copy(volatile uint64_t *to, const volatile uint64_t *from)
{
	uint64_t began = clock_now();

	for (size_t i = 0; i < CHUNK / 8; i++)
		to[i] = from[i];
	cpu += clock_since(began);
	bus += CHUNK;
}

static void peer_to_peer(volatile uint8_t *map)
{
	(void)map;
	for (unsigned int i = 0; i < BYTES / CHUNK; i++)
		command(READ, BLOCK + i * (CHUNK / disk.block),
			WINDOW_IOVA + i * CHUNK);
}

static void bounce(volatile uint8_t *map)
{
	for (unsigned int i = 0; i < BYTES / CHUNK; i++) {
		command(READ, BLOCK + i * (CHUNK / disk.block), RAM_IOVA + DATA);
		copy((volatile uint64_t *)(map + i * CHUNK),
		     (const volatile uint64_t *)(disk.ram + DATA));
	}
}

static uint64_t moved[2], instructions[2];

static void measure(int way, const char *name, void (*run)(volatile uint8_t *map),
		    volatile uint8_t *map)
{
	uint64_t samples[SAMPLES];
	char text[80];

	for (int s = 0; s < SAMPLES; s++) {
		memset((void *)map, 0, BYTES);
		cpu = bus = commands = 0;
		run(map);
		samples[s] = cpu;
		for (size_t at = 0; at < BYTES; at += 8)
			if (*(volatile uint64_t *)(map + at) != at / 8 * 0x9e3779b97f4a7c15)
				fail("%s: byte %zu is wrong", name, at);
	}
	snprintf(text, sizeof(text), "1 MiB, %s: the CPU, without waiting", name);
	report_time(text, times_of(samples, SAMPLES));
	snprintf(text, sizeof(text), "1 MiB, %s: over the bus", name);
	report_count(text, bus, "bytes");
	snprintf(text, sizeof(text), "1 MiB, %s: of the disk", name);
	report_count(text, commands, "commands");
	moved[way] = bus;
	instructions[way] = times_of(samples, SAMPLES).least / 1000;
}

static void fill_disk(void)
{
	for (unsigned int i = 0; i < BYTES / CHUNK; i++) {
		for (size_t w = 0; w < CHUNK / 8; w++)
			((uint64_t *)(disk.ram + DATA))[w] =
				(i * (CHUNK / 8) + w) * 0x9e3779b97f4a7c15;
		command(WRITE, BLOCK + i * (CHUNK / disk.block), RAM_IOVA + DATA);
	}
}

int main(void)
{
	const char *disk_bdf = getenv("VM_NVME"), *memory_bdf = getenv("VM_VRAM0");
	struct barter_device *device;
	struct barter_peer *peer;
	void *map;
	int fd;

	if (!disk_bdf || !memory_bdf || pci_bind(disk_bdf, "vfio-pci") ||
	    pci_bind(memory_bdf, pci_lender()) || nvme_open(disk_bdf, BARTER_OPEN_GROUP, &disk))
		fail("no disk");
	fill_disk();
	if (barter_device_open(memory_bdf, BARTER_OPEN_MEMORY, &device) ||
	    lend_scattered(device, BAR, BYTES, &fd) ||
	    barter_peer_map(device, fd, disk.device, WINDOW_IOVA, RW, &peer) ||
	    barter_buffer_map(fd, 0, BYTES, RW, &map))
		fail("no buffer that the disk reaches");
	report_begin("p2p", "1 MiB from a disk into 256 scattered pages of a BAR: peer to peer, or bounced?");
	measure(0, "peer to peer", peer_to_peer, map);
	measure(1, "bounced", bounce, map);
	report_target("each byte goes over the bus, peer to peer",
		      (double)moved[0] / BYTES, 1, "times");
	report_target("the CPU's work, of that with a bounce",
		      (double)instructions[0] / (double)instructions[1], 0.1, "times");
	barter_unmap(map, BYTES);
	barter_peer_unmap(peer);
	barter_device_close(device);
	nvme_close(&disk);
	return report_end();
}
