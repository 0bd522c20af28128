/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Part of libbarter, included by <barter.h>: DMA of one open device into what
 * another one lent, without a bounce through RAM.
 *
 * For drivers in user space. Which way it goes is the machine's affair: with
 * iommufd by native buffers, which the kernel takes out of the IOMMU itself when
 * the memory is taken back; else by a type 1 container, which knows of no revoke
 * and keeps what it was given. So this library takes its maps out of a container
 * before it does what takes the memory away: before a reset, before a write to
 * configuration space that ends access, before low power, before the end of a
 * buffer, before it closes the lender. What takes memory away behind the library's
 * back (a reset through sysfs, AER, another process with the same device fd) leaves
 * the maps of a container as they are; a watch tells of it, late.
 */
#ifndef BARTER_PEER_H
#define BARTER_PEER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct barter_device;

/**
 * struct barter_peer - a buffer in the address space of another device; opaque
 */
struct barter_peer;

/**
 * barter_peer_map() - let a device reach a buffer of another by DMA
 * @lender: the device that lent the buffer, by barter_device_export()
 * @fd: the buffer, of barter's kind; a copy is kept
 * @device: who does DMA; may be in the lender's address space or in one of its own
 * @iova: where it sees the buffer, page aligned; the ranges follow each other
 * @prot: PROT_READ (the device reads), PROT_WRITE (the device writes)
 * @peer: where the handle goes; barter_peer_unmap() releases it. To threads it is a
 *	part of @lender: all calls for either are made by one thread at a time
 *
 * The map goes, and does not come back by itself, before any of these calls for
 * @lender does its work: barter_device_reset(), barter_device_set_memory() with 0,
 * barter_device_set_low_power() with 1, barter_device_config_write() that turns
 * memory off, leaves D0 or resets the function, barter_buffer_revoke() of @fd
 * (if @fd is a slice: of any buffer), barter_device_close(). If the map
 * cannot be removed, they fail and do nothing, but for the close. What the caller does to
 * barter_device_fd() by himself the library does not see.
 *
 * Return: 0, -EINVAL (@fd is no buffer of barter's or tells no BAR, or with iommufd is a
 * slice; @iova or @prot; @iova plus length overflows), -EBADF, -ENODEV (another device's
 * buffer; the memory is not reachable now), -EBADFD (the buffer is dead), -EEXIST
 * (something is mapped there), -EACCES (the fd lacks the right, or /dev/barter is not for
 * the caller), -ENOENT (barter.ko is not loaded), -EFAULT (taken back meanwhile),
 * -EOPNOTSUPP (with iommufd: the kernel does not lend natively, which
 * barter_device_can_export_native() tells before; open @device with BARTER_OPEN_GROUP),
 * -ENOMEM, -EMFILE, or what else the kernel gives.
 */
int barter_peer_map(struct barter_device *lender, int fd,
		    struct barter_device *device, uint64_t iova, int prot,
		    struct barter_peer **peer);

/**
 * barter_peer_remap() - map it again, after the memory came back
 * @peer: handle
 *
 * Also where it is still mapped: DMA meanwhile may fault. If it fails, nothing is
 * mapped, and it may be called again later.
 *
 * Return: as barter_peer_map(); -EBADFD when the lender was closed.
 */
int barter_peer_remap(struct barter_peer *peer);

/**
 * barter_peer_is_mapped() - has the library taken the map away
 * @peer: handle
 *
 * Return: 1 from barter_peer_map() or barter_peer_remap() on until one of the calls
 * that take it away, else 0. Of what the kernel removed itself it does not know.
 */
int barter_peer_is_mapped(const struct barter_peer *peer);

/**
 * barter_peer_unmap() - unmap, and release the handle
 * @peer: handle, or NULL; invalid afterwards, whatever is returned
 *
 * Either device may have been closed before.
 *
 * Return: 0, or what the kernel gives.
 */
int barter_peer_unmap(struct barter_peer *peer);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_PEER_H */
