// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter_maps_*(): each error by a case of its own, then random requests against a
 * model that goes byte by byte. Devices are made up: ioctl() is replaced (ld
 * --wrap) by one that knows their BARs and keeps what is to be exported.
 */
#include "../internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE	4096ULL
#define HUGE_BAR 5		/* a BAR of 2^63 bytes */
#define AT(n)	((void *)(uintptr_t)(0x100000 + (n) * PAGE))
#define NONE	((size_t)-7)

static int tests, bad;

static void is(long long got, long long want, const char *what)
{
	tests++;
	if (got == want)
		return;
	bad++;
	printf("not ok - maps: %s: got %lld, want %lld\n", what, got, want);
}

/* The made-up kernel: BARs 0 and 2 of 64 pages, an enormous one, no others. */
static struct barter_feature_export exported;
static struct barter_range exported_ranges[8];
static int exported_by, export_errno;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct vfio_region_info *region;
	struct vfio_device_feature *feature;
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	switch (request) {
	case VFIO_DEVICE_GET_REGION_INFO:
		region = argument;
		region->size = region->index == 0 || region->index == 2 ?
			       64 * PAGE : region->index == HUGE_BAR ?
			       1ULL << 63 : 0;
		region->flags = VFIO_REGION_INFO_FLAG_MMAP;
		region->offset = 0;
		return 0;
	case VFIO_DEVICE_FEATURE:
		feature = argument;
		memcpy(&exported, feature->data, sizeof(exported));
		memcpy(exported_ranges, (void *)(uintptr_t)exported.ranges,
		       (exported.nr_ranges < 8 ? exported.nr_ranges : 8) *
		       sizeof(*exported_ranges));
		exported_by = fd;
		if (export_errno) {
			errno = export_errno;
			return -1;
		}
		return 44;
	}
	errno = ENOTTY;
	return -1;
}

static struct barter_device one = { .name = "one" }, two = { .name = "two" };

static void setting_up(void)
{
	struct barter_maps *maps;

	is(barter_maps_new(&maps), 0, "new");
	is(barter_maps_add(maps, &one, 2, 0, AT(0), 4 * PAGE), 0, "add");
	is(barter_maps_add(maps, &one, 2, 0, AT(0), 4 * PAGE), -EEXIST, "again");
	is(barter_maps_add(maps, &one, 2, 0, AT(3), PAGE), -EEXIST, "at its end");
	is(barter_maps_add(maps, &one, 2, 0, AT(-1), 2 * PAGE), -EEXIST,
	   "over its begin");
	is(barter_maps_add(maps, &one, 2, 0, AT(-1), 8 * PAGE), -EEXIST,
	   "around it");
	is(barter_maps_add(maps, &one, 2, 0, AT(1), PAGE), -EEXIST, "within it");
	is(barter_maps_add(maps, &one, 2, 0, AT(4), PAGE), 0, "right behind it");
	is(barter_maps_add(maps, &two, 2, 0, AT(-1), PAGE), 0,
	   "right before it, the same BAR of another device");
	is(barter_maps_add(maps, &one, 2, 0, AT(9), 0), -EINVAL, "nothing");
	is(barter_maps_add(maps, &one, 2, 1, AT(9), PAGE), -EINVAL, "odd offset");
	is(barter_maps_add(maps, &one, 2, 0, (char *)AT(9) + 1, PAGE), -EINVAL,
	   "odd address");
	is(barter_maps_add(maps, &one, 2, 0, AT(9), PAGE + 1), -EINVAL,
	   "odd length");
	is(barter_maps_add(maps, &one, 2, 64 * PAGE, AT(9), PAGE), -EINVAL,
	   "behind the BAR");
	is(barter_maps_add(maps, &one, 2, 63 * PAGE, AT(9), 2 * PAGE), -EINVAL,
	   "across the BAR's end");
	is(barter_maps_add(maps, &one, 2, 63 * PAGE, AT(9), PAGE), 0,
	   "the BAR's last page");
	is(barter_maps_add(maps, &one, 1, 0, AT(20), PAGE), -ENODEV, "no such BAR");
	is(barter_maps_add(maps, &one, 6, 0, AT(20), PAGE), -ENODEV, "no BAR");
	is(barter_maps_add(maps, &one, 2, 0, (void *)(UINTPTR_MAX & ~(PAGE - 1)),
			   2 * PAGE), -EOVERFLOW, "beyond the last address");
	is(barter_maps_add(maps, &one, 2, UINT64_MAX & ~(PAGE - 1), AT(20),
			   2 * PAGE), -EOVERFLOW, "beyond the last offset");
	is(barter_maps_add(maps, &one, 2, 0, (void *)(UINTPTR_MAX & ~(PAGE - 1)),
			   PAGE), 0, "the last page of all");
	is(barter_maps_remove(maps, AT(0), PAGE), -ENOENT, "remove a part");
	is(barter_maps_remove(maps, AT(1), 4 * PAGE), -ENOENT, "remove elsewhere");
	is(barter_maps_remove(maps, AT(0), 4 * PAGE), 0, "remove");
	is(barter_maps_remove(maps, AT(0), 4 * PAGE), -ENOENT, "remove again");
	is(barter_maps_add(maps, &one, 0, 0, AT(0), 4 * PAGE), 0,
	   "another there");
	is(barter_maps_remove(maps, AT(77), PAGE), -ENOENT, "what never was");
	barter_maps_free(maps);
	barter_maps_free(NULL);
}

