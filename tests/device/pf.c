// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample PF: it shows what its VF was given, from the right bytes of its own
 * memory, and nothing else. For machine vram. Revokes are in pf_revoke.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/host.h"
#include "lib/pf.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define LENGTH(array)	(sizeof(array) / sizeof(*(array)))
#define BIG		0xffffffffffffffffull

static void binds_only_when_told_to(void)
{
	char driver[64], path[96];
	struct stat st;

	pci_driver(pf_bdf, driver, sizeof(driver));
	ok(!strcmp(driver, PF_DRIVER), "the PF's driver: %s", driver);
	is_errno(sysfs_write(other_bdf, "/sys/bus/pci/drivers/" PF_DRIVER "/bind"),
		 ENODEV, "not without driver_override");
	snprintf(path, sizeof(path), "/dev/barter-pf-%s", pf_bdf);
	need(!stat(path, &st), "%s is there", path);
	is(st.st_mode & 07777, 0600, "for root");
	is(!stat("/sys/module/barter_pf/parameters/vfs", &st) ? st.st_mode & 07777 : 0,
	   0600, "so is the parameter");
}

static void nothing_set(void)
{
	struct barter_pf_status s = pf_status(pf);
	struct barter_pf_frame frame;

	is(s.out_state, BARTER_PF_NONE, "state");
	is(s.out_width, 0, "no width");
	is_errno(pf_frame(pf, bright, &frame), ENODATA, "frame");
	is_errno(pf_clear(pf), 0, "clear");
	is(pf_status(pf).out_generation, s.out_generation, "which changes nothing");
}

/* In every format, what the VF's BAR was given is what is shown. */
static void shows_what_the_bar_got(void)
{
	int fd = pieces_export(&mem);
	struct barter_pf_status before = pf_status(pf), s;
	struct barter_info info;

	need(fd >= 0, "export");
	for (unsigned int i = 0; i < PICTURES; i++) {
		struct barter_pf_set set = picture(i, fd);

		is_errno(pf_show(i, fd, 11 + i), 0, "%s: set", picture_names[i]);
		is(pf_looks(pf), BARTER_PF_LIVE, "%s: shown", picture_names[i]);
		s = pf_status(pf);
		is(s.out_state, BARTER_PF_LIVE, "%s: status", picture_names[i]);
		ok(s.out_format == set.format && s.out_width == set.width &&
		   s.out_height == set.height, "%s: format and size",
		   picture_names[i]);
		/* The VF draws on: no new call is needed. */
		fill(bar, 77 + i, 0, bar_length);
		expect_picture(&set, bright);
		is(pf_looks(pf), BARTER_PF_LIVE, "%s: drawn anew", picture_names[i]);
	}
	is(s.out_maps - before.out_maps, PICTURES, "one map for each");
	is(s.out_frames - before.out_frames, 2 * PICTURES - 1,
	   "frames before the last");
	is(s.out_dark_frames, before.out_dark_frames, "none black");
	is(s.out_invalidates, 0, "nothing was taken back");

	is_errno(buf_info(fd, &info), 0, "info");
	is(info.out_faults_pte + info.out_faults_pmd + info.out_faults_pud, 0,
	   "no page fault in the buffer");
	is(info.out_mmaps, 0, "no mapping of it");
	is(info.out_attachments, 1, "one importer");
	is(info.out_maps, 1, "one map");
	close(fd);
}

/* Does the host have the VF's bytes where a piece begins, and where it ends? */
static bool host_has(const struct barter_range *at,
		     const struct vfio_region_dma_range *piece)
{
	static uint8_t seen[256];
	const uint64_t last = piece->length - sizeof(seen);

	return !host_read(at->offset, seen, sizeof(seen)) &&
		differs(seen, 21, piece->offset, sizeof(seen)) < 0 &&
		!host_read(at->offset + last, seen, sizeof(seen)) &&
		differs(seen, 21, piece->offset + last, sizeof(seen)) < 0;
}

