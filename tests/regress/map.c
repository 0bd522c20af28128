// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Wrong numbers: addresses, lengths and segments of DMA mappings, with a BAR of
 * more than 8 GiB.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <fcntl.h>

/* Two ranges out of order, with neighbours that belong to nobody. */
static const struct vfio_region_dma_range two[] = {
	{ 5 * MIB, 2 * PAGE }, { 2 * MIB, PAGE },
};

/* Lockdep judges: whoever unpins or unmaps without the lock makes it warn. */
static void unpin_by_our_importers(int fd)
{
	uint8_t data[16];
	int t = tester_open(), id, edu = edu_open();

	must(edu >= 0 && !edu_import(edu, fd), "import by the sample importer");
	check_errno(edu_read(edu, 0, data, 16), 0, "it maps");
	close(edu);
	id = tester_attach(t, fd, 0);
	must(id >= 0, "attach");
	check_errno(tester_pin(t, id), 0, "pin");
	/* With the pin still there, if the kernel maps what is pinned. */
	tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL);
	check_errno(tester_detach(t, id), 0, "unmap, unpin and detach at once");
	close(t);
}

#define IOMMUFD_DESTROY		_IO(';', 0x80)
#define IOMMUFD_IOAS_ALLOC	_IO(';', 0x81)
#define IOMMUFD_IOAS_UNMAP	_IO(';', 0x86)
#define IOMMUFD_IOAS_MAP_FILE	_IO(';', 0x8f)

/* iommufd's layouts; Linux 6.13 and later have the last one. */
struct ioas_destroy {
	uint32_t size, id;
};

struct ioas_alloc {
	uint32_t size, flags, out_ioas_id;
};

struct ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};

static void unpin_by_iommufd(int fd)
{
	struct ioas_alloc alloc = { .size = sizeof(alloc) };
	struct ioas_map_file map = {
		.size = sizeof(map), .fd = fd, .length = PAGE,
		.flags = 7,	/* fixed IOVA, writable, readable */
		.iova = MIB,
	};
	struct ioas_destroy destroy = { .size = sizeof(destroy) };
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	if (iommufd < 0) {
		cannot("no IOMMUFD in this kernel");
		return;
	}
	must(!ioctl(iommufd, IOMMUFD_IOAS_ALLOC, &alloc), "an IOAS");
	map.ioas_id = alloc.out_ioas_id;
	check_errno(ioctl(iommufd, IOMMUFD_IOAS_MAP_FILE, &map) ? -errno : 0, 0,
		    "iommufd takes the buffer");
	destroy.id = alloc.out_ioas_id;
	check_errno(ioctl(iommufd, IOMMUFD_DESTROY, &destroy) ? -errno : 0, 0,
		    "and lets it go with the IOAS");
	close(iommufd);
}

void b3_importers_unmap_and_unpin_under_the_lock(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE);

	must(fd >= 0, "export");
	if (own)
		unpin_by_iommufd(fd);
	else
		unpin_by_our_importers(fd);
	close(fd);
}

/*
 * The device with a BAR of 16 GiB, and a buffer of a part of it. Buffers begin at the
 * BAR's start, so that an IOMMU takes large pages: debug kernels are slow at this.
 */
static struct dev big;

/*
 * At the first export of an open device the kernel maps the whole BAR for itself.
 * Under KASAN that takes an eighth of it in memory, and a minute: open it once.
 */
static int big_open(void)
{
	char bdf[BDF_LENGTH];

	for (unsigned int i = 0; !pci_find(PCI_IVSHMEM, i, bdf); i++) {
		uint64_t n, flags;

		if (!pci_bar(bdf, BAR, &n, &flags) || n < 16 * GIB)
			continue;
		return dev_open(&big, bdf) ? -EIO : 0;
	}
	return -ENODEV;
}

static int big_buffer(uint64_t length)
{
	return buf_export1(&big, BAR, 0, length);
}

/* Are the segments whole pages that make up @length, each apart from others? */
static void sound_segments(const struct barter_test_map *map, uint64_t length)
{
	uint32_t n = map->out_segments;
	bool pages = true, apart = true;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n && i < BARTER_TEST_SEGMENTS; i++) {
		const struct barter_test_segment *s = &map->segments[i];

		diag("segment %u: %#llx + %#llx", i,
		     (unsigned long long)s->address,
		     (unsigned long long)s->length);
		pages &= s->length && !(s->address % PAGE) &&
			!(s->length % PAGE);
		for (uint32_t j = 0; j < i; j++)
			apart &= s->address >= map->segments[j].address +
					       map->segments[j].length ||
				 map->segments[j].address >= s->address +
							     s->length;
		sum += s->length;
	}
	check(n && n <= BARTER_TEST_SEGMENTS, "%u segments", n);
	check(pages, "each is made of whole pages");
	check(apart, "none overlaps another");
	check(sum == length && map->out_length == length,
	      "they are as long as the buffer");
}

/* A word at @offset of the BAR, by VFIO's own mapping. */
static bool big_poke(uint64_t offset, uint32_t value)
{
	volatile uint8_t *p = dev_map(&big, BAR, offset & ~(PAGE - 1), PAGE);
	int sig;

	if (!p)
		return false;
	sig = poke(p + offset % PAGE, value);
	munmap((void *)p, PAGE);
	return !sig;
}

