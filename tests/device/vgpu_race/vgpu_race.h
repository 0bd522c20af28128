/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of the suite vgpu_race share.
 */
#ifndef TESTS_VGPU_RACE_SUITE_H
#define TESTS_VGPU_RACE_SUITE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/vgpu.h"

#define AT	    (1ull << 30)
#define GUEST_PAGES 2048
#define HALF	    (GUEST_PAGES / 2 * PAGE)

extern struct guest g;
/* What it maps. */
extern uint8_t *ram;

/* A call in a thread of its own. */
struct job {
	pthread_t thread;
	int (*fn)(struct job *job);
	uint32_t space, device, prot;
	uint64_t first, npages;
	struct vt_map map;
	int ret;
	volatile bool done;
};

void start(struct job *job, int (*fn)(struct job *job));
/* Wait for its end; its answer, or -ETIMEDOUT. */
int finish(struct job *job, int ms);
int do_map(struct job *job);
int do_mock_unmap(struct job *job);
/* Its ioctl goes on until let(). */
int do_mock_unmap_long(struct job *job);
int do_guest_unmap(struct job *job);
int do_open_other(struct job *job);
/* Do so many calls of the mock not come back? */
bool waits_in_backend(uint64_t nr);
void new_mock(void);
/* Nothing of the mock guest is pinned, and nothing was ever unpinned wrongly. */
void is_clean(const char *when);
/* A map of 600 pages for @device whose first pin is made and does not come back. */
bool hold(struct job *job, uint32_t device);
/* And it does. */
void let(void);
/* For spawn(): maps as many pages of the mock as the uint64_t says. */
int map_child(void *arg);
/* A guest that has mapped RAM at AT, in halves; or bail out. */
void begin(bool iommufd);
/* The guest's device has nothing left. */
void is_empty(const char *when);

/* The cases of asks.c and storm.c. */
void asks_cases(void);
void storm_cases(void);

#endif
