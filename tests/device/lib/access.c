// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Accesses that survive SIGBUS, see access.h.
 */
#define _GNU_SOURCE
#include "access.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t armed;

static void caught(int sig)
{
	if (armed)
		siglongjmp(out, sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

__attribute__((constructor)) static void install(void)
{
	struct sigaction sa = { .sa_handler = caught, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

/* A macro: the frame that called sigsetjmp() must still be there. */
#define GUARDED(access)					\
	do {						\
		int sig = sigsetjmp(out, 0);		\
							\
		if (sig) {				\
			armed = 0;			\
			return sig;			\
		}					\
		armed = 1;				\
		__asm__ volatile("" ::: "memory");	\
		access;					\
		__asm__ volatile("" ::: "memory");	\
		armed = 0;				\
		return 0;				\
	} while (0)

int peek(const volatile void *p, uint32_t *value)
{
	GUARDED(*value = *(const volatile uint32_t *)p);
}

int poke(volatile void *p, uint32_t value)
{
	GUARDED(*(volatile uint32_t *)p = value);
}

int peek_bytes(void *to, const volatile void *from, size_t n)
{
	GUARDED(memcpy(to, (const void *)from, n));
}

int poke_bytes(volatile void *to, const void *from, size_t n)
{
	GUARDED(memcpy((void *)to, from, n));
}

void fill(volatile void *p, uint32_t seed, uint64_t pos, size_t n)
{
	volatile uint32_t *word = p;

	for (size_t i = 0; i < n / 4; i++)
		word[i] = pattern(seed, pos + i * 4);
}

long differs(const volatile void *p, uint32_t seed, uint64_t pos, size_t n)
{
	const volatile uint32_t *word = p;

	for (size_t i = 0; i < n / 4; i++)
		if (word[i] != pattern(seed, pos + i * 4))
			return (long)(i * 4);
	return -1;
}
