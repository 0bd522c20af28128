/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The in-kernel API of barter-vgpu: guest memory for drivers of mediated devices.
 *
 * A mediated device (vGPU) has no IOMMU of its own. Its driver turns addresses of
 * the guest (IOVAs) into pages, and into addresses that the physical device behind
 * may use. A *space* is what one vfio_device sees of its guest. barter_vgpu_map()
 * pins a range in it and, if a device is named, maps it for that device through the
 * DMA API; a *map* is the counted result. Requests for the same range, device and
 * rights get the same map; different maps of one page share its pin. When the guest
 * unmaps memory, every map that needs it is *invalidated*: the driver is told, stops
 * the device, and gives its references back; the guest's unmap returns only then.
 *
 * Life of a space, in terms of vfio_device_ops:
 *
 *	.init		barter_vgpu_create()
 *	.open_device	barter_vgpu_open()
 *	.dma_unmap	barter_vgpu_dma_unmap()
 *	.close_device	barter_vgpu_close()
 *	.release	barter_vgpu_destroy()
 *
 * .dma_unmap may come before .open_device, and at the same time as .close_device: this
 * is why a space lives as long as the vfio_device.
 *
 * What a driver does with a map:
 *
 *	ret = barter_vgpu_map(space, iova, npages, BARTER_VGPU_READ, dma_dev, &map);
 *	if (ret)
 *		return ret;
 *	mutex_lock(&gpu->lock);			// also taken by .invalidate
 *	if (!barter_vgpu_valid(map)) {		// invalidated before we knew it
 *		mutex_unlock(&gpu->lock);
 *		barter_vgpu_unmap(map);
 *		return -EAGAIN;
 *	}
 *	remember map; the device may be started
 *	mutex_unlock(&gpu->lock);
 *
 * and in .invalidate: take gpu->lock, forget the map, stop what the device does with
 * it, drop the lock, barter_vgpu_unmap() for each reference.
 *
 * All functions that may fail return 0 or a negative errno. All may sleep, and are
 * called in process context, unless said otherwise. Locks: whatever a driver holds
 * when it calls barter_vgpu_map(), barter_vgpu_unmap() or a copy it must not take in
 * .invalidate, else there is a deadlock by way of VFIO's locks; and it must not hold
 * the mmap_lock of the guest's process. Only within .invalidate itself
 * barter_vgpu_unmap() may be called with such a lock held.
 */
#ifndef _LINUX_BARTER_VGPU_H
#define _LINUX_BARTER_VGPU_H

#include <linux/types.h>

struct barter_vgpu_map;
struct barter_vgpu_space;
struct device;
struct module;
struct page;
struct sg_table;
struct vfio_device;

/* Rights of a map. Reading is always among them. */
#define BARTER_VGPU_READ	(1U << 0)
#define BARTER_VGPU_WRITE	(1U << 1)

/* Pages that one call of a backend pins at most; a longer map takes several. */
#define BARTER_VGPU_BATCH	512U

/* Limits of a space where it names none, and the most that it may name. */
#define BARTER_VGPU_DEFAULT_PAGES	(1U << 18)	/* 1 GiB of 4 KiB pages */
#define BARTER_VGPU_MOST_PAGES		(1U << 24)
#define BARTER_VGPU_DEFAULT_MAPS	(1U << 16)
#define BARTER_VGPU_MOST_MAPS		(1U << 21)

/**
 * struct barter_vgpu_ops - what a space asks of its driver
 * @owner: THIS_MODULE; its name stands in the log where the driver is late
 * @invalidate: the guest takes memory away that @map needs (or the space is closed,
 *	or the device of the map goes). Called once for a map, while somebody holds a
 *	reference to it; never called again, and the map is found by no
 *	barter_vgpu_map() any more. The driver sees to it that the device, and
 *	the CPU, stop using it, and then gives back every reference it has, here or
 *	later from anywhere: the guest's unmap waits for the last one.
 *
 *	May sleep. VFIO's locks are held: it calls nothing of VFIO and neither
 *	barter_vgpu_map(), barter_vgpu_read(), barter_vgpu_write(), barter_vgpu_close()
 *	nor barter_vgpu_revoke_device() (-EDEADLK, or a warning), nor does it wait for
 *	a thread that does, or that is in barter_vgpu_unmap(). barter_vgpu_unmap() of
 *	any map of this space is fine. It does not wait for user space. A thread
 *	that keeps a reference which invalidate does not give back, and maps or
 *	copies meanwhile, may cost the guest some seconds.
 *
 *	May come for a map that barter_vgpu_map() has given to a thread of the driver
 *	that has not noted it yet: see barter_vgpu_valid(). May come for a map of
 *	which the guest took nothing, when its pages were pinned together with some
 *	that go; it can be mapped again afterwards.
 */
