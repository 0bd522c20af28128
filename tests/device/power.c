// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Power states by the PM capability, and the function level reset by the PCI
 * Express capability. For the machine with an NVMe controller, which has both;
 * the BAR that is lent is its registers.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/fixture.h"

#define RW	(PROT_READ | PROT_WRITE)
#define NVME_VS	8	/* version: a register that is never 0 */

static struct dev nvme;
static unsigned int pm, pcie;
static int fd;
static volatile uint8_t *map;
static uint32_t version;

static int set_power(unsigned int state, unsigned int width)
{
	uint32_t value = 0;
	int ret = dev_read(&nvme, pm + PCI_PM_CTRL, &value, width);

	if (ret)
		return ret;
	value = (value & ~(uint32_t)PCI_PM_CTRL_STATE_MASK) | state;
	return dev_write(&nvme, pm + PCI_PM_CTRL, &value, width);
}

static bool start(void)
{
	char bdf[BDF_LENGTH];
	uint32_t v = 0;

	if (pci_find(PCI_NVME, 0, bdf))
		tap_bail("this machine has no NVMe controller");
	if (!ok(!dev_open(&nvme, bdf), "open %s", bdf))
		return false;
	pm = dev_capability(&nvme, PCI_CAP_ID_PM);
	pcie = dev_capability(&nvme, PCI_CAP_ID_EXP);
	fd = buf_export1(&nvme, 0, 0, PAGE);
	map = buf_map(fd, 0, PAGE, RW);
	return ok(pm && pcie && map && !peek(map + NVME_VS, &version) &&
		  version && !peek(map + NVME_VS, &v) && v == version,
		  "PM, PCI Express, a buffer of BAR 0, version %#x", version);
}

static void finish(void)
{
	munmap((void *)map, PAGE);
	close(fd);
	dev_close(&nvme);
}

static void usable(const char *when)
{
	uint32_t v = 0;

	is(buf_state(fd), BARTER_STATE_OK, "%s: OK", when);
	is(buf_reasons(fd), 0, "%s: no reason", when);
	is(peek(map + NVME_VS, &v), 0, "%s: access works", when);
	is(v, version, "%s: the register shows", when);
}

static void unusable(unsigned int reasons, const char *when)
{
	uint32_t v;

	is(buf_state(fd), BARTER_STATE_REVOKED, "%s: REVOKED", when);
	is(buf_reasons(fd), reasons, "%s: the reason", when);
	is(peek(map + NVME_VS, &v), SIGBUS, "%s: access faults", when);
}

/* The device may also be in D3 by then, which adds MEMORY. */
static void in_low_power(const char *when)
{
	uint32_t v;

	is(buf_state(fd), BARTER_STATE_REVOKED, "%s: REVOKED", when);
	is(buf_reasons(fd) & ~BARTER_REASON_MEMORY, BARTER_REASON_LOW_POWER,
	   "%s: the reason", when);
	is(peek(map + NVME_VS, &v), SIGBUS, "%s: access faults", when);
}

static void d3hot_and_back(void)
{
	static const unsigned int widths[] = { 1, 2, 4 };

	need(start(), "start");
	for (int i = 0; i < 3; i++) {
		is_errno(set_power(3, widths[i]), 0, "D3hot by %u bytes",
			 widths[i]);
		unusable(BARTER_REASON_MEMORY, "in D3hot");
		is_errno(set_power(0, widths[i]), 0, "D0 by %u bytes",
			 widths[i]);
		/* A device may lose COMMAND on the way back. */
		dev_set_memory(&nvme, true);
		usable("in D0");
	}
	finish();
}

static void d3hot_by_a_block(void)
{
	uint8_t block[8];

	need(start(), "start");
	is_errno(dev_read(&nvme, pm, block, 8), 0, "read");
	block[PCI_PM_CTRL] = (uint8_t)((block[PCI_PM_CTRL] & ~3) | 3);
	block[PCI_PM_CTRL + 1] &= 0x7f;		/* PME status: write 1 clears */
	is_errno(dev_write(&nvme, pm, block, 8), 0, "8 bytes");
	unusable(BARTER_REASON_MEMORY, "in D3hot");
	set_power(0, 2);
	dev_set_memory(&nvme, true);
	usable("in D0");
	finish();
}

static void d3hot_and_memory_off(void)
{
	need(start(), "start");
	dev_set_memory(&nvme, false);
	set_power(3, 2);
	unusable(BARTER_REASON_MEMORY, "both");
	set_power(0, 2);
	dev_set_memory(&nvme, false);
	unusable(BARTER_REASON_MEMORY, "memory is still off");
	dev_set_memory(&nvme, true);
	usable("both over");
	finish();
}

static void memory_on_in_d3hot(void)
{
	need(start(), "start");
	set_power(3, 2);
	dev_set_memory(&nvme, true);
	unusable(BARTER_REASON_MEMORY, "COMMAND written in D3hot");
	set_power(0, 2);
	dev_set_memory(&nvme, true);
	usable("in D0");
	finish();
}

static void export_in_d3hot(void)
{
	int born;

	need(start(), "start");
	set_power(3, 2);
	born = buf_export1(&nvme, 0, 0, PAGE);
	is_errno(born, 0, "export");
	is(buf_state(born), BARTER_STATE_REVOKED, "is born REVOKED");
	set_power(0, 2);
	dev_set_memory(&nvme, true);
	is(buf_state(born), BARTER_STATE_OK, "OK in D0");
	close(born);
	finish();
}

