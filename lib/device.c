// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Open and close a VFIO device by its PCI address.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define OPEN_FLAGS (BARTER_OPEN_MEMORY | BARTER_OPEN_MASTER | \
		    BARTER_OPEN_GROUP | BARTER_OPEN_CDEV)

/* The device's IOMMU group. */
static int group_number(const char *name, int *number)
{
	char path[BARTER_PATH_LENGTH], text[32], *end;
	int ret;

	ret = barter_path_sysfs(path, sizeof(path), "bus/pci/devices/%s",
				name);
	if (ret)
		return ret;
	if (access(path, F_OK))
		return errno == ENOENT ? -ENODEV : -errno;
	ret = barter_path_sysfs(path, sizeof(path),
				"bus/pci/devices/%s/iommu_group", name);
	if (ret)
		return ret;
	ret = barter_link_name(path, text, sizeof(text));
	if (ret)
		return ret == -ENOENT ? -ENXIO : ret;
	*number = (int)strtol(text, &end, 10);
	return *end || end == text ? -ENXIO : 0;
}

static int open_by_cdev(struct barter_device *device,
			struct barter_device *other)
{
	char path[BARTER_PATH_LENGTH];
	int ret;

	ret = barter_cdev_find(device->name, path, sizeof(path));
	if (ret)
		return ret == -ENOENT ? -EOPNOTSUPP : ret;
	if (other) {
		device->space = barter_space_get(other->space);
	} else {
		ret = barter_space_new_iommufd(&device->space);
		if (ret)
			return ret == -ENOENT ? -EOPNOTSUPP : ret;
	}
	ret = barter_cdev_open(path, device->space, &device->fd);
	if (ret) {
		barter_space_put(device->space);
		device->space = NULL;
		return ret;
	}
	device->is_cdev = 1;
	return 0;
}

static int open_by_group(struct barter_device *device,
			 struct barter_device *other)
{
	int number, fd, ret;

	ret = group_number(device->name, &number);
	if (ret)
		return ret;
	if (other)
		device->space = barter_space_get(other->space);
	else
		ret = barter_space_new_container(&device->space);
	if (ret)
		return ret;
	if (other && other->group->number == number)
		device->group = barter_group_get(other->group);
	else
		ret = barter_group_open(number, device->space, &device->group);
	if (ret)
		goto err_put_space;
	fd = barter_group_device(device->group, device->name);
	if (fd < 0) {
		ret = fd;
		goto err_put_group;
	}
	device->fd = fd;
	return 0;

err_put_group:
	barter_group_put(device->group);
	device->group = NULL;
err_put_space:
	barter_space_put(device->space);
	device->space = NULL;
	return ret;
}

static int open_either_way(struct barter_device *device, uint32_t flags,
			   struct barter_device *other)
{
	int ret;

	if (other)
		return other->is_cdev ? open_by_cdev(device, other) :
		       open_by_group(device, other);
	if (!(flags & BARTER_OPEN_GROUP)) {
		ret = open_by_cdev(device, NULL);
		if (ret != -EOPNOTSUPP || (flags & BARTER_OPEN_CDEV))
			return ret;
	}
	return open_by_group(device, NULL);
}

BARTER_API int barter_device_open_beside(const char *bdf, uint32_t flags,
					 struct barter_device *other,
					 struct barter_device **device)
{
	struct barter_device *new;
	struct barter_bdf address;
	int number, ret;

	if (flags & ~OPEN_FLAGS ||
	    ((flags & BARTER_OPEN_GROUP) && (flags & BARTER_OPEN_CDEV)))
		return -EINVAL;
	ret = barter_bdf_parse(bdf, &address);
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->fd = -1;
	barter_bdf_format(&address, new->name);
	ret = group_number(new->name, &number);
	if (!ret)
		ret = open_either_way(new, flags, other);
	if (ret)
		goto err_close_device;
	ret = barter_device_region(new, VFIO_PCI_CONFIG_REGION_INDEX,
				   &new->config);
	if (!ret && (flags & BARTER_OPEN_MEMORY))
		ret = barter_device_set_memory(new, 1);
	if (!ret && (flags & BARTER_OPEN_MASTER))
		ret = barter_device_set_master(new, 1);
	if (ret)
		goto err_close_device;
	*device = new;
	return 0;

err_close_device:
	barter_device_close(new);
	return ret;
}

BARTER_API int barter_device_open(const char *bdf, uint32_t flags,
				  struct barter_device **device)
{
	return barter_device_open_beside(bdf, flags, NULL, device);
}

BARTER_API void barter_device_close(struct barter_device *device)
{
	if (!device)
		return;
	barter_peers_orphan(device);
	if (device->fd >= 0)
		close(device->fd);
	barter_group_put(device->group);
	barter_space_put(device->space);
	free(device);
}

BARTER_API int barter_device_fd(const struct barter_device *device)
{
	return device->fd;
}

BARTER_API const char *barter_device_name(const struct barter_device *device)
{
	return device->name;
}

BARTER_API int barter_device_is_cdev(const struct barter_device *device)
{
	return device->is_cdev;
}

BARTER_API int barter_device_ioas(const struct barter_device *device,
				  int *iommufd, uint32_t *ioas)
{
	if (!device->space->is_iommufd)
		return -EOPNOTSUPP;
	*iommufd = device->space->fd;
	*ioas = device->space->ioas;
	return 0;
}

BARTER_API int barter_device_on_request(struct barter_device *device,
					int eventfd)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd,
	};

	return ioctl(device->fd, VFIO_DEVICE_SET_IRQS, &request) ? -errno : 0;
}
