// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-exporter: lends a BAR of any PCI device, which need not have a driver,
 * with any list of interconnects. It never touches the device, and gives no window
 * for mmap. See typed.h for the calls.
 */
#include "fabric.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define LEND_RANGES	(1U << 17)

/*
 * @exp and its list live for as long as a buffer does. Under @lock: what select()
 * was asked. @answer is read and written as it comes.
 */
struct lend {
	struct barter_exporter exp;
	struct barter_exporter_ops ops;
	struct barter_offer offers[TYPED_LIST];
	struct inode *inode;
	struct kref ref;
	int answer;
	spinlock_t lock;
	struct lend_stat stat;
	bool destroyed;		/* under the file's lock */
};

struct lend_file {
	struct mutex lock;	/* CREATE and DESTROY */
	struct lend *lend;
};

static struct lend *to_lend(struct barter_exporter *exp)
{
	return container_of(exp, struct lend, exp);
}

static void lend_free(struct kref *ref)
{
	struct lend *lend = container_of(ref, struct lend, ref);

	barter_exporter_cleanup(&lend->exp);
	iput(lend->inode);
	kfree(lend);
}

static void lend_get(struct barter_exporter *exp)
{
	kref_get(&to_lend(exp)->ref);
}

static void lend_put(struct barter_exporter *exp)
{
	kref_put(&to_lend(exp)->ref, lend_free);
}

/* Nobody can map a buffer without a window, so that no page fault ever asks. */
static void lend_access_begin(struct barter_exporter *exp)
{
}

static bool lend_access_allowed(struct barter_exporter *exp)
{
	return false;
}

static void lend_access_end(struct barter_exporter *exp)
{
}

static int lend_select(struct barter_exporter *exp,
		       struct dma_buf_attachment *attach,
		       const struct barter_interconnect *const *types,
		       unsigned int nr)
{
	struct lend *lend = to_lend(exp);
	unsigned int i;

	spin_lock(&lend->lock);
	lend->stat.out_selects++;
	lend->stat.out_nr = nr;
	for (i = 0; i < nr && i < TYPED_LIST; i++)
		lend->stat.out_types[i] = fabric_typed(types[i]);
	spin_unlock(&lend->lock);
	return READ_ONCE(lend->answer);
}

static int lend_create(struct lend_file *file, struct inode *inode,
		       void __user *arg)
{
	struct lend_create req;
	struct pci_dev *pdev;
	struct lend *lend;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (file->lend)
		return -EEXIST;
	pdev = pci_get_domain_bus_and_slot(req.bdf.domain, req.bdf.bus,
					   req.bdf.devfn);
	if (!pdev)
		return -ENODEV;
	lend = kzalloc(sizeof(*lend), GFP_KERNEL);
	if (!lend) {
		ret = -ENOMEM;
		goto out_put_device;
	}
	ret = fabric_offers(req.offers, req.nr_offers, fabric_exporter_data,
			    lend->offers);
	if (ret)
		goto err_free;
	lend->ops.owner = THIS_MODULE;
	lend->ops.get = lend_get;
	lend->ops.put = lend_put;
	lend->ops.access_begin = lend_access_begin;
	lend->ops.access_allowed = lend_access_allowed;
	lend->ops.access_end = lend_access_end;
	if (!(req.flags & LEND_F_DEFAULT)) {
		lend->ops.offers = lend->offers;
		lend->ops.nr_offers = req.nr_offers;
	}
	if (req.flags & LEND_F_SELECT)
		lend->ops.select = lend_select;
	spin_lock_init(&lend->lock);
	kref_init(&lend->ref);
	lend->inode = igrab(inode);
	ret = barter_exporter_init(&lend->exp, pdev, inode->i_mapping,
				   &lend->ops);
	if (ret)
		goto err_iput;
	barter_exporter_restore(&lend->exp, BARTER_REASON_CLOSED);
	/* Pairs with lend_ioctl(): who sees it sees it whole. */
	smp_store_release(&file->lend, lend);
	goto out_put_device;

err_iput:
	iput(lend->inode);
err_free:
	kfree(lend);
out_put_device:
	pci_dev_put(pdev);
	return ret;
}

static int lend_export(struct lend *lend, void __user *arg)
{
	struct barter_lend what = { .open_flags = O_RDWR | O_CLOEXEC };
	struct barter_range *ranges;
	struct lend_export req;
	int fd;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!req.nr || req.nr > LEND_RANGES)
		return -EINVAL;
	ranges = vmemdup_array_user(u64_to_user_ptr(req.ranges), req.nr,
				    sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	what.bar = req.bar;
	what.ranges = ranges;
	what.nr = req.nr;
	what.flags = req.flags;
	if (req.flags & BARTER_EXPORT_READ_ONLY)
		what.open_flags = O_RDONLY | O_CLOEXEC;
	fd = barter_export_fd(&lend->exp, &what);
	kvfree(ranges);
	return fd;
}

