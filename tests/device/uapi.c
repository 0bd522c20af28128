// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * VFIO feature 11: what it accepts, and each errno of what it refuses. No
 * refusal leaves a file or a buffer behind.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/fixture.h"

#define GET	VFIO_DEVICE_FEATURE_GET
#define SET	VFIO_DEVICE_FEATURE_SET
#define PROBE	VFIO_DEVICE_FEATURE_PROBE
#define TOP	(-(uint64_t)PAGE)	/* the last page of 64 bits */

static struct export *request(uint64_t offset, uint64_t length)
{
	struct vfio_region_dma_range range = { offset, length };

	return export_new(BAR, &range, 1);
}

/* Make the call, close what it gave, free the request. */
static int attempt(const struct dev *d, struct export *e)
{
	int fd = export_call(d, e);

	free(e);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void accepts(void)
{
	struct vfio_region_dma_range r[4] = {
		{ 0, PAGE }, { bar_length - PAGE, PAGE }, { PAGE, 2 * PAGE },
		{ PAGE, PAGE },
	};
	struct barter_info info;
	int fd;

	is_errno(attempt(&mem, request(0, PAGE)), 0, "first page");
	is_errno(attempt(&mem, request(bar_length - PAGE, PAGE)), 0,
		 "last page");
	is_errno(attempt(&mem, request(0, bar_length)), 0, "whole BAR");
	fd = buf_export(&mem, BAR, r, 4);
	need(fd >= 0, "any order, overlapping");
	is(lseek(fd, 0, SEEK_END), 5 * PAGE, "the size is the sum of ranges");
	is_errno(buf_info(fd, &info), 0, "info");
	is(info.out_length, 5 * PAGE, "info tells the same length");
	is(info.out_bar, BAR, "info tells the BAR");
	is(info.out_state, BARTER_STATE_OK, "state is OK");
	is(info.out_reasons, 0, "no reasons");
	close(fd);
}

static void open_flags(void)
{
	static const uint32_t modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	const uint32_t known = O_ACCMODE | O_CLOEXEC;

	for (unsigned int i = 0; i < 6; i++) {
		uint32_t flags = modes[i / 2] | (i & 1 ? O_CLOEXEC : 0);
		struct export *e = request(0, PAGE);
		int fd;

		e->r.open_flags = flags;
		fd = export_call(&mem, e);
		free(e);
		if (!is_errno(fd, 0, "open_flags %#x", flags))
			continue;
		is(fcntl(fd, F_GETFL) & O_ACCMODE, modes[i / 2],
		   "access mode of %#x", flags);
		is(!!(fcntl(fd, F_GETFD) & FD_CLOEXEC), i & 1,
		   "close-on-exec of %#x", flags);
		close(fd);
	}
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct export *e;

		if (known & 1u << bit)
			continue;
		e = request(0, PAGE);
		e->r.open_flags |= 1u << bit;
		is_errno(attempt(&mem, e), EINVAL, "open_flags bit %u", bit);
	}
}

static void unknown_flags(void)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct export *e = request(0, PAGE);

		e->r.flags = 1u << bit;
		is_errno(attempt(&mem, e), EINVAL, "flags bit %u", bit);
	}
	for (unsigned int bit = 19; bit < 32; bit++) {
		struct export *e = request(0, PAGE);

		e->h.flags |= 1u << bit;
		is_errno(attempt(&mem, e), EINVAL, "feature flags bit %u", bit);
	}
}

static void operations(void)
{
	static const struct {
		uint32_t flags;
		int want;
		const char *name;
	} cases[] = {
		{ PROBE | GET, 0, "PROBE|GET" },
		{ PROBE, 0, "PROBE" },
		{ PROBE | SET, EINVAL, "PROBE|SET" },
		{ PROBE | GET | SET, EINVAL, "PROBE|GET|SET" },
		{ SET, EINVAL, "SET" },
		{ GET | SET, EINVAL, "GET|SET" },
		{ 0, EINVAL, "no operation" },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct export *e = request(0, PAGE);
		int fds = count_fds(), buffers = buf_count(mem.bdf);

		e->h.flags = VFIO_DEVICE_FEATURE_DMA_BUF | cases[i].flags;
		is_errno(export_call(&mem, e), cases[i].want, "%s",
			 cases[i].name);
		is(count_fds(), fds, "%s opens no file", cases[i].name);
		is(buf_count(mem.bdf), buffers, "%s makes no buffer",
		   cases[i].name);
		free(e);
	}
}

/* A probe looks at nothing: neither at the data nor at its presence. */
static void probe_ignores_data(void)
{
	struct vfio_device_feature h = {
		.argsz = sizeof(h),
		.flags = PROBE | GET | VFIO_DEVICE_FEATURE_DMA_BUF,
	};

	is(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &h), 0,
	   "probe with the head only");
}

