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

/* Can the device be given the addresses of a run as they are? */
static bool vgpu_reaches(struct device *dev, unsigned long pfn,
			 unsigned long npages)
{
	dma_addr_t first = phys_to_dma(dev, PFN_PHYS((phys_addr_t)pfn));
	dma_addr_t last = phys_to_dma(dev, PFN_PHYS((phys_addr_t)pfn + npages) - 1);
	u64 limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);

	return first != DMA_MAPPING_ERROR && last != DMA_MAPPING_ERROR &&
	       last <= limit;
}

/*
 * How many pages of a run one entry takes. No entry crosses the device's boundary: with
 * physical addresses nobody else sees to that, and the IOMMU's code, whose addresses begin
 * on a boundary where that matters, would fill an entry up to it with what lies behind it.
 */
static unsigned long vgpu_part(struct device *dev, bool direct, u64 offset,
			       unsigned long pfn, unsigned long npages)
{
	unsigned long most = dma_get_max_seg_size(dev) >> PAGE_SHIFT;
	u64 boundary = dma_get_seg_boundary(dev) | ~PAGE_MASK;
	u64 at = direct ? phys_to_dma(dev, PFN_PHYS((phys_addr_t)pfn)) : offset;

	npages = min_t(u64, npages,
		       ((boundary - (at & boundary)) >> PAGE_SHIFT) + 1);
	return clamp(npages, 1UL, max(most, 1UL));
}

/* Scatterlist entries that the runs take. */
static int vgpu_count(struct barter_vgpu_map *map, bool direct)
{
	struct device *dev = map->dma_dev;
	struct vgpu_cursor cursor;
	unsigned long npages, pfn, part, nents = 0;
	u64 offset = 0;

	if (!dev->dma_mask || !*dev->dma_mask || !dev_is_dma_coherent(dev) ||
	    (direct && (get_dma_ops(dev) || is_swiotlb_force_bounce(dev))))
		return -ENXIO;
	vgpu_seek(map, 0, &cursor);
	while ((npages = vgpu_next(map, &cursor, &pfn))) {
		if (direct && !vgpu_reaches(dev, pfn, npages))
			return -ENXIO;
		for (; npages; npages -= part, pfn += part, nents++) {
			part = vgpu_part(dev, direct, offset, pfn, npages);
			offset += (u64)part << PAGE_SHIFT;
		}
	}
	return nents;
}

static void vgpu_fill(struct barter_vgpu_map *map, bool direct)
{
	struct scatterlist *sg = map->sgt.sgl;
	struct vgpu_cursor cursor;
	unsigned long npages, pfn, part;
	u64 offset = 0;

	vgpu_seek(map, 0, &cursor);
	while ((npages = vgpu_next(map, &cursor, &pfn))) {
		for (; npages; npages -= part, pfn += part) {
			part = vgpu_part(map->dma_dev, direct, offset, pfn, npages);
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
		if (direct && dma_need_sync(map->dma_dev, sg_dma_address(sg)))
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
	bool direct = !use_dma_iommu(dev);
	int ret, nents;

	nents = vgpu_count(map, direct);
	if (nents < 0)
		return nents;
	ret = sg_alloc_table(&map->sgt, nents, VGPU_GFP);
	if (ret)
		return ret;
	vgpu_fill(map, direct);
	ret = dma_map_sgtable(dev, &map->sgt, vgpu_direction(map),
			      VGPU_DMA_ATTRS | DMA_ATTR_NO_WARN);
	if (ret) {
		ret = ret == -ENOMEM ? ret : -EIO;
		goto err_table;
	}
	ret = vgpu_segments(map, direct);
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
