// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter info: how a buffer stands.
 */
#include "buffer_info.h"

enum { OPTION_ALL, OPTION_JSON };

int run_info(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_ALL] = "all",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	int option, status, fd = -1, all = 0, json = 0;
	struct json writer = { .to = stdout };
	struct buffer_info buffer;
	char name[40];

	while ((option = option_next(&options)) >= 0)
		*(option == OPTION_ALL ? &all : &json) = 1;
	if (option != OPTION_END)
		return option_exit(option);
	if (argc - options.at != 1)
		return wrong_usage(command, "expected one FD, PID:FD or NAME");
	status = buffer_fd(command, argv[options.at], &fd);
	if (status)
		return status;
	snprintf(name, sizeof(name), "fd %.30s", argv[options.at]);
	status = buffer_info_get(name, fd, &buffer);
	if (status)
		return status;
	if (json) {
		json_open(&writer, NULL, '{');
		buffer_info_json(&buffer, &writer);
		json_close(&writer, '}');
		json_end(&writer);
	} else {
		buffer_info_text(&buffer, all);
	}
	buffer_info_free(&buffer);
	return EXIT_OK;
}
