// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, for importers, and for whatever takes buffers back and
 * gives them again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/cause.h"
#include "lib/edu.h"
#include "lib/fault.h"
#include "lib/lend.h"
#include "lib/slice.h"
#include "lib/tester.h"
#include "lib/watch.h"

/* Importers only read, but where that is the question. */
#define TO_DEVICE	BARTER_TEST_TO_DEVICE

static volatile uint8_t *map;
static int t = -1, id, edu = -1, file = -1;
static uint8_t data[64];

/* ---- attach, map, unmap, detach ---- */

static uint32_t nr_map;
static uint64_t map_range = PAGE;

static void map_begin(void)
{
	lend_ranges(nr_map, map_range);
	t = tester_open();
	id = tester_attach(t, lent, 0);
	if (id < 0)
		tap_bail("no importer to begin with");
}

static void map_begin_mapped(void)
{
	map_begin();
	if (tester_map(t, id, TO_DEVICE, NULL))
		tap_bail("no DMA mapping to begin with");
}

static void map_end(void)
{
	close(t);
	lend_close();
}

static int call_attach(void)
{
	return tester_attach(t, lent, 0);
}

static bool whole_attach(int got)
{
	return !tester_map(t, got, TO_DEVICE, NULL) && !tester_detach(t, got);
}

static struct barter_test_map mapped;

static int call_dma_map(void)
{
	return tester_map(t, id, TO_DEVICE, &mapped);
}

static bool whole_dma_map(int ret)
{
	bool fine = mapped.out_length == nr_map * map_range;

	(void)ret;
	return !tester_unmap(t, id) && fine;
}

static int call_dma_unmap(void)
{
	return tester_unmap(t, id);
}

static bool whole_dma_unmap(int ret)
{
	(void)ret;
	return !tester_stat(t, id).out_mapped && !tester_map(t, id, TO_DEVICE, NULL);
}

static int call_detach(void)
{
	return tester_detach(t, id);
}

static bool whole_detach(int ret)
{
	(void)ret;
	id = tester_attach(t, lent, 0);
	return id >= 0 && !tester_map(t, id, TO_DEVICE, NULL);
}

static int call_pin(void)
{
	return tester_pin(t, id);
}

static bool whole_pin(int ret)
{
	(void)ret;
	return !tester_unpin(t, id);
}

static void dma_maps(void)
{
	/*
	 * I/O virtual addresses of up to 128 KiB come from a cache; for more the
	 * kernel tries twice. Ranges that need page tables of the IOMMU each time
	 * are left out: Linux' own Intel driver does not undo half a map (it warns
	 * at the next one), and DMA API debugging counts one that failed.
	 */
	static const struct {
		const char *name;
		uint32_t nr;
		uint64_t range;
		unsigned int least, fails;
	} sizes[] = {
		{ "DMA map of 1 page", 1, PAGE, 2, 1 },
		{ "DMA map of 64 pages", 64, PAGE, 2, 1 },
		{ "DMA map of 300 pages", 300, PAGE, 3, 2 },
		/* 27 allocations map by map, 9 in one window (6.16 and later). */
		{ "DMA map of 24 times 256 KiB", 24, MIB / 4, 8, 1 },
	};
	const struct fault_call calls[] = {
		{ .name = "attach",
		  .before = map_begin,
		  .call = call_attach,
		  .whole = whole_attach,
		  .after = map_end,
		  .least = 2 },
		{ .name = "pin",
		  .before = map_begin,
		  .call = call_pin,
		  .whole = whole_pin,
		  .after = map_end,
		  .none = true },
		{ .name = "DMA unmap",
		  .before = map_begin_mapped,
		  .call = call_dma_unmap,
		  .whole = whole_dma_unmap,
		  .after = map_end,
		  .may_be_none = "only now and then a CPU needs room for addresses given back" },
		{ .name = "detach",
		  .before = map_begin_mapped,
		  .call = call_detach,
		  .whole = whole_detach,
		  .after = map_end,
		  .none = true },
	};

	nr_map = 8;
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	for (int i = 0; i < 4; i++) {
		const struct fault_call c = {
			.name = sizes[i].name, .before = map_begin,
			.call = call_dma_map, .whole = whole_dma_map,
			.after = map_end, .least = sizes[i].least,
			.fails = sizes[i].fails,
			.sparse = true,
		};

		nr_map = sizes[i].nr;
		map_range = sizes[i].range;
		fault_sweep(&c);
	}
	map_range = PAGE;
}

