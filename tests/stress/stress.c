// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Everything at once, for a while: config writes (also such that change under
 * the kernel's hands), resets of three kinds, low power, exports, closes, mmaps,
 * imports, questions; slices that are cut, used, ended and closed in any order; and a
 * second device that is opened and closed all the time.
 *
 * Whatever the order, three things hold at any moment: an access gives the
 * right bytes or SIGBUS; a buffer is OK exactly if it has no reason not to be;
 * nobody gets an errno that the ABI does not name. Then nobody takes the memory away any
 * more, and all others have to get on. At the end all is well again.
 *
 *	stress [SECONDS]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../device/lib/cause.h"
#include "../device/lib/fixture.h"
#include "../device/lib/slice.h"
#include "../device/lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	101
#define LENGTH	(4 * MIB)

static int seconds = 30;
static volatile bool stop;
static int lent;			/* lives from the start to the end */

struct counter {
	const char *name;
	unsigned long done, refused, bad;
};

static void bad(struct counter *c, const char *what, long value)
{
	if (__atomic_fetch_add(&c->bad, 1, __ATOMIC_SEQ_CST) < 5)
		diag("%s: %s: %ld", c->name, what, value);
}

static uint32_t rnd(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Read a page of a mapping whose first byte is @pos in the BAR. */
static void look(struct counter *c, volatile uint8_t *p, uint64_t pos)
{
	uint32_t v;
	int sig = peek(p, &v);

	if (sig == SIGBUS)
		c->refused++;
	else if (sig)
		bad(c, "signal", sig);
	else if (v != pattern(SEED, pos))
		bad(c, "wrong bytes", v);
	else
		c->done++;
}

static void check_state(struct counter *c, int fd, bool may_be_dead)
{
	struct barter_info info;
	int ret = buf_info(fd, &info);

	if (ret)
		bad(c, "info", ret);
	else if (info.out_state > BARTER_STATE_DEAD)
		bad(c, "state", info.out_state);
	else if (info.out_state == BARTER_STATE_OK && info.out_reasons)
		bad(c, "OK with reasons", info.out_reasons);
	else if (info.out_state != BARTER_STATE_OK && !info.out_reasons)
		bad(c, "not OK without reason", info.out_state);
	else if (info.out_state == BARTER_STATE_DEAD && !may_be_dead)
		bad(c, "dead", info.out_reasons);
}

/* Whoever takes memory away leaves the others time to see it there. */
static void rest(uint32_t *seed, uint32_t us)
{
	usleep(rnd(seed) % us);
}

static void config_writes(struct counter *c, uint32_t *seed)
{
	static const struct {
		unsigned int offset, n;
	} blocks[] = { { 4, 1 }, { 4, 2 }, { 4, 4 }, { 0, 8 }, { 2, 4 } };
	unsigned int i = rnd(seed) % 5;
	int ret = config_block(&mem, blocks[i].offset, blocks[i].n, false);

	if (ret)
		bad(c, "memory off", ret);
	usleep(rnd(seed) % 300);
	ret = config_block(&mem, blocks[i].offset, blocks[i].n, true);
	if (ret)
		bad(c, "memory on", ret);
	c->done++;
	rest(seed, 20000);
}

static volatile uint8_t racing;

static void racing_writes(struct counter *c, uint32_t *seed)
{
	for (int i = 0; i < 20; i++) {
		ssize_t n = pwrite(mem.fd, (void *)&racing, 1,
				   (off_t)(mem.config + PCI_COMMAND));

		if (n != 1)
			bad(c, "write", n);
		c->done++;
	}
	if (config_block(&mem, PCI_COMMAND, 1, true))
		bad(c, "memory on", 0);
	rest(seed, 40000);
}

static void flips(struct counter *c, uint32_t *seed)
{
	(void)seed;
	for (int i = 0; i < 1000; i++)
		racing ^= PCI_COMMAND_MEMORY;
	c->done++;
	usleep(100);
}

/* A reset may find its locks taken: then it says so and does nothing. */
static void tried(struct counter *c, int ret)
{
	if (!ret)
		c->done++;
	else if (ret == -EAGAIN || ret == -EBUSY)
		c->refused++;
	else
		bad(c, "reset", ret);
}

static void ioctl_resets(struct counter *c, uint32_t *seed)
{
	tried(c, dev_reset(&mem));
	rest(seed, 60000);
}

static void hot_resets(struct counter *c, uint32_t *seed)
{
	tried(c, dev_hot_reset(&mem));
	rest(seed, 60000);
}

static void sysfs_resets(struct counter *c, uint32_t *seed)
{
	char path[128];
	int fd;

	/* Not by the helper, which prints each write. */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", mem.bdf);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	tried(c, write(fd, "1", 1) == 1 ? 0 : -errno);
	close(fd);
	rest(seed, 60000);
}

static void low_power(struct counter *c, uint32_t *seed)
{
	int ret = dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);

	if (ret)
		bad(c, "entry", ret);
	usleep(rnd(seed) % 500);
	ret = dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	if (ret)
		bad(c, "exit", ret);
	c->done++;
	rest(seed, 60000);
}

