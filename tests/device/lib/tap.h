/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Test Anything Protocol: the only way a device test reports.
 *
 * A program is a list of cases, each a function that makes checks. A check
 * prints one line. A case that exceeds its time dumps where its threads hang
 * and ends the program without a plan, which the runner counts as a failure.
 * The environment variable BARTER_ONLY names a substring: only cases whose
 * name contains it run. BARTER_TIME_SCALE multiplies every case's time, for slow
 * kernels.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

bool tap_result(bool pass, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool tap_is(long long got, long long want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool tap_errno(long long got, int want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void tap_skip(const char *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void tap_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_bail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* Run @fn under a limit of @seconds; its name begins each of its checks. */
void tap_case(const char *name, void (*fn)(void), unsigned int seconds);
/* Print the plan; the exit status of main(). */
int tap_done(void);

#define ok(cond, ...)		tap_result(!!(cond), __VA_ARGS__)
#define is(got, want, ...)	tap_is((long long)(got), (long long)(want), \
				       __VA_ARGS__)
/* @got is 0 or more, or -errno; @want a positive errno, or 0 for success. */
#define is_errno(got, want, ...) tap_errno((long long)(got), want, __VA_ARGS__)
#define skip(why, ...)		tap_skip(why, __VA_ARGS__)
#define diag(...)		tap_diag(__VA_ARGS__)
#define CASE(fn)		tap_case(#fn, fn, 60)
#define CASE_LIMIT(fn, s)	tap_case(#fn, fn, s)
/* Give up on the present case: what follows would make no sense. */
#define need(cond, ...)		do { if (!ok(cond, __VA_ARGS__)) return; } while (0)

#endif
