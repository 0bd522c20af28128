// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's loop: what comes, what is due, signals, the policy.
 */
#include "server.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83	/* Linux 6.16 */
#endif

#define EVENTS 32

const struct limits default_limits = {
	.connections = 256,
	.user_connections = 16,
	.owner_connections = 16,
	.leases = 512,
	.user_leases = 64,
	.connection_leases = 8,
	.idle = 60000,
	.lend = 5000,
	.retry = 1000,
	.grace = 10000,
};

void server_log(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "barter vend: %s\n", text);
}

/* It goes on while the machine sleeps: a lifetime is time, not work. */
int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int source_add(struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(source->server->epoll, EPOLL_CTL_ADD, source->fd,
			 &event) ? -errno : 0;
}

/* ---- Policy ------------------------------------------------------------ */

/* What the parser cannot know: whether this program can do it. */
static int check_policy(const struct server *server,
			const struct policy *policy, char *text, size_t room)
{
	const char *devices[DEVICES], *why;
	uint32_t i, j, nr = 0;

	for (i = 0; i < policy->nr; i++) {
		const struct offer *offer = policy->offers[i];

		if (server->backend->check(offer, &why)) {
			snprintf(text, room, "%s:%d: [%s]: %s",
				 server->policy_path, offer->line, offer->name,
				 why);
			return -EINVAL;
		}
		for (j = 0; j < nr && strcmp(devices[j], offer->device); j++)
			continue;
		if (j < nr)
			continue;
		if (nr == DEVICES) {
			snprintf(text, room, "%s:%d: [%s]: more than %d devices",
				 server->policy_path, offer->line, offer->name,
				 DEVICES);
			return -EINVAL;
		}
		devices[nr++] = offer->device;
	}
	return 0;
}

int server_reload(struct server *server, char *text, size_t room)
{
	struct policy *policy;
	int ret;

	ret = policy_read(server->policy_path, &policy, text, room);
	if (ret)
		return ret == -ENOMEM ? ret : -EINVAL;
	ret = check_policy(server, policy, text, room);
	if (ret) {
		policy_free(policy);
		return ret;
	}
	policy_free(server->policy);
	server->policy = policy;
	leases_review(server);
	devices_open(server);
	devices_close(server);
	snprintf(text, room, "%s: %u offers", server->policy_path, policy->nr);
	return 0;
}

/* ---- What comes -------------------------------------------------------- */

static void end_begins(struct server *server)
{
	if (server->ends)
		return;
	systemd_notify("STOPPING=1\nSTATUS=taking all leases back");
	server->ends = now_ms() + server->limits.grace;
	leases_take_all(server, BARTER_VEND_WHY_SHUTDOWN);
	devices_close(server);
}

