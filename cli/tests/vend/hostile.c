// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker with clients that do all that a client should not. After each others
 * must get their slices at once, and the broker must have nothing left of it.
 */
#include "bench.h"
#include "../../vend/listen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int broker_fds(void)
{
	char name[40];
	DIR *dir;
	int nr = -2;

	snprintf(name, sizeof(name), "/proc/%d/fd", broker_pid);
	dir = opendir(name);
	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

static int fds_before;

/* The broker is as it was: leases, connections, files. */
static void nothing_is_left(const char *of)
{
	CHECK(WAIT_FOR(!count_leases(), 3000), "%s: no lease", of);
	CHECK(WAIT_FOR(broker_fds() <= fds_before, 3000),
	      "%s: %d fds, before %d", of, broker_fds(), fds_before);
}

static void begin(const struct limits *limits)
{
	broker_start(standard_policy, limits);
	others_go_on("at first");
	CHECK(WAIT_FOR(atomic_load(&steering->opens) == 2, 2000), "open");
	CHECK(WAIT_FOR(!count_leases(), 2000), "nothing lent");
	usleep(20000);
	fds_before = broker_fds();
}

/* Is the connection over after this message? */
static int ends(const void *bytes, size_t length)
{
	union message answer;
	int socket = raw_client(), got;

	raw_send(socket, bytes, length, NULL, 0);
	got = raw_receive(socket, &answer, 2000);
	close(socket);
	return got == 0;
}

static void garbage_ends_the_connection(void)
{
	struct {
		struct barter_vend_head head;
		char rest[2000];
	} message = { .rest = "" };
	size_t length;
	int i;

	begin(NULL);
	/* A byte at a time, and all lengths that are no head. */
	for (length = 0; length < 16; length++)
		CHECK(ends("barter, barter, ", length), "%zu bytes", length);
	message.head = raw_head(BARTER_VEND_STATUS, 32);
	for (i = -1; i <= 1; i += 2)
		CHECK(ends(&message, (size_t)(32 + i)), "size is off by %d", i);
	message.head.size = BARTER_VEND_MESSAGE_MAX + 1;
	CHECK(ends(&message, BARTER_VEND_MESSAGE_MAX + 1), "too long");
	message.head.size = sizeof(message);
	CHECK(ends(&message, sizeof(message)), "far too long");
	random_start();
	for (i = 0; i < 300; i++) {
		char noise[200];
		union message answer;
		int socket = raw_client();

		for (length = 0; length < sizeof(noise); length++)
			noise[length] = (char)random_u64();
		length = random_below(sizeof(noise));
		/* Every other with a right head. */
		if (i & 1) {
			struct barter_vend_head head =
				raw_head((uint16_t)random_below(8), length);

			memcpy(noise, &head, sizeof(head));
		}
		raw_send(socket, noise, length, NULL, 0);
		if (i & 2)
			raw_receive(socket, &answer, 100);
		close(socket);
	}
	others_go_on("noise");
	nothing_is_left("noise");
}

static int answer_to(const void *bytes, size_t length)
{
	union message answer;
	int socket = raw_client(), got;

	raw_send(socket, bytes, length, NULL, 0);
	got = raw_receive(socket, &answer, 2000);
	close(socket);
	if (got < (int)sizeof(answer.head) || answer.head.serial != 77)
		return 1;
	return answer.head.error;
}

static void wrong_requests_are_told(void)
{
	union message message;
	const uint16_t types[] = { 0, 7, 0x81, 0x7fff, 0xffff };
	size_t i;
	int got;

	memset(&message, 0, sizeof(message));
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		message.head = raw_head(types[i], 32);
		CHECK(answer_to(&message, 32) == -EOPNOTSUPP, "type %x",
		      types[i]);
	}
	message.head = raw_head(BARTER_VEND_STATUS, 32);
	message.head.version = 2;
	CHECK(answer_to(&message, 32) == -EPROTONOSUPPORT, "version 2");
	message.head = raw_head(BARTER_VEND_STATUS, 32);
	message.head.error = -1;
	CHECK(answer_to(&message, 32) == -EINVAL, "an error in a request");
	message.head = raw_head(BARTER_VEND_STATUS, 28);
	CHECK(answer_to(&message, 28) == -EINVAL, "too short");
	message.head = raw_head(BARTER_VEND_STATUS, 32);
	message.request.flags = 1;
	CHECK(answer_to(&message, 32) == -EINVAL, "a flag");
	message.request.flags = 0;
	message.request.__reserved = 1;
	CHECK(answer_to(&message, 32) == -EINVAL, "a reserved field");
	message.request.__reserved = 0;
	CHECK(answer_to(&message, 32) == -ENOENT, "a right one");
	message.head = raw_head(BARTER_VEND_STATUS, 1024);
	CHECK(answer_to(&message, 1024) == -ENOENT, "a newer, longer one");
	message.bytes[1023] = 1;
	CHECK(answer_to(&message, 1024) == -E2BIG, "that wants something new");

	memset(&message, 0, sizeof(message));
	message.head = raw_head(BARTER_VEND_BORROW, sizeof(message.borrow));
	memset(message.borrow.name, 'x', sizeof(message.borrow.name));
	got = answer_to(&message, sizeof(message.borrow));
	CHECK(got == -EINVAL, "a name without end: %d", got);
	strcpy(message.borrow.name, "one");
	got = answer_to(&message, sizeof(message.borrow));
	CHECK(got == -EINVAL, "something behind its end: %d", got);
	memset(message.borrow.name, 0, sizeof(message.borrow.name));
	got = answer_to(&message, sizeof(message.borrow));
	CHECK(got == -ENOENT, "no name: %d", got);
	strcpy(message.borrow.name, "one");
	message.borrow.flags = 1;
	got = answer_to(&message, sizeof(message.borrow));
	CHECK(got == -EINVAL, "a flag: %d", got);
	nothing_is_left("wrong requests");
}