/* ---- taking the memory back, and giving it again ---- */

static const struct cause *cause;

static int cause_begin(void)
{
	if (strcmp(cause->name, "sysfs reset"))
		return cause->begin(&mem);
	return write(file, "1", 1) == 1 ? 0 : -errno;
}

static int cause_end(void)
{
	return cause->end(&mem);
}

static void revoke_begin(void)
{
	nr_map = 8;
	map_begin_mapped();
	map = buf_map(lent, 0, 8 * PAGE, PROT_READ);
	if (!lend_shows(map, OFFSET))
		tap_bail("no mapping to begin with");
}

static void revoke_end(void)
{
	munmap((void *)map, 8 * PAGE);
	map_end();
}

static bool usable(void)
{
	return buf_state(lent) == BARTER_STATE_OK && !buf_reasons(lent) &&
		lend_shows(map, OFFSET) && lend_witness();
}

static bool whole_revoke(int ret)
{
	bool fine = !tester_stat(t, id).out_mapped;
	uint32_t v;

	(void)ret;
	if (cause->end) {
		fine = fine && buf_state(lent) == BARTER_STATE_REVOKED &&
			buf_reasons(lent) == cause->reason &&
			peek(map, &v) == SIGBUS;
		fine = !cause->end(&mem) && fine;
	}
	return usable() && fine && !tester_map(t, id, TO_DEVICE, NULL);
}

static void restore_begin(void)
{
	revoke_begin();
	if (cause->begin(&mem) || buf_state(lent) != BARTER_STATE_REVOKED)
		tap_bail("%s does not revoke", cause->name);
}

static bool whole_restore(int ret)
{
	(void)ret;
	return usable() && !cause->begin(&mem) &&
		buf_state(lent) == BARTER_STATE_REVOKED;
}

static void restore_end(void)
{
	cause->end(&mem);
	revoke_end();
}

static void revokes(void)
{
	/* How many allocations its beginning has at least, and its end. */
	static const struct {
		const char *name;
		unsigned int begin, end;
	} ways[] = {
		{ "memory off by a word", 0, 0 },
		{ "memory off by an 8-byte block", 0, 0 },
		{ "low power", 0, 1 },
		{ "VFIO_DEVICE_RESET", 0, 0 },
		{ "hot reset", 4, 0 },
		{ "sysfs reset", 1, 0 },
	};
	char path[128], text[80];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", mem.bdf);
	file = open(path, O_WRONLY | O_CLOEXEC);
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const struct fault_call begin = {
			.name = ways[i].name,
			.before = revoke_begin,
			.call = cause_begin,
			.whole = whole_revoke,
			.after = revoke_end,
			.moves = true,
			/* Nothing is left to core's locks, where none is killable. */
			.strict = !strcmp(ways[i].name, "hot reset"),
			.least = ways[i].begin,
			.none = !ways[i].begin,
		};
		const struct fault_call end = {
			.name = text,
			.before = restore_begin,
			.call = cause_end,
			.whole = whole_restore,
			.after = restore_end,
			.moves = true,
			.least = ways[i].end,
			.none = !ways[i].end,
		};

		cause = cause_find(ways[i].name);
		fault_sweep(&begin);
		snprintf(text, sizeof(text), "end of: %s", ways[i].name);
		/* The witness is revoked meanwhile, as all are. */
		fault_witness = NULL;
		if (cause->end)
			fault_sweep(&end);
		fault_witness = lend_witness;
	}
	close(file);
}

/* A fence that somebody else signals: without memory all fences are waited for. */
static pthread_t signaller;
static int fence;
static volatile bool signalled, joined, over;

/* Once a revoke waits, and some time later; or when there will be none. */
static void *signal_late(void *arg)
{
	(void)arg;
	while (!over && buf_state(lent) != BARTER_STATE_REVOKING)
		usleep(1000);
	usleep(100000);
	signalled = true;
	tester_signal(t, fence);
	return NULL;
}

