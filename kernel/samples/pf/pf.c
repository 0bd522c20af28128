// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-pf: the PF of a graphics card shows what a VF drew, without a copy.
 *
 * What a guest draws through its VF's BAR lies in memory that is the PF's own. So the
 * PF needs no DMA and no mapping of the VF's BAR: it asks by the interconnect pci-bar
 * which bytes of that BAR a buffer is, adds where in its own memory the VF's part
 * begins, and reads there (ABI: <uapi/linux/barter-pf.h>). On a real card the display
 * engine would be given these addresses; here a frame is read by the CPU when it is
 * asked for, which shows whether the addresses are right.
 *
 * The device is any function whose BAR 2 is plain memory, bound by driver_override
 * only. Which functions are its VFs is said twice, by two administrators' parameters:
 * barter's pci_bar_pairs vouches for the pair where there is no SR-IOV, vfs tells
 * where the VF's part is (shares.c).
 *
 * A revoke is over when the invalidate call is: the pieces are given back in there,
 * so nobody waits for this driver, and no device_lock is needed on the way. That
 * is a must where the VF goes because of pci_disable_sriov(), which runs under the
 * PF's device_lock.
 *
 * Locks, outermost first:
 *
 *	pf->lock	pf->scanout and @gone, @away; one frame at a time. Never
 *			held while user memory is touched
 *	dma_resv	of the buffer: scanout->map, @unmaps and @leaving. A frame is
 *			read under it, FRAME_BATCH bytes at a time: a revoke that comes
 *			in between makes all of the frame black
 *
 * invalidate has the dma_resv, restored takes it; neither takes pf->lock.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/barter.h>
#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/kref.h>
#include <linux/memcontrol.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/barter-pf.h>

#include "picture.h"
#include "shares.h"

/* The BAR that is all of the memory, and the VF's that is its part of it. */
#define PF_BAR	2

/* Bytes of a frame that are read while a revoke has to wait. */
#define FRAME_BATCH	SZ_256K

/* Why the memory does not answer. */
#define PF_RESET	BIT(0)
#define PF_ERROR	BIT(1)

/* Lives until it is unbound and the last file is closed. */
struct pf {
	struct kref ref;
	struct mutex lock;
	struct scanout *scanout;	/* NULL: no picture */
	bool gone;			/* the driver is unbound */
	unsigned int away;		/* PF_RESET, PF_ERROR */

	struct pci_dev *pdev;		/* these three until @gone */
	void __iomem *vram;
	u64 vram_length;

	atomic64_t generation;
	atomic64_t maps;
	atomic64_t invalidates;
	atomic64_t restored;
	atomic64_t frames;
	atomic64_t dark_frames;

	struct miscdevice misc;
	char name[40];
};

/* A buffer that is shown. */
struct scanout {
	struct pf *pf;
	struct dma_buf_attachment *attach;
	struct pf_picture picture;
	u64 share;			/* where the VF's memory begins in the PF's */
	u32 domain;			/* the VF's address */
	u8 bus, devfn;
	struct mem_cgroup *memcg;	/* of whoever has set it */

	const struct barter_pci_bar_map *map;	/* NULL: dark */
	u64 unmaps;			/* how often it became NULL */
	bool leaving;			/* is about to be detached, maps no more */
};

static void pf_free(struct kref *ref)
{
	kfree(container_of(ref, struct pf, ref));
}

static int scanout_map(struct scanout *scanout, struct dma_buf_attachment *attach)
{
	const struct barter_pci_bar_map *map;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (scanout->map || scanout->leaving)
		return 0;
	map = barter_pci_bar_map(attach);
	if (IS_ERR(map))
		return PTR_ERR(map);
	scanout->map = map;
	atomic64_inc(&scanout->pf->maps);
	atomic64_inc(&scanout->pf->generation);
	return 0;
}

static void scanout_unmap(struct scanout *scanout, struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!scanout->map)
		return;
	barter_pci_bar_unmap(attach, scanout->map);
	scanout->map = NULL;
	scanout->unmaps++;
	atomic64_inc(&scanout->pf->generation);
}

