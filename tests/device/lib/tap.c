// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Test Anything Protocol, see tap.h.
 */
#define _GNU_SOURCE
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int count, failed;
static const char *current = "main";
static unsigned int limit;
static pid_t owner;

static void line(bool pass, const char *directive, const char *why,
		 const char *fmt, va_list ap)
{
	char text[400];

	vsnprintf(text, sizeof(text), fmt, ap);
	pthread_mutex_lock(&lock);
	count++;
	failed += !pass;
	printf("%s %u - %s: %s%s%s\n", pass ? "ok" : "not ok", count, current,
	       text, directive, why);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

bool tap_result(bool pass, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(pass, "", "", fmt, ap);
	va_end(ap);
	return pass;
}

bool tap_is(long long got, long long want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(got == want, "", "", fmt, ap);
	va_end(ap);
	if (got != want)
		tap_diag("got %lld (0x%llx), want %lld (0x%llx)", got, got,
			 want, want);
	return got == want;
}

static const char *errno_name(long long value)
{
	if (value >= 0)
		return "success";
	return strerrorname_np((int)-value) ?: "unknown";
}

bool tap_errno(long long got, int want, const char *fmt, ...)
{
	bool pass = want ? got == -want : got >= 0;
	va_list ap;

	va_start(ap, fmt);
	line(pass, "", "", fmt, ap);
	va_end(ap);
	if (!pass)
		tap_diag("got %s (%lld), want %s", errno_name(got), got,
			 want ? errno_name(-want) : "success");
	return pass;
}

void tap_skip(const char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(true, " # SKIP ", why, fmt, ap);
	va_end(ap);
}

void tap_diag(const char *fmt, ...)
{
	char text[1000], *p, *end;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&lock);
	for (p = text; p && *p; p = end ? end + 1 : NULL) {
		end = strchr(p, '\n');
		if (end)
			*end = 0;
		printf("#   %s\n", p);
	}
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

void tap_bail(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! %s: ", current);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* Only write(): it runs in a signal handler, with locks in any state. */
static void put(const char *text, size_t n)
{
	if (write(STDOUT_FILENO, text, n) < 0)
		_exit(3);
}

static void dump_stacks(const char *pid)
{
	char path[600], text[4096];
	struct dirent *e;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task/%s/stack", pid,
			 e->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = snprintf(text, sizeof(text), "#   stack of %s:\n",
			     e->d_name);
		put(text, (size_t)n);
		while ((n = read(fd, text, sizeof(text))) > 0)
			put(text, (size_t)n);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

static void expired(int sig)
{
	char text[200], path[64], children[400] = "", *p, *save;
	int n, fd;

	(void)sig;
	if (getpid() != owner)
		_exit(3);
	dump_stacks("self");
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", owner);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = (int)read(fd, children, sizeof(children) - 1);
		children[n > 0 ? n : 0] = 0;
		for (p = strtok_r(children, " ", &save); p;
		     p = strtok_r(NULL, " ", &save))
			dump_stacks(p);
	}
	n = snprintf(text, sizeof(text),
		     "not ok %u - %s: ends within %u s\nBail out! %s hangs\n",
		     count + 1, current, limit, current);
	put(text, (size_t)n);
	_exit(1);
}

void tap_case(const char *name, void (*fn)(void), unsigned int seconds)
{
	const char *only = getenv("BARTER_ONLY");
	struct timespec t0, t1;
	struct sigaction sa = { .sa_handler = expired };

	if (only && !strstr(name, only))
		return;
	if (getenv("BARTER_TIME_SCALE"))
		seconds *= (unsigned int)atoi(getenv("BARTER_TIME_SCALE"));
	owner = getpid();
	current = name;
	limit = seconds;
	sigaction(SIGALRM, &sa, NULL);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	alarm(seconds);
	fn();
	alarm(0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	tap_diag("%s took %lld ms", name,
		 (t1.tv_sec - t0.tv_sec) * 1000LL +
		 (t1.tv_nsec - t0.tv_nsec) / 1000000);
	current = "main";
}

int tap_done(void)
{
	printf("1..%u\n", count);
	if (failed)
		printf("# %u of %u failed\n", failed, count);
	fflush(stdout);
	return failed ? 1 : 0;
}
