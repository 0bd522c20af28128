// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Can a device lend, and what is in the way: the rules of VFIO groups.
 */
#include "topology.h"

#include <stdio.h>
#include <string.h>

#define CLASS_BRIDGE	0x06
#define CLASS_SMBUS	0x0c05

BARTER_API int barter_pci_is_bridge(const struct barter_pci *pci)
{
	return pci->class_code >> 16 == CLASS_BRIDGE;
}

BARTER_API int barter_pci_can_import(const struct barter_pci *pci)
{
	return !barter_pci_is_bridge(pci) && pci->class_code >> 8 != CLASS_SMBUS;
}

BARTER_API const char *barter_pci_class_name(const struct barter_pci *pci)
{
	static const struct {
		uint32_t code, mask;
		const char *name;
	} names[] = {
		{ 0x010802, 0xffffff, "NVMe controller" },
		{ 0x010601, 0xffffff, "SATA controller" },
		{ 0x010000, 0xff0000, "storage controller" },
		{ 0x020000, 0xffff00, "Ethernet controller" },
		{ 0x020700, 0xffff00, "InfiniBand controller" },
		{ 0x020000, 0xff0000, "network controller" },
		{ 0x030000, 0xffff00, "VGA controller" },
		{ 0x030000, 0xff0000, "display controller" },
		{ 0x040000, 0xff0000, "multimedia device" },
		{ 0x050000, 0xff0000, "memory controller" },
		{ 0x060000, 0xffff00, "host bridge" },
		{ 0x060100, 0xffff00, "ISA bridge" },
		{ 0x060400, 0xffff00, "PCI bridge" },
		{ 0x060000, 0xff0000, "bridge" },
		{ 0x070000, 0xff0000, "communication controller" },
		{ 0x080000, 0xff0000, "system peripheral" },
		{ 0x0c0300, 0xffff00, "USB controller" },
		{ 0x0c0500, 0xffff00, "SMBus controller" },
		{ 0x0c0000, 0xff0000, "serial bus controller" },
		{ 0x120000, 0xff0000, "accelerator" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((pci->class_code & names[i].mask) == names[i].code)
			return names[i].name;
	return "other device";
}

/*
 * Drivers beside which the kernel hands a group to user space: those that it
 * calls driver_managed_dma. A bridge with any other driver is in the way too.
 */
BARTER_API int barter_pci_blocks_group(const struct barter_pci *pci)
{
	return pci->driver[0] && !strstr(pci->driver, "vfio") &&
	       strcmp(pci->driver, "pci-stub") &&
	       strcmp(pci->driver, "pcieport");
}

static int has_lendable_bar(const struct barter_pci *pci)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t i;

	for (i = 0; i < BARTER_BARS; i++)
		if (pci->bars[i].length >= page &&
		    pci->bars[i].flags & BARTER_BAR_MEMORY &&
		    !(pci->bars[i].flags & BARTER_BAR_UNASSIGNED))
			return 1;
	return 0;
}

static const struct barter_pci *blocking_sibling(
		const struct barter_topology *topology,
		const struct barter_pci *pci)
{
	const struct barter_pci *other = NULL;

	while ((other = barter_topology_next(topology, other)))
		if (other != pci && other->group == pci->group &&
		    barter_pci_blocks_group(other))
			return other;
	return NULL;
}

BARTER_API int barter_pci_lendable(const struct barter_topology *topology,
				   const struct barter_pci *pci, char *text,
				   size_t length)
{
	const struct barter_pci *other;
	char scratch[8];

	if (!text) {
		text = scratch;
		length = sizeof(scratch);
	}
	if (barter_pci_is_bridge(pci)) {
		snprintf(text, length, "a bridge has nothing to lend");
		return BARTER_LEND_BRIDGE;
	}
	if (!has_lendable_bar(pci)) {
		snprintf(text, length, "no memory BAR of a page or more");
		return BARTER_LEND_NO_BAR;
	}
	if (pci->group < 0) {
		snprintf(text, length, "in no IOMMU group");
		return BARTER_LEND_NO_IOMMU;
	}
	other = blocking_sibling(topology, pci);
	if (other) {
		snprintf(text, length,
			 "shares IOMMU group %d with %s, which is bound to %s",
			 pci->group, other->name, other->driver);
		return BARTER_LEND_SHARED;
	}
	if (!strcmp(pci->driver, BARTER_DRIVER)) {
		snprintf(text, length, "yes");
		return BARTER_LEND_NOW;
	}
	snprintf(text, length, "after: barter bind %s", pci->name);
	return BARTER_LEND_BIND;
}

BARTER_API const char *barter_lendable_name(int lendable)
{
	switch (lendable) {
	case BARTER_LEND_NOW:
		return "now";
	case BARTER_LEND_BIND:
		return "bind";
	case BARTER_LEND_SHARED:
		return "group-shared";
	case BARTER_LEND_NO_IOMMU:
		return "no-iommu";
	case BARTER_LEND_NO_BAR:
		return "no-bar";
	case BARTER_LEND_BRIDGE:
		return "bridge";
	default:
		return "unknown";
	}
}
