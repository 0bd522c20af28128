// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker with clients that behave: what is lent, to whom, for how long, and how
 * it comes back.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int wait_event(struct barter_broker *broker,
		      struct barter_vend_event *event, int ms)
{
	struct pollfd wait = { .fd = barter_broker_fd(broker),
			       .events = POLLIN };

	poll(&wait, 1, ms);
	return barter_broker_event(broker, event);
}

static struct barter_vend_status status_of(int64_t lease)
{
	struct barter_vend_status status = { .lease = 0 };
	struct barter_broker *broker = client();

	if (barter_broker_status(broker, (uint64_t)lease - 1, &status) ||
	    status.lease != (uint64_t)lease)
		memset(&status, 0, sizeof(status));
	barter_broker_close(broker);
	return status;
}

/* A client with no room for an fd has lost nothing but this one answer. */
static void no_room_for_an_fd(void)
{
	struct barter_vend_lease lease, kept;
	struct barter_broker *broker;
	struct rlimit whole, full;
	int fd = -7, first, ret;

	broker_start(standard_policy, NULL);
	broker = client();
	ret = barter_broker_borrow(broker, "one", 0, &kept, &first);
	CHECK(!ret, "%s", strerror(-ret));
	getrlimit(RLIMIT_NOFILE, &whole);
	full = whole;
	full.rlim_cur = (rlim_t)dup(first);
	close((int)full.rlim_cur);
	setrlimit(RLIMIT_NOFILE, &full);
	ret = barter_broker_borrow(broker, "apart", 0, &lease, &fd);
	setrlimit(RLIMIT_NOFILE, &whole);
	CHECK(ret == -EMFILE && fd == -7, "%s, fd %d", strerror(-ret), fd);
	CHECK(WAIT_FOR(count_leases() == 1, 2000), "it was given back: %d leases", count_leases());
	ret = barter_broker_borrow(broker, "apart", 0, &lease, &fd);
	CHECK(!ret, "the same once more: %s", strerror(-ret));
	ret = barter_broker_return(broker, kept.lease);
	CHECK(!ret, "the one before goes back: %s", strerror(-ret));
	close(fd);
	close(first);
	barter_broker_close(broker);
	CHECK(WAIT_FOR(!count_leases(), 2000), "back");
}

/* What a process calls itself is shown on the owner's terminal. */
static void names_are_plain_text(void)
{
	struct barter_vend_status status;
	struct barter_broker *broker;
	char name[16] = "";

	broker_start(standard_policy, NULL);
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "\033[2J\na\177\300 b");
	broker = client();
	status = status_of(borrow(broker, "one"));
	prctl(PR_SET_NAME, name);
	CHECK(!strcmp(status.program, "?[2J?a?? b"), "program \"%s\"",
	      status.program);
	barter_broker_close(broker);
	CHECK(WAIT_FOR(!count_leases(), 2000), "back");
}

