// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The buffer: one dma-buf over ranges of one BAR, and its importers.
 *
 * A buffer belongs to its dma_buf and dies with the last reference to that.
 * What keeps it usable is decided elsewhere (revoke.c); here an importer is let
 * in only if it can be told to let go again.
 */
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

/* All buffers, for debugfs. A leaf: nothing sleeps under it. */
static LIST_HEAD(barter_bufs);
static DEFINE_SPINLOCK(barter_bufs_lock);
static atomic64_t barter_next_id = ATOMIC64_INIT(1);

/**
 * barter_buf_from_dmabuf - the buffer behind a dma-buf
 * @dmabuf: any dma-buf, referenced by the caller
 *
 * Return: the buffer, or NULL if somebody else exported it.
 */
struct barter_buf *barter_buf_from_dmabuf(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &barter_dma_buf_ops ? dmabuf->priv : NULL;
}

/**
 * barter_buf_get - take a reference, if anybody has one
 * @buf: a buffer found on a list; the caller holds that list's lock
 *
 * A dma-buf lives as long as its dentry, which an O_PATH open or a reader of
 * /proc/PID/fd keeps for longer than the struct file: dmabuf->file may be freed
 * memory here, the dentry is not.
 *
 * Such a dentry is freed without a grace period: whoever takes its count to 0 goes
 * on to lock it, and relies on nobody having taken it up and freed it meanwhile
 * (fs/dcache.c, DCACHE_NORCU). So a count of 0 is as good as dead.
 *
 * Return: false if the last reference is gone already.
 */
bool barter_buf_get(struct barter_buf *buf)
{
	return lockref_get_not_zero(&buf->dentry->d_lockref);
}

/**
 * barter_buf_put - drop a reference of barter_buf_get()
 * @buf: the buffer; may be released by this
 *
 * Context: may sleep. The exporter mutex may be held, no spinlock and no
 * dma_resv.
 */
void barter_buf_put(struct barter_buf *buf)
{
	dput(buf->dentry);
}

/**
 * barter_buf_next - walk over all buffers of all devices
 * @prev: the one before, whose reference is taken over; NULL to begin
 *
 * Return: the next buffer with a reference for the caller, NULL at the end.
 */
struct barter_buf *barter_buf_next(struct barter_buf *prev)
{
	struct barter_buf *buf, *found = NULL;

	spin_lock(&barter_bufs_lock);
	buf = list_prepare_entry(prev, &barter_bufs, all_node);
	list_for_each_entry_continue(buf, &barter_bufs, all_node) {
		if (barter_buf_get(buf)) {
			found = buf;
			break;
		}
	}
	spin_unlock(&barter_bufs_lock);
	if (prev)
		barter_buf_put(prev);
	return found;
}

/**
 * barter_buf_error - what an access to the buffer comes to at present
 * @buf: the buffer, its dma_resv held
 *
 * Return: 0 if it is usable, -EBADFD if dead, -ENODEV if revoked.
 */
int barter_buf_error(const struct barter_buf *buf)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	if (buf->final)
		return -EBADFD;
	return buf->reasons ? -ENODEV : 0;
}

/**
 * barter_buf_waited_for - does a revoke wait for the buffer, or has given up
 * @buf: the buffer, its dma_resv held
 *
 * Return: whether asking who is in the way makes sense.
 */
bool barter_buf_waited_for(const struct barter_buf *buf)
{
	dma_resv_assert_held(buf->dmabuf->resv);

	return buf->state == BARTER_STATE_REVOKING ||
	       buf->reasons & BARTER_REASON_INTERRUPTED;
}

/**
 * barter_buf_blocker - name whoever has not let go of the buffer
 * @buf: the buffer, its dma_resv held
 * @text: filled with a fence, or an importer's device and driver; empty if
 *	nothing is left
 * @length: bytes at @text
 */
