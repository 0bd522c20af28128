// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The far side of the test bed, see host.h: by the bed's program vmctl.
 */
#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Run vmctl with @args; how many bytes of its answer are in @data. Not by fork(), which
 * would copy the page tables of mapped BARs each time.
 */
static ssize_t vmctl(char *const args[], void *data, size_t size)
{
	posix_spawn_file_actions_t actions;
	int pipes[2], status, ret;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	fflush(stdout);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	ret = posix_spawnp(&pid, args[0], &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (ret) {
		close(pipes[0]);
		return -ENOSYS;
	}
	while (got < size &&
	       (n = read(pipes[0], (char *)data + got, size - got)) > 0)
		got += (size_t)n;
	close(pipes[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 127)
		return -ENOSYS;
	if (!WEXITSTATUS(status))
		return (ssize_t)got;
	printf("# vmctl %s: %.*s\n", args[1], (int)got, (char *)data);
	return -EIO;
}

int host_monitor(const char *command, char *text, size_t size)
{
	char line[256], *args[16] = { "vmctl" }, *save, *word;
	unsigned int n = 1;
	ssize_t got;

	snprintf(line, sizeof(line), "%s", command);
	for (word = strtok_r(line, " ", &save); word && n < 15;
	     word = strtok_r(NULL, " ", &save))
		args[n++] = word;
	got = vmctl(args, text, size - 1);
	text[got > 0 ? got : 0] = 0;
	return got < 0 ? (int)got : 0;
}

static ssize_t request_of(const char *what, char *verb, uint64_t offset,
			  uint64_t n, char *more, void *data, size_t size)
{
	char at[64], length[32];
	char *args[] = { "vmctl", verb, at, length, more, NULL };

	snprintf(at, sizeof(at), "%s:%#llx", what, (unsigned long long)offset);
	snprintf(length, sizeof(length), "%#llx", (unsigned long long)n);
	return vmctl(args, data, size);
}

static ssize_t request(char *verb, uint64_t offset, uint64_t n, char *more,
		       void *data, size_t size)
{
	return request_of("vram0", verb, offset, n, more, data, size);
}

int host_read_of(const char *what, uint64_t offset, void *data, size_t n)
{
	ssize_t got = request_of(what, "host-read", offset, n, NULL, data, n);

	return got < 0 ? (int)got : (size_t)got == n ? 0 : -EIO;
}

int host_read(uint64_t offset, void *data, size_t n)
{
	return host_read_of("vram0", offset, data, n);
}

int host_sum_of(const char *what, uint64_t offset, uint64_t n, char sum[65])
{
	char text[256];
	ssize_t got = request_of(what, "host-sha256", offset, n, NULL, text,
				 sizeof(text));

	sum[0] = 0;
	if (got < 64)
		return got < 0 ? (int)got : -EIO;
	memcpy(sum, text, 64);
	sum[64] = 0;
	return 0;
}

int host_sum(uint64_t offset, uint64_t n, char sum[65])
{
	return host_sum_of("vram0", offset, n, sum);
}

int host_fill(uint64_t offset, uint64_t n, uint8_t byte)
{
	char value[8], text[256];
	ssize_t got;

	snprintf(value, sizeof(value), "%u", byte);
	got = request("host-fill", offset, n, value, text, sizeof(text));
	return got < 0 ? (int)got : 0;
}
