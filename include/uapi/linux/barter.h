/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter's ABI: what a process sees of lent PCI device memory.
 *
 * Two doors:
 *
 *  - The VFIO device fd of a device bound to barter-vfio-pci. Whoever owns the
 *    device exports ranges of a BAR as a dma-buf with VFIO_DEVICE_FEATURE
 *    number 11 (VFIO_DEVICE_FEATURE_DMA_BUF), in the layout that Linux has
 *    since 6.19, here on every kernel from 6.12.
 *  - /dev/barter. Whoever merely holds such a dma-buf fd asks about it.
 *
 * Rules that hold for every structure of /dev/barter:
 *
 *  - The first field is @size, sizeof() of the structure as the caller knows
 *    it. A larger structure is accepted as long as the part that the kernel
 *    does not know is zero and it is no larger than a page (else -E2BIG); a smaller one than the first
 *    released layout is -EINVAL.
 *  - Reserved fields and unknown flags must be zero, else -EINVAL.
 *  - Fields whose names begin with out_ are written by the kernel and ignored
 *    on the way in. The kernel writes min(size, its own size) bytes.
 *  - The layout is the same for 32-bit and 64-bit callers.
 *
 * What an errno means, for all calls:
 *
 *  ENOTTY      the ioctl number is unknown
 *  EINVAL      malformed request, or the fd is not a barter dma-buf
 *  EFAULT      a pointer cannot be read or written
 *  EBADF       no such open file
 *  ENODEV      no such device or BAR, or the buffer is revoked at present
 *  EBADFD      the buffer is dead, it will never come back
 *  EOPNOTSUPP  this importer, device or kernel cannot do it
 *  E2BIG       too many ranges, or an unknown part of a structure is not zero
 *  ELOOP       too many levels of slices of slices
 *  EOVERFLOW   an offset plus a length does not fit the address space
 *  EPERM       the caller may not do this
 *  EXDEV       DMA between the two devices has no permitted route
 *  ENOMEM      out of memory or over the caller's memory cgroup limit
 *  ENOSPC      mmap of a buffer: the device's mmap space (6 TiB for a VFIO device, less
 *              its BARs) has no room left for one as long as the buffer. A buffer keeps
 *              its room from its first mmap until it is freed, however little of it is
 *              mapped. Or: no more watches fit one open file
 *  EEXIST      it is there already
 *  ENOENT      there is none of that, or no such memory attribute
 *  EINTR       a signal ended the wait; where a revoke waits, a fatal one
 *  EBUSY       somebody else has it, or has a buffer with one of its pages mapped with
 *              another attribute
 */
#ifndef _UAPI_LINUX_BARTER_H
#define _UAPI_LINUX_BARTER_H

#include <linux/ioctl.h>
#include <linux/types.h>
#ifdef __KERNEL__
#include <uapi/linux/vfio.h>
#else
#include <linux/vfio.h>
#endif

/*
 * VFIO_DEVICE_FEATURE 11, for programs built with headers older than 6.19.
 *
 * VFIO_DEVICE_FEATURE_GET on the device fd returns a new dma-buf fd that
 * covers the given ranges of one BAR, one after the other. Every offset and
 * length is a multiple of the page size; ranges may overlap and come in any
 * order. @flags is 0; @open_flags takes O_CLOEXEC and an access mode, which
 * limits what mmap of the fd may do, as upstream; it does not limit DMA.
 *
 * Errors: EINVAL (no range, flags, open_flags, misaligned, length 0, a range
 * not whole inside the BAR, the sum overflows, an I/O port BAR), ENODEV
 * (region_index is not one of the six BARs, or the device lacks that BAR),
 * EOVERFLOW (offset + length overflows), E2BIG (more than
 * BARTER_MAX_RANGES ranges or a sum above BARTER_MAX_OVERCOMMIT times the
 * BAR's length: barter's own limits), EBUSY (another driver has claimed the
 * BAR), EFAULT, ENOMEM, EMFILE, EINTR.
 */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF 11

struct vfio_region_dma_range {
	__u64 offset;
	__u64 length;
};

struct vfio_device_feature_dma_buf {
	__u32 region_index;
	__u32 open_flags;
	__u32 flags;
	__u32 nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};
#endif

