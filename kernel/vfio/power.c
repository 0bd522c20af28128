// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Waking up. A device that entered low power with an eventfd to wake its user leaves it
 * for good with whatever resumes it: any call on its file, lspci, its own PME. The user
 * need not call the exit (include/uapi/linux/vfio.h), so no call of his says that memory
 * is back: vfio-pci-core's runtime_resume does.
 *
 * Core sets its own callbacks in the driver's structure with each device that it
 * registers; ours, which call them, are put back after that. What another device's
 * resume misses in between is made up for then, and again as long as one that began in
 * between goes on: the PCI core looks up the callback at its beginning.
 */
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/workqueue.h>

#include "barter_vfio.h"

/* Core's own. Written once, before ours can be called. */
static const struct dev_pm_ops *barter_vfio_core_pm;
static struct dev_pm_ops barter_vfio_pm;
static DEFINE_MUTEX(barter_vfio_pm_lock);

static struct delayed_work barter_vfio_awake_work;

/* Frozen, since a machine that goes to sleep itself has its devices in other states. */
static void barter_vfio_awake_soon(unsigned long delay)
{
	queue_delayed_work(system_freezable_wq, &barter_vfio_awake_work, delay);
}

static void barter_vfio_awake(struct work_struct *work)
{
	if (barter_vfio_exporters_awake())
		barter_vfio_awake_soon(HZ / 10);
}

/*
 * A hot reset resumes its devices with the locks held that an update takes, or that
 * those who wait for its locks hold: so not here and now.
 */
static int barter_vfio_runtime_resume(struct device *dev)
{
	int ret = barter_vfio_core_pm->runtime_resume(dev);

	barter_vfio_awake_soon(0);
	return ret;
}

/**
 * barter_vfio_power_hook - hear of devices that are resumed
 * @pdev: one that vfio_pci_core_register_device() was called for, successfully or not
 *
 * Context: may sleep; probe.
 */
void barter_vfio_power_hook(struct pci_dev *pdev)
{
	struct device_driver *driver = pdev->dev.driver;
	const struct dev_pm_ops *core;

	mutex_lock(&barter_vfio_pm_lock);
	core = READ_ONCE(driver->pm);
	/* None of it without CONFIG_PM. */
	if (core && core != &barter_vfio_pm && core->runtime_resume) {
		if (!barter_vfio_core_pm) {
			barter_vfio_pm = *core;
			barter_vfio_pm.runtime_resume = barter_vfio_runtime_resume;
			barter_vfio_core_pm = core;
		}
		/* Its contents before itself. */
		smp_store_release(&driver->pm, &barter_vfio_pm);
		barter_vfio_awake_soon(0);
	}
	mutex_unlock(&barter_vfio_pm_lock);
}

/**
 * barter_vfio_resuming - is the device just being resumed
 * @pdev: the device
 *
 * Return: whether it is, at this moment; false without CONFIG_PM.
 */
bool barter_vfio_resuming(struct pci_dev *pdev)
{
#ifdef CONFIG_PM
	return READ_ONCE(pdev->dev.power.runtime_status) == RPM_RESUMING;
#else
	return false;
#endif
}

/**
 * barter_vfio_power_init - before the first device is registered
 */
void barter_vfio_power_init(void)
{
	INIT_DELAYED_WORK(&barter_vfio_awake_work, barter_vfio_awake);
}

/**
 * barter_vfio_power_exit - no device is left that could be resumed
 */
void barter_vfio_power_exit(void)
{
	cancel_delayed_work_sync(&barter_vfio_awake_work);
}
