// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Those who do not play along: a device that goes on writing although its
 * importer has unmapped, and a holder who keeps a buffer's name but not its file.
 *
 * The importer (barter-test) unmaps as it must. The engine (edu, without a
 * driver, run from here through its registers) is told of the same address and
 * writes to it just after the revoke. What stops it is that the IOMMU forgets the
 * address before the revoking call returns. With the DMA API's lazy invalidation,
 * the default, that is not so by itself: the old translation would work on until
 * a timer fires.
 *
 * A read-only buffer's importer may have mapped it, and the engine is told to write
 * there all the same: the IOMMU stops that as well.
 *
 * "domain" has the sample importer map the buffer, into its driver's own domain.
 * It knows nothing of the transfers that are started from here, so it waits for
 * none: core alone stops them. (The registers of a bound device are open to user
 * space by the kernel's iomem=relaxed.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/klog.h>
#include <sys/mman.h>

#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define ROUNDS		40
#define TRANSFER_MS	100	/* edu's, in QEMU */
#define BYTES		1024
#define EDU_MEMORY	0x40000

/* What edu's memory holds and writes; what the BAR holds before. */
#define ROGUE		0xa5
#define VICTIM		0x5a
#define OTHER		0x33

static volatile uint8_t *edu;
static char edu_driver[64];
static bool own_domain;

static bool engine_take(void)
{
	char path[128];
	uint16_t command;
	int fd;

	pci_driver(edu_bdf(), edu_driver, sizeof(edu_driver));
	if (!own_domain && edu_driver[0] && pci_unbind(edu_bdf()))
		return false;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 edu_bdf());
	fd = open(path, O_RDWR);
	if (fd < 0 || pread(fd, &command, 2, 4) != 2)
		return false;
	command |= 0x6;		/* memory and bus master */
	if (pwrite(fd, &command, 2, 4) != 2)
		return false;
	close(fd);

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
		 edu_bdf());
	fd = open(path, O_RDWR);
	if (fd < 0)
		return false;
	edu = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return edu != MAP_FAILED;
}

static void engine_give_back(void)
{
	munmap((void *)edu, PAGE);
	if (!own_domain && edu_driver[0])
		pci_bind(edu_bdf(), edu_driver);
}

static bool engine_busy(void)
{
	return *(volatile uint32_t *)(edu + 0x98) & 1;
}

/*
 * Where the engine writes to. A 32-bit program reads half of it: edu knows nothing
 * at the other half's offset, and what the driver chose fits.
 */
static uint64_t engine_destination(void)
{
	return sizeof(long) == 8 ? *(volatile uint64_t *)(edu + 0x88) :
				   *(volatile uint32_t *)(edu + 0x88);
}

/* Where it reads; 64 bits as above. */
static uint64_t engine_source(void)
{
	return sizeof(long) == 8 ? *(volatile uint64_t *)(edu + 0x80) :
				   *(volatile uint32_t *)(edu + 0x80);
}

/* Move BYTES between edu's own memory and @address; takes TRANSFER_MS. */
static void engine_start(uint64_t address, bool write)
{
	*(volatile uint64_t *)(edu + 0x80) = write ? EDU_MEMORY : address;
	*(volatile uint64_t *)(edu + 0x88) = write ? address : EDU_MEMORY;
	*(volatile uint32_t *)(edu + 0x90) = BYTES;
	*(volatile uint32_t *)(edu + 0x98) = write ? 3 : 1;
}

static bool engine_wait(void)
{
	bool idle;

	WAIT_FOR(idle, !engine_busy(), 5000);
	return idle;
}

static bool bar_is(uint8_t byte)
{
	uint8_t now[BYTES];
	unsigned int i;

	if (host_read(0, now, BYTES))
		return false;
	for (i = 0; i < BYTES; i++)
		if (now[i] != byte)
			return false;
	return true;
}

static void bar_set(uint8_t byte)
{
	unsigned int i;

	for (i = 0; i < BYTES; i++)
		bar[i] = byte;
}

/* Whoever maps the buffer. */
static int fd = -1, tester = -1, tester_id, importer = -1;

