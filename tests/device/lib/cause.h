/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Everything that takes a buffer back, as a table.
 *
 * A cause either holds until it is undone (memory off, low power), or is over
 * when the call returns (resets).
 */
#ifndef TESTS_CAUSE_H
#define TESTS_CAUSE_H

#include <stdbool.h>

#include "vfio.h"

struct cause {
	const char *name;
	int (*begin)(const struct dev *d);
	int (*end)(const struct dev *d);	/* NULL: over when begin returns */
	unsigned int reason;			/* while it holds */
};

extern const struct cause causes[];
extern const unsigned int nr_causes;

const struct cause *cause_find(const char *name);

/*
 * Write config space so that only the memory bit of COMMAND changes: @n bytes
 * at @offset, of which byte 4 is one, keep the value that they have.
 */
int config_block(const struct dev *d, unsigned int offset, unsigned int n,
		 bool memory);

#endif
