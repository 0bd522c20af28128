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

#define LONG	10000		/* ms until a signal counts as lost */
#define QUIET	200		/* ms of silence that count as none */
#define FILES	8

static int buf, file, event;

static bool start(void)
{
	buf = buf_export1(&mem, BAR, 0, MIB);
	file = watch_file();
	event = event_new();
	return ok(buf >= 0 && file >= 0 && event >= 0, "a buffer to watch");
}

static void finish(void)
{
	close(file);
	close(event);
	close(buf);
}

/* Memory off, and on again: four changes. */
static int blink(void)
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

/* ---- how many ---- */

static void limit(void)
{
	struct rlimit files = { 65536, 65536 };
	static int events[BARTER_MAX_WATCHES + 1];
	unsigned int told = 0, wrong = 0;
	struct barter_watch now;
	int other;

	setrlimit(RLIMIT_NOFILE, &files);
	if (!start())
		return;
	other = watch_file();
	for (int i = 0; i <= BARTER_MAX_WATCHES; i++)
		events[i] = event_new();
	for (int i = 0; i < BARTER_MAX_WATCHES; i++)
		wrong += watch_begin(file, buf, events[i], NULL) != 0;
	is(wrong, 0, "%d watches on one file", BARTER_MAX_WATCHES);
	is_errno(watch_begin(file, buf, events[BARTER_MAX_WATCHES], NULL),
		 ENOSPC, "one more");
	is_errno(watch_begin(file, buf, events[0], NULL), EEXIST,
		 "one that is there");
	is_errno(watch_begin(other, buf, events[BARTER_MAX_WATCHES], &now), 0,
		 "another file has room");
	is_errno(watch_end(file, buf, events[7]), 0, "remove one");
	is_errno(watch_begin(file, buf, events[BARTER_MAX_WATCHES], NULL), 0,
		 "then there is room for one");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	for (int i = 0; i <= BARTER_MAX_WATCHES; i++)
		if (i != 7)
			told += watch_follow(buf, events[i],
					     now.out_generation + 2, LONG, NULL);
	is(told, BARTER_MAX_WATCHES, "each is told");
	is(event_take(events[7], 0), 0, "but the one that was removed");
	close(file);
	wrong = 0;
	for (int i = 0; i < BARTER_MAX_WATCHES; i++)
		event_take(events[i], 0);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	ok(watch_follow(buf, events[BARTER_MAX_WATCHES], now.out_generation + 3,
			LONG, NULL), "the other file's watch is told");
	for (int i = 0; i < BARTER_MAX_WATCHES; i++)
		wrong += event_take(events[i], 0) != 0;
	is(wrong, 0, "those of the closed file are not");
	for (int i = 0; i <= BARTER_MAX_WATCHES; i++)
		close(events[i]);
	close(other);
	close(event);
	close(buf);
}

/* Thousands on one buffer: more than are signalled in one go. */
static void crowd(void)
{
	static int events[BARTER_MAX_WATCHES], files[FILES];
	unsigned int wrong = 0;
	uint64_t generation;

	if (!start())
		return;
	for (int i = 0; i < FILES; i++)
		files[i] = watch_file();
	for (int n = 0; n < BARTER_MAX_WATCHES; n++) {
		events[n] = event_new();
		for (int i = 0; i < FILES; i++)
			wrong += watch_begin(files[i], buf, events[n], NULL) != 0;
	}
	is(wrong, 0, "%d watches on one buffer", FILES * BARTER_MAX_WATCHES);
	is_errno(watch_begin(file, buf, event, NULL), 0, "and the last one");
	generation = buf_generation(buf);
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 3, LONG, NULL),
	   "the last one is told");
	/* Each counts at least one round, and there were three at most. */
	for (int n = 0; n < BARTER_MAX_WATCHES; n++) {
		uint64_t got = event_take(events[n], LONG);

		wrong += got < FILES || got > 3 * FILES;
	}
	is(wrong, 0, "each of the others is told once to three times");
	close(buf);
	for (int i = 0; i < FILES; i++)
		close(files[i]);
	for (int n = 0; n < BARTER_MAX_WATCHES; n++)
		close(events[n]);
	close(file);
	close(event);
	is(buf_count(mem.bdf), 0, "no buffer is left");
}

