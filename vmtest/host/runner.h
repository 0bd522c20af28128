/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of the host's side of one run. */
#ifndef VMTEST_RUNNER_H
#define VMTEST_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

#include "../chunk.h"

/* A growing piece of memory. */
struct buffer {
	char *data;
	size_t len, room;
};

void buffer_add(struct buffer *b, const void *data, size_t len);
/* Drop the first LEN bytes. */
void buffer_drop(struct buffer *b, size_t len);
void buffer_printf(struct buffer *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Answer one host-... request of the guest from the backing files in ./mem: what
 * goes back is added to OUT; 0, or 1 where OUT is a complaint.
 */
int memory_request(const char *line, struct buffer *out);

#endif
