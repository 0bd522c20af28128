// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory: calls that reach barter, with each of their allocations failing in
 * turn, also those of VFIO, dma-buf and page tables on the way. A call fails with
 * ENOMEM and leaves all as it was, or does without and is whole.
 *
 * Here: export, questions, CPU mappings. In fault/: barter's own features
 * (features.c), page faults (page_faults.c), a device file that is closed (device.c), a
 * device that its driver loses (gone.c).
 * fault_dma has importers and revokes. Only on kernels with fail-nth.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fault/fault.h"
#include "lib/slice.h"
#include "lib/tester.h"
#include "lib/typed.h"
#include "lib/watch.h"

#define DEBUGFS_BARTER	"/sys/kernel/debug/barter/"
#define CROWD		40		/* buffers that have windows already */

static volatile uint8_t *map;

static void lend(void)
{
	lend_one(LENT);
}

/* ---- export ---- */

struct dev big;
static const struct dev *lender = &mem;
static struct export *request;
static uint32_t runs;			/* what becomes of its ranges */

static int call_export(void)
{
	return export_call(lender, request);
}

static bool whole_export(int got)
{
	const uint32_t nr = request->r.nr_ranges;
	struct barter_info info;
	volatile uint8_t *p;
	uint32_t v = 0;
	bool fine;

	p = buf_map(got, 0, nr * PAGE, RW);
	fine = p && !buf_info(got, &info) && info.out_length == nr * PAGE &&
		info.out_nr_ranges == runs &&
		info.out_state == BARTER_STATE_OK && !info.out_reasons &&
		!peek(p, &v) && !peek(p + (nr - 1) * PAGE, &v);
	if (lender == &mem)
		fine = fine && lend_shows(p, OFFSET);
	munmap((void *)p, nr * PAGE);
	close(got);
	return fine;
}

/* @pairs: two ranges each touch and are merged. */
static void sweep_request(const char *name, uint32_t nr, unsigned int least,
			  bool sparse, bool pairs)
{
	const struct fault_call c = {
		.name = name, .call = call_export, .whole = whole_export,
		.least = least, .sparse = sparse,
	};
	struct vfio_region_dma_range *r;

	request = lend_request(lender, nr, 7, PAGE);
	r = request->r.dma_ranges;
	for (uint32_t i = 1; pairs && i < nr; i += 2)
		r[i].offset = r[i - 1].offset + PAGE;
	runs = pairs ? nr / 2 : nr;
	fault_sweep(&c);
	free(request);
}

static void sweep_export(const char *name, uint32_t nr, unsigned int least,
			 bool sparse)
{
	sweep_request(name, nr, least, sparse, false);
}

static void export_one_range(void)
{
	sweep_export("one range", 1, 5, false);
}

static void export_many_ranges(void)
{
	sweep_export("64 ranges", 64, 5, false);
	/* Half of the table is given back, if there is memory to do so. */
	sweep_request("240 ranges that become 120", 240, 6, false, true);
	sweep_export("30000 ranges", 30000, 5, false);
}

bool big_open(void)
{
	char bdf[BDF_LENGTH];

	for (unsigned int i = 0; !pci_find(PCI_IVSHMEM, i, bdf); i++) {
		if (dev_open(&big, bdf))
			continue;
		if (big.length[BAR] >= GIB)
			return true;
		dev_close(&big);
	}
	return false;
}

/* Tables too large for kmalloc(), which come page by page. */
static void export_huge_tables(void)
{
	need(big_open(), "a BAR of 1 GiB or more");
	lender = &big;
	sweep_export("270000 ranges", 270000, 16, true);
	lender = &mem;
	dev_close(&big);
}

/* ---- features that barter handles ---- */

static uint32_t feature;

static int call_feature(void)
{
	struct vfio_device_feature arg = {
		.argsz = sizeof(arg), .flags = feature,
	};

	return ioctl(mem.fd, VFIO_DEVICE_FEATURE, &arg) ? -errno : 0;
}

