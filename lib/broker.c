// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The client's side of a broker: one request, one answer; events that come in
 * between are kept. The broker is not trusted: what it sends is checked, and an fd
 * that was not asked for is closed.
 */
#include "internal.h"

#include <barter-vend.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* More than a connection has leases; of a broker that sends more the oldest go. */
#define EVENTS 16

struct barter_broker {
	int socket;
	int broken;		/* -errno: nothing sensible comes any more */
	uint32_t serial;
	unsigned int first, nr;
	struct barter_vend_event events[EVENTS];
};

struct packet {
	union {
		struct barter_vend_head head;
		struct barter_vend_event event;
		char bytes[BARTER_VEND_MESSAGE_MAX];
	};
	size_t length;
	int fd;			/* -1: none came */
	bool lost_fd;		/* one was sent, but this process could have none */
};

/* What ask() says of an answer whose fd was lost. */
#define LOST_FD 1

BARTER_API int barter_broker_open(const char *path,
				  struct barter_broker **broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct barter_broker *new;
	int ret;

	if (!path)
		path = BARTER_VEND_SOCKET;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	/* Not to wait for a broker that takes in nobody. */
	new->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (new->socket < 0 || connect(new->socket, (struct sockaddr *)&address, sizeof(address)) ||
	    fcntl(new->socket, F_SETFL, 0)) {
		ret = -errno;
		if (new->socket >= 0)
			close(new->socket);
		free(new);
		return ret;
	}
	*broker = new;
	return 0;
}

BARTER_API void barter_broker_close(struct barter_broker *broker)
{
	if (!broker)
		return;
	close(broker->socket);
	free(broker);
}

BARTER_API int barter_broker_fd(const struct barter_broker *broker)
{
	return broker->socket;
}

/* The fds of a packet: the last of them, and how many; all but that are closed. */
static unsigned int take_fds(struct msghdr *message, int *fd)
{
	struct cmsghdr *part;
	unsigned int nr = 0;

	for (part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		size_t at, end = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET ||
		    part->cmsg_type != SCM_RIGHTS)
			continue;
		for (at = 0; at + sizeof(int) <= end; at += sizeof(int)) {
			if (nr++)
				close(*fd);
			memcpy(fd, CMSG_DATA(part) + at, sizeof(*fd));
		}
	}
	return nr;
}

