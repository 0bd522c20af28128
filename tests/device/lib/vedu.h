/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * vEDUs, the mediated devices of the sample kernel/samples/vgpu, and what a guest does
 * with one: a VFIO user with memory of its own, by a type 1 container or by iommufd.
 */
#ifndef TESTS_VEDU_H
#define TESTS_VEDU_H

#include <linux/barter-vedu.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iommufd.h"
#include "vfio.h"

#define VEDU_DRIVER	"barter-vedu"
#define VEDU_UUID	"c0ffee00-0000-4000-8000-0000000000%02u"
#define VEDU_BAR2	(4u << 20)

/* Make vEDU number @nr on an edu, of type "engine" or "memory"; 0 or -errno. */
int vedu_create(const char *edu, const char *type, unsigned int nr);
/* Waits for its user. */
int vedu_remove(unsigned int nr);
/* How many more of the type there may be, or -errno. */
int vedu_available(const char *edu, const char *type);

struct guest {
	unsigned int nr;
	struct dev d;		/* its BARs and its container */
	bool by_iommufd;
	struct ioas ioas;
	uint32_t tail;
	int irq;		/* eventfds: MSI, and the request to close */
	int request;
};

/* Open vEDU @nr, memory and bus mastering on, the ring enabled. 0 or -errno. */
int vedu_open(struct guest *g, unsigned int nr, bool by_iommufd);
/* A second device in the container (or IOAS) of @other. */
int vedu_open_beside(struct guest *g, unsigned int nr, const struct guest *other);
void vedu_close(struct guest *g);

/* Map our memory at a guest address, for reading, and for writing if @write. */
int vedu_map(const struct guest *g, void *p, uint64_t iova, uint64_t n, bool write);
/* 0 or -errno. */
int vedu_unmap(const struct guest *g, uint64_t iova, uint64_t n);

uint32_t vedu_get(const struct guest *g, unsigned int reg);
uint64_t vedu_get64(const struct guest *g, unsigned int reg);
/* 0 or -errno. */
int vedu_set(const struct guest *g, unsigned int reg, uint32_t value);

/* Put a command into the ring and let it run; its slot. */
unsigned int vedu_submit(struct guest *g, const struct barter_vedu_command *cmd);
/* Wait until the command in @slot is over: its status, or -ETIMEDOUT. */
int vedu_wait(const struct guest *g, unsigned int slot, uint64_t *value, int ms);
/* Both; @value may be NULL. */
int vedu_run(struct guest *g, const struct barter_vedu_command *cmd, uint64_t *value);

/* The usual commands, run to their end: a status. */
int vedu_copy(struct guest *g, uint64_t dst, uint64_t src, uint64_t n);
int vedu_fill(struct guest *g, uint64_t dst, uint64_t n, uint64_t value);
int vedu_hold(struct guest *g, uint64_t iova, uint64_t n, uint64_t *segments);
int vedu_release(struct guest *g, uint64_t iova, uint64_t n);

/* What CHECKSUM says of these bytes. */
uint64_t fnv1a(const void *p, size_t n);

/* Pages that are pinned in the whole system at this moment. */
long pages_pinned(void);
/* Wait until there are as many as @want; how many there are then. */
long pages_pinned_are(long want, int ms);
/* KiB that count against RLIMIT_MEMLOCK of this process. */
long memory_locked(void);

#endif
