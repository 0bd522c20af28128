// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The importer of a driver that has an IOMMU domain of its own.
 *
 * Such a driver says itself which address means what to its device, as drivers of
 * GPUs and of accelerators do. It is no longer served by the DMA API, whose
 * addresses mean nothing in its domain. From barter it gets a buffer mapped where
 * it wants to have it (interconnect "iommu-domain"), and never learns a physical
 * address.
 *
 * How it differs from sgt.c:
 *
 *  - it is registered, and lists what it can work with	own_importer
 *  - what was agreed on is asked before each map		own_map()
 *  - it decides on the address				own_map_domain()
 *  - it names its device, so that the route is checked	own_map_domain()
 *  - on invalidate it only waits for the DMA that runs:
 *    core unmaps, also what it would have forgotten		own_invalidate()
 *  - it hears of the end of a revoke			own_restored()
 *  - its own memory it maps itself				edu_domain_init()
 *
 * A dma-buf that is not barter's, or of an exporter that selects "sgt", comes with
 * addresses of the DMA API. For these edu goes back to the domain that the kernel
 * gave it, and forth again for the next buffer of barter's.
 *
 * The domain changes under edu->lock with no transfer running. IOVAs come from a
 * maple tree with a lock of its own; one is free again when its map is gone.
 */
#include "edu.h"

#include <linux/barter.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/maple_tree.h>
#include <linux/pci.h>
#include <linux/slab.h>

/**
 * struct edu_domain - edu's own I/O address space
 * @domain: the domain, attached while @entered
 * @iovas: the pages of it that are taken
 * @first: the first page that may be used, and
 * @last: the last one
 * @bounce: a page of RAM, mapped at
 * @bounce_iova: this address
 * @entered: edu is in this domain, not in the kernel's
 */
struct edu_domain {
	struct iommu_domain *domain;
	struct maple_tree iovas;
	unsigned long first, last;
	void *bounce;
	unsigned long bounce_iova;
	bool entered;
};

static int iova_alloc(struct edu_domain *own, u64 length, unsigned long *iova)
{
	unsigned long page;
	int ret;

	if (length >> PAGE_SHIFT > own->last - own->first)
		return -ENOSPC;
	ret = mtree_alloc_range(&own->iovas, &page, own, length >> PAGE_SHIFT,
				own->first, own->last, GFP_KERNEL);
	if (ret)
		return ret == -EBUSY ? -ENOSPC : ret;
	*iova = page << PAGE_SHIFT;
	return 0;
}

static void iova_free(struct edu_domain *own, unsigned long iova)
{
	mtree_erase(&own->iovas, iova >> PAGE_SHIFT);
}

/* Nothing may be mapped where edu's interrupts go, nor beyond what it can say. */
static int iova_init(struct edu *edu, struct edu_domain *own)
{
	const struct iommu_domain_geometry *range = &own->domain->geometry;
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	u64 last = edu->dma_mask;
	int ret = 0;

	if (range->force_aperture)
		last = min_t(u64, last, range->aperture_end);
	own->last = min_t(u64, last, ULONG_MAX) >> PAGE_SHIFT;
	/* Address 0 is what an engine has that nobody told one. */
	own->first = max_t(u64, range->aperture_start >> PAGE_SHIFT, 1);

	iommu_get_resv_regions(&edu->pdev->dev, &regions);
	list_for_each_entry(region, &regions, list) {
		u64 end = region->start + (region->length - 1);

		if (!ret && region->start >> PAGE_SHIFT <= own->last)
			/* Some are listed twice, or overlap. */
			ret = mtree_store_range(&own->iovas,
						region->start >> PAGE_SHIFT,
						min_t(u64, end >> PAGE_SHIFT,
						      own->last),
						own, GFP_KERNEL);
	}
	iommu_put_resv_regions(&edu->pdev->dev, &regions);
	return ret;
}

/* Into its own domain or back to the kernel's; edu->lock held, no DMA runs. */
static int domain_enter(struct edu *edu, bool enter)
{
	struct edu_domain *own = edu->own;
	int ret;

	if (own->entered == enter)
		return 0;
	if (enter) {
		ret = iommu_attach_device(own->domain, &edu->pdev->dev);
		if (ret)
			return ret;
		edu->bounce = own->bounce;
		edu->bounce_bus = own->bounce_iova;
	} else {
		iommu_detach_device(own->domain, &edu->pdev->dev);
		edu->bounce = edu->coherent;
		edu->bounce_bus = edu->coherent_bus;
	}
	own->entered = enter;
	return 0;
}

/* Whatever is mapped, also what a revoke has unmapped already. */
static void own_unmap(struct import *imp, struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	WRITE_ONCE(imp->mapped, false);
	if (imp->map) {
		barter_domain_unmap(attach, imp->map);
		imp->map = NULL;
		iova_free(imp->edu->own, imp->iova);
	}
	sgt_importer.unmap(imp, attach);
}

/*
 * Core unmaps from the domain when this has returned. Addresses of the DMA API are
 * the importer's to give back, as ever.
 */
static void own_invalidate(struct dma_buf_attachment *attach)
{
	struct import *imp = attach->importer_priv;

	WRITE_ONCE(imp->revokes, imp->revokes + 1);
	wait_for_completion(&imp->idle);
	WRITE_ONCE(imp->mapped, false);
	sgt_importer.unmap(imp, attach);
}

/*
 * The buffer is usable again. What is left of the old map goes, so that others can
 * have the address; the new map is made when the next transfer needs it.
 */
