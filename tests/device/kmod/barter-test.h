/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What barter-test.ko offers to tests: /dev/barter-test, for root only.
 *
 * A file plays up to BARTER_TEST_IMPORTERS importers, well-behaved and not, and
 * owns up to BARTER_TEST_FENCES fences; closing it ends them all. Importers also
 * end when their device is removed or a driver is unbound from it. Module and
 * tests are built together, so this is no stable ABI: no sizes, no versions.
 *
 * mmap of the file passes on to the dma-buf whose fd is the page offset.
 *
 * Where an ioctl's argument is just an id, it is passed by value. Errors that
 * are not named: EFAULT, ENOMEM, EINTR, ENOENT (no such id), and whatever the
 * exporter answered to an attach, map or pin, unchanged.
 */
#ifndef BARTER_TEST_H
#define BARTER_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BARTER_TEST_IOC_TYPE	0xBC

#define BARTER_TEST_IMPORTERS	16
#define BARTER_TEST_FENCES	16
#define BARTER_TEST_SEGMENTS	64
#define BARTER_TEST_FOREIGN_MAX	(1U << 20)

/*
 * Kinds of importers. Without a flag: a PCI device, dynamic, takes peer-to-peer
 * memory, and unmaps inside the invalidate callback.
 */
#define BARTER_TEST_F_PLATFORM	(1U << 0) /* no PCI device: one of the module's own */
#define BARTER_TEST_F_STATIC	(1U << 1) /* no importer ops: cannot be told */
#define BARTER_TEST_F_NO_P2P	(1U << 2) /* dynamic, allow_peer2peer false */
#define BARTER_TEST_F_STUCK	(1U << 3) /* keeps the mapping until LETGO */
#define BARTER_TEST_F_SLOW	(1U << 4) /* unmaps from a work item, delay_ms later */
#define BARTER_TEST_F_MUTE	(1U << 5) /* importer ops without that callback, from 7.1 */

/**
 * struct barter_test_attach - BARTER_TEST_IOC_ATTACH
 * @dmabuf_fd: what to attach to; kept open by the importer
 * @flags: BARTER_TEST_F_*; STATIC goes with none of those that follow it, STUCK
 *	not with SLOW, MUTE with none but PLATFORM
 * @domain: the importing device; any PCI device, with or without a driver. All
 *	three 0 with PLATFORM
 * @bus: its bus
 * @devfn: its slot and function
 * @dma_bits: DMA mask to give the device, 0 to leave it. The mask is the
 *	device's, not the importer's; detaching puts the former one back
 * @max_segment: longest DMA segment the device takes, 0 to leave it; likewise
 * @delay_ms: for SLOW, at most 60000
 * @out_id: the importer
 *
 * Errors: EINVAL (also: MUTE before 7.1, where dma-buf itself warns of it), EBADF,
 * ENODEV (no such PCI device), EBUSY (user space owns the device's DMA, as under
 * vfio-pci, or a driver is being bound or unbound), EIO (mask not possible), ENOSPC.
 */
struct barter_test_attach {
	__s32 dmabuf_fd;
	__u32 flags;
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 dma_bits;
	__u32 max_segment;
	__u32 delay_ms;
	__u32 out_id;
};

/* As in the kernel's enum dma_data_direction. */
#define BARTER_TEST_BIDIRECTIONAL	0
#define BARTER_TEST_TO_DEVICE		1	/* the importer reads */
#define BARTER_TEST_FROM_DEVICE		2	/* the importer writes */

struct barter_test_segment {
	__u64 address;
	__u64 length;
};

/**
 * struct barter_test_map - BARTER_TEST_IOC_MAP
 * @id: the importer
 * @direction: BARTER_TEST_BIDIRECTIONAL, _TO_DEVICE or _FROM_DEVICE
 * @out_segments: DMA segments in all
 * @__pad: ignored
 * @out_length: bytes of all of them
 * @segments: the first BARTER_TEST_SEGMENTS of them
 *
 * Errors: EINVAL, EBUSY (this importer has a mapping).
 */
struct barter_test_map {
	__u32 id;
	__u32 direction;
	__u32 out_segments;
	__u32 __pad;
	__aligned_u64 out_length;
	struct barter_test_segment segments[BARTER_TEST_SEGMENTS];
};

/**
 * struct barter_test_stat - BARTER_TEST_IOC_STAT; takes no lock that a revoke or
 *	a blocked map could hold
 * @id: the importer
 * @out_mapped: 1 while it holds a mapping
 * @out_owed: 1 while it was told to let go of that mapping and has not
 * @out_pins: PINs minus UNPINs
 * @out_invalidates: times it was told to let go, mapped or not
 * @out_maps: mappings made so far
 */