static bool importer_take(void)
{
	fd = buf_export1(&mem, BAR, 0, PAGE);
	if (own_domain) {
		importer = edu_open();
		return fd >= 0 && importer >= 0 && !edu_import(importer, fd);
	}
	tester = tester_open();
	tester_id = tester_attach(tester, fd, 0);
	return fd >= 0 && tester_id >= 0;
}

/* Have it mapped, and ROGUE in the engine's memory; the address, or 0. */
static uint64_t importer_map(void)
{
	struct barter_test_map map;
	uint8_t bytes[BYTES];

	if (own_domain) {
		memset(bytes, ROGUE, BYTES);
		if (edu_write(importer, 0, bytes, BYTES))
			return 0;
		return engine_destination();
	}
	if (tester_map(tester, tester_id, BARTER_TEST_BIDIRECTIONAL, &map))
		return 0;
	bar_set(ROGUE);
	engine_start(map.segments[0].address, false);
	return engine_wait() ? map.segments[0].address : 0;
}

/*
 * The kernel log's lines about DMA that the IOMMU refused: how many say that edu
 * was refused the buffer's page, and how many anything else.
 */
static void refused(uint64_t address, unsigned int *edus, unsigned int *others)
{
	static char log[1 << 20];
	char device[32], *line, *next;
	unsigned long long at;
	int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1);

	/* Newer kernels say which PCI domain it is in. */
	snprintf(device, sizeof(device), "%s] fault addr ", edu_bdf() + 5);
	*edus = *others = 0;
	for (line = log, log[n > 0 ? n : 0] = 0; line; line = next) {
		char *fault = strstr(line, "fault addr ");

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!fault || (next && fault > next) || !strstr(line, "DMAR:"))
			continue;
		if (strstr(line, device) && strstr(line, "[DMA Write") &&
		    sscanf(fault, "fault addr %llx", &at) == 1 &&
		    at / PAGE == address / PAGE) {
			++*edus;
		} else {
			++*others;
			diag("%s", line);
		}
	}
}

/* One write that is meant to land shortly after the revoke has returned. */
static int rogue_round(uint64_t *address, unsigned int *late)
{
	bool is_late, untouched;
	uint64_t at;
	int64_t began;

	at = importer_map();
	/* The own domain's address is the same one again: the old map has gone. */
	if (!at || (own_domain && *address && *address != at))
		return -1;
	*address = at;
	/* In peace: the address is right, and the IOMMU has it cached. */
	bar_set(VICTIM);
	engine_start(at, true);
	if (!engine_wait() || !bar_is(ROGUE))
		return -1;

	bar_set(VICTIM);
	began = now_ms();
	engine_start(at, true);
	while (now_ms() < began + TRANSFER_MS - (random() % 20))
		;
	if (dev_set_memory(&mem, false))
		return -1;
	/* The engine moves the bytes at the very end of the transfer. */
	is_late = engine_busy();
	/* Decoding again, else the bus would hide a write that comes through. */
	pci_raw_set_memory(mem.bdf, true);
	if (!engine_wait())
		return -1;
	untouched = bar_is(VICTIM);
	dev_set_memory(&mem, true);
	*late += is_late;
	return is_late && !untouched;
}

static void engine_that_never_stops(void)
{
	unsigned int round, late = 0, edus, others;
	uint64_t address = 0;
	int bad = 0;

	need(engine_take(), "the engine's registers");
	need(importer_take(), "export, attach");

	for (round = 0; round < ROUNDS && !bad; round++) {
		bad = rogue_round(&address, &late);
		if (bad)
			diag("round %u: %s", round, bad > 0 ?
			     "the engine still reached the memory" :
			     "the round did not work");
	}
	is(bad, 0, "%u rounds: nothing is written after the revoke", round);
	ok(late >= ROUNDS / 10, "%u writes came after the revoke", late);
	if (own_domain) {
		refused(address, &edus, &others);
		ok(edus > 0, "the IOMMU told of %u of them", edus);
		is(others, 0, "and of nothing else");
	}
	close(own_domain ? importer : tester);
	close(fd);
	engine_give_back();
}

