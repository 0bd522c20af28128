// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The demo's report.
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *report;
static int steps, good, bad;
static struct timespec begin;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin.tv_sec) +
	       (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
}

static void say(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
	fputs(text, report);
	fflush(report);
}

static void say_line(const char *head, const char *format, va_list args)
{
	char line[800], text[700];

	vsnprintf(text, sizeof(text), format, args);
	snprintf(line, sizeof(line), "%s%s\n", head, text);
	say(line);
}

void report_open(const char *path)
{
	clock_gettime(CLOCK_MONOTONIC, &begin);
	report = fopen(path, "we");
	if (!report) {
		fprintf(stderr, "demo: %s cannot be written: %s\n", path,
			strerror(errno));
		exit(1);
	}
}

void step(const char *format, ...)
{
	char head[48];
	va_list args;

	snprintf(head, sizeof(head), "\n%2d. [%5.1f s] ", ++steps, seconds());
	va_start(args, format);
	say_line(head, format, args);
	va_end(args);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line("            ", format, args);
	va_end(args);
}

int check(int as_it_must, const char *expected, const char *format, ...)
{
	va_list args;

	*(as_it_must ? &good : &bad) += 1;
	va_start(args, format);
	say_line(as_it_must ? "    OK      " : "    FAIL    ", format, args);
	va_end(args);
	if (!as_it_must) {
		say("            expected: ");
		say(expected);
		say("\n");
	}
	return as_it_must;
}

void give_up(const char *format, ...)
{
	va_list args;

	bad++;
	va_start(args, format);
	say_line("    FAIL    ", format, args);
	va_end(args);
	report_close();
	exit(1);
}

int report_close(void)
{
	char line[120];

	snprintf(line, sizeof(line), "\n%s: %d steps, %d checks OK, %d FAIL, %.1f s\n",
		 bad ? "FAIL" : "OK", steps, good, bad, seconds());
	say(line);
	return bad ? 1 : 0;
}
