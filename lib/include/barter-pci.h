/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * libbarter: the machine's PCI devices and their drivers. <barter.h> includes this
 * file and has the rules that hold for every call.
 */
#ifndef BARTER_PCI_H
#define BARTER_PCI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** BARTER_DRIVER - the driver whose devices can be lent */
#define BARTER_DRIVER "barter-vfio-pci"

/** BARTER_BARS - number of BARs of a PCI function */
#define BARTER_BARS 6

/** BARTER_BDF_LENGTH - room for a PCI address as text, with the final NUL */
#define BARTER_BDF_LENGTH 16

/* ---- PCI addresses ---------------------------------------------------- */

/**
 * struct barter_bdf - a PCI address
 * @domain: PCI domain
 * @bus: bus
 * @devfn: slot << 3 | function
 */
struct barter_bdf {
	uint32_t domain;
	uint8_t bus;
	uint8_t devfn;
};

/**
 * barter_bdf_parse() - read a PCI address
 * @text: "0000:01:00.0" or "01:00.0"
 * @bdf: where it goes
 *
 * Return: 0, or -EINVAL if @text is not a PCI address.
 */
int barter_bdf_parse(const char *text, struct barter_bdf *bdf);

/**
 * barter_bdf_format() - write a PCI address
 * @bdf: the address
 * @text: room for BARTER_BDF_LENGTH bytes
 *
 * Return: @text.
 */
char *barter_bdf_format(const struct barter_bdf *bdf, char *text);

/* ---- The machine's PCI devices, from sysfs ---------------------------- */

/**
 * struct barter_topology - a picture of the machine's PCI tree; opaque
 */
struct barter_topology;

/**
 * struct barter_pci - a device in it; opaque, lives as long as the topology
 */
struct barter_pci;

/**
 * barter_topology_read() - take the picture
 * @topology: where it goes; barter_topology_free() releases it
 *
 * Return: 0, -ENOENT (no PCI in sysfs), -ENOMEM, -EINVAL (a file of sysfs has something
 * else than a number), or what reading gives.
 */
int barter_topology_read(struct barter_topology **topology);

/**
 * barter_topology_free() - release a picture and every device in it
 * @topology: the picture, or NULL
 */
void barter_topology_free(struct barter_topology *topology);

/**
 * barter_topology_next() - walk all devices, by ascending address
 * @topology: the picture
 * @after: the device before, or NULL for the first
 *
 * Return: the device, or NULL at the end.
 */
const struct barter_pci *barter_topology_next(
		const struct barter_topology *topology,
		const struct barter_pci *after);

/**
 * barter_topology_find() - look a device up
 * @topology: the picture
 * @bdf: its address
 *
 * Return: the device, or NULL.
 */
const struct barter_pci *barter_topology_find(
		const struct barter_topology *topology,
		const struct barter_bdf *bdf);

/**
 * barter_topology_has_iommu() - is an IOMMU at work
 * @topology: the picture
 *
 * Return: 1 if at least one device is in an IOMMU group, else 0.
 */
int barter_topology_has_iommu(const struct barter_topology *topology);

/**
 * barter_pci_name() - full PCI address as text
 * @pci: the device
 *
 * Return: text of the topology.
 */
const char *barter_pci_name(const struct barter_pci *pci);

/**
 * barter_pci_bdf() - PCI address
 * @pci: the device
 *
 * Return: the address.
 */
struct barter_bdf barter_pci_bdf(const struct barter_pci *pci);

/**
 * barter_pci_vendor() - vendor id
 * @pci: the device
 *
 * Return: the id.
 */
uint16_t barter_pci_vendor(const struct barter_pci *pci);

/**
 * barter_pci_device() - device id
 * @pci: the device
 *
 * Return: the id.
 */
uint16_t barter_pci_device(const struct barter_pci *pci);

/**
 * barter_pci_class() - class code
 * @pci: the device
 *
 * Return: class << 16 | subclass << 8 | programming interface.
 */
uint32_t barter_pci_class(const struct barter_pci *pci);

/**
 * barter_pci_class_name() - words for the class code
 * @pci: the device
 *
 * Return: such as "NVMe controller"; static.
 */
const char *barter_pci_class_name(const struct barter_pci *pci);

/**
 * barter_pci_driver() - driver that is bound
 * @pci: the device
 *
 * Return: text of the topology, or NULL if none is bound.
 */
const char *barter_pci_driver(const struct barter_pci *pci);

/**
 * barter_pci_override() - driver_override
 * @pci: the device
 *
 * Return: text of the topology, or NULL if it is not set.
 */
const char *barter_pci_override(const struct barter_pci *pci);

/**
 * barter_pci_group() - IOMMU group
 * @pci: the device
 *
 * Return: its number, or -1 if the device is in none.
 */
int barter_pci_group(const struct barter_pci *pci);

/**
 * barter_pci_group_type() - kind of the group's default IOMMU domain
 * @pci: the device
 *
 * Return: the kernel's word, such as "DMA", "DMA-FQ", "identity"; text of the
 * topology, or NULL if the device is in no group.
 */
const char *barter_pci_group_type(const struct barter_pci *pci);

