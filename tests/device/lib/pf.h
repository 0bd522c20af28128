/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Machine "vram": the sample PF, with the VF whose memory is lent as the shared
 * device of fixture.h. What returns int gives 0 or more, or -errno.
 */
#ifndef TESTS_PF_H
#define TESTS_PF_H

#include <linux/barter-pf.h>

#include "fixture.h"

#define PF_DRIVER	"barter-pf"
/* More than any picture of the tests has. */
#define FRAME_ROOM	(16 * MIB)

extern int pf;			/* the PF's file */
extern const char *pf_bdf, *vf_bdf, *other_bdf;
extern uint64_t vf_offset;	/* where the VF's memory begins in the PF's */

/* Set both parameters, bind the PF, open both. Bails out if it cannot. */
void pf_begin(void);
/* Let go of all; is nothing left? */
void pf_end(void);
int pf_open(const char *bdf);
/* PAIRS and SHARES as pf_begin() has them. */
int pf_pairs(const char *text);
int pf_shares(const char *text);
void pf_usual(void);

int pf_call(int fd, unsigned long nr, void *arg);
int pf_set(int fd, struct barter_pf_set *set);
int pf_clear(int fd);
struct barter_pf_status pf_status(int fd);
/* FRAME_ROOM bytes at @data. */
int pf_frame(int fd, uint8_t *data, struct barter_pf_frame *frame);
bool pf_wait(int fd, uint32_t state, int ms);

/* A buffer in pieces, no two of them neighbours, in no order. */
#define PIECES		11
extern const struct vfio_region_dma_range pieces[PIECES];
#define PIECES_LENGTH	(41 * PAGE)
int pieces_export(const struct dev *d);

/* Pictures in it, of each format; @buffer goes into the request. */
#define PICTURES	4
struct barter_pf_set picture(unsigned int i, int buffer);
extern const char *const picture_names[PICTURES];
/* Bytes in a frame of it. */
uint64_t picture_length(const struct barter_pf_set *set);

/* What a frame must be: by way of the VF's own BAR, or black. */
void expect_picture(const struct barter_pf_set *set, uint8_t *data);
void expect_black(const struct barter_pf_set *set, uint8_t *data);

/* The two, of the picture that is shown; pf_show() makes them. */
extern uint8_t *bright, *black;
extern uint64_t frame_length;
/* Write the VF's memory anew, show picture @i, work out both. 0 or -errno. */
int pf_show(unsigned int i, int buffer, uint32_t seed);
/* Does a frame show the picture, all black, or neither (-EILSEQ)? */
int pf_looks(int fd);

#endif
