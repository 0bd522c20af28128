// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory that a device does not reach by itself, and memory that cannot be pinned.
 *
 * vgpu_core:bounce: a kernel that has bounce buffers (swiotlb=force).
 * vgpu_core:dax: a kernel that takes some of its RAM for persistent memory (memmap=N!AT).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../lib/fixture.h"
#include "vgpu_core.h"

#define BOUNCE "/sys/module/barter_test_bounce/parameters/"

static long number(const char *path)
{
	char text[32];

	return sysfs_read(text, sizeof(text), "%s", path) < 0 ? -1 : atol(text);
}

/* Slots of bounce buffers that somebody has. */
static long slots(void)
{
	return number("/sys/kernel/debug/swiotlb/io_tlb_used");
}

/* The guest's memory would be copied, behind the guest's back: it is refused instead. */
void bounce(void)
{
	const unsigned long n = 16;
	uint8_t *p = begin(n, true);
	struct vt_look look = { .poke = 0 };
	struct vt_map map;
	long before;

	is_errno(vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, NULL), ENXIO,
		 "a device whose transfers all go through bounce buffers");
	is_empty(VT_VFIO0, "undone");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PCI, &map), "one behind the IOMMU needs none");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_NONE, &map), "nor does a pin without a device");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");

	need(!sysfs_write("1", BOUNCE "watch"), "bounce buffers when we say so");
	before = slots();
	ok(before >= 0, "%ld slots of them are in use", before);
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, &map), "without them the device may");
	vt_look(VT_VFIO0, map.out_id, 5, &look);
	ok(look.out_address == look.out_pfn * PAGE, "by the addresses of the pages themselves");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	is_errno(sysfs_write("1", BOUNCE "late"), 0, "the kernel changes its mind while it maps");
	is_errno(vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, NULL), ENXIO,
		 "the addresses are those of bounce buffers after all");
	is(number(BOUNCE "late"), 3, "it did, and they were given back");
	is(slots(), before, "no slot is in use that was not");
	is_empty(VT_VFIO0, "undone");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, &map), "and again without them");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	is_errno(sysfs_write("0", BOUNCE "watch"), 0, "bounce buffers for all");
	is_errno(vt_map(VT_VFIO0, AT, n, VT_W, VT_PLAIN0, NULL), ENXIO, "refused");
	is(slots(), before, "no slot was taken");
	is_empty(VT_VFIO0, "undone");
	end(p, n);
}

/*
 * A file on persistent memory: its pages are the file's blocks, which the file system may
 * give to another file while somebody has them pinned. The kernel refuses a pin for long.
 */
void dax(void)
{
	const unsigned long n = 16;
	struct vt_map map;
	uint8_t *p, *ram;
	bool there;
	int fd;

	need(!system("modprobe nd_e820 && modprobe nd_pmem && modprobe ext4"), "its drivers");
	WAIT_FOR(there, !access("/dev/pmem0", F_OK), 10000);
	need(there, "persistent memory");
	need(!system("mke2fs -b 4096 /dev/pmem0 >/dev/null && mkdir -p /pmem") &&
		     !mount("/dev/pmem0", "/pmem", "ext4", 0, "dax=always"),
	     "a file system on it");
	fd = open("/pmem/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && !ftruncate(fd, n * PAGE), "a file");
	/* MAP_SYNC is refused for what is not such a file. */
	p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	need(p != MAP_FAILED, "whose blocks a process maps");
	memset(p, 0x5a, n * PAGE);
	ram = memory(n);
	need(!guest_open(&g, 0, NULL, false) && !guest_map(&g, ram, AT, n * PAGE, true) &&
		     !guest_map(&g, p, AT + n * PAGE, n * PAGE, true),
	     "a guest whose memory is RAM and, behind it, that");
	is_errno(vt_map(VT_VFIO0, AT + n * PAGE, 1, VT_W, VT_NONE, NULL), EOPNOTSUPP,
		 "a page of it, for writing");
	is_errno(vt_map(VT_VFIO0, AT + n * PAGE, n, VT_R, VT_PLAIN0, NULL), EOPNOTSUPP,
		 "all of it, for reading by a device");
	is_errno(vt_map(VT_VFIO0, AT, 2 * n, VT_W, VT_PCI, NULL), EOPNOTSUPP, "RAM with it behind");
	is_empty(VT_VFIO0, "undone");
	need(!vt_map(VT_VFIO0, AT, n, VT_W, VT_PCI, &map), "the RAM alone");
	is(vt_unmap(VT_VFIO0, map.out_id), 0, "unmap");
	end(ram, n);
	is_empty(VT_VFIO0, "closed");
	munmap(p, n * PAGE);
	close(fd);
	is(umount("/pmem"), 0, "nobody has a page of the file system");
}
