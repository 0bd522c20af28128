// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Guest memory for drivers of vGPUs, when several things happen at once: first one
 * pair after the other, held where they meet, then all of them by chance. A guest's
 * unmap may return only when nothing of the range is pinned; what single calls may say
 * is what they document; the kernel judges the rest.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/buf.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/vgpu.h"

#define AT		(1ull << 30)
#define GUEST_PAGES	2048
#define HALF		(GUEST_PAGES / 2 * PAGE)
/* Four threads: the kernel's DMA debugging bears with eight maps of a page. */
#define MOST		2
#define SPACES		"/sys/kernel/debug/barter-vgpu/spaces"

static struct guest g;
static uint8_t *ram;

/* ---- a call in a thread of its own ---- */

struct job {
	pthread_t thread;
	int (*fn)(struct job *job);
	uint32_t space, device, prot;
	uint64_t first, npages;
	struct vt_map map;
	int ret;
	volatile bool done;
};

static void *run(void *arg)
{
	struct job *job = arg;

	job->ret = job->fn(job);
	job->done = true;
	return NULL;
}

static void start(struct job *job, int (*fn)(struct job *job))
{
	job->fn = fn;
	job->done = false;
	if (pthread_create(&job->thread, NULL, run, job))
		tap_bail("no thread");
}

/* Wait for its end; its answer, or -ETIMEDOUT. */
static int finish(struct job *job, int ms)
{
	bool done;

	WAIT_FOR(done, job->done, ms);
	if (!done)
		return -ETIMEDOUT;
	pthread_join(job->thread, NULL);
	return job->ret;
}

/* Has it come back although it had no reason to? */
static bool still_waits(struct job *job)
{
	usleep(100000);
	return !job->done;
}

static int do_map(struct job *job)
{
	return vt_map(job->space, job->first * PAGE, job->npages, job->prot,
		      job->device, &job->map);
}

static int do_mock_unmap(struct job *job)
{
	return vt_mock(VT_MOCK_UNMAP, 0, job->first, job->npages, NULL);
}

/* Its ioctl goes on until let(). */
static int do_mock_unmap_long(struct job *job)
{
	return vt_mock(VT_MOCK_UNMAP, 1, job->first, job->npages, NULL);
}

static int do_close(struct job *job)
{
	(void)job;
	return vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
}

static int do_revoke(struct job *job)
{
	return vt_revoke(VT_MOCK, job->device);
}

static int do_guest_unmap(struct job *job)
{
	return guest_unmap(&g, AT + job->first * PAGE, job->npages * PAGE);
}

static int do_open_other(struct job *job)
{
	struct guest other;
	int ret = guest_open(&other, 1, &g, false);

	(void)job;
	if (!ret)
		guest_close(&other);
	return ret;
}

static bool waits_in_backend(uint64_t nr)
{
	struct vt_mock m;

	return !vt_mock(VT_MOCK_ANY, 1, 0, 1, &m) && m.out_waiting == nr;
}

/* ---- pairs that meet in the middle of a pin ---- */

static void new_mock(void)
{
	int ret = vt_mock(VT_MOCK_NEW, 0, 0, 0, NULL);

	if (ret)
		tap_bail("a mock guest: %s", strerror(-ret));
}

static bool clean(void)
{
	struct vt_stat s = vt_stat(VT_MOCK);
	struct vt_mock m;

	vt_mock(VT_MOCK_LET, 0, 0, VT_MOCK_PAGES, &m);
	return !m.out_pinned && !m.out_wrong && !s.out_pages && !s.out_maps && !s.out_batches;
}

static void is_clean(const char *when)
{
	ok(clean(), "%s: every pin is undone, once", when);
}

/* What who is killed has pinned workers unpin, who may not be done when it is gone. */
static void is_clean_soon(void)
{
	bool is;

	WAIT_FOR(is, clean(), 5000);
	ok(is, "soon every pin is undone, once, and not by who was killed");
}

