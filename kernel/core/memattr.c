// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Memory attributes: how the CPU caches what it reads and writes through a mapping.
 * Uncached, as BARs are mapped by default, or write-combining.
 *
 * A buffer has one attribute for the mappings to come; a mapping keeps the one that
 * it was made with. Two live mappings of one page with different attributes are an
 * *alias*. What a CPU does with an alias depends on the CPU, so none is made between
 * mappings of the same device's buffers, unless the maker of one of the two has said
 * that it may be (forced). Live means that a VMA is there, mapped in or not; and the
 * whole of its buffer counts, not the part that it shows.
 *
 * Nothing is kept for that but two lists of buffers for each device, by attribute: a
 * buffer is on one since its first mapping of that kind, and looked at only when
 * somebody maps with the other attribute. Then the ranges of the newcomer are sorted,
 * and those of each buffer on the other list are looked up among them. So whoever
 * never asks for write-combining pays for an empty list, and a buffer that nobody maps
 * is made, cut from and freed without the lock of all that.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "priv.h"

/**
 * struct barter_area - a piece of a BAR
 * @first: first byte
 * @end: behind the last one
 */
struct barter_area {
	u64 first;
	u64 end;
};

/**
 * struct barter_areas - what of a BAR a buffer covers
 * @nr: number of pieces, at least 1
 * @area: in order, none touches another
 */
struct barter_areas {
	u32 nr;
	struct barter_area area[];
};

/* Also sees to it that others run while a million are sorted. */
static int barter_area_compare(const void *a, const void *b)
{
	const struct barter_area *left = a, *right = b;

	cond_resched();
	if (left->first == right->first)
		return 0;
	return left->first < right->first ? -1 : 1;
}

static struct barter_areas *barter_areas_new(const struct barter_ranges *r)
{
	struct barter_areas *areas;
	u32 i, last = 0;

	areas = kvmalloc(struct_size(areas, area, r->nr), BARTER_GFP_TABLE);
	if (!areas)
		return NULL;
	for (i = 0; i < r->nr; i++) {
		struct barter_run run = barter_ranges_run(r, i);

		areas->area[i].first = run.offset;
		areas->area[i].end = run.offset + run.length;
	}
	sort(areas->area, r->nr, sizeof(areas->area[0]), barter_area_compare,
	     NULL);
	for (i = 1; i < r->nr; i++) {
		struct barter_area *area = &areas->area[i];

		if (area->first <= areas->area[last].end)
			areas->area[last].end = max(areas->area[last].end,
						    area->end);
		else
			areas->area[++last] = *area;
	}
	areas->nr = last + 1;
	return areas;
}

/* Is a byte of [@first, @end) covered? */
static bool barter_areas_meet(const struct barter_areas *areas, u64 first,
			      u64 end)
{
	u32 low = 0, high = areas->nr;

	/* The first piece that does not end before. */
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (areas->area[middle].end > first)
			high = middle;
		else
			low = middle + 1;
	}
	return low < areas->nr && areas->area[low].first < end;
}

