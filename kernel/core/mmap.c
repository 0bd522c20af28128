// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * CPU mappings of a buffer.
 *
 * Nothing is mapped by mmap() itself; page faults fill in what the buffer's
 * state allows at that moment. A VMA's page offset is moved into the window of
 * its buffer, so that a zap finds it, and all arithmetic here takes the window
 * off again.
 *
 * A fault holds the driver's access lock and the dma_resv while it looks at the
 * state and inserts: whatever it inserts is there before a revoke marks the
 * buffer, and so before that revoke zaps.
 *
 * Mappings of a BAR by the device's own user (bar.c) are of the same kind.
 */
#include <linux/file.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/pci.h>

#include "priv.h"
#include "trace.h"

/*
 * Entries of 1 GiB last until the first VMA that may have one is split or moved. mm can
 * do neither with them: it takes what is behind one for a table of smaller ones and writes
 * there, clears one without a word to the CPUs, or leaves it to two VMAs.
 */
enum {
	BARTER_PUDS_NONE, /* as yet */
	BARTER_PUDS_SOME,
	BARTER_PUDS_END, /* none is added; there may be some */
	BARTER_PUDS_NEVER,
};

/* What one fault fills in where the memory is scattered by single pages. */
#define BARTER_FAULT_AROUND	SZ_64K

/**
 * barter_vma_pos - what of a buffer an address shows
 * @buf: the buffer
 * @vma: one of its VMAs
 * @address: in it
 *
 * Return: the byte of the buffer.
 */
u64 barter_vma_pos(const struct barter_buf *buf,
		   const struct vm_area_struct *vma, unsigned long address)
{
	unsigned long pgoff = vma->vm_pgoff +
			      ((address - vma->vm_start) >> PAGE_SHIFT);

	return (u64)(pgoff - buf->window) << PAGE_SHIFT;
}

static vm_fault_t barter_fault_one(struct barter_buf *buf,
				   struct vm_area_struct *vma,
				   unsigned long address)
{
	u64 physical;

	if (!barter_ranges_contiguous(&buf->ranges, buf->bar_start,
				      barter_vma_pos(buf, vma, address),
				      PAGE_SIZE, &physical))
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(vma, address, physical >> PAGE_SHIFT);
}

static vm_fault_t barter_fault_pages(struct barter_buf *buf,
				     struct vm_fault *vmf)
{
	unsigned long address = vmf->address & PAGE_MASK;
	unsigned long around = address & ~(BARTER_FAULT_AROUND - 1UL);
	struct vm_area_struct *vma = vmf->vma;
	unsigned long first, end, at;
	vm_fault_t ret;

	if (barter_fault_is_huge(vmf))
		return VM_FAULT_NOPAGE;
	ret = barter_fault_one(buf, vma, address);
	if (ret != VM_FAULT_NOPAGE)
		return ret;

	first = max(around, vma->vm_start);
	end = min(around + BARTER_FAULT_AROUND, vma->vm_end);
	for (at = first; at < end; at += PAGE_SIZE) {
		/* The neighbours are a courtesy: stop at the first trouble. */
		if (at != address &&
		    barter_fault_one(buf, vma, at) != VM_FAULT_NOPAGE)
			break;
	}
	return ret;
}

static vm_fault_t barter_fault_huge(struct barter_buf *buf,
				    struct vm_fault *vmf, unsigned int order)
{
	unsigned long size = PAGE_SIZE << order;
	unsigned long address = vmf->address & ~(size - 1);
	struct vm_area_struct *vma = vmf->vma;
	u64 physical;

	if (address < vma->vm_start || size > vma->vm_end - address)
		return VM_FAULT_FALLBACK;
	if (!barter_ranges_contiguous(&buf->ranges, buf->bar_start,
				      barter_vma_pos(buf, vma, address), size,
				      &physical))
		return VM_FAULT_FALLBACK;
	if (physical & (size - 1))
		return VM_FAULT_FALLBACK;
	if (barter_order_level(order) == 2) {
		if (buf->puds > BARTER_PUDS_SOME)
			return VM_FAULT_FALLBACK;
		buf->puds = BARTER_PUDS_SOME;
	}
	return barter_insert_huge(vmf, physical >> PAGE_SHIFT, order);
}

/*
 * The user of the device keeps the mappings that it has of a BAR for as long as
 * the driver permits, whoever else has to let go.
 */
static bool barter_fault_allowed(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;

	if (!buf->bar_mmap && barter_buf_error(buf))
		return false;
	return exp->ops->access_allowed(exp);
}

static const struct vm_operations_struct barter_vm_ops_combine;

static u32 barter_vma_memattr(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &barter_vm_ops_combine ? BARTER_MEMATTR_WC :
						       BARTER_MEMATTR_UC;
}

static vm_fault_t barter_vm_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct barter_buf *buf = vma->vm_private_data;
	struct barter_exporter *exp = buf->exp;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	exp->ops->access_begin(exp);
	dma_resv_lock(buf->dmabuf->resv, NULL);
	if (barter_fault_allowed(buf)) {
		if (order)
			ret = barter_fault_huge(buf, vmf, order);
		else if (barter_vma_memattr(vma) == BARTER_MEMATTR_WC)
			ret = barter_fault_combine(buf, vmf);
		else
			ret = barter_fault_pages(buf, vmf);
	}
	dma_resv_unlock(buf->dmabuf->resv);
	exp->ops->access_end(exp);

	if (ret == VM_FAULT_NOPAGE)
		atomic64_inc(&buf->faults[barter_order_level(order)]);
	trace_barter_fault(buf->id, vmf->pgoff - buf->window, order, ret);
	return ret;
}