static void fence_begin(void)
{
	int sync = -1, other;

	revoke_begin();
	other = tester_open();
	close(other);
	fence = tester_fence(t, &sync);
	if (fence < 0 || fence_into(lent, sync))
		tap_bail("no fence to begin with");
	close(sync);
	signalled = joined = over = false;
	if (pthread_create(&signaller, NULL, signal_late, NULL))
		tap_bail("no thread");
}

static void fence_join(void)
{
	over = true;
	if (!joined)
		pthread_join(signaller, NULL);
	joined = true;
}

static bool whole_fence(int ret)
{
	bool fine = signalled;

	fence_join();
	return whole_revoke(ret) && fine;
}

static void fence_end(void)
{
	fence_join();
	revoke_end();
}

static void revoke_with_a_fence(void)
{
	const struct fault_call c = {
		.name = "reset that waits for a fence", .before = fence_begin,
		.call = cause_begin, .whole = whole_fence, .after = fence_end,
		.least = 1, .moves = true,
	};

	cause = cause_find("VFIO_DEVICE_RESET");
	fault_sweep(&c);
}

/* ---- the end of one buffer ---- */

static int call_end(void)
{
	return buf_end(&mem, lent);
}

static bool has_ended(void)
{
	uint32_t v;

	return buf_state(lent) == BARTER_STATE_DEAD &&
		buf_reasons(lent) == BARTER_REASON_REQUESTED &&
		peek(map, &v) == SIGBUS && !tester_stat(t, id).out_mapped;
}

/* It cannot be undone: another buffer takes its place. */
static bool whole_end(int ret)
{
	bool fine = has_ended();

	(void)ret;
	revoke_end();
	revoke_begin();
	return fine;
}

static bool whole_end_with_fence(int ret)
{
	bool fine = signalled && has_ended();

	(void)ret;
	fence_end();
	fence_begin();
	return fine;
}

/* What was cut from it, and from that; one is mapped, and one is watched. */
static int cut[2], event, watches;
static volatile uint8_t *cut_map;

static void family_begin(void)
{
	revoke_begin();
	cut[0] = slice1(lent, 0, 2 * PAGE);
	cut[1] = slice1(cut[0], PAGE, PAGE);
	cut_map = buf_map(cut[0], 0, 2 * PAGE, PROT_READ);
	if (!lend_shows(cut_map, OFFSET))
		tap_bail("no slices to begin with");
	event = event_new();
	watches = watch_file();
	if (watch_begin(watches, cut[1], event, NULL))
		tap_bail("no watch to begin with");
}

static void family_end(void)
{
	close(watches);
	close(event);
	munmap((void *)cut_map, 2 * PAGE);
	for (int i = 0; i < 2; i++)
		close(cut[i]);
	revoke_end();
}

static bool family_has(int state)
{
	uint32_t v;

	return buf_state(lent) == state && buf_state(cut[0]) == state &&
		buf_state(cut[1]) == state && peek(cut_map, &v) == SIGBUS &&
		event_take(event, 5000);
}

static bool whole_family_end(int ret)
{
	bool fine = has_ended() && family_has(BARTER_STATE_DEAD);

	(void)ret;
	family_end();
	family_begin();
	return fine;
}

static bool whole_family_revoke(int ret)
{
	bool fine = family_has(BARTER_STATE_REVOKED);

	fine = whole_revoke(ret) && fine;
	return fine && event_take(event, 5000) && lend_shows(cut_map, OFFSET) &&
		buf_state(cut[1]) == BARTER_STATE_OK;
}

