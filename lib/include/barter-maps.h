/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Part of libbarter, included by <barter.h>: from addresses to pieces of a BAR.
 *
 * For a VMM. Its guest names device memory by guest addresses, which the VMM turns
 * into addresses of its own, inside mappings of BARs. Here these become a device, a
 * BAR, and ranges that can be lent as one buffer.
 */
#ifndef BARTER_MAPS_H
#define BARTER_MAPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/barter.h>

#ifdef __cplusplus
extern "C" {
#endif

struct barter_device;

/**
 * struct barter_maps - which addresses of this process show which BAR; opaque
 */
struct barter_maps;

/**
 * barter_maps_new() - an empty set of mappings
 * @maps: where the handle goes; barter_maps_free() releases it
 *
 * Return: 0, -ENOMEM.
 */
int barter_maps_new(struct barter_maps **maps);

/**
 * barter_maps_free() - release the handle
 * @maps: handle, or NULL; invalid afterwards. Mappings stay as they are
 */
void barter_maps_free(struct barter_maps *maps);

/**
 * barter_maps_add() - make a mapping known
 * @maps: handle
 * @device: whose BAR; it stays open for as long as the mapping is known
 * @bar: BAR index
 * @offset: where in the BAR the mapping begins
 * @address: where it is, as from barter_device_map() or an mmap() of
 *	barter_device_fd()
 * @length: bytes
 *
 * @offset, @address and @length are multiples of the page size.
 *
 * Return: 0, -EINVAL (misaligned, length 0, outside the BAR), -EOVERFLOW (@address
 * or @offset plus @length overflows), -ENODEV (no such BAR), -EEXIST (some of these
 * addresses are known already), -ENOMEM.
 */
int barter_maps_add(struct barter_maps *maps, struct barter_device *device,
		    uint32_t bar, uint64_t offset, void *address,
		    uint64_t length);

/**
 * barter_maps_map() - map a piece of a BAR, and make that known
 * @maps: handle
 * @device: whose BAR; it stays open for as long as the mapping is known
 * @bar: BAR index
 * @offset: first byte, a multiple of the page size
 * @length: bytes, a multiple of the page size
 * @prot: PROT_READ, PROT_WRITE
 * @address: where the address goes. barter_maps_remove(), then barter_unmap(),
 *	undo it
 *
 * Return: 0, as barter_device_map(), or as barter_maps_add().
 */
int barter_maps_map(struct barter_maps *maps, struct barter_device *device,
		    uint32_t bar, uint64_t offset, uint64_t length, int prot,
		    void **address);

/**
 * barter_maps_remove() - forget a mapping
 * @maps: handle
 * @address: as given to barter_maps_add()
 * @length: as given to barter_maps_add()
 *
 * To be called before it is unmapped, and before the device is closed.
 *
 * Return: 0, -ENOENT (no mapping with exactly these bounds is known).
 */
int barter_maps_remove(struct barter_maps *maps, const void *address,
		       uint64_t length);

/**
 * struct barter_place - a contiguous piece of a BAR
 * @device: whose
 * @bar: BAR index
 * @offset: first byte in the BAR
 * @length: bytes
 */
struct barter_place {
	struct barter_device *device;
	uint32_t bar;
	uint64_t offset;
	uint64_t length;
};

/**
 * barter_maps_lookup() - what is at an address
 * @maps: handle
 * @address: any
 * @length: bytes, 1 or more
 * @place: where the answer goes. Its length is what of @length lies in the same
 *	mapping, so it is less where the next one begins, or a hole
 *
 * Return: 0, -EINVAL (length 0), -EOVERFLOW (the end is beyond the last address),
 * -ENOENT (no mapping is known there).
 */
int barter_maps_lookup(const struct barter_maps *maps, const void *address,
		       uint64_t length, struct barter_place *place);

/**
 * struct barter_pieces - pieces of one BAR
 * @device: whose
 * @bar: BAR index
 * @nr_ranges: how many @ranges
 * @ranges: the pieces in the order of the request, those merged that follow each
 *	other in the BAR too; offset and length are multiples of the page size. The
 *	caller gives them to free()
 * @length: sum of their lengths
 */
struct barter_pieces {
	struct barter_device *device;
	uint32_t bar;
	uint32_t nr_ranges;
	struct barter_range *ranges;
	uint64_t length;
};

/**
 * barter_maps_pieces() - turn addresses into pieces of a BAR
 * @maps: handle
 * @iov: addresses and lengths, in the order in which the buffer is to show them
 * @nr: how many, 1 or more
 * @pieces: where the answer goes
 * @bad: where the index of the first of @iov that is the reason of an error goes;
 *	may be NULL. With other errors it is left alone
 *
 * An entry may begin in one mapping and go on in others, as long as they follow
 * each other without a hole. Entries may overlap. Only whole pages can be lent;
 * entries that share a page are fine if together they cover it, in order.
 *
 * Return: 0, or with @bad
 * -EINVAL: an entry of length 0; or, after merging, a piece does not begin and end
 * with a page of the BAR (@bad is the first entry that does not belong to it any
 * more, or @nr);
 * -EOVERFLOW: an entry ends beyond the last address, or the sum of all lengths
 * beyond 64 bits;
 * -ENOENT: an entry's first byte is in no known mapping;
 * -EFAULT: an entry begins in a known mapping, but not all of it is in such: a hole,
 * or its end is outside;
 * -EXDEV: it is memory of another device, or of another BAR, than what comes
 * before: a buffer is of one BAR;
 * -E2BIG: more than BARTER_MAX_RANGES pieces.
 * Without: -EINVAL (@nr is 0), -ENOMEM.
 */
int barter_maps_pieces(const struct barter_maps *maps, const struct iovec *iov,
		       size_t nr, struct barter_pieces *pieces, size_t *bad);

/**
 * barter_maps_lend() - lend what is at these addresses, as one buffer
 * @maps: handle
 * @iov: as for barter_maps_pieces()
 * @nr: how many
 * @open_flags: access mode of the dma-buf fd, as in struct barter_export
 * @fd: where the dma-buf fd goes; the caller closes it
 * @bad: as for barter_maps_pieces(); may be NULL
 *
 * Return: 0, as barter_maps_pieces(), or as barter_device_export().
 */
int barter_maps_lend(const struct barter_maps *maps, const struct iovec *iov,
		     size_t nr, uint32_t open_flags, int *fd, size_t *bad);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_MAPS_H */
