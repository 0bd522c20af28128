// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * /sys/kernel/debug/barter-vgpu/spaces: every space and its first maps, for people
 * and for tests. Works while a guest's unmap waits.
 */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/seq_file.h>

#include "priv.h"

/* A million maps would be no help to anybody. */
#define VGPU_SHOWN	16

static LIST_HEAD(vgpu_spaces);
static DEFINE_MUTEX(vgpu_spaces_lock);
static struct dentry *vgpu_debugfs_dir;

/**
 * vgpu_debugfs_add - a new space
 * @space: the space
 */
void vgpu_debugfs_add(struct barter_vgpu_space *space)
{
	mutex_lock(&vgpu_spaces_lock);
	list_add_tail(&space->node, &vgpu_spaces);
	mutex_unlock(&vgpu_spaces_lock);
}

/**
 * vgpu_debugfs_remove - one goes
 * @space: the space
 */
void vgpu_debugfs_remove(struct barter_vgpu_space *space)
{
	mutex_lock(&vgpu_spaces_lock);
	list_del(&space->node);
	mutex_unlock(&vgpu_spaces_lock);
}

static void vgpu_show_maps(struct seq_file *m, struct barter_vgpu_space *space)
{
	static const char * const states[] = {
		[VGPU_BUILDING] = "building",
		[VGPU_LIVE] = "live",
		[VGPU_REVOKED] = "revoked",
		[VGPU_DEAD] = "dead",
	};
	struct barter_vgpu_map *map;
	unsigned int shown = 0;

	list_for_each_entry(map, &space->maps, node) {
		if (shown++ == VGPU_SHOWN) {
			seq_puts(m, "  ...\n");
			break;
		}
		seq_printf(m, "  map 0x%llx pages %lu %s %s device %s segments %u refs %u\n",
			   map->iova, map->npages,
			   map->prot & BARTER_VGPU_WRITE ? "rw" : "ro",
			   states[map->state],
			   map->dma_dev ? dev_name(map->dma_dev) : "none",
			   map->nr_segments, map->refs);
	}
}

static int vgpu_spaces_show(struct seq_file *m, void *unused)
{
	struct barter_vgpu_space *space;

	mutex_lock(&vgpu_spaces_lock);
	list_for_each_entry(space, &vgpu_spaces, node) {
		const struct barter_vgpu_stat *stat = &space->stat;

		mutex_lock(&space->lock);
		seq_printf(m, "space %s backend %s %s\n", space->name,
			   space->config.backend->name,
			   space->open ? "open" : "closed");
		seq_printf(m, "  pages %lu of %lu maps %lu of %lu batches %lu\n",
			   stat->pages, space->config.max_pages, stat->maps,
			   space->config.max_maps, stat->batches);
		seq_printf(m, "  pins %llu pinned %llu unpins %llu hits %llu invalidates %llu late %llu\n",
			   stat->pins, stat->pinned, stat->unpins, stat->hits,
			   stat->invalidates, stat->late);
		vgpu_show_maps(m, space);
		mutex_unlock(&space->lock);
	}
	mutex_unlock(&vgpu_spaces_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vgpu_spaces);

/**
 * vgpu_debugfs_init - make the file; a kernel without debugfs goes on without
 */
void vgpu_debugfs_init(void)
{
	vgpu_debugfs_dir = debugfs_create_dir("barter-vgpu", NULL);
	debugfs_create_file("spaces", 0400, vgpu_debugfs_dir, NULL,
			    &vgpu_spaces_fops);
}

/**
 * vgpu_debugfs_exit - remove it
 */
void vgpu_debugfs_exit(void)
{
	debugfs_remove(vgpu_debugfs_dir);
}
