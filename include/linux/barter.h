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
 *	barter_export_fd(), revoke, restore ...
 *	barter_buf_revoke()		one buffer is taken back for ever
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

#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/barter.h>

struct address_space;
struct barter_exporter;
struct barter_interconnect;
struct device;
struct dma_buf;
struct dma_buf_attach_ops;
struct dma_buf_attachment;
struct iommu_domain;
struct module;
struct pci_dev;
struct vm_area_struct;

/* Entries that a list of offers has at most. */
#define BARTER_MAX_OFFERS	8

/**
 * struct barter_offer - one kind of address that one side can work with
 * @type: the interconnect
 * @data: what @type wants to know of this side; each type says what that is
 *
 * A list of offers is an array that lives as long as the module that owns it.
 * No type is in it twice.
 */
struct barter_offer {
	const struct barter_interconnect *type;
	const void *data;
};

/**
 * struct barter_exporter_ops - what core asks of the lending driver
 * @owner: the driver's module; every buffer holds a reference to it
 * @get: take a reference that keeps the structure around the exporter, the
 *	address_space and @access_begin callable. May be called in any context
 *	that may sleep, only while the caller of barter_export_fd() keeps it alive
 *	too, or a buffer that a slice is being cut from.
 * @put: drop it; may be the last one, and then calls barter_exporter_cleanup()
 *	before the memory is freed
 * @access_begin: take the lock under which the answer of @access_allowed
 *	cannot change; where it does without that lock, from yes to no, a revoke
 *	follows. Called by page faults with mmap_lock held, before the
 *	dma_resv: it sleeps, takes neither mmap_lock nor a dma_resv. It is called
 *	for dead buffers too, after the device is gone: a driver whose lock goes
 *	with the device reaches it by a way that it cuts at remove, as
 *	kernel/vfio/exporter.c does.
 * @access_allowed: whether the CPU may touch the device's memory now. Called
 *	between begin and end, with the buffer's dma_resv held, and only while
 *	no revoke for BARTER_REASON_CLOSED or BARTER_REASON_GONE has begun; for
 *	mappings of barter_exporter_mmap() also after the latter.
 * @access_end: drop the lock of @access_begin
 * @offers: the interconnects that importers may have, the one that this driver
 *	likes best first; NULL for those of core: pci-bar, iommu-domain, sgt
 * @nr_offers: how many, at most BARTER_MAX_OFFERS; 0 with NULL
 * @select: may be NULL: then the first match of both lists is taken. Else called
 *	with the dma_resv held at the first map or pin of an attachment, and again
 *	at the first one after an invalidate, to pick one of the @nr matches in
 *	@types, which are in the order of @offers. Returns its index, or an errno,
 *	which the importer gets for its map or pin: nothing is chosen then. What the
 *	importer has declined is not in @types. Takes neither the driver's access lock nor a lock that a revoke is called with.
 * @slice_tells_device: may be NULL, which means no: may whoever holds a slice learn
 *	which device and BAR it is of. Any context.
 */
struct barter_exporter_ops {
	struct module *owner;
	void (*get)(struct barter_exporter *exp);
	void (*put)(struct barter_exporter *exp);
	void (*access_begin)(struct barter_exporter *exp);
	bool (*access_allowed)(struct barter_exporter *exp);
	void (*access_end)(struct barter_exporter *exp);
	const struct barter_offer *offers;
	unsigned int nr_offers;
	int (*select)(struct barter_exporter *exp,
		      struct dma_buf_attachment *attach,
		      const struct barter_interconnect *const *types,
		      unsigned int nr);
	bool (*slice_tells_device)(struct barter_exporter *exp);
};

/*
 * For tables whose size a user chose: charged to the caller, and over the limit
 * of the caller's memory cgroup an error, not a process killed.
 */
#define BARTER_GFP_TABLE \
	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#define BARTER_NR_REASONS	9