/*
 * Numbers of VFIO_DEVICE_FEATURE that are barter's own. Those from 12 up belong
 * to Linux. EXPORT and NATIVE give a new dma-buf fd for VFIO_DEVICE_FEATURE_GET,
 * REVOKE is for VFIO_DEVICE_FEATURE_SET, and all can be probed
 * (VFIO_DEVICE_FEATURE_PROBE) without side effects.
 *
 * BARTER_FEATURE_EXPORT takes struct barter_feature_export and always gives a
 * buffer of barter's, whereas what feature 11 gives is up to the module
 * parameter barter_vfio_pci.feature11.
 *
 * BARTER_FEATURE_NATIVE takes what feature 11 takes and gives a buffer of the
 * kernel's own exporter: one that iommufd accepts, if it has a single range. It
 * carries the kernel's guarantees only, has no mmap, and /dev/barter does not
 * know it. Errors are the kernel's own, and EOPNOTSUPP where it has no exporter
 * (before 6.19, or without CONFIG_VFIO_PCI_DMABUF).
 *
 * BARTER_FEATURE_REVOKE takes struct barter_feature_revoke and takes one buffer of
 * this device back for ever.
 */
#define BARTER_FEATURE_EXPORT	0xBA00
#define BARTER_FEATURE_NATIVE	0xBA01
#define BARTER_FEATURE_REVOKE	0xBA02
#define BARTER_FEATURE_MEMATTR	0xBA03

/*
 * BARTER_FEATURE_EXPORT: nobody writes through this buffer or a slice of it, neither
 * a CPU nor a device. An importer gets it only in a way that enforces this.
 */
#define BARTER_EXPORT_READ_ONLY	(1U << 0)

/* How a CPU reads and writes what it has mapped of a buffer. */
#define BARTER_MEMATTR_UC	0	/* uncached, as BARs are mapped otherwise */
#define BARTER_MEMATTR_WC	1	/* writes may be combined and put off */

/* Of the name of a buffer or mapping, with the NUL: what dma-buf has room for. */
#define BARTER_BUFFER_NAME_LENGTH	32

/* BARTER_FEATURE_EXPORT: @memattr also where it is unsafe, as MEMATTR_FORCE. */
#define BARTER_EXPORT_FORCE_ATTRIBUTE	(1U << 1)

/**
 * struct barter_feature_export - BARTER_FEATURE_EXPORT, lend pieces of a BAR
 * @size: sizeof(struct barter_feature_export)
 * @flags: BARTER_EXPORT_*
 * @region_index: BAR index 0..5
 * @open_flags: O_CLOEXEC and an access mode, as for feature 11; the mode is O_RDONLY
 *	with BARTER_EXPORT_READ_ONLY
 * @nr_ranges: how many @ranges
 * @__reserved: 0
 * @ranges: pointer to an array of struct barter_range
 * @memattr: BARTER_MEMATTR_*
 * @__reserved2: 0
 * @name: what /proc/PID/maps and fdinfo call the buffer; ends with a NUL, may be
 *	empty
 *
 * Errors: as for feature 11; also EINVAL where @size is too small or larger
 * than argsz leaves room for, or @name has no end, E2BIG where it is larger than a
 * page or an unknown part is not zero; and for another @memattr than
 * BARTER_MEMATTR_UC those of struct barter_feature_memattr.
 */
struct barter_feature_export {
	__u32 size;
	__u32 flags;
	__u32 region_index;
	__u32 open_flags;
	__u32 nr_ranges;
	__u32 __reserved;
	__aligned_u64 ranges;
	__u32 memattr;
	__u32 __reserved2;
	char name[BARTER_BUFFER_NAME_LENGTH];
};

/* BARTER_FEATURE_MEMATTR: also where it is unsafe, see there. */
#define BARTER_MEMATTR_FORCE	(1U << 0)

/**
 * struct barter_feature_memattr - BARTER_FEATURE_MEMATTR, how mappings are cached
 * @size: sizeof(struct barter_feature_memattr)
 * @flags: BARTER_MEMATTR_FORCE
 * @dmabuf_fd: a buffer of this device
 * @memattr: BARTER_MEMATTR_*
 *
 * Holds for every mmap of the buffer from now on; mappings that are there stay as
 * they are. Only VFIO_DEVICE_FEATURE_SET. One page is not to have two live mappings with
 * different attributes, whether of one buffer, of two of the same device, or of the
 * BAR through the device fd. What counts as mapped is all of a buffer that a mapping
 * shows any part of, and of the BAR's own mappings what they show: where such a one
 * with another attribute has a page in common with this buffer it is refused, here and
 * at mmap. With BARTER_MEMATTR_FORCE this buffer does not count in that, neither now
 * nor for others later.
 *
 * Errors: EBADF, EINVAL (malformed, or not a dma-buf), ENODEV (not a buffer of
 * barter's, or of another device), EBADFD (dead), ENOENT (no such attribute), EOPNOTSUPP (this
 * machine cannot combine writes, or it is not known whether it can), EPERM (the BAR
 * is not prefetchable, so combining may change what an access does; not with
 * FORCE), EBUSY (as above; not with FORCE),
 * EFAULT, E2BIG, ENOMEM, EINTR.
 */
