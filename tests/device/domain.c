// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * iommu-domain: a buffer in a domain of the importer's own is where it should be,
 * page by page, whole or not at all, over nobody else's mapping, and gone when a
 * revoke returns.
 *
 * domain nop2p: on a machine whose host bridge is not trusted with it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define PAGE		4096ull
#define MIB		(1ull << 20)
#define AT		(1ull << 30)
#define MSI_WINDOW	0xfee00000ull
/* IOMMU_READ, _WRITE, _CACHE, _NOEXEC, _MMIO */
#define READ		1u
#define WRITE		2u
#define CACHE		4u
#define NOEXEC		8u
#define MMIO		16u
#define UNCHECKED	1u

static const struct barter_range scattered[] = {
	{ 8 * MIB, 2 * MIB + PAGE }, { PAGE, PAGE }, { 3 * PAGE, 3 * PAGE },
	{ 2 * MIB, PAGE },
};
#define SCATTERED	4
#define LENGTH		(2 * MIB + 6 * PAGE)

static int e, fd, domain;

static bool lend_ranges(const struct barter_range *ranges, uint32_t nr)
{
	e = exporter_new("ds", 0);
	fd = exporter_lend(e, 2, ranges, nr);
	domain = domain_new(edu_bdf(), false);
	return ok(e >= 0 && fd >= 0 && domain >= 0 &&
		  !typed_register(0, "d", TYPED_F_RESTORED),
		  "a buffer, a domain, an importer");
}

static bool lend(uint64_t n)
{
	const struct barter_range range = { 4 * MIB, n };

	return lend_ranges(&range, 1);
}

static void end(void)
{
	close(fd);
	close(e);
	typed_close();
}

static struct typed_map request(int id, uint64_t iova)
{
	return (struct typed_map){
		.id = (uint32_t)id, .type = TYPED_DOMAIN,
		.domain = (uint32_t)domain, .prot = READ | WRITE,
		.flags = UNCHECKED, .iova = iova,
	};
}

/* A map without a device. */
static int map_at(int id, uint64_t iova)
{
	struct typed_map map = request(id, iova);

	return typed_map_as(&map);
}

/* For edu, which is listed. */
static int map_for_edu(int id, uint64_t iova)
{
	struct typed_map map = request(id, iova);

	map.flags = 0;
	map.nr_devices = 1;
	map.devices[0] = typed_bdf(edu_bdf());
	return typed_map_as(&map);
}

static int attach(uint32_t flags)
{
	return typed_attach(fd, 0, flags | TYPED_F_NO_DEVICE);
}

/* Is every page of lend()'s buffer there, or none, and nothing around it? */
static bool holds(uint64_t iova, uint64_t n, int what)
{
	return domain_check(domain, iova, 4 * MIB, n) == what &&
		domain_check(domain, iova - PAGE, 0, PAGE) == TYPED_NOTHING &&
		domain_check(domain, iova + n, 0, PAGE) == TYPED_NOTHING;
}

static unsigned int maps(void)
{
	struct barter_info info;

	return buf_info(fd, &info) ? ~0u : info.out_maps;
}

/* ---- where ---- */

static void every_page_is_where_it_should_be(void)
{
	uint64_t pos = 0;
	int id, map;

	if (!lend_ranges(scattered, SCATTERED))
		return;
	id = attach(0);
	is(typed_type(id), 'd', "attach without a device");
	map = map_at(id, AT);
	is_errno(map, 0, "map");
	for (int i = 0; i < SCATTERED; i++) {
		is(domain_check(domain, AT + pos, scattered[i].offset,
				scattered[i].length), TYPED_AS_IT_SHOULD,
		   "range %d", i);
		pos += scattered[i].length;
	}
	is(domain_check(domain, AT + LENGTH, 0, 4 * MIB), TYPED_NOTHING,
	   "nothing behind it");
	is(domain_check(domain, AT - 4 * MIB, 0, 4 * MIB), TYPED_NOTHING,
	   "nothing before it");
	is(maps(), 1, "info counts it");
	is_errno(typed_unmap(id, map), 0, "unmap");
	is(domain_check(domain, AT, 0, LENGTH), TYPED_NOTHING, "it is gone");
	is(maps(), 0, "info too");
	end();
}