static void probes(void)
{
	static const uint32_t features[] = {
		VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET,
		BARTER_FEATURE_REVOKE | VFIO_DEVICE_FEATURE_SET,
		BARTER_FEATURE_EXPORT | VFIO_DEVICE_FEATURE_GET,
		BARTER_FEATURE_MEMATTR | VFIO_DEVICE_FEATURE_SET,
	};
	static const char *const names[] = {
		"probe export", "probe low power entry",	   "probe low power exit",
		"probe revoke", "probe export by barter's number", "probe memory attribute",
	};

	for (unsigned int i = 0; i < sizeof(features) / sizeof(*features); i++) {
		const struct fault_call c = {
			.name = names[i],
			.call = call_feature,
			.none = true,
		};

		feature = features[i] | VFIO_DEVICE_FEATURE_PROBE;
		fault_sweep(&c);
	}
}

/* ---- /dev/barter and debugfs ---- */

static int call_open(void)
{
	int got = open("/dev/barter", O_RDWR | O_CLOEXEC);

	return got < 0 ? -errno : got;
}

static bool whole_fd(int got)
{
	return !close(got);
}

static int call_info(void)
{
	struct barter_info info;

	return buf_info(lent, &info);
}

static int call_route(void)
{
	struct barter_route r = {
		.size = sizeof(r), .dmabuf_fd = lent, .device_fd = mem.fd,
		.flags = BARTER_ROUTE_F_DEVICE_FD,
	};

	return ioctl(barter_fd(), BARTER_IOC_ROUTE, &r) ? -errno : 0;
}

static int call_route_bdf(void)
{
	struct barter_route r;

	return buf_route(lent, edu_bdf(), &r) ?:
		r.out_route == BARTER_ROUTE_HOST ? 0 : -EIO;
}

/* Both by their addresses. */
static struct barter_route route;

static int call_route_bdfs(void)
{
	struct barter_route r = route;

	return ioctl(barter_fd(), BARTER_IOC_ROUTE, &r) ? -errno :
	       r.out_route == BARTER_ROUTE_HOST		? 0 :
							  -EIO;
}

static void route_between(void)
{
	struct typed_bdf exporter = typed_bdf(mem.bdf), importer = typed_bdf(edu_bdf());

	route = (struct barter_route){
		.size = sizeof(route),
		.flags = BARTER_ROUTE_F_EXPORTER_BDF,
		.dmabuf_fd = -1,
		.device_fd = -1,
		.domain = importer.domain,
		.bus = importer.bus,
		.devfn = importer.devfn,
		.exporter_domain = exporter.domain,
		.exporter_bus = exporter.bus,
		.exporter_devfn = exporter.devfn,
	};
}

static const char *shown_file;

static int call_debugfs(void)
{
	static char text[8192];
	int got = open(shown_file, O_RDONLY | O_CLOEXEC), ret;

	if (got < 0)
		return -errno;
	ret = read(got, text, sizeof(text)) < 0 ? -errno : 0;
	close(got);
	return ret;
}

static int watch_ctl, watch_event;

static int call_watch(void)
{
	return watch_begin(watch_ctl, lent, watch_event, NULL);
}

static bool whole_watch(int ret)
{
	(void)ret;
	return !watch_end(watch_ctl, lent, watch_event);
}

static void watched(void)
{
	event_take(watch_event, 0);
	if (call_watch())
		tap_bail("no watch to end");
}

static int call_unwatch(void)
{
	return watch_end(watch_ctl, lent, watch_event);
}

static bool whole_unwatch(int ret)
{
	(void)ret;
	return watch_end(watch_ctl, lent, watch_event) == -ENOENT;
}

static void unwatched(void)
{
	watch_end(watch_ctl, lent, watch_event);
}

static int call_blink(void)
{
	return dev_set_memory(&mem, false) ?: dev_set_memory(&mem, true);
}