static void own_restored(struct dma_buf_attachment *attach)
{
	struct import *imp = attach->importer_priv;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	if (!imp->mapped)
		own_unmap(imp, attach);
	dma_resv_unlock(attach->dmabuf->resv);
}

static const struct dma_buf_attach_ops own_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(own_invalidate)
};

static const struct barter_offer own_offers[] = {
	{ .type = &barter_iommu_domain },
	{ .type = &barter_sgt },
};

static struct barter_importer own_importer = {
	.name = "barter-dma",
	.owner = THIS_MODULE,
	.ops = &own_ops,
	.offers = own_offers,
	.nr_offers = ARRAY_SIZE(own_offers),
	.restored = own_restored,
};

static struct dma_buf_attachment *own_attach(struct import *imp,
					     struct dma_buf *dmabuf)
{
	return barter_attach(dmabuf, &imp->edu->pdev->dev, &own_importer, imp);
}

static int own_map_domain(struct import *imp, enum dma_data_direction dir)
{
	struct edu_domain *own = imp->edu->own;
	struct device *devices[] = { &imp->edu->pdev->dev };
	struct barter_domain_request request = {
		.domain = own->domain,
		/* From the engine's side: it reads what goes to a device. */
		.prot = dir == DMA_TO_DEVICE ? IOMMU_READ : IOMMU_WRITE,
		.devices = devices,
		.nr_devices = ARRAY_SIZE(devices),
	};
	struct barter_domain_map *map;
	int ret;

	ret = iova_alloc(own, imp->attach->dmabuf->size, &request.iova);
	if (ret)
		return ret;
	map = barter_domain_map(imp->attach, &request);
	if (IS_ERR(map)) {
		iova_free(own, request.iova);
		return PTR_ERR(map);
	}
	imp->map = map;
	imp->iova = request.iova;
	imp->dir = dir;
	WRITE_ONCE(imp->mapped, true);
	WRITE_ONCE(imp->segments, 1);
	WRITE_ONCE(imp->maps, imp->maps + 1);
	return 0;
}

/* Between two invalidates the type stays what it is. */
static int own_map(struct import *imp, enum dma_data_direction dir)
{
	const struct barter_interconnect *type;
	int ret;

	type = barter_attach_type(imp->attach);
	if (IS_ERR(type))
		return PTR_ERR(type);
	ret = domain_enter(imp->edu, type == &barter_iommu_domain);
	if (ret)
		return ret;
	if (imp->mapped && imp->dir == dir)
		return 0;
	own_unmap(imp, imp->attach);
	return type == &barter_iommu_domain ? own_map_domain(imp, dir) :
					      sgt_importer.map(imp, dir);
}

/* One piece, however the buffer is scattered. */
static int own_find(struct import *imp, u64 offset, dma_addr_t *bus,
		    size_t *count)
{
	if (!imp->map)
		return sgt_importer.find(imp, offset, bus, count);
	*bus = imp->iova + offset;
	return 0;
}

static const struct importer domain_importer = {
	.attach = own_attach,
	.map = own_map,
	.find = own_find,
	.unmap = own_unmap,
};

/* edu->lock held or not needed yet; nothing is imported. */
void edu_domain_exit(struct edu *edu)
{
	struct edu_domain *own = edu->own;

	if (!own)
		return;
	domain_enter(edu, false);
	if (own->bounce_iova)
		iommu_unmap(own->domain, own->bounce_iova, PAGE_SIZE);
	mtree_destroy(&own->iovas);
	iommu_domain_free(own->domain);
	free_page((unsigned long)own->bounce);
	kfree(own);
	edu->own = NULL;
}

/**
 * edu_domain_init - give edu a domain of its own
 * @edu: the device, which does no DMA yet
 *
 * Return: 0; -ENODEV and the like without an IOMMU, -EINVAL if edu shares its
 * IOMMU group, -EOPNOTSUPP if DMA passes by the CPU's caches, -ENOMEM.
 */
int edu_domain_init(struct edu *edu)
{
	struct device *dev = &edu->pdev->dev;
	struct edu_domain *own;
	unsigned long iova;
	int ret;

	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return device_iommu_mapped(dev) ? -EOPNOTSUPP : -ENODEV;
	own = kzalloc(sizeof(*own), GFP_KERNEL);
	if (!own)
		return -ENOMEM;
	mt_init_flags(&own->iovas, MT_FLAGS_ALLOC_RANGE);
	own->domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(own->domain)) {
		ret = PTR_ERR(own->domain);
		kfree(own);
		return ret;
	}
	edu->own = own;

	own->bounce = (void *)get_zeroed_page(GFP_KERNEL);
	/* What it can address is known once a device is in the domain. */
	ret = own->bounce ? domain_enter(edu, true) : -ENOMEM;
	if (!ret)
		ret = iova_init(edu, own);
	if (!ret)
		ret = iova_alloc(own, PAGE_SIZE, &iova);
	if (!ret)
		ret = iommu_map(own->domain, iova, virt_to_phys(own->bounce),
				PAGE_SIZE, IOMMU_READ | IOMMU_WRITE |
				IOMMU_CACHE | IOMMU_NOEXEC, GFP_KERNEL);
	if (ret) {
		edu_domain_exit(edu);
		return ret;
	}
	own->bounce_iova = iova;
	edu->bounce_bus = iova;
	edu->importer = &domain_importer;
	return 0;
}

int edu_domain_register(void)
{
	return barter_importer_register(&own_importer);
}

void edu_domain_unregister(void)
{
	barter_importer_unregister(&own_importer);
}

BARTER_IMPORT_NS_BARTER;
