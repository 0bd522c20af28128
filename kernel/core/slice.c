// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Slices: buffers that are cut from others, and the tree that they make.
 *
 * A slice is a buffer of the same exporter like any other; what it was cut from is
 * its parent. The tree says who dies with whom, and nothing else: neither end holds a
 * reference to the other. When a buffer is released its children become those of its
 * own parent, so that what a living ancestor's end has to reach stays below it.
 *
 * The tree is under the exporter's list_lock. Nobody is put below a buffer that is
 * being released, since who cuts holds it. Slices are put there, and buffers die,
 * under the exporter mutex: below a dead buffer there are dead ones only, and such as
 * are being released.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "priv.h"
#include "trace.h"

static void barter_tree_link(struct barter_buf *buf, struct barter_buf *parent)
{
	lockdep_assert_held(&buf->exp->list_lock);

	buf->parent = parent;
	if (!parent)
		return;
	list_add_tail(&buf->sibling, &parent->children);
	parent->nr_children++;
}

/*
 * A child of a buffer that goes takes its place: right before it, so that a walk that
 * pauses at a child misses nobody (barter_tree_collect()).
 */
static void barter_tree_lift(struct barter_buf *child)
{
	struct barter_buf *buf = child->parent;

	lockdep_assert_held(&buf->exp->list_lock);

	list_del_init(&child->sibling);
	buf->nr_children--;
	child->parent = buf->parent;
	if (!buf->parent)
		return;
	list_add_tail(&child->sibling, &buf->sibling);
	buf->parent->nr_children++;
}

static void barter_tree_unlink(struct barter_buf *buf)
{
	lockdep_assert_held(&buf->exp->list_lock);

	if (!buf->parent)
		return;
	list_del_init(&buf->sibling);
	buf->parent->nr_children--;
	buf->parent = NULL;
}

/* How many buffers there are from this one upwards. */
static unsigned int barter_tree_levels(const struct barter_buf *buf)
{
	unsigned int levels = 0;

	for (; buf; buf = buf->parent)
		levels++;
	return levels;
}

/**
 * barter_tree_add - put a new buffer on its exporter's list, and into the tree
 * @buf: the buffer
 * @parent: what it was cut from, kept by the caller; NULL if it is no slice
 *
 * Whatever is above it moves it once, when released: hence the limit.
 *
 * Context: the exporter mutex is held.
 *
 * Return: 0, or -ELOOP for more than BARTER_MAX_LEVELS above it.
 */
int barter_tree_add(struct barter_buf *buf, struct barter_buf *parent)
{
	struct barter_exporter *exp = buf->exp;
	int ret = 0;

	lockdep_assert_held(&exp->lock);

	spin_lock(&exp->list_lock);
	if (barter_tree_levels(parent) <= BARTER_MAX_LEVELS) {
		list_add_tail(&buf->exp_node, &exp->bufs);
		barter_tree_link(buf, parent);
	} else {
		ret = -ELOOP;
	}
	spin_unlock(&exp->list_lock);
	return ret;
}

/**
 * barter_tree_remove - take a buffer off its exporter's list, and out of the tree
 * @buf: a buffer that is being released, whether it was ever there or not
 *
 * Context: may sleep; no mutex is taken.
 */
void barter_tree_remove(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;
	struct barter_buf *child;
	unsigned int n = 0;

	spin_lock(&exp->list_lock);
	list_del_init(&buf->exp_node);
	while ((child = list_first_entry_or_null(&buf->children,
						 struct barter_buf, sibling))) {
		/* Meanwhile the parent may go as well: ask for it each time. */
		barter_tree_lift(child);
		barter_exporter_list_pause(exp, &n);
	}
	barter_tree_unlink(buf);
	spin_unlock(&exp->list_lock);
}

