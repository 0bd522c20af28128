// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-bounce: bounce buffers for the plain devices of barter-test-vgpu when a test
 * says so. The kernel has to be booted with "swiotlb=force", else there are none.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#define DEVICE "barter-vgpu-dma."

static struct io_tlb_mem *pool;
static int late;

static int map_begins(struct kprobe *probe, struct pt_regs *regs)
{
	struct device *dev = (struct device *)regs_get_kernel_argument(regs, 0);

	if (str_has_prefix(dev_name(dev), DEVICE) && cmpxchg(&late, 1, 2) == 1)
		WRITE_ONCE(pool->force_bounce, true);
	return 0;
}

/* The driver has seen it, and takes it back. */
static int unmap_begins(struct kprobe *probe, struct pt_regs *regs)
{
	struct device *dev = (struct device *)regs_get_kernel_argument(regs, 0);

	if (str_has_prefix(dev_name(dev), DEVICE) && cmpxchg(&late, 2, 3) == 2)
		WRITE_ONCE(pool->force_bounce, false);
	return 0;
}

static struct kprobe probes[2];
static struct kprobe *both[] = { &probes[0], &probes[1] };

static int watch_begin(void)
{
	struct device *dev = bus_find_device_by_name(&platform_bus_type, NULL, DEVICE "1");
	int ret;

	if (!dev)
		return -ENODEV;
	if (is_swiotlb_force_bounce(dev))
		pool = dev->dma_io_tlb_mem;
	put_device(dev);
	if (!pool)
		return -ENXIO;
	/* What the kernel noted of them last time is in the way. */
	probes[0] = (struct kprobe){
		.symbol_name = "dma_map_sgtable",
		.pre_handler = map_begins,
	};
	probes[1] = (struct kprobe){
		.symbol_name = "dma_unmap_sg_attrs",
		.pre_handler = unmap_begins,
	};
	ret = register_kprobes(both, ARRAY_SIZE(both));
	if (ret)
		pool = NULL;
	else
		WRITE_ONCE(pool->force_bounce, false);
	return ret;
}

static void watch_end(void)
{
	if (!pool)
		return;
	unregister_kprobes(both, ARRAY_SIZE(both));
	WRITE_ONCE(pool->force_bounce, true);
	pool = NULL;
}

/* By whoever writes parameters, one at a time: the kernel's lock of this module's. */
static int watch_set(const char *value, const struct kernel_param *kp)
{
	bool on;
	int ret = kstrtobool(value, &on);

	if (ret)
		return ret;
	if (on)
		return pool ? 0 : watch_begin();
	watch_end();
	return 0;
}

static const struct kernel_param_ops watch_ops = {
	.set = watch_set,
};
module_param_cb(watch, &watch_ops, NULL, 0200);
MODULE_PARM_DESC(watch, "1: no device takes them from now on, but as late says; 0: all do");

module_param(late, int, 0644);
MODULE_PARM_DESC(late, "1: the next mapping takes them, after its driver saw that none does");

static int __init bounce_init(void)
{
	return 0;
}

static void __exit bounce_exit(void)
{
	watch_end();
}

module_init(bounce_init);
module_exit(bounce_exit);

MODULE_DESCRIPTION("Bounce buffers when a test says so");
MODULE_LICENSE("GPL");
