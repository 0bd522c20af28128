/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the demo's steps share.
 */
#ifndef DEMO_STAGE_H
#define DEMO_STAGE_H

#include <barter.h>

#include "picture.h"

#define RANGES 64

/* Where the picture begins in the buffer: on no boundary of anything. */
#define PICTURE_AT 2000

struct stage {
	const char *bdf;	/* whose memory is lent */
	const char *engine_bdf;
	const char *picture_path;
	const char *frame_path;
	const char *topology_path;

	struct picture picture;
	struct barter_device *device;
	uint64_t bar_length;
	char *bar;		/* BAR 2 through the device fd */
	struct barter_range ranges[RANGES];
	int buffer;		/* dma-buf fd */
	uint64_t length;	/* bytes in it */
	char *memory;		/* the buffer through its own fd */
	int holder;		/* socket to the other process */
	int engine;		/* edu with the buffer imported */
	int broker;		/* process of "barter vend" */
};

/* lend.c: to lend */
void bind_device(struct stage *stage);
void export_ranges(struct stage *stage);
void write_picture(struct stage *stage);
void hand_over(struct stage *stage);
void move_by_dma(struct stage *stage);

/* revoke.c: to take back */
void reset_under_dma(struct stage *stage);
void take_away(struct stage *stage);
void close_for_good(struct stage *stage);

/* vend.c: by a broker */
void vend_slices(struct stage *stage);
void take_slice_back(struct stage *stage);

/* Does every byte of the picture come back this way? */
int picture_in_memory(const struct stage *stage);
int picture_at_holder(const struct stage *stage);

/* BARTER_STATE_*, and the reasons as words; or -errno. */
int buffer_state(const struct stage *stage, char *reasons, size_t length);
/* SHA-256 of the whole BAR as the host sees it, from outside the machine. */
int host_sha256(const struct stage *stage, char text[65]);

#endif /* DEMO_STAGE_H */
