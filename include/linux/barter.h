/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The in-kernel API of barter for drivers that lend PCI device memory.
 *
 * An *exporter* is the per-device object that a driver embeds in a structure of
 * its own, counted apart from the device's: buffers keep it for as long as
 * somebody holds them, and the device should not live on for that. Ranges of a
 * BAR are lent as *buffers*, which are dma-bufs. The driver tells the exporter
 * of everything that makes the memory unreachable (barter_exporter_revoke()) and
 * of its end (barter_exporter_restore()); core does the rest: importers are told
 * and waited for, page tables are zapped, and a buffer is usable exactly while
 * no reason against it is left.
 *
 * Life of an exporter:
 *
 *	barter_exporter_init()		before anybody can export
 *	barter_exporter_add_window()	once per free span of the mmap space
 *	barter_exporter_restore(CLOSED)	memory may be lent from now on
 *	barter_export(), revoke, restore ...
 *	barter_exporter_destroy()	at remove: everything is taken back
 *	barter_exporter_cleanup()	when the last reference is gone
 *
 * What an importer owes: its invalidate call returns in bounded time, and from
 * there to its unmap it may need none of mmap_lock, the exporting device's locks
 * (its device_lock among them), pci_bus_sem (held in AER recovery),
 * pci_lock_rescan_remove() (held in hot-unplug) or user space, else a revoke that
 * holds them would wait for itself. Locks that it takes inside the invalidate
 * call are checked against this by lockdep.
 */
#ifndef _LINUX_BARTER_H
#define _LINUX_BARTER_H

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/barter.h>

struct address_space;
struct barter_exporter;
struct dma_buf;
struct module;
struct pci_dev;

/**
 * struct barter_exporter_ops - what core asks of the lending driver
 * @owner: the driver's module; every buffer holds a reference to it
 * @get: take a reference that keeps the structure around the exporter, the
 *	address_space and @access_begin callable. May be called in any context
 *	that may sleep, only while the caller of barter_export() keeps it alive
 *	too.
 * @put: drop it; may be the last one, and then calls barter_exporter_cleanup()
 *	before the memory is freed
 * @access_begin: take the lock under which the answer of @access_allowed
 *	cannot change. Called by page faults with mmap_lock held, before the
 *	dma_resv: it sleeps, takes neither mmap_lock nor a dma_resv. It is called
 *	for dead buffers too, after the device is gone: a driver whose lock goes
 *	with the device reaches it by a way that it cuts at remove, as
 *	kernel/vfio/exporter.c does.
 * @access_allowed: whether the CPU may touch the device's memory now. Called
 *	between begin and end, with the buffer's dma_resv held, and only while
 *	no revoke for BARTER_REASON_CLOSED or BARTER_REASON_GONE has begun.
 * @access_end: drop the lock of @access_begin
 */
struct barter_exporter_ops {
	struct module *owner;
	void (*get)(struct barter_exporter *exp);
	void (*put)(struct barter_exporter *exp);
	void (*access_begin)(struct barter_exporter *exp);
	bool (*access_allowed)(struct barter_exporter *exp);
	void (*access_end)(struct barter_exporter *exp);
};

/*
 * For tables whose size a user chose: charged to the caller, and over the limit
 * of the caller's memory cgroup an error, not a process killed.
 */
#define BARTER_GFP_TABLE \
	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#define BARTER_NR_REASONS	9
#define BARTER_NR_WINDOWS	6

/**
 * struct barter_exporter - a device that lends its memory
 * @pdev: the PCI device
 * @mapping: the address_space of the driver's own file. Mmaps of buffers are
 *	put into it, so that the driver's own zap reaches them as well.
 * @ops: the driver's callbacks
 *
 * Embedded in the driver's structure; the rest is private to core:
 *
 *	lock		orders revokes, restores and exports of this device. Under
 *			it: @depth, writing @reasons, each buffer's revoke state.
 *	list_lock	the list of buffers. A leaf, nothing sleeps under it.
 *	windows		has a lock of its own
 */
struct barter_exporter {
	struct pci_dev *pdev;
	struct address_space *mapping;
	const struct barter_exporter_ops *ops;

	/* private: */
	struct list_head node;
	struct mutex lock;
	u32 reasons;
	u32 depth[BARTER_NR_REASONS];
	spinlock_t list_lock;
	struct list_head bufs;
	struct maple_tree windows;
	struct {
		unsigned long first, last;
	} spans[BARTER_NR_WINDOWS];
	unsigned int nr_spans;
};

/* Give up when a fatal signal arrives; for callers that serve a system call. */
#define BARTER_REVOKE_KILLABLE	(1U << 0)
/*
 * The reason describes what is so already: it comes into force whatever happens,
 * and a signal ends only the wait.
 */
#define BARTER_REVOKE_FACT	(1U << 1)

int barter_exporter_init(struct barter_exporter *exp, struct pci_dev *pdev,
			 struct address_space *mapping,
			 const struct barter_exporter_ops *ops);
int barter_exporter_add_window(struct barter_exporter *exp,
			       unsigned long first, unsigned long last);
void barter_exporter_destroy(struct barter_exporter *exp);
void barter_exporter_cleanup(struct barter_exporter *exp);

/**
 * barter_exporter_reasons - the BARTER_REASON_* bits in force at this moment
 * @exp: the exporter
 *
 * No lock: the answer may be old when it arrives, except for a reason that only
 * the caller itself gives and takes.
 */
static inline u32 barter_exporter_reasons(const struct barter_exporter *exp)
{
	return READ_ONCE(exp->reasons);
}

int barter_exporter_revoke(struct barter_exporter *exp, u32 reason,
			   unsigned int flags);
void barter_exporter_restore(struct barter_exporter *exp, u32 reason);

int barter_export_fd(struct barter_exporter *exp, unsigned int bar,
		     const struct barter_range *ranges, u32 nr,
		     unsigned int open_flags);

#endif /* _LINUX_BARTER_H */
