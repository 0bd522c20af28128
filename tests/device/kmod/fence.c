// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Fences that are signalled when the test says so, after a while, or when the test's file is
 * closed.
 */
#include "kmod.h"

#include <linux/dma-fence.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define FENCE_MS_MAX 60000

/* @base comes first: dma_fence_free() frees by its address. */
struct test_fence {
	struct dma_fence base;
	spinlock_t lock;
	struct delayed_work late; /* cancelled before the file's reference goes */
};

static struct test_fence *to_test_fence(struct dma_fence *base)
{
	return container_of(base, struct test_fence, base);
}

static const char *fence_name(struct dma_fence *base)
{
	return "barter-test";
}

/*
 * A fence may outlive the file, in a dma_resv or a sync_file, and its ops are
 * in here: each keeps the module.
 */
static void fence_release(struct dma_fence *base)
{
	dma_fence_free(base);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
	.release = fence_release,
};

/* Takes no lock of the file: its owner may wait for whoever waits for the fence. */
static void fence_late(struct work_struct *work)
{
	struct test_fence *fence = container_of(to_delayed_work(work), struct test_fence, late);

	dma_fence_signal(&fence->base);
}

static struct dma_fence *fence_alloc(void)
{
	struct test_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (!fence)
		return NULL;
	__module_get(THIS_MODULE);
	spin_lock_init(&fence->lock);
	INIT_DELAYED_WORK(&fence->late, fence_late);
	dma_fence_init(&fence->base, &fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return &fence->base;
}

int fence_new(struct test_file *file, struct barter_test_fence __user *arg)
{
	struct barter_test_fence req;
	struct dma_fence *fence;
	struct sync_file *sync;
	int ret;

	lockdep_assert_held(&file->lock);

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.signal_ms > FENCE_MS_MAX)
		return -EINVAL;
	req.out_id = 0;
	while (file->fences[req.out_id])
		if (++req.out_id == BARTER_TEST_FENCES)
			return -ENOSPC;

	req.out_fd = get_unused_fd_flags(O_CLOEXEC);
	if (req.out_fd < 0)
		return req.out_fd;
	ret = -ENOMEM;
	fence = fence_alloc();
	if (!fence)
		goto err_put_fd;
	sync = sync_file_create(fence);
	if (!sync)
		goto err_put_fence;
	ret = -EFAULT;
	if (copy_to_user(arg, &req, sizeof(req)))
		goto err_put_sync;

	fd_install(req.out_fd, sync->file);
	file->fences[req.out_id] = fence;
	if (req.signal_ms)
		schedule_delayed_work(&to_test_fence(fence)->late, msecs_to_jiffies(req.signal_ms));
	return 0;

err_put_sync:
	fput(sync->file);
err_put_fence:
	dma_fence_signal(fence);
	dma_fence_put(fence);
err_put_fd:
	put_unused_fd(req.out_fd);
	return ret;
}

int fence_signal(struct test_file *file, u32 id)
{
	struct dma_fence *fence;

	lockdep_assert_held(&file->lock);

	if (id >= BARTER_TEST_FENCES)
		return -ENOENT;
	id = array_index_nospec(id, BARTER_TEST_FENCES);
	fence = file->fences[id];
	if (!fence)
		return -ENOENT;
	file->fences[id] = NULL;
	cancel_delayed_work_sync(&to_test_fence(fence)->late);
	dma_fence_signal(fence);
	dma_fence_put(fence);
	return 0;
}

void fence_signal_all(struct test_file *file)
{
	u32 id;

	for (id = 0; id < BARTER_TEST_FENCES; id++)
		fence_signal(file, id);
}