/* Both may come before scanout->attach is set: they go by what they are given. */
static void scanout_invalidate(struct dma_buf_attachment *attach)
{
	struct scanout *scanout = attach->importer_priv;

	atomic64_inc(&scanout->pf->invalidates);
	scanout_unmap(scanout, attach);
}

static void scanout_restored(struct dma_buf_attachment *attach)
{
	struct scanout *scanout = attach->importer_priv;
	struct mem_cgroup *before;

	atomic64_inc(&scanout->pf->restored);
	/* A work item's memory is charged to nobody, unless it says to whom. */
	before = set_active_memcg(scanout->memcg);
	dma_resv_lock(attach->dmabuf->resv, NULL);
	/* If this fails the next frame tries again. */
	scanout_map(scanout, attach);
	dma_resv_unlock(attach->dmabuf->resv);
	set_active_memcg(before);
}

/* Called while the buffer is attached: pf->lock is held, its pdev is there. */
static int scanout_share(const struct barter_match *match, u64 *bytes)
{
	struct scanout *scanout = match->attach->importer_priv;
	struct pf *pf = scanout->pf;
	u64 length, end;
	int ret;

	if (match->bar != PF_BAR) {
		dev_info_ratelimited(&pf->pdev->dev, "the buffer is of BAR %u of %s, the VF's memory is BAR %u\n",
				     match->bar, pci_name(match->pdev), PF_BAR);
		return -ENXIO;
	}
	ret = pf_share_find(match, &scanout->share, &length);
	if (ret) {
		dev_info_ratelimited(&pf->pdev->dev, "the parameter vfs does not tell where the memory of %s is\n",
				     pci_name(match->pdev));
		return ret;
	}
	if (check_add_overflow(scanout->share, length, &end) ||
	    end > pf->vram_length) {
		dev_info_ratelimited(&pf->pdev->dev, "the parameter vfs has memory of %s that is not whole in the %#llx bytes here\n",
				     pci_name(match->pdev), pf->vram_length);
		return -ENXIO;
	}
	scanout->domain = match->domain;
	scanout->bus = match->bus;
	scanout->devfn = match->devfn;
	*bytes = length;
	return 0;
}

static const struct dma_buf_attach_ops scanout_ops = {
	.allow_peer2peer = true,
	BARTER_ATTACH_OPS_INVALIDATE(scanout_invalidate)
};

static const struct barter_pci_bar_importer scanout_pci_bar = {
	.share = scanout_share,
};

static const struct barter_offer scanout_offers[] = {
	{ &barter_pci_bar, &scanout_pci_bar },
};

static struct barter_importer scanout_importer = {
	.name = "barter-pf",
	.owner = THIS_MODULE,
	.ops = &scanout_ops,
	.offers = scanout_offers,
	.nr_offers = ARRAY_SIZE(scanout_offers),
	.restored = scanout_restored,
};

/* Let go of the buffer for good. pf->lock is held, or nobody else knows of it. */
static void scanout_free(struct scanout *scanout)
{
	struct dma_buf_attachment *attach = scanout->attach;
	struct dma_buf *dmabuf = attach->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	scanout->leaving = true;
	scanout_unmap(scanout, attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, attach);
	dma_buf_put(dmabuf);
	mem_cgroup_put(scanout->memcg);
	kfree(scanout);
}

/* On success the reference to the dma-buf is the scanout's. */
static struct scanout *scanout_new(struct pf *pf, struct dma_buf *dmabuf,
				   const struct pf_picture *picture)
{
	struct dma_buf_attachment *attach;
	struct scanout *scanout;
	int ret;

	scanout = kzalloc(sizeof(*scanout), GFP_KERNEL_ACCOUNT);
	if (!scanout)
		return ERR_PTR(-ENOMEM);
	scanout->pf = pf;
	scanout->picture = *picture;
	scanout->memcg = get_mem_cgroup_from_mm(current->mm);
	attach = barter_attach(dmabuf, &pf->pdev->dev, &scanout_importer, scanout);
	if (IS_ERR(attach)) {
		mem_cgroup_put(scanout->memcg);
		kfree(scanout);
		return ERR_CAST(attach);
	}
	scanout->attach = attach;

	dma_resv_lock(dmabuf->resv, NULL);
	ret = scanout_map(scanout, attach);
	dma_resv_unlock(dmabuf->resv);
	/* Revoked at present: dark until it is restored. */
	if (ret && ret != -ENODEV) {
		get_dma_buf(dmabuf);
		scanout_free(scanout);
		return ERR_PTR(ret);
	}
	return scanout;
}