static void exports(struct counter *c, uint32_t *seed)
{
	struct vfio_region_dma_range r[20];
	uint32_t nr = 1 + rnd(seed) % 20;
	volatile uint8_t *p;
	int fd;

	for (uint32_t i = 0; i < nr; i++)
		r[i] = (struct vfio_region_dma_range){
			rnd(seed) % 1000 * PAGE, (1 + rnd(seed) % 5) * PAGE };
	fd = buf_export(&mem, BAR, r, nr);
	if (fd < 0) {
		bad(c, "export", fd);
		return;
	}
	check_state(c, fd, false);
	p = buf_map(fd, 0, r[0].length, RW);
	if (!p)
		bad(c, "mmap", errno);
	else
		look(c, p, r[0].offset);
	/* Whichever goes last ends the buffer. */
	if (p && rnd(seed) % 2) {
		munmap((void *)p, r[0].length);
		p = NULL;
	}
	close(fd);
	if (p)
		munmap((void *)p, r[0].length);
}

static void mappings(struct counter *c, uint32_t *seed)
{
	uint64_t at = rnd(seed) % 512 * PAGE;
	size_t n = (1 + rnd(seed) % 512) * PAGE;
	volatile uint8_t *p = rnd(seed) % 2 ?
		buf_map(lent, at, n, RW) :
		buf_map_aligned(lent, at, n, PAGE);

	if (!p) {
		bad(c, "mmap", errno);
		return;
	}
	for (int i = 0; i < 8; i++) {
		uint64_t pos = rnd(seed) % (n / PAGE) * PAGE;

		look(c, p + pos, at + pos);
	}
	if (n > 2 * PAGE) {
		mprotect((void *)(p + PAGE), PAGE, PROT_READ);
		look(c, p + PAGE, at + PAGE);
		/* What is unmapped is another thread's from then on. */
		munmap((void *)p, PAGE);
		p += PAGE;
		n -= PAGE;
		look(c, p, at + PAGE);
	}
	munmap((void *)p, n);
}

/* The BAR itself, through the device's own file. */
static void bar_mappings(struct counter *c, uint32_t *seed)
{
	uint64_t at = rnd(seed) % 512 * PAGE;
	size_t n = (3 + rnd(seed) % 512) * PAGE;
	volatile uint8_t *p = dev_map(&mem, BAR, at, n);

	if (!p) {
		bad(c, "mmap of the BAR", errno);
		return;
	}
	for (int i = 0; i < 8; i++) {
		uint64_t pos = rnd(seed) % (n / PAGE) * PAGE;

		look(c, p + pos, at + pos);
	}
	mprotect((void *)(p + PAGE), PAGE, PROT_READ);
	munmap((void *)p, PAGE);
	look(c, p + PAGE, at + PAGE);
	munmap((void *)(p + PAGE), n - PAGE);
}

static void big_mapping(struct counter *c, uint32_t *seed)
{
	static volatile uint8_t *p;

	if (!p)
		p = buf_map(lent, 0, LENGTH, RW);
	for (int i = 0; i < 64; i++) {
		uint64_t pos = rnd(seed) % (LENGTH / PAGE) * PAGE;

		look(c, p + pos, pos);
	}
}

