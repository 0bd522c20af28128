// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Does a slice, and the end of one, cost the same however many others the device has,
 * and does it leave their mappings alone? Is it linear in them to revoke all, and in
 * those that are mapped?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../tests/device/lib/access.h"
#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/slice.h"
#include "bench.h"

#define SAMPLES	15
#define MOST	10000

enum { CREATE, END_IDLE, END_MAPPED, REVOKE, RESTORE, REVOKE_MAPPED, STEPS };

static const char *const names[STEPS] = {
	"cut a slice", "end one", "end one that is mapped",
	"revoke all, not mapped", "restore all", "revoke all, each mapped",
};

static struct dev big;
static int whole, slices[MOST];
static volatile uint8_t *maps[MOST];
static uint64_t faults_after_end;
static unsigned int nr_slices;

/* In picoseconds, without what the question costs. */
static uint64_t clock_cost;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) * 1000;
}

static uint64_t since(uint64_t began)
{
	uint64_t spent = now() - began;

	return spent > clock_cost ? spent - clock_cost : 0;
}

static int cut(unsigned int i)
{
	int fd = slice1(whole, i * PAGE, PAGE);

	if (fd < 0)
		fail("slice %u: %s", i, strerror(-fd));
	return fd;
}

static volatile uint8_t *touch(int fd)
{
	volatile uint8_t *p = buf_map(fd, 0, PAGE, PROT_READ);
	uint32_t v;

	if (!p || peek(p, &v))
		fail("a mapping: %s", strerror(errno));
	return p;
}

static uint64_t time_end(bool mapped)
{
	int fd = cut(MOST), ret;
	volatile uint8_t *p = mapped ? touch(fd) : NULL;
	uint64_t spent, began = now();

	ret = buf_end(&big, fd);
	spent = since(began);
	if (ret)
		fail("end: %s", strerror(-ret));
	if (p)
		munmap((void *)p, PAGE);
	close(fd);
	return spent;
}

/* Page faults that it takes to read what all of them show. */
static uint64_t faults_of_all(unsigned int nr)
{
	struct rusage before, after;
	uint32_t v;

	getrusage(RUSAGE_SELF, &before);
	for (unsigned int i = 0; i < nr; i++)
		if (peek(maps[i], &v))
			fail("a mapping is not there");
	getrusage(RUSAGE_SELF, &after);
	return (uint64_t)(after.ru_minflt - before.ru_minflt);
}

static uint64_t time_memory(bool on)
{
	uint64_t spent, began = now();
	int ret = dev_set_memory(&big, on);

	spent = since(began);
	if (ret)
		fail("memory: %s", strerror(-ret));
	return spent;
}

static uint64_t time_create(void)
{
	uint64_t spent, began = now();
	int fd = cut(MOST);

	spent = since(began);
	close(fd);
	return spent;
}

/* All steps with this many slices beside. */
static void measure(unsigned int nr, double least[STEPS])
{
	uint64_t samples[STEPS][SAMPLES];
	uint64_t touched = 0;
	char text[96];

	for (; nr_slices < nr; nr_slices++)
		slices[nr_slices] = cut(nr_slices);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		samples[CREATE][i] = time_create();
		samples[END_IDLE][i] = time_end(false);
		samples[REVOKE][i] = time_memory(false);
		samples[RESTORE][i] = time_memory(true);
	}
	for (unsigned int i = 0; i < nr; i++)
		maps[i] = touch(slices[i]);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		samples[END_MAPPED][i] = time_end(true);
		touched += faults_of_all(nr);
		samples[REVOKE_MAPPED][i] = time_memory(false);
		time_memory(true);
		if (faults_of_all(nr) < nr)
			fail("a mapping was not taken away");
	}
	snprintf(text, sizeof(text),
		 "page faults of the others after %u ends of one that is mapped, %u slices",
		 SAMPLES, nr);
	report_count(text, touched, "faults");
	faults_after_end += touched;
	for (unsigned int i = 0; i < nr; i++)
		munmap((void *)maps[i], PAGE);
	for (int step = 0; step < STEPS; step++) {
		struct times t = times_of(samples[step], SAMPLES);

		snprintf(text, sizeof(text), "%s, %u slices", names[step], nr);
		report_time(text, t);
		least[step] = t.least / 1e3;
	}
}

/* All slices are there; so many are mapped: what does it cost to revoke all? */
static double revoke_with(unsigned int mapped)
{
	uint64_t samples[SAMPLES];
	struct times t;
	char text[96];

	for (unsigned int i = 0; i < mapped; i++)
		maps[i] = touch(slices[i]);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		samples[i] = time_memory(false);
		time_memory(true);
		faults_of_all(mapped);
	}
	for (unsigned int i = 0; i < mapped; i++)
		munmap((void *)maps[i], PAGE);
	t = times_of(samples, SAMPLES);
	snprintf(text, sizeof(text), "revoke all, 10,000 slices, %u of them mapped",
		 mapped);
	report_time(text, t);
	return t.least / 1e3;
}

/* What a mapping adds, where there are few and where there are many. */
static void linear_in_mappings(void)
{
	double none = revoke_with(0), few = revoke_with(1000);
	double all = revoke_with(MOST);

	report_target("revoke all: what one of 10,000 mappings adds, of what one of 1,000 adds",
		      (all - none) / MOST / ((few - none) / 1000), 1.5, "times");
}

static void target(double a, double b, const char *name, double limit)
{
	char text[96];

	snprintf(text, sizeof(text), "%s: with 10,000 slices, of what it is with %s",
		 name, limit < 1.5 ? "1" : "100, for each");
	report_target(text, b / a, limit, "times");
}

int main(void)
{
	static const unsigned int numbers[] = { 1, 100, MOST };
	struct rlimit files = { 2 * MOST, 2 * MOST };
	double least[3][STEPS];

	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("RLIMIT_NOFILE: %s", strerror(errno));
	big_open(&big);
	whole = buf_export1(&big, BIG_BAR, 0, big.length[BIG_BAR]);
	if (whole < 0)
		fail("export: %s", strerror(-whole));
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t began = now(), spent = now() - began;

		if (!i || spent < clock_cost)
			clock_cost = spent;
	}
	report_begin("slice", "what does one slice cost, and one end, beside many others?");
	for (unsigned int i = 0; i < 3; i++)
		measure(numbers[i], least[i]);
	target(least[0][CREATE], least[2][CREATE], names[CREATE], 1.25);
	target(least[0][END_IDLE], least[2][END_IDLE], names[END_IDLE], 1.25);
	target(least[0][END_MAPPED], least[2][END_MAPPED], names[END_MAPPED], 1.25);
	target(least[1][REVOKE] / 100, least[2][REVOKE] / MOST, names[REVOKE], 1.5);
	target(least[1][REVOKE_MAPPED] / 100, least[2][REVOKE_MAPPED] / MOST,
	       names[REVOKE_MAPPED], 1.5);
	report_target("page faults of other mappings after the ends of one",
		      (double)faults_after_end, 0, "faults");
	linear_in_mappings();
	return report_end();
}
