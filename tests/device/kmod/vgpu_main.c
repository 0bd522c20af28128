// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-vgpu: a driver of vGPUs that does what a test says; see vgpu.h.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vgpu_kmod.h"

/* One map, with as many references as the test has got. */
struct vt_entry {
	struct hlist_node node;
	struct barter_vgpu_map *map;
	struct file *file;
	unsigned int refs;
	u32 id;
	bool owed;
};

struct vt_space vt_spaces[VT_SPACES];
static struct device *vt_devices[VT_DEVICES];
static bool vt_is_set_up;
static DEFINE_MUTEX(vt_setup_lock);

/* ---- the driver ---- */

static struct vt_entry *vt_entry(struct vt_space *vt, struct barter_vgpu_map *map)
{
	struct vt_entry *e;

	hash_for_each_possible(vt->by_map, e, node, (unsigned long)map)
		if (e->map == map)
			return e;
	return NULL;
}

/* Forget an entry; its references are the caller's now, who frees it. */
static void vt_forget(struct vt_space *vt, struct vt_entry *e)
{
	lockdep_assert_held(&vt->lock);

	hash_del(&e->node);
	xa_erase(&vt->maps, e->id);
	if (e->owed)
		vt->owed--;
}

/* Outside of invalidate without the lock that it takes. */
static void vt_give_back(struct vt_entry *e)
{
	while (e->refs--)
		barter_vgpu_unmap(e->map);
	kfree(e);
}

/* Give back what is owed, or what a file has. */
static void vt_give_all(struct vt_space *vt, struct file *file)
{
	struct vt_entry *e;
	struct hlist_node *next;
	unsigned long id;
	HLIST_HEAD(list);

	mutex_lock(&vt->lock);
	xa_for_each(&vt->maps, id, e) {
		if (file ? e->file == file : e->owed) {
			vt_forget(vt, e);
			hlist_add_head(&e->node, &list);
		}
	}
	mutex_unlock(&vt->lock);
	hlist_for_each_entry_safe(e, next, &list, node)
		vt_give_back(e);
}

static void vt_misuse(struct vt_space *vt)
{
	struct barter_vgpu_map *map;
	char byte;

	if (barter_vgpu_map(vt->space, 0, 1, BARTER_VGPU_READ, NULL, &map) !=
	    -EDEADLK)
		vt->misused++;
	if (barter_vgpu_read(vt->space, 0, &byte, 1) != -EDEADLK)
		vt->misused++;
	if (barter_vgpu_write(vt->space, 0, &byte, 1) != -EDEADLK)
		vt->misused++;
}

static void vt_warned(struct vt_space *vt)
{
	barter_vgpu_close(vt->space);
	barter_vgpu_revoke_device(vt->space, vt_devices[VT_PLAIN0]);
}

static void vt_invalidate(void *priv, struct barter_vgpu_map *map)
{
	struct vt_space *vt = priv;
	struct vt_entry *e;

	mutex_lock(&vt->lock);
	e = vt_entry(vt, map);
	if (vt->behaviour == VT_MISUSE)
		vt_misuse(vt);
	if (vt->behaviour == VT_WARNED)
		vt_warned(vt);
	if (e && (vt->behaviour == VT_STUCK || vt->behaviour == VT_LATER)) {
		e->owed = true;
		vt->owed++;
		if (vt->behaviour == VT_LATER)
			schedule_delayed_work(&vt->work,
					      msecs_to_jiffies(vt->delay_ms));
	} else if (e) {
		vt_forget(vt, e);
		vt_give_back(e);
	}
	mutex_unlock(&vt->lock);
}

const struct barter_vgpu_ops vt_ops = {
	.owner = THIS_MODULE,
	.invalidate = vt_invalidate,
};

static void vt_work(struct work_struct *work)
{
	struct vt_space *vt = container_of(to_delayed_work(work),
					   struct vt_space, work);

	vt_give_all(vt, NULL);
}

void vt_letgo(struct vt_space *vt)
{
	mutex_lock(&vt->lock);
	vt->behaviour = VT_PROMPT;
	mutex_unlock(&vt->lock);
	vt_give_all(vt, NULL);
	cancel_delayed_work_sync(&vt->work);
}

