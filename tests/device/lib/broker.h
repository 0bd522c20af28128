/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * "barter vend" as an ordinary user, and its protocol by hand.
 */
#ifndef TESTS_BROKER_H
#define TESTS_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <barter-vend.h>

#define BROKER_SOCKET	"/tmp/broker/socket"
#define BROKER_LOG	"/tmp/broker/log"
#define BROKER_USER	65534

/* Bind these devices to the lender and give their nodes to the broker's user. */
int broker_devices(const char *const *bdfs, int nr);
void broker_policy(const char *text);
/* Start it, as that user, and wait until it answers; its process, or -errno. */
pid_t broker_start(void);
/* Of its log, as it is now. */
bool broker_said(const char *text);

int vend_connect(void);
/* Send a request of @n bytes; its head is made here. */
int vend_send(int s, uint16_t type, void *request, size_t n);
/*
 * The answer within @ms: 0, its error, -EPIPE, -ETIMEDOUT. Events that come before it
 * are thrown away. @fd may be NULL.
 */
int vend_answer(int s, void *answer, size_t n, int *fd, int ms);
/* The next event's reason within @ms, or -errno. */
int vend_event(int s, uint64_t *lease, int ms);

/* Both at once: a lease's number, or -errno. */
int64_t vend_borrow(int s, const char *name, uint32_t seconds, int *fd);
int vend_lease(int s, uint16_t type, uint64_t lease, uint32_t flags, int ms);
int vend_status(uint64_t lease, struct barter_vend_status *status);
/* Wait until that many leases are there. */
bool vend_leases(int want, int ms);

#endif
