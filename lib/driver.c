// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which driver a PCI device is bound to: thin steps over sysfs. Policy, such
 * as what to refuse and what to restore, is the caller's.
 */
#include "internal.h"

#include <stdio.h>

BARTER_API int barter_driver_loaded(const char *driver)
{
	char path[BARTER_PATH_LENGTH];

	return !barter_path_sysfs(path, sizeof(path), "bus/pci/drivers/%s",
				  driver) && !access(path, F_OK);
}

/* The device's full name; -ENODEV if sysfs does not have it. */
static int device_name(const char *bdf, char *name)
{
	char path[BARTER_PATH_LENGTH];
	struct barter_bdf address;
	int ret;

	ret = barter_bdf_parse(bdf, &address);
	if (ret)
		return ret;
	barter_bdf_format(&address, name);
	ret = barter_path_sysfs(path, sizeof(path), "bus/pci/devices/%s",
				name);
	if (ret)
		return ret;
	return access(path, F_OK) ? -ENODEV : 0;
}

BARTER_API int barter_driver_override(const char *bdf, const char *driver)
{
	char path[BARTER_PATH_LENGTH], name[BARTER_BDF_LENGTH], text[80];
	int ret, used;

	/* A newline alone clears it: an empty write never reaches the kernel. */
	used = snprintf(text, sizeof(text), "%s\n", driver ? driver : "");
	if (used < 0 || (size_t)used >= sizeof(text))
		return -EINVAL;
	ret = device_name(bdf, name);
	if (!ret)
		ret = barter_path_sysfs(path, sizeof(path),
					"bus/pci/devices/%s/driver_override",
					name);
	return ret ? ret : barter_file_write(path, text);
}

BARTER_API int barter_driver_detach(const char *bdf)
{
	char path[BARTER_PATH_LENGTH], name[BARTER_BDF_LENGTH];
	int ret;

	ret = device_name(bdf, name);
	if (!ret)
		ret = barter_path_sysfs(path, sizeof(path),
					"bus/pci/devices/%s/driver/unbind",
					name);
	if (!ret)
		ret = barter_file_write(path, name);
	return ret == -ENOENT ? 0 : ret;
}

BARTER_API int barter_driver_probe(const char *bdf)
{
	char path[BARTER_PATH_LENGTH], name[BARTER_BDF_LENGTH];
	int ret;

	ret = device_name(bdf, name);
	if (!ret)
		ret = barter_path_sysfs(path, sizeof(path),
					"bus/pci/drivers_probe");
	return ret ? ret : barter_file_write(path, name);
}