/* The addresses are those in the PF's memory that the VF wrote to. */
static void knows_where_the_pieces_are(void)
{
	struct barter_range at[PIECES + 4];
	struct barter_pf_status s = {
		.size = sizeof(s), .pieces = (uintptr_t)at, .nr_pieces = PIECES + 4,
	};
	int fd = pieces_export(&mem), same = 0, there = 0;

	is_errno(pf_show(0, fd, 21), 0, "set");
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, &s), 0, "status");
	is(s.out_nr_pieces, PIECES, "pieces");
	for (int i = 0; i < PIECES; i++) {
		same += at[i].offset == vf_offset + pieces[i].offset &&
			at[i].length == pieces[i].length;
		there += host_has(&at[i], &pieces[i]);
	}
	is(same, PIECES, "the VF's part, plus the offset in its BAR");
	is(there, PIECES, "there the host has what the VF wrote");

	at[2].offset = 7;
	s.nr_pieces = 2;
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, &s), 0, "with little room");
	ok(s.out_nr_pieces == PIECES && at[2].offset == 7,
	   "all are counted, two are told");
	s.pieces = 8;
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, &s), EFAULT, "a bad pointer");
	s.nr_pieces = 0xffffffff;
	s.pieces = (uintptr_t)at;
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, &s), 0, "much room");
	close(fd);
}

/* Frames do not go by the VF's BAR: it need not even answer. */
static void reads_its_own_memory(void)
{
	int fd = pieces_export(&mem);
	uint32_t v;

	is_errno(pf_show(0, fd, 31), 0, "set");
	is_errno(pci_raw_set_memory(vf_bdf, false), 0,
		 "turn the VF's decoding off behind VFIO's back");
	ok(!peek(bar, &v) && v != pattern(31, 0), "its BAR does not answer");
	is(pf_looks(pf), BARTER_PF_LIVE, "the picture is shown");
	is_errno(pci_raw_set_memory(vf_bdf, true), 0, "turn it on");
	close(fd);
}

/* Who may know where the pieces are. */
static int as_nobody(void *arg)
{
	struct barter_range at;
	struct barter_pf_status s = { .size = sizeof(s) };
	int ret;

	(void)arg;
	if (setgid(65534) || setuid(65534))
		return 1;
	if (pf_call(pf, BARTER_PF_IOC_STATUS, &s))
		return 2;
	s.pieces = (uintptr_t)&at;
	s.nr_pieces = 1;
	ret = pf_call(pf, BARTER_PF_IOC_STATUS, &s);
	return ret == -EPERM ? 0 : 3;
}

static void pieces_are_for_root(void)
{
	is(in_child(as_nobody, NULL, 10000), 0, "nobody gets the status, not the pieces");
}

/* The picture holds the buffer, whoever closes what. */
static void outlives_the_files(void)
{
	int fd = pieces_export(&mem), again;
	bool gone;

	is_errno(pf_show(1, fd, 41), 0, "set");
	close(fd);
	is(pf_looks(pf), BARTER_PF_LIVE, "the buffer's fd is closed: shown");
	close(pf);
	pf = pf_open(pf_bdf);
	need(pf >= 0, "open the PF anew");
	is(pf_looks(pf), BARTER_PF_LIVE, "the PF's file was closed: shown");
	is(buf_count(mem.bdf), 1, "one buffer is left");
	again = pieces_export(&mem);
	is_errno(pf_show(0, again, 42), 0, "another takes its place");
	WAIT_FOR(gone, buf_count(mem.bdf) == 1, 5000);
	ok(gone, "the first is gone");
	is_errno(pf_show(1, again, 43), 0, "the same buffer, another picture");
	is(pf_looks(pf), BARTER_PF_LIVE, "shown");
	close(again);
	is_errno(pf_clear(pf), 0, "clear");
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "both are gone");
}

/* ---- what is no picture ---- */

struct wrong {
	const char *name;
	uint32_t format, width, height;
	struct barter_pf_plane planes[2];
	int error;
};