static void reset_out_of_d3hot(void)
{
	need(start(), "start");
	set_power(3, 2);
	is_errno(dev_reset(&nvme), 0, "VFIO_DEVICE_RESET");
	dev_set_memory(&nvme, true);
	usable("after the reset");
	finish();
}

static uint64_t generation(void)
{
	struct barter_info info;

	buf_info(fd, &info);
	return info.out_generation;
}

static void function_level_reset(void)
{
	uint64_t gen;
	uint16_t control;

	need(start(), "start");
	gen = generation();
	is_errno(dev_read(&nvme, pcie + PCI_EXP_DEVCTL, &control, 2), 0, "read");
	control |= PCI_EXP_DEVCTL_BCR_FLR;
	is_errno(dev_write(&nvme, pcie + PCI_EXP_DEVCTL, &control, 2), 0,
		 "FLR by DEVCTL");
	ok(generation() >= gen + 2, "away and back");
	dev_set_memory(&nvme, true);
	usable("after the FLR");

	dev_set_memory(&nvme, false);
	is_errno(dev_write(&nvme, pcie + PCI_EXP_DEVCTL, &control, 2), 0,
		 "FLR while memory is off");
	unusable(BARTER_REASON_MEMORY, "memory is still off");
	dev_set_memory(&nvme, true);
	usable("memory on");
	finish();
}

static void low_power(void)
{
	need(start(), "start");
	is_errno(dev_feature_set(&nvme, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY), 0,
		 "entry");
	in_low_power("in low power");
	dev_set_memory(&nvme, true);
	in_low_power("COMMAND written in low power");
	is_errno(dev_feature_set(&nvme, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), 0,
		 "exit");
	dev_set_memory(&nvme, true);
	usable("after the exit");
	finish();
}

static int entry_with_wakeup(int event)
{
	struct {
		struct vfio_device_feature h;
		struct vfio_device_low_power_entry_with_wakeup w;
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_SET |
				VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		},
		.w = { .wakeup_eventfd = event },
	};

	return ioctl(nvme.fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

static void low_power_with_wakeup(void)
{
	int event = eventfd(0, EFD_CLOEXEC);

	need(start(), "start");
	ok(entry_with_wakeup(-1) < 0, "an entry without eventfd is refused");
	usable("after a refused entry");
	is_errno(entry_with_wakeup(event), 0, "entry with wakeup");
	ok(buf_state(fd) == BARTER_STATE_REVOKED, "REVOKED");
	is_errno(dev_feature_set(&nvme, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), 0,
		 "exit");
	dev_set_memory(&nvme, true);
	usable("after the exit");
	close(event);
	finish();
}

static bool suspended(void)
{
	char text[16] = "";

	return sysfs_read(text, sizeof(text), "/sys/bus/pci/devices/%s/power/runtime_status",
			  nvme.bdf) > 0 &&
	       !strncmp(text, "suspended", 9);
}

/* By a call of the user's on the device, or by the host, which allows no sleep any more. */
static void woken(bool by_host)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other;
	uint64_t n = 0;
	uint32_t v = 0;
	bool now;

	need(start(), "start");
	is_errno(entry_with_wakeup(event), 0, "entry with wakeup");
	in_low_power("asleep");
	WAIT_FOR(now, suspended(), 10000);
	need(now, "the device is suspended");
	is(read(event, &n, sizeof(n)), -1, "nobody is woken yet");
	in_low_power("suspended");
	if (by_host)
		sysfs_write("on", "/sys/bus/pci/devices/%s/power/control", nvme.bdf);
	else
		is_errno(dev_read(&nvme, 0, &v, 4), 0, "a read of config space");
	is(read(event, &n, sizeof(n)), (long)sizeof(n), "the user is woken");
	/* Nobody calls the exit. */
	WAIT_FOR(now, !(buf_reasons(fd) & BARTER_REASON_LOW_POWER), 10000);
	ok(now, "it is not in low power any more");
	/* A device may lose COMMAND on the way back. */
	dev_set_memory(&nvme, true);
	usable("awake");
	other = buf_export1(&nvme, 0, 0, PAGE);
	is(other < 0 ? other : buf_state(other), BARTER_STATE_OK, "a new buffer");
	close(other);
	is_errno(entry_with_wakeup(event), 0, "and once more to sleep");
	in_low_power("asleep again");
	is_errno(dev_feature_set(&nvme, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), 0, "exit");
	dev_set_memory(&nvme, true);
	usable("after the exit");
	sysfs_write("auto", "/sys/bus/pci/devices/%s/power/control", nvme.bdf);
	close(event);
	finish();
}

static void woken_by_its_user(void)
{
	woken(false);
}
static void woken_by_the_host(void)
{
	woken(true);
}

static void close_in_d3hot(void)
{
	uint32_t v;

	need(start(), "start");
	set_power(3, 2);
	dev_close(&nvme);
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(peek(map, &v), SIGBUS, "access faults");
	munmap((void *)map, PAGE);
	close(fd);
	need(start(), "opened again, the device works");
	usable("afresh");
	finish();
}

int main(void)
{
	if (barter_fd() < 0)
		tap_bail("/dev/barter: %s", strerror(-barter_fd()));
	CASE(d3hot_and_back);
	CASE(d3hot_by_a_block);
	CASE(d3hot_and_memory_off);
	CASE(memory_on_in_d3hot);
	CASE(export_in_d3hot);
	CASE(reset_out_of_d3hot);
	CASE(function_level_reset);
	CASE(low_power);
	CASE(low_power_with_wakeup);
	CASE(woken_by_its_user);
	CASE(woken_by_the_host);
	CASE(close_in_d3hot);
	return tap_done();
}
