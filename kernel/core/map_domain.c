// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Interconnect "iommu-domain": a buffer mapped into an importer's own domain.
 *
 * The importer says where, core maps: so no importer ever sees a physical address,
 * and a revoke takes the mapping away itself, whatever the importer does.
 *
 * What core has mapped is remembered for all domains in one tree, ordered by
 * domain and address: IOMMU drivers do not expect an address to be mapped twice.
 * What others have mapped is looked for in the page table itself, where the table
 * would not refuse by itself.
 *
 * Locks: a map belongs to an attachment and is under that buffer's dma_resv. The
 * tree has a spinlock of its own, a leaf. The IOMMU is called without it: a range
 * stays in the tree until it is unmapped.
 */
#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

#define BARTER_DOMAIN_PROT \
	(IOMMU_READ | IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_PRIV)

/* How many devices an importer lists at most. */
#define BARTER_DOMAIN_DEVICES	64

/* How many maps an attachment has at most. */
#define BARTER_DOMAIN_MAPS	64

/* Bytes mapped or unmapped between two chances for others to run. */
#define BARTER_DOMAIN_BATCH	SZ_1G

/* Pages looked at in between. */
#define BARTER_PROBE_BATCH	1024

/**
 * struct barter_domain_map - one buffer in one domain
 * @node: in ba->domain_maps
 * @rb: in barter_domain_maps while @domain is set
 * @domain: the domain; NULL once a revoke has unmapped it
 * @iova: where it begins
 * @length: bytes
 */
struct barter_domain_map {
	struct hlist_node node;
	struct rb_node rb;
	struct iommu_domain *domain;
	unsigned long iova;
	u64 length;
};

static struct rb_root barter_domain_maps = RB_ROOT;
static DEFINE_SPINLOCK(barter_domain_lock);

/* <0, 0, >0: before, overlapping, behind. Domains have an order, whichever. */
static int barter_domain_order(const struct barter_domain_map *a,
			       const struct barter_domain_map *b)
{
	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	if (a->iova + (a->length - 1) < b->iova)
		return -1;
	return b->iova + (b->length - 1) < a->iova;
}

static int barter_domain_reserve(struct barter_domain_map *map)
{
	struct rb_node **link = &barter_domain_maps.rb_node, *parent = NULL;

	spin_lock(&barter_domain_lock);
	while (*link) {
		int order;

		parent = *link;
		order = barter_domain_order(map, rb_entry(parent,
						struct barter_domain_map, rb));
		if (!order) {
			spin_unlock(&barter_domain_lock);
			return -EADDRINUSE;
		}
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&map->rb, parent, link);
	rb_insert_color(&map->rb, &barter_domain_maps);
	spin_unlock(&barter_domain_lock);
	return 0;
}

static void barter_domain_release(struct barter_domain_map *map)
{
	spin_lock(&barter_domain_lock);
	rb_erase(&map->rb, &barter_domain_maps);
	spin_unlock(&barter_domain_lock);
	map->domain = NULL;
}

#ifdef CONFIG_IOMMU_API
/* Can the whole buffer be mapped at this address of this domain, by its rules? */
static int barter_domain_check(const struct barter_domain_request *req,
			       u64 length)
{
	struct iommu_domain *domain = req->domain;
	unsigned long last;

	if (!domain || req->flags & ~BARTER_DOMAIN_UNCHECKED ||
	    req->prot & ~BARTER_DOMAIN_PROT ||
	    !(req->prot & (IOMMU_READ | IOMMU_WRITE)) ||
	    req->nr_devices > BARTER_DOMAIN_DEVICES ||
	    (req->nr_devices && !req->devices))
		return -EINVAL;
	/* Nobody checked a route: the importer has to say that it knows. */
	if (!req->nr_devices && !(req->flags & BARTER_DOMAIN_UNCHECKED))
		return -EXDEV;
	if (domain->type != IOMMU_DOMAIN_UNMANAGED ||
	    barter_domain_is_iommufds(domain))
		return -EPERM;
	if (!domain->pgsize_bitmap ||
	    1UL << __ffs(domain->pgsize_bitmap) > PAGE_SIZE)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(req->iova))
		return -EINVAL;
	if (length - 1 > ULONG_MAX ||
	    check_add_overflow(req->iova, (unsigned long)(length - 1), &last))
		return -EOVERFLOW;
	if (domain->geometry.force_aperture &&
	    (req->iova < domain->geometry.aperture_start ||
	     last > domain->geometry.aperture_end))
		return -ERANGE;
	return 0;
}

static bool barter_domain_refuses_twice(const struct iommu_domain *domain)
{
	return barter_domain_is_generic(domain);
}
#else
static int barter_domain_check(const struct barter_domain_request *req,
			       u64 length)
{
	return -EOPNOTSUPP;
}

static bool barter_domain_refuses_twice(const struct iommu_domain *domain)
{
	return false;
}
#endif