/* A map of 600 pages for @device whose first pin is made and does not come back. */
static bool hold(struct job *job, uint32_t device)
{
	bool waits;

	new_mock();
	vt_mock(VT_MOCK_HOLD, 0, 0, 0, NULL);
	*job = (struct job){
		.space = VT_MOCK, .npages = 600, .prot = VT_W, .device = device,
	};
	start(job, do_map);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	return ok(waits, "a map is about to pin its first batch");
}

static void let(void)
{
	vt_mock(VT_MOCK_LET, 0, 0, 0, NULL);
}

static void pin_and_unmap(void)
{
	struct job map, unmap = { .first = 511, .npages = 1 };

	need(hold(&map, VT_PLAIN0), "held");
	start(&unmap, do_mock_unmap);
	ok(still_waits(&unmap), "the guest unmaps what is being pinned, and waits");
	let();
	is_errno(finish(&map, 5000), EAGAIN, "the map fails");
	is(finish(&unmap, 5000), 0, "the unmap finds nothing pinned");
	is_clean("after");

	need(hold(&map, VT_PLAIN0), "held");
	unmap.first = 599;
	start(&unmap, do_mock_unmap);
	is(finish(&unmap, 5000), 0, "the guest unmaps what is not pinned yet");
	let();
	is_errno(finish(&map, 5000), EAGAIN, "the map fails");
	is_clean("after");

	need(hold(&map, VT_PLAIN0), "held");
	unmap.first = 600;
	start(&unmap, do_mock_unmap);
	is(finish(&unmap, 5000), 0, "the guest unmaps what is next to it");
	let();
	is(finish(&map, 5000), 0, "the map is made");
	vt_unmap(VT_MOCK, map.map.out_id);
	is_clean("after");
}

static void pin_and_close(void)
{
	struct job map, other = { .device = VT_PLAIN1 };
	int ret;

	need(hold(&map, VT_PLAIN0), "held");
	start(&other, do_close);
	ok(still_waits(&other), "the space is closed, which waits");
	let();
	ret = finish(&map, 5000);
	ok(ret == -EAGAIN || ret == -ENODEV, "the map fails (%d)", ret);
	is(finish(&other, 5000), 0, "closed");
	is_clean("after");

	need(hold(&map, VT_PLAIN1), "held");
	start(&other, do_revoke);
	ok(still_waits(&other), "its device goes, which waits");
	let();
	is_errno(finish(&map, 5000), EAGAIN, "the map fails");
	is(finish(&other, 5000), 0, "gone");
	is_clean("after");
}

static void pin_and_pin(void)
{
	struct job a, b, c;
	struct vt_stat s;

	need(hold(&a, VT_PLAIN0), "held");
	b = a;
	c = a;
	c.first = 100;
	start(&b, do_map);
	start(&c, do_map);
	ok(still_waits(&b) && still_waits(&c), "the same, and one that overlaps: both wait");
	let();
	ok(!finish(&a, 5000) && !finish(&b, 5000) && !finish(&c, 5000), "all are made");
	is(a.map.out_id, b.map.out_id, "two of them are one");
	s = vt_stat(VT_MOCK);
	is(s.out_pages, 700, "each page is pinned once");
	is(s.out_maps, 2, "two maps");
	vt_unmap(VT_MOCK, a.map.out_id);
	vt_unmap(VT_MOCK, b.map.out_id);
	vt_unmap(VT_MOCK, c.map.out_id);
	is_clean("after");
}

static int do_unmap(struct job *job)
{
	return vt_unmap(VT_MOCK, job->map.out_id);
}

