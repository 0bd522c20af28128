/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which allocations fail-nth counts (fault.h): those of the call, and none that the
 * kernel's own watchers make for their notes of it.
 */
#ifndef TESTS_FAULT_FILTER_H
#define TESTS_FAULT_FILTER_H

/* Bails out where the kernel cannot be told. */
void fault_filter_init(void);
/* From now on only those below this function of the kernel; NULL: all. */
void fault_filter_scope(const char *function);

#endif
