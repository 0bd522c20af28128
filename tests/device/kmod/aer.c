// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-aer: the driver of a device that wants to be reset whatever has gone wrong on
 * its link, as drivers of network cards do. It keeps the device's configuration over that,
 * and does nothing else with it. Bound by driver_override alone.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>

static unsigned int resets;
module_param(resets, uint, 0444);
MODULE_PARM_DESC(resets, "How many resets it was told of");

static int aer_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = pcim_enable_device(pdev);

	return ret ? ret : pci_save_state(pdev);
}

static pci_ers_result_t aer_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	return state == pci_channel_io_perm_failure ? PCI_ERS_RESULT_DISCONNECT :
						      PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t aer_slot_reset(struct pci_dev *pdev)
{
	resets++;
	pci_restore_state(pdev);
	/* Some kernels forget it by that. */
	return pci_save_state(pdev) ? PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_RECOVERED;
}

static const struct pci_error_handlers aer_handlers = {
	.error_detected = aer_error_detected,
	.slot_reset = aer_slot_reset,
};

/* It does no DMA: its IOMMU group may have other users. */
static struct pci_driver aer_driver = {
	.name = "barter-test-aer",
	.probe = aer_probe,
	.err_handler = &aer_handlers,
	.driver_managed_dma = true,
};
module_pci_driver(aer_driver);

MODULE_DESCRIPTION("A driver that wants resets (for tests)");
MODULE_LICENSE("GPL");
