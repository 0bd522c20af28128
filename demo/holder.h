/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The other process: user nobody, with nothing but a socket on which the
 * dma-buf fd comes (SCM_RIGHTS). It maps the buffer once and then does what
 * it is asked.
 */
#ifndef DEMO_HOLDER_H
#define DEMO_HOLDER_H

#include <stddef.h>
#include <stdint.h>

enum holder_do {
	HOLDER_READ,	/* by its mapping: the bytes, or -EFAULT for SIGBUS */
	HOLDER_MAP,	/* map anew, and let go again: 0 or -errno */
	HOLDER_STATE,	/* ask /dev/barter: BARTER_STATE_* or -errno */
};

struct holder_request {
	uint32_t what;
	uint32_t length;
	uint64_t offset;
};

struct holder_answer {
	int32_t result;
	uint32_t length;	/* bytes that follow */
};

/* Start it and hand it @fd; the socket, or -1. */
int holder_start(const char *program, int fd);
/* Ask; the result, with -EPIPE if the process is not there any more. */
int holder_ask(int holder, enum holder_do what, uint64_t offset, void *data,
	       uint32_t length);

int read_all(int fd, void *data, size_t length);
int write_all(int fd, const void *data, size_t length);

#endif /* DEMO_HOLDER_H */
