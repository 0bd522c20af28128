// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * VFIO that asks again, one range after the other or of several devices; and memory that it
 * refuses, whose it is not being known at once.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/access.h"
#include "../lib/buf.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "vgpu_race.h"

static uint64_t rounds(void)
{
	struct vt_mock m;

	vt_mock(VT_MOCK_ANY, 1, 0, 1, &m);
	return m.out_rounds;
}

/* VFIO asks until the last time, each time for pages that lie STEP behind; then ALL map. */
static void asked(uint64_t step, uint64_t all, const char *what)
{
	struct vt_mock m;
	struct vt_map map;

	new_mock();
	vt_mock(VT_MOCK_ASKS, VT_MOCK_MOST, 0, step, NULL);
	is(vt_mock(VT_MOCK_UNMAP, 0, 0, 10, &m), 0, "%s", what);
	is(m.out_rounds, VT_MOCK_MOST, "until the last time");
	is(m.out_mapped, 2, "from the third time on nobody maps it");
	is(vt_map(VT_MOCK, 0, all, VT_W, VT_NONE, &map), 0, "when it is over it can be mapped");
	vt_unmap(VT_MOCK, map.out_id);
	is_clean("after");
}

/* Another device of the container keeps VFIO asking: this one has no rounds for itself. */
static void asked_often(void)
{
	asked(0, 10, "VFIO asks again though nothing is left");
}

/*
 * What type 1 takes for the same memory need not have the same address: the guest has
 * unmapped that in the meantime and mapped other, which got its pointer.
 */
static void asked_for_others(void)
{
	asked(20, 300, "VFIO asks for one range after the other");
}

/*
 * iommufd refuses memory before it tells anybody that it is being unmapped, and may take
 * its time: so nobody believes at once that it is a device's.
 */
static void believed_late(void)
{
	struct job map = {
		.space = VT_MOCK,
		.npages = 10,
		.prot = VT_W,
		.device = VT_NONE,
	};

	new_mock();
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BUSY, 0, 10, NULL);
	start(&map, do_map);
	usleep(30000);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RW, 0, 10, NULL);
	is(finish(&map, 20000), 0, "memory that is refused for a moment is mapped");
	vt_unmap(VT_MOCK, map.map.out_id);
	is_clean("after");
}

static uint64_t asks(void)
{
	struct vt_mock m;

	vt_mock(VT_MOCK_ANY, 1, 0, 1, &m);
	return m.out_asked;
}

/* Memory that is refused as a device's, and the answer is held back. */
static void refused(void)
{
	new_mock();
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BUSY, 0, 10, NULL);
	vt_mock(VT_MOCK_HOLD, 0, 0, 0, NULL);
}

static int copy_child(void *arg)
{
	uint64_t word = 0;

	return vt_copy(VT_MOCK, 0, &word, sizeof(word), *(bool *)arg) ? 1 : 0;
}

static void killed_by_doubt(int (*child)(void *), void *arg, const char *what)
{
	struct log log;
	bool waits;
	pid_t pid;

	refused();
	log_open(&log);
	pid = spawn(child, arg);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	ok(waits, "%s is refused", what);
	kill(pid, SIGKILL);
	let();
	is(reap(pid, 5000), SIGKILL, "%s: who asked is killed", what);
	is(asks(), 1, "%s: and does not ask again", what);
	ok(!log_wait(&log, "memory of a device", "mock", 0), "%s: nobody is blamed", what);
	log_close(&log);
	is_clean("after");
}

/* Whoever may be wrong about a device's memory is asked again, but for nobody. */
static void killed_in_doubt(void)
{
	uint64_t npages = 10;
	bool write = false;

	killed_by_doubt(map_child, &npages, "a map");
	killed_by_doubt(copy_child, &write, "a copy from the guest");
	write = true;
	killed_by_doubt(copy_child, &write, "a copy to it");
}

static int close_child(void *arg)
{
	(void)arg;
	return vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL) ? 1 : 0;
}

static int revoke_child(void *arg)
{
	(void)arg;
	return vt_revoke(VT_MOCK, VT_PLAIN0) ? 1 : 0;
}

