// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-bench: measures barter from within, for the programs in bench/. One caller
 * at a time.
 */
#include "bench.h"

#include <linux/barter.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(bench_lock);
u64 bench_clock_ns;

static void bench_calibrate(void)
{
	unsigned int i;

	bench_clock_ns = U64_MAX;
	for (i = 0; i < 64; i++) {
		u64 t0 = ktime_get_ns();

		bench_clock_ns = min(bench_clock_ns, ktime_get_ns() - t0);
	}
}

static int bench_run(struct barter_bench *req)
{
	struct pci_dev *pdev;
	struct dma_buf *dmabuf;
	int ret;

	if (req->what >= BARTER_BENCH_NR || !req->samples || !req->batch ||
	    req->samples > BARTER_BENCH_SAMPLES || req->__reserved)
		return -EINVAL;
	dmabuf = dma_buf_get(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	pdev = pci_get_domain_bus_and_slot(req->domain, req->bus, req->devfn);
	if (!pdev) {
		dma_buf_put(dmabuf);
		return -ENODEV;
	}

	switch (req->what) {
	case BARTER_BENCH_SGT:
		ret = bench_sgt(dmabuf, pdev, req);
		break;
	case BARTER_BENCH_DOMAIN:
		ret = bench_domain(dmabuf, pdev, req);
		break;
	case BARTER_BENCH_BAR:
		ret = bench_bar(dmabuf, pdev, req);
		break;
	default:
		ret = bench_attach(dmabuf, pdev, req);
	}
	pci_dev_put(pdev);
	dma_buf_put(dmabuf);
	return ret;
}

static int bench_ioctl_crowd(struct file *file, void __user *arg)
{
	struct bench_crowd *crowd;
	struct barter_bench_crowd req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	mutex_lock(&bench_lock);
	bench_calibrate();
	crowd = file->private_data;
	ret = bench_crowd(&crowd, &req);
	file->private_data = crowd;
	mutex_unlock(&bench_lock);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
}

static int bench_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static int bench_release(struct inode *inode, struct file *file)
{
	crowd_dissolve(file->private_data, NULL);
	return 0;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct barter_bench *req;
	int ret;

	if (cmd == BARTER_BENCH_IOC_CROWD)
		return bench_ioctl_crowd(file, (void __user *)arg);
	if (cmd != BARTER_BENCH_IOC_RUN)
		return -ENOTTY;
	req = memdup_user((void __user *)arg, sizeof(*req));
	if (IS_ERR(req))
		return PTR_ERR(req);
	memset(req->out_ps, 0, sizeof(req->out_ps));
	memset(req->out_counts, 0, sizeof(req->out_counts));
	mutex_lock(&bench_lock);
	bench_calibrate();
	ret = bench_run(req);
	mutex_unlock(&bench_lock);
	if (!ret && copy_to_user((void __user *)arg, req, sizeof(*req)))
		ret = -EFAULT;
	kfree(req);
	return ret;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.open = bench_open,
	.release = bench_release,
	.unlocked_ioctl = bench_ioctl,
};

static struct miscdevice bench_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter-bench",
	.fops = &bench_fops,
	.mode = 0600,
};

static int __init bench_init(void)
{
	int ret;

	ret = count_init();
	if (ret)
		return ret;
	ret = barter_importer_register(&bench_importer);
	if (ret)
		return ret;
	ret = barter_importer_register(&bench_bar_importer);
	if (ret)
		goto err_importer;
	ret = misc_register(&bench_misc);
	if (ret)
		goto err_bar_importer;
	return 0;

err_bar_importer:
	barter_importer_unregister(&bench_bar_importer);
err_importer:
	barter_importer_unregister(&bench_importer);
	return ret;
}

static void __exit bench_exit(void)
{
	misc_deregister(&bench_misc);
	barter_importer_unregister(&bench_bar_importer);
	barter_importer_unregister(&bench_importer);
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("Measures barter; for benches only");
MODULE_LICENSE("GPL");
BARTER_IMPORT_NS_BARTER;
BARTER_IMPORT_NS_DMA_BUF;
