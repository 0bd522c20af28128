/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The picture of the PCI tree: an array ordered by address, filled once.
 */
#ifndef BARTER_TOPOLOGY_H
#define BARTER_TOPOLOGY_H

#include "internal.h"

struct barter_pci {
	char name[BARTER_BDF_LENGTH];
	struct barter_bdf bdf;
	uint16_t vendor;
	uint16_t device;
	uint32_t class_code;
	char driver[64];	/* empty: none */
	char override[64];	/* empty: not set */
	int group;		/* -1: none */
	char group_type[24];	/* empty: unknown */
	char root[32];		/* "pci0000:00" */
	char parent_name[BARTER_BDF_LENGTH];	/* empty: on a root bus */
	const struct barter_pci *parent;
	char vfio_node[64];	/* below /dev; empty: none */
	struct barter_bar bars[BARTER_BARS];	/* length 0: absent */
};

struct barter_topology {
	struct barter_pci *devices;
	size_t count;
};

int barter_pci_read(struct barter_pci *pci);

#endif /* BARTER_TOPOLOGY_H */
