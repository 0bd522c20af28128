// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Peer-to-peer DMA by edu's engine behind the IOMMU: the right bytes at the
 * right places, also as the host sees the memory, and none after a revoke has
 * returned.
 *
 * "domain" has edu's driver use an IOMMU domain of its own, into which barter maps
 * the buffers; all else is the same.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/cause.h"
#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/tester.h"

#define SEED	51

/* Two ranges out of order, with neighbours that belong to nobody. */
static const struct vfio_region_dma_range ranges[] = {
	{ 5 * MIB, 2 * PAGE }, { 2 * MIB, PAGE },
};
#define LENGTH	(3 * PAGE)

static uint8_t data[LENGTH] __attribute__((aligned(4096)));

static int edu = -1;
static bool own_domain;

/* What debugfs says that the only attachment works with. */
static bool works_with(const char *text)
{
	char line[80];

	snprintf(line, sizeof(line), "    interconnect %s\n", text);
	return file_has(BUFFERS, line);
}

static void moves_out_of_both_ranges(void)
{
	int fd = buf_export(&mem, BAR, ranges, 2);

	fill(bar, SEED, 0, bar_length);
	edu = edu_open();
	need(fd >= 0 && edu >= 0, "export, open the importer");
	is_errno(edu_import(edu, fd), 0, "import");
	memset(data, 0, sizeof(data));
	is_errno(edu_read(edu, 0, data, LENGTH), 0, "read all of it");
	is(differs(data, SEED, 5 * MIB, 2 * PAGE), -1, "the first range");
	is(differs(data + 2 * PAGE, SEED, 2 * MIB, PAGE), -1,
	   "the second range");
	close(edu);
	close(fd);
}

static void moves_into_both_ranges(void)
{
	char before[65], after[65];
	uint8_t *seen = malloc(LENGTH);
	int fd = buf_export(&mem, BAR, ranges, 2);

	fill(bar, SEED, 0, bar_length);
	is_errno(host_sum(0, 2 * MIB, before), 0, "the host's view");
	edu = edu_open();
	need(fd >= 0 && edu >= 0, "export, open the importer");
	is_errno(edu_import(edu, fd), 0, "import");
	fill(data, SEED + 1, 0, LENGTH);
	is_errno(edu_write(edu, 0, data, LENGTH), 0, "write all of it");
	is(differs(bar + 5 * MIB, SEED + 1, 0, 2 * PAGE), -1, "first range");
	is(differs(bar + 2 * MIB, SEED + 1, 2 * PAGE, PAGE), -1,
	   "second range");
	is_errno(host_read(5 * MIB, seen, 2 * PAGE), 0, "ask the host");
	is(differs(seen, SEED + 1, 0, 2 * PAGE), -1,
	   "the host sees the first range");
	is_errno(host_read(2 * MIB, seen, PAGE), 0, "ask the host");
	is(differs(seen, SEED + 1, 2 * PAGE, PAGE), -1,
	   "the host sees the second range");
	/* Everything else is as it was. */
	is_errno(host_sum(0, 2 * MIB, after), 0, "the host's view");
	ok(!strcmp(before, after), "all below the second range is untouched");
	is(differs(bar + 2 * MIB + PAGE, SEED, 2 * MIB + PAGE,
		   3 * MIB - PAGE), -1, "all in between is untouched");
	is(differs(bar + 5 * MIB + 2 * PAGE, SEED, 5 * MIB + 2 * PAGE,
		   bar_length - 5 * MIB - 2 * PAGE), -1,
	   "all above is untouched");
	free(seen);
	close(edu);
	close(fd);
}