/* Told without any memory. */
static bool whole_blink(int ret)
{
	(void)ret;
	return buf_state(lent) == BARTER_STATE_OK &&
		watch_follow(lent, watch_event, buf_generation(lent), 10000, NULL);
}

/* A file that has watches is closed: they end with it. */
static int closed_ctl = -1, closed_events[3];

static void hang_watches(void)
{
	closed_ctl = watch_file();
	for (int i = 0; i < 3; i++)
		if (watch_begin(closed_ctl, lent, closed_events[i], NULL))
			tap_bail("no watch to begin with");
}

static int call_close_ctl(void)
{
	return close(closed_ctl) ? -errno : 0;
}

static bool whole_close_ctl(int ret)
{
	bool fine = !call_blink();

	(void)ret;
	for (int i = 0; i < 3; i++)
		fine = fine && !event_take(closed_events[i], 0);
	hang_watches();
	return fine;
}

static void close_ctl(void)
{
	close(closed_ctl);
}

static void watches(void)
{
	const struct fault_call calls[] = {
		{ .name = "watch",
		  .call = call_watch,
		  .whole = whole_watch,
		  .least = 1,
		  .fails = 1 },
		{ .name = "end of a watch",
		  .before = watched,
		  .call = call_unwatch,
		  .whole = whole_unwatch,
		  .after = unwatched,
		  .none = true },
		{ .name = "revoke and restore of what is watched",
		  .before = watched,
		  .call = call_blink,
		  .whole = whole_blink,
		  .after = unwatched,
		  .none = true,
		  .moves = true },
		{ .name = "close of a file with watches",
		  .before = hang_watches,
		  .call = call_close_ctl,
		  .whole = whole_close_ctl,
		  .after = close_ctl,
		  .none = true,
		  .moves = true },
	};

	lend();
	watch_ctl = watch_file();
	watch_event = event_new();
	for (int i = 0; i < 3; i++)
		closed_events[i] = event_new();
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	for (int i = 0; i < 3; i++)
		close(closed_events[i]);
	close(watch_event);
	close(watch_ctl);
	lend_close();
}

static void questions(void)
{
	static const char route_none[] = "only kernels with PCI_P2PDMA are asked for a way";
	const struct fault_call calls[] = {
		{ .name = "open /dev/barter", .call = call_open, .whole = whole_fd, .least = 2 },
		{ .name = "info", .call = call_info, .none = true },
		{ .name = "route to a device fd", .call = call_route, .may_be_none = route_none },
		{ .name = "route to an address", .call = call_route_bdf, .may_be_none = route_none },
		{ .name = "route between addresses",
		  .before = route_between,
		  .call = call_route_bdfs,
		  .none = true },
	};
	const struct fault_call files[] = {
		{ .name = "read buffers", .call = call_debugfs, .least = 3 },
		{ .name = "read mmaps", .call = call_debugfs, .least = 3 },
		{ .name = "read interconnects", .call = call_debugfs, .least = 3 },
	};
	static const char *const paths[] = {
		BUFFERS,
		DEBUGFS_BARTER "mmaps",
		DEBUGFS_BARTER "interconnects",
	};

	lend_ranges(64, PAGE);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	for (unsigned int i = 0; i < sizeof(files) / sizeof(*files); i++) {
		shown_file = paths[i];
		fault_sweep(&files[i]);
	}
	lend_close();
}

/* ---- slices ---- */

static uint32_t cuts;

static int call_slice(void)
{
	static struct barter_range ranges[2000];

	for (uint32_t i = 0; i < cuts; i++)
		ranges[i] = (struct barter_range){ (i * 3 + 1) % 64 * PAGE, PAGE };
	return slice_of(lent, ranges, cuts);
}

static bool whole_slice(int got)
{
	struct barter_info info;
	volatile uint8_t *p = buf_map(got, 0, PAGE, RW);
	bool fine;

	/* The second page of lent is the second range, 3 pages on. */
	fine = p && lend_shows(p, OFFSET + 3 * PAGE) && !buf_info(got, &info) &&
		info.out_length == cuts * PAGE && info.out_nr_ranges == cuts &&
		info.out_state == BARTER_STATE_OK;
	munmap((void *)p, PAGE);
	close(got);
	return fine;
}

