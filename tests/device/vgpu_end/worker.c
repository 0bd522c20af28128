// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's worker is a kernel thread that lets itself be signalled by its driver. By
 * nobody else: a thread with a signal that it does not take would never sleep again. And
 * it is there for as long as somebody may stop it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pci.h"
#include "../lib/proc.h"
#include "../lib/stall.h"
#include "../lib/tap.h"
#include "vgpu_end.h"

#define MOST	8

/* The threads of that name; how many. */
static unsigned int workers(pid_t pids[MOST])
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	unsigned int nr = 0;

	while (dir && (entry = readdir(dir)) && nr < MOST) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (atoi(entry->d_name) <= 0)
			continue;
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && !strcmp(name, "barter-vedu\n"))
			pids[nr++] = atoi(entry->d_name);
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return nr;
}

/* Ticks of CPU time that it has had, all of them in the kernel; -1: it is not there. */
static long ticks(pid_t pid)
{
	char path[64];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %ld",
		   &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static void killed_by_a_program(bool by_iommufd)
{
	pid_t pids[MOST];
	unsigned int nr, spins = 0, gone = 0;
	long before[MOST];

	if (!guest_up(0, by_iommufd))
		return;
	is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "a command");
	nr = workers(pids);
	ok(nr >= 2, "%u workers", nr);
	for (unsigned int i = 0; i < nr; i++)
		kill(pids[i], SIGKILL);
	usleep(200000);
	for (unsigned int i = 0; i < nr; i++)
		before[i] = ticks(pids[i]);
	/* On a slow machine, too, a thread that spins has 20 ticks by then. */
	sleep(2);
	for (unsigned int i = 0; i < nr; i++) {
		long now = ticks(pids[i]);

		gone += before[i] < 0 || now < 0;
		spins += now - before[i] > 10;
	}
	is(gone, 0, "none is gone after a SIGKILL");
	is(spins, 0, "none is busy with it");
	is(vedu_fill(&g, IOVA, 100, 0x5555555555555555ull), BARTER_VEDU_S_OK,
	   "the next command works");
	ok(all(ram, 100, 0x55), "right");
	guest_down();
}

static void worker_killed(void)
{
	killed_by_a_program(false);
	if (iommufd_or_skip("by iommufd"))
		killed_by_a_program(true);
}

/* A child without our files, of which it would wait for itself. */
static pid_t without_files(int (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	if (!pid) {
		for (int i = 3; i < 256; i++)
			close(i);
		_exit(fn(arg));
	}
	return pid;
}

/*
 * A vEDU is removed while edu goes: whoever stops all of the engine's vEDUs comes to one
 * that is about to leave. What is wrong then KASAN sees.
 */
static bool hold_one_that_leaves(void)
{
	static unsigned int nr = 1;
	pid_t unbinder, remover;
	bool runs, holds;

	/* Its worker has worked. */
	if (!guest_up(nr, false))
		return true;
	is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "works");
	guest_down();
	if (!guest_up(0, false))
		return true;
	engine_on(&g);
	WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > 2, 10000);
	ok(runs, "the engine runs for the other");
	stall_at("vedu_engine_leave");
	remover = without_files(remove_vedu, &nr);
	WAIT_FOR(runs, stalled() > 0, 30000);
	ok(runs, "the vEDU is about to leave the engine");
	unbinder = without_files(unbind_edu, NULL);
	WAIT_FOR(runs, vedu_get(&g, BARTER_VEDU_HALT) == BARTER_VEDU_HALT_GONE, 10000);
	ok(runs, "the other's ring is halted");
	holds = stalled() == 1;
	stall_ends();
	guest_down();
	is(reap(unbinder, 30000), 0, "edu is unbound");
	is(reap(remover, 30000), 0, "the vEDU is removed");
	stall_at("");
	is_errno(pci_bind(edu, VEDU_DRIVER), 0, "bind again");
	works_again();
	return holds;
}

/* On a busy machine edu may take longer than one can be held. */
static void removed_while_edu_goes(void)
{
	bool held = false;

	for (unsigned int round = 0; round < 3 && !held; round++)
		held = hold_one_that_leaves();
	ok(held, "the vEDU had not left yet");
}

/* The other way round: edu is going already, and waits for another one's transfer. */
static void removed_when_edu_is_going(void)
{
	static unsigned int nr = 1;

	for (unsigned int round = 0; round < 4; round++) {
		pid_t unbinder, remover;
		uint64_t runs;
		int ret;

		/* Its worker has worked. */
		if (!guest_up(nr, false))
			return;
		is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "%u: works", round);
		guest_down();
		if (!guest_up(0, false))
			return;
		engine_on(&g);
		WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > 2, 10000);
		ok(runs, "%u: the engine runs for the other", round);
		unbinder = without_files(unbind_edu, NULL);
		usleep(round * 20000);
		remover = without_files(remove_vedu, &nr);
		WAIT_FOR(runs, vedu_get(&g, BARTER_VEDU_HALT) == BARTER_VEDU_HALT_GONE, 10000);
		ok(runs, "%u: whose ring is halted", round);
		guest_down();
		is(reap(unbinder, 30000), 0, "%u: edu is unbound", round);
		/* Who comes too late finds none. */
		ret = reap(remover, 30000);
		ok(ret >= 0, "%u: the vEDU is removed", round);
		is_errno(pci_bind(edu, VEDU_DRIVER), 0, "%u: bind again", round);
		works_again();
	}
}

void worker_cases(void)
{
	CASE(worker_killed);
	CASE_LIMIT(removed_while_edu_goes, 300);
	CASE_LIMIT(removed_when_edu_is_going, 120);
}
