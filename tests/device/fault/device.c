// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory when a device file is closed whose buffers are in use: mapped by a CPU and
 * by an importer, cut from, watched. The witness is of another device.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/slice.h"
#include "../lib/tester.h"
#include "../lib/watch.h"
#include "fault.h"

#define USED (8 * PAGE)

static struct dev dev;
static int buf = -1, cut = -1, importers = -1, id, watches = -1, event = -1;
static volatile uint8_t *map;

static void device_up(void)
{
	uint32_t v;

	dev.fd = ioctl(dev.group, VFIO_GROUP_GET_DEVICE_FD, dev.bdf);
	if (dev.fd < 0 || dev_regions(&dev) || dev_set_memory(&dev, true))
		tap_bail("open %s: %s", dev.bdf, strerror(errno));
	buf = buf_export1(&dev, BAR, 0, USED);
	cut = slice1(buf, PAGE, PAGE);
	map = buf_map(buf, 0, USED, RW);
	importers = tester_open();
	id = tester_attach(importers, buf, 0);
	event = event_new();
	watches = watch_file();
	if (cut < 0 || !map || peek(map, &v) || id < 0 ||
	    tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL) ||
	    watch_begin(watches, cut, event, NULL))
		tap_bail("no buffer in use to begin with");
}

static void device_down(void)
{
	close(watches);
	close(event);
	close(importers);
	munmap((void *)map, USED);
	close(cut);
	close(buf);
	if (dev.fd >= 0)
		close(dev.fd);
	dev.fd = -1;
}

static int call_close(void)
{
	return close(dev.fd) ? -errno : 0;
}

/* For ever; all is made anew. */
static bool whole_close(int ret)
{
	uint32_t v;
	bool fine;

	(void)ret;
	dev.fd = -1;
	fine = buf_state(buf) == BARTER_STATE_DEAD && buf_reasons(buf) & BARTER_REASON_CLOSED &&
	       buf_state(cut) == BARTER_STATE_DEAD && peek(map, &v) == SIGBUS &&
	       !tester_stat(importers, id).out_mapped && event_take(event, 10000);
	device_down();
	device_up();
	return fine;
}

static void close_of_a_device(void)
{
	const struct fault_call c = {
		.name = "close of a device whose buffers are in use",
		.before = device_up,
		.call = call_close,
		.whole = whole_close,
		.after = device_down,
		.may_be_none = "the kernel's own part of it, which is all, may do without",
		.moves = true,
	};
	const char *bdf = getenv("VM_VRAM1");

	need(bdf && !pci_bind(bdf, pci_lender()) && !dev_open_group(&dev, bdf), "a second memory");
	fault_sweep(&c);
	dev_close(&dev);
}

void device_cases(void)
{
	CASE_LIMIT(close_of_a_device, 120);
}