static void flood_of_connections(void)
{
	struct limits limits = default_limits;
	union message answer;
	int sockets[64], i, refused = 0;
	int64_t until;

	limits.user_connections = 20;
	begin(&limits);
	for (i = 0; i < 64; i++)
		sockets[i] = raw_client();
	until = now_ms() + 10000;
	for (i = 0; refused < 44 && now_ms() < until; i = (i + 1) % 64)
		if (raw_receive(sockets[i], &answer, 2) > 0) {
			CHECK(answer.head.error == -EMLINK, "told why: %d",
			      answer.head.error);
			refused++;
		}
	CHECK(refused == 44, "%d of 64 are refused", refused);
	CHECK(count_leases() == -EMLINK, "as is the same user");
	for (i = 0; i < 64; i++)
		close(sockets[i]);
	CHECK(WAIT_FOR(!count_leases(), 2000), "who is not when they are gone");
	/* As fast as can be. */
	for (i = 0; i < 2000; i++)
		close(raw_client());
	CHECK(WAIT_FOR(!count_leases(), 5000), "seen to their end");
	others_go_on("flood");
	nothing_is_left("flood");
}

static int open_many(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 40; i++)
		raw_client();
	pause();
	return 0;
}

/* Many users: silent ones make room for those who want something. */
static void flood_of_users(void)
{
	struct limits limits = default_limits;
	pid_t pids[8];
	int i;

	limits.connections = 40;
	limits.owner_connections = 4;
	limits.user_connections = 10;
	begin(&limits);
	for (i = 0; i < 8; i++)
		pids[i] = child(open_many, NULL, 3000000 + i);
	CHECK(WAIT_FOR(broker_fds() >= fds_before + 36, 5000),
	      "%d fds more", broker_fds() - fds_before);
	others_go_on("all places taken");
	/* Those that are refused in one turn of the loop come on top. */
	CHECK(broker_fds() <= fds_before + 2 * 40 + 20, "no more places: %d fds",
	      broker_fds() - fds_before);
	for (i = 0; i < 8; i++) {
		kill(pids[i], SIGKILL);
		child_end(pids[i], 2000);
	}
	others_go_on("they are gone");
	nothing_is_left("users");
}

