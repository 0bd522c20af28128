/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite vgpu_end share.
 */
#ifndef TESTS_VGPU_END_SUITE_H
#define TESTS_VGPU_END_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/access.h"
#include "../lib/pci.h"
#include "../lib/vedu.h"

#define IOVA	0x100000ull
#define MEMORY	(64 * PAGE)

/* The parent of the vEDUs, and the function whose BAR 2 is theirs. */
extern char edu[BDF_LENGTH], vram[BDF_LENGTH];

/* A guest of guest_up(), and its memory at IOVA. */
extern struct guest g;
extern uint8_t *ram;

void *memory(size_t n);
bool all(const uint8_t *p, size_t n, uint8_t value);
bool guest_up(unsigned int nr, bool by_iommufd);
void guest_down(void);
/* The engine fills memory over and over. */
void engine_on(struct guest *guest);

/* For spawn(): remove the vEDU whose number @arg points to; unbind edu. */
int remove_vedu(void *arg);
int unbind_edu(void *arg);
/* Edu is bound: the vEDUs are made again, and one works. */
void works_again(void);
/* Unload barter-vedu. 0 or -errno. */
int unload(void);

/* The cases of bar2.c, charge.c, stuck.c and worker.c. */
void bar2_cases(void);
void charge_cases(void);
void never_by_type1(void);
void stuck_cases(void);
void worker_cases(void);

#endif
