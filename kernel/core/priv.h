/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the rooms of core know of each other.
 *
 * Locks, outermost first (doc/locking.md):
 *
 *	mmap_lock
 *	  window_lock of a buffer
 *	  attr_lock (a leaf, as the exporter's list_lock and the all-buffers lock)
 *	  the driver's access lock (vfio: memory_lock)
 *	    exporter mutex
 *	      dma_resv of a buffer
 *	        locks of importers
 *	        barter_watch_lock, exporter list_lock (leaves)
 *	      i_mmap_rwsem (zap)
 *
 * Nothing takes the access lock or the exporter mutex under a dma_resv.
 * Release, info, debugfs and unmap never take the exporter mutex, so that they
 * work while a revoke waits.
 */
#ifndef BARTER_CORE_PRIV_H
#define BARTER_CORE_PRIV_H

#include <linux/barter.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/mm_types.h>
#include <linux/pci.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "ranges.h"
#include "route.h"

struct dentry;
struct dma_fence;
struct eventfd_ctx;
struct seq_file;
struct vm_area_struct;
struct vm_fault;

/**
 * struct barter_fences - fences that a revoke waits for
 * @list: each with a reference
 * @nr: how many
 */
struct barter_fences {
	struct dma_fence **list;
	unsigned int nr;
};

/*
 * struct barter_buf - one lent dma-buf
 *
 * Belongs to its dma_buf: made by barter_export_fd(), freed by the release
 * callback. Holds a reference to the exporter, which has one to @pdev, and through
 * exp_info.owner to the driver's module, so it outlives close and unbind.
 *
 * Constant after publication: @exp, @pdev, @dmabuf, @dentry, @ranges, @shown (what
 * its holder is told: of a slice, the ranges in what it was cut from), @slice,
 * @read_only, @bar, @bar_start, @bar_length, @least (bytes of the shortest of the BAR,
 * all that it was cut from, and itself: what overcommit counts from), @id, and @domain,
 * @bus, @devfn, which may be asked for when the device's bus is gone.
 *
 * Under the dma_resv, but before publication: @reasons, @state, @generation, @maps
 * (written; read without it by the waiting side, which then synchronises through it).
 * @final is set at the same time and never cleared. @own are the reasons that are
 * the buffer's alone. @waits is how many revokes wait for the buffer. @drained says
 * that no map, no fence from before and no CPU mapping was left when the last revoke
 * looked, and none can have come since.
 *
 * @final and @drained are written under the exporter mutex too, and read under either;
 * so are @state and @own, but by the end of one buffer that was killed. That, without
 * the mutex, adds INTERRUPTED, makes REVOKED of REVOKING, and DEAD of what is @final and
 * @drained: then a revoke has the mutex that makes all below it DEAD as well.
 *
 * Under the exporter mutex: @revoke_node, @fences. @ending says that the end of one
 * buffer waits for this one and has its @end_node and @end_fences; it is set under the
 * mutex, and cleared without it when the other two are free again.
 *
 * Under the exporter's list_lock: @exp_node, and @parent, @children, @nr_children and
 * @sibling, the tree of slices (slice.c). Neither end holds the other.
 */
struct barter_buf {
	struct barter_exporter *exp;
	struct pci_dev *pdev;
	struct dma_buf *dmabuf;
	struct dentry *dentry;
	struct barter_ranges ranges;
	const struct barter_ranges *shown;
	phys_addr_t bar_start;
	u64 bar_length;
	u64 least;
	u64 id;
	unsigned int bar;
	u32 domain;
	u8 bus;
	u8 devfn;
	bool slice;
	bool read_only;

	bool final;
	bool drained;
	bool watched;			/* dma_resv; never cleared */
	bool ending;
	u32 reasons;
	u32 own;
	u32 state;
	u32 maps;
	u32 waits;
	u32 watch_round;		/* barter_watch_lock */
	u64 generation;

	wait_queue_head_t idle;		/* of no @maps, or no more @ending */

	struct list_head revoke_node;
	struct barter_fences fences;
	struct list_head end_node;
	struct barter_fences end_fences;

	struct list_head watchers;	/* barter_watch_lock */
	struct work_struct watch_work;

	struct list_head exp_node;	/* exp->list_lock */
	struct barter_buf *parent;	/* and these */
	struct list_head children;
	struct list_head sibling;
	u32 nr_children;
	bool bar_mmap;			/* bar.c; constant, and so is @window then */
	struct list_head all_node;	/* barter_bufs_lock */

	struct mutex window_lock;	/* @window, written once */
	unsigned long window;		/* first page offset in exp->mapping */
	struct file *held;		/* bar.c; for as long as there are @mmaps */
	struct list_head mapped_node[BARTER_NR_MEMATTR];	/* exp->attr_lock */
	atomic_t mmaps[BARTER_NR_MEMATTR];
	u32 attr;			/* written under exp->attr_lock; of mmaps to come */
	atomic64_t faults[3];		/* PTE, PMD, PUD */
	u8 puds;			/* dma_resv; mmap.c */
};

/**
 * struct barter_attach - attach->priv, an importer's attachment
 * @buf: the buffer
 * @attach: the attachment
 * @importer: what the importer registered; NULL if it did not. Constant, and so are
 * @offers: the exporter's list, at most BARTER_MAX_OFFERS
 * @matches: bits of @offers, at least one: the types that both sides can work with;
 *	each type's module is held
 * @share: with pci-bar among them, the bytes of device memory behind the BAR
 * @restored_work: tells the importer of the end of a revoke
 *
 * Under the dma_resv:
 *
 * @maps: mappings of any type that the importer holds
 * @pinned: before 7.1, and only between pin and unpin
 * @chosen: which of @offers is in use; NULL before the first map or pin, and after
 *	an invalidate
 * @declined: bits of @offers that the importer will not have before the next
 *	invalidate
 * @domain_maps: mappings into domains; see map_domain.c
 * @nr_domain_maps: how many
 * @restored_queued: @restored_work was set up and used; never cleared
 */
struct barter_attach {
	struct barter_buf *buf;
	struct dma_buf_attachment *attach;
	const struct barter_importer *importer;
	const struct barter_offer *offers;
	unsigned long matches;
	u64 share;
	struct work_struct restored_work;

	u32 maps;
	bool pinned;
	bool restored_queued;
	const struct barter_offer *chosen;
	unsigned long declined;
	struct hlist_head domain_maps;
	u32 nr_domain_maps;
};

/* Reasons of an exporter that end its buffers for ever. */
#define BARTER_REASONS_FINAL	(BARTER_REASON_CLOSED | BARTER_REASON_GONE)

/* buf.c */
struct barter_buf *barter_buf_from_dmabuf(struct dma_buf *dmabuf);
bool barter_buf_get(struct barter_buf *buf);
void barter_buf_put(struct barter_buf *buf);
struct barter_buf *barter_buf_next(struct barter_buf *prev);
int barter_buf_make(struct barter_buf *buf, unsigned int open_flags);
int barter_buf_publish(struct barter_buf *buf, struct barter_buf *parent);
void barter_buf_list(struct barter_buf *buf);
int barter_buf_error(const struct barter_buf *buf);
bool barter_buf_waited_for(const struct barter_buf *buf);
void barter_buf_blocker(struct barter_buf *buf, char *text, size_t length);
extern const struct dma_buf_ops barter_dma_buf_ops;

/* table.c */
union barter_slot *barter_table_alloc(u32 nr);
union barter_slot *barter_table_copy(union barter_slot *one,
				     const void __user *from, u32 nr);
int barter_table_take(struct barter_ranges *r, union barter_slot **table,
		      u32 nr, u64 bar_length);
void barter_table_free(const struct barter_ranges *r);
int barter_lend_take(struct barter_ranges *r, struct barter_lend *lend,
		     u64 bar_length);

/* exporter.c */
void barter_exporter_mutex_init(struct mutex *lock);
struct pci_dev *barter_exporter_find_pdev(struct address_space *mapping);

/*
 * References to a device and, if it is a virtual function, to its PF: the way up from it
 * to the root leads over that, and the PCI core keeps it only while the VF is on the bus.
 * Whoever gets them knows that it is, or has them already.
 */
static inline struct pci_dev *barter_pdev_get(struct pci_dev *pdev)
{
	pci_dev_get(pci_physfn(pdev));
	return pci_dev_get(pdev);
}

static inline void barter_pdev_put(struct pci_dev *pdev)
{
	pci_dev_put(pci_physfn(pdev));
	pci_dev_put(pdev);
}

void barter_exporter_list_pause(struct barter_exporter *exp, unsigned int *n);
int barter_exporter_publish(struct barter_buf *buf, struct barter_buf *parent);
int barter_window_alloc(struct barter_buf *buf);
void barter_window_free(struct barter_buf *buf);

/**
 * struct barter_wait - what a waiting revoke has come to; one for all its buffers
 * @reason: why it takes them back
 * @killable: does a fatal signal end the wait
 * @start: when it began, in jiffies
 * @warn_after: when to name somebody in the log, from then on
 */
struct barter_wait {
	char reason[BARTER_NAME_LENGTH];
	bool killable;
	unsigned long start;
	unsigned long warn_after;
};

/* wait.c */
void barter_fences_get(struct barter_buf *buf, struct barter_fences *fences);
void barter_fences_put(struct barter_fences *fences);
void barter_wait_begin(struct barter_wait *wait, u32 reason, bool killable);
int barter_wait_buf(struct barter_wait *wait, struct barter_buf *buf,
		    struct barter_fences *fences);

/* revoke.c */
void barter_revoke_lockdep_init(void);
void barter_revoke_notify(struct barter_buf *buf);

/* slice.c */
int barter_tree_add(struct barter_buf *buf, struct barter_buf *parent);
void barter_tree_remove(struct barter_buf *buf);
void barter_tree_collect(struct barter_buf *root, struct list_head *bufs,
			 struct list_head *dead);
void barter_tree_ask(struct barter_buf *buf, u64 *parent, u32 *slices);
void barter_shown_free(const struct barter_buf *buf);
bool barter_slice_tells_device(const struct barter_buf *buf);
int barter_slice_make(const struct barter_slice *req, struct barter_buf *parent,
		      struct dma_buf **dmabuf);

/* interconnect.c */
void barter_interconnect_init(void);
const struct barter_offer *
barter_offer_find(const struct barter_offer *offers, unsigned int nr,
		  const struct barter_interconnect *type);
int barter_offers_check(const struct barter_offer *offers, unsigned int nr);
int barter_negotiate(struct barter_attach *ba);
void barter_negotiate_undo(struct barter_attach *ba);
void barter_registry_show(struct seq_file *m);

/* attach.c */
int barter_attach_init(void);
void barter_attach_exit(void);
int barter_choose(struct barter_attach *ba);
struct barter_attach *barter_attach_of(struct dma_buf_attachment *attach);
void barter_attach_restored(struct barter_buf *buf);
void barter_attach_name(const struct barter_attach *ba, char *text, size_t length);
void barter_attach_types(const struct barter_attach *ba, char *text, size_t length);

/* map_domain.c */
void barter_domain_revoke(struct barter_attach *ba);
void barter_domain_detach(struct barter_attach *ba);

/* map_sgt.c */

/*
 * Whether two of core's types make sense takes a word or two of code: negotiation
 * does not call their callbacks for it, where it knows that it is them.
 */
static inline bool barter_domain_fits(void)
{
	return IS_ENABLED(CONFIG_IOMMU_API);
}

/* It does for whoever does DMA and takes device memory. */
static inline bool barter_sgt_fits(const struct dma_buf_attachment *attach)
{
	return attach->peer2peer && attach->dev->dma_mask;
}

struct sg_table *barter_sgt_map(struct barter_attach *ba,
				enum dma_data_direction dir);
void barter_sgt_unmap(struct barter_attach *ba, struct sg_table *sgt,
		      enum dma_data_direction dir);

/* mmap.c */
int barter_buf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
void barter_vma_begin(struct barter_buf *buf, struct vm_area_struct *vma,
		      u32 memattr);
u64 barter_vma_pos(const struct barter_buf *buf,
		   const struct vm_area_struct *vma, unsigned long address);
void barter_buf_zap(struct barter_buf *buf);

/* VMAs that map the buffer. */
static inline unsigned int barter_buf_mmaps(const struct barter_buf *buf)
{
	return atomic_read(&buf->mmaps[BARTER_MEMATTR_UC]) +
	       atomic_read(&buf->mmaps[BARTER_MEMATTR_WC]);
}

/* combine.c */
vm_fault_t barter_fault_combine(struct barter_buf *buf, struct vm_fault *vmf);

/* Beside BARTER_MEMATTR_* in buf->attr, so that both change at once. */
#define BARTER_ATTR_FORCED	(1U << 31)

/* The attribute of mappings to come. */
static inline u32 barter_buf_memattr(const struct barter_buf *buf)
{
	return READ_ONCE(buf->attr) & ~BARTER_ATTR_FORCED;
}

/* Was it chosen by force? */
static inline bool barter_buf_forced(const struct barter_buf *buf)
{
	return READ_ONCE(buf->attr) & BARTER_ATTR_FORCED;
}

/* memattr.c */
void barter_memattr_init(struct barter_exporter *exp);
void barter_memattr_buf_init(struct barter_buf *buf);
void barter_memattr_buf_free(struct barter_buf *buf);
void barter_memattr_inherit(struct barter_buf *buf, struct barter_buf *parent);
int barter_memattr_begin(struct barter_buf *buf);
int barter_memattr_apply(struct barter_buf *buf, u32 memattr, bool force);

/* name.c */
int barter_buf_set_name(struct barter_buf *buf, const char *name);
void barter_buf_name(struct barter_buf *buf,
		     char name[BARTER_BUFFER_NAME_LENGTH]);

/* bar.c */
void barter_bar_zap(struct barter_buf *buf);

/**
 * struct barter_client - private_data of an open /dev/barter
 * @watchers: what it watches
 * @nr_watchers: how many
 * @last_watch: number of the last one that was made; all under barter_watch_lock
 */
struct barter_client {
	struct list_head watchers;
	unsigned int nr_watchers;
	u64 last_watch;
};

/* watch.c */
int barter_watch_init(void);
void barter_watch_exit(void);
void barter_watch_buf_init(struct barter_buf *buf);
void barter_watch_buf_release(struct barter_buf *buf);
void barter_watch_client_release(struct barter_client *client);
int barter_watch_add(struct barter_client *client, struct barter_buf *buf,
		     struct eventfd_ctx *eventfd, struct barter_watch *now,
		     u64 *number);
void barter_watch_undo(struct barter_client *client, u64 number);
int barter_watch_remove(struct barter_client *client, struct barter_buf *buf,
			const struct eventfd_ctx *eventfd,
			struct barter_watch *now);
void barter_watch_changed(struct barter_buf *buf);

/* chardev.c */
int barter_chardev_init(void);
void barter_chardev_exit(void);

/* debugfs.c */
void barter_debugfs_init(void);
void barter_debugfs_exit(void);
const char *barter_state_name(u32 state);
void barter_reasons_print(u32 reasons, char *text, size_t length);

#endif /* BARTER_CORE_PRIV_H */
