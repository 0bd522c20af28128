// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Each cause of a revoke alone: between it and its end every access on every
 * kind of mapping faults, and everything is there again afterwards. Closing the
 * device is for ever.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/cause.h"
#include "lib/fixture.h"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2 * MIB)
#define SEED	31

/* One buffer and every kind of mapping of it. */
enum kind {
	PLAIN, UNTOUCHED, READ_ONLY, AT_OFFSET, BY_PMD, MOVED, SPLIT, MADE_LATE,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"touched", "untouched", "read-only", "at an offset", "by PMD", "moved",
	"split", "made while revoked",
};

struct set {
	int fd;
	volatile uint8_t *at[KINDS];
	pid_t child;
	int ask[2], answer[2];
};

/* 4 MiB aligned, then 7 pages elsewhere. */
static const struct vfio_region_dma_range ranges[] = {
	{ 8 * MIB, 4 * MIB }, { 2 * MIB + PAGE, 7 * PAGE },
};
#define LENGTH	(4 * MIB + 7 * PAGE)

/* Probe both ranges of a mapping; the signal, or 0 if the bytes are right. */
static int probe(volatile uint8_t *p)
{
	uint32_t v = 0;
	int sig;

	sig = peek(p + PAGE, &v);
	if (sig)
		return sig;
	if (v != pattern(SEED, 8 * MIB + PAGE))
		return -1;
	sig = peek(p + 4 * MIB + 6 * PAGE, &v);
	if (sig)
		return sig;
	return v == pattern(SEED, 2 * MIB + 7 * PAGE) ? 0 : -2;
}

static int probe_kind(const struct set *s, enum kind kind)
{
	uint32_t v = 0;
	int sig;

	if (!s->at[kind])
		return -3;
	if (kind != AT_OFFSET)
		return probe(s->at[kind]);
	sig = peek(s->at[kind], &v);
	return sig ?: v == pattern(SEED, 2 * MIB + PAGE) ? 0 : -1;
}

/* A process that inherited the mappings, and answers what it sees. */
static int child_main(void *arg)
{
	struct set *s = arg;
	char byte;

	fixture_forget();
	while (read(s->ask[0], &byte, 1) == 1 && byte == '?') {
		int result = probe_kind(s, PLAIN);

		if (write(s->answer[1], &result, sizeof(result)) < 0)
			return 1;
	}
	return 0;
}

static int probe_child(const struct set *s)
{
	int result = -4;

	if (write(s->ask[1], "?", 1) != 1 ||
	    read(s->answer[0], &result, sizeof(result)) != sizeof(result))
		return -5;
	return result;
}

