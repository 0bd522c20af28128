// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter.ko: everything up in order, down in reverse. A table of contents.
 *
 *	exporter.c	the per-device object that lends
 *	buf.c		a lent buffer and its importers
 *	revoke.c	taking buffers back; wait.c waits for who has them
 *	slice.c		buffers from parts of others
 *	ranges.c	range arithmetic
 *	route.c		which way DMA goes between two devices; route_pci.c asks PCI
 *	interconnect.c	which kind of address an importer gets; attach.c its maps
 *	map_sgt.c	DMA mappings for importers
 *	map_bar.c	pieces of a BAR, for whoever owns the memory behind it
 *	map_domain.c	mappings in an importer's own IOMMU domain
 *	mmap.c		CPU mappings
 *	watch.c		telling processes of changes of state
 *	chardev.c	/dev/barter
 *	debugfs.c	every buffer, for people
 */
#include <linux/init.h>
#include <linux/module.h>

#include "priv.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init barter_init(void)
{
	int ret;

	barter_revoke_lockdep_init();
	ret = barter_attach_init();
	if (ret)
		return ret;
	barter_interconnect_init();
	ret = barter_watch_init();
	if (ret)
		goto err_attach_exit;
	ret = barter_chardev_init();
	if (ret)
		goto err_watch_exit;
	barter_debugfs_init();
	return 0;

err_watch_exit:
	barter_watch_exit();
err_attach_exit:
	barter_attach_exit();
	return ret;
}
module_init(barter_init);

static void __exit barter_exit(void)
{
	barter_debugfs_exit();
	barter_chardev_exit();
	barter_watch_exit();
	barter_attach_exit();
}
module_exit(barter_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("the barter developers");
MODULE_DESCRIPTION("Lends PCI device memory as dma-bufs, and takes it back");
MODULE_VERSION(BARTER_VERSION);
BARTER_IMPORT_NS_DMA_BUF;
