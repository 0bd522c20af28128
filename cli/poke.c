// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter poke: write memory of a BAR, or of a buffer.
 */
#include "access.h"

#include <inttypes.h>
#include <stdlib.h>

enum { OPTION_FD, OPTION_WIDTH, OPTION_JSON };

/* Little endian, as PCI devices are. */
static int gather(const struct command *command, char **values, int count,
		  unsigned int width, uint8_t *data)
{
	uint64_t value;
	unsigned int i;
	int n;

	for (n = 0; n < count; n++) {
		if (number_parse(values[n], &value))
			return wrong_usage(command, "\"%s\" is no number",
					   values[n]);
		if (width < 8 && value >> (8 * width))
			return wrong_usage(command, "%s does not fit %u bytes; see --width",
					   values[n], width);
		for (i = 0; i < width; i++)
			*data++ = (uint8_t)(value >> (8 * i));
	}
	return EXIT_OK;
}

static int poke(const struct command *command, struct target *target,
		int json, int argc, char **argv)
{
	unsigned int width = (unsigned int)target->width;
	int used = target->fd_text ? 1 : 3;
	int count = argc - used;
	uint8_t *data;
	int status;

	if (count < 1)
		return wrong_usage(command, "too few arguments");
	data = calloc((size_t)count, width);
	if (!data)
		return failed("poke", "out of memory");
	status = gather(command, argv + used, count, width, data);
	if (status == EXIT_OK) {
		used = target_open(command, target, argc, argv);
		status = used < 0 ? -used :
			 target_write(target, data, (uint64_t)count * width,
				      width);
		if (status == EXIT_OK && json)
			status = target_json(target, data, (uint64_t)count * width,
					     width);
		target_close(target);
	}
	free(data);
	return status;
}

int run_poke(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_FD] = "fd=",
		[OPTION_WIDTH] = "width=",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct target target = { .width = 4 };
	int option, json = 0;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_FD)
			target.fd_text = options.value;
		else if (option == OPTION_JSON)
			json = 1;
		else if (target_width(command, options.value, &target.width))
			return EXIT_USAGE;
	}
	if (option != OPTION_END)
		return option_exit(option);
	return poke(command, &target, json, argc - options.at,
		    argv + options.at);
}
