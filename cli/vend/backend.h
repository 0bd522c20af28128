/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the broker asks of whatever lends: VFIO devices, or memory in the tests.
 */
#ifndef BARTER_VEND_BACKEND_H
#define BARTER_VEND_BACKEND_H

#include "policy.h"

/* A buffer that is lent. */
struct loan {
	int fd;			/* what the borrower gets; -1: none */
	int whole;		/* what @fd is a slice of, or -1 */
};

/* How it stands. */
struct loan_state {
	uint32_t state;		/* BARTER_STATE_* */
	uint32_t reasons;
	uint32_t mmaps;
	uint32_t importers;
	char blocker[BARTER_VEND_BLOCKER_LENGTH];
};

/* All return 0 or a negative errno. */
struct backend {
	/* Can it do what the offer asks for? @why says what it cannot. */
	int (*check)(const struct offer *offer, const char **why);
	/*
	 * These may take long; open, lend and close come from one thread for each
	 * device, take from many, also several at once. @wanted is an eventfd of the caller, which becomes
	 * readable when somebody else needs the device; -1 for none.
	 */
	int (*open)(const char *device, int wanted, void **handle);
	int (*lend)(void *handle, const struct offer *offer, struct loan *loan);
	int (*take)(void *handle, const struct loan *loan);
	void (*close)(void *handle);
	/* This must not wait. */
	int (*look)(const struct loan *loan, struct loan_state *state);
};

extern const struct backend vfio_backend;

#endif /* BARTER_VEND_BACKEND_H */
