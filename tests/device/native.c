// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Two kinds of buffers from one device: barter's, and those of the kernel's own
 * exporter where it has one. What feature 11 gives is told by a parameter; each
 * kind can be had by a number of its own whatever it says.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/iommufd.h"
#include "lib/native.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"

#define BAR	2
#define GET	VFIO_DEVICE_FEATURE_GET
#define SET	VFIO_DEVICE_FEATURE_SET
#define PROBE	VFIO_DEVICE_FEATURE_PROBE
#define TOP	(-(uint64_t)PAGE)	/* the last page of 64 bits */

static struct dev mem;
static char mem_bdf[BDF_LENGTH], other_bdf[BDF_LENGTH];
static bool has_native, has_iommufd;

static bool feature11_is(const char *text)
{
	char now[80];

	feature11_read(now, sizeof(now));
	if (strcmp(now, text))
		diag("feature11 is \"%s\"", now);
	return !strcmp(now, text);
}

static void auto_is_the_default(void)
{
	ok(feature11_is(has_native ? "[auto] barter native" : "[auto] barter"),
	   "auto, and native is offered where the kernel has it");
}

static void other_words_are_refused(void)
{
	static const char *const words[] = {
		"\n", "no", "Auto", "auto barter", "[auto]", "nativ",
		"natives", "11", "native,barter",
	};
	struct log log;

	log_open(&log);
	for (unsigned int i = 0; i < sizeof(words) / sizeof(*words); i++)
		is_errno(feature11_write(words[i]), EINVAL, "word %u", i);
	ok(log_wait(&log, "feature11", "expected auto, barter or native",
		    5000), "the log says what is expected");
	if (!has_native) {
		is_errno(feature11_write("native"), EOPNOTSUPP,
			 "native, which this kernel has not");
		ok(log_wait(&log, "feature11", "no exporter of its own", 5000),
		   "the log says so");
	}
	log_close(&log);
	ok(feature11_is(has_native ? "[auto] barter native" : "[auto] barter"),
	   "nothing was changed");
	is_errno(feature11_write("barter\n"), 0, "barter");
	ok(feature11_is(has_native ? "auto [barter] native" : "auto [barter]"),
	   "is in force");
	is_errno(feature11_write("auto"), 0, "auto");
}

static int load(const char *value)
{
	char command[100];

	snprintf(command, sizeof(command),
		 "modprobe barter-vfio-pci %s 2>/dev/null", value);
	return system(command);
}

static void at_load_time(void)
{
	int ret = (int)syscall(SYS_delete_module, "barter_vfio_pci",
			       O_NONBLOCK);

	need(!ret, "the module can be unloaded");
	ok(load("feature11=nonsense"), "loading with nonsense fails");
	if (has_native) {
		is(load("feature11=native"), 0, "loading with native");
		ok(feature11_is("auto barter [native]"), "is in force");
	} else {
		ok(load("feature11=native"), "loading with native fails");
		is(load("feature11=barter"), 0, "loading with barter");
		ok(feature11_is("auto [barter]"), "is in force");
	}
	ret = (int)syscall(SYS_delete_module, "barter_vfio_pci", O_NONBLOCK);
	is(ret, 0, "unloaded again");
	is(load(""), 0, "loaded as it was");
}

/* -errno, or 0 for barter's, 1 for the kernel's, 2 for anything else. */
static int take(int fd)
{
	int kind;

	if (fd < 0)
		return fd;
	kind = !strcmp(exporter_of(fd), BARTERS) ? 0 :
	       !strcmp(exporter_of(fd), NATIVE) ? 1 : 2;
	close(fd);
	return kind;
}

static const struct vfio_region_dma_range two[] = {
	{ 4 * PAGE, PAGE }, { 0, 2 * PAGE },
};

