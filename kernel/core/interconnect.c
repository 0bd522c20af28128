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

/* For importers that have no device: dma-buf insists on one. */
static struct device *barter_no_device;
static struct workqueue_struct *barter_restored_wq;

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

static const struct barter_offer *
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
		.end = buf->end,
		.exporter_data = offer->data,
		.importer_data = barter_offer_find(importer->offers,
						   importer->nr_offers,
						   offer->type)->data,
	};
	int ret = offer->type->match ? offer->type->match(&match) : 0;

	/* dma-buf would take it for an attachment. */
	if (ret > 0)
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
 * barter_choose - the type that an attachment works with until the next invalidate
 * @ba: the attachment, its dma_resv held, the buffer usable
 *
 * Return: 0, -EOPNOTSUPP if the importer has declined all, what the exporter's
 * select() refused with, -EINVAL if its answer is none of what it was offered.
 */
int barter_choose(struct barter_attach *ba)
{
	const struct barter_interconnect *types[BARTER_MAX_OFFERS];
	unsigned int i, which[BARTER_MAX_OFFERS], nr = 0;
	unsigned long left = ba->matches & ~ba->declined;
	struct barter_buf *buf = ba->buf;
	int choice = 0;

	dma_resv_assert_held(buf->dmabuf->resv);

	if (ba->chosen)
		return 0;
	for_each_set_bit(i, &left, BARTER_MAX_OFFERS) {
		types[nr] = ba->offers[i].type;
		which[nr++] = i;
	}
	if (!nr)
		choice = -EOPNOTSUPP;
	else if (buf->exp->ops->select)
		choice = buf->exp->ops->select(buf->exp, ba->attach, types, nr);
	if (choice >= (int)nr || choice < -MAX_ERRNO)
		choice = -EINVAL;
	trace_barter_choose(ba, choice < 0 ? NULL : types[choice],
			    min(choice, 0));
	if (choice < 0)
		return choice;
	ba->chosen = &ba->offers[which[choice]];
	return 0;
}

/**
 * barter_attach_of - what core knows of an attachment
 * @attach: any attachment
 *
 * Return: NULL if the dma-buf is not barter's.
 */
struct barter_attach *barter_attach_of(struct dma_buf_attachment *attach)
{
	return barter_buf_from_dmabuf(attach->dmabuf) ? attach->priv : NULL;
}

/* The offer of @type, if it is one of those agreed on. */
static const struct barter_offer *
barter_attach_offer(const struct barter_attach *ba,
		    const struct barter_interconnect *type)
{
	unsigned int i;

	for_each_set_bit(i, &ba->matches, BARTER_MAX_OFFERS)
		if (ba->offers[i].type == type)
			return &ba->offers[i];
	return NULL;
}

/**
 * barter_attach - attach a registered importer
 * @dmabuf: any dma-buf, referenced by the caller until the detach
 * @dev: the importer's device, or NULL if it has none
 * @importer: the importer, registered
 * @priv: becomes attach->importer_priv
 *
 * As dma_buf_dynamic_attach(), which an importer with a device may use as well.
 * dma_buf_detach() ends it. A dma-buf that is not barter's works like with
 * dma_buf_dynamic_attach(), if there is a device and the importer offers sgt; its
 * exporter, which may map it in there, is not asked otherwise. Context: may sleep;
 * no dma_resv held.
 *
 * Return: the attachment, or an ERR_PTR: -EOPNOTSUPP (nothing that both sides can
 * work with, or a foreign dma-buf and no device or no sgt), -EPERM (a read-only buffer,
 * and no type that enforces it), -EBADFD (dead), -ENODEV (module
 * on its way out), -ENOMEM, or what a match callback refused with.
 */
struct dma_buf_attachment *barter_attach(struct dma_buf *dmabuf,
					 struct device *dev,
					 const struct barter_importer *importer,
					 void *priv)
{
	if (!barter_buf_from_dmabuf(dmabuf) &&
	    (!dev || !barter_offer_find(importer->offers, importer->nr_offers,
					&barter_sgt)))
		return ERR_PTR(-EOPNOTSUPP);
	return dma_buf_dynamic_attach(dmabuf, dev ?: barter_no_device,
				      importer->ops, priv);
}
BARTER_EXPORT(barter_attach);

