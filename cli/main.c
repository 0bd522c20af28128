// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter: the command line. Looks the command up in the table and runs it.
 */
#include "cli.h"

#include <string.h>

static void help_all(FILE *to)
{
	const struct command *command;

	fputs("usage: barter COMMAND [ARGUMENTS]\n"
	      "       barter help COMMAND\n"
	      "       barter --version\n\n"
	      "Lend a PCI device's memory as dma-bufs, and take it back.\n\n",
	      to);
	for (command = commands; command->name; command++)
		fprintf(to, "  %-8s %s\n", command->name, command->summary);
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage.\n"
	      "BARTER_SYSFS and BARTER_DEV name folders to use instead of "
	      "/sys and /dev.\n", to);
}

static int run_help(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help_all(stdout);
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
