// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter info: how a buffer stands.
 */
#include "buffer_info.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPTION_ALL, OPTION_JSON };

/* The fd of another process, as one of this process. */
static int fetch_fd(const char *text, uint64_t pid, uint64_t number, int *fd)
{
	int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	int ret = 0;

	if (process < 0)
		return failed(text, "%s", errno == ESRCH || errno == EINVAL ?
			      "no such process" : strerror(errno));
	*fd = (int)syscall(SYS_pidfd_getfd, process, (int)number, 0);
	if (*fd < 0)
		ret = failed(text, "%s", errno == EBADF ?
			     "the process has no such fd open" :
			     errno == EPERM ?
			     "no permission to take the fd of that process; run as root" :
			     strerror(errno));
	close(process);
	return ret;
}

static int resolve(const struct command *command, const char *text, int *fd)
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
		return wrong_usage(command, "expected one FD or PID:FD");
	status = resolve(command, argv[options.at], &fd);
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
