// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-stall: holds whoever comes first to a function, for a while, so that a race
 * is won by who usually loses it. The parameter at is the function's name, and begins it;
 * an empty one ends it. Both CPUs are needed: preemption is off meanwhile.
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

static int stall(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned int i, most = min(READ_ONCE(ms), 10000U);

	if (cmpxchg(&held, 0, 1))
		return 0;
	for (i = 0; i < most && !READ_ONCE(go); i++)
		mdelay(1);
	WRITE_ONCE(held, 2);
	return 0;
}

/* By whoever writes parameters, one at a time: the kernel's lock of this module's. */
static char name[KSYM_NAME_LEN];
static struct kprobe probe;

static void end(void)
{
	if (probe.pre_handler)
		unregister_kprobe(&probe);
	memset(&probe, 0, sizeof(probe));
}

static int at_set(const char *value, const struct kernel_param *kp)
{
	int ret;

	end();
	strscpy(name, value);
	strim(name);
	if (!name[0])
		return 0;
	WRITE_ONCE(held, 0);
	WRITE_ONCE(go, false);
	probe.symbol_name = name;
	probe.pre_handler = stall;
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
