/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which part of the PF's memory is which VF's.
 */
#ifndef BARTER_PF_SHARES_H
#define BARTER_PF_SHARES_H

#include <linux/types.h>

struct barter_match;

int pf_share_find(const struct barter_match *match, u64 *offset, u64 *length);

#endif /* BARTER_PF_SHARES_H */
