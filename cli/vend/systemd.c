// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a service manager gives and is told: sd_listen_fds(3), sd_notify(3),
 * sd_watchdog_enabled(3). Their protocols are few lines, so nothing is linked.
 */
#include "server.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

static int number_of(const char *name, uint64_t *number)
{
	const char *text = getenv(name);

	return text && !number_parse(text, number) ? 0 : -ENOENT;
}

static int option_of(int socket, int option)
{
	socklen_t length;
	int value;

	length = sizeof(value);
	return getsockopt(socket, SOL_SOCKET, option, &value, &length) ? -1 :
	       value;
}

int systemd_listener(void)
{
	uint64_t pid, nr;

	if (number_of("LISTEN_PID", &pid) || pid != (uint64_t)getpid() ||
	    number_of("LISTEN_FDS", &nr) || !nr)
		return -ENOENT;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (nr > 1)
		return -E2BIG;
	if (option_of(FIRST_FD, SO_DOMAIN) != AF_UNIX ||
	    option_of(FIRST_FD, SO_TYPE) != SOCK_SEQPACKET ||
	    option_of(FIRST_FD, SO_ACCEPTCONN) != 1)
		return -EPROTOTYPE;
	if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) ||
	    fcntl(FIRST_FD, F_SETFL, O_NONBLOCK))
		return -errno;
	return FIRST_FD;
}

void systemd_notify(const char *format, ...)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	socklen_t length;
	char text[512];
	va_list args;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof(address.sun_path))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(address.sun_path, path, strlen(path));
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			     strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* Who does not listen does not want to know. */
	(void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		      (struct sockaddr *)&address, length);
	close(fd);
}

int64_t systemd_watchdog(void)
{
	uint64_t pid, us;

	if (number_of("WATCHDOG_USEC", &us) || us < 2000 ||
	    us > INT64_MAX / 2 ||
	    (!number_of("WATCHDOG_PID", &pid) && pid != (uint64_t)getpid()))
		return 0;
	return (int64_t)(us / 2000);
}
