// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Pixels as a screen has them, and pictures as files have them.
 */
#include "cli.h"
#include "image.h"

#include <string.h>
#ifdef BARTER_HAVE_PNG
#include <png.h>
#endif

static const struct {
	const char *name;
	uint32_t format;
	uint32_t pixel;		/* bytes of one in the first plane */
} formats[] = {
	{ "XRGB8888", BARTER_PF_XRGB8888, 4 },
	{ "RGB565", BARTER_PF_RGB565, 2 },
	{ "NV12", BARTER_PF_NV12, 1 },
};

#define NR_FORMATS (sizeof(formats) / sizeof(*formats))

const char *format_name(uint32_t format)
{
	size_t i;

	for (i = 0; i < NR_FORMATS; i++)
		if (formats[i].format == format)
			return formats[i].name;
	return "?";
}

uint32_t format_parse(const char *name)
{
	size_t i;

	for (i = 0; i < NR_FORMATS; i++)
		if (!strcasecmp(formats[i].name, name))
			return formats[i].format;
	return 0;
}

uint32_t format_row(uint32_t format, uint32_t width)
{
	size_t i;

	for (i = 0; i < NR_FORMATS; i++)
		if (formats[i].format == format)
			return formats[i].pixel * width;
	return 0;
}

static void from_xrgb8888(const uint8_t *pixel, uint8_t *rgb)
{
	rgb[0] = pixel[2];
	rgb[1] = pixel[1];
	rgb[2] = pixel[0];
}

static void from_rgb565(const uint8_t *pixel, uint8_t *rgb)
{
	unsigned int value = pixel[0] | pixel[1] << 8;
	unsigned int red = value >> 11, green = value >> 5 & 0x3f;
	unsigned int blue = value & 0x1f;

	rgb[0] = (uint8_t)(red << 3 | red >> 2);
	rgb[1] = (uint8_t)(green << 2 | green >> 4);
	rgb[2] = (uint8_t)(blue << 3 | blue >> 2);
}

static uint8_t clamp(int value)
{
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* BT.601, limited range, in 256ths; 128 is a half, to round. */
static void from_yuv(int luma, const uint8_t *chroma, uint8_t *rgb)
{
	int y = 298 * (luma - 16) + 128;
	int cb = chroma[0] - 128, cr = chroma[1] - 128;

	rgb[0] = clamp((y + 409 * cr) / 256);
	rgb[1] = clamp((y - 100 * cb - 208 * cr) / 256);
	rgb[2] = clamp((y + 516 * cb) / 256);
}

void image_from_frame(uint32_t format, uint32_t width, uint32_t height,
		      const uint8_t *frame, uint8_t *rgb)
{
	const uint8_t *chroma = frame + (size_t)width * height;
	uint32_t x, y;

	for (y = 0; y < height; y++) {
		for (x = 0; x < width; x++, rgb += 3) {
			size_t at = (size_t)y * width + x;

			if (format == BARTER_PF_XRGB8888)
				from_xrgb8888(frame + at * 4, rgb);
			else if (format == BARTER_PF_RGB565)
				from_rgb565(frame + at * 2, rgb);
			else
				from_yuv(frame[at], chroma + (size_t)(y / 2) *
					 width + x / 2 * 2, rgb);
		}
	}
}

static int write_ppm(const char *path, uint32_t width, uint32_t height,
		     const uint8_t *rgb)
{
	size_t length = (size_t)width * height * 3;
	FILE *to = fopen(path, "we");
	int written;

	if (!to)
		return failed(path, "cannot be written: %s", strerror(errno));
	written = fprintf(to, "P6\n%u %u\n255\n", width, height) > 0 &&
		  fwrite(rgb, 1, length, to) == length;
	if (fclose(to) || !written)
		return failed(path, "cannot be written: %s", strerror(errno));
	return EXIT_OK;
}

static int write_png(const char *path, uint32_t width, uint32_t height,
		     const uint8_t *rgb)
{
#ifdef BARTER_HAVE_PNG
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = width,
		.height = height,
		.format = PNG_FORMAT_RGB,
	};

	if (png_image_write_to_file(&image, path, 0, rgb, 0, NULL))
		return EXIT_OK;
	return failed(path, "cannot be written: %s", image.message);
#else
	(void)width;
	(void)height;
	(void)rgb;
	return failed(path, "this barter was built without libpng; name a file that ends in .ppm");
#endif
}

int image_write(const char *path, uint32_t width, uint32_t height,
		const uint8_t *rgb)
{
	const char *end = strrchr(path, '.');

	return end && !strcmp(end, ".ppm") ?
		write_ppm(path, width, height, rgb) :
		write_png(path, width, height, rgb);
}
