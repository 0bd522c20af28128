/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What most suites share: the device whose BAR2 is plain memory (ivshmem),
 * opened, and its BAR mapped through VFIO as the reference to compare with.
 */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include "access.h"
#include "buf.h"
#include "pci.h"
#include "proc.h"
#include "tap.h"
#include "vfio.h"

#define BAR	2

extern struct dev mem;
extern volatile uint8_t *bar;		/* the whole BAR, see dev_map() */
extern uint64_t bar_length;

/* Bail out unless the device, its driver and /dev/barter are there. */
void fixture_open(void);
/* Close the device and open it again, with a new map of the BAR. */
void fixture_reopen(void);
void fixture_close(void);
/*
 * For a child: drop the copies that fork() made of the device's files and of
 * the BAR's mapping. Until then the parent's close is not the last.
 */
void fixture_forget(void);

#endif