static void imports(struct counter *c, uint32_t *seed)
{
	int t = tester_open();
	int id = tester_attach(t, lent, rnd(seed) % 4 ? 0 :
			       BARTER_TEST_F_STUCK);
	int ret;

	if (id < 0) {
		if (id == -EBUSY)
			c->refused++;
		else
			bad(c, "attach", id);
		close(t);
		return;
	}
	for (int i = 0; i < 4; i++) {
		ret = tester_map(t, id, rnd(seed) % 3, NULL);
		if (!ret)
			c->done++;
		else if (ret == -ENODEV || ret == -EBUSY)
			c->refused++;
		else
			bad(c, "map", ret);
		usleep(rnd(seed) % 300);
		/* A revoke may have been there first. */
		ret = tester_unmap(t, id);
		if (ret && ret != -ENODATA)
			bad(c, "unmap", ret);
	}
	close(t);
}

static void questions(struct counter *c, uint32_t *seed)
{
	check_state(c, lent, false);
	if (rnd(seed) % 16 == 0 && buf_count(mem.bdf) < 1)
		bad(c, "debugfs", 0);
	c->done++;
	usleep(50);
}

/*
 * Buffers and slices of them, for everybody. One that is used is a copy of the fd:
 * its slot may be given away meanwhile.
 */
#define PARTS	24

static struct part {
	int fd;				/* 0: none */
	uint64_t pos;			/* in the BAR */
	uint32_t pages;
} parts[PARTS];
static pthread_mutex_t parts_lock = PTHREAD_MUTEX_INITIALIZER;

static struct part part_get(uint32_t *seed)
{
	struct part part;

	pthread_mutex_lock(&parts_lock);
	part = parts[rnd(seed) % PARTS];
	if (part.fd)
		part.fd = dup(part.fd);
	pthread_mutex_unlock(&parts_lock);
	return part;
}

static void part_put(uint32_t *seed, struct part part)
{
	struct part *slot = &parts[rnd(seed) % PARTS], old;

	pthread_mutex_lock(&parts_lock);
	old = *slot;
	*slot = part;
	pthread_mutex_unlock(&parts_lock);
	if (old.fd)
		close(old.fd);
}

static void cuts(struct counter *c, uint32_t *seed)
{
	struct part from = part_get(seed), part;

	if (!from.fd || rnd(seed) % 16 == 0) {
		if (from.fd)
			close(from.fd);
		part = (struct part){ .pos = rnd(seed) % 64 * PAGE, .pages = 64 };
		part.fd = buf_export1(&mem, BAR, part.pos, part.pages * PAGE);
	} else {
		uint32_t skip = rnd(seed) % from.pages;

		part = (struct part){
			.pos = from.pos + skip * PAGE,
			.pages = 1 + rnd(seed) % (from.pages - skip),
		};
		part.fd = slice1(from.fd, skip * PAGE, part.pages * PAGE);
		close(from.fd);
	}
	if (part.fd == -EBADFD) {
		c->refused++;
	} else if (part.fd < 0) {
		bad(c, "slice", part.fd);
	} else {
		c->done++;
		check_state(c, part.fd, true);
		part_put(seed, part);
	}
	usleep(rnd(seed) % 1000);
}

static void ends(struct counter *c, uint32_t *seed)
{
	struct part part = part_get(seed);
	int ret;

	if (part.fd) {
		ret = buf_end(&mem, part.fd);
		if (!ret)
			c->done++;
		else if (ret == -EBADFD)
			c->refused++;
		else
			bad(c, "end", ret);
		if (buf_state(part.fd) != BARTER_STATE_DEAD)
			bad(c, "state at the end", buf_state(part.fd));
		close(part.fd);
	}
	usleep(rnd(seed) % 5000);
}

static void parts_used(struct counter *c, uint32_t *seed)
{
	struct part part = part_get(seed);
	volatile uint8_t *p;
	int t, id, ret;

	if (!part.fd)
		return;
	p = buf_map(part.fd, 0, part.pages * PAGE, RW);
	if (p) {
		look(c, p + (part.pages - 1) * PAGE,
		     part.pos + (part.pages - 1) * PAGE);
		munmap((void *)p, part.pages * PAGE);
	} else if (errno != EBADFD) {
		bad(c, "mmap", errno);
	}
	if (rnd(seed) % 8 == 0) {
		t = tester_open();
		id = tester_attach(t, part.fd, 0);
		/* The other importer may have edu's lock at this moment. */
		if (id < 0 && id != -EBADFD && id != -EBUSY)
			bad(c, "attach", id);
		ret = id < 0 ? 0 : tester_map(t, id, 0, NULL);
		if (ret && ret != -ENODEV && ret != -EBADFD)
			bad(c, "map", ret);
		close(t);
	}
	close(part.fd);
}

