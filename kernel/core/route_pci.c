// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Routes: the description of a topology, taken from the PCI core.
 *
 * Everything is read anew at each call, since ACS can change at run time. The
 * answer may be asked for under a dma_resv lock, and AER recovery comes to
 * barter's locks with pci_bus_sem held. So nothing here may take pci_bus_sem:
 * that rules out pci_get_slot() and pci_walk_bus().
 *
 * A path is walked without references: a device that is not yet removed holds
 * its parent, and the callers of this file hold the devices at both ends and
 * keep them from being removed.
 *
 * Also here is the module parameter by which an administrator vouches for a
 * host bridge that is not on the allowlist.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "route.h"

#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#ifdef CONFIG_PCI_P2PDMA
#include <linux/pci-p2pdma.h>
#endif
#ifdef CONFIG_X86
#include <asm/processor.h>
#endif

static_assert(BARTER_ROUTE_ACS_REQUEST == PCI_ACS_RR);
static_assert(BARTER_ROUTE_ACS_COMPLETION == PCI_ACS_CR);
static_assert(BARTER_ROUTE_ACS_EGRESS == PCI_ACS_EC);

#define AMD_FAMILY_ZEN	0x17

/* allow_host_bridges, parsed. hosts_lock protects both. */
static DEFINE_SPINLOCK(hosts_lock);
static struct barter_route_host_id hosts[BARTER_ROUTE_MAX_HOSTS];
static u32 nr_hosts;

static int hosts_set(const char *text, const struct kernel_param *kp)
{
	struct barter_route_host_id new_hosts[BARTER_ROUTE_MAX_HOSTS];
	u32 nr;
	int ret;

	ret = barter_route_parse_hosts(text ?: "", new_hosts,
				       BARTER_ROUTE_MAX_HOSTS, &nr);
	if (ret) {
		pr_err("%s: expected at most %u PCI ids vvvv:dddd, four hexadecimal digits each, separated by commas; nothing was changed\n",
		       kp->name, BARTER_ROUTE_MAX_HOSTS);
		return ret;
	}

	spin_lock(&hosts_lock);
	memcpy(hosts, new_hosts, nr * sizeof(hosts[0]));
	nr_hosts = nr;
	spin_unlock(&hosts_lock);
	return 0;
}

static int hosts_get(char *buffer, const struct kernel_param *kp)
{
	int length = 0;
	u32 i;

	static_assert(BARTER_ROUTE_MAX_HOSTS * sizeof("vvvv:dddd,") < PAGE_SIZE);

	spin_lock(&hosts_lock);
	for (i = 0; i < nr_hosts; i++)
		length += scnprintf(buffer + length, PAGE_SIZE - length,
				    "%s%04x:%04x", i ? "," : "",
				    hosts[i].vendor, hosts[i].device);
	spin_unlock(&hosts_lock);
	length += scnprintf(buffer + length, PAGE_SIZE - length, "\n");
	return length;
}

static const struct kernel_param_ops hosts_ops = {
	.set = hosts_set,
	.get = hosts_get,
};
module_param_cb(allow_host_bridges, &hosts_ops, NULL, 0644);
MODULE_PARM_DESC(allow_host_bridges,
		 "Host bridges to treat as able to do peer-to-peer DMA, beyond the built-in allowlist: vvvv:dddd,... (PCI ids, hexadecimal). Holds for DMA that is mapped from now on.");

static bool host_is_allowed(struct barter_route_host_id id)
{
	bool listed;

	spin_lock(&hosts_lock);
	listed = barter_route_host_listed(hosts, nr_hosts, id);
	spin_unlock(&hosts_lock);
	return listed;
}

static bool cpu_is_allowed(void)
{
#ifdef CONFIG_X86
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD &&
	       boot_cpu_data.x86 >= AMD_FAMILY_ZEN;
#else
	return false;
#endif
}

