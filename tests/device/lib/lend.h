/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Buffers for calls without memory (fault.h): the one that a call is about, and
 * one that it is not about, the witness, which must not change.
 *
 * The BAR's memory is filled with SEED's pattern up to OFFSET + LENT; buffers of
 * the calls begin at OFFSET, the witness at 0.
 */
#ifndef TESTS_LEND_H
#define TESTS_LEND_H

#include "fixture.h"

#define SEED	91
#define OFFSET	(2 * MIB)
#define LENT	(4 * MIB)

extern int lent;		/* the buffer, or -1 */

/* Open the device, make the witness, set up fault.h. */
void lend_begin(void);
/* Take the witness away; is nothing left? The exit status of main(). */
int lend_end(void);
/* Is the witness as it was? */
bool lend_witness(void);
/* Is this where the pattern of that place shows? */
bool lend_shows(const volatile uint8_t *p, uint64_t offset);

/* @nr ranges of @n bytes, each @stride times that behind the one before. */
struct export *lend_request(const struct dev *d, uint32_t nr, uint32_t stride,
			    uint64_t n);
/* Make @lent of such ranges, or of one. Bails out if it cannot. */
void lend_ranges(uint32_t nr, uint64_t n);
void lend_one(uint64_t n);
void lend_close(void);

#endif