/* The other device lives and dies; what it lent dies with it. */
static void second_device(struct counter *c, uint32_t *seed)
{
	volatile uint8_t *p;
	uint32_t v;
	struct dev d;
	int fd, ret;

	ret = dev_open_bound(&d, getenv("VM_VRAM1"));
	if (ret) {
		bad(c, "open", ret);
		usleep(100000);
		return;
	}
	dev_set_memory(&d, true);
	fd = buf_export1(&d, BAR, 0, MIB);
	p = buf_map(fd, 0, MIB, RW);
	if (!p) {
		bad(c, "export and mmap", fd);
	} else {
		if (peek(p, &v))
			bad(c, "access", 0);
		usleep(rnd(seed) % 3000);
		dev_close(&d);
		if (peek(p, &v) != SIGBUS)
			bad(c, "access after close", 0);
		if (buf_state(fd) != BARTER_STATE_DEAD)
			bad(c, "state after close", buf_state(fd));
		munmap((void *)p, MIB);
	}
	close(fd);
	dev_close(&d);
	c->done++;
}

static struct job {
	void (*fn)(struct counter *c, uint32_t *seed);
	struct counter c;
	bool takes;	      /* the memory of the first device away */
	bool rests;	      /* as nobody may */
	unsigned long before; /* done when that began */
	pthread_t thread;
} jobs[] = {
	{ .fn = config_writes, { .name = "config writes" }, .takes = true },
	{ .fn = racing_writes, { .name = "racing config writes" }, .takes = true },
	{ .fn = flips, { .name = "flips of their bytes" } },
	{ .fn = ioctl_resets, { .name = "VFIO_DEVICE_RESET" }, .takes = true },
	{ .fn = hot_resets, { .name = "hot resets" }, .takes = true },
	{ .fn = sysfs_resets, { .name = "sysfs resets" }, .takes = true },
	{ .fn = low_power, { .name = "low power" }, .takes = true },
	{ .fn = exports, { .name = "exports and closes" } },
	{ .fn = mappings, { .name = "mmaps" } },
	{ .fn = bar_mappings, { .name = "mmaps of the BAR" } },
	{ .fn = big_mapping, { .name = "accesses" } },
	{ .fn = imports, { .name = "imports" } },
	{ .fn = cuts, { .name = "slices" } },
	{ .fn = cuts, { .name = "more slices" } },
	{ .fn = ends, { .name = "ends of buffers" } },
	{ .fn = parts_used, { .name = "uses of slices" } },
	{ .fn = questions, { .name = "questions" } },
	{ .fn = second_device, { .name = "second device" } },
};

#define NR_JOBS (sizeof(jobs) / sizeof(*jobs))

static bool quiet; /* nobody may take it */

static void *run_job(void *arg)
{
	struct job *job = arg;
	uint32_t seed = (uint32_t)(job - jobs) * 7919u + 1;

	while (!stop) {
		if (job->takes && __atomic_load_n(&quiet, __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&job->rests, true, __ATOMIC_SEQ_CST);
			usleep(10000);
		} else {
			job->fn(&job->c, &seed);
		}
	}
	return NULL;
}

/* By sysfs, as on 32 bits, a mapping is nobody's to take away. */
static bool is_possible(const struct job *job)
{
	return job->fn != bar_mappings || dev_maps_bar(&mem, BAR);
}

/* Of those that take it, or of the others: one that has done nothing since; or NULL. */
static const char *waits(bool takers)
{
	for (unsigned int i = 0; i < NR_JOBS; i++)
		if (is_possible(&jobs[i]) && jobs[i].takes == takers &&
		    __atomic_load_n(&jobs[i].c.done, __ATOMIC_RELAXED) == jobs[i].before)
			return jobs[i].c.name;
	return NULL;
}

