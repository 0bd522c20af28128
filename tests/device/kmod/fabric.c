// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The fabrics: an interconnect as a vendor would define it, on what core gives to
 * map calls of any type.
 */
#include "fabric.h"

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

const u32 fabric_exporter_data[NR_FABRICS] = { 0xe0, 0xe1 };
const u32 fabric_importer_data[NR_FABRICS] = { 0x10, 0x11 };
EXPORT_SYMBOL_GPL(fabric_importer_data);

/* The last question of each, and the answer to come; under the lock. */
static struct lend_fabric asked[NR_FABRICS];
static bool registered[NR_FABRICS];
static DEFINE_MUTEX(fabric_lock);

static int fabric_match(const struct barter_match *match, unsigned int which)
{
	const u32 *exporter = match->exporter_data;
	const u32 *importer = match->importer_data;
	int ret;

	mutex_lock(&fabric_lock);
	asked[which].out_matches++;
	asked[which].out_bar = match->bar;
	asked[which].out_bar_length = match->bar_length;
	asked[which].out_end = match->end;
	asked[which].out_data = (u64)(exporter ? *exporter : 0) << 32 |
				(importer ? *importer : 0);
	ret = asked[which].answer;
	mutex_unlock(&fabric_lock);
	return ret;
}

static int fabric_match_a(const struct barter_match *match)
{
	return fabric_match(match, 0);
}

static int fabric_match_b(const struct barter_match *match)
{
	return fabric_match(match, 1);
}

struct barter_interconnect fabrics[NR_FABRICS] = {
	{ .name = "test-fabric-a", .owner = THIS_MODULE, .match = fabric_match_a },
	{ .name = "test-fabric-b", .owner = THIS_MODULE, .match = fabric_match_b },
};

const struct barter_interconnect *fabric_type(u32 typed)
{
	switch (typed) {
	case TYPED_SGT:		return &barter_sgt;
	case TYPED_PCI_BAR:	return &barter_pci_bar;
	case TYPED_DOMAIN:	return &barter_iommu_domain;
	case TYPED_FABRIC_A:	return &fabrics[0];
	case TYPED_FABRIC_B:	return &fabrics[1];
	default:		return NULL;
	}
}
EXPORT_SYMBOL_GPL(fabric_type);

u32 fabric_typed(const struct barter_interconnect *type)
{
	u32 typed;

	for (typed = TYPED_SGT; typed < TYPED_NULL; typed++)
		if (fabric_type(typed) == type)
			return typed;
	return TYPED_UNKNOWN;
}
EXPORT_SYMBOL_GPL(fabric_typed);

/* A list of offers from a list of TYPED_* numbers; fabrics get their @data. */
int fabric_offers(const u8 *list, u32 nr, const u32 *data,
		  struct barter_offer *offers)
{
	u32 i;

	if (nr > TYPED_LIST)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (list[i] > TYPED_NULL)
			return -EINVAL;
		offers[i].type = fabric_type(list[i]);
		offers[i].data = NULL;
		if (list[i] == TYPED_FABRIC_A || list[i] == TYPED_FABRIC_B)
			offers[i].data = &data[list[i] - TYPED_FABRIC_A];
	}
	return 0;
}
EXPORT_SYMBOL_GPL(fabric_offers);

/**
 * fabric_map - the pieces of a buffer
 * @attach: an attachment, its dma_resv held
 * @type: one of the fabrics
 *
 * Return: what to give to fabric_unmap(), or an ERR_PTR.
 */
const struct fabric_map *fabric_map(struct dma_buf_attachment *attach,
				    const struct barter_interconnect *type)
{
	struct fabric_map *map;
	const void *data;
	u32 i, nr;
	int ret;

	ret = barter_map_begin(attach, type, &data);
	if (ret)
		return ERR_PTR(ret);
	nr = barter_attach_ranges(attach, 0, NULL, 0);
	map = kvmalloc(struct_size(map, ranges, nr), GFP_KERNEL);
	if (!map) {
		barter_map_end(attach, type);
		return ERR_PTR(-ENOMEM);
	}
	map->data = data ? *(const u32 *)data : 0;
	map->nr = nr;
	map->length = 0;
	/* In pieces, as somebody would who has no room for all. */
	for (i = 0; i < nr; i += 7)
		barter_attach_ranges(attach, i, map->ranges + i,
				     min(nr - i, 7U));
	for (i = 0; i < nr; i++)
		map->length += map->ranges[i].length;
	return map;
}
EXPORT_SYMBOL_GPL(fabric_map);

/**
 * fabric_unmap - undo fabric_map()
 * @attach: the attachment, its dma_resv held
 * @type: the type given then
 * @map: what it gave
 */
void fabric_unmap(struct dma_buf_attachment *attach,
		  const struct barter_interconnect *type,
		  const struct fabric_map *map)
{
	kvfree(map);
	barter_map_end(attach, type);
}
EXPORT_SYMBOL_GPL(fabric_unmap);

static int fabric_register(u32 which)
{
	int ret = barter_interconnect_register(&fabrics[which]);

	if (!ret)
		registered[which] = true;
	return ret;
}

static int fabric_unregister(u32 which)
{
	if (!registered[which])
		return -ENOENT;
	registered[which] = false;
	barter_interconnect_unregister(&fabrics[which]);
	return 0;
}

/* One that is there for a moment, if core takes it. */
static int fabric_register_named(const char *name)
{
	static struct barter_interconnect other = { .owner = THIS_MODULE };
	int ret;

	other.name = name;
	ret = barter_interconnect_register(&other);
	if (!ret)
		barter_interconnect_unregister(&other);
	return ret;
}

int fabric_control(struct lend_fabric *req)
{
	u32 which = req->which;
	int ret = 0;

	if (which >= NR_FABRICS)
		return -EINVAL;
	req->name[sizeof(req->name) - 1] = '\0';

	switch (req->op) {
	case FABRIC_REGISTER:
		return fabric_register(which);
	case FABRIC_UNREGISTER:
		return fabric_unregister(which);
	case FABRIC_REGISTER_NAMED:
		return fabric_register_named(req->name);
	case FABRIC_UNREGISTER_SGT:
		barter_interconnect_unregister(&barter_sgt);
		return 0;
	}
	mutex_lock(&fabric_lock);
	switch (req->op) {
	case FABRIC_MATCH:
		asked[which].answer = req->answer;
		fabrics[which].match = which ? fabric_match_b : fabric_match_a;
		break;
	case FABRIC_NO_MATCH:
		fabrics[which].match = NULL;
		break;
	case FABRIC_STAT:
		*req = asked[which];
		break;
	default:
		ret = -EINVAL;
	}
	mutex_unlock(&fabric_lock);
	return ret;
}

int fabric_init(void)
{
	int ret = fabric_register(0);

	if (ret)
		return ret;
	ret = fabric_register(1);
	if (ret)
		fabric_unregister(0);
	return ret;
}

void fabric_exit(void)
{
	fabric_unregister(0);
	fabric_unregister(1);
}
