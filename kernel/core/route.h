/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Routes: how DMA of one device reaches the BAR of another, and why.
 *
 * route.c decides on a plain description of the topology and also builds in
 * user space; route_pci.c takes that description from the PCI core.
 *
 * Words: the *provider* is the device whose BAR is lent, the *importer* the one
 * that wants to reach it by DMA. A *path* begins with the device itself and
 * goes up, bridge by bridge, to the port on the root bus. A *redirect* is an
 * ACS bit that sends requests between peers up to the host bridge, so that the
 * way through a common bridge is closed. A *host bridge* is named by the ids of
 * the device that identifies it: 00.0 of the root bus or, where there is no
 * such function, the first root port.
 */
#ifndef BARTER_CORE_ROUTE_H
#define BARTER_CORE_ROUTE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "ranges_user.h"
#endif

#include <uapi/linux/barter.h>

/*
 * Ports that a path keeps. Devices deeper than that are judged as if the ports
 * above did not exist: at worst a common bridge is not seen, and the answer is
 * the host bridge or none.
 */
#define BARTER_ROUTE_DEPTH	32

/* Bits of the ACS control register that redirect requests between peers. */
#define BARTER_ROUTE_ACS_REQUEST	0x04	/* P2P request redirect */
#define BARTER_ROUTE_ACS_COMPLETION	0x08	/* P2P completion redirect */
#define BARTER_ROUTE_ACS_EGRESS		0x20	/* P2P egress control */
#define BARTER_ROUTE_ACS_REDIRECT	(BARTER_ROUTE_ACS_REQUEST | \
					 BARTER_ROUTE_ACS_COMPLETION | \
					 BARTER_ROUTE_ACS_EGRESS)

/* Entries that the module parameter allow_host_bridges holds at most. */
#define BARTER_ROUTE_MAX_HOSTS	64

/**
 * struct barter_route_port - one function on a path
 * @domain: PCI domain
 * @bus: PCI bus
 * @devfn: slot and function; domain, bus and devfn are its identity
 * @acs: its ACS control register at this moment, 0 if it has none
 */
struct barter_route_port {
	u32 domain;
	u8 bus;
	u8 devfn;
	u16 acs;
};

/**
 * struct barter_route_path - a device and all bridges above it
 * @nr: number of @ports, at least 1
 * @ports: the device itself first, the port on the root bus last
 */
struct barter_route_path {
	u32 nr;
	struct barter_route_port ports[BARTER_ROUTE_DEPTH];
};

/**
 * struct barter_route_host_id - what names a kind of host bridge
 * @vendor: PCI vendor id
 * @device: PCI device id
 */
struct barter_route_host_id {
	u16 vendor;
	u16 device;
};

/**
 * struct barter_route_host - the host bridge above a device
 * @id: ids of the device that identifies it
 * @identified: such a device exists, @id is valid
 * @admin_allowed: the administrator allows bridges with this @id
 */
struct barter_route_host {
	struct barter_route_host_id id;
	bool identified;
	bool admin_allowed;
};

/**
 * struct barter_route_desc - all that a decision rests on
 * @provider: path of the device whose BAR is the target
 * @importer: path of the device that does DMA
 * @provider_host: host bridge above the provider
 * @importer_host: host bridge above the importer
 * @importer_is_pci: if false, only @provider may be valid
 * @same_host: both are below the same host bridge (not just the same kind)
 * @cpu_allowed: every host bridge of this CPU passes DMA between its ports
 * @kernel_refuses: the kernel has an opinion of its own, and it is no
 * @bus_offset: bus address of the provider's BAR minus its CPU physical address
 */
struct barter_route_desc {
	struct barter_route_path provider;
	struct barter_route_path importer;
	struct barter_route_host provider_host;
	struct barter_route_host importer_host;
	bool importer_is_pci;
	bool same_host;
	bool cpu_allowed;
	bool kernel_refuses;
	s64 bus_offset;
};

/**
 * struct barter_route_answer - the outcome
 * @route: BARTER_ROUTE_*
 * @why: BARTER_WHY_*
 * @bus_offset: with BARTER_ROUTE_BUS, what to add to a CPU physical address of
 *	the BAR to get its address on the bus; else 0
 * @text: one line for people, with the devices that decided it; no physical
 *	or bus address is in it, since every holder of a buffer may read it
 */
struct barter_route_answer {
	u32 route;
	u32 why;
	s64 bus_offset;
	char text[BARTER_TEXT_LENGTH];
};

bool barter_route_needs_host(const struct barter_route_desc *desc);
void barter_route_decide(const struct barter_route_desc *desc,
			 struct barter_route_answer *answer);
bool barter_route_host_listed(const struct barter_route_host_id *ids, u32 nr,
			      struct barter_route_host_id id);
int barter_route_parse_hosts(const char *text, struct barter_route_host_id *ids,
			     u32 max, u32 *nr);

#ifdef __KERNEL__
struct device;
struct pci_dev;

void barter_route_find(struct pci_dev *provider, int bar,
		       struct device *importer,
		       struct barter_route_answer *answer);
void barter_route_flush(struct device *importer);
int barter_route_check_mask(struct device *importer, u64 last,
			    struct barter_route_answer *answer);
bool barter_route_translated(struct device *importer);
bool barter_route_guarded(struct device *importer);
#endif

#endif /* BARTER_CORE_ROUTE_H */
