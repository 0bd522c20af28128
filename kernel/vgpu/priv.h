/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-vgpu know of each other.
 *
 * A space has *maps*, which drivers hold, and *batches*, which the backend has pinned:
 * up to BARTER_VGPU_BATCH pages by one call, and unpinned as a whole. A *link* says
 * which part of a batch a map uses. Batches with the same rights never overlap while
 * they are live, so each page is pinned once for each kind of rights; a new map uses
 * what batches there are and pins the gaps between them.
 *
 * A batch that somebody wants back is *leaving*: no new map finds it, and it stays
 * in a tree of its own until it is unpinned, for those who wait for that.
 *
 * Locks, outermost first:
 *
 *	vgpu_spaces_lock	the list of spaces, for debugfs
 *	space->map_lock		one new map is built at a time. Held across calls of the
 *				backend, so not taken by barter_vgpu_dma_unmap()
 *	the backend's locks	(type 1: iommu->lock, device_list_lock), mmap_lock
 *	space->lock		everything else of a space. Held for a moment, across
 *				no call of backend, driver or DMA API
 *	vgpu_rounds_lock	round.c: which unmaps are under way; a spinlock
 */
#ifndef BARTER_VGPU_PRIV_H
#define BARTER_VGPU_PRIV_H

#include <linux/barter_vgpu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/scatterlist.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct task_struct;
struct vgpu_guest;

/* Charged to the caller, and over the limit of its cgroup an error. */
#define VGPU_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/**
 * struct vgpu_run - pages that follow each other in physical memory
 * @pfn: the first
 * @first: its index in the batch; the run ends where the next one begins
 */
struct vgpu_run {
	unsigned long pfn;
	unsigned int first;
};

/**
 * struct vgpu_batch - what one call of the backend has pinned
 * @node: in space->live[@write], or in space->leaving
 * @start: guest address of the first byte
 * @last: of the last one
 * @subtree_last: for the tree
 * @npages: pages
 * @refs: links to it, those of a map that is being built among them; of a new batch
 *	also its builder's. At 0 it leaves.
 * @write: pinned for writing
 * @leaving: in which tree it is
 * @pinned: the backend has pinned it; set once, by its builder
 * @nr_runs: runs
 * @runs: sorted; @one, or memory of its own. Constant once @pinned.
 * @one: the run of a contiguous batch
 * @links: of the finished maps that use it
 * @node_release: when nobody does any more, in the list of whoever unpins it
 * @space: its space
 * @work: unpins it, and what hangs at @group by @node_release, for a task that must not
 * @group: see @work
 */
struct vgpu_batch {
	struct rb_node node;
	u64 start;
	u64 last;
	u64 subtree_last;
	unsigned int npages;
	unsigned int refs;
	bool write;
	bool leaving;
	bool pinned;
	unsigned int nr_runs;
	struct vgpu_run *runs;
	struct vgpu_run one;
	struct list_head links;
	struct list_head node_release;
	struct barter_vgpu_space *space;
	struct work_struct work;
	struct list_head group;
};

/**
 * struct vgpu_link - which part of a batch a map uses
 * @batch: the batch
 * @map: the map
 * @node: in @batch->links, once the map is finished
 * @index: page of the map
 * @first: page of the batch that this is
 * @npages: pages
 */
struct vgpu_link {
	struct vgpu_batch *batch;
	struct barter_vgpu_map *map;
	struct list_head node;
	unsigned long index;
	unsigned int first;
	unsigned int npages;
};

enum vgpu_map_state {
	VGPU_BUILDING,	/* known to its builder, and by space->building */
	VGPU_LIVE,	/* to be found by its key */
	VGPU_REVOKED,	/* somebody has called, or is about to call, invalidate */
	VGPU_DEAD,	/* no reference is left */
};

/**
 * struct barter_vgpu_map - what the driver holds
 * @space: its space
 * @iova: guest address
 * @npages: pages
 * @prot: BARTER_VGPU_*
 * @dma_dev: or NULL
 * @state: changes under space->lock
 * @refs: the drivers', and that of whoever tells them of an invalidate
 * @key: in space->keys, while live
 * @node: in space->maps, until it is undone
 * @node_told: in the list of whoever tells, or undoes
 * @nr_links: parts
 * @room: links that there is memory for
 * @links: in order; @one, or memory of its own
 * @one: the link of a short map
 * @sgt: with a device: the memory, and what the DMA API made of it
 * @nr_segments: of @segments
 * @segments: NULL without a device
 */
struct barter_vgpu_map {
	struct barter_vgpu_space *space;
	u64 iova;
	unsigned long npages;
	unsigned int prot;
	enum vgpu_map_state state;
	struct device *dma_dev;
	unsigned int refs;
	struct rb_node key;
	struct list_head node;
	struct list_head node_told;
	unsigned int nr_links;
	unsigned int room;
	struct vgpu_link *links;
	struct vgpu_link one;
	struct sg_table sgt;
	unsigned int nr_segments;
	struct barter_vgpu_segment *segments;
};

