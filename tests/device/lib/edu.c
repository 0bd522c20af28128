// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample importer, see edu.h.
 */
#define _GNU_SOURCE
#include "edu.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "pci.h"
#include "tap.h"
#include "tester.h"

int edu_open(void)
{
	int fd = open("/dev/barter-dma0", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int edu_own_domain(bool own)
{
	int ret;

	ret = sysfs_write(own ? "1" : "0",
			  "/sys/module/barter_dma/parameters/own_domain");
	if (!ret)
		ret = pci_unbind(edu_bdf());
	return ret ?: pci_bind(edu_bdf(), "barter-dma");
}

int edu_import(int edu, int dmabuf)
{
	struct barter_dma_import arg = {
		.size = sizeof(arg), .dmabuf_fd = dmabuf,
	};

	return ioctl(edu, BARTER_DMA_IOC_IMPORT, &arg) ? -errno : 0;
}

int edu_copy(int edu, uint32_t flags, uint64_t offset, void *user, size_t n,
	     uint64_t *done)
{
	struct barter_dma_copy arg = {
		.size = sizeof(arg),
		.flags = flags,
		.offset = offset,
		.length = n,
		.user = (uintptr_t)user,
	};
	int ret = ioctl(edu, BARTER_DMA_IOC_COPY, &arg) ? -errno : 0;

	if (done)
		*done = arg.out_done;
	return ret;
}

struct barter_dma_status edu_status(int edu)
{
	struct barter_dma_status arg = { .size = sizeof(arg) };

	if (ioctl(edu, BARTER_DMA_IOC_STATUS, &arg))
		tap_bail("status of the sample importer");
	return arg;
}