/* Parents before their children; below a dead one there is nothing to do. */
static struct barter_buf *barter_tree_next(const struct barter_buf *root,
					   struct barter_buf *buf)
{
	if (READ_ONCE(buf->state) != BARTER_STATE_DEAD &&
	    !list_empty(&buf->children))
		return list_first_entry(&buf->children, struct barter_buf,
					sibling);
	while (buf != root) {
		if (!list_is_last(&buf->sibling, &buf->parent->children))
			return list_next_entry(buf, sibling);
		buf = buf->parent;
	}
	return NULL;
}

/**
 * barter_tree_collect - a buffer and all that is below it
 * @root: a buffer, kept by the caller
 * @bufs: gets those that are neither dead nor being released, by revoke_node, each
 *	with a reference
 * @dead: gets the dead ones that were met, in the same way: nothing is to be done with
 *	them but to drop them
 *
 * Others get at the list now and then. Whoever the walk pauses at is held and so
 * stays where it is; buffers around it may be released meanwhile, and their children
 * move up into their places: what was before it in the order of the walk stays before
 * it, what was behind stays behind.
 *
 * Context: the exporter mutex is held, so that none is added meanwhile, and none dies
 * that the caller has to see to. May sleep.
 */
void barter_tree_collect(struct barter_buf *root, struct list_head *bufs,
			 struct list_head *dead)
{
	struct barter_exporter *exp = root->exp;
	struct barter_buf *buf;
	unsigned int n = 0;

	lockdep_assert_held(&exp->lock);

	spin_lock(&exp->list_lock);
	for (buf = root; buf; buf = barter_tree_next(root, buf)) {
		if (!barter_buf_get(buf))
			continue;
		list_add_tail(&buf->revoke_node,
			      READ_ONCE(buf->state) == BARTER_STATE_DEAD ?
			      dead : bufs);
		barter_exporter_list_pause(exp, &n);
	}
	spin_unlock(&exp->list_lock);
}

/**
 * barter_tree_ask - whose end is the buffer's end, and how many end with it
 * @buf: the buffer
 * @parent: set to the id of what it was cut from, or of the next one above that is
 *	still there; 0 if there is none
 * @slices: set to the number of its children
 */
void barter_tree_ask(struct barter_buf *buf, u64 *parent, u32 *slices)
{
	struct barter_exporter *exp = buf->exp;

	spin_lock(&exp->list_lock);
	*parent = buf->parent ? buf->parent->id : 0;
	*slices = buf->nr_children;
	spin_unlock(&exp->list_lock);
}

/**
 * barter_slice_tells_device - may the holder know where the memory is
 * @buf: the buffer
 *
 * Return: whether device, BAR and offsets in it may be told; always true for a
 * buffer that is no slice.
 */
bool barter_slice_tells_device(const struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;

	return !buf->slice || (exp->ops->slice_tells_device &&
			       exp->ops->slice_tells_device(exp));
}

/*
 * Nothing that the parent does not have: neither in the buffer, nor in the fd, of
 * which O_RDONLY counts as read-only for whatever is cut from it.
 */
