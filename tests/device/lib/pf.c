// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample PF, see pf.h.
 */
#define _GNU_SOURCE
#include "pf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAIRS	"/sys/module/barter/parameters/pci_bar_pairs"
#define SHARES	"/sys/module/barter_pf/parameters/vfs"

int pf = -1;
const char *pf_bdf, *vf_bdf, *other_bdf;
uint64_t vf_offset;
uint8_t *bright, *black;
uint64_t frame_length;

static uint8_t *got;

const struct vfio_region_dma_range pieces[PIECES] = {
	{ 0x301000, 3 * PAGE }, { 0x0ff000, 1 * PAGE }, { 0x7fb000, 5 * PAGE },
	{ 0x200000, 7 * PAGE }, { 0x000000, 1 * PAGE }, { 0x1f0000, 1 * PAGE },
	{ 0x400000, 6 * PAGE }, { 0x3ff000 - 13 * PAGE, 9 * PAGE },
	{ 0x600000, 2 * PAGE }, { 0x5fd000, 1 * PAGE }, { 0x700000, 5 * PAGE },
};

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		tap_bail("%s is not set: this is for machine vram", name);
	return value;
}

int pf_pairs(const char *text)
{
	return sysfs_write(text, PAIRS);
}

int pf_shares(const char *text)
{
	return sysfs_write(text, SHARES);
}

void pf_usual(void)
{
	char text[80];
	int ret;

	snprintf(text, sizeof(text), "%s=%s", vf_bdf, pf_bdf);
	ret = pf_pairs(text);
	snprintf(text, sizeof(text), "%s@%#llx+8M", vf_bdf,
		 (unsigned long long)vf_offset);
	ret = ret ?: pf_shares(text);
	if (ret)
		tap_bail("parameters: %s", strerror(-ret));
}

int pf_open(const char *bdf)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/barter-pf-%s", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void pf_begin(void)
{
	int ret;

	pf_bdf = environment("VM_PF");
	vf_bdf = environment("VM_VF0");
	other_bdf = environment("VM_VF1");
	vf_offset = strtoull(environment("VM_VF0_OFFSET"), NULL, 0);
	setenv("VM_VRAM0", vf_bdf, 1);
	fixture_open();
	if (bar_length != 8 * MIB)
		tap_bail("the VF's BAR has %llu bytes", (unsigned long long)bar_length);
	pf_usual();
	ret = pci_bind(pf_bdf, PF_DRIVER);
	if (ret)
		tap_bail("bind %s: %s", pf_bdf, strerror(-ret));
	pf = pf_open(pf_bdf);
	if (pf < 0)
		tap_bail("open the PF: %s", strerror(-pf));
	got = malloc(FRAME_ROOM);
	bright = malloc(FRAME_ROOM);
	black = malloc(FRAME_ROOM);
	if (!got || !bright || !black)
		tap_bail("no memory");
}

void pf_end(void)
{
	bool gone;

	is_errno(pf_clear(pf), 0, "clear");
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
	close(pf);
	is_errno(pci_unbind(pf_bdf), 0, "unbind the PF");
	is_errno(pf_open(pf_bdf), ENOENT, "its device node is gone");
}

int pf_call(int fd, unsigned long nr, void *arg)
{
	return ioctl(fd, nr, arg) ? -errno : 0;
}

int pf_set(int fd, struct barter_pf_set *set)
{
	set->size = sizeof(*set);
	return pf_call(fd, BARTER_PF_IOC_SET, set);
}

int pf_clear(int fd)
{
	struct barter_pf_clear clear = { .size = sizeof(clear) };

	return pf_call(fd, BARTER_PF_IOC_CLEAR, &clear);
}

struct barter_pf_status pf_status(int fd)
{
	struct barter_pf_status status = { .size = sizeof(status) };
	int ret = pf_call(fd, BARTER_PF_IOC_STATUS, &status);

	if (ret)
		tap_bail("status: %s", strerror(-ret));
	return status;
}

int pf_frame(int fd, uint8_t *data, struct barter_pf_frame *frame)
{
	memset(frame, 0, sizeof(*frame));
	frame->size = sizeof(*frame);
	frame->user = (uintptr_t)data;
	frame->length = FRAME_ROOM;
	return pf_call(fd, BARTER_PF_IOC_FRAME, frame);
}

