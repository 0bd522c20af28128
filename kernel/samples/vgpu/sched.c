// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Who uses the engine next: all vEDUs that have memory ready for it, in turn.
 *
 * A job goes back and forth between two. Its vEDU's own worker (ring.c) takes commands
 * out of the ring, pins memory and gives it back, which may take as long as the guest
 * pleases: a page that it maps may be slow to come, or never come. So whoever stops a
 * vEDU ends such a wait by a signal, and time does, which only a thread of one's own can
 * be sent, no work item. The engine's worker, which all guests wait for, does transfers
 * and nothing else. A turn of it is at most two, whatever the command: what a guest asks
 * for decides how many turns it needs, not how long others wait.
 */
#include <linux/pci.h>
#include <linux/sched/signal.h>

#include "vedu.h"

/* How long a command may wait for its guest's memory, where that wait can be ended. */
#define VEDU_PATIENCE (10 * HZ)

static struct vedu *vedu_engine_next(struct vedu_engine *engine)
{
	struct vedu *v;

	spin_lock(&engine->lock);
	v = list_first_entry_or_null(&engine->runnable, struct vedu, node);
	engine->current_vedu = v;
	spin_unlock(&engine->lock);
	return v;
}

static void vedu_engine_work(struct work_struct *work)
{
	struct vedu_engine *engine = container_of(work, struct vedu_engine, work);
	struct vedu *v = vedu_engine_next(engine);
	bool more, others;

	if (!v)
		return;
	more = vedu_turn(v);

	spin_lock(&engine->lock);
	engine->current_vedu = NULL;
	if (more && !v->stopped) {
		list_move_tail(&v->node, &engine->runnable);
	} else {
		list_del_init(&v->node);
		v->with_engine = false;
		if (!v->stopped)
			kthread_queue_work(v->worker, &v->work);
	}
	others = !list_empty(&engine->runnable);
	/* From here on whoever waits for @v may free it. */
	spin_unlock(&engine->lock);
	wake_up_all(&engine->idle);
	if (others)
		queue_work(engine->queue, &engine->work);
}

/**
 * vedu_kick - there may be something to do
 * @v: for this one; nothing happens while it is stopped
 */
void vedu_kick(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	if (!v->stopped)
		kthread_queue_work(v->worker, &v->work);
	spin_unlock(&engine->lock);
}

/**
 * vedu_engine_has - is the job with the engine?
 * @v: the vEDU, by its own worker
 *
 * Return: true: it is, or @v is stopped; hands off.
 */
bool vedu_engine_has(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;
	bool has;

	spin_lock(&engine->lock);
	has = v->with_engine || v->stopped;
	spin_unlock(&engine->lock);
	return has;
}

/*
 * Only iommufd's waits for a guest's page can be ended. Type 1 fails where it would have to
 * wait like that; and a thread with a fatal signal that unpins there may forget to take the
 * page off the guest's RLIMIT_MEMLOCK.
 */
static bool vedu_wait_can_end(const struct vedu *v)
{
#if IS_ENABLED(CONFIG_IOMMUFD)
	return v->vdev.iommufd_access;
#else
	return false;
#endif
}

static void vedu_hurry(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	if (v->busy)
		send_sig(SIGKILL, v->busy, 1);
	spin_unlock(&engine->lock);
}

static void vedu_patience(struct work_struct *work)
{
	struct vedu *v = container_of(to_delayed_work(work), struct vedu, patience);

	vedu_hurry(v);
}

/**
 * vedu_work_init - prepare what ends the worker's waits
 * @v: a new vEDU
 */
void vedu_work_init(struct vedu *v)
{
	INIT_DELAYED_WORK(&v->patience, vedu_patience);
}

/**
 * vedu_work_begin - the worker begins
 * @v: its vEDU
 *
 * From here to vedu_work_end() vedu_engine_stop() sends it a signal, by which waits that can
 * be killed come to their end; and so does a command's time: iommufd has the guest's
 * address space locked while it waits for a page of it, and a VMM that changes it
 * meanwhile waits as well, not to be killed, with the page and all fds that could end this
 * in its hands. Before and after it never comes: the worker's own loop would not like it.
 * Nobody else can send it one: what comes from a program is ignored.
 */
void vedu_work_begin(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	allow_kernel_signal(SIGKILL);
	spin_lock(&engine->lock);
	if (!v->stopped && vedu_wait_can_end(v))
		v->busy = current;
	spin_unlock(&engine->lock);
}

