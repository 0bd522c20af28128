// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault_dma, for what takes a buffer back by writes of capabilities:
 * D3hot and back, the function level reset; and for low power of which a device wakes up
 * by itself. For the machine with NVMe controllers; the BAR that is lent is the
 * registers of one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/lend.h"
#include "lib/watch.h"

#define NVME_VS 8 /* version: a register that is never 0 */

static struct dev nvme;
static unsigned int pm, pcie;
static int buf, watches, event;
static volatile uint8_t *map;
static uint32_t version;

static bool shows(void)
{
	uint32_t v = 0;

	return !peek(map + NVME_VS, &v) && v == version;
}

static void lend(void)
{
	buf = buf_export1(&nvme, 0, 0, PAGE);
	map = buf_map(buf, 0, PAGE, PROT_READ);
	watches = watch_file();
	event = event_new();
	if (!map || peek(map + NVME_VS, &version) || !version ||
	    watch_begin(watches, buf, event, NULL))
		tap_bail("no buffer to begin with");
}

static void unlend(void)
{
	close(event);
	close(watches);
	munmap((void *)map, PAGE);
	close(buf);
}

static int set_power(unsigned int state)
{
	uint16_t value = 0;
	int ret = dev_read(&nvme, pm + PCI_PM_CTRL, &value, 2);

	if (ret)
		return ret;
	value = (uint16_t)((value & ~PCI_PM_CTRL_STATE_MASK) | state);
	return dev_write(&nvme, pm + PCI_PM_CTRL, &value, 2);
}

static int call_sleep(void)
{
	return set_power(3);
}

static bool is_revoked(void)
{
	uint32_t v;

	return buf_state(buf) == BARTER_STATE_REVOKED && buf_reasons(buf) == BARTER_REASON_MEMORY &&
	       peek(map + NVME_VS, &v) == SIGBUS && event_take(event, 10000);
}

/* A device may lose COMMAND on the way back. */
static bool wake(void)
{
	return !set_power(0) && !dev_set_memory(&nvme, true) && buf_state(buf) == BARTER_STATE_OK &&
	       shows();
}

static bool whole_sleep(int ret)
{
	bool fine = is_revoked();

	(void)ret;
	return wake() && fine;
}

static void sleep_before(void)
{
	lend();
	if (call_sleep() || !is_revoked())
		tap_bail("D3hot does not revoke");
}

static int call_wake(void)
{
	return set_power(0);
}

static bool whole_wake(int ret)
{
	bool fine = wake();

	(void)ret;
	return !call_sleep() && is_revoked() && fine;
}

static void wake_after(void)
{
	if (!wake())
		tap_bail("D0 does not restore");
	unlend();
}

static int call_flr(void)
{
	uint16_t control;
	int ret = dev_read(&nvme, pcie + PCI_EXP_DEVCTL, &control, 2);

	control |= PCI_EXP_DEVCTL_BCR_FLR;
	return ret ?: dev_write(&nvme, pcie + PCI_EXP_DEVCTL, &control, 2);
}

static bool whole_flr(int ret)
{
	(void)ret;
	return buf_state(buf) == BARTER_STATE_OK && !buf_reasons(buf) && shows() &&
	       event_take(event, 10000);
}

/* ---- low power with a wake-up ---- */

static int woken = -1;	 /* the eventfd that tells of it */
static int control = -1; /* may the host let the device sleep? */