/**
 * barter_attach_type - which map call is the one to use
 * @attach: an attachment of any dma-buf, its dma_resv held
 *
 * The exporter's choice is made here if it has not been. It holds until the
 * attachment's next invalidate.
 *
 * Return: the type; &barter_sgt for a dma-buf that is not barter's; an ERR_PTR:
 * -ENODEV (revoked at present), -EBADFD (dead), or what the exporter's select()
 * refused with.
 */
const struct barter_interconnect *
barter_attach_type(struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = barter_attach_of(attach);
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!ba)
		return &barter_sgt;
	ret = barter_buf_error(ba->buf) ?: barter_choose(ba);
	return ret ? ERR_PTR(ret) : ba->chosen->type;
}
BARTER_EXPORT(barter_attach_type);

/**
 * barter_attach_decline - the importer cannot use this type after all
 * @attach: an attachment, its dma_resv held
 * @type: one of those that were agreed on
 *
 * For an importer whose map call failed, for want of a route, say, and which can
 * work with another type. Holds until the next invalidate, like a choice.
 *
 * Return: 0, -EOPNOTSUPP (the dma-buf is not barter's, or the type is none of those
 * that were agreed on), -EBUSY (the attachment is mapped or pinned).
 */
int barter_attach_decline(struct dma_buf_attachment *attach,
			  const struct barter_interconnect *type)
{
	struct barter_attach *ba = barter_attach_of(attach);
	const struct barter_offer *offer;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!ba)
		return -EOPNOTSUPP;
	offer = barter_attach_offer(ba, type);
	if (!offer)
		return -EOPNOTSUPP;
	if (ba->maps || ba->pinned)
		return -EBUSY;
	ba->declined |= BIT(offer - ba->offers);
	ba->chosen = NULL;
	return 0;
}
BARTER_EXPORT(barter_attach_decline);

/**
 * barter_map_begin - an importer is about to get addresses of a type
 * @attach: an attachment of any dma-buf, its dma_resv held
 * @type: the type of the addresses
 * @exporter_data: where the exporter's data for the type goes; may be NULL
 *
 * For the map call of a type. From here on a revoke waits for barter_map_end(),
 * whether the map call goes on to succeed or not.
 *
 * Return: 0, -EOPNOTSUPP (the dma-buf is not barter's, or the type is none of those
 * that were agreed on), -EPROTOTYPE (another of them is in use), -ENODEV (revoked
 * at present), -EBADFD (dead), or what the exporter's select() refused with.
 */
int barter_map_begin(struct dma_buf_attachment *attach,
		     const struct barter_interconnect *type,
		     const void **exporter_data)
{
	struct barter_attach *ba = barter_attach_of(attach);
	const struct barter_offer *offer;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!ba)
		return -EOPNOTSUPP;
	offer = barter_attach_offer(ba, type);
	if (!offer)
		return -EOPNOTSUPP;
	ret = barter_buf_error(ba->buf) ?: barter_choose(ba);
	if (ret)
		return ret;
	if (ba->chosen != offer)
		return -EPROTOTYPE;
	ba->maps++;
	WRITE_ONCE(ba->buf->maps, ba->buf->maps + 1);
	if (exporter_data)
		*exporter_data = offer->data;
	return 0;
}
BARTER_EXPORT(barter_map_begin);

/**
 * barter_map_end - the importer uses these addresses no more
 * @attach: the attachment given to barter_map_begin(), its dma_resv held
 * @type: the type given then
 */
void barter_map_end(struct dma_buf_attachment *attach,
		    const struct barter_interconnect *type)
{
	struct barter_attach *ba = attach->priv;
	struct barter_buf *buf = ba->buf;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (WARN_ON_ONCE(!ba->maps))
		return;
	ba->maps--;
	WRITE_ONCE(buf->maps, buf->maps - 1);
	if (!buf->maps)
		wake_up_all(&buf->idle);
}
BARTER_EXPORT(barter_map_end);

/**
 * barter_attach_exporter - the exporter that an attachment is to
 * @attach: an attachment to a buffer of barter's
 *
 * Return: the exporter; valid until the detach.
 */
struct barter_exporter *barter_attach_exporter(struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = attach->priv;

	return ba->buf->exp;
}
BARTER_EXPORT(barter_attach_exporter);

