// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * DMA of one device into what another one lent.
 *
 * A type 1 container takes page numbers from an mmap and never gives them back by
 * itself. So every map hangs on the handle of the lender, and whatever of this
 * library takes the lender's memory away removes the maps first.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct barter_peer {
	struct barter_peer *next;
	struct barter_device *lender;	/* NULL: closed */
	struct barter_space *space;
	struct barter_ioas_area *area;	/* of an iommufd, while mapped */
	int fd;
	int mapped;
	int is_slice;
	ino_t inode;			/* tells dma-bufs apart */
	uint32_t bar;
	int prot;
	uint64_t iova;
	uint64_t length;
};

/* The mmap is only how the container learns the pages: it goes at once. */
static int map_in_container(struct barter_peer *peer)
{
	void *address;
	int ret;

	ret = barter_buffer_map(peer->fd, 0, 0, peer->prot, &address);
	if (ret)
		return ret;
	ret = barter_space_map(peer->space, address, peer->length, peer->iova,
			       peer->prot);
	barter_unmap(address, peer->length);
	return ret;
}

static int map_in_iommufd(struct barter_peer *peer)
{
	struct barter_ioas_request request = {
		.size = sizeof(request),
		.bar = peer->bar,
		.iommufd = peer->space->fd,
		.ioas = peer->space->ioas,
		.iova = peer->iova,
		.prot = (uint32_t)peer->prot,
	};
	struct barter_range *ranges;
	int ret;

	ret = barter_buffer_ranges(-1, peer->fd, &ranges, &request.nr_ranges);
	if (ret)
		return ret;
	request.ranges = ranges;
	ret = barter_ioas_map(peer->lender, &request, &peer->area);
	free(ranges);
	return ret;
}

static int peer_map(struct barter_peer *peer)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = peer->fd };
	int ret;

	if (!peer->lender)
		return -EBADFD;
	ret = barter_buffer_info(-1, &info);
	if (ret)
		return ret;
	if (info.out_state == BARTER_STATE_DEAD)
		return -EBADFD;
	if (info.out_state != BARTER_STATE_OK)
		return -ENODEV;
	ret = peer->space->is_iommufd ? map_in_iommufd(peer) :
					map_in_container(peer);
	peer->mapped = !ret;
	return ret;
}

/*
 * Nothing there is as good. A container whose last device was closed has no IOMMU any
 * more, and says that the request is invalid, which it was not when it was mapped.
 */
static int peer_unmap(struct barter_peer *peer)
{
	int ret;

	if (!peer->mapped)
		return 0;
	if (peer->space->is_iommufd) {
		ret = barter_ioas_unmap(peer->area);
		peer->area = NULL;
		peer->mapped = 0;
	} else {
		ret = barter_space_unmap(peer->space, peer->iova, peer->length);
		if (ret == -EINVAL)
			ret = -ENOENT;
		peer->mapped = ret && ret != -ENOENT;
	}
	return ret == -ENOENT ? 0 : ret;
}

/* An iommufd maps the BAR by itself and asks no fd; mmap() does. */
static int check_rights(int fd, int prot)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	return (flags & O_ACCMODE) == O_RDWR ||
	       ((flags & O_ACCMODE) == O_RDONLY && prot == PROT_READ) ?
	       0 : -EACCES;
}

/* Does the buffer lie in this device's BAR? */
static int check_lender(const struct barter_device *lender,
			const struct barter_info *info)
{
	struct barter_bdf bdf = {
		.domain = info->out_domain,
		.bus = info->out_bus,
		.devfn = info->out_devfn,
	};
	struct barter_bdf own;
	int ret;

	if (info->out_flags & BARTER_BUFFER_UNTOLD)
		return -EINVAL;
	ret = barter_bdf_parse(lender->name, &own);
	if (ret)
		return ret;
	return bdf.domain == own.domain && bdf.bus == own.bus &&
	       bdf.devfn == own.devfn ? 0 : -ENODEV;
}

