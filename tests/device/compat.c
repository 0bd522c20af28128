// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Callbacks of VFIO that later kernels ask a driver for, and that compile when
 * they are forgotten: a NULL call at the opening of the device (match_token_uuid,
 * 6.16), regions that all fail (get_region_info_caps, 6.19). Shown by having
 * stock vfio-pci and barter-vfio-pci answer the same questions on the same
 * device: every answer must be the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/pci.h"
#include "lib/tap.h"
#include "lib/vfio.h"

#define TOKEN	"00112233-4455-6677-8899-aabbccddeeff"
#define REGIONS	16	/* more than vfio-pci has */

/* What one driver says of one device. */
struct answers {
	int open;			/* 0, or -errno */
	int token[6];			/* of tokens[] */
	int info;
	struct vfio_device_info device;
	int region[REGIONS];
	struct region {
		struct vfio_region_info info;
		char caps[4096 - sizeof(struct vfio_region_info)];
	} regions[REGIONS];
	int short_region;		/* asked with a struct that is too small */
};

/* What may follow the name of the device. */
static const char *const tokens[] = {
	" vf_token=" TOKEN, " vf_token=nonsense", " nonsense=1", " ",
	"x", " vf_token=" TOKEN " vf_token=" TOKEN,
};

static struct answers stock, ours;
static char bdf[BDF_LENGTH];

static void ask(const char *driver, struct answers *a)
{
	struct vfio_region_info small = { .argsz = sizeof(small) - 1 };
	struct dev d;
	char name[128];
	int ret, fd;

	memset(a, 0, sizeof(*a));
	a->open = pci_bind(bdf, driver);
	if (a->open)
		return;
	ret = dev_open_bound(&d, bdf);
	if (ret) {
		a->open = ret;
		return;
	}
	for (unsigned int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "%s%s", bdf, tokens[i]);
		fd = ioctl(d.group, VFIO_GROUP_GET_DEVICE_FD, name);
		a->token[i] = fd < 0 ? -errno : 0;
		if (fd >= 0)
			close(fd);
	}
	a->device.argsz = sizeof(a->device);
	a->info = ioctl(d.fd, VFIO_DEVICE_GET_INFO, &a->device) ? -errno : 0;
	for (unsigned int i = 0; i < REGIONS; i++) {
		struct region *region = &a->regions[i];

		region->info.argsz = sizeof(*region);
		region->info.index = i;
		a->region[i] = ioctl(d.fd, VFIO_DEVICE_GET_REGION_INFO,
				     region) ? -errno : 0;
	}
	a->short_region = ioctl(d.fd, VFIO_DEVICE_GET_REGION_INFO,
				&small) ? -errno : 0;
	dev_close(&d);
}

static void opens_as_stock_does(void)
{
	is_errno(stock.open, 0, "%s by vfio-pci", bdf);
	is_errno(ours.open, 0, "%s by %s", bdf, pci_lender());
	for (unsigned int i = 0; i < 6; i++)
		is(ours.token[i], stock.token[i], "%s with '%s': as stock",
		   bdf, tokens[i]);
	is_errno(stock.token[0], EINVAL, "a token that is not asked for");
}

static void regions_are_stock_s(void)
{
	uint64_t length, flags;

	need(!ours.open && !stock.open, "both open");
	is_errno(ours.info, 0, "device info");
	ok(!memcmp(&ours.device, &stock.device, sizeof(stock.device)),
	   "device info: as stock");
	need(stock.device.num_regions < REGIONS, "regions");
	for (unsigned int i = 0; i < REGIONS; i++) {
		is(ours.region[i], stock.region[i], "region %u: errno as stock",
		   i);
		ok(!memcmp(&ours.regions[i], &stock.regions[i],
			   sizeof(struct region)),
		   "region %u: info and capabilities as stock", i);
	}
	/* And stock is what the machine has. */
	for (unsigned int i = 0; i < 6; i++) {
		is_errno(ours.region[i], 0, "BAR %u", i);
		pci_bar(bdf, (int)i, &length, &flags);
		is(ours.regions[i].info.size, length,
		   "BAR %u: its length in sysfs", i);
	}
	is_errno(ours.region[VFIO_PCI_CONFIG_REGION_INDEX], 0, "config space");
	ok(ours.regions[VFIO_PCI_CONFIG_REGION_INDEX].info.size >= 256,
	   "config space: its length");
	is_errno(ours.region[stock.device.num_regions], EINVAL,
		 "the region behind the last");
	is(ours.short_region, stock.short_region,
	   "a struct that is too small: as stock");
	is_errno(ours.short_region, EINVAL, "a struct that is too small");
}

int main(void)
{
	static const char *const names[] = { "VM_VRAM0", "VM_VRAM1" };

	for (unsigned int i = 0; i < 2; i++) {
		if (!getenv(names[i]))
			tap_bail("this machine has no %s", names[i]);
		snprintf(bdf, sizeof(bdf), "%.15s", getenv(names[i]));
		ask("vfio-pci", &stock);
		ask(pci_lender(), &ours);
		CASE(opens_as_stock_does);
		CASE(regions_are_stock_s);
	}
	return tap_done();
}
