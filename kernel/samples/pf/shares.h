/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which part of the PF's memory is which VF's.
 */
#ifndef BARTER_PF_SHARES_H
#define BARTER_PF_SHARES_H

#include <linux/types.h>

struct pci_dev;

int pf_share_find(struct pci_dev *vf, u64 *offset, u64 *length);

#endif /* BARTER_PF_SHARES_H */
