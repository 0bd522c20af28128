/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Watches of buffers, and eventfds. What returns int gives 0 or more, or -errno.
 */
#ifndef TESTS_WATCH_H
#define TESTS_WATCH_H

#include <linux/barter.h>
#include <stdbool.h>
#include <stdint.h>

/* Nonblocking, close-on-exec, counter 0. */
int event_new(void);
/* Wait until it is signalled and take the counter; 0 after @ms without. */
uint64_t event_take(int event, int ms);

/* An open file of its own, to hang watches on. */
int watch_file(void);
/* @now may be NULL. */
int watch_begin(int file, int buf, int event, struct barter_watch *now);
int watch_end(int file, int buf, int event);

/*
 * What a VMM does: wait for a signal, read it, ask how things stand, until the
 * buffer has reached @generation. False if no signal came for it in @ms. *@signals,
 * if not NULL, is increased by how many there were.
 */
bool watch_follow(int buf, int event, uint64_t generation, int ms,
		  uint64_t *signals);
/* The generation of now. */
uint64_t buf_generation(int buf);

#endif
