// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-importer: importers that are registered with core, with lists of
 * interconnects and manners as a test wants them. See typed.h for the calls.
 */
#include "typed_kmod.h"

#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define TYPED_DELAY_MAX	60000

/* What core is given to register, and keeps. */
struct typed_importer {
	struct barter_importer importer;
	struct dma_buf_attach_ops ops;
	struct barter_pci_bar_importer bar;
	struct barter_offer offers[TYPED_LIST];
	bool registered;
};

DEFINE_MUTEX(typed_lock);

static struct typed_importer importers[TYPED_IMPORTERS];
static struct typed *table[TYPED_ATTACHMENTS];
static unsigned int nr_files;

struct pci_dev *typed_pdev(const struct typed_bdf *bdf)
{
	return pci_get_domain_bus_and_slot(bdf->domain, bdf->bus, bdf->devfn);
}

static void typed_free(struct kref *ref)
{
	struct typed *t = container_of(ref, struct typed, ref);

	put_device(t->dev);
	if (t->dmabuf)
		dma_buf_put(t->dmabuf);
	kfree(t);
}

void typed_put(struct typed *t)
{
	kref_put(&t->ref, typed_free);
}

struct typed *typed_get(u32 id)
{
	struct typed *t;

	if (id >= TYPED_ATTACHMENTS)
		return NULL;
	id = array_index_nospec(id, TYPED_ATTACHMENTS);
	mutex_lock(&typed_lock);
	t = table[id];
	if (t)
		kref_get(&t->ref);
	mutex_unlock(&typed_lock);
	return t;
}

/* ---- what core calls ---- */

static void typed_slow(struct work_struct *work)
{
	struct typed *t = container_of(to_delayed_work(work), struct typed, slow);

	dma_resv_lock(t->dmabuf->resv, NULL);
	typed_drop_all(t);
	dma_resv_unlock(t->dmabuf->resv);
}

/* May run before t->attach is set; then nothing is mapped. */
static void typed_invalidate(struct dma_buf_attachment *attach)
{
	struct typed *t = attach->importer_priv;

	WRITE_ONCE(t->stat.out_invalidates, t->stat.out_invalidates + 1);
	if (t->flags & TYPED_F_STUCK)
		return;
	if (t->flags & TYPED_F_SLOW) {
		if (t->attach)
			schedule_delayed_work(&t->slow,
					      msecs_to_jiffies(t->delay_ms));
		return;
	}
	if (t->flags & TYPED_F_BLOCK)
		msleep(t->delay_ms);
	typed_drop_all(t);
}

static void typed_restored(struct dma_buf_attachment *attach)
{
	struct typed *t = attach->importer_priv;

	WRITE_ONCE(t->restoring, true);
	if (t->flags & TYPED_F_SLOW_RESTORED)
		msleep(t->delay_ms);
	WRITE_ONCE(t->stat.out_restored, t->stat.out_restored + 1);
	WRITE_ONCE(t->restoring, false);
}

static int typed_share(const struct barter_match *match, u64 *bytes)
{
	struct typed *t = match->attach->importer_priv;

	*bytes = t->share;
	return t->share_answer;
}

/* ---- importers ---- */

static int typed_register(const struct typed_register *req)
{
	struct typed_importer *imp;
	u32 slot = req->slot;
	int ret;

	lockdep_assert_held(&typed_lock);

	if (slot >= TYPED_IMPORTERS)
		return -EINVAL;
	imp = &importers[array_index_nospec(slot, TYPED_IMPORTERS)];
	/* Once more as it is: core has to say no. */
	if (imp->registered)
		return barter_importer_register(&imp->importer);
	ret = fabric_offers(req->offers, req->nr_offers, fabric_importer_data,
			    imp->offers);
	if (ret)
		return ret;
	imp->bar.share = req->flags & TYPED_F_NO_SHARE ? NULL : typed_share;
	for (u32 i = 0; i < req->nr_offers; i++)
		if (req->offers[i] == TYPED_PCI_BAR)
			imp->offers[i].data = &imp->bar;
	imp->ops = (struct dma_buf_attach_ops){
		.allow_peer2peer = !(req->flags & TYPED_F_NO_P2P),
		BARTER_ATTACH_OPS_INVALIDATE(typed_invalidate)
	};
	if (req->flags & TYPED_F_NO_NOTIFY)
		imp->ops = (struct dma_buf_attach_ops){ .allow_peer2peer = true };
	imp->importer = (struct barter_importer){
		.name = req->flags & TYPED_F_NO_NAME ? NULL : "test-typed",
		.owner = THIS_MODULE,
		.ops = req->flags & TYPED_F_NO_OPS ? NULL :
		       req->flags & TYPED_F_OPS_OF_0 ? &importers[0].ops :
						       &imp->ops,
		.offers = req->flags & TYPED_F_NO_OFFERS ? NULL : imp->offers,
		.nr_offers = req->nr_offers,
		.restored = req->flags & TYPED_F_RESTORED ? typed_restored : NULL,
	};
	ret = barter_importer_register(&imp->importer);
	imp->registered = !ret;
	return ret;
}

