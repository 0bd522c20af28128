// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Taking memory back: the one path by which buffers stop being usable.
 *
 * A device is closed to everybody by a set of reasons; a buffer is usable
 * exactly while the set is empty. A reason is added by a revoke, which works in
 * three steps over all buffers of the device:
 *
 *	mark	under each dma_resv: no map and no page fault succeeds from here
 *		on; importers are told; the fences of this moment are collected
 *	zap	CPU mappings; whoever faulted before the mark is gone now
 *	wait	for those fences and for every unmap
 *
 * and only then returns. A restore removes a reason and invalidates nothing:
 * importers map again at their next use, or when restored() tells them to; CPU
 * mappings fault back in.
 *
 * One buffer alone, with the slices that were cut from it, is taken back for ever in
 * the same steps (barter_buf_revoke()). Its own reasons are beside the device's. It
 * waits without the exporter mutex: others may be lent meanwhile, or ended, and the
 * device may be taken back, which then waits for the same importers.
 *
 * A wait that a fatal signal ends leaves the buffers marked, under a reason of
 * its own (INTERRUPTED), which the next revoke that comes to its end removes.
 */
#include <linux/export.h>
#include <linux/file.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>

#include "priv.h"
#include "trace.h"

/* Reasons that may be given several times at once and end as often. */
#define BARTER_REASONS_NEST	(BARTER_REASON_CONFIG | BARTER_REASON_RESET)

#ifdef CONFIG_LOCKDEP
static struct lock_class_key barter_revoke_key;
static struct lockdep_map barter_revoke_map =
	STATIC_LOCKDEP_MAP_INIT("barter_revoke_wait", &barter_revoke_key);

/*
 * The wait of a revoke is a lock to lockdep: held by whoever has been told to
 * let go, taken by whoever waits for that.
 */
#define barter_revoke_acquire()	lock_map_acquire(&barter_revoke_map)
#define barter_revoke_release()	lock_map_release(&barter_revoke_map)
#else
#define barter_revoke_acquire()	do { } while (0)
#define barter_revoke_release()	do { } while (0)
#endif

/**
 * barter_revoke_notify - tell all importers to let go
 * @buf: the buffer, its dma_resv held
 *
 * An importer that lets go right here must not need what a waiting revoke may
 * hold; lockdep is told of that by the map around the call. What core itself has
 * mapped for importers is unmapped afterwards, and each attachment's interconnect
 * may be chosen anew.
 */
void barter_revoke_notify(struct barter_buf *buf)
{
	struct dma_buf_attachment *attach;

	dma_resv_assert_held(buf->dmabuf->resv);

	barter_revoke_acquire();
	barter_dma_buf_invalidate(buf->dmabuf);
	barter_revoke_release();
	list_for_each_entry(attach, &buf->dmabuf->attachments, node) {
		struct barter_attach *ba = attach->priv;

		barter_domain_revoke(ba);
		ba->chosen = NULL;
		ba->declined = 0;
	}
}

/*
 * Every buffer of the exporter that anybody has a reference to, with another, on
 * a list of the caller's.
 */
static void barter_revoke_collect(struct barter_exporter *exp,
				  struct list_head *bufs)
{
	struct barter_buf *buf;
	unsigned int n = 0;

	lockdep_assert_held(&exp->lock);

	spin_lock(&exp->list_lock);
	list_for_each_entry(buf, &exp->bufs, exp_node) {
		/* One that is being released has no map and no VMA left. */
		if (!barter_buf_get(buf))
			continue;
		list_add_tail(&buf->revoke_node, bufs);
		/* Being held, it stays on the list. */
		barter_exporter_list_pause(exp, &n);
	}
	spin_unlock(&exp->list_lock);
}

/*
 * May release buffers, which needs leaf locks only; the caller keeps the
 * exporter itself alive.
 */
static void barter_revoke_drop(struct list_head *bufs)
{
	struct barter_buf *buf, *next;

	list_for_each_entry_safe(buf, next, bufs, revoke_node) {
		list_del_init(&buf->revoke_node);
		barter_buf_put(buf);
	}
}

static void barter_revoke_state(struct barter_buf *buf, u32 state)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	WRITE_ONCE(buf->state, state);
	buf->generation++;
	barter_watch_changed(buf);
}

/*
 * @own: reasons that are the buffer's alone from now on. @fences: set to those that
 * are to be waited for.
 */
static void barter_revoke_mark(struct barter_buf *buf, u32 own,
			       struct barter_fences *fences)
{
	lockdep_assert_held(&buf->exp->lock);