static vm_fault_t barter_vm_fault(struct vm_fault *vmf)
{
	return barter_vm_huge_fault(vmf, 0);
}

static void barter_buf_unmap_all(struct barter_buf *buf)
{
	/* In pages: unmap_mapping_range() cuts bytes down to 32 bits there. */
	unmap_mapping_pages(buf->exp->mapping, buf->window, buf->ranges.length >> PAGE_SHIFT, true);
}

/*
 * mm has not begun with the page tables, nor locked the VMA against faults: that none is
 * added is for those.
 */
static void barter_buf_end_puds(struct barter_buf *buf)
{
	bool some;

	dma_resv_lock(buf->dmabuf->resv, NULL);
	some = buf->puds == BARTER_PUDS_SOME || buf->puds == BARTER_PUDS_END;
	buf->puds = some ? BARTER_PUDS_END : BARTER_PUDS_NEVER;
	dma_resv_unlock(buf->dmabuf->resv);
	if (!some)
		return;

	barter_buf_unmap_all(buf);
	dma_resv_lock(buf->dmabuf->resv, NULL);
	buf->puds = BARTER_PUDS_NEVER;
	dma_resv_unlock(buf->dmabuf->resv);
}

/* A VMA was split, moved, or copied for a child; that last one moves no entry. */
static void barter_vm_open(struct vm_area_struct *vma)
{
	struct barter_buf *buf = vma->vm_private_data;

	atomic_inc(&buf->mmaps[barter_vma_memattr(vma)]);
	if (buf->ranges.length >= PUD_SIZE && vma->vm_mm == current->mm)
		barter_buf_end_puds(buf);
}

static void barter_vm_close(struct vm_area_struct *vma)
{
	struct barter_buf *buf = vma->vm_private_data;

	/* The buffer stays: the VMA has its file yet. */
	if (atomic_dec_and_test(&buf->mmaps[barter_vma_memattr(vma)]) &&
	    buf->held)
		fput(buf->held);
}

static const struct vm_operations_struct barter_vm_ops = {
	.open = barter_vm_open,
	.close = barter_vm_close,
	.fault = barter_vm_fault,
	BARTER_VM_OPS_HUGE(barter_vm_huge_fault)
};

/* No huge faults: combine.c says why. */
static const struct vm_operations_struct barter_vm_ops_combine = {
	.open = barter_vm_open,
	.close = barter_vm_close,
	.fault = barter_vm_fault,
};

/**
 * barter_vma_begin - make a VMA one of a buffer
 * @buf: the buffer, with a window
 * @vma: its page offset is in the window already
 * @memattr: of barter_memattr_begin(), which has counted it
 *
 * Context: mmap_lock held for write; nothing may fail after this.
 */
void barter_vma_begin(struct barter_buf *buf, struct vm_area_struct *vma,
		      u32 memattr)
{
	pgprot_t prot = memattr == BARTER_MEMATTR_WC ?
			pgprot_writecombine(vma->vm_page_prot) :
			pgprot_noncached(vma->vm_page_prot);

	vma->vm_private_data = buf;
	vma->vm_ops = memattr == BARTER_MEMATTR_WC ? &barter_vm_ops_combine :
						     &barter_vm_ops;
	vma->vm_page_prot = pgprot_decrypted(prot);
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
			  VM_DONTEXPAND | VM_DONTDUMP);
}

/**
 * barter_buf_mmap - dma_buf_ops.mmap
 * @dmabuf: the buffer's dma-buf
 * @vma: inside the buffer's length, as dma-buf has checked
 *
 * Allowed while the buffer is revoked: accesses then fault until it is restored.
 * Context: mmap_lock held for write.
 *
 * Return: 0, -EINVAL for a private mapping and one of a buffer that is itself a
 * mapping (remap_file_pages() gets here), -EPERM for a writable one of an
 * O_RDONLY or read-only buffer, -EBADFD if the buffer is dead, -EBUSY if a buffer that
 * is mapped with another memory attribute has a page in common with it, -ENOSPC if the
 * exporter's windows have no room for one as long as the buffer, -ENOMEM, -EINTR.
 */
int barter_buf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct barter_buf *buf = dmabuf->priv;
	int ret;

	/* VM_SHARED is taken away from mappings of an O_RDONLY file. */
	if (!(vma->vm_flags & VM_MAYSHARE) || buf->bar_mmap)
		return -EINVAL;
	/* An importer's mmap of us comes with the flags of its own file. */
	if (buf->read_only || !(dmabuf->file->f_mode & FMODE_WRITE)) {
		if (vma->vm_flags & VM_WRITE)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	if (READ_ONCE(buf->final))
		return -EBADFD;
	ret = barter_window_alloc(buf);
	if (ret)
		return ret;
	ret = barter_memattr_begin(buf);
	if (ret < 0)
		return ret;

	vma->vm_pgoff += buf->window;
	barter_vma_begin(buf, vma, ret);
	return 0;
}

/**
 * barter_buf_zap - remove all CPU mappings of a buffer
 * @buf: marked as revoked, so that no fault brings one back
 *
 * Context: may sleep; no dma_resv and no mmap_lock held.
 */
void barter_buf_zap(struct barter_buf *buf)
{
	if (buf->bar_mmap)
		barter_bar_zap(buf);
	else if (READ_ONCE(buf->window))
		barter_buf_unmap_all(buf);
}
