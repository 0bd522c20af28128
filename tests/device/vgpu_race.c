// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Guest memory for drivers of vGPUs, when several things happen at once: first one
 * pair after the other, held where they meet; in vgpu_race/ VFIO that asks again (asks.c),
 * then all of them by chance (storm.c). A guest's unmap may return only when nothing of
 * the range is pinned; what single calls may say is what they document; the kernel judges
 * the rest.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
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
#include "vgpu_race/vgpu_race.h"

#define SPACES		"/sys/kernel/debug/barter-vgpu/spaces"

struct guest g;
uint8_t *ram;

/* ---- a call in a thread of its own ---- */

static void *run(void *arg)
{
	struct job *job = arg;

	job->ret = job->fn(job);
	job->done = true;
	return NULL;
}

void start(struct job *job, int (*fn)(struct job *job))
{
	job->fn = fn;
	job->done = false;
	if (pthread_create(&job->thread, NULL, run, job))
		tap_bail("no thread");
}

/* Wait for its end; its answer, or -ETIMEDOUT. */
int finish(struct job *job, int ms)
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

int do_map(struct job *job)
{
	return vt_map(job->space, job->first * PAGE, job->npages, job->prot,
		      job->device, &job->map);
}

int do_mock_unmap(struct job *job)
{
	return vt_mock(VT_MOCK_UNMAP, 0, job->first, job->npages, NULL);
}

/* Its ioctl goes on until let(). */
int do_mock_unmap_long(struct job *job)
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

int do_guest_unmap(struct job *job)
{
	return guest_unmap(&g, AT + job->first * PAGE, job->npages * PAGE);
}

int do_open_other(struct job *job)
{
	struct guest other;
	int ret = guest_open(&other, 1, &g, false);

	(void)job;
	if (!ret)
		guest_close(&other);
	return ret;
}

bool waits_in_backend(uint64_t nr)
{
	struct vt_mock m;

	return !vt_mock(VT_MOCK_ANY, 1, 0, 1, &m) && m.out_waiting == nr;
}

/* ---- pairs that meet in the middle of a pin ---- */

void new_mock(void)
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

void is_clean(const char *when)
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
bool hold(struct job *job, uint32_t device)
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

void let(void)
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

int map_child(void *arg)
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

void begin(bool iommufd)
{
	int ret = guest_open(&g, 0, NULL, iommufd);

	/* In halves, as it unmaps them. */
	for (uint64_t at = 0; !ret && at < 2 * HALF; at += HALF)
		ret = guest_map(&g, ram + at, AT + at, HALF, true);
	if (ret)
		tap_bail("a guest: %s", strerror(-ret));
}

void is_empty(const char *when)
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
	asks_cases();
	storm_cases();
	close(fd);
	return tap_done();
}
