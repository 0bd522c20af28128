// SPDX-License-Identifier: GPL-2.0-only
/*
 * badmod: a module that misbehaves on request (badmod.how=...), so that the bed's
 * own tests can see each kind of misbehaviour caught.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

static char *how = "";
module_param(how, charp, 0444);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void invert_locks(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/*
 * A CPU that does nothing else for 15 s. It stalls something only if a grace
 * period waits for it: where the machine is idle, none may begin in that time.
 */
static void stall(void)
{
	preempt_disable();
	start_poll_synchronize_rcu();
	mdelay(15000);
	preempt_enable();
}

static int racy;

/* Two threads that write the same variable, for 3 s. */
static int racer(void *unused)
{
	unsigned long end = jiffies + 3 * HZ;

	while (time_before(jiffies, end)) {
		for (int i = 0; i < 1000; i++)
			racy += i;
		cond_resched();
	}
	return 0;
}

static void race(void)
{
	struct task_struct *other = kthread_run(racer, NULL, "badmod-racer");

	if (IS_ERR(other))
		return;
	get_task_struct(other);
	racer(NULL);
	kthread_stop(other);
	put_task_struct(other);
}

static int __init badmod_init(void)
{
	u8 *memory = kmalloc(777, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(memory);
	if (!strcmp(how, "leak"))
		return 0;
	kfree(memory);
	if (!strcmp(how, "use-after-free"))
		pr_info("badmod: read %u\n", READ_ONCE(memory[5]));
	WARN_ON(!strcmp(how, "warn"));
	if (!strcmp(how, "locks"))
		invert_locks();
	if (!strcmp(how, "race"))
		race();
	if (!strcmp(how, "stall"))
		stall();
	if (!strcmp(how, "reference"))
		__module_get(THIS_MODULE);
	return 0;
}

static void __exit badmod_exit(void)
{
}

module_init(badmod_init);
module_exit(badmod_exit);
MODULE_DESCRIPTION("Misbehaves on request, to test the test bed");
MODULE_LICENSE("GPL");