struct barter_vgpu_ops {
	struct module *owner;
	void (*invalidate)(void *priv, struct barter_vgpu_map *map);
};

/**
 * struct barter_vgpu_backend - what stands behind a space: a hypervisor
 * @name: for logs and debugfs
 * @pin: pin @npages (1 to BARTER_VGPU_BATCH) pages from @iova (page aligned) on,
 *	all or none, and fill @pages. With @write they may be written to. Pins
 *	count: a page that was pinned twice is unpinned by the second unpin. Returns 0
 *	or an errno as barter_vgpu_map() has them; another number is taken for -EIO, with
 *	nothing pinned. Called without locks that barter_vgpu_dma_unmap() takes, so it may
 *	wait for that. After -EREMOTE of a backend
 *	that does not ask again it is called some 32 times more, for a tenth of a second
 *	or so: the memory may be what an unmap, of which nobody was told yet, takes away.
 *	-EREMOTEIO is beyond doubt: who asked gets -EREMOTE at once
 * @unpin: undo one @pin of exactly this range; or, with @unpin_any, of any range
 *	that is pinned. Called neither with such locks nor from within
 *	barter_vgpu_dma_unmap(), several at once for different ranges, also by workers
 *	that have no mm.
 * @rw: copy @length bytes between @buffer and the guest's memory at @iova, which
 *	need not be aligned. Returns 0 or an errno, not the length; another number is
 *	taken for -EIO. -EREMOTE and -EREMOTEIO as of @pin. May be NULL: -EOPNOTSUPP.
 * @dirty: may be NULL. @npages pages from @iova on were writable for a device or for
 *	the CPU until now; called before they are unpinned, once for each map with
 *	BARTER_VGPU_WRITE, and for no other
 * @asks_again: may be NULL, which means no: is barter_vgpu_dma_unmap() called again, ten
 *	times at least, if it returns with pages still pinned? It then does so where its
 *	caller's locks keep @unpin, @pin or @rw from their end. Else it never does.
 *	This and the next are called with locks held and only look.
 * @unpin_any: may be NULL, which means no: may ranges that were pinned by several
 *	calls, next to each other, be unpinned by one, of up to BARTER_VGPU_BATCH pages
 *
 * @data is what the space was created with. Whatever notices that the guest takes
 * memory away calls barter_vgpu_dma_unmap().
 */
struct barter_vgpu_backend {
	const char *name;
	int (*pin)(void *data, u64 iova, unsigned int npages, bool write,
		   struct page **pages);
	void (*unpin)(void *data, u64 iova, unsigned int npages);
	int (*rw)(void *data, u64 iova, void *buffer, size_t length, bool write);
	void (*dirty)(void *data, u64 iova, unsigned long npages);
	bool (*asks_again)(void *data);
	bool (*unpin_any)(void *data);
};

/* Linux' VFIO: type 1 containers and iommufd. The data is the struct vfio_device. */
extern const struct barter_vgpu_backend barter_vgpu_vfio;

/**
 * struct barter_vgpu_config - how a space is made
 * @name: for logs and debugfs, like dev_name(); copied
 * @ops: the driver's callbacks
 * @priv: handed to them
 * @backend: &barter_vgpu_vfio, or another
 * @data: handed to the backend: the vfio_device. The space takes no reference to it.
 * @max_pages: pinned pages at most, at most BARTER_VGPU_MOST_PAGES; 0 for
 *	BARTER_VGPU_DEFAULT_PAGES. A page counts once for all maps that share its
 *	pin: once for those that may write, once for those that may not. The pages
 *	of all maps in sum are eight times that at most.
 * @max_maps: maps at most, at most BARTER_VGPU_MOST_MAPS; 0 for BARTER_VGPU_DEFAULT_MAPS
 */
