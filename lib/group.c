// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The old way to a VFIO device: IOMMU group and container. The kernel lets a
 * group be opened once, so devices of one group share this object.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/*
 * A container has an IOMMU as long as a group is in it, and a space lives as
 * long as a device of such a group: so @has_type1 never has to be cleared.
 */
static int group_join(struct barter_group *group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status))
		return -errno;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return -EPERM;
	if (ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &group->space->fd))
		return -errno;
	if (group->space->has_type1)
		return 0;
	if (ioctl(group->space->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	group->space->has_type1 = 1;
	return 0;
}

int barter_group_open(int number, struct barter_space *space,
		      struct barter_group **group)
{
	char path[BARTER_PATH_LENGTH];
	struct barter_group *new;
	int ret;

	ret = barter_path_dev(path, sizeof(path), "vfio/%d", number);
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->references = 1;
	new->number = number;
	new->space = barter_space_get(space);
	new->fd = open(path, O_RDWR | O_CLOEXEC);
	/* No node: no device of the group is bound to a VFIO driver. */
	if (new->fd < 0) {
		ret = errno == ENOENT ? -ENXIO : -errno;
		goto err_free_group;
	}
	ret = group_join(new);
	if (ret)
		goto err_close_group;
	*group = new;
	return 0;

err_close_group:
	close(new->fd);
err_free_group:
	barter_space_put(new->space);
	free(new);
	return ret;
}

struct barter_group *barter_group_get(struct barter_group *group)
{
	group->references++;
	return group;
}

void barter_group_put(struct barter_group *group)
{
	if (!group || --group->references)
		return;
	ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER);
	close(group->fd);
	barter_space_put(group->space);
	free(group);
}

int barter_group_device(struct barter_group *group, const char *name)
{
	int fd = ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);

	if (fd >= 0)
		return fd;
	/* ENODEV here: the group is open, but this device is not VFIO's. */
	return errno == ENODEV ? -ENXIO : -errno;
}