void barter_buf_blocker(struct barter_buf *buf, char *text, size_t length)
{
	struct dma_buf_attachment *attach;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_assert_held(buf->dmabuf->resv);

	text[0] = '\0';
	list_for_each_entry(attach, &buf->dmabuf->attachments, node) {
		struct barter_attach *ba = attach->priv;

		if (ba && ba->maps) {
			barter_attach_name(ba, text, length);
			return;
		}
	}
	dma_resv_for_each_fence(&cursor, buf->dmabuf->resv,
				DMA_RESV_USAGE_BOOKKEEP, fence) {
		if (!dma_fence_is_signaled(fence)) {
			barter_fence_name(fence, text, length);
			return;
		}
	}
}

static int barter_buf_attach(struct dma_buf *dmabuf,
			     struct dma_buf_attachment *attach)
{
	struct barter_buf *buf = dmabuf->priv;
	struct barter_attach *ba;
	int ret = 0;

	/* Whoever cannot be told to let go is not let in. */
	if (!attach->importer_ops ||
	    !barter_attach_ops_notify(attach->importer_ops)) {
		ret = -EOPNOTSUPP;
		goto out;
	}
	if (READ_ONCE(buf->final)) {
		ret = -EBADFD;
		goto out;
	}

	ba = kzalloc(sizeof(*ba), GFP_KERNEL_ACCOUNT);
	if (!ba) {
		ret = -ENOMEM;
		goto out;
	}
	ba->buf = buf;
	ba->attach = attach;
	attach->priv = ba;
	ret = barter_negotiate(ba);
	if (ret) {
		attach->priv = NULL;
		kfree(ba);
	}
out:
	trace_barter_attach(buf->id, attach->dev, ret);
	return ret;
}

static void barter_buf_detach(struct dma_buf *dmabuf,
			      struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = attach->priv;

	barter_domain_detach(ba);
	WARN_ON_ONCE(ba->maps);
	barter_negotiate_undo(ba);
	attach->priv = NULL;
	kfree(ba);
}

/*
 * Called by dma-buf itself right before each map (kernels without
 * DMABUF_MOVE_NOTIFY), and by importers that want to keep the memory for good.
 * Both look alike, but for their order: pin, map is an importer that can be
 * revoked; pin, pin, map and map, pin are not.
 *
 * A pin settles which interconnect the attachment works with, like a map.
 */
static int __maybe_unused barter_buf_pin(struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = attach->priv;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY) || ba->pinned || ba->maps)
		return -EOPNOTSUPP;
	if (!barter_buf_error(ba->buf)) {
		ret = barter_choose(ba);
		/* dma-buf takes -EBUSY from a pin for a bug, and says so. */
		if (ret)
			return ret == -EBUSY ? -EAGAIN : ret;
	}
	ba->pinned = true;
	return 0;
}

static void __maybe_unused barter_buf_unpin(struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	ba->pinned = false;
}

static struct sg_table *barter_buf_map(struct dma_buf_attachment *attach,
				       enum dma_data_direction dir)
{
	struct barter_attach *ba = attach->priv;
	struct barter_buf *buf = ba->buf;
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	ret = barter_map_begin(attach, &barter_sgt, NULL);
	if (!ret) {
		sgt = barter_sgt_map(ba, dir);
		ret = PTR_ERR_OR_ZERO(sgt);
		if (ret)
			barter_map_end(attach, &barter_sgt);
	}
	trace_barter_map(buf->id, attach->dev, ret ? 0 : sgt->nents, ret);
	return ret ? ERR_PTR(ret) : sgt;
}

static void barter_buf_unmap(struct dma_buf_attachment *attach,
			     struct sg_table *sgt, enum dma_data_direction dir)
{
	struct barter_attach *ba = attach->priv;
	struct barter_buf *buf = ba->buf;

	dma_resv_assert_held(attach->dmabuf->resv);

	barter_sgt_unmap(ba, sgt, dir);
	trace_barter_unmap(buf->id, attach->dev);
	barter_map_end(attach, &barter_sgt);
}

