// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * nvme DISK DEVICE BAR TO FIRST+COUNT...: blocks of a disk, straight into the memory of
 * another device and back, with no bounce through RAM.
 *
 * DISK is an NVMe controller, DEVICE one that lends; both are bound to VFIO. The extents
 * (in blocks, such as filefrag prints for a file; whole pages) are read into a scattered
 * buffer of DEVICE's BAR, and written from there to block TO. Checksums of the extents
 * and of the copy, read by way of RAM, and of the buffer must be equal: a controller may
 * report success for a transfer that faulted (QEMU's does).
 */
#include <barter.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE	4096u
#define CHUNK	(16 * PAGE)		/* most that one command moves */
#define DEPTH	32			/* entries of a queue, and PRP lists */
#define RAM_IOVA	0x1000000ull	/* queues, lists, and the memory for data */
#define WINDOW_IOVA	0x10000000ull	/* the other device's memory */
#define LISTS	5			/* page of the first PRP list */
#define DATA	((LISTS + DEPTH) * PAGE)
#define RAM	(DATA + CHUNK)
#define RW	(PROT_READ | PROT_WRITE)

#define reg(n, at)	((volatile uint32_t *)((char *)(n)->regs + (at)))

enum { CREATE_SQ = 1, CREATE_CQ = 5, IDENTIFY = 6, WRITE = 1, READ = 2 };

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t cdw[6];
};

struct completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status;
};

struct queue {
	struct command *commands;
	volatile struct completion *completions;
	volatile uint32_t *tail_bell, *head_bell;
	unsigned int tail, head, phase;
};

struct nvme {
	struct barter_device *device;
	void *regs;
	uint8_t *ram;			/* the device sees it at RAM_IOVA */
	struct queue queues[2];		/* admin, I/O */
	unsigned int block;		/* bytes in one */
};

static void submit(struct queue *q, const struct command *command)
{
	q->commands[q->tail] = *command;
	q->tail = (q->tail + 1) % DEPTH;
	__sync_synchronize();
	*q->tail_bell = q->tail;
}

/* The id of a command that ended, -EAGAIN (none), -EIO (it failed). */
static int ended(struct queue *q)
{
	volatile struct completion *c = &q->completions[q->head];
	unsigned int status = c->status;
	int id;

	if ((status & 1) != q->phase)
		return -EAGAIN;
	__sync_synchronize();
	id = c->id;
	q->head = (q->head + 1) % DEPTH;
	q->phase ^= !q->head;
	*q->head_bell = q->head;
	return status >> 1 ? -EIO : id;
}

static int wait_for(struct queue *q)
{
	time_t until = time(NULL) + 30;
	int ret;

	while ((ret = ended(q)) == -EAGAIN)
		if (time(NULL) > until)
			return -ETIMEDOUT;
	return ret < 0 ? ret : 0;
}

static int admin(struct nvme *n, const struct command command)
{
	submit(&n->queues[0], &command);
	return wait_for(&n->queues[0]);
}

/* Begin to move at most CHUNK bytes, between the disk and an IOVA. */
static void begin(struct nvme *n, unsigned int opcode, unsigned int id,
		  uint64_t block, size_t bytes, uint64_t iova)
{
	uint64_t *list = (uint64_t *)(n->ram + (LISTS + id) * PAGE);
	struct command command = {
		.opcode = (uint8_t)opcode, .id = (uint16_t)id, .namespace = 1,
		.prp1 = iova,
		.prp2 = bytes > 2 * PAGE ? RAM_IOVA + (LISTS + id) * PAGE :
			bytes > PAGE ? iova + PAGE : 0,
		.cdw = { (uint32_t)block, (uint32_t)(block >> 32),
			 (uint32_t)(bytes / n->block) - 1 },
	};

	for (unsigned int i = 0; i < CHUNK / PAGE - 1; i++)
		list[i] = iova + (i + 1) * PAGE;
	submit(&n->queues[1], &command);
}