struct barter_feature_memattr {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 memattr;
};

/**
 * struct barter_feature_revoke - BARTER_FEATURE_REVOKE, end one buffer for ever
 * @size: sizeof(struct barter_feature_revoke)
 * @flags: 0
 * @dmabuf_fd: the buffer, or a slice
 * @__reserved: 0
 *
 * When it returns 0, nobody reaches the memory through the buffer or through a
 * slice that was cut from it, directly or not, and nobody ever will. Other buffers
 * of the device are not touched. Where the end of one of these slices is under way, it is
 * waited for before anything is taken back.
 *
 * Errors: EBADF, EINVAL (malformed, or no dma-buf), ENODEV (a dma-buf that barter has
 * not lent of this device), EBADFD (dead already), EFAULT, E2BIG, EINTR (a fatal signal. If
 * it came while importers were waited for, the buffer is revoked and never comes back,
 * but is not dead: another call ends it).
 */
struct barter_feature_revoke {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 __reserved;
};

/* Limits of one export, and of one slice. */
#define BARTER_MAX_RANGES	(1U << 20)
#define BARTER_MAX_OVERCOMMIT	4U

/* Buffers above a slice, that it is cut from directly or not and that somebody holds. */
#define BARTER_MAX_LEVELS	64U

/* States of a buffer. */
#define BARTER_STATE_OK		0	/* usable */
#define BARTER_STATE_REVOKING	1	/* being taken back, somebody still has it */
#define BARTER_STATE_REVOKED	2	/* taken back for a time */
#define BARTER_STATE_DEAD	3	/* taken back for ever */

/* Why a buffer is not OK: a set of bits, several causes may hold at once. */
#define BARTER_REASON_CONFIG		(1U << 0) /* config write or power change in flight */
#define BARTER_REASON_MEMORY		(1U << 1) /* memory decoding off, or not in D0 */
#define BARTER_REASON_RESET		(1U << 2) /* reset in progress */
#define BARTER_REASON_LOW_POWER		(1U << 3) /* runtime low power requested */
#define BARTER_REASON_ERROR		(1U << 4) /* AER/DPC recovery */
#define BARTER_REASON_CLOSED		(1U << 5) /* device fd closed */
#define BARTER_REASON_GONE		(1U << 6) /* driver unbound or device removed */
#define BARTER_REASON_REQUESTED		(1U << 7) /* revoked on request */
#define BARTER_REASON_INTERRUPTED	(1U << 8) /* a revoke was killed half way */

#define BARTER_IOC_TYPE		0xBA

/**
 * struct barter_range - a piece of a BAR, or of a buffer that a slice is cut from
 * @offset: bytes from the start of the BAR, or of the buffer
 * @length: bytes
 */
struct barter_range {
	__u64 offset;
	__u64 length;
};

#define BARTER_NAME_LENGTH	64
#define BARTER_TEXT_LENGTH	160
#define BARTER_TYPE_LENGTH	32
#define BARTER_TYPES_LENGTH	256

/* Importers that BARTER_IOC_INFO lists at most. */
#define BARTER_MAX_INFO_IMPORTERS	64

/**
 * struct barter_importer_info - an importer of a buffer, as BARTER_IOC_INFO lists it
 * @name: its device and driver
 * @types: the interconnects that it and the exporter can both work with, in the
 *	exporter's order, comma separated
 * @type: the one in use; empty before the first map or pin, and after a revoke
 * @maps: mappings that it holds at present
 * @__reserved: 0
 */
struct barter_importer_info {
	char name[BARTER_NAME_LENGTH];
	char types[BARTER_TYPES_LENGTH];
	char type[BARTER_TYPE_LENGTH];
	__u32 maps;
	__u32 __reserved;
};