struct barter_test_stat {
	__u32 id;
	__u32 out_mapped;
	__u32 out_owed;
	__u32 out_pins;
	__aligned_u64 out_invalidates;
	__aligned_u64 out_maps;
};

/**
 * struct barter_test_fence - BARTER_TEST_IOC_FENCE_NEW
 * @out_id: for FENCE_SIGNAL
 * @out_fd: sync_file of a new fence that is not signalled, driver and timeline
 *	"barter-test"; attach it with DMA_BUF_IOCTL_IMPORT_SYNC_FILE
 * @signal_ms: after so long it is signalled by itself, at most 60000; 0: it is not. Its id is
 *	taken until FENCE_SIGNAL all the same
 *
 * Errors: EINVAL (@signal_ms), ENOSPC.
 */
struct barter_test_fence {
	__u32 out_id;
	__s32 out_fd;
	__u32 signal_ms;
};

/**
 * struct barter_test_foreign - BARTER_TEST_IOC_FOREIGN, a dma-buf that is not
 *	barter's: system memory, one DMA segment or more, mmap-able, never revoked
 * @length: bytes, a multiple of the page size up to BARTER_TEST_FOREIGN_MAX
 * @out_fd: the dma-buf
 * @__pad: ignored
 *
 * Lives for itself, not with the file. A kernel with CONFIG_DMA_API_DEBUG warns
 * when more than seven importers have it mapped (before 7.1: are attached to it).
 * Errors: EINVAL.
 */
struct barter_test_foreign {
	__aligned_u64 length;
	__s32 out_fd;
	__u32 __pad;
};

/* Memory types of x86, as its page attribute table has them. */
#define BARTER_TEST_TYPE_UC		0
#define BARTER_TEST_TYPE_WC		1
#define BARTER_TEST_TYPE_WB		6
#define BARTER_TEST_TYPE_UC_MINUS	7

/**
 * struct barter_test_page - BARTER_TEST_IOC_PAGE, what the caller's page table has
 * @address: in a mapping of device memory of the caller's
 * @out_bits: PWT, PCD and PAT of the entry as bits 0, 1 and 2
 * @out_type: what the CPU's page attribute table has for these bits
 * @out_large: the entry is of 2 MiB or more
 * @out_special: the entry is one without a struct page, and says so
 * @out_writable: as it says
 * @__pad: 0
 * @out_pfn: page number
 *
 * Errors: EINVAL (no such mapping), ENODATA (nothing is there at present),
 * EOPNOTSUPP (not x86).
 */
struct barter_test_page {
	__aligned_u64 address;
	__u32 out_bits;
	__u32 out_type;
	__u32 out_large;
	__u32 out_special;
	__u32 out_writable;
	__u32 __pad;
	__aligned_u64 out_pfn;
};

#define BARTER_TEST_IOC_ATTACH \
	_IOWR(BARTER_TEST_IOC_TYPE, 0x00, struct barter_test_attach)
/* Lets go of everything first. Argument: id. */
#define BARTER_TEST_IOC_DETACH		_IO(BARTER_TEST_IOC_TYPE, 0x01)
#define BARTER_TEST_IOC_MAP \
	_IOWR(BARTER_TEST_IOC_TYPE, 0x02, struct barter_test_map)
/* Argument: id. ENODATA: nothing is mapped (any more). */
#define BARTER_TEST_IOC_UNMAP		_IO(BARTER_TEST_IOC_TYPE, 0x03)
/* Argument: id. EINVAL: a STATIC importer. */
#define BARTER_TEST_IOC_PIN		_IO(BARTER_TEST_IOC_TYPE, 0x04)
/* Argument: id. ENODATA: not pinned. */
#define BARTER_TEST_IOC_UNPIN		_IO(BARTER_TEST_IOC_TYPE, 0x05)
#define BARTER_TEST_IOC_STAT \
	_IOWR(BARTER_TEST_IOC_TYPE, 0x06, struct barter_test_stat)
/* A STUCK importer unmaps what it owes, and behaves from now on. Argument: id. */
#define BARTER_TEST_IOC_LETGO		_IO(BARTER_TEST_IOC_TYPE, 0x07)
#define BARTER_TEST_IOC_FENCE_NEW	_IOWR(BARTER_TEST_IOC_TYPE, 0x08, struct barter_test_fence)
/* Argument: id, free after this. */
#define BARTER_TEST_IOC_FENCE_SIGNAL	_IO(BARTER_TEST_IOC_TYPE, 0x09)
#define BARTER_TEST_IOC_FOREIGN \
	_IOWR(BARTER_TEST_IOC_TYPE, 0x0a, struct barter_test_foreign)
#define BARTER_TEST_IOC_PAGE \
	_IOWR(BARTER_TEST_IOC_TYPE, 0x0b, struct barter_test_page)

#endif /* BARTER_TEST_H */