/* Switch the controller on or off. */
static int ready(struct nvme *n, uint32_t want)
{
	time_t until = time(NULL) + 30;

	*reg(n, 0x14) = want ? 4 << 20 | 6 << 16 | 1 : 0;	/* CC */
	while ((*reg(n, 0x1c) & 1) != want)
		if (time(NULL) > until)
			return -ETIMEDOUT;
	return 0;
}

/* Two queues of a page each for commands and for completions; no interrupts. */
static int start(struct nvme *n)
{
	const unsigned int stride = 4u << (*reg(n, 4) & 15);	/* CAP.DSTRD */
	const uint8_t *identity = n->ram + 4 * PAGE;
	int ret = ready(n, 0);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < 2; i++)
		n->queues[i] = (struct queue) {
			.commands = (void *)(n->ram + 2 * i * PAGE),
			.completions = (void *)(n->ram + (2 * i + 1) * PAGE),
			.tail_bell = reg(n, 0x1000 + 2 * i * stride),
			.head_bell = reg(n, 0x1000 + (2 * i + 1) * stride),
			.phase = 1,
		};
	*reg(n, 0x24) = (DEPTH - 1) << 16 | (DEPTH - 1);	/* AQA */
	*(volatile uint64_t *)reg(n, 0x28) = RAM_IOVA;		/* ASQ */
	*(volatile uint64_t *)reg(n, 0x30) = RAM_IOVA + PAGE;	/* ACQ */
	ret = ready(n, 1);
	if (!ret)
		ret = admin(n, (struct command) { .opcode = CREATE_CQ,
			.prp1 = RAM_IOVA + 3 * PAGE, .cdw = { (DEPTH - 1) << 16 | 1, 1 } });
	if (!ret)
		ret = admin(n, (struct command) { .opcode = CREATE_SQ,
			.prp1 = RAM_IOVA + 2 * PAGE, .cdw = { (DEPTH - 1) << 16 | 1, 1 << 16 | 1 } });
	if (!ret)
		ret = admin(n, (struct command) { .opcode = IDENTIFY, .namespace = 1,
			.prp1 = RAM_IOVA + 4 * PAGE });
	n->block = 1u << (identity[128 + 4 * (identity[26] & 15) + 2] & 31);
	return ret ? ret : n->block >= 512 && n->block <= PAGE ? 0 : -EIO;
}

static void nvme_close(struct nvme *n)
{
	ready(n, 0);
	barter_unmap(n->regs, 2 * PAGE);
	barter_device_close(n->device);
	munmap(n->ram, RAM);
}

static int nvme_open(const char *bdf, uint32_t way, struct nvme *n)
{
	int ret;

	n->ram = mmap(NULL, RAM, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->ram == MAP_FAILED)
		return -ENOMEM;
	ret = barter_device_open(bdf, BARTER_OPEN_MEMORY | BARTER_OPEN_MASTER | way, &n->device);
	if (!ret)
		ret = barter_device_dma_map(n->device, n->ram, RAM, RAM_IOVA, RW);
	if (!ret)
		ret = barter_device_map(n->device, 0, 0, 2 * PAGE, RW, &n->regs);
	return ret ? ret : start(n);
}

/*
 * How an importer is opened that a buffer of this lender is to be mapped for: an iommufd
 * takes the kernel's own buffers only, a container whatever can be mapped by the CPU.
 */
static uint32_t importers_way(struct barter_device *lender)
{
	return barter_device_can_export_native(lender) ? BARTER_OPEN_GROUP : 0;
}