static void any_offset_and_length(void)
{
	static const struct {
		uint64_t offset, length;
	} cases[] = {
		{ 0, 1 }, { 1, 3 }, { 4095, 2 }, { 2 * PAGE - 5, 11 },
		{ 3 * PAGE - 1, 1 }, { 2 * PAGE - 1000, 2000 },
	};
	int fd = buf_export(&mem, BAR, ranges, 2);

	edu = edu_open();
	need(fd >= 0 && edu >= 0 && !edu_import(edu, fd), "import");
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t at = cases[i].offset, n = cases[i].length, done;
		uint8_t *all = malloc(LENGTH), *want = malloc(LENGTH);

		fill(bar + 5 * MIB, SEED + i, 0, 2 * PAGE);
		fill(bar + 2 * MIB, SEED + i, 2 * PAGE, PAGE);
		fill(want, SEED + i, 0, LENGTH);
		memset(data, (int)(0xa0 + i), n);
		memcpy(want + at, data, n);
		is_errno(edu_copy(edu, BARTER_DMA_F_TO_BUFFER, at, data, n,
				  &done), 0, "%llu bytes to %llu",
			 (unsigned long long)n, (unsigned long long)at);
		is(done, n, "all are done");
		memcpy(all, (void *)(bar + 5 * MIB), 2 * PAGE);
		memcpy(all + 2 * PAGE, (void *)(bar + 2 * MIB), PAGE);
		ok(!memcmp(all, want, LENGTH), "these bytes and no others");
		memset(data, 0, sizeof(data));
		is_errno(edu_read(edu, at, data, n), 0, "and back");
		ok(!memcmp(data, want + at, n), "the same bytes");
		free(all);
		free(want);
	}
	close(edu);
	close(fd);
}

static void importer_refusals(void)
{
	int fd = buf_export(&mem, BAR, ranges, 2);

	edu = edu_open();
	need(fd >= 0 && edu >= 0, "export, open the importer");
	is_errno(edu_read(edu, 0, data, 16), ENODEV, "nothing imported");
	is_errno(edu_import(edu, -1), EBADF, "import of no fd");
	is_errno(edu_import(edu, edu), EINVAL, "import of another file");
	is_errno(edu_import(edu, fd), 0, "import");
	is_errno(edu_import(edu, fd), EBUSY, "a second import");
	is_errno(edu_read(edu, LENGTH, data, 1), EINVAL, "beyond the end");
	is_errno(edu_read(edu, LENGTH - 1, data, 2), EINVAL, "over the end");
	is_errno(edu_read(edu, ~0ull, data, 2), EINVAL, "offset overflows");
	is_errno(edu_read(edu, 0, NULL, 16), EFAULT, "no memory");
	close(edu);
	close(fd);
}

/* One segment for each merged run: behind an IOMMU, before kernel 6.16. */
static void segments(void)
{
	struct vfio_region_dma_range r[] = {
		{ 0, PAGE }, { PAGE, PAGE }, { 2 * PAGE, PAGE },
		{ 9 * PAGE, PAGE }, { 10 * PAGE, PAGE }, { 4 * PAGE, PAGE },
	};
	struct barter_dma_status st;
	struct barter_info info;
	int fd = buf_export(&mem, BAR, r, 6);

	edu = edu_open();
	need(fd >= 0 && edu >= 0 && !edu_import(edu, fd), "import");
	is_errno(edu_read(edu, 0, data, 8), 0, "read");
	st = edu_status(edu);
	ok(st.out_segments >= 1 && st.out_segments <= 3,
	   "6 ranges in 3 runs make %u segments", st.out_segments);
	is(st.out_mapped, 1, "the mapping is kept");
	is_errno(edu_read(edu, 0, data, 8), 0, "read again");
	is(edu_status(edu).out_maps, st.out_maps, "without a new mapping");
	buf_info(fd, &info);
	is(info.out_nr_ranges, 3, "info tells 3 runs");
	is(info.out_attachments, 1, "info tells one importer");
	is(info.out_maps, 1, "info tells one map");
	close(edu);
	buf_info(fd, &info);
	is(info.out_attachments + info.out_maps, 0, "none after it is closed");
	close(fd);
}

static void agreed_interconnect(void)
{
	int fd = buf_export(&mem, BAR, ranges, 2);

	edu = edu_open();
	need(fd >= 0 && edu >= 0 && !edu_import(edu, fd), "import");
	ok(works_with(own_domain ? "none of iommu-domain,sgt" : "none of sgt"),
	   "nothing is chosen before the first map");
	is_errno(edu_read(edu, 0, data, 8), 0, "read");
	ok(works_with(own_domain ? "iommu-domain of iommu-domain,sgt" :
				   "sgt of sgt"), "chosen with the map");
	if (own_domain)
		is(edu_status(edu).out_segments, 1, "one piece, though scattered");
	dev_set_memory(&mem, false);
	ok(works_with(own_domain ? "none of iommu-domain,sgt" : "none of sgt"),
	   "until the revoke");
	dev_set_memory(&mem, true);
	close(edu);
	close(fd);
}

