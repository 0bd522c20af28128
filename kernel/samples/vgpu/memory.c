// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's guest memory, by barter-vgpu: ranges that are pinned and mapped for the
 * engine.
 *
 * v->dma is what a transfer and the guest's unmap have in common. Who is in a transfer
 * holds it, so that the unmap waits for 100 ms at most; who comes after the unmap finds
 * no map any more. What the guest unmapped is lost to a command that has begun, also if
 * something is mapped there again: pinning at once what VFIO is about to take away would
 * make it ask for it over and over. Memory that went by no doing of the guest's (pinned
 * together with some that it unmapped) is mapped again.
 */
#include <linux/barter_vgpu.h>
#include <linux/delay.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vedu.h"

/* Pages of a guest that are pinned at most. */
#define VEDU_MAX_PAGES	((64UL << 20) >> PAGE_SHIFT)

/* Maps again when the guest unmaps something at the very moment: for 255 ms or more. */
#define VEDU_MAP_TRIES	9

/**
 * struct vedu_map - a range of guest memory
 * @node: in v->maps
 * @map: NULL: taken away. v->dma for whoever writes it, and for transfers
 * @iova: first byte
 * @length: bytes
 * @write: the engine may write to it
 * @lost: the guest unmapped some of it; written under v->maps_lock
 */
struct vedu_map {
	struct list_head node;
	struct barter_vgpu_map *map;
	u64 iova;
	u64 length;
	bool write;
	bool lost;
};

/* Called with VFIO's locks held. One map may be that of several ranges. */
static void vedu_invalidate(void *priv, struct barter_vgpu_map *map)
{
	struct vedu *v = priv;
	struct vedu_map *range;
	unsigned int refs = 0;

	mutex_lock(&v->dma);
	list_for_each_entry(range, &v->maps, node) {
		if (range->map != map)
			continue;
		WRITE_ONCE(range->map, NULL);
		refs++;
	}
	mutex_unlock(&v->dma);
	while (refs--)
		barter_vgpu_unmap(map);
}

static const struct barter_vgpu_ops vedu_space_ops = {
	.owner = THIS_MODULE,
	.invalidate = vedu_invalidate,
};

int vedu_space_new(struct vedu *v)
{
	struct barter_vgpu_config config = {
		.name = dev_name(v->vdev.dev),
		.ops = &vedu_space_ops,
		.priv = v,
		.backend = &barter_vgpu_vfio,
		.data = &v->vdev,
		.max_pages = VEDU_MAX_PAGES,
	};

	INIT_LIST_HEAD(&v->maps);
	spin_lock_init(&v->maps_lock);
	mutex_init(&v->dma);
	return barter_vgpu_create(&config, &v->space);
}

void vedu_space_free(struct vedu *v)
{
	barter_vgpu_destroy(v->space);
	mutex_destroy(&v->dma);
}

/* By the guest's process: what the worker allocates for it is charged to it. */
void vedu_space_open(struct vedu *v)
{
	v->memcg = get_mem_cgroup_from_mm(current->mm);
	barter_vgpu_open(v->space);
}

/* @v is stopped and has no maps any more. */
void vedu_space_close(struct vedu *v)
{
	barter_vgpu_close(v->space);
	mem_cgroup_put(v->memcg);
	v->memcg = NULL;
}

/*
 * vfio_device_ops.dma_unmap. That a range is lost is written before barter-vgpu is told: a
 * map that it makes afterwards finds it so. Without v->dma, for barter-vgpu has to hear of
 * it at once, not after a transfer.
 */
void vedu_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct vedu *v = vedu_from_vdev(vdev);
	struct vedu_map *range;

	spin_lock(&v->maps_lock);
	list_for_each_entry(range, &v->maps, node)
		if (iova < range->iova ? range->iova - iova < length :
					 iova - range->iova < range->length)
			WRITE_ONCE(range->lost, true);
	spin_unlock(&v->maps_lock);
	barter_vgpu_dma_unmap(v->space, iova, length);
}

