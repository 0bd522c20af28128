/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The test module's importers, fences and foreign dma-bufs, /dev/barter-test.
 * What returns int gives 0 or more, or -errno.
 */
#ifndef TESTS_TESTER_H
#define TESTS_TESTER_H

#include <stdint.h>

#include "../kmod/barter-test.h"

int tester_open(void);
/* An importer that is edu, or with F_PLATFORM nobody's; its id. */
int tester_attach(int t, int dmabuf, uint32_t flags);
/* The same with all that can be chosen; @req's device is filled in. */
int tester_attach_as(int t, struct barter_test_attach *req);
int tester_detach(int t, int id);
/* Map; @map may be NULL. */
int tester_map(int t, int id, uint32_t direction, struct barter_test_map *map);
int tester_unmap(int t, int id);
int tester_pin(int t, int id);
int tester_unpin(int t, int id);
int tester_letgo(int t, int id);
struct barter_test_stat tester_stat(int t, int id);
/* A fence that is not signalled, and its sync_file in @fd; its id. */
int tester_fence(int t, int *fd);
/* The same, which is signalled by itself after so long; 0: it is not. */
int tester_fence_for(int t, int *fd, uint32_t ms);
int tester_signal(int t, int id);
/* What our page table has at @p. */
int tester_page(int t, const volatile void *p, struct barter_test_page *page);
/* A dma-buf that is not barter's, of one page. */
int tester_foreign(void);
/* Put a sync_file's fence into a dma-buf, as any holder of the fd may. */
int fence_into(int dmabuf, int sync_file);
/* The address of edu, as info's blocker and the log spell it. */
const char *edu_bdf(void);

#endif
