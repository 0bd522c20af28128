// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, when the link to a device fails (AER): in the kernel's thread
 * that recovers it, and asks the driver on its way. Whatever is missing, the memory is
 * taken back, and a reset mends what an error has left. A boot of its own: with AER in
 * play vfio-pci-core takes locks in orders of which lockdep complains later (doc/testing.md,
 * the fuzzer).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/host.h"
#include "lib/lend.h"
#include "lib/tester.h"
#include "lib/watch.h"

#define USED (8 * PAGE)

static const char inject[] = "pcie_aer_inject_error rp0 DLP";
static volatile uint8_t *map;
static int importers = -1, id, watches = -1, event = -1;
static uint64_t generation;
static struct log log;

static void use(void)
{
	lend_one(USED);
	map = buf_map(lent, 0, USED, PROT_READ);
	importers = tester_open();
	id = tester_attach(importers, lent, 0);
	watches = watch_file();
	event = event_new();
	if (!lend_shows(map, OFFSET) || id < 0 ||
	    tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL) ||
	    watch_begin(watches, lent, event, NULL))
		tap_bail("no buffer in use to begin with");
	generation = buf_generation(lent);
	log_open(&log);
}

static void unuse(void)
{
	log_close(&log);
	close(event);
	close(watches);
	close(importers);
	munmap((void *)map, USED);
	lend_close();
}

/* Until the thread is done, one way or the other. */
static int call_error(void)
{
	char text[256];

	if (host_monitor(inject, text, sizeof(text)))
		return -EIO;
	return log_wait(&log, "AER: device recovery", NULL, 60000) ? 0 : -ETIMEDOUT;
}

static bool whole_error(int ret)
{
	bool fine = buf_generation(lent) > generation && !tester_stat(importers, id).out_mapped &&
		    event_take(event, 10000);
	bool mended;

	(void)ret;
	if (buf_state(lent) != BARTER_STATE_OK)
		fine = fine && buf_reasons(lent) & BARTER_REASON_ERROR;
	/* Once recovery has let go of the device. */
	WAIT_FOR(mended, !dev_reset(&mem), 30000);
	return mended && !dev_set_memory(&mem, true) && buf_state(lent) == BARTER_STATE_OK &&
	       !buf_reasons(lent) && lend_shows(map, OFFSET) && fine &&
	       !tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL);
}

static bool is_irq_of(const char *bdf, int irq)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/msi_irqs/%d", bdf, irq);
	return !access(path, F_OK);
}

/* The thread for errors of the port above @bdf; -1 if there is none. */
static int find_thread(const char *bdf)
{
	char port[BDF_LENGTH], comm[32];
	DIR *dir = opendir("/proc");
	int irq, tid = -1;
	struct dirent *e;

	pci_parent(bdf, port, sizeof(port));
	while (dir && tid < 0 && (e = readdir(dir)))
		if (atoi(e->d_name) > 0 &&
		    sysfs_read(comm, sizeof(comm), "/proc/%.16s/comm", e->d_name) >= 0 &&
		    sscanf(comm, "irq/%d-aerdrv", &irq) == 1 && strstr(comm, "aerdrv") &&
		    is_irq_of(port, irq))
			tid = atoi(e->d_name);
	if (dir)
		closedir(dir);
	return tid;
}

static void error_of_the_link(void)
{
	static const struct fault_call c = {
		.name = "error of the link",
		.before = use,
		.call = call_error,
		.whole = whole_error,
		.after = unuse,
		.least = 1,
		.moves = true,
	};
	int thread = find_thread(mem.bdf);

	need(thread > 0, "a thread for errors of %s's port", mem.bdf);
	fill(bar, SEED, 0, OFFSET + LENT);
	fault_task(thread);
	fault_sweep(&c);
	fault_task(0);
}

static void nothing_is_left(void)
{
	bool gone;

	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
	ok(fault_total() > 0, "%u allocations failed in all", fault_total());
}

int main(void)
{
	fixture_open();
	fault_init();
	CASE_LIMIT(error_of_the_link, 240);
	CASE(nothing_is_left);
	return tap_done();
}
