/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * One memory cgroup. What returns int gives 0 or -errno.
 */
#ifndef TESTS_CGROUP_H
#define TESTS_CGROUP_H

/* Make it; needs root. */
int cgroup_make(void);
/* It must be empty. */
int cgroup_remove(void);
/* The calling process goes into it. */
int cgroup_enter(void);
/*
 * Bytes of kernel memory that are charged to it, or -1. Told with a delay of up to 2 s.
 */
long long cgroup_charged(void);
/* From now on no more than @bytes can be charged to it. */
int cgroup_leave_room(unsigned long bytes);

#endif
