// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How commands name a buffer: FD or PID:FD.
 */
#include "buffer_info.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The fd of another process, as one of this process. */
static int fetch_fd(const char *text, uint64_t pid, uint64_t number, int *fd)
{
	int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	int ret = 0;

	if (process < 0)
		return failed(text, "%s", errno == ESRCH || errno == EINVAL ?
			      "no such process; barter top shows who holds which buffer" : strerror(errno));
	*fd = (int)syscall(SYS_pidfd_getfd, process, (int)number, 0);
	if (*fd < 0)
		ret = failed(text, "%s", errno == EBADF ?
			     "the process has no such fd open; see: barter top" :
			     errno == EPERM ?
			     "no permission to take the fd of that process; run as root" :
			     strerror(errno));
	close(process);
	return ret;
}

int buffer_fd(const struct command *command, const char *text, int *fd)
{
	const char *colon = strchr(text, ':');
	uint64_t pid = 0, number;
	char pid_text[24];

	if (colon) {
		snprintf(pid_text, sizeof(pid_text), "%.*s",
			 (int)(colon - text), text);
		if (number_parse(pid_text, &pid) || !pid || pid > INT32_MAX)
			return wrong_usage(command, "\"%s\" is no process id",
					   pid_text);
	}
	if (number_parse(colon ? colon + 1 : text, &number) ||
	    number > INT32_MAX)
		return wrong_usage(command, "\"%s\" is no fd; expected FD or PID:FD",
				   text);
	if (pid)
		return fetch_fd(text, pid, number, fd);
	*fd = (int)number;
	return EXIT_OK;
}
