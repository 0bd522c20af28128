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
 * barter_buf_get - take a reference, unless the buffer is being released
 * @buf: a buffer found on a list; the caller holds that list's lock
 *
 * A dma-buf lives as long as its dentry, which an O_PATH open or a reader of
 * /proc/PID/fd keeps for longer than the struct file: dmabuf->file may be freed
 * memory here, the dentry is not.
 *
 * Return: false if the last reference is gone already.
 */
bool barter_buf_get(struct barter_buf *buf)
{
	return lockref_get_not_dead(&buf->dentry->d_lockref);
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

	spin_lock(&exp->list_lock);
	list_del(&buf->exp_node);
	spin_unlock(&exp->list_lock);
	spin_lock(&barter_bufs_lock);
	list_del(&buf->all_node);
	spin_unlock(&barter_bufs_lock);

	barter_window_free(buf);
	mutex_destroy(&buf->window_lock);
	pci_dev_put(buf->pdev);
	kvfree(buf->ranges);
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

static struct barter_ranges *barter_buf_ranges(const struct barter_range *ranges,
					       u32 nr, u64 bar_length)
{
	struct barter_ranges *out;
	u32 nr_runs;
	u64 length;
	int ret;

	ret = barter_ranges_check(ranges, nr, bar_length, &nr_runs, &length);
	if (ret)
		return ERR_PTR(ret);
	out = kvmalloc(struct_size(out, runs, nr_runs), BARTER_GFP_TABLE);
	if (!out)
		return ERR_PTR(-ENOMEM);
	barter_ranges_fill(out, ranges, nr);
	return out;
}

/* A complete buffer, on no exporter's list yet. */
static struct barter_buf *barter_buf_new(struct barter_exporter *exp,
					 unsigned int bar,
					 const struct barter_range *ranges,
					 u32 nr, unsigned int open_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct barter_buf *buf;
	int ret;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->ranges = barter_buf_ranges(ranges, nr,
					pci_resource_len(exp->pdev, bar));
	if (IS_ERR(buf->ranges)) {
		ret = PTR_ERR(buf->ranges);
		goto err_free_buf;
	}

	exp->ops->get(exp);
	buf->exp = exp;
	buf->pdev = pci_dev_get(exp->pdev);
	buf->bar = bar;
	buf->bar_start = pci_resource_start(exp->pdev, bar);
	buf->bar_length = pci_resource_len(exp->pdev, bar);
	buf->end = barter_ranges_end(buf->ranges);
	buf->id = atomic64_fetch_inc(&barter_next_id);
	buf->domain = pci_domain_nr(exp->pdev->bus);
	buf->bus = exp->pdev->bus->number;
	buf->devfn = exp->pdev->devfn;
	init_waitqueue_head(&buf->idle);
	mutex_init(&buf->window_lock);
	INIT_LIST_HEAD(&buf->exp_node);
	INIT_LIST_HEAD(&buf->all_node);
	INIT_LIST_HEAD(&buf->revoke_node);

	info.exp_name = "barter";
	info.owner = exp->ops->owner;
	info.ops = &barter_dma_buf_ops;
	info.size = buf->ranges->length;
	info.flags = open_flags;
	info.priv = buf;
	buf->dmabuf = dma_buf_export(&info);
	if (IS_ERR(buf->dmabuf)) {
		ret = PTR_ERR(buf->dmabuf);
		barter_buf_free(buf);
		return ERR_PTR(ret);
	}
	buf->dmabuf->file->f_mapping = exp->mapping;
	buf->dentry = buf->dmabuf->file->f_path.dentry;
	return buf;

err_free_buf:
	kfree(buf);
	return ERR_PTR(ret);
}

/**
 * barter_export_fd - lend ranges of a BAR as a dma-buf
 * @exp: the exporter, open
 * @bar: BAR index, 0 to 5
 * @ranges: what to lend, in the buffer's order; copied
 * @nr: number of @ranges, 1 to BARTER_MAX_RANGES
 * @open_flags: O_CLOEXEC and an access mode
 *
 * The buffer is born revoked if a reason is in force. Memory is charged to the
 * caller's memory cgroup. Context: a system call of the user who gets the fd; no
 * lock of the driver that a revoke needs is held.
 *
 * Return: a new fd of the caller's process, or
 * -EINVAL: open_flags, no range, misaligned, outside the BAR, not memory;
 * -ENODEV: no such BAR, or the device is closed or gone;
 * -EOVERFLOW, -E2BIG: see struct vfio_device_feature_dma_buf in the uapi header;
 * -ENOMEM; -EMFILE: no fd is free; -EINTR: a fatal signal came.
 */
int barter_export_fd(struct barter_exporter *exp, unsigned int bar,
		     const struct barter_range *ranges, u32 nr,
		     unsigned int open_flags)
{
	struct barter_buf *buf;
	int ret;

	if (bar >= PCI_STD_NUM_BARS || !pci_resource_len(exp->pdev, bar))
		return -ENODEV;
	if (!(pci_resource_flags(exp->pdev, bar) & IORESOURCE_MEM))
		return -EINVAL;
	if (open_flags & ~(O_ACCMODE | O_CLOEXEC) ||
	    (open_flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;

	buf = barter_buf_new(exp, bar, ranges, nr, open_flags);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	ret = barter_exporter_publish(buf);
	if (ret)
		goto err_put_dmabuf;
	spin_lock(&barter_bufs_lock);
	list_add_tail(&buf->all_node, &barter_bufs);
	spin_unlock(&barter_bufs_lock);

	trace_barter_export(buf->id, buf->pdev, bar, buf->ranges->nr,
			    buf->ranges->length);
	/* Once the fd is there, another thread may close it: hands off. */
	ret = dma_buf_fd(buf->dmabuf, open_flags);
	if (ret < 0)
		goto err_put_dmabuf;
	return ret;

err_put_dmabuf:
	dma_buf_put(buf->dmabuf);
	return ret;
}
BARTER_EXPORT(barter_export_fd);
