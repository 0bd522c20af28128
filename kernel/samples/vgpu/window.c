// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's BAR 2: a slice of device memory, which its user maps and lends.
 *
 * edu has no memory that a CPU sees. So the memory is BAR 2 of another function, bound
 * to this driver too (by driver_override), as the memory of a card may be behind
 * another function than its engine. Each vEDU of type "memory" has 4 MiB of one for
 * its own, and an exporter of its own, whose device is that function: what is lent are
 * ranges of its BAR, which core knows how to revoke, and where peer devices find it.
 *
 * A window may outlive its vEDU and the memory, for as long as somebody holds a buffer;
 * of the vEDU it keeps the inode alone.
 *
 * Locks, beside those in vedu.h:
 *
 *	win->state	@memory_on, and the reason that goes with it; held while importers
 *			let go, so only where a signal ends the wait
 *	win->link	@memory. Inside mmap_lock.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/slab.h>

#include "vedu.h"

struct vedu_memory {
	struct list_head node;
	struct pci_dev *pdev;
	void __iomem *base;
	unsigned int nr;
	struct vedu_window *slices[];	/* NULL: free */
};

/**
 * struct vedu_window - a slice of a memory
 * @exp: lends it
 * @ref: one of the vEDU, one of each buffer, one of whoever is ending it
 * @inode: of the vEDU, for @exp's mapping
 * @start: of the slice, in the memory's BAR
 * @ending: somebody takes everything back; under memories_lock
 * @ended: and has done so
 * @state: see above
 * @memory_on: memory decoding is on
 * @link: see above
 * @memory: NULL: it is gone, or the vEDU is
 */
struct vedu_window {
	struct barter_exporter exp;
	struct kref ref;
	struct inode *inode;
	u64 start;
	bool ending;
	struct completion ended;
	struct mutex state;
	bool memory_on;
	struct rw_semaphore link;
	struct vedu_memory *memory;
};

static LIST_HEAD(vedu_memories);
static DEFINE_MUTEX(memories_lock);

static struct vedu_window *to_window(struct barter_exporter *exp)
{
	return container_of(exp, struct vedu_window, exp);
}

/* See kernel/vfio/exporter.c: the inode's file system is kept as well. */
static void vedu_window_free(struct kref *ref)
{
	struct vedu_window *win = container_of(ref, struct vedu_window, ref);
	struct super_block *sb = win->inode->i_sb;

	barter_exporter_cleanup(&win->exp);
	iput(win->inode);
	deactivate_super(sb);
	mutex_destroy(&win->state);
	kfree(win);
}

void vedu_window_put(struct vedu_window *win)
{
	kref_put(&win->ref, vedu_window_free);
}

static void vedu_exp_get(struct barter_exporter *exp)
{
	kref_get(&to_window(exp)->ref);
}

static void vedu_exp_put(struct barter_exporter *exp)
{
	vedu_window_put(to_window(exp));
}

static void vedu_exp_access_begin(struct barter_exporter *exp)
{
	down_read(&to_window(exp)->link);
}

static bool vedu_exp_access_allowed(struct barter_exporter *exp)
{
	const struct vedu_window *win = to_window(exp);

	return win->memory && win->memory_on;
}

static void vedu_exp_access_end(struct barter_exporter *exp)
{
	up_read(&to_window(exp)->link);
}

static const struct barter_exporter_ops vedu_exporter_ops = {
	.owner = THIS_MODULE,
	.get = vedu_exp_get,
	.put = vedu_exp_put,
	.access_begin = vedu_exp_access_begin,
	.access_allowed = vedu_exp_access_allowed,
	.access_end = vedu_exp_access_end,
};

struct barter_exporter *vedu_window_exporter(struct vedu_window *win)
{
	return &win->exp;
}

u64 vedu_window_start(const struct vedu_window *win)
{
	return win->start;
}

/* How many slices are free? */
unsigned int vedu_memory_free(void)
{
	struct vedu_memory *memory;
	unsigned int free = 0, i;

	mutex_lock(&memories_lock);
	list_for_each_entry(memory, &vedu_memories, node)
		for (i = 0; i < memory->nr; i++)
			free += !memory->slices[i];
	mutex_unlock(&memories_lock);
	return free;
}

static struct vedu_window **vedu_slice_find(struct vedu_memory **found)
{
	struct vedu_memory *memory;
	unsigned int i;

	lockdep_assert_held(&memories_lock);

	list_for_each_entry(memory, &vedu_memories, node) {
		for (i = 0; i < memory->nr; i++) {
			if (!memory->slices[i]) {
				*found = memory;
				return &memory->slices[i];
			}
		}
	}
	return NULL;
}

