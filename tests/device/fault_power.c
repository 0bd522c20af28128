// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault_dma, for what takes a buffer back by writes of capabilities:
 * D3hot and back, the function level reset. For the machine with NVMe controllers; the
 * BAR that is lent is the registers of one.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
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
	return lend_end();
}
