// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The known exceptions of what a revoke guarantees. Each test states what
 * happens today; if one fails because the behaviour got better, the
 * documentation has to follow.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/stall.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	91
#define IOVA	0x40000000ull

/*
 * VFIO type1 takes the page numbers behind an mmap and keeps them in the IOMMU:
 * neither a revoke nor the end of the buffer removes them. As on stock kernels.
 */
static void type1_keeps_its_mapping(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB);
	volatile uint8_t *map = buf_map(fd, 0, MIB, RW);
	uint32_t v;

	need(map, "export and mmap");
	is_errno(dev_dma_map(&mem, (void *)map, IOVA, MIB), 0,
		 "MAP_DMA of a buffer's mmap");
	is_errno(dev_set_memory(&mem, false), 0, "revoke does not wait");
	is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED");
	is(peek(map, &v), SIGBUS, "the mmap faults");
	is(dev_dma_unmap(&mem, IOVA, MIB), MIB,
	   "the IOMMU still had all of it");
	is(dev_dma_unmap(&mem, IOVA, MIB), 0, "now it has not");
	is_errno(dev_dma_map(&mem, (void *)map, IOVA, MIB), EFAULT,
		 "MAP_DMA while revoked");
	is_errno(dev_set_memory(&mem, true), 0, "restore");
	is_errno(dev_dma_map(&mem, (void *)map, IOVA, MIB), 0,
		 "MAP_DMA after the restore");
	munmap((void *)map, MIB);
	close(fd);
	is(dev_dma_unmap(&mem, IOVA, MIB), MIB,
	   "it also outlives the buffer");
}

#define MMAP_BUFFERS	"/sys/module/barter_vfio_pci/parameters/mmap_buffers"

/*
 * Core does not take its own BAR mmaps away for a reset by sysfs. Where the parameter
 * is on, which is the default, they are not core's own (suite barmmap).
 */
static void bar_mmap_survives_a_sysfs_reset(void)
{
	struct rusage before, after;
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	volatile uint8_t *map = buf_map(fd, 0, PAGE, RW);
	struct barter_info first, last;
	uint32_t v;

	if (!dev_maps_bar(&mem, BAR)) {
		skip("VFIO cannot map it on this kernel", "VFIO's own mapping");
		munmap((void *)map, PAGE);
		close(fd);
		return;
	}
	sysfs_put("N", MMAP_BUFFERS);
	fixture_reopen();
	close(fd);
	munmap((void *)map, PAGE);
	fd = buf_export1(&mem, BAR, 0, PAGE);
	map = buf_map(fd, 0, PAGE, RW);
	need(map && !peek(map, &v) && !peek(bar, &v), "both mappings in use");
	buf_info(fd, &first);
	is_errno(pci_reset(mem.bdf), 0, "sysfs reset");
	getrusage(RUSAGE_SELF, &before);
	peek(bar, &v);
	getrusage(RUSAGE_SELF, &after);
	is(after.ru_minflt - before.ru_minflt, 0,
	   "VFIO's own mapping did not go away");
	peek(map, &v);
	buf_info(fd, &last);
	ok(last.out_faults_pte + last.out_faults_pmd >
	   first.out_faults_pte + first.out_faults_pmd,
	   "the buffer's mapping did");
	/* The reset that core does itself takes both. */
	is_errno(dev_reset(&mem), 0, "VFIO_DEVICE_RESET");
	getrusage(RUSAGE_SELF, &before);
	peek(bar, &v);
	getrusage(RUSAGE_SELF, &after);
	ok(after.ru_minflt > before.ru_minflt,
	   "VFIO's own mapping went away with its own reset");
	munmap((void *)map, PAGE);
	close(fd);
	sysfs_put("Y", MMAP_BUFFERS);
	fixture_reopen();
}

/*
 * A second thread changes the bytes of a config write between the two looks at
 * them. Importers may then be told one call late; once a call has returned, the
 * state agrees with COMMAND.
 */
static uint8_t shared[2];
static volatile bool stop;

static void *flip(void *arg)
{
	volatile uint8_t *byte = arg;

	while (!stop)
		*byte ^= PCI_COMMAND_MEMORY;
	return NULL;
}

