// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Watches: whoever hangs an eventfd on a buffer hears of each change of its state,
 * however quickly they follow each other, and of nothing after the watch's end. A
 * watch ends with its file, by request, or with the buffer, whichever is first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/slice.h"
#include "lib/tester.h"
#include "lib/watch.h"
#include "watch/watch.h"

int buf, file, event;

bool start(void)
{
	buf = buf_export1(&mem, BAR, 0, MIB);
	file = watch_file();
	event = event_new();
	return ok(buf >= 0 && file >= 0 && event >= 0, "a buffer to watch");
}

void finish(void)
{
	close(file);
	close(event);
	close(buf);
}

int blink(void)
{
	return dev_set_memory(&mem, false) ?: dev_set_memory(&mem, true);
}

/* ---- what is told ---- */

static void each_cause(void)
{
	for (unsigned int i = 0; i < nr_causes; i++) {
		const struct cause *c = &causes[i];
		struct barter_watch now;
		uint64_t generation;

		if (!start())
			return;
		is_errno(watch_begin(file, buf, event, &now), 0, "%s: watch",
			 c->name);
		is(now.out_state, BARTER_STATE_OK, "%s: state", c->name);
		is(now.out_reasons, 0, "%s: reasons", c->name);
		is(event_take(event, 0), 0, "%s: no signal yet", c->name);
		is_errno(c->begin(&mem), 0, "%s", c->name);
		generation = buf_generation(buf);
		ok(generation >= now.out_generation + 2, "%s: the state changed",
		   c->name);
		ok(watch_follow(buf, event, generation, LONG, NULL),
		   "%s: each change is told", c->name);
		if (c->end) {
			is(buf_state(buf), BARTER_STATE_REVOKED, "%s: REVOKED",
			   c->name);
			is_errno(c->end(&mem), 0, "%s: end", c->name);
			is(buf_generation(buf), generation + 1,
			   "%s: one more change", c->name);
			ok(watch_follow(buf, event, generation + 1, LONG, NULL),
			   "%s: its end is told", c->name);
		}
		is(buf_state(buf), BARTER_STATE_OK, "%s: OK again", c->name);
		/* What was told already may be told once more. */
		event_take(event, QUIET);
		is(event_take(event, QUIET), 0, "%s: then silence", c->name);
		finish();
	}
}

static void dead_and_silent(const char *how)
{
	struct barter_watch now;

	is(buf_state(buf), BARTER_STATE_DEAD, "%s: DEAD", how);
	/* What was told already may be told once more. */
	event_take(event, QUIET);
	is(event_take(event, QUIET), 0, "%s: silence", how);
	is_errno(blink(), 0, "%s: the device's memory off and on", how);
	is(event_take(event, QUIET), 0, "%s: a dead buffer never signals again",
	   how);
	is_errno(watch_begin(file, buf, event, &now), EEXIST,
		 "%s: the watch is there", how);
	is_errno(watch_end(file, buf, event), 0, "%s: and can be removed", how);
	is_errno(watch_begin(file, buf, event, &now), EBADFD,
		 "%s: a dead buffer cannot be watched", how);
	finish();
}

static void closed(void)
{
	uint64_t generation;

	if (!start())
		return;
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	fixture_close();
	ok(watch_follow(buf, event, generation + 2, LONG, NULL), "DEAD is told");
	fixture_open();
	dead_and_silent("closed");
}

static int unbind_child(void *arg)
{
	(void)arg;
	fixture_forget();
	for (int i = 3; i < 256; i++)
		close(i);
	return pci_unbind(mem.bdf) ? 1 : 0;
}

static void unbound(void)
{
	struct barter_info info;
	uint64_t generation;
	pid_t pid;

	if (!start())
		return;
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	pid = spawn(unbind_child, NULL);
	ok(watch_follow(buf, event, generation + 2, LONG, NULL),
	   "told although the unbind still waits for us");
	buf_info(buf, &info);
	is(info.out_state, BARTER_STATE_DEAD, "DEAD");
	ok(info.out_reasons & BARTER_REASON_GONE, "reason GONE");
	ok(is_running(pid), "the unbind waits");
	fixture_close();
	is(reap(pid, 30000), 0, "it ends");
	is_errno(pci_bind(mem.bdf, pci_lender()), 0, "bind again");
	fixture_open();
	dead_and_silent("unbound");
}

