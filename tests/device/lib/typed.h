/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Both sides of barter's in-kernel API, /dev/barter-test-exporter and -importer.
 * What returns int gives 0 or more, or -errno.
 *
 * A list of types is a text, a letter for each: a and b are the test fabrics, p is
 * pci-bar, d iommu-domain, s sgt, 0 no type at all.
 */
#ifndef TESTS_TYPED_H
#define TESTS_TYPED_H

#include <linux/barter.h>
#include <stdbool.h>
#include <stdint.h>

#include "../kmod/typed.h"
#include "tap.h"

/* The lent device of these suites: the machine's first memory, no driver needed. */
const char *typed_lender(void);
struct typed_bdf typed_bdf(const char *text);
/* What a list of types is in text, as info and debugfs have it. */
const char *typed_names(const char *list, char text[BARTER_TYPES_LENGTH]);

/* An exporter of typed_lender() or of @bdf; its fd. NULL: core's own offers. */
int exporter_new(const char *offers, uint32_t flags);
int exporter_of_bdf(const char *bdf, const char *offers, uint32_t flags);
int exporter_lend(int e, uint32_t bar, const struct barter_range *ranges,
		  uint32_t nr);
/* By a driver that tries again with the ranges which it had copied: LEND_IOC_EXPORT_AGAIN. */
int exporter_lend_again(int e, uint32_t bar, const struct barter_range *ranges,
			uint32_t nr);
int exporter_lend1(int e, uint32_t bar, uint64_t offset, uint64_t n);
int exporter_lend_read_only(int e, uint32_t bar, uint64_t offset, uint64_t n);
int exporter_revoke(int e);
int exporter_restore(int e);
int exporter_destroy(int e);
int exporter_select(int e, int answer);
struct lend_stat exporter_stat(int e);
int fabric(uint32_t op, int which, int answer);
struct lend_fabric fabric_stat(int which);
int fabric_register_named(const char *name);

/* Open the importer's device, once; close it again, by which all ends. */
int typed_open(void);
void typed_close(void);
int typed_register(uint32_t slot, const char *offers, uint32_t flags);
int typed_unregister(uint32_t slot);
/* As edu, unless @flags say no device; its id. */
int typed_attach(int fd, uint32_t slot, uint32_t flags);
int typed_attach_as(struct typed_attach *req);
int typed_detach(int id);
/* A letter, or -errno. */
int typed_type(int id);
/* A map's number; the call is that of the type with that letter. */
int typed_map(int id, char type);
int typed_map_as(struct typed_map *req);
int typed_unmap(int id, int map);
int typed_decline(int id, char type);
int typed_pin(int id);
int typed_unpin(int id);
struct typed_stat typed_stat(int id);
int typed_lookalike(int fd);

/* A domain for device @bdf; @attach: and the device in it. */
int domain_new(const char *bdf, bool attach);
int domain_free(int id);
/* TYPED_NOTHING, TYPED_AS_IT_SHOULD, TYPED_SOMETHING_ELSE: BAR 2 of the lender. */
int domain_check(int id, uint64_t iova, uint64_t offset, uint64_t n);
/* A page of somebody else's; domain_unpage() says whether it still was there. */
int domain_page(int id, uint64_t iova);
int domain_unpage(int id, uint64_t iova);

#endif