/* The device may go at any time; while this is held it does not. */
static int pf_lock(struct pf *pf)
{
	if (mutex_lock_interruptible(&pf->lock))
		return -EINTR;
	if (!pf->gone)
		return 0;
	mutex_unlock(&pf->lock);
	return -ENODEV;
}

static void pf_replace(struct pf *pf, struct scanout *scanout)
{
	lockdep_assert_held(&pf->lock);

	if (pf->scanout)
		scanout_free(pf->scanout);
	pf->scanout = scanout;
	atomic64_inc(&pf->generation);
}

static int pf_ioctl_set(struct pf *pf, struct barter_pf_set *req)
{
	struct pf_picture picture;
	struct scanout *scanout;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags)
		return -EINVAL;
	dmabuf = dma_buf_get(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = pf_picture_init(&picture, req, dmabuf->size) ?: pf_lock(pf);
	if (ret)
		goto err_put;
	scanout = scanout_new(pf, dmabuf, &picture);
	ret = PTR_ERR_OR_ZERO(scanout);
	if (!ret)
		pf_replace(pf, scanout);
	mutex_unlock(&pf->lock);
	if (!ret)
		return 0;
err_put:
	dma_buf_put(dmabuf);
	return ret;
}

static int pf_ioctl_clear(struct pf *pf, struct barter_pf_clear *req)
{
	int ret;

	if (req->flags)
		return -EINVAL;
	ret = pf_lock(pf);
	if (ret)
		return ret;
	if (pf->scanout)
		pf_replace(pf, NULL);
	mutex_unlock(&pf->lock);
	return 0;
}

/* What would be shown now; the dma_resv is held. */
static u32 scanout_state(const struct scanout *scanout)
{
	return scanout->map && !scanout->pf->away ? BARTER_PF_LIVE :
						    BARTER_PF_DARK;
}

/*
 * Make the picture readable if it can be, wait for what the exporter still does to
 * the memory, and tell the state. The dma_resv is held.
 */
static int scanout_ready(struct scanout *scanout, u32 *state)
{
	struct dma_buf_attachment *attach = scanout->attach;
	int ret = scanout_map(scanout, attach);

	/* Revoked or dead is dark, and no failure. */
	if (ret && ret != -ENODEV && ret != -EBADFD)
		return ret;
	*state = scanout_state(scanout);
	if (*state == BARTER_PF_LIVE &&
	    dma_resv_wait_timeout(attach->dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
				  MAX_SCHEDULE_TIMEOUT) < 0)
		return -EINTR;
	return 0;
}

/* All of the picture, or all black. */
static int scanout_frame(struct scanout *scanout, struct barter_pf_frame *req, u8 *data)
{
	struct dma_resv *resv = scanout->attach->dmabuf->resv;
	struct pf *pf = scanout->pf;
	struct pf_reader reader = {};
	u64 unmaps;
	int ret;

	lockdep_assert_held(&pf->lock);

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = scanout_ready(scanout, &req->out_state);
	unmaps = scanout->unmaps;
	req->out_generation = atomic64_read(&pf->generation);
	while (!ret && req->out_state == BARTER_PF_LIVE) {
		ret = pf_picture_read(&scanout->picture, &reader, scanout->map,
				      pf->vram + scanout->share, data,
				      FRAME_BATCH);
		if (ret <= 0)
			break;
		/* Whoever waits to take the memory back is let through. */
		dma_resv_unlock(resv);
		cond_resched();
		ret = fatal_signal_pending(current) ? -EINTR :
			dma_resv_lock_interruptible(resv, NULL);
		if (ret)
			return ret;
		if (scanout->unmaps != unmaps) {
			req->out_state = BARTER_PF_DARK;
			req->out_generation = atomic64_read(&pf->generation);
		}
	}
	dma_resv_unlock(resv);
	if (ret)
		return ret;
	if (req->out_state == BARTER_PF_DARK)
		pf_picture_black(&scanout->picture, data);
	atomic64_inc(req->out_state == BARTER_PF_LIVE ? &pf->frames :
							&pf->dark_frames);
	return 0;
}

