// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Hot resets by whoever has opened the device by its character device: no groups
 * are named, and the iommufd says whose each device of the set is. Nobody's buffers
 * go away for a request that is refused.
 *
 * For the machine whose two ivshmem devices share a group, with two igb functions
 * besides, which are reset together but have a group each.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/fixture.h"
#include "lib/iommufd.h"
#include "lib/native.h"
#include "lib/tester.h"

#define IGB	0x808610c9u

/* Two that are reset together. */
static char in_one_group[2][BDF_LENGTH], apart[2][BDF_LENGTH];
static struct dev devs[2];
static struct ioas mine, others;

static int hot_reset(const struct dev *d)
{
	struct vfio_pci_hot_reset none = { .argsz = sizeof(none) };

	return ioctl(d->fd, VFIO_DEVICE_PCI_HOT_RESET, &none) ? -errno : 0;
}

static int lend(const struct dev *d, int index)
{
	struct vfio_region_dma_range page = { 0, PAGE };

	return own_export(d, index, &page, 1);
}

static uint64_t generation(int fd)
{
	struct barter_info info;

	return buf_info(fd, &info) ? 0 : info.out_generation;
}

/* One caller has both, or the second is bound and no more. */
static void the_whole_set(char names[2][BDF_LENGTH], int index)
{
	uint64_t gen[2];
	int fd[2];

	need(!dev_open_by_cdev(&devs[0], names[0], &mine) &&
	     !dev_open_by_cdev(&devs[1], names[1], &mine), "open both");
	for (int i = 0; i < 2; i++) {
		fd[i] = lend(&devs[i], index);
		need(fd[i] >= 0, "a buffer of device %d", i);
	}
	for (int through = 0; through < 2; through++) {
		for (int i = 0; i < 2; i++)
			gen[i] = generation(fd[i]);
		is_errno(hot_reset(&devs[through]), 0, "through device %d",
			 through);
		for (int i = 0; i < 2; i++) {
			ok(generation(fd[i]) >= gen[i] + 2,
			   "device %d: away and back", i);
			is(buf_state(fd[i]), BARTER_STATE_OK, "device %d: OK", i);
		}
	}
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		dev_close(&devs[i]);
	}
}

static void one_owner_of_one_group(void)
{
	the_whole_set(in_one_group, BAR);
}

static void one_owner_of_two_groups(void)
{
	the_whole_set(apart, 0);
}

static int reset_first(void *unused)
{
	(void)unused;
	return -hot_reset(&devs[0]);
}

/*
 * Who has a device of a group has the group, so a sibling that nobody opened is no
 * obstacle: the buffers are taken away before core is asked, where the caller can
 * still be killed.
 */
static void sibling_that_nobody_opened(void)
{
	int fd, t, id;
	bool waits;
	pid_t pid;

	need(!pci_bind(in_one_group[1], pci_lender()) &&
	     !dev_open_by_cdev(&devs[0], in_one_group[0], &mine), "open one");
	fd = lend(&devs[0], BAR);
	t = tester_open();
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "an importer that does not let go");
	pid = spawn(reset_first, NULL);
	WAIT_FOR(waits, buf_state(fd) == BARTER_STATE_REVOKING, 5000);
	ok(waits, "a hot reset waits for it");
	kill(pid, SIGKILL);
	ok(reap(pid, 5000) != -ETIMEDOUT, "the caller can be killed");
	is(buf_reasons(fd), BARTER_REASON_INTERRUPTED, "interrupted");
	is_errno(tester_letgo(t, id), 0, "it lets go");
	is_errno(hot_reset(&devs[0]), 0, "another hot reset");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	close(t);
	close(fd);
	dev_close(&devs[0]);
}

/* Groups are for those who have opened the device by its group. */
static void groups_are_no_title(void)
{
	struct {
		struct vfio_pci_hot_reset h;
		int32_t fd;
	} arg = { .h = { .argsz = sizeof(arg), .count = 1 } };
	uint64_t gen;
	int fd;

	need(!pci_bind(in_one_group[1], pci_lender()) &&
	     !dev_open_by_cdev(&devs[0], in_one_group[0], &mine), "open one");
	fd = lend(&devs[0], BAR);
	gen = generation(fd);
	arg.fd = mine.fd;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg) < 0 ? errno : 0,
	   EINVAL, "the iommufd in a group's place");
	arg.fd = devs[0].fd;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg) < 0 ? errno : 0,
	   EINVAL, "the device in a group's place");
	is(generation(fd), gen, "the buffer never changed");
	close(fd);
	dev_close(&devs[0]);
}

/* Both opened, each by an iommufd of its own. */
static void another_owner(void)
{
	uint64_t gen[2];
	int fd[2];

	need(!dev_open_by_cdev(&devs[0], apart[0], &mine) &&
	     !dev_open_by_cdev(&devs[1], apart[1], &others),
	     "one here and one there");
	for (int i = 0; i < 2; i++) {
		fd[i] = lend(&devs[i], 0);
		need(fd[i] >= 0, "a buffer of device %d", i);
		gen[i] = generation(fd[i]);
	}
	for (int i = 0; i < 2; i++)
		is_errno(hot_reset(&devs[i]), EINVAL, "through device %d", i);
	for (int i = 0; i < 2; i++) {
		is(generation(fd[i]), gen[i], "device %d: never changed", i);
		is(buf_state(fd[i]), BARTER_STATE_OK, "device %d: OK", i);
	}

	/* Closed, the second is nobody's: still not the caller's. */
	close(fd[1]);
	dev_close(&devs[1]);
	is_errno(hot_reset(&devs[0]), EINVAL, "a group that nobody has");
	is(generation(fd[0]), gen[0], "never changed");
	/* Opened by its group, it is somebody's who has no iommufd. */
	need(!dev_open(&devs[1], apart[1]), "the second by its group");
	fd[1] = lend(&devs[1], 0);
	gen[1] = generation(fd[1]);
	is_errno(hot_reset(&devs[0]), EINVAL, "a group opened as such");
	is_errno(hot_reset(&devs[1]), EINVAL, "through that, without a group");
	is(generation(fd[0]), gen[0], "device 0: never changed");
	is(generation(fd[1]), gen[1], "device 1: never changed");
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		dev_close(&devs[i]);
	}
}

int main(void)
{
	for (unsigned int i = 0; i < 2; i++)
		if (pci_find(PCI_IVSHMEM, i, in_one_group[i]) ||
		    pci_find(IGB, i, apart[i]))
			tap_bail("this machine lacks a device");
	if (pci_group(in_one_group[0]) != pci_group(in_one_group[1]) ||
	    pci_group(apart[0]) == pci_group(apart[1]))
		tap_bail("groups %d %d, %d %d", pci_group(in_one_group[0]),
			 pci_group(in_one_group[1]), pci_group(apart[0]),
			 pci_group(apart[1]));
	/* All of a bus must be VFIO's for it to be reset. */
	for (unsigned int i = 0; i < 2; i++)
		if (pci_bind(in_one_group[i], pci_lender()) ||
		    pci_bind(apart[i], pci_lender()))
			tap_bail("the devices cannot be bound");
	/* Its folder is there when the first device is. */
	if (!iommufd_there() || ioas_open(&mine) || ioas_open(&others))
		tap_bail("this kernel has no iommufd, or VFIO does not use it");
	CASE(one_owner_of_one_group);
	CASE(one_owner_of_two_groups);
	CASE(sibling_that_nobody_opened);
	CASE(groups_are_no_title);
	CASE(another_owner);
	return tap_done();
}
