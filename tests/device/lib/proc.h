/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Processes, time and the kernel log.
 */
#ifndef TESTS_PROC_H
#define TESTS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

int64_t now_ms(void);

/*
 * Wait for a condition by looking again and again: never by a fixed sleep. What does
 * not come soon is looked for less often, since each look costs an emulated CPU much.
 */
#define WAIT_FOR(result, condition, ms)					\
	do {								\
		int64_t from_ = now_ms(), until_ = from_ + (ms);	\
									\
		while (!((result) = (condition)) && now_ms() < until_)	\
			usleep(now_ms() < from_ + 20 ? 1000 : 5000);	\
	} while (0)

/* Run @fn in a child; its return value, 0..255, is the exit status. */
pid_t spawn(int (*fn)(void *), void *arg);
/* The child's wait status, or -ETIMEDOUT after @ms (it still runs). */
int reap(pid_t pid, int ms);
/* spawn() and reap(), @ms times BARTER_TIME_SCALE: the exit status, 1000 + signal, or -ETIMEDOUT. */
int in_child(int (*fn)(void *), void *arg, int ms);
/* Is the child still there after it had every chance to end? */
bool is_running(pid_t pid);
/* Does that task sleep in the kernel at a function of that name? */
bool sleeps_in(pid_t pid, const char *function);

/* The kernel log from now on. */
struct log {
	int fd;
};

void log_open(struct log *log);
/* Wait until a new line contains both texts; false after @ms. */
bool log_wait(struct log *log, const char *text, const char *text2, int ms);
void log_close(struct log *log);

/* Hand an fd over through a Unix socket; take one, or -1. */
bool fd_send(int socket, int fd);
int fd_receive(int socket);

int count_fds(void);
/* Of the kernel, not of this program. */
bool kernel_has_32_bits(void);

/* Is the running kernel older than that? */
bool kernel_before(unsigned int major, unsigned int minor);

#endif
