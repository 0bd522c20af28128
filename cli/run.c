// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A command with a buffer: its fd is BARTER_FD.
 */
#include "run.h"

#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int run_with_fd(int fd, char **command)
{
	char number[16];
	pid_t child;
	int status;

	snprintf(number, sizeof(number), "%d", fd);
	fflush(NULL);
	/* A terminal's ^C is for the command; its end ends this program. */
	signal(SIGINT, SIG_IGN);
	child = fork();
	if (child < 0)
		return failed(command[0], "cannot be started: %s",
			      strerror(errno));
	if (!child) {
		signal(SIGINT, SIG_DFL);
		if (setenv("BARTER_FD", number, 1) ||
		    fcntl(fd, F_SETFD, 0) < 0)
			_exit(EXIT_FAILED);
		execvp(command[0], command);
		status = errno == ENOENT ? 127 : 126;
		failed(command[0], "cannot be run: %s", strerror(errno));
		_exit(status);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return failed(command[0], "lost: %s", strerror(errno));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
	       WEXITSTATUS(status);
}
