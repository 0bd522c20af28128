// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's PCI config space: bytes, and a mask of the bits that its guest may change.
 * A BAR is sized by the bits that cannot be changed, as in hardware.
 */
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>

#include "vedu.h"

#define VEDU_MSI	0x40	/* the one capability */

static void vedu_config_put(struct vedu *v, unsigned int at, unsigned int n,
			    u32 value, u32 writable)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		v->config[at + i] = value >> 8 * i;
		v->writable[at + i] = writable >> 8 * i;
	}
}

/**
 * vedu_config_init - config space as after a reset
 * @v: closed, or with v->lock held
 */
void vedu_config_init(struct vedu *v)
{
	memset(v->config, 0, sizeof(v->config));
	memset(v->writable, 0, sizeof(v->writable));
	vedu_config_put(v, PCI_VENDOR_ID, 2, BARTER_VEDU_VENDOR, 0);
	vedu_config_put(v, PCI_DEVICE_ID, 2, BARTER_VEDU_DEVICE, 0);
	vedu_config_put(v, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_DISABLE);
	vedu_config_put(v, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	vedu_config_put(v, PCI_CLASS_DEVICE, 2, PCI_CLASS_NOT_DEFINED, 0);
	vedu_config_put(v, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	vedu_config_put(v, PCI_LATENCY_TIMER, 1, 0, 0xff);
	vedu_config_put(v, PCI_BASE_ADDRESS_0, 4, PCI_BASE_ADDRESS_MEM_TYPE_32,
			~(u32)(BARTER_VEDU_BAR0_LENGTH - 1));
	if (v->window)
		vedu_config_put(v, PCI_BASE_ADDRESS_2, 4,
				PCI_BASE_ADDRESS_MEM_TYPE_32 | PCI_BASE_ADDRESS_MEM_PREFETCH,
				~(u32)(VEDU_SLICE - 1));
	vedu_config_put(v, PCI_SUBSYSTEM_VENDOR_ID, 2, BARTER_VEDU_VENDOR, 0);
	vedu_config_put(v, PCI_SUBSYSTEM_ID, 2, BARTER_VEDU_DEVICE, 0);
	vedu_config_put(v, PCI_CAPABILITY_LIST, 1, VEDU_MSI, 0);
	vedu_config_put(v, PCI_INTERRUPT_LINE, 1, 0, 0xff);

	/* The message itself means nothing here: VFIO_DEVICE_SET_IRQS says who is told. */
	vedu_config_put(v, VEDU_MSI, 1, PCI_CAP_ID_MSI, 0);
	vedu_config_put(v, VEDU_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT,
			PCI_MSI_FLAGS_ENABLE);
	vedu_config_put(v, VEDU_MSI + PCI_MSI_ADDRESS_LO, 4, 0, ~3U);
	vedu_config_put(v, VEDU_MSI + PCI_MSI_ADDRESS_HI, 4, 0, ~0U);
	vedu_config_put(v, VEDU_MSI + PCI_MSI_DATA_64, 2, 0, 0xffff);
}

/* v->lock or v->control is held. */
bool vedu_config_memory(const struct vedu *v)
{
	return v->config[PCI_COMMAND] & PCI_COMMAND_MEMORY;
}

bool vedu_config_master(const struct vedu *v)
{
	return v->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

static void vedu_config_write(struct vedu *v, const u8 *data, size_t n, u64 offset)
{
	size_t i;

	for (i = 0; i < n; i++) {
		u8 writable = v->writable[offset + i];

		v->config[offset + i] = (v->config[offset + i] & ~writable) |
					(data[i] & writable);
	}
}

/**
 * vedu_config_access - read or write config space
 * @v: open
 * @data: the bytes
 * @n: how many
 * @offset: all of them inside config space
 * @write: the direction
 *
 * When memory decoding has been turned off here, nothing reaches BAR 2 any more; when
 * bus mastering has, no transfer runs, and none begins.
 *
 * Return: 0, -EINTR: a fatal signal came while somebody had to let BAR 2 go.
 */
int vedu_config_access(struct vedu *v, u8 *data, size_t n, u64 offset, bool write)
{
	bool memory, master;

	if (!write) {
		mutex_lock(&v->lock);
		memcpy(data, v->config + offset, n);
		mutex_unlock(&v->lock);
		return 0;
	}
	if (v->window && vedu_window_lock(v->window))
		return -EINTR;
	mutex_lock(&v->lock);
	vedu_config_write(v, data, n, offset);
	memory = vedu_config_memory(v);
	master = vedu_config_master(v);
	mutex_unlock(&v->lock);
	if (master)
		vedu_kick(v);
	else
		vedu_settle(v);
	return v->window ? vedu_window_unlock(v->window, memory) : 0;
}