#define XR	BARTER_PF_XRGB8888
#define RG	BARTER_PF_RGB565
#define NV	BARTER_PF_NV12
#define SIDE	BARTER_PF_MAX_SIDE
#define ALL	PIECES_LENGTH

static const struct wrong wrongs[] = {
	{ "unknown format", 0x34325241, 8, 8, { { 0, 32, 0 } }, EOPNOTSUPP },
	{ "no format", 0, 8, 8, { { 0, 32, 0 } }, EOPNOTSUPP },
	{ "no width", XR, 0, 8, { { 0, 32, 0 } }, EINVAL },
	{ "no height", XR, 8, 0, { { 0, 32, 0 } }, EINVAL },
	{ "no height, NV12", NV, 8, 0, { { 0, 8, 0 }, { 0, 8, 0 } }, EINVAL },
	{ "too wide", RG, SIDE + 1, 1, { { 0, 16384, 0 } }, EINVAL },
	{ "too high", RG, 1, SIDE + 1, { { 0, 2, 0 } }, EINVAL },
	{ "much too wide", XR, 0x40000001, 1, { { 0, 8, 0 } }, EINVAL },
	{ "much too high", XR, 1, 0xffffffff, { { 0, 8, 0 } }, EINVAL },
	{ "stride short by one", XR, 8, 8, { { 0, 31, 0 } }, EINVAL },
	{ "no stride", XR, 8, 1, { { 0, 0, 0 } }, EINVAL },
	{ "NV12, odd width", NV, 9, 8, { { 0, 16, 0 }, { 0, 16, 0 } }, EINVAL },
	{ "NV12, odd height", NV, 8, 9, { { 0, 16, 0 }, { 0, 16, 0 } }, EINVAL },
	{ "NV12, no second plane", NV, 8, 8, { { 0, 8, 0 } }, EINVAL },
	{ "NV12, second stride short", NV, 8, 8, { { 0, 8, 0 }, { 64, 7, 0 } }, EINVAL },
	{ "a stride too many", XR, 8, 8, { { 0, 32, 0 }, { 0, 32, 0 } }, EINVAL },
	{ "an offset too many", XR, 8, 8, { { 0, 32, 0 }, { 1, 0, 0 } }, EINVAL },
	{ "reserved", XR, 8, 8, { { 0, 32, 1 } }, EINVAL },
	{ "reserved, second", NV, 8, 8, { { 0, 8, 0 }, { 64, 8, 1 } }, EINVAL },
	{ "reserved, unused", XR, 8, 8, { { 0, 32, 0 }, { 0, 0, 1 } }, EINVAL },
	{ "one byte beyond", XR, 8, 8, { { ALL - 255, 32, 0 } }, ERANGE },
	{ "one byte beyond, wide stride", XR, 8, 2, { { ALL - 131, 100, 0 } }, ERANGE },
	{ "a row too many", XR, 4, 257, { { 0, 656, 0 } }, ERANGE },
	{ "begins at the end", RG, 1, 1, { { ALL, 2, 0 } }, ERANGE },
	{ "begins beyond", RG, 1, 1, { { ALL + PAGE, 2, 0 } }, ERANGE },
	{ "offset overflows", XR, 8, 8, { { BIG - 31, 32, 0 } }, ERANGE },
	{ "offset overflows by rows", XR, 8, 8, { { BIG - 254, 32, 0 } }, ERANGE },
	{ "largest offset", XR, 8, 8, { { BIG, 32, 0 } }, ERANGE },
	{ "stride beyond 32 bits in sum", RG, 1, SIDE, { { 0, 0x100000, 0 } }, ERANGE },
	{ "largest stride", RG, 1, 2, { { 0, 0xffffffff, 0 } }, ERANGE },
	{ "NV12, second one byte beyond", NV, 8, 8, { { 0, 8, 0 }, { ALL - 31, 8, 0 } }, ERANGE },
	{ "NV12, second overflows", NV, 8, 8, { { 0, 8, 0 }, { BIG - 7, 8, 0 } }, ERANGE },
	{ "last bytes", XR, 8, 8, { { ALL - 256, 32, 0 } }, 0 },
	{ "last bytes, wide stride", XR, 8, 2, { { ALL - 132, 100, 0 } }, 0 },
	{ "one row, widest stride", XR, 8, 1, { { 0, 0xffffffff, 0 } }, 0 },
	{ "one pixel", RG, 1, 1, { { ALL - 2, 2, 0 } }, 0 },
	{ "planes on one another", NV, 8, 8, { { 5, 8, 0 }, { 5, 8, 0 } }, 0 },
};

