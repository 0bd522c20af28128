/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Access to memory that may be taken away: SIGBUS becomes a result. For one
 * thread of a program.
 */
#ifndef DEMO_GUARD_H
#define DEMO_GUARD_H

#include <stddef.h>

/* Copy; 0, or -1 if there was a SIGBUS. */
int guarded_copy(void *to, const void *from, size_t length);

#endif /* DEMO_GUARD_H */
