/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Pixels as a screen has them, and pictures as files have them.
 */
#ifndef BARTER_IMAGE_H
#define BARTER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/barter-pf.h>

/* "XRGB8888" for a BARTER_PF_ number and back; "?" and 0 for no format. */
const char *format_name(uint32_t format);
uint32_t format_parse(const char *name);
/* Bytes of a row's pixels in the first plane. */
uint32_t format_row(uint32_t format, uint32_t width);

/*
 * A frame of the ABI as 3 bytes for each pixel, R G B: RGB565's 5 and 6 bits are
 * spread over all 8; NV12 is BT.601 with limited range, 16 to 235 for luma and 16 to
 * 240 for chroma, and four pixels share one pair of chroma.
 */
void image_from_frame(uint32_t format, uint32_t width, uint32_t height,
		      const uint8_t *frame, uint8_t *rgb);

/* A file of PNG, or of PPM if its name ends so. EXIT_OK or EXIT_FAILED. */
int image_write(const char *path, uint32_t width, uint32_t height,
		const uint8_t *rgb);

#endif /* BARTER_IMAGE_H */
