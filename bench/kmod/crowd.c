// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Many importers of one buffer, each with a map, which unmap when they are told to: for
 * programs that time what takes the memory away. Whose buffer it is does not matter.
 */
#include "bench.h"

#include <linux/dma-resv.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include <linux/barter.h>

struct crowd_member {
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
};

struct bench_crowd {
	struct dma_buf *dmabuf;
	u32 nr;
	struct crowd_member members[] __counted_by(nr);
};

static void crowd_unmap(struct crowd_member *member)
{
	if (!member->sgt)
		return;
	dma_buf_unmap_attachment(member->attach, member->sgt, DMA_BIDIRECTIONAL);
	member->sgt = NULL;
}

static void crowd_invalidate(struct dma_buf_attachment *attach)
{
	crowd_unmap(attach->importer_priv);
}

static const struct dma_buf_attach_ops crowd_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(crowd_invalidate)
};

static int crowd_map(struct bench_crowd *crowd, struct barter_bench_crowd *req)
{
	struct dma_buf *dmabuf = crowd->dmabuf;
	u64 spent = 0;
	int ret = 0;
	u32 i;

	dma_resv_lock(dmabuf->resv, NULL);
	for (i = 0; i < crowd->nr && !ret; i++) {
		struct crowd_member *member = &crowd->members[i];
		u64 t0 = ktime_get_ns();
		struct sg_table *sgt;

		if (member->sgt)
			continue;
		sgt = dma_buf_map_attachment(member->attach, DMA_BIDIRECTIONAL);
		spent += bench_elapsed(t0, ktime_get_ns());
		if (IS_ERR(sgt))
			ret = PTR_ERR(sgt);
		else
			member->sgt = sgt;
	}
	dma_resv_unlock(dmabuf->resv);
	req->out_map_ps = div_u64(spent * 1000, crowd->nr);
	return ret;
}

void crowd_dissolve(struct bench_crowd *crowd, struct barter_bench_crowd *req)
{
	u64 unmap = 0, detach = 0;
	u32 i;

	if (!crowd)
		return;
	for (i = 0; i < crowd->nr && crowd->members[i].attach; i++) {
		u64 t0, t1;

		dma_resv_lock(crowd->dmabuf->resv, NULL);
		t0 = ktime_get_ns();
		crowd_unmap(&crowd->members[i]);
		unmap += bench_elapsed(t0, ktime_get_ns());
		dma_resv_unlock(crowd->dmabuf->resv);
		t1 = ktime_get_ns();
		dma_buf_detach(crowd->dmabuf, crowd->members[i].attach);
		detach += bench_elapsed(t1, ktime_get_ns());
	}
	if (req) {
		req->out_unmap_ps = div_u64(unmap * 1000, crowd->nr);
		req->out_detach_ps = div_u64(detach * 1000, crowd->nr);
	}
	dma_buf_put(crowd->dmabuf);
	kvfree(crowd);
}

static struct bench_crowd *crowd_gather(struct pci_dev *pdev,
					struct barter_bench_crowd *req)
{
	struct bench_crowd *crowd;
	u64 spent = 0;
	int ret = 0;
	u32 i;

	crowd = kvzalloc(struct_size(crowd, members, req->nr), GFP_KERNEL);
	if (!crowd)
		return ERR_PTR(-ENOMEM);
	crowd->nr = req->nr;
	crowd->dmabuf = dma_buf_get(req->dmabuf_fd);
	if (IS_ERR(crowd->dmabuf)) {
		ret = PTR_ERR(crowd->dmabuf);
		kvfree(crowd);
		return ERR_PTR(ret);
	}
	for (i = 0; i < crowd->nr; i++) {
		struct dma_buf_attachment *attach;
		u64 t0 = ktime_get_ns();

		attach = dma_buf_dynamic_attach(crowd->dmabuf, &pdev->dev,
						&crowd_ops, &crowd->members[i]);
		spent += bench_elapsed(t0, ktime_get_ns());
		if (IS_ERR(attach)) {
			ret = PTR_ERR(attach);
			break;
		}
		crowd->members[i].attach = attach;
	}
	req->out_attach_ps = div_u64(spent * 1000, crowd->nr);
	if (!ret && req->map)
		ret = crowd_map(crowd, req);
	if (ret) {
		crowd_dissolve(crowd, NULL);
		return ERR_PTR(ret);
	}
	return crowd;
}

int bench_crowd(struct bench_crowd **crowd, struct barter_bench_crowd *req)
{
	struct bench_crowd *new;
	struct pci_dev *pdev;

	switch (req->action) {
	case BARTER_BENCH_GATHER:
		if (*crowd || !req->nr || req->nr > BARTER_BENCH_CROWD)
			return -EINVAL;
		pdev = pci_get_domain_bus_and_slot(req->domain, req->bus,
						   req->devfn);
		if (!pdev)
			return -ENODEV;
		new = crowd_gather(pdev, req);
		pci_dev_put(pdev);
		if (IS_ERR(new))
			return PTR_ERR(new);
		*crowd = new;
		return 0;
	case BARTER_BENCH_MAP_AGAIN:
		return *crowd ? crowd_map(*crowd, req) : -EINVAL;
	case BARTER_BENCH_DISSOLVE:
		crowd_dissolve(*crowd, req);
		*crowd = NULL;
		return 0;
	default:
		return -EINVAL;
	}
}