static void truncated_sizes(void)
{
	const uint32_t fixed = sizeof(struct export);
	bool wrong = false;

	for (uint32_t size = 0; size < fixed; size++) {
		struct export *e = request(0, PAGE);
		int ret;

		e->h.argsz = size;
		ret = attempt(&mem, e);
		if (ret != -EINVAL) {
			diag("argsz %u gives %d", size, ret);
			wrong = true;
		}
	}
	ok(!wrong, "argsz 0..%u is EINVAL", fixed - 1);
}

static void bad_ranges(void)
{
	const uint64_t n = bar_length, half = 1ull << 63;
	const struct {
		uint64_t offset, length;
		int want;
	} cases[] = {
		{ 0, 0, EINVAL },
		{ PAGE, 0, EINVAL },
		{ 0, 1, EINVAL },
		{ 0, PAGE - 1, EINVAL },
		{ 0, PAGE + 1, EINVAL },
		{ 1, PAGE, EINVAL },
		{ 512, PAGE, EINVAL },
		{ PAGE - 1, PAGE, EINVAL },
		{ PAGE + 8, PAGE, EINVAL },
		{ 0, n + PAGE, EINVAL },
		{ PAGE, n, EINVAL },
		{ n, PAGE, EINVAL },
		{ n + PAGE, PAGE, EINVAL },
		{ n - PAGE, 2 * PAGE, EINVAL },
		{ 1ull << 40, PAGE, EINVAL },
		{ 0, 1ull << 40, EINVAL },
		{ 1ull << 32, PAGE, EINVAL },
		{ 0, (1ull << 32) + PAGE, EINVAL },
		{ half, PAGE, EINVAL },
		{ 0, half, EINVAL },
		{ TOP - PAGE, PAGE, EINVAL },
		{ 0, TOP, EINVAL },
		{ half, half, EOVERFLOW },
		{ TOP, PAGE, EOVERFLOW },
		{ TOP, 2 * PAGE, EOVERFLOW },
		{ PAGE, TOP, EOVERFLOW },
		{ TOP, TOP, EOVERFLOW },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		is_errno(attempt(&mem, request(cases[i].offset,
					       cases[i].length)),
			 cases[i].want, "range %#llx + %#llx",
			 (unsigned long long)cases[i].offset,
			 (unsigned long long)cases[i].length);
}

/* The bad one is found wherever it stands. */
static void one_bad_among_good(void)
{
	for (unsigned int bad = 0; bad < 8; bad++) {
		struct vfio_region_dma_range r[8];
		struct export *e;

		for (unsigned int i = 0; i < 8; i++)
			r[i] = (struct vfio_region_dma_range){
				2 * i * PAGE, PAGE };
		r[bad].offset = bar_length;
		e = export_new(BAR, r, 8);
		is_errno(attempt(&mem, e), EINVAL, "number %u of 8", bad);
	}
}

static void sum_of_ranges(void)
{
	struct vfio_region_dma_range r[6];
	struct vfio_region_dma_range top[2] = {
		{ 0, 1ull << 63 }, { 0, 1ull << 63 },
	};

	for (unsigned int i = 0; i < 6; i++)
		r[i] = (struct vfio_region_dma_range){ 0, bar_length };
	is_errno(attempt(&mem, export_new(BAR, r, 4)), 0, "4 times the BAR");
	is_errno(attempt(&mem, export_new(BAR, r, 5)), E2BIG,
		 "5 times the BAR");
	r[4].length = PAGE;
	is_errno(attempt(&mem, export_new(BAR, r, 5)), E2BIG,
		 "4 times the BAR and a page");
	is_errno(attempt(&mem, export_new(BAR, top, 2)), EINVAL,
		 "a sum that overflows");
}

static void numbers_of_ranges(void)
{
	static const uint32_t many[] = {
		BARTER_MAX_RANGES + 1, 1u << 28, (1u << 28) + 1, 1u << 31,
		~0u - 1, ~0u,
	};
	struct export *e = request(0, PAGE);

	e->r.nr_ranges = 0;
	is_errno(attempt(&mem, e), EINVAL, "no range");
	for (unsigned int i = 0; i < sizeof(many) / sizeof(*many); i++) {
		e = request(0, PAGE);
		e->r.nr_ranges = many[i];
		is_errno(attempt(&mem, e), E2BIG, "%u ranges", many[i]);
	}
}

static void regions(void)
{
	static const uint32_t beyond[] = {
		VFIO_PCI_ROM_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
		VFIO_PCI_VGA_REGION_INDEX, VFIO_PCI_NUM_REGIONS, 255, 256,
		1u << 31, ~0u,
	};
	unsigned int absent = 0;

	for (unsigned int i = 0; i < 6; i++) {
		struct export *e = request(0, PAGE);

		e->r.region_index = i;
		if (!mem.length[i]) {
			absent++;
			is_errno(attempt(&mem, e), ENODEV, "absent BAR %u", i);
		} else if (mem.length[i] < PAGE) {
			is_errno(attempt(&mem, e), EINVAL,
				 "BAR %u is smaller than a page", i);
		} else {
			is_errno(attempt(&mem, e), 0, "BAR %u", i);
		}
	}
	ok(absent, "the device lacks some BAR");
	for (unsigned int i = 0; i < sizeof(beyond) / sizeof(*beyond); i++) {
		struct export *e = request(0, PAGE);

		e->r.region_index = beyond[i];
		is_errno(attempt(&mem, e), ENODEV, "region %u", beyond[i]);
	}
}

static void io_port_bar(void)
{
	char bdf[BDF_LENGTH];
	bool found = false;
	struct dev d;

	if (pci_find(PCI_TESTDEV, 0, bdf)) {
		skip("this machine has no device with an I/O port BAR",
		     "EINVAL");
		return;
	}
	need(!dev_open(&d, bdf), "open %s", bdf);
	for (int i = 0; i < 6; i++) {
		uint64_t length, flags;
		struct export *e;

		pci_bar(bdf, i, &length, &flags);
		if (!(flags & 0x100))		/* IORESOURCE_IO */
			continue;
		found = true;
		e = request(0, PAGE);
		e->r.region_index = (uint32_t)i;
		is_errno(attempt(&d, e), EINVAL, "I/O port BAR %d", i);
	}
	ok(found, "the device has an I/O port BAR");
	dev_close(&d);
}

static void bad_pointers(void)
{
	char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_region_dma_range r[3] = {
		{ 0, PAGE }, { 2 * PAGE, PAGE }, { 4 * PAGE, PAGE },
	};
	struct export *e = export_new(BAR, r, 3);
	const size_t n = sizeof(*e) + sizeof(r);
	bool wrong = false;

	munmap(two + PAGE, PAGE);
	is(ioctl(mem.fd, VFIO_DEVICE_FEATURE, NULL) ? errno : 0, EFAULT,
	   "no pointer");
	is(ioctl(mem.fd, VFIO_DEVICE_FEATURE, (void *)~7ul) ? errno : 0,
	   EFAULT, "a kernel pointer");
	/* All of the request but its last @cut bytes can be read. */
	for (size_t cut = 1; cut <= n; cut++) {
		char *at = two + PAGE - (n - cut);
		int fd;

		memcpy(at, e, n - cut);
		fd = ioctl(mem.fd, VFIO_DEVICE_FEATURE, at);
		if (fd >= 0 || errno != EFAULT) {
			diag("without the last %zu bytes: %d", cut, fd);
			wrong = true;
		}
	}
	ok(!wrong, "every truncation of readable memory is EFAULT");
	free(e);
	munmap(two, PAGE);
}

static void no_free_file(void)
{
	struct rlimit before, none = { 0 };
	struct export *e = request(0, PAGE);
	int buffers = buf_count(mem.bdf), ret;

	getrlimit(RLIMIT_NOFILE, &before);
	none.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	ret = attempt(&mem, e);
	setrlimit(RLIMIT_NOFILE, &before);
	is_errno(ret, EMFILE, "no file descriptor is free");
	is(buf_count(mem.bdf), buffers, "no buffer is left behind");
}

/* A buffer of a device whose memory is off: it exists, and is revoked. */
static void born_revoked(void)
{
	int fd;

	need(!dev_set_memory(&mem, false), "memory off");
	fd = buf_export1(&mem, BAR, 0, PAGE);
	is_errno(fd, 0, "export");
	is(buf_state(fd), BARTER_STATE_REVOKED, "state is REVOKED");
	is(buf_reasons(fd), BARTER_REASON_MEMORY, "reason is MEMORY");
	dev_set_memory(&mem, true);
	is(buf_state(fd), BARTER_STATE_OK, "OK once memory is on");
	close(fd);
}

static void nothing_is_left(void)
{
	bool gone;

	/* The last fput of a file may end after close() has returned. */
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
}

int main(void)
{
	int fds;

	fixture_open();
	buf_count(mem.bdf);
	fds = count_fds();
	CASE(accepts);
	CASE(open_flags);
	CASE(unknown_flags);
	CASE(operations);
	CASE(probe_ignores_data);
	CASE(truncated_sizes);
	CASE(bad_ranges);
	CASE(one_bad_among_good);
	CASE(sum_of_ranges);
	CASE(numbers_of_ranges);
	CASE(regions);
	CASE(io_port_bar);
	CASE(bad_pointers);
	CASE(no_free_file);
	CASE(born_revoked);
	CASE(nothing_is_left);
	is(count_fds(), fds, "no file was left open");
	return tap_done();
}
