// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's own socket, where no service manager has handed one over.
 */
#include "listen.h"

#include "../cli.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

/* Is it a socket on which nobody listens any more? */
static int is_stale(const struct sockaddr_un *address)
{
	struct stat file;
	int fd, ret;

	if (lstat(address->sun_path, &file) || !S_ISSOCK(file.st_mode))
		return 0;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	ret = connect(fd, (const struct sockaddr *)address,
		      sizeof(*address)) && errno == ECONNREFUSED;
	close(fd);
	return ret;
}

int listen_at(const char *path, int *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (is_stale(&address))
		unlink(path);
	/* Everybody may ask; the policy says who gets something. */
	mask = umask(0111);
	ret = bind(fd, (struct sockaddr *)&address, sizeof(address)) ?
	      -errno : 0;
	umask(mask);
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	*listener = fd;
	return 0;
}

int raise_fd_limit(unsigned int needed)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_max < needed)
		return -EMFILE;
	if (limit.rlim_cur >= needed)
		return 0;
	limit.rlim_cur = needed;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}
