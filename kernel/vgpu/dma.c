// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The DMA mapping of a map, in the fewest segments.
 *
 * A scatterlist has one entry for each physical run, cut only where the device's
 * longest segment is shorter; a translating IOMMU then joins them. The guest's CPU
 * and the device use the memory at the same time, and nobody tells when: so no
 * mapping may go through bounce buffers or need caches to be flushed.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu-dma.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "priv.h"

/*
 * There is no moment at which the CPU or the device has the memory for itself, and no
 * cache to flush then (see vgpu_count()). It also says that several maps of the same
 * page are meant.
 */
#define VGPU_DMA_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

/**
 * struct vgpu_reach - what a device can be given; asked for once, not for each run
 * @dev: the device
 * @direct: by physical addresses; else behind the IOMMU's code
 * @limit: the highest address, if they are physical ones
 * @most: pages of its longest segment
 * @boundary: that no segment may cross, as a mask
 */
struct vgpu_reach {
	struct device *dev;
	bool direct;
	u64 limit;
	unsigned long most;
	u64 boundary;
};

static void vgpu_reach_ask(struct vgpu_reach *reach, struct device *dev)
{
	*reach = (struct vgpu_reach) {
		.dev = dev,
		.direct = !use_dma_iommu(dev),
		.limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit),
		.most = max(dma_get_max_seg_size(dev) >> PAGE_SHIFT, 1U),
		.boundary = dma_get_seg_boundary(dev) | ~PAGE_MASK,
	};
}

/* Can the device be given the addresses of a run as they are? */
static bool vgpu_reaches(const struct vgpu_reach *reach, unsigned long pfn,
			 unsigned long npages)
{
	phys_addr_t start = PFN_PHYS((phys_addr_t)pfn);
	dma_addr_t first = phys_to_dma(reach->dev, start);
	dma_addr_t last = phys_to_dma(reach->dev, start + PFN_PHYS((phys_addr_t)npages) - 1);

	return first != DMA_MAPPING_ERROR && last != DMA_MAPPING_ERROR &&
	       last <= reach->limit;
}

/*
 * How many pages of a run one entry takes. No entry crosses the device's boundary: with
 * physical addresses nobody else sees to that, and the IOMMU's code, whose addresses begin
 * on a boundary where that matters, would fill an entry up to it with what lies behind it.
 */
static unsigned long vgpu_part(const struct vgpu_reach *reach, u64 offset,
			       unsigned long pfn, unsigned long npages)
{
	u64 at = reach->direct ?
		 phys_to_dma(reach->dev, PFN_PHYS((phys_addr_t)pfn)) : offset;
	u64 room = reach->boundary - (at & reach->boundary);

	npages = min_t(u64, npages, (room >> PAGE_SHIFT) + 1);
	return min(npages, reach->most);
}

/* Scatterlist entries that the runs take. */
static int vgpu_count(struct barter_vgpu_map *map, const struct vgpu_reach *reach)
{
	struct device *dev = reach->dev;
	struct vgpu_cursor cursor;
	unsigned long npages, pfn, part, nents = 0;
	u64 offset = 0;

	if (!dev->dma_mask || !*dev->dma_mask || !dev_is_dma_coherent(dev) ||
	    (reach->direct && (get_dma_ops(dev) || is_swiotlb_force_bounce(dev))))
		return -ENXIO;
	vgpu_seek(map, 0, &cursor);
	while ((npages = vgpu_next(map, &cursor, &pfn))) {
		if (reach->direct && !vgpu_reaches(reach, pfn, npages))
			return -ENXIO;
		for (; npages; npages -= part, pfn += part, nents++) {
			part = vgpu_part(reach, offset, pfn, npages);
			offset += (u64)part << PAGE_SHIFT;
		}
	}
	return nents;
}

static void vgpu_fill(struct barter_vgpu_map *map, const struct vgpu_reach *reach)
{
	struct scatterlist *sg = map->sgt.sgl;
	struct vgpu_cursor cursor;
	unsigned long npages, pfn, part;
	u64 offset = 0;

	vgpu_seek(map, 0, &cursor);
	while ((npages = vgpu_next(map, &cursor, &pfn))) {
		for (; npages; npages -= part, pfn += part) {
			part = vgpu_part(reach, offset, pfn, npages);
			offset += (u64)part << PAGE_SHIFT;
			sg_set_page(sg, pfn_to_page(pfn), part << PAGE_SHIFT, 0);
			sg = sg_next(sg);
		}
	}
}

