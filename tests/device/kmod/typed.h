/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What barter-test-exporter.ko and barter-test-importer.ko offer to tests, for root
 * only: both sides of barter's in-kernel API under a test's control.
 *
 * /dev/barter-test-exporter: an open file is one exporter, made by CREATE; closing
 * it destroys it. Two types of the module's own, "test-fabric-a" and "-b", are
 * shared by all.
 *
 * /dev/barter-test-importer: importers that are registered with core, attachments
 * and iommu_domains, all of the module and not of the file. When the last file is
 * closed all of them end, but for attachments with TYPED_F_KEEP.
 *
 * Module and tests are built together, so this is no stable ABI. Errors that are
 * not named: EFAULT, ENOMEM, ENOENT (no such id), EINVAL, and whatever core answered,
 * unchanged.
 */
#ifndef BARTER_TEST_TYPED_H
#define BARTER_TEST_TYPED_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TYPED_IOC		0xBD
#define TYPED_LIST		12	/* longer than core allows */
#define TYPED_IMPORTERS		8
#define TYPED_ATTACHMENTS	128
#define TYPED_MAPS		72	/* more than core allows of one type */
#define TYPED_DOMAINS		4

/* Types, in lists and as answers. */
#define TYPED_SGT		0
#define TYPED_PCI_BAR		1
#define TYPED_DOMAIN		2
#define TYPED_FABRIC_A		3
#define TYPED_FABRIC_B		4
#define TYPED_NULL		5	/* no type at all */
#define TYPED_UNKNOWN		6	/* answer only: none of the above */

/* A PCI device; any, with or without a driver. */
struct typed_bdf {
	__u16 domain;
	__u8 bus;
	__u8 devfn;
};

/* ---- exporter ---- */

#define LEND_F_DEFAULT		(1U << 0) /* offers NULL: those of core */
#define LEND_F_SELECT		(1U << 1) /* has a select(), see LEND_IOC_SELECT */

struct lend_create {
	struct typed_bdf bdf;
	__u32 flags;
	__u32 nr_offers;
	__u8 offers[TYPED_LIST];
};

struct lend_export {
	__u32 bar;
	__u32 nr;
	__aligned_u64 ranges;		/* struct barter_range */
	__s32 out_fd;
	__u32 flags;			/* BARTER_EXPORT_* */
};

/* What select() was last asked. */
struct lend_stat {
	__u32 out_selects;
	__u32 out_nr;
	__u32 out_types[TYPED_LIST];
};

#define FABRIC_MATCH		0	/* match() answers @answer from now on */
#define FABRIC_REGISTER		1
#define FABRIC_UNREGISTER	2
#define FABRIC_REGISTER_NAMED	3	/* a third type, with that name */
#define FABRIC_STAT		4
#define FABRIC_NO_MATCH		5	/* no match callback from now on */
#define FABRIC_UNREGISTER_SGT	6	/* which is not ours to take away */

/*
 * The module's types. @which: 0 or 1. The rest is what match() was last asked;
 * @out_data is the exporter's data shifted left by 32, and the importer's.
 */
struct lend_fabric {
	__u32 op;
	__u32 which;
	__s32 answer;
	__u32 out_matches;
	__u32 out_bar;
	__u32 __pad;
	__aligned_u64 out_bar_length;
	__aligned_u64 out_end;
	__aligned_u64 out_data;
	char name[40];
};

#define LEND_IOC_CREATE		_IOW(TYPED_IOC, 0x00, struct lend_create)
#define LEND_IOC_EXPORT		_IOWR(TYPED_IOC, 0x01, struct lend_export)
/* Argument: a BARTER_REASON_*. */
#define LEND_IOC_REVOKE		_IO(TYPED_IOC, 0x02)
#define LEND_IOC_RESTORE	_IO(TYPED_IOC, 0x03)
#define LEND_IOC_DESTROY	_IO(TYPED_IOC, 0x04)
/* Argument: what select() answers, an int. */
#define LEND_IOC_SELECT		_IO(TYPED_IOC, 0x05)
#define LEND_IOC_STAT		_IOR(TYPED_IOC, 0x06, struct lend_stat)
#define LEND_IOC_FABRIC		_IOWR(TYPED_IOC, 0x07, struct lend_fabric)
/*
 * As EXPORT, but the ranges are copied by barter_lend_copy(), and lent twice: first with
 * a memory attribute that there is not. Fails as the second one does; with EPROTO if the
 * first one did not fail for that.
 */
#define LEND_IOC_EXPORT_AGAIN	_IOWR(TYPED_IOC, 0x08, struct lend_export)

/* ---- importer ---- */

#define TYPED_F_NO_NAME		(1U << 0)
#define TYPED_F_NO_OPS		(1U << 1)
#define TYPED_F_NO_NOTIFY	(1U << 2)
#define TYPED_F_NO_OFFERS	(1U << 3)
#define TYPED_F_RESTORED	(1U << 4)
#define TYPED_F_OPS_OF_0	(1U << 5) /* the ops of slot 0 */
#define TYPED_F_NO_SHARE	(1U << 6) /* no share callback */
#define TYPED_F_NO_P2P		(1U << 7)

