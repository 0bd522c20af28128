/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A device that is bound to its driver, and unbound, without memory.
 */
#ifndef TESTS_FAULT_BIND_H
#define TESTS_FAULT_BIND_H

#include <stdbool.h>

/*
 * Without a driver, but enabled: a driver's pci_enable_device() only counts then. Else
 * ACPI looks up the interrupt, and on the way back from a failed allocation its
 * interpreter uses an object after it has freed it (acpi_ns_get_attached_object()).
 */
void fault_enable(const char *bdf);

/* Choose what fault_bind() and fault_unbind() are about; bound. Bails out. */
void fault_bind_begin(const char *driver, const char *bdf);
void fault_bind_end(void);
int fault_bind(void);
int fault_unbind(void);

/*
 * Sweep both. @works: the device, which is bound, can be used. Binding may say @error and
 * @error2 besides ENOMEM. Bound at the end; fault_witness is NULL then.
 */
void fault_bind_sweep(const char *driver, const char *bdf, bool (*works)(void), int error,
		      int error2);
/* The same without unbind. */
void fault_bind_only_sweep(const char *driver, const char *bdf, bool (*works)(void), int error,
			   int error2);

#endif
