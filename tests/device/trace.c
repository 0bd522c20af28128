// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The tracepoints: each step of a buffer's life leaves its line, with the words
 * that a reader looks for.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/fixture.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define TRACING	"/sys/kernel/tracing"

static char trace[1 << 16];

static void trace_read(void)
{
	size_t used = 0;
	ssize_t n;
	int fd = open(TRACING "/trace", O_RDONLY);

	while (fd >= 0 && used < sizeof(trace) - 1 &&
	       (n = read(fd, trace + used, sizeof(trace) - 1 - used)) > 0)
		used += (size_t)n;
	trace[used] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Is there a line of that event with both texts behind it? */
static bool traced(const char *event, const char *one, const char *two)
{
	char name[64];
	const char *at = trace;

	snprintf(name, sizeof(name), " %s: ", event);
	while ((at = strstr(at, name))) {
		const char *end = strchr(at, '\n');
		const char *a = strstr(at, one), *b = strstr(at, two);

		if (!end)
			end = at + strlen(at);
		if (a && a < end && b && b < end)
			return true;
		at++;
	}
	return false;
}

static void every_step_is_traced(void)
{
	char device[32], importer[32];
	volatile uint32_t *map;
	int t, fd, id, sync, fence, slice;

	snprintf(device, sizeof(device), "device=%s", mem.bdf);
	snprintf(importer, sizeof(importer), "importer=%s", edu_bdf());
	is_errno(sysfs_write("1", TRACING "/events/barter/enable"), 0,
		 "switch the events on");
	is_errno(sysfs_write("0", TRACING "/trace"), 0, "an empty trace");

	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, 4 * PAGE);
	id = tester_attach(t, fd, 0);
	need(fd >= 0 && id >= 0, "export, attach");
	is_errno(tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL), 0, "map");
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ);
	need(map, "mmap");
	(void)*map;
	fence = tester_fence(t, &sync);
	is_errno(fence_into(fd, sync), 0, "a fence");
	is_errno(tester_signal(t, fence), 0, "signalled");
	is_errno(dev_set_memory(&mem, false), 0, "revoke");
	is_errno(dev_set_memory(&mem, true), 0, "restore");
	slice = slice1(fd, PAGE, PAGE);
	is_errno(buf_end(&mem, slice), 0, "a slice, and its end");
	close(slice);
	munmap((void *)map, 4 * PAGE);
	close(sync);
	close(t);
	close(fd);
	trace_read();

	ok(traced("barter_export", device, "length=16384"), "export");
	ok(traced("barter_attach", importer, "error=0"), "attach");
	ok(traced("barter_route", importer, "route=2"), "route");
	ok(traced("barter_map", importer, "segments=1 error=0"), "map");
	ok(traced("barter_fault", "page=0 ", "order=0"), "fault");
	ok(traced("barter_revoke_start", device, "reason=0x1"), "revoke start");
	ok(traced("barter_unmap", importer, "buffer="), "unmap");
	ok(traced("barter_revoke_end", device, "error=0"), "revoke end");
	ok(traced("barter_restore", device, "reasons=0x0"), "restore");
	ok(traced("barter_slice", "parent=", "runs=1 length=4096"), "slice");
	ok(traced("barter_buf_revoke", "buffer=", "error=0"), "end of one buffer");
	ok(traced("barter_release", "buffer=", "buffer="), "release");
	sysfs_write("0", TRACING "/events/barter/enable");
}

static int memory_off(void *unused)
{
	(void)unused;
	return dev_set_memory(&mem, false) ? 1 : 0;
}

/* Each wait of a revoke, for a fence and for an importer. */
static void every_wait_is_traced(void)
{
	int t, fd, id, sync, fence;
	bool waits;
	pid_t pid;

	sysfs_write("1", TRACING "/events/barter/enable");
	sysfs_write("0", TRACING "/trace");
	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, PAGE);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(fd >= 0 && id >= 0, "export, attach");
	is_errno(tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL), 0, "map");
	fence = tester_fence(t, &sync);
	is_errno(fence_into(fd, sync), 0, "a fence");

	pid = spawn(memory_off, NULL);
	WAIT_FOR(waits, (trace_read(), traced("barter_wait_fence", "buffer=",
					      "seqno=")), 5000);
	ok(waits, "the wait for the fence");
	is_errno(tester_signal(t, fence), 0, "signal it");
	WAIT_FOR(waits, (trace_read(), traced("barter_wait_maps", "buffer=",
					      "maps=1")), 5000);
	ok(waits, "the wait for the importer");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 10000), 0, "the revoke is done");
	is_errno(dev_set_memory(&mem, true), 0, "restore");
	close(sync);
	close(t);
	close(fd);
	sysfs_write("0", TRACING "/events/barter/enable");
}

int main(void)
{
	fixture_open();
	CASE(every_step_is_traced);
	CASE(every_wait_is_traced);
	return tap_done();
}
