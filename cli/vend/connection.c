// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Connections: whatever a client does, it costs one of its user's places, and
 * nobody else's time.
 *
 * - It has no way to make us wait: sends and receives do not block, what its socket
 *   has no room for is kept (one answer, and one event for each lease), and no
 *   request is taken while its answers are unread. The socket's own room is small,
 *   since each unread message may hold an fd, and the kernel counts those against us.
 * - An fd that it sends never gets here. Where the kernel can, the socket refuses
 *   fds (SO_PASSRIGHTS). Elsewhere each message is looked at before it is received,
 *   and one with fds is not received but goes with the socket, see closer.c.
 */
#include "server.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel keeps for a client that does not read: few messages. */
#define SEND_ROOM	4096
/* Connections and requests that are taken in one turn of the loop. */
#define ACCEPTS		16
#define REQUESTS	4

#define connection_of(source) ((struct connection *)(source))

/* Has the client read what it was sent, but for a message or two? */
static bool is_writable(const struct connection *connection)
{
	struct pollfd socket = {
		.fd = connection->source.fd,
		.events = POLLOUT,
	};

	return poll(&socket, 1, 0) > 0 && socket.revents & POLLOUT;
}

static void watch(struct connection *connection)
{
	struct epoll_event event = { .data.ptr = &connection->source };

	if (connection->is_over)
		return;
	event.events = EPOLLRDHUP;
	if (connection->parcels)
		event.events |= EPOLLOUT;
	else if (!connection->type)
		/* Not before what it has got is read. */
		event.events |= is_writable(connection) ? EPOLLIN : EPOLLOUT;
	epoll_ctl(connection->source.server->epoll, EPOLL_CTL_MOD,
		  connection->source.fd, &event);
}

/* ---- The end ----------------------------------------------------------- */

enum look { LOOK_EMPTY, LOOK_END, LOOK_MESSAGE, LOOK_FDS, LOOK_ERROR };

/*
 * What is next in the socket, without receiving it. Credentials come with every
 * message, so that one without bytes can be told from the end; with the room for
 * them full no fd is installed.
 */
static enum look look(int socket)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char byte;
	struct iovec io = { .iov_base = &byte, .iov_len = sizeof(byte) };
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(struct ucred)),
	};
	ssize_t got = recvmsg(socket, &message,
			      MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? LOOK_EMPTY :
		       LOOK_ERROR;
	if (message.msg_flags & MSG_CTRUNC)
		return LOOK_FDS;
	return got || message.msg_controllen ? LOOK_MESSAGE : LOOK_END;
}

/* If it can't be closed now, connections_tick() tries again. */
static void connection_close(struct connection *connection)
{
	int socket = connection->source.fd;

	/* The client sees its end at once, and puts nothing more into it. */
	shutdown(socket, SHUT_RDWR);
	if (look(socket) == LOOK_END) {
		close(socket);
		connection->is_closed = true;
	} else {
		connection->is_closed =
			!close_elsewhere(connection->source.server, socket);
	}
}

void connection_drop(struct connection *connection)
{
	struct server *server = connection->source.server;
	struct parcel *parcel;

	if (connection->is_over)
		return;
	connection->is_over = true;
	connection->type = 0;
	epoll_ctl(server->epoll, EPOLL_CTL_DEL, connection->source.fd, NULL);
	while ((parcel = connection->parcels)) {
		connection->parcels = parcel->next;
		if (parcel->fd >= 0)
			close(parcel->fd);
		free(parcel);
	}
	leases_disconnected(connection);
	connection_close(connection);
}

void connections_sweep(struct server *server)
{
	struct connection **at = &server->connections, *connection;

	while ((connection = *at)) {
		if (!connection->is_closed) {
			at = &connection->next;
			continue;
		}
		*at = connection->next;
		peer_put(&connection->peer);
		free(connection);
	}
}

/* ---- Sending ----------------------------------------------------------- */

