// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Two VFIO devices without hardware and without mdev: what a driver of a vGPU has to
 * do with VFIO, and nothing else. They have no regions.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/vfio.h>

#include "vgpu_kmod.h"

#define DEVICES	2

struct vt_vfio {
	struct vfio_device vdev;
	struct vt_space *vt;
};

static struct platform_device *devices[DEVICES];

static struct vt_space *vt_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct vt_vfio, vdev)->vt;
}

static int vt_init(struct vfio_device *vdev)
{
	struct vt_vfio *v = container_of(vdev, struct vt_vfio, vdev);
	struct barter_vgpu_config config = {
		.name = dev_name(vdev->dev),
		.ops = &vt_ops,
		.backend = &barter_vgpu_vfio,
		.data = vdev,
	};

	v->vt = &vt_spaces[to_platform_device(vdev->dev)->id];
	config.priv = v->vt;
	return barter_vgpu_create(&config, &v->vt->space);
}

static void vt_release(struct vfio_device *vdev)
{
	struct vt_space *vt = vt_of(vdev);

	barter_vgpu_destroy(vt->space);
	vt->space = NULL;
}

static int vt_open(struct vfio_device *vdev)
{
	barter_vgpu_open(vt_of(vdev)->space);
	return 0;
}

static void vt_close(struct vfio_device *vdev)
{
	barter_vgpu_close(vt_of(vdev)->space);
}

static void vt_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	barter_vgpu_dma_unmap(vt_of(vdev)->space, iova, length);
}

static long vt_ioctl(struct vfio_device *vdev, unsigned int cmd,
		     unsigned long arg)
{
	return -ENOTTY;
}

static const struct vfio_device_ops vt_vfio_ops = {
	.name = "barter-vgpu-test",
	.init = vt_init,
	.release = vt_release,
	.open_device = vt_open,
	.close_device = vt_close,
	.dma_unmap = vt_dma_unmap,
	.ioctl = vt_ioctl,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

static int vt_probe(struct platform_device *pdev)
{
	struct vt_vfio *v;
	int ret;

	v = vfio_alloc_device(vt_vfio, vdev, &pdev->dev, &vt_vfio_ops);
	if (IS_ERR(v))
		return PTR_ERR(v);
	/* As in the sample: VFIO would register it without a set, if there is no memory. */
	ret = vfio_assign_device_set(&v->vdev, &v->vdev);
	if (!ret)
		ret = vfio_register_emulated_iommu_dev(&v->vdev);
	if (ret) {
		vfio_put_device(&v->vdev);
		return ret;
	}
	platform_set_drvdata(pdev, v);
	return 0;
}

static void vt_remove(struct platform_device *pdev)
{
	struct vt_vfio *v = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&v->vdev);
	vfio_put_device(&v->vdev);
}

static struct platform_driver vt_driver = {
	.driver.name = "barter-vgpu-test",
	.probe = vt_probe,
	.remove = vt_remove,
};

/* The device of a space, NULL if it is the mock's. */
struct vfio_device *vt_vfio_device(struct vt_space *vt)
{
	unsigned int i = vt - vt_spaces;
	struct vt_vfio *v;

	if (i >= DEVICES || !devices[i])
		return NULL;
	v = platform_get_drvdata(devices[i]);
	return v ? &v->vdev : NULL;
}

int vt_vfio_init(void)
{
	int i, ret;

	ret = platform_driver_register(&vt_driver);
	if (ret)
		return ret;
	for (i = 0; i < DEVICES; i++) {
		devices[i] = platform_device_register_simple("barter-vgpu-test",
							     i, NULL, 0);
		ret = PTR_ERR_OR_ZERO(devices[i]);
		if (ret)
			devices[i] = NULL;
		else if (!vt_spaces[i].space)
			ret = -ENODEV;
		if (ret) {
			vt_vfio_exit();
			return ret;
		}
	}
	return 0;
}

void vt_vfio_exit(void)
{
	int i;

	for (i = 0; i < DEVICES; i++) {
		platform_device_unregister(devices[i]);
		devices[i] = NULL;
	}
	platform_driver_unregister(&vt_driver);
}