/*
 * Two buffers at a time, one of somebody else's: it has addresses of the DMA API,
 * and with a domain of its own the engine goes to and fro between the two.
 */
static void a_foreign_buffer_between(void)
{
	uint8_t *memory, got[64];
	int fd = buf_export(&mem, BAR, ranges, 2);
	int foreign = tester_foreign(), other = edu_open(), round;

	edu = edu_open();
	need(fd >= 0 && foreign >= 0 && edu >= 0 && other >= 0, "two buffers");
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, foreign, 0);
	need(memory != MAP_FAILED, "map the foreign one");
	is_errno(edu_import(edu, fd), 0, "import barter's");
	is_errno(edu_import(other, foreign), 0, "import the foreign one");
	for (round = 0; round < 2; round++) {
		fill(bar + 5 * MIB, SEED + round, 0, sizeof(got));
		fill(memory, SEED + 2 + round, 0, sizeof(got));
		is_errno(edu_read(edu, 0, got, sizeof(got)), 0, "barter's");
		is(differs(got, SEED + round, 0, sizeof(got)), -1, "its bytes");
		is_errno(edu_read(other, 0, got, sizeof(got)), 0, "the foreign");
		is(differs(got, SEED + 2 + round, 0, sizeof(got)), -1, "its bytes");
	}
	is(edu_status(edu).out_maps + edu_status(other).out_maps, 2,
	   "mapped once each");
	munmap(memory, PAGE);
	close(other);
	close(foreign);
	close(edu);
	close(fd);
}

static void import_while_revoked(void)
{
	int fd = buf_export(&mem, BAR, ranges, 2);

	edu = edu_open();
	need(fd >= 0 && edu >= 0, "export, open the importer");
	dev_set_memory(&mem, false);
	is_errno(edu_import(edu, fd), 0, "attach while revoked");
	is_errno(edu_read(edu, 0, data, 16), ENODEV, "map while revoked");
	dev_set_memory(&mem, true);
	fill(bar + 5 * MIB, SEED, 0, PAGE);
	is_errno(edu_read(edu, 0, data, 16), 0, "map after the restore");
	is(differs(data, SEED, 0, 16), -1, "the right bytes");
	dev_set_memory(&mem, false);
	is(edu_status(edu).out_mapped, 0, "the map is gone with the revoke");
	is_errno(edu_read(edu, 0, data, 16), ENODEV, "map while revoked");
	dev_set_memory(&mem, true);
	is_errno(edu_read(edu, 0, data, 16), 0, "restored once more");
	close(edu);
	close(fd);
}

static void dead_buffer(void)
{
	int fd = buf_export(&mem, BAR, ranges, 2), late;

	edu = edu_open();
	late = edu_open();
	need(fd >= 0 && edu >= 0 && late >= 0, "export, open the importer");
	is_errno(edu_import(edu, fd), 0, "import");
	is_errno(edu_read(edu, 0, data, 16), 0, "read");
	fixture_close();
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(edu_status(edu).out_mapped, 0, "the map is gone");
	is_errno(edu_read(edu, 0, data, 16), EBADFD, "map of the dead");
	is_errno(edu_import(late, fd), EBADFD, "attach to the dead");
	fixture_open();
	is_errno(edu_read(edu, 0, data, 16), EBADFD, "dead after reopen too");
	close(late);
	close(edu);
	close(fd);
}

/*
 * DMA through a revoke. A thread keeps the engine writing. Once the revoking
 * call has returned, no byte may change until a new mapping is made.
 *
 * Causes that hold: nothing can be mapped, so nothing may change at all. Memory
 * decoding is turned on behind VFIO's back meanwhile, else the bus would hide
 * a transfer that still runs.
 */
#define ROUNDS	30

static int target = -1;
static volatile bool stop;
static unsigned long transfers;