static void barter_buf_free(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;

	barter_tree_remove(buf);
	spin_lock(&barter_bufs_lock);
	list_del(&buf->all_node);
	spin_unlock(&barter_bufs_lock);

	barter_watch_buf_release(buf);
	barter_memattr_buf_free(buf);
	barter_window_free(buf);
	mutex_destroy(&buf->window_lock);
	barter_shown_free(buf);
	barter_table_free(&buf->ranges);
	kfree(buf);
	exp->ops->put(exp);
}

static void barter_buf_release(struct dma_buf *dmabuf)
{
	struct barter_buf *buf = dmabuf->priv;

	trace_barter_release(buf->id);
	barter_buf_free(buf);
}

const struct dma_buf_ops barter_dma_buf_ops = {
	.attach = barter_buf_attach,
	.detach = barter_buf_detach,
	BARTER_DMA_BUF_OPS_PIN(barter_buf_pin, barter_buf_unpin)
	.map_dma_buf = barter_buf_map,
	.unmap_dma_buf = barter_buf_unmap,
	.mmap = barter_buf_mmap,
	.release = barter_buf_release,
};

/**
 * barter_buf_make - a complete buffer, on no list yet
 * @buf: zeroed, but for @exp, @ranges, @shown, @slice, @read_only, @least of what it is
 *	cut from, and where the memory is (@bar, @bar_start, @bar_length, @domain, @bus,
 *	@devfn); taken over, and freed on failure, with both tables
 * @open_flags: O_CLOEXEC and an access mode
 *
 * Somebody else keeps @exp meanwhile. Context: may sleep.
 *
 * Return: 0, then dma_buf_put(buf->dmabuf) ends it; or what dma_buf_export() says.
 */
int barter_buf_make(struct barter_buf *buf, unsigned int open_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct barter_exporter *exp = buf->exp;
	struct dma_buf *dmabuf;

	exp->ops->get(exp);
	buf->pdev = exp->pdev;
	buf->least = min(buf->least, buf->ranges.length);
	buf->id = atomic64_fetch_inc(&barter_next_id);
	init_waitqueue_head(&buf->idle);
	mutex_init(&buf->window_lock);
	barter_watch_buf_init(buf);
	barter_memattr_buf_init(buf);
	INIT_LIST_HEAD(&buf->exp_node);
	INIT_LIST_HEAD(&buf->children);
	INIT_LIST_HEAD(&buf->sibling);
	INIT_LIST_HEAD(&buf->all_node);
	INIT_LIST_HEAD(&buf->revoke_node);
	INIT_LIST_HEAD(&buf->end_node);

	info.exp_name = "barter";
	info.owner = exp->ops->owner;
	info.ops = &barter_dma_buf_ops;
	info.size = buf->ranges.length;
	info.flags = open_flags;
	info.priv = buf;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		barter_buf_free(buf);
		return PTR_ERR(dmabuf);
	}
	buf->dmabuf = dmabuf;
	dmabuf->file->f_mapping = exp->mapping;
	buf->dentry = dmabuf->file->f_path.dentry;
	return 0;
}

/* A new buffer over ranges of a BAR. */
static struct barter_buf *barter_buf_new(struct barter_exporter *exp,
					 struct barter_lend *lend)
{
	struct barter_buf *buf;
	int ret;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = barter_lend_take(&buf->ranges, lend,
			       pci_resource_len(exp->pdev, lend->bar));
	if (ret) {
		kfree(buf);
		return ERR_PTR(ret);
	}
	buf->shown = &buf->ranges;
	buf->exp = exp;
	buf->read_only = lend->flags & BARTER_EXPORT_READ_ONLY;
	buf->bar = lend->bar;
	buf->bar_start = pci_resource_start(exp->pdev, lend->bar);
	buf->bar_length = pci_resource_len(exp->pdev, lend->bar);
	buf->least = buf->bar_length;
	buf->domain = pci_domain_nr(exp->pdev->bus);
	buf->bus = exp->pdev->bus->number;
	buf->devfn = exp->pdev->devfn;
	ret = barter_buf_make(buf, lend->open_flags);
	return ret ? ERR_PTR(ret) : buf;
}

/**
 * barter_buf_list - put a buffer where debugfs finds it
 * @buf: on its exporter's list
 */