/* By pages of 2 MiB, and by small ones where the address does not fit these. */
static void large_ranges(void)
{
	static const uint64_t at[] = { AT, AT + PAGE, AT + MIB };
	int id, map;

	if (!lend(16 * MIB))
		return;
	id = attach(0);
	for (int i = 0; i < 3; i++) {
		map = map_at(id, at[i]);
		is_errno(map, 0, "map at %#llx", (unsigned long long)at[i]);
		ok(holds(at[i], 16 * MIB, TYPED_AS_IT_SHOULD), "all of it");
		is_errno(typed_unmap(id, map), 0, "unmap");
		ok(holds(at[i], 16 * MIB, TYPED_NOTHING), "all gone");
	}
	end();
}

static void several_maps(void)
{
	int id, second, maps_of[3];

	if (!lend(3 * PAGE))
		return;
	second = domain_new(edu_bdf(), false);
	id = attach(0);
	maps_of[0] = map_at(id, AT);
	maps_of[1] = map_at(id, AT + 3 * PAGE);
	domain = second;
	maps_of[2] = map_at(id, AT);
	ok(maps_of[0] >= 0 && maps_of[1] >= 0 && maps_of[2] >= 0,
	   "two in one domain, one in another");
	is(maps(), 3, "info counts them");
	domain = 0;
	is_errno(typed_unmap(id, maps_of[1]), 0, "unmap one");
	ok(holds(AT, 3 * PAGE, TYPED_AS_IT_SHOULD), "its neighbour stays");
	domain = second;
	ok(holds(AT, 3 * PAGE, TYPED_AS_IT_SHOULD), "so does the other domain's");
	is_errno(exporter_revoke(e), 0, "revoke");
	ok(holds(AT, 3 * PAGE, TYPED_NOTHING), "gone here");
	domain = 0;
	ok(holds(AT, 3 * PAGE, TYPED_NOTHING), "and there");
	is(maps(), 0, "no map");
	end();
}

static void as_many_maps_as_allowed(void)
{
	int id, map = 0, n = 0;

	if (!lend(PAGE))
		return;
	id = attach(0);
	while (n < 70 && (map = map_at(id, AT + 2 * (uint64_t)n * PAGE)) >= 0)
		n++;
	is(n, 64, "maps of one attachment");
	is_errno(map, ENOSPC, "one more");
	is(maps(), 64, "info counts them");
	is_errno(typed_unmap(id, 3), 0, "unmap one");
	is_errno(map_at(id, AT + 6 * PAGE), 0, "and map it again");
	is_errno(exporter_revoke(e), 0, "revoke");
	is(domain_check(domain, AT, 0, 256 * PAGE), TYPED_NOTHING, "all are gone");
	end();
}

/* ---- what is refused ---- */

