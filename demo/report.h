/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The demo's report: steps, and what was measured and expected in each. The
 * same lines go to stdout and to the report's file.
 */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include <stdarg.h>

/* Begin; "cannot be written" ends the program. */
void report_open(const char *path);
/* A new step: what is about to be done. */
void step(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something that was done or seen. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * Something that must be so. @expected is what it must be, the rest what it
 * is. Returns @as_it_must.
 */
int check(int as_it_must, const char *expected, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* End the program: the steps after this one make no sense. */
void give_up(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
/* The verdict; returns the exit status. */
int report_close(void);

#endif /* DEMO_REPORT_H */