/**
 * barter_pci_parent() - bridge above the device
 * @pci: the device
 *
 * Return: the bridge, or NULL on a root bus.
 */
const struct barter_pci *barter_pci_parent(const struct barter_pci *pci);

/**
 * barter_pci_root() - host bridge above the device
 * @pci: the device
 *
 * Return: the kernel's name, such as "pci0000:00"; text of the topology.
 */
const char *barter_pci_root(const struct barter_pci *pci);

/**
 * barter_pci_is_bridge() - is it a PCI-PCI or other bridge
 * @pci: the device
 *
 * Return: 1 for class 06, else 0.
 */
int barter_pci_is_bridge(const struct barter_pci *pci);

/**
 * barter_pci_can_import() - may it do DMA to other devices at all
 * @pci: the device
 *
 * Return: 1 for every device that is neither a bridge nor an SMBus controller.
 */
int barter_pci_can_import(const struct barter_pci *pci);

/**
 * barter_pci_vfio_node() - file below /dev by which VFIO opens the device
 * @pci: the device
 *
 * Return: "vfio/devices/vfio3", else "vfio/12"; text of the topology, NULL if
 * it has neither.
 */
const char *barter_pci_vfio_node(const struct barter_pci *pci);

/** BARTER_BAR_MEMORY - memory, not I/O ports */
#define BARTER_BAR_MEMORY	(1U << 0)
/** BARTER_BAR_PREFETCH - prefetchable */
#define BARTER_BAR_PREFETCH	(1U << 1)
/** BARTER_BAR_64 - 64 bits wide */
#define BARTER_BAR_64		(1U << 2)
/** BARTER_BAR_UNASSIGNED - the firmware or kernel gave it no address */
#define BARTER_BAR_UNASSIGNED	(1U << 3)

/**
 * struct barter_bar - a BAR as sysfs shows it
 * @length: bytes
 * @flags: BARTER_BAR_*
 * @index: 0..5
 */
struct barter_bar {
	uint64_t length;
	uint32_t flags;
	uint32_t index;
};

/**
 * barter_pci_bar() - look at a BAR
 * @pci: the device
 * @index: 0..5
 * @bar: where the answer goes
 *
 * Return: 0, -ENODEV if the device lacks it, -EINVAL.
 */
int barter_pci_bar(const struct barter_pci *pci, uint32_t index,
		   struct barter_bar *bar);

/* What stands between a device and lending. */
#define BARTER_LEND_NOW		0 /* bound to BARTER_DRIVER */
#define BARTER_LEND_BIND	1 /* "barter bind" is all it takes */
#define BARTER_LEND_SHARED	2 /* its group has devices of other drivers */
#define BARTER_LEND_NO_IOMMU	3 /* it is in no IOMMU group */
#define BARTER_LEND_NO_BAR	4 /* no memory BAR of at least a page */
#define BARTER_LEND_BRIDGE	5 /* a bridge */

/**
 * barter_pci_lendable() - can the device's BARs be lent
 * @topology: the picture
 * @pci: the device
 * @text: where one line for people goes, or NULL
 * @length: room at @text
 *
 * Return: BARTER_LEND_*.
 */
int barter_pci_lendable(const struct barter_topology *topology,
			const struct barter_pci *pci, char *text,
			size_t length);

/**
 * barter_lendable_name() - word for an answer of barter_pci_lendable()
 * @lendable: BARTER_LEND_*
 *
 * Return: "now", "bind", "group-shared", "no-iommu", "no-bar", "bridge" or
 * "unknown"; static.
 */
const char *barter_lendable_name(int lendable);

/**
 * barter_pci_blocks_group() - does it keep its group from VFIO
 * @pci: the device
 *
 * Return: 1 if it is bound to a driver that does DMA for the host, so that no
 * other device of its group can be opened; else 0.
 */
int barter_pci_blocks_group(const struct barter_pci *pci);

/* ---- Drivers ---------------------------------------------------------- */

/**
 * barter_driver_loaded() - is a PCI driver there
 * @driver: its name
 *
 * Return: 1 or 0.
 */
int barter_driver_loaded(const char *driver);

/**
 * barter_driver_override() - say which driver alone may take a device
 * @bdf: the device
 * @driver: the driver's name; NULL lets the kernel choose again
 *
 * Return: 0, -EINVAL (@bdf is no address, or @driver too long), -ENODEV, -EACCES, or what
 * writing gives.
 */
int barter_driver_override(const char *bdf, const char *driver);

/**
 * barter_driver_detach() - take a device from its driver
 * @bdf: the device
 *
 * Of a VFIO driver the kernel waits there until nobody has the device open.
 *
 * Return: 0 also if it has none, -EINVAL (no address), -ENODEV, -EACCES, or what writing
 * gives.
 */
int barter_driver_detach(const char *bdf);

/**
 * barter_driver_probe() - let a device find its driver
 * @bdf: the device
 *
 * That a driver was found is seen from a new barter_topology_read().
 *
 * Return: 0, -EINVAL (no address), -ENODEV, -EACCES, or what writing gives (the driver's
 * own error).
 */
int barter_driver_probe(const char *bdf);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_PCI_H */
