// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Page faults of write-combining mappings.
 *
 * On x86 the kernel's own calls that insert a page of device memory take its cache
 * mode from the list of memory types, whatever the mapping asks for; and there a BAR
 * is uncached, since vfio-pci-core maps it so for itself. Hence page table entries
 * are written here, as the mapping's protection has them. There is no call to do that
 * for huge entries: a fault fills in 2 MiB of pages instead.
 *
 * The caller holds what keeps a revoke from its zap until the entries are there, see
 * mmap.c. Of two faults on the same page table each writes only what is empty, under
 * the lock of that table.
 */
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>

#include "priv.h"

/* What one fault fills in, aligned to it: within one page table. */
#define BARTER_COMBINE_AROUND	SZ_2M

/**
 * struct barter_fill - what the callback for a page works on
 * @buf: the buffer
 * @vma: the mapping
 * @run: the run of the page before; of length 0 before the first
 */
struct barter_fill {
	const struct barter_buf *buf;
	struct vm_area_struct *vma;
	struct barter_run run;
};

static int barter_fill_page(pte_t *pte, unsigned long address, void *data)
{
	struct barter_fill *fill = data;
	u64 pos = barter_vma_pos(fill->buf, fill->vma, address);
	struct barter_run *run = &fill->run;
	u64 physical;

	if ((pos < run->pos || pos - run->pos >= run->length) &&
	    !barter_ranges_find(&fill->buf->ranges, pos, run))
		return -EFAULT;
	if (!pte_none(ptep_get(pte)))
		return 0;
	physical = fill->buf->bar_start + run->offset + (pos - run->pos);
	set_pte_at(fill->vma->vm_mm, address, pte,
		   pte_mkspecial(pfn_pte(physical >> PAGE_SHIFT,
					 fill->vma->vm_page_prot)));
	return 0;
}

/**
 * barter_fault_combine - answer a page fault of a write-combining mapping
 * @buf: the buffer, which may be accessed now
 * @vmf: the fault
 *
 * Return: VM_FAULT_NOPAGE, VM_FAULT_OOM, VM_FAULT_SIGBUS.
 */
vm_fault_t barter_fault_combine(struct barter_buf *buf, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long around = ALIGN_DOWN(vmf->address, BARTER_COMBINE_AROUND);
	unsigned long first = max(around, vma->vm_start);
	/* Not by the end, which may be beyond the last address. */
	unsigned long length = min(around + (BARTER_COMBINE_AROUND - 1),
				   vma->vm_end - 1) - first + 1;
	struct barter_fill fill = { .buf = buf, .vma = vma };
	int ret;

	dma_resv_assert_held(buf->dmabuf->resv);

	ret = apply_to_page_range(vma->vm_mm, first, length, barter_fill_page,
				  &fill);
	if (!ret)
		return VM_FAULT_NOPAGE;
	return ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}
