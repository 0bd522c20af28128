// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Interconnect "pci-bar": which bytes of which BAR, for whoever owns the memory.
 *
 * The PF of a GPU that is handed a buffer of its own VF need not go over the bus
 * to read it: it knows where the VF's memory is. All it wants is offsets in the
 * VF's BAR, and the certainty that the buffer is of that VF: a function may learn
 * only offsets of memory that is its own to give.
 *
 * That two functions belong together is what the PCI core says of PF and VF, or
 * they are the same one. For hardware without SR-IOV an administrator vouches for
 * a pair, by a module parameter; a user cannot.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "priv.h"
#include "trace.h"

#define BARTER_MAX_PAIRS	64

struct barter_bdf {
	u32 domain;
	u8 bus;
	u8 devfn;
};

struct barter_pair {
	struct barter_bdf exporter;
	struct barter_bdf importer;
};

/* pci_bar_pairs, parsed. pairs_lock protects both. */
static DEFINE_SPINLOCK(pairs_lock);
static struct barter_pair pairs[BARTER_MAX_PAIRS];
static unsigned int nr_pairs;

/* "dddd:bb:dd.f", all hexadecimal; returns what follows, or NULL. */
static const char *parse_bdf(const char *text, struct barter_bdf *bdf)
{
	unsigned int domain, bus, device, function;
	int used = 0;

	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function,
		   &used) != 4 || !used)
		return NULL;
	/* It would take blanks and 0x for parts of a number. */
	if (strspn(text, "0123456789abcdefABCDEF:.") < used)
		return NULL;
	if (device > 0x1f || function > 7)
		return NULL;
	bdf->domain = domain;
	bdf->bus = bus;
	bdf->devfn = PCI_DEVFN(device, function);
	return text + used;
}

static int pairs_parse(const char *text, struct barter_pair *out,
		       unsigned int *nr)
{
	*nr = 0;
	while (*text && *text != '\n') {
		if (*nr == BARTER_MAX_PAIRS)
			return -E2BIG;
		text = parse_bdf(text, &out[*nr].exporter);
		if (!text || *text++ != '=')
			return -EINVAL;
		text = parse_bdf(text, &out[*nr].importer);
		if (!text)
			return -EINVAL;
		++*nr;
		if (*text == ',' && text[1] && text[1] != '\n')
			text++;
		else if (*text && strcmp(text, "\n"))
			return -EINVAL;
	}
	return 0;
}

static int pairs_set(const char *text, const struct kernel_param *kp)
{
	struct barter_pair *new_pairs;
	unsigned int nr;
	int ret;

	new_pairs = kcalloc(BARTER_MAX_PAIRS, sizeof(*new_pairs), GFP_KERNEL);
	if (!new_pairs)
		return -ENOMEM;
	ret = pairs_parse(text ?: "", new_pairs, &nr);
	if (ret) {
		pr_err("%s: expected at most %u pairs EXPORTER=IMPORTER, separated by commas, each a PCI address like 0000:02:00.0; nothing was changed\n",
		       kp->name, BARTER_MAX_PAIRS);
	} else {
		spin_lock(&pairs_lock);
		memcpy(pairs, new_pairs, nr * sizeof(pairs[0]));
		WRITE_ONCE(nr_pairs, nr);
		spin_unlock(&pairs_lock);
	}
	kfree(new_pairs);
	return ret;
}

static int print_bdf(char *to, size_t room, const struct barter_bdf *bdf)
{
	return scnprintf(to, room, "%04x:%02x:%02x.%x", bdf->domain, bdf->bus,
			 PCI_SLOT(bdf->devfn), PCI_FUNC(bdf->devfn));
}

static int pairs_get(char *buffer, const struct kernel_param *kp)
{
	int length = 0;
	unsigned int i;

	static_assert(BARTER_MAX_PAIRS *
		      sizeof("dddddddd:bb:dd.f=dddddddd:bb:dd.f") < PAGE_SIZE);

	spin_lock(&pairs_lock);
	for (i = 0; i < nr_pairs; i++) {
		if (i)
			buffer[length++] = ',';
		length += print_bdf(buffer + length, PAGE_SIZE - length,
				    &pairs[i].exporter);
		buffer[length++] = '=';
		length += print_bdf(buffer + length, PAGE_SIZE - length,
				    &pairs[i].importer);
	}
	spin_unlock(&pairs_lock);
	buffer[length++] = '\n';
	return length;
}

static const struct kernel_param_ops pairs_ops = {
	.set = pairs_set,
	.get = pairs_get,
};
module_param_cb(pci_bar_pairs, &pairs_ops, NULL, 0644);
MODULE_PARM_DESC(pci_bar_pairs,
		 "Pairs of functions that share device memory without being PF and VF: EXPORTER=IMPORTER,... (PCI addresses). The importer may learn which bytes of the exporter's BARs a buffer is. Holds for attachments made from now on.");

static bool bdf_is(const struct barter_bdf *a, const struct barter_bdf *b)
{
	return a->domain == b->domain && a->bus == b->bus && a->devfn == b->devfn;
}