static void a_slice_comes_and_goes_back(void)
{
	struct barter_vend_lease lease;
	struct barter_vend_status status;
	struct barter_broker *broker;
	int fd, ret;
	char *memory;

	broker_start(standard_policy, NULL);
	broker = client();
	ret = barter_broker_borrow(broker, "one", 0, &lease, &fd);
	CHECK(!ret, "%s", strerror(-ret));
	CHECK(lease.length == 65536 && lease.bar == 2 && lease.nr_ranges == 1 &&
	      !lease.flags && !strcmp(lease.device, "0000:01:00.0"),
	      "%llu bytes of %s", (unsigned long long)lease.length,
	      lease.device);
	CHECK(lseek(fd, 0, SEEK_END) == 65536, "length of the fd");
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC, "close-on-exec");
	memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED, "mmap");
	status = status_of((int64_t)lease.lease);
	CHECK(status.state == BARTER_VEND_LENT && status.pid == getpid() &&
	      status.uid == geteuid() && !strcmp(status.name, "one"),
	      "status: %s", barter_vend_state_name(status.state));
	CHECK(!strncmp(status.program, "vend-test", 9), "program \"%s\"",
	      status.program);
	ret = barter_broker_return(broker, lease.lease);
	CHECK(!ret, "return: %s", strerror(-ret));
	CHECK(!lseek(fd, 0, SEEK_END), "cut off when the call returns");
	CHECK(!count_leases(), "no lease");
	ret = barter_broker_return(broker, lease.lease);
	CHECK(ret == -ENOENT, "again: %s", strerror(-ret));
	close(fd);
	munmap(memory, 65536);
	ret = barter_broker_borrow(broker, "other", 5, &lease, &fd);
	CHECK(!ret && lease.nr_ranges == 2 && lease.length == 8192 &&
	      lease.flags == (BARTER_VEND_READ_ONLY | BARTER_VEND_LIMITED) &&
	      lease.seconds == 5, "scattered, read-only, for 5 s: %s",
	      strerror(-ret));
	CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "O_RDONLY");
	close(fd);
	barter_broker_close(broker);
	CHECK(WAIT_FOR(!count_leases(), 2000), "closed: no lease");
}

static void what_is_offered(void)
{
	static const char *const names[] = {
		"many", "one", "other", "part", "short", "secret",
	};
	struct barter_vend_offer offer = { .name = "" };
	struct barter_broker *broker = client();
	unsigned int seen = 0, i;

	/* The owner sees all, but may not have all. */
	while (!barter_broker_offer(broker, offer.name, &offer))
		for (i = 0; i < 6; i++)
			if (!strcmp(names[i], offer.name))
				seen |= 1U << i;
	CHECK(seen == 0x3f, "%x", seen);
	CHECK(borrow(broker, "secret") == -ENOENT, "not for us");
	CHECK(borrow(broker, "none") == -ENOENT, "no such offer");
	CHECK(borrow(broker, "a-name-that-is-longer-than-any-name") == -ENOENT,
	      "too long a name");
	barter_broker_close(broker);
}

static void exclusive_means_nobody_else_has_a_byte(void)
{
	struct barter_broker *a = client(), *b = client();
	int64_t lease = borrow(a, "one"), part;

	CHECK(lease > 0, "one");
	CHECK(borrow(b, "one") == -EBUSY, "the same");
	CHECK(borrow(b, "other") == -EBUSY, "a page of it");
	CHECK(borrow(b, "part") == -EBUSY, "a page that is shared otherwise");
	CHECK(borrow(b, "many") > 0, "something else");
	CHECK(borrow(a, "many") > 0, "that is shared");
	CHECK(!barter_broker_return(a, (uint64_t)lease), "return");
	part = borrow(b, "part");
	CHECK(part > 0, "the page");
	CHECK(borrow(a, "part") > 0, "the page, shared");
	CHECK(borrow(a, "one") == -EBUSY, "all around it");
	barter_broker_close(a);
	barter_broker_close(b);
	CHECK(WAIT_FOR(!count_leases(), 2000), "all back");
}

static void time_is_up(void)
{
	struct barter_broker *broker = client();
	struct barter_vend_event event;
	int64_t begun = now_ms(), lease;
	struct barter_vend_lease what;
	uint32_t left;
	int fd, ret;

	lease = borrow(broker, "short");
	CHECK(lease > 0, "short");
	left = status_of(lease).left;
	CHECK(left == 1 || left == 2, "%u s left", left);
	ret = wait_event(broker, &event, 10000);
	CHECK(!ret && event.lease == (uint64_t)lease &&
	      event.why == BARTER_VEND_WHY_TIMEOUT, "event: %s", strerror(-ret));
	CHECK(now_ms() - begun >= 2000, "after %lld ms",
	      (long long)(now_ms() - begun));
	CHECK(WAIT_FOR(!count_leases(), 2000), "gone");
	CHECK(barter_broker_event(broker, &event) == -EAGAIN, "one event");
	/* Never longer than the policy says, and shorter if asked for. */
	ret = barter_broker_borrow(broker, "short", 100, &what, &fd);
	CHECK(!ret && what.seconds == 2, "100 s are 2");
	close(fd);
	ret = barter_broker_borrow(broker, "one", 1, &what, &fd);
	CHECK(!ret && what.seconds == 1 && what.flags & BARTER_VEND_LIMITED,
	      "1 s of unlimited");
	close(fd);
	CHECK(WAIT_FOR(!count_leases(), 5000), "both gone");
	barter_broker_close(broker);
}

