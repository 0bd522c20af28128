// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls on the sample PF, and what the administrator does to it. Its VF is the first of
 * the devices that are lent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter-pf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../device/lib/pci.h"
#include "../device/lib/tap.h"
#include "fuzz.h"

#define DRIVER	   "barter-pf"
#define PAIRS	   "/sys/module/barter/parameters/pci_bar_pairs"
#define SHARES	   "/sys/module/barter_pf/parameters/vfs"
#define FRAME_ROOM MIB

static const char *pf_bdf, *vf_bdf;
static uint64_t vf_offset, vf_length;
/* Where frames go that fit; whose is in there, nobody asks. */
static uint8_t *frames;

static int put_pairs(void)
{
	char text[80];

	snprintf(text, sizeof(text), "%s=%s", vf_bdf, pf_bdf);
	return sysfs_put(text, PAIRS);
}

static int put_shares(void)
{
	char text[80];

	snprintf(text, sizeof(text), "%s@%#llx+%#llx", vf_bdf, (unsigned long long)vf_offset,
		 (unsigned long long)vf_length);
	return sysfs_put(text, SHARES);
}

const char *pf_init(void)
{
	const char *offset = getenv("VM_VF0_OFFSET"), *length = getenv("VM_VF0_SIZE");
	int ret;

	pf_bdf = device_named("VM_PF");
	vf_bdf = device_named("VM_VF0");
	if (!pf_bdf || !vf_bdf || !offset || !length)
		return "the machine has no PF";
	vf_offset = strtoull(offset, NULL, 0);
	vf_length = strtoull(length, NULL, 0);
	frames = mmap(NULL, FRAME_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (frames == MAP_FAILED)
		tap_bail("room for frames");
	ret = put_pairs();
	ret = ret ?: put_shares();
	ret = ret ?: pci_bind(pf_bdf, DRIVER);
	if (ret)
		tap_bail("the PF %s: %s", pf_bdf, strerror(-ret));
	return NULL;
}

static int open_pf(int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/barter-pf-%s", pf_bdf ?: "");
	return open(path, flags | O_CLOEXEC);
}

static long c_open(struct thread *t, const uint64_t *a)
{
	(void)t;
	return fd_put(K_PF, open_pf(a[0] & 7 ? O_RDWR : O_RDONLY));
}

/* The picture is the PF's, not a file's. */
void picture_end(void)
{
	struct barter_pf_clear clear = { .size = sizeof(clear) };
	int fd = open_pf(O_RDWR);

	if (fd < 0)
		return;
	ioctl(fd, BARTER_PF_IOC_CLEAR, &clear);
	close(fd);
}

static uint32_t format_of(uint64_t how)
{
	static const uint32_t formats[] = {
		BARTER_PF_XRGB8888,
		BARTER_PF_RGB565,
		BARTER_PF_NV12,
		BARTER_PF_XRGB8888,
		BARTER_PF_RGB565,
		BARTER_PF_NV12,
		0,
		0x34324742,
	};

	return formats[how % 8];
}

static uint32_t bytes_of(uint32_t format)
{
	return format == BARTER_PF_XRGB8888 ? 4 : format == BARTER_PF_RGB565 ? 2 : 1;
}

/* Mostly a stride that is just long enough. */
static uint32_t stride_of(uint64_t how, uint32_t format, uint32_t width)
{
	uint32_t row = width * bytes_of(format);

	switch (how % 16) {
	case 0:
		return row - 1;
	case 1:
		return (uint32_t)(how >> 4);
	case 2:
		return row + (uint32_t)(how >> 4 & 4095);
	}
	return row;
}

static long c_set(struct thread *t, const uint64_t *a)
{
	uint32_t format = format_of(a[2] >> 8);
	struct {
		struct barter_pf_set set;
		uint64_t more;
	} arg = {
		.set = {
			.size = (uint32_t)size_of(a[6], sizeof(arg.set)),
			.flags = a[2] % 32 == 1,
			.dmabuf_fd = fd_get(a[1]),
			.format = format,
			.width = (uint32_t)a[3],
			.height = (uint32_t)a[4],
		},
		.more = a[2] % 32 == 2,
	};

	arg.set.planes[0].offset = a[2] >> 20 & 3 ? a[2] >> 22 & 1023 : a[5];
	arg.set.planes[0].stride = stride_of(a[2] >> 11, format, arg.set.width);
	arg.set.planes[0].__reserved = a[2] % 32 == 3;
	if (format == BARTER_PF_NV12 || a[2] % 32 == 4) {
		arg.set.planes[1].offset = a[2] % 32 == 5 ? a[5] : a[2] >> 24 & 255;
		arg.set.planes[1].stride = stride_of(a[2] >> 15, format, arg.set.width);
	}
	return RESULT(ioctl(fd_get(a[0]), BARTER_PF_IOC_SET,
			    place(t, a[7], &arg,
				  arg.set.size > sizeof(arg.set) ? sizeof(arg) : sizeof(arg.set))));
}

/* A picture that has room in every buffer. */
static long c_show(struct thread *t, const uint64_t *a)
{
	uint32_t format = format_of(a[2] % 6);
	uint32_t side = 2 + 2 * (uint32_t)(a[3] % 14);
	struct barter_pf_set set = {
		.size = sizeof(set),
		.dmabuf_fd = fd_get(a[1]),
		.format = format,
		.width = side,
		.height = side,
		.planes = { { .offset = a[2] / 8 % 64, .stride = side * bytes_of(format) } },
	};

	(void)t;
	if (format == BARTER_PF_NV12)
		set.planes[1] = (struct barter_pf_plane){ .offset = 1024, .stride = side };
	return RESULT(ioctl(fd_get(a[0]), BARTER_PF_IOC_SET, &set));
}

static long c_clear(struct thread *t, const uint64_t *a)
{
	struct barter_pf_clear clear = {
		.size = (uint32_t)size_of(a[1], sizeof(clear)),
		.flags = (uint32_t)a[2],
	};

	return RESULT(
		ioctl(fd_get(a[0]), BARTER_PF_IOC_CLEAR, place(t, a[3], &clear, sizeof(clear))));
}

/* Beside what is too short, also what says that it is longer than it is. */
static long c_frame(struct thread *t, const uint64_t *a)
{
	uint8_t pixels[4 * PAGE] = { 0 };
	struct barter_pf_frame frame = {
		.size = (uint32_t)size_of(a[1], sizeof(frame)),
		.flags = (uint32_t)a[2],
		.length = a[3] & 1 ? sizeof(pixels) : a[3],
		.user = (uintptr_t)place(t, a[4], pixels, sizeof(pixels)),
	};

	return RESULT(
		ioctl(fd_get(a[0]), BARTER_PF_IOC_FRAME, place(t, a[5], &frame, sizeof(frame))));
}

static long c_frame_well(struct thread *t, const uint64_t *a)
{
	struct barter_pf_frame frame = {
		.size = sizeof(frame),
		.user = (uintptr_t)frames,
		.length = FRAME_ROOM,
	};

	(void)t;
	return RESULT(ioctl(fd_get(a[0]), BARTER_PF_IOC_FRAME, &frame));
}

static long c_status(struct thread *t, const uint64_t *a)
{
	struct barter_range pieces[16] = { 0 };
	struct barter_pf_status status = {
		.size = (uint32_t)size_of(a[1], sizeof(status)),
		.flags = (uint32_t)a[2],
		.pieces = (uintptr_t)place(t, a[4], pieces, sizeof(pieces)),
		.nr_pieces = a[3] & 8 ? (uint32_t)a[3] : (uint32_t)(a[3] % 17),
		.__reserved = (uint16_t)(a[2] >> 32),
	};

	return RESULT(
		ioctl(fd_get(a[0]), BARTER_PF_IOC_STATUS, place(t, a[5], &status, sizeof(status))));
}

/* What is wrong changes nothing; what is right and another's, not for long. */
static long c_params(struct thread *t, const uint64_t *a)
{
	static const char *const shares[] = {
		"zz",
		"0000:01:00.0@0",
		"0000:01:00.0@0+0",
		"0000:01:00.0@1+0xffffffffffffffff",
		"0000:01:00.0@0+8M,0000:01:00.0@8M+8M",
		"0000:01:00.0@0+8M,0000:02:00.0@4M+8M",
		"0000:01:00.0@60M+8M",
		"",
	};
	static const char *const pairs[] = {
		"zz",
		"0000:01:00.0=",
		"0000:01:00.0=0000:01:00.0",
		"",
	};
	long ret;

	(void)t;
	if (!pf_bdf)
		return -ENODEV;
	if (a[0] & 1) {
		ret = sysfs_put(shares[a[0] / 2 % 8], SHARES);
		return put_shares() ?: ret;
	}
	ret = sysfs_put(pairs[a[0] / 2 % 4], PAIRS);
	return put_pairs() ?: ret;
}

static long c_rebind(struct thread *t, const uint64_t *a)
{
	static int64_t last;
	long ret;

	(void)t;
	(void)a;
	if (!pf_bdf || too_early(&last, 3000))
		return -EAGAIN;
	ret = sysfs_put(pf_bdf, "/sys/bus/pci/devices/%s/driver/unbind", pf_bdf);
	return sysfs_put(pf_bdf, "/sys/bus/pci/drivers_probe") ?: ret;
}

static long c_reset(struct thread *t, const uint64_t *a)
{
	static int64_t last;

	(void)t;
	(void)a;
	if (!pf_bdf || too_early(&last, 500))
		return -EAGAIN;
	return sysfs_put("1", "/sys/bus/pci/devices/%s/reset", pf_bdf);
}

const struct call_type pf_calls[] = {
	{ "pf_open", c_open, 6, { A_SMALL } },
	{ "pf_set", c_set, 16, { A_PF, A_BUF, A_SEED, A_SIDE, A_SIDE, A_OFFSET, A_SIZE, A_PTR } },
	{ "pf_show", c_show, 24, { A_PF, A_BUF, A_SMALL, A_SMALL } },
	{ "pf_clear", c_clear, 4, { A_PF, A_SIZE, A_FLAGS, A_PTR } },
	{ "pf_frame", c_frame, 8, { A_PF, A_SIZE, A_FLAGS, A_LENGTH, A_PTR, A_PTR } },
	{ "pf_frame_well", c_frame_well, 12, { A_PF } },
	{ "pf_status", c_status, 10, { A_PF, A_SIZE, A_FLAGS, A_NR, A_PTR, A_PTR } },
	{ "pf_params", c_params, 1, { A_SMALL, A_ALONE } },
	{ "pf_rebind", c_rebind, 1, { A_WHICH, A_ALONE } },
	{ "pf_reset", c_reset, 2, { A_WHICH, A_ALONE } },
};

const unsigned int nr_pf_calls = sizeof(pf_calls) / sizeof(*pf_calls);
