// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault_dma, for hot resets of two devices together, whose buffers are
 * mapped by a CPU and by an importer, and watched. By groups and by character devices,
 * in one IOMMU group and in two. A reset is done and both devices' buffers have been away
 * and are back, or neither's has changed. For machine shared, with two igb functions.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/buf.h"
#include "lib/fault.h"
#include "lib/iommufd.h"
#include "lib/native.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/watch.h"

#define IGB 0x808610c9u

/* Two that are reset together, and the BAR that they lend. */
static char in_one_group[2][BDF_LENGTH], apart[2][BDF_LENGTH];
static struct dev devs[2];
static int bar;

static struct lent {
	int fd, id, event;
	volatile uint8_t *map;
	uint64_t generation;
} lent[2];
static int importers = -1, watches = -1;
static struct vfio_pci_hot_reset *request;

static void lend(void)
{
	const struct vfio_region_dma_range page = { 0, PAGE };
	uint32_t v;

	importers = tester_open();
	watches = watch_file();
	for (int i = 0; i < 2; i++) {
		struct lent *l = &lent[i];

		l->fd = own_export(&devs[i], bar, &page, 1);
		l->map = buf_map(l->fd, 0, PAGE, PROT_READ);
		l->id = tester_attach(importers, l->fd, 0);
		l->event = event_new();
		if (!l->map || peek(l->map, &v) || l->id < 0 ||
		    tester_map(importers, l->id, BARTER_TEST_TO_DEVICE, NULL) ||
		    watch_begin(watches, l->fd, l->event, NULL))
			tap_bail("no buffer of device %d to begin with", i);
		l->generation = buf_generation(l->fd);
	}
}

static void unlend(void)
{
	close(watches);
	close(importers);
	for (int i = 0; i < 2; i++) {
		close(lent[i].event);
		munmap((void *)lent[i].map, PAGE);
		close(lent[i].fd);
	}
}

static int call_reset(void)
{
	return ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, request) ? -errno : 0;
}

/* A device may lose COMMAND in a reset, and its user gives it back. */
static bool whole_reset(int ret)
{
	bool fine = true;
	uint32_t v;

	(void)ret;
	for (int i = 0; i < 2; i++) {
		struct lent *l = &lent[i];

		fine = fine && buf_state(l->fd) == BARTER_STATE_OK && !buf_reasons(l->fd) &&
		       buf_generation(l->fd) >= l->generation + 2 &&
		       !tester_stat(importers, l->id).out_mapped && event_take(l->event, 10000) &&
		       !peek(l->map, &v) &&
		       !tester_map(importers, l->id, BARTER_TEST_TO_DEVICE, NULL);
	}
	return fine;
}

static void sweep_reset(const char *name, int nr_groups)
{
	const struct fault_call c = {
		.name = name,
		.before = lend,
		.call = call_reset,
		.whole = whole_reset,
		.after = unlend,
		.least = nr_groups ? 4 : 1,
		.moves = true,
		/* As in fault_dma. */
		.strict = true,
	};
	int32_t *groups;

	request = calloc(1, sizeof(*request) + 2 * sizeof(*groups));
	request->argsz = (uint32_t)(sizeof(*request) + (unsigned int)nr_groups * sizeof(*groups));
	request->count = (uint32_t)nr_groups;
	groups = (int32_t *)(request + 1);
	for (int i = 0; i < nr_groups; i++)
		groups[i] = devs[i].group;
	fault_sweep(&c);
	free(request);
}

static void close_both(void)
{
	dev_close(&devs[1]);
	dev_close(&devs[0]);
}

static void by_one_group(void)
{
	bar = 2;
	need(!dev_open(&devs[0], in_one_group[0]) &&
		     !dev_open_in(&devs[1], in_one_group[1], &devs[0]),
	     "open both");
	sweep_reset("hot reset by a group", 1);
	close_both();
}

static void by_two_groups(void)
{
	bar = 0;
	need(!dev_open(&devs[0], apart[0]) && !dev_open(&devs[1], apart[1]), "open both");
	sweep_reset("hot reset by two groups", 2);
	close_both();
}

static void sweep_cdev(const char *name, char names[2][BDF_LENGTH], int index)
{
	struct ioas ioas;

	bar = index;
	need(!ioas_open(&ioas) && !dev_open_by_cdev(&devs[0], names[0], &ioas) &&
		     !dev_open_by_cdev(&devs[1], names[1], &ioas),
	     "open both");
	sweep_reset(name, 0);
	close_both();
	ioas_close(&ioas);
}

static void by_character_devices(void)
{
	sweep_cdev("hot reset by character devices, one group", in_one_group, 2);
	sweep_cdev("hot reset by character devices, two groups", apart, 0);
}

int main(void)
{
	int fds;

	for (unsigned int i = 0; i < 2; i++)
		if (pci_find(PCI_IVSHMEM, i, in_one_group[i]) || pci_find(IGB, i, apart[i]))
			tap_bail("this machine lacks a device");
	/* All of a bus must be VFIO's for it to be reset. */
	for (unsigned int i = 0; i < 2; i++)
		if (pci_bind(in_one_group[i], pci_lender()) || pci_bind(apart[i], pci_lender()))
			tap_bail("the devices cannot be bound");
	barter_fd();
	fault_init();
	fds = count_fds();
	CASE_LIMIT(by_one_group, 120);
	CASE_LIMIT(by_two_groups, 120);
	CASE_LIMIT(by_character_devices, 240);
	ok(fault_total() > 0, "%u allocations failed in all", fault_total());
	is(count_fds(), fds, "no file was left open");
	return tap_done();
}