#define BARTER_NR_WINDOWS	6
#define BARTER_NR_MEMATTR	2

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
 *			it: @depth, writing @reasons, each buffer's revoke state,
 *			@bars_zapped (bits of BARs, during a revoke).
 *	list_lock	the list of buffers. A leaf, nothing sleeps under it.
 *	windows		has a lock of its own
 *	attr_lock	which buffers are mapped with which memory attribute: @mapped,
 *			and of each buffer its attribute and its place there
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
	u32 bars_zapped;
	struct mutex attr_lock;
	struct list_head mapped[BARTER_NR_MEMATTR];
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
 *
 * Return: the bits, 0 if nothing is revoked.
 */
static inline u32 barter_exporter_reasons(const struct barter_exporter *exp)
{
	return READ_ONCE(exp->reasons);
}

int barter_exporter_revoke(struct barter_exporter *exp, u32 reason,
			   unsigned int flags);
void barter_exporter_restore(struct barter_exporter *exp, u32 reason);

int barter_buf_revoke(struct barter_exporter *exp, struct dma_buf *dmabuf,
		      unsigned int flags);

int barter_exporter_mmap(struct barter_exporter *exp, unsigned int bar,
			 u64 offset, const char *name,
			 struct vm_area_struct *vma);

int barter_buf_set_memattr(struct barter_exporter *exp, struct dma_buf *dmabuf,
			   u32 memattr, bool force);

union barter_slot;

/**
 * struct barter_lend - what is to be lent; begins zeroed
 * @bar: BAR index, 0 to 5
 * @ranges: pieces of the BAR, in the buffer's order; copied before they are looked at,
 *	unless they come from barter_lend_copy()
 * @nr: number of @ranges, 1 to BARTER_MAX_RANGES
 * @open_flags: O_CLOEXEC and an access mode; O_RDONLY with BARTER_EXPORT_READ_ONLY
 * @flags: BARTER_EXPORT_*
 * @memattr: BARTER_MEMATTR_*
 * @name: for /proc/PID/maps; cut after 31 characters; NULL or empty for none
 */
struct barter_lend {
	unsigned int bar;
	const struct barter_range *ranges;
	u32 nr;
	unsigned int open_flags;
	u32 flags;
	u32 memattr;
	const char *name;
	/* private: of barter_lend_copy() */
	union barter_slot *table;
	struct barter_range one;
};

struct barter_range *barter_lend_copy(struct barter_lend *lend,
				      const void __user *from, u32 nr);
void barter_lend_cleanup(struct barter_lend *lend);
int barter_export_fd(struct barter_exporter *exp, struct barter_lend *lend);

/*
 * Interconnects
 *
 * What an importer gets is an address, and which kind of address makes sense is
 * agreed for each attachment between the two sides. Each kind is a *type*, one
 * structure that is known by its pointer. Both sides list types; those that are
 * in both lists and whose match callback says yes are kept, in the exporter's
 * order. The first is the one in use, unless the exporter selects another when
 * the importer maps or pins. A choice holds until the next invalidate.
 *
 * An importer that wants more than DMA addresses in a scatterlist registers
 * itself, with the dma_buf_attach_ops that it attaches with. One that does not
 * gets "sgt" by dma-buf's own calls and never notices barter.
 *
 *	static const struct barter_offer my_offers[] = {
 *		{ &barter_pci_bar, &my_pci_bar },
 *		{ &barter_sgt },
 *	};
 *	static struct barter_importer my_importer = {
 *		.name = "my", .owner = THIS_MODULE, .ops = &my_attach_ops,
 *		.offers = my_offers, .nr_offers = ARRAY_SIZE(my_offers),
 *	};
 *
 *	barter_importer_register(&my_importer);
 *	attach = barter_attach(dmabuf, &pdev->dev, &my_importer, my);
 *	dma_resv_lock(dmabuf->resv, NULL);
 *	if (barter_attach_type(attach) == &barter_pci_bar)
 *		map = barter_pci_bar_map(attach);
 *	else
 *		sgt = dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
 *	dma_resv_unlock(dmabuf->resv);
 *
 * A lending driver that offers a type of its own beside those of core:
 *
 *	static const struct barter_offer my_offers[] = {
 *		{ &my_fabric, &my_fabric_exporter_ops },
 *		{ &barter_pci_bar }, { &barter_iommu_domain }, { &barter_sgt },
 *	};
 *	static const struct barter_exporter_ops my_exporter_ops = {
 *		...
 *		.offers = my_offers, .nr_offers = ARRAY_SIZE(my_offers),
 *	};
 */

