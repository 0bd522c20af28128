// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Errors of the link (AER, DPC), and what ends them.
 *
 * The kernel tells every driver below a port, one after the other, and then may reset the
 * bus under all of them, without reset_prepare. That may take long, for each waits for its
 * importers, and somebody may open or reset a device meanwhile that was told already.
 * Afterwards the BARs of devices that somebody has open are lost: neither the PCI core nor
 * vfio-pci-core gives them back. Older kernels tell nobody of a recovery that failed.
 *
 * So it is not the end of the recovery that ends ERROR, but a look at the device: it
 * answers, and has its BARs where they belong. As long as the reset is yet to come, that
 * says nothing. It has come when the recovery is over, or when the BARs are seen to be lost.
 */
#include <linux/pci.h>

#include "barter_vfio.h"

enum barter_sight {
	BARTER_SIGHT_WHOLE,
	BARTER_SIGHT_LOST,
	BARTER_SIGHT_MUTE,
};

static bool barter_vfio_bar_intact(struct pci_dev *pdev, int bar)
{
	unsigned long flags = pci_resource_flags(pdev, bar);
	int at = PCI_BASE_ADDRESS_0 + 4 * bar;
	u64 want = pci_bus_address(pdev, bar);
	u32 low, high = 0;

	if (!(flags & IORESOURCE_MEM) || !pci_resource_len(pdev, bar) ||
	    flags & (IORESOURCE_UNSET | IORESOURCE_PCI_EA_BEI))
		return true;
	if (pci_read_config_dword(pdev, at, &low) ||
	    (flags & IORESOURCE_MEM_64 && pci_read_config_dword(pdev, at + 4, &high)))
		return false;
	return (low & (u32)PCI_BASE_ADDRESS_MEM_MASK) == lower_32_bits(want) &&
	       (!(flags & IORESOURCE_MEM_64) || high == upper_32_bits(want));
}

/* Does the device answer, with its memory where its user thinks that it is? */
static enum barter_sight barter_vfio_sight(const struct barter_vfio *bv)
{
	struct pci_dev *pdev = bv->core.pdev;
	u16 command;
	int bar;

	lockdep_assert_held(&bv->state_lock);

	if (pci_read_config_word(pdev, PCI_COMMAND, &command) || PCI_POSSIBLE_ERROR(command))
		/* A VF that does not is one whose PF was reset. */
		return pdev->is_virtfn ? BARTER_SIGHT_LOST : BARTER_SIGHT_MUTE;
	/* A VF has neither that bit nor BARs: they are its PF's. */
	if (pdev->is_virtfn)
		return BARTER_SIGHT_WHOLE;
	if (bv->open && barter_vfio_memory_on(bv) && !(command & PCI_COMMAND_MEMORY))
		return BARTER_SIGHT_LOST;
	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (!barter_vfio_bar_intact(pdev, bar))
			return BARTER_SIGHT_LOST;
	return BARTER_SIGHT_WHOLE;
}

/*
 * Only this ends ERROR. That BARs are lost shows that the reset has come, unless they were
 * before the error was found; that the device does not answer shows nothing.
 */
static void barter_vfio_error_judge(struct barter_vfio *bv)
{
	lockdep_assert_held(&bv->state_lock);

	if (!bv->broken || bv->beginning)
		return;
	switch (barter_vfio_sight(bv)) {
	case BARTER_SIGHT_MUTE:
		break;
	case BARTER_SIGHT_LOST:
		if (!bv->lost_before)
			bv->reset_due = false;
		break;
	case BARTER_SIGHT_WHOLE:
		bv->lost_before = false;
		if (bv->reset_due)
			break;
		WRITE_ONCE(bv->broken, false);
		barter_exporter_restore(bv->exp, BARTER_REASON_ERROR);
		break;
	}
}

/**
 * barter_vfio_error_look - see whether ERROR is over
 * @bv: the device
 *
 * To be called before and after everything that may give lost BARs back: before, because
 * that they were lost is to be seen. While somebody resets the device nothing is; who does
 * looks then. Context: as for barter_vfio_update(); memory_lock, if a user's call may be
 * about to change the device's power state.
 */