/**
 * barter_attach_read_only - may the importer only read
 * @attach: an attachment to a buffer of barter's
 *
 * For the map call of a type that says that it enforces this. Constant. Context: any.
 *
 * Return: true if nothing may be written through what the importer gets.
 */
bool barter_attach_read_only(struct dma_buf_attachment *attach)
{
	struct barter_attach *ba = attach->priv;

	return ba->buf->read_only;
}
BARTER_EXPORT(barter_attach_read_only);

/**
 * barter_attach_ranges - the pieces of the BAR that a buffer is made of
 * @attach: an attachment to a buffer of barter's
 * @first: index of the first one wanted
 * @ranges: filled with the pieces, neighbours merged; may be NULL with @nr 0
 * @nr: how many fit there
 *
 * For the map call of a type, on the exporter's behalf. Context: any.
 *
 * Return: how many there are from @first on.
 */
u32 barter_attach_ranges(struct dma_buf_attachment *attach, u32 first,
			 struct barter_range *ranges, u32 nr)
{
	struct barter_attach *ba = attach->priv;
	const struct barter_ranges *from = ba->buf->ranges;
	u32 i, left = first < from->nr ? from->nr - first : 0;

	for (i = 0; i < min(nr, left); i++) {
		ranges[i].offset = from->runs[first + i].offset;
		ranges[i].length = from->runs[first + i].length;
	}
	return left;
}
BARTER_EXPORT(barter_attach_ranges);

/* Runs as work: the importer may take any lock but those that a detach needs. */
static void barter_restored_work(struct work_struct *work)
{
	struct barter_attach *ba = container_of(work, struct barter_attach,
						restored_work);

	ba->importer->restored(ba->attach);
}

/**
 * barter_attach_restored - importers shall hear that the buffer is usable again
 * @buf: the buffer, its dma_resv held
 */
void barter_attach_restored(struct barter_buf *buf)
{
	struct dma_buf_attachment *attach;

	dma_resv_assert_held(buf->dmabuf->resv);

	list_for_each_entry(attach, &buf->dmabuf->attachments, node) {
		struct barter_attach *ba = attach->priv;

		if (!ba->importer || !ba->importer->restored)
			continue;
		if (!ba->restored_queued)
			INIT_WORK(&ba->restored_work, barter_restored_work);
		ba->restored_queued = true;
		queue_work(barter_restored_wq, &ba->restored_work);
	}
}

/**
 * barter_attach_name - an importer's device and driver, for people
 * @ba: the attachment
 * @text: filled in
 * @length: bytes at @text
 */
void barter_attach_name(const struct barter_attach *ba, char *text, size_t length)
{
	struct device *dev = ba->attach->dev;

	if (dev == barter_no_device)
		snprintf(text, length, "no device (%s)", ba->importer ?
			 ba->importer->name : "?");
	else
		snprintf(text, length, "%s (%s)", dev_name(dev),
			 dev_driver_string(dev));
}

/**
 * barter_attach_types - the types that an attachment may work with, for people
 * @ba: the attachment
 * @text: filled with their names, the default first
 * @length: bytes at @text
 */
void barter_attach_types(const struct barter_attach *ba, char *text, size_t length)
{
	size_t used = 0;
	unsigned int i;

	text[0] = '\0';
	for_each_set_bit(i, &ba->matches, BARTER_MAX_OFFERS)
		used += scnprintf(text + used, length - used, "%s%s",
				  used ? "," : "", ba->offers[i].type->name);
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
 * barter_interconnect_init - the types of core, and what importers need of it
 *
 * Return: 0 or -ENOMEM and the like.
 */
int barter_interconnect_init(void)
{
	int ret;

	barter_restored_wq = alloc_workqueue("barter", WQ_UNBOUND, 0);
	if (!barter_restored_wq)
		return -ENOMEM;
	barter_no_device = root_device_register("barter");
	if (IS_ERR(barter_no_device)) {
		ret = PTR_ERR(barter_no_device);
		destroy_workqueue(barter_restored_wq);
		return ret;
	}
	barter_interconnect_register(&barter_pci_bar);
	barter_interconnect_register(&barter_iommu_domain);
	barter_interconnect_register(&barter_sgt);
	return 0;
}

/**
 * barter_interconnect_exit - undo barter_interconnect_init()
 */
void barter_interconnect_exit(void)
{
	root_device_unregister(barter_no_device);
	destroy_workqueue(barter_restored_wq);
}
