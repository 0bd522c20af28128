// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Interconnects: which kind of address an attachment works with.
 *
 * Types and importers are registered; both are known by their pointers, so an
 * importer's ops are never taken for something that they are not. The registry is
 * asked once, when an importer attaches; from then on the attachment knows what
 * was agreed, and holds the modules that are needed for it.
 *
 * Registering and unregistering take a mutex; an attach only reads, under RCU, and
 * calls nothing there but try_module_get(). Who unregisters waits for these readers.
 *
 * An attach is short, and so is what is added to it here (bench/): which types of
 * core's an importer lists is known since it registered, and what was agreed is a set
 * of bits of the exporter's list, which lives as long as the exporter's module.
 */
#include <linux/bitops.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "priv.h"
#include "trace.h"

static LIST_HEAD(barter_types);
static DEFINE_HASHTABLE(barter_importers, 4);	/* by their ops */
static DEFINE_MUTEX(barter_registry_lock);

enum { CORE_PCI_BAR, CORE_IOMMU_DOMAIN, CORE_SGT };

static const struct barter_offer barter_core_offers[] = {
	[CORE_PCI_BAR] = { .type = &barter_pci_bar },
	[CORE_IOMMU_DOMAIN] = { .type = &barter_iommu_domain },
	[CORE_SGT] = { .type = &barter_sgt },
};

/* Whoever knows nothing of barter. */
static const struct barter_importer barter_plain = {
	.offers = &barter_core_offers[CORE_SGT],
	.nr_offers = 1,
	.core_types = BIT(CORE_SGT),
};

/**
 * barter_offer_find - is a type in a list
 * @offers: the list
 * @nr: how many
 * @type: the type
 *
 * Return: its entry, or NULL.
 */
const struct barter_offer *
barter_offer_find(const struct barter_offer *offers, unsigned int nr,
		  const struct barter_interconnect *type)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (offers[i].type == type)
			return &offers[i];
	return NULL;
}

/* Which of @offers, as bits, the importer lists too. */
static unsigned long barter_offers_common(const struct barter_offer *offers,
					  unsigned int nr,
					  const struct barter_importer *importer)
{
	unsigned long common = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (barter_offer_find(importer->offers, importer->nr_offers,
				      offers[i].type))
			common |= BIT(i);
	return common;
}

/**
 * barter_offers_check - is a list of offers what it should be
 * @offers: the list
 * @nr: its length
 *
 * Return: 0, -EINVAL (empty, a type that is missing or there twice), -E2BIG.
 */
int barter_offers_check(const struct barter_offer *offers, unsigned int nr)
{
	unsigned int i, j;

	if (!offers || !nr)
		return -EINVAL;
	if (nr > BARTER_MAX_OFFERS)
		return -E2BIG;
	for (i = 0; i < nr; i++) {
		if (!offers[i].type)
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (offers[j].type == offers[i].type)
				return -EINVAL;
	}
	return 0;
}

/**
 * barter_interconnect_register - make a type known
 * @type: a static object of the caller's module
 *
 * Until then it matches nothing. Context: may sleep.
 *
 * Return: 0, -EINVAL (no name, or too long a one), -EEXIST (the type, or another of
 * that name, is known already).
 */
int barter_interconnect_register(struct barter_interconnect *type)
{
	struct barter_interconnect *other;
	int ret = 0;

	if (!type || !type->name || !type->name[0] ||
	    strlen(type->name) >= BARTER_TYPE_LENGTH)
		return -EINVAL;

	mutex_lock(&barter_registry_lock);
	list_for_each_entry(other, &barter_types, node)
		if (other == type || !strcmp(other->name, type->name))
			ret = -EEXIST;
	if (!ret) {
		list_add_tail(&type->node, &barter_types);
		WRITE_ONCE(type->registered, true);
	}
	mutex_unlock(&barter_registry_lock);
	return ret;
}
BARTER_EXPORT(barter_interconnect_register);

/**
 * barter_interconnect_unregister - no new attachment gets the type
 * @type: a type; nothing happens if it is not registered
 *
 * Attachments that have it keep it, and keep its module. Core's own types stay.
 * Context: may sleep.
 */
void barter_interconnect_unregister(struct barter_interconnect *type)
{
	if (type->owner == THIS_MODULE)
		return;
	mutex_lock(&barter_registry_lock);
	if (type->registered)
		list_del(&type->node);
	WRITE_ONCE(type->registered, false);
	mutex_unlock(&barter_registry_lock);
	synchronize_rcu();
}
BARTER_EXPORT(barter_interconnect_unregister);