	dma_resv_lock(buf->dmabuf->resv, NULL);
	buf->waits++;
	WRITE_ONCE(buf->own, buf->own | own);
	buf->reasons = buf->exp->reasons | buf->own;
	if (buf->reasons & BARTER_REASONS_FINAL)
		WRITE_ONCE(buf->final, true);
	if (buf->state == BARTER_STATE_OK) {
		barter_revoke_state(buf, BARTER_STATE_REVOKING);
		buf->drained = false;
		barter_revoke_notify(buf);
	} else if (!buf->drained && buf->state == BARTER_STATE_REVOKED) {
		/* A killed revoke left it half way; they know already. */
		barter_revoke_state(buf, BARTER_STATE_REVOKING);
	}
	if (!buf->drained)
		barter_fences_get(buf, fences);
	dma_resv_unlock(buf->dmabuf->resv);
}

/* To be called with all locks held that are held while waiting. */
static void barter_revoke_may_wait(void)
{
	barter_revoke_acquire();
	barter_revoke_release();
	might_sleep();
}

static int barter_revoke_wait(struct list_head *bufs, u32 reason, bool killable)
{
	struct barter_wait wait;
	struct barter_buf *buf;
	int ret = 0;

	barter_revoke_may_wait();
	barter_wait_begin(&wait, reason, killable);
	list_for_each_entry(buf, bufs, revoke_node) {
		if (buf->drained)
			continue;
		if (!ret)
			ret = barter_wait_buf(&wait, buf, &buf->fences);
		barter_fences_put(&buf->fences);
	}
	return ret;
}

/* Before the wait: who is slow to let go shall not have it by the CPU meanwhile. */
static void barter_revoke_zap(struct list_head *bufs)
{
	struct barter_buf *buf;

	list_for_each_entry(buf, bufs, revoke_node)
		/* Of a BAR's user: may have come back since the last revoke. */
		if (!buf->drained || buf->bar_mmap)
			barter_buf_zap(buf);
}

/* What follows from the reasons, and from who waits. */
static u32 barter_state_now(const struct barter_buf *buf)
{
	if (buf->final && buf->drained)
		return BARTER_STATE_DEAD;
	if (buf->waits && !buf->drained)
		return BARTER_STATE_REVOKING;
	return buf->reasons ? BARTER_STATE_REVOKED : BARTER_STATE_OK;
}

static void barter_settle_buf(struct barter_buf *buf)
{
	u32 state;

	dma_resv_assert_held(buf->dmabuf->resv);

	if (!buf->final)
		buf->reasons = barter_exporter_reasons(buf->exp) | buf->own;
	state = barter_state_now(buf);
	/* Nobody has it: nobody is in the way. */
	if (state == BARTER_STATE_DEAD)
		buf->reasons &= ~BARTER_REASON_INTERRUPTED;
	if (state == buf->state)
		return;
	barter_revoke_state(buf, state);
	if (state == BARTER_STATE_OK)
		barter_attach_restored(buf);
}

/* How it came out. */
enum barter_outcome {
	BARTER_SETTLE_RESTORED,		/* nobody has waited */
	BARTER_SETTLE_KILLED,		/* not to the end */
	BARTER_SETTLE_DONE,		/* all was waited for */
};

/* Of a revoke of the device, or the end of one: every buffer gets the reasons of now. */
static void barter_revoke_settle(struct list_head *bufs,
				 enum barter_outcome outcome)
{
	struct barter_buf *buf;

	list_for_each_entry(buf, bufs, revoke_node) {
		dma_resv_lock(buf->dmabuf->resv, NULL);
		if (outcome != BARTER_SETTLE_RESTORED)
			buf->waits--;
		if (outcome == BARTER_SETTLE_DONE) {
			buf->drained = true;
			WRITE_ONCE(buf->own,
				   buf->own & ~BARTER_REASON_INTERRUPTED);
		}
		barter_settle_buf(buf);
		dma_resv_unlock(buf->dmabuf->resv);
	}
}

/* Dead buffers are nobody's business any more. */
static void barter_revoke_forget(struct barter_exporter *exp,
				 struct list_head *bufs)
{
	struct barter_buf *buf;
	unsigned int n = 0;

	spin_lock(&exp->list_lock);
	list_for_each_entry(buf, bufs, revoke_node) {
		list_del_init(&buf->exp_node);
		barter_exporter_list_pause(exp, &n);
	}
	spin_unlock(&exp->list_lock);
}

