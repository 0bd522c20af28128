// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * /dev/barter: for whoever holds a dma-buf fd.
 *
 * One table of ioctls; the dispatcher copies in and out, bodies see kernel
 * memory only. No question waits for a revoke, so that a process can always ask who
 * is in the way of one; a new slice waits for one of the whole device. No physical
 * address is ever shown, but for where in 2 MiB the memory of a buffer begins.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/miscdevice.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "priv.h"

union barter_request {
	struct barter_info info;
	struct barter_route route;
	struct {
		struct barter_slice req;
		struct dma_buf *dmabuf;
	} slice;
	struct {
		struct barter_watch req;
		u64 number;
	} watch;
};

static struct dma_buf *barter_get_dmabuf(s32 fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (IS_ERR(dmabuf))
		return dmabuf;
	if (!barter_buf_from_dmabuf(dmabuf)) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EINVAL);
	}
	return dmabuf;
}

static int barter_info_ranges(const struct barter_info *req,
			      const struct barter_ranges *ranges)
{
	struct barter_range __user *to = u64_to_user_ptr(req->ranges);
	u32 i, nr = min(req->nr_ranges, ranges->nr);

	for (i = 0; i < nr; i++) {
		struct barter_run run = barter_ranges_run(ranges, i);
		struct barter_range range = { run.offset, run.length };

		if (copy_to_user(&to[i], &range, sizeof(range)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* The importers of now, at most @room; the dma_resv is held. */
static u32 barter_info_importers(struct dma_buf *dmabuf,
				 struct barter_importer_info *to, u32 room)
{
	struct dma_buf_attachment *attach;
	u32 nr = 0;

	dma_resv_assert_held(dmabuf->resv);

	list_for_each_entry(attach, &dmabuf->attachments, node) {
		struct barter_attach *ba = attach->priv;

		if (nr == room)
			break;
		barter_attach_name(ba, to[nr].name, sizeof(to[nr].name));
		barter_attach_types(ba, to[nr].types, sizeof(to[nr].types));
		if (ba->chosen)
			strscpy(to[nr].type, ba->chosen->type->name,
				sizeof(to[nr].type));
		to[nr].maps = ba->maps;
		nr++;
	}
	return nr;
}

/* Where in 2 MiB the longest run has its first byte, if the buffer began in there. */
static u32 barter_info_phase(const struct barter_buf *buf)
{
	struct barter_run run = barter_ranges_longest(&buf->ranges);

	return (buf->bar_start + run.offset - run.pos) & (SZ_2M - 1);
}

/* What kind of buffer it is, and of which device. */
static void barter_info_what(struct barter_info *req, struct barter_buf *buf)
{
	bool told = barter_slice_tells_device(buf);
	u64 parent;
	u32 slices;

	req->out_flags = (buf->slice ? BARTER_BUFFER_SLICE : 0) |
			 (buf->read_only ? BARTER_BUFFER_READ_ONLY : 0) |
			 (told ? 0 : BARTER_BUFFER_UNTOLD);
	req->out_bar = told ? buf->bar : U32_MAX;
	req->out_domain = told ? buf->domain : U32_MAX;
	req->out_bus = told ? buf->bus : U8_MAX;
	req->out_devfn = told ? buf->devfn : U8_MAX;
	req->out_id = buf->id;
	barter_tree_ask(buf, &parent, &slices);
	req->out_parent = parent;
	req->out_slices = slices;
}

static int barter_info(struct barter_client *client, union barter_request *u)
{
	struct barter_info *req = &u->info;
	u32 room = min_t(u32, req->nr_importers, BARTER_MAX_INFO_IMPORTERS);
	struct barter_importer_info *importers = NULL;
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	struct barter_buf *buf;
	int ret;

	if (req->flags || req->__reserved || req->__reserved2 ||
	    req->__reserved4)
		return -EINVAL;
	dmabuf = barter_get_dmabuf(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	buf = barter_buf_from_dmabuf(dmabuf);

	ret = barter_info_ranges(req, buf->shown);
	if (ret)
		goto out_put;
	if (room) {
		importers = kvcalloc(room, sizeof(*importers), BARTER_GFP_TABLE);
		ret = importers ? 0 : -ENOMEM;
		if (ret)
			goto out_put;
	}

	req->out_length = buf->ranges.length;
	req->out_nr_ranges = buf->shown->nr;
	barter_info_what(req, buf);
	req->out_mmaps = barter_buf_mmaps(buf);
	req->out_faults_pte = atomic64_read(&buf->faults[0]);
	req->out_faults_pmd = atomic64_read(&buf->faults[1]);
	req->out_faults_pud = atomic64_read(&buf->faults[2]);
	req->out_memattr = barter_buf_memattr(buf);
	req->out_forced = barter_buf_forced(buf);
	barter_buf_name(buf, req->out_name);
	req->out_huge_phase = barter_info_phase(buf);
	req->out_attachments = 0;
	memset(req->out_blocker, 0, sizeof(req->out_blocker));

	if (dma_resv_lock_interruptible(dmabuf->resv, NULL)) {
		ret = -EINTR;
		goto out_put;
	}
	req->out_state = buf->state;
	req->out_reasons = buf->reasons;
	req->out_generation = buf->generation;
	req->out_maps = buf->maps;
	list_for_each_entry(attach, &dmabuf->attachments, node)
		req->out_attachments++;
	if (barter_buf_waited_for(buf))
		barter_buf_blocker(buf, req->out_blocker,
				   sizeof(req->out_blocker));
	req->out_nr_importers = barter_info_importers(dmabuf, importers, room);
	dma_resv_unlock(dmabuf->resv);
	if (req->out_nr_importers &&
	    copy_to_user(u64_to_user_ptr(req->importers), importers,
			 req->out_nr_importers * sizeof(*importers)))
		ret = -EFAULT;
out_put:
	kvfree(importers);
	dma_buf_put(dmabuf);
	return ret;
}

static struct pci_dev *barter_pdev_by_bdf(u32 domain, u8 bus, u8 devfn)
{
	struct pci_dev *pdev;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	pdev = pci_get_domain_bus_and_slot(domain, bus, devfn);
	if (!pdev)
		return ERR_PTR(-ENODEV);
	/* Of what was on the bus a moment ago. */
	pci_dev_get(pci_physfn(pdev));
	return pdev;
}

/* A device fd of a lending driver is known by the address_space it maps. */
static struct pci_dev *barter_pdev_by_fd(s32 fd)
{
	struct pci_dev *pdev = NULL;
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	/* Buffers live in the same address_space, but are no device. */
	if (file_inode(file)->i_sb->s_magic != DMA_BUF_MAGIC)
		pdev = barter_exporter_find_pdev(file->f_mapping);
	fput(file);
	return pdev ? pdev : ERR_PTR(-EINVAL);
}

static struct pci_dev *barter_route_importer(const struct barter_route *req)
{
	if (!(req->flags & BARTER_ROUTE_F_DEVICE_FD))
		return barter_pdev_by_bdf(req->domain, req->bus, req->devfn);
	if (req->domain || req->bus || req->devfn)
		return ERR_PTR(-EINVAL);
	return barter_pdev_by_fd(req->device_fd);
}

/*
 * The lending device; its BAR is -1 if no buffer names one. @told: may the caller
 * read which device it is?
 */
static struct pci_dev *barter_route_provider(const struct barter_route *req,
					     int *bar, bool *told)
{
	struct dma_buf *dmabuf;
	struct barter_buf *buf;
	struct pci_dev *pdev;

	*bar = -1;
	*told = true;
	if (req->flags & BARTER_ROUTE_F_EXPORTER_BDF) {
		if (req->dmabuf_fd != -1)
			return ERR_PTR(-EINVAL);
		return barter_pdev_by_bdf(req->exporter_domain,
					  req->exporter_bus,
					  req->exporter_devfn);
	}
	if (req->exporter_domain || req->exporter_bus || req->exporter_devfn)
		return ERR_PTR(-EINVAL);

	dmabuf = barter_get_dmabuf(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	buf = barter_buf_from_dmabuf(dmabuf);
	*bar = buf->bar;
	*told = barter_slice_tells_device(buf) || capable(CAP_SYS_ADMIN);
	/* Dead or not is no question here; a device that left the bus is. */
	pdev = device_is_registered(&buf->pdev->dev) ? barter_pdev_get(buf->pdev) :
						       ERR_PTR(-ENODEV);
	dma_buf_put(dmabuf);
	return pdev;
}

static int barter_route(struct barter_client *client, union barter_request *u)
{
	struct barter_route *req = &u->route;
	struct barter_route_answer answer;
	struct pci_dev *provider, *importer;
	bool told;
	int bar;

	if (req->flags & ~(BARTER_ROUTE_F_DEVICE_FD |
			   BARTER_ROUTE_F_EXPORTER_BDF) ||
	    req->__reserved || req->__reserved2)
		return -EINVAL;

	provider = barter_route_provider(req, &bar, &told);
	if (IS_ERR(provider))
		return PTR_ERR(provider);
	importer = barter_route_importer(req);
	if (IS_ERR(importer)) {
		barter_pdev_put(provider);
		return PTR_ERR(importer);
	}

	barter_route_find(provider, bar, &importer->dev, &answer);
	req->out_route = answer.route;
	req->out_reason = answer.why;
	strscpy_pad(req->out_text, told ? answer.text : "",
		    sizeof(req->out_text));

	barter_pdev_put(importer);
	barter_pdev_put(provider);
	return 0;
}

static int barter_slice(struct barter_client *client, union barter_request *u)
{
	struct barter_slice *req = &u->slice.req;
	struct dma_buf *dmabuf;
	int fd, ret;

	dmabuf = barter_get_dmabuf(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = get_unused_fd_flags(req->open_flags & O_CLOEXEC);
	ret = fd;
	if (fd >= 0) {
		ret = barter_slice_make(req, barter_buf_from_dmabuf(dmabuf),
					&u->slice.dmabuf);
		if (ret)
			put_unused_fd(fd);
		else
			req->out_fd = fd;
	}
	dma_buf_put(dmabuf);
	return ret;
}

/* The caller has the number of the fd, or could not be given it. */
static void barter_slice_end(struct barter_client *client,
			     union barter_request *u, int error)
{
	struct dma_buf *dmabuf = u->slice.dmabuf;

	if (error) {
		put_unused_fd(u->slice.req.out_fd);
		dma_buf_put(dmabuf);
		return;
	}
	/* From here on another thread may close it: hands off. */
	fd_install(u->slice.req.out_fd, dmabuf->file);
}

static int barter_watch(struct barter_client *client, union barter_request *u)
{
	struct barter_watch *req = &u->watch.req;
	struct eventfd_ctx *eventfd;
	struct dma_buf *dmabuf;
	struct barter_buf *buf;
	int ret;

	if (req->flags & ~BARTER_WATCH_REMOVE)
		return -EINVAL;
	dmabuf = barter_get_dmabuf(req->dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	buf = barter_buf_from_dmabuf(dmabuf);
	eventfd = eventfd_ctx_fdget(req->eventfd);
	if (IS_ERR(eventfd)) {
		ret = PTR_ERR(eventfd);
		goto out_put_dmabuf;
	}

	if (req->flags & BARTER_WATCH_REMOVE) {
		ret = barter_watch_remove(client, buf, eventfd, req);
		eventfd_ctx_put(eventfd);
	} else {
		ret = barter_watch_add(client, buf, eventfd, req,
				       &u->watch.number);
		if (ret)
			eventfd_ctx_put(eventfd);
	}
out_put_dmabuf:
	dma_buf_put(dmabuf);
	return ret;
}

/* The caller does not know of what was begun: end it. */
static void barter_watch_end(struct barter_client *client,
			     union barter_request *u, int error)
{
	if (error && !(u->watch.req.flags & BARTER_WATCH_REMOVE))
		barter_watch_undo(client, u->watch.number);
}

struct barter_ioctl {
	unsigned int cmd;
	size_t size;		/* of the structure now */
	size_t min_size;	/* of its first release */
	int (*run)(struct barter_client *client, union barter_request *u);
	/* After a run that succeeded; @error: the answer did not get out. */
	void (*end)(struct barter_client *client, union barter_request *u,
		    int error);
};

static const struct barter_ioctl barter_ioctls[] = {
	{
		.cmd = BARTER_IOC_INFO,
		.size = sizeof(struct barter_info),
		.min_size = offsetofend(struct barter_info, out_blocker),
		.run = barter_info,
	},
	{
		.cmd = BARTER_IOC_ROUTE,
		.size = sizeof(struct barter_route),
		.min_size = offsetofend(struct barter_route, out_text),
		.run = barter_route,
	},
	{
		.cmd = BARTER_IOC_SLICE,
		.size = sizeof(struct barter_slice),
		.min_size = offsetofend(struct barter_slice, __reserved2),
		.run = barter_slice,
		.end = barter_slice_end,
	},
	{
		.cmd = BARTER_IOC_WATCH,
		.size = sizeof(struct barter_watch),
		.min_size = offsetofend(struct barter_watch, out_reasons),
		.run = barter_watch,
		.end = barter_watch_end,
	},
};

static long barter_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *to = (void __user *)arg;
	const struct barter_ioctl *op = NULL;
	union barter_request u = {};
	unsigned int i;
	u32 size;
	int ret;

	for (i = 0; i < ARRAY_SIZE(barter_ioctls); i++)
		if (barter_ioctls[i].cmd == cmd)
			op = &barter_ioctls[i];
	if (!op)
		return -ENOTTY;

	if (get_user(size, (u32 __user *)to))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	/* How much has to be looked through for a non-zero byte is our choice. */
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&u, op->size, to, size);
	if (ret)
		return ret;
	ret = op->run(file->private_data, &u);
	if (ret)
		return ret;
	if (copy_to_user(to, &u, min_t(size_t, size, op->size)))
		ret = -EFAULT;
	if (op->end)
		op->end(file->private_data, &u, ret);
	return ret;
}

static int barter_open(struct inode *inode, struct file *file)
{
	struct barter_client *client;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return -ENOMEM;
	INIT_LIST_HEAD(&client->watchers);
	file->private_data = client;
	return 0;
}

static int barter_close(struct inode *inode, struct file *file)
{
	struct barter_client *client = file->private_data;

	barter_watch_client_release(client);
	kfree(client);
	return 0;
}

static const struct file_operations barter_fops = {
	.owner = THIS_MODULE,
	.open = barter_open,
	.release = barter_close,
	.unlocked_ioctl = barter_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice barter_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "barter",
	.fops = &barter_fops,
	.mode = 0666,
};

/**
 * barter_chardev_init - make /dev/barter
 *
 * Return: 0 or the errno of misc_register().
 */
int barter_chardev_init(void)
{
	return misc_register(&barter_misc);
}

/**
 * barter_chardev_exit - remove /dev/barter
 */
void barter_chardev_exit(void)
{
	misc_deregister(&barter_misc);
}
