/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * How a buffer is named and how it stands, for info, watch and export.
 */
#ifndef BARTER_BUFFER_INFO_H
#define BARTER_BUFFER_INFO_H

#include "cli.h"
#include "json.h"

struct buffer_info {
	uint32_t kind;			/* BARTER_KIND_* */
	struct barter_info info;	/* native: out_length alone */
	struct barter_range *ranges;
	uint32_t nr_ranges;
	struct barter_importer_info importers[BARTER_MAX_INFO_IMPORTERS];
};

/*
 * Turn FD, PID:FD or NAME into an fd of this process; EXIT_FAILED or EXIT_USAGE after
 * complaining.
 */
int buffer_fd(const struct command *command, const char *text, int *fd);
/* Ask /dev/barter, unless the buffer is native; EXIT_FAILED after complaining about @name. */
int buffer_info_get(const char *name, int fd, struct buffer_info *buffer);
void buffer_info_free(struct buffer_info *buffer);
void buffer_info_text(const struct buffer_info *buffer, int all);
/* The members of an object that the caller has opened. */
void buffer_info_json(const struct buffer_info *buffer, struct json *json);

#endif /* BARTER_BUFFER_INFO_H */
