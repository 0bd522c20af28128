/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * PNG pictures as plain pixels: 3 bytes each, row after row.
 */
#ifndef DEMO_PICTURE_H
#define DEMO_PICTURE_H

#include <stddef.h>
#include <stdint.h>

struct picture {
	uint32_t width;
	uint32_t height;
	size_t length;		/* bytes at pixels */
	uint8_t *pixels;
};

/* 0, or -1 with a message on stderr. */
int picture_read(const char *path, struct picture *picture);
int picture_write(const char *path, const struct picture *picture);
void picture_free(struct picture *picture);

#endif /* DEMO_PICTURE_H */
