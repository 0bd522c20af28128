// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What buffers keep alive: the exporter, and of the VFIO device no more than its
 * inode, into whose address_space they are mmapped.
 *
 * A VFIO device that is kept after its driver has let the PCI function go would
 * stay in its set of devices that are reset together, and there stand for a
 * function that another driver owns by then. So a buffer that outlives the
 * device holds nothing of it but the way back, which is cut at remove.
 */
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/moduleparam.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "barter_vfio.h"

/* All exporters, until they are freed; a leaf. */
static LIST_HEAD(barter_vfio_exporters);
static DEFINE_SPINLOCK(barter_vfio_exporters_lock);

/**
 * struct barter_vfio_exporter - an exporter on its own feet
 * @exp: the exporter
 * @ref: one of the device until its release, one of each buffer, one of a hot
 *	reset that waits
 * @inode: the device's, for @exp's mapping
 * @link: orders whoever follows @bv with its end. Taken inside
 *	mmap_lock and outside memory_lock.
 * @bv: the device, NULL once it is being removed; under @link
 * @pf_resets: @bv is a VF, and what has taken its memory, and a reference: bits of
 *	enum barter_pf_reset
 * @node: in barter_vfio_exporters
 */
struct barter_vfio_exporter {
	struct barter_exporter exp;
	struct kref ref;
	struct inode *inode;
	struct rw_semaphore link;
	struct barter_vfio *bv;
	unsigned long pf_resets;
	struct list_head node;
};

static struct barter_vfio_exporter *to_vfio_exporter(struct barter_exporter *exp)
{
	return container_of(exp, struct barter_vfio_exporter, exp);
}

static void barter_vfio_exporter_free(struct kref *ref)
{
	struct barter_vfio_exporter *ve =
		container_of(ref, struct barter_vfio_exporter, ref);
	struct super_block *sb = ve->inode->i_sb;

	spin_lock(&barter_vfio_exporters_lock);
	list_del(&ve->node);
	spin_unlock(&barter_vfio_exporters_lock);
	barter_exporter_cleanup(&ve->exp);
	iput(ve->inode);
	deactivate_super(sb);
	kfree(ve);
}

static void barter_vfio_exp_get(struct barter_exporter *exp)
{
	kref_get(&to_vfio_exporter(exp)->ref);
}

static void barter_vfio_exp_put(struct barter_exporter *exp)
{
	kref_put(&to_vfio_exporter(exp)->ref, barter_vfio_exporter_free);
}

static void barter_vfio_access_begin(struct barter_exporter *exp)
{
	struct barter_vfio_exporter *ve = to_vfio_exporter(exp);

	down_read(&ve->link);
	if (ve->bv)
		down_read(&ve->bv->core.memory_lock);
}

static bool barter_vfio_access_allowed(struct barter_exporter *exp)
{
	struct barter_vfio_exporter *ve = to_vfio_exporter(exp);
	struct barter_vfio *bv = ve->bv;

	return bv && !READ_ONCE(ve->pf_resets) && !bv->core.pm_runtime_engaged &&
	       !atomic_read(&bv->resets) && !READ_ONCE(bv->broken) && barter_vfio_memory_on(bv);
}

static void barter_vfio_access_end(struct barter_exporter *exp)
{
	struct barter_vfio_exporter *ve = to_vfio_exporter(exp);

	if (ve->bv)
		up_read(&ve->bv->core.memory_lock);
	up_read(&ve->link);
}

static bool slice_tells_device;
module_param(slice_tells_device, bool, 0644);
MODULE_PARM_DESC(slice_tells_device,
		 "May whoever holds a slice of a buffer learn the PCI address and BAR it is of (default: no)");

static bool barter_vfio_slice_tells_device(struct barter_exporter *exp)
{
	return READ_ONCE(slice_tells_device);
}