/* What is on its way out is in nobody's way but the guest's who unmaps it. */
static void unpin_and_map(void)
{
	struct job old, unmap = { .first = 99, .npages = 1 };
	struct vt_map map;
	struct vt_mock m;
	bool waits;

	new_mock();
	need(!vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &old.map), "a map");
	vt_mock(VT_MOCK_HOLD, 1, 0, 0, NULL);
	start(&old, do_unmap);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	ok(waits, "is given back, and its pages are about to be unpinned");
	is(vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, &map), 0, "meanwhile they can be mapped");
	vt_mock(VT_MOCK_ANY, 1, 0, 100, &m);
	is(m.out_most, 2, "with a pin of their own");
	ok(still_waits(&old), "while the old one is there");
	start(&unmap, do_mock_unmap);
	WAIT_FOR(waits, waits_in_backend(2), 5000);
	ok(waits && still_waits(&unmap), "the guest unmaps one of them, and waits for both");
	is_errno(vt_map(VT_MOCK, 0, 100, VT_W, VT_PLAIN0, NULL), EAGAIN,
		 "now they cannot be mapped");
	let();
	is(finish(&old, 5000), 0, "given back");
	is(finish(&unmap, 5000), 0, "unmapped, with nothing pinned");
	is_clean("after");
}

static int map_child(void *arg)
{
	return vt_map(VT_MOCK, 0, *(uint64_t *)arg, VT_W, VT_NONE, NULL) ? 1 : 0;
}

static void killed(void)
{
	uint64_t npages = 700;
	struct job map;
	bool waits;
	pid_t pid;

	need(hold(&map, VT_PLAIN0), "held");
	pid = spawn(map_child, &npages);
	WAIT_FOR(waits, sleeps_in(pid, "barter_vgpu_map"), 5000);
	ok(waits, "a second program waits for the first one's pin");
	kill(pid, SIGKILL);
	is(reap(pid, 5000), SIGKILL, "and can be killed");
	let();
	is(finish(&map, 5000), 0, "the first one's map is made");
	vt_unmap(VT_MOCK, map.map.out_id);
	is_clean("after");

	new_mock();
	vt_mock(VT_MOCK_HOLD, 0, 0, 0, NULL);
	npages = 8000;
	pid = spawn(map_child, &npages);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	ok(waits, "a program pins its first batch of 16");
	kill(pid, SIGKILL);
	let();
	is(reap(pid, 5000), SIGKILL, "it is killed");
	is(vt_stat(VT_MOCK).out_pins, 1, "and pins no other");
	is_clean_soon();
}

static int unmap_child(void *arg)
{
	return vt_unmap(VT_MOCK, *(uint32_t *)arg) ? 1 : 0;
}

/* Who is killed in the middle unpins no more; what is left is unpinned all the same. */
static void killed_in_unmap(void)
{
	struct vt_map map;
	bool waits;
	pid_t pid;

	new_mock();
	need(!vt_map(VT_MOCK, 0, 2000, VT_W, VT_NONE, &map), "a map of four batches");
	vt_mock(VT_MOCK_HOLD, 1, 0, 0, NULL);
	pid = spawn(unmap_child, &map.out_id);
	WAIT_FOR(waits, waits_in_backend(1), 5000);
	ok(waits, "given back, its first batch is being unpinned");
	kill(pid, SIGKILL);
	let();
	is(reap(pid, 5000), SIGKILL, "who does so is killed");
	is_clean_soon();
}

/* ---- a driver that does not answer, a lock that is taken ---- */

static void begin(bool iommufd)
{
	int ret = guest_open(&g, 0, NULL, iommufd);

	/* In halves, as it unmaps them. */
	for (uint64_t at = 0; !ret && at < 2 * HALF; at += HALF)
		ret = guest_map(&g, ram + at, AT + at, HALF, true);
	if (ret)
		tap_bail("a guest: %s", strerror(-ret));
}

static void is_empty(const char *when)
{
	struct vt_stat s;
	bool empty;

	WAIT_FOR(empty, (s = vt_stat(VT_VFIO0), !s.out_pages && !s.out_maps &&
			 !s.out_batches && !s.out_owed), 10000);
	ok(empty, "%s: no page pinned, no map", when);
}