static void mapping(void)
{
	struct barter_place place;
	struct barter_maps *maps;
	void *address = NULL;

	one.fd = memfd_create("bar", MFD_CLOEXEC);
	is(ftruncate(one.fd, 64 * PAGE), 0, "a BAR");
	barter_maps_new(&maps);
	is(barter_maps_map(maps, &one, 1, 0, PAGE, PROT_READ, &address), -ENODEV,
	   "map of no BAR");
	is(barter_maps_map(maps, &one, 2, 0, 65 * PAGE, PROT_READ, &address),
	   -EINVAL, "map beyond the BAR");
	is(barter_maps_map(maps, &one, 2, 0, 17, PROT_READ, &address), -EINVAL,
	   "map of no whole page");
	is(!address, 1, "leaves the address alone");
	is(barter_maps_map(maps, &one, 2, 5 * PAGE, 3 * PAGE, PROT_READ, &address),
	   0, "map");
	is(barter_maps_lookup(maps, (char *)address + PAGE, 1, &place), 0,
	   "is known");
	is((long long)place.offset, 6 * PAGE, "where it is");
	is(barter_maps_remove(maps, address, 3 * PAGE), 0, "remove");
	is(barter_unmap(address, 3 * PAGE), 0, "unmap");
	barter_maps_free(maps);
	close(one.fd);
	one.fd = 11;
	two.fd = 12;
}

/*
 * What the cases below have: pages 0-3 and 4-5 follow each other, but are apart in
 * the BAR; 8-9 is another BAR, 10 another device, 12 begins behind a hole; 13-14
 * goes on where 12 ends in the BAR too.
 */
static struct barter_maps *world(void)
{
	struct barter_maps *maps;

	barter_maps_new(&maps);
	is(barter_maps_add(maps, &two, 2, 0, AT(10), PAGE) ||
	   barter_maps_add(maps, &one, 2, 32 * PAGE, AT(4), 2 * PAGE) ||
	   barter_maps_add(maps, &one, 2, 8 * PAGE, AT(0), 4 * PAGE) ||
	   barter_maps_add(maps, &one, 2, 20 * PAGE, AT(12), PAGE) ||
	   barter_maps_add(maps, &one, 2, 21 * PAGE, AT(13), 2 * PAGE) ||
	   barter_maps_add(maps, &one, 0, 0, AT(8), 2 * PAGE), 0, "a world");
	return maps;
}

