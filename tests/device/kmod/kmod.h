/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-test know of each other.
 *
 * Locks, outermost first:
 *
 *	test_files_lock	the list of open files
 *	file->lock	its importers and fences, and the order of its calls
 *	dma_resv	of a buffer: what its importers have mapped
 *
 * The invalidate callback comes with the dma_resv held and takes none of them.
 */
#ifndef BARTER_TEST_KMOD_H
#define BARTER_TEST_KMOD_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "barter-test.h"

struct device;
struct dma_fence;
struct importer;

/**
 * struct test_file - an open file of /dev/barter-test
 * @node: in the list of all, under test_files_lock
 * @lock: protects what follows
 * @importers: by id, NULL where free
 * @fences: by id, NULL where free; each with a reference, which the work that signals it late
 *	relies on
 *
 * An importer that is freed leaves @importers under @lock, so STAT, which does
 * not wait for @lock, uses rcu.
 */
struct test_file {
	struct list_head node;
	struct mutex lock;
	struct importer __rcu *importers[BARTER_TEST_IMPORTERS];
	struct dma_fence *fences[BARTER_TEST_FENCES];
};

/* importer.c; all but stat with file->lock held */
int importer_attach(struct test_file *file, struct barter_test_attach *req);
int importer_detach(struct test_file *file, u32 id);
int importer_map(struct test_file *file, struct barter_test_map *req);
int importer_unmap(struct test_file *file, u32 id);
int importer_pin(struct test_file *file, u32 id);
int importer_unpin(struct test_file *file, u32 id);
int importer_letgo(struct test_file *file, u32 id);
int importer_stat(struct test_file *file, struct barter_test_stat *req);
void importer_detach_all(struct test_file *file, struct device *dev);
int importer_init(void);
void importer_exit(void);

/* page.c */
int page_look(struct barter_test_page __user *arg);

/* fence.c; with file->lock held */
int fence_new(struct test_file *file, struct barter_test_fence __user *arg);
int fence_signal(struct test_file *file, u32 id);
void fence_signal_all(struct test_file *file);

/* foreign.c; no lock needed */
int foreign_export(struct barter_test_foreign __user *arg);

#endif /* BARTER_TEST_KMOD_H */