/**
 * struct barter_info - BARTER_IOC_INFO, what a buffer is and how it stands
 * @size: sizeof(struct barter_info)
 * @flags: 0
 * @dmabuf_fd: the buffer
 * @nr_ranges: entries that fit at @ranges; 0 to only learn @out_nr_ranges
 * @ranges: pointer to an array of struct barter_range, filled with the first
 *	min(@nr_ranges, @out_nr_ranges) ranges after merging adjacent ones
 * @out_length: bytes in the buffer
 * @out_generation: number of changes of state since the export; even if two
 *	readings show the same state, a different number tells that it changed
 *	in between
 * @out_state: BARTER_STATE_*
 * @out_reasons: BARTER_REASON_* bits, 0 exactly when the state is OK
 * @out_nr_ranges: ranges after merging
 * @out_bar: BAR index 0..5
 * @out_domain: PCI domain of the exporter
 * @out_bus: PCI bus
 * @out_devfn: PCI slot and function, as in PCI_DEVFN
 * @__reserved: 0
 * @out_attachments: importers attached
 * @out_maps: DMA mappings that importers hold at present
 * @out_mmaps: VMAs that map the buffer
 * @__reserved2: 0
 * @out_faults_pte: page faults answered with single pages
 * @out_faults_pmd: page faults answered with a PMD (2 MiB on x86)
 * @out_faults_pud: page faults answered with a PUD (1 GiB on x86)
 * @out_blocker: while a revoke waits or was interrupted: the importer's device
 *	and driver that has not let go, or a fence that is not signalled; else
 *	empty
 * @nr_importers: entries that fit at @importers
 * @out_nr_importers: entries written there: at most @nr_importers,
 *	BARTER_MAX_INFO_IMPORTERS and @out_attachments
 * @importers: pointer to an array of struct barter_importer_info
 * @out_flags: BARTER_BUFFER_* bits
 * @out_slices: slices that were cut from it, or whose parent it has become, and that
 *	somebody holds
 * @out_id: number of the buffer, as the kernel log and debugfs have it; never used
 *	twice
 * @out_parent: of a slice, the number of the buffer that it is cut from, or if that
 *	one has no holder any more, of the next above it that has one; 0 if there is
 *	none
 * @out_memattr: BARTER_MEMATTR_*, of mappings to come
 * @out_forced: 1 if that was by force, else 0
 * @out_name: the buffer's name, empty if it has none
 * @out_huge_phase: an address for the buffer's first byte that is this, modulo 2 MiB,
 *	lets the longest piece of contiguous memory in it have huge pages
 * @__reserved4: 0
 *
 * Of a slice, @ranges are in the buffer that it was cut from. Which device and BAR
 * that is of, its holder learns only if the lending driver permits it (for
 * barter-vfio-pci: module parameter slice_tells_device). If not, @out_bar and
 * @out_domain are 0xffffffff, @out_bus and @out_devfn 0xff, and
 * BARTER_BUFFER_UNTOLD is set.
 *
 * Errors: EINVAL, EBADF, EFAULT, E2BIG, EINTR, ENOMEM.
 */
struct barter_info {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 nr_ranges;
	__aligned_u64 ranges;
	__aligned_u64 out_length;
	__aligned_u64 out_generation;
	__u32 out_state;
	__u32 out_reasons;
	__u32 out_nr_ranges;
	__u32 out_bar;
	__u32 out_domain;
	__u8 out_bus;
	__u8 out_devfn;
	__u16 __reserved;
	__u32 out_attachments;
	__u32 out_maps;
	__u32 out_mmaps;
	__u32 __reserved2;
	__aligned_u64 out_faults_pte;
	__aligned_u64 out_faults_pmd;
	__aligned_u64 out_faults_pud;
	char out_blocker[BARTER_NAME_LENGTH];
	__u32 nr_importers;
	__u32 out_nr_importers;
	__aligned_u64 importers;
	__u32 out_flags;
	__u32 out_slices;
	__aligned_u64 out_id;
	__aligned_u64 out_parent;
	__u32 out_memattr;
	__u32 out_forced;
	char out_name[BARTER_BUFFER_NAME_LENGTH];
	__u32 out_huge_phase;
	__u32 __reserved4;
};

/* What kind of buffer: bits of out_flags. */
#define BARTER_BUFFER_SLICE	(1U << 0)	/* cut from another buffer */
#define BARTER_BUFFER_READ_ONLY	(1U << 1)	/* nobody writes through it */
#define BARTER_BUFFER_UNTOLD	(1U << 2)	/* device and BAR are not told */

/* How DMA of an importer reaches the memory of an exporter. */
#define BARTER_ROUTE_NONE	0	/* it does not */
#define BARTER_ROUTE_BUS	1	/* below a common bridge, by bus address */
#define BARTER_ROUTE_HOST	2	/* through the host bridge, IOMMU included */
#define BARTER_ROUTE_SAME	3	/* functions of one device, no bus crossed */

