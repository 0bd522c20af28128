// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A hot reset takes the memory of every device on the bus or slot away. The
 * buffers of all of them are revoked here, killably and without a lock, before
 * vfio-pci-core takes each device's memory_lock and asks nobody any more.
 *
 * Nobody may disturb a device that is not theirs: as in core, every device of the
 * set, open or not, must be covered by what the caller shows. If one is not,
 * nothing is done here, and core refuses the request.
 */
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "barter_vfio.h"

/* More groups than a bus has functions are no valid request. */
#define BARTER_MAX_GROUPS	256

struct barter_hot_reset {
	struct file **groups;
	unsigned int nr_groups;
	struct barter_exporter **exporters;
	unsigned int nr_exporters;
};

static void barter_hot_reset_put_groups(struct barter_hot_reset *hr)
{
	while (hr->nr_groups)
		fput(hr->groups[--hr->nr_groups]);
	kfree(hr->groups);
	hr->groups = NULL;
}

static void barter_hot_reset_put_exporters(struct barter_hot_reset *hr)
{
	while (hr->nr_exporters)
		barter_vfio_exporter_put(hr->exporters[--hr->nr_exporters]);
	kfree(hr->exporters);
	hr->exporters = NULL;
}

/* A wrong request is left to core, which says what is wrong with it. */
static int barter_hot_reset_get_groups(struct barter_hot_reset *hr,
				       struct vfio_pci_hot_reset __user *arg,
				       u32 count)
{
	s32 *fds;
	u32 i;
	int ret = 0;

	if (count > BARTER_MAX_GROUPS)
		return -EINVAL;
	fds = kcalloc(count, sizeof(*fds), GFP_KERNEL_ACCOUNT);
	hr->groups = kcalloc(count, sizeof(*hr->groups), GFP_KERNEL_ACCOUNT);
	if (!fds || !hr->groups)
		ret = -ENOMEM;
	else if (copy_from_user(fds, arg->group_fds, count * sizeof(*fds)))
		ret = -EFAULT;
	for (i = 0; i < count && !ret; i++) {
		struct file *file = fget(fds[i]);

		if (!file) {
			ret = -EBADF;
			break;
		}
		hr->groups[hr->nr_groups++] = file;
		if (!vfio_file_is_group(file))
			ret = -EINVAL;
	}
	kfree(fds);
	return ret;
}

static bool barter_hot_reset_owns(const struct barter_hot_reset *hr,
				  struct vfio_device *caller,
				  struct vfio_device *vdev)
{
	struct iommufd_ctx *ictx;
	unsigned int i;
	int id;

	if (!hr->nr_groups) {
		ictx = vfio_iommufd_device_ictx(caller);
		id = ictx ? vfio_iommufd_get_dev_id(vdev, ictx) : -ENODEV;
		return id > 0 || id == -ENOENT;
	}
	for (i = 0; i < hr->nr_groups; i++)
		if (vfio_file_has_dev(hr->groups[i], vdev))
			return true;
	return false;
}

/*
 * The exporters of the set's devices that lend. Not the devices: one that is
 * unbound while a revoke waits must leave the set, so that core does not reset
 * what VFIO does not have any more.
 */
static int barter_hot_reset_get_exporters(struct barter_hot_reset *hr,
					struct vfio_device *caller)
{
	struct vfio_device_set *set = caller->dev_set;
	struct vfio_device *vdev;
	int ret = 0;

	if (mutex_lock_killable(&set->lock))
		return -EINTR;
	hr->exporters = kcalloc(list_count_nodes(&set->device_list),
				sizeof(*hr->exporters), GFP_KERNEL_ACCOUNT);
	if (!hr->exporters) {
		ret = -ENOMEM;
		goto out_unlock;
	}
	list_for_each_entry(vdev, &set->device_list, dev_set_list) {
		if (!barter_hot_reset_owns(hr, caller, vdev)) {
			ret = -EINVAL;
			break;
		}
		/* One that is being freed waits for this lock to leave the set. */
		if (vdev->ops == caller->ops)
			hr->exporters[hr->nr_exporters++] =
				barter_vfio_exporter_get(barter_vfio_from_vdev(vdev));
	}
out_unlock:
	mutex_unlock(&set->lock);
	return ret;
}

static int barter_hot_reset_prepare(struct barter_hot_reset *hr,
				    struct vfio_device *caller,
				    struct vfio_pci_hot_reset __user *arg)
{
	size_t minsz = offsetofend(struct vfio_pci_hot_reset, count);
	struct vfio_pci_hot_reset hdr;
	int ret;

	if (copy_from_user(&hdr, arg, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz || hdr.flags ||
	    !!hdr.count == vfio_device_cdev_opened(caller))
		return -EINVAL;
	ret = barter_hot_reset_get_groups(hr, arg, hdr.count);
	return ret ? ret : barter_hot_reset_get_exporters(hr, caller);
}

/**
 * barter_vfio_hot_reset - VFIO_DEVICE_PCI_HOT_RESET
 * @vdev: the device whose fd the request came through
 * @arg: struct vfio_pci_hot_reset of the caller
 *
 * Context: no locks held; takes dev_set->lock for a look at the set, and holds
 * none while it waits for importers.
 *
 * Return: core's answer, or -EINTR or -ENOMEM: the reset was not begun.
 */
long barter_vfio_hot_reset(struct vfio_device *vdev, unsigned long arg)
{
	struct barter_hot_reset hr = {};
	unsigned int done, i;
	long ret;

	ret = barter_hot_reset_prepare(&hr, vdev, (void __user *)arg);
	/* What is wrong with a request core says; this it would not find wrong. */
	if (ret == -EINTR || ret == -ENOMEM)
		goto out_put;
	if (ret)
		barter_hot_reset_put_exporters(&hr);

	for (done = 0; done < hr.nr_exporters; done++) {
		ret = barter_exporter_revoke(hr.exporters[done],
					     BARTER_REASON_RESET,
					     BARTER_REVOKE_KILLABLE);
		if (ret)
			break;
	}
	if (done == hr.nr_exporters)
		ret = vfio_pci_core_ioctl(vdev, VFIO_DEVICE_PCI_HOT_RESET, arg);
	for (i = 0; i < done; i++) {
		barter_vfio_exporter_update(hr.exporters[i],
					    BARTER_REVOKE_KILLABLE);
		barter_exporter_restore(hr.exporters[i], BARTER_REASON_RESET);
	}
out_put:
	barter_hot_reset_put_exporters(&hr);
	/* Held until here, so that no group gets a new owner meanwhile. */
	barter_hot_reset_put_groups(&hr);
	return ret;
}
