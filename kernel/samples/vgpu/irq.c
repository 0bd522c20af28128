// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's interrupts are eventfds that its user hands in: one MSI vector, and VFIO's
 * request to let the device go.
 */
#include <linux/eventfd.h>
#include <linux/uaccess.h>

#include "vedu.h"

void vedu_irq_init(struct vedu_irq *irq)
{
	spin_lock_init(&irq->lock);
}

/* Is there somebody to tell? */
bool vedu_irq_raise(struct vedu_irq *irq)
{
	bool there;

	spin_lock(&irq->lock);
	there = irq->trigger;
	if (there)
		eventfd_signal(irq->trigger);
	spin_unlock(&irq->lock);
	return there;
}

static void vedu_irq_replace(struct vedu_irq *irq, struct eventfd_ctx *trigger)
{
	struct eventfd_ctx *before;

	spin_lock(&irq->lock);
	before = irq->trigger;
	irq->trigger = trigger;
	spin_unlock(&irq->lock);
	if (before)
		eventfd_ctx_put(before);
}

void vedu_irq_clear(struct vedu_irq *irq)
{
	vedu_irq_replace(irq, NULL);
}

static bool vedu_irq_there(u32 index)
{
	return index == VFIO_PCI_MSI_IRQ_INDEX || index == VFIO_PCI_REQ_IRQ_INDEX;
}

/* VFIO_DEVICE_GET_IRQ_INFO */
int vedu_irq_info(struct vfio_irq_info *info)
{
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->count = vedu_irq_there(info->index);
	info->flags = info->count ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
	return 0;
}

static int vedu_irq_set_eventfd(struct vedu_irq *irq, s32 fd)
{
	struct eventfd_ctx *trigger = NULL;

	if (fd >= 0) {
		trigger = eventfd_ctx_fdget(fd);
		if (IS_ERR(trigger))
			return PTR_ERR(trigger);
	} else if (fd != -1) {
		return -EINVAL;
	}
	vedu_irq_replace(irq, trigger);
	return 0;
}

/* VFIO_DEVICE_SET_IRQS: hand in an eventfd, take it out, or try it. */
int vedu_irq_set(struct vedu *v, unsigned long arg)
{
	size_t minsz = offsetofend(struct vfio_irq_set, count), size;
	void __user *user = (void __user *)arg;
	struct vfio_irq_set set;
	struct vedu_irq *irq;
	s32 fd;
	u8 on;
	int ret;

	if (copy_from_user(&set, user, minsz))
		return -EFAULT;
	if (set.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	ret = vfio_set_irqs_validate_and_prepare(&set, vedu_irq_there(set.index),
						 VFIO_PCI_NUM_IRQS, &size);
	if (ret)
		return ret;
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	irq = set.index == VFIO_PCI_MSI_IRQ_INDEX ? &v->msi : &v->request;

	switch (set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (set.count)
			vedu_irq_raise(irq);
		else
			vedu_irq_clear(irq);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (!set.count)
			return -EINVAL;
		if (copy_from_user(&on, user + minsz, sizeof(on)))
			return -EFAULT;
		if (on)
			vedu_irq_raise(irq);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (!set.count)
			return -EINVAL;
		if (copy_from_user(&fd, user + minsz, sizeof(fd)))
			return -EFAULT;
		return vedu_irq_set_eventfd(irq, fd);
	default:
		return -EINVAL;
	}
}
