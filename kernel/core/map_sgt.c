// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Interconnect "sgt": DMA addresses in a scatterlist, for every dma-buf importer.
 *
 * Whether DMA reaches the memory at all is asked anew for each map (route). On
 * the bus the addresses are bus addresses and no IOMMU is involved; through the
 * host bridge they come from the DMA API: one window of I/O virtual addresses
 * where the kernel can link all runs into one, else one mapping per run.
 *
 * There are no struct pages: importers see only DMA addresses.
 */
#include <linux/dma-mapping.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

/* The CPU caches nothing of device memory: there is nothing to synchronise. */
#define BARTER_DMA_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

/* A segment's length is an unsigned int; a power of two keeps pages aligned. */
#define BARTER_MAX_SEGMENT	SZ_2G

/**
 * struct barter_sgt - one mapping
 * @sgt: what the importer gets; its orig_nents is 0 as there are no pages
 * @entries: number of scatterlist entries allocated
 * @route: BARTER_ROUTE_* that it was made for
 * @window: the one I/O virtual window of all runs, if the kernel has that
 * @windowed: @window is in use
 */
struct barter_sgt {
	struct sg_table sgt;
	unsigned int entries;
	u32 route;
	bool windowed;
	struct barter_iova window;
};

/* Walks the runs of a buffer in pieces that fit a segment. */
struct barter_piece {
	const struct barter_ranges *ranges;
	u32 next;
	u64 done;
	u64 offset;
	u64 length;
};

static bool barter_piece_next(struct barter_piece *p, u64 max)
{
	struct barter_run run;

	if (p->next >= p->ranges->nr)
		return false;
	run = barter_ranges_run(p->ranges, p->next);
	p->offset = run.offset + p->done;
	p->length = min(run.length - p->done, max);
	p->done += p->length;
	if (p->done == run.length) {
		p->next++;
		p->done = 0;
	}
	return true;
}

/* Can @dev emit every address that this mapping would give it? */
static int barter_sgt_reaches(const struct barter_buf *buf, struct device *dev,
			      struct barter_route_answer *answer)
{
	u64 last = buf->bar_start + buf->ranges.end - 1;

	if (answer->route == BARTER_ROUTE_BUS)
		last += answer->bus_offset;
	else if (barter_route_translated(dev))
		return 0;
	return barter_route_check_mask(dev, last, answer);
}

/*
 * A read-only buffer may be read by DMA where an IOMMU stops the writes, and by
 * addresses that it translates.
 */
static int barter_sgt_allowed(const struct barter_buf *buf, struct device *dev,
			      const struct barter_route_answer *answer,
			      enum dma_data_direction dir)
{
	if (!buf->read_only)
		return 0;
	return dir == DMA_TO_DEVICE && answer->route == BARTER_ROUTE_HOST &&
	       barter_route_guarded(dev) ? 0 : -EPERM;
}

static void barter_sgt_unmap_entries(struct barter_sgt *bs, struct device *dev,
				     unsigned int count,
				     enum dma_data_direction dir)
{
	struct scatterlist *sg = bs->sgt.sgl;
	unsigned int i;

	if (bs->route == BARTER_ROUTE_BUS)
		return;
	for (i = 0; i < count; i++, sg = sg_next(sg)) {
		dma_unmap_resource(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
				   BARTER_DMA_ATTRS);
		cond_resched();
	}
	/* The DMA API may leave stale translations behind for a while. */
	barter_route_flush(dev);
}

static int barter_sgt_fill(struct barter_sgt *bs, const struct barter_buf *buf,
			   struct device *dev, s64 bus_offset,
			   enum dma_data_direction dir)
{
	struct barter_piece piece = { .ranges = &buf->ranges };
	struct scatterlist *sg = bs->sgt.sgl;
	unsigned int count = 0;
	int ret = 0;

	while (barter_piece_next(&piece, BARTER_MAX_SEGMENT)) {
		phys_addr_t physical = buf->bar_start + piece.offset;
		dma_addr_t address;

		if (bs->route == BARTER_ROUTE_BUS) {
			address = physical + bus_offset;
		} else {
			address = dma_map_resource(dev, physical, piece.length,
						   dir, BARTER_DMA_ATTRS);
			ret = dma_mapping_error(dev, address);
			if (!ret && fatal_signal_pending(current)) {
				dma_unmap_resource(dev, address, piece.length,
						   dir, BARTER_DMA_ATTRS);
				ret = -EINTR;
			}
			if (ret)
				break;
		}
		sg_set_page(sg, NULL, 0, 0);
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = piece.length;
		sg = sg_next(sg);
		count++;
		cond_resched();
	}
	if (ret) {
		barter_sgt_unmap_entries(bs, dev, count, dir);
		return ret;
	}
	bs->sgt.nents = count;
	return 0;
}

/* All runs linked into one I/O virtual window: the fewest segments. */
static int barter_sgt_fill_window(struct barter_sgt *bs,
				  const struct barter_buf *buf,
				  struct device *dev,
				  enum dma_data_direction dir)
{
	struct barter_piece piece = { .ranges = &buf->ranges };
	struct scatterlist *sg = bs->sgt.sgl;
	u64 done = 0, total = buf->ranges.length;
	unsigned int count = 0;
	int ret;