static int vt_add(struct vt_space *vt, struct barter_vgpu_map *map,
		  struct file *file, u32 *id)
{
	struct vt_entry *e, *new = kzalloc(sizeof(*new), GFP_KERNEL);
	int ret = new ? 0 : -ENOMEM;

	mutex_lock(&vt->lock);
	e = vt_entry(vt, map);
	if (!ret && !barter_vgpu_valid(map))
		ret = -EAGAIN;
	if (!ret && !e) {
		ret = xa_alloc(&vt->maps, &new->id, new, xa_limit_31b, GFP_KERNEL);
		if (!ret) {
			e = new;
			new = NULL;
			e->map = map;
			e->file = file;
			hash_add(vt->by_map, &e->node, (unsigned long)map);
		}
	}
	if (!ret) {
		e->refs++;
		*id = e->id;
	}
	mutex_unlock(&vt->lock);
	kfree(new);
	if (ret)
		barter_vgpu_unmap(map);
	return ret;
}

/* ---- calls ---- */

static int vt_map(struct file *file, struct vt_space *vt, struct vt_map *req)
{
	const struct barter_vgpu_segment *segments;
	struct barter_vgpu_map *map;
	unsigned long index, run;
	unsigned int i, nr;
	int ret;

	if (req->device >= VT_DEVICES ||
	    (req->device && !vt_devices[req->device]))
		return -EINVAL;
	if (req->npages > ULONG_MAX)
		return -EDQUOT;
	ret = barter_vgpu_map(vt->space, req->iova, req->npages, req->prot,
			      vt_devices[req->device], &map);
	if (ret)
		return ret;

	req->out_runs = 0;
	for (index = 0; index < req->npages; index += run) {
		struct page *page = barter_vgpu_page(map, index, &run);

		if (!index)
			req->out_first = page_to_phys(page);
		req->out_runs++;
	}
	segments = barter_vgpu_segments(map, &nr);
	req->out_segments = nr;
	req->out_address = nr ? segments[0].address : 0;
	req->out_longest = 0;
	for (i = 0; i < nr; i++)
		req->out_longest = max(req->out_longest, segments[i].length);
	return vt_add(vt, map, file, &req->out_id);
}

/* Take a reference out of an entry, to be given back. */
static struct barter_vgpu_map *vt_take(struct vt_space *vt, u32 id)
{
	struct barter_vgpu_map *map = NULL;
	struct vt_entry *e;

	mutex_lock(&vt->lock);
	e = xa_load(&vt->maps, id);
	if (e) {
		map = e->map;
		if (!--e->refs) {
			vt_forget(vt, e);
			kfree(e);
		}
	}
	mutex_unlock(&vt->lock);
	return map;
}

static int vt_unmap(struct vt_space *vt, u32 id)
{
	struct barter_vgpu_map *map = vt_take(vt, id);

	barter_vgpu_unmap(map);
	return map ? 0 : -ENOENT;
}

static int vt_unmap_many(struct vt_space *vt, const struct vt_many *req)
{
	struct barter_vgpu_map **maps;
	u32 i, *ids;

	if (req->nr > 65536)
		return -EINVAL;
	ids = vmemdup_array_user(u64_to_user_ptr(req->ids), req->nr, sizeof(*ids));
	if (IS_ERR(ids))
		return PTR_ERR(ids);
	maps = kvcalloc(req->nr, sizeof(*maps), GFP_KERNEL);
	if (!maps) {
		kvfree(ids);
		return -ENOMEM;
	}
	for (i = 0; i < req->nr; i++)
		maps[i] = vt_take(vt, ids[i]);
	barter_vgpu_unmap_many(maps, req->nr);
	kvfree(maps);
	kvfree(ids);
	return 0;
}

static int vt_look(struct vt_space *vt, struct vt_look *req)
{
	struct vt_entry *e;
	unsigned long run;
	unsigned int nr;
	struct page *page;
	u64 *at, old;
	int ret = -ENOENT;

	mutex_lock(&vt->lock);
	e = xa_load(&vt->maps, req->id);
	if (e && req->index < barter_vgpu_npages(e->map)) {
		ret = 0;
		page = barter_vgpu_page(e->map, req->index, &run);
		if (WARN_ON(page != barter_vgpu_page(e->map, req->index, NULL)))
			ret = -EIO;
		req->out_pfn = page_to_pfn(page);
		req->out_run = run;
		req->out_valid = barter_vgpu_valid(e->map);
		at = kmap_local_page(page);
		old = *at;
		if (req->poke)
			*at = req->value;
		req->value = old;
		kunmap_local(at);
		req->out_address = 0;
		req->out_length = 0;
		if (barter_vgpu_segments(e->map, &nr))
			req->out_address =
				barter_vgpu_address(e->map,
						    req->index << PAGE_SHIFT,
						    &req->out_length);
	}
	mutex_unlock(&vt->lock);
	return ret;
}

