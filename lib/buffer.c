// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * For whoever merely holds a dma-buf fd: its length, a mapping, how it stands.
 */
#include "internal.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/vfs.h>

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

/* The library works with every kind of dma-buf, but with no other file. */
static int check_dmabuf(int fd)
{
	struct statfs where;

	if (fstatfs(fd, &where))
		return -errno;
	return (uint64_t)where.f_type == DMA_BUF_MAGIC ? 0 : -EINVAL;
}

BARTER_API int barter_buffer_length(int fd, uint64_t *length)
{
	int ret = check_dmabuf(fd);
	off_t end;

	if (ret)
		return ret;
	end = lseek(fd, 0, SEEK_END);
	if (end <= 0)
		return end ? -errno : -EINVAL;
	*length = (uint64_t)end;
	return 0;
}

/* The exporter calls itself by its module's name. */
BARTER_API int barter_buffer_kind(int fd, uint32_t *kind)
{
	char path[64], text[1024], name[32] = "";
	int ret = check_dmabuf(fd);
	const char *line;

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ret = barter_file_read(path, text, sizeof(text));
	if (ret)
		return ret;
	line = strstr(text, "\nexp_name:");
	if (line)
		sscanf(line, "\nexp_name: %31s", name);
	if (!strcmp(name, "barter"))
		*kind = BARTER_KIND_BARTER;
	else if (!strcmp(name, "vfio_pci_core"))
		*kind = BARTER_KIND_NATIVE;
	else
		*kind = BARTER_KIND_OTHER;
	return 0;
}

BARTER_API int barter_buffer_ranges(int control, int fd,
				    struct barter_range **ranges,
				    uint32_t *nr_ranges)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	struct barter_range *array;
	int ret;

	ret = barter_buffer_info(control, &info);
	if (ret)
		return ret;
	/* The ranges of a buffer never change. */
	array = calloc(info.out_nr_ranges ? info.out_nr_ranges : 1,
		       sizeof(*array));
	if (!array)
		return -ENOMEM;
	info.ranges = (uintptr_t)array;
	info.nr_ranges = info.out_nr_ranges;
	ret = barter_buffer_info(control, &info);
	if (ret) {
		free(array);
		return ret;
	}
	*ranges = array;
	*nr_ranges = info.nr_ranges;
	return 0;
}

/*
 * Where the mapping should lie modulo a huge page. In a buffer of many ranges
 * the largest decides; of a slice only the kernel knows where in the BAR it is, and
 * tells it modulo 2 MiB; without /dev/barter assume that the buffer begins at the
 * BAR's begin.
 */
static uint64_t align_offset(int fd, uint64_t offset)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	struct barter_range *ranges;
	uint64_t start = 0, best = 0, answer = offset;
	uint32_t nr, i;

	if (!barter_buffer_info(-1, &info) &&
	    info.out_flags & BARTER_BUFFER_SLICE)
		return info.out_huge_phase + offset;
	if (barter_buffer_ranges(-1, fd, &ranges, &nr))
		return offset;
	for (i = 0; i < nr; i++) {
		if (ranges[i].length > best) {
			best = ranges[i].length;
			answer = ranges[i].offset - start + offset;
		}
		start += ranges[i].length;
	}
	free(ranges);
	return answer;
}

BARTER_API int barter_buffer_map(int fd, uint64_t offset, uint64_t length,
				 int prot, void **address)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t whole, align;
	int ret;

	ret = barter_buffer_length(fd, &whole);
	if (ret)
		return ret;
	if (!length)
		length = offset < whole ? whole - offset : 0;
	if (!length || offset % page || offset > whole ||
	    length > whole - offset)
		return -EINVAL;
	align = length >= 2ULL << 20 ? align_offset(fd, offset) : offset;
	return barter_map_aligned(fd, offset, align, length, prot, address);
}
