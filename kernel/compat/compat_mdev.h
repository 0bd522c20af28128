/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What differs between kernels for a VFIO device that is not vfio-pci-core's.
 */
#ifndef BARTER_COMPAT_MDEV_H
#define BARTER_COMPAT_MDEV_H

#include <linux/kthread.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

/* To make a worker and to let it run are two steps (6.14); before, the first did both. */
#ifndef kthread_run_worker
#define kthread_run_worker	kthread_create_worker
#endif

/*
 * VFIO_DEVICE_GET_REGION_INFO: an ioctl of the driver's, then (6.19) a callback of its
 * own. A driver writes fn(vdev, info), says BARTER_REGION_INFO(fn) once,
 * BARTER_REGION_INFO_OP(fn) among its vfio_device_ops, and calls
 * barter_region_info_ioctl() where the ioctl comes.
 */
#ifdef BARTER_HAVE_VFIO_REGION_INFO_CAPS
#define BARTER_REGION_INFO(fn)						\
static int fn##_caps(struct vfio_device *vdev, struct vfio_region_info *info, \
		     struct vfio_info_cap *caps)			\
{									\
	return fn(vdev, info);						\
}
#define BARTER_REGION_INFO_OP(fn)	.get_region_info_caps = fn##_caps,
#else
#define BARTER_REGION_INFO(fn)
#define BARTER_REGION_INFO_OP(fn)
#endif

static inline long
barter_region_info_ioctl(struct vfio_device *vdev, void __user *arg,
			 int (*fn)(struct vfio_device *vdev,
				   struct vfio_region_info *info))
{
	size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info = {};
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = fn(vdev, &info);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

#endif /* BARTER_COMPAT_MDEV_H */
