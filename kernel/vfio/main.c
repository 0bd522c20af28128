// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-vfio-pci.ko: the driver, its probe and remove, its open and close.
 *
 * Everything that stock vfio-pci does is done by vfio-pci-core. What is added:
 * every transition that makes the BARs unreachable is shown to the exporter
 * (hooks.c), and VFIO_DEVICE_FEATURE_DMA_BUF lends them (features.c).
 *
 * There is no id table: a device is bound by driver_override or new_id only.
 */
#include <linux/debugfs.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio.h>

#include "barter_vfio.h"
#include "../compat/compat_vfio.h"

static bool enable_sriov;
module_param(enable_sriov, bool, 0644);
MODULE_PARM_DESC(enable_sriov, "Allow sriov_numvfs on devices bound to this driver (default: no)");

static bool disable_denylist;
module_param(disable_denylist, bool, 0444);
MODULE_PARM_DESC(disable_denylist, "Bind devices that are known to be unsafe to assign (default: refuse)");

/* Accelerators of which stock vfio-pci says that a user can break the host. */
static const struct pci_device_id barter_vfio_denylist[] = {
	{ PCI_VDEVICE(INTEL, 0x0435) }, { PCI_VDEVICE(INTEL, 0x0443) },
	{ PCI_VDEVICE(INTEL, 0x19e2) }, { PCI_VDEVICE(INTEL, 0x19e3) },
	{ PCI_VDEVICE(INTEL, 0x37c8) }, { PCI_VDEVICE(INTEL, 0x37c9) },
	{ PCI_VDEVICE(INTEL, 0x0b25) }, { PCI_VDEVICE(INTEL, 0x0cfe) },
	{}
};

static bool barter_vfio_denied(struct pci_dev *pdev)
{
	if (disable_denylist || !pci_match_id(barter_vfio_denylist, pdev))
		return false;
	pci_err(pdev, "known to be unsafe to assign; barter_vfio_pci.disable_denylist=1 binds it all the same\n");
	return true;
}

static int barter_vfio_init_dev(struct vfio_device *vdev)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	int ret;

	ret = vfio_pci_core_init_dev(vdev);
	if (ret)
		return ret;

	barter_vfio_native_init(bv);
	mutex_init(&bv->state_lock);
	mutex_init(&bv->claim_lock);
	spin_lock_init(&bv->turn_lock);
	init_waitqueue_head(&bv->turns);
	bv->af_cap = pci_find_capability(bv->core.pdev, PCI_CAP_ID_AF);
	ret = barter_vfio_exporter_new(bv);
	if (ret)
		vfio_pci_core_release_dev(vdev);
	return ret;
}

static void barter_vfio_release_dev(struct vfio_device *vdev)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);

	barter_vfio_exporter_put(bv->exp);
	mutex_destroy(&bv->claim_lock);
	mutex_destroy(&bv->state_lock);
	vfio_pci_core_release_dev(vdev);
}

/*
 * Each region has 1 TiB of file offsets, of which its BAR uses the beginning;
 * core zaps all six spans as one. The rest of each is room for buffers.
 */
static int barter_vfio_add_windows(struct barter_vfio *bv)
{
	unsigned long span = 1UL << (VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT);
	unsigned int bar;
	int ret;

	if (bv->exp->nr_spans)
		return 0;
	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		u64 used = PAGE_ALIGN(pci_resource_len(bv->core.pdev, bar)) >>
			   PAGE_SHIFT;

		/* Page offset 0 would be no window; a guard page besides. */
		if (used + 2 >= span)
			continue;
		ret = barter_exporter_add_window(bv->exp,
						 bar * span + used + 1,
						 (bar + 1) * span - 1);
		if (ret)
			return ret;
	}
	return 0;
}

static int barter_vfio_open(struct vfio_device *vdev)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);
	int ret;

	ret = barter_vfio_add_windows(bv);
	if (ret)
		return ret;
	ret = barter_vfio_open_begin(bv);
	if (ret)
		return ret;
	barter_vfio_error_look(bv);
	ret = vfio_pci_core_enable(&bv->core);
	barter_vfio_move_end(bv);
	if (ret)
		return ret;
	vfio_pci_core_finish_enable(&bv->core);

	mutex_lock(&bv->state_lock);
	bv->open = true;
	mutex_unlock(&bv->state_lock);
	barter_vfio_update(bv, 0);
	barter_vfio_error_look(bv);
	barter_exporter_restore(bv->exp, BARTER_REASON_CLOSED);
	return 0;
}

