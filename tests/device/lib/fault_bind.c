// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Bind and unbind without memory, see fault_bind.h.
 */
#define _GNU_SOURCE
#include "fault_bind.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fault.h"
#include "pci.h"
#include "tap.h"

static int bind_file = -1, unbind_file = -1;
static const char *device, *driver;
static bool (*works)(void);

static bool has_driver(const char *name)
{
	char bound[64];

	pci_driver(device, bound, sizeof(bound));
	return !strcmp(bound, name);
}

static bool is_bound(void)
{
	return has_driver(driver);
}

static bool is_unbound(void)
{
	return has_driver("");
}

void fault_enable(const char *bdf)
{
	device = bdf;
	if ((!is_unbound() && pci_unbind(bdf)) ||
	    sysfs_write("1", "/sys/bus/pci/devices/%s/enable", bdf))
		tap_bail("%s is not enabled", bdf);
}

static int open_driver(const char *attribute)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver, attribute);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		tap_bail("%s: %s", path, strerror(errno));
	return fd;
}

void fault_bind_begin(const char *name, const char *bdf)
{
	device = bdf;
	driver = name;
	if (pci_bind(bdf, name))
		tap_bail("%s is not bound to %s", bdf, name);
	bind_file = open_driver("bind");
	unbind_file = open_driver("unbind");
}

void fault_bind_end(void)
{
	close(bind_file);
	close(unbind_file);
}

int fault_bind(void)
{
	return write(bind_file, device, strlen(device)) < 0 ? -errno : 0;
}

int fault_unbind(void)
{
	return write(unbind_file, device, strlen(device)) < 0 ? -errno : 0;
}

static bool whole_bind(int ret)
{
	bool fine = is_bound() && works();

	(void)ret;
	return !fault_unbind() && fine;
}

static bool whole_unbind(int ret)
{
	(void)ret;
	return is_unbound() && !fault_bind() && is_bound() && works();
}

/* It is unbound before and afterwards. */
static void sweep_bind(int error, int error2)
{
	char text[64];
	const struct fault_call bind = {
		.name = text,
		.call = fault_bind,
		.whole = whole_bind,
		.least = 10,
		.fails = 5,
		.errnos = { error, error2 },
	};

	snprintf(text, sizeof(text), "bind to %s", driver);
	fault_witness = is_unbound;
	fault_sweep(&bind);
	fault_witness = NULL;
}

static void sweep_unbind(void)
{
	char text[64];
	const struct fault_call unbind = {
		.name = text,
		.call = fault_unbind,
		.whole = whole_unbind,
		.least = 3,
	};

	snprintf(text, sizeof(text), "unbind from %s", driver);
	fault_witness = is_bound;
	fault_sweep(&unbind);
	fault_witness = NULL;
}

void fault_bind_only_sweep(const char *name, const char *bdf, bool (*fn)(void), int error,
			   int error2)
{
	works = fn;
	fault_bind_begin(name, bdf);
	is_errno(fault_unbind(), 0, "%s is unbound", bdf);
	sweep_bind(error, error2);
	is_errno(fault_bind(), 0, "%s is bound again", bdf);
	fault_bind_end();
}

void fault_bind_sweep(const char *name, const char *bdf, bool (*fn)(void), int error, int error2)
{
	works = fn;
	fault_bind_begin(name, bdf);
	sweep_unbind();
	fault_bind_end();
	fault_bind_only_sweep(name, bdf, fn, error, error2);
}