static int vedu_window_init(struct vedu_window *win, struct inode *inode,
			    struct vedu_memory *memory, struct vedu_window **slice)
{
	unsigned long span = 1UL << (VEDU_REGION_SHIFT - PAGE_SHIFT);
	int ret;

	kref_init(&win->ref);
	init_completion(&win->ended);
	mutex_init(&win->state);
	init_rwsem(&win->link);
	win->start = (slice - memory->slices) * VEDU_SLICE;
	win->memory = memory;
	win->inode = inode;
	ret = barter_exporter_init(&win->exp, memory->pdev, inode->i_mapping,
				   &vedu_exporter_ops);
	if (ret)
		return ret;
	/* The offsets of BARs that a vEDU lacks: 3 to 5. */
	ret = barter_exporter_add_window(&win->exp, 3 * span + 1, 6 * span - 1);
	if (ret) {
		barter_exporter_cleanup(&win->exp);
		return ret;
	}
	/* Until the guest turns memory decoding on. */
	barter_exporter_revoke(&win->exp, BARTER_REASON_MEMORY, 0);
	ihold(inode);
	atomic_inc(&inode->i_sb->s_active);
	return 0;
}

/**
 * vedu_window_new - give a vEDU a slice of device memory
 * @v: being made
 *
 * Return: 0, -ENOSPC if there is none, -ENOMEM.
 */
int vedu_window_new(struct vedu *v)
{
	struct vedu_window **slice, *win;
	struct vedu_memory *memory;
	int ret = -ENOSPC;

	win = kzalloc(sizeof(*win), GFP_KERNEL);
	if (!win)
		return -ENOMEM;
	mutex_lock(&memories_lock);
	slice = vedu_slice_find(&memory);
	if (slice)
		ret = vedu_window_init(win, v->vdev.inode, memory, slice);
	if (!ret)
		*slice = v->window = win;
	mutex_unlock(&memories_lock);
	if (ret)
		kfree(win);
	return ret;
}

/**
 * vedu_window_destroy - take all of a slice back for ever, and give it up
 * @win: of a vEDU that goes, or of a memory that goes; the caller keeps it
 *
 * Both may come at once: who is second waits. Returns when nobody reaches the memory
 * through it: page faults are refused first, then what is mapped is taken away, then
 * somebody else may have the slice.
 */
void vedu_window_destroy(struct vedu_window *win)
{
	struct vedu_memory *memory;
	bool second;

	mutex_lock(&memories_lock);
	second = win->ending;
	win->ending = true;
	mutex_unlock(&memories_lock);
	if (second) {
		wait_for_completion(&win->ended);
		return;
	}
	down_write(&win->link);
	memory = win->memory;
	win->memory = NULL;
	up_write(&win->link);
	barter_exporter_destroy(&win->exp);

	mutex_lock(&memories_lock);
	memory->slices[win->start / VEDU_SLICE] = NULL;
	complete_all(&win->ended);
	mutex_unlock(&memories_lock);
}

/**
 * vedu_window_open - a new user: no trace of the one before
 * @win: of a vEDU being opened
 */
void vedu_window_open(struct vedu_window *win)
{
	down_read(&win->link);
	if (win->memory)
		memset_io(win->memory->base + win->start, 0, VEDU_SLICE);
	up_read(&win->link);
	barter_exporter_restore(&win->exp, BARTER_REASON_CLOSED);
}

static int vedu_memory_switch(struct vedu_window *win, bool on, unsigned int flags)
{
	bool before;

	lockdep_assert_held(&win->state);

	down_write(&win->link);
	before = win->memory_on;
	win->memory_on = on;
	up_write(&win->link);
	/* Also if a signal ended the last one before its time. */
	if (!on && (before ||
		    barter_exporter_reasons(&win->exp) & BARTER_REASON_INTERRUPTED))
		return barter_exporter_revoke(&win->exp, BARTER_REASON_MEMORY, flags);
	if (!before && on)
		barter_exporter_restore(&win->exp, BARTER_REASON_MEMORY);
	return 0;
}

/**
 * vedu_window_close - the user is gone, and all that it has lent is dead
 * @win: of a vEDU being closed
 */
void vedu_window_close(struct vedu_window *win)
{
	barter_exporter_revoke(&win->exp, BARTER_REASON_CLOSED, 0);
	/* There is nobody left to wait for. */
	mutex_lock(&win->state);
	vedu_memory_switch(win, false, 0);
	mutex_unlock(&win->state);
}

/**
 * vedu_window_lock - memory decoding is about to be turned on or off
 * @win: the window
 *
 * Return: 0, then vedu_window_unlock() follows; -EINTR on a fatal signal.
 */
