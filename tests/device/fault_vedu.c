// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, for the sample mediated devices (kernel/samples/vgpu). In
 * fault_vedu/: what a guest asks of its device (calls.c), BAR 2 and what is lent of it
 * (lend.c), what the vEDU's own worker does for it (worker.c), and what makes and ends
 * devices (driver.c). fault_driver loads and unloads the module.
 *
 * The worker is a thread of its own, in which allocations are made to fail as in ours.
 * Out of reach is what runs in the workers of the kernel's queues, which serve whoever
 * comes: the engine's turns, which allocate nothing, and the signals of watches.
 *
 * Of making a device these are left out: what the kernel's mdev does before the driver
 * is asked; and vfio_create_group(), whose way back from a failure warns by itself (head
 * of fault_driver.c), and each mediated device has a group of its own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fault_vedu/fault_vedu.h"

char edu[BDF_LENGTH], vram[BDF_LENGTH];
struct guest g;
uint8_t *ram;

/* Of another vEDU, whom none of this is about. */
static struct guest other;
static int witness = -1;
static volatile uint8_t *witness_map;
static long pinned;
long held;

static void fill_bar2(const struct guest *guest)
{
	volatile uint8_t *p = mmap(NULL, VEDU_BAR2, RW, MAP_SHARED, guest->d.fd,
				   (off_t)guest->d.offset[2]);

	if ((void *)p == MAP_FAILED)
		tap_bail("mmap of BAR 2: %s", strerror(errno));
	fill(p, SEED, 0, VEDU_BAR2);
	munmap((void *)p, VEDU_BAR2);
}

void guest_up(bool by_iommufd)
{
	int ret;

	ram = mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ram == MAP_FAILED)
		tap_bail("no memory for a guest");
	ret = vedu_open(&g, 0, by_iommufd) ?: vedu_map(&g, ram, IOVA, PAGES * PAGE, true);
	if (ret)
		tap_bail("a guest: %s", strerror(-ret));
	fill_bar2(&g);
}

void guest_down(void)
{
	vedu_close(&g);
	munmap(ram, PAGES * PAGE);
}

int guest_reopen(void)
{
	char uuid[40];

	snprintf(uuid, sizeof(uuid), VEDU_UUID, 0u);
	g.d.fd = ioctl(g.d.group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	return g.d.fd < 0 ? -errno : g.d.fd;
}

/* Nothing of it has changed, and nothing is pinned but what is held. */
static bool witness_stands(void)
{
	return buf_state(witness) == BARTER_STATE_OK && lend_shows(witness_map, 0) &&
	       vedu_get(&other, BARTER_VEDU_ID) == BARTER_VEDU_MAGIC &&
	       pages_pinned() == pinned + held;
}

static void witness_up(void)
{
	int ret = vedu_create(edu, "memory", 1) ?: vedu_open(&other, 1, false);

	if (ret)
		tap_bail("another vEDU: %s", strerror(-ret));
	fill_bar2(&other);
	witness = buf_export1(&other.d, 2, 0, 4 * PAGE);
	witness_map = buf_map(witness, 0, 4 * PAGE, PROT_READ);
	if (!witness_map || !lend_shows(witness_map, 0))
		tap_bail("no buffer to begin with");
	pinned = pages_pinned();
	fault_witness = witness_stands;
}

static void witness_down(void)
{
	fault_witness = NULL;
	munmap((void *)witness_map, 4 * PAGE);
	close(witness);
	vedu_close(&other);
	is_errno(vedu_remove(1), 0, "the other vEDU is removed");
}

/* The thread of the only vEDU that there is. */
static int find_worker(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	char comm[32];
	int tid = -1;

	while (dir && (e = readdir(dir)))
		if (atoi(e->d_name) > 0 &&
		    sysfs_read(comm, sizeof(comm), "/proc/%.16s/comm", e->d_name) >= 0 &&
		    !strncmp(comm, VEDU_DRIVER, strlen(VEDU_DRIVER)))
			tid = atoi(e->d_name);
	if (dir)
		closedir(dir);
	if (tid < 0)
		tap_bail("the vEDU has no worker");
	return tid;
}

int main(void)
{
	int fds, worker;

	if (pci_find(PCI_EDU, 1, edu) || pci_find(PCI_IVSHMEM, 1, vram))
		tap_bail("the machine has no second edu, or no second memory");
	if (pci_bind(edu, VEDU_DRIVER) || pci_bind(vram, VEDU_DRIVER) ||
	    vedu_create(edu, "memory", 0))
		tap_bail("no vEDU with memory");
	fault_init();
	buf_count(vram);
	barter_fd();
	fds = count_fds();
	worker = find_worker();
	witness_up();
	call_cases();
	lend_cases();
	worker_cases(worker);
	witness_down();
	is_errno(vedu_remove(0), 0, "main: the vEDU is removed");
	driver_cases();
	ok(fault_total() > 0, "main: %u allocations failed in all", fault_total());
	is(buf_count(vram), 0, "main: debugfs lists no buffer");
	is(count_fds(), fds, "main: no file was left open");
	is_errno(pci_unbind(vram), 0, "main: the memory is free");
	is_errno(pci_bind(edu, "barter-dma"), 0, "main: edu is barter-dma's again");
	return tap_done();
}
