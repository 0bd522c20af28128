// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Unmaps of guests, each from the first call that tells a space of it to the end of its
 * ioctl, which is when a task's work is run.
 *
 * Type 1 calls dma_unmap of all devices of a container, again and again while pages of
 * the range are pinned for any of them, and stops the machine after eleven rounds. So a
 * driver that pins again between two rounds has to be held off the last ones, and whoever
 * is sent away to ask again must not be so too often. What counts are VFIO's rounds,
 * whether something of this space was there or not: when it is another device that has
 * kept VFIO asking ten times there is one round left for all. A guest may well unmap and
 * map the same range many times a second: what tells that from VFIO asking again is that
 * its ioctl has ended in between.
 *
 * A device that is opened in the middle of it has not seen the rounds before. What a space
 * cannot know is its container; so it takes the unmaps of the same process that were there
 * before it for its own. (A guest of several processes, that has one of them open a device
 * when type 1 is about to look for the last time, can still stop the machine, as with any
 * driver of VFIO's that pins.)
 *
 * And iommufd answers of memory that it is unmapping as of memory that it cannot pin: from
 * before it tells the first device to after it has told the last.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include "priv.h"

/* From this round on nobody may pin the range until its unmap is over. */
#define VGPU_ROUNDS	3

/* So often VFIO is sent away; then it is waited for, for the next one may be the last. */
#define VGPU_LATE_MOST	8

/* So long after the end of an unmap a pin may still have its answer to come. */
#define VGPU_NOTICED	(HZ / 4)

/* All unmaps, one entry for each space that was told of it. */
static LIST_HEAD(vgpu_rounds);
static u64 vgpu_rounds_seq;
static DEFINE_SPINLOCK(vgpu_rounds_lock);

static bool vgpu_round_meets(const struct vgpu_round *round, u64 first, u64 last)
{
	return first <= round->last && last >= round->first;
}

static void vgpu_notice(struct barter_vgpu_space *space, u64 first, u64 last)
{
	lockdep_assert_held(&vgpu_rounds_lock);

	space->noticed_first = first;
	space->noticed_last = last;
	space->noticed_time = jiffies ?: 1;
}

static void vgpu_round_end(struct callback_head *work)
{
	struct vgpu_round *round = container_of(work, struct vgpu_round, work);

	spin_lock(&vgpu_rounds_lock);
	list_del(&round->node);
	if (round->space)
		vgpu_notice(round->space, round->first, round->last);
	spin_unlock(&vgpu_rounds_lock);
	kfree(round);
	module_put(THIS_MODULE);
}

/*
 * Count a round of current's unmap: one more than this space has seen, or as many as
 * another. Type 1 begins anew for each range, and asks for the same until it is empty,
 * so one entry for each space will do.
 */
static struct vgpu_round *vgpu_round_count(const struct vgpu_inval *inval,
					   struct vgpu_round *new)
{
	struct vgpu_round *round, *own = new;
	unsigned int most = 1;

	lockdep_assert_held(&vgpu_rounds_lock);

	list_for_each_entry(round, &vgpu_rounds, node) {
		if (round->task != current)
			continue;
		if (round->space == inval->space)
			own = round;
		else if (round->first == inval->first && round->last == inval->last)
			most = max(most, round->rounds);
	}
	if (!own)
		return NULL;
	if (own->first != inval->first || own->last != inval->last)
		own->rounds = 0;
	own->first = inval->first;
	own->last = inval->last;
	own->rounds = max(own->rounds + 1, most);
	return own;
}

/**
 * vgpu_round_begin - VFIO tells a space of an unmap
 * @inval: by current
 *
 * Return: the record of this unmap; NULL if there can be none, for want of an ioctl that
 * will end.
 */
struct vgpu_round *vgpu_round_begin(struct vgpu_inval *inval)
{
	struct vgpu_round *round;

	spin_lock(&vgpu_rounds_lock);
	round = vgpu_round_count(inval, NULL);
	spin_unlock(&vgpu_rounds_lock);
	if (round)
		return round;

	/* Without it VFIO might stop the machine. */
	round = kzalloc(sizeof(*round), GFP_KERNEL | __GFP_NOFAIL);
	round->space = inval->space;
	round->task = current;
	round->mm = current->mm;
	round->first = inval->first;
	round->last = inval->last;
	init_task_work(&round->work, vgpu_round_end);
	if (current->flags & PF_KTHREAD ||
	    task_work_add(current, &round->work, TWA_RESUME)) {
		kfree(round);
		spin_lock(&vgpu_rounds_lock);
		vgpu_notice(inval->space, inval->first, inval->last);
		spin_unlock(&vgpu_rounds_lock);
		return NULL;
	}
	__module_get(THIS_MODULE);
	spin_lock(&vgpu_rounds_lock);
	round->seq = ++vgpu_rounds_seq;
	vgpu_round_count(inval, round);
	list_add(&round->node, &vgpu_rounds);
	spin_unlock(&vgpu_rounds_lock);
	return round;
}

/**
 * vgpu_round_holds - must a map wait for the end of an unmap?
 * @space: a space
 * @first: first byte
 * @last: last byte
 *
 * Return: whether VFIO has asked for some of the range several times already.
 */
bool vgpu_round_holds(struct barter_vgpu_space *space, u64 first, u64 last)
{
	struct vgpu_round *round;
	bool holds = false;

	spin_lock(&vgpu_rounds_lock);
	list_for_each_entry(round, &vgpu_rounds, node) {
		if (round->rounds < VGPU_ROUNDS ||
		    !vgpu_round_meets(round, first, last))
			continue;
		if (round->space == space ||
		    (round->mm == space->mm && round->seq <= space->opened))
			holds = true;
	}
	spin_unlock(&vgpu_rounds_lock);
	return holds;
}

/**
 * vgpu_round_is_patient - may VFIO not be sent away any more?
 * @round: the record of an unmap, or NULL
 *
 * Return: whether it has to be waited for.
 */
bool vgpu_round_is_patient(const struct vgpu_round *round)
{
	return !round || round->rounds > VGPU_LATE_MOST;
}

/**
 * vgpu_was_unmapped - may a pin have failed because of an unmap?
 * @space: a space
 * @first: first byte
 * @last: last byte
 *
 * For backends that do not ask again; see the top of this file. Of an unmap that other
 * devices are told of first this space knows by theirs, if they are of the same process.
 *
 * Return: whether the guest unmaps some of the range, or did so a moment ago.
 */
bool vgpu_was_unmapped(struct barter_vgpu_space *space, u64 first, u64 last)
{
	const struct barter_vgpu_config *config = &space->config;
	struct vgpu_round *round;
	bool was;

	if (config->backend->asks_again &&
	    config->backend->asks_again(config->data))
		return false;
	spin_lock(&vgpu_rounds_lock);
	was = space->noticed_time && first <= space->noticed_last &&
	      last >= space->noticed_first &&
	      time_before(jiffies, space->noticed_time + VGPU_NOTICED);
	list_for_each_entry(round, &vgpu_rounds, node)
		if ((round->space == space || round->mm == space->mm) &&
		    vgpu_round_meets(round, first, last))
			was = true;
	spin_unlock(&vgpu_rounds_lock);
	return was;
}

/**
 * vgpu_rounds_open - a space is opened, by current
 * @space: the space
 */
void vgpu_rounds_open(struct barter_vgpu_space *space)
{
	spin_lock(&vgpu_rounds_lock);
	space->mm = current->mm;
	space->opened = vgpu_rounds_seq;
	spin_unlock(&vgpu_rounds_lock);
}

/**
 * vgpu_rounds_forget - a space goes
 * @space: the space; the ioctls may not have ended yet
 */
void vgpu_rounds_forget(struct barter_vgpu_space *space)
{
	struct vgpu_round *round;

	spin_lock(&vgpu_rounds_lock);
	list_for_each_entry(round, &vgpu_rounds, node)
		if (round->space == space)
			round->space = NULL;
	spin_unlock(&vgpu_rounds_lock);
}