static void looking_up(void)
{
	struct barter_maps *maps = world();
	struct barter_place place = { .bar = 77 };

	is(barter_maps_lookup(maps, AT(0), 0, &place), -EINVAL, "nothing");
	is(barter_maps_lookup(maps, AT(0), (uint64_t)-1, &place), -EOVERFLOW,
	   "more than there is");
	is(barter_maps_lookup(maps, AT(6), 1, &place), -ENOENT, "in a hole");
	is(barter_maps_lookup(maps, (char *)AT(0) - 1, 2, &place), -ENOENT,
	   "before all");
	is(barter_maps_lookup(maps, AT(15), 1, &place), -ENOENT, "behind all");
	is(place.bar, 77, "leaves the answer alone");
	is(barter_maps_lookup(maps, (char *)AT(1) + 5, 7, &place), 0, "within");
	is(place.device == &one && place.bar == 2, 1, "whose");
	is((long long)place.offset, 9 * PAGE + 5, "where");
	is((long long)place.length, 7, "all of it");
	is(barter_maps_lookup(maps, AT(3), 3 * PAGE, &place), 0, "into the next");
	is((long long)place.length, PAGE, "up to its end");
	is(barter_maps_lookup(maps, (char *)AT(10) + PAGE - 1, 2, &place), 0,
	   "the last byte before a hole");
	is(place.device == &two && place.offset == PAGE - 1 && place.length == 1,
	   1, "alone");
	barter_maps_free(maps);
}

#define MAX_CASE 4