static int barter_alias_between(const struct barter_areas *areas,
				const struct barter_buf *other)
{
	u32 i;

	for (i = 0; i < other->ranges.nr; i++) {
		struct barter_run run = barter_ranges_run(&other->ranges, i);

		if (barter_areas_meet(areas, run.offset,
				      run.offset + run.length))
			return -EBUSY;
		if (!(i % 1024)) {
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

/*
 * Would a mapping of @buf with @memattr be an alias of one that is live? The number
 * of steps grows with all ranges of the buffers on the other list.
 */
static int barter_alias_find(struct barter_buf *buf, u32 memattr)
{
	u32 other = memattr == BARTER_MEMATTR_UC ? BARTER_MEMATTR_WC :
						   BARTER_MEMATTR_UC;
	struct barter_exporter *exp = buf->exp;
	struct barter_areas *areas = NULL;
	struct barter_buf *live, *next;
	int ret = 0;

	lockdep_assert_held(&exp->attr_lock);

	list_for_each_entry_safe(live, next, &exp->mapped[other],
				 mapped_node[other]) {
		if (!atomic_read(&live->mmaps[other])) {
			list_del_init(&live->mapped_node[other]);
			continue;
		}
		/* The dead show nothing any more. */
		if (live->bar != buf->bar ||
		    (barter_buf_forced(live) && live != buf) ||
		    (READ_ONCE(live->final) && !live->bar_mmap))
			continue;
		if (!areas)
			areas = barter_areas_new(&buf->ranges);
		ret = areas ? barter_alias_between(areas, live) : -ENOMEM;
		if (ret)
			break;
	}
	kvfree(areas);
	return ret;
}

/**
 * barter_memattr_init - the part of an exporter's init that is about attributes
 * @exp: the exporter
 */
void barter_memattr_init(struct barter_exporter *exp)
{
	unsigned int i;

	mutex_init(&exp->attr_lock);
	for (i = 0; i < BARTER_NR_MEMATTR; i++)
		INIT_LIST_HEAD(&exp->mapped[i]);
}

/**
 * barter_memattr_buf_init - the part of a new buffer that is about attributes
 * @buf: the buffer; uncached
 */
void barter_memattr_buf_init(struct barter_buf *buf)
{
	unsigned int i;

	for (i = 0; i < BARTER_NR_MEMATTR; i++)
		INIT_LIST_HEAD(&buf->mapped_node[i]);
}

/**
 * barter_memattr_buf_free - forget a buffer that nothing maps any more
 * @buf: the buffer
 */
void barter_memattr_buf_free(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;
	unsigned int i;

	/* Without a window it was never on a list. */
	if (!buf->window && !buf->bar_mmap)
		return;
	mutex_lock(&exp->attr_lock);
	for (i = 0; i < BARTER_NR_MEMATTR; i++)
		list_del(&buf->mapped_node[i]);
	mutex_unlock(&exp->attr_lock);
}

/**
 * barter_memattr_inherit - give a slice what it is cut from has
 * @buf: a new buffer, not published
 * @parent: what it is cut from
 */
void barter_memattr_inherit(struct barter_buf *buf, struct barter_buf *parent)
{
	buf->attr = READ_ONCE(parent->attr);
}

/**
 * barter_memattr_begin - count one more mapping of a buffer
 * @buf: the buffer
 *
 * It counts from here on; atomic_dec() of @buf->mmaps[] is its end. Context:
 * mmap_lock held for write.
 *
 * Return: the attribute that the mapping has, or -EBUSY: it might be an alias;
 * -ENOMEM; -EINTR on a fatal signal.
 */
int barter_memattr_begin(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;
	u32 memattr;
	int ret = 0;

	if (mutex_lock_killable(&exp->attr_lock))
		return -EINTR;
	memattr = barter_buf_memattr(buf);
	/* With one that is live already, there is no new alias. */
	if (!barter_buf_forced(buf) && !atomic_read(&buf->mmaps[memattr]))
		ret = barter_alias_find(buf, memattr);
	if (!ret) {
		atomic_inc(&buf->mmaps[memattr]);
		if (list_empty(&buf->mapped_node[memattr]))
			list_add_tail(&buf->mapped_node[memattr],
				      &exp->mapped[memattr]);
		ret = memattr;
	}
	mutex_unlock(&exp->attr_lock);
	return ret;
}

/* Can mappings of that BAR have the attribute? */
static int barter_memattr_possible(struct pci_dev *pdev, unsigned int bar,
				   u32 memattr, bool force)
{
	if (memattr >= BARTER_NR_MEMATTR)
		return -ENOENT;
	if (memattr == BARTER_MEMATTR_UC)
		return 0;
	if (!barter_can_combine())
		return -EOPNOTSUPP;
	/* Reads and writes of the others may have side effects. */
	if (!(pci_resource_flags(pdev, bar) & IORESOURCE_PREFETCH) && !force)
		return -EPERM;
	return 0;
}

/**
 * barter_memattr_apply - give a buffer an attribute
 * @buf: the buffer, which may be mapped
 * @memattr: BARTER_MEMATTR_*
 * @force: also where it is unsafe
 *
 * Return: 0 or as barter_buf_set_memattr().
 */
int barter_memattr_apply(struct barter_buf *buf, u32 memattr, bool force)
{
	struct barter_exporter *exp = buf->exp;
	int ret;

	ret = barter_memattr_possible(buf->pdev, buf->bar, memattr, force);
	if (ret)
		return ret;
	if (mutex_lock_killable(&exp->attr_lock))
		return -EINTR;
	if (!force)
		ret = barter_alias_find(buf, memattr);
	if (!ret)
		WRITE_ONCE(buf->attr, memattr | (force ? BARTER_ATTR_FORCED : 0));
	mutex_unlock(&exp->attr_lock);
	return ret;
}

/**
 * barter_buf_set_memattr - choose how mappings of a buffer are cached from now on
 * @exp: the exporter that the caller may speak for
 * @dmabuf: the buffer, referenced by the caller
 * @memattr: BARTER_MEMATTR_*
 * @force: also for a BAR that is not prefetchable, and beside live mappings that
 *	have another attribute
 *
 * Mappings that are there keep what they have. Context: a system call of a user; may
 * sleep.
 *
 * Return: 0; -ENODEV: @dmabuf is not @exp's; -EBADFD: it is dead; -ENOENT: there is
 * no such attribute; -EOPNOTSUPP: this machine cannot, or cannot be known to be able
 * to; -EPERM: the BAR is not prefetchable; -EBUSY: a buffer that is mapped with
 * another attribute, wherever in it, has a page in common with this one; the latter two
 * not with @force; -ENOMEM; -EINTR on a fatal signal.
 */
int barter_buf_set_memattr(struct barter_exporter *exp, struct dma_buf *dmabuf,
			   u32 memattr, bool force)
{
	struct barter_buf *buf = barter_buf_from_dmabuf(dmabuf);

	if (!buf || buf->exp != exp)
		return -ENODEV;
	if (READ_ONCE(buf->final))
		return -EBADFD;
	return barter_memattr_apply(buf, memattr, force);
}
BARTER_EXPORT(barter_buf_set_memattr);
