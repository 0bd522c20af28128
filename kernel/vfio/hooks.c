// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Where the device's memory goes away and comes back.
 *
 * What a user's system call is about to do is seen before vfio-pci-core takes
 * its locks: buffers are revoked here, killably, and the operation is begun only
 * when nobody holds the memory any more. What comes from elsewhere (sysfs, a
 * sibling's hot reset; AER, in errors.c) is seen in the PCI error handlers, where
 * waiting cannot be ended by a signal.
 *
 * reset_prepare may run with memory_lock held for write by its own task, so
 * nothing that it reaches takes memory_lock.
 */
#include <linux/debugfs.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "barter_vfio.h"

atomic_t barter_vfio_config_races = ATOMIC_INIT(0);

/**
 * barter_vfio_memory_on - may the device's memory be touched
 * @bv: the device, open
 *
 * vfio-pci-core decides by the same facts. Without memory_lock a reader can meet
 * core between the two steps of a COMMAND write and see memory off for an
 * instant; the writer's own update mends that.
 *
 * Return: whether it is on, by the COMMAND register and the power state.
 */
bool barter_vfio_memory_on(const struct barter_vfio *bv)
{
	const struct vfio_pci_core_device *core = &bv->core;
	const __le16 *config = (__le16 *)&core->vconfig[PCI_COMMAND];
	/* Core writes it plainly, under memory_lock. */
	u16 command = le16_to_cpu(data_race(READ_ONCE(*config)));
	/* So does the PCI core, under no lock of ours. */
	int power = (__force int)data_race(READ_ONCE(core->pdev->current_state));

	if (power >= (__force int)PCI_D3hot)
		return false;
	/* It is as the device was found, but shares a byte with bits that change. */
	return data_race(!!core->pdev->no_command_memory) ||
	       command & PCI_COMMAND_MEMORY;
}

/* Only this gives and takes the two reasons, under state_lock. */
static void barter_vfio_level(struct barter_vfio *bv, u32 reason, bool on,
			      unsigned int flags)
{
	u32 reasons = barter_exporter_reasons(bv->exp);

	if (!on) {
		if (reasons & reason)
			barter_exporter_restore(bv->exp, reason);
	} else if (!(reasons & reason) || reasons & BARTER_REASON_INTERRUPTED) {
		barter_exporter_revoke(bv->exp, reason,
				       flags | BARTER_REVOKE_FACT);
	}
}

/**
 * barter_vfio_update - bring MEMORY and LOW_POWER in line with the device
 * @bv: the device
 * @flags: BARTER_REVOKE_KILLABLE where a user's system call asks
 *
 * Called after everything that may have changed them. Whoever takes memory away
 * keeps another reason in force until this is done, so there is nothing to wait
 * for here, except after a lost race (barter_vfio_write()).
 */
void barter_vfio_update(struct barter_vfio *bv, unsigned int flags)
{
	mutex_lock(&bv->state_lock);
	if (bv->open) {
		/* A bit-field in some kernels; its writer comes here later. */
		bool low = data_race(!!bv->core.pm_runtime_engaged);

		barter_vfio_level(bv, BARTER_REASON_MEMORY,
				  !barter_vfio_memory_on(bv), flags);
		barter_vfio_level(bv, BARTER_REASON_LOW_POWER, low, flags);
	}
	mutex_unlock(&bv->state_lock);
}

/* What a config write does to the BARs. */
enum barter_write {
	BARTER_WRITE_OTHER,	/* nothing */
	BARTER_WRITE_GIVES,	/* may make them reachable again */
	BARTER_WRITE_TAKES,	/* makes them unreachable, if only for a moment */
};

struct barter_config_write {
	const char __user *buf;
	size_t count;
	u64 pos;
};

/*
 * The byte that the write has for config space offset @at. One that cannot be
 * read now is taken for what the caller fears.
 */
static bool barter_write_byte(const struct barter_config_write *w, u64 at,
			      u8 *byte, u8 feared)
{
	if (at < w->pos || at - w->pos >= w->count)
		return false;
	if (get_user(*byte, (const u8 __user *)w->buf + (at - w->pos)))
		*byte = feared;
	return true;
}

static enum barter_write barter_write_judge(const struct barter_vfio *bv,
					    const struct barter_config_write *w)
{
	enum barter_write what = BARTER_WRITE_OTHER;
	const struct pci_dev *pdev = bv->core.pdev;
	u8 byte;

	if (barter_write_byte(w, PCI_COMMAND, &byte, 0)) {
		if (!(byte & PCI_COMMAND_MEMORY) && !pdev->no_command_memory)
			return BARTER_WRITE_TAKES;
		what = BARTER_WRITE_GIVES;
	}
	if (pdev->pm_cap && barter_write_byte(w, pdev->pm_cap + PCI_PM_CTRL,
					      &byte, PCI_PM_CTRL_STATE_MASK)) {
		if ((byte & PCI_PM_CTRL_STATE_MASK) == (__force u8)PCI_D3hot)
			return BARTER_WRITE_TAKES;
		what = BARTER_WRITE_GIVES;
	}
	/* Initiate Function Level Reset: bit 15 of Device Control. */
	if (pdev->pcie_cap &&
	    barter_write_byte(w, pdev->pcie_cap + PCI_EXP_DEVCTL + 1, &byte,
			      PCI_EXP_DEVCTL_BCR_FLR >> 8) &&
	    byte & (PCI_EXP_DEVCTL_BCR_FLR >> 8))
		return BARTER_WRITE_TAKES;
	if (bv->af_cap &&
	    barter_write_byte(w, bv->af_cap + PCI_AF_CTRL, &byte,
			      PCI_AF_CTRL_FLR) &&
	    byte & PCI_AF_CTRL_FLR)
		return BARTER_WRITE_TAKES;
	return what;
}

/* Core gives BARs back that were lost behind its back when COMMAND is written. */
static void barter_vfio_write_look(struct barter_vfio *bv)
{
	if (!READ_ONCE(bv->broken))
		return;
	down_read(&bv->core.memory_lock);
	barter_vfio_error_look(bv);
	up_read(&bv->core.memory_lock);
}

/**
 * barter_vfio_write - vfio_device_ops.write
 * @vdev: the device
 * @buf: the caller's bytes
 * @count: how many
 * @ppos: region index and offset, as VFIO_PCI_INDEX_TO_OFFSET() makes them
 *
 * A caller that changes the bytes between this look at them and core's own can
 * turn memory off without importers having let go first. Core itself zaps CPU
 * mappings in time; importers are told one call late, and the case is counted.
 *
 * Return: bytes written, or -EINTR (nothing was written), or core's errno.
 */
ssize_t barter_vfio_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	struct barter_config_write w = {
		.buf = buf,
		.count = count,
		.pos = *ppos & VFIO_PCI_OFFSET_MASK,
	};
	enum barter_write what;
	ssize_t ret;

	if (VFIO_PCI_OFFSET_TO_INDEX(*ppos) != VFIO_PCI_CONFIG_REGION_INDEX)
		return vfio_pci_core_write(vdev, buf, count, ppos);

	what = barter_write_judge(bv, &w);
	if (what == BARTER_WRITE_OTHER)
		return vfio_pci_core_write(vdev, buf, count, ppos);

	if (what == BARTER_WRITE_TAKES) {
		ret = barter_exporter_revoke(bv->exp, BARTER_REASON_CONFIG,
					     BARTER_REVOKE_KILLABLE);
		if (ret)
			return ret;
	}
	barter_vfio_write_look(bv);
	ret = vfio_pci_core_write(vdev, buf, count, ppos);
	if (what == BARTER_WRITE_GIVES && !barter_exporter_reasons(bv->exp) &&
	    !barter_vfio_memory_on(bv))
		atomic_inc(&barter_vfio_config_races);
	barter_vfio_update(bv, BARTER_REVOKE_KILLABLE);
	barter_vfio_write_look(bv);
	if (what == BARTER_WRITE_TAKES)
		barter_exporter_restore(bv->exp, BARTER_REASON_CONFIG);
	return ret;
}