static const struct {
	const char *what;
	struct {
		int page, byte;
		uint64_t length;
	} iov[MAX_CASE];
	size_t nr;
	int ret;
	size_t bad;
	struct barter_range ranges[MAX_CASE];
	uint32_t nr_ranges;
} cases[] = {
	{ "one page", { { 0, 0, PAGE } }, 1, 0, NONE, { { 8 * PAGE, PAGE } }, 1 },
	{ "neighbours merge", { { 0, 0, PAGE }, { 1, 0, 2 * PAGE } }, 2, 0, NONE,
	  { { 8 * PAGE, 3 * PAGE } }, 1 },
	{ "not backwards", { { 1, 0, PAGE }, { 0, 0, PAGE } }, 2, 0, NONE,
	  { { 9 * PAGE, PAGE }, { 8 * PAGE, PAGE } }, 2 },
	{ "across two mappings", { { 3, 0, 2 * PAGE } }, 1, 0, NONE,
	  { { 11 * PAGE, PAGE }, { 32 * PAGE, PAGE } }, 2 },
	{ "across two that are one in the BAR", { { 12, 0, 3 * PAGE } }, 1, 0,
	  NONE, { { 20 * PAGE, 3 * PAGE } }, 1 },
	{ "overlapping", { { 0, 0, 2 * PAGE }, { 1, 0, 2 * PAGE } }, 2, 0, NONE,
	  { { 8 * PAGE, 2 * PAGE }, { 9 * PAGE, 2 * PAGE } }, 2 },
	{ "the same twice", { { 0, 0, PAGE }, { 0, 0, PAGE } }, 2, 0, NONE,
	  { { 8 * PAGE, PAGE }, { 8 * PAGE, PAGE } }, 2 },
	{ "parts that make a page", { { 0, 0, 100 }, { 0, 100, PAGE - 101 },
	  { 0, PAGE - 1, PAGE + 1 } }, 3, 0, NONE, { { 8 * PAGE, 2 * PAGE } }, 1 },
	{ "no entries", { { 0, 0, 0 } }, 0, -EINVAL, NONE, { { 0, 0 } }, 0 },
	{ "an empty one", { { 0, 0, PAGE }, { 1, 0, 0 } }, 2, -EINVAL, 1,
	  { { 0, 0 } }, 0 },
	{ "an empty one in a hole", { { 6, 0, 0 } }, 1, -EINVAL, 0,
	  { { 0, 0 } }, 0 },
	{ "not from a page on", { { 0, 1, PAGE - 1 } }, 1, -EINVAL, 1,
	  { { 0, 0 } }, 0 },
	{ "not to a page's end", { { 0, 0, PAGE - 1 } }, 1, -EINVAL, 1,
	  { { 0, 0 } }, 0 },
	{ "a page of two parts in the wrong order", { { 0, 100, PAGE - 100 },
	  { 0, 0, 100 } }, 2, -EINVAL, 1, { { 0, 0 } }, 0 },
	{ "a gap within a page", { { 0, 0, 100 }, { 0, 101, PAGE - 101 } }, 2,
	  -EINVAL, 1, { { 0, 0 } }, 0 },
	{ "an end that is no page's, of three", { { 0, 0, PAGE }, { 1, 0, 8 },
	  { 2, 0, PAGE } }, 3, -EINVAL, 2, { { 0, 0 } }, 0 },
	{ "in a hole", { { 0, 0, PAGE }, { 6, 0, PAGE } }, 2, -ENOENT, 1,
	  { { 0, 0 } }, 0 },
	{ "from a hole into a mapping", { { 7, 0, 2 * PAGE } }, 1, -ENOENT, 0,
	  { { 0, 0 } }, 0 },
	{ "across a hole", { { 5, 0, 4 * PAGE } }, 1, -EFAULT, 0, { { 0, 0 } }, 0 },
	{ "half outside", { { 14, 0, 2 * PAGE } }, 1, -EFAULT, 0, { { 0, 0 } }, 0 },
	{ "a byte outside", { { 14, 0, PAGE + 1 } }, 1, -EFAULT, 0,
	  { { 0, 0 } }, 0 },
	{ "two BARs", { { 0, 0, PAGE }, { 8, 0, PAGE } }, 2, -EXDEV, 1,
	  { { 0, 0 } }, 0 },
	{ "two devices, in one entry", { { 9, 0, 2 * PAGE } }, 1, -EXDEV, 0,
	  { { 0, 0 } }, 0 },
	{ "two devices, the same BAR", { { 0, 0, PAGE }, { 1, 0, PAGE },
	  { 10, 0, PAGE } }, 3, -EXDEV, 2, { { 0, 0 } }, 0 },
	{ "an end beyond the last address", { { 0, 0, PAGE },
	  { 1, 0, UINT64_MAX } }, 2, -EOVERFLOW, 1, { { 0, 0 } }, 0 },
};

static void each_case(void)
{
	struct barter_maps *maps = world();
	char what[128];
	size_t i, n;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct barter_pieces got = { .bar = 77 };
		struct iovec iov[MAX_CASE];
		uint64_t sum = 0;
		size_t at = NONE;
		int fd = -1;

		for (n = 0; n < cases[i].nr; n++) {
			iov[n].iov_base = (char *)AT(cases[i].iov[n].page) +
					  cases[i].iov[n].byte;
			iov[n].iov_len = cases[i].iov[n].length;
			sum += iov[n].iov_len;
		}
		is(barter_maps_pieces(maps, iov, cases[i].nr, &got, &at),
		   cases[i].ret, cases[i].what);
		snprintf(what, sizeof(what), "%s: which", cases[i].what);
		is((long long)at, (long long)cases[i].bad, what);
		if (!cases[i].ret)
			free(got.ranges);
		is(barter_maps_pieces(maps, iov, cases[i].nr, &got, NULL),
		   cases[i].ret, cases[i].what);
		memset(&exported, 0, sizeof(exported));
		snprintf(what, sizeof(what), "%s: lent", cases[i].what);
		is(barter_maps_lend(maps, iov, cases[i].nr, O_RDONLY, &fd, &at),
		   cases[i].ret, what);
		if (cases[i].ret) {
			is(got.bar == 77 && fd == -1 && !exported.size, 1,
			   "an error leaves the answer alone, and lends nothing");
			continue;
		}
		is(got.device == &one && got.bar == 2, 1, cases[i].what);
		is(got.nr_ranges, cases[i].nr_ranges, cases[i].what);
		is(memcmp(got.ranges, cases[i].ranges,
			  cases[i].nr_ranges * sizeof(*got.ranges)), 0,
		   cases[i].what);
		is((long long)got.length, (long long)sum, "the sum");
		is(fd, 44, what);
		is(exported_by, one.fd, "by the right device");
		is(exported.region_index, 2, "of the right BAR");
		is(exported.open_flags, O_RDONLY | O_CLOEXEC, "as asked for");
		is(exported.nr_ranges == cases[i].nr_ranges &&
		   !memcmp(exported_ranges, cases[i].ranges,
			   cases[i].nr_ranges * sizeof(*exported_ranges)), 1, what);
		free(got.ranges);
	}
	barter_maps_free(maps);
}

