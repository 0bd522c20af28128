// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How often VFIO has asked for the same range. Type 1 calls dma_unmap again while pages
 * of the range are pinned, and stops the machine after eleven calls. A driver that
 * pins again between two of them has to be held off the last times; and whoever is
 * sent away to ask again must not be so too often. But a guest may well unmap and map
 * the same range many times a second: what tells that from VFIO asking again is that
 * its ioctl has ended in between, and that is what a task's work is run at.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "priv.h"

/* From this call on nobody may pin the range until its unmap is over. */
#define VGPU_ROUNDS	3

/* So often VFIO is sent away; then it is waited for, for the next one may be the last. */
#define VGPU_LATE_MOST	8

static DEFINE_MUTEX(vgpu_rounds_lock);

static void vgpu_round_end(struct callback_head *work)
{
	struct vgpu_round *round = container_of(work, struct vgpu_round, work);

	mutex_lock(&vgpu_rounds_lock);
	if (round->space) {
		mutex_lock(&round->space->lock);
		list_del(&round->node);
		mutex_unlock(&round->space->lock);
	}
	mutex_unlock(&vgpu_rounds_lock);
	kfree(round);
	module_put(THIS_MODULE);
}

/* Type 1 asks again for the range that it asked for last, so one record will do. */
static struct vgpu_round *vgpu_round_find(const struct vgpu_inval *inval)
{
	struct vgpu_round *round;

	list_for_each_entry(round, &inval->space->rounds, node) {
		if (round->task != current)
			continue;
		if (round->first != inval->first || round->last != inval->last) {
			round->first = inval->first;
			round->last = inval->last;
			round->rounds = 0;
			round->late = 0;
		}
		return round;
	}
	return NULL;
}

/**
 * vgpu_round_begin - VFIO asks for a range of which something is there
 * @inval: by current
 *
 * Return: the record of this unmap; NULL if there can be none, for want of memory or of
 * an ioctl that will end.
 */
struct vgpu_round *vgpu_round_begin(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	struct vgpu_round *round;

	mutex_lock(&space->lock);
	round = vgpu_round_find(inval);
	if (round)
		round->rounds++;
	mutex_unlock(&space->lock);
	if (round || current->flags & (PF_KTHREAD | PF_EXITING))
		return round;

	round = kzalloc(sizeof(*round), GFP_KERNEL);
	if (!round)
		return NULL;
	round->space = space;
	round->task = current;
	round->first = inval->first;
	round->last = inval->last;
	round->rounds = 1;
	init_task_work(&round->work, vgpu_round_end);
	if (task_work_add(current, &round->work, TWA_RESUME)) {
		kfree(round);
		return NULL;
	}
	__module_get(THIS_MODULE);
	mutex_lock(&space->lock);
	list_add(&round->node, &space->rounds);
	mutex_unlock(&space->lock);
	return round;
}

/**
 * vgpu_round_holds - must a map wait for the end of an unmap?
 * @space: a space, lock held
 * @first: first byte
 * @last: last byte
 *
 * Return: whether the range was pinned again in the middle of an unmap, several times.
 */
bool vgpu_round_holds(struct barter_vgpu_space *space, u64 first, u64 last)
{
	struct vgpu_round *round;

	lockdep_assert_held(&space->lock);

	list_for_each_entry(round, &space->rounds, node)
		if (round->rounds >= VGPU_ROUNDS && first <= round->last &&
		    last >= round->first)
			return true;
	return false;
}

/**
 * vgpu_round_is_patient - may VFIO not be sent away any more?
 * @round: the record of an unmap, or NULL
 *
 * Return: whether it has to be waited for.
 */
bool vgpu_round_is_patient(const struct vgpu_round *round)
{
	return !round || round->late >= VGPU_LATE_MOST;
}

/**
 * vgpu_rounds_forget - a space goes
 * @space: the space; the ioctls may not have ended yet
 */
void vgpu_rounds_forget(struct barter_vgpu_space *space)
{
	struct vgpu_round *round, *next;

	mutex_lock(&vgpu_rounds_lock);
	list_for_each_entry_safe(round, next, &space->rounds, node) {
		list_del(&round->node);
		round->space = NULL;
	}
	mutex_unlock(&vgpu_rounds_lock);
}