/**
 * barter_vfio_ioctl - vfio_device_ops.ioctl
 * @vdev: the device
 * @cmd: the ioctl
 * @arg: its argument
 *
 * Return: core's answer, or -EINTR: the reset was not begun.
 */
long barter_vfio_ioctl(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	long ret;

	if (cmd == VFIO_DEVICE_PCI_HOT_RESET)
		return barter_vfio_hot_reset(vdev, arg);
	if (cmd != VFIO_DEVICE_RESET || !bv->core.reset_works)
		return vfio_pci_core_ioctl(vdev, cmd, arg);

	ret = barter_exporter_revoke(bv->exp, BARTER_REASON_RESET,
				     BARTER_REVOKE_KILLABLE);
	if (ret)
		return ret;
	ret = vfio_pci_core_ioctl(vdev, cmd, arg);
	barter_vfio_update(bv, BARTER_REVOKE_KILLABLE);
	barter_exporter_restore(bv->exp, BARTER_REASON_RESET);
	return ret;
}

/* Also on closed devices, and with or without memory_lock: see the head. */
static void barter_vfio_reset_prepare(struct pci_dev *pdev)
{
	struct barter_vfio *bv = barter_vfio_from_pdev(pdev);

	/* First, so that what the revoke takes away does not fault back in. */
	barter_vfio_reset_begin(bv);
	barter_exporter_revoke(bv->exp, BARTER_REASON_RESET, 0);
	barter_vfio_exporters_reset_prepare(pdev, BARTER_PF_RESET);
	barter_vfio_error_reset_prepare(bv);
}

static void barter_vfio_reset_done(struct pci_dev *pdev)
{
	struct barter_vfio *bv = barter_vfio_from_pdev(pdev);

	barter_vfio_update(bv, 0);
	barter_vfio_error_reset_done(bv);
	barter_vfio_exporters_reset_done(pdev, BARTER_PF_RESET);
	/* Before anybody is told that memory is back. */
	barter_vfio_reset_end(bv);
	barter_exporter_restore(bv->exp, BARTER_REASON_RESET);
}

const struct pci_error_handlers barter_vfio_err_handlers = {
	.error_detected = barter_vfio_error_detected,
	.resume = barter_vfio_error_resume,
	.reset_prepare = barter_vfio_reset_prepare,
	.reset_done = barter_vfio_reset_done,
};