/* Of two pages of a slice of 8 the second, and with no right to write. */
static int middle = -1;
static bool read_only;

static void cut_middle(void)
{
	middle = slice1(lent, PAGE, 8 * PAGE);
	if (middle < 0)
		tap_bail("no slice to cut from");
}

static void close_middle(void)
{
	close(middle);
}

static int call_slice_again(void)
{
	return read_only ? slice_read_only(middle, PAGE, 2 * PAGE) : slice1(middle, PAGE, 2 * PAGE);
}

static bool whole_slice_again(int got)
{
	volatile uint8_t *p = buf_map(got, 0, 2 * PAGE, read_only ? PROT_READ : RW);
	void *writable = buf_map(got, 0, PAGE, RW);
	struct barter_info info;
	bool fine;

	/* The page at 2 is the third range of lent, and two of 3 pages are before it. */
	fine = p && lend_shows(p, OFFSET + 2 * 3 * PAGE) &&
	       lend_shows(p + PAGE, OFFSET + 3 * 3 * PAGE) && !writable == read_only &&
	       !buf_info(got, &info) && info.out_length == 2 * PAGE &&
	       info.out_state == BARTER_STATE_OK &&
	       !(info.out_flags & BARTER_BUFFER_READ_ONLY) == !read_only;
	if (writable)
		munmap(writable, PAGE);
	munmap((void *)p, 2 * PAGE);
	close(got);
	return fine;
}

static void slices_of_a_slice(void)
{
	static const char *const names[] = { "slice of a slice", "read-only slice of a slice" };

	lend_ranges(64, PAGE);
	for (int i = 0; i < 2; i++) {
		const struct fault_call c = {
			.name = names[i],
			.before = cut_middle,
			.call = call_slice_again,
			.whole = whole_slice_again,
			.after = close_middle,
			.least = 5,
			.fails = 4,
		};

		read_only = i;
		fault_sweep(&c);
	}
	lend_close();
}

static void slices(void)
{
	const struct fault_call calls[] = {
		{ .name = "slice of one range", .call = call_slice,
		  .whole = whole_slice, .least = 5 },
		{ .name = "slice of 192 ranges", .call = call_slice,
		  .whole = whole_slice, .least = 5 },
	};

	lend_ranges(64, PAGE);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		cuts = i ? 192 : 1;
		fault_sweep(&calls[i]);
	}
	lend_close();
}

/* ---- CPU mappings ---- */

static int call_map(void)
{
	void *p = mmap(NULL, LENT, RW, MAP_SHARED, lent, 0);

	map = p;
	return p == MAP_FAILED ? -errno : 0;
}

static bool whole_map(int ret)
{
	bool fine = lend_shows(map, OFFSET);

	(void)ret;
	munmap((void *)map, LENT);
	return fine;
}

static volatile uint8_t *first;

/* The same through the device's own file: a buffer is made for it. */
static int call_map_bar(void)
{
	void *p = mmap(NULL, LENT, RW, MAP_SHARED, mem.fd,
		       (off_t)(mem.offset[BAR] + OFFSET));

	map = p;
	return p == MAP_FAILED ? -errno : 0;
}

static void map_of_the_bar(void)
{
	const struct fault_call c = {
		.name = "mmap of the BAR", .call = call_map_bar,
		.whole = whole_map, .least = 8, .fails = 6,
	};

	fault_sweep(&c);
}

static void lend_and_map(void)
{
	lend();
	if (call_map() || !lend_shows(map, OFFSET))
		tap_bail("no mapping to begin with");
}

static void unmap_and_close(void)
{
	munmap((void *)map, LENT);
	lend_close();
}

/* With many windows a tree has to grow for one more, and to shrink. */
static int crowd[CROWD];

