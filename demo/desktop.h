/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a guest would draw: a desktop with a picture in a window.
 */
#ifndef DEMO_DESKTOP_H
#define DEMO_DESKTOP_H

#include <stdint.h>

#include "picture.h"

#define DESKTOP_WIDTH	640
#define DESKTOP_HEIGHT	400

/* The pixel at a place, XRGB8888. */
uint32_t desktop_pixel(const struct picture *picture, uint32_t x, uint32_t y);

#endif /* DEMO_DESKTOP_H */
