// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Batches: what the backend has pinned, shared by all maps of the same pages.
 *
 * A batch is in a tree before it is pinned and until it is unpinned, so that
 * whoever takes memory back sees whatever may be pinned of it. Guest addresses have
 * 64 bits everywhere; the trees here are of u64, which maple trees are not on
 * 32 bits.
 */
#include <linux/interval_tree_generic.h>
#include <linux/list_sort.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

/* Links that a map has memory for at first when one is too few. */
#define VGPU_FIRST_LINKS	8U

#define VGPU_START(batch)	((batch)->start)
#define VGPU_LAST(batch)	((batch)->last)

INTERVAL_TREE_DEFINE(struct vgpu_batch, node, u64, subtree_last, VGPU_START,
		     VGPU_LAST, static inline, vgpu_tree)

static struct kmem_cache *vgpu_batch_cache;

/**
 * vgpu_batch_first - the lowest batch that has any byte of a range
 * @root: one of a space's trees, space->lock held
 * @first: first byte
 * @last: last byte
 *
 * Return: the batch, or NULL.
 */
struct vgpu_batch *vgpu_batch_first(struct rb_root_cached *root, u64 first,
				    u64 last)
{
	return vgpu_tree_iter_first(root, first, last);
}

/**
 * vgpu_batch_next - the next one
 * @batch: the one before
 * @first: first byte
 * @last: last byte
 *
 * Return: the batch, or NULL.
 */
struct vgpu_batch *vgpu_batch_next(struct vgpu_batch *batch, u64 first, u64 last)
{
	return vgpu_tree_iter_next(batch, first, last);
}

/**
 * vgpu_batch_leave - no new map may use a batch
 * @space: its space, lock held
 * @batch: a live one
 */
void vgpu_batch_leave(struct barter_vgpu_space *space, struct vgpu_batch *batch)
{
	lockdep_assert_held(&space->lock);

	vgpu_tree_remove(batch, &space->live[batch->write]);
	batch->leaving = true;
	vgpu_tree_insert(batch, &space->leaving);
}

/* Somebody uses a batch no more. The last one has to release it. */
static void vgpu_batch_put(struct barter_vgpu_space *space,
			   struct vgpu_batch *batch, struct list_head *release)
{
	lockdep_assert_held(&space->lock);

	if (--batch->refs)
		return;
	if (!batch->leaving)
		vgpu_batch_leave(space, batch);
	list_add_tail(&batch->node_release, release);
}

static void vgpu_batch_free(struct vgpu_batch *batch)
{
	if (batch->runs != &batch->one)
		kfree(batch->runs);
	kmem_cache_free(vgpu_batch_cache, batch);
}

static int vgpu_batch_order(void *unused, const struct list_head *a,
			    const struct list_head *b)
{
	u64 x = list_entry(a, struct vgpu_batch, node_release)->start;
	u64 y = list_entry(b, struct vgpu_batch, node_release)->start;

	return x < y ? -1 : x > y;
}

/* Unpin what is from here on next to each other, as far as one call may go. */
static struct vgpu_batch *vgpu_unpin(struct barter_vgpu_space *space,
				     struct vgpu_batch *batch,
				     struct list_head *end, bool any)
{
	const struct barter_vgpu_backend *backend = space->config.backend;
	unsigned int npages = batch->npages;
	u64 start = batch->start, last = batch->last;

	for (;;) {
		batch = list_next_entry(batch, node_release);
		if (!any || &batch->node_release == end || !batch->pinned ||
		    batch->start != last + 1 ||
		    npages + batch->npages > BARTER_VGPU_BATCH)
			break;
		npages += batch->npages;
		last = batch->last;
	}
	mutex_lock(&space->lock);
	space->in_backend++;
	mutex_unlock(&space->lock);
	backend->unpin(space->config.data, start, npages);
	trace_barter_vgpu_unpin(space->name, start, npages);
	mutex_lock(&space->lock);
	space->in_backend--;
	space->stat.unpins++;
	mutex_unlock(&space->lock);
	return batch;
}

/*
 * Unpin, as long as no fatal signal comes, and move the others to @rest. Type 1 waits for the
 * mmap_lock of the guest's process to take pages off its RLIMIT_MEMLOCK, and who is killed
 * there never does: the guest, which need not be the one that is killed, would be charged for
 * all of the rest.
 */