/**
 * struct barter_match - what a match callback decides on
 * @attach: the attachment that is being made: its device, ops and priv are set,
 *	its mappings are not
 * @exporter: the exporter
 * @pdev: the device whose memory is lent; may be on its way out, or out
 * @domain: PCI address of @pdev, which may have no bus to ask any more
 * @bus: the same
 * @devfn: the same
 * @bar: index of the BAR
 * @bar_length: bytes of the BAR
 * @end: bytes from the start of the BAR to the end of the buffer's highest range
 * @exporter_data: the exporter's data for the type
 * @importer_data: the importer's
 */
struct barter_match {
	struct dma_buf_attachment *attach;
	struct barter_exporter *exporter;
	struct pci_dev *pdev;
	u32 domain;
	u8 bus;
	u8 devfn;
	unsigned int bar;
	u64 bar_length;
	u64 end;
	const void *exporter_data;
	const void *importer_data;
};

/* A match callback's "not this type": the next one is tried. */
#define BARTER_MATCH_SKIP	(-EOPNOTSUPP)

/**
 * struct barter_interconnect - a kind of address, one object for each kind
 * @name: for people; unique, shorter than BARTER_TYPE_LENGTH
 * @owner: the module that the object is in; it stays while an attachment has the
 *	type among its matches
 * @match: may be NULL: two sides that list the type agree. Else called while an
 *	importer attaches, with no lock held: only what cannot change for the life
 *	of the attachment may count. The exporting device may be on its way out, or
 *	out, and must not be touched. Returns 0 to agree, BARTER_MATCH_SKIP to go on
 *	without the type, any other errno to refuse the attachment; what is none of these
 *	is taken for -EINVAL.
 * @read_only: its map calls ask barter_attach_read_only(), and see to it that such a
 *	buffer is not written through what they give. A type that does not say so never
 *	gets a read-only buffer.
 *
 * The rest is private to core.
 */
struct barter_interconnect {
	const char *name;
	struct module *owner;
	int (*match)(const struct barter_match *match);
	bool read_only;

	/* private: */
	struct list_head node;
	bool registered;
};

/**
 * struct barter_importer - an importer that knows of interconnects
 * @name: for people
 * @owner: its module, which stays while it is attached anywhere
 * @ops: what it attaches with. By this pointer it is known, so no other importer
 *	has the same. It can be told to let go (invalidate).
 * @offers: what it can work with; the order does not matter
 * @nr_offers: how many, 1 to BARTER_MAX_OFFERS
 * @restored: may be NULL. Called after the end of a revoke, from a work item with
 *	no lock held, possibly late: then a map may fail again. Like the callback
 *	that says let go it may come before the attach call has returned. What it
 *	allocates is charged to no memory cgroup, unless it names one. Not called
 *	any more once dma_buf_detach() has returned, which waits for it; so it must
 *	not detach, nor take a lock that is held around a detach.
 */
struct barter_importer {
	const char *name;
	struct module *owner;
	const struct dma_buf_attach_ops *ops;
	const struct barter_offer *offers;
	unsigned int nr_offers;
	void (*restored)(struct dma_buf_attachment *attach);

	/* private: */
	struct hlist_node node;
	unsigned long core_types;
	bool registered;
};

int barter_interconnect_register(struct barter_interconnect *type);
void barter_interconnect_unregister(struct barter_interconnect *type);
int barter_importer_register(struct barter_importer *importer);
void barter_importer_unregister(struct barter_importer *importer);

struct dma_buf_attachment *barter_attach(struct dma_buf *dmabuf,
					 struct device *dev,
					 const struct barter_importer *importer,
					 void *priv);
const struct barter_interconnect *
barter_attach_type(struct dma_buf_attachment *attach);
int barter_attach_decline(struct dma_buf_attachment *attach,
			  const struct barter_interconnect *type);