static void stuck(void)
{
	struct job unmap = { .npages = GUEST_PAGES };
	struct vt_map map;
	struct log log;
	bool told;

	begin(false);
	need(!vt_map(VT_VFIO0, AT, 100, VT_W, VT_PLAIN0, &map), "a map");
	need(!vt_map(VT_VFIO0, AT + PAGE, 200, VT_W, VT_PCI, NULL), "another");
	vt_behave(VT_VFIO0, VT_STUCK, 0);
	log_open(&log);
	start(&unmap, do_guest_unmap);
	WAIT_FOR(told, vt_stat(VT_VFIO0).out_owed == 2, 5000);
	ok(told, "the driver is told of both, and does not answer");
	is_errno(vt_map(VT_VFIO0, AT + 500 * PAGE, 1, VT_W, VT_NONE, NULL), EAGAIN,
		 "what is being unmapped cannot be mapped");
	ok(file_has(SPACES, "revoked device barter-vgpu-dma"), "debugfs shows them");
	ok(log_wait(&log, "driver barter_test_vgpu has not let go of 2 maps",
		    "barter-vgpu-test.0", 15000), "the log names driver and device");
	ok(!unmap.done, "and the guest's unmap waits");
	is(vt_stat(VT_VFIO0).out_pages, 201, "everything is still pinned");
	vt_letgo(VT_VFIO0);
	is(finish(&unmap, 5000), 0, "the driver lets go: the unmap returns");
	is_empty("then");
	log_close(&log);
	guest_close(&g);
}

/*
 * Type 1 takes the lock that unpinning needs, and then the one that it calls drivers
 * with, when another device of the container is opened; and unmaps the other way.
 */
static void opened_meanwhile(void)
{
	struct job unmap = { .npages = GUEST_PAGES }, other = { .space = 0 };
	bool told;

	begin(false);
	need(!vt_map(VT_VFIO0, AT, 1000, VT_W, VT_PLAIN0, NULL), "a map");
	vt_behave(VT_VFIO0, VT_STUCK, 0);
	start(&unmap, do_guest_unmap);
	WAIT_FOR(told, vt_stat(VT_VFIO0).out_owed == 1, 5000);
	ok(told, "the driver is told");
	start(&other, do_open_other);
	ok(still_waits(&other), "a second device is opened, which waits for that");
	vt_letgo(VT_VFIO0);
	is(finish(&unmap, 20000), 0, "the driver lets go: the unmap returns");
	is(finish(&other, 20000), 0, "the second device is open");
	is_empty("then");
	guest_close(&g);
}

/*
 * The same lock, and two unmaps that wait for each other, with so much to unpin that it
 * takes long one by one: every second page by itself.
 */
static void unmapped_meanwhile(void)
{
	struct job a = { .npages = GUEST_PAGES / 2 }, b = a;
	unsigned int made = 0;
	bool told;

	begin(false);
	for (uint64_t i = 0; i < GUEST_PAGES; i += 2)
		made += !vt_map(VT_VFIO0, AT + i * PAGE, 1, VT_W, VT_NONE, NULL);
	is(made, GUEST_PAGES / 2, "a map of every second page");
	vt_behave(VT_VFIO0, VT_LATER, 300);
	b.first = b.npages;
	start(&a, do_guest_unmap);
	WAIT_FOR(told, vt_stat(VT_VFIO0).out_owed == GUEST_PAGES / 4, 5000);
	ok(told, "the driver is told of the first half");
	start(&b, do_guest_unmap);
	is(finish(&a, 40000), 0, "a half is unmapped");
	is(finish(&b, 40000), 0, "and the other, meanwhile");
	is_empty("then");
	vt_behave(VT_VFIO0, VT_PROMPT, 0);
	guest_close(&g);
}

