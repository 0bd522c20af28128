// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Telling processes that a buffer's state has changed, by eventfds.
 *
 * A watch hangs on two things that come and go on their own: the buffer, and the
 * open file of /dev/barter that it was made on. Whichever goes first takes the
 * watch along; it keeps neither alive. One lock orders all of that.
 *
 * The state changes with locks held that many wait for, and the number of
 * watches is up to processes. So a change only queues a work item, one for each
 * buffer, and that signals: with no lock of anybody's but the one below. A change
 * that comes while the item is queued shares its signals; one that comes while
 * it runs queues it again. Either way the signals follow the change.
 *
 * The item holds no reference to its buffer, whose release waits for it instead:
 * so the last change is told even if the buffer goes right after it.
 */
#include <linux/eventfd.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "priv.h"

/* Watches that are freed between two chances for others to get at the lock. */
#define BARTER_WATCH_BATCH	64

/**
 * struct barter_watcher - one eventfd that hears of one buffer
 * @buf: the buffer
 * @client: the open file
 * @eventfd: with a reference
 * @buf_node: in @buf's list; those at its end have been signalled
 * @client_node: in @client's list
 * @number: which one of @client's
 * @round: of @buf's rounds of signals, the last one that has been here
 *
 * All under barter_watch_lock; what is not a list is constant, but for @round.
 */
struct barter_watcher {
	struct barter_buf *buf;
	struct barter_client *client;
	struct eventfd_ctx *eventfd;
	struct list_head buf_node;
	struct list_head client_node;
	u64 number;
	u32 round;
};

/* Inside the dma_resv, and inside nothing else that a revoke needs. */
static DEFINE_MUTEX(barter_watch_lock);
static struct workqueue_struct *barter_watch_wq;

/* Let others have the lock. */
static void barter_watch_breathe(void)
{
	lockdep_assert_held(&barter_watch_lock);

	mutex_unlock(&barter_watch_lock);
	cond_resched();
	mutex_lock(&barter_watch_lock);
}

static void barter_watch_free(struct barter_watcher *watcher)
{
	lockdep_assert_held(&barter_watch_lock);

	list_del(&watcher->buf_node);
	list_del(&watcher->client_node);
	watcher->client->nr_watchers--;
	eventfd_ctx_put(watcher->eventfd);
	kfree(watcher);
}

/*
 * One round: the list is turned until its head has been served. Watches may come
 * (at the end, and served) and go while the lock is free.
 */
static void barter_watch_signal(struct work_struct *work)
{
	struct barter_buf *buf = container_of(work, struct barter_buf,
					      watch_work);
	struct barter_watcher *watcher;
	u32 round;

	mutex_lock(&barter_watch_lock);
	round = ++buf->watch_round;
	for (;;) {
		watcher = list_first_entry_or_null(&buf->watchers,
						   struct barter_watcher,
						   buf_node);
		if (!watcher || watcher->round == round)
			break;
		watcher->round = round;
		list_move_tail(&watcher->buf_node, &buf->watchers);
		eventfd_signal(watcher->eventfd);
		/* How many it wakes is up to processes: one at a time. */
		barter_watch_breathe();
	}
	mutex_unlock(&barter_watch_lock);
}

/**
 * barter_watch_changed - the state of a buffer is another one now
 * @buf: the buffer, its dma_resv held
 *
 * Does not sleep, and does nothing if nobody ever watched the buffer.
 */
void barter_watch_changed(struct barter_buf *buf)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	if (buf->watched)
		queue_work(barter_watch_wq, &buf->watch_work);
}

static struct barter_watcher *
barter_watch_find(struct barter_client *client, const struct barter_buf *buf,
		  const struct eventfd_ctx *eventfd)
{
	struct barter_watcher *watcher;

	lockdep_assert_held(&barter_watch_lock);

	/* No more than BARTER_MAX_WATCHES. */
	list_for_each_entry(watcher, &client->watchers, client_node)
		if (watcher->buf == buf && watcher->eventfd == eventfd)
			return watcher;
	return NULL;
}

static void barter_watch_state(const struct barter_buf *buf,
			       struct barter_watch *now)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	now->out_generation = buf->generation;
	now->out_state = buf->state;
	now->out_reasons = buf->reasons;
}

/**
 * barter_watch_add - signal an eventfd from now on
 * @client: the open file that the watch ends with
 * @buf: the buffer, referenced by the caller
 * @eventfd: what to signal; the caller's reference is taken over if it returns 0
 * @now: out_ fields get the state from which on changes are signalled
 * @number: for barter_watch_undo()
 *
 * Context: process; may sleep, no lock held.
 *
 * Return: 0, -EBADFD if the state is DEAD, -EEXIST, -ENOSPC, -ENOMEM, -EINTR.
 */
