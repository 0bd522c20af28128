// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * iommu_domains of the module's own, and a look at what is mapped in them. The
 * answer is yes or no: no physical address leaves the kernel.
 */
#include "typed_kmod.h"

#include <linux/iommu.h>
#include <linux/nospec.h>
#include <linux/pci.h>

/* Under typed_lock. @page: what PAGE has mapped. */
static struct {
	struct iommu_domain *domain;
	struct pci_dev *pdev;
	struct page *page;
	bool attached;
} domains[TYPED_DOMAINS];

int typed_domain_new(struct typed_domain *req)
{
	struct iommu_domain *domain;
	struct pci_dev *pdev;
	u32 id;
	int ret = -ENOSPC;

	pdev = typed_pdev(&req->bdf);
	if (!pdev)
		return -ENODEV;
	mutex_lock(&typed_lock);
	for (id = 0; id < TYPED_DOMAINS; id++)
		if (!domains[id].domain)
			break;
	if (id == TYPED_DOMAINS)
		goto err_unlock;
	domain = iommu_paging_domain_alloc(&pdev->dev);
	ret = PTR_ERR_OR_ZERO(domain);
	if (ret)
		goto err_unlock;
	if (req->attach) {
		ret = iommu_attach_device(domain, &pdev->dev);
		if (ret) {
			iommu_domain_free(domain);
			goto err_unlock;
		}
	}
	domains[id].domain = domain;
	domains[id].pdev = pdev;
	domains[id].attached = req->attach;
	req->out_id = id;
	mutex_unlock(&typed_lock);
	return 0;

err_unlock:
	mutex_unlock(&typed_lock);
	pci_dev_put(pdev);
	return ret;
}

static void domain_free(u32 id)
{
	lockdep_assert_held(&typed_lock);

	if (!domains[id].domain)
		return;
	if (domains[id].attached)
		iommu_detach_device(domains[id].domain, &domains[id].pdev->dev);
	iommu_domain_free(domains[id].domain);
	if (domains[id].page)
		__free_page(domains[id].page);
	pci_dev_put(domains[id].pdev);
	memset(&domains[id], 0, sizeof(domains[id]));
}

int typed_domain_free(u32 id)
{
	int ret = -ENOENT;

	if (id >= TYPED_DOMAINS)
		return ret;
	id = array_index_nospec(id, TYPED_DOMAINS);
	mutex_lock(&typed_lock);
	if (domains[id].domain) {
		domain_free(id);
		ret = 0;
	}
	mutex_unlock(&typed_lock);
	return ret;
}

void typed_domain_free_all(void)
{
	u32 id;

	mutex_lock(&typed_lock);
	for (id = 0; id < TYPED_DOMAINS; id++)
		domain_free(id);
	mutex_unlock(&typed_lock);
}

/* Tests free no domain that they still map into. */
struct iommu_domain *typed_domain_get(u32 id, const struct typed_bdf *bdf)
{
	struct iommu_domain *domain;
	struct pci_dev *pdev;

	if (id == TYPED_DOMAIN_NULL)
		return NULL;
	if (id == TYPED_DOMAIN_OF_DEVICE) {
		pdev = typed_pdev(bdf);
		if (!pdev)
			return ERR_PTR(-ENODEV);
		domain = iommu_get_domain_for_dev(&pdev->dev);
		pci_dev_put(pdev);
		return domain ?: ERR_PTR(-ENOENT);
	}
	if (id >= TYPED_DOMAINS)
		return ERR_PTR(-ENOENT);
	mutex_lock(&typed_lock);
	domain = domains[array_index_nospec(id, TYPED_DOMAINS)].domain;
	mutex_unlock(&typed_lock);
	return domain ?: ERR_PTR(-ENOENT);
}

int typed_domain_check(struct typed_check *req)
{
	struct iommu_domain *domain = typed_domain_get(req->domain, &req->bdf);
	bool nothing = true, right = true;
	struct pci_dev *pdev;
	phys_addr_t want;
	u64 at;

	if (IS_ERR_OR_NULL(domain))
		return -ENOENT;
	if (req->bar >= PCI_STD_NUM_BARS)
		return -EINVAL;
	pdev = typed_pdev(&req->bdf);
	if (!pdev)
		return -ENODEV;
	want = pci_resource_start(pdev, req->bar) + req->offset;
	for (at = 0; at < req->length; at += PAGE_SIZE) {
		phys_addr_t is = iommu_iova_to_phys(domain, req->iova + at);

		nothing &= !is;
		right &= is == want + at;
		if (!nothing && !right)
			break;
		cond_resched();
	}
	pci_dev_put(pdev);
	req->out_is = nothing ? TYPED_NOTHING :
		      right ? TYPED_AS_IT_SHOULD : TYPED_SOMETHING_ELSE;
	return 0;
}

int typed_domain_page(struct typed_page *req)
{
	struct iommu_domain *domain = typed_domain_get(req->domain, NULL);
	struct page *page;
	u32 id = req->domain;
	int ret = 0;

	if (IS_ERR_OR_NULL(domain) || id >= TYPED_DOMAINS)
		return -ENOENT;
	id = array_index_nospec(id, TYPED_DOMAINS);
	mutex_lock(&typed_lock);
	if (!domains[id].page)
		domains[id].page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	page = domains[id].page;
	if (!page) {
		ret = -ENOMEM;
	} else if (req->unmap) {
		req->out_there = iommu_iova_to_phys(domain, req->iova) ==
				 page_to_phys(page);
		if (iommu_unmap(domain, req->iova, PAGE_SIZE) != PAGE_SIZE)
			ret = -EIO;
	} else {
		ret = iommu_map(domain, req->iova, page_to_phys(page), PAGE_SIZE,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	}
	mutex_unlock(&typed_lock);
	return ret;
}