/* For a caller that gets no frame: the state alone. */
static int scanout_peek(struct scanout *scanout, u32 *state)
{
	struct dma_resv *resv = scanout->attach->dmabuf->resv;
	int ret = dma_resv_lock_interruptible(resv, NULL);

	if (ret)
		return ret;
	*state = scanout_state(scanout);
	dma_resv_unlock(resv);
	return 0;
}

static int pf_ioctl_frame(struct pf *pf, struct barter_pf_frame *req,
			  struct barter_pf_frame __user *arg)
{
	struct scanout *scanout;
	u8 *data = NULL;
	int ret;

	if (req->flags)
		return -EINVAL;
	ret = pf_lock(pf);
	if (ret)
		return ret;
	scanout = pf->scanout;
	if (!scanout) {
		mutex_unlock(&pf->lock);
		return -ENODATA;
	}
	req->out_format = scanout->picture.format;
	req->out_width = scanout->picture.width;
	req->out_height = scanout->picture.height;
	req->out_length = pf_picture_length(&scanout->picture);
	req->out_generation = atomic64_read(&pf->generation);
	if (req->length < req->out_length) {
		ret = scanout_peek(scanout, &req->out_state) ?: -ENOSPC;
	} else {
		data = kvmalloc(req->out_length, BARTER_GFP_TABLE);
		ret = data ? scanout_frame(scanout, req, data) : -ENOMEM;
	}
	mutex_unlock(&pf->lock);

	if (!ret && copy_to_user(u64_to_user_ptr(req->user), data, req->out_length))
		ret = -EFAULT;
	if ((!ret || ret == -ENOSPC) && copy_to_user(arg, req, sizeof(*req)))
		ret = -EFAULT;
	kvfree(data);
	return ret;
}

/* The buffer's pieces in the PF's memory; the dma_resv is held, the map is there. */
static u32 scanout_pieces(const struct scanout *scanout, struct barter_range *to, u32 room)
{
	const struct barter_pci_bar_map *map = scanout->map;
	u32 i;

	for (i = 0; i < min(room, map->nr); i++) {
		to[i].offset = scanout->share + map->ranges[i].offset;
		to[i].length = map->ranges[i].length;
	}
	return map->nr;
}

static int scanout_status(struct scanout *scanout, struct barter_pf_status *req,
			  struct barter_range *pieces, u32 room)
{
	struct dma_resv *resv = scanout->attach->dmabuf->resv;
	int ret;

	lockdep_assert_held(&scanout->pf->lock);

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	req->out_state = scanout_state(scanout);
	if (req->out_state == BARTER_PF_LIVE)
		req->out_nr_pieces = scanout_pieces(scanout, pieces, room);
	dma_resv_unlock(resv);
	req->out_format = scanout->picture.format;
	req->out_width = scanout->picture.width;
	req->out_height = scanout->picture.height;
	req->out_domain = scanout->domain;
	req->out_bus = scanout->bus;
	req->out_devfn = scanout->devfn;
	return 0;
}

static int pf_ioctl_status(struct pf *pf, struct barter_pf_status *req,
			   struct barter_pf_status __user *arg)
{
	const struct barter_pf_status in = *req;
	u32 room = min_t(u32, in.nr_pieces, BARTER_MAX_RANGES);
	struct barter_range *pieces = NULL;
	int ret;

