// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-vgpu.ko: guest memory for drivers of mediated devices; the API is
 * include/linux/barter_vgpu.h. A table of contents:
 *
 *	space.c		what one vfio_device sees of its guest
 *	map.c		what a driver holds: found, built, undone
 *	pin.c		batches of pinned pages, shared by maps
 *	pages.c		which pages a map has
 *	dma.c		its mapping for a device
 *	invalidate.c	taking memory back
 *	round.c		which unmaps are under way, and how often VFIO has asked
 *	vfio.c		the backend for VFIO; another hypervisor's would be such a file
 *	debugfs.c	every space, for people
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "priv.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init vgpu_init(void)
{
	int ret = vgpu_pin_init();

	if (ret)
		return ret;
	vgpu_watchdogs = alloc_workqueue("barter-vgpu-watchdog", WQ_UNBOUND, 0);
	if (!vgpu_watchdogs) {
		vgpu_pin_exit();
		return -ENOMEM;
	}
	vgpu_debugfs_init();
	return 0;
}
module_init(vgpu_init);

static void __exit vgpu_exit(void)
{
	vgpu_debugfs_exit();
	/*
	 * Who has put a reference in vgpu_round_end() may still be about to leave it. On
	 * kernels that are preempted this waits until each task has slept or been in user
	 * space, where nobody is in here any more. Kernels that are not have no TASKS_RCU, and
	 * a plain grace period is as good: there a task that has not left is still on its
	 * CPU. (So it is on one that is, and has nothing that needs TASKS_RCU; but for a task
	 * that was preempted in its last few instructions here.)
	 */
	synchronize_rcu_tasks();
	destroy_workqueue(vgpu_watchdogs);
	vgpu_pin_exit();
}
module_exit(vgpu_exit);

MODULE_DESCRIPTION("Pins guest memory and maps it for the device behind a mediated device");
MODULE_AUTHOR("the barter developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(BARTER_VERSION);
