// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Files below /sys and /dev, or below the folders that BARTER_SYSFS and
 * BARTER_DEV name instead.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int path_below(char *path, size_t length, const char *variable,
		      const char *fallback, const char *format, va_list args)
{
	const char *root = secure_getenv(variable);
	int head, tail;

	head = snprintf(path, length, "%s/", root && *root ? root : fallback);
	if (head < 0 || (size_t)head >= length)
		return -ENAMETOOLONG;
	tail = vsnprintf(path + head, length - (size_t)head, format, args);
	if (tail < 0 || (size_t)tail >= length - (size_t)head)
		return -ENAMETOOLONG;
	return 0;
}

int barter_path_sysfs(char *path, size_t length, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = path_below(path, length, "BARTER_SYSFS", "/sys", format, args);
	va_end(args);
	return ret;
}

int barter_path_dev(char *path, size_t length, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = path_below(path, length, "BARTER_DEV", "/dev", format, args);
	va_end(args);
	return ret;
}

int barter_file_read(const char *path, char *text, size_t length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		got = read(fd, text + used, length - used);
		if (got > 0)
			used += (size_t)got;
	} while ((got > 0 && used < length) || (got < 0 && errno == EINTR));
	if (got < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	close(fd);
	if (used == length)
		return -EFBIG;
	if (used && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return 0;
}

int barter_file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put;
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* One write: sysfs takes each write() as a whole value. */
	do {
		put = write(fd, text, strlen(text));
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		ret = -errno;
	else if ((size_t)put != strlen(text))
		ret = -EIO;
	close(fd);
	return ret;
}

int barter_link_name(const char *path, char *name, size_t length)
{
	char target[BARTER_PATH_LENGTH];
	ssize_t got = readlink(path, target, sizeof(target) - 1);
	const char *last;

	if (got < 0)
		return -errno;
	target[got] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (strlen(last) >= length)
		return -ENAMETOOLONG;
	memcpy(name, last, strlen(last) + 1);
	return 0;
}
