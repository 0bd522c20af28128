// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a screen shows.
 */
#include "look.h"
#include "desktop.h"
#include "program.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

void look(const char *device, const char *name)
{
	char path[300];
	char *dump[] = { "vmctl", "screendump", path, "-f", "png", (char *)device, NULL };
	int status;

	snprintf(path, sizeof(path), "%s/%s.png", from_environment("SCREENS"), name);
	status = run_program(dump);
	check(!status, "exit status 0", "the screen's picture, by QEMU: %s.png", name);
}

void leave_drawn(const struct picture *picture)
{
	struct picture drawn = {
		.width = DESKTOP_WIDTH, .height = DESKTOP_HEIGHT,
		.length = DESKTOP_WIDTH * DESKTOP_HEIGHT * 3,
	};
	uint8_t *p = drawn.pixels = malloc(drawn.length);

	for (uint32_t i = 0; p && i < drawn.length / 3; i++) {
		uint32_t pixel = desktop_pixel(picture, i % DESKTOP_WIDTH,
					       i / DESKTOP_WIDTH);

		*p++ = (uint8_t)(pixel >> 16);
		*p++ = (uint8_t)(pixel >> 8);
		*p++ = (uint8_t)pixel;
	}
	if (!p || picture_write("/out/drawn.png", &drawn))
		give_up("/out/drawn.png cannot be written");
	picture_free(&drawn);
}