/**
 * struct vgpu_inval - somebody takes memory back and waits for it
 * @node: in space->invals
 * @space: the space
 * @task: who; it may not map meanwhile
 * @first: first byte
 * @last: last byte
 * @dma_dev: what is mapped for this device, instead of a range
 * @in_unmap: VFIO's locks are held: this task must not unpin
 * @maps: still to be told, by node_told
 * @began: jiffies
 * @watchdog: names who is late
 */
struct vgpu_inval {
	struct list_head node;
	struct barter_vgpu_space *space;
	struct task_struct *task;
	u64 first;
	u64 last;
	struct device *dma_dev;
	bool in_unmap;
	struct list_head maps;
	unsigned long began;
	struct delayed_work watchdog;
};

/**
 * struct barter_vgpu_space - what one vfio_device sees of its guest
 * @node: in the list of all
 * @name: for people
 * @config: as the driver gave it, with limits
 * @map_lock: see the top; also protects @pages and @runs
 * @pages: what the backend fills
 * @runs: what is made of it
 * @lock: see the top; protects all that follows
 * @open: maps are allowed
 * @keys: live maps by range, device and rights
 * @live: batches that new maps may use, by rights to write
 * @leaving: batches that are on their way out
 * @maps: all maps that are not undone, but @building
 * @building: the map that is being built
 * @cancelled: it must not be finished
 * @invals: under way
 * @copies: reads and writes under way
 * @events: counts what waiters wait for; @wait is woken then
 * @wait: for those who take memory back
 * @mapped: pages of all maps in sum
 * @in_backend: calls of the backend under way
 * @in_use: opened, and not closed since, see round.c. From here to @pin_last under
 *	vgpu_rounds_lock
 * @guest: the process that uses it, or NULL
 * @node_guest: in its list
 * @told: the unmaps that it was told of and that are not over
 * @holds: how many of them let nobody pin
 * @opened: which unmaps were there before
 * @pinning: a pin is under way,
 * @unmapped: of memory that the guest has unmapped since,
 * @pin_first: from this byte
 * @pin_last: to this one
 * @wq: unpins what the task that holds VFIO's locks must not unpin, or one that is
 *	killed; each space has its own, since a guest can keep it waiting
 * @stat: what is asked for by barter_vgpu_stat()
 */
struct barter_vgpu_space {
	struct list_head node;
	char *name;
	struct barter_vgpu_config config;

	struct mutex map_lock;
	struct page *pages[BARTER_VGPU_BATCH];
	struct vgpu_run runs[BARTER_VGPU_BATCH];

	struct mutex lock;
	bool open;
	struct rb_root keys;
	struct rb_root_cached live[2];
	struct rb_root_cached leaving;
	struct list_head maps;
	struct barter_vgpu_map *building;
	bool cancelled;
	struct list_head invals;
	unsigned int copies;
	unsigned long events;
	wait_queue_head_t wait;
	u64 mapped;
	unsigned int in_backend;
	bool in_use;
	struct vgpu_guest *guest;
	struct list_head node_guest;
	struct list_head told;
	unsigned int holds;
	u64 opened;
	bool pinning;
	bool unmapped;
	u64 pin_first;
	u64 pin_last;
	struct workqueue_struct *wq;
	struct barter_vgpu_stat stat;
};

/**
 * struct vgpu_round - an unmap of the guest, see round.c
 * @work: runs at the end of its ioctl
 * @node: by @task; this and what follows under vgpu_rounds_lock
 * @node_guest: in the list of @guest, if there is one
 * @guest: the process
 * @task: who unmaps
 * @seq: rises from one to the next
 * @told: spaces that were told
 * @calls: how often VFIO has told them, for whatever memory
 * @rounds: how often at most for the same
 * @quiet: the call that has seen the last pin ended; 0: none
 * @holds: lets nobody pin
 * @first: first byte, in the last call
 * @last: last byte
 */
struct vgpu_round {
	struct callback_head work;
	struct hlist_node node;
	struct list_head node_guest;
	struct vgpu_guest *guest;
	struct task_struct *task;
	u64 seq;
	struct list_head told;
	unsigned int calls;
	unsigned int rounds;
	unsigned int quiet;
	bool holds;
	u64 first;
	u64 last;
};

/* A range of pages in guest addresses, from a place inside it. */
static inline u64 vgpu_address(u64 iova, unsigned long index)
{
	return iova + ((u64)index << PAGE_SHIFT);
}

static inline u64 vgpu_map_last(const struct barter_vgpu_map *map)
{
	return vgpu_address(map->iova, map->npages) - 1;
}

/* pin.c */
struct vgpu_batch *vgpu_batch_first(struct rb_root_cached *root, u64 first,
				    u64 last);
