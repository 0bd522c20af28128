// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Walks /proc/PID/fd for dma-bufs.
 */
#include "held.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void of_process(int pid, void (*see)(const struct held *held, void *data), void *data)
{
	struct held held = { .pid = pid };
	char path[300], target[16];
	struct dirent *entry;
	struct stat status;
	ssize_t length;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", pid, entry->d_name);
		length = readlink(path, target, sizeof(target));
		if (length < 8 || memcmp(target, "/dmabuf:", 8) || stat(path, &status))
			continue;
		held.fd = atoi(entry->d_name);
		held.inode = status.st_ino;
		see(&held, data);
	}
	if (dir)
		closedir(dir);
}

void held_each(void (*see)(const struct held *held, void *data), void *data)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			of_process(atoi(entry->d_name), see, data);
	if (dir)
		closedir(dir);
}

int held_fetch(int pid, int fd)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0), ret;

	if (process < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	ret = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	if (ret < 0)
		ret = -errno;
	close(process);
	return ret;
}
