// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which part of the PF's memory is which VF's.
 *
 * The driver of a real PF hands memory out to its VFs and so knows. Devices of a
 * test machine only look like PF and VFs: an administrator tells, by the module
 * parameter vfs. It says where a function's memory is, not whose VF the function is;
 * that is for barter's own parameter pci_bar_pairs.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/barter.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "shares.h"

#define PF_MAX_SHARES	32

struct pf_share {
	unsigned int domain, bus, devfn;
	u64 offset, length;
};

/* The parameter vfs, parsed. shares_lock protects both. */
static DEFINE_SPINLOCK(shares_lock);
static struct pf_share shares[PF_MAX_SHARES];
static unsigned int nr_shares;

static bool vfs_overlap;
module_param(vfs_overlap, bool, 0600);
MODULE_PARM_DESC(vfs_overlap,
		 "VFs may have memory in common: vfs is not checked for that. To be given before vfs (default: no)");

/* Both lengths are at least 1, and neither end overflows. */
static bool overlap(const struct pf_share *a, const struct pf_share *b)
{
	return a->offset < b->offset + b->length && b->offset < a->offset + a->length;
}

static bool is_same_function(const struct pf_share *a, const struct pf_share *b)
{
	return a->domain == b->domain && a->bus == b->bus && a->devfn == b->devfn;
}

/* A number behind @mark, as memparse() reads it; returns what follows, or NULL. */
static const char *parse_number(const char *text, char mark, u64 *number)
{
	char *end;

	if (*text++ != mark)
		return NULL;
	*number = memparse(text, &end);
	return end == text ? NULL : end;
}

/* "dddd:bb:dd.f@OFFSET+LENGTH"; returns what follows, or NULL. */
static const char *parse_share(const char *text, struct pf_share *share)
{
	unsigned int device, function;
	int used = 0;
	u64 end;

	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &share->domain, &share->bus,
		   &device, &function, &used) != 4 || !used ||
	    device > 0x1f || function > 7)
		return NULL;
	/* It would take blanks and 0x for parts of a number. */
	if (strspn(text, "0123456789abcdefABCDEF:.") < used)
		return NULL;
	share->devfn = PCI_DEVFN(device, function);
	text = parse_number(text + used, '@', &share->offset);
	if (text)
		text = parse_number(text, '+', &share->length);
	if (!share->length ||
	    check_add_overflow(share->offset, share->length, &end))
		return NULL;
	return text;
}

static int shares_parse(const char *text, struct pf_share *out, unsigned int *nr)
{
	unsigned int i;

	*nr = 0;
	while (*text && *text != '\n') {
		if (*nr == PF_MAX_SHARES)
			return -E2BIG;
		out[*nr].length = 0;
		text = parse_share(text, &out[*nr]);
		if (!text)
			return -EINVAL;
		for (i = 0; i < *nr; i++) {
			if (is_same_function(&out[i], &out[*nr]))
				return -EEXIST;
			if (overlap(&out[i], &out[*nr]) && !vfs_overlap)
				return -EADDRINUSE;
		}
		++*nr;
		if (*text == ',' && text[1] && text[1] != '\n')
			text++;
		else if (*text && strcmp(text, "\n"))
			return -EINVAL;
	}
	return 0;
}

static int shares_set(const char *text, const struct kernel_param *kp)
{
	struct pf_share *parsed;
	unsigned int nr;
	int ret;

	parsed = kcalloc(PF_MAX_SHARES, sizeof(*parsed), GFP_KERNEL);
	if (!parsed)
		return -ENOMEM;
	ret = shares_parse(text ?: "", parsed, &nr);
	if (ret == -EADDRINUSE) {
		pr_err("%s: two VFs have memory in common, so that one could be shown what the other drew; nothing was changed (vfs_overlap=1 allows it)\n",
		       kp->name);
	} else if (ret) {
		pr_err("%s: expected at most %u of VF@OFFSET+LENGTH, separated by commas, each VF once and each part one VF's, such as 0000:02:00.0@8M+8M; nothing was changed\n",
		       kp->name, PF_MAX_SHARES);
	} else {
		spin_lock(&shares_lock);
		memcpy(shares, parsed, nr * sizeof(shares[0]));
		nr_shares = nr;
		spin_unlock(&shares_lock);
	}
	kfree(parsed);
	return ret;
}

static int shares_get(char *buffer, const struct kernel_param *kp)
{
	int length = 0;
	unsigned int i;

	static_assert(PF_MAX_SHARES *
		      sizeof("dddddddd:bb:dd.f@0x0123456789abcdef+0x0123456789abcdef,") <
		      PAGE_SIZE);

	spin_lock(&shares_lock);
	for (i = 0; i < nr_shares; i++)
		length += scnprintf(buffer + length, PAGE_SIZE - length,
				    "%s%04x:%02x:%02x.%x@%#llx+%#llx",
				    i ? "," : "", shares[i].domain,
				    shares[i].bus, PCI_SLOT(shares[i].devfn),
				    PCI_FUNC(shares[i].devfn), shares[i].offset,
				    shares[i].length);
	spin_unlock(&shares_lock);
	return length + scnprintf(buffer + length, PAGE_SIZE - length, "\n");
}

static const struct kernel_param_ops shares_ops = {
	.set = shares_set,
	.get = shares_get,
};
module_param_cb(vfs, &shares_ops, NULL, 0600);
MODULE_PARM_DESC(vfs,
		 "Where in the PF's memory that of each VF is: VF@OFFSET+LENGTH,... (PCI address; numbers may end in K, M or G). Holds for pictures set from now on.");

/**
 * pf_share_find - where a function's memory is
 * @match: names the function
 * @offset: set to where it begins in the PF's memory
 * @length: set to how much it is
 *
 * Context: any that may spin.
 *
 * Return: 0, or -ENXIO if the parameter vfs does not name it.
 */
int pf_share_find(const struct barter_match *match, u64 *offset, u64 *length)
{
	const struct pf_share wanted = {
		.domain = match->domain,
		.bus = match->bus,
		.devfn = match->devfn,
	};
	int ret = -ENXIO;
	unsigned int i;

	spin_lock(&shares_lock);
	for (i = 0; i < nr_shares; i++) {
		if (is_same_function(&shares[i], &wanted)) {
			*offset = shares[i].offset;
			*length = shares[i].length;
			ret = 0;
			break;
		}
	}
	spin_unlock(&shares_lock);
	return ret;
}
