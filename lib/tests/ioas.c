// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter_ioas_map(), barter_peer_map() by iommufd, exports and opening a character
 * device, against a made-up kernel: ioctl() is replaced (ld --wrap) by one that keeps
 * a list of what is mapped and fails where it is told to. What the real kernel says is tested in the test machine.
 */
#include "../internal.h"
#include "../iommufd_abi.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE	4096ULL
#define IOVA	0x10000000ULL
#define IOAS	7

static int tests, bad;

static void is(long long got, long long want, const char *what)
{
	tests++;
	if (got == want)
		return;
	bad++;
	printf("not ok - ioas: %s: got %lld, want %lld\n", what, got, want);
}

/* The made-up kernel. */
static struct {
	uint64_t iova;
	uint64_t start;
	uint64_t length;
} areas[16];
static unsigned int nr_areas;
static unsigned int maps;	/* calls so far */
static unsigned int fail_map;	/* this one fails, counted from 1; 0: none */
static int fail_errno;
static int own_native = 1;	/* does the driver know barter's numbers */
static int lends = 1;		/* does the kernel lend */
static struct vfio_region_dma_range lent;
static uint32_t feature_seen, map_flags_seen;
static int bind_errno;		/* binding a device to an iommufd fails with this */

static int fake_feature(struct vfio_device_feature *feature)
{
	uint32_t number = feature->flags & VFIO_DEVICE_FEATURE_MASK;
	struct vfio_device_feature_dma_buf *body = (void *)feature->data;

	if (number != VFIO_DEVICE_FEATURE_DMA_BUF && !own_native) {
		errno = ENOTTY;
		return -1;
	}
	if (!lends) {
		errno = own_native ? EOPNOTSUPP : ENOTTY;
		return -1;
	}
	feature_seen = number;
	if (feature->flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (number != BARTER_FEATURE_EXPORT)
		lent = body->dma_ranges[0];
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fake_map(const struct barter_ioas_map_file *map)
{
	unsigned int i;

	if (++maps == fail_map) {
		errno = fail_errno;
		return -1;
	}
	for (i = 0; i < nr_areas; i++) {
		if (map->iova < areas[i].iova + areas[i].length &&
		    areas[i].iova < map->iova + map->length) {
			errno = EADDRINUSE;
			return -1;
		}
	}
	if (map->ioas_id != IOAS || nr_areas == 16) {
		errno = ENOENT;
		return -1;
	}
	map_flags_seen = map->flags;
	areas[nr_areas].iova = map->iova;
	areas[nr_areas].start = map->start;
	areas[nr_areas++].length = map->length;
	return 0;
}

static int fake_unmap(const struct barter_ioas_unmap *unmap)
{
	unsigned int i;

	for (i = 0; i < nr_areas; i++) {
		if (areas[i].iova != unmap->iova ||
		    areas[i].length != unmap->length)
			continue;
		areas[i] = areas[--nr_areas];
		return 0;
	}
	errno = ENOENT;
	return -1;
}

/* A buffer of two pages of BAR 2 of 0000:01:00.0. */
static int fake_info(struct barter_info *info)
{
	struct barter_range *ranges = (void *)(uintptr_t)info->ranges;

	info->out_length = 2 * PAGE;
	info->out_state = BARTER_STATE_OK;
	info->out_bus = 1;
	info->out_bar = 2;
	info->out_nr_ranges = 1;
	if (info->nr_ranges)
		ranges[0] = (struct barter_range) { 3 * PAGE, 2 * PAGE };
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	(void)fd;
	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	switch (request) {
	case VFIO_DEVICE_FEATURE:
		return fake_feature(argument);
	case BARTER_IOMMU_IOAS_MAP_FILE:
		return fake_map(argument);
	case BARTER_IOMMU_IOAS_UNMAP:
		return fake_unmap(argument);
	case BARTER_IOC_INFO:
		return fake_info(argument);
	case BARTER_VFIO_BIND_IOMMUFD:
		errno = bind_errno;
		return -1;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int open_files(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static struct barter_device device = { .fd = 1 };
static struct barter_range pieces[3] = {
	{ 9 * PAGE, PAGE }, { 2 * PAGE, 3 * PAGE }, { 20 * PAGE, 2 * PAGE },
};
static struct barter_ioas_request request;

static void begin(void)
{
	request = (struct barter_ioas_request) {
		.size = sizeof(request),
		.bar = 2,
		.iommufd = 1,
		.ioas = IOAS,
		.iova = IOVA,
		.prot = PROT_READ | PROT_WRITE,
		.nr_ranges = 3,
		.ranges = pieces,
	};
	nr_areas = maps = fail_map = 0;
	own_native = lends = 1;
}

static int attempt(void)
{
	struct barter_ioas_area *area = NULL;
	int before = open_files();
	int ret = barter_ioas_map(&device, &request, &area);

	if (!ret)
		barter_ioas_unmap(area);
	else
		is(!area, 1, "a failed map leaves the handle alone");
	is(nr_areas, 0, "nothing stays mapped");
	is(open_files(), before, "no file stays open");
	return ret;
}

static void maps_in_order(void)
{
	struct barter_ioas_area *area;
	int before = open_files();

	begin();
	is(barter_ioas_map(&device, &request, &area), 0, "map");
	is(open_files(), before + 2, "two files in all");
	is((long long)lent.offset, 2 * PAGE, "the buffer begins at the lowest");
	is((long long)lent.length, 20 * PAGE, "and ends with the highest");
	is(nr_areas, 3, "three pieces");
	is((long long)areas[0].iova, IOVA, "the first at the IOVA");
	is((long long)areas[0].start, 7 * PAGE, "its place in the buffer");
	is((long long)areas[1].iova, IOVA + PAGE, "the second behind it");
	is((long long)areas[1].start, 0, "its place");
	is((long long)areas[1].length, 3 * PAGE, "its length");
	is((long long)areas[2].iova, IOVA + 4 * PAGE, "the third behind that");
	is((long long)areas[2].start, 18 * PAGE, "its place");
	is((long long)barter_ioas_length(area), 6 * PAGE, "the sum");
	is(map_flags_seen, BARTER_IOAS_MAP_FIXED_IOVA |
	   BARTER_IOAS_MAP_READABLE | BARTER_IOAS_MAP_WRITEABLE, "flags");

	maps = 0;
	is(barter_ioas_remap(area), 0, "map again");
	is(maps, 3, "all of them");
	is(nr_areas, 3, "and each once");
	nr_areas = 0;	/* somebody else unmapped them */
	is(barter_ioas_remap(area), 0, "map again what had gone");
	is(nr_areas, 3, "all are there");
	is(barter_ioas_unmap(area), 0, "unmap");
	is(nr_areas, 0, "all have gone");
	is(open_files(), before, "no file stays open");
	is(barter_ioas_unmap(NULL), 0, "unmap of nothing");

	begin();
	request.prot = PROT_READ;
	is(attempt(), 0, "read-only");
	is(map_flags_seen, BARTER_IOAS_MAP_FIXED_IOVA |
	   BARTER_IOAS_MAP_READABLE, "flags of read-only");
}

/* Each map fails in turn: what came before it is undone. */
static void all_or_nothing(void)
{
	static const struct {
		int error;
		int want;
	} cases[] = {
		{ EADDRINUSE, -EEXIST }, { ENODEV, -ENODEV },
		{ ENOMEM, -ENOMEM }, { ENOTTY, -EOPNOTSUPP },
	};
	struct barter_ioas_area *area;
	unsigned int i, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (n = 1; n <= 3; n++) {
			begin();
			fail_map = n;
			fail_errno = cases[i].error;
			is(attempt(), cases[i].want, "a map that fails");
		}
	}
	for (n = 1; n <= 3; n++) {
		begin();
		is(barter_ioas_map(&device, &request, &area), 0, "map");
		maps = 0;
		fail_map = n;
		fail_errno = ENODEV;
		is(barter_ioas_remap(area), -ENODEV, "remap while revoked");
		is(nr_areas, 0, "nothing stays mapped");
		is(barter_ioas_remap(area), 0, "remap after the restore");
		is(nr_areas, 3, "all are mapped");
		barter_ioas_unmap(area);
	}
	begin();
	is(barter_ioas_map(&device, &request, &area), 0, "map");
	nr_areas = 0;
	is(barter_ioas_unmap(area), -ENOENT, "unmap of what has gone");
}

static void refusals(void)
{
	struct barter_range odd = { 1, PAGE }, empty = { 0, 0 };
	struct barter_range wraps = { UINT64_MAX - PAGE + 1, 2 * PAGE };
	struct barter_range whole = { 0, UINT64_MAX - PAGE + 1 };
	struct barter_range sum[2] = { whole, whole };

	begin(), request.size--;
	is(attempt(), -EINVAL, "size");
	begin(), request.flags = 1;
	is(attempt(), -EINVAL, "flags");
	begin(), request.nr_ranges = 0;
	is(attempt(), -EINVAL, "no range");
	begin(), request.nr_ranges = BARTER_MAX_RANGES + 1;
	is(attempt(), -E2BIG, "too many ranges");
	begin(), request.prot = 0;
	is(attempt(), -EINVAL, "no right");
	begin(), request.prot = PROT_EXEC | PROT_READ;
	is(attempt(), -EINVAL, "an unknown right");
	begin(), request.iova = 1;
	is(attempt(), -EINVAL, "IOVA of no page");
	begin(), request.iova = UINT64_MAX - 2 * PAGE + 1;
	is(attempt(), -EOVERFLOW, "beyond the last IOVA");
	begin(), request.ranges = &odd, request.nr_ranges = 1;
	is(attempt(), -EINVAL, "misaligned");
	begin(), request.ranges = &empty, request.nr_ranges = 1;
	is(attempt(), -EINVAL, "length 0");
	begin(), request.ranges = &wraps, request.nr_ranges = 1;
	is(attempt(), -EOVERFLOW, "a range beyond 64 bits");
	begin(), request.ranges = sum, request.nr_ranges = 2;
	is(attempt(), -EOVERFLOW, "a sum beyond 64 bits");
	begin(), request.iommufd = 999;
	is(attempt(), -EBADF, "no iommufd");
	begin(), request.ioas = IOAS + 1;
	is(attempt(), -ENOENT, "no such IOAS");
	begin(), lends = 0;
	is(attempt(), -EOPNOTSUPP, "a kernel that does not lend");
	begin(), lends = own_native = 0;
	is(attempt(), -EOPNOTSUPP, "a driver that does not either");
}

/* Which number asks for what, and of which driver. */
static void numbers(void)
{
	struct barter_export what = {
		.size = sizeof(what), .bar = 2, .open_flags = O_RDWR,
		.nr_ranges = 1, .ranges = pieces,
	};
	int fd = -1;

	begin();
	is(barter_device_export(&device, &what, &fd), 0, "export");
	is(feature_seen, BARTER_FEATURE_EXPORT, "by barter's number");
	close(fd);
	what.flags = BARTER_EXPORT_NATIVE;
	is(barter_device_export(&device, &what, &fd), 0, "native export");
	is(feature_seen, BARTER_FEATURE_NATIVE, "by the native number");
	close(fd);
	is(barter_device_can_export(&device), 0, "can");
	is(barter_device_can_export_native(&device), 0, "can natively");

	own_native = 0;
	is(barter_device_export(&device, &what, &fd), 0, "of stock vfio-pci");
	is(feature_seen, VFIO_DEVICE_FEATURE_DMA_BUF, "by feature 11");
	close(fd);
	what.nr_ranges = 2;
	is(barter_device_export(&device, &what, &fd), -EOPNOTSUPP,
	   "native, two ranges");
	what.flags = 0;
	is(barter_device_export(&device, &what, &fd), -EOPNOTSUPP,
	   "barter's of stock vfio-pci");
	is(barter_device_can_export(&device), -EOPNOTSUPP, "cannot");
	is(barter_device_can_export_native(&device), 0, "can natively");
	own_native = 1;
	lends = 0;
	is(barter_device_can_export_native(&device), -EOPNOTSUPP,
	   "cannot natively");
}

/* The kernel's word for a device that is open already. */
static void open_twice(void)
{
	struct barter_space space = { .fd = 0 };
	int fd = -1, before = open_files();

	bind_errno = EINVAL;
	is(barter_cdev_open("/dev/null", &space, &fd), -EBUSY, "open already");
	bind_errno = EPERM;
	is(barter_cdev_open("/dev/null", &space, &fd), -EPERM, "another errno");
	is(fd, -1, "the fd is left alone");
	is(open_files(), before, "nothing stays open");
}

static int try_peer(struct barter_device *lender, struct barter_device *user,
		    int open_flags, int prot)
{
	struct barter_peer *peer = NULL;
	int fd = open("/dev/null", open_flags | O_CLOEXEC), ret;

	ret = barter_peer_map(lender, fd, user, IOVA, prot, &peer);
	close(fd);
	is(barter_peer_unmap(peer), 0, "unmap");
	return ret;
}

/* iommufd maps the BAR, whatever the fd of the buffer is open for. */
static void peer_rights(void)
{
	struct barter_space space = {
		.references = 1, .fd = 0, .is_iommufd = 1, .ioas = IOAS,
	};
	struct barter_device lender = { .name = "0000:01:00.0" };
	struct barter_device user = { .name = "0000:02:00.0", .space = &space };
	char folder[] = "/tmp/barter-dev-XXXXXX", node[64];
	int before = open_files();

	is(!mkdtemp(folder), 0, "a folder");
	snprintf(node, sizeof(node), "%s/barter", folder);
	close(open(node, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	setenv("BARTER_DEV", folder, 1);
	is(try_peer(&lender, &user, O_RDWR, PROT_READ | PROT_WRITE), 0,
	   "an fd for both");
	is(try_peer(&lender, &user, O_RDONLY, PROT_READ), 0,
	   "an fd for reading, to read");
	is(try_peer(&lender, &user, O_RDONLY, PROT_WRITE), -EACCES, "to write");
	is(try_peer(&lender, &user, O_RDONLY, PROT_READ | PROT_WRITE), -EACCES,
	   "to do both");
	is(try_peer(&lender, &user, O_WRONLY, PROT_WRITE), -EACCES,
	   "an fd for writing, as mmap() has it");
	is(nr_areas, 0, "nothing is mapped");
	is(space.references, 1, "nobody has the space");
	is(open_files(), before, "nothing stays open");
	unsetenv("BARTER_DEV");
	unlink(node);
	rmdir(folder);
}

int main(void)
{
	open_twice();
	peer_rights();
	maps_in_order();
	all_or_nothing();
	refusals();
	numbers();
	printf("# ioas: %d checks, %d failed\n", tests, bad);
	return bad ? 1 : 0;
}
