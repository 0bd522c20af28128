/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite fault share.
 */
#ifndef TESTS_FAULT_SUITE_H
#define TESTS_FAULT_SUITE_H

#include <sys/mman.h>

#include "../lib/fault.h"
#include "../lib/lend.h"

#define RW  (PROT_READ | PROT_WRITE)
#define GIB (1ull << 30)

/* A device with a BAR of 1 GiB or more, open if big_open() says so. */
extern struct dev big;
bool big_open(void);

/* The cases of features.c, page_faults.c, device.c and gone.c. */
void feature_cases(void);
void page_fault_cases(void);
void device_cases(void);
void gone_cases(void);

#endif
