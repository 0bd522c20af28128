/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the benches share: samples, a report with rows and targets, written as JSON
 * and as a Markdown table.
 *
 * Under QEMU's -icount an instruction takes a nanosecond, so a time says how many
 * instructions there were, much the same on each run. It says nothing of how fast
 * hardware is. A sample in which the timer ticked is too long; so the least one
 * counts, and the spread is shown.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "kmod/barter-bench.h"
#include "../tests/device/lib/vfio.h"

/* Times of one thing in picoseconds. */
struct times {
	uint64_t least, median, most;
	unsigned int nr;
};

/* Picoseconds since @began, without what the question costs. */
uint64_t clock_now(void);
uint64_t clock_since(uint64_t began);

struct times times_of(const uint64_t *samples, unsigned int nr);

/* A question begins a report; the answers are left in /out/NAME.json and .md. */
void report_begin(const char *name, const char *question);
void report_time(const char *what, struct times t);
void report_count(const char *what, uint64_t count, const char *unit);
/* Something that cannot be measured, and why. */
void report_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A time of a series that is plotted: in @plot, the line @line at @x. */
void report_point(const char *plot, const char *line, uint64_t x, struct times t);
/* A relation that no target is set for. */
void report_ratio(const char *what, double times);
/* Is @value at most @limit? */
void report_target(const char *what, double value, double limit,
		   const char *unit);
/* 0 if all targets are met; the exit status of main(). */
int report_end(void);

/* Have the module measure; ends the program if that fails. */
void bench_run(struct barter_bench *req, uint32_t what, int dmabuf,
	       const char *bdf, unsigned int samples, unsigned int batch);
/* The same, but -errno where it fails. */
int bench_try(struct barter_bench *req, uint32_t what, int dmabuf,
	      const char *bdf, unsigned int samples, unsigned int batch);
/* Importers: see struct barter_bench_crowd. 0 or -errno. */
int crowd_do(struct barter_bench_crowd *req, uint32_t action, int dmabuf,
	     const char *bdf, unsigned int nr, bool map);
/* The same by a file of /dev/barter-bench of its own: each has one crowd. */
int crowd_open(void);
int crowd_do_by(int file, struct barter_bench_crowd *req, uint32_t action, int dmabuf,
		const char *bdf, unsigned int nr, bool map);
/* The least time of a step, and all of it. */
struct times bench_times(const struct barter_bench *req, unsigned int step);

/* The device with the large BAR; a buffer of @nr pages of it, none side by side. */
void big_open(struct dev *big);
int big_export(const struct dev *big, uint32_t nr);

void fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#define BIG_BAR	2

#endif
