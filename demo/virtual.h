/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A virtual device over edu's DMA engine, as the guest that has it sees it. What
 * returns int gives 0 or -errno.
 */
#ifndef DEMO_VIRTUAL_H
#define DEMO_VIRTUAL_H

#include <linux/barter-vedu.h>
#include <stdint.h>

struct virtual {
	int container;
	int group;
	int device;
	int irq;		/* eventfd */
	unsigned int tail;
};

/* Bind edu to the driver that makes such devices, and make one; the end of it. */
int virtual_make(const char *bdf, const char *uuid);
int virtual_destroy(const char *uuid);

int virtual_open(struct virtual *v, const char *uuid);
void virtual_close(struct virtual *v);
int virtual_set(const struct virtual *v, unsigned int reg, uint32_t value);
/* One of 8 bytes. */
uint64_t virtual_get(const struct virtual *v, unsigned int reg);

/* Our memory is the guest's, at a guest address; and no more. */
int virtual_give(const struct virtual *v, void *memory, uint64_t address, uint64_t length);
int virtual_take(const struct virtual *v, uint64_t address, uint64_t length);

/* Put a command into the ring, its slot; let all of them run; wait for the interrupt. */
unsigned int virtual_queue(struct virtual *v, const struct barter_vedu_command *command);
void virtual_run(const struct virtual *v);
int virtual_wait(const struct virtual *v, int ms);
/* What came of a command. */
uint32_t virtual_status(const struct virtual *v, unsigned int slot, uint64_t *value);

#endif /* DEMO_VIRTUAL_H */