static int typed_unregister(unsigned long slot)
{
	struct typed_importer *imp;

	lockdep_assert_held(&typed_lock);

	if (slot >= TYPED_IMPORTERS)
		return -EINVAL;
	imp = &importers[array_index_nospec(slot, TYPED_IMPORTERS)];
	/* Also one that is not registered: core has to bear it. */
	barter_importer_unregister(&imp->importer);
	if (!imp->registered)
		return -ENOENT;
	imp->registered = false;
	return 0;
}

/* ---- attachments ---- */

static int typed_publish(struct typed *t)
{
	int id;

	mutex_lock(&typed_lock);
	for (id = 0; id < TYPED_ATTACHMENTS; id++) {
		if (!table[id]) {
			table[id] = t;
			break;
		}
	}
	mutex_unlock(&typed_lock);
	return id < TYPED_ATTACHMENTS ? id : -ENOSPC;
}

static int typed_end(struct typed *t)
{
	struct dma_buf_attachment *attach;
	int ret = 0;

	dma_resv_lock(t->dmabuf->resv, NULL);
	attach = t->attach;
	/* Core takes its own maps into domains back at detach. */
	for (u32 i = 0; attach && i < TYPED_MAPS; i++)
		if (!(t->flags & TYPED_F_LEAVE && t->maps[i].domain))
			typed_drop_one(t, &t->maps[i]);
	for (; attach && t->pins; t->pins--)
		dma_buf_unpin(attach);
	t->attach = NULL;
	dma_resv_unlock(t->dmabuf->resv);
	if (attach) {
		dma_buf_detach(t->dmabuf, attach);
		if (READ_ONCE(t->restoring))
			ret = -EILSEQ;
		cancel_delayed_work_sync(&t->slow);
	}
	return ret;
}

static int typed_attach(struct typed_attach *req)
{
	struct dma_buf_attachment *attach;
	struct typed_importer *imp;
	struct pci_dev *pdev;
	struct typed *t;
	int ret;

	if (req->slot >= TYPED_IMPORTERS || req->delay_ms > TYPED_DELAY_MAX)
		return -EINVAL;
	imp = &importers[array_index_nospec(req->slot, TYPED_IMPORTERS)];
	if (!imp->importer.ops)
		return -ENOENT;
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	kref_init(&t->ref);
	t->flags = req->flags;
	t->delay_ms = req->delay_ms;
	t->share = req->share;
	t->share_answer = req->share_answer;
	INIT_DELAYED_WORK(&t->slow, typed_slow);
	t->dmabuf = dma_buf_get(req->fd);
	if (IS_ERR(t->dmabuf)) {
		ret = PTR_ERR(t->dmabuf);
		t->dmabuf = NULL;
		goto err_put;
	}
	if (!(req->flags & TYPED_F_NO_DEVICE)) {
		pdev = typed_pdev(&req->bdf);
		ret = -ENODEV;
		if (!pdev)
			goto err_put;
		t->dev = &pdev->dev;
	}
	attach = barter_attach(t->dmabuf, t->dev, &imp->importer, t);
	ret = PTR_ERR_OR_ZERO(attach);
	if (ret)
		goto err_put;
	dma_resv_lock(t->dmabuf->resv, NULL);
	t->attach = attach;
	dma_resv_unlock(t->dmabuf->resv);
	ret = typed_publish(t);
	if (ret < 0) {
		typed_end(t);
		goto err_put;
	}
	req->out_id = ret;
	return 0;

err_put:
	typed_put(t);
	return ret;
}