/* What is refused leaves the picture that is shown. */
static void refuses_what_is_no_picture(void)
{
	int fd = pieces_export(&mem);
	struct barter_pf_status before;
	struct barter_pf_set set;

	is_errno(pf_show(0, fd, 51), 0, "a picture to begin with");
	before = pf_status(pf);
	for (unsigned int i = 0; i < LENGTH(wrongs); i++) {
		const struct wrong *w = &wrongs[i];

		if (!w->error && pf_status(pf).out_generation == before.out_generation)
			is(pf_looks(pf), BARTER_PF_LIVE, "all refused: shown as before");
		set = (struct barter_pf_set){
			.dmabuf_fd = fd, .format = w->format,
			.width = w->width, .height = w->height,
			.planes = { w->planes[0], w->planes[1] },
		};
		is_errno(pf_set(pf, &set), w->error, "%s", w->name);
		if (w->error)
			is(pf_status(pf).out_generation, before.out_generation,
			   "%s: nothing changed", w->name);
	}
	set = picture(0, fd);
	set.flags = 1;
	is_errno(pf_set(pf, &set), EINVAL, "a flag");
	close(fd);
}

static void as_large_as_can_be(void)
{
	int fd = buf_export1(&mem, BAR, 0, bar_length);
	struct barter_pf_set set = {
		.dmabuf_fd = fd, .format = XR, .width = 1024, .height = 2048,
		.planes = { { .stride = 4096 } },
	};
	struct barter_pf_frame frame;

	fill(bar, 61, 0, bar_length);
	is_errno(pf_set(pf, &set), 0, "a picture of all 8 MiB");
	is_errno(pf_frame(pf, bright, &frame), 0, "frame");
	is(frame.out_length, bar_length, "its length");
	is(differs(bright, 61, 0, bar_length), -1, "every byte");
	set.planes[0].offset = 1;
	is_errno(pf_set(pf, &set), ERANGE, "one byte further");
	close(fd);
}

static void frames_where_they_may_go(void)
{
	struct barter_pf_frame frame = { .size = sizeof(frame), .length = FRAME_ROOM };
	int fd = pieces_export(&mem);
	uint8_t *page;

	is_errno(pf_show(0, fd, 71), 0, "set");
	frame.user = 4096;
	is_errno(pf_call(pf, BARTER_PF_IOC_FRAME, &frame), EFAULT, "a bad pointer");
	frame.length = frame_length - 1;
	is_errno(pf_call(pf, BARTER_PF_IOC_FRAME, &frame), ENOSPC, "no room");
	ok(frame.out_length == frame_length && frame.out_width == 251,
	   "but is told how much is needed");
	frame.flags = 1;
	is_errno(pf_call(pf, BARTER_PF_IOC_FRAME, &frame), EINVAL, "a flag");
	page = mmap(NULL, FRAME_ROOM, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	frame = (struct barter_pf_frame){ .size = sizeof(frame), .length = FRAME_ROOM,
					  .user = (uintptr_t)page };
	is_errno(pf_call(pf, BARTER_PF_IOC_FRAME, &frame), EFAULT, "read-only memory");
	munmap(page, FRAME_ROOM);
	close(fd);
}

static void requests_of_other_sizes(void)
{
	static const struct { unsigned long nr; uint32_t size; } calls[] = {
		{ BARTER_PF_IOC_SET, sizeof(struct barter_pf_set) },
		{ BARTER_PF_IOC_CLEAR, sizeof(struct barter_pf_clear) },
		{ BARTER_PF_IOC_FRAME, sizeof(struct barter_pf_frame) },
		{ BARTER_PF_IOC_STATUS, sizeof(struct barter_pf_status) },
	};
	static uint32_t data[2048];

	for (unsigned int i = 0; i < LENGTH(calls); i++) {
		memset(data, 0, sizeof(data));
		data[0] = calls[i].size - 1;
		is_errno(pf_call(pf, calls[i].nr, data), EINVAL, "call %u: too small", i);
		data[0] = calls[i].size + 4;
		data[calls[i].size / 4] = 1;
		is_errno(pf_call(pf, calls[i].nr, data), E2BIG, "call %u: unknown field", i);
		data[0] = 8192;
		data[calls[i].size / 4] = 0;
		is_errno(pf_call(pf, calls[i].nr, data), E2BIG, "call %u: too large", i);
		is_errno(pf_call(pf, calls[i].nr, (void *)8), EFAULT, "call %u: nowhere", i);
	}
	data[0] = sizeof(struct barter_pf_status) + 64;
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, data), 0, "larger, with zeroes");
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS + 1, data), ENOTTY, "no such call");
}

