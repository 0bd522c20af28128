/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * ranges.c as a 32-bit kernel compiles it; see narrow.c.
 */
#ifndef TESTS_UNIT_NARROW_H
#define TESTS_UNIT_NARROW_H

#include "ranges.h"

int narrow_ranges_take(struct barter_ranges *out, union barter_slot *table,
		       u32 nr, u64 bar_length);

#endif /* TESTS_UNIT_NARROW_H */