static void owner_takes_back(void)
{
	struct barter_broker *a = client(), *b = client();
	struct barter_vend_event event;
	int64_t lease = borrow(a, "one");
	int ret;

	ret = barter_broker_take_back(b, (uint64_t)lease, 0);
	CHECK(!ret, "%s", strerror(-ret));
	CHECK(!count_leases(), "gone when the call returns");
	ret = wait_event(a, &event, 2000);
	CHECK(!ret && event.why == BARTER_VEND_WHY_OWNER, "event: %s",
	      strerror(-ret));
	CHECK(barter_broker_take_back(b, (uint64_t)lease, 0) == -ENOENT,
	      "no such lease");
	CHECK(barter_broker_return(b, 0) == -ENOENT, "lease 0");
	barter_broker_close(a);
	barter_broker_close(b);
}

/* An importer does not let go of a slice of one device. */
static void take_back_that_hangs_holds_up_nobody(void)
{
	struct barter_broker *a = client(), *b = client(), *c = client();
	struct barter_vend_status status;
	int64_t lease = borrow(a, "one");
	int ret;

	atomic_store(&steering->hold_take, 1);
	barter_broker_close(a);
	CHECK(WAIT_FOR(status_of(lease).state == BARTER_VEND_TAKING, 2000),
	      "being taken back");
	status = status_of(lease);
	CHECK(status.why == BARTER_VEND_WHY_DISCONNECTED &&
	      !strcmp(status.blocker, "0000:00:06.0 hung?"), "held up by \"%s\"",
	      status.blocker);
	CHECK(!status.program[0], "program \"%s\"", status.program);
	others_go_on("another device");
	CHECK(borrow(b, "one") == -EBUSY, "not free yet");
	CHECK(borrow(c, "apart") > 0, "what else the device has");
	ret = barter_broker_take_back(b, (uint64_t)lease, BARTER_VEND_NO_WAIT);
	CHECK(!ret, "asked again: %s", strerror(-ret));
	CHECK(status_of(lease).why == BARTER_VEND_WHY_DISCONNECTED,
	      "the first reason stays");
	barter_broker_close(c);
	CHECK(WAIT_FOR(atomic_load(&steering->taking) == 2, 2000),
	      "which is taken back meanwhile: %d at once",
	      atomic_load(&steering->taking));
	atomic_store(&steering->hold_take, 0);
	CHECK(WAIT_FOR(!count_leases(), 2000), "back");
	CHECK(borrow(b, "one") > 0, "free");
	barter_broker_close(b);
	CHECK(WAIT_FOR(!count_leases(), 2000), "all back");
}

static void take_back_that_fails_is_tried_again(void)
{
	struct barter_broker *a = client();
	int64_t lease = borrow(a, "one");

	atomic_store(&steering->fail_take, EIO);
	barter_broker_close(a);
	CHECK(WAIT_FOR(status_of(lease).state == BARTER_VEND_STUCK, 2000),
	      "stuck");
	CHECK(status_of(lease).error == -EIO, "%d", status_of(lease).error);
	a = client();
	CHECK(borrow(a, "one") == -EBUSY, "not free");
	atomic_store(&steering->fail_take, 0);
	CHECK(WAIT_FOR(!count_leases(), 5000), "back");
	CHECK(strstr(broker_log(), "cannot be taken back"), "said");
	barter_broker_close(a);
}