/* It leaves the table when it has ended, so that typed_bus_notify() finds it until then. */
static int typed_detach(u32 id)
{
	struct typed *t = typed_get(id);
	bool ours;
	int ret;

	if (!t)
		return -ENOENT;
	id = array_index_nospec(id, TYPED_ATTACHMENTS);
	ret = typed_end(t);
	mutex_lock(&typed_lock);
	ours = table[id] == t;
	if (ours)
		table[id] = NULL;
	mutex_unlock(&typed_lock);
	if (ours)
		typed_put(t);
	typed_put(t);
	return ours ? ret : -ENOENT;
}

/*
 * Mappings of the DMA API go with the device, or with its driver if it has one. New ones need
 * the device_lock, which is held by who takes the driver away.
 */
static int typed_bus_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action != BUS_NOTIFY_DEL_DEVICE && action != BUS_NOTIFY_UNBIND_DRIVER)
		return NOTIFY_DONE;
	for (u32 id = 0; id < TYPED_ATTACHMENTS; id++) {
		struct typed *t = typed_get(id);

		if (!t)
			continue;
		if (t->dev == data) {
			dma_resv_lock(t->dmabuf->resv, NULL);
			typed_drop_sgt(t);
			dma_resv_unlock(t->dmabuf->resv);
		}
		typed_put(t);
	}
	return NOTIFY_OK;
}

static struct notifier_block typed_bus_block = {
	.notifier_call = typed_bus_notify,
};

/* ---- calls ---- */

static int typed_do_unmap(struct typed *t, u32 nr)
{
	struct typed_one *one;

	if (nr >= TYPED_MAPS)
		return -EINVAL;
	one = &t->maps[array_index_nospec(nr, TYPED_MAPS)];
	if (!t->attach)
		return -ENOENT;
	if (!one->sgt && !one->bar && !one->fabric && !one->domain)
		return -ENODATA;
	typed_drop_one(t, one);
	return 0;
}

static int typed_do_type(struct typed *t)
{
	const struct barter_interconnect *type;

	type = barter_attach_type(t->attach);
	return IS_ERR(type) ? PTR_ERR(type) : fabric_typed(type);
}

/* Calls by the number of an attachment. */
static int typed_by_id(unsigned int cmd, unsigned long arg)
{
	struct typed *t = typed_get(arg & 0xffff);
	int ret;

	if (!t)
		return -ENOENT;
	dma_resv_lock(t->dmabuf->resv, NULL);
	if (!t->attach) {
		ret = -ENOENT;
		goto out_unlock;
	}
	switch (cmd) {
	case TYPED_IOC_TYPE:
		ret = typed_do_type(t);
		break;
	case TYPED_IOC_UNMAP:
		ret = typed_do_unmap(t, arg >> 16);
		break;
	case TYPED_IOC_DECLINE:
		ret = barter_attach_decline(t->attach, fabric_type(arg >> 16));
		break;
	case TYPED_IOC_PIN:
		ret = dma_buf_pin(t->attach);
		if (!ret)
			t->pins++;
		break;
	default:
		ret = t->pins ? 0 : -ENODATA;
		if (!ret) {
			dma_buf_unpin(t->attach);
			t->pins--;
		}
	}
out_unlock:
	dma_resv_unlock(t->dmabuf->resv);
	typed_put(t);
	return ret;
}

/* Waits for nobody. */
static int typed_stat(struct typed_stat *req)
{
	struct typed *t = typed_get(req->id);
	u32 id = req->id;

	if (!t)
		return -ENOENT;
	*req = t->stat;
	req->id = id;
	req->out_maps = 0;
	for (u32 i = 0; i < TYPED_MAPS; i++) {
		struct typed_one *one = &t->maps[i];

		req->out_maps += READ_ONCE(one->sgt) || READ_ONCE(one->bar) ||
				 READ_ONCE(one->fabric) || READ_ONCE(one->domain);
	}
	typed_put(t);
	return 0;
}

union typed_request {
	struct typed_register reg;
	struct typed_attach attach;
	struct typed_map map;
	struct typed_stat stat;
	struct typed_domain domain;
	struct typed_check check;
	struct typed_page page;
};