static void malformed_requests(void)
{
	static const struct {
		const char *what;
		uint32_t domain, prot, flags, nr;
		uint64_t iova;
		int error;
	} bad[] = {
		{ "no domain", TYPED_DOMAIN_NULL, 3, UNCHECKED, 0, AT, EINVAL },
		{ "no protection", 0, 0, UNCHECKED, 0, AT, EINVAL },
		{ "neither read nor write", 0, NOEXEC, UNCHECKED, 0, AT, EINVAL },
		{ "cached", 0, READ | CACHE, UNCHECKED, 0, AT, EINVAL },
		{ "MMIO by oneself", 0, READ | MMIO, UNCHECKED, 0, AT, EINVAL },
		{ "an unknown flag", 0, 3, UNCHECKED | 2, 0, AT, EINVAL },
		{ "65 devices", 0, 3, 0, 65, AT, EINVAL },
		{ "65 devices, unchecked", 0, 3, UNCHECKED, 65, AT, EINVAL },
		{ "no device, not unchecked", 0, 3, 0, 0, AT, EXDEV },
		{ "half a page", 0, 3, UNCHECKED, 0, AT + 2048, EINVAL },
		{ "the DMA API's domain", TYPED_DOMAIN_OF_DEVICE, 3, UNCHECKED,
		  0, AT, EPERM },
	};
	int id;

	if (!lend(2 * PAGE))
		return;
	id = attach(0);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct typed_map map = request(id, bad[i].iova);

		map.domain = bad[i].domain;
		map.prot = bad[i].prot;
		map.flags = bad[i].flags;
		map.nr_devices = bad[i].nr;
		map.devices[0] = map.devices[1] = typed_bdf(edu_bdf());
		is_errno(typed_map_as(&map), bad[i].error, "%s", bad[i].what);
	}
	is(maps(), 0, "none counts");
	ok(holds(AT, 2 * PAGE, TYPED_NOTHING), "nothing is mapped");
	is_errno(exporter_revoke(e), 0, "a revoke waits for none");
	is_errno(exporter_restore(e), 0, "restore");
	is_errno(map_at(id, AT), 0, "a good one maps");
	end();
}

static void outside_of_the_domain(void)
{
	int id;

	if (kernel_has_32_bits()) {
		skip("all addresses are in the domain", "outside of the domain");
		return;
	}
	if (!lend(2 * PAGE))
		return;
	id = attach(0);
	is_errno(map_at(id, 1ull << 60), ERANGE, "far outside");
	is_errno(map_at(id, -2 * PAGE), ERANGE, "at the end of all addresses");
	is_errno(map_at(id, -PAGE), EOVERFLOW, "beyond it");
	/* The end of the domain is unknown: it is a power of two, of 39 bits or more. */
	for (int bits = 39; bits < 58; bits++) {
		int map = map_at(id, (1ull << bits) - PAGE), touching;

		if (map >= 0) {
			typed_unmap(id, map);
			continue;
		}
		is_errno(map, ERANGE, "across the end, 2^%d", bits);
		touching = map_at(id, (1ull << bits) - 2 * PAGE);
		is_errno(touching, 0, "up to the end");
		is_errno(map_at(id, 1ull << bits), ERANGE, "behind the end");
		break;
	}
	end();
}

/* ---- devices ---- */

static void listed_devices(void)
{
	struct typed_map map;
	int id;

	if (!lend(2 * PAGE))
		return;
	id = attach(0);
	is_errno(map_for_edu(id, AT), EINVAL, "a device that is not in the domain");
	is_errno(domain_free(domain), 0, "free the domain");
	domain = domain_new(edu_bdf(), true);
	need(domain >= 0, "a domain that the device is in");
	is_errno(map_for_edu(id, AT), 0, "now it is");
	ok(holds(AT, 2 * PAGE, TYPED_AS_IT_SHOULD), "mapped");
	map = request(id, AT + MIB);
	map.flags = 0;
	map.nr_devices = 2;
	map.devices[0] = typed_bdf(edu_bdf());
	map.devices[1] = typed_bdf(typed_lender());
	is_errno(typed_map_as(&map), EINVAL, "one that is, one that is not");
	map.flags = UNCHECKED;
	is_errno(typed_map_as(&map), EINVAL, "a listed one is checked anyhow");
	ok(holds(AT + MIB, 2 * PAGE, TYPED_NOTHING), "nothing is mapped");
	end();
}