/* The exporter may have left the bus: what it was called is asked of the buffer. */
static bool pair_is_vouched_for(const struct barter_buf *buf,
				struct pci_dev *pdev)
{
	const struct barter_bdf exporter = {
		.domain = buf->domain,
		.bus = buf->bus,
		.devfn = buf->devfn,
	};
	const struct barter_bdf importer = {
		.domain = pci_domain_nr(pdev->bus),
		.bus = pdev->bus->number,
		.devfn = pdev->devfn,
	};
	bool found = false;
	unsigned int i;

	if (!READ_ONCE(nr_pairs))
		return false;
	spin_lock(&pairs_lock);
	for (i = 0; i < nr_pairs && !found; i++)
		found = bdf_is(&pairs[i].exporter, &exporter) &&
			bdf_is(&pairs[i].importer, &importer);
	spin_unlock(&pairs_lock);
	return found;
}

static bool belong_together(const struct barter_buf *buf,
			    struct pci_dev *importer)
{
	struct pci_dev *exporter = buf->pdev;

	/* The PF is only compared: it may be gone, like its VF. */
	return exporter == importer ||
	       (exporter->is_virtfn && pci_physfn(exporter) == importer) ||
	       pair_is_vouched_for(buf, importer);
}

static int barter_pci_bar_match(const struct barter_match *match)
{
	const struct barter_pci_bar_importer *importer = match->importer_data;
	struct barter_attach *ba = match->attach->priv;
	struct device *dev = match->attach->dev;
	u64 share = 0;
	int ret;

	if (!dev_is_pci(dev) || !belong_together(ba->buf, to_pci_dev(dev)))
		return BARTER_MATCH_SKIP;
	if (!importer || !importer->share)
		return -EINVAL;
	ret = importer->share(match, &share);
	if (ret)
		return ret < 0 ? ret : -EINVAL;
	if (match->bar_length < share) {
		dev_info_ratelimited(dev, "barter: BAR %u of %s has %llu bytes and so cannot show all %llu bytes of its device memory: no pci-bar\n",
				     match->bar, pci_name(match->pdev),
				     match->bar_length, share);
		return BARTER_MATCH_SKIP;
	}
	if (match->end > share) {
		dev_info_ratelimited(dev, "barter: a buffer ends at byte %llu of BAR %u of %s, which has only %llu bytes of device memory behind it: no pci-bar\n",
				     match->end, match->bar,
				     pci_name(match->pdev), share);
		return BARTER_MATCH_SKIP;
	}
	ba->share = share;
	return 0;
}

struct barter_interconnect barter_pci_bar = {
	.name = "pci-bar",
	.owner = THIS_MODULE,
	.match = barter_pci_bar_match,
};
BARTER_EXPORT(barter_pci_bar);

/**
 * barter_pci_bar_map - which bytes of which BAR a buffer is
 * @attach: an attachment, its dma_resv held
 *
 * Every range lies in the BAR and below the share that the importer named when it
 * attached. Whoever uses the answer stops in its invalidate callback, and unmaps
 * there; for the PF of a VF that is a must, since the VF may be on its way out,
 * with the PF's device_lock held by whoever disables it.
 *
 * Return: the pieces, to be given to barter_pci_bar_unmap(), or an ERR_PTR: what
 * barter_map_begin() says, or -ENOMEM.
 */
const struct barter_pci_bar_map *
barter_pci_bar_map(struct dma_buf_attachment *attach)
{
	struct barter_pci_bar_map *map;
	struct barter_attach *ba;
	struct barter_buf *buf;
	u32 nr = 0;
	int ret;

	ret = barter_map_begin(attach, &barter_pci_bar, NULL);
	if (ret)
		return ERR_PTR(ret);
	ba = attach->priv;
	buf = ba->buf;
	nr = buf->ranges.nr;
	map = kvmalloc(struct_size(map, ranges, nr), BARTER_GFP_TABLE);
	if (map) {
		map->pdev = buf->pdev;
		map->bar = buf->bar;
		map->share = ba->share;
		map->length = buf->ranges.length;
		map->nr = nr;
		barter_attach_ranges(attach, 0, map->ranges, nr);
	} else {
		barter_map_end(attach, &barter_pci_bar);
		ret = -ENOMEM;
	}
	trace_barter_map(buf->id, attach->dev, ret ? 0 : nr, ret);
	return ret ? ERR_PTR(ret) : map;
}
BARTER_EXPORT(barter_pci_bar_map);

/**
 * barter_pci_bar_unmap - undo barter_pci_bar_map()
 * @attach: the attachment, its dma_resv held
 * @map: what barter_pci_bar_map() gave; freed
 */
void barter_pci_bar_unmap(struct dma_buf_attachment *attach,
			  const struct barter_pci_bar_map *map)
{
	struct barter_attach *ba = attach->priv;

	kvfree(map);
	trace_barter_unmap(ba->buf->id, attach->dev);
	barter_map_end(attach, &barter_pci_bar);
}
BARTER_EXPORT(barter_pci_bar_unmap);
