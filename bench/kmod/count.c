// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Counts what the calling task does: allocations, by the kernel's own tracepoints
 * (some kernels pass two for one large allocation), and commands to the Intel IOMMU, each of which the CPU waits for.
 * Counting costs time, so nothing is timed meanwhile.
 */
#include "bench.h"

#include <linux/kprobes.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

static struct task_struct *count_task;
static const void *last_object;
static u64 count;

static unsigned long (*lookup)(const char *name);
static struct tracepoint *slab[2];

/* The arguments that follow are of no interest; these are the same in both. */
static void count_object(void *data, unsigned long caller, const void *object)
{
	if (current == READ_ONCE(count_task) && object != last_object) {
		last_object = object;
		count++;
	}
}

static int count_command(struct kprobe *probe, struct pt_regs *regs)
{
	if (current == READ_ONCE(count_task))
		count++;
	return 0;
}

static struct kprobe iommu_probe = {
	.symbol_name = "qi_submit_sync",
	.pre_handler = count_command,
};

static void find_slab(struct tracepoint *tp, void *data)
{
	if (!strcmp(tp->name, "kmalloc"))
		slab[0] = tp;
	else if (!strcmp(tp->name, "kmem_cache_alloc"))
		slab[1] = tp;
}

/* Any function of the kernel or a module, by name. */
void *count_symbol(const char *name)
{
	return (void *)lookup(name);
}

int count_begin(unsigned int what)
{
	int ret;

	count = 0;
	last_object = NULL;
	if (what == COUNT_IOMMU) {
		iommu_probe.addr = NULL;
		iommu_probe.flags = 0;
		ret = register_kprobe(&iommu_probe);
	} else {
		ret = tracepoint_probe_register(slab[0], count_object, NULL);
		if (!ret) {
			ret = tracepoint_probe_register(slab[1], count_object,
							NULL);
			if (ret)
				tracepoint_probe_unregister(slab[0], count_object,
							    NULL);
		}
	}
	if (!ret)
		WRITE_ONCE(count_task, current);
	return ret;
}

/* Since the last time. */
u64 count_read(void)
{
	u64 now = count;

	count = 0;
	last_object = NULL;
	return now;
}

void count_end(unsigned int what)
{
	WRITE_ONCE(count_task, NULL);
	if (what == COUNT_IOMMU) {
		unregister_kprobe(&iommu_probe);
		return;
	}
	tracepoint_probe_unregister(slab[0], count_object, NULL);
	tracepoint_probe_unregister(slab[1], count_object, NULL);
	tracepoint_synchronize_unregister();
}

int count_init(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	int ret;

	ret = register_kprobe(&probe);
	if (ret)
		return ret;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	for_each_kernel_tracepoint(find_slab, NULL);
	return slab[0] && slab[1] ? 0 : -ENOENT;
}