static void limits(void)
{
	const size_t most = BARTER_MAX_RANGES + 1;
	struct iovec *iov = calloc(most, sizeof(*iov));
	struct barter_pieces got;
	struct barter_maps *maps;
	size_t i, at = NONE;
	int fd = -1;

	barter_maps_new(&maps);
	barter_maps_add(maps, &one, 2, 0, AT(0), 4 * PAGE);
	for (i = 0; i < most; i++)
		iov[i] = (struct iovec) { AT(i % 2 * 2), PAGE };
	is(barter_maps_pieces(maps, iov, most - 1, &got, &at), 0, "the most pieces");
	is(got.nr_ranges, BARTER_MAX_RANGES, "all");
	free(got.ranges);
	is(barter_maps_pieces(maps, iov, most, &got, &at), -E2BIG, "one more");
	is((long long)at, (long long)most - 1, "which");
	export_errno = ENOSPC;
	is(barter_maps_lend(maps, iov, 1, O_RDWR, &fd, NULL), -ENOSPC,
	   "what the export says");
	export_errno = 0;
	if (sizeof(void *) == 8) {
		is(barter_maps_add(maps, &one, HUGE_BAR, 0, AT(4), 1ULL << 62), 0,
		   "an enormous one");
		for (i = 0; i < 4; i++)
			iov[i] = (struct iovec) { AT(4), 1ULL << 62 };
		at = NONE;
		is(barter_maps_pieces(maps, iov, 3, &got, &at), 0, "three of it");
		free(got.ranges);
		is(barter_maps_pieces(maps, iov, 4, &got, &at), -EOVERFLOW,
		   "the sum overflows");
		is((long long)at, 3, "at the fourth");
	}
	barter_maps_free(maps);
	free(iov);
}

/* ---- random requests, byte by byte ---- */

#define BYTES	8		/* places within a page that are tried */
#define SPACE	24		/* pages */

static uint64_t state = 1;

static unsigned int below(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)((state >> 33) % n);
}

static struct {
	const struct barter_device *device;
	uint32_t bar;
	uint64_t page;
} model[SPACE];

static void random_world(struct barter_maps *maps)
{
	unsigned int page, n, k;

	memset(model, 0, sizeof(model));
	for (page = 0; page < SPACE; page += n) {
		struct barter_device *device = below(12) ? &one : &two;
		uint32_t bar = below(12) ? 2 : 0;
		uint64_t offset = below(8) ? page : below(40);

		n = 1 + below(4);
		if (!below(5) || page + n > SPACE)
			continue;
		is(barter_maps_add(maps, device, bar, offset * PAGE, AT(page),
				   n * PAGE), 0, "add");
		for (k = 0; k < n; k++) {
			model[page + k].device = device;
			model[page + k].bar = bar;
			model[page + k].page = offset + k;
		}
	}
}