static int vt_stat(struct vt_space *vt, struct vt_stat *req)
{
	struct barter_vgpu_stat stat;

	barter_vgpu_stat(vt->space, &stat);
	req->out_pages = stat.pages;
	req->out_maps = stat.maps;
	req->out_batches = stat.batches;
	req->out_pins = stat.pins;
	req->out_pinned = stat.pinned;
	req->out_unpins = stat.unpins;
	req->out_hits = stat.hits;
	req->out_invalidates = stat.invalidates;
	req->out_late = stat.late;
	req->out_owed = READ_ONCE(vt->owed);
	req->out_misused = READ_ONCE(vt->misused);
	return 0;
}

static int vt_copy(struct vt_space *vt, const struct vt_copy *req)
{
	void __user *user = u64_to_user_ptr(req->buffer);
	void *buffer;
	int ret;

	if (req->length > SZ_1M)
		return -EINVAL;
	buffer = kvzalloc(req->length ?: 1, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	if (req->write) {
		ret = copy_from_user(buffer, user, req->length) ? -EFAULT :
			barter_vgpu_write(vt->space, req->iova, buffer, req->length);
	} else {
		ret = barter_vgpu_read(vt->space, req->iova, buffer, req->length);
		if (!ret && copy_to_user(user, buffer, req->length))
			ret = -EFAULT;
	}
	kvfree(buffer);
	return ret;
}

static int vt_setup(struct vt_space *vt, const struct vt_setup *req)
{
	unsigned int i;

	if (req->behaviour > VT_WARNED)
		return -EINVAL;
	mutex_lock(&vt->lock);
	vt->behaviour = req->behaviour;
	vt->delay_ms = req->delay_ms;
	mutex_unlock(&vt->lock);
	mutex_lock(&vt_setup_lock);
	if ((req->bus || req->devfn) && !vt_devices[VT_PCI]) {
		struct pci_dev *pdev = pci_get_domain_bus_and_slot(req->domain,
								   req->bus,
								   req->devfn);

		vt_devices[VT_PCI] = pdev ? &pdev->dev : NULL;
	}
	for (i = VT_PLAIN0; i < VT_DEVICES; i++) {
		if (req->max_segment && vt_devices[i])
			dma_set_max_seg_size(vt_devices[i], req->max_segment);
		if (req->boundary && i <= VT_PLAIN1)
			dma_set_seg_boundary(vt_devices[i], req->boundary);
	}
	mutex_unlock(&vt_setup_lock);
	return 0;
}

/* ---- the file ---- */

union vt_request {
	u32 space;
	struct vt_setup setup;
	struct vt_map map;
	struct vt_id id;
	struct vt_many many;
	struct vt_look look;
	struct vt_stat stat;
	struct vt_copy copy;
	struct vt_mock mock;
	struct vt_time time;
};

static long vt_call(struct file *file, unsigned int cmd, union vt_request *req)
{
	struct vt_space *vt;

	if (cmd == VT_MOCK_CALL)
		return vt_mock_call(&req->mock);
	if (req->space >= VT_SPACES)
		return -EINVAL;
	vt = &vt_spaces[req->space];
	if (!vt->space)
		return -ENODEV;
	switch (cmd) {
	case VT_SETUP:
		return vt_setup(vt, &req->setup);
	case VT_MAP:
		return vt_map(file, vt, &req->map);
	case VT_UNMAP:
		return vt_unmap(vt, req->id.id);
	case VT_UNMAP_MANY:
		return vt_unmap_many(vt, &req->many);
	case VT_LOOK:
		return vt_look(vt, &req->look);
	case VT_STAT:
		return vt_stat(vt, &req->stat);
	case VT_COPY:
		return vt_copy(vt, &req->copy);
	case VT_TIME:
		if (req->time.device >= VT_DEVICES)
			return -EINVAL;
		return vt_time(vt, vt_devices[req->time.device], &req->time);
	case VT_REVOKE:
		if (!req->id.id || req->id.id >= VT_DEVICES || !vt_devices[req->id.id])
			return -EINVAL;
		barter_vgpu_revoke_device(vt->space, vt_devices[req->id.id]);
		return 0;
	default:
		return -ENOTTY;
	}
}

static long vt_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);
	union vt_request req = { };
	long ret;

	if (cmd == VT_LETGO) {
		if (arg >= VT_SPACES)
			return -EINVAL;
		vt_letgo(&vt_spaces[arg]);
		return 0;
	}
	if (_IOC_TYPE(cmd) != VT_IOC || size > sizeof(req))
		return -ENOTTY;
	if (copy_from_user(&req, user, size))
		return -EFAULT;
	ret = vt_call(file, cmd, &req);
	/* What came out is of interest also with an error. */
	if (_IOC_DIR(cmd) & _IOC_READ && copy_to_user(user, &req, size))
		ret = -EFAULT;
	return ret;
}