/* ---- what is not the VF's ---- */

static int try(int fd)
{
	struct barter_pf_set set = {
		.dmabuf_fd = fd, .format = RG, .width = 4, .height = 4,
		.planes = { { .stride = 8 } },
	};

	return pf_set(pf, &set);
}

static void other_functions(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE), other, second;
	char text[160];
	struct dev vf1;

	need(!dev_open(&vf1, other_bdf), "open the other VF");
	other = buf_export1(&vf1, BAR, 0, PAGE);
	is_errno(try(other), EOPNOTSUPP, "a VF that nobody vouches for");
	snprintf(text, sizeof(text), "%s=%s,%s=%s", vf_bdf, pf_bdf, other_bdf, pf_bdf);
	is_errno(pf_pairs(text), 0, "vouch for it");
	is_errno(try(other), ENXIO, "a VF whose part is not known");
	snprintf(text, sizeof(text), "%s@8M+8M,%s@16M+8M", vf_bdf, other_bdf);
	is_errno(pf_shares(text), 0, "say where it is");
	is_errno(try(other), 0, "now it is shown");
	is(pf_status(pf).out_bus, 3, "its address is told");
	is_errno(pf_clear(pf), 0, "clear");
	close(other);
	dev_close(&vf1);
	pf_usual();

	/* It plays another PF: the pair names the first. */
	pci_unbind(other_bdf);
	need(!pci_bind(other_bdf, PF_DRIVER), "bind the other as a PF");
	second = pf_open(other_bdf);
	need(second >= 0, "open it");
	{
		struct barter_pf_set set = picture(3, fd);

		set.planes[0].offset = set.planes[1].offset = 0;
		is_errno(pf_set(second, &set), EOPNOTSUPP, "another PF");
	}
	close(second);
	is_errno(pci_unbind(other_bdf), 0, "unbind it");
	is_errno(pf_pairs("\n"), 0, "vouch for nothing");
	is_errno(try(fd), EOPNOTSUPP, "not vouched for any more");
	pf_usual();
	is_errno(try(fd), 0, "vouched for again");
	is_errno(pf_shares("\n"), 0, "no part is known");
	is_errno(try(fd), ENXIO, "its part is not known");
	is(pf_status(pf).out_state, BARTER_PF_LIVE, "the picture from before stays");
	pf_usual();
	close(fd);
}

/* Any function may be vouched for: this one's memory is BAR 0. */
static void other_bars(void)
{
	const char *edu = getenv("VM_EDU");
	char text[160];
	int e, fd;

	need(edu, "there is an edu");
	e = exporter_of_bdf(edu, NULL, 0);
	need(e >= 0, "it lends");
	fd = exporter_lend1(e, 0, 0, PAGE);
	need(fd >= 0, "a page of its BAR 0");
	is_errno(try(fd), EOPNOTSUPP, "nobody vouches for it");
	snprintf(text, sizeof(text), "%s=%s", edu, pf_bdf);
	is_errno(pf_pairs(text), 0, "vouch for it");
	snprintf(text, sizeof(text), "%s@0+4K", edu);
	is_errno(pf_shares(text), 0, "and say where its memory is");
	is_errno(try(fd), ENXIO, "another BAR than the VF's memory");
	close(fd);
	close(e);
	pf_usual();
}

