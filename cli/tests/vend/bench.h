/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A broker in a process of its own, which lends memory instead of devices, and
 * clients of every kind. The memory's side of things is steered through a page that
 * both processes share.
 */
#ifndef CLI_TESTS_VEND_BENCH_H
#define CLI_TESTS_VEND_BENCH_H

#define TAP_STORAGE extern
#include "../../../tests/unit/tap.h"
#include "../../vend/server.h"

#include <stdatomic.h>

void policy_cases(void);
void metrics_cases(void);
void lease_cases(void);
void hostile_cases(void);

/* How the made-up devices behave: all, or the one whose name ends in this digit. */
struct steering {
	atomic_int hold_take;	/* function number whose take back waits, + 1 */
	atomic_int hold_lend;
	atomic_int fail_take;	/* errno */
	atomic_int fail_lend;
	atomic_int fail_open;
	atomic_int want;	/* somebody needs this device, + 1 */
	atomic_int opens, closes, lends, takes, taking;
};

extern struct steering *steering;
extern const struct backend memory_backend;
/* In the broker's process: act on steering->want. */
void memory_begin(void);

extern const char *const standard_policy;
extern pid_t broker_pid;

/* A broker with this policy; limits may be NULL. Ends the one before. */
int listen_alone(const char *at, int *listener);
void broker_start(const char *policy, const struct limits *limits);
/* SIGTERM; its exit status, or -1 if it does not end. */
int broker_stop(void);
void broker_policy(const char *policy);
/* Leave nothing behind. */
void bench_end(void);
const char *broker_path(void);
const char *broker_log(void);

/* Connections by the library; a failure is a CHECK. */
struct barter_broker *client(void);
/* Borrow and close the fd; the lease's number, or -errno. */
int64_t borrow(struct barter_broker *broker, const char *name);
/* Leases that there are; -errno. */
int count_leases(void);
/* Does the broker answer others, and soon? */
void others_go_on(const char *when);

/* Connections by hand. */
int raw_client(void);
/* Exactly these bytes, with @nr fds. */
int raw_send(int socket, const void *bytes, size_t length, const int *fds,
	     int nr);
/* The next message within @ms: its length; 0: the end; -errno. */
int raw_receive(int socket, union message *message, int ms);
struct barter_vend_head raw_head(uint16_t type, size_t size);

/* Run @fn in a child as that user (root only), or as we are (-1). */
pid_t child(int (*fn)(void *), void *argument, int uid);
/* Its exit status; 1000 + signal; -ETIMEDOUT. */
int child_end(pid_t pid, int ms);

/* @ms are those of a machine that has nothing else to do. */
#define WAIT_FOR(condition, ms)						\
	({								\
		int64_t until_ = now_ms() + 5 * (ms);			\
		int result_;						\
									\
		while (!(result_ = !!(condition)) && now_ms() < until_)	\
			usleep(2000);					\
		result_;						\
	})

#endif /* CLI_TESTS_VEND_BENCH_H */
