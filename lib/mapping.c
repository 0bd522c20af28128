// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * mmap at an address that allows huge pages.
 *
 * The kernel answers a page fault with a huge page only where address and
 * memory agree modulo the huge page's size. mmap() of a device or of a dma-buf
 * does not see to that, so the address is chosen here: reserve more than
 * needed, give it back, and map where the part that is aligned was.
 *
 * Not over the reservation: a mapping that its driver refuses leaves a gap where it was to
 * be (mm/vma.c), which another thread may have filled before the rest is given back.
 */
#include "internal.h"

#include <sys/mman.h>

#define SIZE_2M (2ULL << 20)
#define SIZE_1G (1ULL << 30)
/* For an address that others want too. */
#define TRIES	4

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
	unsigned int tries;

	if (!length || length > SIZE_MAX / 2 ||
	    file_offset > (uint64_t)INT64_MAX)
		return -EINVAL;
	length = page_up(length);

	for (tries = 0; align && tries < TRIES; tries++) {
		void *got, *reserved = mmap(NULL, length + align, PROT_NONE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		uintptr_t base = (uintptr_t)reserved;

		if (reserved == MAP_FAILED)
			break;
		munmap(reserved, length + align);
		base += (uintptr_t)((align_offset - base) & (align - 1));
		got = mmap((void *)base, length, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
			   (off_t)file_offset);
		if (got != MAP_FAILED) {
			*address = got;
			return 0;
		}
		/* EEXIST: another thread was faster. */
		if (errno != EEXIST)
			return -errno;
	}
	/* Small pages, then. */
	return map_anywhere(fd, file_offset, length, prot, address);
}

BARTER_API int barter_unmap(void *address, uint64_t length)
{
	return munmap(address, page_up(length)) ? -errno : 0;
}
