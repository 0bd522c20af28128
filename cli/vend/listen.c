// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's own socket, where no service manager has handed one over.
 */
#include "listen.h"

#include "../cli.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
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

#define LOCK_ROOM (sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8)

static void lock_name(const char *path, char name[LOCK_ROOM])
{
	snprintf(name, LOCK_ROOM, "%s.lock", path);
}

/* Is it the file that has the name? A broker that ends removes it. */
static int is_named(int fd, const char *name)
{
	struct stat file, named;

	return !fstat(fd, &file) && !lstat(name, &named) &&
	       file.st_dev == named.st_dev && file.st_ino == named.st_ino;
}

/* An fd, held for as long as the broker lives; -EADDRINUSE: another one's. */
static int lock_path(const char *path)
{
	char name[LOCK_ROOM];
	int fd, ret;

	lock_name(path, name);
	for (;;) {
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			ret = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
			close(fd);
			return ret;
		}
		if (is_named(fd, name))
			return fd;
		close(fd);
	}
}

void unlisten(const char *path, int lock)
{
	char name[LOCK_ROOM];

	lock_name(path, name);
	unlink(path);
	unlink(name);
	close(lock);
}

static int listen_locked(const struct sockaddr_un *address, int *listener)
{
	mode_t mask;
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (is_stale(address))
		unlink(address->sun_path);
	/* Everybody may ask; the policy says who gets something. */
	mask = umask(0111);
	ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ?
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

int listen_at(const char *path, int *listener, int *lock)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[LOCK_ROOM];
	int ret;

	*lock = -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	ret = lock_path(path);
	if (ret < 0)
		return ret;
	*lock = ret;
	ret = listen_locked(&address, listener);
	if (ret) {
		/* Whatever is there, it is not ours. */
		lock_name(path, name);
		unlink(name);
		close(*lock);
		*lock = -1;
	}
	return ret;
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
