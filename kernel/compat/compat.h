/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What differs between the kernels that barter supports, in one place.
 *
 * Force-included before every source file; the rest of the tree has no version
 * test. BARTER_HAVE_* come from the header probes in probe.sh.
 */
#ifndef BARTER_COMPAT_H
#define BARTER_COMPAT_H

#include <linux/version.h>

/* Which kernels are supported is said in META, and checked by probe.sh. */
#ifndef BARTER_PROBED
#error "nobody has asked this kernel's headers: build with barter's Kbuild"
#endif

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/huge_mm.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

/* Namespaces became strings in 6.13. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define BARTER_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#define BARTER_IMPORT_NS_BARTER		MODULE_IMPORT_NS(BARTER)
#define BARTER_EXPORT(symbol)		EXPORT_SYMBOL_NS_GPL(symbol, BARTER)
#else
#define BARTER_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#define BARTER_IMPORT_NS_BARTER		MODULE_IMPORT_NS("BARTER")
#define BARTER_EXPORT(symbol)		EXPORT_SYMBOL_NS_GPL(symbol, "BARTER")
#endif

/*
 * From 6.18 on the bus may be reset also for an error that is not fatal, if another driver
 * on it wants that; and drivers are told if recovery has failed. Before, it never is, and
 * nobody is told. No header shows which of the two it is.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define BARTER_NONFATAL_MAY_RESET false
#else
#define BARTER_NONFATAL_MAY_RESET true
#endif

/*
 * Importers are told to let go by move_notify, from 7.1 invalidate_mappings.
 * Before, dma-buf pins at each map, and an exporter without pin() has its
 * mappings made at attach and kept until detach; from 7.1 it is the presence of
 * the callback that makes an importer revocable, and pins survive a revoke.
 */
#ifdef BARTER_HAVE_INVALIDATE_MAPPINGS
#define BARTER_ATTACH_OPS_INVALIDATE(fn)	.invalidate_mappings = fn,
#define BARTER_DMA_BUF_OPS_PIN(pin_fn, unpin_fn)
#define barter_dma_buf_invalidate(dmabuf)	dma_buf_invalidate_mappings(dmabuf)
#define barter_attach_ops_notify(ops)		((ops)->invalidate_mappings)
#else
#define BARTER_ATTACH_OPS_INVALIDATE(fn)	.move_notify = fn,
#define BARTER_DMA_BUF_OPS_PIN(pin_fn, unpin_fn) \
	.pin = pin_fn, .unpin = unpin_fn,
#define barter_dma_buf_invalidate(dmabuf)	dma_buf_move_notify(dmabuf)
#define barter_attach_ops_notify(ops)		((ops)->move_notify)
#endif

/* "driver timeline" of a fence whose reference the caller holds. */
static inline void barter_fence_name(struct dma_fence *fence, char *text,
				     size_t length)
{
	rcu_read_lock();
#ifdef BARTER_HAVE_FENCE_DRIVER_NAME
	snprintf(text, length, "fence %s %s",
		 (const char __force *)dma_fence_driver_name(fence),
		 (const char __force *)dma_fence_timeline_name(fence));
#else
	snprintf(text, length, "fence %s %s", fence->ops->get_driver_name(fence),
		 fence->ops->get_timeline_name(fence));
#endif
	rcu_read_unlock();
}

/*
 * One I/O virtual window that several physical ranges are linked into. MMIO must
 * be said where memory attributes come from the IOMMU (DMA_ATTR_MMIO, 6.18).
 */
#if defined(BARTER_HAVE_DMA_IOVA) && \
	(defined(DMA_ATTR_MMIO) || defined(CONFIG_X86))
#ifdef DMA_ATTR_MMIO
#define BARTER_IOVA_ATTRS	DMA_ATTR_MMIO
#else
#define BARTER_IOVA_ATTRS	DMA_ATTR_SKIP_CPU_SYNC
#endif
struct barter_iova {
	struct dma_iova_state state;
};

static inline bool barter_iova_alloc(struct device *dev, struct barter_iova *w,
				     phys_addr_t phys, size_t length)
{
	return dma_iova_try_alloc(dev, &w->state, phys, length);
}

static inline dma_addr_t barter_iova_address(struct barter_iova *w)
{
	return w->state.addr;
}

static inline int barter_iova_link(struct device *dev, struct barter_iova *w,
				   phys_addr_t phys, size_t offset,
				   size_t length, enum dma_data_direction dir)
{
	return dma_iova_link(dev, &w->state, phys, offset, length, dir,
			     BARTER_IOVA_ATTRS);
}

static inline int barter_iova_sync(struct device *dev, struct barter_iova *w,
				   size_t length)
{
	return dma_iova_sync(dev, &w->state, 0, length);
}

