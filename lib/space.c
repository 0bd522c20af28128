// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The address space in which devices do DMA: a type 1 container, or an
 * iommufd with one IOAS. Devices may share one, so it is counted.
 */
#include "internal.h"
#include "iommufd_abi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int space_new(const char *node, int is_iommufd,
		     struct barter_space **space)
{
	char path[BARTER_PATH_LENGTH];
	struct barter_space *new;
	int ret;

	ret = barter_path_dev(path, sizeof(path), "%s", node);
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->references = 1;
	new->is_iommufd = is_iommufd;
	new->fd = open(path, O_RDWR | O_CLOEXEC);
	if (new->fd < 0) {
		ret = -errno;
		free(new);
		return ret;
	}
	*space = new;
	return 0;
}

struct barter_space *barter_space_get(struct barter_space *space)
{
	space->references++;
	return space;
}

void barter_space_put(struct barter_space *space)
{
	if (!space || --space->references)
		return;
	close(space->fd);
	free(space);
}

int barter_space_new_container(struct barter_space **space)
{
	struct barter_space *new;
	int ret;

	ret = space_new("vfio/vfio", 0, &new);
	if (ret)
		return ret;
	if (ioctl(new->fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(new->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
		barter_space_put(new);
		return -EOPNOTSUPP;
	}
	*space = new;
	return 0;
}

int barter_space_new_iommufd(struct barter_space **space)
{
	struct barter_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct barter_space *new;
	int ret;

	ret = space_new("iommu", 1, &new);
	if (ret)
		return ret;
	if (ioctl(new->fd, BARTER_IOMMU_IOAS_ALLOC, &alloc)) {
		ret = -errno;
		barter_space_put(new);
		return ret;
	}
	new->ioas = alloc.out_ioas_id;
	*space = new;
	return 0;
}

int barter_space_map(struct barter_space *space, void *address,
		     uint64_t length, uint64_t iova, int prot)
{
	if (space->is_iommufd) {
		struct barter_ioas_map_va map = {
			.size = sizeof(map),
			.flags = BARTER_IOAS_MAP_FIXED_IOVA |
				 (prot & PROT_READ ?
				  BARTER_IOAS_MAP_READABLE : 0) |
				 (prot & PROT_WRITE ?
				  BARTER_IOAS_MAP_WRITEABLE : 0),
			.ioas_id = space->ioas,
			.user_va = (uintptr_t)address,
			.length = length,
			.iova = iova,
		};

		if (!ioctl(space->fd, BARTER_IOMMU_IOAS_MAP, &map))
			return 0;
		/* One errno for both ways: something is mapped there. */
		return errno == EADDRINUSE ? -EEXIST : -errno;
	} else {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = (prot & PROT_READ ?
				  VFIO_DMA_MAP_FLAG_READ : 0U) |
				 (prot & PROT_WRITE ?
				  VFIO_DMA_MAP_FLAG_WRITE : 0U),
			.vaddr = (uintptr_t)address,
			.iova = iova,
			.size = length,
		};

		return ioctl(space->fd, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
	}
}

int barter_space_unmap(struct barter_space *space, uint64_t iova,
		       uint64_t length)
{
	if (space->is_iommufd) {
		struct barter_ioas_unmap unmap = {
			.size = sizeof(unmap),
			.ioas_id = space->ioas,
			.iova = iova,
			.length = length,
		};

		return ioctl(space->fd, BARTER_IOMMU_IOAS_UNMAP, &unmap) ?
		       -errno : 0;
	} else {
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = sizeof(unmap),
			.iova = iova,
			.size = length,
		};

		if (ioctl(space->fd, VFIO_IOMMU_UNMAP_DMA, &unmap))
			return -errno;
		/* Type 1 says yes and reports 0 bytes if nothing was there. */
		return unmap.size ? 0 : -ENOENT;
	}
}
