/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a guest sees of a vEDU, the virtual device of the sample kernel/samples/vgpu:
 * a PCI function that moves bytes in the guest's memory. Behind it is the DMA engine
 * of QEMU's edu device, which several of them take turns at.
 *
 * BAR 0 has registers in its first page and the ring of commands in its second; BAR 2,
 * of those that have one, is device memory. One MSI vector. All of it little endian;
 * registers and ring are accessed by aligned words of 4 or 8 bytes, the ring also by
 * whole commands.
 *
 * To run commands: set BARTER_VEDU_CONTROL_ENABLE and bus mastering in PCI_COMMAND,
 * write a command into the slot at TAIL, then the number of the slot behind it into
 * TAIL. Commands run one after another. Each gets its out_ fields, then HEAD moves on,
 * then the interrupt comes if it was asked for. A ring is full when the slot behind
 * TAIL is HEAD.
 *
 * A command is read once, when it begins: changing it afterwards changes nothing.
 * Addresses are the guest's own, as mapped in its IOMMU (VFIO_IOMMU_MAP_DMA).
 * What is wrong with one command is said in its out_status; the ring goes on. Only a
 * TAIL beyond the ring halts it, until it is reset.
 */
#ifndef _UAPI_LINUX_BARTER_VEDU_H
#define _UAPI_LINUX_BARTER_VEDU_H

#include <linux/types.h>

#define BARTER_VEDU_VENDOR	0x1234	/* QEMU's, as edu's */
#define BARTER_VEDU_DEVICE	0xedba

#define BARTER_VEDU_BAR0_LENGTH	0x2000

/* Registers, 4 bytes each but for the last three. */
#define BARTER_VEDU_ID		0x00	/* read: BARTER_VEDU_MAGIC */
#define BARTER_VEDU_SLOTS	0x04	/* read: BARTER_VEDU_NR_SLOTS */
#define BARTER_VEDU_CONTROL	0x08	/* BARTER_VEDU_CONTROL_* */
#define BARTER_VEDU_STATUS	0x0c	/* read: BARTER_VEDU_STATUS_* */
#define BARTER_VEDU_HEAD	0x10	/* read: the slot that runs or is to run next */
#define BARTER_VEDU_TAIL	0x14	/* the slot behind the last one that is to run */
#define BARTER_VEDU_INTERRUPT	0x18	/* 1: one was asked for; write 1 to clear it */
#define BARTER_VEDU_HALT	0x1c	/* read: BARTER_VEDU_HALT_*, why it is halted */
#define BARTER_VEDU_COMPLETED	0x20	/* read, 8 bytes: commands that are over */
#define BARTER_VEDU_FAILED	0x28	/* read, 8 bytes: those of them that failed */
#define BARTER_VEDU_TRANSFERS	0x30	/* read, 8 bytes: uses of the engine */

#define BARTER_VEDU_MAGIC	0xba27edba

#define BARTER_VEDU_CONTROL_ENABLE	(1U << 0)
/* Ends what runs, lets all held memory go, empties the ring; reads as 0. */
#define BARTER_VEDU_CONTROL_RESET	(1U << 1)

#define BARTER_VEDU_STATUS_BUSY		(1U << 0)	/* HEAD is not TAIL */
#define BARTER_VEDU_STATUS_HALTED	(1U << 1)

#define BARTER_VEDU_HALT_NONE	0
#define BARTER_VEDU_HALT_TAIL	1	/* TAIL was beyond the ring */
#define BARTER_VEDU_HALT_GONE	2	/* the physical device is gone */

#define BARTER_VEDU_RING	0x1000	/* offset in BAR 0 */
#define BARTER_VEDU_NR_SLOTS	64

/* Copy @length bytes from @src to @dst. What comes out if they overlap is not said. */
#define BARTER_VEDU_OP_COPY	1
/* Fill @length bytes at @dst with @value, its lowest byte first, over and over. */
#define BARTER_VEDU_OP_FILL	2
/* out_value: FNV-1a, 64 bits, of @length bytes at @src. */
#define BARTER_VEDU_OP_CHECKSUM	3
/* Write @value, 8 bytes, to @dst, which is a multiple of 8; @length is 0. */
#define BARTER_VEDU_OP_FENCE	4
/*
 * Keep @length bytes at @src mapped for the engine until they are released, they or pages
 * pinned together with them are unmapped, or the device is reset: commands that use the
 * same pages begin sooner. out_value: into how many DMA segments.
 */
#define BARTER_VEDU_OP_HOLD	5
/* Release what HOLD of the same @src, @length and BARTER_VEDU_F_WRITE kept. */
#define BARTER_VEDU_OP_RELEASE	6

/* Raise the interrupt when the command is over. */
#define BARTER_VEDU_F_INTERRUPT	(1U << 0)
/* HOLD, RELEASE: for commands that write there. */
#define BARTER_VEDU_F_WRITE	(1U << 1)

/* Of one command. */
#define BARTER_VEDU_MAX_LENGTH	(16U << 20)
/* Ranges that are held at a time. */
#define BARTER_VEDU_MAX_HELD	8

#define BARTER_VEDU_S_PENDING	0
#define BARTER_VEDU_S_OK	1
#define BARTER_VEDU_S_INVALID	2	/* no such op or flag; a field is not 0 */
#define BARTER_VEDU_S_LENGTH	3	/* 0 or too long */
#define BARTER_VEDU_S_ALIGNMENT	4
#define BARTER_VEDU_S_ADDRESS	5	/* not mapped by the guest, or no address */
#define BARTER_VEDU_S_READ_ONLY	6	/* mapped, but not to be written */
/*
 * A device's memory (a BAR) is mapped there, which can't be pinned. Lend it as a
 * buffer (VFIO_DEVICE_FEATURE_DMA_BUF), which an importer then attaches to.
 */
#define BARTER_VEDU_S_DEVICE_MEMORY	7
#define BARTER_VEDU_S_UNMAPPED	8	/* the guest unmapped it meanwhile */
#define BARTER_VEDU_S_LIMIT	9	/* more memory than a vEDU may have pinned */
/*
 * The host has none, or it is over RLIMIT_MEMLOCK or the limit of the cgroup; or, with
 * iommufd, the guest's did not come within ten seconds.
 */
#define BARTER_VEDU_S_NO_MEMORY	10
#define BARTER_VEDU_S_ENGINE	11	/* the physical device cannot reach it, or has failed */
#define BARTER_VEDU_S_HELD	12	/* HOLD: too many; RELEASE: not held */

/**
 * struct barter_vedu_command - one slot of the ring
 * @op: BARTER_VEDU_OP_*
 * @flags: BARTER_VEDU_F_*
 * @src: guest address; 0 where the op has none
 * @dst: guest address; 0 where the op has none
 * @length: in bytes
 * @value: 0 where the op has none
 * @out_status: BARTER_VEDU_S_*, written by the device; 0 before
 * @__reserved: 0
 * @out_value: what the op says; for COPY and FILL the bytes that were written, also
 *	when it failed
 * @__reserved2: 0
 */
struct barter_vedu_command {
	__u32 op;
	__u32 flags;
	__aligned_u64 src;
	__aligned_u64 dst;
	__aligned_u64 length;
	__aligned_u64 value;
	__u32 out_status;
	__u32 __reserved;
	__aligned_u64 out_value;
	__aligned_u64 __reserved2;
};

#endif /* _UAPI_LINUX_BARTER_VEDU_H */