/* Nor is it when the map is of no use any more. */
static void in_doubt_and_over(int (*child)(void *), const char *function, const char *what)
{
	struct job map = {
		.space = VT_MOCK,
		.npages = 10,
		.prot = VT_W,
		.device = VT_PLAIN0,
	};
	struct log log;
	bool waits;
	pid_t pid;
	int ret;

	refused();
	log_open(&log);
	start(&map, do_map);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	ok(waits, "%s: a map is refused", what);
	pid = spawn(child, NULL);
	WAIT_FOR(waits, sleeps_in(pid, function), 5000);
	ok(waits, "%s: which waits", what);
	let();
	ret = finish(&map, 5000);
	ok(ret == -EAGAIN || ret == -ENODEV, "%s: the map fails (%d)", what, ret);
	is(reap(pid, 5000), 0, "%s: is over", what);
	is(asks(), 1, "%s: nobody asked again", what);
	ok(!log_wait(&log, "memory of a device", "mock", 0), "%s: nobody is blamed", what);
	log_close(&log);
	is_clean("after");
}

static void closed_in_doubt(void)
{
	in_doubt_and_over(close_child, "barter_vgpu_close", "the space is closed");
}

static void revoked_in_doubt(void)
{
	in_doubt_and_over(revoke_child, "barter_vgpu_revoke_device", "its device goes");
}

/* A device that was told before, and was closed meanwhile, has not seen what came then. */
static void asked_of_one_after_the_other(void)
{
	struct vt_mock m;

	new_mock();
	vt_mock(VT_MOCK_ASKS, VT_MOCK_MOST, 0, 0, NULL);
	is(vt_mock(VT_MOCK_SWAP, 0, 0, 1, &m), 0, "VFIO asks one device after the other");
	is(m.out_rounds, VT_MOCK_MOST, "until the last time");
	is(m.out_mapped, 2, "from the third time on nobody maps the page");
	is_clean("after");
}

/* A device that is opened when VFIO has asked several times has seen none of them. */
static void opened_late(void)
{
	struct job map, unmap = { .first = 0, .npages = 1 };
	struct guest before;
	bool there;

	need(!guest_open(&before, 1, NULL, false) && !guest_map(&before, ram, 0, HALF, true),
	     "a device");
	need(hold(&map, VT_PLAIN0), "held");
	vt_mock(VT_MOCK_ASKS, 1, 0, 0, NULL);
	start(&unmap, do_mock_unmap);
	WAIT_FOR(there, rounds() >= 3, 20000);
	ok(there, "a pin that does not come back: VFIO is sent away, and asks a third time");
	need(!guest_open(&g, 0, NULL, false) && !guest_map(&g, ram, 0, HALF, true),
	     "another device, opened now");
	is_errno(vt_map(VT_VFIO0, 0, 1, VT_W, VT_NONE, NULL), EAGAIN,
		 "does not map what is being unmapped");
	is_errno(vt_map(VT_VFIO0, PAGE, 1, VT_W, VT_NONE, NULL), EAGAIN, "nor what lies behind it");
	is_errno(vt_map(VT_VFIO1, 0, 1, VT_W, VT_NONE, NULL), EAGAIN,
		 "nor does one that was there before, of the same process");
	WAIT_FOR(there, rounds() >= 9, 20000);
	ok(there, "VFIO is sent away nine times");
	usleep(2500000);
	is(rounds(), 9, "and then it is waited for");
	let();
	is_errno(finish(&map, 5000), EAGAIN, "the pin is there: the map fails");
	is(finish(&unmap, 5000), 0, "nothing is left");
	is(rounds(), 10, "when it asked for the tenth time");
	is(vt_map(VT_VFIO0, 0, 1, VT_W, VT_NONE, NULL), 0, "when it is over it can be mapped");
	is_clean("after");
	guest_close(&g);
	guest_close(&before);
}

/*
 * While iommufd unmaps, from before it tells the first device to after it has told the
 * last, it answers as for a device's memory.
 */
