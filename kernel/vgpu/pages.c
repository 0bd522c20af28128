// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which pages a map has. What it knows are its links, each a part of a batch, and
 * the runs of those; nothing is kept by page.
 */
#include <linux/mm.h>

#include "priv.h"

/* The last run of a batch that begins at or before a page. */
static unsigned int vgpu_find_run(const struct vgpu_batch *batch,
				  unsigned int page)
{
	unsigned int low = 0, high = batch->nr_runs - 1;

	while (low < high) {
		unsigned int middle = high - (high - low) / 2;

		if (batch->runs[middle].first <= page)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/**
 * vgpu_seek - go to a page of a map
 * @map: a map with all its links
 * @index: the page, below map->npages
 * @cursor: set
 */
void vgpu_seek(const struct barter_vgpu_map *map, unsigned long index,
	       struct vgpu_cursor *cursor)
{
	unsigned int low = 0, high = map->nr_links - 1;
	const struct vgpu_link *link;

	while (low < high) {
		unsigned int middle = high - (high - low) / 2;

		if (map->links[middle].index <= index)
			low = middle;
		else
			high = middle - 1;
	}
	link = &map->links[low];
	cursor->link = low;
	cursor->page = link->first + (index - link->index);
	cursor->run = vgpu_find_run(link->batch, cursor->page);
}

/**
 * vgpu_enter - go to the first page of a link
 * @map: a map with all its links
 * @cursor: its @link is set
 */
void vgpu_enter(const struct barter_vgpu_map *map, struct vgpu_cursor *cursor)
{
	const struct vgpu_link *link = &map->links[cursor->link];

	cursor->page = link->first;
	cursor->run = vgpu_find_run(link->batch, link->first);
}

struct page *barter_vgpu_page(const struct barter_vgpu_map *map,
			      unsigned long index, unsigned long *run)
{
	struct vgpu_cursor cursor;
	const struct vgpu_link *link;
	const struct vgpu_run *at;
	unsigned long pfn;

	if (WARN_ON_ONCE(index >= map->npages))
		return NULL;
	vgpu_seek(map, index, &cursor);
	if (run) {
		*run = vgpu_next(map, &cursor, &pfn);
		return pfn_to_page(pfn);
	}
	link = &map->links[cursor.link];
	at = &link->batch->runs[cursor.run];
	return pfn_to_page(at->pfn + (cursor.page - at->first));
}
BARTER_EXPORT(barter_vgpu_page);