static inline void barter_iova_unlink(struct device *dev, struct barter_iova *w,
				      size_t length, enum dma_data_direction dir)
{
	if (length)
		dma_iova_unlink(dev, &w->state, 0, length, dir,
				BARTER_IOVA_ATTRS);
}

static inline void barter_iova_free(struct device *dev, struct barter_iova *w)
{
	dma_iova_free(dev, &w->state);
}
#else
struct barter_iova {
	char none;
};

static inline bool barter_iova_alloc(struct device *dev, struct barter_iova *w,
				     phys_addr_t phys, size_t length)
{
	return false;
}

static inline dma_addr_t barter_iova_address(struct barter_iova *w)
{
	return 0;
}

static inline int barter_iova_link(struct device *dev, struct barter_iova *w,
				   phys_addr_t phys, size_t offset,
				   size_t length, enum dma_data_direction dir)
{
	return -EOPNOTSUPP;
}

static inline int barter_iova_sync(struct device *dev, struct barter_iova *w,
				   size_t length)
{
	return -EOPNOTSUPP;
}

static inline void barter_iova_unlink(struct device *dev, struct barter_iova *w,
				      size_t length, enum dma_data_direction dir)
{
}

static inline void barter_iova_free(struct device *dev, struct barter_iova *w)
{
}
#endif

#ifdef CONFIG_IOMMU_API
/* Before 6.15 a domain does not say whose it is. */
static inline bool barter_domain_is_iommufds(const struct iommu_domain *domain)
{
#ifdef BARTER_HAVE_IOMMU_COOKIE_IOMMUFD
	return domain->cookie_type == IOMMU_COOKIE_IOMMUFD;
#else
	return false;
#endif
}

/* The page tables that refuse to map an address twice, and say so quietly. */
static inline bool barter_domain_is_generic(const struct iommu_domain *domain)
{
#ifdef BARTER_HAVE_GENERIC_PT
	return domain->is_iommupt;
#else
	return false;
#endif
}
#endif

/* Huge page table entries for device memory; pfn_t went away in 6.17. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define barter_huge_pfn(pfn)	__pfn_to_pfn_t(pfn, PFN_DEV)
#else
#define barter_huge_pfn(pfn)	(pfn)
#endif

/*
 * Never for writing: mm warns where it finds anything but the very same entry then, and
 * another thread's fault may have put a table of smaller ones there (huge pages can be
 * switched off meanwhile). Without, it leaves alone what is there. An entry that is there
 * already and may not be written goes, by the fallback, and small ones come.
 */
static inline vm_fault_t barter_insert_huge(struct vm_fault *vmf,
					    unsigned long pfn,
					    unsigned int order)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	if (order == PMD_SHIFT - PAGE_SHIFT)
		return pmd_none(READ_ONCE(*vmf->pmd)) ?
			       vmf_insert_pfn_pmd(vmf, barter_huge_pfn(pfn), false) :
			       VM_FAULT_FALLBACK;
#endif
#ifdef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
	if (order == PUD_SHIFT - PAGE_SHIFT)
		return pud_none(READ_ONCE(*vmf->pud)) ?
			       vmf_insert_pfn_pud(vmf, barter_huge_pfn(pfn), false) :
			       VM_FAULT_FALLBACK;
#endif
	return VM_FAULT_FALLBACK;
}

/*
 * Is the place of a small entry taken by a huge one? Which another thread's fault can
 * have put there since this one began.
 */
static inline bool barter_fault_is_huge(const struct vm_fault *vmf)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	return pmd_leaf(READ_ONCE(*vmf->pmd));
#else
	return false;
#endif
}

/*
 * Can a page table entry of a module's own making combine writes, for sure? On x86
 * it takes page attribute tables; of other architectures nothing is known here.
 */
#ifdef CONFIG_X86
#include <asm/memtype.h>
static inline bool barter_can_combine(void)
{
	return pat_enabled() &&
	       pgprot_val(pgprot_writecombine(__pgprot(0))) !=
	       pgprot_val(pgprot_noncached(__pgprot(0)));
}
#else
static inline bool barter_can_combine(void)
{
	return false;
}
#endif

/* 0 for a page, 1 for a PMD, 2 for a PUD. */
static inline unsigned int barter_order_level(unsigned int order)
{
	if (!order)
		return 0;
	return order <= PMD_SHIFT - PAGE_SHIFT ? 1 : 2;
}

#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
#define BARTER_VM_OPS_HUGE(fn)	.huge_fault = fn,
#else
#define BARTER_VM_OPS_HUGE(fn)
#endif

#endif /* BARTER_COMPAT_H */