struct barter_vgpu_config {
	const char *name;
	const struct barter_vgpu_ops *ops;
	void *priv;
	const struct barter_vgpu_backend *backend;
	void *data;
	unsigned long max_pages;
	unsigned long max_maps;
};

/**
 * struct barter_vgpu_segment - what is contiguous for the device of a map
 * @address: for the device
 * @offset: bytes of the map before it
 * @length: bytes
 */
struct barter_vgpu_segment {
	dma_addr_t address;
	u64 offset;
	u64 length;
};

/**
 * struct barter_vgpu_stat - what a space has and has done
 * @pages: pinned now
 * @maps: maps now
 * @batches: pins now; each is undone as a whole
 * @pins: calls of the backend's pin that succeeded
 * @pinned: pages that these pinned, in sum
 * @unpins: calls of its unpin
 * @hits: requests that found the map that they asked for
 * @invalidates: maps that the driver was told to let go of
 * @late: drivers that were named in the log for not doing so in time
 */
struct barter_vgpu_stat {
	unsigned long pages;
	unsigned long maps;
	unsigned long batches;
	u64 pins;
	u64 pinned;
	u64 unpins;
	u64 hits;
	u64 invalidates;
	u64 late;
};

/**
 * barter_vgpu_create - make a space, closed
 * @config: copied, except what it points to by @ops, @priv, @backend and @data
 * @out: the space, until barter_vgpu_destroy()
 *
 * Return: 0, -EINVAL (a limit too large, a callback missing), -ENOMEM.
 */
int barter_vgpu_create(const struct barter_vgpu_config *config,
		       struct barter_vgpu_space **out);

/**
 * barter_vgpu_destroy - end a space
 * @space: closed, with no reference to a map left; NULL does nothing
 *
 * Nobody may be in a call of it, barter_vgpu_dma_unmap() included.
 */
void barter_vgpu_destroy(struct barter_vgpu_space *space);

/**
 * barter_vgpu_open - allow maps from now on
 * @space: a closed one; may have been open before
 */
void barter_vgpu_open(struct barter_vgpu_space *space);

/**
 * barter_vgpu_close - take everything back
 * @space: an open or a closed one
 *
 * Maps fail with -ENODEV from now on. Each map that is left is invalidated, and this
 * returns when the last reference is gone and every page is unpinned. Whoever has
 * maps and wants no callback gives them back first. Called by invalidate it does
 * nothing, and warns once.
 */
void barter_vgpu_close(struct barter_vgpu_space *space);

/**
 * barter_vgpu_dma_unmap - the guest takes memory away
 * @space: NULL does nothing
 * @iova: first byte
 * @length: bytes; 0 does nothing, too many mean up to the end
 *
 * For .dma_unmap, with all the locks that VFIO holds there, and before the driver waits for
 * anything: from here on others of the process know of it. Invalidates what needs
 * any of these bytes. When this returns nothing of the range is mapped for a device
 * or pinned, and a barter_vgpu_map() that was on its way has failed with -EAGAIN.
 * Waits for the driver as long as it takes, and names it in the log after 10 s
 * and then each minute.
 *
 * Type 1 has an inversion of locks here that only the return of this call resolves: who
 * opens another device of the container, or unmaps something else there, keeps
 * whoever pins, unpins or copies from the end of it. Only if that goes on for a second
 * this returns early, to be called again: VFIO sees what is still pinned.
 */
void barter_vgpu_dma_unmap(struct barter_vgpu_space *space, u64 iova, u64 length);

/**
 * barter_vgpu_revoke_device - take back what is mapped for a device
 * @space: the space
 * @dma_dev: a device that is about to go; not NULL
 *
 * For the remove() of the physical device's driver, which has seen to it that no new
 * map for it begins: invalidates all maps of the device, and returns when they are
 * undone, so that no call of the DMA API for it follows. Called by invalidate it does
 * nothing, and warns once.
 */
void barter_vgpu_revoke_device(struct barter_vgpu_space *space,
			       struct device *dma_dev);