static int vt_open(struct inode *inode, struct file *file)
{
	int ret = 0;

	mutex_lock(&vt_setup_lock);
	if (!vt_is_set_up) {
		ret = vt_vfio_init();
		vt_is_set_up = !ret;
	}
	mutex_unlock(&vt_setup_lock);
	return ret;
}

static int vt_release(struct inode *inode, struct file *file)
{
	unsigned int i;

	for (i = 0; i < VT_SPACES; i++)
		vt_give_all(&vt_spaces[i], file);
	return 0;
}

static const struct file_operations vt_fops = {
	.owner = THIS_MODULE,
	.open = vt_open,
	.release = vt_release,
	.unlocked_ioctl = vt_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice vt_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter-test-vgpu",
	.fops = &vt_fops,
	.mode = 0600,
};

/* ---- the module ---- */

static struct platform_device *vt_plain(int id, u64 mask)
{
	struct platform_device *pdev =
		platform_device_register_simple("barter-vgpu-dma", id, NULL, 0);

	if (!IS_ERR(pdev))
		dma_coerce_mask_and_coherent(&pdev->dev, mask);
	return pdev;
}

static void vt_free_devices(void)
{
	int i;

	for (i = VT_PLAIN0; i <= VT_NEAR; i++)
		if (vt_devices[i])
			platform_device_unregister(to_platform_device(vt_devices[i]));
	if (vt_devices[VT_PCI])
		pci_dev_put(to_pci_dev(vt_devices[VT_PCI]));
}

static int __init vt_module_init(void)
{
	int i, ret;

	for (i = 0; i < VT_SPACES; i++) {
		mutex_init(&vt_spaces[i].lock);
		xa_init_flags(&vt_spaces[i].maps, XA_FLAGS_ALLOC1);
		hash_init(vt_spaces[i].by_map);
		INIT_DELAYED_WORK(&vt_spaces[i].work, vt_work);
	}
	for (i = VT_PLAIN0; i <= VT_NEAR; i++) {
		struct platform_device *pdev =
			vt_plain(i, i == VT_NEAR ? DMA_BIT_MASK(24) :
						   DMA_BIT_MASK(64));

		ret = PTR_ERR_OR_ZERO(pdev);
		if (ret)
			goto err_devices;
		vt_devices[i] = &pdev->dev;
	}
	ret = misc_register(&vt_misc);
	if (!ret)
		return 0;

err_devices:
	vt_free_devices();
	return ret;
}
module_init(vt_module_init);

static void __exit vt_module_exit(void)
{
	int i;

	misc_deregister(&vt_misc);
	vt_mock_end();
	if (vt_is_set_up)
		vt_vfio_exit();
	vt_free_devices();
	for (i = 0; i < VT_SPACES; i++) {
		cancel_delayed_work_sync(&vt_spaces[i].work);
		xa_destroy(&vt_spaces[i].maps);
	}
}
module_exit(vt_module_exit);

MODULE_DESCRIPTION("A driver of vGPUs for barter's device tests");
MODULE_LICENSE("GPL");
BARTER_IMPORT_NS_BARTER;
