// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What an importer does with its attachment: which of the types that were agreed on it
 * works with, and for how long; the frame around each map; and that it hears of the
 * end of a revoke.
 */
#include <linux/bitops.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/workqueue.h>

#include "priv.h"
#include "trace.h"

/* For importers that have no device: dma-buf insists on one. */
static struct device *barter_no_device;
static struct workqueue_struct *barter_restored_wq;

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
	const struct barter_ranges *from = &ba->buf->ranges;
	u32 i, left = first < from->nr ? from->nr - first : 0;

	nr = min(nr, left);
	for (i = 0; i < nr; i++) {
		struct barter_run run = barter_ranges_run(from, first + i);

		ranges[i].offset = run.offset;
		ranges[i].length = run.length;
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
 * barter_attach_init - what importers need of core
 *
 * Return: 0 or -ENOMEM and the like.
 */
int barter_attach_init(void)
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
	return 0;
}

/**
 * barter_attach_exit - undo barter_attach_init()
 */
void barter_attach_exit(void)
{
	root_device_unregister(barter_no_device);
	destroy_workqueue(barter_restored_wq);
}
