// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Everything that takes a buffer back, see cause.h.
 */
#include "cause.h"

#include <errno.h>
#include <linux/barter.h>
#include <linux/pci_regs.h>
#include <string.h>

int config_block(const struct dev *d, unsigned int offset, unsigned int n,
		 bool memory)
{
	uint8_t block[256];
	int ret;

	if (offset > PCI_COMMAND || offset + n <= PCI_COMMAND ||
	    n > sizeof(block))
		return -ERANGE;
	ret = dev_read(d, offset, block, n);
	if (ret)
		return ret;
	if (memory)
		block[PCI_COMMAND - offset] |= PCI_COMMAND_MEMORY;
	else
		block[PCI_COMMAND - offset] &= (uint8_t)~PCI_COMMAND_MEMORY;
	/* The upper half of STATUS is cleared by writing ones: do not. */
	if (offset + n > PCI_STATUS + 1)
		block[PCI_STATUS + 1 - offset] = 0;
	return dev_write(d, offset, block, n);
}

#define BLOCK(offset, n)						\
	static int off_##offset##_##n(const struct dev *d)		\
	{								\
		return config_block(d, offset, n, false);		\
	}								\
	static int on_##offset##_##n(const struct dev *d)		\
	{								\
		return config_block(d, offset, n, true);		\
	}

BLOCK(4, 1)
BLOCK(4, 2)
BLOCK(4, 4)
BLOCK(0, 8)
BLOCK(2, 4)
BLOCK(3, 2)
BLOCK(1, 7)
BLOCK(0, 64)

static int low_power(const struct dev *d)
{
	return dev_feature_set(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
}

static int low_power_exit(const struct dev *d)
{
	return dev_feature_set(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
}

static int sysfs_reset(const struct dev *d)
{
	return pci_reset(d->bdf);
}

#define MEMORY(name, offset, n) \
	{ name, off_##offset##_##n, on_##offset##_##n, BARTER_REASON_MEMORY }

const struct cause causes[] = {
	MEMORY("memory off by a byte", 4, 1),
	MEMORY("memory off by a word", 4, 2),
	MEMORY("memory off by a dword", 4, 4),
	MEMORY("memory off by an 8-byte block", 0, 8),
	MEMORY("memory off by 4 bytes at 2", 2, 4),
	MEMORY("memory off by 2 bytes at 3", 3, 2),
	MEMORY("memory off by 7 bytes at 1", 1, 7),
	MEMORY("memory off by the whole header", 0, 64),
	{ "low power", low_power, low_power_exit, BARTER_REASON_LOW_POWER },
	{ "VFIO_DEVICE_RESET", dev_reset, NULL, BARTER_REASON_RESET },
	{ "hot reset", dev_hot_reset, NULL, BARTER_REASON_RESET },
	{ "sysfs reset", sysfs_reset, NULL, BARTER_REASON_RESET },
};

const unsigned int nr_causes = sizeof(causes) / sizeof(*causes);

const struct cause *cause_find(const char *name)
{
	for (unsigned int i = 0; i < nr_causes; i++)
		if (!strcmp(causes[i].name, name))
			return &causes[i];
	return NULL;
}