int vedu_window_lock(struct vedu_window *win)
{
	return mutex_lock_killable(&win->state) ? -EINTR : 0;
}

/**
 * vedu_window_unlock - it was
 * @win: the window
 * @on: what it is now; off comes into force whatever happens
 *
 * Return: 0, -EINTR: a fatal signal ended the wait for somebody who has to let go.
 */
int vedu_window_unlock(struct vedu_window *win, bool on)
{
	int ret = vedu_memory_switch(win, on,
				     BARTER_REVOKE_KILLABLE | BARTER_REVOKE_FACT);

	mutex_unlock(&win->state);
	return ret;
}

/**
 * vedu_window_reset - VFIO_DEVICE_RESET, as importers see it
 * @win: the window
 *
 * What is in the memory stays.
 *
 * Return: 0, or -EINTR on a fatal signal.
 */
int vedu_window_reset(struct vedu_window *win)
{
	int ret = barter_exporter_revoke(&win->exp, BARTER_REASON_RESET,
					 BARTER_REVOKE_KILLABLE);

	if (!ret)
		barter_exporter_restore(&win->exp, BARTER_REASON_RESET);
	return ret;
}

/**
 * vedu_window_access - read or write BAR 2
 * @win: the window
 * @data: the bytes
 * @n: how many
 * @offset: all of them inside the BAR
 * @write: the direction
 *
 * Return: 0; -EIO: memory decoding is off, or the memory is gone.
 */
int vedu_window_access(struct vedu_window *win, u8 *data, size_t n, u64 offset,
		       bool write)
{
	int ret = 0;

	down_read(&win->link);
	if (!win->memory || !win->memory_on)
		ret = -EIO;
	else if (write)
		memcpy_toio(win->memory->base + win->start + offset, data, n);
	else
		memcpy_fromio(data, win->memory->base + win->start + offset, n);
	up_read(&win->link);
	return ret;
}

/* mmap of BAR 2 from byte @offset on. */
int vedu_window_mmap(struct vedu_window *win, struct vm_area_struct *vma, u64 offset)
{
	u64 length = vma->vm_end - vma->vm_start;

	if (!(vma->vm_flags & VM_SHARED) || offset > VEDU_SLICE ||
	    length > VEDU_SLICE - offset)
		return -EINVAL;
	return barter_exporter_mmap(&win->exp, VEDU_BAR2, win->start + offset,
				    VEDU_NAME, vma);
}

/**
 * vedu_memory_probe - take a function whose BAR 2 is memory
 * @pdev: the function, told by driver_override to be ours
 *
 * Return: 0; -ENODEV: BAR 2 is no memory, or too short.
 */
int vedu_memory_probe(struct pci_dev *pdev)
{
	unsigned int nr = pci_resource_len(pdev, VEDU_BAR2) / VEDU_SLICE;
	struct vedu_memory *memory;
	int ret;

	if (!(pci_resource_flags(pdev, VEDU_BAR2) & IORESOURCE_MEM) || !nr)
		return -ENODEV;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	memory = kzalloc(struct_size(memory, slices, nr), GFP_KERNEL);
	if (!memory)
		return -ENOMEM;
	memory->nr = nr;
	memory->pdev = pdev;
	memory->base = pcim_iomap_region(pdev, VEDU_BAR2, VEDU_NAME);
	if (IS_ERR(memory->base)) {
		ret = PTR_ERR(memory->base);
		kfree(memory);
		return ret;
	}
	pci_set_drvdata(pdev, memory);
	mutex_lock(&memories_lock);
	list_add_tail(&memory->node, &vedu_memories);
	mutex_unlock(&memories_lock);
	return 0;
}

static struct vedu_window *vedu_memory_window(struct vedu_memory *memory)
{
	unsigned int i;

	for (i = 0; i < memory->nr; i++) {
		if (memory->slices[i]) {
			kref_get(&memory->slices[i]->ref);
			return memory->slices[i];
		}
	}
	return NULL;
}

/* The vEDUs that have a slice live on without. */
void vedu_memory_remove(struct pci_dev *pdev)
{
	struct vedu_memory *memory = pci_get_drvdata(pdev);
	struct vedu_window *win;

	mutex_lock(&memories_lock);
	list_del(&memory->node);
	while ((win = vedu_memory_window(memory))) {
		mutex_unlock(&memories_lock);
		vedu_window_destroy(win);
		vedu_window_put(win);
		mutex_lock(&memories_lock);
	}
	mutex_unlock(&memories_lock);
	kfree(memory);
}
