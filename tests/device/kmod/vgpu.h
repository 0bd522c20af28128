/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What barter-test-vgpu.ko offers to tests, for root only: the in-kernel API of
 * barter-vgpu under a test's control, /dev/barter-test-vgpu.
 *
 * Three spaces: one of each of two VFIO devices, "barter-vgpu-test.0" and ".1", which
 * are platform devices with an emulated IOMMU, made when the file is first opened; and
 * one over a mock of a guest: memory of the module's own from guest address 0 on.
 * A file owns the maps that it makes; closing it unmaps them. Module and tests are
 * built together, so this is no stable ABI. Errors that are not named: EFAULT, ENOMEM,
 * EINVAL, ENOENT (no such map), and what barter-vgpu answered, unchanged.
 */
#ifndef BARTER_TEST_VGPU_H
#define BARTER_TEST_VGPU_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VT_IOC		0xBE
#define VT_VFIO0	0
#define VT_VFIO1	1
#define VT_MOCK		2
#define VT_SPACES	3

/* Devices to map for. */
#define VT_NONE		0	/* no device */
#define VT_PLAIN0	1	/* two that get physical addresses */
#define VT_PLAIN1	2
#define VT_NEAR		3	/* one that reaches 16 MiB only */
#define VT_PCI		4	/* a PCI device, @bdf of VT_SETUP */
#define VT_DEVICES	5

/*
 * Pages of the mock's guest, and the first of them that are contiguous. Behind them,
 * up to VT_MOCK_GUEST, nothing is mapped at first; what is mapped there is the same
 * pages again.
 */
#define VT_MOCK_PAGES	8192
#define VT_MOCK_RUN	1024
#define VT_MOCK_GUEST	(1U << 20)

/* How the driver takes an invalidate. */
#define VT_PROMPT	0	/* gives everything back in the call */
#define VT_LATER	1	/* from a work item, @delay_ms later */
#define VT_STUCK	2	/* not before VT_LETGO */
#define VT_MISUSE	3	/* prompt, after calls that are not allowed there */
#define VT_WARNED	4	/* the same, of which the kernel warns, too */

/**
 * struct vt_setup - VT_SETUP
 * @space: VT_*
 * @behaviour: how its driver takes invalidates from now on
 * @delay_ms: for VT_LATER
 * @max_segment: longest segment of all the devices, 0: leave it
 * @boundary: of the plain devices, 0: leave it
 * @domain: of the PCI device, all 0: none
 * @bus: of the PCI device
 * @devfn: of the PCI device
 */
struct vt_setup {
	__u32 space;
	__u32 behaviour;
	__u32 delay_ms;
	__u32 max_segment;
	__aligned_u64 boundary;
	__u16 domain;
	__u8 bus;
	__u8 devfn;
	__u32 __pad;
};

/**
 * struct vt_map - VT_MAP
 * @space: VT_*
 * @prot: BARTER_VGPU_*
 * @device: VT_*
 * @out_id: the same number for the same map
 * @iova: guest address
 * @npages: pages
 * @out_runs: physical runs, counted by barter_vgpu_page()
 * @out_segments: for the device
 * @out_first: physical address of the first page
 * @out_address: the device's address of the first byte
 * @out_longest: bytes of the longest segment
 */
struct vt_map {
	__u32 space;
	__u32 prot;
	__u32 device;
	__u32 out_id;
	__aligned_u64 iova;
	__aligned_u64 npages;
	__aligned_u64 out_runs;
	__aligned_u64 out_segments;
	__aligned_u64 out_first;
	__aligned_u64 out_address;
	__aligned_u64 out_longest;
};

/* VT_UNMAP_MANY: one reference of each. */
struct vt_many {
	__u32 space;
	__u32 nr;
	__aligned_u64 ids;		/* __u32 */
};

/*
 * VT_LOOK: a page of a map: its frame, how many follow, and its first 8 bytes, which
 * are replaced if @poke.
 */
struct vt_look {
	__u32 space;
	__u32 id;
	__aligned_u64 index;
	__u32 poke;
	__u32 out_valid;
	__aligned_u64 value;
	__aligned_u64 out_pfn;
	__aligned_u64 out_run;
	__aligned_u64 out_address;	/* for the device */
	__aligned_u64 out_length;	/* to the end of its segment */
};

/* VT_STAT; as struct barter_vgpu_stat, then of the test's driver. */
struct vt_stat {
	__u32 space;
	__u32 out_misused;		/* VT_MISUSE calls that were not refused */
	__aligned_u64 out_pages;
	__aligned_u64 out_maps;
	__aligned_u64 out_batches;
	__aligned_u64 out_pins;
	__aligned_u64 out_pinned;
	__aligned_u64 out_unpins;
	__aligned_u64 out_hits;
	__aligned_u64 out_invalidates;
	__aligned_u64 out_late;
	__aligned_u64 out_owed;		/* maps that it was told of and still has */
};

/* VT_COPY: guest memory to or from @buffer. */
struct vt_copy {
	__u32 space;
	__u32 write;
	__aligned_u64 iova;
	__aligned_u64 buffer;
	__aligned_u64 length;
};

/* What a page of the mock's guest is. */
#define VT_PAGE_RW	0
#define VT_PAGE_RO	1
#define VT_PAGE_NONE	2
#define VT_PAGE_BAR	3	/* pin gives a page that is not RAM's */
#define VT_PAGE_BUSY	4	/* pin says EREMOTE, as of what iommufd unmaps just then */