int barter_watch_add(struct barter_client *client, struct barter_buf *buf,
		     struct eventfd_ctx *eventfd, struct barter_watch *now,
		     u64 *number)
{
	struct barter_watcher *watcher;
	int ret;

	watcher = kzalloc(sizeof(*watcher), GFP_KERNEL_ACCOUNT);
	if (!watcher)
		return -ENOMEM;
	watcher->buf = buf;
	watcher->client = client;
	watcher->eventfd = eventfd;

	/* Every change is made under it: it either is in @now or signals. */
	ret = dma_resv_lock_interruptible(buf->dmabuf->resv, NULL);
	if (ret) {
		ret = -EINTR;
		goto err_free;
	}
	mutex_lock(&barter_watch_lock);
	if (barter_watch_find(client, buf, eventfd))
		ret = -EEXIST;
	else if (buf->state == BARTER_STATE_DEAD)
		ret = -EBADFD;
	else if (client->nr_watchers == BARTER_MAX_WATCHES)
		ret = -ENOSPC;
	if (ret)
		goto err_unlock;

	*number = watcher->number = ++client->last_watch;
	watcher->round = buf->watch_round;
	list_add_tail(&watcher->buf_node, &buf->watchers);
	list_add_tail(&watcher->client_node, &client->watchers);
	client->nr_watchers++;
	buf->watched = true;
	barter_watch_state(buf, now);
	mutex_unlock(&barter_watch_lock);
	dma_resv_unlock(buf->dmabuf->resv);
	return 0;

err_unlock:
	mutex_unlock(&barter_watch_lock);
	dma_resv_unlock(buf->dmabuf->resv);
err_free:
	kfree(watcher);
	return ret;
}

/**
 * barter_watch_remove - signal an eventfd no more
 * @client: the open file that the watch was made on
 * @buf: the buffer, referenced by the caller
 * @eventfd: which of its watches
 * @now: out_ fields get the state
 *
 * There is no signal any more when it returns 0. Context: process; may sleep, no
 * lock held.
 *
 * Return: 0, -ENOENT, -EINTR.
 */
int barter_watch_remove(struct barter_client *client, struct barter_buf *buf,
			const struct eventfd_ctx *eventfd,
			struct barter_watch *now)
{
	struct barter_watcher *watcher;

	if (dma_resv_lock_interruptible(buf->dmabuf->resv, NULL))
		return -EINTR;
	mutex_lock(&barter_watch_lock);
	watcher = barter_watch_find(client, buf, eventfd);
	if (watcher) {
		barter_watch_free(watcher);
		barter_watch_state(buf, now);
	}
	mutex_unlock(&barter_watch_lock);
	dma_resv_unlock(buf->dmabuf->resv);
	return watcher ? 0 : -ENOENT;
}

/**
 * barter_watch_undo - the caller could not be told of a new watch
 * @client: the open file
 * @number: of the watch, which another thread may have ended meanwhile
 */
void barter_watch_undo(struct barter_client *client, u64 number)
{
	struct barter_watcher *watcher;

	mutex_lock(&barter_watch_lock);
	list_for_each_entry(watcher, &client->watchers, client_node) {
		if (watcher->number == number) {
			barter_watch_free(watcher);
			break;
		}
	}
	mutex_unlock(&barter_watch_lock);
}

/**
 * barter_watch_client_release - an open /dev/barter is closed for good
 * @client: its private_data; nobody else has it any more
 */
void barter_watch_client_release(struct barter_client *client)
{
	struct barter_watcher *watcher;
	unsigned int done = 0;

	mutex_lock(&barter_watch_lock);
	while ((watcher = list_first_entry_or_null(&client->watchers,
						   struct barter_watcher,
						   client_node))) {
		barter_watch_free(watcher);
		if (!(++done % BARTER_WATCH_BATCH))
			barter_watch_breathe();
	}
	mutex_unlock(&barter_watch_lock);
}

/**
 * barter_watch_buf_init - prepare a new buffer to be watched
 * @buf: zeroed
 */
void barter_watch_buf_init(struct barter_buf *buf)
{
	INIT_LIST_HEAD(&buf->watchers);
	INIT_WORK(&buf->watch_work, barter_watch_signal);
}

/**
 * barter_watch_buf_release - a buffer goes: tell its last change, end all watches
 * @buf: nobody else has it any more
 *
 * Context: may sleep. The exporter mutex may be held: what it waits for takes
 * barter_watch_lock only.
 */
void barter_watch_buf_release(struct barter_buf *buf)
{
	struct barter_watcher *watcher;
	unsigned int done = 0;

	if (!buf->watched)
		return;
	flush_work(&buf->watch_work);
	mutex_lock(&barter_watch_lock);
	while ((watcher = list_first_entry_or_null(&buf->watchers,
						   struct barter_watcher,
						   buf_node))) {
		barter_watch_free(watcher);
		if (!(++done % BARTER_WATCH_BATCH))
			barter_watch_breathe();
	}
	mutex_unlock(&barter_watch_lock);
}

/**
 * barter_watch_init - make what signals
 *
 * Return: 0 or -ENOMEM.
 */
int barter_watch_init(void)
{
	/* Releases of buffers wait for it, also from workers that free memory. */
	barter_watch_wq = alloc_workqueue("barter_watch",
					  WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return barter_watch_wq ? 0 : -ENOMEM;
}

/**
 * barter_watch_exit - undo barter_watch_init(); no buffer is left
 */
void barter_watch_exit(void)
{
	destroy_workqueue(barter_watch_wq);
}
