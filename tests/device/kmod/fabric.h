/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Two interconnects that core does not know, defined in barter-test-exporter.ko and
 * used in barter-test-importer.ko: what a vendor would do.
 */
#ifndef BARTER_TEST_FABRIC_H
#define BARTER_TEST_FABRIC_H

#include <linux/barter.h>

#include "typed.h"

struct dma_buf_attachment;

#define NR_FABRICS	2

/**
 * struct fabric_map - a buffer as a fabric sees it
 * @data: the exporter's
 * @length: bytes
 * @nr: number of @ranges
 * @ranges: pieces of the BAR
 */
struct fabric_map {
	u64 data;
	u64 length;
	u32 nr;
	struct barter_range ranges[];
};

extern struct barter_interconnect fabrics[NR_FABRICS];
/* An exporter's or importer's data for fabrics: a number, each its own. */
extern const u32 fabric_exporter_data[NR_FABRICS];
extern const u32 fabric_importer_data[NR_FABRICS];

/* The type behind a TYPED_* number; NULL for TYPED_NULL and others. */
const struct barter_interconnect *fabric_type(u32 typed);
u32 fabric_typed(const struct barter_interconnect *type);
int fabric_offers(const u8 *list, u32 nr, const u32 *data,
		  struct barter_offer *offers);

const struct fabric_map *fabric_map(struct dma_buf_attachment *attach,
				    const struct barter_interconnect *type);
void fabric_unmap(struct dma_buf_attachment *attach,
		  const struct barter_interconnect *type,
		  const struct fabric_map *map);

int fabric_init(void);
void fabric_exit(void);
int fabric_control(struct lend_fabric *req);

#endif /* BARTER_TEST_FABRIC_H */