/* Feature 11 and barter's two numbers, in one mode. */
static void in_mode(const char *mode, int one_range, int two_ranges)
{
	is_errno(feature11_write(mode), 0, "feature11=%s", mode);
	is(take(buf_export1(&mem, BAR, 0, PAGE)), one_range,
	   "%s: feature 11, one range", mode);
	is(take(buf_export(&mem, BAR, two, 2)), two_ranges,
	   "%s: feature 11, two ranges", mode);
	is(take(own_export(&mem, BAR, two, 1)), 0,
	   "%s: barter's number, one range", mode);
	is(take(own_export(&mem, BAR, two, 2)), 0,
	   "%s: barter's number, two ranges", mode);
	is(take(native_export(&mem, BARTER_FEATURE_NATIVE, BAR, 0, PAGE)),
	   has_native ? 1 : -EOPNOTSUPP, "%s: the native number", mode);
}

static void what_each_mode_gives(void)
{
	in_mode("auto", has_native && has_iommufd, 0);
	in_mode("barter", 0, 0);
	if (has_native)
		in_mode("native", 1, 1);
	feature11_write("auto");
}

static int probe(uint32_t flags)
{
	struct vfio_device_feature h = {
		.argsz = sizeof(h), .flags = flags,
	};

	return ioctl(mem.fd, VFIO_DEVICE_FEATURE, &h) < 0 ? -errno : 0;
}

static void probes(void)
{
	int fds = count_fds(), no_native = has_native ? 0 : EOPNOTSUPP;

	is_errno(probe(PROBE | GET | BARTER_FEATURE_EXPORT), 0,
		 "barter's number");
	is_errno(probe(PROBE | SET | BARTER_FEATURE_EXPORT), EINVAL,
		 "barter's number cannot be set");
	is_errno(probe(PROBE | GET | BARTER_FEATURE_NATIVE), no_native,
		 "the native number");
	is_errno(probe(PROBE | GET | VFIO_DEVICE_FEATURE_DMA_BUF), 0,
		 "feature 11");
	is_errno(probe(PROBE | GET | (BARTER_FEATURE_EXPORT - 1)), ENOTTY,
		 "the number before");
	is_errno(probe(PROBE | GET | (BARTER_FEATURE_MEMATTR + 1)), ENOTTY,
		 "the number behind");
	is(count_fds(), fds, "no file was opened");
}

struct own {
	struct vfio_device_feature h;
	struct barter_feature_export r;
	uint8_t tail[2 * PAGE];
};

static const struct vfio_region_dma_range one = { 0, PAGE };

static void own_reset(struct own *own)
{
	memset(own, 0, sizeof(*own));
	own->h.argsz = sizeof(own->h) + sizeof(own->r);
	own->h.flags = GET | BARTER_FEATURE_EXPORT;
	own->r.size = sizeof(own->r);
	own->r.region_index = BAR;
	own->r.open_flags = O_RDWR | O_CLOEXEC;
	own->r.nr_ranges = 1;
	own->r.ranges = (uintptr_t)&one;
}

#define TRY(want, what, ...)						\
	do {								\
		own_reset(own);						\
		__VA_ARGS__;						\
		fd = ioctl(mem.fd, VFIO_DEVICE_FEATURE, own);		\
		is_errno(fd < 0 ? -errno : 0, want, what);		\
		if (fd >= 0)						\
			close(fd);					\
	} while (0)