static void *writer(void *arg)
{
	static uint32_t block[EDU_CHUNK / 4];
	uint32_t n = 0;

	(void)arg;
	while (!stop) {
		uint64_t done = 0;

		for (unsigned int i = 0; i < EDU_CHUNK / 4; i++)
			block[i] = n;
		n++;
		edu_copy(edu, BARTER_DMA_F_TO_BUFFER, 0, block, EDU_CHUNK,
			 &done);
		if (done)
			__atomic_add_fetch(&transfers, 1, __ATOMIC_SEQ_CST);
		else
			usleep(5000);
	}
	return NULL;
}

/*
 * Stays the same for longer than one transfer takes? No two write the same: what came in
 * between shows at the end too. By sums, since bytes come slowly from the host.
 */
static bool quiet(uint64_t offset)
{
	char first[65], last[65];

	if (host_sum(offset, EDU_CHUNK, first))
		return false;
	usleep(150000);
	return !host_sum(offset, EDU_CHUNK, last) && !strcmp(first, last);
}

static bool start_writer(pthread_t *thread)
{
	target = buf_export(&mem, BAR, ranges, 2);
	edu = edu_open();
	stop = false;
	transfers = 0;
	if (target < 0 || edu < 0 || edu_import(edu, target))
		return false;
	return !pthread_create(thread, NULL, writer, NULL);
}

static void stop_writer(pthread_t thread)
{
	stop = true;
	pthread_join(thread, NULL);
	close(edu);
	close(target);
}

static bool writer_moves(void)
{
	unsigned long before = transfers;
	bool moves;

	WAIT_FOR(moves, transfers > before, 10000);
	return moves;
}

static void through_holding(const char *name)
{
	const struct cause *c = cause_find(name);
	pthread_t thread;
	int bad = 0, round;

	need(start_writer(&thread), "%s: the engine writes", c->name);
	for (round = 0; round < ROUNDS && !bad; round++) {
		uint8_t before[8], after[8];

		if (!writer_moves()) {
			diag("round %d: the engine does not write", round);
			bad = 1;
			break;
		}
		usleep((useconds_t)(random() % 200000));
		if (c->begin(&mem)) {
			diag("round %d: the call fails", round);
			bad = 1;
			break;
		}
		host_read(5 * MIB, before, sizeof(before));
		pci_raw_set_memory(mem.bdf, true);
		host_read(5 * MIB, after, sizeof(after));
		if (memcmp(before, after, sizeof(before)) ||
		    !quiet(5 * MIB)) {
			diag("round %d: bytes change after the call", round);
			bad = 1;
		}
		if (buf_state(target) != BARTER_STATE_REVOKED) {
			diag("round %d: state %s", round,
			     state_name(buf_state(target)));
			bad = 1;
		}
		c->end(&mem);
	}
	is(bad, 0, "%s: %d rounds", c->name, round);
	ok(edu_status(edu).out_revokes >= (uint64_t)round,
	   "%s: the importer was asked each time", c->name);
	stop_writer(thread);
}

static void through_memory_off(void)
{
	through_holding("memory off by a word");
}

static void through_low_power(void)
{
	through_holding("low power");
}

/*
 * Causes that are over when the call returns: the engine may map again at once.
 * So one transfer a round, aimed so that the call comes while it writes; when
 * the importer made no new mapping since the call began, nothing may change
 * after it has returned.
 */
struct shot {
	uint32_t value;
	int result;
	volatile bool over;
};

static void *shoot(void *arg)
{
	static uint32_t block[EDU_CHUNK / 4];
	struct shot *s = arg;

	for (unsigned int i = 0; i < EDU_CHUNK / 4; i++)
		block[i] = s->value;
	s->result = edu_copy(edu, BARTER_DMA_F_TO_BUFFER, 0, block, EDU_CHUNK,
			     NULL);
	s->over = true;
	return NULL;
}