/**
 * barter_vgpu_map - pin guest memory, and map it for a device
 * @space: the space
 * @iova: guest address, a multiple of PAGE_SIZE
 * @npages: pages of PAGE_SIZE
 * @prot: BARTER_VGPU_READ, or BARTER_VGPU_READ | BARTER_VGPU_WRITE. A device gets these
 *	rights from its IOMMU, if it has one.
 * @dma_dev: the device that will reach the memory, or NULL: for the CPU only. The caller
 *	keeps it, and its driver bound, until the map is undone: there is no other reference.
 * @out: the map, with a reference of the caller's, until barter_vgpu_unmap()
 *
 * Pins what no other map has pinned yet, in batches. What was done is undone on any
 * error, as barter_vgpu_unmap() does it. May fault the guest's memory in. Memory is
 * charged to the caller's cgroup; pinned pages to the guest's RLIMIT_MEMLOCK, as VFIO
 * does.
 *
 * Return: 0, or
 * -EINVAL: @npages is 0, @iova not aligned, @prot none of the two;
 * -EOVERFLOW: the range has no end below 2^64 (with iommufd on 32 bits: below 2^32);
 * -EDQUOT: more pages or maps than the space's limit;
 * -ENODEV: the space is closed, or the guest's process has gone;
 * -EDEADLK: called by invalidate of this space;
 * -ENOENT: the guest has nothing mapped at some page of it;
 * -EPERM: BARTER_VGPU_WRITE, and the guest has mapped some page for reading only; or
 *	not for reading;
 * -EREMOTE: some page is a device's memory, a BAR, not RAM. There is no page to pin; the
 *	way to such memory is the dma-buf that its driver lends (the log says so). With
 *	iommufd this answer may take a quarter of a second, for which others that map in
 *	the space wait: no thread that serves several guests should call this;
 * -EFAULT: the guest's process has no memory at some address that it mapped, or none that
 *	may be written; or a shared file of a filesystem that has to know when it is
 *	written. With iommufd also: a BAR that was mapped by address, or a process that has
 *	gone; the log says what it may be;
 * -EOPNOTSUPP: some page is of a file on persistent memory (DAX), which cannot be pinned;
 * -ENXIO: @dma_dev cannot reach some page by itself, it would take bounce buffers, of
 *	which the guest knows nothing;
 * -EAGAIN: the guest unmapped some of it meanwhile, or the space was closed, or @dma_dev
 *	revoked; or the guest unmaps whatever, and VFIO has asked for that three times:
 *	what is not mapped yet is refused then until the guest's ioctl has ended. Try again
 *	in a moment;
 * -EINTR: a fatal signal;
 * -EACCES: a VFIO container of type 1 version 1, or of none, which cannot pin;
 * -EBUSY: the guest's addresses are being replaced (VFIO_DMA_UNMAP_FLAG_VADDR);
 * -ENOMEM: out of memory, over RLIMIT_MEMLOCK or over the cgroup's limit;
 * -EIO: the DMA API would not map it, or the backend's answer was no errno.
 */
int barter_vgpu_map(struct barter_vgpu_space *space, u64 iova, unsigned long npages,
		    unsigned int prot, struct device *dma_dev,
		    struct barter_vgpu_map **out);

/**
 * barter_vgpu_unmap - give a reference back
 * @map: a map; NULL does nothing
 *
 * The last one undoes it: the device's mapping first, then the pins that no other
 * map shares. Pages are unpinned in the batches that they were pinned in. When this
 * returns it is all done; except while the guest unmaps something, within invalidate
 * too, and for a caller with a fatal signal: then workers unpin the pages right afterwards,
 * and barter_vgpu_close() waits for them. The device must have stopped. Outside of
 * invalidate no lock is held that invalidate takes: collect under the lock, unmap after it.
 */
void barter_vgpu_unmap(struct barter_vgpu_map *map);

/**
 * barter_vgpu_unmap_many - give many references back
 * @maps: the maps, in any order; a map is in it once for each reference; NULL entries
 *	are skipped
 * @nr: how many
 *
 * Like barter_vgpu_unmap() of each, but with fewer calls of VFIO: what was pinned next to
 * each other is unpinned together. The array's content is undefined afterwards.
 */