static void silent_ones_are_closed(void)
{
	struct limits limits = default_limits;
	union message answer;
	struct barter_broker *holder;
	int64_t lease;
	int socket;

	limits.idle = 1000;
	begin(&limits);
	socket = raw_client();
	holder = client();
	lease = borrow(holder, "one");
	CHECK(lease > 0, "one with a lease");
	CHECK(raw_receive(socket, &answer, 10000) == 0, "closed");
	usleep(2000000);
	CHECK(count_leases() == 1, "who has a lease stays");
	CHECK(!barter_broker_return(holder, (uint64_t)lease) && borrow(holder, "one") > 0,
	      "and may borrow again when it is over");
	barter_broker_close(holder);
	close(socket);
	nothing_is_left("silent ones");
}

/* Requests without end, and never a look at the answers. */
static void who_never_reads_costs_two_answers(void)
{
	struct barter_vend_request request = {
		.head = raw_head(BARTER_VEND_STATUS, sizeof(request)),
	};
	struct barter_vend_borrow borrow_it = {
		.head = raw_head(BARTER_VEND_BORROW, sizeof(borrow_it)),
		.name = "many",
	};
	struct barter_broker *holder;
	int socket, sent = 0, before, i;

	begin(NULL);
	holder = client();
	CHECK(borrow(holder, "one") > 0, "something to tell");
	socket = raw_client();
	while (!raw_send(socket, &request, sizeof(request), NULL, 0))
		sent++;
	CHECK(sent > 5, "%d requests sent", sent);
	others_go_on("unread answers");
	usleep(50000);
	while (!raw_send(socket, &request, sizeof(request), NULL, 0))
		sent++;
	CHECK(sent < 2000, "%d requests sent in all", sent);
	close(socket);

	/* Leases that nobody reads. */
	socket = raw_client();
	before = atomic_load(&steering->lends);
	for (i = 0; i < 200; i++)
		raw_send(socket, &borrow_it, sizeof(borrow_it), NULL, 0);
	WAIT_FOR(atomic_load(&steering->lends) > before, 2000);
	usleep(100000);
	i = atomic_load(&steering->lends) - before;
	CHECK(i >= 1 && i <= 4, "%d leases made for who reads none", i);
	others_go_on("unread leases");
	close(socket);
	barter_broker_close(holder);
	nothing_is_left("unread answers");
}

static void too_many_leases(void)
{
	struct limits limits = default_limits;
	struct barter_broker *a, *b;
	int i;

	limits.connection_leases = 4;
	limits.user_leases = 6;
	begin(&limits);
	a = client();
	b = client();
	for (i = 0; i < 4; i++)
		CHECK(borrow(a, "many") > 0, "lease %d", i);
	CHECK(borrow(a, "many") == -EDQUOT, "the connection's fifth");
	CHECK(borrow(b, "many") > 0 && borrow(b, "many") > 0, "another's");
	CHECK(borrow(b, "many") == -EDQUOT, "the user's seventh");
	barter_broker_close(a);
	barter_broker_close(b);
	nothing_is_left("leases");
}