static void barter_vfio_close(struct vfio_device *vdev)
{
	struct barter_vfio *bv = barter_vfio_from_vdev(vdev);

	barter_exporter_revoke(bv->exp, BARTER_REASON_CLOSED, 0);
	/* Core gives lost BARs back. */
	barter_vfio_error_look(bv);
	mutex_lock(&bv->state_lock);
	bv->open = false;
	mutex_unlock(&bv->state_lock);
	barter_vfio_close_begin(bv);
	/* Core resets the device, and calls no reset_prepare for that. */
	barter_vfio_exporters_reset_prepare(bv->core.pdev, BARTER_PF_CLOSE);
	vfio_pci_core_close_device(vdev);
	barter_vfio_exporters_reset_done(bv->core.pdev, BARTER_PF_CLOSE);
	barter_vfio_move_end(bv);
}

static const struct vfio_device_ops barter_vfio_ops = {
	.name = "barter-vfio-pci",
	.init = barter_vfio_init_dev,
	.release = barter_vfio_release_dev,
	.open_device = barter_vfio_open,
	.close_device = barter_vfio_close,
	.ioctl = barter_vfio_ioctl,
	.device_feature = barter_vfio_feature,
	.read = vfio_pci_core_read,
	.write = barter_vfio_write,
	.mmap = barter_vfio_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
	BARTER_VFIO_LATER_OPS
};

static int barter_vfio_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct barter_vfio *bv;
	int ret;

	if (barter_vfio_denied(pdev))
		return -EINVAL;

	bv = vfio_alloc_device(barter_vfio, core.vdev, &pdev->dev,
			       &barter_vfio_ops);
	if (IS_ERR(bv))
		return PTR_ERR(bv);

	/* vfio-pci-core takes the drvdata for its own structure. */
	dev_set_drvdata(&pdev->dev, &bv->core);
	ret = vfio_pci_core_register_device(&bv->core);
	barter_vfio_power_hook(pdev);
	if (ret) {
		/* It was in its set: a hot reset may have taken the exporter from there. */
		barter_vfio_exporter_cut(bv);
		vfio_put_device(&bv->core.vdev);
	}
	return ret;
}

static void barter_vfio_remove(struct pci_dev *pdev)
{
	struct barter_vfio *bv = barter_vfio_from_pdev(pdev);
	struct vfio_pci_core_device *core = &bv->core;

	/* At once, not when the user is so kind as to close. */
	barter_exporter_destroy(bv->exp);
	/* Its own mappings of BARs the user keeps until then. */
	vfio_pci_core_unregister_device(core);
	barter_vfio_exporter_cut(bv);
	vfio_put_device(&core->vdev);
}

static int barter_vfio_sriov_configure(struct pci_dev *pdev, int nr_virtfn)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);
	int ret;

	if (!enable_sriov)
		return -ENOENT;
	ret = vfio_pci_core_sriov_configure(core, nr_virtfn);
	/* It puts the PF into D0, which its user may have left. */
	barter_vfio_update(container_of(core, struct barter_vfio, core), BARTER_REVOKE_KILLABLE);
	return ret;
}

static struct pci_driver barter_vfio_driver = {
	.name = "barter-vfio-pci",
	.probe = barter_vfio_probe,
	.remove = barter_vfio_remove,
	.sriov_configure = barter_vfio_sriov_configure,
	.err_handler = &barter_vfio_err_handlers,
	.driver_managed_dma = true,
};

static struct dentry *barter_vfio_debugfs;

static int __init barter_vfio_init(void)
{
	int ret;

	barter_vfio_debugfs = debugfs_create_dir("barter-vfio-pci", NULL);
	debugfs_create_atomic_t("config_races", 0444, barter_vfio_debugfs,
				&barter_vfio_config_races);
	barter_vfio_power_init();
	ret = pci_register_driver(&barter_vfio_driver);
	if (ret) {
		/* It may have had devices for a moment. */
		barter_vfio_power_exit();
		debugfs_remove(barter_vfio_debugfs);
	}
	return ret;
}
module_init(barter_vfio_init);

static void __exit barter_vfio_exit(void)
{
	pci_unregister_driver(&barter_vfio_driver);
	barter_vfio_power_exit();
	debugfs_remove(barter_vfio_debugfs);
}
module_exit(barter_vfio_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("the barter developers");
MODULE_DESCRIPTION("vfio-pci that lends BARs as dma-bufs");
MODULE_VERSION(BARTER_VERSION);
BARTER_IMPORT_NS_BARTER;
BARTER_IMPORT_NS_DMA_BUF;