static void barters_number(void)
{
	static const struct vfio_region_dma_range odd = { 1, PAGE },
		empty = { 0, 0 }, outside = { 1ull << 40, PAGE },
		wraps = { TOP, 2 * PAGE };
	struct own *own = calloc(1, sizeof(*own));
	int fd;

	TRY(0, "as it should be", (void)0);
	TRY(EINVAL, "argsz without a body", own->h.argsz = sizeof(own->h));
	TRY(EINVAL, "argsz one too small", own->h.argsz--);
	TRY(0, "argsz larger", own->h.argsz = sizeof(*own));
	TRY(0, "size of the first release",
	    own->r.size = offsetof(struct barter_feature_export, memattr));
	TRY(EINVAL, "size one too small",
	    own->r.size = offsetof(struct barter_feature_export, memattr) - 1);
	TRY(EINVAL, "size 0", own->r.size = 0);
	TRY(EINVAL, "size beyond argsz", own->r.size += 8);
	TRY(0, "size larger, zeros", own->h.argsz = sizeof(*own);
	    own->r.size += 8);
	TRY(E2BIG, "size larger, not zeros", own->h.argsz = sizeof(*own);
	    own->r.size += 8; own->tail[7] = 1);
	TRY(0, "size of a page", own->h.argsz = sizeof(*own);
	    own->r.size = PAGE);
	TRY(E2BIG, "size beyond a page", own->h.argsz = sizeof(*own);
	    own->r.size = PAGE + 8);
	TRY(EINVAL, "read-only, but the fd is not",
	    own->r.flags = BARTER_EXPORT_READ_ONLY);
	TRY(EINVAL, "flags", own->r.flags = 1u << 30);
	TRY(EINVAL, "reserved", own->r.__reserved = 1);
	TRY(ENODEV, "BAR 6", own->r.region_index = 6);
	TRY(ENODEV, "a BAR that is not there", own->r.region_index = 1);
	TRY(EINVAL, "open_flags", own->r.open_flags |= O_APPEND);
	TRY(EINVAL, "no range", own->r.nr_ranges = 0);
	TRY(E2BIG, "too many ranges",
	    own->r.nr_ranges = BARTER_MAX_RANGES + 1);
	TRY(EFAULT, "ranges nowhere", own->r.ranges = 8);
	TRY(EFAULT, "ranges beyond 64 bits", own->r.ranges = ~0ull);
	TRY(EINVAL, "misaligned", own->r.ranges = (uintptr_t)&odd);
	TRY(EINVAL, "length 0", own->r.ranges = (uintptr_t)&empty);
	TRY(EINVAL, "outside", own->r.ranges = (uintptr_t)&outside);
	TRY(EOVERFLOW, "wraps", own->r.ranges = (uintptr_t)&wraps);
	free(own);
}

/* What a program written for the kernel's own driver may ask. */
static const struct question {
	const char *what;
	int bar;
	uint32_t open_flags, flags, nr;
	struct vfio_region_dma_range ranges[5];
} questions[] = {
	{ "a page", BAR, O_RDWR, 0, 1, { { 0, PAGE } } },
	{ "read-only", BAR, O_RDONLY | O_CLOEXEC, 0, 1, { { PAGE, MIB } } },
	{ "all of it", BAR, O_RDWR, 0, 1, { { 0, 16 * MIB } } },
	{ "two ranges", BAR, O_RDWR, 0, 2, { { MIB, PAGE }, { 0, PAGE } } },
	{ "five times the BAR", BAR, O_RDWR, 0, 5, {
		{ 0, 16 * MIB }, { 0, 16 * MIB }, { 0, 16 * MIB },
		{ 0, 16 * MIB }, { 0, 16 * MIB } } },
	{ "no range", BAR, O_RDWR, 0, 0, { { 0, 0 } } },
	{ "flags", BAR, O_RDWR, 1, 1, { { 0, PAGE } } },
	{ "open_flags", BAR, O_RDWR | O_APPEND, 0, 1, { { 0, PAGE } } },
	{ "misaligned", BAR, O_RDWR, 0, 1, { { 1, PAGE } } },
	{ "length 0", BAR, O_RDWR, 0, 1, { { 0, 0 } } },
	{ "beyond the end", BAR, O_RDWR, 0, 1, { { 16 * MIB, PAGE } } },
	{ "across the end", BAR, O_RDWR, 0, 1, { { 8 * MIB, 16 * MIB } } },
	{ "wraps", BAR, O_RDWR, 0, 1, { { TOP, 2 * PAGE } } },
	{ "no such BAR", 1, O_RDWR, 0, 1, { { 0, PAGE } } },
	{ "BAR 6", 6, O_RDWR, 0, 1, { { 0, PAGE } } },
};

#define QUESTIONS (sizeof(questions) / sizeof(*questions))

static void ask_all(const struct dev *d, int answers[QUESTIONS])
{
	for (unsigned int i = 0; i < QUESTIONS; i++) {
		const struct question *q = &questions[i];
		struct export *e = export_new(q->bar, q->ranges, q->nr);

		e->r.open_flags = q->open_flags;
		e->r.flags = q->flags;
		answers[i] = take(export_call(d, e));
		free(e);
	}
}

