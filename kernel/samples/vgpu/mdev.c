// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The mediated device: a PCI function that exists in software, as VFIO shows it.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "../../compat/compat_mdev.h"
#include "vedu.h"

/* Bytes that one step of a read or write moves: a whole command. */
#define VEDU_STEP	64U

static u64 vedu_region_length(const struct vedu *v, u32 index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return BARTER_VEDU_BAR0_LENGTH;
	case VFIO_PCI_BAR2_REGION_INDEX:
		return v->window ? VEDU_SLICE : 0;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return sizeof(v->config);
	default:
		return 0;
	}
}

/* What runs is dropped, all memory is let go. v->control is held. */
static void vedu_stop(struct vedu *v)
{
	lockdep_assert_held(&v->control);

	vedu_engine_stop(v);
	vedu_job_drop(v);
	vedu_job_drop_held(v);
}

/**
 * vedu_gone - the engine is about to go
 * @v: one of its vEDUs
 *
 * Nothing of it is mapped for the engine's device afterwards. Its guest finds the ring
 * halted.
 */
void vedu_gone(struct vedu *v)
{
	mutex_lock(&v->control);
	vedu_stop(v);
	if (v->open)
		vedu_ring_halt(v, BARTER_VEDU_HALT_GONE);
	mutex_unlock(&v->control);
}

/* An empty ring; nothing runs. */
static void vedu_restart(struct vedu *v)
{
	mutex_lock(&v->control);
	vedu_stop(v);
	mutex_lock(&v->lock);
	vedu_ring_reset(v);
	if (vedu_engine_is_gone(v->engine))
		v->halt = BARTER_VEDU_HALT_GONE;
	mutex_unlock(&v->lock);
	vedu_engine_start(v);
	mutex_unlock(&v->control);
}

static int vedu_open(struct vfio_device *vdev)
{
	struct vedu *v = vedu_from_vdev(vdev);

	mutex_lock(&v->control);
	if (vedu_engine_is_gone(v->engine)) {
		mutex_unlock(&v->control);
		return -ENODEV;
	}
	mutex_lock(&v->lock);
	vedu_config_init(v);
	vedu_ring_reset(v);
	mutex_unlock(&v->lock);
	if (v->window)
		vedu_window_open(v->window);
	vedu_space_open(v);
	v->open = true;
	vedu_engine_start(v);
	mutex_unlock(&v->control);
	return 0;
}

static void vedu_close(struct vfio_device *vdev)
{
	struct vedu *v = vedu_from_vdev(vdev);

	mutex_lock(&v->control);
	vedu_stop(v);
	v->open = false;
	mutex_unlock(&v->control);
	vedu_space_close(v);
	vedu_irq_clear(&v->msi);
	vedu_irq_clear(&v->request);
	if (v->window)
		vedu_window_close(v->window);
}

static int vedu_region_access(struct vedu *v, u32 index, u8 *data, size_t n,
			      u64 offset, bool write)
{
	bool memory;
	int ret;

	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return vedu_config_access(v, data, n, offset, write);
	if (index == VFIO_PCI_BAR2_REGION_INDEX)
		return vedu_window_access(v->window, data, n, offset, write);

	mutex_lock(&v->lock);
	memory = vedu_config_memory(v);
	mutex_unlock(&v->lock);
	if (!memory)
		return -EIO;
	ret = vedu_ring_access(v, data, n, offset, write);
	if (ret > 0) {
		vedu_restart(v);
		ret = 0;
	}
	return ret;
}

static ssize_t vedu_access(struct vedu *v, char __user *in, const char __user *out,
			   size_t count, loff_t *ppos)
{
	u64 pos = *ppos, index = pos >> VEDU_REGION_SHIFT, length;
	u64 offset = pos & (BIT_ULL(VEDU_REGION_SHIFT) - 1);
	u8 data[VEDU_STEP];
	size_t done = 0;
	int ret = 0;

	length = index < VFIO_PCI_NUM_REGIONS ? vedu_region_length(v, index) : 0;
	if (offset >= length)
		return -EINVAL;
	count = min_t(u64, count, length - offset);

	while (done < count && !ret) {
		size_t n = min_t(size_t, count - done, VEDU_STEP - offset % VEDU_STEP);

		if (out && copy_from_user(data, out + done, n))
			ret = -EFAULT;
		if (!ret)
			ret = vedu_region_access(v, index, data, n, offset, out);
		if (!ret && in && copy_to_user(in + done, data, n))
			ret = -EFAULT;
		if (ret)
			break;
		done += n;
		offset += n;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	*ppos += done;
	return done ?: ret;
}

static ssize_t vedu_read(struct vfio_device *vdev, char __user *buf, size_t count,
			 loff_t *ppos)
{
	return vedu_access(vedu_from_vdev(vdev), buf, NULL, count, ppos);
}

static ssize_t vedu_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			  loff_t *ppos)
{
	return vedu_access(vedu_from_vdev(vdev), NULL, buf, count, ppos);
}

static int vedu_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	unsigned int shift = VEDU_REGION_SHIFT - PAGE_SHIFT;
	struct vedu *v = vedu_from_vdev(vdev);
	u64 offset = (u64)(vma->vm_pgoff & ((1UL << shift) - 1)) << PAGE_SHIFT;

	if (vma->vm_pgoff >> shift != VFIO_PCI_BAR2_REGION_INDEX || !v->window)
		return -EINVAL;
	return vedu_window_mmap(v->window, vma, offset);
}

