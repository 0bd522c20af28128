/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A picture in a buffer: formats, bounds, and the way to its bytes.
 */
#ifndef BARTER_PF_PICTURE_H
#define BARTER_PF_PICTURE_H

#include <linux/types.h>
#include <uapi/linux/barter-pf.h>

struct barter_pci_bar_map;

/**
 * struct pf_reader - how far a picture has been fetched
 * @plane: of it
 * @row: the next one of that plane
 * @done: bytes fetched
 * @piece: the piece that was read from last
 * @start: where in the buffer that piece begins
 *
 * All zero in the beginning.
 */
struct pf_reader {
	unsigned int plane;
	u32 row;
	size_t done;
	u32 piece;
	u64 start;
};

/**
 * struct pf_picture - a picture in a buffer
 * @format: BARTER_PF_*
 * @width: pixels in a row
 * @height: rows
 * @planes: where they are; @nr_planes of them count
 * @nr_planes: how many the format has
 */
struct pf_picture {
	u32 format;
	u32 width;
	u32 height;
	struct barter_pf_plane planes[BARTER_PF_PLANES];
	unsigned int nr_planes;
};

int pf_picture_init(struct pf_picture *picture, const struct barter_pf_set *set,
		    u64 buffer_length);
size_t pf_picture_length(const struct pf_picture *picture);
void pf_picture_black(const struct pf_picture *picture, u8 *to);
int pf_picture_read(const struct pf_picture *picture, struct pf_reader *reader,
		    const struct barter_pci_bar_map *map,
		    const void __iomem *share, u8 *to, size_t enough);

#endif /* BARTER_PF_PICTURE_H */
