// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the driver needs of the kernel's memory for a guest is charged to the guest's cgroup,
 * though a thread of the driver's allocates it, and pinned pages to its RLIMIT_MEMLOCK.
 * It all comes back: when it lets go, closes its vEDU, or is killed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../lib/cgroup.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "vgpu_end.h"

/* As much as a vEDU may have pinned, by as much as a command may say. */
#define RANGES	4u
#define BYTES	((uint64_t)BARTER_VEDU_MAX_LENGTH)
/* What 16384 pages of which none follows the other take; and what may come and go. */
#define LEAST	(256 * 1024)
#define OTHERS	(48 * 1024)

static volatile char *ready;

/* Memory whose pages do not follow each other: first every second one is there. */
static uint8_t *scattered(void)
{
	uint8_t *p = mmap(NULL, RANGES * BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("out of memory");
	madvise(p, RANGES * BYTES, MADV_NOHUGEPAGE);
	for (uint64_t first = 0; first < 2 * PAGE; first += PAGE)
		for (uint64_t at = first; at < RANGES * BYTES; at += 2 * PAGE)
			p[at] = 1;
	return p;
}

static bool hold_all(struct guest *mine)
{
	unsigned int i;

	for (i = 0; i < RANGES; i++)
		if (vedu_hold(mine, IOVA + i * BYTES, BYTES, NULL) != BARTER_VEDU_S_OK)
			break;
	return i == RANGES;
}

static bool is_charged(long long from, long long *now)
{
	bool there;

	WAIT_FOR(there, (*now = cgroup_charged()) >= from + LEAST, 10000);
	return there;
}

static bool is_back(long long from, long long *now)
{
	bool there;

	WAIT_FOR(there, (*now = cgroup_charged()) <= from + OTHERS, 10000);
	return there;
}

static int charged_guest(void *arg)
{
	uint8_t *p;
	struct guest mine;
	long long before, now;
	int ret = 0;

	(void)arg;
	if (cgroup_enter())
		return 1;
	p = scattered();
	if (vedu_open(&mine, 1, false) || vedu_map(&mine, p, IOVA, RANGES * BYTES, true))
		return 2;
	before = cgroup_charged();
	if (!hold_all(&mine))
		return 3;
	if (!is_charged(before, &now))
		ret = 4;
	diag("charged: %lld before, %lld with 64 MiB held", before, now);
	if (memory_locked() != (long)(RANGES * BYTES / 1024))
		return 5;
	for (unsigned int i = 0; i < RANGES; i++)
		if (vedu_release(&mine, IOVA + i * BYTES, BYTES) != BARTER_VEDU_S_OK)
			return 6;
	if (!is_back(before, &now))
		ret = ret ?: 7;
	diag("charged: %lld when it is released", now);
	if (memory_locked())
		return 8;
	if (!hold_all(&mine))
		return 9;
	vedu_close(&mine);
	if (!is_back(before, &now))
		ret = ret ?: 10;
	diag("charged: %lld when the vEDU is closed", now);
	return ret ?: memory_locked() ? 11 : 0;
}

static int holding_guest(void *arg)
{
	struct guest mine;
	uint8_t *p;

	(void)arg;
	if (cgroup_enter())
		return 1;
	p = scattered();
	if (vedu_open(&mine, 1, false) || vedu_map(&mine, p, IOVA, RANGES * BYTES, true) ||
	    !hold_all(&mine))
		return 2;
	engine_on(&mine);
	*ready = 1;
	for (;;)
		pause();
}

static void comes_back(void)
{
	need(!cgroup_make(), "a cgroup");
	is(in_child(charged_guest, NULL, 100000), 0,
	   "a guest is charged for what it holds, and no more when it has let go");
	is(cgroup_remove(), 0, "the cgroup goes");
}

static void killed_with_all(void)
{
	long before = pages_pinned();
	long long after[4], now;
	unsigned int nr;

	need(!cgroup_make(), "a cgroup");
	ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (nr = 0; nr < 4; nr++) {
		pid_t pid;
		bool runs;

		*ready = 0;
		pid = spawn(holding_guest, NULL);
		WAIT_FOR(runs, *ready, 40000);
		/* The first is there to leave what stays of a program. */
		if (!runs || (nr && !is_charged(after[0], &now)) || kill(pid, SIGKILL) ||
		    reap(pid, 20000) != SIGKILL || pages_pinned_are(before, 20000) != before)
			break;
		if (nr)
			is_back(after[0], &after[nr]);
		else
			usleep(2500000);
		after[nr] = cgroup_charged();
	}
	is(nr, 4, "guests are killed, which are charged for 64 MiB that they hold");
	is(pages_pinned() - before, 0, "pinned pages");
	ok(nr == 4 && after[3] <= after[0] + OTHERS, "charged afterwards: %lld, then %lld",
	   after[0], after[3]);
	is(cgroup_remove(), 0, "the cgroup goes");
	munmap((void *)ready, PAGE);
}

void charge_cases(void)
{
	CASE_LIMIT(comes_back, 120);
	CASE_LIMIT(killed_with_all, 200);
}