/* A register that cannot be read counts as redirecting: no false yes. */
static u16 read_acs(struct pci_dev *pdev)
{
	u16 control;

	if (!pdev->acs_cap)
		return 0;
	if (pci_read_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, &control))
		return BARTER_ROUTE_ACS_REDIRECT;
	return control;
}

static void describe_path(struct pci_dev *pdev, struct barter_route_path *path)
{
	path->nr = 0;
	while (pdev && path->nr < BARTER_ROUTE_DEPTH) {
		struct barter_route_port *port = &path->ports[path->nr++];

		port->domain = pci_domain_nr(pdev->bus);
		port->bus = pdev->bus->number;
		port->devfn = pdev->devfn;
		port->acs = read_acs(pdev);
		pdev = pci_upstream_bridge(pdev);
	}
}

/*
 * The function with the lowest number on the root bus names the bridge, if it
 * is 00.0 or a root port. The search goes over all PCI devices, which needs no
 * more than the spinlock of the bus type's list.
 */
static void describe_host(struct pci_host_bridge *bridge,
			  struct barter_route_host *host)
{
	struct pci_dev *pdev = NULL;
	unsigned int lowest = UINT_MAX;

	host->identified = false;
	for_each_pci_dev(pdev) {
		if (pdev->bus != bridge->bus || pdev->is_virtfn ||
		    pdev->devfn >= lowest)
			continue;
		lowest = pdev->devfn;
		host->id.vendor = pdev->vendor;
		host->id.device = pdev->device;
		host->identified = !lowest ||
			pci_pcie_type(pdev) == PCI_EXP_TYPE_ROOT_PORT;
	}
	host->admin_allowed = host->identified && host_is_allowed(host->id);
}

static bool kernel_refuses(struct pci_dev *provider, struct device *importer)
{
#ifdef CONFIG_PCI_P2PDMA
	return pci_p2pdma_distance(provider, importer, false) < 0;
#else
	return false;
#endif
}

/**
 * barter_route_find - which route an importer's DMA has to a BAR, and why
 * @provider: the device that lends
 * @bar: index of the BAR, 0 to 5; or -1 if no address will be computed, then
 *	answer->bus_offset is 0
 * @importer: the device that wants to do DMA; any kind of device, bound to a
 *	driver or not
 * @answer: filled in whole
 *
 * The answer holds at this moment: a caller that maps asks again for each
 * map. Whether the importer can emit the addresses is a question of its own,
 * barter_route_check_mask().
 *
 * On a kernel with CONFIG_PCI_P2PDMA the kernel's own check is asked too, and
 * its no is final: allow_host_bridges does not help against it.
 *
 * Context: process context; may sleep; may be called under a dma_resv lock.
 * The caller holds references to @provider and @importer and keeps both from
 * being removed from the bus during the call.
 */
void barter_route_find(struct pci_dev *provider, int bar,
		       struct device *importer,
		       struct barter_route_answer *answer)
{
	struct barter_route_desc desc = {
		.importer_is_pci = dev_is_pci(importer),
		.cpu_allowed = cpu_is_allowed(),
	};

	if (bar >= 0 && bar < PCI_STD_NUM_BARS)
		desc.bus_offset = (s64)pci_bus_address(provider, bar) -
				  (s64)pci_resource_start(provider, bar);

	describe_path(provider, &desc.provider);
	if (desc.importer_is_pci)
		describe_path(to_pci_dev(importer), &desc.importer);
	if (barter_route_needs_host(&desc)) {
		struct pci_host_bridge *from, *to;

		from = pci_find_host_bridge(to_pci_dev(importer)->bus);
		to = pci_find_host_bridge(provider->bus);
		desc.same_host = from == to;
		describe_host(to, &desc.provider_host);
		if (!desc.same_host)
			describe_host(from, &desc.importer_host);
	}

