// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Access to memory that may be taken away.
 */
#include "guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

static sigjmp_buf out_of_reach;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(out_of_reach, 1);
}

/* Words where all is aligned, else bytes; never what memcpy() fancies. */
static void copy(volatile uint8_t *to, const volatile uint8_t *from,
		 size_t length)
{
	size_t i = 0;

	if (!(((uintptr_t)to | (uintptr_t)from) & 7))
		for (; i + 8 <= length; i += 8)
			*(volatile uint64_t *)(to + i) =
				*(const volatile uint64_t *)(from + i);
	for (; i < length; i++)
		to[i] = from[i];
}

int guarded_copy(void *to, const void *from, size_t length)
{
	struct sigaction old, catch = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &catch, &old);
	if (sigsetjmp(out_of_reach, 1)) {
		sigaction(SIGBUS, &old, NULL);
		return -1;
	}
	copy(to, from, length);
	sigaction(SIGBUS, &old, NULL);
	return 0;
}