bool pf_wait(int fd, uint32_t state, int ms)
{
	bool there;

	WAIT_FOR(there, pf_status(fd).out_state == state, ms);
	return there;
}

int pieces_export(const struct dev *d)
{
	return buf_export(d, BAR, pieces, PIECES);
}

/* The third has its second plane before the first. */
static const struct barter_pf_set pictures[PICTURES] = {
	{ .format = BARTER_PF_XRGB8888, .width = 251, .height = 97,
	  .planes = { { .offset = 2000, .stride = 1031 } } },
	{ .format = BARTER_PF_RGB565, .width = 131, .height = 270,
	  .planes = { { .offset = 4099, .stride = 300 } } },
	{ .format = BARTER_PF_NV12, .width = 326, .height = 98,
	  .planes = { { .offset = 99999, .stride = 333 },
		      { .offset = 777, .stride = 330 } } },
	{ .format = BARTER_PF_NV12, .width = 2, .height = 2,
	  .planes = { { .offset = 3 * PAGE - 1, .stride = 2 },
		      { .offset = PIECES_LENGTH - 2, .stride = 2 } } },
};

const char *const picture_names[PICTURES] = {
	"XRGB8888", "RGB565", "NV12, chroma first", "NV12 of 2 x 2",
};

struct barter_pf_set picture(unsigned int i, int buffer)
{
	struct barter_pf_set set = pictures[i];

	set.dmabuf_fd = buffer;
	return set;
}

/* Where byte @at of the buffer is in the VF's BAR, the long way round. */
static uint64_t place(uint64_t at)
{
	for (int i = 0; i < PIECES; i++) {
		if (at < pieces[i].length)
			return pieces[i].offset + at;
		at -= pieces[i].length;
	}
	tap_bail("a picture is not inside its buffer");
}

static uint8_t *expect_plane(const struct barter_pf_plane *plane, uint32_t row,
			     uint32_t rows, uint8_t *to)
{
	for (uint32_t y = 0; y < rows; y++)
		for (uint32_t x = 0; x < row; x++)
			*to++ = bar[place(plane->offset + y * plane->stride + x)];
	return to;
}

static uint32_t pixel(const struct barter_pf_set *set)
{
	return set->format == BARTER_PF_XRGB8888 ? 4 :
		set->format == BARTER_PF_RGB565 ? 2 : 1;
}

uint64_t picture_length(const struct barter_pf_set *set)
{
	uint64_t luma = (uint64_t)set->width * set->height * pixel(set);

	return set->format == BARTER_PF_NV12 ? luma * 3 / 2 : luma;
}

void expect_picture(const struct barter_pf_set *set, uint8_t *data)
{
	data = expect_plane(&set->planes[0], set->width * pixel(set),
			    set->height, data);
	if (set->format == BARTER_PF_NV12)
		expect_plane(&set->planes[1], set->width, set->height / 2, data);
}

void expect_black(const struct barter_pf_set *set, uint8_t *data)
{
	uint64_t luma = (uint64_t)set->width * set->height;

	memset(data, 0, picture_length(set));
	if (set->format == BARTER_PF_NV12) {
		memset(data, 16, luma);
		memset(data + luma, 128, luma / 2);
	}
}

int pf_show(unsigned int i, int buffer, uint32_t seed)
{
	struct barter_pf_set set = picture(i, buffer);

	fill(bar, seed, 0, bar_length);
	frame_length = picture_length(&set);
	expect_picture(&set, bright);
	expect_black(&set, black);
	return pf_set(pf, &set);
}

int pf_looks(int fd)
{
	struct barter_pf_frame frame;
	int ret;

	memset(got, 0x5a, frame_length);
	ret = pf_frame(fd, got, &frame);
	if (ret)
		return ret;
	if (frame.out_length != frame_length)
		return -EILSEQ;
	if (frame.out_state == BARTER_PF_LIVE &&
	    !memcmp(got, bright, frame_length))
		return BARTER_PF_LIVE;
	if (frame.out_state == BARTER_PF_DARK &&
	    !memcmp(got, black, frame_length))
		return BARTER_PF_DARK;
	return -EILSEQ;
}
