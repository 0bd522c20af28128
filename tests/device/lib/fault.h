/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A call without memory: it is made again and again, and each time the next one
 * of its allocations fails (/proc/PID/fail-nth), until none is left to fail.
 *
 * After each time either everything is as it was before the call, or the call
 * is done and whole. "Everything" is what struct fault_state holds: debugfs' list
 * of buffers, open files, references to modules, DMA mappings, dma-bufs. Memory
 * that was lost is seen by kmemleak at the end of the machine's run.
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <stdbool.h>

/*
 * struct fault_call - what is made to run out of memory
 * @name: for the report
 * @before: with memory: provides what the call needs; may be NULL
 * @call: without memory: 0 or more, or -errno. Nothing else may be in here
 * @whole: with memory, after a success (@ret >= 0): is it done, wholly? Then
 *	undoes it. NULL: nothing to look at, nothing to undo
 * @after: with memory: takes back what @before did; may be NULL
 * @errnos: what it may say besides ENOMEM, up to the first 0
 * @least: fewer allocations than that mean that nothing was tested. Each call has this
 *	or one of the two that follow
 * @none: it allocates nothing at all, and that is the test
 * @may_be_none: it need not allocate, and why that is so
 * @fails: the call itself fails at least that often
 * @moves: the state of buffers may move and come back: generation, faults and
 *	importers' mappings are not compared
 * @splits: the number of VMAs may change, as long as they are counted
 * @strict: without each one of its allocations it cannot be done
 * @sparse: very many allocations: from the 64th on not each one is failed
 * @scope: only allocations below this function of the kernel; NULL: all
 */
struct fault_call {
	const char *name;
	void (*before)(void);
	int (*call)(void);
	bool (*whole)(int ret);
	void (*after)(void);
	int errnos[4];
	unsigned int least, fails;
	bool none;
	const char *may_be_none;
	bool moves;
	bool splits;
	bool strict;
	bool sparse;
	const char *scope;
};

/* Quiet, every kind of allocation. Bails out where the kernel has no fail-nth. */
void fault_init(void);
/*
 * The allocations of this task fail from now on, which may be a thread of the kernel's;
 * 0: those of the calling thread, as fault_init() has it.
 */
void fault_task(int tid);
/* Is the buffer that nobody touches as it should be? Asked after each call. */
extern bool (*fault_witness)(void);
void fault_sweep(const struct fault_call *c);
/* How many allocations failed so far, in all. */
unsigned int fault_total(void);

#endif
