// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory: the calls of interconnects, as fault has those of buffers. Who cannot
 * be given a map of any type gets ENOMEM, and nothing of it is left: no count, no
 * reference to a module, no page in a domain.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/fault.h"
#include "lib/pci.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define PAGE	4096ull
#define AT	(1ull << 30)
#define RANGES	600
#define PAIRS	"/sys/module/barter/parameters/pci_bar_pairs"

static int e, fd, domain, id, pairs;
static char type;
static struct barter_importer_info importers[64];

static int call_register(void)
{
	return typed_register(1, "abspd", 0);
}

static bool whole_register(int got)
{
	(void)got;
	return !typed_unregister(1);
}

/* The device that the type is for. */
static struct typed_attach attach_request(void)
{
	struct typed_attach req = { .fd = fd, .share = 64ull << 20 };

	if (type == 'd')
		req.flags = TYPED_F_NO_DEVICE;
	else
		req.bdf = typed_bdf(type == 'p' ? typed_lender() : edu_bdf());
	return req;
}

static int call_attach(void)
{
	struct typed_attach req = attach_request();

	return typed_attach_as(&req);
}

static bool whole_attach(int got)
{
	return typed_type(got) == type &&
		!typed_detach(got);
}

static void attach(void)
{
	id = call_attach();
	if (id < 0)
		tap_bail("attach: %s", strerror(-id));
	/* A choice is made once, and a map that fails later leaves it. */
	if (typed_type(id) != type)
		tap_bail("another type than %c", type);
}

static void detach(void)
{
	if (typed_type(id) != type)
		tap_bail("the choice has changed");
	typed_detach(id);
}

static int call_map(void)
{
	struct typed_map map = {
		.id = (uint32_t)id, .domain = (uint32_t)domain, .prot = 3,
		.flags = 1, .iova = AT,
		.type = type == 's' ? TYPED_SGT : type == 'p' ? TYPED_PCI_BAR :
			type == 'd' ? TYPED_DOMAIN : TYPED_FABRIC_A,
	};

	return typed_map_as(&map);
}

static bool whole_map(int got)
{
	bool fine = typed_stat(id).out_maps == 1;

	if (type == 'd')
		fine = fine && domain_check(domain, AT, 0, PAGE) ==
			TYPED_AS_IT_SHOULD;
	return !typed_unmap(id, got) && fine;
}

/* Between calls nothing is mapped. */
static bool domain_is_empty(void)
{
	return domain_check(domain, AT, 0, RANGES * PAGE) == TYPED_NOTHING;
}

static int call_info(void)
{
	struct barter_info info = {
		.size = sizeof(info), .dmabuf_fd = fd, .nr_importers = 64,
		.importers = (uintptr_t)importers,
	};

	return ioctl(barter_fd(), BARTER_IOC_INFO, &info) ? -errno :
		(int)info.out_nr_importers;
}

static bool whole_info(int got)
{
	return got == 1 && !strcmp(importers[0].types, "test-fabric-a");
}

/* sysfs_write() says what it writes, which allocates too. */
static int call_pairs(void)
{
	static const char pair[] = "0000:01:00.0=0000:02:00.0";

	return write(pairs, pair, sizeof(pair) - 1) < 0 ? -errno : 0;
}

static bool whole_pairs(int got)
{
	char text[64];

	(void)got;
	return sysfs_read(text, sizeof(text), PAIRS) > 0 &&
		!strcmp(text, "0000:01:00.0=0000:02:00.0") &&
		write(pairs, "\n", 1) == 1;
}

static void sweep_type(char letter, const char *name, unsigned int least)
{
	const char list[] = { letter, 0 };
	char what[64];
	struct fault_call c = {
		.name = what, .call = call_attach, .whole = whole_attach,
		.least = 3,
	};

	type = letter;
	typed_register(0, list, 0);
	snprintf(what, sizeof(what), "attach for %s", name);
	fault_sweep(&c);
	snprintf(what, sizeof(what), "map of %s", name);
	c.before = attach;
	c.call = call_map;
	c.whole = whole_map;
	c.after = detach;
	c.least = least;
	c.sparse = letter == 'd' || letter == 's';
	fault_sweep(&c);
	typed_unregister(0);
}

static void types(void)
{
	sweep_type('a', "a vendor's type", 2);
	sweep_type('p', "pci-bar", 2);
	sweep_type('d', "iommu-domain", 3);
	sweep_type('s', "sgt", 2);
}

static void the_rest(void)
{
	const struct fault_call calls[] = {
		{ .name = "register", .call = call_register,
		  .whole = whole_register, .least = 1 },
		{ .name = "pci_bar_pairs", .call = call_pairs,
		  .whole = whole_pairs, .least = 1 },
		{ .name = "info of importers", .call = call_info,
		  .whole = whole_info, .least = 1 },
	};

	fault_sweep(&calls[0]);
	fault_sweep(&calls[1]);
	type = 'a';
	typed_register(0, "a", 0);
	attach();
	fault_sweep(&calls[2]);
	detach();
	typed_unregister(0);
}

int main(void)
{
	struct barter_range ranges[RANGES];

	for (uint64_t i = 0; i < RANGES; i++)
		ranges[i] = (struct barter_range){ 2 * i * PAGE, PAGE };
	barter_fd();
	file_has(BUFFERS, "");
	fault_init();
	e = exporter_new("apds", 0);
	fd = exporter_lend(e, 2, ranges, RANGES);
	domain = domain_new(edu_bdf(), false);
	pairs = open(PAIRS, O_WRONLY | O_CLOEXEC);
	if (e < 0 || fd < 0 || domain < 0 || pairs < 0)
		tap_bail("no buffer, or no domain");
	fault_witness = domain_is_empty;
	CASE_LIMIT(types, 600);
	CASE_LIMIT(the_rest, 120);
	close(pairs);
	close(fd);
	close(e);
	typed_close();
	diag("%u allocations failed in all", fault_total());
	return tap_done();
}
