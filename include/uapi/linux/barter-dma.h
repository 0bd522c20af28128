/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Copyright (c) 2026 the barter developers
 *
 * ABI of the sample importer (kernel/samples/dma): moves bytes between a
 * dma-buf and the caller's memory with the DMA engine of QEMU's edu device.
 *
 * One character device per edu device, /dev/barter-dma0, /dev/barter-dma1 ...;
 * one import per open file. Rules for @size, reserved fields and errno are
 * those of <linux/barter.h>.
 */
#ifndef _UAPI_LINUX_BARTER_DMA_H
#define _UAPI_LINUX_BARTER_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BARTER_DMA_IOC_TYPE	0xBB

/**
 * struct barter_dma_import - BARTER_DMA_IOC_IMPORT, attach to a dma-buf
 * @size: sizeof(struct barter_dma_import)
 * @flags: 0
 * @dmabuf_fd: any dma-buf; the file keeps a reference of its own
 * @__reserved: 0
 * @out_length: bytes in the buffer
 *
 * Nothing is mapped yet: the first copy does that. Closing the file detaches.
 *
 * Errors: EBADF, EINVAL (no dma-buf), EBUSY (this file has a buffer already),
 * ENODEV (the driver was unbound from edu), EINTR, and what attaching gives
 * (EOPNOTSUPP, EBADFD ...).
 */
struct barter_dma_import {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 __reserved;
	__aligned_u64 out_length;
};

/* The caller's memory is the source, the buffer the destination. */
#define BARTER_DMA_F_TO_BUFFER	(1U << 0)

/**
 * struct barter_dma_copy - BARTER_DMA_IOC_COPY, move bytes by DMA
 * @size: sizeof(struct barter_dma_copy)
 * @flags: 0 to read the buffer, BARTER_DMA_F_TO_BUFFER to write it
 * @offset: first byte in the buffer, any alignment
 * @length: bytes, any number up to 16 MiB
 * @user: address of the caller's memory
 * @out_done: bytes moved, also when the call fails
 *
 * Every byte crosses the bus by DMA: buffer <-> edu's own memory <-> RAM. The
 * engine takes 100 ms for each transfer of at most 2 KiB.
 *
 * Errors: ENODEV (no buffer imported, it is revoked at present, or the driver was
 * unbound from edu), EBADFD (it is dead), EPERM (it is read-only, and is to be
 * written, or no IOMMU would keep edu from that), ENOSPC (with own_domain: too long
 * for edu's addresses), EXDEV (no route), EINVAL (not whole
 * inside the buffer, or too long; nothing was moved), EFAULT, ENOMEM, EINTR (a
 * signal came; out_done says how far it got), EIO (the engine did not finish and
 * is off until the driver is bound anew).
 */
struct barter_dma_copy {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 user;
	__aligned_u64 out_done;
};

/**
 * struct barter_dma_status - BARTER_DMA_IOC_STATUS, how the import stands
 * @size: sizeof(struct barter_dma_status)
 * @flags: 0
 * @out_mapped: 1 while a DMA mapping is held
 * @out_segments: DMA segments of the present or last mapping
 * @out_maps: mappings made so far
 * @out_revokes: times that the exporter told to let go, mapped or not
 *
 * Does not wait, also not for a transfer or a revoke. Once the driver has been
 * unbound from edu, the counts stay as they were.
 */
struct barter_dma_status {
	__u32 size;
	__u32 flags;
	__u32 out_mapped;
	__u32 out_segments;
	__aligned_u64 out_maps;
	__aligned_u64 out_revokes;
};

#define BARTER_DMA_IOC_IMPORT	_IO(BARTER_DMA_IOC_TYPE, 0x00)
#define BARTER_DMA_IOC_COPY	_IO(BARTER_DMA_IOC_TYPE, 0x01)
#define BARTER_DMA_IOC_STATUS	_IO(BARTER_DMA_IOC_TYPE, 0x02)

#endif /* _UAPI_LINUX_BARTER_DMA_H */
