// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A dma-buf of somebody else: system memory, with ops that are not barter's.
 */
#include "kmod.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Several importers may map the same pages at once, so that no map owns caches. */
#define FOREIGN_DMA_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

static unsigned int foreign_attaches;
module_param(foreign_attaches, uint, 0444);
MODULE_PARM_DESC(foreign_attaches, "Times that somebody attached to one of these dma-bufs");

struct foreign {
	unsigned int npages;
	struct page *pages[] __counted_by(npages);
};

static void foreign_free(struct foreign *foreign)
{
	unsigned int i;

	for (i = 0; i < foreign->npages; i++)
		if (foreign->pages[i])
			put_page(foreign->pages[i]);
	kfree(foreign);
}

static struct foreign *foreign_alloc(unsigned int npages)
{
	struct foreign *foreign;
	unsigned int i;

	foreign = kzalloc(struct_size(foreign, pages, npages), GFP_KERNEL);
	if (!foreign)
		return NULL;
	foreign->npages = npages;
	for (i = 0; i < npages; i++) {
		/* Low, so that no device's mask makes the kernel bounce it. */
		foreign->pages[i] = alloc_page(GFP_KERNEL | GFP_DMA32 |
					       __GFP_ZERO);
		if (!foreign->pages[i]) {
			foreign_free(foreign);
			return NULL;
		}
	}
	return foreign;
}

static int foreign_attach(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach)
{
	WRITE_ONCE(foreign_attaches, foreign_attaches + 1);
	return 0;
}

/* One entry for each page, so that importers meet more than one segment. */
static struct sg_table *foreign_map(struct dma_buf_attachment *attach,
				    enum dma_data_direction dir)
{
	struct foreign *foreign = attach->dmabuf->priv;
	struct scatterlist *sg;
	struct sg_table *sgt;
	int i, ret;

	/* BARTER_TEST_IOC_ATTACH can ask for less. */
	if (dma_get_max_seg_size(attach->dev) < PAGE_SIZE)
		return ERR_PTR(-EINVAL);
	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table(sgt, foreign->npages, GFP_KERNEL);
	if (ret)
		goto err_free;
	for_each_sgtable_sg(sgt, sg, i)
		sg_set_page(sg, foreign->pages[i], PAGE_SIZE, 0);
	ret = dma_map_sgtable(attach->dev, sgt, dir, FOREIGN_DMA_ATTRS);
	if (ret)
		goto err_free_table;
	return sgt;

err_free_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(ret);
}

static void foreign_unmap(struct dma_buf_attachment *attach,
			  struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_unmap_sgtable(attach->dev, sgt, dir, FOREIGN_DMA_ATTRS);
	sg_free_table(sgt);
	kfree(sgt);
}

static int foreign_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct foreign *foreign = dmabuf->priv;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_map_pages(vma, foreign->pages, foreign->npages);
}

static void foreign_release(struct dma_buf *dmabuf)
{
	foreign_free(dmabuf->priv);
}

static const struct dma_buf_ops foreign_ops = {
	.attach = foreign_attach,
	.map_dma_buf = foreign_map,
	.unmap_dma_buf = foreign_unmap,
	.mmap = foreign_mmap,
	.release = foreign_release,
};

int foreign_export(struct barter_test_foreign __user *arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct barter_test_foreign req;
	struct dma_buf *dmabuf;
	struct foreign *foreign;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!req.length || req.length > BARTER_TEST_FOREIGN_MAX ||
	    !PAGE_ALIGNED(req.length))
		return -EINVAL;

	foreign = foreign_alloc(req.length >> PAGE_SHIFT);
	if (!foreign)
		return -ENOMEM;
	info.ops = &foreign_ops;
	info.size = req.length;
	info.flags = O_RDWR;
	info.priv = foreign;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		foreign_free(foreign);
		return PTR_ERR(dmabuf);
	}

	req.out_fd = get_unused_fd_flags(O_CLOEXEC);
	if (req.out_fd < 0) {
		dma_buf_put(dmabuf);
		return req.out_fd;
	}
	if (copy_to_user(arg, &req, sizeof(req))) {
		put_unused_fd(req.out_fd);
		dma_buf_put(dmabuf);
		return -EFAULT;
	}
	fd_install(req.out_fd, dmabuf->file);
	return 0;
}