static int vedu_region_info(struct vfio_device *vdev, struct vfio_region_info *info)
{
	struct vedu *v = vedu_from_vdev(vdev);

	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->size = vedu_region_length(v, info->index);
	info->offset = (u64)info->index << VEDU_REGION_SHIFT;
	info->flags = info->size ? VFIO_REGION_INFO_FLAG_READ |
				   VFIO_REGION_INFO_FLAG_WRITE : 0;
	if (info->index == VFIO_PCI_BAR2_REGION_INDEX && info->size)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	return 0;
}

BARTER_REGION_INFO(vedu_region_info)

static long vedu_get_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long vedu_get_irq_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = vedu_irq_info(&info);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long vedu_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct vedu *v = vedu_from_vdev(vdev);
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return vedu_get_info(user);
	case VFIO_DEVICE_GET_REGION_INFO:
		return barter_region_info_ioctl(vdev, user, vedu_region_info);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vedu_get_irq_info(user);
	case VFIO_DEVICE_SET_IRQS:
		return vedu_irq_set(v, arg);
	case VFIO_DEVICE_RESET:
		vedu_restart(v);
		return v->window ? vedu_window_reset(v->window) : 0;
	default:
		return -ENOTTY;
	}
}

/* The device is to go, and its user keeps it open. */
static void vedu_request(struct vfio_device *vdev, unsigned int count)
{
	struct vedu *v = vedu_from_vdev(vdev);

	if (!vedu_irq_raise(&v->request) && !(count % 10))
		dev_notice_ratelimited(vdev->dev, "is to be removed, and waits for its user to close it\n");
}

static int vedu_init(struct vfio_device *vdev)
{
	struct vedu *v = vedu_from_vdev(vdev);
	struct mdev_type *type = to_mdev_device(vdev->dev)->type;
	int ret;

	v->engine = container_of(type->parent, struct vedu_engine, parent);
	v->stopped = true;
	INIT_LIST_HEAD(&v->node);
	kthread_init_work(&v->work, vedu_work);
	vedu_work_init(v);
	mutex_init(&v->control);
	mutex_init(&v->lock);
	vedu_irq_init(&v->msi);
	vedu_irq_init(&v->request);
	v->worker = kthread_run_worker(0, VEDU_NAME);
	if (IS_ERR(v->worker))
		return PTR_ERR(v->worker);
	ret = vedu_space_new(v);
	if (ret)
		goto err_worker;
	if (type == &v->engine->types[VEDU_TYPE_MEMORY]) {
		ret = vedu_window_new(v);
		if (ret)
			goto err_space;
	}
	ret = vedu_engine_join(v);
	if (ret)
		goto err_window;
	return 0;

err_window:
	if (v->window) {
		vedu_window_destroy(v->window);
		vedu_window_put(v->window);
	}
err_space:
	vedu_space_free(v);
err_worker:
	kthread_destroy_worker(v->worker);
	return ret;
}

static void vedu_release(struct vfio_device *vdev)
{
	struct vedu *v = vedu_from_vdev(vdev);

	/* Up to here the engine's end may stop the worker, see vedu_gone(). */
	vedu_engine_leave(v);
	kthread_destroy_worker(v->worker);
	if (v->window)
		vedu_window_put(v->window);
	vedu_space_free(v);
	mutex_destroy(&v->lock);
	mutex_destroy(&v->control);
}

static const struct vfio_device_ops vedu_ops = {
	.name = VEDU_NAME,
	.init = vedu_init,
	.release = vedu_release,
	.open_device = vedu_open,
	.close_device = vedu_close,
	.read = vedu_read,
	.write = vedu_write,
	.mmap = vedu_mmap,
	.ioctl = vedu_ioctl,
	.device_feature = vedu_feature,
	.dma_unmap = vedu_dma_unmap,
	.request = vedu_request,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
	BARTER_REGION_INFO_OP(vedu_region_info)
};

static int vedu_probe(struct mdev_device *mdev)
{
	struct vedu *v;
	int ret;

	v = vfio_alloc_device(vedu, vdev, &mdev->dev, &vedu_ops);
	if (IS_ERR(v))
		return PTR_ERR(v);
	/* VFIO would register it without one, if there is no memory, and use it all the same. */
	ret = vfio_assign_device_set(&v->vdev, &v->vdev);
	if (!ret)
		ret = vfio_register_emulated_iommu_dev(&v->vdev);
	if (ret) {
		if (v->window)
			vedu_window_destroy(v->window);
		vfio_put_device(&v->vdev);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, v);
	return 0;
}

static void vedu_remove(struct mdev_device *mdev)
{
	struct vedu *v = dev_get_drvdata(&mdev->dev);

	/* BAR 2 and what was lent of it go at once, the rest when its user closes it. */
	if (v->window)
		vedu_window_destroy(v->window);
	vfio_unregister_group_dev(&v->vdev);
	vfio_put_device(&v->vdev);
}

static unsigned int vedu_get_available(struct mdev_type *type)
{
	struct vedu_engine *engine = container_of(type->parent, struct vedu_engine, parent);
	unsigned int room = VEDU_MAX_VEDUS - READ_ONCE(engine->nr_members);

	if (type == &engine->types[VEDU_TYPE_MEMORY])
		room = min(room, vedu_memory_free());
	return room;
}

static ssize_t vedu_show_description(struct mdev_type *type, char *buf)
{
	struct vedu_engine *engine = container_of(type->parent, struct vedu_engine, parent);

	return sysfs_emit(buf, type == &engine->types[VEDU_TYPE_MEMORY] ?
			  "a share of the DMA engine, and %lu MiB of device memory\n" :
			  "a share of the DMA engine\n", VEDU_SLICE >> 20);
}

struct mdev_driver vedu_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = vedu_probe,
	.remove = vedu_remove,
	.get_available = vedu_get_available,
	.show_description = vedu_show_description,
	.driver = {
		.name = VEDU_NAME,
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
};
