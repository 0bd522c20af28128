// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-dma: a sample importer, for the DMA engine of QEMU's edu device.
 *
 * It moves bytes between a dma-buf and the caller's memory (ABI:
 * <uapi/linux/barter-dma.h>). Here is what has little to do with importing: the
 * device, the engine, the character device. How a buffer becomes addresses is in
 * sgt.c, with dma-buf's own calls, and in domain.c, for a driver with an IOMMU
 * domain of its own; the module parameter own_domain says which. Begin with sgt.c.
 *
 * Locks are listed in edu.h.
 */
#include "edu.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/idr.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/barter-dma.h>

#define EDU_ID			0x00
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_START		BIT(0)
#define EDU_DMA_TO_BUS		BIT(1)	/* else from the bus into edu */

/* edu's own memory, as its engine sees it; the last byte is never used. */
#define EDU_MEMORY		0x40000

#define EDU_POLL_US		(10 * USEC_PER_MSEC)
#define EDU_DEADLINE_US		(5 * USEC_PER_SEC)	/* 100 ms is normal */

#define IMPORT_COPY_MAX		(16ULL << 20)

static unsigned int dma_bits = 64;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "Address bits of the engine; QEMU's edu has 28 unless told otherwise by its dma_mask property (default: 64)");

static bool own_domain;
module_param(own_domain, bool, 0644);
MODULE_PARM_DESC(own_domain, "Drive edu in an IOMMU domain of the driver's own, from when it is bound next (default: no)");

static DEFINE_IDA(edu_ids);

static void edu_free(struct kref *ref)
{
	kfree(container_of(ref, struct edu, ref));
}

/*
 * Move bytes between the bus and edu's memory. When it returns, no DMA runs:
 * an engine that misses its deadline loses the right to master the bus, before
 * anybody gets to hear that the transfer is over, and is not used again.
 */
static int edu_transfer(struct edu *edu, dma_addr_t bus, size_t count,
			bool to_bus)
{
	u32 command;

	lockdep_assert_held(&edu->lock);

	writeq(to_bus ? EDU_MEMORY : bus, edu->regs + EDU_DMA_SRC);
	writeq(to_bus ? bus : EDU_MEMORY, edu->regs + EDU_DMA_DST);
	writel(count, edu->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_START | (to_bus ? EDU_DMA_TO_BUS : 0),
	       edu->regs + EDU_DMA_COMMAND);
	if (!readl_poll_timeout(edu->regs + EDU_DMA_COMMAND, command,
				!(command & EDU_DMA_START), EDU_POLL_US,
				EDU_DEADLINE_US))
		return 0;

	edu->stuck = true;
	pci_clear_master(edu->pdev);
	pci_wait_for_pending_transaction(edu->pdev);
	dev_err(&edu->pdev->dev, "DMA did not end, the engine is off until the driver is bound anew\n");
	return -EIO;
}

/*
 * Make the buffer usable for one transfer of at most *@count bytes. Once it
 * succeeded, revoke waits for import_end().
 */
static int import_begin(struct import *imp, u64 offset,
			enum dma_data_direction dir, dma_addr_t *bus,
			size_t *count)
{
	struct dma_resv *resv = imp->attach->dmabuf->resv;
	int ret;

	lockdep_assert_held(&imp->edu->lock);

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = imp->edu->importer->map(imp, dir);
	/* The exporter may be moving or clearing the memory. */
	if (!ret && dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true,
					  MAX_SCHEDULE_TIMEOUT) < 0)
		ret = -EINTR;
	if (!ret)
		ret = imp->edu->importer->find(imp, offset, bus, count);
	if (!ret)
		reinit_completion(&imp->idle);
	dma_resv_unlock(resv);
	return ret;
}

static void import_end(struct import *imp)
{
	complete_all(&imp->idle);
}

