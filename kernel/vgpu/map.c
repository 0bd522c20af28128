// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Maps: found by what was asked for, built if nobody has asked before, undone with
 * the last reference.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

/* Maps that are undone before what only they had pinned is unpinned. */
#define VGPU_MANY	4096

/*
 * Pages of all maps in sum, for each page that may be pinned: links, scatterlists and
 * segments are by map.
 */
#define VGPU_MAPPED_EACH	8

/* What tells maps from each other. */
struct vgpu_key {
	u64 iova;
	unsigned long npages;
	unsigned int prot;
	struct device *dma_dev;
};

static int vgpu_compare(const struct vgpu_key *key,
			const struct barter_vgpu_map *map)
{
	if (key->iova != map->iova)
		return key->iova < map->iova ? -1 : 1;
	if (key->npages != map->npages)
		return key->npages < map->npages ? -1 : 1;
	if (key->prot != map->prot)
		return key->prot < map->prot ? -1 : 1;
	if (key->dma_dev != map->dma_dev)
		return key->dma_dev < map->dma_dev ? -1 : 1;
	return 0;
}

/* The live map that answers a request, with a reference. */
static struct barter_vgpu_map *vgpu_find(struct barter_vgpu_space *space,
					 const struct vgpu_key *key)
{
	struct rb_node *node = space->keys.rb_node;

	lockdep_assert_held(&space->lock);

	while (node) {
		struct barter_vgpu_map *map =
			rb_entry(node, struct barter_vgpu_map, key);
		int order = vgpu_compare(key, map);

		if (!order) {
			/* More would be a driver that has lost count. */
			if (map->refs >= INT_MAX)
				return ERR_PTR(-EDQUOT);
			map->refs++;
			space->stat.hits++;
			return map;
		}
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* Make a map that has all it needs known. */
static void vgpu_publish(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	struct rb_node **at = &space->keys.rb_node, *parent = NULL;
	struct vgpu_key key = { map->iova, map->npages, map->prot, map->dma_dev };
	unsigned int i;

	lockdep_assert_held(&space->lock);

	while (*at) {
		parent = *at;
		at = vgpu_compare(&key, rb_entry(parent, struct barter_vgpu_map,
						 key)) < 0 ?
			&parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&map->key, parent, at);
	rb_insert_color(&map->key, &space->keys);
	list_add_tail(&map->node, &space->maps);
	for (i = 0; i < map->nr_links; i++)
		list_add_tail(&map->links[i].node, &map->links[i].batch->links);
	map->state = VGPU_LIVE;
	map->refs = 1;
}

static void vgpu_free(struct barter_vgpu_map *map)
{
	if (map->links != &map->one)
		kvfree(map->links);
	kfree(map);
}

/* Undo a map that nobody may use any more; its batches come to the list. */
static void vgpu_undo(struct barter_vgpu_map *map, struct list_head *release)
{
	struct barter_vgpu_space *space = map->space;
	const struct barter_vgpu_backend *backend = space->config.backend;

	vgpu_dma_unmap(map);
	if (backend->dirty && map->prot & BARTER_VGPU_WRITE)
		backend->dirty(space->config.data, map->iova, map->npages);
	trace_barter_vgpu_unmap(space->name, map->iova, map->npages,
				map->dma_dev);

	mutex_lock(&space->lock);
	list_del(&map->node);
	space->stat.maps--;
	space->mapped -= map->npages;
	vgpu_drop(map, release);
	/* Whoever has VFIO's locks leaves the unpinning to somebody else. */
	if (vgpu_may_not_unpin(space))
		vgpu_defer(space, release);
	mutex_unlock(&space->lock);
	vgpu_free(map);
}

/* Drop a reference; true if it was the last. */
static bool vgpu_put(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	bool last;

	mutex_lock(&space->lock);
	last = !--map->refs;
	if (last) {
		if (map->state == VGPU_LIVE)
			rb_erase(&map->key, &space->keys);
		map->state = VGPU_DEAD;
	}
	mutex_unlock(&space->lock);
	return last;
}

/**
 * vgpu_map_put - drop a reference, and undo the map with the last
 * @map: a map
 */
void vgpu_map_put(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	LIST_HEAD(release);

	if (!vgpu_put(map))
		return;
	vgpu_undo(map, &release);
	vgpu_release(space, &release);
}

/**
 * vgpu_map_revoke - nobody may find a map any more
 * @map: a finished map, space->lock held; does nothing if somebody has done so, or if
 *	it has no user
 * @told: gets it, by node_told and with a reference, if its users are to be told
 */
void vgpu_map_revoke(struct barter_vgpu_map *map, struct list_head *told)
{
	lockdep_assert_held(&map->space->lock);

	if (map->state != VGPU_LIVE)
		return;
	rb_erase(&map->key, &map->space->keys);
	map->refs++;
	list_add_tail(&map->node_told, told);
	WRITE_ONCE(map->state, VGPU_REVOKED);
}

/* Build a map; space->map_lock is held, and space->building is it. */
static int vgpu_build(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	LIST_HEAD(release);
	int ret;

	ret = vgpu_pin(map);
	if (!ret && map->dma_dev)
		ret = vgpu_dma_map(map);

	mutex_lock(&space->lock);
	if (!ret && !space->open)
		ret = -ENODEV;
	if (!ret && space->cancelled)
		ret = -EAGAIN;
	if (!ret) {
		vgpu_publish(map);
		space->building = NULL;
	}
	mutex_unlock(&space->lock);
	trace_barter_vgpu_map(space->name, map->iova, map->npages, map->prot,
			      map->dma_dev, ret);
	if (!ret)
		return 0;

	vgpu_dma_unmap(map);
	mutex_lock(&space->lock);
	space->building = NULL;
	space->stat.maps--;
	space->mapped -= map->npages;
	vgpu_drop(map, &release);
	mutex_unlock(&space->lock);
	vgpu_release(space, &release);
	return ret;
}

/* What can be said of a request before anything is allocated. */
static int vgpu_check(struct barter_vgpu_space *space, const struct vgpu_key *key)
{
	if (!key->npages || !PAGE_ALIGNED(key->iova) ||
	    (key->prot != BARTER_VGPU_READ &&
	     key->prot != (BARTER_VGPU_READ | BARTER_VGPU_WRITE)))
		return -EINVAL;
	if ((u64)key->npages - 1 > (U64_MAX - key->iova) >> PAGE_SHIFT)
		return -EOVERFLOW;
	/* Before anything is allocated or looped over by what was asked for. */
	if (key->npages > space->config.max_pages)
		return -EDQUOT;
	return 0;
}

/* With space->lock held: the map if there is one, NULL to build it, or an error. */
static struct barter_vgpu_map *vgpu_look(struct barter_vgpu_space *space,
					 const struct vgpu_key *key)
{
	if (vgpu_may_not_call(space))
		return ERR_PTR(-EDEADLK);
	if (!space->open)
		return ERR_PTR(-ENODEV);
	return vgpu_find(space, key);
}

/* With both locks held: let a map begin. */
static struct barter_vgpu_map *vgpu_begin(struct barter_vgpu_space *space,
					  const struct vgpu_key *key,
					  struct barter_vgpu_map *new)
{
	struct barter_vgpu_map *map = vgpu_look(space, key);

	if (map)
		return map;
	if (space->stat.maps >= space->config.max_maps ||
	    space->mapped + new->npages >
	    (u64)VGPU_MAPPED_EACH * space->config.max_pages)
		return ERR_PTR(-EDQUOT);
	if (vgpu_is_taken(space, new->iova, vgpu_map_last(new), new->dma_dev))
		return ERR_PTR(-EAGAIN);
	space->stat.maps++;
	space->mapped += new->npages;
	space->building = new;
	space->cancelled = false;
	return NULL;
}

static struct barter_vgpu_map *vgpu_new(struct barter_vgpu_space *space,
					const struct vgpu_key *key)
{
	struct barter_vgpu_map *map;

	map = kzalloc(sizeof(*map), VGPU_GFP);
	if (!map)
		return NULL;
	map->space = space;
	map->iova = key->iova;
	map->npages = key->npages;
	map->prot = key->prot;
	map->dma_dev = key->dma_dev;
	map->links = &map->one;
	map->room = 1;
	return map;
}

int barter_vgpu_map(struct barter_vgpu_space *space, u64 iova, unsigned long npages,
		    unsigned int prot, struct device *dma_dev,
		    struct barter_vgpu_map **out)
{
	const struct vgpu_key key = { iova, npages, prot, dma_dev };
	struct barter_vgpu_map *map, *new;
	int ret;

	ret = vgpu_check(space, &key);
	if (ret)
		return ret;

	mutex_lock(&space->lock);
	map = vgpu_look(space, &key);
	mutex_unlock(&space->lock);
	if (map)
		goto found;

	new = vgpu_new(space, &key);
	if (!new)
		return -ENOMEM;
	ret = mutex_lock_killable(&space->map_lock);
	if (ret)
		goto err_free;
	mutex_lock(&space->lock);
	map = vgpu_begin(space, &key, new);
	mutex_unlock(&space->lock);
	if (!map)
		ret = vgpu_build(new);
	mutex_unlock(&space->map_lock);
	if (map) {
		vgpu_free(new);
		goto found;
	}
	if (ret)
		goto err_free;
	*out = new;
	return 0;

found:
	if (IS_ERR(map))
		return PTR_ERR(map);
	*out = map;
	return 0;

err_free:
	vgpu_free(new);
	return ret;
}
BARTER_EXPORT(barter_vgpu_map);

void barter_vgpu_unmap(struct barter_vgpu_map *map)
{
	if (map)
		vgpu_map_put(map);
}
BARTER_EXPORT(barter_vgpu_unmap);

void barter_vgpu_unmap_many(struct barter_vgpu_map **maps, unsigned long nr)
{
	struct barter_vgpu_space *space = NULL;
	LIST_HEAD(release);
	unsigned long i;

	for (i = 0; i < nr; i++) {
		struct barter_vgpu_map *map = maps[i];

		if (!map)
			continue;
		if (space && (space != map->space || i % VGPU_MANY == 0))
			vgpu_release(space, &release);
		space = map->space;
		if (vgpu_put(map))
			vgpu_undo(map, &release);
		cond_resched();
	}
	if (space)
		vgpu_release(space, &release);
}
BARTER_EXPORT(barter_vgpu_unmap_many);

bool barter_vgpu_valid(const struct barter_vgpu_map *map)
{
	return READ_ONCE(map->state) == VGPU_LIVE;
}
BARTER_EXPORT(barter_vgpu_valid);

u64 barter_vgpu_iova(const struct barter_vgpu_map *map)
{
	return map->iova;
}
BARTER_EXPORT(barter_vgpu_iova);

unsigned long barter_vgpu_npages(const struct barter_vgpu_map *map)
{
	return map->npages;
}
BARTER_EXPORT(barter_vgpu_npages);

struct device *barter_vgpu_device(const struct barter_vgpu_map *map)
{
	return map->dma_dev;
}
BARTER_EXPORT(barter_vgpu_device);
