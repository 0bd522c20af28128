/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite watch share.
 */
#ifndef TESTS_WATCH_SUITE_H
#define TESTS_WATCH_SUITE_H

#include <stdbool.h>

#define LONG	10000		/* ms until a signal counts as lost */
#define QUIET	200		/* ms of silence that count as none */
#define FILES	8

/* A buffer, an open /dev/barter and an eventfd, of start(). */
extern int buf, file, event;

bool start(void);
void finish(void);
/* Memory off, and on again: four changes. */
int blink(void);

/* The cases of many.c. */
void many_cases(void);

#endif
