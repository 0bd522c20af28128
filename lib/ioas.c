// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Scattered pieces of a BAR at one contiguous address of an iommufd address
 * space (IOAS).
 *
 * iommufd maps a dma-buf only if it is the kernel's own and has one range. So
 * there is one such buffer, which spans all the pieces, and one iommufd area
 * for each piece, at offsets within the buffer. iommufd drops what an area maps
 * when the buffer is revoked and never fills it again, yet the area still
 * occupies its addresses: mapping again means to unmap it first.
 */
#include "internal.h"
#include "iommufd_abi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

struct barter_ioas_area {
	int iommufd;
	int buffer;
	uint32_t ioas;
	uint32_t map_flags;
	uint64_t iova;
	uint64_t start;		/* of the buffer in the BAR */
	uint64_t length;
	uint32_t nr_ranges;
	uint32_t mapped;	/* so many ranges, from the first on */
	struct barter_range ranges[];
};

static int map_one(const struct barter_ioas_area *area, uint32_t index,
		   uint64_t iova)
{
	const struct barter_range *range = &area->ranges[index];
	struct barter_ioas_map_file map = {
		.size = sizeof(map),
		.flags = area->map_flags,
		.ioas_id = area->ioas,
		.fd = area->buffer,
		.start = range->offset - area->start,
		.length = range->length,
		.iova = iova,
	};

	if (!ioctl(area->iommufd, BARTER_IOMMU_IOAS_MAP_FILE, &map))
		return 0;
	switch (errno) {
	case EADDRINUSE:	/* one errno for all ways: something is there */
		return -EEXIST;
	case ENOTTY:		/* an iommufd that maps no files */
		return -EOPNOTSUPP;
	default:
		return -errno;
	}
}

static int unmap_one(const struct barter_ioas_area *area, uint32_t index,
		     uint64_t iova)
{
	struct barter_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = area->ioas,
		.iova = iova,
		.length = area->ranges[index].length,
	};

	return ioctl(area->iommufd, BARTER_IOMMU_IOAS_UNMAP, &unmap) ?
	       -errno : 0;
}

/* All that is mapped goes, whatever happens; the first error is told. */
static int unmap_all(struct barter_ioas_area *area)
{
	uint64_t iova = area->iova;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < area->mapped; i++) {
		int error = unmap_one(area, i, iova);

		if (!ret)
			ret = error;
		iova += area->ranges[i].length;
	}
	area->mapped = 0;
	return ret;
}

static int map_all(struct barter_ioas_area *area)
{
	uint64_t iova = area->iova;

	for (; area->mapped < area->nr_ranges; area->mapped++) {
		int ret = map_one(area, area->mapped, iova);

		if (ret) {
			unmap_all(area);
			return ret;
		}
		iova += area->ranges[area->mapped].length;
	}
	return 0;
}

/* The buffer that holds every range, and the sum of their lengths. */
static int measure(const struct barter_ioas_request *request,
		   struct barter_range *span, uint64_t *length)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = UINT64_MAX, end = 0, sum = 0;
	uint32_t i;

	if (request->size != sizeof(*request) || request->flags ||
	    !request->nr_ranges || !request->prot ||
	    request->prot & ~(uint32_t)(PROT_READ | PROT_WRITE) ||
	    request->iova % page)
		return -EINVAL;
	if (request->nr_ranges > BARTER_MAX_RANGES)
		return -E2BIG;
	for (i = 0; i < request->nr_ranges; i++) {
		const struct barter_range *range = &request->ranges[i];
		uint64_t range_end;

		if (!range->length || range->offset % page ||
		    range->length % page)
			return -EINVAL;
		if (__builtin_add_overflow(range->offset, range->length,
					   &range_end) ||
		    __builtin_add_overflow(sum, range->length, &sum))
			return -EOVERFLOW;
		if (range->offset < first)
			first = range->offset;
		if (range_end > end)
			end = range_end;
	}
	if (request->iova + sum < sum)
		return -EOVERFLOW;
	span->offset = first;
	span->length = end - first;
	*length = sum;
	return 0;
}

static void area_free(struct barter_ioas_area *area)
{
	if (area->buffer >= 0)
		close(area->buffer);
	if (area->iommufd >= 0)
		close(area->iommufd);
	free(area);
}

BARTER_API int barter_ioas_map(struct barter_device *device,
			       const struct barter_ioas_request *request,
			       struct barter_ioas_area **area)
{
	struct barter_range span;
	struct barter_export what = {
		.size = sizeof(what),
		.bar = request->bar,
		.flags = BARTER_EXPORT_NATIVE,
		.open_flags = O_RDWR,
		.nr_ranges = 1,
		.ranges = &span,
	};
	struct barter_ioas_area *new;
	uint64_t length;
	size_t table;
	int ret;

	ret = measure(request, &span, &length);
	if (ret)
		return ret;
	table = request->nr_ranges * sizeof(new->ranges[0]);
	new = malloc(sizeof(*new) + table);
	if (!new)
		return -ENOMEM;
	*new = (struct barter_ioas_area) {
		.buffer = -1,
		.ioas = request->ioas,
		.map_flags = BARTER_IOAS_MAP_FIXED_IOVA |
			     (request->prot & PROT_READ ?
			      BARTER_IOAS_MAP_READABLE : 0) |
			     (request->prot & PROT_WRITE ?
			      BARTER_IOAS_MAP_WRITEABLE : 0),
		.iova = request->iova,
		.start = span.offset,
		.length = length,
		.nr_ranges = request->nr_ranges,
	};
	memcpy(new->ranges, request->ranges, table);

	/* A copy of the fd: the caller may close his at any time. */
	new->iommufd = fcntl(request->iommufd, F_DUPFD_CLOEXEC, 0);
	if (new->iommufd < 0) {
		ret = -errno;
		goto err_free_area;
	}
	ret = barter_device_export(device, &what, &new->buffer);
	if (ret)
		goto err_free_area;
	ret = map_all(new);
	if (ret)
		goto err_free_area;
	*area = new;
	return 0;

err_free_area:
	area_free(new);
	return ret;
}

BARTER_API int barter_ioas_remap(struct barter_ioas_area *area)
{
	int ret = unmap_all(area);

	/* Somebody else unmapped a piece: the addresses are free all the same. */
	if (ret && ret != -ENOENT)
		return ret;
	return map_all(area);
}

BARTER_API int barter_ioas_unmap(struct barter_ioas_area *area)
{
	int ret;

	if (!area)
		return 0;
	ret = unmap_all(area);
	area_free(area);
	return ret;
}

BARTER_API uint64_t barter_ioas_length(const struct barter_ioas_area *area)
{
	return area->length;
}