/* ---- VFIO that asks again ---- */

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
		.space = VT_MOCK, .npages = 10, .prot = VT_W, .device = VT_NONE,
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

	need(!guest_open(&before, 1, NULL, false) &&
	     !guest_map(&before, ram, 0, HALF, true), "a device");
	need(hold(&map, VT_PLAIN0), "held");
	vt_mock(VT_MOCK_ASKS, 1, 0, 0, NULL);
	start(&unmap, do_mock_unmap);
	WAIT_FOR(there, rounds() >= 3, 20000);
	ok(there, "a pin that does not come back: VFIO is sent away, and asks a third time");
	need(!guest_open(&g, 0, NULL, false) && !guest_map(&g, ram, 0, HALF, true),
	     "another device, opened now");
	is_errno(vt_map(VT_VFIO0, 0, 1, VT_W, VT_NONE, NULL), EAGAIN,
		 "does not map what is being unmapped");
	is_errno(vt_map(VT_VFIO0, PAGE, 1, VT_W, VT_NONE, NULL), EAGAIN,
		 "nor what lies behind it");
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

/* ---- all at once ---- */

#define ENOUGH	20

static int64_t until;
static volatile unsigned long made, failed, unmapped;
static volatile int wrong;

/* For 4 s, and where that is not enough to see something, for longer. */
static bool goes_on(void)
{
	return !wrong && (now_ms() < until ||
			  ((made <= ENOUGH || unmapped <= ENOUGH) &&
			   now_ms() < until + 60000));
}

static unsigned int dice(unsigned int *seed, unsigned int sides)
{
	return (unsigned int)rand_r(seed) % sides;
}

static bool may_say(int ret)
{
	return !ret || ret == -EAGAIN || ret == -ENOENT || ret == -ENODEV ||
		ret == -EPERM;
}

/* Maps and unmaps, one or many. */
static int storm_maps(struct job *job)
{
	unsigned int seed = (unsigned int)job->first, nr = 0;
	uint32_t ids[MOST];

	while (goes_on()) {
		static const uint32_t devices[] = {
			VT_NONE, VT_PLAIN0, VT_PLAIN1, VT_PCI,
		};
		uint64_t first = dice(&seed, GUEST_PAGES - 1);
		uint64_t n = 1 + dice(&seed, dice(&seed, 4) ? 16 : 900);
		struct vt_map map;
		int ret;

		n = first + n > GUEST_PAGES ? GUEST_PAGES - first : n;
		if (dice(&seed, 3) == 0)
			first = 0, n = 64;
		ret = vt_map(job->space, job->map.iova + first * PAGE, n,
			     dice(&seed, 2) ? VT_W : VT_R, devices[dice(&seed, 4)], &map);
		if (!may_say(ret))
			wrong = ret;
		if (ret) {
			__sync_fetch_and_add(&failed, 1);
		} else {
			__sync_fetch_and_add(&made, 1);
			ids[nr++] = map.out_id;
		}
		if (nr == MOST || (nr && dice(&seed, 3) == 0)) {
			if (dice(&seed, 2)) {
				vt_unmap_many(job->space, ids, nr);
				nr = 0;
			} else {
				vt_unmap(job->space, ids[--nr]);
			}
		}
	}
	vt_unmap_many(job->space, ids, nr);
	return 0;
}

/* The mock guest takes pages away, and looks whether they are unpinned. */
static int storm_mock_guest(struct job *job)
{
	unsigned int seed = (unsigned int)job->first;

	while (goes_on()) {
		uint64_t first = dice(&seed, GUEST_PAGES), n = 1 + dice(&seed, 300);
		int ret;

		vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_NONE, first, n, NULL);
		ret = vt_mock(VT_MOCK_UNMAP, 0, first, n, NULL);
		if (ret)
			wrong = ret;
		vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RW, first, n, NULL);
		unmapped++;
		if (dice(&seed, 20) == 0)
			vt_revoke(VT_MOCK, VT_PLAIN0 + dice(&seed, 2));
		if (dice(&seed, 50) == 0) {
			vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
			vt_mock(VT_MOCK_OPEN, 0, 0, 0, NULL);
		}
	}
	return 0;
}