static enum dma_data_direction vgpu_direction(const struct barter_vgpu_map *map)
{
	return map->prot & BARTER_VGPU_WRITE ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

/* A flat copy of the addresses, to be searched. */
static int vgpu_segments(struct barter_vgpu_map *map, bool direct)
{
	struct barter_vgpu_segment *segment;
	struct scatterlist *sg;
	u64 offset = 0;
	unsigned int i;

	segment = kvmalloc_array(map->sgt.nents, sizeof(*segment), VGPU_GFP);
	if (!segment)
		return -ENOMEM;
	map->segments = segment;
	map->nr_segments = map->sgt.nents;
	for_each_sgtable_dma_sg(&map->sgt, sg, i) {
		/* A bounce buffer after all. */
		if (direct && sg_dma_address(sg) != phys_to_dma(map->dma_dev, sg_phys(sg)))
			goto err_free;
		segment->address = sg_dma_address(sg);
		segment->length = sg_dma_len(sg);
		segment->offset = offset;
		offset += segment->length;
		segment++;
	}
	return 0;

err_free:
	kvfree(map->segments);
	map->segments = NULL;
	map->nr_segments = 0;
	return -ENXIO;
}

/**
 * vgpu_dma_map - map for the device
 * @map: pinned, with a device
 *
 * Return: 0 or an errno, with nothing left to undo.
 */
int vgpu_dma_map(struct barter_vgpu_map *map)
{
	struct device *dev = map->dma_dev;
	struct vgpu_reach reach;
	int ret, nents;

	vgpu_reach_ask(&reach, dev);
	nents = vgpu_count(map, &reach);
	if (nents < 0)
		return nents;
	ret = sg_alloc_table(&map->sgt, nents, VGPU_GFP);
	if (ret)
		return ret;
	vgpu_fill(map, &reach);
	ret = dma_map_sgtable(dev, &map->sgt, vgpu_direction(map),
			      VGPU_DMA_ATTRS | DMA_ATTR_NO_WARN);
	if (ret) {
		ret = ret == -ENOMEM ? ret : -EIO;
		goto err_table;
	}
	ret = vgpu_segments(map, reach.direct);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	dma_unmap_sgtable(dev, &map->sgt, vgpu_direction(map), VGPU_DMA_ATTRS);
err_table:
	sg_free_table(&map->sgt);
	return ret;
}

/**
 * vgpu_dma_unmap - undo vgpu_dma_map()
 * @map: a map; does nothing if it is not mapped
 */
void vgpu_dma_unmap(struct barter_vgpu_map *map)
{
	if (!map->segments)
		return;
	dma_unmap_sgtable(map->dma_dev, &map->sgt, vgpu_direction(map),
			  VGPU_DMA_ATTRS);
	sg_free_table(&map->sgt);
	kvfree(map->segments);
	map->segments = NULL;
	map->nr_segments = 0;
}

const struct barter_vgpu_segment *
barter_vgpu_segments(const struct barter_vgpu_map *map, unsigned int *nr)
{
	*nr = map->nr_segments;
	return map->segments;
}
BARTER_EXPORT(barter_vgpu_segments);

dma_addr_t barter_vgpu_address(const struct barter_vgpu_map *map, u64 offset,
			       u64 *length)
{
	unsigned int low = 0, high = map->nr_segments - 1;
	const struct barter_vgpu_segment *segment;

	*length = 0;
	if (WARN_ON_ONCE(!map->segments ||
			 offset >= (u64)map->npages << PAGE_SHIFT))
		return DMA_MAPPING_ERROR;
	while (low < high) {
		unsigned int middle = high - (high - low) / 2;

		if (map->segments[middle].offset <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	segment = &map->segments[low];
	offset -= segment->offset;
	*length = segment->length - offset;
	return segment->address + offset;
}
BARTER_EXPORT(barter_vgpu_address);
