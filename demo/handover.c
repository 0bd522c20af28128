// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The lender's side of the other process.
 */
#include "holder.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY 65534

static int send_fd(int socket, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	char byte = 0;
	struct iovec io = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static void become_holder(const char *program, int socket)
{
	if (dup2(socket, STDIN_FILENO) < 0 || setgroups(0, NULL) ||
	    setgid(NOBODY) || setuid(NOBODY))
		_exit(126);
	execlp(program, program, (char *)NULL);
	fprintf(stderr, "demo: %s: %s\n", program, strerror(errno));
	_exit(127);
}

int holder_start(const char *program, int fd)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return -1;
	fflush(NULL);
	switch (fork()) {
	case -1:
		close(sockets[0]);
		close(sockets[1]);
		return -1;
	case 0:
		become_holder(program, sockets[1]);
	}
	close(sockets[1]);
	if (send_fd(sockets[0], fd)) {
		close(sockets[0]);
		return -1;
	}
	return sockets[0];
}

int read_all(int fd, void *data, size_t length)
{
	char *at = data;

	while (length) {
		ssize_t got = read(fd, at, length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

int write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t put = send(fd, at, length, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		at += put;
		length -= (size_t)put;
	}
	return 0;
}

int holder_ask(int holder, enum holder_do what, uint64_t offset, void *data,
	       uint32_t length)
{
	struct holder_request request = {
		.what = what,
		.length = length,
		.offset = offset,
	};
	struct holder_answer answer;

	if (write_all(holder, &request, sizeof(request)) ||
	    read_all(holder, &answer, sizeof(answer)) ||
	    answer.length > length || read_all(holder, data, answer.length))
		return -EPIPE;
	return answer.result;
}
