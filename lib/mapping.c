// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * mmap at an address that allows huge pages.
 *
 * The kernel answers a page fault with a huge page only where address and
 * memory agree modulo the huge page's size. mmap() of a device or of a dma-buf
 * does not see to that, so the address is chosen here: reserve more than
 * needed, map over the part that is aligned, give the rest back.
 */
#include "internal.h"

#include <sys/mman.h>

#define SIZE_2M (2ULL << 20)
#define SIZE_1G (1ULL << 30)

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t page_up(uint64_t length)
{
	return (length + page_size() - 1) & ~(page_size() - 1);
}

/* The largest alignment that @length can gain from. */
static uint64_t alignment_for(uint64_t length)
{
	if (sizeof(void *) > 4 && length >= SIZE_1G)
		return SIZE_1G;
	return length >= SIZE_2M ? SIZE_2M : 0;
}

static int map_anywhere(int fd, uint64_t file_offset, uint64_t length,
			int prot, void **address)
{
	void *got = mmap(NULL, length, prot, MAP_SHARED, fd,
			 (off_t)file_offset);

	if (got == MAP_FAILED)
		return -errno;
	*address = got;
	return 0;
}

/*
 * The address is congruent to @align_offset, the offset within the device's
 * memory; @file_offset is where that lies in the file.
 */
int barter_map_aligned(int fd, uint64_t file_offset, uint64_t align_offset,
		       uint64_t length, int prot, void **address)
{
	uint64_t align = alignment_for(length);
	uintptr_t base, start, end;
	void *reserved, *got;
	int ret;

	if (!length || length > SIZE_MAX / 2 ||
	    file_offset > (uint64_t)INT64_MAX)
		return -EINVAL;
	length = page_up(length);
	if (!align)
		return map_anywhere(fd, file_offset, length, prot, address);

	reserved = mmap(NULL, length + align, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED)	/* no room: small pages, then */
		return map_anywhere(fd, file_offset, length, prot, address);
	base = (uintptr_t)reserved;
	end = base + length + align;
	start = base + (uintptr_t)((align_offset - base) & (align - 1));
	got = mmap((void *)start, length, prot, MAP_SHARED | MAP_FIXED, fd,
		   (off_t)file_offset);
	if (got == MAP_FAILED) {
		ret = -errno;
		munmap(reserved, length + align);
		return ret;
	}
	if (start > base)
		munmap(reserved, start - base);
	if (end > start + length)
		munmap((char *)got + length, end - start - length);
	*address = got;
	return 0;
}

BARTER_API int barter_unmap(void *address, uint64_t length)
{
	return munmap(address, page_up(length)) ? -errno : 0;
}
