// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The memory of ranges and runs.
 *
 * What a user asks for is copied once, to where it stays: the table of ranges
 * becomes the table of runs (ranges.c), with no second one beside it. It is charged to
 * the caller. One run has its place in the buffer itself.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "priv.h"

/* A table of up to so many entries is kept, however few of them are in use. */
#define BARTER_TABLE_SMALL	64

/**
 * barter_table_alloc - room for ranges, or runs
 * @nr: how many, at most BARTER_MAX_RANGES
 *
 * Return: the table, for kvfree(), or NULL.
 */
union barter_slot *barter_table_alloc(u32 nr)
{
	return kvmalloc_array(nr, sizeof(union barter_slot), BARTER_GFP_TABLE);
}

/**
 * barter_table_copy - ranges of user space
 * @one: room for one of them, which takes no table
 * @from: the ranges
 * @nr: how many, 1 to BARTER_MAX_RANGES
 *
 * Return: @one or a new table; or an ERR_PTR: -EFAULT, -ENOMEM.
 */
union barter_slot *barter_table_copy(union barter_slot *one,
				     const void __user *from, u32 nr)
{
	union barter_slot *table = nr == 1 ? one : barter_table_alloc(nr);

	if (!table)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(table, from, nr * sizeof(*table))) {
		if (table != one)
			kvfree(table);
		return ERR_PTR(-EFAULT);
	}
	return table;
}

/**
 * barter_table_take - judge ranges and make runs of them
 * @r: to be filled, for barter_table_free()
 * @table: the ranges; used up. Set to NULL where @r has taken it over
 * @nr: number of entries
 * @bar_length: bytes in the BAR, or in the buffer that a slice is cut from
 *
 * Return: as barter_ranges_take(); @r has no memory then.
 */
int barter_table_take(struct barter_ranges *r, union barter_slot **table,
		      u32 nr, u64 bar_length)
{
	union barter_slot *small = NULL;
	int ret;

	ret = barter_ranges_take(r, *table, nr, bar_length);
	if (ret)
		return ret;
	/* Of a million neighbours one run is left: give the room back. */
	if (r->nr == 1)
		small = &r->one;
	else if (nr > BARTER_TABLE_SMALL && r->nr <= nr / 2)
		/* Nobody's memory is to be reclaimed for it: it can do without. */
		small = kvmalloc_array(r->nr, sizeof(*small),
				       GFP_KERNEL_ACCOUNT | __GFP_NORETRY |
				       __GFP_NOWARN);
	if (small) {
		memcpy(small, *table, r->nr * sizeof(*small));
		r->runs = small;
	} else {
		*table = NULL;
	}
	return 0;
}

/**
 * barter_table_free - free the table of runs
 * @r: zeroed, or filled
 */
void barter_table_free(const struct barter_ranges *r)
{
	if (r->runs != &r->one)
		kvfree(r->runs);
}

/**
 * barter_lend_copy - copy ranges of user space to where they stay
 * @lend: zeroed; @lend->ranges and @lend->nr are set
 * @from: the ranges: struct barter_range, or struct vfio_region_dma_range, which is
 *	laid out alike
 * @nr: how many; may be what the user says
 *
 * barter_export_fd() then needs no copy of them, and uses them up, also where it fails
 * after a look at them: @lend->nr is 0 then. barter_lend_cleanup() has to follow,
 * after it or instead of it. Context: a system call of the user whose ranges they are.
 *
 * Return: the ranges, which the driver may change until then; or an ERR_PTR: -EINVAL:
 * @nr is 0; -E2BIG: it is more than BARTER_MAX_RANGES; -EFAULT; -ENOMEM. With an error
 * there is nothing to clean up.
 */
struct barter_range *barter_lend_copy(struct barter_lend *lend,
				      const void __user *from, u32 nr)
{
	union barter_slot *table;

	static_assert(sizeof(*table) == sizeof(struct barter_range));

	if (!nr)
		return ERR_PTR(-EINVAL);
	if (nr > BARTER_MAX_RANGES)
		return ERR_PTR(-E2BIG);
	table = barter_table_copy((union barter_slot *)&lend->one, from, nr);
	if (IS_ERR(table))
		return ERR_CAST(table);
	if (nr > 1)
		lend->table = table;
	lend->ranges = &table->range;
	lend->nr = nr;
	return &table->range;
}
BARTER_EXPORT(barter_lend_copy);

/**
 * barter_lend_cleanup - free what barter_lend_copy() made
 * @lend: lent or not; or zeroed
 */
void barter_lend_cleanup(struct barter_lend *lend)
{
	kvfree(lend->table);
	lend->table = NULL;
}
BARTER_EXPORT(barter_lend_cleanup);

/**
 * barter_lend_take - judge what is to be lent
 * @r: to be filled, for barter_table_free()
 * @lend: what and how; the table of barter_lend_copy() is used up, other ranges are
 *	copied
 * @bar_length: bytes in the BAR
 *
 * Return: as barter_ranges_take(), or -ENOMEM; @r has no memory then.
 */
int barter_lend_take(struct barter_ranges *r, struct barter_lend *lend,
		     u64 bar_length)
{
	union barter_slot one, *table;
	int ret;

	if (!lend->nr)
		return -EINVAL;
	if (lend->nr > BARTER_MAX_RANGES)
		return -E2BIG;
	if (lend->nr == 1) {
		one.range = lend->ranges[0];
		table = &one;
		return barter_table_take(r, &table, 1, bar_length);
	}
	if (lend->table && lend->ranges == &lend->table->range) {
		ret = barter_table_take(r, &lend->table, lend->nr, bar_length);
		/* Whatever is left there is not what the user asked for. */
		barter_lend_cleanup(lend);
		lend->ranges = NULL;
		lend->nr = 0;
		return ret;
	}

	table = barter_table_alloc(lend->nr);
	if (!table)
		return -ENOMEM;
	memcpy(table, lend->ranges, lend->nr * sizeof(*table));
	ret = barter_table_take(r, &table, lend->nr, bar_length);
	kvfree(table);
	return ret;
}
