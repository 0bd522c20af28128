// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * PNG pictures by libpng's simplified interface.
 */
#include "picture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int picture_read(const char *path, struct picture *picture)
{
	png_image image = { .version = PNG_IMAGE_VERSION };

	if (!png_image_begin_read_from_file(&image, path))
		goto err_message;
	image.format = PNG_FORMAT_RGB;
	picture->width = image.width;
	picture->height = image.height;
	picture->length = PNG_IMAGE_SIZE(image);
	picture->pixels = malloc(picture->length);
	if (!picture->pixels) {
		png_image_free(&image);
		fprintf(stderr, "demo: out of memory\n");
		return -1;
	}
	if (png_image_finish_read(&image, NULL, picture->pixels, 0, NULL))
		return 0;
	picture_free(picture);
err_message:
	fprintf(stderr, "demo: %s: %s\n", path, image.message);
	return -1;
}

int picture_write(const char *path, const struct picture *picture)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = picture->width,
		.height = picture->height,
		.format = PNG_FORMAT_RGB,
	};

	if (png_image_write_to_file(&image, path, 0, picture->pixels, 0, NULL))
		return 0;
	fprintf(stderr, "demo: %s: %s\n", path, image.message);
	return -1;
}

void picture_free(struct picture *picture)
{
	free(picture->pixels);
	picture->pixels = NULL;
}