static bool all_rest(void)
{
	for (unsigned int i = 0; i < NR_JOBS; i++)
		if (jobs[i].takes && !__atomic_load_n(&jobs[i].rests, __ATOMIC_SEQ_CST))
			return false;
	return true;
}

/* The storm is over: the memory is there, and stays. */
static void everybody_gets_on(void)
{
	const char *who;
	bool now;

	__atomic_store_n(&quiet, true, __ATOMIC_SEQ_CST);
	WAIT_FOR(now, all_rest(), 120000);
	need(now, "nobody takes the memory away any more");
	/* Of two who turned it off and on, one may have seen the other's off. */
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	WAIT_FOR(now, buf_state(lent) == BARTER_STATE_OK, 120000);
	ok(now, "it comes back");
	for (unsigned int i = 0; i < NR_JOBS; i++)
		jobs[i].before = __atomic_load_n(&jobs[i].c.done, __ATOMIC_RELAXED);
	WAIT_FOR(now, !waits(false), 120000);
	who = waits(false);
	ok(now, "all others get on%s%s", now ? "" : ", but not: ", who ? who : "");
}

/* On a slow kernel who takes it may take long for a turn: it goes on for longer. */
static void everything_at_once(void)
{
	int64_t until = now_ms() + seconds * 1000;
	int64_t at_most = until + seconds * 1000 * 3;

	lent = buf_export1(&mem, BAR, 0, LENGTH);
	need(lent >= 0, "a buffer");
	need(getenv("VM_VRAM1") && !pci_bind(getenv("VM_VRAM1"), pci_lender()),
	     "a second device");
	racing = (uint8_t)dev_command(&mem);
	for (unsigned int i = 0; i < NR_JOBS; i++)
		if (is_possible(&jobs[i]))
			pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]);
	while (now_ms() < until || (now_ms() < at_most && waits(true)))
		usleep(100000);
	for (unsigned int i = 0; i < NR_JOBS; i++)
		if (is_possible(&jobs[i]) && !__atomic_load_n(&jobs[i].c.done, __ATOMIC_RELAXED))
			diag("in the storm nothing done: %s", jobs[i].c.name);
	everybody_gets_on();
	stop = true;
	for (unsigned int i = 0; i < NR_JOBS; i++)
		if (is_possible(&jobs[i]))
			pthread_join(jobs[i].thread, NULL);
	for (unsigned int i = 0; i < NR_JOBS; i++) {
		struct counter *c = &jobs[i].c;

		if (!is_possible(&jobs[i])) {
			skip("VFIO cannot map it there", "%s", c->name);
			continue;
		}
		is(c->bad, 0, "%s: nothing wrong", c->name);
		ok(c->done, "%s: %lu done, %lu refused", c->name, c->done,
		   c->refused);
	}
}

static void all_is_well_at_the_end(void)
{
	volatile uint8_t *p;
	int t = tester_open(), id;

	for (unsigned int i = 0; i < PARTS; i++)
		if (parts[i].fd)
			close(parts[i].fd);
	dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is_errno(dev_reset(&mem), 0, "reset");
	is(buf_state(lent), BARTER_STATE_OK, "OK");
	is(buf_reasons(lent), 0, "no reason left");
	is(buf_count(mem.bdf), 1, "no other buffer is left");
	p = buf_map(lent, 0, LENGTH, RW);
	need(p, "mmap");
	is(differs(p, SEED, 0, LENGTH), -1, "all bytes are there");
	id = tester_attach(t, lent, 0);
	is_errno(tester_map(t, id, 0, NULL), 0, "map");
	close(t);
	munmap((void *)p, LENGTH);
	fixture_close();
	is(buf_state(lent), BARTER_STATE_DEAD, "DEAD after close");
	close(lent);
	fixture_open();
}

int main(int argc, char **argv)
{
	const char *given = argc > 1 ? argv[1] : getenv("BARTER_SECONDS");

	if (given && *given)
		seconds = atoi(given);
	fixture_open();
	fill(bar, SEED, 0, bar_length);
	CASE_LIMIT(everything_at_once, (unsigned int)seconds * 4 + 420);
	CASE(all_is_well_at_the_end);
	return tap_done();
}
