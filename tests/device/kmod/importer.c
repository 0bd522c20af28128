// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Importers of every kind that an exporter must cope with, also those that do
 * not let go when told. They map, and move no data.
 */
#include "kmod.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define IMPORTER_FLAGS (BARTER_TEST_F_PLATFORM | BARTER_TEST_F_STATIC | \
			BARTER_TEST_F_NO_P2P | BARTER_TEST_F_STUCK | \
			BARTER_TEST_F_SLOW | BARTER_TEST_F_MUTE)
#define IMPORTER_DELAY_MAX	60000

/* dma-buf used to insist on the callback. */
#ifdef BARTER_HAVE_INVALIDATE_MAPPINGS
#define IMPORTER_MAY_BE_MUTE	1
#else
#define IMPORTER_MAY_BE_MUTE	0
#endif

/* Under the dma_resv of @dmabuf: everything from @sgt on; STAT only peeks. */
struct importer {
	struct rcu_head rcu;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct device *dev;		/* with a reference */
	u32 flags;
	u32 delay_ms;
	u64 old_mask;			/* 0: not changed */
	u32 old_segment;		/* 0: not changed */
	struct delayed_work slow;
	ktime_t slow_until;

	struct sg_table *sgt;
	enum dma_data_direction dir;
	bool owed;			/* told to let go of @sgt */
	bool behaves;			/* LETGO was called */
	u32 pins;
	u64 invalidates;
	u64 maps;
};

static struct platform_device *importer_platform;

static struct importer *importer_get(struct test_file *file, u32 id)
{
	lockdep_assert_held(&file->lock);

	if (id >= BARTER_TEST_IMPORTERS)
		return NULL;
	id = array_index_nospec(id, BARTER_TEST_IMPORTERS);
	return rcu_dereference_protected(file->importers[id],
					 lockdep_is_held(&file->lock));
}

static void importer_drop_map(struct importer *imp,
			      struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(imp->dmabuf->resv);

	if (!imp->sgt)
		return;
	dma_buf_unmap_attachment(attach, imp->sgt, imp->dir);
	WRITE_ONCE(imp->sgt, NULL);
	WRITE_ONCE(imp->owed, false);
}

static void importer_slow(struct work_struct *work)
{
	struct importer *imp = container_of(to_delayed_work(work),
					    struct importer, slow);
	s64 left = ktime_ms_delta(READ_ONCE(imp->slow_until), ktime_get());

	/* Jiffies lag behind on a busy machine, and what waits for them ends early. */
	if (left > 0) {
		schedule_delayed_work(&imp->slow, msecs_to_jiffies(left));
		return;
	}
	dma_resv_lock(imp->dmabuf->resv, NULL);
	if (imp->owed)
		importer_drop_map(imp, imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
}

/* May run before imp->attach is set; then nothing is mapped. */
static void importer_invalidate(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;

	WRITE_ONCE(imp->invalidates, imp->invalidates + 1);
	if (!imp->sgt)
		return;
	WRITE_ONCE(imp->owed, true);
	if (imp->flags & BARTER_TEST_F_STUCK && !imp->behaves)
		return;
	if (imp->flags & BARTER_TEST_F_SLOW) {
		WRITE_ONCE(imp->slow_until, ktime_add_ms(ktime_get(), imp->delay_ms));
		schedule_delayed_work(&imp->slow, msecs_to_jiffies(imp->delay_ms));
	} else {
		importer_drop_map(imp, attach);
	}
}

static const struct dma_buf_attach_ops importer_p2p_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(importer_invalidate)
};

static const struct dma_buf_attach_ops importer_no_p2p_ops = {
	.allow_peer2peer = false,
	BARTER_ATTACH_OPS_INVALIDATE(importer_invalidate)
};

static const struct dma_buf_attach_ops importer_mute_ops = {
	.allow_peer2peer = true,
};

/* The kernel's DMA mappings mean nothing to a device that user space drives. */
static bool importer_dma_is_kernels(struct device *dev)
{
#ifdef CONFIG_IOMMU_API
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return !domain || iommu_is_dma_domain(domain) ||
	       domain->type == IOMMU_DOMAIN_IDENTITY;
#else
	return true;
#endif
}

static int importer_find_device(struct importer *imp,
				const struct barter_test_attach *req)
{
	struct pci_dev *pdev;

	if (req->flags & BARTER_TEST_F_PLATFORM) {
		if (req->domain || req->bus || req->devfn)
			return -EINVAL;
		imp->dev = get_device(&importer_platform->dev);
	} else {
		pdev = pci_get_domain_bus_and_slot(req->domain, req->bus,
						   req->devfn);
		if (!pdev)
			return -ENODEV;
		imp->dev = &pdev->dev;
	}
	return importer_dma_is_kernels(imp->dev) ? 0 : -EBUSY;
}