static void unmapped_long(void)
{
	struct job unmap = { .npages = 10 };
	uint64_t word;
	bool there;

	new_mock();
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BUSY, 0, 10, NULL);
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BUSY, AT / PAGE, 1, NULL);
	is_errno(vt_map(VT_MOCK, 0, 10, VT_W, VT_NONE, NULL), EREMOTE,
		 "what cannot be pinned is a device's memory");
	is_errno(vt_map(VT_MOCK, AT, 1, VT_W, VT_NONE, NULL), EREMOTE, "in two places");
	start(&unmap, do_mock_unmap_long);
	WAIT_FOR(there, rounds() == 1, 5000);
	ok(there, "the guest unmaps one, and this device is asked; others take their time");
	is(vt_mock(VT_MOCK_UNMAP, 0, 100, 1, NULL), 0, "something else is unmapped meanwhile");
	usleep(2500000);
	is_errno(vt_map(VT_MOCK, 0, 10, VT_W, VT_NONE, NULL), EAGAIN,
		 "of what is being unmapped nothing is said yet");
	is_errno(vt_copy(VT_MOCK, 9 * PAGE, &word, sizeof(word), false), EAGAIN,
		 "by a copy neither");
	is_errno(vt_copy(VT_MOCK, AT, &word, sizeof(word), false), EREMOTE,
		 "which knows what a device's memory is");
	is_errno(vt_map(VT_MOCK, AT, 1, VT_W, VT_NONE, NULL), EREMOTE, "of the other it is");
	let();
	is(finish(&unmap, 5000), 0, "it is over");
	WAIT_FOR(there, vt_map(VT_MOCK, 0, 10, VT_W, VT_NONE, NULL) == -EREMOTE, 5000);
	ok(there, "a device's memory after all");
	is_errno(vt_copy(VT_MOCK, 0, &word, sizeof(word), true), EREMOTE, "by a copy, too");

	begin(false);
	need(!vt_map(VT_VFIO0, AT, 1, VT_W, VT_NONE, NULL), "another device has a map");
	vt_behave(VT_VFIO0, VT_STUCK, 0);
	unmap.npages = GUEST_PAGES;
	start(&unmap, do_guest_unmap);
	WAIT_FOR(there, vt_stat(VT_VFIO0).out_owed == 1, 5000);
	ok(there, "which is asked first, and does not answer");
	is_errno(vt_map(VT_MOCK, AT, 1, VT_W, VT_NONE, NULL), EAGAIN, "nothing is said either");
	vt_letgo(VT_VFIO0);
	is(finish(&unmap, 5000), 0, "it is over");
	guest_close(&g);
	is_errno(vt_map(VT_MOCK, AT, 1, VT_W, VT_NONE, NULL), EREMOTE, "a device's memory");
	is_clean("after");
}

static int reopens_mock(void *arg)
{
	(void)arg;
	return vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL) ?: vt_mock(VT_MOCK_OPEN, 0, 0, 0, NULL);
}

static int unmaps_slowly(void *arg)
{
	struct guest mine;
	int ret;

	(void)arg;
	if (guest_open(&mine, 0, NULL, false) || guest_map(&mine, ram, AT, HALF, true) ||
	    vt_map(VT_VFIO0, AT, 1, VT_W, VT_NONE, NULL))
		return 1;
	vt_behave(VT_VFIO0, VT_STUCK, 0);
	ret = guest_unmap(&mine, AT, HALF) ? 2 : 0;
	guest_close(&mine);
	return ret;
}

/*
 * What another process unmaps is no matter of this space, even if that process has got the
 * place in the kernel's memory that the one had which opened it. On one CPU, where it
 * usually does.
 */
static void opened_by_who_is_gone(void)
{
	unsigned int round, wrong = 0;
	cpu_set_t one, before;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	need(!sched_getaffinity(0, sizeof(before), &before) &&
		     !sched_setaffinity(0, sizeof(one), &one),
	     "on one CPU");
	new_mock();
	vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_BUSY, AT / PAGE, 1, NULL);
	for (round = 0; round < 8; round++) {
		bool there;
		pid_t pid;

		if (reap(spawn(reopens_mock, NULL), 5000))
			break;
		pid = spawn(unmaps_slowly, NULL);
		WAIT_FOR(there, vt_stat(VT_VFIO0).out_owed == 1, 10000);
		wrong += vt_map(VT_MOCK, AT, 1, VT_W, VT_NONE, NULL) != -EREMOTE;
		vt_letgo(VT_VFIO0);
		if (!there || reap(pid, 10000))
			break;
	}
	is(round, 8, "a space is opened by one process, and another unmaps in another space");
	is(wrong, 0, "of which the first is not told");
	is_clean("after");
	sched_setaffinity(0, sizeof(before), &before);
}

void asks_cases(void)
{
	CASE(asked_often);
	CASE(asked_for_others);
	CASE(asked_of_one_after_the_other);
	CASE(believed_late);
	CASE(killed_in_doubt);
	CASE(closed_in_doubt);
	CASE(revoked_in_doubt);
	CASE_LIMIT(opened_late, 100);
	CASE(unmapped_long);
	CASE_LIMIT(opened_by_who_is_gone, 100);
}
