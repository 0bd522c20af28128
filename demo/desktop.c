// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a guest would draw.
 */
#include "desktop.h"

#define ZOOM	3
#define BORDER	3
#define TITLE	22

static uint32_t rgb(uint32_t red, uint32_t green, uint32_t blue)
{
	return red << 16 | green << 8 | blue;
}

static uint32_t from_picture(const struct picture *picture, uint32_t x, uint32_t y)
{
	const uint8_t *pixel = picture->pixels +
		((size_t)(y / ZOOM) * picture->width + x / ZOOM) * 3;

	return rgb(pixel[0], pixel[1], pixel[2]);
}

uint32_t desktop_pixel(const struct picture *picture, uint32_t x, uint32_t y)
{
	uint32_t width = picture->width * ZOOM, height = picture->height * ZOOM;
	uint32_t left = (DESKTOP_WIDTH - width) / 2;
	uint32_t top = (DESKTOP_HEIGHT - height + TITLE) / 2;

	if (x >= left && x < left + width && y >= top && y < top + height)
		return from_picture(picture, x - left, y - top);
	if (x + BORDER >= left && x < left + width + BORDER &&
	    y + TITLE >= top && y < top + height + BORDER) {
		/* Three buttons at the right of the title. */
		uint32_t from_right = left + width - x;

		if (y + TITLE - top >= 6 && top - y >= 6 && y < top &&
		    from_right < 60 && from_right % 20 < 11)
			return rgb(230, 230, 235);
		return rgb(50, 60, 90);
	}
	return rgb(20 + x * 60 / DESKTOP_WIDTH, 90 + y * 90 / DESKTOP_HEIGHT,
		   130 + (x + y) * 80 / (DESKTOP_WIDTH + DESKTOP_HEIGHT));
}
