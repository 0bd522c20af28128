// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Taking memory back: because the guest unmaps it, because the space is closed, or
 * because a device goes.
 *
 *	mark	batches leave, their maps are found no more, a map that is being
 *		built there will fail; all in one hold of space->lock
 *	tell	the driver, for each map
 *	wait	until the last reference is gone and what was pinned is unpinned
 *
 * The guest's unmap comes with locks of VFIO held, and must not return before its
 * pages are unpinned: type 1 asks ten times more and then stops the machine. But
 * unpinning takes type 1's iommu->lock, and whoever opens another device of the
 * container, or unmaps something else there, holds that while it waits for
 * device_list_lock, which we are called with. So the unpinning is left to workers. Should
 * they not come to their end within a second, then this returns, which resolves it, and is
 * called again: all the workers have queued up for iommu->lock by then, before type 1
 * does. The same goes for a driver's thread that is within the backend while it has a map
 * that it is to give back. Backends that do not ask again are waited for to the end.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timer.h>

#include "priv.h"
#include "trace.h"

#define VGPU_FIRST_WARNING	(10 * HZ)
#define VGPU_NEXT_WARNING	(60 * HZ)

/* How long VFIO is waited for while its locks are held. */
#define VGPU_PATIENCE		HZ

struct workqueue_struct *vgpu_watchdogs;

/**
 * vgpu_may_not_call - is this the driver's invalidate?
 * @space: a space, lock held
 *
 * Return: whether current is taking memory of the space back.
 */
bool vgpu_may_not_call(struct barter_vgpu_space *space)
{
	struct vgpu_inval *inval;

	lockdep_assert_held(&space->lock);

	list_for_each_entry(inval, &space->invals, node)
		if (inval->task == current)
			return true;
	return false;
}

/**
 * vgpu_may_not_unpin - is the unpinning left to workers?
 * @space: a space, lock held
 *
 * Return: whether somebody is in barter_vgpu_dma_unmap(): current itself must not, and
 * others would do it one after the other, while VFIO's patience lasts.
 */
bool vgpu_may_not_unpin(struct barter_vgpu_space *space)
{
	struct vgpu_inval *inval;

	lockdep_assert_held(&space->lock);

	list_for_each_entry(inval, &space->invals, node)
		if (inval->in_unmap)
			return true;
	return false;
}

/**
 * vgpu_is_taken - must a new map wait for those who take memory back?
 * @space: a space, lock held
 * @first: first byte
 * @last: last byte
 * @dma_dev: its device, or NULL
 *
 * Return: whether somebody is taking back what it needs.
 */
bool vgpu_is_taken(struct barter_vgpu_space *space, u64 first, u64 last,
		   struct device *dma_dev)
{
	struct vgpu_inval *inval;

	lockdep_assert_held(&space->lock);

	list_for_each_entry(inval, &space->invals, node) {
		if (inval->dma_dev ? inval->dma_dev == dma_dev :
		    first <= inval->last && last >= inval->first)
			return true;
	}
	return vgpu_round_holds(space);
}

/**
 * vgpu_event - somebody may have waited for what has changed
 * @space: a space, lock held
 */
void vgpu_event(struct barter_vgpu_space *space)
{
	lockdep_assert_held(&space->lock);

	WRITE_ONCE(space->events, space->events + 1);
	wake_up_all(&space->wait);
}

/* Is there anything left that whoever takes memory back waits for? */
static bool vgpu_is_busy(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	struct barter_vgpu_map *map = space->building;

	lockdep_assert_held(&space->lock);

	if (!inval->dma_dev)
		return vgpu_batch_first(&space->leaving, inval->first, inval->last);
	if (map && map->dma_dev == inval->dma_dev)
		return true;
	list_for_each_entry(map, &space->maps, node)
		if (map->dma_dev == inval->dma_dev)
			return true;
	return false;
}

/* Wait until nothing is left; false if time is over. */
static bool vgpu_wait(struct vgpu_inval *inval, long left)
{
	struct barter_vgpu_space *space = inval->space;
	unsigned long seen;
	bool busy;

	for (;;) {
		mutex_lock(&space->lock);
		seen = space->events;
		busy = vgpu_is_busy(inval);
		mutex_unlock(&space->lock);
		if (!busy)
			return true;
		if (!left)
			return false;
		/* Idle: the watchdog has a word to say, the hung task detector none. */
		left = wait_event_idle_timeout(space->wait,
					       READ_ONCE(space->events) != seen,
					       left);
	}
}

/* Say who is waited for. */
static void vgpu_watchdog(struct work_struct *work)
{
	struct vgpu_inval *inval = container_of(to_delayed_work(work),
						struct vgpu_inval, watchdog);
	struct barter_vgpu_space *space = inval->space;
	struct barter_vgpu_map *map, *owed = NULL;
	unsigned int seconds = (jiffies - inval->began) / HZ;
	unsigned long nr = 0;

	mutex_lock(&space->lock);
	list_for_each_entry(map, &space->maps, node) {
		if (map->state == VGPU_LIVE)
			continue;
		owed = owed ?: map;
		nr++;
	}
	if (owed) {
		space->stat.late++;
		pr_warn("barter-vgpu: %s: driver %s has not let go of %lu maps for %u s, the first one of %lu pages at guest address 0x%llx, with %u references\n",
			space->name, module_name(space->config.ops->owner), nr,
			seconds, owed->npages, owed->iova, owed->refs);
	} else {
		pr_warn("barter-vgpu: %s: %s has not unpinned guest memory for %u s\n",
			space->name, space->config.backend->name, seconds);
	}
	mutex_unlock(&space->lock);
	queue_delayed_work(vgpu_watchdogs, &inval->watchdog, VGPU_NEXT_WARNING);
}