static void crowd_in(void)
{
	for (int i = 0; i < CROWD; i++) {
		void *p;

		crowd[i] = buf_export1(&mem, BAR, OFFSET, PAGE);
		p = buf_map(crowd[i], 0, PAGE, RW);
		if (!p)
			tap_bail("no crowd: %s", strerror(errno));
		munmap(p, PAGE);
	}
}

static void crowd_out(void)
{
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
}

static void lend_and_map_first(void)
{
	lend_and_map();
	first = map;
}

static void unmap_first_and_close(void)
{
	munmap((void *)first, LENT);
	lend_close();
}

/* Splits the mapping in two, which may fail half way. */
static int call_split(void)
{
	return munmap((void *)(map + PAGE), PAGE) ? -errno : 0;
}

static int call_protect(void)
{
	return mprotect((void *)(map + PAGE), PAGE, PROT_READ) ? -errno : 0;
}

/* Still whole at both ends; and made one again. */
static bool whole_split(int ret)
{
	struct barter_info info;
	bool fine;

	(void)ret;
	fine = lend_shows(map, OFFSET) && lend_shows(map + 3 * PAGE, OFFSET + 3 * PAGE) &&
		!buf_info(lent, &info) && info.out_mmaps >= 2;
	return fine && mmap((void *)map, LENT, RW, MAP_SHARED | MAP_FIXED,
			    lent, 0) == map;
}

static int call_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? -errno : pid;
}

static bool whole_fork(int pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && !status;
}

static void mmaps(void)
{
	const struct fault_call calls[] = {
		{ .name = "first mmap", .before = lend, .call = call_map,
		  .whole = whole_map, .after = lend_close, .least = 2,
		  .moves = true },
		{ .name = "second mmap", .before = lend_and_map_first,
		  .call = call_map, .whole = whole_map,
		  .after = unmap_first_and_close, .least = 1, .moves = true },
		{ .name = "munmap of the middle", .before = lend_and_map,
		  .call = call_split, .whole = whole_split,
		  .after = unmap_and_close, .least = 1, .moves = true,
		  .splits = true },
		{ .name = "mprotect of the middle", .before = lend_and_map,
		  .call = call_protect, .whole = whole_split,
		  .after = unmap_and_close, .least = 1, .moves = true,
		  .splits = true },
		{ .name = "fork", .before = lend_and_map, .call = call_fork,
		  .whole = whole_fork, .after = unmap_and_close, .least = 20,
		  .errnos = { EAGAIN }, .moves = true, .sparse = true },
	};

	crowd_in();
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	crowd_out();
}

static int call_close(void)
{
	int ret = close(lent);

	return ret ? -errno : 0;
}

/* The window of page offsets is given back, which needs memory. */
static void lend_window(void)
{
	lend_and_map();
	munmap((void *)map, LENT);
}

static bool whole_close(int ret)
{
	(void)ret;
	lend_window();
	return true;
}

static void closing(void)
{
	const struct fault_call c = {
		.name = "close of a buffer that was mapped",
		.before = lend_window,
		.call = call_close,
		.whole = whole_close,
		.after = lend_close,
		.none = true,
		.moves = true,
	};

	crowd_in();
	fault_sweep(&c);
	crowd_out();
}

int main(void)
{
	lend_begin();
	CASE_LIMIT(export_one_range, 60);
	CASE_LIMIT(export_many_ranges, 120);
	CASE_LIMIT(export_huge_tables, 240);
	CASE_LIMIT(probes, 60);
	CASE_LIMIT(questions, 60);
	CASE_LIMIT(slices, 60);
	CASE_LIMIT(slices_of_a_slice, 60);
	CASE_LIMIT(watches, 60);
	CASE_LIMIT(mmaps, 120);
	CASE_LIMIT(map_of_the_bar, 60);
	CASE_LIMIT(closing, 60);
	feature_cases();
	page_fault_cases();
	device_cases();
	gone_cases();
	return lend_end();
}