/* Nothing is lost for a program that knows nothing of barter. */
static void native_answers_as_stock(void)
{
	int stock[QUESTIONS], native[QUESTIONS], automatic[QUESTIONS];
	struct dev d;

	if (!has_native) {
		skip("the kernel has no exporter of its own", "native buffers");
		return;
	}
	need(!pci_bind(other_bdf, "vfio-pci") &&
	     !dev_open_bound(&d, other_bdf) && !dev_set_memory(&d, true),
	     "a device on stock vfio-pci");
	ask_all(&d, stock);
	dev_close(&d);
	need(!dev_open(&d, other_bdf), "the same on the lender");
	feature11_write("native");
	ask_all(&d, native);
	feature11_write("auto");
	ask_all(&d, automatic);
	dev_close(&d);
	for (unsigned int i = 0; i < QUESTIONS; i++) {
		const struct question *q = &questions[i];

		is(native[i], stock[i], "native: %s", q->what);
		if (has_iommufd && q->nr == 1)
			is(automatic[i], stock[i], "auto: %s", q->what);
	}
	is(stock[0], 1, "the first gave a buffer of the kernel's");
}

static int own1(uint64_t offset, uint64_t n)
{
	struct vfio_region_dma_range range = { offset, n };

	return own_export(&mem, BAR, &range, 1);
}

static void revoked_together(const char *cause, int (*off)(const struct dev *),
			     int (*on)(const struct dev *))
{
	int own = own1(0, PAGE), native, t = tester_open(), a, b;
	volatile uint8_t *map = buf_map(own, 0, PAGE, PROT_READ | PROT_WRITE);
	uint64_t told[2];
	uint32_t v;

	native = native_export(&mem, BARTER_FEATURE_NATIVE, BAR, 0, 2 * PAGE);
	a = tester_attach(t, own, 0);
	b = tester_attach(t, native, 0);
	need(map && a >= 0 && b >= 0, "%s: one importer for each", cause);
	is_errno(tester_map(t, a, 0, NULL), 0, "%s: barter's is mapped", cause);
	if (may_map_native())
		is_errno(tester_map(t, b, 0, NULL), 0,
			 "%s: the native one is mapped", cause);
	told[0] = tester_stat(t, a).out_invalidates;
	told[1] = tester_stat(t, b).out_invalidates;

	is_errno(off(&mem), 0, "%s", cause);
	ok(tester_stat(t, a).out_invalidates > told[0] &&
	   tester_stat(t, b).out_invalidates > told[1],
	   "%s: both importers were told", cause);
	ok(!tester_stat(t, a).out_mapped && !tester_stat(t, b).out_mapped,
	   "%s: neither has a mapping", cause);
	if (on) {
		is(buf_state(own), BARTER_STATE_REVOKED, "%s: REVOKED", cause);
		is(peek(map, &v), SIGBUS, "%s: access", cause);
		is_errno(tester_map(t, a, 0, NULL), ENODEV,
			 "%s: map of barter's", cause);
		is_errno(tester_map(t, b, 0, NULL), ENODEV,
			 "%s: map of the native one", cause);
		is_errno(on(&mem), 0, "%s: restore", cause);
	}
	is(buf_state(own), BARTER_STATE_OK, "%s: OK again", cause);
	is(peek(map, &v), 0, "%s: access works again", cause);
	is_errno(tester_map(t, a, 0, NULL), 0, "%s: map of barter's works",
		 cause);
	if (may_map_native())
		is_errno(tester_map(t, b, 0, NULL), 0,
			 "%s: map of the native one works", cause);
	close(t);
	munmap((void *)map, PAGE);
	close(native);
	close(own);
}

static int memory_off(const struct dev *d)
{
	return dev_set_memory(d, false);
}

static int memory_on(const struct dev *d)
{
	return dev_set_memory(d, true);
}