static void vgpu_unpin_all(struct barter_vgpu_space *space, struct list_head *release,
			   struct list_head *rest)
{
	const struct barter_vgpu_backend *backend = space->config.backend;
	struct vgpu_batch *batch;
	bool any;

	any = backend->unpin_any && backend->unpin_any(space->config.data);
	if (any && !list_is_singular(release))
		list_sort(NULL, release, vgpu_batch_order);

	batch = list_first_entry(release, struct vgpu_batch, node_release);
	while (&batch->node_release != release) {
		if (fatal_signal_pending(current)) {
			list_bulk_move_tail(rest, &batch->node_release, release->prev);
			return;
		}
		if (batch->pinned)
			batch = vgpu_unpin(space, batch, release, any);
		else
			batch = list_next_entry(batch, node_release);
		cond_resched();
	}
}

/**
 * vgpu_release - unpin batches that nobody uses any more
 * @space: their space
 * @release: the batches, by node_release; empty afterwards
 *
 * Calls the backend, so no lock is held that barter_vgpu_dma_unmap() takes or is called
 * with. A task with a fatal signal leaves it to workers, and does not wait for them: what
 * they wait for may itself wait for the task's end.
 */
void vgpu_release(struct barter_vgpu_space *space, struct list_head *release)
{
	struct vgpu_batch *batch, *next;
	LIST_HEAD(rest);

	if (list_empty(release))
		return;
	vgpu_unpin_all(space, release, &rest);

	mutex_lock(&space->lock);
	if (!list_empty(&rest))
		vgpu_defer(space, &rest);
	list_for_each_entry_safe(batch, next, release, node_release) {
		vgpu_tree_remove(batch, &space->leaving);
		space->stat.pages -= batch->npages;
		space->stat.batches--;
		list_del(&batch->node_release);
		vgpu_batch_free(batch);
		if (need_resched()) {
			mutex_unlock(&space->lock);
			cond_resched();
			mutex_lock(&space->lock);
		}
	}
	vgpu_event(space);
	mutex_unlock(&space->lock);
}

static void vgpu_deferred(struct work_struct *work)
{
	struct vgpu_batch *batch = container_of(work, struct vgpu_batch, work);
	LIST_HEAD(release);

	list_splice_init(&batch->group, &release);
	list_add(&batch->node_release, &release);
	vgpu_release(batch->space, &release);
}

/**
 * vgpu_defer - have batches unpinned by somebody else, soon
 * @space: their space, lock held
 * @release: the batches; empty afterwards
 *
 * Each call of the backend is a work item of its own, so that they all wait for its
 * lock side by side: see invalidate.c.
 */
void vgpu_defer(struct barter_vgpu_space *space, struct list_head *release)
{
	struct vgpu_batch *batch, *next, *head = NULL;
	unsigned int npages = 0;
	u64 end = 0;

	lockdep_assert_held(&space->lock);

	if (!list_is_singular(release))
		list_sort(NULL, release, vgpu_batch_order);
	list_for_each_entry_safe(batch, next, release, node_release) {
		list_del(&batch->node_release);
		if (head && batch->start == end &&
		    npages + batch->npages <= BARTER_VGPU_BATCH) {
			list_add_tail(&batch->node_release, &head->group);
		} else {
			if (head)
				queue_work(space->wq, &head->work);
			head = batch;
			npages = 0;
			INIT_LIST_HEAD(&head->group);
			INIT_WORK(&head->work, vgpu_deferred);
		}
		npages += batch->npages;
		end = batch->last + 1;
	}
	if (head)
		queue_work(space->wq, &head->work);
}

/* Room for one more link, as long as none of the map's is in a list. */
static int vgpu_link_room(struct barter_vgpu_map *map)
{
	struct vgpu_link *links;
	unsigned int room;

	if (map->nr_links < map->room)
		return 0;
	room = max(2 * map->room, VGPU_FIRST_LINKS);
	links = kvmalloc_array(room, sizeof(*links), VGPU_GFP);
	if (!links)
		return -ENOMEM;
	memcpy(links, map->links, map->nr_links * sizeof(*links));
	if (map->links != &map->one)
		kvfree(map->links);
	map->links = links;
	map->room = room;
	return 0;
}

/* The map uses a batch from one of its pages on. Returns how many pages it gets. */
static unsigned int vgpu_link(struct barter_vgpu_map *map, unsigned long index,
			      struct vgpu_batch *batch)
{
	struct vgpu_link *link = &map->links[map->nr_links++];
	u64 iova = vgpu_address(map->iova, index);

