// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The shared device, see fixture.h.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct dev mem;
volatile uint8_t *bar;
uint64_t bar_length;

void fixture_open(void)
{
	char bdf[BDF_LENGTH];
	int ret;

	if (barter_fd() < 0)
		tap_bail("/dev/barter: %s", strerror(-barter_fd()));
	if (getenv("VM_VRAM0"))
		snprintf(bdf, sizeof(bdf), "%.15s", getenv("VM_VRAM0"));
	else if (pci_find(PCI_IVSHMEM, 0, bdf))
		tap_bail("this machine has no ivshmem");
	ret = dev_open(&mem, bdf);
	if (ret)
		tap_bail("open %s: %s", bdf, strerror(-ret));
	bar_length = mem.length[BAR];
	bar = dev_map(&mem, BAR, 0, bar_length);
	if (!bar)
		tap_bail("mmap of BAR %d of %s", BAR, bdf);
}

void fixture_close(void)
{
	munmap((void *)bar, bar_length);
	dev_close(&mem);
}

void fixture_forget(void)
{
	fixture_close();
}

void fixture_reopen(void)
{
	fixture_close();
	fixture_open();
}