	if (req->flags || req->__reserved)
		return -EINVAL;
	if (room && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (room) {
		pieces = kvcalloc(room, sizeof(*pieces), BARTER_GFP_TABLE);
		if (!pieces)
			return -ENOMEM;
	}
	memset(req, 0, sizeof(*req));
	req->size = in.size;
	req->pieces = in.pieces;
	req->nr_pieces = in.nr_pieces;
	ret = pf_lock(pf);
	if (ret)
		goto out_free;
	if (pf->scanout)
		ret = scanout_status(pf->scanout, req, pieces, room);
	req->out_generation = atomic64_read(&pf->generation);
	req->out_maps = atomic64_read(&pf->maps);
	req->out_invalidates = atomic64_read(&pf->invalidates);
	req->out_restored = atomic64_read(&pf->restored);
	req->out_frames = atomic64_read(&pf->frames);
	req->out_dark_frames = atomic64_read(&pf->dark_frames);
	mutex_unlock(&pf->lock);

	room = min(room, req->out_nr_pieces);
	if (!ret && room && copy_to_user(u64_to_user_ptr(req->pieces), pieces,
					 room * sizeof(*pieces)))
		ret = -EFAULT;
	if (!ret && copy_to_user(arg, req, sizeof(*req)))
		ret = -EFAULT;
out_free:
	kvfree(pieces);
	return ret;
}

/* Every request begins with its size; none has grown since its first release. */
static long pf_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	static const u32 sizes[] = {
		[_IOC_NR(BARTER_PF_IOC_SET)] = sizeof(struct barter_pf_set),
		[_IOC_NR(BARTER_PF_IOC_CLEAR)] = sizeof(struct barter_pf_clear),
		[_IOC_NR(BARTER_PF_IOC_FRAME)] = sizeof(struct barter_pf_frame),
		[_IOC_NR(BARTER_PF_IOC_STATUS)] = sizeof(struct barter_pf_status),
	};
	struct pf *pf = file->private_data;
	void __user *user = (void __user *)arg;
	union {
		struct barter_pf_set set;
		struct barter_pf_clear clear;
		struct barter_pf_frame frame;
		struct barter_pf_status status;
	} req;
	u32 size, known;
	int ret;

	if (cmd != BARTER_PF_IOC_SET && cmd != BARTER_PF_IOC_CLEAR &&
	    cmd != BARTER_PF_IOC_FRAME && cmd != BARTER_PF_IOC_STATUS)
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

	if (cmd == BARTER_PF_IOC_SET)
		return pf_ioctl_set(pf, &req.set);
	if (cmd == BARTER_PF_IOC_CLEAR)
		return pf_ioctl_clear(pf, &req.clear);
	if (cmd == BARTER_PF_IOC_FRAME)
		return pf_ioctl_frame(pf, &req.frame, user);
	return pf_ioctl_status(pf, &req.status, user);
}

/* The misc layer excludes this from misc_deregister(), so pf is alive. */
static int pf_open(struct inode *inode, struct file *file)
{
	struct pf *pf = container_of(file->private_data, struct pf, misc);

	kref_get(&pf->ref);
	file->private_data = pf;
	return 0;
}

static int pf_release(struct inode *inode, struct file *file)
{
	struct pf *pf = file->private_data;

	kref_put(&pf->ref, pf_free);
	return 0;
}

static const struct file_operations pf_fops = {
	.owner = THIS_MODULE,
	.open = pf_open,
	.release = pf_release,
	.unlocked_ioctl = pf_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* The PCI side; all of it is undone by itself after pf_remove(). */
static int pf_enable(struct pf *pf)
{
	struct pci_dev *pdev = pf->pdev;
	int ret;

	if (!(pci_resource_flags(pdev, PF_BAR) & IORESOURCE_MEM) ||
	    !pci_resource_len(pdev, PF_BAR))
		return -ENODEV;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pf->vram = pcim_iomap_region(pdev, PF_BAR, "barter-pf");
	if (IS_ERR(pf->vram))
		return PTR_ERR(pf->vram);
	pf->vram_length = pci_resource_len(pdev, PF_BAR);
	/* For pf_slot_reset(). */
	return pci_save_state(pdev);
}

static int pf_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pf *pf;
	int ret;

	pf = kzalloc(sizeof(*pf), GFP_KERNEL);
	if (!pf)
		return -ENOMEM;
	kref_init(&pf->ref);
	mutex_init(&pf->lock);
	pf->pdev = pdev;
	pci_set_drvdata(pdev, pf);
	ret = pf_enable(pf);
	if (ret)
		goto err_put;

	snprintf(pf->name, sizeof(pf->name), "barter-pf-%s", pci_name(pdev));
	pf->misc.minor = MISC_DYNAMIC_MINOR;
	pf->misc.name = pf->name;
	pf->misc.fops = &pf_fops;
	pf->misc.parent = &pdev->dev;
	pf->misc.mode = 0600;
	ret = misc_register(&pf->misc);
	if (ret)
		goto err_put;
	return 0;

err_put:
	kref_put(&pf->ref, pf_free);
	return ret;
}