	lockdep_assert_held(&map->space->lock);

	link->batch = batch;
	link->map = map;
	link->index = index;
	link->first = (iova - batch->start) >> PAGE_SHIFT;
	link->npages = min_t(unsigned long, map->npages - index,
			     batch->npages - link->first);
	batch->refs++;
	return link->npages;
}

/* May the map that is being built go on? */
static int vgpu_may_go_on(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;

	lockdep_assert_held(&space->lock);

	if (!space->open)
		return -ENODEV;
	if (space->cancelled)
		return -EAGAIN;
	return 0;
}

/*
 * Link what is pinned from a page on, or put a new batch into the tree where nothing
 * is. In *pages the pages that were linked; 0 if *batch is to be pinned.
 */
static int vgpu_cover(struct barter_vgpu_map *map, unsigned long index,
		      struct vgpu_batch **batch, unsigned int *pages)
{
	struct barter_vgpu_space *space = map->space;
	bool write = map->prot & BARTER_VGPU_WRITE;
	u64 iova = vgpu_address(map->iova, index), gap;
	struct vgpu_batch *there, *new;
	int ret;

	*pages = 0;
	ret = vgpu_may_go_on(map);
	if (ret)
		return ret;
	there = vgpu_batch_first(&space->live[write], iova, vgpu_map_last(map));
	if (there && there->start <= iova) {
		*pages = vgpu_link(map, index, there);
		return 0;
	}
	gap = map->npages - index;
	if (there)
		gap = (there->start - iova) >> PAGE_SHIFT;
	gap = min_t(u64, gap, BARTER_VGPU_BATCH);
	if (gap > space->config.max_pages - space->stat.pages)
		return -EDQUOT;

	new = *batch;
	*batch = NULL;
	new->npages = gap;
	new->start = iova;
	new->last = iova + (gap << PAGE_SHIFT) - 1;
	new->write = write;
	new->space = space;
	vgpu_tree_insert(new, &space->live[write]);
	space->stat.pages += gap;
	space->stat.batches++;
	vgpu_link(map, index, new);
	return 0;
}

/* Is this the memory of a device, which happens to have struct pages? */
static bool vgpu_is_device_memory(struct page *page, unsigned long pfn)
{
	return is_pci_p2pdma_page(page) ||
	       (PageReserved(page) && !is_zero_pfn(pfn));
}

/*
 * Runs of the pages that the backend has just pinned. By frame numbers: struct pages
 * that follow each other do not say that memory does.
 */
static int vgpu_batch_runs(struct barter_vgpu_space *space,
			   struct vgpu_batch *batch)
{
	struct vgpu_run *run = space->runs;
	unsigned long pfn, expected = 0;
	unsigned int i, nr = 0;

	lockdep_assert_held(&space->map_lock);

	for (i = 0; i < batch->npages; i++) {
		pfn = page_to_pfn(space->pages[i]);
		if (vgpu_is_device_memory(space->pages[i], pfn))
			return -EREMOTE;
		if (!i || pfn != expected) {
			run[nr].pfn = pfn;
			run[nr++].first = i;
		}
		expected = pfn + 1;
	}
	if (nr == 1) {
		batch->one = run[0];
		batch->runs = &batch->one;
	} else {
		batch->runs = kmemdup_array(run, nr, sizeof(*run), VGPU_GFP);
		if (!batch->runs)
			return -ENOMEM;
	}
	batch->nr_runs = nr;
	return 0;
}

/*
 * The backend, once more while it may take for a device's memory what the guest unmaps; but
 * the guest's unmap waits for us as soon as we are told of it.
 */
static int vgpu_batch_ask(struct barter_vgpu_space *space, struct vgpu_batch *batch)
{
	const struct barter_vgpu_config *config = &space->config;
	unsigned int tries = 0;
	bool told;
	int ret, again;

	do {
		ret = vgpu_answer(config->backend->pin(config->data, batch->start, batch->npages,
						       batch->write, space->pages));
		if (ret != -EREMOTE)
			return ret;
		mutex_lock(&space->lock);
		told = space->cancelled;
		mutex_unlock(&space->lock);
		if (told || vgpu_pin_is_told(space))
			return ret;
		again = vgpu_doubt(space, &tries);
	} while (again > 0);
	return again ? again : ret;
}

