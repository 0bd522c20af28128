// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How many watches there may be, whose they are, and all of it at once.
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

#include "../lib/cause.h"
#include "../lib/fixture.h"
#include "../lib/slice.h"
#include "../lib/tester.h"
#include "../lib/watch.h"
#include "watch.h"

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
	bool sleeps;
	char byte;
	pid_t pid;

	if (!start())
		return;
	need(!pipe(ends), "a pipe");
	pid = spawn(exec_child, ends);
	close(ends[1]);
	is(read(ends[0], &byte, 1), 0, "a child that becomes another program");
	/* One file is released after the other, all before the program begins. */
	WAIT_FOR(sleeps, sleeps_in(pid, "nanosleep"), LONG);
	ok(sleeps, "which runs");
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

void many_cases(void)
{
	CASE(limit);
	CASE(crowd);
	CASE(one_of_each_pair);
	CASE(fork_shares);
	CASE(exec_closes);
	CASE(passed_on);
	CASE(everything_at_once);
	CASE(close_at_once);
}