static void overlaps(void)
{
	static const struct {
		const char *first, *second;
		int error;
	} cases[] = {
		{ "8M+8M", "16M+8M", 0 },
		{ "16M+8M", "8M+8M", 0 },
		{ "8M+8M", "16777215+8M", EADDRINUSE },
		{ "8M+8M", "0+8388609", EADDRINUSE },
		{ "8M+8M", "9M+1", EADDRINUSE },
		{ "9M+1", "8M+8M", EADDRINUSE },
		{ "8M+8M", "8M+8M", EADDRINUSE },
		{ "0xfffffffffffff000+4095", "0+4K", 0 },
	};
	const char *allow = "/sys/module/barter_pf/parameters/vfs_overlap";
	char text[160];

	for (int allowed = 0; allowed < 2; allowed++) {
		is_errno(sysfs_write(allowed ? "1" : "0", allow), 0,
			 "they may%s overlap", allowed ? "" : " not");
		for (unsigned int i = 0; i < LENGTH(cases); i++) {
			snprintf(text, sizeof(text), "%s@%s,%s@%s", vf_bdf,
				 cases[i].first, other_bdf, cases[i].second);
			is_errno(pf_shares(text), allowed ? 0 : cases[i].error,
				 "%s and %s", cases[i].first, cases[i].second);
		}
	}
	is_errno(sysfs_write("0", allow), 0, "they may not");
	pf_usual();
}

static void shares(void)
{
	static const struct {
		const char *share, *name;
		uint64_t offset, length;
		int error;
	} cases[] = {
		{ "8M+1M", "whole inside", 0, MIB, 0 },
		{ "8M+1M", "ends behind the share", MIB - PAGE, 2 * PAGE, EOPNOTSUPP },
		{ "8M+1M", "begins at its end", MIB, PAGE, EOPNOTSUPP },
		{ "8M+1M", "far behind it", 7 * MIB, PAGE, EOPNOTSUPP },
		{ "8M+1044480", "a share that is no power of two", 0, MIB - PAGE, 0 },
		{ "8M+1044480", "a page behind such a share", 0, MIB, EOPNOTSUPP },
		{ "8M+1044479", "a share of odd length, behind it", MIB - 2 * PAGE, PAGE,
		  EOPNOTSUPP },
		{ "8M+16M", "the BAR is smaller than the share", 0, PAGE, EOPNOTSUPP },
		{ "8M+8388609", "by one byte", 0, PAGE, EOPNOTSUPP },
		{ "28M+8M", "the share ends behind the PF's memory", 0, PAGE, ENXIO },
		{ "24M+8388609", "by one byte", 0, PAGE, ENXIO },
		{ "0xfffffffffffff000+4095", "far behind", 0, PAGE, ENXIO },
		{ "24M+8M", "at its end", 7 * MIB, MIB, 0 },
	};
	char text[96];

	for (unsigned int i = 0; i < LENGTH(cases); i++) {
		int fd = buf_export1(&mem, BAR, cases[i].offset, cases[i].length);

		snprintf(text, sizeof(text), "%s@%s\n", vf_bdf, cases[i].share);
		is_errno(pf_shares(text), 0, "share %s", cases[i].share);
		is_errno(try(fd), cases[i].error, "%s: %s", cases[i].share, cases[i].name);
		close(fd);
	}
	/* One range of many is enough; it need not be the last. */
	{
		const struct vfio_region_dma_range r[] = {
			{ 0, PAGE }, { MIB - PAGE, 3 * PAGE }, { 2 * PAGE, PAGE },
		};
		int fd = buf_export(&mem, BAR, r, 3);

		snprintf(text, sizeof(text), "%s@8M+1M", vf_bdf);
		pf_shares(text);
		is_errno(try(fd), EOPNOTSUPP, "a range in the middle runs past the share");
		close(fd);
	}
	pf_usual();
}

