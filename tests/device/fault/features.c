// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory for barter's own features: buffers with a name, that are read-only, that
 * combine writes; memory attributes; buffers of the kernel's own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/memattr.h"
#include "../lib/native.h"
#include "fault.h"

#define RANGES 64

/* ---- export by barter's number ---- */

static struct {
	struct vfio_device_feature h;
	struct barter_feature_export r;
} request;

static int call_export(void)
{
	int fd = ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request);

	return fd < 0 ? -errno : fd;
}

static bool whole_export(int got)
{
	bool read_only = request.r.flags & BARTER_EXPORT_READ_ONLY;
	const size_t n = request.r.nr_ranges * PAGE;
	struct barter_info info;
	volatile uint8_t *p;
	bool fine;

	p = buf_map(got, 0, n, read_only ? PROT_READ : RW);
	fine = p && lend_shows(p, OFFSET) &&
	       lend_shows(p + n - PAGE, OFFSET + (request.r.nr_ranges - 1) * 3 * PAGE) &&
	       !buf_info(got, &info) && info.out_length == n &&
	       info.out_nr_ranges == request.r.nr_ranges && info.out_state == BARTER_STATE_OK &&
	       info.out_memattr == request.r.memattr && !strcmp(info.out_name, request.r.name) &&
	       !(info.out_flags & BARTER_BUFFER_READ_ONLY) == !read_only;
	if (p)
		munmap((void *)p, n);
	close(got);
	return fine;
}

static void sweep_export(const char *name, uint32_t nr, uint32_t flags, uint32_t memattr)
{
	static struct vfio_region_dma_range ranges[RANGES];
	const struct fault_call c = {
		.name = name,
		.call = call_export,
		.whole = whole_export,
		.least = 6,
		.fails = 4,
	};

	for (uint32_t i = 0; i < nr; i++)
		ranges[i] = (struct vfio_region_dma_range){ OFFSET + i * 3 * PAGE, PAGE };
	request.h.argsz = sizeof(request);
	request.h.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT;
	request.r = (struct barter_feature_export){
		.size = sizeof(request.r),
		.flags = flags,
		.region_index = BAR,
		.open_flags = O_CLOEXEC | (flags & BARTER_EXPORT_READ_ONLY ? O_RDONLY : O_RDWR),
		.nr_ranges = nr,
		.ranges = (uintptr_t)ranges,
		.memattr = memattr,
		.name = "without memory",
	};
	fault_sweep(&c);
}

/* ---- memory attributes ---- */

static uint32_t attribute_flags;

static int call_refused(void)
{
	int ret = buf_memattr(&mem, lent, BARTER_MEMATTR_WC, 0);

	return ret == -EBUSY ? 0 : ret ?: -EIO;
}

static int call_attribute(void)
{
	return buf_memattr(&mem, lent, BARTER_MEMATTR_WC, attribute_flags);
}

static bool lent_has(uint32_t memattr, bool forced)
{
	struct barter_info info;

	return !buf_info(lent, &info) && info.out_memattr == memattr && !info.out_forced == !forced;
}

static bool whole_attribute(int ret)
{
	bool fine = lent_has(BARTER_MEMATTR_WC, attribute_flags);

	(void)ret;
	return !buf_memattr(&mem, lent, BARTER_MEMATTR_UC, 0) && fine;
}

/* To find out what else is mapped, ranges have to be sorted. */
static void lend_scattered(void)
{
	lend_ranges(RANGES, PAGE);
}

static void close_scattered(void)
{
	if (!lent_has(BARTER_MEMATTR_UC, false))
		tap_bail("a failed call has changed the attribute");
	lend_close();
}

static void attribute_refused(void)
{
	const struct fault_call c = {
		.name = "memory attribute that is refused",
		.before = lend_scattered,
		.call = call_refused,
		.after = close_scattered,
		.least = 1,
		.strict = true,
	};

	fault_sweep(&c);
}

static void attribute_forced(void)
{
	const struct fault_call c = {
		.name = "memory attribute by force",
		.before = lend_scattered,
		.call = call_attribute,
		.whole = whole_attribute,
		.after = close_scattered,
		.none = true,
	};

	attribute_flags = BARTER_MEMATTR_FORCE;
	fault_sweep(&c);
	attribute_flags = 0;
}

static void exports(void)
{
	sweep_export("export with a name", 1, 0, BARTER_MEMATTR_UC);
	sweep_export("export read-only", RANGES, BARTER_EXPORT_READ_ONLY, BARTER_MEMATTR_UC);
	sweep_export("export write-combining by force", RANGES, BARTER_EXPORT_FORCE_ATTRIBUTE,
		     BARTER_MEMATTR_WC);
}

/* Without force, while nobody has the BAR itself mapped; the witness is elsewhere. */
static void combining(void)
{
	const struct fault_call c = {
		.name = "memory attribute",
		.before = lend_scattered,
		.call = call_attribute,
		.whole = whole_attribute,
		.after = close_scattered,
		.least = 1,
		.strict = true,
	};

	munmap((void *)bar, bar_length);
	sweep_export("export write-combining", RANGES, 0, BARTER_MEMATTR_WC);
	fault_sweep(&c);
	bar = dev_map(&mem, BAR, 0, bar_length);
	ok(bar, "the BAR is mapped again");
}

/* ---- the kernel's own exporter ---- */

static struct export *native;
static bool kernel_has_none;

static int call_native(void)
{
	int fd = export_call(&mem, native);

	return kernel_has_none && fd == -EOPNOTSUPP ? 0 : fd;
}

static bool whole_native(int got)
{
	bool fine;

	if (kernel_has_none)
		return !got;
	fine = !strcmp(exporter_of(got), NATIVE);
	close(got);
	return fine;
}

static void native_buffers(void)
{
	static const struct vfio_region_dma_range range = { OFFSET, 4 * PAGE };
	struct fault_call c = {
		.name = "native export",
		.call = call_native,
		.whole = whole_native,
	};
	const struct fault_call probe = {
		.name = "probe native export",
		.call = call_native,
		.none = true,
	};
	int fd;

	native = export_new(BAR, &range, 1);
	native->h.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_NATIVE;
	fd = export_call(&mem, native);
	kernel_has_none = fd == -EOPNOTSUPP;
	ok(fd >= 0 || kernel_has_none, "a native buffer, or the kernel has none: %d", fd);
	close(fd);
	c.none = kernel_has_none;
	c.least = kernel_has_none ? 0 : 5;
	fault_sweep(&c);
	native->h.flags |= VFIO_DEVICE_FEATURE_PROBE;
	fault_sweep(&probe);
	free(native);
}

void feature_cases(void)
{
	CASE_LIMIT(exports, 60);
	CASE_LIMIT(attribute_refused, 60);
	CASE_LIMIT(attribute_forced, 60);
	CASE_LIMIT(combining, 60);
	CASE_LIMIT(native_buffers, 60);
}