struct typed_register {
	__u32 slot;
	__u32 flags;
	__u32 nr_offers;
	__u8 offers[TYPED_LIST];
};

/* What the importer does when told to let go; none: unmaps right there. */
#define TYPED_F_SLOW		(1U << 0) /* delay_ms later, from a work item */
#define TYPED_F_BLOCK		(1U << 1) /* right there, after delay_ms */
#define TYPED_F_STUCK		(1U << 2) /* nothing */
#define TYPED_F_NO_DEVICE	(1U << 3)
#define TYPED_F_KEEP		(1U << 4) /* outlives the last file */
#define TYPED_F_SLOW_RESTORED	(1U << 5) /* restored() takes delay_ms */
#define TYPED_F_LEAVE		(1U << 6) /* detaches without an unmap */

struct typed_attach {
	__s32 fd;
	__u32 slot;
	__u32 flags;
	struct typed_bdf bdf;
	__u32 delay_ms;
	__s32 share_answer;
	__aligned_u64 share;
	__u32 out_id;
	__u32 __pad;
};

#define TYPED_DOMAIN_OF_DEVICE	100	/* the domain that the device has now */
#define TYPED_DOMAIN_NULL	101

/*
 * Map with the call of @type. @domain to @devices are for TYPED_DOMAIN. From @out_map
 * on what came of it; the ranges go to @ranges, if there is room.
 */
struct typed_map {
	__u32 id;
	__u32 type;
	__u32 domain;
	__u32 prot;
	__u32 flags;
	__u32 nr_devices;
	struct typed_bdf devices[2];
	__aligned_u64 iova;
	__aligned_u64 ranges;		/* struct barter_range */
	__u32 room;
	__u32 out_map;
	struct typed_bdf out_bdf;
	__u32 out_bar;
	__u32 out_nr;
	__u32 __pad;
	__aligned_u64 out_share;
	__aligned_u64 out_length;
	__aligned_u64 out_data;
};

struct typed_stat {
	__u32 id;
	__u32 out_maps;
	__u32 out_invalidates;
	__u32 out_restored;
	__s32 out_last;			/* what the last map came to */
	__u32 __pad;
};

struct typed_domain {
	struct typed_bdf bdf;
	__u32 attach;			/* and put the device into it */
	__u32 out_id;
};

#define TYPED_NOTHING		0	/* no page has a translation */
#define TYPED_AS_IT_SHOULD	1	/* every page has the right one */
#define TYPED_SOMETHING_ELSE	2

/* Is [iova, iova + length) that part of the BAR? No address is told. */
struct typed_check {
	__u32 domain;
	struct typed_bdf bdf;
	__u32 bar;
	__u32 out_is;
	__aligned_u64 iova;
	__aligned_u64 offset;
	__aligned_u64 length;
};

/* One page of the module's own at @iova: what somebody else has mapped. */
struct typed_page {
	__u32 domain;
	__u32 unmap;
	__aligned_u64 iova;
	__u32 out_there;		/* with unmap: it was still there */
	__u32 __pad;
};

#define TYPED_IOC_REGISTER	_IOW(TYPED_IOC, 0x10, struct typed_register)
/* Argument: slot. */
#define TYPED_IOC_UNREGISTER	_IO(TYPED_IOC, 0x11)
#define TYPED_IOC_ATTACH	_IOWR(TYPED_IOC, 0x12, struct typed_attach)
/* Argument: id. EILSEQ: restored() ran on. */
#define TYPED_IOC_DETACH	_IO(TYPED_IOC, 0x13)
/* Argument: id. Returns TYPED_*. */
#define TYPED_IOC_TYPE		_IO(TYPED_IOC, 0x14)
#define TYPED_IOC_MAP		_IOWR(TYPED_IOC, 0x15, struct typed_map)
/* Argument: id | map << 16. ENODATA: nothing is mapped. */
#define TYPED_IOC_UNMAP		_IO(TYPED_IOC, 0x16)
#define TYPED_IOC_PIN		_IO(TYPED_IOC, 0x17)
#define TYPED_IOC_UNPIN		_IO(TYPED_IOC, 0x18)
#define TYPED_IOC_STAT		_IOWR(TYPED_IOC, 0x19, struct typed_stat)
#define TYPED_IOC_DOMAIN	_IOWR(TYPED_IOC, 0x1a, struct typed_domain)
/* Argument: id. Takes the device out of it. */
#define TYPED_IOC_DOMAIN_FREE	_IO(TYPED_IOC, 0x1b)
#define TYPED_IOC_CHECK		_IOWR(TYPED_IOC, 0x1c, struct typed_check)
#define TYPED_IOC_PAGE		_IOWR(TYPED_IOC, 0x1d, struct typed_page)
/*
 * Argument: the fd of a buffer. Returns a dma-buf with barter's name and a copy of
 * barter's ops, but for those that would look for a buffer behind it.
 */
#define TYPED_IOC_LOOKALIKE	_IO(TYPED_IOC, 0x1e)

/* Argument: id | TYPED_* << 16. */
#define TYPED_IOC_DECLINE	_IO(TYPED_IOC, 0x1f)

#endif /* BARTER_TEST_TYPED_H */
