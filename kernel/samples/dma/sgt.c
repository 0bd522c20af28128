// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The smallest correct importer of memory that can be taken back.
 *
 * It knows nothing of barter: dma-buf's own calls are all that an importer needs.
 * BARTER_ATTACH_OPS_INVALIDATE() stands for what is spelt differently on different
 * kernels, the name of the invalidate callback. domain.c is the same for a driver
 * that has an IOMMU domain of its own.
 *
 * What an importer owes the exporter, and where it is done:
 *
 *  - say that it can take device memory and give it back	sgt_ops
 *  - map late, under the buffer's dma_resv, for the direction
 *    that is needed, after the exporter's own fences		import_begin()
 *  - let the device use an address only while that is
 *    visible to invalidate					import_begin(), import_end()
 *  - on invalidate wait for the DMA that runs, then unmap	sgt_invalidate()
 *  - never report DMA as over that may still run		edu_transfer()
 *  - leave before the device's driver does			edu_remove()
 *
 * An exporter that waits for an invalidated mapping may hold mmap_lock or a
 * device_lock, and user space may be stopped. So nothing that happens between
 * invalidate and unmap may need one of these. Here it needs nothing at all:
 * whoever completes import->idle takes no lock and touches no user memory from
 * import_begin() to import_end().
 */
#include "edu.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>

static void sgt_unmap(struct import *imp, struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!imp->sgt)
		return;
	WRITE_ONCE(imp->mapped, false);
	dma_buf_unmap_attachment(attach, imp->sgt, imp->dir);
	imp->sgt = NULL;
}

/*
 * The exporter takes the buffer back; it holds the dma_resv, so that no new
 * transfer can begin. Runs as soon as the buffer is attached, even before
 * imp->attach is set.
 */
static void sgt_invalidate(struct dma_buf_attachment *attach)
{
	struct import *imp = attach->importer_priv;

	WRITE_ONCE(imp->revokes, imp->revokes + 1);
	wait_for_completion(&imp->idle);
	sgt_unmap(imp, attach);
}

static const struct dma_buf_attach_ops sgt_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(sgt_invalidate)
};

static struct dma_buf_attachment *sgt_attach(struct import *imp,
					     struct dma_buf *dmabuf)
{
	return dma_buf_dynamic_attach(dmabuf, &imp->edu->pdev->dev, &sgt_ops,
				      imp);
}

/* What the exporter says to a map is the caller's answer: ENODEV, EXDEV ... */
static int sgt_map(struct import *imp, enum dma_data_direction dir)
{
	struct sg_table *sgt;

	if (imp->sgt && imp->dir == dir)
		return 0;
	sgt_unmap(imp, imp->attach);

	sgt = dma_buf_map_attachment(imp->attach, dir);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	imp->sgt = sgt;
	imp->dir = dir;
	WRITE_ONCE(imp->mapped, true);
	WRITE_ONCE(imp->segments, sgt->nents);
	WRITE_ONCE(imp->maps, imp->maps + 1);
	return 0;
}

/* Segments are of any length and have nothing to do with pages. */
static int sgt_find(struct import *imp, u64 offset, dma_addr_t *bus,
		    size_t *count)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*bus = sg_dma_address(sg) + offset;
			*count = min_t(u64, *count, sg_dma_len(sg) - offset);
			return 0;
		}
		offset -= sg_dma_len(sg);
	}
	return -EIO;	/* mapped shorter than the buffer is */
}

const struct importer sgt_importer = {
	.attach = sgt_attach,
	.map = sgt_map,
	.find = sgt_find,
	.unmap = sgt_unmap,
};