static int lend_export_again(struct lend *lend, void __user *arg)
{
	struct barter_lend what = {
		.open_flags = O_RDWR | O_CLOEXEC, .memattr = 99,
	};
	struct barter_range *ranges;
	struct lend_export req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ranges = barter_lend_copy(&what, u64_to_user_ptr(req.ranges), req.nr);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	what.bar = req.bar;
	if (barter_export_fd(&lend->exp, &what) != -ENOENT) {
		ret = -EPROTO;
	} else {
		what.memattr = BARTER_MEMATTR_UC;
		ret = barter_export_fd(&lend->exp, &what);
	}
	barter_lend_cleanup(&what);
	return ret;
}

static int lend_stat(struct lend *lend, void __user *arg)
{
	struct lend_stat stat;

	spin_lock(&lend->lock);
	stat = lend->stat;
	spin_unlock(&lend->lock);
	return copy_to_user(arg, &stat, sizeof(stat)) ? -EFAULT : 0;
}

static void lend_destroy(struct lend *lend)
{
	if (!lend->destroyed)
		barter_exporter_destroy(&lend->exp);
	lend->destroyed = true;
}

static int lend_fabric(void __user *arg)
{
	struct lend_fabric req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ret = fabric_control(&req);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
}

static bool is_reason(unsigned long arg)
{
	return arg && !(arg & (arg - 1)) && arg < 1UL << BARTER_NR_REASONS;
}

/* Revokes of one exporter may run side by side: core orders them. */
static long lend_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct lend_file *file = filp->private_data;
	void __user *user = (void __user *)arg;
	struct lend *lend;
	long ret = 0;

	if (cmd == LEND_IOC_FABRIC)
		return lend_fabric(user);
	if (cmd == LEND_IOC_CREATE) {
		mutex_lock(&file->lock);
		ret = lend_create(file, file_inode(filp), user);
		mutex_unlock(&file->lock);
		return ret;
	}
	/* Pairs with lend_create(). */
	lend = smp_load_acquire(&file->lend);
	if (!lend)
		return -ENOENT;

	switch (cmd) {
	case LEND_IOC_EXPORT:
		return lend_export(lend, user);
	case LEND_IOC_EXPORT_AGAIN:
		return lend_export_again(lend, user);
	case LEND_IOC_REVOKE:
		return is_reason(arg) ?
			barter_exporter_revoke(&lend->exp, arg,
					       BARTER_REVOKE_KILLABLE) : -EINVAL;
	case LEND_IOC_RESTORE:
		if (!is_reason(arg))
			return -EINVAL;
		barter_exporter_restore(&lend->exp, arg);
		return 0;
	case LEND_IOC_DESTROY:
		mutex_lock(&file->lock);
		lend_destroy(lend);
		mutex_unlock(&file->lock);
		return 0;
	case LEND_IOC_SELECT:
		WRITE_ONCE(lend->answer, (int)arg);
		return 0;
	case LEND_IOC_STAT:
		return lend_stat(lend, user);
	default:
		return -ENOTTY;
	}
}

static int lend_open(struct inode *inode, struct file *filp)
{
	struct lend_file *file;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;
}

static int lend_release(struct inode *inode, struct file *filp)
{
	struct lend_file *file = filp->private_data;

	if (file->lend) {
		lend_destroy(file->lend);
		lend_put(&file->lend->exp);
	}
	mutex_destroy(&file->lock);
	kfree(file);
	return 0;
}

static const struct file_operations lend_fops = {
	.owner = THIS_MODULE,
	.open = lend_open,
	.release = lend_release,
	.unlocked_ioctl = lend_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice lend_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter-test-exporter",
	.fops = &lend_fops,
	.mode = 0600,
};

static int __init lend_init(void)
{
	int ret = fabric_init();

	if (ret)
		return ret;
	ret = misc_register(&lend_misc);
	if (ret)
		fabric_exit();
	return ret;
}
module_init(lend_init);

static void __exit lend_exit(void)
{
	misc_deregister(&lend_misc);
	fabric_exit();
}
module_exit(lend_exit);

MODULE_DESCRIPTION("An exporter for barter's device tests");
MODULE_LICENSE("GPL");
BARTER_IMPORT_NS_BARTER;
