// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test: what device tests need from inside the kernel and stock drivers
 * do not offer: importers of every kind, fences under a test's control, and a
 * dma-buf that is not barter's. See barter-test.h for the calls.
 */
#include "kmod.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static LIST_HEAD(test_files);
static DEFINE_MUTEX(test_files_lock);

static int test_open(struct inode *inode, struct file *filp)
{
	struct test_file *file;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	mutex_lock(&test_files_lock);
	list_add(&file->node, &test_files);
	mutex_unlock(&test_files_lock);
	filp->private_data = file;
	return 0;
}

static int test_release(struct inode *inode, struct file *filp)
{
	struct test_file *file = filp->private_data;

	/* Who takes a driver away meanwhile finds the file, and waits until this is done. */
	mutex_lock(&file->lock);
	importer_detach_all(file, NULL);
	fence_signal_all(file);
	mutex_unlock(&file->lock);

	mutex_lock(&test_files_lock);
	list_del(&file->node);
	mutex_unlock(&test_files_lock);
	mutex_destroy(&file->lock);
	kfree(file);
	return 0;
}

/* Importers go with the device, or with its driver if it has one. */
static int test_bus_notify(struct notifier_block *nb, unsigned long action,
			   void *data)
{
	struct device *dev = data;
	struct test_file *file;

	if (action != BUS_NOTIFY_DEL_DEVICE && action != BUS_NOTIFY_UNBIND_DRIVER)
		return NOTIFY_DONE;
	mutex_lock(&test_files_lock);
	list_for_each_entry(file, &test_files, node) {
		mutex_lock(&file->lock);
		importer_detach_all(file, dev);
		mutex_unlock(&file->lock);
	}
	mutex_unlock(&test_files_lock);
	return NOTIFY_OK;
}

static struct notifier_block test_bus_block = {
	.notifier_call = test_bus_notify,
};

static long test_attach(struct test_file *file, void __user *arg)
{
	struct barter_test_attach req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ret = importer_attach(file, &req);
	if (!ret && copy_to_user(arg, &req, sizeof(req))) {
		importer_detach(file, req.out_id);
		ret = -EFAULT;
	}
	return ret;
}

static long test_map(struct test_file *file, void __user *arg)
{
	struct barter_test_map *req;
	int ret;

	req = memdup_user(arg, sizeof(*req));
	if (IS_ERR(req))
		return PTR_ERR(req);
	ret = importer_map(file, req);
	if (!ret && copy_to_user(arg, req, sizeof(*req))) {
		importer_unmap(file, req->id);
		ret = -EFAULT;
	}
	kfree(req);
	return ret;
}

static long test_stat(struct test_file *file, void __user *arg)
{
	struct barter_test_stat req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ret = importer_stat(file, &req);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
}

static long test_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct test_file *file = filp->private_data;
	void __user *user = (void __user *)arg;
	long ret;

	/* These answer whatever else the file is busy with. */
	if (cmd == BARTER_TEST_IOC_STAT)
		return test_stat(file, user);
	if (cmd == BARTER_TEST_IOC_FOREIGN)
		return foreign_export(user);
	if (cmd == BARTER_TEST_IOC_PAGE)
		return page_look(user);

	ret = mutex_lock_interruptible(&file->lock);
	if (ret)
		return ret;
	switch (cmd) {
	case BARTER_TEST_IOC_ATTACH:
		ret = test_attach(file, user);
		break;
	case BARTER_TEST_IOC_DETACH:
		ret = importer_detach(file, arg);
		break;
	case BARTER_TEST_IOC_MAP:
		ret = test_map(file, user);
		break;
	case BARTER_TEST_IOC_UNMAP:
		ret = importer_unmap(file, arg);
		break;
	case BARTER_TEST_IOC_PIN:
		ret = importer_pin(file, arg);
		break;
	case BARTER_TEST_IOC_UNPIN:
		ret = importer_unpin(file, arg);
		break;
	case BARTER_TEST_IOC_LETGO:
		ret = importer_letgo(file, arg);
		break;
	case BARTER_TEST_IOC_FENCE_NEW:
		ret = fence_new(file, user);
		break;
	case BARTER_TEST_IOC_FENCE_SIGNAL:
		ret = fence_signal(file, arg);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&file->lock);
	return ret;
}

/* An importer's file that passes the mmap on to a dma-buf, with flags of its own. */
static int test_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct dma_buf *dmabuf = dma_buf_get(vma->vm_pgoff);
	int ret;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = dma_buf_mmap(dmabuf, vma, 0);
	dma_buf_put(dmabuf);
	return ret;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.mmap = test_mmap,
	.unlocked_ioctl = test_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice test_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter-test",
	.fops = &test_fops,
	.mode = 0600,
};

static int __init test_init(void)
{
	int ret;

	ret = importer_init();
	if (ret)
		return ret;
	ret = bus_register_notifier(&pci_bus_type, &test_bus_block);
	if (ret)
		goto err_importer;
	ret = misc_register(&test_misc);
	if (ret)
		goto err_notifier;
	return 0;

err_notifier:
	bus_unregister_notifier(&pci_bus_type, &test_bus_block);
err_importer:
	importer_exit();
	return ret;
}
module_init(test_init);

static void __exit test_exit(void)
{
	misc_deregister(&test_misc);
	bus_unregister_notifier(&pci_bus_type, &test_bus_block);
	importer_exit();
}
module_exit(test_exit);

MODULE_DESCRIPTION("Importers, fences and a foreign dma-buf for barter's device tests");
MODULE_LICENSE("GPL");
BARTER_IMPORT_NS_DMA_BUF;
