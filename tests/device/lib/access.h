/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory that may vanish: accesses that survive the signal, in any thread.
 */
#ifndef TESTS_ACCESS_H
#define TESTS_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#define PAGE	4096ul
#define MIB	(1ul << 20)

/* 0, or the number of the signal (SIGBUS, SIGSEGV) that the access raised. */
int peek(const volatile void *p, uint32_t *value);
int poke(volatile void *p, uint32_t value);
int peek_bytes(void *to, const volatile void *from, size_t n);
int poke_bytes(volatile void *to, const void *from, size_t n);

/* A word that depends on @seed and on the place @pos in a BAR. */
static inline uint32_t pattern(uint32_t seed, uint64_t pos)
{
	return (uint32_t)(pos >> 2) * 2654435761u ^ seed * 40503u;
}

/* Fill, or compare: the first byte that differs, or -1 for none. */
void fill(volatile void *p, uint32_t seed, uint64_t pos, size_t n);
long differs(const volatile void *p, uint32_t seed, uint64_t pos, size_t n);

#endif