	while (barter_piece_next(&piece, U64_MAX)) {
		ret = barter_iova_link(dev, &bs->window,
				       buf->bar_start + piece.offset, done,
				       piece.length, dir);
		if (!ret && fatal_signal_pending(current)) {
			done += piece.length;
			ret = -EINTR;
		}
		if (ret)
			goto err_unlink;
		done += piece.length;
		cond_resched();
	}
	ret = barter_iova_sync(dev, &bs->window, total);
	if (ret)
		goto err_unlink;

	for (done = 0; done < total;
	     done += sg_dma_len(sg), sg = sg_next(sg)) {
		sg_set_page(sg, NULL, 0, 0);
		sg_dma_address(sg) = barter_iova_address(&bs->window) + done;
		sg_dma_len(sg) = min_t(u64, total - done, BARTER_MAX_SEGMENT);
		count++;
	}
	bs->sgt.nents = count;
	return 0;

err_unlink:
	barter_iova_unlink(dev, &bs->window, done, dir);
	return ret;
}

/**
 * barter_sgt_map - map a whole buffer for an importer
 * @ba: the attachment, its dma_resv held
 * @dir: direction of the DMA
 *
 * A run becomes one segment, cut at 2 GiB only: an importer whose engine takes
 * less (dma_get_max_seg_size()) cuts further, as with the kernel's own exporter.
 *
 * Return: a table with DMA addresses only, owned by the caller until
 * barter_sgt_unmap(), or -EXDEV (no route, or the importer cannot address the
 * memory), -EPERM (a read-only buffer, and the importer asks to write or no IOMMU
 * would stop it), -EOPNOTSUPP (the importer has no DMA mask), -ENOMEM, -EINTR, or what
 * the DMA API gives.
 */
struct sg_table *barter_sgt_map(struct barter_attach *ba,
				enum dma_data_direction dir)
{
	struct device *dev = ba->attach->dev;
	struct barter_buf *buf = ba->buf;
	struct barter_route_answer answer;
	struct barter_sgt *bs;
	u64 entries;
	int ret;

	if (!dev->dma_mask)
		return ERR_PTR(-EOPNOTSUPP);
	barter_route_find(buf->pdev, buf->bar, dev, &answer);
	ret = answer.route == BARTER_ROUTE_NONE ? -EXDEV :
		barter_sgt_allowed(buf, dev, &answer, dir) ?:
		barter_sgt_reaches(buf, dev, &answer);
	trace_barter_route(buf->id, dev, answer.route, answer.why);
	if (ret) {
		dev_dbg(dev, "barter: no DMA to %s: %s\n", pci_name(buf->pdev),
			answer.text);
		return ERR_PTR(ret);
	}

	bs = kzalloc(sizeof(*bs), GFP_KERNEL_ACCOUNT);
	if (!bs)
		return ERR_PTR(-ENOMEM);
	bs->route = answer.route;
	if (bs->route != BARTER_ROUTE_BUS && barter_route_translated(dev))
		bs->windowed = barter_iova_alloc(dev, &bs->window,
						 buf->bar_start,
						 buf->ranges.length);

	entries = bs->windowed ?
		DIV_ROUND_UP_ULL(buf->ranges.length, BARTER_MAX_SEGMENT) :
		barter_ranges_segments(&buf->ranges, BARTER_MAX_SEGMENT);
	if (entries > UINT_MAX) {
		ret = -E2BIG;
		goto err_free_window;
	}
	ret = sg_alloc_table(&bs->sgt, entries, BARTER_GFP_TABLE);
	if (ret)
		goto err_free_window;
	bs->entries = bs->sgt.orig_nents;

	ret = bs->windowed ?
		barter_sgt_fill_window(bs, buf, dev, dir) :
		barter_sgt_fill(bs, buf, dev, answer.bus_offset, dir);
	if (ret)
		goto err_free_table;

	/* No CPU side: whoever walks it by pages shall find none. */
	bs->sgt.orig_nents = 0;
	return &bs->sgt;

err_free_table:
	bs->sgt.orig_nents = bs->entries;
	sg_free_table(&bs->sgt);
err_free_window:
	if (bs->windowed)
		barter_iova_free(dev, &bs->window);
	kfree(bs);
	return ERR_PTR(ret);
}

/**
 * barter_sgt_unmap - undo barter_sgt_map()
 * @ba: the attachment, its dma_resv held
 * @sgt: what barter_sgt_map() gave; freed
 * @dir: the direction given then
 *
 * Touches only the importer's device, never the exporter's, which may be gone.
 */
void barter_sgt_unmap(struct barter_attach *ba, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct barter_sgt *bs = container_of(sgt, struct barter_sgt, sgt);
	struct device *dev = ba->attach->dev;

	if (bs->windowed) {
		barter_iova_unlink(dev, &bs->window, ba->buf->ranges.length,
				   dir);
		barter_iova_free(dev, &bs->window);
	} else {
		barter_sgt_unmap_entries(bs, dev, sgt->nents, dir);
	}
	sgt->orig_nents = bs->entries;
	sg_free_table(sgt);
	kfree(bs);
}

static int barter_sgt_match(const struct barter_match *match)
{
	return barter_sgt_fits(match->attach) ? 0 : BARTER_MATCH_SKIP;
}

struct barter_interconnect barter_sgt = {
	.name = "sgt",
	.owner = THIS_MODULE,
	.match = barter_sgt_match,
	.read_only = true,
};
BARTER_EXPORT(barter_sgt);