/* Under the lock, but barter_exporter_reasons() reads without it. */
static void barter_reasons_set(struct barter_exporter *exp, u32 reasons)
{
	lockdep_assert_held(&exp->lock);
	WRITE_ONCE(exp->reasons, reasons);
}

/* Returns false if it was in force already and does not count. */
static bool barter_reason_add(struct barter_exporter *exp, u32 reason)
{
	bool added = !(exp->reasons & reason) || reason & BARTER_REASONS_NEST;

	if (reason & BARTER_REASONS_NEST)
		exp->depth[ilog2(reason)]++;
	barter_reasons_set(exp, exp->reasons | reason);
	return added;
}

static void barter_reason_remove(struct barter_exporter *exp, u32 reason)
{
	if (reason & BARTER_REASONS_NEST) {
		if (WARN_ON_ONCE(!exp->depth[ilog2(reason)]))
			return;
		if (--exp->depth[ilog2(reason)])
			return;
	}
	barter_reasons_set(exp, exp->reasons & ~reason);
}

/**
 * barter_exporter_revoke - take all buffers of a device back
 * @exp: the exporter
 * @reason: one BARTER_REASON_* bit. CONFIG and RESET count how often they were
 *	given; the others are on or off. CLOSED and GONE are final for the
 *	buffers that exist.
 * @flags: BARTER_REVOKE_KILLABLE, BARTER_REVOKE_FACT
 *
 * When it returns 0, no DMA mapping, no fence from before the call, and no CPU
 * mapping made through barter reaches the memory, and none will before the
 * matching barter_exporter_restore(). An importer that does not let go is named
 * in the kernel log after 10 seconds, then every minute.
 *
 * Context: process; sleeps for as long as importers take. The caller may hold
 * the driver's access lock and the device_lock, but no dma_resv.
 *
 * Return: 0, or -EINTR with BARTER_REVOKE_KILLABLE: then this call's @reason
 * does not count and must not be restored, the operation must not be begun, and
 * buffers stay revoked until a later revoke and restore come to their end. With
 * BARTER_REVOKE_FACT the reason is in force all the same.
 */
int barter_exporter_revoke(struct barter_exporter *exp, u32 reason,
			   unsigned int flags)
{
	bool killable = flags & BARTER_REVOKE_KILLABLE;
	struct barter_buf *buf;
	LIST_HEAD(bufs);
	bool added;
	int ret;

	if (WARN_ON_ONCE(!is_power_of_2(reason) ||
			 reason >= 1U << BARTER_NR_REASONS))
		return -EINVAL;

	if (!killable || flags & BARTER_REVOKE_FACT)
		mutex_lock(&exp->lock);
	else if (mutex_lock_killable(&exp->lock))
		return -EINTR;

	trace_barter_revoke_start(exp->pdev, reason, exp->reasons, 0);
	added = barter_reason_add(exp, reason);
	barter_revoke_collect(exp, &bufs);
	list_for_each_entry(buf, &bufs, revoke_node)
		barter_revoke_mark(buf, 0, &buf->fences);
	exp->bars_zapped = 0;
	barter_revoke_zap(&bufs);
	ret = barter_revoke_wait(&bufs, reason, killable);

	if (ret) {
		if (added && !(flags & BARTER_REVOKE_FACT))
			barter_reason_remove(exp, reason);
		barter_reasons_set(exp, exp->reasons |
					BARTER_REASON_INTERRUPTED);
	} else {
		barter_reasons_set(exp, exp->reasons &
					~BARTER_REASON_INTERRUPTED);
	}
	barter_revoke_settle(&bufs, ret ? BARTER_SETTLE_KILLED :
					  BARTER_SETTLE_DONE);
	if (reason & BARTER_REASONS_FINAL && !ret)
		barter_revoke_forget(exp, &bufs);
	trace_barter_revoke_end(exp->pdev, reason, exp->reasons, ret);
	barter_revoke_drop(&bufs);
	mutex_unlock(&exp->lock);
	return ret;
}
BARTER_EXPORT(barter_exporter_revoke);

static int barter_end_lock(struct barter_exporter *exp, bool killable)
{
	if (!killable)
		mutex_lock(&exp->lock);
	else if (mutex_lock_killable(&exp->lock))
		return -EINTR;
	return 0;
}

/* One that another end waits for, with the reference of the list; or NULL. */
static struct barter_buf *barter_end_other(struct list_head *bufs)
{
	struct barter_buf *buf;