/* Every second page of the BAR, the last one first. */
static int lend_scattered(struct barter_device *device, uint32_t bar,
			  uint64_t bytes, int *fd)
{
	static struct barter_range ranges[4096];
	struct barter_export what = {
		.size = sizeof(what), .bar = bar, .open_flags = O_RDWR,
		.nr_ranges = (uint32_t)(bytes / PAGE), .ranges = ranges,
	};

	if (what.nr_ranges > sizeof(ranges) / sizeof(*ranges))
		return -E2BIG;
	for (uint32_t i = 0; i < what.nr_ranges; i++)
		ranges[i] = (struct barter_range) {
			2ull * PAGE * (what.nr_ranges - 1 - i), PAGE };
	return barter_device_export(device, &what, fd);
}

/* FNV-1a */
#define FNV	0xcbf29ce484222325
static uint64_t checksum(uint64_t sum, const volatile uint8_t *p, size_t n)
{
	while (n--)
		sum = (sum ^ *p++) * 0x100000001b3;
	return sum;
}

/* Move an extent, in chunks; @sum: by way of RAM, and add to the checksum. */
static int extent(struct nvme *n, unsigned int opcode, uint64_t block,
		  size_t bytes, uint64_t iova, uint64_t *sum)
{
	int ret = 0;

	while (bytes && !ret) {
		size_t part = bytes < CHUNK ? bytes : CHUNK;

		begin(n, opcode, 0, block, part, sum ? RAM_IOVA + DATA : iova);
		ret = wait_for(&n->queues[1]);
		if (sum)
			*sum = checksum(*sum, n->ram + DATA, part);
		block += part / n->block;
		iova += part;
		bytes -= part;
	}
	return ret;
}

static int fail(const char *what, int error)
{
	return fprintf(stderr, "nvme: %s: %s\n", what, strerror(-error)), 1;
}

int main(int argc, char **argv)
{
	uint64_t sums[3] = { FNV, FNV, FNV }, first, count, total = 0, at = 0, to;
	struct barter_device *device;
	struct barter_peer *peer;
	struct nvme n;
	void *map;
	int i, ret, fd;

	if (argc < 6)
		return fprintf(stderr, "usage: nvme DISK DEVICE BAR TO FIRST+COUNT...\n"), 2;
	ret = barter_device_open(argv[2], BARTER_OPEN_MEMORY, &device);
	if (ret)
		return fail(argv[2], ret);
	ret = nvme_open(argv[1], importers_way(device), &n);
	if (ret)
		return fail(argv[1], ret);
	to = strtoull(argv[4], NULL, 0);
	for (i = 5; i < argc && !ret; i++) {
		if (sscanf(argv[i], "%" SCNu64 "+%" SCNu64, &first, &count) != 2 ||
		    count * n.block % PAGE)
			return fail(argv[i], -EINVAL);
		ret = extent(&n, READ, first, count * n.block, 0, &sums[0]);
		total += count * n.block;
	}
	if (!ret)
		ret = lend_scattered(device, (uint32_t)atoi(argv[3]), total, &fd);
	if (!ret)
		ret = barter_peer_map(device, fd, n.device, WINDOW_IOVA, RW, &peer);
	if (!ret)
		ret = barter_buffer_map(fd, 0, total, PROT_READ, &map);
	if (ret)
		return fail(argv[2], ret);

	for (i = 5; i < argc && !ret; i++) {
		sscanf(argv[i], "%" SCNu64 "+%" SCNu64, &first, &count);
		ret = extent(&n, READ, first, count * n.block, WINDOW_IOVA + at, NULL);
		at += count * n.block;
	}
	sums[1] = checksum(sums[1], map, total);
	if (!ret)
		ret = extent(&n, WRITE, to, total, WINDOW_IOVA, NULL);
	if (!ret)
		ret = extent(&n, READ, to, total, 0, &sums[2]);
	printf("%" PRIu64 " bytes\ndisk   %016" PRIx64 "\nbuffer %016" PRIx64
	       "\ncopy   %016" PRIx64 "\n", total, sums[0], sums[1], sums[2]);
	barter_peer_unmap(peer);
	barter_device_close(device);
	nvme_close(&n);
	return ret ? fail("transfer", ret) : sums[0] != sums[1] || sums[0] != sums[2];
}