/* One buffer and its slices: they are told, nobody else. */
static void ended_alone(void)
{
	int slice, slice_event = event_new(), other, other_event = event_new();
	uint64_t generation, slice_generation;

	if (!start())
		return;
	slice = slice1(buf, PAGE, PAGE);
	other = buf_export1(&mem, BAR, 0, MIB);
	generation = buf_generation(buf);
	slice_generation = buf_generation(slice);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch a buffer");
	is_errno(watch_begin(file, slice, slice_event, NULL), 0, "its slice");
	is_errno(watch_begin(file, other, other_event, NULL), 0, "and another");
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(slice, slice_event, slice_generation + 3, LONG, NULL),
	   "a slice is told what happens to its device");
	ok(watch_follow(other, other_event, buf_generation(other), LONG, NULL),
	   "so is the other");
	event_take(other_event, QUIET);
	is_errno(buf_end(&mem, buf), 0, "end the buffer");
	ok(watch_follow(buf, event, generation + 5, LONG, NULL), "it is told");
	ok(watch_follow(slice, slice_event, slice_generation + 5, LONG, NULL),
	   "so is its slice");
	is(buf_state(slice), BARTER_STATE_DEAD, "which is DEAD too");
	is(event_take(other_event, QUIET), 0, "the other is not concerned");
	close(slice);
	close(slice_event);
	close(other);
	close(other_event);
	dead_and_silent("ended");
}

static void born_revoked(void)
{
	struct barter_watch now;

	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	if (!start())
		return;
	is_errno(watch_begin(file, buf, event, &now), 0, "watch");
	is(now.out_state, BARTER_STATE_REVOKED, "REVOKED at once");
	is(now.out_reasons, BARTER_REASON_MEMORY, "with its reason");
	is(event_take(event, QUIET), 0, "no signal for what was before");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	ok(watch_follow(buf, event, now.out_generation + 1, LONG, NULL),
	   "the restore is told");
	is(buf_state(buf), BARTER_STATE_OK, "OK");
	finish();
}

static int reset_child(void *arg)
{
	(void)arg;
	return dev_reset(&mem) ? 1 : 0;
}

/*
 * The beginning of a revoke is told while it waits, its end only when nobody has
 * the memory any more.
 */
static void revoking_and_revoked(void)
{
	struct barter_test_attach req = { .flags = BARTER_TEST_F_STUCK };
	struct barter_watch now;
	int t = tester_open(), id;
	pid_t pid;

	if (!start())
		return;
	req.dmabuf_fd = buf;
	id = tester_attach_as(t, &req);
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), 0,
		 "an importer that does not let go");
	is_errno(watch_begin(file, buf, event, &now), 0, "watch");
	pid = spawn(reset_child, NULL);
	ok(watch_follow(buf, event, now.out_generation + 1, LONG, NULL),
	   "told while the revoke waits");
	is(buf_state(buf), BARTER_STATE_REVOKING, "REVOKING, not REVOKED");
	is(event_take(event, QUIET), 0, "no more for as long as it waits");
	is_errno(tester_letgo(t, id), 0, "let go");
	ok(watch_follow(buf, event, now.out_generation + 3, LONG, NULL),
	   "told that it is over");
	is(reap(pid, LONG), 0, "the reset is done");
	is(buf_state(buf), BARTER_STATE_OK, "OK");

	tester_detach(t, id);
	id = tester_attach_as(t, &req);
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), 0,
		 "another importer of that kind");
	pid = spawn(reset_child, NULL);
	ok(watch_follow(buf, event, now.out_generation + 4, LONG, NULL),
	   "REVOKING again");
	kill(pid, SIGKILL);
	ok(watch_follow(buf, event, now.out_generation + 5, LONG, NULL),
	   "a killed revoke is told");
	is(buf_state(buf), BARTER_STATE_REVOKED, "REVOKED");
	is(buf_reasons(buf), BARTER_REASON_INTERRUPTED, "INTERRUPTED");
	reap(pid, LONG);
	is_errno(tester_letgo(t, id), 0, "let go");
	is(event_take(event, QUIET), 0, "which changes nothing");
	is_errno(dev_reset(&mem), 0, "a reset that is done");
	ok(watch_follow(buf, event, now.out_generation + 8, LONG, NULL),
	   "REVOKING, REVOKED, OK");
	close(t);
	finish();
}

static int end_child(void *arg)
{
	(void)arg;
	return buf_end(&mem, buf) ? 1 : 0;
}

/* Each change by itself: the end that waits, and that it is over. */
static void end_that_waits(void)
{
	struct barter_watch now;
	int t = tester_open(), id;
	pid_t pid;

	if (!start())
		return;
	id = tester_attach(t, buf, BARTER_TEST_F_STUCK);
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), 0,
		 "an importer that does not let go");
	is_errno(watch_begin(file, buf, event, &now), 0, "watch");
	pid = spawn(end_child, NULL);
	ok(watch_follow(buf, event, now.out_generation + 1, LONG, NULL),
	   "told that the end waits");
	is(buf_state(buf), BARTER_STATE_REVOKING, "REVOKING");
	is(event_take(event, QUIET), 0, "no more for as long as it does");
	is_errno(tester_letgo(t, id), 0, "let go");
	ok(watch_follow(buf, event, now.out_generation + 2, LONG, NULL),
	   "told that it is over");
	is(reap(pid, LONG), 0, "it is");
	is(buf_state(buf), BARTER_STATE_DEAD, "DEAD");
	close(t);
	finish();
}

