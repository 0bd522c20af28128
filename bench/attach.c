// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What does negotiation add to an attach?
 *
 * As a user meets it: the sample importer's IMPORT of a dma-buf, and the close that
 * detaches. Negotiation and its undoing are measured alone and compared with that.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "../tests/device/lib/edu.h"
#include "../tests/device/lib/tester.h"

#define SAMPLES	25
#define BATCH	16

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void by_ioctl(int fd, struct times *import, struct times *end)
{
	uint64_t began[SAMPLES], ended[SAMPLES];
	unsigned int i;
	int ret;

	for (i = 0; i < SAMPLES; i++) {
		uint64_t t0, t1, t2;
		int edu = edu_open();

		if (edu < 0)
			fail("/dev/barter-dma0: %s", strerror(-edu));
		t0 = now_ns();
		ret = edu_import(edu, fd);
		t1 = now_ns();
		if (ret)
			fail("import: %s", strerror(-ret));
		close(edu);
		t2 = now_ns();
		began[i] = (t1 - t0) * 1000;
		ended[i] = (t2 - t1) * 1000;
	}
	*import = times_of(began, SAMPLES);
	*end = times_of(ended, SAMPLES);
}

static void one(int fd, const char *who, uint32_t what)
{
	static struct barter_bench req;
	struct times import, end, step[4];
	static const char * const steps[] = {
		"dma_buf_dynamic_attach()", "dma_buf_detach()", "of it negotiation",
		"of it undoing that",
	};
	char text[120];
	unsigned int i;

	by_ioctl(fd, &import, &end);
	bench_run(&req, what, fd, edu_bdf(), SAMPLES, BATCH);
	snprintf(text, sizeof(text), "%s: IMPORT of the sample importer", who);
	report_time(text, import);
	snprintf(text, sizeof(text), "%s: close, which detaches", who);
	report_time(text, end);
	for (i = 0; i < 4; i++) {
		step[i] = bench_times(&req, i);
		snprintf(text, sizeof(text), "%s: %s", who, steps[i]);
		report_time(text, step[i]);
	}
	snprintf(text, sizeof(text), "%s: negotiation, of IMPORT", who);
	report_target(text, 100.0 * step[2].least / import.least, 5, "%");
	snprintf(text, sizeof(text),
		 "%s: negotiation and its undoing, of IMPORT and close", who);
	report_target(text, 100.0 * (step[2].least + step[3].least) /
		      (import.least + end.least), 5, "%");
}

int main(void)
{
	static struct dev big;
	int fd, ret;

	big_open(&big);
	/* Attaching must not depend on how many ranges there are. */
	fd = big_export(&big, 65536);
	report_begin("attach", "what does negotiation add to an attach?");
	one(fd, "not registered", BARTER_BENCH_ATTACH_PLAIN);
	ret = edu_own_domain(true);
	if (ret)
		fail("a domain of edu's own: %s", strerror(-ret));
	one(fd, "registered", BARTER_BENCH_ATTACH_KNOWN);
	edu_own_domain(false);
	return report_end();
}
