// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The new way to a VFIO device: /dev/vfio/devices/vfioN, bound to an iommufd.
 */
#include "internal.h"
#include "iommufd_abi.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

/* The device's node, or -ENOENT: the kernel has no such node for it. */
int barter_cdev_find(const char *name, char *path, size_t length)
{
	char folder[BARTER_PATH_LENGTH];
	struct dirent *entry;
	DIR *dir;
	int ret;

	ret = barter_path_sysfs(folder, sizeof(folder),
				"bus/pci/devices/%s/vfio-dev", name);
	if (ret)
		return ret;
	dir = opendir(folder);
	if (!dir)
		return -errno;
	ret = -ENOENT;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		ret = barter_path_dev(path, length, "vfio/devices/%s",
				      entry->d_name);
		break;
	}
	closedir(dir);
	/* A kernel without CONFIG_VFIO_DEVICE_CDEV has the folder alone. */
	if (!ret && access(path, F_OK))
		ret = -ENOENT;
	return ret;
}

int barter_cdev_open(const char *path, struct barter_space *space, int *fd)
{
	struct barter_vfio_bind bind = {
		.argsz = sizeof(bind),
		.iommufd = space->fd,
	};
	struct barter_vfio_attach attach = {
		.argsz = sizeof(attach),
		.pt_id = space->ioas,
	};
	int new = open(path, O_RDWR | O_CLOEXEC);
	int ret;

	if (new < 0)
		return -errno;
	/* A request like this is invalid only if the device is open already. */
	if (ioctl(new, BARTER_VFIO_BIND_IOMMUFD, &bind))
		ret = errno == EINVAL ? -EBUSY : -errno;
	else
		ret = ioctl(new, BARTER_VFIO_ATTACH_IOMMUFD, &attach) ? -errno : 0;
	if (ret) {
		close(new);
		return ret;
	}
	*fd = new;
	return 0;
}