/* A real one, in halves; whether pages are unpinned is VFIO's to see. */
static int storm_guest(struct job *job)
{
	unsigned int seed = (unsigned int)job->first;

	while (goes_on()) {
		uint64_t at = dice(&seed, 2) * HALF;
		int ret = guest_unmap(&g, job->map.iova + at, HALF);

		if (!ret)
			ret = guest_map(&g, ram + at, job->map.iova + at, HALF, true);
		if (ret)
			wrong = ret;
		unmapped++;
	}
	return 0;
}

/* A second device in the container comes and goes. */
static int storm_other(struct job *job)
{
	while (goes_on()) {
		int ret = do_open_other(job);

		if (ret)
			wrong = ret;
		usleep(3000);
	}
	return 0;
}

static int storm_driver(struct job *job)
{
	static const uint32_t manners[] = { VT_PROMPT, VT_LATER, VT_PROMPT, VT_MISUSE };

	for (unsigned int i = 0; goes_on(); i++) {
		vt_behave(job->space, manners[i % 4], 2);
		usleep(20000);
	}
	vt_behave(job->space, VT_PROMPT, 0);
	return 0;
}

static void storm(uint32_t space, uint64_t at, int (*guest)(struct job *),
		  int (*other)(struct job *))
{
	struct job jobs[7];
	unsigned int nr = 0;
	bool ended = true;

	made = failed = unmapped = 0;
	wrong = 0;
	until = now_ms() + 4000;
	for (unsigned int i = 0; i < 7; i++)
		jobs[i] = (struct job){
			.space = space, .first = i + 1, .map.iova = at,
		};
	for (unsigned int i = 0; i < 4; i++)
		start(&jobs[nr++], storm_maps);
	start(&jobs[nr++], guest);
	start(&jobs[nr++], storm_driver);
	if (other)
		start(&jobs[nr++], other);
	for (unsigned int i = 0; i < nr; i++)
		ended = finish(&jobs[i], 90000) != -ETIMEDOUT && ended;
	ok(ended, "all come to an end");
	is(wrong, 0, "nobody saw what may not be");
	vt_letgo(space);
	ok(made > ENOUGH && unmapped > ENOUGH, "%lu maps, %lu that could not be, %lu unmaps",
	   made, failed, unmapped);
	is(vt_stat(space).out_misused, 0, "nobody mapped in an invalidate");
}

static void storm_mock(void)
{
	new_mock();
	storm(VT_MOCK, 0, storm_mock_guest, NULL);
	is_clean("after");
	new_mock();
	vt_mock(VT_MOCK_ANY, 0, 0, 0, NULL);
	storm(VT_MOCK, 0, storm_mock_guest, NULL);
	is_clean("after, with a backend that unpins what it pinned");
}

static void storm_vfio(void)
{
	begin(false);
	storm(VT_VFIO0, AT, storm_guest, storm_other);
	is_empty("after");
	guest_close(&g);
}

static void storm_iommufd(void)
{
	if (access("/dev/iommu", F_OK)) {
		skip("no iommufd", "all at once, with iommufd");
		return;
	}
	begin(true);
	storm(VT_VFIO0, AT, storm_guest, NULL);
	is_empty("after");
	guest_close(&g);
}

int main(void)
{
	int fd = vt_open();

	if (vt_segments(0xffffffff, 0xffffffff))
		tap_bail("the devices");
	ram = mmap(NULL, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CASE(pin_and_unmap);
	CASE(pin_and_close);
	CASE(pin_and_pin);
	CASE(unpin_and_map);
	CASE(killed);
	CASE(killed_in_unmap);
	CASE(stuck);
	CASE(opened_meanwhile);
	CASE(unmapped_meanwhile);
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
	CASE_LIMIT(storm_mock, 200);
	CASE_LIMIT(storm_vfio, 100);
	CASE_LIMIT(storm_iommufd, 100);
	close(fd);
	return tap_done();
}
