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
 * unpinning takes type 1's iommu->lock, which whoever opens another device of the
 * container takes before the lock that we are called with. So the unpinning is
 * left to a worker; and should it not come to its end because of that other
 * device, then this returns, which resolves it, and is called again.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timer.h>

#include "priv.h"
#include "trace.h"

#define VGPU_FIRST_WARNING	(10 * HZ)
#define VGPU_NEXT_WARNING	(60 * HZ)

/* How long VFIO is waited for while its locks are held, and how often in a row. */
#define VGPU_PATIENCE		HZ
#define VGPU_LATE_MOST		5

/*
 * VFIO that asks for the same range so often, each time at once, loses a race against a
 * driver that pins it again. It asks ten times in all.
 */
#define VGPU_REPEATS		6
#define VGPU_HOLD_TIME		(HZ / 50 + 1)

enum vgpu_busy { VGPU_IDLE, VGPU_BACKEND, VGPU_DRIVER };

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
 * vgpu_may_not_unpin - does current hold VFIO's locks?
 * @space: a space, lock held
 *
 * Return: whether it is in barter_vgpu_dma_unmap().
 */
bool vgpu_may_not_unpin(struct barter_vgpu_space *space)
{
	struct vgpu_inval *inval;

	lockdep_assert_held(&space->lock);

	list_for_each_entry(inval, &space->invals, node)
		if (inval->task == current && inval->in_unmap)
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
	return space->repeats >= VGPU_REPEATS &&
	       time_before(jiffies, space->hold_until) &&
	       first <= space->last_last && last >= space->last_first;
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

/* Whom whoever takes memory back still waits for. */
static enum vgpu_busy vgpu_busy(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	enum vgpu_busy busy = VGPU_IDLE;
	struct barter_vgpu_map *map;
	struct vgpu_batch *batch;

	lockdep_assert_held(&space->lock);

	if (inval->dma_dev) {
		list_for_each_entry(map, &space->maps, node)
			if (map->dma_dev == inval->dma_dev)
				return VGPU_DRIVER;
		map = space->building;
		return map && map->dma_dev == inval->dma_dev ? VGPU_BACKEND :
							       VGPU_IDLE;
	}
	batch = vgpu_batch_first(&space->leaving, inval->first, inval->last);
	for (; batch; batch = vgpu_batch_next(batch, inval->first, inval->last)) {
		if (!list_empty(&batch->links))
			return VGPU_DRIVER;
		busy = VGPU_BACKEND;
	}
	return busy;
}

/* Wait until nobody worse than @most is waited for; false if time is over. */
static bool vgpu_wait(struct vgpu_inval *inval, enum vgpu_busy most, long left)
{
	struct barter_vgpu_space *space = inval->space;
	enum vgpu_busy busy;
	unsigned long seen;

	for (;;) {
		mutex_lock(&space->lock);
		seen = space->events;
		busy = vgpu_busy(inval);
		mutex_unlock(&space->lock);
		if (busy <= most)
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
	queue_delayed_work(system_unbound_wq, &inval->watchdog,
			   VGPU_NEXT_WARNING);
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
						 inval->first, inval->last)))
			vgpu_mark_batch(inval, batch);
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

/* See the top of this file. False if VFIO was not waited for to the end. */
static bool vgpu_wait_all(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	bool done, patient;

	mutex_lock(&space->lock);
	patient = !inval->in_unmap || space->late >= VGPU_LATE_MOST;
	mutex_unlock(&space->lock);
	vgpu_wait(inval, VGPU_BACKEND, MAX_SCHEDULE_TIMEOUT);
	done = vgpu_wait(inval, VGPU_IDLE,
			 patient ? MAX_SCHEDULE_TIMEOUT : VGPU_PATIENCE);
	mutex_lock(&space->lock);
	space->late = done ? 0 : space->late + 1;
	mutex_unlock(&space->lock);
	return done;
}

/* Take back what @inval says. Returns whether there was anything. */
static bool vgpu_take(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	bool found;

	inval->task = current;
	inval->began = jiffies;
	INIT_LIST_HEAD(&inval->maps);
	mutex_lock(&space->lock);
	list_add(&inval->node, &space->invals);
	vgpu_mark(inval);
	found = vgpu_busy(inval) != VGPU_IDLE;
	mutex_unlock(&space->lock);

	if (found) {
		INIT_DELAYED_WORK_ONSTACK(&inval->watchdog, vgpu_watchdog);
		queue_delayed_work(system_unbound_wq, &inval->watchdog,
				   VGPU_FIRST_WARNING);
		vgpu_tell(inval);
		vgpu_wait_all(inval);
		cancel_delayed_work_sync(&inval->watchdog);
		destroy_delayed_work_on_stack(&inval->watchdog);
	}

	mutex_lock(&space->lock);
	list_del(&inval->node);
	mutex_unlock(&space->lock);
	return found;
}

/*
 * Between our return and VFIO's next look a driver may pin the range again; VFIO then
 * asks again, but not for ever. The last times come to an end by force.
 */
static void vgpu_note_repeat(const struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;

	mutex_lock(&space->lock);
	if (space->last_first == inval->first &&
	    space->last_last == inval->last &&
	    time_before_eq(inval->began, space->last_time + 1))
		space->repeats++;
	else
		space->repeats = 0;
	space->last_first = inval->first;
	space->last_last = inval->last;
	space->last_time = jiffies;
	space->hold_until = jiffies + VGPU_HOLD_TIME;
	mutex_unlock(&space->lock);
}

void barter_vgpu_dma_unmap(struct barter_vgpu_space *space, u64 iova, u64 length)
{
	struct vgpu_inval inval = { .space = space, .first = iova,
				    .in_unmap = true };

	if (!space || !length)
		return;
	inval.last = length - 1 > U64_MAX - iova ? U64_MAX : iova + length - 1;
	if (vgpu_take(&inval))
		vgpu_note_repeat(&inval);
}
BARTER_EXPORT(barter_vgpu_dma_unmap);

void barter_vgpu_revoke_device(struct barter_vgpu_space *space,
			       struct device *dma_dev)
{
	struct vgpu_inval inval = { .space = space, .dma_dev = dma_dev };

	if (!WARN_ON(!dma_dev))
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
