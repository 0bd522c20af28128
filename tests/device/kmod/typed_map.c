// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The map calls of every interconnect.
 */
#include "typed_kmod.h"

#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#define TYPED_DEVICES	ARRAY_SIZE(((struct typed_map *)0)->devices)

void typed_drop_one(struct typed *t, struct typed_one *one)
{
	dma_resv_assert_held(t->dmabuf->resv);

	if (one->sgt)
		dma_buf_unmap_attachment(t->attach, one->sgt, DMA_BIDIRECTIONAL);
	if (one->bar)
		barter_pci_bar_unmap(t->attach, one->bar);
	if (one->fabric)
		fabric_unmap(t->attach, fabric_type(one->type), one->fabric);
	if (one->domain)
		barter_domain_unmap(t->attach, one->domain);
	WRITE_ONCE(one->sgt, NULL);
	WRITE_ONCE(one->bar, NULL);
	WRITE_ONCE(one->fabric, NULL);
	WRITE_ONCE(one->domain, NULL);
}

void typed_drop_all(struct typed *t)
{
	for (u32 i = 0; t->attach && i < TYPED_MAPS; i++)
		typed_drop_one(t, &t->maps[i]);
}

/* Not those of other types, which no driver of the device's owns. */
void typed_drop_sgt(struct typed *t)
{
	for (u32 i = 0; t->attach && i < TYPED_MAPS; i++)
		if (t->maps[i].sgt)
			typed_drop_one(t, &t->maps[i]);
}

/* Under the device_lock, so that no driver goes meanwhile: see typed_bus_notify(). */
static int map_sgt(struct typed *t, struct typed_one *one)
{
	struct sg_table *sgt;

	if (t->dev && !device_trylock(t->dev))
		return -EBUSY;
	sgt = dma_buf_map_attachment(t->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt))
		WRITE_ONCE(one->sgt, sgt);
	if (t->dev)
		device_unlock(t->dev);
	return PTR_ERR_OR_ZERO(sgt);
}

static void describe_bar(const struct barter_pci_bar_map *map,
			 struct typed_map *req)
{
	req->out_bdf.domain = pci_domain_nr(map->pdev->bus);
	req->out_bdf.bus = map->pdev->bus->number;
	req->out_bdf.devfn = map->pdev->devfn;
	req->out_bar = map->bar;
	req->out_share = map->share;
	req->out_length = map->length;
	req->out_nr = map->nr;
}

/*
 * The copy to user space faults; under the dma_resv that would be the wrong order,
 * so the caller's memory is asked for before.
 */
static void copy_ranges(const struct barter_range *ranges, u32 nr,
			struct typed_map *req, struct barter_range *to)
{
	if (to && nr <= req->room)
		memcpy(to, ranges, nr * sizeof(*ranges));
}

static int map_domain(struct typed *t, struct typed_one *one,
		      const struct typed_map *req,
		      struct device *const *devices,
		      struct iommu_domain *domain)
{
	const struct barter_domain_request request = {
		.domain = domain,
		.iova = req->iova,
		.prot = req->prot,
		.devices = devices,
		.nr_devices = req->nr_devices,
		.flags = req->flags,
	};
	struct barter_domain_map *map;

	map = barter_domain_map(t->attach, &request);
	if (IS_ERR(map))
		return PTR_ERR(map);
	WRITE_ONCE(one->domain, map);
	return 0;
}

static int map_type(struct typed *t, struct typed_one *one,
		    struct typed_map *req, struct device *const *devices,
		    struct iommu_domain *domain, struct barter_range *to)
{
	const struct barter_pci_bar_map *bar;
	const struct fabric_map *fabric;

	one->type = req->type;
	switch (req->type) {
	case TYPED_SGT:
		return map_sgt(t, one);
	case TYPED_PCI_BAR:
		bar = barter_pci_bar_map(t->attach);
		if (IS_ERR(bar))
			return PTR_ERR(bar);
		WRITE_ONCE(one->bar, bar);
		describe_bar(bar, req);
		copy_ranges(bar->ranges, bar->nr, req, to);
		return 0;
	case TYPED_DOMAIN:
		return map_domain(t, one, req, devices, domain);
	case TYPED_FABRIC_A:
	case TYPED_FABRIC_B:
		fabric = fabric_map(t->attach, fabric_type(req->type));
		if (IS_ERR(fabric))
			return PTR_ERR(fabric);
		WRITE_ONCE(one->fabric, fabric);
		req->out_nr = fabric->nr;
		req->out_length = fabric->length;
		req->out_data = fabric->data;
		copy_ranges(fabric->ranges, fabric->nr, req, to);
		return 0;
	default:
		return -EINVAL;
	}
}

static struct typed_one *free_map(struct typed *t, u32 *nr)
{
	for (*nr = 0; *nr < TYPED_MAPS; ++*nr) {
		struct typed_one *one = &t->maps[*nr];

		if (!one->sgt && !one->bar && !one->fabric && !one->domain)
			return one;
	}
	return NULL;
}

int typed_map(struct typed *t, struct typed_map *req)
{
	struct device *devices[TYPED_DEVICES] = {};
	struct iommu_domain *domain = NULL;
	struct barter_range *to = NULL;
	struct typed_one *one;
	u32 i;
	int ret;

	/* More than core takes are core's to refuse. */
	if (req->nr_devices > TYPED_DEVICES && req->nr_devices <= 64)
		return -EINVAL;
	for (i = 0; i < req->nr_devices && i < TYPED_DEVICES; i++) {
		struct pci_dev *pdev = typed_pdev(&req->devices[i]);

		ret = -ENODEV;
		if (!pdev)
			goto out_put;
		devices[i] = &pdev->dev;
	}
	if (req->type == TYPED_DOMAIN) {
		domain = typed_domain_get(req->domain, &req->devices[0]);
		ret = PTR_ERR_OR_ZERO(domain);
		if (ret)
			goto out_put;
	}
	if (req->room && req->room <= 1U << 17) {
		ret = -ENOMEM;
		to = kvcalloc(req->room, sizeof(*to), GFP_KERNEL);
		if (!to)
			goto out_put;
	}

	ret = dma_resv_lock_interruptible(t->dmabuf->resv, NULL);
	if (ret)
		goto out_free;
	one = free_map(t, &req->out_map);
	ret = !t->attach ? -ENOENT : !one ? -ENOSPC :
	      map_type(t, one, req, devices, domain, to);
	dma_resv_unlock(t->dmabuf->resv);
	if (!ret && to && req->out_nr <= req->room &&
	    copy_to_user(u64_to_user_ptr(req->ranges), to,
			 req->out_nr * sizeof(*to)))
		ret = -EFAULT;
out_free:
	kvfree(to);
out_put:
	for (i = 0; i < TYPED_DEVICES; i++)
		put_device(devices[i]);
	return ret;
}