static void slices_and_a_watch(void)
{
	const struct fault_call calls[] = {
		{ .name = "end of a buffer with slices",
		  .before = family_begin,
		  .call = call_end,
		  .whole = whole_family_end,
		  .after = family_end,
		  .none = true,
		  .moves = true },
		{ .name = "memory off under slices",
		  .before = family_begin,
		  .call = cause_begin,
		  .whole = whole_family_revoke,
		  .after = family_end,
		  .none = true,
		  .moves = true },
	};

	cause = cause_find("memory off by a word");
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

static void end_of_a_buffer(void)
{
	const struct fault_call calls[] = {
		{ .name = "end of a buffer",
		  .before = revoke_begin,
		  .call = call_end,
		  .whole = whole_end,
		  .after = revoke_end,
		  .none = true,
		  .moves = true },
		{ .name = "end of a buffer that waits for a fence",
		  .before = fence_begin,
		  .call = call_end,
		  .whole = whole_end_with_fence,
		  .after = fence_end,
		  .least = 1,
		  .moves = true },
	};

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

/* ---- the sample importer ---- */

static int call_edu_open(void)
{
	return edu_open();
}

static bool whole_fd(int got)
{
	return !close(got);
}

static void edu_begin(void)
{
	edu = edu_open();
	if (edu < 0)
		tap_bail("the sample importer: %s", strerror(-edu));
	lend_ranges(8, PAGE);
}

static void edu_begin_import(void)
{
	edu_begin();
	if (edu_import(edu, lent))
		tap_bail("no import to begin with");
}

static void edu_end(void)
{
	close(edu);
	lend_close();
}

static int call_import(void)
{
	return edu_import(edu, lent);
}

static bool whole_import(int ret)
{
	bool fine = !edu_read(edu, 0, data, sizeof(data));

	(void)ret;
	fine = fine && differs(data, SEED, OFFSET, sizeof(data)) < 0;
	close(edu);
	edu = edu_open();
	return fine;
}

static int call_edu_read(void)
{
	memset(data, 0, sizeof(data));
	return edu_read(edu, 0, data, sizeof(data));
}

static int call_edu_write(void)
{
	fill(data, SEED, OFFSET, sizeof(data));
	return edu_write(edu, 0, data, sizeof(data));
}

static bool whole_copy(int ret)
{
	bool fine = differs(data, SEED, OFFSET, sizeof(data)) < 0 &&
		differs(bar + OFFSET, SEED, OFFSET, sizeof(data)) < 0 &&
		edu_status(edu).out_mapped;

	(void)ret;
	/* Without the mapping, as it was. */
	close(edu);
	edu = edu_open();
	return fine && !edu_import(edu, lent);
}

static int call_edu_close(void)
{
	return close(edu) ? -errno : 0;
}

static bool whole_edu_close(int ret)
{
	(void)ret;
	edu = edu_open();
	return edu >= 0 && !edu_import(edu, lent);
}

static void sample_importer(void)
{
	static const struct fault_call calls[] = {
		{ .name = "open the sample importer",
		  .call = call_edu_open,
		  .whole = whole_fd,
		  .least = 2 },
		{ .name = "import",
		  .before = edu_begin,
		  .call = call_import,
		  .whole = whole_import,
		  .after = edu_end,
		  .least = 2 },
		{ .name = "read by DMA",
		  .before = edu_begin_import,
		  .call = call_edu_read,
		  .whole = whole_copy,
		  .after = edu_end,
		  .least = 2 },
		{ .name = "close the sample importer",
		  .before = edu_begin_import,
		  .call = call_edu_close,
		  .whole = whole_edu_close,
		  .after = edu_end,
		  .none = true },
		{ .name = "write by DMA",
		  .before = edu_begin_import,
		  .call = call_edu_write,
		  .whole = whole_copy,
		  .after = edu_end,
		  .least = 2 },
	};

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

/*
 * With an IOMMU domain of its own: core maps. The domain's page tables are there, the
 * importer's own page being close by; fault_typed has maps that need new ones.
 */
static void in_a_domain_of_its_own(void)
{
	int ret = edu_own_domain(true);

	need(!ret, "edu in a domain of its own");
	sample_importer();
	is_errno(edu_own_domain(false), 0, "and in the kernel's again");
}

int main(void)
{
	lend_begin();
	CASE_LIMIT(dma_maps, 120);
	CASE_LIMIT(revokes, 120);
	CASE_LIMIT(revoke_with_a_fence, 60);
	CASE_LIMIT(end_of_a_buffer, 60);
	CASE_LIMIT(slices_and_a_watch, 60);
	CASE_LIMIT(sample_importer, 120);
	CASE_LIMIT(in_a_domain_of_its_own, 120);
	return lend_end();
}
