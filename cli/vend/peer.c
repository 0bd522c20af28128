// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Who is at the other end of a socket, by the kernel's word: as it was when that
 * end connected, whoever has the socket now.
 */
#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 4.13 and 6.5. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* As many as a process can have. */
#define GROUPS 65536

static int by_number(const void *a, const void *b)
{
	const gid_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

static int get_groups(int socket, struct peer *peer)
{
	socklen_t length = 64 * sizeof(gid_t);
	gid_t *groups = NULL, *more;

	for (;;) {
		more = realloc(groups, length ? length : 1);
		if (!more) {
			free(groups);
			return -ENOMEM;
		}
		groups = more;
		if (!getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups,
				&length))
			break;
		/* It says how much it takes. */
		if (errno != ERANGE || length > GROUPS * sizeof(gid_t)) {
			free(groups);
			return -errno;
		}
	}
	peer->groups = groups;
	peer->nr_groups = (uint32_t)(length / sizeof(gid_t));
	/* A client may have very many, and each request asks for some. */
	qsort(groups, peer->nr_groups, sizeof(*groups), by_number);
	return 0;
}

int peer_get(int socket, struct peer *peer)
{
	struct ucred who;
	socklen_t length = sizeof(who);
	int ret;

	*peer = (struct peer) { .pidfd = -1 };
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length))
		return -errno;
	peer->uid = who.uid;
	peer->gid = who.gid;
	peer->pid = who.pid;
	ret = get_groups(socket, peer);
	if (ret)
		return ret;
	/* An older kernel has none, nor for a process that is no more. */
	length = sizeof(peer->pidfd);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &peer->pidfd,
		       &length)) {
		peer->pidfd = -1;
		peer->is_gone = errno != ENOPROTOOPT;
	}
	return 0;
}

void peer_put(struct peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	free(peer->groups);
	*peer = (struct peer) { .pidfd = -1 };
}

bool peer_lives(const struct peer *peer)
{
	struct pollfd process = { .fd = peer->pidfd, .events = POLLIN };

	return peer->pidfd >= 0 && !poll(&process, 1, 0);
}

void peer_program(const struct peer *peer,
		  char program[BARTER_VEND_PROGRAM_LENGTH])
{
	char path[40];
	ssize_t got;
	int fd;

	memset(program, 0, BARTER_VEND_PROGRAM_LENGTH);
	if (peer->is_gone)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)peer->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	got = read(fd, program, BARTER_VEND_PROGRAM_LENGTH - 1);
	close(fd);
	/* The number may be another process's by now: only a pidfd tells. */
	if (got <= 0 || (peer->pidfd >= 0 && !peer_lives(peer)))
		got = 0;
	memset(program + got, 0, BARTER_VEND_PROGRAM_LENGTH - (size_t)got);
	/* The kernel's newline; the name may have others, and worse. */
	if (got && program[got - 1] == '\n')
		program[got - 1] = '\0';
	text_make_plain(program);
}