/* BARTER_IOC_ROUTE: the importer is named by @device_fd, not by BDF. */
#define BARTER_ROUTE_F_DEVICE_FD	(1U << 0)
/* BARTER_IOC_ROUTE: the exporter is named by BDF too, @dmabuf_fd is -1. */
#define BARTER_ROUTE_F_EXPORTER_BDF	(1U << 1)

/**
 * struct barter_route - BARTER_IOC_ROUTE, can this device reach that memory
 * @size: sizeof(struct barter_route)
 * @flags: BARTER_ROUTE_F_*
 * @dmabuf_fd: the buffer whose device is the target; -1 with
 *	BARTER_ROUTE_F_EXPORTER_BDF
 * @device_fd: with BARTER_ROUTE_F_DEVICE_FD an open device fd of a driver that
 *	lends through barter (a VFIO device fd of barter-vfio-pci); else ignored
 * @domain: else the importer's PCI domain; naming a device by address needs
 *	CAP_SYS_ADMIN
 * @bus: the importer's bus
 * @devfn: the importer's slot and function
 * @__reserved: 0
 * @exporter_domain: with BARTER_ROUTE_F_EXPORTER_BDF (needs CAP_SYS_ADMIN), the
 *	PCI domain of the device whose memory is the target, else 0
 * @exporter_bus: its bus, else 0
 * @exporter_devfn: its slot and function, else 0
 * @__reserved2: 0
 * @out_route: BARTER_ROUTE_*
 * @out_reason: a number that is stable for programs, BARTER_WHY_*
 * @out_text: the same for people, with the devices that decided it; empty for a
 *	slice whose device is not told (see struct barter_info), unless the caller
 *	has CAP_SYS_ADMIN
 *
 * The answer is computed anew by each call: ACS can change at run time. A call
 * that finds no route succeeds with @out_route BARTER_ROUTE_NONE.
 *
 * Errors: EINVAL, EBADF, EFAULT, E2BIG, EPERM (BDF without CAP_SYS_ADMIN),
 * ENODEV (no such device, or the buffer's device is gone).
 */
struct barter_route {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__s32 device_fd;
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 __reserved;
	__u32 exporter_domain;
	__u8 exporter_bus;
	__u8 exporter_devfn;
	__u16 __reserved2;
	__u32 out_route;
	__u32 out_reason;
	char out_text[BARTER_TEXT_LENGTH];
};

/* Reasons for a route's answer. Numbers are never reused. */
#define BARTER_WHY_SAME_DEVICE		1	/* functions of one device */
#define BARTER_WHY_COMMON_BRIDGE	2	/* common bridge, no ACS redirect */
#define BARTER_WHY_CPU_ALLOWED		3	/* AMD Zen: host bridge does P2P */
#define BARTER_WHY_BRIDGE_ALLOWED	4	/* host bridge is on the allowlist */
#define BARTER_WHY_ADMIN_ALLOWED	5	/* host bridge allowed by parameter */
#define BARTER_WHY_NOT_PCI		6	/* the importer is no PCI device */
#define BARTER_WHY_BRIDGE_UNKNOWN	7	/* host bridge not on the allowlist */
#define BARTER_WHY_BRIDGES_DIFFER	8	/* two host bridges, not allowed as a pair */
#define BARTER_WHY_DMA_MASK		9	/* the importer cannot address it */
#define BARTER_WHY_KERNEL_REFUSED	10	/* pci_p2pdma_distance() said no */
#define BARTER_WHY_NO_HOST_BRIDGE	11	/* no root device to identify the bridge */

/* BARTER_IOC_SLICE: nobody writes through the slice; @open_flags is O_RDONLY. */
#define BARTER_SLICE_READ_ONLY	(1U << 0)

