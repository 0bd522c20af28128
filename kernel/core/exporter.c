// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The per-device object that lends, and the space its buffers are mmapped in.
 *
 * All buffers of a device are mmapped through the address_space of the lending
 * driver's own file, each in a window of page offsets that belongs to it alone.
 * So the driver's zap of its whole file reaches them, and core's zap of one
 * buffer reaches nothing else.
 */
#include <linux/export.h>
#include <linux/pci.h>

#include "priv.h"

/* Buffers that are dealt with between two chances for others. */
#define BARTER_LIST_BATCH	64

/* Exporters between init and destroy, for finding a device by its open file. */
static LIST_HEAD(barter_exporters);
static DEFINE_MUTEX(barter_exporters_lock);

/* One lock class for all, also for the one that primes lockdep. */
void barter_exporter_mutex_init(struct mutex *lock)
{
	static struct lock_class_key key;

	__mutex_init(lock, "barter_exporter_lock", &key);
}

/**
 * barter_exporter_init - prepare a device to lend
 * @exp: embedded in a structure of the driver's that ops->get() keeps alive
 * @pdev: the device
 * @mapping: address_space of the driver's file; must live until the last
 *	ops->put()
 * @ops: the driver's callbacks
 *
 * Holds a reference to @pdev until barter_exporter_cleanup(): buffers that outlive the
 * driver have no other, nor a revoke that races the device's removal. The exporter begins
 * closed: barter_exporter_restore(BARTER_REASON_CLOSED) opens it. Context: may
 * sleep.
 *
 * Return: 0, -EINVAL if something is missing or a type is offered twice, -E2BIG if
 * there are too many offers.
 */
int barter_exporter_init(struct barter_exporter *exp, struct pci_dev *pdev,
			 struct address_space *mapping,
			 const struct barter_exporter_ops *ops)
{
	if (!pdev || !mapping || !ops || !ops->get || !ops->put ||
	    !ops->access_begin || !ops->access_allowed || !ops->access_end)
		return -EINVAL;
	if (ops->offers) {
		int ret = barter_offers_check(ops->offers, ops->nr_offers);

		if (ret)
			return ret;
	}

	memset(exp, 0, sizeof(*exp));
	exp->pdev = barter_pdev_get(pdev);
	exp->mapping = mapping;
	exp->ops = ops;
	exp->reasons = BARTER_REASON_CLOSED;
	barter_exporter_mutex_init(&exp->lock);
	spin_lock_init(&exp->list_lock);
	INIT_LIST_HEAD(&exp->bufs);
	mt_init_flags(&exp->windows, MT_FLAGS_ALLOC_RANGE);
	barter_memattr_init(exp);

	mutex_lock(&barter_exporters_lock);
	list_add_tail(&exp->node, &barter_exporters);
	mutex_unlock(&barter_exporters_lock);
	return 0;
}
BARTER_EXPORT(barter_exporter_init);

/**
 * barter_exporter_add_window - give page offsets for mmaps of buffers
 * @exp: the exporter
 * @first: first page offset in the exporter's mapping; not 0, which stands for a buffer
 *	without a window
 * @last: last one, inclusive
 *
 * To be called between barter_exporter_init() and the first export. The span
 * must lie inside what the driver's own zap covers, and apart from the offsets
 * that its own mmap uses.
 *
 * Return: 0, -EINVAL for an empty span or one from 0 on, -ENOSPC after BARTER_NR_WINDOWS spans.
 */
int barter_exporter_add_window(struct barter_exporter *exp,
			       unsigned long first, unsigned long last)
{
	if (!first || first > last)
		return -EINVAL;
	if (exp->nr_spans == BARTER_NR_WINDOWS)
		return -ENOSPC;
	exp->spans[exp->nr_spans].first = first;
	exp->spans[exp->nr_spans].last = last;
	exp->nr_spans++;
	return 0;
}
BARTER_EXPORT(barter_exporter_add_window);

/**
 * barter_exporter_destroy - take everything back for ever
 * @exp: the exporter
 *
 * Called at the start of the driver's remove. Returns when no DMA mapping, no
 * CPU mapping and no fence of a buffer is left; later exports fail. Buffers may
 * live on, but dead. Context: process, waits for importers without a limit; the
 * caller holds no lock that an importer needs to let go.
 */
void barter_exporter_destroy(struct barter_exporter *exp)
{
	barter_exporter_revoke(exp, BARTER_REASON_GONE, 0);

	mutex_lock(&barter_exporters_lock);
	list_del_init(&exp->node);
	mutex_unlock(&barter_exporters_lock);
}
BARTER_EXPORT(barter_exporter_destroy);

/**
 * barter_exporter_cleanup - free what the exporter holds
 * @exp: the exporter, after barter_exporter_destroy() or when it was never
 *	reached by anybody, and after the last ops->put()
 */
