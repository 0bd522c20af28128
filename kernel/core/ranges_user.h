/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The few kernel words that ranges.c and route.c need, for builds in user
 * space. The kernel never includes this file.
 *
 * Only what has one obvious meaning belongs here; a source that needs more of
 * the kernel than this is no pure logic and is tested in the kernel instead.
 * Fixed-width types are those of <linux/types.h>, so that %llx fits u64 on
 * every architecture. PAGE_SIZE can be given on the compiler's command line to
 * run the tests with another page size.
 */
#ifndef BARTER_CORE_RANGES_USER_H
#define BARTER_CORE_RANGES_USER_H

#ifdef __KERNEL__
#error "ranges_user.h is for user space only"
#endif

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096UL
#endif

#define U64_MAX ((u64)~0ULL)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define check_add_overflow(a, b, sum) __builtin_add_overflow(a, b, sum)
#define check_mul_overflow(a, b, product) __builtin_mul_overflow(a, b, product)

#define min(a, b) ({ \
	__typeof__(a) a_ = (a); \
	__typeof__(b) b_ = (b); \
	a_ < b_ ? a_ : b_; \
})

#define cond_resched() do { } while (0)

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

#endif /* BARTER_CORE_RANGES_USER_H */