static int importer_set_limits(struct importer *imp,
			       const struct barter_test_attach *req)
{
	u64 old = dma_get_mask(imp->dev);
	int ret;

	if (req->dma_bits) {
		ret = dma_set_mask(imp->dev, DMA_BIT_MASK(req->dma_bits));
		if (ret)
			return ret;
		imp->old_mask = old;
	}
	if (req->max_segment) {
		if (!imp->dev->dma_parms)
			return -EIO;
		imp->old_segment = dma_get_max_seg_size(imp->dev);
		dma_set_max_seg_size(imp->dev, req->max_segment);
	}
	return 0;
}

/* Everything that importer_attach() did, also a part of it. */
static void importer_free(struct importer *imp)
{
	if (imp->attach) {
		dma_resv_lock(imp->dmabuf->resv, NULL);
		importer_drop_map(imp, imp->attach);
		for (; imp->pins; imp->pins--)
			dma_buf_unpin(imp->attach);
		dma_resv_unlock(imp->dmabuf->resv);
		dma_buf_detach(imp->dmabuf, imp->attach);
		/* No invalidate can queue it again. */
		cancel_delayed_work_sync(&imp->slow);
	}
	if (imp->old_segment)
		dma_set_max_seg_size(imp->dev, imp->old_segment);
	if (imp->old_mask)
		dma_set_mask(imp->dev, imp->old_mask);
	put_device(imp->dev);
	if (imp->dmabuf)
		dma_buf_put(imp->dmabuf);
	kfree_rcu(imp, rcu);
}

static bool importer_flags_ok(const struct barter_test_attach *req)
{
	u32 flags = req->flags;

	if (flags & ~IMPORTER_FLAGS)
		return false;
	if (flags & BARTER_TEST_F_STATIC &&
	    flags & (BARTER_TEST_F_NO_P2P | BARTER_TEST_F_STUCK |
		     BARTER_TEST_F_SLOW))
		return false;
	if (flags & BARTER_TEST_F_MUTE &&
	    (flags & ~(BARTER_TEST_F_MUTE | BARTER_TEST_F_PLATFORM) ||
	     !IMPORTER_MAY_BE_MUTE))
		return false;
	if (flags & BARTER_TEST_F_STUCK && flags & BARTER_TEST_F_SLOW)
		return false;
	if (req->delay_ms > IMPORTER_DELAY_MAX)
		return false;
	return !req->dma_bits || (req->dma_bits >= 12 && req->dma_bits <= 64);
}

int importer_attach(struct test_file *file, struct barter_test_attach *req)
{
	const struct dma_buf_attach_ops *ops = &importer_p2p_ops;
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	struct importer *imp;
	u32 id;
	int ret;

	if (!importer_flags_ok(req))
		return -EINVAL;
	for (id = 0; id < BARTER_TEST_IMPORTERS; id++)
		if (!importer_get(file, id))
			break;
	if (id == BARTER_TEST_IMPORTERS)
		return -ENOSPC;

	imp = kzalloc(sizeof(*imp), GFP_KERNEL);
	if (!imp)
		return -ENOMEM;
	imp->flags = req->flags;
	imp->delay_ms = req->delay_ms;
	INIT_DELAYED_WORK(&imp->slow, importer_slow);

	dmabuf = dma_buf_get(req->dmabuf_fd);
	ret = PTR_ERR_OR_ZERO(dmabuf);
	if (ret)
		goto err_free;
	imp->dmabuf = dmabuf;
	ret = importer_find_device(imp, req);
	if (ret)
		goto err_free;
	/*
	 * An unbind holds this lock from when it tells us to let go until the
	 * driver is gone; whoever came in between would stay.
	 */
	if (!device_trylock(imp->dev)) {
		ret = -EBUSY;
		goto err_free;
	}
	ret = importer_set_limits(imp, req);
	if (ret)
		goto err_unlock;

	if (req->flags & BARTER_TEST_F_STATIC)
		ops = NULL;
	else if (req->flags & BARTER_TEST_F_NO_P2P)
		ops = &importer_no_p2p_ops;
	else if (req->flags & BARTER_TEST_F_MUTE)
		ops = &importer_mute_ops;
	attach = dma_buf_dynamic_attach(dmabuf, imp->dev, ops, ops ? imp : NULL);
	ret = PTR_ERR_OR_ZERO(attach);
	if (ret)
		goto err_unlock;
	imp->attach = attach;
	rcu_assign_pointer(file->importers[id], imp);
	req->out_id = id;
	device_unlock(imp->dev);
	return 0;

err_unlock:
	device_unlock(imp->dev);
err_free:
	importer_free(imp);
	return ret;
}