void barter_vfio_error_look(struct barter_vfio *bv)
{
	mutex_lock(&bv->state_lock);
	if (!atomic_read(&bv->resets))
		barter_vfio_error_judge(bv);
	mutex_unlock(&bv->state_lock);
}

/**
 * barter_vfio_error_reset_prepare - the device is about to be reset
 * @bv: the device, between barter_vfio_reset_begin() and barter_vfio_reset_end()
 */
void barter_vfio_error_reset_prepare(struct barter_vfio *bv)
{
	mutex_lock(&bv->state_lock);
	barter_vfio_error_judge(bv);
	mutex_unlock(&bv->state_lock);
}

/**
 * barter_vfio_error_reset_done - it was reset, which mends what an error has left
 * @bv: the device, between barter_vfio_reset_begin() and barter_vfio_reset_end()
 *
 * If the BARs were lost before, the PCI core has saved and restored that they are. What
 * vfio-pci-core has saved at the device's opening still has them: nobody opens or closes
 * it here.
 */
void barter_vfio_error_reset_done(struct barter_vfio *bv)
{
	struct pci_dev *pdev = bv->core.pdev;

	mutex_lock(&bv->state_lock);
	if (bv->broken && bv->open && !bv->reset_due && bv->core.pci_saved_state &&
	    barter_vfio_sight(bv) == BARTER_SIGHT_LOST &&
	    !pci_load_saved_state(pdev, bv->core.pci_saved_state))
		pci_restore_state(pdev);
	barter_vfio_error_judge(bv);
	mutex_unlock(&bv->state_lock);
}

static void barter_vfio_error_begin(struct barter_vfio *bv)
{
	mutex_lock(&bv->state_lock);
	bv->reset_due = true;
	bv->lost_before = barter_vfio_sight(bv) == BARTER_SIGHT_LOST;
	/* Nobody ends one that was there before this one is in force. */
	bv->beginning = true;
	/* First, so that what the revoke takes away does not fault back in. */
	WRITE_ONCE(bv->broken, true);
	mutex_unlock(&bv->state_lock);
	/* Without the lock: importers may take long. */
	barter_exporter_revoke(bv->exp, BARTER_REASON_ERROR, 0);
	mutex_lock(&bv->state_lock);
	bv->beginning = false;
	mutex_unlock(&bv->state_lock);
}

static void barter_vfio_error_end(struct barter_vfio *bv)
{
	barter_vfio_update(bv, 0);
	mutex_lock(&bv->state_lock);
	bv->reset_due = false;
	barter_vfio_error_judge(bv);
	mutex_unlock(&bv->state_lock);
}

/**
 * barter_vfio_error_detected - pci_error_handlers.error_detected
 * @pdev: the device, locked by the caller, who may hold pci_bus_sem
 * @state: frozen: an error that the kernel will reset the bus for; normal: one that it may
 *	reset the bus for if another driver asks for it, in some kernels;
 *	perm_failure: it has given up, of which older kernels do not tell
 *
 * Return: what vfio-pci-core says.
 */
pci_ers_result_t barter_vfio_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct barter_vfio *bv = barter_vfio_from_pdev(pdev);

	if (state == pci_channel_io_perm_failure) {
		barter_vfio_error_begin(bv);
		barter_vfio_error_end(bv);
	} else if (state != pci_channel_io_normal || BARTER_NONFATAL_MAY_RESET) {
		barter_vfio_error_begin(bv);
	}
	return vfio_pci_core_aer_err_detected(pdev, state);
}

/**
 * barter_vfio_error_resume - pci_error_handlers.resume
 * @pdev: the device, as in barter_vfio_error_detected()
 */
void barter_vfio_error_resume(struct pci_dev *pdev)
{
	barter_vfio_error_end(barter_vfio_from_pdev(pdev));
}
