/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory attributes and names of buffers, through barter's own VFIO features.
 */
#ifndef TESTS_MEMATTR_H
#define TESTS_MEMATTR_H

#include "buf.h"

/* Give the buffer @fd an attribute: 0 or -errno. */
int buf_memattr(const struct dev *d, int fd, uint32_t memattr, uint32_t flags);

#endif
