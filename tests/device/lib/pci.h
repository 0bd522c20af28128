/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * PCI devices by way of sysfs: find, bind, reset, remove, look behind VFIO.
 */
#ifndef TESTS_PCI_H
#define TESTS_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BDF_LENGTH	16

/* Vendor in the upper, device in the lower half. */
#define PCI_IVSHMEM	0x1af41110u
#define PCI_EDU		0x123411e8u
#define PCI_NVME	0x1b360010u
#define PCI_TESTDEV	0x1b360005u

/* The driver that the tests exercise; BARTER_DRIVER overrides it. */
const char *pci_lender(void);

/* The @nth device of that id, in address order; -ENODEV. */
int pci_find(uint32_t id, unsigned int nth, char bdf[BDF_LENGTH]);
/* The driver's name, "" if none. */
void pci_driver(const char *bdf, char *name, size_t size);
int pci_bind(const char *bdf, const char *driver);
int pci_unbind(const char *bdf);
int pci_reset(const char *bdf);
bool pci_can_reset(const char *bdf);
int pci_remove(const char *bdf);
int pci_rescan(void);
int pci_group(const char *bdf);
int pci_exists(const char *bdf);
/* The bridge above a device; "" on the root bus. */
void pci_parent(const char *bdf, char *name, size_t size);

/* Physical address and length of a BAR; 0 if the device lacks it. */
uint64_t pci_bar(const char *bdf, int bar, uint64_t *length, uint64_t *flags);

/*
 * The COMMAND register as the hardware has it, behind VFIO's back: to show
 * that nothing reaches the BAR although it decodes.
 */
int pci_raw_command(const char *bdf);
int pci_raw_set_memory(const char *bdf, bool on);

/* Write a file of sysfs and say so; or say nothing. 0 or -errno. */
int sysfs_write(const char *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int sysfs_put(const char *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int sysfs_read(char *text, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Does DMA API debugging watch? It takes mappings that were begun and undone for leaks,
 * and more than seven of the same memory. Its folder in debugfs is there also where it
 * was turned off.
 */
bool dma_is_debugged(void);
/* How many mappings it knows of, all drivers' together; -1 where it does not watch. */
int dma_entries(void);

#endif