/* In steps of PAGE / BYTES: what the answer must be. */
static int expect(const unsigned int (*iov)[2], size_t nr, size_t *at,
		  struct barter_range *ranges, uint32_t *nr_ranges)
{
	const uint64_t step = PAGE / BYTES;
	uint64_t first = 0, next = 0;
	int open = 0, from = -1;
	unsigned int k;

	*nr_ranges = 0;
	for (*at = 0; *at < nr; ++*at) {
		if (!iov[*at][1])
			return -EINVAL;
		for (k = 0; k < iov[*at][1]; k++) {
			unsigned int page = (iov[*at][0] + k) / BYTES;
			uint64_t byte;

			if (page >= SPACE || !model[page].device)
				return k ? -EFAULT : -ENOENT;
			if (from < 0)
				from = (int)page;
			if (model[page].device != model[from].device ||
			    model[page].bar != model[from].bar)
				return -EXDEV;
			byte = model[page].page * PAGE +
			       (iov[*at][0] + k) % BYTES * step;
			if (open && byte == next) {
				next += step;
				continue;
			}
			if (open && (first % PAGE || next % PAGE))
				return -EINVAL;
			if (open) {
				ranges[*nr_ranges].offset = first;
				ranges[(*nr_ranges)++].length = next - first;
			}
			open = 1;
			first = byte;
			next = byte + step;
		}
	}
	if (first % PAGE || next % PAGE)
		return -EINVAL;
	ranges[*nr_ranges].offset = first;
	ranges[(*nr_ranges)++].length = next - first;
	return 0;
}

static void random_requests(void)
{
	static unsigned int seen[6];
	struct barter_maps *maps = NULL;
	unsigned int round, n;

	for (round = 0; round < 200000; round++) {
		struct barter_range want[4 * SPACE];
		struct barter_pieces got = { .nr_ranges = 0 };
		unsigned int asked[4][2];
		struct iovec iov[4];
		size_t nr = 1 + below(4), at = NONE, want_at;
		uint32_t nr_want;
		int ret, want_ret;

		if (round % 50 == 0) {
			barter_maps_free(maps);
			barter_maps_new(&maps);
			random_world(maps);
		}
		for (n = 0; n < nr; n++) {
			int whole = below(6) != 0;

			asked[n][0] = below(SPACE) * BYTES;
			asked[n][1] = (1 + below(4)) * BYTES;
			/* Mostly on from where the last one ended. */
			if (n && below(2))
				asked[n][0] = asked[n - 1][0] + asked[n - 1][1];
			if (!whole)
				asked[n][1] = below(3 * BYTES);
			if (!whole && !below(4))
				asked[n][0] += below(BYTES);
			iov[n].iov_base = (char *)AT(0) +
					  asked[n][0] * (PAGE / BYTES);
			iov[n].iov_len = asked[n][1] * (PAGE / BYTES);
		}
		want_ret = expect(asked, nr, &want_at, want, &nr_want);
		ret = barter_maps_pieces(maps, iov, nr, &got, &at);
		is(ret, want_ret, "random: result");
		if (want_ret) {
			is((long long)at, (long long)want_at, "random: which");
		} else {
			is(got.nr_ranges == nr_want &&
			   !memcmp(got.ranges, want, nr_want * sizeof(*want)), 1,
			   "random: ranges");
			free(got.ranges);
		}
		seen[ret == 0 ? 0 : ret == -EINVAL ? 1 : ret == -ENOENT ? 2 :
		     ret == -EFAULT ? 3 : ret == -EXDEV ? 4 : 5]++;
	}
	barter_maps_free(maps);
	for (n = 0; n < 5; n++)
		is(seen[n] > 1000, 1, "random: each result is met often");
	is(seen[5], 0, "random: and no other");
}

int main(void)
{
	setting_up();
	mapping();
	looking_up();
	each_case();
	limits();
	random_requests();
	printf("# maps: %d checks, %d failed\n", tests, bad);
	return bad ? 1 : 0;
}