static int typed_call(unsigned int cmd, union typed_request *u)
{
	struct typed *t;
	int ret;

	switch (cmd) {
	case TYPED_IOC_REGISTER:
		mutex_lock(&typed_lock);
		ret = typed_register(&u->reg);
		mutex_unlock(&typed_lock);
		return ret;
	case TYPED_IOC_ATTACH:
		return typed_attach(&u->attach);
	case TYPED_IOC_MAP:
		t = typed_get(u->map.id);
		if (!t)
			return -ENOENT;
		ret = typed_map(t, &u->map);
		WRITE_ONCE(t->stat.out_last, ret);
		typed_put(t);
		return ret;
	case TYPED_IOC_STAT:
		return typed_stat(&u->stat);
	case TYPED_IOC_DOMAIN:
		return typed_domain_new(&u->domain);
	case TYPED_IOC_CHECK:
		return typed_domain_check(&u->check);
	case TYPED_IOC_PAGE:
		return typed_domain_page(&u->page);
	default:
		return -ENOTTY;
	}
}

static long typed_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union typed_request *u;
	int ret;

	switch (cmd) {
	case TYPED_IOC_UNREGISTER:
		mutex_lock(&typed_lock);
		ret = typed_unregister(arg);
		mutex_unlock(&typed_lock);
		return ret;
	case TYPED_IOC_DETACH:
		return typed_detach(arg);
	case TYPED_IOC_TYPE:
	case TYPED_IOC_UNMAP:
	case TYPED_IOC_DECLINE:
	case TYPED_IOC_PIN:
	case TYPED_IOC_UNPIN:
		return typed_by_id(cmd, arg);
	case TYPED_IOC_DOMAIN_FREE:
		return typed_domain_free(arg);
	case TYPED_IOC_LOOKALIKE:
		return typed_lookalike(arg);
	}
	if (_IOC_SIZE(cmd) > sizeof(*u) || !_IOC_SIZE(cmd))
		return -ENOTTY;
	u = kzalloc(sizeof(*u), GFP_KERNEL);
	if (!u)
		return -ENOMEM;
	ret = copy_from_user(u, user, _IOC_SIZE(cmd)) ? -EFAULT :
						       typed_call(cmd, u);
	if (!ret && _IOC_DIR(cmd) & _IOC_READ &&
	    copy_to_user(user, u, _IOC_SIZE(cmd)))
		ret = -EFAULT;
	kfree(u);
	return ret;
}

static int typed_open(struct inode *inode, struct file *filp)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	mutex_lock(&typed_lock);
	nr_files++;
	mutex_unlock(&typed_lock);
	return 0;
}

static void typed_end_all(bool kept_too)
{
	u32 id;

	for (id = 0; id < TYPED_ATTACHMENTS; id++) {
		struct typed *t = typed_get(id);
		bool ends = t && (kept_too || !(t->flags & TYPED_F_KEEP));

		if (t)
			typed_put(t);
		if (ends)
			typed_detach(id);
	}
	mutex_lock(&typed_lock);
	for (id = 0; id < TYPED_IMPORTERS; id++)
		typed_unregister(id);
	mutex_unlock(&typed_lock);
	typed_domain_free_all();
}

static int typed_release(struct inode *inode, struct file *filp)
{
	bool last;

	mutex_lock(&typed_lock);
	last = !--nr_files;
	mutex_unlock(&typed_lock);
	if (last)
		typed_end_all(false);
	return 0;
}

static const struct file_operations typed_fops = {
	.owner = THIS_MODULE,
	.open = typed_open,
	.release = typed_release,
	.unlocked_ioctl = typed_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice typed_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter-test-importer",
	.fops = &typed_fops,
	.mode = 0600,
};

static int __init typed_init(void)
{
	int ret = bus_register_notifier(&pci_bus_type, &typed_bus_block);

	if (ret)
		return ret;
	ret = misc_register(&typed_misc);
	if (ret)
		bus_unregister_notifier(&pci_bus_type, &typed_bus_block);
	return ret;
}
module_init(typed_init);

/* Of barter's buffers nothing is left, or core would not let us go. */
static void __exit typed_exit(void)
{
	misc_deregister(&typed_misc);
	typed_end_all(true);
	bus_unregister_notifier(&pci_bus_type, &typed_bus_block);
}
module_exit(typed_exit);

MODULE_DESCRIPTION("Importers of every interconnect for barter's device tests");
MODULE_LICENSE("GPL");
BARTER_IMPORT_NS_BARTER;
BARTER_IMPORT_NS_DMA_BUF;
