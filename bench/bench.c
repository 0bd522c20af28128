// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the benches share, see bench.h.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>

#include "../tests/device/lib/buf.h"
#include "../tests/device/lib/pci.h"

static struct {
	FILE *json, *md;
	unsigned int rows, targets;
	bool missed;
	char *target_json, *target_md;
	size_t json_size, md_size;
	FILE *tj, *tm;
} report;

void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct times times_of(const uint64_t *samples, unsigned int nr)
{
	uint64_t sorted[256];

	if (nr < 5 || nr > 256)
		fail("%u samples", nr);
	memcpy(sorted, samples, nr * sizeof(*samples));
	qsort(sorted, nr, sizeof(*sorted), compare);
	return (struct times){
		sorted[0], sorted[nr / 2], sorted[nr - 1], nr,
	};
}

uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) * 1000;
}

uint64_t clock_since(uint64_t began)
{
	uint64_t spent = clock_now() - began;
	static uint64_t cost = UINT64_MAX;

	if (cost == UINT64_MAX)
		for (unsigned int i = 0; i < 100; i++) {
			uint64_t from = clock_now(), asked = clock_now() - from;

			if (asked < cost)
				cost = asked;
		}
	return spent > cost ? spent - cost : 0;
}

static FILE *output(const char *name, const char *suffix)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/out/%s.%s", name, suffix);
	f = fopen(path, "we");
	if (!f)
		fail("%s: %s", path, strerror(errno));
	return f;
}

void report_begin(const char *name, const char *question)
{
	struct utsname u;

	uname(&u);
	report.json = output(name, "json");
	report.md = output(name, "md");
	report.tj = open_memstream(&report.target_json, &report.json_size);
	report.tm = open_memstream(&report.target_md, &report.md_size);
	if (!report.tj || !report.tm)
		fail("no memory");
	fprintf(report.json, "{\"bench\": \"%s\", \"question\": \"%s\",\n"
		" \"kernel\": \"%s\", \"machine\": \"%s\", \"clock\": \"icount\",\n \"rows\": [",
		name, question, u.release, getenv("VM_MACHINE") ?: "?");
	fprintf(report.md, "### %s: %s\n\nLinux %s, machine %s, one CPU, `-icount`: 1 ns is an instruction.\n\n"
		"| what | least | median | most | samples |\n|---|--:|--:|--:|--:|\n",
		name, question, u.release, getenv("VM_MACHINE") ?: "?");
}

void report_time(const char *what, struct times t)
{
	fprintf(report.json, "%s\n  {\"what\": \"%s\", \"unit\": \"ns\", \"least\": %.1f, \"median\": %.1f, \"most\": %.1f, \"samples\": %u}",
		report.rows++ ? "," : "", what, t.least / 1e3, t.median / 1e3,
		t.most / 1e3, t.nr);
	fprintf(report.md, "| %s | %.0f ns | %.0f | %.0f | %u |\n", what,
		t.least / 1e3, t.median / 1e3, t.most / 1e3, t.nr);
}

void report_count(const char *what, uint64_t count, const char *unit)
{
	fprintf(report.json, "%s\n  {\"what\": \"%s\", \"unit\": \"%s\", \"count\": %llu}",
		report.rows++ ? "," : "", what, unit, (unsigned long long)count);
	fprintf(report.md, "| %s | %llu %s | | | |\n", what,
		(unsigned long long)count, unit);
}

void report_note(const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(report.json, "%s\n  {\"what\": \"%s\", \"unit\": \"note\"}",
		report.rows++ ? "," : "", text);
	fprintf(report.md, "| %s | | | | |\n", text);
}

void report_ratio(const char *what, double times)
{
	fprintf(report.json, "%s\n  {\"what\": \"%s\", \"unit\": \"times\", \"ratio\": %.3f}",
		report.rows++ ? "," : "", what, times);
	fprintf(report.md, "| %s | %.2f times | | | |\n", what, times);
}

void report_point(const char *plot, const char *line, uint64_t x, struct times t)
{
	fprintf(report.json, "%s\n  {\"what\": \"%s, %s, %llu\", \"unit\": \"ns\", \"plot\": \"%s\", \"line\": \"%s\", \"x\": %llu, \"least\": %.1f, \"median\": %.1f, \"most\": %.1f, \"samples\": %u}",
		report.rows++ ? "," : "", plot, line, (unsigned long long)x, plot,
		line, (unsigned long long)x, t.least / 1e3, t.median / 1e3,
		t.most / 1e3, t.nr);
	fprintf(report.md, "| %s, %s, %llu | %.0f ns | %.0f | %.0f | %u |\n", plot,
		line, (unsigned long long)x, t.least / 1e3, t.median / 1e3,
		t.most / 1e3, t.nr);
}