/* A whole message with a head that holds what it says, or an error. */
static int receive(struct barter_broker *broker, struct packet *packet,
		   int flags)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = {
		.iov_base = packet->bytes,
		.iov_len = sizeof(packet->bytes),
	};
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int nr_fds;
	ssize_t got;

	packet->fd = -1;
	packet->lost_fd = false;
	memset(packet->bytes, 0, sizeof(packet->bytes));
	do {
		got = recvmsg(broker->socket, &message,
			      flags | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	/* They come with an empty message, too, which looks like the end. */
	nr_fds = take_fds(&message, &packet->fd);
	packet->lost_fd = !nr_fds && message.msg_flags & MSG_CTRUNC;
	packet->length = (size_t)got;
	if (nr_fds > 1 || (nr_fds && message.msg_flags & MSG_CTRUNC) ||
	    message.msg_flags & MSG_TRUNC || packet->length < sizeof(packet->head) ||
	    packet->head.size != packet->length) {
		if (packet->fd >= 0)
			close(packet->fd);
		return got ? -EPROTO : -EPIPE;
	}
	return 0;
}

static int broken(struct barter_broker *broker, int error)
{
	if (error != -EAGAIN)
		broker->broken = error;
	return error;
}

/* What came unasked: an event, or the broker's last word. */
static int keep_event(struct barter_broker *broker,
		      const struct packet *packet)
{
	unsigned int at;

	if (packet->fd >= 0)
		close(packet->fd);
	if (packet->head.serial || packet->lost_fd)
		return -EPROTO;
	if (packet->head.type != BARTER_VEND_TAKEN)
		return packet->head.error < 0 ? packet->head.error : -EPROTO;
	if (packet->length < sizeof(packet->event))
		return -EPROTO;
	at = (broker->first + broker->nr) % EVENTS;
	broker->events[at] = packet->event;
	if (broker->nr < EVENTS)
		broker->nr++;
	else
		broker->first = (broker->first + 1) % EVENTS;
	return 0;
}

static int send_request(struct barter_broker *broker,
			struct barter_vend_head *request, size_t length,
			uint16_t type)
{
	ssize_t put;

	if (broker->broken)
		return broker->broken;
	if (!++broker->serial)
		broker->serial = 1;
	*request = (struct barter_vend_head) {
		.size = (uint32_t)length,
		.version = BARTER_VEND_VERSION,
		.type = type,
		.serial = broker->serial,
	};
	do {
		put = send(broker->socket, request, length, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	/* A broker that refuses a connection says why before it ends it. */
	return put < 0 && errno != EPIPE ? broken(broker, -errno) : 0;
}

/*
 * Send a request, wait for its answer. What the answer has, up to @room bytes, is
 * copied to @answer, whether it is an error or not. LOST_FD: all is well, but for
 * the fd, for which this process has no room.
 */
static int ask(struct barter_broker *broker, struct barter_vend_head *request,
	       size_t length, uint16_t type, void *answer, size_t room, int *fd)
{
	struct packet packet;
	int ret = send_request(broker, request, length, type);

	if (ret)
		return ret;
	for (;;) {
		ret = receive(broker, &packet, 0);
		if (ret)
			return broken(broker, ret);
		if (packet.head.serial == broker->serial &&
		    packet.head.type == (type | BARTER_VEND_ANSWER))
			break;
		ret = keep_event(broker, &packet);
		if (ret)
			return broken(broker, ret);
	}
	ret = packet.head.error;
	/* An fd exactly where one belongs, and all that the answer must have. */
	if (ret > 0 || (packet.fd >= 0 || packet.lost_fd) != (fd && !ret) ||
	    (!ret && packet.length < room)) {
		if (packet.fd >= 0)
			close(packet.fd);
		return broken(broker, -EPROTO);
	}
	if (room)
		memcpy(answer, packet.bytes, room);
	if (packet.lost_fd)
		return LOST_FD;
	if (fd && !ret)
		*fd = packet.fd;
	return ret;
}

static int put_name(char to[BARTER_VEND_NAME_LENGTH], const char *name)
{
	if (strlen(name) >= BARTER_VEND_NAME_LENGTH)
		return -ENOENT;
	strcpy(to, name);
	return 0;
}

/* Text of another process ends where its field ends. */
#define END_TEXT(field) ((field)[sizeof(field) - 1] = '\0')

BARTER_API int barter_broker_borrow(struct barter_broker *broker,
				    const char *name, uint32_t seconds,
				    struct barter_vend_lease *lease, int *fd)
{
	struct barter_vend_borrow request = { .seconds = seconds };
	struct barter_vend_lease answer;
	int ret = put_name(request.name, name);

	if (ret)
		return ret;
	ret = ask(broker, &request.head, sizeof(request), BARTER_VEND_BORROW,
		  &answer, sizeof(answer), fd);
	if (ret == LOST_FD) {
		ret = barter_broker_return(broker, answer.lease);
		return ret && ret != -ENOENT ? ret : -EMFILE;
	}
	if (ret)
		return ret;
	END_TEXT(answer.device);
	*lease = answer;
	return 0;
}

BARTER_API int barter_broker_return(struct barter_broker *broker,
				    uint64_t lease)
{
	struct barter_vend_request request = { .lease = lease };

	return ask(broker, &request.head, sizeof(request), BARTER_VEND_RETURN,
		   NULL, 0, NULL);
}

BARTER_API int barter_broker_take_back(struct barter_broker *broker,
				       uint64_t lease, uint32_t flags)
{
	struct barter_vend_request request = { .lease = lease, .flags = flags };

	return ask(broker, &request.head, sizeof(request),
		   BARTER_VEND_TAKE_BACK, NULL, 0, NULL);
}

BARTER_API int barter_broker_event(struct barter_broker *broker,
				   struct barter_vend_event *event)
{
	struct packet packet;
	int ret;

	if (!broker->nr) {
		if (broker->broken)
			return broker->broken;
		ret = receive(broker, &packet, MSG_DONTWAIT);
		if (!ret)
			ret = keep_event(broker, &packet);
		if (ret)
			return broken(broker, ret);
	}
	*event = broker->events[broker->first];
	broker->first = (broker->first + 1) % EVENTS;
	broker->nr--;
	return 0;
}

BARTER_API int barter_broker_offer(struct barter_broker *broker,
				   const char *after,
				   struct barter_vend_offer *offer)
{
	struct barter_vend_next_offer request = { .after = "" };
	struct barter_vend_offer answer;
	int ret = put_name(request.after, after ? after : "");

	if (ret)
		return ret;
	ret = ask(broker, &request.head, sizeof(request), BARTER_VEND_OFFERS,
		  &answer, sizeof(answer), NULL);
	if (ret)
		return ret;
	END_TEXT(answer.name);
	END_TEXT(answer.device);
	*offer = answer;
	return 0;
}

BARTER_API int barter_broker_status(struct barter_broker *broker,
				    uint64_t after,
				    struct barter_vend_status *status)
{
	struct barter_vend_request request = { .lease = after };
	struct barter_vend_status answer;
	int ret;

	ret = ask(broker, &request.head, sizeof(request), BARTER_VEND_STATUS,
		  &answer, sizeof(answer), NULL);
	if (ret)
		return ret;
	END_TEXT(answer.name);
	END_TEXT(answer.device);
	END_TEXT(answer.program);
	END_TEXT(answer.blocker);
	*status = answer;
	return 0;
}

BARTER_API int barter_broker_reload(struct barter_broker *broker,
				    struct barter_vend_text *text)
{
	struct barter_vend_head request;
	struct barter_vend_text answer;
	int ret;

	memset(&answer, 0, sizeof(answer));
	ret = ask(broker, &request, sizeof(request), BARTER_VEND_RELOAD,
		  &answer, sizeof(answer), NULL);
	END_TEXT(answer.text);
	*text = answer;
	return ret;
}

BARTER_API const char *barter_vend_state_name(uint32_t state)
{
	static const char *const names[] = {
		[BARTER_VEND_LENDING] = "lending",
		[BARTER_VEND_LENT] = "lent",
		[BARTER_VEND_TAKING] = "taking-back",
		[BARTER_VEND_STUCK] = "stuck",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] :
	       "unknown";
}

BARTER_API const char *barter_vend_why_name(uint32_t why)
{
	static const char *const names[] = {
		[BARTER_VEND_WHY_NONE] = "none",
		[BARTER_VEND_WHY_RETURNED] = "returned",
		[BARTER_VEND_WHY_DISCONNECTED] = "disconnected",
		[BARTER_VEND_WHY_TIMEOUT] = "timeout",
		[BARTER_VEND_WHY_OWNER] = "owner",
		[BARTER_VEND_WHY_POLICY] = "policy",
		[BARTER_VEND_WHY_SHUTDOWN] = "shutdown",
		[BARTER_VEND_WHY_GONE] = "gone",
	};

	return why < sizeof(names) / sizeof(names[0]) ? names[why] : "unknown";
}