/* A batch that loses pages, and with it all its maps. */
static void vgpu_mark_batch(struct vgpu_inval *inval, struct vgpu_batch *batch)
{
	struct barter_vgpu_space *space = inval->space;
	struct barter_vgpu_map *building = space->building;
	struct vgpu_link *link;

	vgpu_batch_leave(space, batch);
	list_for_each_entry(link, &batch->links, node)
		vgpu_map_revoke(link->map, &inval->maps);
	if (building && building->iova <= batch->last &&
	    vgpu_map_last(building) >= batch->start)
		space->cancelled = true;
}

static void vgpu_mark(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	struct barter_vgpu_map *map = space->building;
	struct vgpu_batch *batch;
	unsigned int write;

	lockdep_assert_held(&space->lock);

	if (inval->dma_dev) {
		if (map && map->dma_dev == inval->dma_dev)
			space->cancelled = true;
		list_for_each_entry(map, &space->maps, node)
			if (map->dma_dev == inval->dma_dev)
				vgpu_map_revoke(map, &inval->maps);
		return;
	}
	if (map && map->iova <= inval->last && vgpu_map_last(map) >= inval->first)
		space->cancelled = true;
	for (write = 0; write < 2; write++) {
		while ((batch = vgpu_batch_first(&space->live[write],
						 inval->first, inval->last))) {
			vgpu_mark_batch(inval, batch);
			if (!need_resched())
				continue;
			/* Being in the list, we keep new maps out. */
			mutex_unlock(&space->lock);
			cond_resched();
			mutex_lock(&space->lock);
		}
	}
}

static void vgpu_tell(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	const struct barter_vgpu_config *config = &space->config;
	struct barter_vgpu_map *map, *next;

	/* Each is in this list only, and we have a reference. */
	list_for_each_entry_safe(map, next, &inval->maps, node_told) {
		list_del(&map->node_told);
		trace_barter_vgpu_invalidate(space->name, map->iova, map->npages,
					     map->dma_dev);
		config->ops->invalidate(config->priv, map);
		mutex_lock(&space->lock);
		space->stat.invalidates++;
		mutex_unlock(&space->lock);
		vgpu_map_put(map);
		cond_resched();
	}
}

/* May VFIO be sent away now, to ask again? */
static bool vgpu_may_be_late(struct vgpu_inval *inval, struct vgpu_round *round)
{
	struct barter_vgpu_space *space = inval->space;
	bool may;

	if (!inval->in_unmap || !vgpu_asks_again(space))
		return false;
	mutex_lock(&space->lock);
	may = space->in_backend;
	mutex_unlock(&space->lock);
	return may && !vgpu_round_is_patient(round);
}

/* See the top of this file. */
static void vgpu_wait_all(struct vgpu_inval *inval, struct vgpu_round *round)
{
	while (!vgpu_wait(inval, VGPU_PATIENCE))
		if (vgpu_may_be_late(inval, round))
			return;
}

/* Take back what @inval says. */
static void vgpu_take(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	struct vgpu_round *round = NULL;
	bool found;

	inval->task = current;
	inval->began = jiffies;
	INIT_LIST_HEAD(&inval->maps);
	if (inval->in_unmap)
		round = vgpu_round_begin(inval);
	mutex_lock(&space->lock);
	list_add(&inval->node, &space->invals);
	vgpu_mark(inval);
	found = vgpu_is_busy(inval);
	mutex_unlock(&space->lock);

	if (found) {
		INIT_DELAYED_WORK_ONSTACK(&inval->watchdog, vgpu_watchdog);
		queue_delayed_work(vgpu_watchdogs, &inval->watchdog,
				   VGPU_FIRST_WARNING);
		vgpu_tell(inval);
		vgpu_wait_all(inval, round);
		cancel_delayed_work_sync(&inval->watchdog);
		destroy_delayed_work_on_stack(&inval->watchdog);
	}

	mutex_lock(&space->lock);
	list_del(&inval->node);
	mutex_unlock(&space->lock);
}

void barter_vgpu_dma_unmap(struct barter_vgpu_space *space, u64 iova, u64 length)
{
	struct vgpu_inval inval = { .space = space, .first = iova,
				    .in_unmap = true };

	if (!space || !length)
		return;
	inval.last = length - 1 > U64_MAX - iova ? U64_MAX : iova + length - 1;
	vgpu_take(&inval);
}
BARTER_EXPORT(barter_vgpu_dma_unmap);

void barter_vgpu_revoke_device(struct barter_vgpu_space *space,
			       struct device *dma_dev)
{
	struct vgpu_inval inval = { .space = space, .dma_dev = dma_dev };
	bool wrong;

	mutex_lock(&space->lock);
	wrong = vgpu_may_not_call(space);
	mutex_unlock(&space->lock);
	/* It would wait for the map that it was called for. */
	if (WARN_ON_ONCE(wrong || !dma_dev))
		return;
	vgpu_take(&inval);
}
BARTER_EXPORT(barter_vgpu_revoke_device);

/**
 * vgpu_take_all - everything
 * @space: a space that is no more open
 */
void vgpu_take_all(struct barter_vgpu_space *space)
{
	struct vgpu_inval inval = { .space = space, .last = U64_MAX };

	vgpu_take(&inval);
}

/**
 * vgpu_wait_idle - wait until nobody is in the backend
 * @space: a space that is no more open, with nothing pinned
 */
void vgpu_wait_idle(struct barter_vgpu_space *space)
{
	unsigned long seen;
	bool idle;

	for (;;) {
		mutex_lock(&space->lock);
		seen = space->events;
		idle = !space->copies && !space->building;
		mutex_unlock(&space->lock);
		if (idle)
			return;
		wait_event_idle(space->wait, READ_ONCE(space->events) != seen);
	}
}
