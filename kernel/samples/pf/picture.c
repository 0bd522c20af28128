// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A picture in a buffer: formats, bounds, and the way to its bytes.
 *
 * A plane is rows at a stride, in the buffer's order of bytes. The buffer's bytes are
 * in pieces of any length anywhere in the VF's memory: a row may lie in many of them.
 */
#include <linux/barter.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "picture.h"

/* One plane of a format: @bytes for each of its pixels, @sub of the picture's in one. */
struct pf_plane_format {
	u8 bytes;
	u8 sub;
	u8 black;
};

static const struct pf_format {
	u32 number;
	unsigned int nr_planes;
	struct pf_plane_format planes[BARTER_PF_PLANES];
} pf_formats[] = {
	{ BARTER_PF_XRGB8888, 1, { { 4, 1, 0 } } },
	{ BARTER_PF_RGB565, 1, { { 2, 1, 0 } } },
	{ BARTER_PF_NV12, 2, { { 1, 1, 16 }, { 2, 2, 128 } } },
};

static const struct pf_format *format_find(u32 number)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pf_formats); i++)
		if (pf_formats[i].number == number)
			return &pf_formats[i];
	return NULL;
}

static const struct pf_plane_format *plane_format(const struct pf_picture *picture,
						  unsigned int plane)
{
	return &format_find(picture->format)->planes[plane];
}

static u32 row_bytes(const struct pf_picture *picture, unsigned int plane)
{
	const struct pf_plane_format *format = plane_format(picture, plane);

	return picture->width / format->sub * format->bytes;
}

static u32 row_count(const struct pf_picture *picture, unsigned int plane)
{
	return picture->height / plane_format(picture, plane)->sub;
}

static int plane_check(const struct pf_picture *picture, unsigned int i,
		       u64 buffer_length)
{
	const struct barter_pf_plane *plane = &picture->planes[i];
	u32 row = row_bytes(picture, i);
	u64 end;

	if (plane->__reserved || plane->stride < row)
		return -EINVAL;
	if (check_mul_overflow((u64)plane->stride, row_count(picture, i) - 1, &end) ||
	    check_add_overflow(end, row, &end) ||
	    check_add_overflow(end, plane->offset, &end) || end > buffer_length)
		return -ERANGE;
	return 0;
}

/**
 * pf_picture_init - a picture as it was asked for, if that makes one
 * @picture: filled in
 * @set: the request; its dma-buf and flags are not looked at
 * @buffer_length: bytes in the buffer
 *
 * Return: 0, or -EINVAL, -EOPNOTSUPP, -ERANGE: see struct barter_pf_set.
 */
int pf_picture_init(struct pf_picture *picture, const struct barter_pf_set *set,
		    u64 buffer_length)
{
	const struct pf_format *format = format_find(set->format);
	unsigned int i;
	int ret;

	if (!format)
		return -EOPNOTSUPP;
	picture->format = set->format;
	picture->nr_planes = format->nr_planes;
	picture->width = set->width;
	picture->height = set->height;
	memcpy(picture->planes, set->planes, sizeof(picture->planes));
	for (i = 0; i < BARTER_PF_PLANES; i++) {
		const struct barter_pf_plane *plane = &picture->planes[i];

		if (i < format->nr_planes ?
		    picture->width % format->planes[i].sub ||
		    picture->height % format->planes[i].sub :
		    plane->offset || plane->stride || plane->__reserved)
			return -EINVAL;
	}
	if (!picture->width || picture->width > BARTER_PF_MAX_SIDE ||
	    !picture->height || picture->height > BARTER_PF_MAX_SIDE)
		return -EINVAL;
	for (i = 0; i < picture->nr_planes; i++) {
		ret = plane_check(picture, i, buffer_length);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * pf_picture_length - bytes of all rows, with nothing between
 * @picture: the picture
 *
 * Return: that many.
 */
size_t pf_picture_length(const struct pf_picture *picture)
{
	size_t length = 0;
	unsigned int i;

	for (i = 0; i < picture->nr_planes; i++)
		length += (size_t)row_bytes(picture, i) * row_count(picture, i);
	return length;
}

/**
 * pf_picture_black - what is shown where there is nothing to show
 * @picture: the picture
 * @to: filled with its length in black
 */
void pf_picture_black(const struct pf_picture *picture, u8 *to)
{
	unsigned int i;

	for (i = 0; i < picture->nr_planes; i++) {
		size_t length = (size_t)row_bytes(picture, i) * row_count(picture, i);

		memset(to, plane_format(picture, i)->black, length);
		to += length;
	}
}

/* Copy bytes of the buffer, from as many pieces as they lie in. */
static int bytes_copy(struct pf_reader *at, const struct barter_pci_bar_map *map,
		      const void __iomem *share, u64 offset, u8 *to, size_t length)
{
	if (offset < at->start) {
		at->piece = 0;
		at->start = 0;
	}
	while (length) {
		const struct barter_range *piece;
		size_t n;

		if (at->piece == map->nr)
			return -EIO;
		piece = &map->ranges[at->piece];
		if (offset - at->start >= piece->length) {
			at->start += piece->length;
			at->piece++;
			continue;
		}
		n = min_t(u64, length, piece->length - (offset - at->start));
		memcpy_fromio(to, share + piece->offset + (offset - at->start), n);
		to += n;
		offset += n;
		length -= n;
	}
	return 0;
}

/**
 * pf_picture_read - fetch rows of a picture from the VF's part of the PF's memory
 * @picture: the picture
 * @reader: where to go on; the next call goes on behind it
 * @map: where in that part the buffer's pieces are; the same one for all calls
 * @share: that part, as the PF has it mapped
 * @to: where the whole picture goes
 * @enough: return after so many bytes, at the end of a row
 *
 * Return: 1 if there is more, 0 if that was all, -EIO if the map is shorter than the
 * buffer was.
 */
int pf_picture_read(const struct pf_picture *picture, struct pf_reader *reader,
		    const struct barter_pci_bar_map *map,
		    const void __iomem *share, u8 *to, size_t enough)
{
	size_t until = reader->done + enough;
	int ret;

	while (reader->plane < picture->nr_planes) {
		const struct barter_pf_plane *plane = &picture->planes[reader->plane];
		u32 length = row_bytes(picture, reader->plane);

		if (reader->row == row_count(picture, reader->plane)) {
			reader->row = 0;
			reader->plane++;
			continue;
		}
		if (reader->done >= until)
			return 1;
		ret = bytes_copy(reader, map, share, plane->offset +
				 (u64)reader->row * plane->stride,
				 to + reader->done, length);
		if (ret)
			return ret;
		reader->done += length;
		reader->row++;
	}
	return 0;
}
