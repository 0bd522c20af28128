// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * To compare p2p.c with: the same megabyte by the kernel's own NVMe driver and block
 * layer, into a controller memory buffer that the kernel lends itself (p2pmem, where it
 * has PCI_P2PDMA and ZONE_DEVICE), or bounced through RAM. On machine nvme. None of
 * barter is in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../tests/device/lib/pci.h"
#include "../tests/device/lib/proc.h"
#include "bench.h"

#define SAMPLES	9
#define BYTES	(1u << 20)
#define BLOCK	(2u << 20)	/* where on the disk, in bytes */
#define RW	(PROT_READ | PROT_WRITE)

static int disk;

/* Instructions of this task: what it waits for is not in it. */
static uint64_t worked(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) * 1000;
}

static uint64_t word(size_t at)
{
	return (at / 8 + 1) * 0x9e3779b97f4a7c15;
}

static void open_disk(const char *bdf)
{
	char pattern[128], path[300];
	bool there;
	glob_t found;

	snprintf(pattern, sizeof(pattern),
		 "/sys/bus/pci/devices/%s/nvme/nvme*/nvme*n*", bdf);
	WAIT_FOR(there, !glob(pattern, 0, NULL, &found), 30000);
	if (!there)
		fail("no disk at %s", bdf);
	snprintf(path, sizeof(path), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	WAIT_FOR(there, (disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC)) >= 0, 10000);
	if (!there)
		fail("%s: %s", path, strerror(errno));
}

static void fill_disk(uint8_t *ram)
{
	for (size_t at = 0; at < BYTES; at += 8)
		*(uint64_t *)(ram + at) = word(at);
	if (pwrite(disk, ram, BYTES, BLOCK) != BYTES)
		fail("write the disk: %s", strerror(errno));
}

static void measure(const char *name, volatile uint8_t *to, uint8_t *by)
{
	uint64_t samples[SAMPLES];
	char text[100];

	for (int s = 0; s < SAMPLES; s++) {
		uint64_t began;

		memset((void *)to, 0, BYTES);
		began = worked();
		if (pread(disk, by ? by : (void *)to, BYTES, BLOCK) != BYTES)
			fail("%s: %s", name, strerror(errno));
		for (size_t at = 0; by && at < BYTES; at += 8)
			*(volatile uint64_t *)(to + at) = *(uint64_t *)(by + at);
		samples[s] = worked() - began;
		for (size_t at = 0; at < BYTES; at += 8)
			if (*(volatile uint64_t *)(to + at) != word(at))
				fail("%s: byte %zu is wrong", name, at);
	}
	snprintf(text, sizeof(text), "1 MiB by the kernel's NVMe driver, %s: the CPU", name);
	report_time(text, times_of(samples, SAMPLES));
	snprintf(text, sizeof(text), "1 MiB by the kernel's NVMe driver, %s: over the bus", name);
	report_count(text, by ? 2 * BYTES : BYTES, "bytes");
}

int main(void)
{
	const char *disk_bdf = getenv("VM_NVME"), *memory_bdf = getenv("VM_CMB");
	char path[128];
	uint8_t *ram;
	bool there;
	void *cmb;
	int fd;

	report_begin("p2pmem", "to compare: 1 MiB from a disk into a device's memory by the kernel's own P2P");
	if (!disk_bdf || !memory_bdf || system("modprobe nvme") ||
	    pci_bind(disk_bdf, "nvme") || pci_bind(memory_bdf, "nvme"))
		fail("no disk");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/p2pmem/allocate", memory_bdf);
	WAIT_FOR(there, (fd = open(path, O_RDWR | O_CLOEXEC)) >= 0, 5000);
	if (!there) {
		report_note("this kernel lends no device memory to its NVMe driver");
		return report_end();
	}
	open_disk(disk_bdf);
	ram = mmap(NULL, BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	cmb = mmap(NULL, BYTES, RW, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED || cmb == MAP_FAILED)
		fail("%s: %s", path, strerror(errno));
	fill_disk(ram);
	measure("peer to peer", cmb, NULL);
	measure("bounced", cmb, ram);
	munmap(cmb, BYTES);
	close(fd);
	close(disk);
	return report_end();
}
