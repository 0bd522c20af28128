/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * edu's DMA engine by way of /dev/barter-dma0, and a thread that keeps it
 * writing into a buffer.
 */
#ifndef DEMO_ENGINE_H
#define DEMO_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <linux/barter-dma.h>

/* Import @buffer; the engine's fd or -errno. */
int engine_open(int buffer);
/* 0 or -errno. */
int engine_copy(int engine, uint32_t flags, uint64_t offset, void *data,
		uint64_t length);
int engine_status(int engine, struct barter_dma_status *status);

/*
 * Writes into a buffer by DMA without pause, also when it is refused; what it
 * writes is different each time.
 */
struct scribbler {
	pthread_t thread;
	int engine;
	uint64_t offset;
	uint32_t length;
	atomic_int stop;
	atomic_int done;	/* transfers that went through */
	atomic_int refused;	/* with ENODEV */
	atomic_int others;	/* with another errno */
	atomic_llong last_start;	/* of one that went through; clock_ns() */
};

int scribbler_start(struct scribbler *scribbler);
void scribbler_stop(struct scribbler *scribbler);

/* CLOCK_MONOTONIC in nanoseconds. */
long long clock_ns(void);
void sleep_ms(unsigned int ms);

#endif /* DEMO_ENGINE_H */