BARTER_API int barter_peer_map(struct barter_device *lender, int fd,
			       struct barter_device *device, uint64_t iova,
			       int prot, struct barter_peer **peer)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct barter_peer *new;
	struct stat status;
	int ret;

	if (iova % page || !prot || prot & ~(PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (fstat(fd, &status))
		return -errno;
	ret = barter_buffer_info(-1, &info);
	if (!ret)
		ret = check_lender(lender, &info);
	if (!ret)
		ret = check_rights(fd, prot);
	if (ret)
		return ret;
	/* A slice's ranges are in its parent, not in the BAR. */
	if (device->space->is_iommufd && info.out_flags & BARTER_BUFFER_SLICE)
		return -EINVAL;
	if (iova + (info.out_length - 1) < iova)
		return -EINVAL;
	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	*new = (struct barter_peer) {
		.lender = lender,
		.space = barter_space_get(device->space),
		.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
		.is_slice = !!(info.out_flags & BARTER_BUFFER_SLICE),
		.inode = status.st_ino,
		.bar = info.out_bar,
		.prot = prot,
		.iova = iova,
		.length = info.out_length,
	};
	ret = new->fd < 0 ? -errno : peer_map(new);
	if (ret)
		goto err_free_peer;
	new->next = lender->peers;
	lender->peers = new;
	*peer = new;
	return 0;

err_free_peer:
	if (new->fd >= 0)
		close(new->fd);
	barter_space_put(new->space);
	free(new);
	return ret;
}

BARTER_API int barter_peer_remap(struct barter_peer *peer)
{
	int ret = peer_unmap(peer);

	return ret ? ret : peer_map(peer);
}

BARTER_API int barter_peer_is_mapped(const struct barter_peer *peer)
{
	return peer->mapped;
}

BARTER_API int barter_peer_unmap(struct barter_peer *peer)
{
	struct barter_peer **link;
	int ret;

	if (!peer)
		return 0;
	ret = peer_unmap(peer);
	if (peer->lender) {
		for (link = &peer->lender->peers; *link != peer;)
			link = &(*link)->next;
		*link = peer->next;
	}
	close(peer->fd);
	barter_space_put(peer->space);
	free(peer);
	return ret;
}

int barter_peers_unmap(struct barter_device *lender)
{
	struct barter_peer *peer;
	int ret;

	for (peer = lender->peers; peer; peer = peer->next) {
		ret = peer_unmap(peer);
		if (ret)
			return ret;
	}
	return 0;
}

int barter_peers_unmap_buffer(struct barter_device *lender, int fd)
{
	struct barter_peer *peer;
	struct stat status;
	int ret;

	if (!lender->peers || fstat(fd, &status))
		return 0;
	for (peer = lender->peers; peer; peer = peer->next) {
		/* A slice ends with what it was cut from, of whatever depth. */
		if (peer->inode != status.st_ino && !peer->is_slice)
			continue;
		ret = peer_unmap(peer);
		if (ret)
			return ret;
	}
	return 0;
}

void barter_peers_orphan(struct barter_device *lender)
{
	barter_peers_unmap(lender);
	while (lender->peers) {
		struct barter_peer *peer = lender->peers;

		lender->peers = peer->next;
		peer->lender = NULL;
		peer->next = NULL;
	}
}

/* The byte that a write puts at a register, or -1: it does not reach it. */
static int byte_at(uint64_t reg, uint64_t offset, const uint8_t *data,
		   size_t length)
{
	return reg >= offset && reg - offset < length ? data[reg - offset] : -1;
}

/* Does a write to this capability switch the device off, or reset it? */
static int capability_takes_away(unsigned int id, uint64_t at, uint64_t offset,
				 const uint8_t *data, size_t length)
{
	int byte;

	switch (id) {
	case PCI_CAP_ID_PM:
		byte = byte_at(at + PCI_PM_CTRL, offset, data, length);
		return byte > 0 && byte & PCI_PM_CTRL_STATE_MASK;
	case PCI_CAP_ID_EXP:
		byte = byte_at(at + PCI_EXP_DEVCTL + 1, offset, data, length);
		return byte > 0 && byte & PCI_EXP_DEVCTL_BCR_FLR >> 8;
	case PCI_CAP_ID_AF:
		byte = byte_at(at + PCI_AF_CTRL, offset, data, length);
		return byte > 0 && byte & PCI_AF_CTRL_FLR;
	default:
		return 0;
	}
}

int barter_peers_before_write(struct barter_device *lender, uint64_t offset,
			      const uint8_t *data, size_t length)
{
	int byte, hops, away, ret;
	uint8_t at, head[2];

	if (!lender->peers)
		return 0;
	byte = byte_at(PCI_COMMAND, offset, data, length);
	away = byte >= 0 && !(byte & PCI_COMMAND_MEMORY);
	ret = barter_device_config_read(lender, PCI_CAPABILITY_LIST, &at, 1);
	/* A list that goes in a circle ends too. */
	for (hops = 0; !ret && !away && at >= PCI_STD_HEADER_SIZEOF && hops < 48;
	     hops++) {
		ret = barter_device_config_read(lender, at & ~3U, head, 2);
		if (!ret)
			away = capability_takes_away(head[0], at & ~3U, offset,
						     data, length);
		at = head[1];
	}
	if (ret)
		return ret;
	return away ? barter_peers_unmap(lender) : 0;
}