static void lending_that_hangs_holds_up_nobody(void)
{
	struct limits limits = default_limits;
	struct barter_broker *a, *b;
	int64_t begun;

	limits.lend = 300;
	broker_start(standard_policy, &limits);
	a = client();
	atomic_store(&steering->hold_lend, 1);
	begun = now_ms();
	CHECK(borrow(a, "one") == -EBUSY, "who waits is told");
	CHECK(now_ms() - begun >= 300, "after a while");
	others_go_on("another device");
	CHECK(borrow(a, "one") == -EBUSY, "it is still being made");
	CHECK(count_leases() == 1, "one");
	atomic_store(&steering->hold_lend, 0);
	CHECK(WAIT_FOR(!count_leases(), 2000), "made, and taken back");
	/* The client goes away meanwhile. */
	atomic_store(&steering->hold_lend, 1);
	b = client();
	CHECK(borrow(b, "one") == -EBUSY, "again");
	barter_broker_close(b);
	atomic_store(&steering->hold_lend, 0);
	CHECK(WAIT_FOR(!count_leases(), 2000), "made, and taken back");
	CHECK(atomic_load(&steering->lends) == atomic_load(&steering->takes),
	      "%d lent, %d taken", atomic_load(&steering->lends),
	      atomic_load(&steering->takes));
	atomic_store(&steering->fail_lend, ENOSPC);
	CHECK(borrow(a, "one") == -ENOSPC, "the backend's error");
	CHECK(!count_leases(), "and no lease");
	barter_broker_close(a);
}

static void device_that_cannot_be_opened(void)
{
	struct barter_broker *broker;

	broker_start("", NULL);
	atomic_store(&steering->fail_open, ENXIO);
	broker_policy(standard_policy);
	kill(broker_pid, SIGHUP);
	CHECK(WAIT_FOR(strstr(broker_log(), "0000:01:00.1: cannot be opened"),
		       2000), "said");
	broker = client();
	CHECK(borrow(broker, "one") == -ENXIO, "told to who borrows");
	atomic_store(&steering->fail_open, 0);
	CHECK(borrow(broker, "one") > 0, "tried again");
	barter_broker_close(broker);
}

static void device_that_somebody_else_needs(void)
{
	struct barter_broker *broker;
	struct barter_vend_event event;
	int closes, ret;

	broker_start(standard_policy, NULL);
	broker = client();
	CHECK(borrow(broker, "one") > 0, "one");
	CHECK(borrow(broker, "many") > 0, "of another device");
	closes = atomic_load(&steering->closes);
	atomic_store(&steering->want, 1);
	ret = wait_event(broker, &event, 2000);
	CHECK(!ret && event.why == BARTER_VEND_WHY_GONE, "event: %s",
	      strerror(-ret));
	CHECK(WAIT_FOR(atomic_load(&steering->closes) == closes + 1, 2000),
	      "closed");
	CHECK(count_leases() == 1, "the other lease stays");
	usleep(20000);
	CHECK(atomic_load(&steering->opens) == 2, "not opened by itself");
	CHECK(borrow(broker, "one") > 0, "but when somebody borrows");
	CHECK(atomic_load(&steering->opens) == 3, "%d times",
	      atomic_load(&steering->opens));
	barter_broker_close(broker);
}

