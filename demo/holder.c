// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-holder: the process that was only handed an fd. Its standard input is
 * the socket.
 */
#include "holder.h"
#include "guard.h"

#include <barter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int receive_fd(int socket)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec io = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *part;
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	part = CMSG_FIRSTHDR(&message);
	if (!part || part->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(part), sizeof(fd));
	return fd;
}

static int map_anew(int fd)
{
	void *address;
	int ret = barter_buffer_map(fd, 0, 0, PROT_READ, &address);
	uint64_t length;

	if (ret || barter_buffer_length(fd, &length))
		return ret ? ret : -EIO;
	return barter_unmap(address, length);
}

static int state(int fd)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	int ret = barter_buffer_info(-1, &info);

	return ret ? ret : (int)info.out_state;
}

int main(void)
{
	struct holder_request request;
	uint64_t length;
	char *memory;
	void *address;
	int fd;

	fd = receive_fd(STDIN_FILENO);
	if (fd < 0 || barter_buffer_length(fd, &length) ||
	    barter_buffer_map(fd, 0, 0, PROT_READ, &address)) {
		fprintf(stderr, "demo-holder: no buffer came\n");
		return 1;
	}
	memory = address;
	while (!read_all(STDIN_FILENO, &request, sizeof(request))) {
		struct holder_answer answer = { .result = -EINVAL };
		char *data = NULL;

		if (request.what == HOLDER_MAP) {
			answer.result = map_anew(fd);
		} else if (request.what == HOLDER_STATE) {
			answer.result = state(fd);
		} else if (request.offset <= length &&
			   request.length <= length - request.offset) {
			data = calloc(1, request.length);
			answer.result = !data ? -ENOMEM :
				guarded_copy(data, memory + request.offset,
					     request.length) ? -EFAULT : 0;
		}
		if (!answer.result && data)
			answer.length = request.length;
		if (write_all(STDIN_FILENO, &answer, sizeof(answer)) ||
		    write_all(STDIN_FILENO, data, answer.length))
			return 1;
		free(data);
	}
	return 0;
}