/* Where a device's interrupts are. */
static void reserved_addresses(void)
{
	static const struct {
		uint64_t at;
		int error;
	} tries[] = {
		{ MSI_WINDOW, EADDRINUSE }, { MSI_WINDOW - PAGE, EADDRINUSE },
		{ MSI_WINDOW + 0x80000, EADDRINUSE },
		{ MSI_WINDOW + 0xff000, EADDRINUSE },
		{ MSI_WINDOW - 2 * PAGE, 0 }, { MSI_WINDOW + 0x100000, 0 },
	};
	int id;

	if (!lend(2 * PAGE))
		return;
	domain_free(domain);
	domain = domain_new(edu_bdf(), true);
	id = attach(0);
	for (unsigned int i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		is_errno(map_for_edu(id, tries[i].at), tries[i].error, "at %#llx",
			 (unsigned long long)tries[i].at);
	end();
}

/* ---- what is there already ---- */

/* Maps of 4 pages that touch or overlap one of 4 pages. */
static void over_ones_own(void)
{
	static const struct {
		int64_t from;
		int error;
	} tries[] = {
		{ 0, EADDRINUSE }, { -1, EADDRINUSE }, { -3, EADDRINUSE },
		{ 1, EADDRINUSE }, { 3, EADDRINUSE }, { -4, 0 }, { 4, 0 },
	};
	int id, other, map;

	if (!lend(4 * PAGE))
		return;
	id = attach(0);
	other = attach(0);
	is_errno(map_at(id, AT), 0, "map");
	for (unsigned int i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		const uint64_t at = AT + (uint64_t)tries[i].from * PAGE;

		map = map_at(other, at);
		is_errno(map, tries[i].error, "%d pages from it",
			 (int)tries[i].from);
		ok(domain_check(domain, AT, 4 * MIB, 4 * PAGE) ==
		   TYPED_AS_IT_SHOULD, "it is as before");
		if (map >= 0)
			is_errno(typed_unmap(other, map), 0, "unmap");
		ok(holds(AT, 4 * PAGE, TYPED_AS_IT_SHOULD), "nothing beside it");
	}
	/* Larger than what is there, and around it. */
	close(fd);
	fd = exporter_lend1(e, 2, 4 * MIB, 12 * PAGE);
	other = attach(0);
	is_errno(map_at(other, AT - 4 * PAGE), EADDRINUSE, "around it");
	ok(holds(AT, 4 * PAGE, TYPED_AS_IT_SHOULD), "nothing beside it");
	domain = domain_new(edu_bdf(), false);
	is_errno(map_at(other, AT), 0, "another domain has other addresses");
	end();
}

/* The same where core does not know of what is there. */
static void over_somebody_elses(void)
{
	static const struct {
		uint64_t at, n;		/* the buffer's, from the page */
		int error;
	} tries[] = {
		{ AT, PAGE, EADDRINUSE }, { AT, 4 * PAGE, EADDRINUSE },
		{ AT - PAGE, 2 * PAGE, EADDRINUSE },
		{ AT - 3 * PAGE, 4 * PAGE, EADDRINUSE },
		{ AT - PAGE, 4 * PAGE, EADDRINUSE },
		{ AT - 2 * MIB, 4 * MIB, EADDRINUSE },
		{ AT - 2 * PAGE, 2 * PAGE, 0 }, { AT + PAGE, 2 * PAGE, 0 },
		{ AT + 2 * MIB, 2 * MIB, 0 },
	};

	for (unsigned int i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		int id;

		if (!lend(tries[i].n))
			return;
		id = attach(0);
		is_errno(domain_page(domain, AT), 0, "somebody's page");
		is_errno(map_at(id, tries[i].at), tries[i].error,
			 "%llu pages at %lld from it",
			 (unsigned long long)(tries[i].n / PAGE),
			 (long long)(tries[i].at - AT) / (long long)PAGE);
		is(maps(), !tries[i].error, "maps");
		is(domain_unpage(domain, AT), 1, "the page is still there");
		if (tries[i].error)
			is(domain_check(domain, AT - 4 * MIB, 0, 8 * MIB),
			   TYPED_NOTHING, "nothing of the buffer is");
		else
			is(domain_check(domain, tries[i].at, 4 * MIB, tries[i].n),
			   TYPED_AS_IT_SHOULD, "so is the buffer");
		end();
	}
}

/* The one in the way is met after several ranges have been mapped. */
static void the_last_range_does_not_fit(void)
{
	int id;

	if (!lend_ranges(scattered, SCATTERED))
		return;
	id = attach(0);
	is_errno(domain_page(domain, AT + LENGTH - PAGE), 0, "somebody's page");
	is_errno(map_at(id, AT), EADDRINUSE, "map");
	is(domain_check(domain, AT, 0, LENGTH - PAGE), TYPED_NOTHING,
	   "the ranges before it are gone");
	is(domain_unpage(domain, AT + LENGTH - PAGE), 1, "the page is there");
	is_errno(map_at(id, AT), 0, "now it maps");
	end();
}

/* ---- killed ---- */

static int killed_id;

static int map_child(void *unused)
{
	(void)unused;
	return map_at(killed_id, AT) < 0;
}

static void a_killed_map_leaves_nothing(void)
{
	enum { N = 65536 };
	struct barter_range *ranges = calloc(N, sizeof(*ranges));
	int map, interrupted = 0, done = 0, half = 0;
	int64_t took;

	for (uint64_t i = 0; i < N; i++)
		ranges[i] = (struct barter_range){ i * 4051 % 16384 * PAGE, PAGE };
	if (!lend_ranges(ranges, N))
		return;
	free(ranges);
	killed_id = attach(0);
	took = now_ms();
	map = map_at(killed_id, AT);
	took = now_ms() - took;
	is_errno(map, 0, "65536 ranges");
	is_errno(typed_unmap(killed_id, map), 0, "unmap");
	for (int i = 1; i < 12; i++) {
		pid_t pid;
		int last;

		/* If that is still the last one, the child came no further. */
		map_at(killed_id, AT + 1);
		pid = spawn(map_child, NULL);
		usleep((unsigned int)(took * i * 1000 / 10));
		kill(pid, SIGKILL);
		reap(pid, 60000);
		last = typed_stat(killed_id).out_last;
		if (last == -EINTR) {
			interrupted++;
			half += domain_check(domain, AT, 0, N * PAGE) !=
				TYPED_NOTHING;
		} else if (!last) {
			done++;
			half += typed_unmap(killed_id, 0) != 0;
		} else {
			half += last != -EINVAL;
		}
	}
	ok(interrupted, "%d of them were killed, %d done", interrupted, done);
	is(half, 0, "were done by half");
	is(maps(), 0, "no map is left");
	is_errno(map_at(killed_id, AT), 0, "it maps after all");
	end();
}

/* ---- revoked ---- */

static void a_revoke_unmaps_by_itself(void)
{
	bool called;
	int id, map;

	if (!lend(3 * PAGE))
		return;
	id = attach(TYPED_F_STUCK);
	map = map_at(id, AT);
	is_errno(map, 0, "map");
	is_errno(exporter_revoke(e), 0, "revoke, the importer does nothing");
	ok(holds(AT, 3 * PAGE, TYPED_NOTHING), "it is unmapped");
	is(maps(), 0, "no map");
	is_errno(map_at(id, AT), ENODEV, "no new one");
	is(typed_stat(id).out_maps, 1, "the handle is still there");
	/* Somebody else may have the address now. */
	is_errno(domain_page(domain, AT + PAGE), 0, "another page there");
	is_errno(typed_unmap(id, map), 0, "unmap of the handle");
	is(domain_unpage(domain, AT + PAGE), 1, "harms nobody");
	is_errno(exporter_restore(e), 0, "restore");
	WAIT_FOR(called, typed_stat(id).out_restored == 1, 5000);
	ok(called, "restored() is called");
	map = map_at(id, AT);
	is_errno(map, 0, "map again");
	ok(holds(AT, 3 * PAGE, TYPED_AS_IT_SHOULD), "it is there again");
	is_errno(exporter_revoke(e), 0, "revoke");
	is_errno(exporter_restore(e), 0, "restore");
	is_errno(map_at(id, AT), 0, "map before the old handle is given back");
	is_errno(typed_unmap(id, map), 0, "which then");
	ok(holds(AT, 3 * PAGE, TYPED_AS_IT_SHOULD), "does not harm the new one");
	end();
}

static void an_importer_that_unmaps_itself(void)
{
	int id;

	if (!lend(3 * PAGE))
		return;
	id = attach(0);
	is_errno(map_at(id, AT), 0, "map");
	is_errno(exporter_revoke(e), 0, "revoke");
	ok(holds(AT, 3 * PAGE, TYPED_NOTHING), "it is unmapped");
	is(typed_stat(id).out_maps, 0, "by the importer");
	is(maps(), 0, "no map");
	end();
}

static void the_exporter_ends(void)
{
	int id, map;

	if (!lend(3 * PAGE))
		return;
	id = attach(TYPED_F_STUCK);
	map = map_at(id, AT);
	is_errno(exporter_destroy(e), 0, "destroy");
	ok(holds(AT, 3 * PAGE, TYPED_NOTHING), "it is unmapped");
	is_errno(domain_free(domain), 0, "the domain is freed");
	is_errno(typed_unmap(id, map), 0, "the handle does not look at it");
	is_errno(map_at(id, AT), ENOENT, "no domain any more");
	domain = domain_new(edu_bdf(), false);
	is_errno(map_at(id, AT), EBADFD, "dead");
	end();
}

static void a_detach_cleans_up(void)
{
	int id;

	if (!lend(3 * PAGE))
		return;
	id = attach(TYPED_F_LEAVE);
	is_errno(map_at(id, AT), 0, "map");
	is_errno(map_at(id, AT + MIB), 0, "and another");
	is_errno(typed_detach(id), 0, "detach with both");
	is(domain_check(domain, AT, 0, 2 * MIB), TYPED_NOTHING,
	   "they are unmapped");
	is(maps(), 0, "no map");
	is_errno(exporter_revoke(e), 0, "nobody is waited for");
	is_errno(exporter_restore(e), 0, "restore");
	id = attach(TYPED_F_LEAVE | TYPED_F_STUCK);
	is_errno(map_at(id, AT), 0, "map");
	is_errno(exporter_revoke(e), 0, "revoke");
	is_errno(domain_page(domain, AT), 0, "somebody else's page");
	is_errno(typed_detach(id), 0, "detach with a handle");
	is(domain_unpage(domain, AT), 1, "harms nobody");
	end();
}

/* ---- no route ---- */

static void no_route(void)
{
	int id;

	if (!lend(2 * PAGE))
		return;
	domain_free(domain);
	domain = domain_new(edu_bdf(), true);
	id = attach(0);
	is_errno(map_for_edu(id, AT), EXDEV, "a listed device has no route");
	ok(holds(AT, 2 * PAGE, TYPED_NOTHING), "nothing is mapped");
	is_errno(map_at(id, AT), 0, "who says unchecked is not asked");
	ok(holds(AT, 2 * PAGE, TYPED_AS_IT_SHOULD), "mapped");
	end();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "nop2p")) {
		CASE(no_route);
		return tap_done();
	}
	CASE(every_page_is_where_it_should_be);
	CASE(large_ranges);
	CASE(several_maps);
	CASE(as_many_maps_as_allowed);
	CASE(malformed_requests);
	CASE(outside_of_the_domain);
	CASE(listed_devices);
	CASE(reserved_addresses);
	CASE(over_ones_own);
	CASE(over_somebody_elses);
	CASE(the_last_range_does_not_fit);
	CASE(a_killed_map_leaves_nothing);
	CASE(a_revoke_unmaps_by_itself);
	CASE(an_importer_that_unmaps_itself);
	CASE(the_exporter_ends);
	CASE(a_detach_cleans_up);
	return tap_done();
}
