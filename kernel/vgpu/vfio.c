// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The backend for Linux' VFIO: containers of type 1, and iommufd behind the same
 * calls. What they answer differs; here it becomes what barter_vgpu_map() says.
 *
 * Dirty memory is VFIO's own affair: type 1 reports what is pinned as dirty for as long
 * as it is, and both mark pages that the guest let be written dirty when they are
 * unpinned, whatever rights they were pinned with.
 */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vfio.h>

#include "priv.h"

/* A right that no guest memory has: type 1 says -EPERM only of what is mapped. */
#define VGPU_VFIO_NEVER		(1 << 30)

/* So often a pin is tried of what type 1 has said to be there. */
#define VGPU_VFIO_TRIES		3

/* Looks at a page that type 1 does not pin, until it is believed to be a device's. */
#define VGPU_VFIO_LOOKS		8

static bool vgpu_vfio_is_iommufd(struct vfio_device *vdev)
{
#if IS_ENABLED(CONFIG_IOMMUFD)
	return vdev->iommufd_access;
#else
	return false;
#endif
}

/*
 * iommufd undoes a pin by the range that it was made with, and takes an access away from
 * a device whether its pages are unpinned or not.
 */
static bool vgpu_vfio_is_type1(void *data)
{
	return !vgpu_vfio_is_iommufd(data);
}

/* With type 1: does the guest have anything mapped there? */
static bool vgpu_vfio_is_there(struct vfio_device *vdev, u64 iova)
{
	struct page *page;
	int ret = vfio_pin_pages(vdev, iova, 1, VGPU_VFIO_NEVER, &page);

	/* If it has no such test any more. */
	if (ret > 0)
		vfio_unpin_pages(vdev, iova, 1);
	return ret != -EINVAL;
}

/*
 * What is wrong with a page that is there. A guest that maps and unmaps it all the time
 * may do so in step with us, since we wait for the same lock: so it is pinned twice for
 * each look.
 */
static int vgpu_vfio_judge(struct vfio_device *vdev, u64 iova)
{
	struct page *page;
	unsigned int i;
	int ret;

	for (i = 0; i < VGPU_VFIO_LOOKS; i++) {
		/* See vgpu_unpin_all(). */
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = vfio_pin_pages(vdev, iova, 1, IOMMU_READ, &page);
		if (ret > 0) {
			vfio_unpin_pages(vdev, iova, 1);
			return 0;
		}
		if (ret != -EINVAL)
			return ret;
		if (i % 2 && !vgpu_vfio_is_there(vdev, iova))
			return -ENOENT;
	}
	return -EREMOTE;
}

/*
 * Type 1 says -EINVAL of what is not mapped, and of what has no struct page, which is
 * a device's memory. And by now the guest may have mapped what was missing: 0.
 */
static int vgpu_vfio_explain(struct vfio_device *vdev, u64 iova,
			     unsigned int npages)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < npages; i++)
		if (!vgpu_vfio_is_there(vdev, vgpu_address(iova, i)))
			return -ENOENT;
	for (i = 0; i < npages && !ret; i++)
		ret = vgpu_vfio_judge(vdev, vgpu_address(iova, i));
	return ret;
}

static int vgpu_vfio_pin(void *data, u64 iova, unsigned int npages, bool write,
			 struct page **pages)
{
	struct vfio_device *vdev = data;
	u64 last = vgpu_address(iova, npages) - 1;
	bool iommufd = vgpu_vfio_is_iommufd(vdev);
	int ret, tries = VGPU_VFIO_TRIES;

	if ((dma_addr_t)last != last || (iommufd && last > ULONG_MAX))
		return -EOVERFLOW;
	for (;;) {
		ret = vfio_pin_pages(vdev, iova, npages, IOMMU_READ |
				     (write ? IOMMU_WRITE : 0), pages);
		if (ret != -EINVAL)
			break;
		/* Or of memory that is being unmapped: see vgpu_doubt(). */
		if (iommufd)
			return -EREMOTE;
		ret = vgpu_vfio_explain(vdev, iova, npages);
		if (ret)
			return ret;
		if (!--tries)
			return -EAGAIN;
	}
	if (ret == npages)
		return 0;
	/* A container that has no IOMMU type. */
	if (ret == -ENOTTY)
		return -EACCES;
	if (WARN_ON_ONCE(ret >= 0)) {
		if (ret)
			vfio_unpin_pages(vdev, iova, ret);
		return -EIO;
	}
	return ret;
}

static void vgpu_vfio_unpin(void *data, u64 iova, unsigned int npages)
{
	vfio_unpin_pages(data, iova, npages);
}

static int vgpu_vfio_rw(void *data, u64 iova, void *buffer, size_t length,
			bool write)
{
	struct vfio_device *vdev = data;
	bool iommufd = vgpu_vfio_is_iommufd(vdev);
	u64 last = iova + length - 1;
	int ret;

	if ((dma_addr_t)last != last || (iommufd && last > ULONG_MAX))
		return -EOVERFLOW;
	ret = vfio_dma_rw(vdev, iova, buffer, length, write);
	if (ret == -EINVAL)
		return iommufd ? -EREMOTE : -ENOENT;
	return ret;
}

const struct barter_vgpu_backend barter_vgpu_vfio = {
	.name = "vfio",
	.pin = vgpu_vfio_pin,
	.unpin = vgpu_vfio_unpin,
	.rw = vgpu_vfio_rw,
	.unpin_any = vgpu_vfio_is_type1,
	.asks_again = vgpu_vfio_is_type1,
};
BARTER_EXPORT(barter_vgpu_vfio);