static void both_kinds_side_by_side(void)
{
	int own, native, t, a, b;

	if (!has_native) {
		skip("the kernel has no exporter of its own", "native buffers");
		return;
	}
	revoked_together("memory off", memory_off, memory_on);
	revoked_together("VFIO_DEVICE_RESET", dev_reset, NULL);

	/* One of each again, for the last close. */
	own = own1(0, PAGE);
	native = native_export(&mem, BARTER_FEATURE_NATIVE, BAR, 0, PAGE);
	is_errno(buf_state(native), EINVAL, "/dev/barter knows no native one");
	is(buf_count(mem.bdf), 1, "debugfs neither");
	t = tester_open();
	a = tester_attach(t, own, 0);
	b = tester_attach(t, native, 0);
	need(a >= 0 && b >= 0, "attached to both");
	dev_close(&mem);
	is(buf_state(own), BARTER_STATE_DEAD, "close: DEAD");
	is_errno(tester_map(t, a, 0, NULL), EBADFD, "close: map of barter's");
	is_errno(tester_map(t, b, 0, NULL), ENODEV,
		 "close: map of the native one");
	need(!dev_open(&mem, mem_bdf), "opened again");
	is_errno(tester_map(t, a, 0, NULL), EBADFD, "barter's stays dead");
	is_errno(tester_map(t, b, 0, NULL), ENODEV, "the native one too");
	close(t);
	close(native);
	close(own);
}

/*
 * A reset through sysfs comes by the kernel's own way, on which vfio-pci-core does
 * not revoke: its importers keep their mappings there, as they do under stock
 * vfio-pci. Barter's are told as ever.
 */
static void a_sysfs_reset_passes_native_ones_by(void)
{
	int own, native, t, a, b;
	uint64_t told[2];

	if (!has_native) {
		skip("the kernel has no exporter of its own", "native buffers");
		return;
	}
	own = own1(0, PAGE);
	native = native_export(&mem, BARTER_FEATURE_NATIVE, BAR, 0, PAGE);
	t = tester_open();
	a = tester_attach(t, own, 0);
	b = tester_attach(t, native, 0);
	need(a >= 0 && b >= 0, "one importer for each");
	is_errno(tester_map(t, a, 0, NULL), 0, "barter's is mapped");
	if (may_map_native())
		is_errno(tester_map(t, b, 0, NULL), 0, "the native one is mapped");
	told[0] = tester_stat(t, a).out_invalidates;
	told[1] = tester_stat(t, b).out_invalidates;
	is_errno(pci_reset(mem_bdf), 0, "sysfs reset");
	ok(tester_stat(t, a).out_invalidates > told[0], "barter's was told");
	is(tester_stat(t, a).out_mapped, 0, "and has no mapping");
	is(buf_state(own), BARTER_STATE_OK, "OK again");
	is(tester_stat(t, b).out_invalidates, told[1], "the native one was not");
	is(tester_stat(t, b).out_mapped, may_map_native(), "and is as before");
	/* What core does itself reaches it as ever. */
	is_errno(dev_reset(&mem), 0, "VFIO_DEVICE_RESET");
	ok(tester_stat(t, b).out_invalidates > told[1], "now it was told");
	is(tester_stat(t, b).out_mapped, 0, "and has no mapping");
	is_errno(tester_map(t, a, 0, NULL), 0, "barter's is mapped again");
	close(t);
	close(native);
	close(own);
}

int main(void)
{
	if (getenv("VM_VRAM0"))
		snprintf(mem_bdf, BDF_LENGTH, "%.15s", getenv("VM_VRAM0"));
	else if (pci_find(PCI_IVSHMEM, 0, mem_bdf))
		tap_bail("this machine has no ivshmem");
	if (getenv("VM_VRAM1"))
		snprintf(other_bdf, BDF_LENGTH, "%.15s", getenv("VM_VRAM1"));
	else if (pci_find(PCI_IVSHMEM, 1, other_bdf))
		tap_bail("this machine has no second ivshmem");
	has_native = kernel_exports(other_bdf);
	has_iommufd = iommufd_there();
	diag("the kernel's own exporter: %s; iommufd: %s",
	     has_native ? "yes" : "no", has_iommufd ? "yes" : "no");

	CASE(auto_is_the_default);
	CASE(other_words_are_refused);
	CASE(at_load_time);
	if (dev_open(&mem, mem_bdf))
		tap_bail("%s cannot be opened", mem_bdf);
	CASE(what_each_mode_gives);
	CASE(probes);
	CASE(barters_number);
	CASE(native_answers_as_stock);
	CASE(a_sysfs_reset_passes_native_ones_by);
	CASE(both_kinds_side_by_side);
	feature11_write("auto");
	return tap_done();
}