static int call_doze(void)
{
	struct {
		struct vfio_device_feature h;
		struct vfio_device_low_power_entry_with_wakeup w;
	} arg = {
		.h = { .argsz = sizeof(arg),
		       .flags = VFIO_DEVICE_FEATURE_SET |
				VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP },
		.w = { .wakeup_eventfd = woken },
	};

	return ioctl(nvme.fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

/* The device may also be in D3 by then, which adds MEMORY. */
static bool is_dozing(void)
{
	uint32_t v;

	return buf_state(buf) == BARTER_STATE_REVOKED &&
	       buf_reasons(buf) & BARTER_REASON_LOW_POWER && peek(map + NVME_VS, &v) == SIGBUS &&
	       event_take(event, 10000);
}

static bool is_awake(void)
{
	bool awake;

	WAIT_FOR(awake, !(buf_reasons(buf) & BARTER_REASON_LOW_POWER), 10000);
	return awake && !dev_set_memory(&nvme, true) && buf_state(buf) == BARTER_STATE_OK &&
	       shows();
}

static bool ends_dozing(void)
{
	return !dev_feature_set(&nvme, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT) && is_awake();
}

static bool whole_doze(int ret)
{
	bool fine = is_dozing();

	(void)ret;
	fine = ends_dozing() && fine;
	event_take(woken, 0);
	return fine;
}

static bool suspended(void)
{
	char text[16] = "";

	return sysfs_read(text, sizeof(text), "/sys/bus/pci/devices/%s/power/runtime_status",
			  nvme.bdf) > 0 &&
	       !strncmp(text, "suspended", 9);
}

static void fall_asleep(void)
{
	bool dozing = !call_doze() && is_dozing(), asleep;

	WAIT_FOR(asleep, suspended(), 10000);
	if (!dozing || !asleep || event_take(woken, 0))
		tap_bail("it does not fall asleep");
}

static void doze_before(void)
{
	lend();
	fall_asleep();
}

/* By a call of its user, or by the host. */
static int call_read(void)
{
	uint32_t v;

	return dev_read(&nvme, 0, &v, 4);
}

static int call_on(void)
{
	return write(control, "on", 2) < 0 ? -errno : 0;
}

/* The user is told, and the buffer comes back, though nobody calls the exit. */
static bool whole_woken(int ret)
{
	bool fine = event_take(woken, 1000) == 1 && is_awake();

	(void)ret;
	if (write(control, "auto", 4) != 4)
		fine = false;
	event_take(event, 0);
	fall_asleep();
	return fine;
}

static void doze_after(void)
{
	if (!ends_dozing())
		tap_bail("the exit does not restore");
	event_take(woken, 0);
	unlend();
}

static void low_power_with_wakeup(void)
{
	static const struct fault_call calls[] = {
		{ .name = "low power with a wake-up",
		  .before = lend,
		  .call = call_doze,
		  .whole = whole_doze,
		  .after = unlend,
		  .none = true,
		  .moves = true },
		{ .name = "wake-up by its user",
		  .before = doze_before,
		  .call = call_read,
		  .whole = whole_woken,
		  .after = doze_after,
		  .least = 1,
		  .moves = true },
		{ .name = "wake-up by the host",
		  .before = doze_before,
		  .call = call_on,
		  .whole = whole_woken,
		  .after = doze_after,
		  .least = 1,
		  .moves = true },
	};
	char bdf[BDF_LENGTH], path[128];

	need(!pci_find(PCI_NVME, 0, bdf) && !dev_open(&nvme, bdf), "an NVMe controller");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/control", bdf);
	control = open(path, O_WRONLY | O_CLOEXEC);
	woken = event_new();
	need(control >= 0 && woken >= 0, "%s", path);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	close(woken);
	close(control);
	dev_close(&nvme);
}

static void power_and_reset(void)
{
	static const struct fault_call calls[] = {
		{ .name = "D3hot",
		  .before = lend,
		  .call = call_sleep,
		  .whole = whole_sleep,
		  .after = unlend,
		  .least = 1,
		  .moves = true },
		{ .name = "end of: D3hot",
		  .before = sleep_before,
		  .call = call_wake,
		  .whole = whole_wake,
		  .after = wake_after,
		  .least = 1,
		  .moves = true },
		{ .name = "FLR by DEVCTL",
		  .before = lend,
		  .call = call_flr,
		  .whole = whole_flr,
		  .after = unlend,
		  .none = true,
		  .moves = true },
	};
	char bdf[BDF_LENGTH];

	need(!pci_find(PCI_NVME, 0, bdf) && !dev_open(&nvme, bdf), "an NVMe controller");
	pm = dev_capability(&nvme, PCI_CAP_ID_PM);
	pcie = dev_capability(&nvme, PCI_CAP_ID_EXP);
	need(pm && pcie, "PM, PCI Express");
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	dev_close(&nvme);
}

int main(void)
{
	lend_begin();
	CASE_LIMIT(power_and_reset, 120);
	CASE_LIMIT(low_power_with_wakeup, 120);
	return lend_end();
}
