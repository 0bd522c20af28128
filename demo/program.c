// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Other programs, and what the demo was told.
 */
#include "program.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int run_program(char *const *argv)
{
	extern char **environ;
	pid_t child;
	int status;

	fflush(NULL);
	if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ))
		return -1;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		fprintf(stderr, "demo: %s is not set: run this by \"make demo\"\n",
			name);
		exit(1);
	}
	return value;
}
