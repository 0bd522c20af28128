/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-test-importer know of each other.
 *
 * Locks, outermost first:
 *
 *	typed_lock	the tables of importers, attachments, domains; held while an
 *			importer is registered, but not while one attaches
 *	dma_resv	of a buffer: what its attachments have mapped
 */
#ifndef BARTER_TEST_TYPED_KMOD_H
#define BARTER_TEST_TYPED_KMOD_H

#include <linux/barter.h>
#include <linux/dma-buf.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "fabric.h"
#include "typed.h"

struct device;
struct sg_table;

/* One of an attachment's maps; free if none of the pointers is set. */
struct typed_one {
	u32 type;
	struct sg_table *sgt;
	const struct barter_pci_bar_map *bar;
	const struct fabric_map *fabric;
	struct barter_domain_map *domain;
};

/**
 * struct typed - an attachment
 * @ref: the table's and one for each call that runs
 * @dmabuf: with a reference
 * @attach: NULL before it is made and after it has ended
 * @dev: with a reference; NULL without
 * @importer: registered or not, never freed
 * @flags: TYPED_F_*
 * @delay_ms: for SLOW, BLOCK, SLOW_RESTORED
 * @share: what share() sets
 * @share_answer: what it returns
 * @slow: unmaps later
 * @restoring: restored() runs
 * @maps: under the dma_resv
 * @pins: likewise
 * @stat: what STAT tells, each field written by one task at a time
 */
struct typed {
	struct kref ref;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct device *dev;
	u32 flags;
	u32 delay_ms;
	u64 share;
	int share_answer;
	struct delayed_work slow;
	bool restoring;
	struct typed_one maps[TYPED_MAPS];
	u32 pins;
	struct typed_stat stat;
};

extern struct mutex typed_lock;

/* typed.c */
struct typed *typed_get(u32 id);
void typed_put(struct typed *t);
struct pci_dev *typed_pdev(const struct typed_bdf *bdf);

/* typed_map.c; the dma_resv is held by all drop_*, and taken by map */
void typed_drop_one(struct typed *t, struct typed_one *one);
void typed_drop_all(struct typed *t);
void typed_drop_sgt(struct typed *t);
int typed_map(struct typed *t, struct typed_map *req);

/* typed_domain.c */
int typed_domain_new(struct typed_domain *req);
int typed_domain_free(u32 id);
void typed_domain_free_all(void);
struct iommu_domain *typed_domain_get(u32 id, const struct typed_bdf *bdf);
int typed_domain_check(struct typed_check *req);
int typed_domain_page(struct typed_page *req);

/* typed_foreign.c */
int typed_lookalike(int fd);

#endif /* BARTER_TEST_TYPED_KMOD_H */
