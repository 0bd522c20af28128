/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Access to memory of a BAR or a buffer, for peek and poke.
 */
#ifndef BARTER_ACCESS_H
#define BARTER_ACCESS_H

#include "cli.h"

/* What peek and poke have in common on their command lines. */
struct target {
	const char *fd_text;		/* --fd, or NULL: device and BAR */
	uint64_t width;			/* --width, or 0 */
	char name[64];			/* for errors */
	uint64_t offset;

	struct barter_device *device;
	struct barter_region region;	/* of a device's BAR */
	int fd;				/* of a buffer */
	uint64_t limit;			/* bytes in BAR or buffer */
};

/* "1", "2", "4" or "8". */
int target_width(const struct command *command, const char *text,
		 uint64_t *width);
/*
 * Read "BDF BAR OFFSET" or "OFFSET" and open the target. Returns the number of
 * arguments used, or -(exit status) after complaining.
 */
int target_open(const struct command *command, struct target *target, int argc,
		char **argv);
void target_close(struct target *target);

/*
 * Move @length bytes between @data and the target at its offset, by accesses
 * of @width bytes. EXIT_OK, or EXIT_FAILED after complaining.
 */
int target_read(struct target *target, void *data, uint64_t length,
		unsigned int width);
int target_write(struct target *target, const void *data, uint64_t length,
		 unsigned int width);

/* What was read or written, for --json: the object that peek and poke answer with. */
int target_json(const struct target *target, const uint8_t *data,
		uint64_t length, unsigned int width);

#endif /* BARTER_ACCESS_H */