/* Have a batch pinned, its map's last link. */
static int vgpu_batch_pin(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	struct vgpu_batch *batch = map->links[map->nr_links - 1].batch;
	bool unmapped;
	int ret;

	if (!vgpu_pin_begin(space, batch->start, batch->last))
		return -EAGAIN;
	mutex_lock(&space->lock);
	space->in_backend++;
	mutex_unlock(&space->lock);
	ret = vgpu_batch_ask(space, batch);
	unmapped = vgpu_pin_end(space, ret == -EREMOTE);
	/* Memory of a device that has struct pages (p2pmem, from 6.2 on): no doubt of that. */
	if (ret == -EREMOTEIO)
		ret = -EREMOTE;
	trace_barter_vgpu_pin(space->name, batch->start, batch->npages,
			      batch->write, ret);
	if (!ret) {
		batch->pinned = true;
		ret = vgpu_batch_runs(space, batch);
	}
	mutex_lock(&space->lock);
	space->in_backend--;
	if (batch->pinned) {
		space->stat.pins++;
		space->stat.pinned += batch->npages;
	}
	/* If the guest is just taking it away then that is why this failed. */
	if (space->cancelled || unmapped)
		ret = -EAGAIN;
	mutex_unlock(&space->lock);
	/* Of what is mapped by address iommufd does not tell which of these it is. */
	if (ret == -EFAULT && !vgpu_asks_again(space))
		pr_warn_ratelimited(
			"barter-vgpu: %s: of guest addresses 0x%llx to 0x%llx something cannot be pinned: no memory, or none that may be written, a shared file of a filesystem that has to know when it is written, or memory of a device; for that use the dma-buf that the device's driver lends (barter export), not the address\n",
			space->name, batch->start, batch->last);
	if (ret == -EREMOTE)
		pr_warn_ratelimited("barter-vgpu: %s: in guest addresses 0x%llx to 0x%llx there is memory of a device, which cannot be pinned; use the dma-buf that the device's driver lends (barter export), not the address\n",
				    space->name, batch->start, batch->last);
	return ret;
}

/**
 * vgpu_pin - pin what a map needs
 * @map: being built, space->map_lock held
 *
 * Return: 0 or an errno. Links are there either way, for vgpu_drop().
 */
int vgpu_pin(struct barter_vgpu_map *map)
{
	struct barter_vgpu_space *space = map->space;
	struct vgpu_batch *spare = NULL;
	unsigned long index = 0;
	unsigned int pages;
	int ret = 0;

	lockdep_assert_held(&space->map_lock);

	while (index < map->npages) {
		ret = vgpu_link_room(map);
		if (ret)
			break;
		if (!spare) {
			ret = -ENOMEM;
			spare = kmem_cache_zalloc(vgpu_batch_cache, VGPU_GFP);
			if (!spare)
				break;
			INIT_LIST_HEAD(&spare->links);
		}
		mutex_lock(&space->lock);
		ret = vgpu_cover(map, index, &spare, &pages);
		mutex_unlock(&space->lock);
		if (!ret && !pages) {
			pages = map->links[map->nr_links - 1].npages;
			ret = vgpu_batch_pin(map);
		}
		if (ret)
			break;
		index += pages;
		ret = -EINTR;
		if (fatal_signal_pending(current))
			break;
		ret = 0;
		cond_resched();
	}
	if (spare)
		vgpu_batch_free(spare);
	return ret;
}

/**
 * vgpu_drop - undo vgpu_pin(), but for the unpinning
 * @map: finished or not, space->lock held
 * @release: batches that nobody uses any more are added, by node_release, for
 *	vgpu_release()
 */
void vgpu_drop(struct barter_vgpu_map *map, struct list_head *release)
{
	struct barter_vgpu_space *space = map->space;
	bool linked = map->state != VGPU_BUILDING;
	unsigned int i;

	for (i = 0; i < map->nr_links; i++) {
		struct vgpu_link *link = &map->links[i];

		if (linked)
			list_del(&link->node);
		vgpu_batch_put(space, link->batch, release);
	}
	map->nr_links = 0;
	vgpu_event(space);
}

/**
 * vgpu_pin_init - at module init
 *
 * Return: 0 or -ENOMEM.
 */
int vgpu_pin_init(void)
{
	vgpu_batch_cache = KMEM_CACHE(vgpu_batch, 0);
	return vgpu_batch_cache ? 0 : -ENOMEM;
}

/**
 * vgpu_pin_exit - at module exit
 */
void vgpu_pin_exit(void)
{
	kmem_cache_destroy(vgpu_batch_cache);
}
