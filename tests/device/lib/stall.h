/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-stall.ko: hold whoever comes first to a function of the kernel, or a certain
 * task on its way back from one with 0, for 10 s at most.
 */
#ifndef TESTS_LIB_STALL_H
#define TESTS_LIB_STALL_H

#include <stdbool.h>
#include <sys/types.h>

/* Each is a check. Empty: not any more. */
void stall_at(const char *function);
void stall_task_at(const char *function, pid_t task);
void stall_after(const char *function, pid_t task);
/* 0: nobody has come; 1: is being held; 2: has gone on; -1: no such module. */
int stalled(void);
/* Whoever is held goes on; a check. */
void stall_ends(void);

#endif
