// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A dma-buf that looks like one of barter's and is none.
 */
#include "typed_kmod.h"

#include <linux/fcntl.h>
#include <linux/slab.h>

static int lookalike_attach(struct dma_buf *dmabuf,
			    struct dma_buf_attachment *attach)
{
	return 0;
}

static void lookalike_detach(struct dma_buf *dmabuf,
			     struct dma_buf_attachment *attach)
{
}

static struct sg_table *lookalike_map(struct dma_buf_attachment *attach,
				      enum dma_data_direction dir)
{
	return ERR_PTR(-EIO);
}

static void lookalike_unmap(struct dma_buf_attachment *attach,
			    struct sg_table *sgt, enum dma_data_direction dir)
{
}

static int __maybe_unused lookalike_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void __maybe_unused lookalike_unpin(struct dma_buf_attachment *attach)
{
}

static int lookalike_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	return -ENODEV;
}

/* The copy of the ops goes with the dma-buf; detached, nobody calls them any more. */
static void lookalike_release(struct dma_buf *dmabuf)
{
	kfree(dmabuf->priv);
}

static const struct dma_buf_ops lookalike_ops = {
	.attach = lookalike_attach,
	.detach = lookalike_detach,
	BARTER_DMA_BUF_OPS_PIN(lookalike_pin, lookalike_unpin)
	.map_dma_buf = lookalike_map,
	.unmap_dma_buf = lookalike_unmap,
	.mmap = lookalike_mmap,
	.release = lookalike_release,
};

/* A page that stands for a buffer, all 0, and the copied ops in it. */
struct lookalike {
	char nothing[2048];
	struct dma_buf_ops ops;
};

int typed_lookalike(int fd)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *real, *dmabuf;
	struct lookalike *la;
	int ret;

	real = dma_buf_get(fd);
	if (IS_ERR(real))
		return PTR_ERR(real);
	la = kzalloc(sizeof(*la), GFP_KERNEL);
	if (!la) {
		dma_buf_put(real);
		return -ENOMEM;
	}
	la->ops = *real->ops;
	info.exp_name = real->exp_name;
	info.size = real->size;
	dma_buf_put(real);
	la->ops.attach = lookalike_ops.attach;
	la->ops.detach = lookalike_ops.detach;
#ifndef BARTER_HAVE_INVALIDATE_MAPPINGS
	la->ops.pin = lookalike_ops.pin;
	la->ops.unpin = lookalike_ops.unpin;
#endif
	la->ops.map_dma_buf = lookalike_ops.map_dma_buf;
	la->ops.unmap_dma_buf = lookalike_ops.unmap_dma_buf;
	la->ops.mmap = lookalike_ops.mmap;
	la->ops.release = lookalike_ops.release;
	info.ops = &la->ops;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = la;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kfree(la);
		return PTR_ERR(dmabuf);
	}
	ret = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (ret < 0)
		dma_buf_put(dmabuf);
	return ret;
}