/**
 * barter_importer_register - make an importer known
 * @importer: a static object of the caller's module
 *
 * Concerns attachments made from now on. Context: may sleep.
 *
 * Return: 0, -EINVAL (something is missing, ops without a callback that says let
 * go, a type that is listed twice), -E2BIG (too many offers), -EEXIST (the same
 * ops are registered).
 */
int barter_importer_register(struct barter_importer *importer)
{
	struct barter_importer *other;
	int ret, bucket;

	if (!importer || !importer->name || !importer->ops ||
	    !barter_attach_ops_notify(importer->ops))
		return -EINVAL;
	ret = barter_offers_check(importer->offers, importer->nr_offers);
	if (ret)
		return ret;

	mutex_lock(&barter_registry_lock);
	/* One that is there already may have got other ops since. */
	hash_for_each(barter_importers, bucket, other, node)
		if (other == importer || other->ops == importer->ops)
			ret = -EEXIST;
	if (!ret) {
		importer->core_types =
			barter_offers_common(barter_core_offers,
					     ARRAY_SIZE(barter_core_offers),
					     importer);
		hash_add_rcu(barter_importers, &importer->node,
			     (unsigned long)importer->ops);
		importer->registered = true;
	}
	mutex_unlock(&barter_registry_lock);
	return ret;
}
BARTER_EXPORT(barter_importer_register);

/**
 * barter_importer_unregister - forget an importer
 * @importer: an importer; nothing happens if it is not registered
 *
 * Attachments that it has stay as they are, and keep its module. Context: may
 * sleep.
 */
void barter_importer_unregister(struct barter_importer *importer)
{
	mutex_lock(&barter_registry_lock);
	if (importer->registered)
		hash_del_rcu(&importer->node);
	importer->registered = false;
	mutex_unlock(&barter_registry_lock);
	synchronize_rcu();
}
BARTER_EXPORT(barter_importer_unregister);

/* Of core's own types every exporter's driver is a user: core stays anyway. */
static bool barter_type_get(const struct barter_interconnect *type)
{
	bool got;

	if (type->owner == THIS_MODULE)
		return true;
	rcu_read_lock();
	got = READ_ONCE(type->registered) && try_module_get(type->owner);
	rcu_read_unlock();
	return got;
}

static void barter_type_put(const struct barter_interconnect *type)
{
	if (type->owner != THIS_MODULE)
		module_put(type->owner);
}

/* The type's own opinion: 0 to keep it, BARTER_MATCH_SKIP to go on without it. */
static noinline int barter_match_ask(struct barter_attach *ba,
				     const struct barter_offer *offer,
				     const struct barter_importer *importer)
{
	const struct barter_buf *buf = ba->buf;
	const struct barter_match match = {
		.attach = ba->attach,
		.exporter = buf->exp,
		.pdev = buf->pdev,
		.domain = buf->domain,
		.bus = buf->bus,
		.devfn = buf->devfn,
		.bar = buf->bar,
		.bar_length = buf->bar_length,
		.end = buf->ranges.end,
		.exporter_data = offer->data,
		.importer_data = barter_offer_find(importer->offers,
						   importer->nr_offers,
						   offer->type)->data,
	};
	int ret = offer->type->match ? offer->type->match(&match) : 0;

	/* dma-buf would take it for an attachment: what is no errno is no error there. */
	if (ret > 0 || ret < -MAX_ERRNO)
		ret = -EINVAL;
	trace_barter_match(ba, offer->type, ret);
	return ret;
}

/* Two lists: what is in both, in the exporter's order. */
static noinline int barter_negotiate_lists(struct barter_attach *ba,
					   const struct barter_importer *importer)
{
	const struct barter_exporter_ops *ops = ba->buf->exp->ops;
	unsigned long common = importer->core_types;
	bool denied = false;
	unsigned int i;
	int ret;

	ba->offers = barter_core_offers;
	if (ops->offers) {
		ba->offers = ops->offers;
		common = barter_offers_common(ops->offers, ops->nr_offers,
					      importer);
	}
	for_each_set_bit(i, &common, BARTER_MAX_OFFERS) {
		const struct barter_offer *offer = &ba->offers[i];

		if (ba->buf->read_only && !offer->type->read_only) {
			denied = true;
			continue;
		}
		if (!barter_type_get(offer->type))
			continue;
		ret = barter_match_ask(ba, offer, importer);
		if (!ret) {
			ba->matches |= BIT(i);
			continue;
		}
		barter_type_put(offer->type);
		if (ret != BARTER_MATCH_SKIP)
			return ret;
	}
	if (!ba->matches)
		return denied ? -EPERM : -EOPNOTSUPP;
	return 0;
}