static void reload_keeps_what_is_allowed(void)
{
	struct barter_broker *broker = client();
	struct barter_vend_text text;
	struct barter_vend_event event;
	int64_t one, many;
	int ret;

	CHECK(WAIT_FOR(!count_leases(), 2000), "empty");
	one = borrow(broker, "one");
	many = borrow(broker, "many");
	broker_policy("[one]\nnonsense\n");
	ret = barter_broker_reload(broker, &text);
	CHECK(ret == -EINVAL && strstr(text.text, ":2: "), "%s", text.text);
	CHECK(count_leases() == 2, "a wrong policy changes nothing");
	broker_policy("[one]\ndevice = 01:00.0\nbar = 2\nranges = 0+64K\n"
		      "allow = any\naccess = read-write\nmemory = wc\n");
	ret = barter_broker_reload(broker, &text);
	CHECK(ret == -EINVAL && strstr(text.text, ":1: [one]: no wc here"),
	      "%s", text.text);
	/* "one" as before but for a limit, "many" with another range. */
	broker_policy("[many]\ndevice = 01:00.1\nbar = 0\nranges = 4K+4K\n"
		      "allow = any\naccess = read-write\nuse = shared\n"
		      "[one]\ndevice = 01:00.0\nbar = 2\nranges = 0+64K\n"
		      "allow = any\naccess = read-write\nlifetime = 1h\n");
	ret = barter_broker_reload(broker, &text);
	CHECK(!ret && strstr(text.text, "2 offers"), "%s", text.text);
	ret = wait_event(broker, &event, 2000);
	CHECK(!ret && event.lease == (uint64_t)many &&
	      event.why == BARTER_VEND_WHY_POLICY, "event: %s", strerror(-ret));
	CHECK(WAIT_FOR(count_leases() == 1, 2000), "one stays");
	CHECK(status_of(one).state == BARTER_VEND_LENT &&
	      status_of(one).left > 3500, "with a limit: %u s",
	      status_of(one).left);
	/* Another user's, by signal. */
	broker_policy("[one]\ndevice = 01:00.0\nbar = 2\nranges = 0+64K\n"
		      "allow = uid:4000000\naccess = read-write\n");
	kill(broker_pid, SIGHUP);
	ret = wait_event(broker, &event, 2000);
	CHECK(!ret && event.lease == (uint64_t)one, "event: %s",
	      strerror(-ret));
	CHECK(WAIT_FOR(!count_leases(), 2000), "none");
	/* The second device is named no more. */
	CHECK(WAIT_FOR(atomic_load(&steering->opens) ==
		       atomic_load(&steering->closes) + 1, 2000),
	      "%d opened, %d closed", atomic_load(&steering->opens),
	      atomic_load(&steering->closes));
	barter_broker_close(broker);
}

static void exclusive_by_reload_leaves_the_oldest(void)
{
	struct barter_broker *a, *b;
	struct barter_vend_text text;
	int64_t old;

	broker_start(standard_policy, NULL);
	a = client();
	b = client();
	old = borrow(a, "many");
	CHECK(borrow(b, "many") > old && old > 0, "two have it");
	broker_policy("[many]\ndevice = 01:00.1\nbar = 0\nranges = 0+4K\n"
		      "allow = any\naccess = read-write\n");
	CHECK(!barter_broker_reload(b, &text), "%s", text.text);
	CHECK(WAIT_FOR(count_leases() == 1, 2000), "one has it");
	CHECK(status_of(old).lease == (uint64_t)old, "the oldest");
	barter_broker_close(a);
	barter_broker_close(b);
}

static void sigterm_takes_all_back(void)
{
	struct barter_broker *broker;
	struct barter_vend_event event;
	int status, ret;

	broker_start(standard_policy, NULL);
	broker = client();
	CHECK(borrow(broker, "one") > 0 && borrow(broker, "many") > 0, "two");
	status = broker_stop();
	CHECK(!status, "exit status %d: %s", status, broker_log());
	ret = wait_event(broker, &event, 2000);
	CHECK(!ret && event.why == BARTER_VEND_WHY_SHUTDOWN, "event: %s",
	      strerror(-ret));
	CHECK(!barter_broker_event(broker, &event), "the other's");
	CHECK(barter_broker_event(broker, &event) == -EPIPE, "the end");
	CHECK(atomic_load(&steering->takes) == 2 &&
	      atomic_load(&steering->opens) == atomic_load(&steering->closes),
	      "%d taken; %d opened, %d closed", atomic_load(&steering->takes),
	      atomic_load(&steering->opens), atomic_load(&steering->closes));
	barter_broker_close(broker);
}