void barter_vgpu_unmap_many(struct barter_vgpu_map **maps, unsigned long nr);

/**
 * barter_vgpu_valid - has nobody taken the map away yet?
 * @map: a map
 *
 * Asked under a lock that invalidate takes, true means that invalidate is still to
 * come, if ever, for this map, and will wait for that lock. Any context.
 *
 * Return: false if invalidate has been called, or is about to be.
 */
bool barter_vgpu_valid(const struct barter_vgpu_map *map);

/**
 * barter_vgpu_iova - where the guest sees it
 * @map: a map
 *
 * Return: the guest address of its first byte. Any context.
 */
u64 barter_vgpu_iova(const struct barter_vgpu_map *map);

/**
 * barter_vgpu_npages - how long it is
 * @map: a map
 *
 * Return: pages. Any context.
 */
unsigned long barter_vgpu_npages(const struct barter_vgpu_map *map);

/**
 * barter_vgpu_device - for whom it is
 * @map: a map
 *
 * Return: its device, NULL if there is none. Any context.
 */
struct device *barter_vgpu_device(const struct barter_vgpu_map *map);

/**
 * barter_vgpu_page - a page of a map
 * @map: a map
 * @index: which, below barter_vgpu_npages()
 * @run: NULL, or set to how many pages from this one on follow each other in physical
 *	memory, up to the end of the map. Count page frame numbers to reach them:
 *	nth_page() and the like; struct pages need not follow each other.
 *
 * Logarithmic in what is scattered. Any context.
 *
 * Return: the page.
 */
struct page *barter_vgpu_page(const struct barter_vgpu_map *map,
			      unsigned long index, unsigned long *run);

/**
 * barter_vgpu_segments - a map as its device sees it
 * @map: a map with a device
 * @nr: set to how many
 *
 * As few as the device's longest segment and boundary (dma_set_max_seg_size(),
 * dma_set_seg_boundary()) permit: behind a translating IOMMU one, else one for
 * each physical run. A device that never said how long its segments may be counts as
 * one of 64 KiB.
 *
 * Return: the segments, in order, as long as the caller has its reference. NULL and 0
 * for a map without a device. Any context.
 */
const struct barter_vgpu_segment *
barter_vgpu_segments(const struct barter_vgpu_map *map, unsigned int *nr);

/**
 * barter_vgpu_address - the device's address of a byte
 * @map: a map with a device
 * @offset: in the map, in bytes
 * @length: set to the bytes from there to the end of its segment
 *
 * Return: the address. Any context. Logarithmic in the number of segments.
 */
dma_addr_t barter_vgpu_address(const struct barter_vgpu_map *map, u64 offset,
			       u64 *length);

/**
 * barter_vgpu_read - copy from guest memory
 * @space: the space
 * @iova: guest address, of any alignment
 * @buffer: kernel memory
 * @length: bytes; 0 does nothing
 *
 * Pins nothing. To be called by the guest's own process, in an ioctl or so, or by a
 * kernel thread. What was copied before an error stays copied.
 *
 * Return: 0, or -ENOENT, -EPERM, -EFAULT (also: the caller is another process),
 * -ENODEV, -EDEADLK, -EOVERFLOW, -EBUSY, -EREMOTE (only iommufd says so) as of
 * barter_vgpu_map(), -EINTR; -EAGAIN: with iommufd, the guest unmaps some of it just now;
 * -EOPNOTSUPP: the backend cannot; -EIO: its answer was no errno.
 */
int barter_vgpu_read(struct barter_vgpu_space *space, u64 iova, void *buffer,
		     size_t length);

/**
 * barter_vgpu_write - copy to guest memory
 * @space: the space
 * @iova: guest address, of any alignment
 * @buffer: kernel memory
 * @length: bytes; 0 does nothing
 *
 * Return: as barter_vgpu_read().
 */
int barter_vgpu_write(struct barter_vgpu_space *space, u64 iova,
		      const void *buffer, size_t length);

/**
 * barter_vgpu_stat - numbers of a space
 * @space: the space
 * @stat: filled
 */
void barter_vgpu_stat(struct barter_vgpu_space *space,
		      struct barter_vgpu_stat *stat);

#endif /* _LINUX_BARTER_VGPU_H */