void barter_buf_list(struct barter_buf *buf)
{
	spin_lock(&barter_bufs_lock);
	list_add_tail(&buf->all_node, &barter_bufs);
	spin_unlock(&barter_bufs_lock);
}

/* The name and the attribute that were asked for, before anybody has the buffer. */
static int barter_buf_dress(struct barter_buf *buf,
			    const struct barter_lend *lend)
{
	int ret = 0;

	if (lend->name)
		ret = barter_buf_set_name(buf, lend->name);
	/* Uncached it is, and looked at when somebody maps it. */
	if (!ret && (lend->memattr != BARTER_MEMATTR_UC ||
		     lend->flags & BARTER_EXPORT_FORCE_ATTRIBUTE))
		ret = barter_memattr_apply(buf, lend->memattr, lend->flags &
					   BARTER_EXPORT_FORCE_ATTRIBUTE);
	return ret;
}

/**
 * barter_buf_publish - from here on everybody may find the buffer
 * @buf: of barter_buf_make()
 * @parent: what it was cut from, kept by the caller; NULL if it is no slice
 *
 * Return: 0 or what barter_exporter_publish() says.
 */
int barter_buf_publish(struct barter_buf *buf, struct barter_buf *parent)
{
	int ret = barter_exporter_publish(buf, parent);

	if (ret)
		return ret;
	barter_buf_list(buf);
	return 0;
}

/**
 * barter_export_fd - lend ranges of a BAR as a dma-buf
 * @exp: the exporter, open
 * @lend: what, and how; several ranges of barter_lend_copy() are used up, and cannot be
 *	lent by a second call
 *
 * The buffer is born revoked if a reason is in force. Memory is charged to the
 * caller's memory cgroup. Context: a system call of the user who gets the fd; no
 * lock of the driver that a revoke needs is held.
 *
 * Return: a new fd of the caller's process, or
 * -EINVAL: flags, open_flags, no range, misaligned, outside the BAR, not memory;
 * -ENODEV: no such BAR, or the device is closed or gone;
 * -EOVERFLOW, -E2BIG: see struct vfio_device_feature_dma_buf in the uapi header;
 * -ENOENT, -EOPNOTSUPP, -EPERM, -EBUSY: see barter_buf_set_memattr();
 * -ENOMEM; -EMFILE: no fd is free; -EINTR: a fatal signal came.
 */
int barter_export_fd(struct barter_exporter *exp, struct barter_lend *lend)
{
	unsigned int mode = lend->open_flags & O_ACCMODE;
	struct barter_buf *buf;
	int ret;

	if (lend->bar >= PCI_STD_NUM_BARS ||
	    !pci_resource_len(exp->pdev, lend->bar))
		return -ENODEV;
	if (!(pci_resource_flags(exp->pdev, lend->bar) & IORESOURCE_MEM))
		return -EINVAL;
	if (lend->open_flags & ~(O_ACCMODE | O_CLOEXEC) || mode == O_ACCMODE)
		return -EINVAL;
	if (lend->flags & ~(BARTER_EXPORT_READ_ONLY |
			    BARTER_EXPORT_FORCE_ATTRIBUTE) ||
	    (lend->flags & BARTER_EXPORT_READ_ONLY && mode != O_RDONLY))
		return -EINVAL;

	buf = barter_buf_new(exp, lend);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	ret = barter_buf_dress(buf, lend);
	if (!ret)
		ret = barter_buf_publish(buf, NULL);
	if (ret)
		goto err_put_dmabuf;
	trace_barter_export(buf->id, buf->pdev, buf->bar, buf->ranges.nr,
			    buf->ranges.length);
	/* Once the fd is there, another thread may close it: hands off. */
	ret = dma_buf_fd(buf->dmabuf, lend->open_flags);
	if (ret < 0)
		goto err_put_dmabuf;
	return ret;

err_put_dmabuf:
	dma_buf_put(buf->dmabuf);
	return ret;
}
BARTER_EXPORT(barter_export_fd);
