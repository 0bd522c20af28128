// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The test module, see tester.h.
 */
#define _GNU_SOURCE
#include "tester.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pci.h"
#include "tap.h"

#ifndef DMA_BUF_IOCTL_IMPORT_SYNC_FILE
struct dma_buf_import_sync_file {
	__u32 flags;
	__s32 fd;
};
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE \
	_IOW(DMA_BUF_BASE, 3, struct dma_buf_import_sync_file)
#endif

static int call(int t, unsigned long nr, unsigned long arg)
{
	int ret = ioctl(t, nr, arg);

	return ret < 0 ? -errno : ret;
}

int tester_open(void)
{
	int t = open("/dev/barter-test", O_RDWR | O_CLOEXEC);

	if (t < 0)
		tap_bail("/dev/barter-test: %s", strerror(errno));
	return t;
}

const char *edu_bdf(void)
{
	static char bdf[BDF_LENGTH];

	if (!bdf[0] && getenv("VM_EDU"))
		snprintf(bdf, sizeof(bdf), "%.15s", getenv("VM_EDU"));
	else if (!bdf[0] && pci_find(PCI_EDU, 0, bdf))
		tap_bail("this machine has no edu");
	return bdf;
}

int tester_attach_as(int t, struct barter_test_attach *req)
{
	unsigned int domain, bus, slot, function;
	int ret;

	if (!(req->flags & BARTER_TEST_F_PLATFORM)) {
		if (sscanf(edu_bdf(), "%x:%x:%x.%u", &domain, &bus, &slot,
			   &function) != 4)
			return -EINVAL;
		req->domain = domain;
		req->bus = (uint8_t)bus;
		req->devfn = (uint8_t)(slot << 3 | function);
	}
	ret = call(t, BARTER_TEST_IOC_ATTACH, (uintptr_t)req);
	return ret ?: (int)req->out_id;
}

int tester_attach(int t, int dmabuf, uint32_t flags)
{
	struct barter_test_attach req = { .dmabuf_fd = dmabuf, .flags = flags };

	return tester_attach_as(t, &req);
}

int tester_map(int t, int id, uint32_t direction, struct barter_test_map *map)
{
	struct barter_test_map local;

	map = map ?: &local;
	memset(map, 0, sizeof(*map));
	map->id = (uint32_t)id;
	map->direction = direction;
	return call(t, BARTER_TEST_IOC_MAP, (uintptr_t)map);
}

int tester_detach(int t, int id)
{
	return call(t, BARTER_TEST_IOC_DETACH, (unsigned long)id);
}

int tester_unmap(int t, int id)
{
	return call(t, BARTER_TEST_IOC_UNMAP, (unsigned long)id);
}

int tester_pin(int t, int id)
{
	return call(t, BARTER_TEST_IOC_PIN, (unsigned long)id);
}

int tester_unpin(int t, int id)
{
	return call(t, BARTER_TEST_IOC_UNPIN, (unsigned long)id);
}

int tester_letgo(int t, int id)
{
	return call(t, BARTER_TEST_IOC_LETGO, (unsigned long)id);
}

struct barter_test_stat tester_stat(int t, int id)
{
	struct barter_test_stat stat = { .id = (uint32_t)id };

	if (call(t, BARTER_TEST_IOC_STAT, (uintptr_t)&stat))
		tap_bail("importer %d has no status", id);
	return stat;
}

int tester_fence(int t, int *fd)
{
	return tester_fence_for(t, fd, 0);
}

int tester_fence_for(int t, int *fd, uint32_t ms)
{
	struct barter_test_fence fence = { .signal_ms = ms };
	int ret = call(t, BARTER_TEST_IOC_FENCE_NEW, (uintptr_t)&fence);

	if (ret)
		return ret;
	*fd = fence.out_fd;
	return (int)fence.out_id;
}

int tester_signal(int t, int id)
{
	return call(t, BARTER_TEST_IOC_FENCE_SIGNAL, (unsigned long)id);
}

int tester_foreign(void)
{
	struct barter_test_foreign foreign = { .length = 4096 };
	int t = tester_open();
	int ret = call(t, BARTER_TEST_IOC_FOREIGN, (uintptr_t)&foreign);

	close(t);
	return ret ?: foreign.out_fd;
}

int fence_into(int dmabuf, int sync_file)
{
	struct dma_buf_import_sync_file arg = {
		.flags = DMA_BUF_SYNC_RW, .fd = sync_file,
	};

	return ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg) ? -errno : 0;
}

int tester_page(int t, const volatile void *p, struct barter_test_page *page)
{
	*page = (struct barter_test_page){ .address = (uintptr_t)p };
	return ioctl(t, BARTER_TEST_IOC_PAGE, page) ? -errno : 0;
}