static int barter_slice_rights(const struct barter_slice *req,
			       const struct barter_buf *parent)
{
	fmode_t have = parent->dmabuf->file->f_mode & (FMODE_READ | FMODE_WRITE);
	fmode_t want = OPEN_FMODE(req->open_flags) & (FMODE_READ | FMODE_WRITE);
	bool read_only = req->flags & BARTER_SLICE_READ_ONLY;

	if (req->open_flags & ~(O_ACCMODE | O_CLOEXEC) ||
	    (req->open_flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (read_only && want & FMODE_WRITE)
		return -EINVAL;
	if (want & ~have)
		return -EPERM;
	if (!read_only && (parent->read_only || !(have & FMODE_WRITE)))
		return -EPERM;
	return 0;
}

/**
 * barter_shown_free - free the table of what the holder of a slice is told
 * @buf: any buffer
 */
void barter_shown_free(const struct barter_buf *buf)
{
	if (buf->shown == &buf->ranges)
		return;
	barter_table_free(buf->shown);
	kfree(buf->shown);
}

/* Where the slice is in the BAR, from where it is in its parent. */
static int barter_slice_cut(struct barter_buf *buf,
			    const struct barter_buf *parent)
{
	union barter_slot *table = &buf->ranges.one;
	u32 nr;
	int ret;

	ret = barter_ranges_cut_check(&parent->ranges, buf->shown,
				      parent->least, &nr);
	if (ret)
		return ret;
	if (nr > 1)
		table = barter_table_alloc(nr);
	if (!table)
		return -ENOMEM;
	barter_ranges_cut_fill(&buf->ranges, table, &parent->ranges, buf->shown);
	return 0;
}

/* The two tables of a slice: where it is in its parent, and where in the BAR. */
static int barter_slice_tables(struct barter_buf *buf,
			       const struct barter_buf *parent,
			       union barter_slot **table, u32 nr)
{
	struct barter_ranges *shown;
	int ret;

	shown = kzalloc(sizeof(*shown), GFP_KERNEL_ACCOUNT);
	if (!shown)
		return -ENOMEM;
	buf->shown = shown;
	ret = barter_table_take(shown, table, nr, parent->ranges.length) ?:
	      barter_slice_cut(buf, parent);
	if (ret)
		barter_shown_free(buf);
	return ret;
}

static struct barter_buf *barter_slice_new(const struct barter_slice *req,
					   struct barter_buf *parent,
					   union barter_slot **table)
{
	struct barter_buf *buf;
	int ret;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = barter_slice_tables(buf, parent, table, req->nr_ranges);
	if (ret) {
		kfree(buf);
		return ERR_PTR(ret);
	}
	/* The device may be gone: all that is known of it, the parent knows. */
	buf->exp = parent->exp;
	buf->slice = true;
	buf->read_only = req->flags & BARTER_SLICE_READ_ONLY;
	buf->bar = parent->bar;
	buf->bar_start = parent->bar_start;
	buf->bar_length = parent->bar_length;
	buf->least = parent->least;
	buf->domain = parent->domain;
	buf->bus = parent->bus;
	buf->devfn = parent->devfn;
	ret = barter_buf_make(buf, req->open_flags);
	if (ret)
		return ERR_PTR(ret);
	barter_memattr_inherit(buf, parent);
	return buf;
}

/**
 * barter_slice_make - cut a slice
 * @req: what the user asks for
 * @parent: the buffer behind @req->dmabuf_fd, kept by the caller
 * @dmabuf: set to the slice; the caller gives it an fd, or dma_buf_put()
 *
 * Context: a system call of the user; no lock is held.
 *
 * Return: 0 or the errno of struct barter_slice.
 */
int barter_slice_make(const struct barter_slice *req, struct barter_buf *parent,
		      struct dma_buf **dmabuf)
{
	union barter_slot one, *table;
	struct barter_buf *buf;
	int ret;

	if (req->flags & ~BARTER_SLICE_READ_ONLY || req->__reserved ||
	    req->__reserved2 || !req->nr_ranges)
		return -EINVAL;
	if (req->nr_ranges > BARTER_MAX_RANGES)
		return -E2BIG;
	ret = barter_slice_rights(req, parent);
	if (ret)
		return ret;
	if (READ_ONCE(parent->final))
		return -EBADFD;

	table = barter_table_copy(&one, u64_to_user_ptr(req->ranges),
				  req->nr_ranges);
	if (IS_ERR(table))
		return PTR_ERR(table);
	buf = barter_slice_new(req, parent, &table);
	if (table != &one)
		kvfree(table);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = barter_buf_publish(buf, parent);
	if (ret) {
		dma_buf_put(buf->dmabuf);
		return ret;
	}
	trace_barter_slice(buf->id, parent->id, buf->ranges.nr,
			   buf->ranges.length);
	*dmabuf = buf->dmabuf;
	return 0;
}
