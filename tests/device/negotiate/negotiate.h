/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite negotiate share.
 */
#ifndef TESTS_NEGOTIATE_SUITE_H
#define TESTS_NEGOTIATE_SUITE_H

#include <linux/barter.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE	4096ull
#define SKIP	(-EOPNOTSUPP)

/* An exporter and a buffer of it. */
extern int e, fd;

/* An exporter with that list, and a buffer of three pages in two ranges. */
bool lend(const char *offers, uint32_t flags);
void unlend(void);
/* What the one importer has agreed on, and uses. */
struct barter_importer_info importer_info(int buffer);

/* The cases of choice.c. */
void choice_cases(void);

#endif