static const struct barter_exporter_ops barter_vfio_exporter_ops = {
	.owner = THIS_MODULE,
	.get = barter_vfio_exp_get,
	.put = barter_vfio_exp_put,
	.access_begin = barter_vfio_access_begin,
	.access_allowed = barter_vfio_access_allowed,
	.access_end = barter_vfio_access_end,
	.slice_tells_device = barter_vfio_slice_tells_device,
};

/*
 * Tell lockdep the order once, whatever comes first later. That mmap_lock is
 * outside link it learns from the first fault: a probe, whose caller holds a lock
 * of sysfs that sysfs takes inside mmap_lock, cannot show it.
 */
static void barter_vfio_declare_locks(struct barter_vfio_exporter *ve)
{
	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;
	down_write(&ve->link);
	down_write(&ve->bv->core.memory_lock);
	mutex_lock(&ve->bv->state_lock);
	/* Takes the exporter mutex, and takes away what is not there. */
	barter_exporter_restore(&ve->exp, BARTER_REASON_MEMORY);
	mutex_unlock(&ve->bv->state_lock);
	up_write(&ve->bv->core.memory_lock);
	up_write(&ve->link);
}

/**
 * barter_vfio_exporter_new - give a device its exporter
 * @bv: the device, as far as vfio-pci-core's init has it; @bv->exp is set
 *
 * The inode alone would not do: its file system is unmounted with the last VFIO
 * device (fs/libfs.c, simple_release_fs()), and none of its inodes may be in use
 * then. So the superblock is kept active as well.
 *
 * Return: 0, then barter_vfio_exporter_put() is due at the device's release; or
 * -ENOMEM, or what barter_exporter_init() says.
 */
int barter_vfio_exporter_new(struct barter_vfio *bv)
{
	struct inode *inode = bv->core.vdev.inode;
	struct barter_vfio_exporter *ve;
	int ret;

	ve = kzalloc(sizeof(*ve), GFP_KERNEL);
	if (!ve)
		return -ENOMEM;
	ret = barter_exporter_init(&ve->exp, bv->core.pdev, inode->i_mapping,
				   &barter_vfio_exporter_ops);
	if (ret) {
		kfree(ve);
		return ret;
	}
	kref_init(&ve->ref);
	init_rwsem(&ve->link);
	ve->bv = bv;
	ihold(inode);
	atomic_inc(&inode->i_sb->s_active);
	ve->inode = inode;
	bv->exp = &ve->exp;
	spin_lock(&barter_vfio_exporters_lock);
	list_add_tail(&ve->node, &barter_vfio_exporters);
	spin_unlock(&barter_vfio_exporters_lock);
	barter_vfio_declare_locks(ve);
	return 0;
}

/**
 * barter_vfio_exporter_cut - no buffer finds the device any more
 * @bv: the device, after barter_exporter_destroy() and its user's last close, or before
 *	anybody could open it
 *
 * Every buffer is final by now, so whoever asks is refused anyway. Context: as
 * for a driver's remove; waits for page faults, which wait for memory_lock.
 */
void barter_vfio_exporter_cut(struct barter_vfio *bv)
{
	struct barter_vfio_exporter *ve = to_vfio_exporter(bv->exp);

	down_write(&ve->link);
	ve->bv = NULL;
	up_write(&ve->link);
}

/**
 * barter_vfio_exporter_get - keep a device's exporter, and not the device
 * @bv: the device, kept by the caller, or in a set whose lock the caller holds
 *
 * Return: the exporter, for barter_vfio_exporter_put().
 */
struct barter_exporter *barter_vfio_exporter_get(struct barter_vfio *bv)
{
	barter_vfio_exp_get(bv->exp);
	return bv->exp;
}

/**
 * barter_vfio_exporter_put - drop a reference
 * @exp: of barter_vfio_exporter_get(); or the device's own, at its release
 */
void barter_vfio_exporter_put(struct barter_exporter *exp)
{
	barter_vfio_exp_put(exp);
}