static bool set_make(struct set *s)
{
	volatile uint8_t *q;
	void *to;

	memset(s, 0, sizeof(*s));
	s->fd = buf_export(&mem, BAR, ranges, 2);
	if (s->fd < 0)
		return false;
	s->at[PLAIN] = buf_map(s->fd, 0, LENGTH, RW);
	s->at[UNTOUCHED] = buf_map(s->fd, 0, LENGTH, RW);
	s->at[READ_ONLY] = buf_map(s->fd, 0, LENGTH, PROT_READ);
	s->at[AT_OFFSET] = buf_map(s->fd, 4 * MIB, PAGE, RW);
	s->at[BY_PMD] = buf_map_aligned(s->fd, 0, LENGTH, HUGE);
	q = buf_map(s->fd, 0, LENGTH, RW);
	if (!q || probe(q))
		return false;
	to = mmap(NULL, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->at[MOVED] = mremap((void *)q, LENGTH, LENGTH,
			      MREMAP_MAYMOVE | MREMAP_FIXED, to);
	s->at[SPLIT] = buf_map_aligned(s->fd, 0, LENGTH, HUGE);
	if (!s->at[SPLIT] || probe(s->at[SPLIT]) ||
	    munmap((void *)(s->at[SPLIT] + 2 * MIB), PAGE))
		return false;
	if (pipe(s->ask) || pipe(s->answer))
		return false;
	s->child = spawn(child_main, s);
	return !probe(s->at[PLAIN]) && !probe(s->at[BY_PMD]) &&
		!probe_child(s);
}

static void set_free(struct set *s)
{
	for (int i = 0; i < KINDS; i++) {
		if (s->at[i])
			munmap((void *)s->at[i], i == AT_OFFSET ? PAGE : LENGTH);
	}
	ok(write(s->ask[1], "!", 1) == 1, "tell the child to end");
	close(s->ask[0]);
	close(s->ask[1]);
	is(reap(s->child, 5000), 0, "the child ends");
	close(s->answer[0]);
	close(s->answer[1]);
	close(s->fd);
}

/* @want on every kind; MADE_LATE only once it exists. */
static void all_kinds(const struct set *s, int want, const char *when)
{
	for (int i = 0; i < KINDS; i++)
		if (s->at[i])
			is(probe_kind(s, (enum kind)i), want, "%s, %s", when,
			   kind_names[i]);
	is(probe_child(s), want, "%s, in another process", when);
}

static uint64_t faults(int fd)
{
	struct barter_info info;

	buf_info(fd, &info);
	return info.out_faults_pte + info.out_faults_pmd + info.out_faults_pud;
}

static uint64_t generation(int fd)
{
	struct barter_info info;

	buf_info(fd, &info);
	return info.out_generation;
}

static void holding(const struct cause *c)
{
	char when[80];
	struct set s;
	uint64_t gen;
	uint32_t v;
	int ret;

	need(set_make(&s), "%s: a buffer and its mappings", c->name);
	gen = generation(s.fd);
	ret = c->begin(&mem);
	is_errno(ret, 0, "%s: begin", c->name);
	is(buf_state(s.fd), BARTER_STATE_REVOKED, "%s: REVOKED", c->name);
	is(buf_reasons(s.fd), c->reason, "%s: its reason", c->name);
	ok(generation(s.fd) > gen, "%s: the generation tells", c->name);
	snprintf(when, sizeof(when), "%s holds", c->name);
	all_kinds(&s, SIGBUS, when);
	s.at[MADE_LATE] = buf_map(s.fd, 0, LENGTH, RW);
	ok(s.at[MADE_LATE], "%s: mmap still works", c->name);
	is(probe_kind(&s, MADE_LATE), SIGBUS, "%s: and faults", c->name);
	is(poke(s.at[PLAIN], 1), SIGBUS, "%s: a write faults too", c->name);
	gen = generation(s.fd);
	is_errno(c->end(&mem), 0, "%s: end", c->name);
	is(buf_state(s.fd), BARTER_STATE_OK, "%s: OK again", c->name);
	is(buf_reasons(s.fd), 0, "%s: no reason left", c->name);
	ok(generation(s.fd) > gen, "%s: the generation tells again", c->name);
	snprintf(when, sizeof(when), "%s is over", c->name);
	all_kinds(&s, 0, when);
	is(peek(s.at[PLAIN], &v), 0, "%s: read", c->name);
	is(v, pattern(SEED, 8 * MIB), "%s: no write came through", c->name);
	set_free(&s);
}

static void passing(const struct cause *c)
{
	uint64_t before, gen;
	struct set s;

	need(set_make(&s), "%s: a buffer and its mappings", c->name);
	/* From now on a fault means that the mapping had been taken away. */
	all_kinds(&s, 0, "before");
	before = faults(s.fd);
	for (int i = 0; i < KINDS; i++)
		if (s.at[i])
			probe_kind(&s, (enum kind)i);
	probe_child(&s);
	is(faults(s.fd), before, "%s: no new fault without it", c->name);
	gen = generation(s.fd);
	is_errno(c->begin(&mem), 0, "%s: the call", c->name);
	ok(generation(s.fd) >= gen + 2, "%s: away and back", c->name);
	is(buf_state(s.fd), BARTER_STATE_OK, "%s: OK", c->name);
	is(buf_reasons(s.fd), 0, "%s: no reason left", c->name);
	for (int i = 0; i < KINDS; i++) {
		if (!s.at[i])
			continue;
		before = faults(s.fd);
		is(probe_kind(&s, (enum kind)i), 0, "%s is over, %s", c->name,
		   kind_names[i]);
		ok(faults(s.fd) > before, "%s had taken it away, %s", c->name,
		   kind_names[i]);
	}
	before = faults(s.fd);
	is(probe_child(&s), 0, "%s is over, in another process", c->name);
	ok(faults(s.fd) > before, "%s had taken it away, in another process",
	   c->name);
	set_free(&s);
}

static const struct cause *cause;

static void run_cause(void)
{
	if (cause->end)
		holding(cause);
	else
		passing(cause);
}

/* Revoke, restore, revoke again, then close: counts and waits start afresh. */
static void again_and_again(void)
{
	volatile uint8_t *p;
	uint32_t v;
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	bool wrong = false;

	p = buf_map(fd, 0, PAGE, RW);
	need(p, "export and mmap");
	for (int i = 0; i < 50; i++) {
		wrong |= peek(p, &v) || dev_set_memory(&mem, false) ||
			peek(p, &v) != SIGBUS || dev_set_memory(&mem, true);
	}
	ok(!wrong, "50 times");
	munmap((void *)p, PAGE);
	close(fd);
}

/* A write that does not change the memory bit takes nothing away. */
static void harmless_writes(void)
{
	static const unsigned int sizes[] = { 1, 2, 4 };
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	volatile uint8_t *p = buf_map(fd, 0, PAGE, RW);
	uint64_t gen, before;
	uint8_t line;
	uint32_t v;

	need(p && !peek(p, &v), "a buffer in use");
	gen = generation(fd);
	before = faults(fd);
	for (int i = 0; i < 3; i++)
		is_errno(config_block(&mem, PCI_COMMAND, sizes[i], true), 0,
			 "%u bytes of COMMAND, memory stays on", sizes[i]);
	is_errno(dev_read(&mem, PCI_INTERRUPT_LINE, &line, 1), 0, "read");
	is_errno(dev_write(&mem, PCI_INTERRUPT_LINE, &line, 1), 0,
		 "another register");
	is(generation(fd), gen, "no change of state");
	is(peek(p, &v), 0, "memory is there");
	is(faults(fd), before, "it never went away");
	munmap((void *)p, PAGE);
	close(fd);
}

/* A write that core gives up half way: the state agrees with COMMAND. */
static void failing_writes(void)
{
	uint8_t *two = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	int fd = buf_export1(&mem, BAR, 0, PAGE), ret;

	munmap(two + PAGE, PAGE);
	for (unsigned int n = 1; n < 8; n++) {
		uint8_t *at = two + PAGE - n;
		bool on;

		dev_set_memory(&mem, true);
		dev_read(&mem, 0, at, n);
		if (n > PCI_COMMAND)
			at[PCI_COMMAND] &= (uint8_t)~PCI_COMMAND_MEMORY;
		ret = (int)pwrite(mem.fd, at, 8, (off_t)mem.config);
		ok(ret < 8, "%u of 8 bytes can be read: %d", n, ret);
		on = dev_command(&mem) & PCI_COMMAND_MEMORY;
		is(buf_state(fd), on ? BARTER_STATE_OK : BARTER_STATE_REVOKED,
		   "%u of 8 bytes: the state agrees with COMMAND", n);
	}
	dev_set_memory(&mem, true);
	is(buf_state(fd), BARTER_STATE_OK, "OK at the end");
	ret = (int)pwrite(mem.fd, (void *)~7ul, 4,
			  (off_t)(mem.config + PCI_COMMAND));
	ok(ret < 0 && errno == EFAULT, "a bad pointer is EFAULT");
	is(buf_state(fd), BARTER_STATE_OK, "and changes nothing");
	close(fd);
	munmap(two, PAGE);
}

/* Threads that never stop writing: none succeeds between the two calls. */
static volatile uint8_t *hot;
static volatile bool stop;

static void *hammer(void *arg)
{
	unsigned long *done = arg;

	while (!stop)
		if (!poke(hot, (uint32_t)*done))
			__atomic_add_fetch(done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void threads_in_the_middle(void)
{
	static const char *const names[] = {
		"memory off by a word", "low power",
	};
	unsigned long done[3] = { 0 };
	pthread_t t[3];
	int fd = buf_export1(&mem, BAR, MIB, PAGE);

	hot = buf_map(fd, 0, PAGE, RW);
	need(hot, "export and mmap");
	stop = false;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, hammer, &done[i]);
	for (int round = 0; round < 30; round++) {
		const struct cause *c = cause_find(names[round & 1]);
		unsigned long before = done[0] + done[1] + done[2], now;
		int64_t until = now_ms() + 10;
		bool moving;

		WAIT_FOR(moving, done[0] + done[1] + done[2] > before, 10000);
		if (!moving || c->begin(&mem)) {
			ok(0, "round %d: writers run, revoke", round);
			break;
		}
		/*
		 * A store that was done before may be counted after: at most one
		 * for each thread.
		 */
		before = done[0] + done[1] + done[2];
		while (now_ms() < until)
			;
		now = done[0] + done[1] + done[2];
		if (now > before + 3)
			ok(0, "round %d: %lu writes after %s", round,
			   now - before, c->name);
		if (c->end(&mem))
			ok(0, "round %d: end", round);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ok(done[0] && done[1] && done[2], "%lu writes in between",
	   done[0] + done[1] + done[2]);
	is(buf_state(fd), BARTER_STATE_OK, "OK at the end");
	munmap((void *)hot, PAGE);
	close(fd);
}

static void dead(const struct set *s, const char *when)
{
	void *p;

	is(buf_state(s->fd), BARTER_STATE_DEAD, "%s: DEAD", when);
	ok(buf_reasons(s->fd) & BARTER_REASON_CLOSED, "%s: reason CLOSED",
	   when);
	all_kinds(s, SIGBUS, when);
	p = mmap(NULL, PAGE, RW, MAP_SHARED, s->fd, 0);
	is_errno(p == MAP_FAILED ? -errno : 0, EBADFD, "%s: mmap", when);
}

static void close_is_for_ever(void)
{
	struct set s, fresh;

	need(set_make(&s), "a buffer and its mappings");
	fixture_close();
	dead(&s, "closed");
	fixture_open();
	dead(&s, "opened again");
	need(set_make(&fresh), "a new buffer works");
	all_kinds(&fresh, 0, "the new buffer");
	dev_set_memory(&mem, false);
	dead(&s, "memory off");
	dev_set_memory(&mem, true);
	dead(&s, "memory on");
	is_errno(dev_reset(&mem), 0, "reset");
	dead(&s, "after a reset");
	all_kinds(&fresh, 0, "the new buffer is not affected");
	set_free(&s);
	set_free(&fresh);
}

/* Close while something else holds already. */
static void close_while_revoked(void)
{
	static const char *const names[] = {
		"memory off by a word", "low power",
	};

	for (int i = 0; i < 2; i++) {
		const struct cause *c = cause_find(names[i]);
		struct set s;

		need(set_make(&s), "a buffer and its mappings");
		is_errno(c->begin(&mem), 0, "%s", c->name);
		fixture_close();
		dead(&s, c->name);
		fixture_open();
		dead(&s, "opened again");
		set_free(&s);
	}
}

/* The buffer alone keeps what it needs; its release comes last. */
static void buffer_outlives_device_fd(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	void *p = buf_map(fd, 0, PAGE, RW);
	uint32_t v;

	close(fd);
	fixture_close();
	is(peek(p, &v), SIGBUS, "only the mapping is left");
	munmap(p, PAGE);
	fixture_open();
	ok(buf_count(mem.bdf) >= 0, "debugfs can be read");
}

int main(void)
{
	fixture_open();
	fill(bar, SEED, 0, bar_length);
	for (unsigned int i = 0; i < nr_causes; i++) {
		cause = &causes[i];
		tap_case(cause->name, run_cause, 60);
	}
	CASE(again_and_again);
	CASE(harmless_writes);
	CASE(failing_writes);
	CASE(threads_in_the_middle);
	CASE(close_is_for_ever);
	CASE(close_while_revoked);
	CASE(buffer_outlives_device_fd);
	return tap_done();
}