/* Out of the way: most of the time nobody traces. */
static noinline void barter_trace_core(const struct barter_attach *ba,
				       unsigned long common)
{
	unsigned int i;

	for_each_set_bit(i, &common, BARTER_MAX_OFFERS)
		trace_barter_match(ba, ba->offers[i].type,
				   ba->matches & BIT(i) ? 0 : BARTER_MATCH_SKIP);
}

/*
 * The same for core's list, without its pci-bar: what is in both is known, nothing
 * has to be held, no callback is needed to know what fits, and a buffer may be read-only.
 * Nearly all importers and exporters are like that.
 */
static __always_inline void
barter_negotiate_core(struct barter_attach *ba,
		      const struct barter_importer *importer)
{
	unsigned long matches = importer->core_types;

	if (!barter_domain_fits())
		matches &= ~BIT(CORE_IOMMU_DOMAIN);
	if (!barter_sgt_fits(ba->attach))
		matches &= ~BIT(CORE_SGT);
	ba->offers = barter_core_offers;
	ba->matches = matches;
	if (trace_barter_match_enabled())
		barter_trace_core(ba, importer->core_types);
}

/**
 * barter_negotiate - agree on interconnects for a new attachment
 * @ba: the attachment, all zero but for @buf and @attach; on success what was agreed
 *	is filled in, and barter_negotiate_undo() gives it back
 *
 * Context: process, no dma_resv held.
 *
 * Return: 0, -EOPNOTSUPP if there is no type that both sides can work with, -EPERM if
 * there is, but none that keeps a read-only buffer from being written, -ENODEV if
 * the importer's module is on its way out, or what a match callback refused with.
 */
int barter_negotiate(struct barter_attach *ba)
{
	const struct dma_buf_attach_ops *ops = ba->attach->importer_ops;
	const struct barter_importer *importer = &barter_plain, *known;
	int ret;

	/* No preemption for a few instructions: the cheapest kind of RCU reader. */
	rcu_read_lock_sched();
	hash_for_each_possible_rcu(barter_importers, known, node,
				   (unsigned long)ops) {
		if (known->ops != ops)
			continue;
		if (!try_module_get(known->owner)) {
			rcu_read_unlock_sched();
			return -ENODEV;
		}
		importer = known;
		ba->importer = known;
		break;
	}
	rcu_read_unlock_sched();

	if (ba->buf->exp->ops->offers || importer->core_types & BIT(CORE_PCI_BAR)) {
		ret = barter_negotiate_lists(ba, importer);
		if (ret)
			goto err_undo;
	} else {
		barter_negotiate_core(ba, importer);
	}
	if (ba->matches)
		return 0;
	ret = -EOPNOTSUPP;
err_undo:
	barter_negotiate_undo(ba);
	return ret;
}

/**
 * barter_negotiate_undo - give back what barter_negotiate() took
 * @ba: an attachment that is on no list any more
 *
 * Context: process, waits for a restored() that runs; no dma_resv held.
 */
void barter_negotiate_undo(struct barter_attach *ba)
{
	unsigned int i;

	if (ba->restored_queued)
		cancel_work_sync(&ba->restored_work);
	/* Of core's list nothing is held. */
	if (ba->offers != barter_core_offers)
		for_each_set_bit(i, &ba->matches, BARTER_MAX_OFFERS)
			barter_type_put(ba->offers[i].type);
	if (ba->importer)
		module_put(ba->importer->owner);
}

/**
 * barter_registry_show - the types and importers there are
 * @m: where to
 */
void barter_registry_show(struct seq_file *m)
{
	struct barter_interconnect *type;
	struct barter_importer *importer;
	unsigned int i;
	int bucket;

	mutex_lock(&barter_registry_lock);
	list_for_each_entry(type, &barter_types, node)
		seq_printf(m, "type %s module %s\n", type->name,
			   module_name(type->owner));
	hash_for_each(barter_importers, bucket, importer, node) {
		seq_printf(m, "importer %s module %s types", importer->name,
			   module_name(importer->owner));
		for (i = 0; i < importer->nr_offers; i++)
			seq_printf(m, "%c%s", i ? ',' : ' ',
				   importer->offers[i].type->name);
		seq_putc(m, '\n');
	}
	mutex_unlock(&barter_registry_lock);
}

/**
 * barter_interconnect_init - register the types of core
 */
void barter_interconnect_init(void)
{
	barter_interconnect_register(&barter_pci_bar);
	barter_interconnect_register(&barter_iommu_domain);
	barter_interconnect_register(&barter_sgt);
}
