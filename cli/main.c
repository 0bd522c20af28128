// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter: the command line. Looks the command up in the table and runs it.
 */
#include "cli.h"
#include "json.h"

#include <string.h>

static void help_all(FILE *to)
{
	const struct command *command;
	const char *group = "";

	fputs("usage: barter COMMAND [ARGUMENTS]; barter help [COMMAND]; barter --version\n"
	      "Lend a PCI device's memory as dma-bufs, and take it back.\n", to);
	for (command = commands; command->name; command++) {
		if (strcmp(group, command->group))
			fprintf(to, "%s:\n", command->group);
		group = command->group;
		fprintf(to, "  %-8s %s\n", command->name, command->summary);
	}
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage. All answer --json.\n"
	      "BARTER_SYSFS and BARTER_DEV name folders to use instead of "
	      "/sys and /dev.\n", to);
}

static void help_json(void)
{
	const struct command *command;
	struct json json = { .to = stdout };

	json_open(&json, NULL, '{');
	json_text(&json, "version", BARTER_VERSION);
	json_open(&json, "commands", '[');
	for (command = commands; command->name; command++) {
		json_open(&json, NULL, '{');
		json_text(&json, "name", command->name);
		json_text(&json, "group", command->group);
		json_text(&json, "summary", command->summary);
		json_text(&json, "arguments", command->arguments);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}

static int run_help(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help_all(stdout);
		return answer_done(EXIT_OK);
	}
	if (!strcmp(argv[1], "--json")) {
		help_json();
		return answer_done(EXIT_OK);
	}
	if (!strcmp(argv[1], "help")) {
		fputs("usage: barter help [COMMAND]\n"
		      "       barter help --json\n\n"
		      "Show all commands, or what one takes. With --json all of them, for programs.\n",
		      stdout);
		return answer_done(EXIT_OK);
	}
	command = command_find(argv[1]);
	if (!command) {
		fprintf(stderr, "barter: no command \"%s\"; see: barter help\n",
			argv[1]);
		return EXIT_USAGE;
	}
	command_help(command, stdout);
	return answer_done(EXIT_OK);
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") ||
	    !strcmp(argv[1], "-h"))
		return run_help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version")) {
		printf("barter %s\n", BARTER_VERSION);
		return answer_done(EXIT_OK);
	}
	command = command_find(argv[1]);
	if (!command) {
		fprintf(stderr, "barter: no command \"%s\"; see: barter help\n",
			argv[1]);
		return EXIT_USAGE;
	}
	return answer_done(command->run(command, argc - 1, argv + 1));
}
