/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-dma know of each other: main.c has the engine and the
 * character device, sgt.c and domain.c each are an importer.
 *
 * Locks, outermost first:
 *
 *	edu->lock	one user of the engine at a time; imports come and go;
 *			@gone, @stuck, which domain edu is in. Never held while
 *			user memory is touched.
 *	dma_resv	of the imported buffer: what is mapped of it, and how
 *
 * invalidate comes with the dma_resv held, so it must not take edu->lock.
 */
#ifndef BARTER_SAMPLES_EDU_H
#define BARTER_SAMPLES_EDU_H

#include <linux/completion.h>
#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/types.h>

#define EDU_CHUNK		2048

struct barter_domain_map;
struct dma_buf;
struct dma_buf_attachment;
struct edu_domain;
struct import;
struct importer;
struct pci_dev;
struct sg_table;

/* One edu device. Lives until it is unbound and the last file is closed. */
struct edu {
	struct kref ref;
	struct mutex lock;
	struct list_head imports;	/* import->node of those attached */
	bool gone;			/* the driver is unbound */
	bool stuck;			/* the engine failed, its DMA is cut off */

	struct pci_dev *pdev;		/* all of these until @gone */
	void __iomem *regs;
	u64 dma_mask;
	const struct importer *importer;
	struct edu_domain *own;		/* domain.c; NULL: only the DMA API's */

	/* RAM that the engine reaches at @bounce_bus, in the domain it is in. */
	void *bounce;
	dma_addr_t bounce_bus;
	void *coherent;			/* the same by the DMA API */
	dma_addr_t coherent_bus;

	struct miscdevice misc;
	int id;
	char name[24];
};

/* One open file. */
struct import {
	struct edu *edu;
	struct list_head node;
	struct dma_buf_attachment *attach; /* edu->lock; NULL: none, or gone */
	u64 length;			/* of the buffer; 0 before there is one */
	struct completion idle;		/* not complete: the engine uses the map */

	/* Written under the dma_resv; STATUS reads without. */
	bool mapped;
	enum dma_data_direction dir;
	struct sg_table *sgt;		/* sgt.c */
	struct barter_domain_map *map;	/* domain.c; also a revoked one */
	unsigned long iova;
	u32 segments;
	u64 maps;
	u64 revokes;
};

/**
 * struct importer - how a buffer becomes addresses for the engine
 * @attach: attach to it, on behalf of the import
 * @map: make it usable for DMA in import->dir's direction; dma_resv held
 * @find: where byte @offset is on the bus, and how many of @count bytes follow it
 *	there; mapped, dma_resv held
 * @unmap: give back all that @map took; dma_resv held
 */
struct importer {
	struct dma_buf_attachment *(*attach)(struct import *imp,
					     struct dma_buf *dmabuf);
	int (*map)(struct import *imp, enum dma_data_direction dir);
	int (*find)(struct import *imp, u64 offset, dma_addr_t *bus,
		    size_t *count);
	void (*unmap)(struct import *imp, struct dma_buf_attachment *attach);
};

/* sgt.c */
extern const struct importer sgt_importer;

/* domain.c */
#ifdef CONFIG_IOMMU_API
int edu_domain_init(struct edu *edu);
void edu_domain_exit(struct edu *edu);
int edu_domain_register(void);
void edu_domain_unregister(void);
#else
static inline int edu_domain_init(struct edu *edu)
{
	return -EOPNOTSUPP;
}

static inline void edu_domain_exit(struct edu *edu)
{
}

static inline int edu_domain_register(void)
{
	return 0;
}

static inline void edu_domain_unregister(void)
{
}
#endif

#endif /* BARTER_SAMPLES_EDU_H */