void report_target(const char *what, double value, double limit,
		   const char *unit)
{
	bool met = value <= limit;

	report.missed |= !met;
	fprintf(report.tj, "%s\n  {\"what\": \"%s\", \"unit\": \"%s\", \"value\": %.2f, \"limit\": %.2f, \"met\": %s}",
		report.targets++ ? "," : "", what, unit, value, limit,
		met ? "true" : "false");
	fprintf(report.tm, "- %s: %.2f %s, target: at most %.2f %s: **%s**\n", what,
		value, unit, limit, unit, met ? "met" : "not met");
}

int report_end(void)
{
	fclose(report.tj);
	fclose(report.tm);
	fprintf(report.json, "],\n \"targets\": [%s]}\n", report.target_json);
	fprintf(report.md, "\n%s\n", report.target_md);
	if (fclose(report.json) || fclose(report.md))
		fail("/out: %s", strerror(errno));
	return report.missed;
}

int crowd_open(void)
{
	int file = open("/dev/barter-bench", O_RDWR | O_CLOEXEC);

	if (file < 0)
		fail("/dev/barter-bench: %s", strerror(errno));
	return file;
}

static int bench_file(void)
{
	static int bench = -1;

	if (bench < 0)
		bench = crowd_open();
	return bench;
}

int crowd_do(struct barter_bench_crowd *req, uint32_t action, int dmabuf,
	     const char *bdf, unsigned int nr, bool map)
{
	return crowd_do_by(bench_file(), req, action, dmabuf, bdf, nr, map);
}

int crowd_do_by(int file, struct barter_bench_crowd *req, uint32_t action, int dmabuf,
		const char *bdf, unsigned int nr, bool map)
{
	unsigned int domain, bus, slot, function;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		fail("no PCI address: %s", bdf);
	*req = (struct barter_bench_crowd){
		.action = action, .dmabuf_fd = dmabuf, .nr = nr, .map = map,
		.domain = domain, .bus = bus, .devfn = slot << 3 | function,
	};
	return ioctl(file, BARTER_BENCH_IOC_CROWD, req) ? -errno : 0;
}

void bench_run(struct barter_bench *req, uint32_t what, int dmabuf,
	       const char *bdf, unsigned int samples, unsigned int batch)
{
	int ret = bench_try(req, what, dmabuf, bdf, samples, batch);

	if (ret)
		fail("measuring %u on %s: %s", what, bdf, strerror(-ret));
}

int bench_try(struct barter_bench *req, uint32_t what, int dmabuf,
	      const char *bdf, unsigned int samples, unsigned int batch)
{
	unsigned int domain, bus, slot, function;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		fail("no PCI address: %s", bdf);
	memset(req, 0, sizeof(*req));
	req->what = what;
	req->dmabuf_fd = dmabuf;
	req->domain = domain;
	req->bus = bus;
	req->devfn = slot << 3 | function;
	req->samples = samples;
	req->batch = batch;
	return ioctl(bench_file(), BARTER_BENCH_IOC_RUN, req) ? -errno : 0;
}

struct times bench_times(const struct barter_bench *req, unsigned int step)
{
	return times_of((const uint64_t *)req->out_ps[step], req->samples);
}

void big_open(struct dev *big)
{
	char bdf[BDF_LENGTH];
	unsigned int i;
	int ret;

	for (i = 0; !pci_find(PCI_IVSHMEM, i, bdf); i++) {
		uint64_t length, flags;

		pci_bar(bdf, BIG_BAR, &length, &flags);
		if (length < 1ull << 30)
			continue;
		ret = dev_open(big, bdf);
		if (ret)
			fail("open %s: %s", bdf, strerror(-ret));
		return;
	}
	fail("no device with a BAR of 1 GiB");
}

int big_export(const struct dev *big, uint32_t nr)
{
	struct vfio_region_dma_range *ranges = calloc(nr, sizeof(*ranges));
	uint32_t i;
	int fd;

	if (!ranges)
		fail("no memory");
	for (i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){
			2ull * i * 4096, 4096
		};
	if (2ull * nr * 4096 > big->length[BIG_BAR])
		fail("%u ranges do not fit", nr);
	fd = buf_export(big, BIG_BAR, ranges, nr);
	if (fd < 0)
		fail("export %u ranges: %s", nr, strerror(-fd));
	free(ranges);
	return fd;
}