/* DMA reads at offsets where 32 bits overflow: the right word at each. */
static void right_words(int fd, const uint64_t *at, unsigned int n)
{
	int edu = edu_open();

	must(edu >= 0 && !edu_import(edu, fd), "the sample importer");
	for (unsigned int i = 0; i < n; i++) {
		uint32_t want = 0xb16b0000u + i, got = 0;

		must(big_poke(at[i], want), "a word at %#llx",
		     (unsigned long long)at[i]);
		check_errno(edu_read(edu, at[i], &got, 4), 0, "DMA from %#llx",
			    (unsigned long long)at[i]);
		check(got == want, "the word from %#llx is right",
		      (unsigned long long)at[i]);
	}
	close(edu);
}

void b4_addresses_beyond_8_gib_are_right(void)
{
	static const uint64_t at[] = {
		0, 4 * GIB - PAGE, 4 * GIB, 4 * GIB + 8, 8 * GIB - 2 * PAGE,
		8 * GIB - PAGE, 8 * GIB, 8 * GIB + PAGE, 9 * GIB - 4,
	};
	int fd;

	must(!big_open(), "a BAR of 16 GiB");
	fd = big_buffer(9 * GIB);
	must(fd >= 0, "a buffer of 9 GiB");
	right_words(fd, at, sizeof(at) / sizeof(*at));
	close(fd);
	dev_close(&big);
}

void b5_lengths_beyond_4_gib_are_right(void)
{
	struct barter_test_map map;
	struct export *e;
	int fd, t = tester_open(), id, ret;

	must(!big_open(), "a BAR of 16 GiB");
	fd = big_buffer(5 * GIB);
	must(fd >= 0, "a buffer of 5 GiB");
	id = tester_attach(t, fd, 0);
	must(id >= 0, "attach");
	check_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, &map), 0, "map");
	check(map.out_length == 5 * GIB, "the segments' sum is 5 GiB: %#llx",
	      (unsigned long long)map.out_length);
	tester_detach(t, id);
	close(fd);

	/* As many ranges as 32 bits can say, of which only one is there. */
	e = export_new(BAR, (struct vfio_region_dma_range[]){ { 0, GIB } }, 1);
	e->r.nr_ranges = UINT32_MAX;
	ret = export_call(&big, e);
	check(ret < 0, "4294967295 ranges are refused: %s", strerror(-ret));
	free(e);
	close(t);
	dev_close(&big);
}

void b6_segments_are_of_whole_pages(void)
{
	static const uint64_t lengths[] = {
		4 * GIB - PAGE, 4 * GIB, 4 * GIB + PAGE, 9 * GIB,
	};
	int t = tester_open();

	must(!big_open(), "a BAR of 16 GiB");
	for (unsigned int i = 0; i < 4; i++) {
		struct barter_test_map map;
		int fd = big_buffer(lengths[i]), id;

		must(fd >= 0, "a buffer of %#llx bytes",
		     (unsigned long long)lengths[i]);
		id = tester_attach(t, fd, 0);
		must(id >= 0, "attach");
		if (check_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL,
					   &map), 0, "map"))
			sound_segments(&map, lengths[i]);
		tester_detach(t, id);
		close(fd);
	}
	close(t);
	dev_close(&big);
}

void n1_two_ranges_map_behind_an_iommu(void)
{
	static uint8_t data[3 * PAGE];
	int fd = buf_export(&mem, BAR, two, 2), edu = edu_open();

	must(fd >= 0 && edu >= 0 && !edu_import(edu, fd), "import two ranges");
	fill(bar, SEED, 0, bar_length);
	if (check_errno(edu_read(edu, 0, data, sizeof(data)), 0,
			"DMA from both ranges")) {
		check(differs(data, SEED, 5 * MIB, 2 * PAGE) < 0,
		      "the bytes of the first");
		check(differs(data + 2 * PAGE, SEED, 2 * MIB, PAGE) < 0,
		      "the bytes of the second");
	}
	close(edu);
	close(fd);
}

void n4_a_slice_of_each_range_is_where_it_belongs(void)
{
	struct vfio_region_dma_range r[] = {
		{ 7 * MIB, PAGE }, { MIB, 3 * PAGE }, { 4 * MIB, 2 * PAGE },
	};
	struct barter_range told[4] = { 0 };
	struct barter_info info = {
		.size = sizeof(info), .nr_ranges = 4,
		.ranges = (uintptr_t)told,
	};
	int fd = buf_export(&mem, BAR, r, 3), edu = edu_open();
	uint64_t pos = 0;

	must(fd >= 0 && edu >= 0, "export three ranges");
	info.dmabuf_fd = fd;
	if (!check_errno(ioctl(barter_fd(), BARTER_IOC_INFO, &info) ? -errno : 0,
			 0, "whoever has the fd can ask for its ranges"))
		goto out;
	check(info.out_nr_ranges == 3 && !memcmp(told, r, sizeof(r)),
	      "the answer is what was exported");
	must(!edu_import(edu, fd), "import");
	fill(bar, SEED, 0, bar_length);
	for (int i = 0; i < 3; i++) {
		uint8_t data[64];

		check_errno(edu_read(edu, pos + told[i].length - 64, data, 64),
			    0, "DMA from the end of range %d", i);
		check(differs(data, SEED, told[i].offset + told[i].length - 64,
			      64) < 0, "its bytes");
		pos += told[i].length;
	}
out:
	close(edu);
	close(fd);
}
