// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a map and an unmap cost, by each type.
 */
#include "bench.h"

#include <linux/barter.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#define BENCH_IOVA	SZ_1G

/**
 * struct bench_map - one type
 * @count: what is counted while it maps and unmaps
 * @map: an ERR_PTR, or what @unmap wants
 * @unmap: the reverse
 */
struct bench_map {
	unsigned int count;
	void *(*map)(struct dma_buf_attachment *attach, void *data);
	void (*unmap)(struct dma_buf_attachment *attach, void *map);
};

static int bench_map_sample(const struct bench_map *ops,
			    struct dma_buf_attachment *attach, void *data,
			    struct barter_bench *req, u32 sample)
{
	u64 map_ns = 0, unmap_ns = 0;
	u32 i;

	for (i = 0; i < req->batch; i++) {
		u64 t0 = ktime_get_ns(), t1;
		void *map = ops->map(attach, data);

		t1 = ktime_get_ns();
		if (IS_ERR(map))
			return PTR_ERR(map);
		map_ns += bench_elapsed(t0, t1);
		t0 = ktime_get_ns();
		ops->unmap(attach, map);
		unmap_ns += bench_elapsed(t0, ktime_get_ns());
		cond_resched();
	}
	req->out_ps[0][sample] = div_u64(map_ns * 1000, req->batch);
	req->out_ps[1][sample] = div_u64(unmap_ns * 1000, req->batch);
	return 0;
}

static int bench_map_count(const struct bench_map *ops,
			   struct dma_buf_attachment *attach, void *data,
			   struct barter_bench *req)
{
	u32 i;
	int ret;

	ret = count_begin(ops->count);
	if (ret)
		return ret;
	for (i = 0; i < req->samples; i++) {
		void *map = ops->map(attach, data);

		req->out_counts[0] = max(req->out_counts[0], count_read());
		if (IS_ERR(map)) {
			ret = PTR_ERR(map);
			break;
		}
		ops->unmap(attach, map);
		req->out_counts[1] = max(req->out_counts[1], count_read());
		cond_resched();
	}
	count_end(ops->count);
	return ret;
}

static int bench_map(const struct bench_map *ops, struct dma_buf *dmabuf,
		     struct pci_dev *pdev, const struct dma_buf_attach_ops *attach_ops,
		     void *data, struct barter_bench *req)
{
	struct dma_buf_attachment *attach;
	int ret = 0;
	u32 i;

	attach = dma_buf_dynamic_attach(dmabuf, &pdev->dev, attach_ops, req);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	dma_resv_lock(dmabuf->resv, NULL);
	for (i = 0; !ret && i < req->samples; i++)
		ret = bench_map_sample(ops, attach, data, req, i);
	if (!ret)
		ret = bench_map_count(ops, attach, data, req);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, attach);
	return ret;
}

static void *sgt_map(struct dma_buf_attachment *attach, void *data)
{
	return dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
}

static void sgt_unmap(struct dma_buf_attachment *attach, void *map)
{
	dma_buf_unmap_attachment(attach, map, DMA_BIDIRECTIONAL);
}

int bench_sgt(struct dma_buf *dmabuf, struct pci_dev *pdev,
	      struct barter_bench *req)
{
	static const struct bench_map ops = {
		COUNT_IOMMU, sgt_map, sgt_unmap,
	};

	return bench_map(&ops, dmabuf, pdev, &bench_plain_ops, NULL, req);
}

static void *domain_map(struct dma_buf_attachment *attach, void *data)
{
	return barter_domain_map(attach, data);
}

static void domain_unmap(struct dma_buf_attachment *attach, void *map)
{
	barter_domain_unmap(attach, map);
}

/*
 * To ask whether each page of a range is in use, as barter_domain_map() does where the
 * IOMMU driver would not refuse to map it twice.
 */
static void bench_domain_ask(struct iommu_domain *domain, u64 length,
			     struct barter_bench *req)
{
	u32 i;

	for (i = 0; i < req->samples; i++) {
		u64 t0 = ktime_get_ns(), done;

		for (done = 0; done < length; done += PAGE_SIZE)
			if (iommu_iova_to_phys(domain, BENCH_IOVA + done))
				break;
		req->out_ps[2][i] = bench_elapsed(t0, ktime_get_ns()) * 1000;
		cond_resched();
	}
}

int bench_domain(struct dma_buf *dmabuf, struct pci_dev *pdev,
		 struct barter_bench *req)
{
	static const struct bench_map ops = {
		COUNT_IOMMU, domain_map, domain_unmap,
	};
	struct device *devices[] = { &pdev->dev };
	struct barter_domain_request request = {
		.iova = BENCH_IOVA,
		.prot = IOMMU_READ | IOMMU_WRITE,
		.devices = devices,
		.nr_devices = ARRAY_SIZE(devices),
	};
	int ret;

	request.domain = iommu_paging_domain_alloc(&pdev->dev);
	if (IS_ERR(request.domain))
		return PTR_ERR(request.domain);
	ret = iommu_attach_device(request.domain, &pdev->dev);
	if (!ret) {
		bench_domain_ask(request.domain, dmabuf->size, req);
		ret = bench_map(&ops, dmabuf, pdev, bench_importer.ops, &request,
				req);
		iommu_detach_device(request.domain, &pdev->dev);
	}
	iommu_domain_free(request.domain);
	return ret;
}

static void *bar_map(struct dma_buf_attachment *attach, void *data)
{
	return (void *)barter_pci_bar_map(attach);
}

static void bar_unmap(struct dma_buf_attachment *attach, void *map)
{
	barter_pci_bar_unmap(attach, map);
}

int bench_bar(struct dma_buf *dmabuf, struct pci_dev *pdev,
	      struct barter_bench *req)
{
	static const struct bench_map ops = {
		COUNT_ALLOCATIONS, bar_map, bar_unmap,
	};

	return bench_map(&ops, dmabuf, pdev, bench_bar_importer.ops, NULL, req);
}
