/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite fault_vedu share.
 */
#ifndef TESTS_FAULT_VEDU_SUITE_H
#define TESTS_FAULT_VEDU_SUITE_H

#include <sys/mman.h>

#include "../lib/access.h"
#include "../lib/buf.h"
#include "../lib/fault.h"
#include "../lib/lend.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "../lib/vedu.h"

#define RW    (PROT_READ | PROT_WRITE)
#define IOVA  0x100000ull
#define PAGES 64ul

/* The parent of the vEDUs, the function whose BAR 2 is theirs. */
extern char edu[BDF_LENGTH], vram[BDF_LENGTH];
/* vEDU 0, with memory, and the memory of its guest at IOVA. */
extern struct guest g;
extern uint8_t *ram;
/* Pages of it that are pinned between two calls. */
extern long held;

/* The device is opened, has its guest's memory, and in BAR 2 lend.h's pattern. */
void guest_up(bool by_iommufd);
void guest_down(void);
/* Its device file alone, in the group that it has: opened again, or -errno. */
int guest_reopen(void);

/* The cases of calls.c, lend.c, worker.c and driver.c. */
void call_cases(void);
void lend_cases(void);
void worker_cases(int worker);
void driver_cases(void);

#endif