/* Addresses that mean something else to @dev, such as its interrupts. */
static bool barter_domain_reserved(struct device *dev, unsigned long iova,
				   u64 length)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	bool found = false;

	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list)
		found |= region->type != IOMMU_RESV_DIRECT_RELAXABLE &&
			 region->start <= iova + (length - 1) &&
			 iova <= region->start + (region->length - 1);
	iommu_put_resv_regions(dev, &regions);
	return found;
}

static int barter_domain_check_device(struct barter_buf *buf,
				      const struct barter_domain_request *req,
				      struct device *dev)
{
	struct barter_route_answer answer;

	if (iommu_get_domain_for_dev(dev) != req->domain)
		return -EINVAL;
	if (barter_domain_reserved(dev, req->iova, buf->ranges.length))
		return -EADDRINUSE;
	barter_route_find(buf->pdev, buf->bar, dev, &answer);
	trace_barter_route(buf->id, dev, answer.route, answer.why);
	/*
	 * An address that the IOMMU shall translate has to get there: where a
	 * bridge may send it elsewhere, it is none that it can be trusted with.
	 */
	if (answer.route == BARTER_ROUTE_HOST)
		return 0;
	dev_dbg(dev, "barter: no DMA through the IOMMU to %s: %s\n",
		pci_name(buf->pdev), answer.text);
	return -EXDEV;
}

