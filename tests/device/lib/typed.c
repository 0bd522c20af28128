// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Exporters and importers of the test modules, see typed.h.
 */
#define _GNU_SOURCE
#include "typed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pci.h"
#include "tester.h"

#define EXPORTER	"/dev/barter-test-exporter"
#define IMPORTER	"/dev/barter-test-importer"

static const char letters[] = "spdab0?";
static int importer = -1;

static int call(int fd, unsigned long nr, unsigned long arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

static uint32_t parse_list(const char *text, uint8_t list[TYPED_LIST])
{
	uint32_t nr = 0;

	for (; *text; text++) {
		const char *at = strchr(letters, *text);

		if (!at || nr == TYPED_LIST)
			tap_bail("no list of types: %s", text);
		list[nr++] = (uint8_t)(at - letters);
	}
	return nr;
}

const char *typed_lender(void)
{
	static char bdf[BDF_LENGTH];

	if (!bdf[0] && getenv("VM_VRAM0"))
		snprintf(bdf, sizeof(bdf), "%.15s", getenv("VM_VRAM0"));
	else if (!bdf[0] && pci_find(PCI_IVSHMEM, 0, bdf))
		tap_bail("this machine has no ivshmem");
	return bdf;
}

struct typed_bdf typed_bdf(const char *text)
{
	unsigned int domain, bus, slot, function;

	if (sscanf(text, "%x:%x:%x.%u", &domain, &bus, &slot, &function) != 4)
		tap_bail("no PCI address: %s", text);
	return (struct typed_bdf){
		.domain = (uint16_t)domain, .bus = (uint8_t)bus,
		.devfn = (uint8_t)(slot << 3 | function),
	};
}

const char *typed_names(const char *list, char text[BARTER_TYPES_LENGTH])
{
	static const char *const names[] = {
		"sgt", "pci-bar", "iommu-domain", "test-fabric-a", "test-fabric-b",
	};
	int used = 0;

	text[0] = 0;
	for (const char *at = list; *at; at++)
		used += snprintf(text + used, (size_t)(BARTER_TYPES_LENGTH - used),
				 "%s%s", at > list ? "," : "",
				 names[strchr(letters, *at) - letters]);
	return text;
}

/* ---- exporter ---- */

int exporter_of_bdf(const char *bdf, const char *offers, uint32_t flags)
{
	struct lend_create req = { .bdf = typed_bdf(bdf), .flags = flags };
	int e = open(EXPORTER, O_RDWR | O_CLOEXEC), ret;

	if (e < 0)
		tap_bail(EXPORTER ": %s", strerror(errno));
	if (offers)
		req.nr_offers = parse_list(offers, req.offers);
	else
		req.flags |= LEND_F_DEFAULT;
	ret = call(e, LEND_IOC_CREATE, (uintptr_t)&req);
	if (!ret)
		return e;
	close(e);
	return ret;
}

int exporter_new(const char *offers, uint32_t flags)
{
	return exporter_of_bdf(typed_lender(), offers, flags);
}

int exporter_lend(int e, uint32_t bar, const struct barter_range *ranges,
		  uint32_t nr)
{
	struct lend_export req = {
		.bar = bar, .nr = nr, .ranges = (uintptr_t)ranges,
	};

	return call(e, LEND_IOC_EXPORT, (uintptr_t)&req);
}

int exporter_lend_again(int e, uint32_t bar, const struct barter_range *ranges,
			uint32_t nr)
{
	struct lend_export req = {
		.bar = bar, .nr = nr, .ranges = (uintptr_t)ranges,
	};

	return call(e, LEND_IOC_EXPORT_AGAIN, (uintptr_t)&req);
}

int exporter_lend1(int e, uint32_t bar, uint64_t offset, uint64_t n)
{
	struct barter_range range = { offset, n };

	return exporter_lend(e, bar, &range, 1);
}

int exporter_lend_read_only(int e, uint32_t bar, uint64_t offset, uint64_t n)
{
	struct barter_range range = { offset, n };
	struct lend_export req = {
		.bar = bar, .nr = 1, .ranges = (uintptr_t)&range,
		.flags = BARTER_EXPORT_READ_ONLY,
	};

	return call(e, LEND_IOC_EXPORT, (uintptr_t)&req);
}

int exporter_revoke(int e)
{
	return call(e, LEND_IOC_REVOKE, BARTER_REASON_REQUESTED);
}

int exporter_restore(int e)
{
	return call(e, LEND_IOC_RESTORE, BARTER_REASON_REQUESTED);
}

int exporter_destroy(int e)
{
	return call(e, LEND_IOC_DESTROY, 0);
}

int exporter_select(int e, int answer)
{
	return call(e, LEND_IOC_SELECT, (unsigned long)answer);
}

struct lend_stat exporter_stat(int e)
{
	struct lend_stat stat;

	if (call(e, LEND_IOC_STAT, (uintptr_t)&stat))
		tap_bail("an exporter has no status");
	return stat;
}

static int fabric_call(struct lend_fabric *req)
{
	int e = open(EXPORTER, O_RDWR | O_CLOEXEC), ret;

	if (e < 0)
		tap_bail(EXPORTER ": %s", strerror(errno));
	ret = call(e, LEND_IOC_FABRIC, (uintptr_t)req);
	close(e);
	return ret;
}

int fabric(uint32_t op, int which, int answer)
{
	struct lend_fabric req = {
		.op = op, .which = (uint32_t)which, .answer = answer,
	};

	return fabric_call(&req);
}

struct lend_fabric fabric_stat(int which)
{
	struct lend_fabric req = { .op = FABRIC_STAT, .which = (uint32_t)which };

	if (fabric_call(&req))
		tap_bail("a fabric has no status");
	return req;
}

int fabric_register_named(const char *name)
{
	struct lend_fabric req = { .op = FABRIC_REGISTER_NAMED };

	snprintf(req.name, sizeof(req.name), "%s", name);
	return fabric_call(&req);
}

/* ---- importer ---- */

int typed_open(void)
{
	if (importer < 0)
		importer = open(IMPORTER, O_RDWR | O_CLOEXEC);
	if (importer < 0)
		tap_bail(IMPORTER ": %s", strerror(errno));
	return importer;
}

void typed_close(void)
{
	close(importer);
	importer = -1;
}

int typed_register(uint32_t slot, const char *offers, uint32_t flags)
{
	struct typed_register req = { .slot = slot, .flags = flags };

	req.nr_offers = parse_list(offers, req.offers);
	return call(typed_open(), TYPED_IOC_REGISTER, (uintptr_t)&req);
}

int typed_unregister(uint32_t slot)
{
	return call(typed_open(), TYPED_IOC_UNREGISTER, slot);
}

int typed_attach_as(struct typed_attach *req)
{
	int ret = call(typed_open(), TYPED_IOC_ATTACH, (uintptr_t)req);

	return ret ?: (int)req->out_id;
}

int typed_attach(int fd, uint32_t slot, uint32_t flags)
{
	struct typed_attach req = { .fd = fd, .slot = slot, .flags = flags };

	if (!(flags & TYPED_F_NO_DEVICE))
		req.bdf = typed_bdf(edu_bdf());
	return typed_attach_as(&req);
}

int typed_detach(int id)
{
	return call(typed_open(), TYPED_IOC_DETACH, (unsigned long)id);
}

int typed_type(int id)
{
	int ret = call(typed_open(), TYPED_IOC_TYPE, (unsigned long)id);

	return ret < 0 ? ret : letters[ret];
}

int typed_map_as(struct typed_map *req)
{
	int ret = call(typed_open(), TYPED_IOC_MAP, (uintptr_t)req);

	return ret ?: (int)req->out_map;
}

int typed_map(int id, char type)
{
	struct typed_map req = {
		.id = (uint32_t)id,
		.type = (uint32_t)(strchr(letters, type) - letters),
		.domain = TYPED_DOMAIN_NULL,
	};

	return typed_map_as(&req);
}

int typed_unmap(int id, int map)
{
	return call(typed_open(), TYPED_IOC_UNMAP,
		    (unsigned long)id | (unsigned long)map << 16);
}

int typed_decline(int id, char type)
{
	return call(typed_open(), TYPED_IOC_DECLINE, (unsigned long)id |
		    (unsigned long)(strchr(letters, type) - letters) << 16);
}

int typed_pin(int id)
{
	return call(typed_open(), TYPED_IOC_PIN, (unsigned long)id);
}

int typed_unpin(int id)
{
	return call(typed_open(), TYPED_IOC_UNPIN, (unsigned long)id);
}

struct typed_stat typed_stat(int id)
{
	struct typed_stat stat = { .id = (uint32_t)id };

	if (call(typed_open(), TYPED_IOC_STAT, (uintptr_t)&stat))
		tap_bail("attachment %d has no status", id);
	return stat;
}

int typed_lookalike(int fd)
{
	return call(typed_open(), TYPED_IOC_LOOKALIKE, (unsigned long)fd);
}

/* ---- domains ---- */

int domain_new(const char *bdf, bool attach)
{
	struct typed_domain req = { .bdf = typed_bdf(bdf), .attach = attach };
	int ret = call(typed_open(), TYPED_IOC_DOMAIN, (uintptr_t)&req);

	return ret ?: (int)req.out_id;
}

int domain_free(int id)
{
	return call(typed_open(), TYPED_IOC_DOMAIN_FREE, (unsigned long)id);
}

int domain_check(int id, uint64_t iova, uint64_t offset, uint64_t n)
{
	struct typed_check req = {
		.domain = (uint32_t)id, .bdf = typed_bdf(typed_lender()),
		.bar = 2, .iova = iova, .offset = offset, .length = n,
	};
	int ret = call(typed_open(), TYPED_IOC_CHECK, (uintptr_t)&req);

	return ret ?: (int)req.out_is;
}

int domain_page(int id, uint64_t iova)
{
	struct typed_page req = { .domain = (uint32_t)id, .iova = iova };

	return call(typed_open(), TYPED_IOC_PAGE, (uintptr_t)&req);
}

int domain_unpage(int id, uint64_t iova)
{
	struct typed_page req = {
		.domain = (uint32_t)id, .unmap = 1, .iova = iova,
	};
	int ret = call(typed_open(), TYPED_IOC_PAGE, (uintptr_t)&req);

	return ret ?: (int)req.out_there;
}