/**
 * vedu_work_next - the worker goes on to the next command
 * @v: its vEDU
 *
 * Return: false if a signal has come that was meant for the one before, and would be the
 * end of this one.
 */
bool vedu_work_next(struct vedu *v)
{
	/* Nobody else writes it. */
	if (!v->busy)
		return true;
	cancel_delayed_work_sync(&v->patience);
	if (fatal_signal_pending(current))
		return false;
	schedule_delayed_work(&v->patience, VEDU_PATIENCE);
	return true;
}

/**
 * vedu_work_end - the worker ends
 * @v: its vEDU
 */
void vedu_work_end(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	v->busy = NULL;
	spin_unlock(&engine->lock);
	cancel_delayed_work_sync(&v->patience);
	/* And forget what has come. */
	disallow_signal(SIGKILL);
}

/**
 * vedu_engine_submit - hand the job to the engine
 * @v: by its own worker, which is woken again when the engine hands it back
 */
void vedu_engine_submit(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	if (!v->stopped) {
		v->with_engine = true;
		list_add_tail(&v->node, &engine->runnable);
		/* Before the lock goes: a stop comes before the queue is destroyed. */
		queue_work(engine->queue, &engine->work);
	}
	spin_unlock(&engine->lock);
}

/**
 * vedu_engine_pause - no transfer runs any more
 * @v: for this one
 *
 * Nor does one come before vedu_engine_start(). Waits for a turn at most.
 */
void vedu_engine_pause(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	v->stopped = true;
	if (engine->current_vedu != v)
		list_del_init(&v->node);
	spin_unlock(&engine->lock);
	wait_event(engine->idle, READ_ONCE(engine->current_vedu) != v);
	/* The worker may still be inside the lock, with a look at @v. */
	spin_lock(&engine->lock);
	v->with_engine = false;
	spin_unlock(&engine->lock);
}

/**
 * vedu_engine_stop - nothing runs any more
 * @v: for this one
 *
 * When it returns no transfer of @v runs, nor its worker, and nothing comes before
 * vedu_engine_start(): its job is the caller's. The worker may be in the middle of
 * pinning: if it waits for a page there it gives up.
 */
void vedu_engine_stop(struct vedu *v)
{
	vedu_engine_pause(v);
	vedu_hurry(v);
	kthread_cancel_work_sync(&v->work);
}

/**
 * vedu_engine_start - there may be transfers
 * @v: for this one, if its engine is there
 */
void vedu_engine_start(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;

	spin_lock(&engine->lock);
	v->stopped = engine->gone;
	spin_unlock(&engine->lock);
}

/**
 * vedu_engine_init - prepare the taking of turns
 * @engine: zeroed, with its pdev
 *
 * Return: 0, -ENOMEM.
 */
int vedu_engine_init(struct vedu_engine *engine)
{
	spin_lock_init(&engine->lock);
	INIT_LIST_HEAD(&engine->runnable);
	init_waitqueue_head(&engine->idle);
	INIT_WORK(&engine->work, vedu_engine_work);
	engine->queue = alloc_ordered_workqueue("%s-%s", 0, VEDU_NAME,
						pci_name(engine->pdev));
	return engine->queue ? 0 : -ENOMEM;
}

/* One of those that have not been told yet. */
static struct vedu *vedu_engine_unhalted(struct vedu_engine *engine)
{
	struct vedu *v;

	lockdep_assert_held(&engine->members_lock);

	list_for_each_entry(v, &engine->members, member)
		if (!v->halted)
			return v;
	return NULL;
}

/**
 * vedu_engine_halt - nobody gets a turn any more
 * @engine: the engine
 *
 * No transfer runs when it returns, and no guest's memory is mapped for the device.
 */
void vedu_engine_halt(struct vedu_engine *engine)
{
	struct vedu *v;

	spin_lock(&engine->lock);
	engine->gone = true;
	spin_unlock(&engine->lock);
	mutex_lock(&engine->members_lock);
	/* All at once, and then those whose pinning takes its time. */
	list_for_each_entry(v, &engine->members, member) {
		vedu_engine_pause(v);
		vedu_irq_raise(&v->request);
	}
	/* VFIO may keep one waiting: nobody waits for that but its own end. */
	while ((v = vedu_engine_unhalted(engine))) {
		v->halted = true;
		v->halting = true;
		mutex_unlock(&engine->members_lock);
		vedu_gone(v);
		mutex_lock(&engine->members_lock);
		WRITE_ONCE(v->halting, false);
		wake_up_all(&engine->idle);
	}
	mutex_unlock(&engine->members_lock);
}
