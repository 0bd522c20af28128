// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A space's own life, and copies to and from guest memory.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "priv.h"

/* Bytes that are copied between looks for a signal: VFIO's lock is held as long. */
#define VGPU_COPY	SZ_64K

/* Calls of the backend that wait for its lock side by side, see invalidate.c. */
#define VGPU_UNPINNERS	256

int barter_vgpu_create(const struct barter_vgpu_config *config,
		       struct barter_vgpu_space **out)
{
	struct barter_vgpu_space *space;

	if (!config->name || !config->ops || !config->ops->invalidate ||
	    !config->backend || !config->backend->pin ||
	    !config->backend->unpin ||
	    config->max_pages > BARTER_VGPU_MOST_PAGES ||
	    config->max_maps > BARTER_VGPU_MOST_MAPS)
		return -EINVAL;
	space = kvzalloc(sizeof(*space), VGPU_GFP);
	if (!space)
		return -ENOMEM;
	space->name = kstrdup(config->name, VGPU_GFP);
	if (!space->name) {
		kvfree(space);
		return -ENOMEM;
	}
	space->wq = alloc_workqueue("barter-vgpu", WQ_UNBOUND, VGPU_UNPINNERS);
	if (!space->wq) {
		kfree(space->name);
		kvfree(space);
		return -ENOMEM;
	}
	space->config = *config;
	space->config.name = space->name;
	space->config.max_pages = config->max_pages ?: BARTER_VGPU_DEFAULT_PAGES;
	space->config.max_maps = config->max_maps ?: BARTER_VGPU_DEFAULT_MAPS;
	mutex_init(&space->map_lock);
	mutex_init(&space->lock);
	space->keys = RB_ROOT;
	space->live[0] = RB_ROOT_CACHED;
	space->live[1] = RB_ROOT_CACHED;
	space->leaving = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&space->maps);
	INIT_LIST_HEAD(&space->invals);
	init_waitqueue_head(&space->wait);
	INIT_LIST_HEAD(&space->told);
	vgpu_debugfs_add(space);
	*out = space;
	return 0;
}
BARTER_EXPORT(barter_vgpu_create);

void barter_vgpu_destroy(struct barter_vgpu_space *space)
{
	if (!space)
		return;
	if (WARN_ON(space->open || space->stat.maps))
		barter_vgpu_close(space);
	vgpu_debugfs_remove(space);
	vgpu_rounds_forget(space);
	/* Who has unpinned may still be on the way out. */
	destroy_workqueue(space->wq);
	mutex_destroy(&space->lock);
	mutex_destroy(&space->map_lock);
	kfree(space->name);
	kvfree(space);
}
BARTER_EXPORT(barter_vgpu_destroy);

void barter_vgpu_open(struct barter_vgpu_space *space)
{
	vgpu_rounds_open(space);
	mutex_lock(&space->lock);
	space->open = true;
	mutex_unlock(&space->lock);
}
BARTER_EXPORT(barter_vgpu_open);

void barter_vgpu_close(struct barter_vgpu_space *space)
{
	bool wrong;

	mutex_lock(&space->lock);
	wrong = vgpu_may_not_call(space);
	if (!wrong)
		space->open = false;
	mutex_unlock(&space->lock);
	if (WARN_ON_ONCE(wrong))
		return;
	vgpu_take_all(space);
	vgpu_wait_idle(space);
	vgpu_rounds_close(space);
}
BARTER_EXPORT(barter_vgpu_close);

/* Let a copy begin: from here to the end the space is not closed. */
static int vgpu_copy_begin(struct barter_vgpu_space *space)
{
	int ret = 0;

	mutex_lock(&space->lock);
	if (vgpu_may_not_call(space))
		ret = -EDEADLK;
	else if (!space->open)
		ret = -ENODEV;
	if (!ret) {
		space->copies++;
		space->in_backend++;
	}
	mutex_unlock(&space->lock);
	return ret;
}

static void vgpu_copy_end(struct barter_vgpu_space *space)
{
	mutex_lock(&space->lock);
	space->copies--;
	space->in_backend--;
	vgpu_event(space);
	mutex_unlock(&space->lock);
}

/* The backend, once more while it may take for a device's memory what the guest unmaps. */
static int vgpu_copy_part(struct barter_vgpu_space *space, u64 iova, void *buffer,
			  size_t length, bool write)
{
	const struct barter_vgpu_config *config = &space->config;
	unsigned int tries = 0;
	int ret, again;

	do {
		ret = vgpu_answer(config->backend->rw(config->data, iova, buffer, length, write));
		/* Memory of a device, too, see vgpu_batch_pin(). */
		if (ret == -EREMOTEIO)
			return -EREMOTE;
		if (ret != -EREMOTE || vgpu_asks_again(space))
			return ret;
		if (vgpu_round_meets(space, iova, iova + length - 1))
			return -EAGAIN;
		again = vgpu_doubt(space, &tries);
	} while (again > 0);
	return again ? again : ret;
}

static int vgpu_copy(struct barter_vgpu_space *space, u64 iova, void *buffer,
		     size_t length, bool write)
{
	int ret;

	if (!space->config.backend->rw)
		return -EOPNOTSUPP;
	if (!length)
		return 0;
	if (length - 1 > U64_MAX - iova)
		return -EOVERFLOW;
	ret = vgpu_copy_begin(space);
	if (ret)
		return ret;
	while (length) {
		size_t part = min_t(size_t, length, VGPU_COPY);

		ret = vgpu_copy_part(space, iova, buffer, part, write);
		if (ret)
			break;
		iova += part;
		buffer += part;
		length -= part;
		ret = -EINTR;
		if (length && fatal_signal_pending(current))
			break;
		ret = 0;
		cond_resched();
	}
	vgpu_copy_end(space);
	return ret;
}

int barter_vgpu_read(struct barter_vgpu_space *space, u64 iova, void *buffer,
		     size_t length)
{
	return vgpu_copy(space, iova, buffer, length, false);
}
BARTER_EXPORT(barter_vgpu_read);

int barter_vgpu_write(struct barter_vgpu_space *space, u64 iova,
		      const void *buffer, size_t length)
{
	return vgpu_copy(space, iova, (void *)buffer, length, true);
}
BARTER_EXPORT(barter_vgpu_write);

void barter_vgpu_stat(struct barter_vgpu_space *space,
		      struct barter_vgpu_stat *stat)
{
	mutex_lock(&space->lock);
	*stat = space->stat;
	mutex_unlock(&space->lock);
}
BARTER_EXPORT(barter_vgpu_stat);