/* For the map calls of a type that core does not know. */
int barter_map_begin(struct dma_buf_attachment *attach,
		     const struct barter_interconnect *type,
		     const void **exporter_data);
void barter_map_end(struct dma_buf_attachment *attach,
		    const struct barter_interconnect *type);
struct barter_exporter *barter_attach_exporter(struct dma_buf_attachment *attach);
bool barter_attach_read_only(struct dma_buf_attachment *attach);
u32 barter_attach_ranges(struct dma_buf_attachment *attach, u32 first,
			 struct barter_range *ranges, u32 nr);

/*
 * "sgt": DMA addresses for the importer's device, by dma_buf_map_attachment().
 * Neither side has data.
 */
extern struct barter_interconnect barter_sgt;

/*
 * "pci-bar": which bytes of which BAR, for an importer that owns the memory behind
 * it. The exporter has no data, the importer's is a struct barter_pci_bar_importer.
 */
extern struct barter_interconnect barter_pci_bar;

/**
 * struct barter_pci_bar_importer - an importer's data for pci-bar
 * @share: called once an attachment's devices are known to belong together, with
 *	no lock held. Sets @bytes to the size of the device memory that the exporting
 *	function has, the BAR's offset 0 being the first. Returns 0,
 *	BARTER_MATCH_SKIP, or an errno that refuses the attachment; what is none of
 *	these is taken for -EINVAL. Takes no device_lock.
 */
struct barter_pci_bar_importer {
	int (*share)(const struct barter_match *match, u64 *bytes);
};

/**
 * struct barter_pci_bar_map - a buffer as pieces of a BAR
 * @pdev: the exporting device, valid until the unmap. It may be asked for its
 *	name, not for its registers.
 * @bar: index of the BAR
 * @share: what barter_pci_bar_importer.share said; every range is below it
 * @length: bytes of all ranges
 * @nr: number of @ranges
 * @ranges: offset in the BAR and length, in the buffer's order
 */
struct barter_pci_bar_map {
	struct pci_dev *pdev;
	unsigned int bar;
	u64 share;
	u64 length;
	u32 nr;
	struct barter_range ranges[];
};

const struct barter_pci_bar_map *
barter_pci_bar_map(struct dma_buf_attachment *attach);
void barter_pci_bar_unmap(struct dma_buf_attachment *attach,
			  const struct barter_pci_bar_map *map);

/*
 * "iommu-domain": core maps the buffer into the importer's own iommu_domain.
 * Neither side has data. The importer needs no device: barter_attach(dmabuf, NULL).
 */
extern struct barter_interconnect barter_iommu_domain;

/* The importer answers for the route of every device in the domain itself. */
#define BARTER_DOMAIN_UNCHECKED	(1U << 0)

/**
 * struct barter_domain_request - where a buffer is to be mapped
 * @domain: an unmanaged domain of the importer's own, neither the DMA API's nor
 *	iommufd's. It outlives the mapping.
 * @iova: where the buffer begins; the ranges follow one after another
 * @prot: IOMMU_READ, IOMMU_WRITE or both; also IOMMU_NOEXEC, IOMMU_PRIV. Core adds
 *	IOMMU_MMIO.
 * @devices: devices attached to @domain that will use the mapping: each one's route
 *	is checked, also with BARTER_DOMAIN_UNCHECKED
 * @nr_devices: how many; 0 only with BARTER_DOMAIN_UNCHECKED
 * @flags: BARTER_DOMAIN_UNCHECKED
 */
struct barter_domain_request {
	struct iommu_domain *domain;
	unsigned long iova;
	int prot;
	struct device *const *devices;
	unsigned int nr_devices;
	unsigned int flags;
};

struct barter_domain_map;

struct barter_domain_map *
barter_domain_map(struct dma_buf_attachment *attach,
		  const struct barter_domain_request *request);
void barter_domain_unmap(struct dma_buf_attachment *attach,
			 struct barter_domain_map *map);

#endif /* _LINUX_BARTER_H */