static int barter_domain_unused(struct iommu_domain *domain, unsigned long iova,
				u64 length)
{
	u64 done;

	if (barter_domain_refuses_twice(domain))
		return 0;
	for (done = 0; done < length; done += PAGE_SIZE) {
		if (iommu_iova_to_phys(domain, iova + done))
			return -EADDRINUSE;
		if (done % (BARTER_PROBE_BATCH * PAGE_SIZE))
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Whatever is left of a range, page by page: an IOMMU driver that fails in the
 * middle may leave translations and not say so, and one that finds a hole may stop
 * there. Asking for more than a page at a hole is no option either, as drivers then
 * round up to what a whole table covers.
 */
static void barter_domain_sweep(struct iommu_domain *domain, unsigned long iova,
				u64 length)
{
	u64 done = 0;

	while (done < length) {
		size_t unmapped = 0;

		if (iommu_iova_to_phys(domain, iova + done))
			unmapped = iommu_unmap(domain, iova + done, PAGE_SIZE);
		done += max_t(size_t, unmapped, PAGE_SIZE);
		cond_resched();
	}
}

/* All of it, and the IOMMU's cache is told once. */
static void barter_domain_clear(struct iommu_domain *domain, unsigned long iova,
				u64 length)
{
	struct iommu_iotlb_gather gather;
	u64 done = 0;

	iommu_iotlb_gather_init(&gather);
	while (done < length) {
		size_t part = min_t(u64, length - done, BARTER_DOMAIN_BATCH);
		size_t unmapped = iommu_unmap_fast(domain, iova + done, part,
						   &gather);

		/* More is the rest of a large page, less that somebody was there. */
		if (unmapped < part)
			break;
		done += unmapped;
		cond_resched();
	}
	iommu_iotlb_sync(domain, &gather);
	if (done < length)
		barter_domain_sweep(domain, iova + done, length - done);
}

static int barter_domain_fill(struct barter_buf *buf,
			      const struct barter_domain_request *req)
{
	u64 pos = 0, part;
	u32 i;
	int ret;

	for (i = 0; i < buf->ranges.nr; i++) {
		struct barter_run run = barter_ranges_run(&buf->ranges, i);

		for (; pos < run.pos + run.length; pos += part) {
			part = min_t(u64, run.pos + run.length - pos,
				     BARTER_DOMAIN_BATCH);
			ret = fatal_signal_pending(current) ? -EINTR :
				iommu_map(req->domain, req->iova + pos,
					  buf->bar_start + run.offset +
					  (pos - run.pos), part,
					  req->prot | IOMMU_MMIO,
					  GFP_KERNEL_ACCOUNT);
			if (ret)
				goto err_clear;
			cond_resched();
		}
	}
	return 0;

err_clear:
	barter_domain_clear(req->domain, req->iova, pos);
	/* Where it would be refused twice, nothing of a failed part is left. */
	if (!barter_domain_refuses_twice(req->domain))
		barter_domain_sweep(req->domain, req->iova + pos, part);
	return ret;
}

static int barter_domain_match(const struct barter_match *match)
{
	return barter_domain_fits() ? 0 : BARTER_MATCH_SKIP;
}

struct barter_interconnect barter_iommu_domain = {
	.name = "iommu-domain",
	.owner = THIS_MODULE,
	.match = barter_domain_match,
	.read_only = true,
};
BARTER_EXPORT(barter_iommu_domain);

/**
 * barter_domain_map - map a buffer into a domain of the importer's own
 * @attach: an attachment, its dma_resv held
 * @request: where
 *
 * All ranges one after another from @request->iova on, or nothing. A revoke
 * unmaps it after the importer's invalidate callback has returned, before the
 * revoking call does; the importer may do so itself, in that callback. DMA that
 * runs all the same is stopped by the IOMMU and reported by it. After the restore
 * the importer hears restored(), unmaps what is left of the old map and maps anew.
 * An attachment may have up to 64 maps. What is left at detach is unmapped then.
 *
 * Meanwhile nobody else maps or unmaps anything in this range of the domain.
 *
 * The route of each device listed is checked and goes through the host bridge, or
 * the map is refused.
 *
 * Return: a handle for barter_domain_unmap(), or an ERR_PTR: what
 * barter_map_begin() says, or
 * -EINVAL: @request is malformed, the address is misaligned, or a listed device is
 * not attached to the domain;
 * -EPERM: the domain is the DMA API's or, where the kernel tells (6.15), iommufd's; or
 * IOMMU_WRITE for a read-only buffer;
 * -EXDEV: no route for a listed device, or none listed without
 * BARTER_DOMAIN_UNCHECKED;
 * -EADDRINUSE: something is mapped there already, or the address is reserved;
 * -ERANGE, -EOVERFLOW: outside of what the domain can address;
 * -EOPNOTSUPP: the domain has no page size that fits;
 * -ENOSPC: the attachment has 64 maps;
 * -ENOMEM, -EINTR, or what the IOMMU driver gives.
 */
struct barter_domain_map *
barter_domain_map(struct dma_buf_attachment *attach,
		  const struct barter_domain_request *request)
{
	struct barter_domain_map *map = NULL;
	struct barter_attach *ba;
	struct barter_buf *buf;
	unsigned int i;
	int ret;

	ret = barter_map_begin(attach, &barter_iommu_domain, NULL);
	if (ret)
		return ERR_PTR(ret);
	ba = attach->priv;
	buf = ba->buf;

	ret = ba->nr_domain_maps < BARTER_DOMAIN_MAPS ?
		barter_domain_check(request, buf->ranges.length) : -ENOSPC;
	if (!ret && buf->read_only && request->prot & IOMMU_WRITE)
		ret = -EPERM;
	for (i = 0; !ret && i < request->nr_devices; i++)
		ret = barter_domain_check_device(buf, request,
						 request->devices[i]);
	if (ret)
		goto err_end;

	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map) {
		ret = -ENOMEM;
		goto err_end;
	}
	map->domain = request->domain;
	map->iova = request->iova;
	map->length = buf->ranges.length;
	ret = barter_domain_reserve(map);
	if (ret)
		goto err_free;
	ret = barter_domain_unused(map->domain, map->iova, map->length) ?:
	      barter_domain_fill(buf, request);
	if (ret)
		goto err_release;

	hlist_add_head(&map->node, &ba->domain_maps);
	ba->nr_domain_maps++;
	trace_barter_map(buf->id, attach->dev, buf->ranges.nr, 0);
	return map;

err_release:
	barter_domain_release(map);
err_free:
	kfree(map);
err_end:
	trace_barter_map(buf->id, attach->dev, 0, ret);
	barter_map_end(attach, &barter_iommu_domain);
	return ERR_PTR(ret);
}
BARTER_EXPORT(barter_domain_map);

static void barter_domain_drop(struct barter_attach *ba,
			       struct barter_domain_map *map)
{
	struct iommu_domain *domain = map->domain;

	if (!domain)
		return;
	barter_domain_clear(domain, map->iova, map->length);
	barter_domain_release(map);
	trace_barter_unmap(ba->buf->id, ba->attach->dev);
	barter_map_end(ba->attach, &barter_iommu_domain);
}

/**
 * barter_domain_unmap - undo barter_domain_map()
 * @attach: the attachment, its dma_resv held
 * @map: the handle, whether a revoke has unmapped it or not; freed
 *
 * When it returns, no translation is left. Touches the domain only if no revoke
 * has been there before.
 */
void barter_domain_unmap(struct dma_buf_attachment *attach,
			 struct barter_domain_map *map)
{
	struct barter_attach *ba = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	barter_domain_drop(ba, map);
	hlist_del(&map->node);
	ba->nr_domain_maps--;
	kfree(map);
}
BARTER_EXPORT(barter_domain_unmap);

/**
 * barter_domain_revoke - unmap an attachment's maps; the handles stay
 * @ba: the attachment, its dma_resv held, its importer told to let go
 */
void barter_domain_revoke(struct barter_attach *ba)
{
	struct barter_domain_map *map;

	hlist_for_each_entry(map, &ba->domain_maps, node)
		barter_domain_drop(ba, map);
}

/**
 * barter_domain_detach - unmap and free what an importer has left behind
 * @ba: an attachment that is on no list any more; its dma_resv is not held
 */
void barter_domain_detach(struct barter_attach *ba)
{
	struct barter_domain_map *map;
	struct hlist_node *next;

	if (hlist_empty(&ba->domain_maps))
		return;
	dma_resv_lock(ba->buf->dmabuf->resv, NULL);
	hlist_for_each_entry_safe(map, next, &ba->domain_maps, node)
		barter_domain_unmap(ba->attach, map);
	dma_resv_unlock(ba->buf->dmabuf->resv);
}
