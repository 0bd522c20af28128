// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a revoke waits for: the fences that were there when it began, and the last
 * unmap. Whoever does not let go is named in the kernel log.
 *
 * Each wait is for a second at most, then it looks again: so the hung task detector
 * does not take it for dead.
 */
#include <linux/dma-fence.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

#define BARTER_FIRST_WARNING	(10 * HZ)
#define BARTER_NEXT_WARNING	(60 * HZ)

/* As a number of fences: no memory to list them. */
#define BARTER_FENCES_UNKNOWN	UINT_MAX

/**
 * barter_fences_get - remember the fences that are there now
 * @buf: the buffer, its dma_resv held
 * @fences: set to them; those of later count no more. Given back by
 *	barter_fences_put()
 */
void barter_fences_get(struct barter_buf *buf, struct barter_fences *fences)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	fences->list = NULL;
	fences->nr = 0;
	if (dma_resv_get_fences(buf->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP,
				&fences->nr, &fences->list))
		fences->nr = BARTER_FENCES_UNKNOWN;
}

/**
 * barter_fences_put - forget them
 * @fences: of barter_fences_get(), or zero
 */
void barter_fences_put(struct barter_fences *fences)
{
	unsigned int i;

	if (fences->nr != BARTER_FENCES_UNKNOWN) {
		for (i = 0; i < fences->nr; i++)
			dma_fence_put(fences->list[i]);
		kfree(fences->list);
	}
	fences->list = NULL;
	fences->nr = 0;
}

/**
 * barter_wait_begin - begin to wait, for one buffer after the other
 * @wait: set up
 * @reason: BARTER_REASON_* of the revoke, for the log
 * @killable: does a fatal signal end it
 */
void barter_wait_begin(struct barter_wait *wait, u32 reason, bool killable)
{
	*wait = (struct barter_wait) {
		.killable = killable,
		.start = jiffies,
		.warn_after = BARTER_FIRST_WARNING,
	};
	barter_reasons_print(reason, wait->reason, sizeof(wait->reason));
}

static bool barter_wait_warn_due(const struct barter_wait *wait)
{
	return time_after_eq(jiffies, wait->start + wait->warn_after);
}

static void barter_wait_warn(struct barter_wait *wait, struct barter_buf *buf,
			     const char *blocker)
{
	unsigned long waited = (jiffies - wait->start) / HZ;

	if (!barter_wait_warn_due(wait))
		return;
	dev_warn(&buf->pdev->dev,
		 "barter: revoke (%s) has waited %lu s for %s to let go of buffer %llu\n",
		 wait->reason, waited, blocker, buf->id);
	wait->warn_after += BARTER_NEXT_WARNING;
}

struct barter_fence_wait {
	struct dma_fence_cb cb;
	struct completion done;
};

static void barter_fence_done(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	complete(&container_of(cb, struct barter_fence_wait, cb)->done);
}

static int barter_wait_fence(struct barter_wait *wait, struct barter_buf *buf,
			     struct dma_fence *fence)
{
	struct barter_fence_wait fw;
	char name[BARTER_NAME_LENGTH];
	int ret = 0;

	init_completion(&fw.done);
	if (dma_fence_add_callback(fence, &fw.cb, barter_fence_done))
		return 0;

	trace_barter_wait_fence(buf->id, fence->context, fence->seqno);
	for (;;) {
		long left = wait->killable ?
			wait_for_completion_killable_timeout(&fw.done, HZ) :
			wait_for_completion_timeout(&fw.done, HZ);

		if (left > 0)
			return 0;
		if (left < 0) {
			ret = -EINTR;
			break;
		}
		if (barter_wait_warn_due(wait) && !dma_fence_is_signaled(fence)) {
			barter_fence_name(fence, name, sizeof(name));
			barter_wait_warn(wait, buf, name);
		}
	}
	if (!dma_fence_remove_callback(fence, &fw.cb))
		wait_for_completion(&fw.done);
	return ret;
}

static int barter_wait_fences(struct barter_wait *wait, struct barter_buf *buf,
			      struct barter_fences *fences)
{
	unsigned int i;
	int ret = 0;

	/*
	 * There was no memory to remember which fences count. Until there is,
	 * all count, those of later too.
	 */
	while (fences->nr == BARTER_FENCES_UNKNOWN) {
		if (dma_resv_test_signaled(buf->dmabuf->resv,
					   DMA_RESV_USAGE_BOOKKEEP))
			return 0;
		if (wait->killable && fatal_signal_pending(current))
			return -EINTR;
		schedule_timeout_uninterruptible(HZ / 50 + 1);
		barter_wait_warn(wait, buf, "a fence");
		dma_resv_lock(buf->dmabuf->resv, NULL);
		barter_fences_get(buf, fences);
		dma_resv_unlock(buf->dmabuf->resv);
	}
	for (i = 0; i < fences->nr && !ret; i++)
		ret = barter_wait_fence(wait, buf, fences->list[i]);
	return ret;
}

static int barter_wait_maps(struct barter_wait *wait, struct barter_buf *buf)
{
	char name[BARTER_NAME_LENGTH];
	long left;

	if (!READ_ONCE(buf->maps))
		return 0;

	trace_barter_wait_maps(buf->id, buf->maps);
	for (;;) {
		left = wait->killable ?
			wait_event_killable_timeout(buf->idle,
						    !READ_ONCE(buf->maps), HZ) :
			wait_event_timeout(buf->idle,
					   !READ_ONCE(buf->maps), HZ);
		if (left > 0)
			return 0;
		if (left < 0)
			return -EINTR;
		if (!barter_wait_warn_due(wait))
			continue;
		/* Never wait for the lock of whoever is to be named. */
		if (dma_resv_trylock(buf->dmabuf->resv)) {
			barter_buf_blocker(buf, name, sizeof(name));
			dma_resv_unlock(buf->dmabuf->resv);
		} else {
			strscpy(name, "the holder of its dma_resv", sizeof(name));
		}
		barter_wait_warn(wait, buf, name);
	}
}

/**
 * barter_wait_buf - wait until nobody has a buffer any more
 * @wait: of barter_wait_begin()
 * @buf: marked as revoked, so that nobody maps it anew
 * @fences: those of the mark
 *
 * Context: may sleep for as long as importers take; no dma_resv is held.
 *
 * Return: 0, or -EINTR if the wait is killable.
 */
int barter_wait_buf(struct barter_wait *wait, struct barter_buf *buf,
		    struct barter_fences *fences)
{
	int ret = barter_wait_fences(wait, buf, fences);

	return ret ?: barter_wait_maps(wait, buf);
}