	list_for_each_entry(buf, bufs, revoke_node) {
		/* Then that one has let go of what it kept there. */
		if (!smp_load_acquire(&buf->ending))
			continue;
		list_del_init(&buf->revoke_node);
		return buf;
	}
	return NULL;
}

static int barter_end_wait_other(struct barter_buf *buf, bool killable)
{
	long left;

	barter_revoke_may_wait();
	do {
		left = killable ?
			wait_event_killable_timeout(buf->idle,
						    !READ_ONCE(buf->ending), HZ) :
			wait_event_timeout(buf->idle,
					   !READ_ONCE(buf->ending), HZ);
	} while (!left);
	return left < 0 ? -EINTR : 0;
}

/*
 * Mark and zap a buffer and all that is below it; @ending gets those that were not
 * dead, by end_node, each with a reference. Ends of buffers that have one in common
 * follow each other.
 */
static int barter_end_begin(struct barter_buf *root, struct list_head *ending,
			    bool killable)
{
	struct barter_exporter *exp = root->exp;
	struct barter_buf *buf, *next, *other;
	LIST_HEAD(bufs);
	LIST_HEAD(dead);
	int ret;

	for (;;) {
		ret = barter_end_lock(exp, killable);
		if (ret)
			return ret;
		if (READ_ONCE(root->state) == BARTER_STATE_DEAD) {
			mutex_unlock(&exp->lock);
			return -EBADFD;
		}
		barter_tree_collect(root, &bufs, &dead);
		barter_revoke_drop(&dead);
		other = barter_end_other(&bufs);
		if (!other)
			break;
		barter_revoke_drop(&bufs);
		mutex_unlock(&exp->lock);
		ret = barter_end_wait_other(other, killable);
		barter_buf_put(other);
		if (ret)
			return ret;
	}

	list_for_each_entry(buf, &bufs, revoke_node) {
		WRITE_ONCE(buf->ending, true);
		barter_revoke_mark(buf, BARTER_REASON_REQUESTED,
				   &buf->end_fences);
	}
	barter_revoke_zap(&bufs);
	list_for_each_entry_safe(buf, next, &bufs, revoke_node) {
		list_del_init(&buf->revoke_node);
		list_add_tail(&buf->end_node, ending);
	}
	mutex_unlock(&exp->lock);
	return 0;
}

static int barter_end_wait(struct list_head *ending, bool killable)
{
	struct barter_wait wait;
	struct barter_buf *buf;
	int ret = 0;

	barter_revoke_may_wait();
	barter_wait_begin(&wait, BARTER_REASON_REQUESTED, killable);
	list_for_each_entry(buf, ending, end_node) {
		ret = barter_wait_buf(&wait, buf, &buf->end_fences);
		if (ret)
			break;
	}
	return ret;
}

/*
 * All was waited for. Whatever was cut from them meanwhile was born revoked, has been
 * mapped by nobody, and dies with them.
 */
static void barter_end_kill(struct barter_buf *root)
{
	struct barter_exporter *exp = root->exp;
	struct barter_buf *buf;
	LIST_HEAD(bufs);
	LIST_HEAD(dead);

	lockdep_assert_held(&exp->lock);

	barter_tree_collect(root, &bufs, &dead);
	barter_revoke_drop(&dead);
	list_for_each_entry(buf, &bufs, revoke_node) {
		dma_resv_lock(buf->dmabuf->resv, NULL);
		buf->drained = true;
		WRITE_ONCE(buf->own, buf->own & ~BARTER_REASON_INTERRUPTED);
		if (!buf->final)
			buf->reasons = exp->reasons | buf->own;
		WRITE_ONCE(buf->final, true);
		barter_settle_buf(buf);
		dma_resv_unlock(buf->dmabuf->resv);
	}
	barter_revoke_forget(exp, &bufs);
	barter_revoke_drop(&bufs);
}

/*
 * Nobody waits any more. @own: reasons that stay. Without the exporter mutex if the
 * wait was killed: a revoke of the device may hold it, waiting for the same importer.
 */
static void barter_end_leave(struct list_head *ending, u32 own)
{
	struct barter_buf *buf, *next;

	list_for_each_entry_safe(buf, next, ending, end_node) {
		barter_fences_put(&buf->end_fences);
		list_del_init(&buf->end_node);
		dma_resv_lock(buf->dmabuf->resv, NULL);
		buf->waits--;
		/* A revoke of the device may have come to its end meanwhile. */
		if (!buf->drained)
			WRITE_ONCE(buf->own, buf->own | own);
		barter_settle_buf(buf);
		dma_resv_unlock(buf->dmabuf->resv);
		/* From here on another end may have it, list and fences. */
		smp_store_release(&buf->ending, false);
		wake_up_all(&buf->idle);
		barter_buf_put(buf);
	}
}