/* ---- quickly ---- */

static void *blinks(void *arg)
{
	unsigned int n = *(unsigned int *)arg;

	while (n--)
		if (blink())
			return "memory off or on failed";
	return NULL;
}

/* Whoever reads the eventfd first and asks then misses nothing. */
static void changes_that_follow_quickly(void)
{
	unsigned int n = 300;
	uint64_t signals = 0, end;
	struct barter_watch now;
	void *trouble;
	pthread_t other;

	if (!start())
		return;
	is_errno(watch_begin(file, buf, event, &now), 0, "watch");
	/* Off is REVOKING and REVOKED, on is OK. */
	end = now.out_generation + 3 * n;
	pthread_create(&other, NULL, blinks, &n);
	ok(watch_follow(buf, event, end, LONG, &signals), "the last of %u is told",
	   3 * n);
	pthread_join(other, &trouble);
	ok(!trouble, "all were made");
	is(buf_generation(buf), end, "the generation counts each");
	signals += event_take(event, QUIET);
	ok(signals >= 1 && signals <= 3 * n, "%u signals for them",
	   (unsigned int)signals);
	finish();
}

/* A buffer that goes right after its last change: that is told all the same. */
static void last_change_of_a_buffer(void)
{
	unsigned int lost = 0;

	for (int i = 0; i < 200; i++) {
		buf = buf_export1(&mem, BAR, 0, PAGE);
		file = watch_file();
		event = event_new();
		if (watch_begin(file, buf, event, NULL))
			break;
		dev_set_memory(&mem, false);
		event_take(event, QUIET);
		dev_set_memory(&mem, true);
		close(buf);
		lost += !event_take(event, 0);
		close(file);
		close(event);
	}
	is(lost, 0, "told before the buffer is gone");
	is(buf_count(mem.bdf), 0, "no watch keeps a buffer");
}

/* ---- eventfds of every kind ---- */

static void semaphore(void)
{
	int sem = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t n, generation;

	if (!start())
		return;
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	is_errno(watch_begin(file, buf, sem, NULL), 0, "watch with a semaphore");
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 3, LONG, NULL), "told");
	n = event_take(sem, LONG);
	is(n, 1, "a semaphore gives one at a time");
	ok(watch_end(file, buf, sem) == 0, "remove");
	for (n = 0; event_take(sem, 0); n++)
		;
	ok(n <= 2, "and no more than there were changes: %u", (unsigned int)n);
	close(sem);
	finish();
}

static void full(void)
{
	uint64_t most = ULLONG_MAX - 1, n = 0, generation;
	struct pollfd p = { .events = POLLIN };
	int crowded = eventfd(0, EFD_CLOEXEC);	/* blocks its writers */

	if (!start())
		return;
	generation = buf_generation(buf);
	is(write(crowded, &most, sizeof(most)), sizeof(most), "a full eventfd");
	is_errno(watch_begin(file, buf, crowded, NULL), 0, "watch with it");
	is_errno(watch_begin(file, buf, event, NULL), 0, "and with another");
	for (int i = 0; i < 3; i++)
		is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 9, LONG, NULL),
	   "the other is told");
	p.fd = crowded;
	is(poll(&p, 1, LONG), 1, "the full one polls");
	is(p.revents, POLLIN | POLLERR, "as one that has overflowed");
	is(read(crowded, &n, sizeof(n)), sizeof(n), "and can be read");
	ok(n == ULLONG_MAX, "the counter stopped at its end");
	is_errno(blink(), 0, "memory off and on");
	ok(event_take(crowded, LONG) >= 1, "then it counts again");
	close(crowded);
	finish();
}

/* The watch holds the eventfd; nobody else has to. */
static void eventfd_closed(void)
{
	uint64_t generation;
	int other;

	if (!start())
		return;
	other = event_new();
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, other, NULL), 0, "watch");
	is_errno(watch_begin(file, buf, event, NULL), 0, "another");
	close(other);
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 3, LONG, NULL), "told");
	other = event_new();
	is_errno(watch_end(file, buf, other), ENOENT,
		 "an eventfd made later is another one");
	close(other);
	finish();
}

int main(void)
{
	fixture_open();
	CASE_LIMIT(each_cause, 120);
	CASE(closed);
	CASE(unbound);
	CASE(ended_alone);
	CASE(born_revoked);
	CASE(revoking_and_revoked);
	CASE(end_that_waits);
	CASE(changes_that_follow_quickly);
	CASE(last_change_of_a_buffer);
	CASE(semaphore);
	CASE(full);
	CASE(eventfd_closed);
	many_cases();
	return tap_done();
}