/* 0, -EAGAIN: no room, or what ends the connection. */
static int send_now(const struct connection *connection,
		    const void *bytes, size_t length, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec io = { .iov_base = (void *)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	if (sendmsg(connection->source.fd, &message,
		    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : -errno;
	return 0;
}

static void keep_parcel(struct connection *connection, const void *bytes,
			size_t length, int fd)
{
	struct parcel **at = &connection->parcels;
	struct parcel *parcel = malloc(sizeof(*parcel));

	if (!parcel) {
		if (fd >= 0)
			close(fd);
		connection_drop(connection);
		return;
	}
	parcel->next = NULL;
	parcel->length = length;
	parcel->fd = fd;
	memcpy(parcel->bytes, bytes, length);
	while (*at)
		at = &(*at)->next;
	*at = parcel;
	watch(connection);
}

void connection_send(struct connection *connection,
		     const struct barter_vend_head *message, int fd)
{
	int ret = connection->is_over ? -EPIPE :
		  connection->parcels ? -EAGAIN :
		  send_now(connection, message, message->size, fd);

	if (ret == -EAGAIN) {
		keep_parcel(connection, message, message->size, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (ret)
		connection_drop(connection);
	else
		watch(connection);
}

void connection_answer(struct connection *connection, int error)
{
	struct barter_vend_head head = {
		.size = sizeof(head),
		.version = BARTER_VEND_VERSION,
		.type = connection->type | BARTER_VEND_ANSWER,
		.serial = connection->serial,
		.error = error,
	};

	if (!connection->type)
		return;
	connection->type = 0;
	connection_send(connection, &head, -1);
}

static void send_parcels(struct connection *connection)
{
	struct parcel *parcel;
	int ret;

	while ((parcel = connection->parcels)) {
		ret = send_now(connection, parcel->bytes, parcel->length,
			       parcel->fd);
		if (ret == -EAGAIN)
			return;
		if (ret) {
			connection_drop(connection);
			return;
		}
		connection->parcels = parcel->next;
		if (parcel->fd >= 0)
			close(parcel->fd);
		free(parcel);
	}
}

/* ---- Receiving --------------------------------------------------------- */

/* One request; false: there is none, or it cannot be taken now. */
static bool receive(struct connection *connection)
{
	union message message;
	ssize_t got;

	switch (look(connection->source.fd)) {
	case LOOK_EMPTY:
		return false;
	case LOOK_MESSAGE:
		break;
	default:
		connection_drop(connection);
		return false;
	}
	memset(&message, 0, sizeof(message));
	got = recv(connection->source.fd, &message, sizeof(message),
		   MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0)
		return false;
	connection->heard = now_ms();
	request_handle(connection, &message, (size_t)got);
	return !connection->is_over;
}

static void connection_ready(struct source *source, uint32_t events)
{
	struct connection *connection = connection_of(source);
	int i;

	if (connection->is_over)
		return;
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		connection_drop(connection);
		return;
	}
	if (events & EPOLLOUT)
		send_parcels(connection);
	for (i = 0; events & EPOLLIN && i < REQUESTS; i++)
		if (connection->is_over || connection->type ||
		    connection->parcels || !is_writable(connection) ||
		    !receive(connection))
			break;
	watch(connection);
}

/* ---- New ones ---------------------------------------------------------- */

/* Room is made by the connection that has been silent for longest, without lease. */
static bool is_idle(const struct connection *connection)
{
	const struct lease *lease;

	if (connection->is_over || connection->type)
		return false;
	for (lease = connection->source.server->leases; lease;
	     lease = lease->next)
		if (lease->owner == connection)
			return false;
	return true;
}

static bool has_place(struct server *server, const struct peer *peer,
		      bool is_owner)
{
	unsigned int all = 0, user = 0, places = server->limits.connections;
	struct connection *connection, *idle = NULL;

	for (connection = server->connections; connection;
	     connection = connection->next) {
		all++;
		user += connection->peer.uid == peer->uid;
		if (is_idle(connection) && !connection->is_owner &&
		    (!idle || connection->heard < idle->heard))
			idle = connection;
	}
	if (!is_owner)
		places -= server->limits.owner_connections;
	if (user >= server->limits.user_connections)
		return false;
	if (all < places)
		return true;
	if (!idle)
		return false;
	connection_drop(idle);
	return idle->is_closed;
}

static void refuse(int socket, int error)
{
	struct barter_vend_head head = {
		.size = sizeof(head),
		.version = BARTER_VEND_VERSION,
		.error = error,
	};

	send(socket, &head, sizeof(head), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* look() needs the first. */
static int set_up_socket(int socket)
{
	int room = SEND_ROOM, on = 1;

	if (setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)))
		return -errno;
	return 0;
}

static int admit(struct server *server, struct connection *connection)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP,
		.data.ptr = &connection->source,
	};
	int ret = peer_get(connection->source.fd, &connection->peer);

	if (ret)
		return ret;
	connection->is_owner = !connection->peer.uid ||
			       connection->peer.uid == geteuid();
	if (!has_place(server, &connection->peer, connection->is_owner))
		return -EMLINK;
	peer_program(&connection->peer, connection->program);
	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, connection->source.fd,
			 &event) ? -errno : 0;
}

static void welcome(struct server *server, struct connection *connection,
		    int socket)
{
	int ret = set_up_socket(socket);

	connection->peer.pidfd = -1;
	connection->heard = now_ms();
	connection->source = (struct source) {
		.ready = connection_ready,
		.server = server,
		.fd = socket,
	};
	if (!ret)
		ret = admit(server, connection);
	if (ret) {
		refuse(socket, ret);
		connection->is_over = true;
		connection_close(connection);
	}
	connection->next = server->connections;
	server->connections = connection;
}

void listener_ready(struct source *source, uint32_t events)
{
	struct server *server = source->server;
	struct connection *connection;
	int i, fd;

	(void)events;
	for (i = 0; i < ACCEPTS; i++) {
		/* First, for a socket could not be closed without it. */
		connection = calloc(1, sizeof(*connection));
		fd = !connection ? -1 :
		     accept4(source->fd, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			welcome(server, connection, fd);
			continue;
		}
		free(connection);
		if (errno == EAGAIN || errno == EINTR ||
		    errno == ECONNABORTED)
			return;
		/* No fds or no memory: look again a little later. */
		server->deaf = now_ms() + 100;
		return;
	}
}

int64_t connections_tick(struct server *server, int64_t now)
{
	struct connection *connection;
	int64_t next = 0, due;

	for (connection = server->connections; connection;
	     connection = connection->next) {
		if (connection->is_over) {
			if (!connection->is_closed)
				connection_close(connection);
			if (!connection->is_closed)
				next = now + 100;
			continue;
		}
		if (!is_idle(connection))
			continue;
		due = connection->heard + server->limits.idle;
		if (now >= due)
			connection_drop(connection);
		else if (!next || due < next)
			next = due;
	}
	return next;
}
