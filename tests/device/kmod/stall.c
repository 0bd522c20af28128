// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-stall: holds whoever comes first to a function, for a while, so that a race
 * is won by who usually loses it. The parameter at is the function's name, and begins it;
 * an empty one ends it. With after it is whoever comes back from the function first, with
 * 0. Both CPUs are needed: preemption is off meanwhile.
 */
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

static unsigned int ms = 10000;
module_param(ms, uint, 0644);
MODULE_PARM_DESC(ms, "How long at most, up to 10000 ms (default)");

static bool go;
module_param(go, bool, 0644);
MODULE_PARM_DESC(go, "Whoever is held may go on");

static int held;
module_param(held, int, 0444);
MODULE_PARM_DESC(held, "0: nobody has come; 1: is being held; 2: has gone on");

static int task;
module_param(task, int, 0644);
MODULE_PARM_DESC(task, "Only this task is held (default 0: any)");

static void stall(void)
{
	unsigned int i, most = min(READ_ONCE(ms), 10000U);
	int only = READ_ONCE(task);

	if ((only && only != current->pid) || cmpxchg(&held, 0, 1))
		return;
	for (i = 0; i < most && !READ_ONCE(go); i++)
		mdelay(1);
	WRITE_ONCE(held, 2);
}

static int stall_before(struct kprobe *probe, struct pt_regs *regs)
{
	stall();
	return 0;
}

static int stall_after(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	if (!(int)regs_return_value(regs))
		stall();
	return 0;
}

/* By whoever writes parameters, one at a time: the kernel's lock of this module's. */
static char name[KSYM_NAME_LEN];
static struct kprobe probe;
static struct kretprobe probe_after;

static void end(void)
{
	if (probe.pre_handler)
		unregister_kprobe(&probe);
	if (probe_after.handler)
		unregister_kretprobe(&probe_after);
	memset(&probe, 0, sizeof(probe));
	memset(&probe_after, 0, sizeof(probe_after));
}

static bool begin(const char *value)
{
	end();
	strscpy(name, value);
	strim(name);
	WRITE_ONCE(held, 0);
	WRITE_ONCE(go, false);
	return name[0];
}

static int at_set(const char *value, const struct kernel_param *kp)
{
	int ret;

	if (!begin(value))
		return 0;
	probe.symbol_name = name;
	probe.pre_handler = stall_before;
	ret = register_kprobe(&probe);
	if (ret)
		memset(&probe, 0, sizeof(probe));
	return ret;
}

static const struct kernel_param_ops at_ops = {
	.set = at_set,
};
module_param_cb(at, &at_ops, NULL, 0200);
MODULE_PARM_DESC(at, "Name of the function, of the kernel or a module; empty: none");

static int after_set(const char *value, const struct kernel_param *kp)
{
	int ret;

	if (!begin(value))
		return 0;
	probe_after.kp.symbol_name = name;
	probe_after.handler = stall_after;
	ret = register_kretprobe(&probe_after);
	if (ret)
		memset(&probe_after, 0, sizeof(probe_after));
	return ret;
}

static const struct kernel_param_ops after_ops = {
	.set = after_set,
};
module_param_cb(after, &after_ops, NULL, 0200);
MODULE_PARM_DESC(after, "Likewise, but on the way back from it with 0");

static int __init stall_init(void)
{
	return 0;
}

static void __exit stall_exit(void)
{
	end();
}

module_init(stall_init);
module_exit(stall_exit);

MODULE_DESCRIPTION("Holds whoever comes first to a function (for tests)");
MODULE_LICENSE("GPL");
