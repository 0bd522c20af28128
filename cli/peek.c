// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter peek: read memory of a BAR, or of a buffer.
 */
#include "access.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#define PEEK_MAX (64ULL << 20)

enum { OPTION_FD, OPTION_WIDTH, OPTION_RAW, OPTION_JSON };

static void dump(const uint8_t *data, uint64_t offset, uint64_t length)
{
	uint64_t line, i;

	for (line = 0; line < length; line += 16) {
		printf("%08" PRIx64 " ", offset + line);
		for (i = line; i < line + 16; i++) {
			if (i % 8 == 0)
				putchar(' ');
			if (i < length)
				printf("%02x ", data[i]);
			else
				fputs("   ", stdout);
		}
		fputs(" |", stdout);
		for (i = line; i < line + 16 && i < length; i++)
			putchar(isascii(data[i]) && isprint(data[i]) ?
				data[i] : '.');
		puts("|");
	}
}

static int peek(struct target *target, uint64_t length, int raw, int json)
{
	unsigned int width = (unsigned int)target->width;
	uint8_t *data;
	int status;

	if (!width)
		width = target->offset % 4 || length % 4 ? 1 : 4;
	if (!length || length > PEEK_MAX)
		return failed(target->name, "a LENGTH of %" PRIu64 " bytes; it must be 1 to 64M: read in pieces", length);
	data = calloc(1, length);
	if (!data)
		return failed(target->name, "out of memory");
	status = target_read(target, data, length, width);
	if (status == EXIT_OK) {
		if (raw)
			fwrite(data, 1, length, stdout);
		else if (json)
			status = target_json(target, data, length, width);
		else
			dump(data, target->offset, length);
	}
	free(data);
	return status;
}

int run_peek(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_FD] = "fd=",
		[OPTION_WIDTH] = "width=",
		[OPTION_RAW] = "raw",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	int option, used, status, raw = 0, json = 0;
	struct target target = { .fd_text = NULL };
	uint64_t length = 4;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_FD)
			target.fd_text = options.value;
		else if (option == OPTION_RAW)
			raw = 1;
		else if (option == OPTION_JSON)
			json = 1;
		else if (target_width(command, options.value, &target.width))
			return EXIT_USAGE;
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (raw && json)
		return wrong_usage(command, "--raw or --json, not both");
	argc -= options.at;
	argv += options.at;
	used = target.fd_text ? 1 : 3;
	if (argc > used + 1)
		return wrong_usage(command, "unexpected \"%s\"", argv[used + 1]);
	if (argc > used && number_parse(argv[used], &length))
		return wrong_usage(command, "\"%s\" is no length", argv[used]);
	used = target_open(command, &target, argc, argv);
	if (used < 0)
		return -used;
	status = peek(&target, length, raw, json);
	target_close(&target);
	return status;
}