/* Move up to *@count bytes between @data and the buffer; less at a segment's end. */
static int import_move(struct import *imp, u64 offset, void *data,
		       size_t *count, bool to_buffer)
{
	struct edu *edu = imp->edu;
	size_t n = *count;
	dma_addr_t bus;
	int ret;

	ret = mutex_lock_interruptible(&edu->lock);
	if (ret)
		return ret;
	if (edu->gone || !imp->attach)
		ret = -ENODEV;
	else if (edu->stuck)
		ret = -EIO;
	if (!ret && to_buffer) {
		memcpy(edu->bounce, data, n);
		ret = edu_transfer(edu, edu->bounce_bus, n, false);
	}
	if (ret)
		goto out_unlock;

	/* DMA_FROM_DEVICE: from the engine's side, the device is edu. */
	ret = import_begin(imp, offset,
			   to_buffer ? DMA_FROM_DEVICE : DMA_TO_DEVICE, &bus, &n);
	if (ret)
		goto out_unlock;
	ret = edu_transfer(edu, bus, n, to_buffer);
	import_end(imp);

	if (!ret && !to_buffer) {
		ret = edu_transfer(edu, edu->bounce_bus, n, true);
		if (!ret)
			memcpy(data, edu->bounce, n);
	}
out_unlock:
	mutex_unlock(&edu->lock);
	*count = n;
	return ret;
}

/* User memory is touched in here only, with no lock held. */
static int import_copy(struct import *imp, struct barter_dma_copy *copy)
{
	bool to_buffer = copy->flags & BARTER_DMA_F_TO_BUFFER;
	void *data;
	int ret = 0;

	data = kmalloc(EDU_CHUNK, GFP_KERNEL);
	if (!data)
		return -ENOMEM;

	while (copy->out_done < copy->length) {
		void __user *user = u64_to_user_ptr(copy->user + copy->out_done);
		size_t n = min_t(u64, EDU_CHUNK, copy->length - copy->out_done);

		ret = signal_pending(current) ? -EINTR : 0;
		if (!ret && to_buffer && copy_from_user(data, user, n))
			ret = -EFAULT;
		if (!ret)
			ret = import_move(imp, copy->offset + copy->out_done,
					  data, &n, to_buffer);
		if (!ret && !to_buffer && copy_to_user(user, data, n))
			ret = -EFAULT;
		if (ret)
			break;
		copy->out_done += n;
	}
	kfree(data);
	return ret;
}

static int import_ioctl_import(struct import *imp, struct barter_dma_import *req,
			       struct barter_dma_import __user *arg)
{
	struct edu *edu = imp->edu;
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags || req->__reserved)
		return -EINVAL;
	dmabuf = dma_buf_get(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	/* Before the buffer becomes the file's: after that nothing may fail. */
	ret = put_user((u64)dmabuf->size, &arg->out_length);
	if (ret)
		goto err_put;
	ret = mutex_lock_interruptible(&edu->lock);
	if (ret)
		goto err_put;
	ret = edu->gone ? -ENODEV : imp->length ? -EBUSY : 0;
	if (ret)
		goto err_unlock;
	attach = edu->importer->attach(imp, dmabuf);
	ret = PTR_ERR_OR_ZERO(attach);
	if (ret)
		goto err_unlock;
	imp->attach = attach;
	WRITE_ONCE(imp->length, dmabuf->size);
	list_add(&imp->node, &edu->imports);
	mutex_unlock(&edu->lock);
	return 0;

err_unlock:
	mutex_unlock(&edu->lock);
err_put:
	dma_buf_put(dmabuf);
	return ret;
}

static int import_ioctl_copy(struct import *imp, struct barter_dma_copy *req,
			     struct barter_dma_copy __user *arg)
{
	u64 end, length = READ_ONCE(imp->length);
	int ret;

	if (req->flags & ~BARTER_DMA_F_TO_BUFFER ||
	    req->length > IMPORT_COPY_MAX ||
	    check_add_overflow(req->offset, req->length, &end))
		return -EINVAL;
	if (!length)
		return -ENODEV;
	if (end > length)
		return -EINVAL;