static void through_passing(const char *name)
{
	const struct cause *c = cause_find(name);
	unsigned int conclusive = 0, midway = 0;
	int bad = 0, round;
	bool over;

	target = buf_export(&mem, BAR, ranges, 2);
	edu = edu_open();
	need(target >= 0 && edu >= 0 && !edu_import(edu, target),
	     "%s: import", c->name);
	for (round = 0; round < ROUNDS && !bad; round++) {
		char first[65], last[65];
		uint32_t end = 0;
		struct shot s = { .value = 0x1000u + (uint32_t)round };
		uint64_t maps;
		pthread_t thread;

		memset((void *)(bar + 5 * MIB), 0, EDU_CHUNK);
		maps = edu_status(edu).out_maps;
		/* The map itself belongs to the transfer. */
		pthread_create(&thread, NULL, shoot, &s);
		usleep((useconds_t)(110000 + random() % 80000));
		if (edu_status(edu).out_maps > maps)
			maps = edu_status(edu).out_maps;
		midway += !s.over;
		if (c->begin(&mem)) {
			diag("round %d: the call fails", round);
			bad = 1;
		}
		if (host_sum(5 * MIB, EDU_CHUNK, first))
			bad = 1;
		WAIT_FOR(over, s.over, 10000);
		if (host_sum(5 * MIB, EDU_CHUNK, last) ||
		    host_read(5 * MIB + EDU_CHUNK - 4, &end, 4))
			bad = 1;
		pthread_join(thread, NULL);
		if (edu_status(edu).out_maps == maps) {
			conclusive++;
			if (strcmp(first, last)) {
				diag("round %d: bytes change after the call",
				     round);
				bad = 1;
			}
		}
		if (!s.result && end != s.value) {
			diag("round %d: success, but the bytes are not there",
			     round);
			bad = 1;
		}
		if (s.result && s.result != -ENODEV && s.result != -EIO) {
			diag("round %d: the importer says %d", round, s.result);
			bad = 1;
		}
	}
	is(bad, 0, "%s: %d rounds", c->name, round);
	ok(midway >= ROUNDS / 3, "%s: %u calls came during a transfer", c->name,
	   midway);
	ok(conclusive >= ROUNDS / 3, "%s: %u rounds without a new mapping",
	   c->name, conclusive);
	is(buf_state(target), BARTER_STATE_OK, "%s: OK at the end", c->name);
	close(edu);
	close(target);
}

static void through_reset(void)
{
	through_passing("VFIO_DEVICE_RESET");
}

static void through_hot_reset(void)
{
	through_passing("hot reset");
}

static void through_sysfs_reset(void)
{
	through_passing("sysfs reset");
}

static void through_close(void)
{
	int bad = 0, round;

	for (round = 0; round < ROUNDS && !bad; round++) {
		pthread_t thread;

		if (!start_writer(&thread) || !writer_moves()) {
			diag("round %d: the engine does not write", round);
			bad = 1;
			break;
		}
		usleep((useconds_t)(random() % 200000));
		fixture_close();
		/* Whatever close did to the bus, the memory decodes again. */
		pci_raw_set_memory(mem.bdf, true);
		if (!quiet(5 * MIB)) {
			diag("round %d: bytes change after close", round);
			bad = 1;
		}
		if (buf_state(target) != BARTER_STATE_DEAD) {
			diag("round %d: state %s", round,
			     state_name(buf_state(target)));
			bad = 1;
		}
		stop_writer(thread);
		fixture_open();
	}
	is(bad, 0, "close: %d rounds", round);
}

int main(int argc, char **argv)
{
	char sum[65];
	int ret;

	fixture_open();
	own_domain = argc > 1 && !strcmp(argv[1], "domain");
	ret = edu_own_domain(own_domain);
	if (ret)
		tap_bail("edu's driver in the other domain: %s", strerror(-ret));
	edu = edu_open();
	if (edu < 0)
		tap_bail("/dev/barter-dma0: %s", strerror(-edu));
	close(edu);
	if (host_sum(0, PAGE, sum))
		tap_bail("the host does not answer");
	CASE(moves_out_of_both_ranges);
	CASE(moves_into_both_ranges);
	CASE(any_offset_and_length);
	CASE(importer_refusals);
	CASE(segments);
	CASE(agreed_interconnect);
	CASE(a_foreign_buffer_between);
	CASE(import_while_revoked);
	CASE(dead_buffer);
	CASE(through_memory_off);
	CASE(through_low_power);
	CASE(through_reset);
	CASE(through_hot_reset);
	CASE(through_sysfs_reset);
	CASE_LIMIT(through_close, 90);
	edu_own_domain(false);
	return tap_done();
}