static void sigterm_does_not_wait_for_ever(void)
{
	struct limits limits = default_limits;
	struct barter_broker *broker, *other;
	int64_t lease;
	int status;

	limits.grace = 2000;
	broker_start(standard_policy, &limits);
	broker = client();
	other = client();
	lease = borrow(broker, "one");
	atomic_store(&steering->hold_take, 1);
	kill(broker_pid, SIGTERM);
	CHECK(WAIT_FOR(status_of(lease).why == BARTER_VEND_WHY_SHUTDOWN, 600),
	      "status is still told");
	CHECK(borrow(other, "many") == -ESHUTDOWN, "nothing is lent");
	status = broker_stop();
	CHECK(status == EXIT_FAILED, "exit status %d", status);
	CHECK(strstr(broker_log(), "held up by 0000:00:06.0 hung"), "log: %s",
	      broker_log());
	barter_broker_close(broker);
	barter_broker_close(other);
}

/* ---- Other users: as root only ----------------------------------------- */

static int as_stranger(void *unused)
{
	struct barter_vend_status status = { .lease = 0 };
	struct barter_vend_offer offer;
	struct barter_vend_text text;
	struct barter_broker *broker = client();
	int64_t lease;

	(void)unused;
	if (borrow(broker, "ours") != -ENOENT)
		return 1;
	lease = borrow(broker, "by-uid");
	if (lease <= 0 || borrow(broker, "by-gid") <= 0)
		return 2;
	if (barter_broker_status(broker, 0, &status) ||
	    status.lease != (uint64_t)lease || status.uid != geteuid())
		return 3;
	if (barter_broker_take_back(broker, 1, 0) != -EPERM)
		return 4;
	if (barter_broker_reload(broker, &text) != -EPERM)
		return 5;
	if (barter_broker_offer(broker, NULL, &offer) ||
	    strcmp(offer.name, "by-gid") ||
	    barter_broker_offer(broker, offer.name, &offer) ||
	    barter_broker_offer(broker, offer.name, &offer) != -ENOENT)
		return 6;
	if (barter_broker_return(broker, 1) != -ENOENT)
		return 7;
	return 0;
}

static void strangers_see_and_get_their_own(void)
{
	struct barter_broker *broker;
	int status;

	broker_start("[ours]\ndevice = 01:00.0\nbar = 2\nranges = 0+64K\n"
		     "allow = uid:0\naccess = read-write\n"
		     "[by-uid]\ndevice = 01:00.0\nbar = 2\nranges = 64K+4K\n"
		     "allow = gid:4000000 uid:3000000\naccess = read-write\n"
		     "[by-gid]\ndevice = 01:00.0\nbar = 2\nranges = 68K+4K\n"
		     "allow = gid:65534\naccess = read-write\n", NULL);
	broker = client();
	CHECK(borrow(broker, "ours") == 1, "ours");
	status = child_end(child(as_stranger, NULL, 3000000), 10000);
	CHECK(!status, "what the stranger found: %d", status);
	CHECK(borrow(broker, "by-uid") == -ENOENT, "root is not user 3000000");
	barter_broker_close(broker);
}

void lease_cases(void)
{
	CASE(a_slice_comes_and_goes_back);
	CASE(no_room_for_an_fd);
	CASE(names_are_plain_text);
	CASE(what_is_offered);
	CASE(exclusive_means_nobody_else_has_a_byte);
	CASE(time_is_up);
	CASE(owner_takes_back);
	CASE(take_back_that_hangs_holds_up_nobody);
	CASE(take_back_that_fails_is_tried_again);
	CASE(lending_that_hangs_holds_up_nobody);
	CASE(device_that_cannot_be_opened);
	CASE(device_that_somebody_else_needs);
	CASE(reload_keeps_what_is_allowed);
	CASE(exclusive_by_reload_leaves_the_oldest);
	CASE(sigterm_takes_all_back);
	CASE(sigterm_does_not_wait_for_ever);
	if (!geteuid())
		CASE(strangers_see_and_get_their_own);
	else
		printf("ok %u - other users # SKIP not root\n", ++tap_cases);
}