#define VT_MOCK_NEW	0	/* a new guest, space open; ends the one before */
#define VT_MOCK_PAGES_ARE 1	/* @arg: VT_PAGE_* from now on */
/* The guest unmaps; EDEADLK if it left pages pinned. @arg: goes on until LET then. */
#define VT_MOCK_UNMAP	2
#define VT_MOCK_CLOSE	3
#define VT_MOCK_OPEN	4
/* And copies; @arg: not they, but unpins, before. */
#define VT_MOCK_HOLD	5	/* pins wait from now on, after they were made */
#define VT_MOCK_LET	6	/* and no more */
#define VT_MOCK_ANY	7	/* @arg: may unpins be of any range? */
#define VT_MOCK_FAIL	8	/* the @arg-th pin from now on fails with ENOMEM */
#define VT_MOCK_LIMITS	9	/* @first pages, @npages maps at most, in the next NEW */
/*
 * UNMAP asks again while pages are pinned, and @arg times at least, as type 1 does when
 * another device has some; at most VT_MOCK_MOST times. If no pin waits then its
 * first page is mapped each time, and unmapped at once. With @npages each time is for a
 * range that lies so many pages behind the last, as when type 1 has been fooled.
 */
#define VT_MOCK_ASKS	10
#define VT_MOCK_MOST	11
/*
 * The guest unmaps page @first; VFIO asks VT_MOCK_MOST times, the first time all of as many
 * devices, then one after the other: each is opened again when the one before is closed,
 * and maps the page when it was asked, and unmaps it at once.
 */
#define VT_MOCK_SWAP	12
/* Pins, or copies if @arg, answer @first, an int, from now on, and do nothing; 0: no more. */
#define VT_MOCK_ANSWER	  13

/**
 * struct vt_mock - VT_MOCK_CALL
 * @op: VT_MOCK_*
 * @arg: see there
 * @first: page
 * @npages: pages
 * @out_pinned: pages of the range that are pinned
 * @out_most: the highest number of pins of one of them
 * @out_dirty: pages of the range that were reported dirty
 * @out_wrong: unpins of what was not pinned, or not so, or by who is killed
 * @out_waiting: pins and copies, or unpins, that wait
 * @out_asked: how often a pin or a copy was asked for since NEW
 * @out_rounds: how often the last UNMAP has asked
 * @out_mapped: the last round of these after which it could be mapped
 */
struct vt_mock {
	__u32 op;
	__u32 arg;
	__aligned_u64 first;
	__aligned_u64 npages;
	__aligned_u64 out_pinned;
	__aligned_u64 out_most;
	__aligned_u64 out_dirty;
	__aligned_u64 out_wrong;
	__aligned_u64 out_waiting;
	__aligned_u64 out_asked;
	__aligned_u64 out_rounds;
	__aligned_u64 out_mapped;
};

#define VT_SETUP	_IOW(VT_IOC, 0, struct vt_setup)
#define VT_MAP		_IOWR(VT_IOC, 1, struct vt_map)
/* Give one reference back. */
struct vt_id {
	__u32 space;
	__u32 id;
};
#define VT_UNMAP	_IOW(VT_IOC, 2, struct vt_id)
#define VT_UNMAP_MANY	_IOW(VT_IOC, 3, struct vt_many)
#define VT_LOOK		_IOWR(VT_IOC, 4, struct vt_look)
#define VT_STAT		_IOWR(VT_IOC, 5, struct vt_stat)
#define VT_COPY		_IOW(VT_IOC, 6, struct vt_copy)
#define VT_MOCK_CALL	_IOWR(VT_IOC, 7, struct vt_mock)
/* The space gives back what its driver owes, and is prompt from now on. */
#define VT_LETGO	_IO(VT_IOC, 8)		/* argument: the space */
/* barter_vgpu_revoke_device(); id is the device. */
#define VT_REVOKE	_IOW(VT_IOC, 9, struct vt_id)

/* How VT_TIME maps. */
#define VT_TIME_MAP	0	/* barter_vgpu_map(), and back */
#define VT_TIME_LOOP	1	/* page by page with VFIO and the DMA API, and back */
#define VT_TIME_PIN	2	/* VFIO alone, by 512 pages */
#define VT_TIME_DMA	3	/* the DMA API alone, a scatterlist of pages that are pinned */

/**
 * struct vt_time - VT_TIME: @repeat times, each timed together
 * @space: VT_*
 * @how: VT_TIME_*; all but VT_TIME_MAP for VFIO spaces with a device only
 * @prot: BARTER_VGPU_*
 * @device: VT_*
 * @iova: guest address
 * @npages: pages
 * @repeat: how often; each is undone before the next
 * @step: pages from one to the next
 * @out_map_ns: of all maps, without what asking for the time takes
 * @out_unmap_ns: of undoing them
 */
struct vt_time {
	__u32 space;
	__u32 how;
	__u32 prot;
	__u32 device;
	__aligned_u64 iova;
	__aligned_u64 npages;
	__u32 repeat;
	__u32 step;
	__aligned_u64 out_map_ns;
	__aligned_u64 out_unmap_ns;
};

#define VT_TIME		_IOWR(VT_IOC, 10, struct vt_time)

#endif /* BARTER_TEST_VGPU_H */