/**
 * barter_vfio_exporter_update - barter_vfio_update(), if the device is still there
 * @exp: a reference of the caller's
 * @flags: as there
 */
void barter_vfio_exporter_update(struct barter_exporter *exp, unsigned int flags)
{
	struct barter_vfio_exporter *ve = to_vfio_exporter(exp);

	down_read(&ve->link);
	if (ve->bv)
		barter_vfio_update(ve->bv, flags);
	up_read(&ve->link);
}

/* The next one that somebody still holds, with a reference; that of @ve is dropped. */
static struct barter_vfio_exporter *barter_vfio_exporter_next(struct barter_vfio_exporter *ve)
{
	struct barter_vfio_exporter *prev = ve, *found = NULL;

	spin_lock(&barter_vfio_exporters_lock);
	ve = list_prepare_entry(prev, &barter_vfio_exporters, node);
	list_for_each_entry_continue(ve, &barter_vfio_exporters, node) {
		if (kref_get_unless_zero(&ve->ref)) {
			found = ve;
			break;
		}
	}
	spin_unlock(&barter_vfio_exporters_lock);
	if (prev)
		barter_vfio_exp_put(&prev->exp);
	return found;
}

/**
 * barter_vfio_exporters_awake - see to all devices that were in low power
 *
 * One that has left it by itself gives its memory back. Context: may sleep, and waits for
 * whoever is about to change the state of such a device.
 *
 * Return: whether one of them was just being resumed.
 */
bool barter_vfio_exporters_awake(void)
{
	struct barter_vfio_exporter *ve = NULL;
	bool resuming = false;

	while ((ve = barter_vfio_exporter_next(ve))) {
		if (!(barter_exporter_reasons(&ve->exp) & BARTER_REASON_LOW_POWER))
			continue;
		/* First, or its end could come in between. */
		resuming |= barter_vfio_resuming(ve->exp.pdev);
		barter_vfio_exporter_update(&ve->exp, 0);
	}
	return resuming;
}

static bool barter_vfio_exporter_is_vf_of(const struct barter_vfio_exporter *ve,
					  const struct pci_dev *pf)
{
	return ve->exp.pdev->is_virtfn && pci_physfn(ve->exp.pdev) == pf;
}

/**
 * barter_vfio_exporters_reset_prepare - a PF's reset takes its VFs' memory
 * @pf: any device that is about to be reset
 * @by: what for; one task at a time for each
 *
 * Nobody tells the VFs' drivers. The VFs may go meanwhile: not so the exporters, and
 * nothing else is touched here. Context: as for a PF's reset_prepare; waits for the VFs'
 * importers.
 */
void barter_vfio_exporters_reset_prepare(struct pci_dev *pf, enum barter_pf_reset by)
{
	struct barter_vfio_exporter *ve = NULL;

	if (!pci_num_vf(pf))
		return;
	while ((ve = barter_vfio_exporter_next(ve))) {
		/* First, so that what the revoke takes away does not fault back in. */
		if (!barter_vfio_exporter_is_vf_of(ve, pf) || test_and_set_bit(by, &ve->pf_resets))
			continue;
		kref_get(&ve->ref);
		barter_exporter_revoke(&ve->exp, BARTER_REASON_RESET, 0);
	}
}

/**
 * barter_vfio_exporters_reset_done - the VFs have their memory again
 * @pf: any device that was reset, and its VFs are back
 * @by: as before
 */
void barter_vfio_exporters_reset_done(struct pci_dev *pf, enum barter_pf_reset by)
{
	struct barter_vfio_exporter *ve = NULL;

	while ((ve = barter_vfio_exporter_next(ve))) {
		if (!barter_vfio_exporter_is_vf_of(ve, pf) ||
		    !test_and_clear_bit(by, &ve->pf_resets))
			continue;
		barter_exporter_restore(&ve->exp, BARTER_REASON_RESET);
		barter_vfio_exp_put(&ve->exp);
	}
}