static void one_of_each_pair(void)
{
	int again, other_buf, other_file, other_event;
	uint64_t generation, n, got;

	if (!start())
		return;
	again = dup(event);
	other_buf = buf_export1(&mem, BAR, MIB, PAGE);
	other_file = watch_file();
	other_event = event_new();
	is_errno(watch_end(file, buf, event), ENOENT, "nothing to remove");
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	is_errno(watch_begin(file, buf, event, NULL), EEXIST, "again");
	is_errno(watch_begin(file, buf, again, NULL), EEXIST,
		 "the same eventfd by another number");
	is_errno(watch_begin(file, buf, other_event, NULL), 0, "another eventfd");
	is_errno(watch_begin(file, other_buf, event, NULL), 0, "another buffer");
	is_errno(watch_end(other_file, buf, event), ENOENT,
		 "another file has none to remove");
	is_errno(watch_begin(other_file, buf, event, NULL), 0,
		 "and may have its own");
	is_errno(watch_end(file, buf, again), 0,
		 "removed by another number of the eventfd");
	is_errno(watch_end(file, buf, event), ENOENT, "once");
	generation = buf_generation(buf);
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	ok(watch_follow(buf, other_event, generation + 2, LONG, NULL),
	   "one is told");
	for (n = 0; n < 2 && (got = event_take(event, LONG)); n += got)
		;
	ok(n >= 2, "two watches signal one eventfd twice");
	is_errno(watch_end(other_file, buf, event), 0, "remove");
	is_errno(watch_end(file, other_buf, event), 0, "remove");
	event_take(event, 0);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	ok(watch_follow(buf, other_event, generation + 3, LONG, NULL),
	   "one is told");
	is(event_take(event, QUIET), 0, "the other has no watch left");
	close(again);
	close(other_buf);
	close(other_file);
	close(other_event);
	finish();
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

/* ---- whose it is ---- */

static int hold(void *arg)
{
	int *pipe_end = arg;
	char byte;

	close(pipe_end[1]);
	fixture_forget();
	return read(pipe_end[0], &byte, 1) == 0 ? 0 : 1;
}

static void fork_shares(void)
{
	uint64_t generation;
	int ends[2];
	pid_t pid;

	if (!start())
		return;
	need(!pipe(ends), "a pipe");
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	pid = spawn(hold, ends);
	close(ends[0]);
	close(file);
	file = watch_file();
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 3, LONG, NULL),
	   "the child's copy of the file keeps the watch");
	is_errno(watch_end(file, buf, event), ENOENT, "it is not the new file's");
	close(ends[1]);
	is(reap(pid, LONG), 0, "the child ends");
	event_take(event, QUIET);
	is_errno(blink(), 0, "memory off and on");
	is(event_take(event, QUIET), 0, "and with it the watch");
	finish();
}

static int exec_child(void *arg)
{
	int *pipe_end = arg, mine = watch_file();

	close(pipe_end[0]);
	fixture_forget();
	if (watch_begin(mine, buf, event, NULL))
		return 1;
	/* The write end closes at the exec, as the file does. */
	fcntl(pipe_end[1], F_SETFD, FD_CLOEXEC);
	execlp("sleep", "sleep", "1000", NULL);
	return 2;
}

static void exec_closes(void)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (!start())
		return;
	need(!pipe(ends), "a pipe");
	pid = spawn(exec_child, ends);
	close(ends[1]);
	is(read(ends[0], &byte, 1), 0, "a child that has become another program");
	ok(is_running(pid), "runs");
	is_errno(blink(), 0, "memory off and on");
	is(event_take(event, QUIET), 0, "its watch has ended");
	kill(pid, SIGKILL);
	reap(pid, LONG);
	close(ends[0]);
	finish();
}

static void passed_on(void)
{
	uint64_t generation;
	int ends[2], got;

	if (!start())
		return;
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "sockets");
	generation = buf_generation(buf);
	is_errno(watch_begin(file, buf, event, NULL), 0, "watch");
	ok(fd_send(ends[0], file), "send the file");
	close(file);
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, event, generation + 3, LONG, NULL),
	   "in flight it keeps the watch");
	got = fd_receive(ends[1]);
	is_errno(watch_end(got, buf, event), 0, "whoever gets it may end it");
	is_errno(watch_begin(got, buf, event, NULL), 0, "or begin");
	ok(fd_send(ends[0], got), "send it again");
	close(got);
	close(ends[0]);
	close(ends[1]);
	event_take(event, 0);
	is_errno(blink(), 0, "memory off and on");
	is(event_take(event, QUIET), 0, "nobody has received it: the watch ends");
	file = -1;
	finish();
}

/* ---- all at once ---- */

static int64_t until;

static bool goes_on(void)
{
	return now_ms() < until;
}