	req->out_done = 0;
	ret = import_copy(imp, req);
	return put_user(req->out_done, &arg->out_done) ? -EFAULT : ret;
}

static int import_ioctl_status(struct import *imp, struct barter_dma_status *req,
			       struct barter_dma_status __user *arg)
{
	if (req->flags)
		return -EINVAL;
	req->out_mapped = READ_ONCE(imp->mapped);
	req->out_segments = READ_ONCE(imp->segments);
	req->out_maps = READ_ONCE(imp->maps);
	req->out_revokes = READ_ONCE(imp->revokes);
	return copy_to_user(arg, req, sizeof(*req)) ? -EFAULT : 0;
}

/* Every request begins with its size; none has grown since its first release. */
static long import_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	static const u32 sizes[] = {
		[_IOC_NR(BARTER_DMA_IOC_IMPORT)] = sizeof(struct barter_dma_import),
		[_IOC_NR(BARTER_DMA_IOC_COPY)] = sizeof(struct barter_dma_copy),
		[_IOC_NR(BARTER_DMA_IOC_STATUS)] = sizeof(struct barter_dma_status),
	};
	void __user *user = (void __user *)arg;
	union {
		struct barter_dma_import import;
		struct barter_dma_copy copy;
		struct barter_dma_status status;
	} req;
	u32 size, known;
	int ret;

	if (cmd != BARTER_DMA_IOC_IMPORT && cmd != BARTER_DMA_IOC_COPY &&
	    cmd != BARTER_DMA_IOC_STATUS)
		return -ENOTTY;
	known = sizes[_IOC_NR(cmd)];
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < known)
		return -EINVAL;
	ret = size > PAGE_SIZE ? -E2BIG :
		copy_struct_from_user(&req, known, user, size);
	if (ret)
		return ret;

	if (cmd == BARTER_DMA_IOC_IMPORT)
		return import_ioctl_import(file->private_data, &req.import, user);
	if (cmd == BARTER_DMA_IOC_COPY)
		return import_ioctl_copy(file->private_data, &req.copy, user);
	return import_ioctl_status(file->private_data, &req.status, user);
}

/* No transfer runs: edu->lock is held. After this no invalidate comes. */
static void import_detach(struct import *imp)
{
	struct dma_buf_attachment *attach = imp->attach;
	struct dma_buf *dmabuf;

	lockdep_assert_held(&imp->edu->lock);

	if (!attach)
		return;
	dmabuf = attach->dmabuf;
	dma_resv_lock(dmabuf->resv, NULL);
	imp->edu->importer->unmap(imp, attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, attach);
	list_del(&imp->node);
	imp->attach = NULL;
	dma_buf_put(dmabuf);
}

/* The misc layer excludes this from misc_deregister(), so edu is alive. */
static int import_open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);
	struct import *imp;

	imp = kzalloc(sizeof(*imp), GFP_KERNEL);
	if (!imp)
		return -ENOMEM;
	init_completion(&imp->idle);
	complete_all(&imp->idle);
	kref_get(&edu->ref);
	imp->edu = edu;
	file->private_data = imp;
	return 0;
}

static int import_release(struct inode *inode, struct file *file)
{
	struct import *imp = file->private_data;
	struct edu *edu = imp->edu;

	mutex_lock(&edu->lock);
	import_detach(imp);
	mutex_unlock(&edu->lock);
	kfree(imp);
	kref_put(&edu->ref, edu_free);
	return 0;
}