struct vgpu_batch *vgpu_batch_next(struct vgpu_batch *batch, u64 first, u64 last);
void vgpu_batch_leave(struct barter_vgpu_space *space, struct vgpu_batch *batch);
int vgpu_pin(struct barter_vgpu_map *map);
void vgpu_drop(struct barter_vgpu_map *map, struct list_head *release);
void vgpu_release(struct barter_vgpu_space *space, struct list_head *release);
void vgpu_defer(struct barter_vgpu_space *space, struct list_head *release);
int vgpu_pin_init(void);
void vgpu_pin_exit(void);

/**
 * struct vgpu_cursor - a place in a map
 * @link: index of the link
 * @page: page in its batch
 * @run: the run that has it
 */
struct vgpu_cursor {
	unsigned int link;
	unsigned int page;
	unsigned int run;
};

/* A backend's answer: what is no errno our callers, and theirs, would take for success. */
static inline int vgpu_answer(int ret)
{
	return ret > 0 || ret < -MAX_ERRNO ? -EIO : ret;
}

/* Type 1 calls again; what it does not pin is found out by its backend. */
static inline bool vgpu_asks_again(const struct barter_vgpu_space *space)
{
	const struct barter_vgpu_config *config = &space->config;

	return config->backend->asks_again && config->backend->asks_again(config->data);
}

/* round.c */
struct vgpu_round *vgpu_round_begin(struct vgpu_inval *inval);
bool vgpu_round_holds(struct barter_vgpu_space *space);
bool vgpu_round_meets(struct barter_vgpu_space *space, u64 first, u64 last);
bool vgpu_pin_is_told(struct barter_vgpu_space *space);
int vgpu_doubt(struct barter_vgpu_space *space, unsigned int *tries);
bool vgpu_round_is_patient(const struct vgpu_round *round);
bool vgpu_pin_begin(struct barter_vgpu_space *space, u64 first, u64 last);
bool vgpu_pin_end(struct barter_vgpu_space *space, bool failed);
void vgpu_rounds_open(struct barter_vgpu_space *space);
void vgpu_rounds_close(struct barter_vgpu_space *space);
void vgpu_rounds_forget(struct barter_vgpu_space *space);

/* pages.c */
void vgpu_seek(const struct barter_vgpu_map *map, unsigned long index,
	       struct vgpu_cursor *cursor);
void vgpu_enter(const struct barter_vgpu_map *map, struct vgpu_cursor *cursor);

/**
 * vgpu_next - how far memory is contiguous
 * @map: a map with all its links
 * @cursor: where from; goes behind what is returned
 * @pfn: set to the first page's frame
 *
 * Here, since scattered memory has it called for each page.
 *
 * Return: how many pages; 0 at the end of the map.
 */
static inline unsigned long vgpu_next(const struct barter_vgpu_map *map,
				      struct vgpu_cursor *cursor,
				      unsigned long *pfn)
{
	unsigned long npages = 0;

	while (cursor->link < map->nr_links) {
		const struct vgpu_link *link = &map->links[cursor->link];
		const struct vgpu_run *run = &link->batch->runs[cursor->run];
		unsigned long here = run->pfn + (cursor->page - run->first);
		unsigned int end = link->first + link->npages;
		bool last;

		if (!npages)
			*pfn = here;
		else if (here != *pfn + npages)
			break;
		last = ++cursor->run >= link->batch->nr_runs || run[1].first >= end;
		if (!last)
			end = run[1].first;
		npages += end - cursor->page;
		cursor->page = end;
		/* In a batch no run goes on where another ends. */
		if (!last)
			break;
		if (++cursor->link < map->nr_links)
			vgpu_enter(map, cursor);
	}
	return npages;
}

/* dma.c */
int vgpu_dma_map(struct barter_vgpu_map *map);
void vgpu_dma_unmap(struct barter_vgpu_map *map);

/* map.c */
void vgpu_map_revoke(struct barter_vgpu_map *map, struct list_head *told);
void vgpu_map_put(struct barter_vgpu_map *map);

/* invalidate.c */
bool vgpu_may_not_call(struct barter_vgpu_space *space);
bool vgpu_may_not_unpin(struct barter_vgpu_space *space);
bool vgpu_is_taken(struct barter_vgpu_space *space, u64 first, u64 last,
		   struct device *dma_dev);
void vgpu_event(struct barter_vgpu_space *space);
extern struct workqueue_struct *vgpu_watchdogs;
void vgpu_wait_idle(struct barter_vgpu_space *space);
void vgpu_take_all(struct barter_vgpu_space *space);

/* debugfs.c */
void vgpu_debugfs_add(struct barter_vgpu_space *space);
void vgpu_debugfs_remove(struct barter_vgpu_space *space);
void vgpu_debugfs_init(void);
void vgpu_debugfs_exit(void);

#endif /* BARTER_VGPU_PRIV_H */