/* By a buffer that may be written: ROGUE into the engine's memory. */
static bool engine_load(void)
{
	struct barter_test_map map;
	uint8_t bytes[BYTES];
	bool done;

	memset(bytes, ROGUE, BYTES);
	fd = buf_export1(&mem, BAR, 0, PAGE);
	if (own_domain) {
		importer = edu_open();
		done = !edu_import(importer, fd) &&
			!edu_write(importer, 0, bytes, BYTES);
		close(importer);
	} else {
		bar_set(ROGUE);
		tester = tester_open();
		tester_id = tester_attach(tester, fd, 0);
		done = !tester_map(tester, tester_id, BARTER_TEST_TO_DEVICE,
				   &map);
		engine_start(map.segments[0].address, false);
		done = done && engine_wait();
		close(tester);
	}
	close(fd);
	return done;
}

/* Until the IOMMU tells: the kernel keeps silent for seconds after many lines. */
static void write_until_told(uint64_t at)
{
	unsigned int edus, others, before, others_before;
	int64_t began = now_ms();

	refused(at, &before, &others_before);
	do {
		engine_start(at, true);
		if (!engine_wait() || !bar_is(VICTIM))
			break;
		refused(at, &edus, &others);
	} while (edus == before && now_ms() < began + 30000);
	ok(!engine_busy() && bar_is(VICTIM), "it writes, and nothing arrives");
	ok(edus > before, "the IOMMU told of %u of them", edus - before);
	is(others, others_before, "and of nothing else");
}

/*
 * The driver has mapped a read-only buffer, to read. The device does as it likes: it
 * writes there, before and after it reads. (QEMU's IOMMU tells of a write only if
 * nothing was read there before; it stops both.)
 */
static void writes_where_it_may_read(void)
{
	struct barter_test_map map;
	uint8_t bytes[BYTES];
	uint64_t at;

	need(engine_take(), "the engine's registers");
	need(engine_load(), "something to write");
	fd = buf_export_ro(&mem, BAR, 0, PAGE);
	bar_set(VICTIM);
	if (own_domain) {
		importer = edu_open();
		need(!edu_import(importer, fd), "import");
		is_errno(edu_write(importer, 0, bytes, BYTES), EPERM,
			 "the driver is asked to write");
		need(!edu_read(importer, 0, bytes, BYTES), "a read");
		ok(bytes[0] == VICTIM && bytes[BYTES - 1] == VICTIM,
		   "the right bytes");
		at = engine_source();
	} else {
		tester = tester_open();
		tester_id = tester_attach(tester, fd, 0);
		need(!tester_map(tester, tester_id, BARTER_TEST_TO_DEVICE, &map),
		     "map, to read");
		at = map.segments[0].address;
		write_until_told(at);
		engine_start(at, false);
		ok(engine_wait() && bar_is(VICTIM), "it reads");
	}
	/* By now the engine has VICTIM. */
	bar_set(OTHER);
	engine_start(at, true);
	ok(engine_wait() && bar_is(OTHER), "a write after a read does not arrive");
	bar_set(VICTIM);
	close(own_domain ? importer : tester);
	close(fd);
	engine_give_back();
}

/* An O_PATH open keeps the dma-buf when its struct file is long freed. */
static void name_without_a_file(void)
{
	char path[64];
	int held, i;

	fd = buf_export1(&mem, BAR, 0, PAGE);
	need(fd >= 0, "export");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	held = open(path, O_PATH);
	need(held >= 0, "O_PATH");
	close(fd);
	/* The freed file's memory gets new owners. */
	for (i = 0; i < 2000; i++) {
		int other = open("/dev/null", O_RDWR);

		if (i % 2)
			close(other);
		else
			close(dup2(other, 900));
		if (!(i % 2))
			close(other);
	}
	is_errno(dev_set_memory(&mem, false), 0, "revoke");
	is_errno(dev_set_memory(&mem, true), 0, "restore");
	is(buf_count(mem.bdf), 1, "debugfs still lists it");
	is_errno(dev_reset(&mem), 0, "reset");
	close(held);
	is(buf_count(mem.bdf), 0, "released with its last name");
}

int main(int argc, char **argv)
{
	int ret;

	fixture_open();
	own_domain = argc > 1 && !strcmp(argv[1], "domain");
	ret = edu_own_domain(own_domain);
	if (ret)
		tap_bail("edu's driver in the other domain: %s", strerror(-ret));
	CASE_LIMIT(engine_that_never_stops, 180);
	CASE(writes_where_it_may_read);
	CASE(name_without_a_file);
	edu_own_domain(false);
	return tap_done();
}