static const struct file_operations import_fops = {
	.owner = THIS_MODULE,
	.open = import_open,
	.release = import_release,
	.unlocked_ioctl = import_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* The PCI side; all of it is undone by itself after edu_remove(). */
static int edu_enable(struct edu *edu)
{
	struct pci_dev *pdev = edu->pdev;
	u32 command;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap_region(pdev, 0, "barter-dma");
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	if ((readl(edu->regs + EDU_ID) & 0xff) != 0xed)
		return -ENODEV;

	/* edu takes an address in one write: no more bits than a write has. */
	edu->dma_mask = DMA_BIT_MASK(clamp_t(unsigned int, dma_bits, 20,
					     BITS_PER_LONG));
	ret = dma_set_mask_and_coherent(&pdev->dev, edu->dma_mask);
	if (ret)
		return ret;
	/* Segments may be of any length. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	edu->coherent = dmam_alloc_coherent(&pdev->dev, EDU_CHUNK,
					    &edu->coherent_bus, GFP_KERNEL);
	if (!edu->coherent)
		return -ENOMEM;
	edu->bounce = edu->coherent;
	edu->bounce_bus = edu->coherent_bus;
	edu->importer = &sgt_importer;

	/* What an earlier driver may have started must not reach the bus now. */
	ret = readl_poll_timeout(edu->regs + EDU_DMA_COMMAND, command,
				 !(command & EDU_DMA_START), EDU_POLL_US,
				 EDU_DEADLINE_US);
	if (ret)
		return ret;
	if (READ_ONCE(own_domain)) {
		ret = edu_domain_init(edu);
		if (ret) {
			dev_err(&pdev->dev, "no IOMMU domain of its own (%d), as own_domain asks for\n",
				ret);
			return ret;
		}
	}
	pci_set_master(pdev);
	return 0;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu;
	int ret;

	edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	kref_init(&edu->ref);
	mutex_init(&edu->lock);
	INIT_LIST_HEAD(&edu->imports);
	edu->pdev = pdev;
	pci_set_drvdata(pdev, edu);
	ret = edu_enable(edu);
	if (ret)
		goto err_put;

	edu->id = ida_alloc(&edu_ids, GFP_KERNEL);
	if (edu->id < 0) {
		ret = edu->id;
		goto err_domain;
	}
	snprintf(edu->name, sizeof(edu->name), "barter-dma%d", edu->id);
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = edu->name;
	edu->misc.fops = &import_fops;
	edu->misc.parent = &pdev->dev;
	ret = misc_register(&edu->misc);
	if (ret)
		goto err_id;
	return 0;

err_id:
	ida_free(&edu_ids, edu->id);
err_domain:
	pci_clear_master(pdev);
	edu_domain_exit(edu);
err_put:
	kref_put(&edu->ref, edu_free);
	return ret;
}

/*
 * Files may stay open for ever, but nothing of theirs may use the device after
 * this: mappings go now, not when the files are closed.
 */
static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);
	struct import *imp, *next;

	misc_deregister(&edu->misc);
	mutex_lock(&edu->lock);
	edu->gone = true;
	list_for_each_entry_safe(imp, next, &edu->imports, node)
		import_detach(imp);
	pci_clear_master(pdev);
	edu_domain_exit(edu);
	mutex_unlock(&edu->lock);
	ida_free(&edu_ids, edu->id);
	kref_put(&edu->ref, edu_free);
}

static const struct pci_device_id edu_table[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_table);

static struct pci_driver edu_driver = {
	.name = "barter-dma",
	.id_table = edu_table,
	.probe = edu_probe,
	.remove = edu_remove,
};

static int __init edu_init(void)
{
	int ret;

	ret = edu_domain_register();
	if (ret)
		return ret;
	ret = pci_register_driver(&edu_driver);
	if (ret)
		edu_domain_unregister();
	return ret;
}

static void __exit edu_exit(void)
{
	pci_unregister_driver(&edu_driver);
	edu_domain_unregister();
}

module_init(edu_init);
module_exit(edu_exit);

MODULE_DESCRIPTION("Sample dma-buf importer: peer-to-peer DMA with QEMU's edu device");
MODULE_LICENSE("GPL");
MODULE_VERSION(BARTER_VERSION);
BARTER_IMPORT_NS_DMA_BUF;
