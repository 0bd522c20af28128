// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * From addresses of this process to pieces of a BAR.
 *
 * Mappings are kept sorted by address and never overlap, so that an address is
 * found by bisection and what follows it is the next one in the array.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct area {
	uintptr_t start;
	uint64_t length;	/* start + length - 1 does not overflow */
	struct barter_device *device;
	uint32_t bar;
	uint64_t offset;
};

struct barter_maps {
	struct area *areas;
	size_t nr, room;
};

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

BARTER_API int barter_maps_new(struct barter_maps **maps)
{
	struct barter_maps *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	*maps = new;
	return 0;
}

BARTER_API void barter_maps_free(struct barter_maps *maps)
{
	if (!maps)
		return;
	free(maps->areas);
	free(maps);
}

/* Does [start, start + length) end beyond the last address? The last byte counts. */
static int wraps(uintptr_t start, uint64_t length)
{
	return length - 1 > UINTPTR_MAX - start;
}

static uintptr_t last_of(const struct area *area)
{
	return area->start + (uintptr_t)(area->length - 1);
}

/* Index of the first area that ends at @address or behind it. */
static size_t find(const struct barter_maps *maps, uintptr_t address)
{
	size_t low = 0, high = maps->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (last_of(&maps->areas[middle]) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct area *area_at(const struct barter_maps *maps,
				  uintptr_t address)
{
	size_t i = find(maps, address);

	return i < maps->nr && maps->areas[i].start <= address ?
	       &maps->areas[i] : NULL;
}

static int make_room(struct barter_maps *maps)
{
	size_t room = maps->room ? maps->room * 2 : 16;
	struct area *areas;

	if (maps->nr < maps->room)
		return 0;
	areas = reallocarray(maps->areas, room, sizeof(*areas));
	if (!areas)
		return -ENOMEM;
	maps->areas = areas;
	maps->room = room;
	return 0;
}

BARTER_API int barter_maps_add(struct barter_maps *maps,
			       struct barter_device *device, uint32_t bar,
			       uint64_t offset, void *address, uint64_t length)
{
	uintptr_t start = (uintptr_t)address;
	struct barter_region region;
	size_t at;
	int ret;

	if (!length || (offset | start | length) % page_size())
		return -EINVAL;
	if (wraps(start, length) || length > UINT64_MAX - offset)
		return -EOVERFLOW;
	ret = barter_bar_check(device, bar, offset, length, &region);
	if (ret)
		return ret;
	at = find(maps, start);
	if (at < maps->nr && maps->areas[at].start <= start + (length - 1))
		return -EEXIST;
	ret = make_room(maps);
	if (ret)
		return ret;
	memmove(&maps->areas[at + 1], &maps->areas[at],
		(maps->nr - at) * sizeof(*maps->areas));
	maps->areas[at] = (struct area) { start, length, device, bar, offset };
	maps->nr++;
	return 0;
}

BARTER_API int barter_maps_map(struct barter_maps *maps,
			       struct barter_device *device, uint32_t bar,
			       uint64_t offset, uint64_t length, int prot,
			       void **address)
{
	void *got;
	int ret;

	ret = barter_device_map(device, bar, offset, length, prot, &got);
	if (ret)
		return ret;
	ret = barter_maps_add(maps, device, bar, offset, got, length);
	if (ret) {
		barter_unmap(got, length);
		return ret;
	}
	*address = got;
	return 0;
}

BARTER_API int barter_maps_remove(struct barter_maps *maps, const void *address,
				  uint64_t length)
{
	size_t at = find(maps, (uintptr_t)address);

	if (at == maps->nr || maps->areas[at].start != (uintptr_t)address ||
	    maps->areas[at].length != length)
		return -ENOENT;
	maps->nr--;
	memmove(&maps->areas[at], &maps->areas[at + 1],
		(maps->nr - at) * sizeof(*maps->areas));
	return 0;
}

BARTER_API int barter_maps_lookup(const struct barter_maps *maps,
				  const void *address, uint64_t length,
				  struct barter_place *place)
{
	uintptr_t start = (uintptr_t)address;
	const struct area *area;
	uint64_t into;

	if (!length)
		return -EINVAL;
	if (wraps(start, length))
		return -EOVERFLOW;
	area = area_at(maps, start);
	if (!area)
		return -ENOENT;
	into = start - area->start;
	*place = (struct barter_place) {
		.device = area->device,
		.bar = area->bar,
		.offset = area->offset + into,
		.length = length < area->length - into ?
			  length : area->length - into,
	};
	return 0;
}

/* Pieces while they are collected; the last one may still grow. */
struct collector {
	struct barter_pieces pieces;
	uint32_t room;
};

static int is_whole(const struct barter_range *range)
{
	return !((range->offset | range->length) % page_size());
}

static int add_range(struct collector *c, const struct barter_place *place)
{
	struct barter_pieces *p = &c->pieces;
	struct barter_range *last = p->nr_ranges ?
				    &p->ranges[p->nr_ranges - 1] : NULL;
	struct barter_range *grown;
	uint32_t room;

	if (last && last->offset + last->length == place->offset) {
		last->length += place->length;
		return 0;
	}
	if (last && !is_whole(last))
		return -EINVAL;
	if (p->nr_ranges == BARTER_MAX_RANGES)
		return -E2BIG;
	if (p->nr_ranges == c->room) {
		room = c->room ? c->room * 2 : 16;
		grown = reallocarray(p->ranges, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->ranges = grown;
		c->room = room;
	}
	p->ranges[p->nr_ranges++] = (struct barter_range) {
		place->offset, place->length
	};
	return 0;
}

static int add_entry(const struct barter_maps *maps, const struct iovec *entry,
		     struct collector *c)
{
	const char *address = entry->iov_base;
	uint64_t left = entry->iov_len;
	struct barter_place place;
	int ret;

	/* All lengths together: before anything of the entry counts. */
	if (left > UINT64_MAX - c->pieces.length)
		return -EOVERFLOW;
	do {
		ret = barter_maps_lookup(maps, address, left, &place);
		if (ret)
			return ret == -ENOENT && left < entry->iov_len ?
			       -EFAULT : ret;
		if (!c->pieces.device) {
			c->pieces.device = place.device;
			c->pieces.bar = place.bar;
		}
		if (c->pieces.device != place.device || c->pieces.bar != place.bar)
			return -EXDEV;
		ret = add_range(c, &place);
		if (ret)
			return ret;
		c->pieces.length += place.length;
		address += place.length;
		left -= place.length;
	} while (left);
	return 0;
}

BARTER_API int barter_maps_pieces(const struct barter_maps *maps,
				  const struct iovec *iov, size_t nr,
				  struct barter_pieces *pieces, size_t *bad)
{
	struct collector c = { .room = 0 };
	int ret = 0;
	size_t i;

	if (!nr)
		return -EINVAL;
	for (i = 0; i < nr && !ret; i++)
		ret = add_entry(maps, &iov[i], &c);
	if (ret)
		i--;
	else if (!is_whole(&c.pieces.ranges[c.pieces.nr_ranges - 1]))
		ret = -EINVAL;
	if (ret) {
		if (bad && ret != -ENOMEM)
			*bad = i;
		free(c.pieces.ranges);
		return ret;
	}
	*pieces = c.pieces;
	return 0;
}

BARTER_API int barter_maps_lend(const struct barter_maps *maps,
				const struct iovec *iov, size_t nr,
				uint32_t open_flags, int *fd, size_t *bad)
{
	struct barter_export what = {
		.size = sizeof(what),
		.open_flags = open_flags,
	};
	struct barter_pieces pieces;
	int ret;

	ret = barter_maps_pieces(maps, iov, nr, &pieces, bad);
	if (ret)
		return ret;
	what.bar = pieces.bar;
	what.nr_ranges = pieces.nr_ranges;
	what.ranges = pieces.ranges;
	ret = barter_device_export(pieces.device, &what, fd);
	free(pieces.ranges);
	return ret;
}