static void *turn_watches(void *arg)
{
	unsigned int *turns = arg;

	for (; goes_on(); ++*turns) {
		int mine = watch_file(), e = event_new();
		int ret = watch_begin(mine, buf, e, NULL);

		if (ret) {
			close(mine);
			close(e);
			return "a watch of one's own file failed";
		}
		if (*turns % 3 == 0)
			watch_end(mine, buf, e);
		if (*turns % 3 == 1)
			close(e);
		close(mine);
		if (*turns % 3 != 1)
			close(e);
	}
	return NULL;
}

/* Many threads on one file and one eventfd: one of them has it at a time. */
static void *share_a_watch(void *arg)
{
	unsigned int *turns = arg;

	for (; goes_on(); ++*turns) {
		int ret = watch_begin(file, buf, event, NULL);

		if (ret && ret != -EEXIST)
			return "neither begun nor there already";
		ret = watch_end(file, buf, event);
		if (ret && ret != -ENOENT)
			return "neither ended nor gone already";
	}
	return NULL;
}

static void *turn_buffers(void *arg)
{
	unsigned int *turns = arg;
	int mine = watch_file(), e = event_new();

	for (; goes_on(); ++*turns) {
		int b = buf_export1(&mem, BAR, MIB, PAGE);

		if (b < 0)
			return "an export failed";
		if (watch_begin(mine, b, e, NULL))
			return "a watch of a new buffer failed";
		if (*turns % 2)
			event_take(e, 1);
		close(b);
	}
	close(mine);
	close(e);
	return NULL;
}

static void *turn_memory(void *arg)
{
	unsigned int *turns = arg;

	for (; goes_on(); ++*turns)
		if (*turns % 8 ? blink() : dev_reset(&mem))
			return "a revoke or restore failed";
	return NULL;
}

static void everything_at_once(void)
{
	static void *(*const jobs[])(void *) = {
		turn_memory, turn_watches, turn_watches, share_a_watch,
		share_a_watch, turn_buffers,
	};
	enum { JOBS = sizeof(jobs) / sizeof(*jobs) };
	unsigned int turns[JOBS] = { 0 };
	struct barter_watch now;
	pthread_t threads[JOBS];
	int witness = event_new();

	if (!start())
		return;
	is_errno(watch_begin(file, buf, witness, NULL), 0, "a watch that stays");
	until = now_ms() + 4000;
	for (int i = 0; i < JOBS; i++)
		pthread_create(&threads[i], NULL, jobs[i], &turns[i]);
	for (int i = 0; i < JOBS; i++) {
		void *trouble;

		pthread_join(threads[i], &trouble);
		ok(!trouble && turns[i], "thread %d, %u turns: %s", i, turns[i],
		   trouble ? (char *)trouble : "fine");
	}
	event_take(witness, QUIET);
	watch_end(file, buf, event);
	is_errno(watch_begin(file, buf, event, &now), 0, "watch");
	is_errno(blink(), 0, "memory off and on");
	ok(watch_follow(buf, witness, now.out_generation + 3, LONG, NULL),
	   "the one that stayed is told");
	close(witness);
	finish();
	is(buf_count(mem.bdf), 0, "no buffer is left");
}

/* The device goes while watches come and go. */
static void close_at_once(void)
{
	unsigned int turns[2], lost = 0;
	pthread_t threads[2];
	void *trouble[2];

	for (int i = 0; i < 10; i++) {
		struct barter_watch now;

		if (!start())
			return;
		watch_begin(file, buf, event, &now);
		until = now_ms() + 30000;
		turns[0] = turns[1] = 0;
		for (int n = 0; n < 2; n++)
			pthread_create(&threads[n], NULL, turn_watches, &turns[n]);
		fixture_close();
		lost += !watch_follow(buf, event, now.out_generation + 2, LONG,
				      NULL);
		/* They end at the first watch that finds the buffer dead. */
		for (int n = 0; n < 2; n++)
			pthread_join(threads[n], &trouble[n]);
		lost += !trouble[0] || !trouble[1];
		finish();
		fixture_open();
	}
	is(lost, 0, "DEAD is told in each of 10 rounds");
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
	CASE(changes_that_follow_quickly);
	CASE(last_change_of_a_buffer);
	CASE(limit);
	CASE(crowd);
	CASE(one_of_each_pair);
	CASE(semaphore);
	CASE(full);
	CASE(eventfd_closed);
	CASE(fork_shares);
	CASE(exec_closes);
	CASE(passed_on);
	CASE(everything_at_once);
	CASE(close_at_once);
	return tap_done();
}
