// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How long it takes to map guest memory: with barter-vgpu, and page by page, as drivers
 * do that call VFIO and the DMA API themselves; and what of it is VFIO's and the DMA
 * API's. For bench/vgpu.c.
 */
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "vgpu_kmod.h"

static u64 clock_ns;

static void calibrate(void)
{
	unsigned int i;

	clock_ns = U64_MAX;
	for (i = 0; i < 64; i++) {
		u64 t0 = ktime_get_ns();

		clock_ns = min(clock_ns, ktime_get_ns() - t0);
	}
}

static u64 since(u64 t0)
{
	u64 spent = ktime_get_ns() - t0;

	return spent > clock_ns ? spent - clock_ns : 0;
}

static int time_map(struct vt_space *vt, struct device *dev,
		    struct vt_time *req, u64 iova)
{
	struct barter_vgpu_map *map;
	u64 t0;
	int ret;

	t0 = ktime_get_ns();
	ret = barter_vgpu_map(vt->space, iova, req->npages, req->prot, dev, &map);
	req->out_map_ns += since(t0);
	if (ret)
		return ret;
	t0 = ktime_get_ns();
	barter_vgpu_unmap(map);
	req->out_unmap_ns += since(t0);
	return 0;
}

/* The least that a driver does that has only VFIO and the DMA API. */
static int loop_map(struct vfio_device *vdev, struct device *dev, u64 iova,
		    int prot, dma_addr_t *address)
{
	struct page *page;
	int ret = vfio_pin_pages(vdev, iova, 1, prot, &page);

	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	*address = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, *address)) {
		vfio_unpin_pages(vdev, iova, 1);
		return -EIO;
	}
	return 0;
}

static int time_loop(struct vt_space *vt, struct device *dev,
		     struct vt_time *req, u64 iova)
{
	struct vfio_device *vdev = vt_vfio_device(vt);
	int prot = IOMMU_READ | (req->prot & BARTER_VGPU_WRITE ? IOMMU_WRITE : 0);
	dma_addr_t *addresses;
	u64 i, t0;
	int ret = 0;

	if (!vdev || !dev)
		return -EINVAL;
	addresses = kvmalloc_array(req->npages, sizeof(*addresses), GFP_KERNEL);
	if (!addresses)
		return -ENOMEM;
	t0 = ktime_get_ns();
	for (i = 0; i < req->npages; i++) {
		ret = loop_map(vdev, dev, iova + (i << PAGE_SHIFT), prot,
			       &addresses[i]);
		if (ret)
			break;
	}
	req->out_map_ns += since(t0);
	t0 = ktime_get_ns();
	while (i--) {
		dma_unmap_page(dev, addresses[i], PAGE_SIZE, DMA_BIDIRECTIONAL);
		vfio_unpin_pages(vdev, iova + (i << PAGE_SHIFT), 1);
	}
	req->out_unmap_ns += since(t0);
	kvfree(addresses);
	return ret;
}

/* What barter-vgpu asks of VFIO for a cold map, and nothing else. */
static int time_pin(struct vt_space *vt, struct device *dev,
		    struct vt_time *req, u64 iova)
{
	struct vfio_device *vdev = vt_vfio_device(vt);
	int prot = IOMMU_READ | (req->prot & BARTER_VGPU_WRITE ? IOMMU_WRITE : 0);
	struct page **pages;
	u64 done, all, t0;
	int n, ret = 0;

	if (!vdev)
		return -EINVAL;
	pages = kvmalloc_array(BARTER_VGPU_BATCH, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	t0 = ktime_get_ns();
	for (done = 0; done < req->npages; done += n) {
		n = min_t(u64, req->npages - done, BARTER_VGPU_BATCH);
		ret = vfio_pin_pages(vdev, iova + (done << PAGE_SHIFT), n, prot, pages);
		if (ret != n)
			break;
	}
	req->out_map_ns += since(t0);
	ret = done < req->npages ? ret < 0 ? ret : -EIO : 0;
	all = done;
	t0 = ktime_get_ns();
	for (done = 0; done < all; done += n) {
		n = min_t(u64, all - done, BARTER_VGPU_BATCH);
		vfio_unpin_pages(vdev, iova + (done << PAGE_SHIFT), n);
	}
	req->out_unmap_ns += since(t0);
	kvfree(pages);
	return ret;
}

static int fill_table(struct barter_vgpu_map *map, struct sg_table *sgt)
{
	unsigned long i, n = barter_vgpu_npages(map);
	struct page **pages;
	int ret;

	pages = kvmalloc_array(n, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		pages[i] = barter_vgpu_page(map, i, NULL);
	ret = sg_alloc_table_from_pages(sgt, pages, n, 0, n << PAGE_SHIFT, GFP_KERNEL);
	kvfree(pages);
	return ret;
}

/* What it asks of the DMA API. */
static int time_dma(struct vt_space *vt, struct device *dev,
		    struct vt_time *req, u64 iova)
{
	struct barter_vgpu_map *map;
	struct sg_table sgt;
	u64 t0;
	int ret;

	if (!dev)
		return -EINVAL;
	ret = barter_vgpu_map(vt->space, iova, req->npages, req->prot, NULL, &map);
	if (ret)
		return ret;
	ret = fill_table(map, &sgt);
	if (ret)
		goto out_unmap;
	t0 = ktime_get_ns();
	ret = dma_map_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	req->out_map_ns += since(t0);
	if (!ret) {
		t0 = ktime_get_ns();
		dma_unmap_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
		req->out_unmap_ns += since(t0);
	}
	sg_free_table(&sgt);
out_unmap:
	barter_vgpu_unmap(map);
	return ret;
}

static int (*const hows[])(struct vt_space *vt, struct device *dev,
			   struct vt_time *req, u64 iova) = {
	[VT_TIME_MAP] = time_map,
	[VT_TIME_LOOP] = time_loop,
	[VT_TIME_PIN] = time_pin,
	[VT_TIME_DMA] = time_dma,
};

/* Answers VT_TIME; @dev may be NULL. */
int vt_time(struct vt_space *vt, struct device *dev, struct vt_time *req)
{
	u64 iova = req->iova;
	int ret = 0;
	u32 i;

	if (!req->npages || req->npages > 65536 || req->how >= ARRAY_SIZE(hows))
		return -EINVAL;
	calibrate();
	req->out_map_ns = 0;
	req->out_unmap_ns = 0;
	for (i = 0; i < req->repeat && !ret; i++) {
		ret = hows[req->how](vt, dev, req, iova);
		iova += (u64)req->step << PAGE_SHIFT;
	}
	return ret;
}