/**
 * barter_buf_revoke - take one buffer back for ever, and its slices
 * @exp: the exporter that the caller may speak for
 * @dmabuf: the buffer, referenced by the caller; a slice is a buffer too
 * @flags: BARTER_REVOKE_KILLABLE
 *
 * When it returns 0, nobody reaches the memory through @dmabuf or through anything
 * that was cut from it, in any number of steps, and nobody ever will: all of them
 * are dead. Other buffers of the exporter are not touched, and while it waits for
 * importers, others can be made and ended. If one of them is being ended already, that
 * is waited for first, before anything is taken back here. Who does not let go is named in the kernel
 * log, as in barter_exporter_revoke(), and the context is the same.
 *
 * Return: 0; -ENODEV: @dmabuf is another exporter's; -EBADFD: dead already; -EINTR
 * with BARTER_REVOKE_KILLABLE: if importers were waited for, the buffers are revoked
 * and will not be restored, but are not dead; another call ends them.
 */
int barter_buf_revoke(struct barter_exporter *exp, struct dma_buf *dmabuf,
		      unsigned int flags)
{
	struct barter_buf *root = barter_buf_from_dmabuf(dmabuf);
	bool killable = flags & BARTER_REVOKE_KILLABLE;
	LIST_HEAD(ending);
	int ret;

	if (!root || root->exp != exp)
		return -ENODEV;
	ret = barter_end_begin(root, &ending, killable);
	if (ret)
		goto out;
	ret = barter_end_wait(&ending, killable);
	if (!ret)
		ret = barter_end_lock(exp, killable);
	if (!ret) {
		barter_end_kill(root);
		mutex_unlock(&exp->lock);
	}
	barter_end_leave(&ending, ret ? BARTER_REASON_INTERRUPTED : 0);
out:
	trace_barter_buf_revoke(root->id, ret);
	return ret;
}
BARTER_EXPORT(barter_buf_revoke);

/**
 * barter_exporter_restore - a reason against lending is over
 * @exp: the exporter
 * @reason: one BARTER_REASON_* bit, as given to barter_exporter_revoke()
 *
 * If it was the last reason, buffers are usable again, except dead ones. Importers
 * that registered a restored() hear of it later, from a work item. Clearing CLOSED also
 * clears INTERRUPTED, which an earlier user of the device may have left behind. Context:
 * process; waits for a revoke that runs. Same locks as barter_exporter_revoke().
 */
void barter_exporter_restore(struct barter_exporter *exp, u32 reason)
{
	LIST_HEAD(bufs);

	if (WARN_ON_ONCE(!is_power_of_2(reason) ||
			 reason >= 1U << BARTER_NR_REASONS))
		return;

	mutex_lock(&exp->lock);
	barter_reason_remove(exp, reason);
	if (reason == BARTER_REASON_CLOSED)
		barter_reasons_set(exp, exp->reasons & ~BARTER_REASON_INTERRUPTED);
	barter_revoke_collect(exp, &bufs);
	barter_revoke_settle(&bufs, BARTER_SETTLE_RESTORED);
	trace_barter_restore(exp->pdev, reason, exp->reasons, 0);
	barter_revoke_drop(&bufs);
	mutex_unlock(&exp->lock);
}
BARTER_EXPORT(barter_exporter_restore);

/**
 * barter_revoke_lockdep_init - declare the lock order to lockdep
 *
 * Takes the locks once in the order of doc/locking.md, so that a wrong order
 * anywhere is reported the first time it happens, not the first time it hangs.
 */
void barter_revoke_lockdep_init(void)
{
#ifdef CONFIG_LOCKDEP
	static struct barter_exporter exp;
	struct mm_struct *mm = current->mm;
	struct dma_resv resv;

	barter_exporter_mutex_init(&exp.lock);
	dma_resv_init(&resv);

	if (mm)
		mmap_read_lock(mm);
	mutex_lock(&exp.lock);
	barter_revoke_acquire();
	barter_revoke_release();
	dma_resv_lock(&resv, NULL);
	barter_revoke_acquire();
	barter_revoke_release();
	dma_resv_unlock(&resv);
	mutex_unlock(&exp.lock);
	if (mm)
		mmap_read_unlock(mm);

	dma_resv_fini(&resv);
	mutex_destroy(&exp.lock);
#endif
}
