// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What an attach costs, and the part of it that negotiation is.
 *
 * The part is measured by calling barter_negotiate() and barter_negotiate_undo()
 * themselves for an attachment that is there, with a struct barter_attach apart, so
 * that no instrument takes time in between. They are not exported: by a static call,
 * which becomes the direct call that barter's own attach has, where one by a pointer
 * would add what protects indirect calls.
 */
#include "bench.h"

#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/string.h>

#include "priv.h"

static void bench_invalidate(struct dma_buf_attachment *attach)
{
}

const struct dma_buf_attach_ops bench_plain_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(bench_invalidate)
};

static const struct dma_buf_attach_ops bench_known_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(bench_invalidate)
};

static const struct dma_buf_attach_ops bench_bar_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(bench_invalidate)
};

static int bench_share(const struct barter_match *match, u64 *bytes)
{
	*bytes = match->bar_length;
	return 0;
}

static const struct barter_pci_bar_importer bench_bar_importer_data = {
	.share = bench_share,
};

/* As the sample importer's. */
static const struct barter_offer bench_offers[] = {
	{ &barter_iommu_domain },
	{ &barter_sgt },
};

static const struct barter_offer bench_bar_offers[] = {
	{ &barter_pci_bar, &bench_bar_importer_data },
};

static void bench_restored(struct dma_buf_attachment *attach)
{
}

struct barter_importer bench_importer = {
	.name = "barter-bench",
	.owner = THIS_MODULE,
	.ops = &bench_known_ops,
	.offers = bench_offers,
	.nr_offers = ARRAY_SIZE(bench_offers),
	.restored = bench_restored,
};

struct barter_importer bench_bar_importer = {
	.name = "barter-bench-bar",
	.owner = THIS_MODULE,
	.ops = &bench_bar_ops,
	.offers = bench_bar_offers,
	.nr_offers = ARRAY_SIZE(bench_bar_offers),
};

int bench_no_negotiate(struct barter_attach *ba);
void bench_no_undo(struct barter_attach *ba);
DEFINE_STATIC_CALL_NULL(bench_negotiate, bench_no_negotiate);
DEFINE_STATIC_CALL_NULL(bench_undo, bench_no_undo);

static int bench_negotiate_sample(struct barter_attach *ba, struct dma_buf *dmabuf,
				  struct dma_buf_attachment *attach,
				  struct barter_bench *req, u32 sample)
{
	u64 negotiate = 0, undo = 0;
	u32 i;
	int ret;

	for (i = 0; i < req->batch; i++) {
		u64 t0, t1;

		/* As barter's attach has it. */
		memset(ba, 0, sizeof(*ba));
		ba->buf = dmabuf->priv;
		ba->attach = attach;
		t0 = ktime_get_ns();
		ret = static_call(bench_negotiate)(ba);
		t1 = ktime_get_ns();
		if (ret)
			return ret;
		negotiate += bench_elapsed(t0, t1);
		t0 = ktime_get_ns();
		static_call(bench_undo)(ba);
		undo += bench_elapsed(t0, ktime_get_ns());
	}
	req->out_ps[2][sample] = div_u64(negotiate * 1000, req->batch);
	req->out_ps[3][sample] = div_u64(undo * 1000, req->batch);
	return 0;
}

static int bench_attach_sample(struct dma_buf *dmabuf, struct device *dev,
			       const struct dma_buf_attach_ops *ops,
			       struct barter_bench *req, u32 sample)
{
	struct dma_buf_attachment *attach;
	u64 attach_ns = 0, detach_ns = 0;
	u32 i;

	for (i = 0; i < req->batch; i++) {
		u64 t0 = ktime_get_ns(), t1;

		attach = dma_buf_dynamic_attach(dmabuf, dev, ops, req);
		t1 = ktime_get_ns();
		if (IS_ERR(attach))
			return PTR_ERR(attach);
		attach_ns += bench_elapsed(t0, t1);
		t0 = ktime_get_ns();
		dma_buf_detach(dmabuf, attach);
		detach_ns += bench_elapsed(t0, ktime_get_ns());
	}
	req->out_ps[0][sample] = div_u64(attach_ns * 1000, req->batch);
	req->out_ps[1][sample] = div_u64(detach_ns * 1000, req->batch);
	return 0;
}

int bench_attach(struct dma_buf *dmabuf, struct pci_dev *pdev,
		 struct barter_bench *req)
{
	const struct dma_buf_attach_ops *ops =
		req->what == BARTER_BENCH_ATTACH_KNOWN ? &bench_known_ops :
							 &bench_plain_ops;
	struct dma_buf_attachment *attach;
	int (*negotiate)(struct barter_attach *ba) =
		count_symbol("barter_negotiate");
	void (*undo)(struct barter_attach *ba) =
		count_symbol("barter_negotiate_undo");
	struct barter_attach *ba;
	int ret = 0;
	u32 i;

	if (!negotiate || !undo)
		return -ENOENT;
	static_call_update(bench_negotiate, negotiate);
	static_call_update(bench_undo, undo);
	for (i = 0; !ret && i < req->samples; i++)
		ret = bench_attach_sample(dmabuf, &pdev->dev, ops, req, i);
	if (ret)
		return ret;

	ba = kzalloc(sizeof(*ba), GFP_KERNEL);
	if (!ba)
		return -ENOMEM;
	attach = dma_buf_dynamic_attach(dmabuf, &pdev->dev, ops, req);
	if (IS_ERR(attach)) {
		kfree(ba);
		return PTR_ERR(attach);
	}
	for (i = 0; !ret && i < req->samples; i++)
		ret = bench_negotiate_sample(ba, dmabuf, attach, req, i);
	dma_buf_detach(dmabuf, attach);
	kfree(ba);
	return ret;
}
