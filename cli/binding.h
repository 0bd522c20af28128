/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What bind and unbind share: who uses a device, and what it had before.
 */
#ifndef BARTER_BINDING_H
#define BARTER_BINDING_H

#include "cli.h"

/*
 * Is the device in use? Returns 1 and one line for people at @text (a process
 * that has it open, a network interface that is up, a mounted disk), else 0.
 */
int device_in_use(const struct barter_pci *pci, char *text, size_t length);

/* The driver and driver_override that a device had; empty: none. */
struct earlier {
	char driver[64];
	char override[64];
};

/*
 * Kept in /run/barter (BARTER_RUN names another folder), one small file per
 * device, so that a reboot forgets it as it forgets the binding. 0 or -errno;
 * loading gives -ENOENT if nothing is known.
 */
int earlier_save(const struct barter_pci *pci);
int earlier_load(const char *bdf, struct earlier *earlier);
void earlier_forget(const char *bdf);

/*
 * Give the device back to what it had. Returns 0 or the errno of the step that
 * failed.
 */
int earlier_restore(const char *bdf, const struct earlier *earlier);

#endif /* BARTER_BINDING_H */
