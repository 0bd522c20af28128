// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory when the driver loses a device whose file is open and whose buffers are in
 * use: mapped by a CPU and by an importer, cut from, watched. By unbind and by removal of
 * the device, neither of which can fail once the driver is asked: the memory is taken
 * back, whatever is missing, before the user has closed anything. The witness is of
 * another device.
 *
 * The user came by an iommufd, so that it is his close which gives the device's IOMMU back
 * to the kernel. By a group and a container the unbind does that, and where memory is
 * missing for it the kernel warns by itself, with any driver of VFIO
 * (__iommu_release_dma_ownership()). Of a removal only what the driver is asked for counts:
 * what follows is the PCI core's and the IOMMU's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/iommufd.h"
#include "../lib/slice.h"
#include "../lib/tester.h"
#include "../lib/watch.h"
#include "fault.h"

#define USED (8 * PAGE)

static struct dev dev;
static struct ioas ioas;
static char bdf[BDF_LENGTH];
static int buf = -1, cut = -1, importers = -1, id, watches = -1, event = -1;
static volatile uint8_t *map;
static int file = -1; /* of sysfs, by which it goes */
static bool removes;

/* The device's user, who closes once the memory has been taken, or if nothing comes. */
static pthread_t user;
static volatile bool over;
static bool taken, joined;

static bool is_dead(int fd)
{
	return buf_state(fd) == BARTER_STATE_DEAD && buf_reasons(fd) & BARTER_REASON_GONE;
}

static bool is_taken(void)
{
	uint32_t v;

	return is_dead(buf) && is_dead(cut) && peek(map, &v) == SIGBUS &&
	       !tester_stat(importers, id).out_mapped && event_take(event, 1000);
}

static void *wait_and_close(void *arg)
{
	bool dead = false;

	(void)arg;
	for (int64_t end = now_ms() + 10000; !over && !dead && now_ms() < end; usleep(1000))
		dead = buf_state(buf) == BARTER_STATE_DEAD;
	if (over)
		return NULL;
	taken = dead && is_taken();
	close(dev.fd);
	dev.fd = -1;
	return NULL;
}

static void device_up(void)
{
	char path[128];
	uint32_t v;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf,
		 removes ? "remove" : "driver/unbind");
	if (dev_open_by_cdev(&dev, bdf, &ioas) || dev_set_memory(&dev, true))
		tap_bail("open %s: %s", bdf, strerror(errno));
	file = open(path, O_WRONLY | O_CLOEXEC);
	buf = buf_export1(&dev, BAR, 0, USED);
	cut = slice1(buf, PAGE, PAGE);
	map = buf_map(buf, 0, USED, RW);
	importers = tester_open();
	id = tester_attach(importers, buf, 0);
	event = event_new();
	watches = watch_file();
	if (file < 0 || cut < 0 || !map || peek(map, &v) || id < 0 ||
	    tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL) ||
	    watch_begin(watches, cut, event, NULL))
		tap_bail("no buffer in use to begin with");
	over = taken = joined = false;
	if (pthread_create(&user, NULL, wait_and_close, NULL))
		tap_bail("no thread");
}

static void user_ends(void)
{
	over = true;
	if (!joined)
		pthread_join(user, NULL);
	joined = true;
}

static void device_down(void)
{
	user_ends();
	close(watches);
	close(event);
	close(importers);
	munmap((void *)map, USED);
	close(cut);
	close(buf);
	close(file);
	dev_close(&dev);
}

/* sysfs takes a device's name to unbind, and a number to remove it. */
static int call_gone(void)
{
	const char *text = removes ? "1" : bdf;

	return write(file, text, strlen(text)) < 0 ? -errno : 0;
}

static bool whole_gone(int ret)
{
	char driver[64] = "";
	bool fine;

	(void)ret;
	/* It returns when the user has closed. */
	user_ends();
	pci_driver(bdf, driver, sizeof(driver));
	fine = taken && is_dead(buf) && is_dead(cut) && !driver[0] && pci_exists(bdf) == !removes;
	device_down();
	if (removes) {
		bool back;

		sysfs_put("1", "/sys/bus/pci/rescan");
		WAIT_FOR(back, pci_exists(bdf), 10000);
	}
	device_up();
	return fine;
}

static void sweep_gone(const char *name, bool by_removal)
{
	const struct fault_call c = {
		.name = name,
		.before = device_up,
		.call = call_gone,
		.whole = whole_gone,
		.after = device_down,
		.least = by_removal ? 5 : 8,
		.moves = true,
		.scope = by_removal ? "pci_device_remove" : NULL,
	};
	const char *second = getenv("VM_VRAM1");

	need(second && strlen(second) < sizeof(bdf), "a second memory");
	strcpy(bdf, second);
	need(!pci_bind(bdf, pci_lender()) && !ioas_open(&ioas), "an iommufd");
	removes = by_removal;
	fault_sweep(&c);
	ioas_close(&ioas);
}

static void unbound_while_open(void)
{
	sweep_gone("unbind while buffers are in use", false);
}

static void removed_while_open(void)
{
	sweep_gone("removal while buffers are in use", true);
}

void gone_cases(void)
{
	CASE_LIMIT(unbound_while_open, 240);
	CASE_LIMIT(removed_while_open, 300);
}