/* Files may stay open for ever; the buffer is let go now. */
static void pf_remove(struct pci_dev *pdev)
{
	struct pf *pf = pci_get_drvdata(pdev);

	misc_deregister(&pf->misc);
	mutex_lock(&pf->lock);
	pf->gone = true;
	if (pf->scanout)
		pf_replace(pf, NULL);
	mutex_unlock(&pf->lock);
	kref_put(&pf->ref, pf_free);
}

/* Waits for a frame that is being read; from then on all are black, until it ends. */
static void pf_set_away(struct pci_dev *pdev, unsigned int set, unsigned int clear)
{
	struct pf *pf = pci_get_drvdata(pdev);

	mutex_lock(&pf->lock);
	pf->away = (pf->away | set) & ~clear;
	atomic64_inc(&pf->generation);
	mutex_unlock(&pf->lock);
}

static void pf_reset_prepare(struct pci_dev *pdev)
{
	pf_set_away(pdev, PF_RESET, 0);
}

/* A reset also mends what an error has left that nobody recovered from. */
static void pf_reset_done(struct pci_dev *pdev)
{
	pf_set_away(pdev, 0, PF_RESET | PF_ERROR);
}

/* The buffer's own device has its own errors: its driver revokes for them. */
static pci_ers_result_t pf_error_detected(struct pci_dev *pdev,
					  pci_channel_state_t state)
{
	u16 command;

	if (state != pci_channel_io_normal || BARTER_NONFATAL_MAY_RESET)
		pf_set_away(pdev, PF_ERROR, 0);
	/* Given up, perhaps without a reset: then its memory is still there. */
	if (state == pci_channel_io_perm_failure &&
	    !pci_read_config_word(pdev, PCI_COMMAND, &command) && !PCI_POSSIBLE_ERROR(command) &&
	    command & PCI_COMMAND_MEMORY)
		pf_set_away(pdev, 0, PF_ERROR);
	/* What was read is right, and the next frame will be, if the bus is not reset. */
	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;
	return state == pci_channel_io_frozen ? PCI_ERS_RESULT_NEED_RESET :
						PCI_ERS_RESULT_DISCONNECT;
}

/* The link was reset, and all that the BIOS and the kernel have set up is gone. */
static pci_ers_result_t pf_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	/* Some kernels forget it by that. */
	return pci_save_state(pdev) ? PCI_ERS_RESULT_DISCONNECT :
				      PCI_ERS_RESULT_RECOVERED;
}

static void pf_resume(struct pci_dev *pdev)
{
	pf_set_away(pdev, 0, PF_ERROR);
}

static const struct pci_error_handlers pf_err_handlers = {
	.error_detected = pf_error_detected,
	.slot_reset = pf_slot_reset,
	.resume = pf_resume,
	.reset_prepare = pf_reset_prepare,
	.reset_done = pf_reset_done,
};

/* No table of devices: driver_override alone binds it. */
static struct pci_driver pf_driver = {
	.name = "barter-pf",
	.probe = pf_probe,
	.remove = pf_remove,
	.err_handler = &pf_err_handlers,
};

static int __init pf_init(void)
{
	int ret;

	ret = barter_importer_register(&scanout_importer);
	if (ret)
		return ret;
	ret = pci_register_driver(&pf_driver);
	if (ret)
		barter_importer_unregister(&scanout_importer);
	return ret;
}
module_init(pf_init);

static void __exit pf_exit(void)
{
	pci_unregister_driver(&pf_driver);
	barter_importer_unregister(&scanout_importer);
}
module_exit(pf_exit);

MODULE_DESCRIPTION("Sample PF: shows a VF's buffer from its own memory");
MODULE_LICENSE("GPL");
MODULE_VERSION(BARTER_VERSION);
BARTER_IMPORT_NS_DMA_BUF;
BARTER_IMPORT_NS_BARTER;