void barter_exporter_cleanup(struct barter_exporter *exp)
{
	WARN_ON_ONCE(!list_empty(&exp->bufs));

	mutex_lock(&barter_exporters_lock);
	list_del_init(&exp->node);
	mutex_unlock(&barter_exporters_lock);
	mtree_destroy(&exp->windows);
	barter_pdev_put(exp->pdev);
	mutex_destroy(&exp->attr_lock);
	mutex_destroy(&exp->lock);
}
BARTER_EXPORT(barter_exporter_cleanup);

/**
 * barter_exporter_find_pdev - the device behind an open file of a lending driver
 * @mapping: f_mapping of the file
 *
 * Return: the device with references for the caller, for barter_pdev_put(), or NULL.
 */
struct pci_dev *barter_exporter_find_pdev(struct address_space *mapping)
{
	struct barter_exporter *exp;
	struct pci_dev *pdev = NULL;

	mutex_lock(&barter_exporters_lock);
	list_for_each_entry(exp, &barter_exporters, node) {
		if (exp->mapping == mapping) {
			pdev = barter_pdev_get(exp->pdev);
			break;
		}
	}
	mutex_unlock(&barter_exporters_lock);
	return pdev;
}

/**
 * barter_exporter_list_pause - let others at the list of buffers now and then
 * @exp: the exporter, its list_lock held; given up and taken again
 * @n: counts the calls
 *
 * How many buffers there are is up to whoever cuts slices, and whoever waits for the
 * lock spins. Context: may sleep.
 */
void barter_exporter_list_pause(struct barter_exporter *exp, unsigned int *n)
	__must_hold(&exp->list_lock)
{
	if (++*n % BARTER_LIST_BATCH)
		return;
	spin_unlock(&exp->list_lock);
	cond_resched();
	spin_lock(&exp->list_lock);
}

/**
 * barter_exporter_publish - put a new buffer on its exporter's list
 * @buf: complete but for its state, which is set here
 * @parent: what it was cut from, kept by the caller; NULL if it is no slice
 *
 * From here on revokes see it. Under the exporter mutex, so that its first
 * state agrees with the reasons of that moment.
 *
 * Return: 0, -ENODEV if the device is closed or gone, -EBADFD if @parent is dead,
 * -ELOOP if there are too many above it, -EINTR on a fatal signal.
 */
int barter_exporter_publish(struct barter_buf *buf, struct barter_buf *parent)
{
	struct barter_exporter *exp = buf->exp;
	int ret = 0;

	if (mutex_lock_killable(&exp->lock))
		return -EINTR;
	if (parent && parent->final) {
		ret = -EBADFD;
		goto out_unlock;
	}
	if (exp->reasons & BARTER_REASONS_FINAL) {
		ret = -ENODEV;
		goto out_unlock;
	}

	/*
	 * Nobody else has it yet: no need for its dma_resv. The killed end of its
	 * parent adds INTERRUPTED without the mutex.
	 */
	buf->own = parent ? READ_ONCE(parent->own) : 0;
	buf->reasons = exp->reasons | buf->own;
	buf->state = buf->reasons ? BARTER_STATE_REVOKED : BARTER_STATE_OK;
	buf->drained = buf->reasons;

	ret = barter_tree_add(buf, parent);
out_unlock:
	mutex_unlock(&exp->lock);
	return ret;
}

/**
 * barter_window_alloc - give a buffer its page offsets
 * @buf: the buffer
 *
 * Done at the first mmap and kept until the buffer is freed. Context: may sleep,
 * called with mmap_lock held for write.
 *
 * Return: 0, -ENOSPC if no span has room, -ENOMEM.
 */
int barter_window_alloc(struct barter_buf *buf)
{
	unsigned long npages = buf->ranges.length >> PAGE_SHIFT;
	struct barter_exporter *exp = buf->exp;
	unsigned long first;
	int ret = -ENOSPC;
	unsigned int i;

	mutex_lock(&buf->window_lock);
	if (buf->window) {
		ret = 0;
		goto out_unlock;
	}
	for (i = 0; i < exp->nr_spans; i++) {
		if (exp->spans[i].last - exp->spans[i].first < npages - 1)
			continue;
		ret = mtree_alloc_range(&exp->windows, &first, buf, npages,
					exp->spans[i].first, exp->spans[i].last,
					GFP_KERNEL_ACCOUNT);
		if (ret != -EBUSY)
			break;
	}
	if (ret == -EBUSY)
		ret = -ENOSPC;
	if (!ret)
		WRITE_ONCE(buf->window, first);
out_unlock:
	mutex_unlock(&buf->window_lock);
	return ret;
}

/**
 * barter_window_free - give the page offsets back
 * @buf: a buffer that nothing maps any more
 */
void barter_window_free(struct barter_buf *buf)
{
	if (!buf->window || buf->bar_mmap)
		return;
	/* Storing NULL over the range splits nodes, which must not fail here. */
	mtree_store_range(&buf->exp->windows, buf->window,
			  buf->window + (buf->ranges.length >> PAGE_SHIFT) - 1,
			  NULL, GFP_KERNEL | __GFP_NOFAIL);
}