static void racing_config_writes(void)
{
	unsigned int on = 0, off = 0, wrong = 0;
	uint16_t command = dev_command(&mem);
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	volatile uint8_t *map = buf_map(fd, 0, PAGE, RW);
	int64_t until = now_ms() + 4000;
	pthread_t thread;

	memcpy(shared, &command, 2);
	stop = false;
	pthread_create(&thread, NULL, flip, shared);
	while (now_ms() < until) {
		uint32_t v;
		bool memory;
		int sig;

		if (dev_write(&mem, PCI_COMMAND, shared, 2)) {
			wrong++;
			break;
		}
		memory = dev_command(&mem) & PCI_COMMAND_MEMORY;
		memory ? on++ : off++;
		sig = peek(map, &v);
		if (buf_state(fd) != (memory ? BARTER_STATE_OK :
				      BARTER_STATE_REVOKED) ||
		    sig != (memory ? 0 : SIGBUS)) {
			diag("memory %d, state %s, access %d", memory,
			     state_name(buf_state(fd)), sig);
			wrong++;
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	is(wrong, 0, "state and access agree with COMMAND after each write");
	ok(on && off, "%u writes on, %u off", on, off);
	dev_set_memory(&mem, true);
	is(buf_state(fd), BARTER_STATE_OK, "OK at the end");
	munmap((void *)map, PAGE);
	close(fd);
}

static long lost_races(void)
{
	char text[24] = "";

	if (sysfs_read(text, sizeof(text), "/sys/kernel/debug/barter-vfio-pci/config_races") <= 0)
		return -1;
	return strtol(text, NULL, 10);
}

static volatile pid_t writer;

static void *writes_command(void *arg)
{
	(void)arg;
	writer = gettid();
	/* Without a system call before the write. */
	while (!stop)
		;
	return (void *)(intptr_t)dev_write(&mem, PCI_COMMAND, shared, 2);
}

/* One race, lost for sure: judged as memory on, written as memory off. */
static void a_lost_config_race(void)
{
	uint16_t command = dev_command(&mem) | PCI_COMMAND_MEMORY;
	int fd = buf_export1(&mem, BAR, 0, PAGE), t = tester_open(), id;
	long races = lost_races();
	pthread_t thread;
	void *ret = NULL;
	bool there;

	id = tester_attach(t, fd, 0);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), "an importer");
	need(races >= 0, "debugfs counts lost races: %ld so far", races);
	memcpy(shared, &command, 2);
	stop = false;
	writer = 0;
	need(!pthread_create(&thread, NULL, writes_command, NULL), "a thread");
	WAIT_FOR(there, writer, 10000);
	stall_task_at("vfio_pci_core_write", writer);
	stop = true;
	WAIT_FOR(there, stalled() == 1, 10000);
	ok(there, "it was judged");
	*(volatile uint8_t *)shared ^= PCI_COMMAND_MEMORY;
	is(tester_stat(t, id).out_invalidates, 0, "the importer was not told");
	stall_ends();
	pthread_join(thread, &ret);
	stall_at("");
	is_errno((int)(intptr_t)ret, 0, "the write");
	ok(!(dev_command(&mem) & PCI_COMMAND_MEMORY), "memory is off");
	is(tester_stat(t, id).out_invalidates, 1, "by then the importer has been told");
	is(buf_state(fd), BARTER_STATE_REVOKED, "the buffer is revoked");
	is(lost_races(), races + 1, "the race was counted");
	is_errno(dev_set_memory(&mem, true), 0, "memory is on again");
	is(buf_state(fd), BARTER_STATE_OK, "OK at the end");
	close(t);
	close(fd);
}

/* The kernel's own exporter has the kernel's guarantees only. */
static void native_buffers(void)
{
	unsigned int major = 0, minor = 0;
	char bdf[BDF_LENGTH];
	struct barter_info info;
	struct utsname u;
	struct dev d;
	int fd, t, id;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) != 2)
		tap_bail("kernel %s", u.release);
	if (major < 6 || (major == 6 && minor < 19)) {
		skip("no exporter in the kernel before 6.19", "native buffers");
		return;
	}
	if (getenv("VM_VRAM1"))
		snprintf(bdf, sizeof(bdf), "%.15s", getenv("VM_VRAM1"));
	else if (pci_find(PCI_IVSHMEM, 1, bdf))
		tap_bail("this machine has no second ivshmem");
	need(!pci_bind(bdf, "vfio-pci") && !dev_open_bound(&d, bdf) &&
	     !dev_set_memory(&d, true), "a device on stock vfio-pci");
	fd = buf_export1(&d, BAR, 0, PAGE);
	if (fd == -ENOTTY) {
		skip("no exporter in a kernel without PCI_P2PDMA",
		     "native buffers");
		dev_close(&d);
		return;
	}
	need(fd >= 0, "the kernel's own exporter gives a buffer");
	is_errno(buf_info(fd, &info), EINVAL, "it is not barter's");
	is(buf_count(bdf), 0, "debugfs does not list it");

	if (may_map_native()) {
		t = tester_open();
		id = tester_attach(t, fd, 0);
		need(id >= 0 && !tester_map(t, id, 0, NULL), "attach and map");
		dev_set_memory(&d, false);
		is(tester_stat(t, id).out_mapped, 0, "memory off: the mapping is gone");
		is_errno(tester_map(t, id, 0, NULL), ENODEV, "memory off: map");
		dev_set_memory(&d, true);
		is_errno(tester_map(t, id, 0, NULL), 0, "memory on: map");
		close(t);
	}

	/* The same device and call under the lender: one with a state. */
	close(fd);
	dev_close(&d);
	need(!dev_open(&d, bdf), "the device on the lender");
	fd = buf_export1(&d, BAR, 0, PAGE);
	is(buf_state(fd), BARTER_STATE_OK, "there the buffer is barter's");
	close(fd);
	dev_close(&d);
}

int main(void)
{
	fixture_open();
	fill(bar, SEED, 0, MIB);
	CASE(type1_keeps_its_mapping);
	CASE(bar_mmap_survives_a_sysfs_reset);
	CASE(racing_config_writes);
	CASE(a_lost_config_race);
	CASE(native_buffers);
	return tap_done();
}