static void signals_ready(struct source *source, uint32_t events)
{
	struct server *server = source->server;
	struct signalfd_siginfo signal;
	char text[BARTER_VEND_TEXT_LENGTH];
	int ret;

	(void)events;
	if (read(source->fd, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo != SIGHUP) {
		end_begins(server);
		return;
	}
	systemd_notify("RELOADING=1");
	ret = server_reload(server, text, sizeof(text));
	server_log("%s%s", ret ? "the policy stays as it was: " : "", text);
	systemd_notify("READY=1\nSTATUS=%s", text);
}

static void timer_ready(struct source *source, uint32_t events)
{
	uint64_t count;

	/* What is due is looked for after each turn. */
	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
}

static void done_ready(struct source *source, uint32_t events)
{
	struct server *server = source->server;
	struct job *job, *next;
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	pthread_mutex_lock(&server->lock);
	job = server->finished;
	server->finished = NULL;
	server->finished_last = &server->finished;
	pthread_mutex_unlock(&server->lock);
	for (; job; job = next) {
		next = job->next;
		job->done(job);
	}
}

/* ---- What is due ------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static int64_t watchdog_tick(int64_t now)
{
	static int64_t next;
	int64_t half = systemd_watchdog();

	if (!half)
		return 0;
	if (now >= next) {
		systemd_notify("WATCHDOG=1");
		next = now + half;
	}
	return next;
}

static void hear_again(struct server *server, int64_t now)
{
	static uint32_t heard = EPOLLIN;
	struct epoll_event event = {
		.events = now < server->deaf ? 0 : EPOLLIN,
		.data.ptr = &server->listener,
	};

	if (event.events == heard)
		return;
	heard = event.events;
	epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listener.fd, &event);
}

static void tick(struct server *server)
{
	int64_t now = now_ms(), next = leases_tick(server, now);
	struct itimerspec when = { .it_value.tv_nsec = 0 };

	next = earlier(next, connections_tick(server, now));
	next = earlier(next, watchdog_tick(now));
	if (now < server->deaf)
		next = earlier(next, server->deaf);
	hear_again(server, now);
	if (server->ends) {
		next = earlier(next, server->ends);
		server->is_over = now >= server->ends ||
				  (!server->leases && !server->devices);
	}
	if (next) {
		/* A moment later than due, so that it is due then. */
		when.it_value.tv_sec = (next + 1) / 1000;
		when.it_value.tv_nsec = (next + 1) % 1000 * 1000000;
	}
	timerfd_settime(server->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- Begin and end ----------------------------------------------------- */

static int open_sources(struct server *server, int listener)
{
	int off = 0;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->listener.fd = listener;
	server->listener.ready = listener_ready;
	server->timer.fd = timerfd_create(CLOCK_BOOTTIME,
					  TFD_CLOEXEC | TFD_NONBLOCK);
	server->timer.ready = timer_ready;
	server->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	server->signals.ready = signals_ready;
	server->done.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->done.ready = done_ready;
	if (server->epoll < 0 || server->timer.fd < 0 ||
	    server->signals.fd < 0 || server->done.fd < 0)
		return -errno;
	/* Accepted sockets inherit it. Older kernels: see connection.c. */
	if (!server->limits.old_kernel)
		setsockopt(listener, SOL_SOCKET, SO_PASSRIGHTS, &off,
			   sizeof(off));
	ret = source_add(&server->listener, EPOLLIN);
	if (!ret)
		ret = source_add(&server->timer, EPOLLIN);
	if (!ret)
		ret = source_add(&server->signals, EPOLLIN);
	return ret ? ret : source_add(&server->done, EPOLLIN);
}

int server_init(struct server *server, const struct backend *backend,
		const struct limits *limits, const char *policy_path,
		int listener)
{
	memset(server, 0, sizeof(*server));
	server->backend = backend;
	server->limits = *limits;
	server->policy_path = policy_path;
	server->listener.server = server;
	server->timer.server = server;
	server->signals.server = server;
	server->done.server = server;
	pthread_mutex_init(&server->lock, NULL);
	server->finished_last = &server->finished;
	return open_sources(server, listener);
}

/* Leases that an importer holds up, by name: nobody can say it later. */
static void tell_left(struct server *server)
{
	struct barter_vend_status status;
	const struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next) {
		memset(&status, 0, sizeof(status));
		lease_status(lease, &status);
		server_log("lease %llu of %s is not back yet%s%.*s: the kernel waits for it",
			   (unsigned long long)lease->id, status.name,
			   status.blocker[0] ? ", held up by " : "",
			   BARTER_VEND_BLOCKER_LENGTH, status.blocker);
	}
}

static void close_all(struct server *server)
{
	struct connection *connection;

	for (connection = server->connections; connection;
	     connection = connection->next)
		connection_drop(connection);
	connections_sweep(server);
	close(server->epoll);
	close(server->timer.fd);
	close(server->signals.fd);
	policy_free(server->policy);
}

int server_run(struct server *server)
{
	struct epoll_event events[EVENTS];
	int i, nr;

	for (tick(server); !server->is_over; tick(server)) {
		bool is_done = false;

		nr = epoll_wait(server->epoll, events, EVENTS, -1);
		for (i = 0; i < nr; i++) {
			struct source *source = events[i].data.ptr;

			if (source == &server->done)
				is_done = true;
			else
				source->ready(source, events[i].events);
		}
		/* Last, for it frees devices, which may be in the events too. */
		if (is_done)
			done_ready(&server->done, EPOLLIN);
		connections_sweep(server);
	}
	tell_left(server);
	nr = server->leases || server->devices ? EXIT_FAILED : EXIT_OK;
	close_all(server);
	return nr;
}
