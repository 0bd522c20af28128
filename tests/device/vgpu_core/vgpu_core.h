/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite vgpu_core share.
 */
#ifndef TESTS_VGPU_CORE_SUITE_H
#define TESTS_VGPU_CORE_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/vgpu.h"

#define AT	(1ull << 32)	/* where the guest has its memory */
#define TOP	(0 - (uint64_t)PAGE)	/* the last page of all */

/* The guest of begin(). */
extern struct guest g;

/* Pages that say which they are. */
uint8_t *memory(unsigned long npages);
/* A guest with that memory at AT; or bail out. */
uint8_t *begin(unsigned long npages, bool write);
void end(uint8_t *p, unsigned long npages);
/* Of a batch, what is beyond the range that the guest unmaps is unpinned soon after. */
void is_empty(uint32_t space, const char *when);
void new_mock(void);
/* Nothing is pinned, and nothing was ever unpinned wrongly. */
void mock_is_clean(const char *when);

/* The cases of vfio.c, reach.c and charge.c. */
void vfio_cases(void);
void p2pmem(void);
void bounce(void);
void dax(void);
void charge_cases(void);

#endif