static void parameter(void)
{
	static const char *const wrong[] = {
		"nonsense", "0000:02:00.0", "0000:02:00.0@8M", "0000:02:00.0@8M+",
		"0000:02:00.0@+8M", "0000:02:00.0@8M+0", "0000:02:00.0@8M-8M",
		"0000:02:00.8@8M+8M", "0000:02:20.0@8M+8M", "02:00.0@8M+8M",
		"0000:02:00.0@8M+8M,", "0000:02:00.0@8M+8M;", "0000:02:00.0@8M+8Mx",
		"0000:02:00.0@0xffffffffffffffff+2",
		",0000:02:00.0@8M+8M", " 0000:02:00.0@8M+8M", "0000: 2:00.0@8M+8M",
		"0x00:02:00.0@8M+8M", "0000:0x2:00.0@8M+8M", "0000:02:00.0@ 8M+8M",
	};
	char text[4096], was[256], now[256];
	int fd = buf_export1(&mem, BAR, 0, PAGE), n = 0;

	sysfs_read(was, sizeof(was), "/sys/module/barter_pf/parameters/vfs");
	is(strcmp(was, "0000:02:00.0@0x800000+0x800000"), 0, "it reads back: %s", was);
	for (unsigned int i = 0; i < LENGTH(wrong); i++)
		is_errno(pf_shares(wrong[i]), EINVAL, "\"%s\"", wrong[i]);
	is_errno(pf_shares("0000:02:00.0@8M+8M,0000:02:00.0@0+8M"), EEXIST, "one VF twice");
	for (int i = 0; i < 33; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s0000:%02x:00.0@%uM+4K",
			      i ? "," : "", i, 10 + i);
	is_errno(pf_shares(text), E2BIG, "33 VFs");
	sysfs_read(now, sizeof(now), "/sys/module/barter_pf/parameters/vfs");
	is(strcmp(was, now), 0, "nothing was changed");
	is_errno(try(fd), 0, "and it works");
	text[n - (int)strlen(",0000:20:00.0@42M+4K")] = 0;
	is_errno(pf_shares(text), 0, "32 VFs");
	pf_usual();
	close(fd);
}

static int attaches(void)
{
	char text[32];

	if (sysfs_read(text, sizeof(text),
		       "/sys/module/barter_test/parameters/foreign_attaches") < 0)
		tap_bail("nobody counts attachments");
	return atoi(text);
}

static void other_buffers(void)
{
	int before_it = attaches();
	struct barter_pf_status before = pf_status(pf);
	int fd = tester_foreign(), zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

	need(fd >= 0, "a dma-buf of somebody else, in system memory");
	is_errno(try(fd), EOPNOTSUPP, "is refused");
	is(attaches(), before_it, "and its exporter does not hear of it");
	close(fd);
	is_errno(try(fd), EBADF, "a closed fd");
	is_errno(try(-1), EBADF, "no fd");
	is_errno(try(zero), EINVAL, "no dma-buf");
	close(zero);
	is(pf_status(pf).out_generation, before.out_generation, "nothing changed");
}

int main(void)
{
	pf_begin();
	CASE(binds_only_when_told_to);
	CASE(nothing_set);
	CASE(shows_what_the_bar_got);
	CASE(knows_where_the_pieces_are);
	CASE(reads_its_own_memory);
	CASE(pieces_are_for_root);
	CASE(outlives_the_files);
	CASE(refuses_what_is_no_picture);
	CASE(as_large_as_can_be);
	CASE(frames_where_they_may_go);
	CASE(requests_of_other_sizes);
	CASE(other_functions);
	CASE(other_bars);
	CASE(shares);
	CASE(overlaps);
	CASE(parameter);
	CASE(other_buffers);
	CASE(pf_end);
	return tap_done();
}
