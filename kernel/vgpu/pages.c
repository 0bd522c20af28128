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

/* What is left of the run at the cursor, in its link. */
static unsigned int vgpu_rest(const struct vgpu_link *link,
			      const struct vgpu_cursor *cursor)
{
	const struct vgpu_batch *batch = link->batch;
	unsigned int end = link->first + link->npages;

	if (cursor->run + 1 < batch->nr_runs)
		end = min(end, batch->runs[cursor->run + 1].first);
	return end - cursor->page;
}

/**
 * vgpu_next - how far memory is contiguous
 * @map: a map with all its links
 * @cursor: where from; goes behind what is returned
 * @pfn: set to the first page's frame
 *
 * Return: how many pages; 0 at the end of the map.
 */
unsigned long vgpu_next(const struct barter_vgpu_map *map,
			struct vgpu_cursor *cursor, unsigned long *pfn)
{
	unsigned long npages = 0;

	while (cursor->link < map->nr_links) {
		const struct vgpu_link *link = &map->links[cursor->link];
		const struct vgpu_run *run = &link->batch->runs[cursor->run];
		unsigned long here = run->pfn + (cursor->page - run->first);
		unsigned int rest = vgpu_rest(link, cursor);

		if (!npages)
			*pfn = here;
		else if (here != *pfn + npages)
			break;
		npages += rest;
		cursor->page += rest;
		cursor->run++;
		if (cursor->page < link->first + link->npages)
			continue;
		if (++cursor->link < map->nr_links) {
			link++;
			cursor->page = link->first;
			cursor->run = vgpu_find_run(link->batch, link->first);
		}
	}
	return npages;
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
