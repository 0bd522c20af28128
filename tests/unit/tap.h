/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Test Anything Protocol for the unit tests: one line per case.
 *
 * A case is a function whose name states the property. CHECK() says what went
 * wrong and lets the case go on; a case passes if all its checks held and it
 * made at least one. No case depends on another.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A program of several files has "extern" here, and defines them in one. */
#ifndef TAP_STORAGE
#define TAP_STORAGE static
#endif

TAP_STORAGE unsigned int tap_cases, tap_failed_cases;
TAP_STORAGE unsigned long tap_checks, tap_failed_checks;

#define TAP_MOST_SHOWN 20

#define CHECK(condition, ...)						\
	do {								\
		tap_checks++;						\
		if (!(condition) &&					\
		    tap_failed_checks++ < TAP_MOST_SHOWN) {		\
			printf("# %s:%d: %s: ", __FILE__, __LINE__,	\
			       #condition);				\
			printf(__VA_ARGS__);				\
			printf("\n");					\
		}							\
	} while (0)

#define CASE(function)							\
	do {								\
		tap_checks = tap_failed_checks = 0;			\
		function();						\
		tap_cases++;						\
		if (!tap_checks || tap_failed_checks) {			\
			tap_failed_cases++;				\
			printf("not ");					\
		}							\
		printf("ok %u - %s # %lu checks, %lu failed\n",		\
		       tap_cases, #function, tap_checks,		\
		       tap_failed_checks);				\
		fflush(stdout);						\
	} while (0)

/* Prints the plan; the value to return from main(). */
static inline int tap_done(void)
{
	printf("1..%u\n", tap_cases);
	return tap_failed_cases ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * xorshift64*: small, and the same on every machine. The seed comes from
 * BARTER_SEED or is fixed, and is printed, so that each failure can be had
 * again.
 */
static uint64_t random_state;

static inline uint64_t random_u64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

/* A number below @end, which is not 0. */
static inline uint64_t random_below(uint64_t end)
{
	return random_u64() % end;
}

static inline void random_start(void)
{
	const char *text = getenv("BARTER_SEED");

	random_state = text ? strtoull(text, NULL, 0) : 0;
	if (!random_state)
		random_state = 20260101;
	printf("# BARTER_SEED=%llu\n", (unsigned long long)random_state);
}

#endif /* TESTS_UNIT_TAP_H */
