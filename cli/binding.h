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

/* What became of one device that was to be bound or unbound. */
struct bound {
	const char *name;
	char driver[64];	/* it has now; empty: none */
	char had[64];		/* it had before; empty: none */
	int status;		/* EXIT_* */
	char error[400];
};

/* The driver that a device has now, from sysfs read anew; "" for none. */
void driver_now(const char *name, char *driver, size_t length);
/* All of them as --json has it. */
void bound_json(const struct bound *bound, int count);

/*
 * Can barter bind take @pci without taking anything from anybody: it has no driver and
 * its group goes to VFIO? For barter doctor --fix.
 */
int bind_is_harmless(const struct barter_topology *topology,
		     const struct barter_pci *pci);
/* Binds one device, says on stderr what went wrong; EXIT_*. */
int bind_one(const struct barter_pci *pci, struct bound *bound);

#endif /* BARTER_BINDING_H */