	barter_route_decide(&desc, answer);
	/* Asked only to confirm a yes: some of its refusals go to the log. */
	if (answer->route != BARTER_ROUTE_NONE &&
	    kernel_refuses(provider, importer)) {
		desc.kernel_refuses = true;
		barter_route_decide(&desc, answer);
	}
	if (answer->why == BARTER_WHY_NOT_PCI)
		snprintf(answer->text, sizeof(answer->text),
			 "importer %s is not a PCI device", dev_name(importer));
}

/**
 * barter_route_check_mask - can an importer emit the addresses of a buffer
 * @importer: the device that wants to do DMA
 * @last: highest address that it would put on the bus: with BARTER_ROUTE_BUS
 *	the last bus address of the buffer, with BARTER_ROUTE_HOST and no
 *	translating IOMMU in between its last CPU physical address. Not needed
 *	where an IOMMU translates: the DMA API then picks an address that fits.
 * @answer: untouched on success, else filled in whole with BARTER_ROUTE_NONE
 *
 * Nobody else checks this for a bus address, and the kernel's direct mapping
 * of a resource warns when it does not fit. So it is asked first.
 *
 * Context: any; the caller holds a reference to @importer.
 *
 * Return: 0, or -EXDEV if the importer cannot address @last.
 */
int barter_route_check_mask(struct device *importer, u64 last,
			    struct barter_route_answer *answer)
{
	u64 mask = min_not_zero(dma_get_mask(importer),
				(u64)importer->bus_dma_limit);

	if (last <= mask)
		return 0;

	memset(answer, 0, sizeof(*answer));
	answer->route = BARTER_ROUTE_NONE;
	answer->why = BARTER_WHY_DMA_MASK;
	snprintf(answer->text, sizeof(answer->text),
		 "importer %s can address %d bits, the memory lies beyond",
		 dev_name(importer), fls64(mask));
	return -EXDEV;
}

/**
 * barter_route_translated - does an IOMMU translate an importer's addresses
 * @importer: any device
 *
 * True for each domain with page tables, whoever owns it: also a VFIO
 * container's, in which the DMA API does not map.
 *
 * Context: any. The importer is bound to its driver during the call, so that
 * its domain does not change.
 *
 * Return: true if the addresses that the importer emits are looked up in an
 * IOMMU's page tables; false without an IOMMU or in passthrough mode.
 */
bool barter_route_translated(struct device *importer)
{
#ifdef CONFIG_IOMMU_API
	struct iommu_domain *domain = iommu_get_domain_for_dev(importer);

	return domain && (domain->type & __IOMMU_DOMAIN_PAGING);
#else
	return false;
#endif
}

/**
 * barter_route_guarded - does an IOMMU enforce the direction of a DMA API mapping
 * @importer: any device
 *
 * Only if the page tables that its addresses are looked up in are those that the DMA
 * API maps in. In a domain of somebody else's the DMA API may give addresses that are
 * not translated at all once the device has left that domain.
 *
 * Context: as for barter_route_translated().
 *
 * Return: true if the device cannot do more than it was mapped for.
 */
bool barter_route_guarded(struct device *importer)
{
#ifdef CONFIG_IOMMU_API
	struct iommu_domain *domain = iommu_get_domain_for_dev(importer);

	return domain && iommu_is_dma_domain(domain) &&
	       domain->type & __IOMMU_DOMAIN_PAGING;
#else
	return false;
#endif
}

/**
 * barter_route_flush - forget translations that were unmapped
 * @importer: the device whose DMA API mappings were just removed
 *
 * With lazy invalidation, the default on x86, the DMA API removes page table
 * entries at once but leaves the IOMMU's cache to a timer. A revoke promises
 * that nothing reaches the memory when it returns, so the cache is emptied here:
 * once for a whole mapping.
 *
 * Context: any; the importer is bound to its driver.
 */
void barter_route_flush(struct device *importer)
{
#ifdef CONFIG_IOMMU_API
	struct iommu_domain *domain = iommu_get_domain_for_dev(importer);

	if (domain && domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
#endif
}