/**
 * struct barter_slice - BARTER_IOC_SLICE, a buffer from a part of another
 * @size: sizeof(struct barter_slice)
 * @flags: BARTER_SLICE_*
 * @dmabuf_fd: the buffer to cut from, which may be a slice
 * @open_flags: O_CLOEXEC and an access mode
 * @nr_ranges: how many @ranges
 * @__reserved: 0
 * @ranges: pointer to an array of struct barter_range: pieces of the buffer
 *	@dmabuf_fd, in the order in which the slice has them; of whole pages, they may
 *	overlap
 * @out_fd: the slice, a new dma-buf fd
 * @__reserved2: 0
 *
 * Whoever holds a buffer may cut slices from it. A slice has no more rights than
 * what it is cut from: where that is read-only, or its fd is O_RDONLY, the slice is
 * read-only (BARTER_SLICE_READ_ONLY), and it has no access mode that the other fd
 * lacks. It is revoked and restored together with the buffer that it is cut from,
 * and dies with it when that is ended (BARTER_FEATURE_REVOKE); ended by itself, it
 * alone dies. Neither keeps the other: if the holders of one have closed it, the
 * other goes on. A slice of a revoked buffer is born revoked, for the same reasons.
 *
 * Errors: EINVAL (no range, flags, open_flags, misaligned, length 0, a range not
 * whole inside the buffer, the sum overflows, not a buffer of barter's), EPERM (more
 * rights than the buffer has), EBADFD (it is dead), EOVERFLOW, E2BIG (more than
 * BARTER_MAX_RANGES ranges, or as many after they are resolved; a sum above
 * BARTER_MAX_OVERCOMMIT times the length of the buffer, or of any that this was cut
 * from, or of the BAR), ELOOP (more than
 * BARTER_MAX_LEVELS buffers above it), EBADF, EFAULT, ENOMEM, EMFILE, EINTR.
 */
struct barter_slice {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 open_flags;
	__u32 nr_ranges;
	__u32 __reserved;
	__aligned_u64 ranges;
	__s32 out_fd;
	__u32 __reserved2;
};

/* BARTER_IOC_WATCH: end the watch instead of beginning it. */
#define BARTER_WATCH_REMOVE	(1U << 0)

/* Watches that hang on one open /dev/barter at most. */
#define BARTER_MAX_WATCHES	1024

/**
 * struct barter_watch - BARTER_IOC_WATCH, hear of every change of a buffer's state
 * @size: sizeof(struct barter_watch)
 * @flags: BARTER_WATCH_REMOVE or 0
 * @dmabuf_fd: the buffer
 * @eventfd: an eventfd of any kind; its counter is increased by 1 for a signal
 * @out_generation: as in struct barter_info, at this moment
 * @out_state: BARTER_STATE_* at this moment
 * @out_reasons: BARTER_REASON_* at this moment
 *
 * When a call without flags has returned, every change of state from
 * @out_generation on is followed by a signal: BARTER_STATE_REVOKING as soon as
 * a revoke has begun, the state that it ends in once nobody reaches the memory
 * any more, and the end of the revoke. Changes that follow each other quickly may
 * share a signal, never one that came before the last of them. So whoever has
 * been woken reads the eventfd first and asks BARTER_IOC_INFO then: that shows
 * how things stand, and out_generation how many changes there were. A signal
 * without a change since is possible. BARTER_STATE_DEAD is the last change that
 * there is. Other reasons for the same state are none.
 *
 * The signal comes from a worker of the kernel's, soon after the change; the
 * operation that revokes does not wait for it. An eventfd that is full stays
 * full, and waits for nobody.
 *
 * A watch belongs to the open file of /dev/barter that it was made on, and ends
 * when that is closed for the last time (fork() and SCM_RIGHTS share it), by
 * BARTER_WATCH_REMOVE on the same file with the same buffer and eventfd, or with
 * the buffer. When the call that ends it has returned there is no signal any
 * more. A watch holds the eventfd, also when all its fds are closed; it does not
 * hold the buffer: when nobody else has that any more, the watch ends without a
 * signal.
 *
 * Errors: EINVAL (also an fd that is no eventfd), EBADF, EFAULT, E2BIG, EBADFD
 * (the state is BARTER_STATE_DEAD: nothing can come; only without flags), EEXIST
 * (this file has the buffer watched with this eventfd already), ENOENT (with
 * BARTER_WATCH_REMOVE: it has not), ENOSPC (BARTER_MAX_WATCHES), EINTR, ENOMEM.
 */
struct barter_watch {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__s32 eventfd;
	__aligned_u64 out_generation;
	__u32 out_state;
	__u32 out_reasons;
};

#define BARTER_IOC_INFO		_IO(BARTER_IOC_TYPE, 0x00)
#define BARTER_IOC_ROUTE	_IO(BARTER_IOC_TYPE, 0x01)
#define BARTER_IOC_SLICE	_IO(BARTER_IOC_TYPE, 0x02)
#define BARTER_IOC_WATCH	_IO(BARTER_IOC_TYPE, 0x03)

#endif /* _UAPI_LINUX_BARTER_H */
