// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Opening, closing and resets take turns.
 *
 * Core saves and restores the device's configuration when it is opened and closed, and the
 * PCI core does so for each reset, in one and the same place of struct pci_dev, under no
 * common lock. Whoever comes in between has the other one save, or restore, a device that
 * is just being reset: its BARs are lost. So either there are resets, or there is a mover.
 */
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "barter_vfio.h"

/* Nobody should have to wait that long; who does goes on, as with stock vfio-pci. */
#define BARTER_TURN_TIMEOUT (60 * HZ)

/**
 * barter_vfio_open_begin - the device is about to be opened
 * @bv: the device, in a set whose lock the caller holds
 *
 * Who would reset it from here on waits for barter_vfio_move_end().
 *
 * Return: 0, or -EAGAIN if somebody does now, as core says if it cannot lock the device.
 */
int barter_vfio_open_begin(struct barter_vfio *bv)
{
	int ret = -EAGAIN;

	spin_lock_irq(&bv->turn_lock);
	if (!atomic_read(&bv->resets)) {
		bv->mover = current;
		ret = 0;
	}
	spin_unlock_irq(&bv->turn_lock);
	return ret;
}

/**
 * barter_vfio_close_begin - the device is about to be closed
 * @bv: the device, in a set whose lock the caller holds; without buffers that live
 *
 * A close cannot fail: it waits for a reset to end. But a reset of several devices may
 * itself wait for an importer of another one, which the closer may be about to end; so not
 * without end. Who would reset it from here on waits for barter_vfio_move_end().
 */
void barter_vfio_close_begin(struct barter_vfio *bv)
{
	long left;

	spin_lock_irq(&bv->turn_lock);
	left = wait_event_lock_irq_timeout(bv->turns, !atomic_read(&bv->resets), bv->turn_lock,
					   BARTER_TURN_TIMEOUT);
	bv->mover = current;
	spin_unlock_irq(&bv->turn_lock);
	if (!left)
		pci_warn(bv->core.pdev, "is closed in the middle of a reset that does not end\n");
}

/**
 * barter_vfio_move_end - it is open, or closed
 * @bv: the device
 */
void barter_vfio_move_end(struct barter_vfio *bv)
{
	spin_lock_irq(&bv->turn_lock);
	bv->mover = NULL;
	spin_unlock_irq(&bv->turn_lock);
	wake_up_all(&bv->turns);
}

/**
 * barter_vfio_reset_begin - the device is about to be reset
 * @bv: the device, locked by the caller, with or without memory_lock
 *
 * Counted first: nobody begins to move any more. Opening and closing reset the device too,
 * and try only to lock it for that, so they do not wait for whoever waits here.
 */
void barter_vfio_reset_begin(struct barter_vfio *bv)
{
	long left;

	spin_lock_irq(&bv->turn_lock);
	atomic_inc(&bv->resets);
	left = wait_event_lock_irq_timeout(bv->turns, !bv->mover || bv->mover == current,
					   bv->turn_lock, BARTER_TURN_TIMEOUT);
	spin_unlock_irq(&bv->turn_lock);
	if (!left)
		pci_warn(bv->core.pdev,
			 "is reset while it is opened or closed, which does not end\n");
}

/**
 * barter_vfio_reset_end - it was reset
 * @bv: the device
 */
void barter_vfio_reset_end(struct barter_vfio *bv)
{
	if (atomic_dec_and_test(&bv->resets))
		wake_up_all(&bv->turns);
}