int importer_detach(struct test_file *file, u32 id)
{
	struct importer *imp = importer_get(file, id);

	if (!imp)
		return -ENOENT;
	rcu_assign_pointer(file->importers[id], NULL);
	importer_free(imp);
	return 0;
}

/* All importers of the file, or those that are @dev. */
void importer_detach_all(struct test_file *file, struct device *dev)
{
	u32 id;

	for (id = 0; id < BARTER_TEST_IMPORTERS; id++) {
		struct importer *imp = importer_get(file, id);

		if (imp && (!dev || imp->dev == dev))
			importer_detach(file, id);
	}
}

static void importer_describe(struct sg_table *sgt, struct barter_test_map *req)
{
	struct scatterlist *sg;
	int i;

	req->out_segments = sgt->nents;
	req->out_length = 0;
	memset(req->segments, 0, sizeof(req->segments));
	for_each_sgtable_dma_sg(sgt, sg, i) {
		req->out_length += sg_dma_len(sg);
		if (i >= BARTER_TEST_SEGMENTS)
			continue;
		req->segments[i].address = sg_dma_address(sg);
		req->segments[i].length = sg_dma_len(sg);
	}
}

int importer_map(struct test_file *file, struct barter_test_map *req)
{
	struct importer *imp = importer_get(file, req->id);
	struct sg_table *sgt;
	int ret;

	if (!imp)
		return -ENOENT;
	if (req->direction > BARTER_TEST_FROM_DEVICE)
		return -EINVAL;

	ret = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (ret)
		return ret;
	if (imp->sgt) {
		ret = -EBUSY;
		goto out_unlock;
	}
	sgt = dma_buf_map_attachment(imp->attach, req->direction);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
		goto out_unlock;
	}
	imp->dir = req->direction;
	WRITE_ONCE(imp->sgt, sgt);
	WRITE_ONCE(imp->maps, imp->maps + 1);
	importer_describe(sgt, req);
out_unlock:
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

int importer_unmap(struct test_file *file, u32 id)
{
	struct importer *imp = importer_get(file, id);
	int ret;

	if (!imp)
		return -ENOENT;
	ret = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = imp->sgt ? 0 : -ENODATA;
	importer_drop_map(imp, imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

int importer_pin(struct test_file *file, u32 id)
{
	struct importer *imp = importer_get(file, id);
	int ret;

	if (!imp)
		return -ENOENT;
	if (imp->flags & BARTER_TEST_F_STATIC)
		return -EINVAL;
	ret = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = dma_buf_pin(imp->attach);
	if (!ret)
		WRITE_ONCE(imp->pins, imp->pins + 1);
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

int importer_unpin(struct test_file *file, u32 id)
{
	struct importer *imp = importer_get(file, id);
	int ret;

	if (!imp)
		return -ENOENT;
	ret = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = imp->pins ? 0 : -ENODATA;
	if (!ret) {
		dma_buf_unpin(imp->attach);
		WRITE_ONCE(imp->pins, imp->pins - 1);
	}
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

int importer_letgo(struct test_file *file, u32 id)
{
	struct importer *imp = importer_get(file, id);
	int ret;

	if (!imp)
		return -ENOENT;
	ret = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (ret)
		return ret;
	imp->behaves = true;
	if (imp->owed)
		importer_drop_map(imp, imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
	return 0;
}

int importer_stat(struct test_file *file, struct barter_test_stat *req)
{
	struct importer *imp = NULL;
	u32 id = req->id;

	rcu_read_lock();
	if (id < BARTER_TEST_IMPORTERS) {
		id = array_index_nospec(id, BARTER_TEST_IMPORTERS);
		imp = rcu_dereference(file->importers[id]);
	}
	if (imp) {
		req->out_mapped = !!READ_ONCE(imp->sgt);
		req->out_owed = READ_ONCE(imp->owed);
		req->out_pins = READ_ONCE(imp->pins);
		req->out_invalidates = READ_ONCE(imp->invalidates);
		req->out_maps = READ_ONCE(imp->maps);
	}
	rcu_read_unlock();
	return imp ? 0 : -ENOENT;
}

int importer_init(void)
{
	importer_platform = platform_device_register_simple("barter-test",
							    PLATFORM_DEVID_NONE,
							    NULL, 0);
	return PTR_ERR_OR_ZERO(importer_platform);
}

void importer_exit(void)
{
	platform_device_unregister(importer_platform);
}