static int vedu_map_try(struct vedu *v, struct vedu_map *range)
{
	u64 offset = range->iova & (PAGE_SIZE - 1);
	unsigned long npages = PAGE_ALIGN(offset + range->length) >> PAGE_SHIFT;
	struct mem_cgroup *before = set_active_memcg(v->memcg);
	struct barter_vgpu_map *map;
	bool taken;
	int ret;

	ret = barter_vgpu_map(v->space, range->iova - offset, npages,
			      BARTER_VGPU_READ | (range->write ? BARTER_VGPU_WRITE : 0),
			      &v->engine->pdev->dev, &map);
	set_active_memcg(before);
	if (ret)
		return ret;

	mutex_lock(&v->dma);
	taken = !barter_vgpu_valid(map) || READ_ONCE(range->lost);
	if (!taken)
		range->map = map;
	mutex_unlock(&v->dma);
	if (!taken)
		return 0;
	barter_vgpu_unmap(map);
	return -EAGAIN;
}

/**
 * vedu_map_again - have a range mapped that may have been taken away
 * @v: the vEDU, by whoever owns its job
 * @range: on v->maps
 *
 * Return: -EAGAIN: the guest unmapped some of it; or what barter_vgpu_map() says, which
 * also tells the log of memory that is a device's: how it is to be lent instead.
 */
int vedu_map_again(struct vedu *v, struct vedu_map *range)
{
	int ret = 0, tries;

	/* Only the owner of the job makes it other than NULL. */
	for (tries = 0; !READ_ONCE(range->map) && tries < VEDU_MAP_TRIES; tries++) {
		if (READ_ONCE(range->lost))
			return -EAGAIN;
		ret = vedu_map_try(v, range);
		if (ret != -EAGAIN || tries == VEDU_MAP_TRIES - 1)
			break;
		/* Perhaps it has unmapped something else, and that is not over yet. */
		msleep_interruptible(1 << tries);
	}
	return ret;
}

/**
 * vedu_map - pin guest memory and map it for the engine
 * @v: the vEDU, by whoever owns its job
 * @iova: first byte
 * @length: bytes, at most BARTER_VEDU_MAX_LENGTH
 * @write: may the engine write to it
 * @out: the range, for vedu_unmap()
 *
 * Return: as vedu_map_again(); -ENOMEM.
 */
int vedu_map(struct vedu *v, u64 iova, u64 length, bool write, struct vedu_map **out)
{
	struct vedu_map *range;
	int ret;

	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return -ENOMEM;
	range->iova = iova;
	range->length = length;
	range->write = write;
	mutex_lock(&v->dma);
	spin_lock(&v->maps_lock);
	list_add_tail(&range->node, &v->maps);
	spin_unlock(&v->maps_lock);
	mutex_unlock(&v->dma);

	ret = vedu_map_again(v, range);
	if (ret)
		vedu_unmap(v, range);
	else
		*out = range;
	return ret;
}

/* Give a range back. No transfer of it runs. */
void vedu_unmap(struct vedu *v, struct vedu_map *range)
{
	struct barter_vgpu_map *map;

	mutex_lock(&v->dma);
	spin_lock(&v->maps_lock);
	list_del(&range->node);
	spin_unlock(&v->maps_lock);
	map = range->map;
	mutex_unlock(&v->dma);
	/* Whoever takes the range off the list first gives the reference back. */
	barter_vgpu_unmap(map);
	kfree(range);
}

/**
 * vedu_map_find - where the engine finds a byte of a range
 * @v: v->dma is held, until the engine is done with what is found
 * @range: the range
 * @offset: the byte
 * @bus: set to its address
 * @count: lowered to how many follow it there
 *
 * Return: 0; -ESTALE: it was taken away, vedu_map_again() may bring it back.
 */
int vedu_map_find(struct vedu *v, struct vedu_map *range, u64 offset, dma_addr_t *bus,
		  size_t *count)
{
	u64 length;

	lockdep_assert_held(&v->dma);

	if (!range->map)
		return -ESTALE;
	*bus = barter_vgpu_address(range->map,
				   (range->iova & (PAGE_SIZE - 1)) + offset, &length);
	*count = min_t(u64, *count, length);
	return 0;
}

/* DMA segments of a range; 0 if it was taken away. */
u32 vedu_map_segments(struct vedu *v, struct vedu_map *range)
{
	unsigned int nr = 0;

	mutex_lock(&v->dma);
	if (range->map)
		barter_vgpu_segments(range->map, &nr);
	mutex_unlock(&v->dma);
	return nr;
}

bool vedu_map_is(const struct vedu_map *range, u64 iova, u64 length, bool write)
{
	return range->iova == iova && range->length == length && range->write == write;
}