/* A TCP socket that lingers for an hour, with something that nobody takes. */
static int lingering(int *peer)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	static const char much[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	while (send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		continue;
	return fd;
}

/*
 * How the fds come: with a request, with no bytes at all, behind a request, or behind
 * what ends the connection.
 */
static int send_fds(int socket, int how, const int *fds, int nr)
{
	struct barter_vend_request request = {
		.head = raw_head(BARTER_VEND_STATUS, sizeof(request)),
	};
	size_t length = how == 1 ? 0 : sizeof(request);

	if (how == 2)
		raw_send(socket, &request, sizeof(request), NULL, 0);
	if (how == 3)
		raw_send(socket, "x", 1, NULL, 0);
	return raw_send(socket, &request, length, fds, nr);
}

/*
 * The broker sleeps meanwhile, so that the last close is its own. If it could not be
 * sent the last close is here, and is not to take an hour.
 */
static void give_away(int socket, int how, int fd)
{
	struct linger off = { .l_onoff = 0 };

	if (send_fds(socket, how, &fd, 1))
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(fd);
}

static void send_all_kinds(bool old_kernel)
{
	struct limits limits = default_limits;
	union message answer;
	int how, peer, fd, socket, fds[16], i, refused = 0;

	limits.old_kernel = old_kernel;
	begin(&limits);
	for (how = 0; how < 4; how++) {
		for (i = 0; i < 16; i++)
			fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		socket = raw_client();
		if (send_fds(socket, how, fds, 16) == -EPERM)
			refused++;
		else
			CHECK(WAIT_FOR(raw_receive(socket, &answer, 100) == 0,
				       2000), "way %d: the end", how);
		for (i = 0; i < 16; i++)
			close(fds[i]);
		close(socket);
		nothing_is_left("fds");
	}
	printf("# the kernel refuses them itself: %d of 4 ways\n", refused);
	CHECK(!old_kernel || !refused, "as before 6.16");

	/* The last close of one of these takes an hour. */
	for (how = 0; how < 4; how++) {
		fd = lingering(&peer);
		CHECK(fd >= 0, "a socket that lingers");
		kill(broker_pid, SIGSTOP);
		socket = raw_client();
		give_away(socket, how, fd);
		close(socket);
		kill(broker_pid, SIGCONT);
		others_go_on("a socket that lingers");
		nothing_is_left("a socket that lingers");
		close(peer);
	}
}

static void fds_never_get_in(void)
{
	send_all_kinds(false);
}

static void fds_never_get_in_on_older_kernels(void)
{
	send_all_kinds(true);
}

/* More than the broker has threads for, from one who is refused a connection. */
/* False while their user has too many connections that the broker takes for open. */
static bool let_in_again(void)
{
	struct barter_broker *broker = client();
	int64_t lease = borrow(broker, "many");

	if (lease > 0)
		barter_broker_return(broker, (uint64_t)lease);
	barter_broker_close(broker);
	return lease != -EMLINK;
}

static void flood_of_sockets_that_linger(void)
{
	struct limits limits = default_limits;
	int peers[100], sockets[100], i, fd;

	limits.old_kernel = true;
	limits.user_connections = 8;
	begin(&limits);
	kill(broker_pid, SIGSTOP);
	for (i = 0; i < 100; i++) {
		fd = lingering(&peers[i]);
		sockets[i] = raw_client();
		give_away(sockets[i], i % 4, fd);
	}
	for (i = 0; i < 100; i++)
		close(sockets[i]);
	kill(broker_pid, SIGCONT);
	/* We are the same user: the limit of connections is ours too. */
	CHECK(WAIT_FOR(let_in_again(), 1000), "the flood has been seen to end");
	others_go_on("sockets that linger");
	nothing_is_left("sockets that linger");
	for (i = 0; i < 100; i++)
		close(peers[i]);
}

/* The connection goes on in a child that forgets about it. */
static int keep(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

static void who_forks_keeps_the_lease_until_the_last(void)
{
	struct barter_broker *broker;
	int64_t lease;
	pid_t pid;

	begin(NULL);
	broker = client();
	lease = borrow(broker, "one");
	CHECK(lease > 0, "one");
	pid = child(keep, NULL, -1);
	barter_broker_close(broker);
	usleep(50000);
	CHECK(count_leases() == 1, "the child has it");
	broker = client();
	CHECK(!barter_broker_take_back(broker, (uint64_t)lease, 0),
	      "taken back all the same");
	CHECK(!count_leases(), "none");
	barter_broker_close(broker);
	kill(pid, SIGKILL);
	child_end(pid, 2000);
	nothing_is_left("forks");
}

/* A client that is killed behind each step of the protocol. */
static int die_at(void *step)
{
	struct barter_vend_borrow request = {
		.head = raw_head(BARTER_VEND_BORROW, sizeof(request)),
		.name = "one",
	};
	struct barter_vend_request give = {
		.head = raw_head(BARTER_VEND_RETURN, sizeof(give)),
	};
	union message answer;
	int socket, at = *(int *)step;
	struct barter_vend_lease lease;

	socket = raw_client();
	if (at-- == 0)
		goto die;
	raw_send(socket, &request, sizeof(request), NULL, 0);
	if (at-- == 0)
		goto die;
	raw_receive(socket, &answer, 5000);
	memcpy(&lease, &answer, sizeof(lease));
	give.lease = lease.lease;
	if (at-- == 0)
		goto die;
	raw_send(socket, &give, sizeof(give), NULL, 0);
	if (at-- == 0)
		goto die;
	raw_receive(socket, &answer, 5000);
die:
	kill(getpid(), SIGKILL);
	return 0;
}

/*
 * It wants no answers, and says so before it asks: no hangup tells the broker of that,
 * only the answer that cannot be sent.
 */
static void who_does_not_listen_has_no_lease(void)
{
	struct barter_vend_borrow request = { .name = "one" };
	int i, ret, socket;

	begin(NULL);
	request.head = raw_head(BARTER_VEND_BORROW, sizeof(request));
	for (i = 0; i < 20; i++) {
		int takes = atomic_load(&steering->takes);

		socket = raw_client();
		shutdown(socket, SHUT_RD);
		ret = raw_send(socket, &request, sizeof(request), NULL, 0);
		CHECK(!ret, "send: %s", strerror(-ret));
		CHECK(WAIT_FOR(atomic_load(&steering->takes) > takes, 2000),
		      "taken back");
		ret = WAIT_FOR(!count_leases(), 2000);
		CHECK(ret, "no lease");
		CHECK(atomic_load(&steering->takes) == takes + 1,
		      "taken back %d times",
		      atomic_load(&steering->takes) - takes);
		close(socket);
		if (!ret)
			break;
	}
	CHECK(atomic_load(&steering->takes) == atomic_load(&steering->lends),
	      "%d lent, %d taken back", atomic_load(&steering->lends),
	      atomic_load(&steering->takes));
	others_go_on("deaf clients");
	nothing_is_left("deaf clients");
}

static void killed_at_every_step(void)
{
	int step, round, status;

	begin(NULL);
	for (round = 0; round < 10; round++) {
		for (step = 0; step < 5; step++) {
			status = child_end(child(die_at, &step, -1), 5000);
			CHECK(status == 1000 + SIGKILL, "step %d: %d", step,
			      status);
			CHECK(WAIT_FOR(!count_leases(), 2000),
			      "step %d: no lease", step);
		}
	}
	others_go_on("killed clients");
	nothing_is_left("killed clients");
}

/* The broker is killed while a client is at each step. */
static void broker_killed_at_every_step(void)
{
	struct barter_vend_event event;
	struct barter_broker *broker;
	int64_t lease;
	int step, ret;

	for (step = 0; step < 4; step++) {
		broker_start(standard_policy, NULL);
		broker = client();
		lease = 0;
		if (step == 1)
			atomic_store(&steering->hold_lend, 1);
		if (step > 1)
			lease = borrow(broker, "one");
		if (step == 3)
			atomic_store(&steering->hold_take, 1);
		if (step == 1 || step == 3) {
			/* It waits for an answer when the end comes. */
			pid_t killer = fork();

			if (!killer) {
				usleep(100000);
				kill(broker_pid, SIGKILL);
				_exit(0);
			}
			ret = step == 1 ? (int)borrow(broker, "one") :
			      barter_broker_return(broker, (uint64_t)lease);
			CHECK(ret == -EPIPE || ret == -ECONNRESET,
			      "step %d: %s", step, strerror(-ret));
			child_end(killer, 2000);
		} else {
			kill(broker_pid, SIGKILL);
			child_end(broker_pid, 2000);
			ret = (int)borrow(broker, "one");
			CHECK(ret == -EPIPE || ret == -ECONNRESET,
			      "step %d: %s", step, strerror(-ret));
		}
		ret = barter_broker_event(broker, &event);
		CHECK(ret == -EPIPE || ret == -ECONNRESET, "step %d: event %s",
		      step, strerror(-ret));
		barter_broker_close(broker);
		if (step == 1 || step == 3)
			child_end(broker_pid, 2000);
		broker_pid = 0;
	}
}

/* A broker that lies: the library takes nothing for granted. */
static int lie(int listener, int how)
{
	struct {
		struct barter_vend_lease lease;
		char rest[1000];
	} answer = { .rest = "" };
	union message request;
	int socket = accept(listener, NULL, NULL), fds[2] = { 0, 0 };
	int length = raw_receive(socket, &request, 5000);

	if (length <= 0)
		return 1;
	answer.lease.head = raw_head(BARTER_VEND_BORROW | BARTER_VEND_ANSWER,
				     sizeof(answer.lease));
	answer.lease.head.serial = request.head.serial;
	switch (how) {
	case 0:	/* no fd */
		return raw_send(socket, &answer, sizeof(answer.lease), fds, 0);
	case 1:	/* two */
		return raw_send(socket, &answer, sizeof(answer.lease), fds, 2);
	case 2:	/* an error and an fd */
		answer.lease.head.error = -EBUSY;
		return raw_send(socket, &answer, sizeof(answer.lease), fds, 1);
	case 3:	/* an error above 0 */
		answer.lease.head.error = 5;
		return raw_send(socket, &answer, sizeof(answer.lease), fds, 0);
	case 4:	/* too short */
		answer.lease.head.size = 24;
		return raw_send(socket, &answer, 24, fds, 1);
	case 5:	/* too long */
		answer.lease.head.size = sizeof(answer);
		return raw_send(socket, &answer, sizeof(answer), fds, 1);
	case 6:	/* another's answer */
		answer.lease.head.serial += 1;
		return raw_send(socket, &answer, sizeof(answer.lease), fds, 1);
	case 7:	/* the end */
		return 0;
	case 8: /* what looks like it, with an fd */
		return raw_send(socket, &answer, 0, fds, 1);
	default: /* no head */
		return raw_send(socket, "x", 1, fds, 1);
	}
}

static int own_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = -3;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void client_trusts_no_broker(void)
{
	struct barter_vend_lease lease;
	struct barter_broker *broker;
	int listener, how, before, fd, ret;
	pid_t pid;

	broker_stop();
	unlink(broker_path());
	ret = listen_alone(broker_path(), &listener);
	CHECK(!ret, "%s", strerror(-ret));
	fcntl(listener, F_SETFL, 0);
	before = own_fds();
	for (how = 0; how < 10; how++) {
		fflush(NULL);
		pid = fork();
		if (!pid)
			_exit(!!lie(listener, how));
		broker = client();
		fd = -7;
		ret = barter_broker_borrow(broker, "x", 0, &lease, &fd);
		CHECK(ret == (how == 7 || how == 8 ? -EPIPE : -EPROTO) && fd == -7, "lie %d: %s",
		      how, strerror(-ret));
		CHECK(barter_broker_borrow(broker, "x", 0, &lease, &fd) == ret,
		      "lie %d: it stays broken", how);
		barter_broker_close(broker);
		CHECK(!child_end(pid, 5000), "lie %d: told", how);
	}
	CHECK(own_fds() == before, "no fd is left: %d, before %d", own_fds(),
	      before);
	close(listener);
}

static void rings(int signal)
{
	(void)signal;
}

/* Nobody waits for a broker that stands still, not even to get in. */
static void broker_that_takes_in_nobody(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct sigaction alarm_rings = { .sa_handler = rings };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct barter_broker *in[8];
	int nr, ret = 0;

	broker_stop();
	unlink(broker_path());
	strcpy(address.sun_path, broker_path());
	CHECK(!bind(listener, (struct sockaddr *)&address, sizeof(address)) && !listen(listener, 1),
	      "%s", strerror(errno));
	sigaction(SIGALRM, &alarm_rings, NULL);
	alarm(10);
	for (nr = 0; nr < 8 && !ret; nr++)
		ret = barter_broker_open(broker_path(), &in[nr]);
	alarm(0);
	CHECK(ret == -EAGAIN && nr > 1, "%d get in, the next: %s", nr - 1, strerror(-ret));
	for (nr -= !!ret; nr--;)
		barter_broker_close(in[nr]);
	close(listener);
}

void hostile_cases(void)
{
	CASE(garbage_ends_the_connection);
	CASE(wrong_requests_are_told);
	CASE(flood_of_connections);
	if (!geteuid())
		CASE(flood_of_users);
	else
		printf("ok %u - flood of users # SKIP not root\n",
		       ++tap_cases);
	CASE(silent_ones_are_closed);
	CASE(who_never_reads_costs_two_answers);
	CASE(too_many_leases);
	CASE(fds_never_get_in);
	CASE(fds_never_get_in_on_older_kernels);
	CASE(flood_of_sockets_that_linger);
	CASE(who_forks_keeps_the_lease_until_the_last);
	CASE(who_does_not_listen_has_no_lease);
	CASE(killed_at_every_step);
	CASE(broker_killed_at_every_step);
	CASE(client_trusts_no_broker);
	CASE(broker_that_takes_in_nobody);
}
