// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls on buffers, on /dev/barter, and on importers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter-dma.h>
#include <linux/barter.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/kmod/barter-test.h"
#include "../device/lib/pci.h"
#include "fuzz.h"

/* ---- the dma-buf ---- */

static long c_sync(struct thread *t, const uint64_t *a)
{
	struct dma_buf_sync arg = { .flags = a[1] };

	return RESULT(ioctl(buf_get(a[0]), DMA_BUF_IOCTL_SYNC, place(t, a[2], &arg, sizeof(arg))));
}

static long c_fence_out(struct thread *t, const uint64_t *a)
{
	struct dma_buf_export_sync_file arg = {
		.flags = a[1] ? (uint32_t)a[1] : DMA_BUF_SYNC_RW, .fd = -1,
	};
	struct dma_buf_export_sync_file *p = place(t, a[2], &arg, sizeof(arg));
	long ret = RESULT(ioctl(buf_get(a[0]), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, p));

	return !ret ? fd_put(K_SYNC, p->fd) : ret;
}

static long c_fence_in(struct thread *t, const uint64_t *a)
{
	struct dma_buf_import_sync_file arg = {
		.flags = a[1] ? (uint32_t)a[1] : DMA_BUF_SYNC_RW,
		.fd = fd_get(a[2]),
	};

	return RESULT(ioctl(fd_get(a[0]), DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
			    place(t, a[3], &arg, sizeof(arg))));
}

static long c_set_name(struct thread *t, const uint64_t *a)
{
	return RESULT(
		ioctl(buf_get(a[0]), a[2] & 1 ? DMA_BUF_SET_NAME_A : DMA_BUF_SET_NAME_B,
		      place(t, a[1], "a name that is a little long " + a[2] % 30, 31 - a[2] % 30)));
}

static long c_seek(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(lseek(buf_get(a[0]), (off_t)a[1], (int)(a[2] % 8)));
}

static long c_poll(struct thread *t, const uint64_t *a)
{
	struct pollfd p = { .fd = buf_get(a[0]), .events = (short)a[1] };

	(void)t;
	return RESULT(poll(&p, 1, (int)(a[2] % MAX_MS)));
}

static long c_read_write(struct thread *t, const uint64_t *a)
{
	uint8_t data[64] = "8";
	void *p = place(t, a[1], data, sizeof(data));

	return RESULT(a[2] & 1 ? read(fd_get(a[0]), p, a[2] % 65) :
		      write(fd_get(a[0]), p, a[2] % 65));
}

static long c_stat(struct thread *t, const uint64_t *a)
{
	char path[64], text[512];
	int fd = buf_get(a[0]), info;
	struct stat st;
	long ret;

	(void)t;
	if (fstat(fd, &st))
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	ret = RESULT(read(info, text, sizeof(text)));
	close(info);
	return ret;
}

static long c_close(struct thread *t, const uint64_t *a)
{
	(void)t;
	return fd_close(a[0]);
}

static long c_dup(struct thread *t, const uint64_t *a)
{
	(void)t;
	return fd_dup(a[0]);
}

static long c_raw_ioctl(struct thread *t, const uint64_t *a)
{
	uint64_t data[32];
	struct rng r = { a[2] };
	int fd = fd_get(a[0]);
	long ret;

	/* A structure's size first, or an argsz. */
	for (unsigned int i = 0; i < 32; i++)
		data[i] = rng_percent(&r, 70) ? 0 : rng_next(&r);
	if (rng_percent(&r, 80))
		data[0] = 8 * rng_below(&r, 33);
	/* What makes fds makes them by calls that know them. */
	if (a[1] == BARTER_IOC_SLICE ||
	    (a[1] == _IO(';', 117) && (data[0] >> 32 & 0xffff) == 11))
		return -EINVAL;
	ret = RESULT(ioctl(fd, a[1], place(t, a[3], data, sizeof(data))));
	return ret;
}

/* ---- /dev/barter ---- */

static long c_barter(struct thread *t, const uint64_t *a)
{
	(void)t;
	(void)a;
	return fd_put(K_BARTER, open("/dev/barter", O_RDWR | O_CLOEXEC));
}

static long c_info(struct thread *t, const uint64_t *a)
{
	struct barter_importer_info importers[16] = { 0 };
	struct barter_range ranges[16] = { 0 };
	struct barter_info arg = {
		.size = (uint32_t)size_of(a[2], sizeof(arg)),
		.flags = (uint32_t)a[3],
		.dmabuf_fd = buf_get(a[1]),
		.nr_ranges = (uint32_t)a[4],
		.ranges = (uintptr_t)place(t, a[5], ranges, sizeof(ranges)),
		.__reserved2 = (uint32_t)(a[3] >> 32),
		.nr_importers = a[7] < 240 ? a[7] % 17 : (uint32_t)a[7] << 24,
		.importers = (uintptr_t)place(t, a[5] >> 8, importers, sizeof(importers)),
	};
	uint8_t whole[PAGE + 64] = { 0 };

	memcpy(whole, &arg, sizeof(arg));
	whole[sizeof(arg) + 8] = (a[2] >> 4) & 1;
	return RESULT(ioctl(fd_get(a[0]), BARTER_IOC_INFO,
			    place(t, a[6], whole, a[6] ? sizeof(arg) :
				  sizeof(whole))));
}

static long slice(struct barter_slice *p, int barter)
{
	long ret = RESULT(ioctl(barter, BARTER_IOC_SLICE, p));

	return !ret ? fd_put(K_BUF, p->out_fd) : ret;
}

static long c_slice(struct thread *t, const uint64_t *a)
{
	struct barter_range ranges[4] = {
		{ a[4] % (64 * PAGE), a[5] }, { a[4], PAGE },
		{ PAGE, a[5] % (64 * PAGE) }, { a[5], a[4] },
	};
	struct barter_slice arg = {
		.size = (uint32_t)size_of(a[2], sizeof(arg)),
		.flags = (uint32_t)a[3],
		.dmabuf_fd = buf_get(a[1]),
		.open_flags = (uint32_t)(a[3] >> 32) ?: (uint32_t)O_RDWR,
		.nr_ranges = a[7] < 200 ? a[7] % 5 : (uint32_t)a[7] << 14,
		.__reserved = a[7] == 199,
		.ranges = (uintptr_t)place(t, a[6] >> 8, ranges, sizeof(ranges)),
	};

	return slice(place(t, a[6] & 0xff, &arg, sizeof(arg)), fd_get(a[0]));
}

/* As it should be, if the buffer is large enough. */
static long c_slice_well(struct thread *t, const uint64_t *a)
{
	struct barter_range ranges[4];
	struct barter_slice arg = {
		.size = sizeof(arg), .dmabuf_fd = fd_get(a[1]),
		.flags = a[2] & 1, .nr_ranges = 1 + a[3] % 4,
		.open_flags = O_CLOEXEC | (a[2] & 1 ? O_RDONLY : O_RDWR),
		.ranges = (uintptr_t)ranges,
	};

	(void)t;
	for (unsigned int i = 0; i < 4; i++)
		ranges[i] = (struct barter_range){
			(a[2] >> (i + 1) & 1) * PAGE,
			(1 + (a[3] >> (i + 2) & 1)) * PAGE,
		};
	return slice(&arg, fd_get(a[0]));
}

static const char *bdf_name(uint64_t n)
{
	switch (n % 8) {
	case 0 ... 2:
		return devs[n % 8 % nr_devs].bdf;
	case 3:
		return "0000:00:03.0";
	case 4:
		return "0000:00:00.0";
	case 5:
		return "ffff:ff:1f.7";
	}
	return edu_name ?: "0000:00:06.0";
}

static void parse_bdf(uint64_t n, uint32_t *domain, uint8_t *bus, uint8_t *devfn)
{
	unsigned int v[4] = { 0 };

	if (n >= 8) {
		*domain = (uint32_t)(n >> 16);
		*bus = (uint8_t)(n >> 8);
		*devfn = (uint8_t)n;
		return;
	}
	sscanf(bdf_name(n), "%x:%x:%x.%u", &v[0], &v[1], &v[2], &v[3]);
	*domain = v[0];
	*bus = (uint8_t)v[1];
	*devfn = (uint8_t)(v[2] << 3 | v[3]);
}

static long c_route(struct thread *t, const uint64_t *a)
{
	struct barter_route arg = {
		.size = (uint32_t)size_of(a[2], sizeof(arg)),
		.flags = (uint32_t)a[3],
		.dmabuf_fd = a[3] & BARTER_ROUTE_F_EXPORTER_BDF ? -1 :
			fd_get(a[1]),
		.device_fd = fd_get(a[4]),
	};

	if (!(a[3] & BARTER_ROUTE_F_DEVICE_FD))
		parse_bdf(a[5], &arg.domain, &arg.bus, &arg.devfn);
	if (a[3] & BARTER_ROUTE_F_EXPORTER_BDF)
		parse_bdf(a[6], &arg.exporter_domain, &arg.exporter_bus,
			  &arg.exporter_devfn);
	return RESULT(ioctl(fd_get(a[0]), BARTER_IOC_ROUTE,
			    place(t, a[7], &arg, sizeof(arg))));
}

/* Both devices named in a way that the call takes. */
static long c_route_well(struct thread *t, const uint64_t *a)
{
	struct barter_route arg = {
		.size = sizeof(arg), .flags = a[2] & 3, .dmabuf_fd = -1,
	};

	(void)t;
	if (arg.flags & BARTER_ROUTE_F_DEVICE_FD)
		arg.device_fd = fd_get(a[3]);
	else
		parse_bdf(a[4] % 8, &arg.domain, &arg.bus, &arg.devfn);
	if (arg.flags & BARTER_ROUTE_F_EXPORTER_BDF)
		parse_bdf(a[5] % 8, &arg.exporter_domain, &arg.exporter_bus,
			  &arg.exporter_devfn);
	else
		arg.dmabuf_fd = fd_get(a[1]);
	return RESULT(ioctl(fd_get(a[0]), BARTER_IOC_ROUTE, &arg));
}

/* Mostly an eventfd: of its own, so that not all wait for one that is full. */
static long c_watch(struct thread *t, const uint64_t *a)
{
	int own = a[4] % 4 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK |
				     (a[4] & 4 ? EFD_SEMAPHORE : 0)) : -1;
	struct barter_watch arg = {
		.size = (uint32_t)size_of(a[2], sizeof(arg)),
		.flags = (uint32_t)a[3],
		.dmabuf_fd = buf_get(a[1]),
		.eventfd = own >= 0 ? own : fd_get(a[5]),
	};
	uint64_t most = UINT64_MAX - 1;
	long ret;

	if (own >= 0 && a[4] & 8 && write(own, &most, sizeof(most)) < 0)
		return -errno;
	ret = RESULT(ioctl(fd_get(a[0]), BARTER_IOC_WATCH,
			   place(t, a[6], &arg, sizeof(arg))));
	if (own >= 0)
		close(own);
	return ret;
}

/* Begun and ended with an eventfd that all have. */
static long c_watch_well(struct thread *t, const uint64_t *a)
{
	static int event = -1;
	struct barter_watch arg = {
		.size = sizeof(arg), .flags = a[2] & BARTER_WATCH_REMOVE,
		.dmabuf_fd = fd_get(a[1]),
	};

	(void)t;
	/* Two threads may both make one: that is one more. */
	if (event < 0)
		event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	arg.eventfd = event;
	return RESULT(ioctl(fd_get(a[0]), BARTER_IOC_WATCH, &arg));
}

static long c_debugfs(struct thread *t, const uint64_t *a)
{
	static const char *const files[] = {
		"/sys/kernel/debug/barter/buffers",
		"/sys/kernel/debug/barter-vfio-pci/config_races",
		"/sys/kernel/debug/dma_buf/bufinfo",
		"/sys/module/barter/parameters/allow_host_bridges",
	};
	int fd = open(files[a[0] % 4], O_RDONLY | O_CLOEXEC);
	char text[4096];
	long n, all = 0;

	(void)t;
	if (fd < 0)
		return -errno;
	while (all < 65536 && (n = read(fd, text, 1 + a[1] % 4096)) > 0)
		all += n;
	close(fd);
	return all;
}

static long c_allow(struct thread *t, const uint64_t *a)
{
	static const char *const values[] = {
		"8086:29c0", "", "*", "8086:29c0,1022:1450", "zz", "8086:",
		",,,", "8086:29c0,8086:29c0,8086:29c0",
	};

	(void)t;
	return sysfs_put(values[a[0] % 8],
			 "/sys/module/barter/parameters/allow_host_bridges");
}

/* ---- the sample importer ---- */

static long c_edu(struct thread *t, const uint64_t *a)
{
	(void)t;
	(void)a;
	return fd_put(K_EDU, open("/dev/barter-dma0", O_RDWR | O_CLOEXEC));
}

static long c_edu_import(struct thread *t, const uint64_t *a)
{
	struct barter_dma_import arg = {
		.size = (uint32_t)size_of(a[2], sizeof(arg)),
		.flags = (uint32_t)a[3],
		.dmabuf_fd = buf_own(a[1]),
	};
	long ret = RESULT(
		ioctl(fd_get(a[0]), BARTER_DMA_IOC_IMPORT, place(t, a[4], &arg, sizeof(arg))));

	close(arg.dmabuf_fd);
	return ret;
}

/* A transfer takes 100 ms at least, so mostly a small one. */
static long c_edu_copy(struct thread *t, const uint64_t *a)
{
	uint8_t data[2048] = { 0 };
	struct barter_dma_copy arg = {
		.size = (uint32_t)size_of(a[1], sizeof(arg)),
		.flags = (uint32_t)a[2],
		.offset = a[3] % (32 * PAGE),
		.length = a[4] & 0x8000 ? a[4] : a[4] % 64,
		.user = (uintptr_t)place(t, a[5], data, sizeof(data)),
	};

	if (arg.length > 4096 && arg.length <= 16 * MIB)
		arg.length %= 4096;
	return RESULT(ioctl(fd_get(a[0]), BARTER_DMA_IOC_COPY,
			    place(t, a[6], &arg, sizeof(arg))));
}

static long c_edu_status(struct thread *t, const uint64_t *a)
{
	struct barter_dma_status arg = {
		.size = (uint32_t)size_of(a[1], sizeof(arg)),
		.flags = (uint32_t)a[2],
	};

	return RESULT(ioctl(fd_get(a[0]), BARTER_DMA_IOC_STATUS,
			    place(t, a[3], &arg, sizeof(arg))));
}

/* ---- the test module: importers that are slow or stuck, fences ---- */

static long c_test(struct thread *t, const uint64_t *a)
{
	(void)t;
	(void)a;
	return fd_put(K_TEST, open("/dev/barter-test", O_RDWR | O_CLOEXEC));
}

static long c_test_attach(struct thread *t, const uint64_t *a)
{
	struct barter_test_attach arg = {
		.dmabuf_fd = buf_own(a[1]),
		.flags = (uint32_t)a[2] & 0x1f,
		.dma_bits = a[3] < 240 ? 0 : (uint16_t)(20 + a[3] % 45),
		.max_segment = a[3] < 200 ? 0 : 1u << a[3] % 32,
		.delay_ms = (uint32_t)(a[4] % MAX_MS),
	};
	long ret;

	/* By itself after a while, as in c_import(). */
	if (arg.flags & BARTER_TEST_F_STUCK && !(arg.flags & BARTER_TEST_F_SLOW)) {
		arg.flags ^= BARTER_TEST_F_STUCK | BARTER_TEST_F_SLOW;
		arg.delay_ms = STUCK_MS;
	}
	/* Mostly edu: what VFIO owns cannot import. */
	if (!(arg.flags & BARTER_TEST_F_PLATFORM))
		parse_bdf(a[5] % 16 < 8 ? a[5] % 8 : 7, &arg.domain, &arg.bus,
			  &arg.devfn);
	ret = RESULT(ioctl(fd_get(a[0]), BARTER_TEST_IOC_ATTACH, place(t, 0, &arg, sizeof(arg))));
	close(arg.dmabuf_fd);
	return ret;
}

static long c_test_map(struct thread *t, const uint64_t *a)
{
	struct barter_test_map arg = {
		.id = a[1] < 160 ? 0 : a[1] % 4, .direction = a[2] % 3,
	};

	return RESULT(ioctl(fd_get(a[0]), BARTER_TEST_IOC_MAP,
			    place(t, 0, &arg, sizeof(arg))));
}

/* All as it should be: a file of its own, attached and mapped. */
static long c_import(struct thread *t, const uint64_t *a)
{
	uint64_t how = a[1] % 8;
	/*
	 * Whoever is stuck keeps everybody else waiting: not too many, and for a while only. No
	 * call ends that, as all may wait: for a reset that waits for this importer.
	 */
	struct barter_test_attach arg = {
		.dmabuf_fd = buf_own(a[0]),
		.flags = how < 5 ? 0 : BARTER_TEST_F_SLOW,
		.delay_ms = how == 7 ? STUCK_MS : (uint32_t)(a[2] % MAX_MS),
	};
	struct barter_test_map map = { .direction = a[1] / 8 % 3 };
	int fd = open("/dev/barter-test", O_RDWR | O_CLOEXEC);
	long ret;

	(void)t;
	parse_bdf(7, &arg.domain, &arg.bus, &arg.devfn);
	ret = RESULT(ioctl(fd, BARTER_TEST_IOC_ATTACH, &arg));
	close(arg.dmabuf_fd);
	map.id = arg.out_id;
	if (!ret && a[1] >= 240)
		ioctl(fd, BARTER_TEST_IOC_PIN, map.id);
	if (!ret)
		ret = RESULT(ioctl(fd, BARTER_TEST_IOC_MAP, &map));
	fd_put(K_TEST, fd);
	return ret;
}

/* Likewise with edu, whose driver maps at the first copy. */
static long c_edu_use(struct thread *t, const uint64_t *a)
{
	struct barter_dma_import import = {
		.size = sizeof(import),
		.dmabuf_fd = buf_own(a[0]),
	};
	struct barter_dma_copy copy = {
		.size = sizeof(copy), .length = 8, .user = (uintptr_t)t->area,
		.flags = a[1] & 1,
	};
	int fd = open("/dev/barter-dma0", O_RDWR | O_CLOEXEC);
	long ret = RESULT(ioctl(fd, BARTER_DMA_IOC_IMPORT, &import));

	close(import.dmabuf_fd);
	if (!ret && a[1] & 2)
		ret = RESULT(ioctl(fd, BARTER_DMA_IOC_COPY, &copy));
	return fd_put(K_EDU, fd) < 0 ? -errno : ret;
}

static long c_test_do(struct thread *t, const uint64_t *a)
{
	static const unsigned long cmd[] = {
		BARTER_TEST_IOC_UNMAP, BARTER_TEST_IOC_PIN,
		BARTER_TEST_IOC_UNPIN, BARTER_TEST_IOC_LETGO,
		BARTER_TEST_IOC_DETACH, BARTER_TEST_IOC_FENCE_SIGNAL,
	};

	(void)t;
	return RESULT(ioctl(fd_get(a[0]), cmd[a[1] % 6], a[2] % 4));
}

static long c_test_fence(struct thread *t, const uint64_t *a)
{
	struct barter_test_fence arg = { .out_fd = -1, .signal_ms = STUCK_MS };
	struct barter_test_fence *p = place(t, 0, &arg, sizeof(arg));
	long ret = RESULT(ioctl(fd_get(a[0]), BARTER_TEST_IOC_FENCE_NEW, p));

	return !ret ? fd_put(K_SYNC, p->out_fd) : ret;
}

/*
 * A buffer that waits for a fence: for a while, or until its file is closed. By itself, as in
 * c_import(): a call on the file may keep it open for as long as the fence is waited for.
 */
static long c_fence(struct thread *t, const uint64_t *a)
{
	struct barter_test_fence fence = { .out_fd = -1, .signal_ms = STUCK_MS };
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_RW };
	int buf = fd_get(a[0]), fd;
	long ret;

	(void)t;
	fd = open("/dev/barter-test", O_RDWR | O_CLOEXEC);
	ret = RESULT(ioctl(fd, BARTER_TEST_IOC_FENCE_NEW, &fence));
	if (!ret) {
		arg.fd = fence.out_fd;
		ret = RESULT(ioctl(buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg));
		fd_put(K_SYNC, fence.out_fd);
	}
	fd_put(K_TEST, fd);
	return ret;
}

static long c_test_foreign(struct thread *t, const uint64_t *a)
{
	struct barter_test_foreign arg = { .length = 4 * PAGE, .out_fd = -1 };
	struct barter_test_foreign *p = place(t, 0, &arg, sizeof(arg));
	long ret = RESULT(ioctl(fd_get(a[0]), BARTER_TEST_IOC_FOREIGN, p));

	return !ret ? fd_put(K_OTHER, p->out_fd) : ret;
}

const struct call_type buf_calls[] = {
	{ "sync", c_sync, 6, { A_BUF, A_SMALL, A_PTR } },
	{ "fence_out", c_fence_out, 5, { A_BUF, A_FLAGS, A_PTR } },
	{ "fence_in", c_fence_in, 8, { A_BUF, A_FLAGS, A_SYNC, A_PTR } },
	{ "set_name", c_set_name, 2, { A_BUF, A_PTR, A_SMALL } },
	{ "seek", c_seek, 2, { A_BUF, A_OFFSET, A_SMALL } },
	{ "poll", c_poll, 4, { A_BUF, A_SMALL, A_MS } },
	{ "read_write", c_read_write, 2, { A_ANYFD, A_PTR, A_SMALL } },
	{ "stat", c_stat, 3, { A_BUF } },
	{ "close", c_close, 24, { A_ANYFD } },
	{ "close_buf", c_close, 16, { A_BUF } },
	{ "close_dev", c_close, 6, { A_DEV } },
	{ "dup", c_dup, 3, { A_ANYFD } },
	{ "raw_ioctl", c_raw_ioctl, 10, { A_ANYFD, A_CMD, A_SEED, A_PTR } },
	{ "barter", c_barter, 6, { A_WHICH } },
	{ "info", c_info, 20, { A_BARTER, A_BUF, A_SIZE, A_FLAGS, A_NR, A_PTR,
				A_PTR, A_SMALL } },
	{ "route", c_route, 14, { A_BARTER, A_BUF, A_SIZE, A_FLAGS, A_DEV, A_BDF,
				  A_BDF, A_PTR } },
	{ "route_well", c_route_well, 6, { A_BARTER, A_BUF, A_SMALL, A_DEV,
					   A_BDF, A_BDF } },
	{ "slice", c_slice, 12, { A_BARTER, A_BUF, A_SIZE, A_FLAGS, A_OFFSET,
				  A_LENGTH, A_PTR, A_SMALL } },
	{ "slice_well", c_slice_well, 24, { A_BARTER, A_BUF, A_SMALL, A_SMALL } },
	{ "watch", c_watch, 14, { A_BARTER, A_BUF, A_SIZE, A_FLAGS, A_SMALL,
				  A_OTHER, A_PTR } },
	{ "watch_well", c_watch_well, 12, { A_BARTER, A_BUF, A_SMALL } },
	{ "debugfs", c_debugfs, 3, { A_SMALL, A_LENGTH } },
	{ "allow", c_allow, 1, { A_SMALL } },
	{ "edu", c_edu, 8, { A_WHICH } },
	{ "edu_import", c_edu_import, 10, { A_EDU, A_BUF, A_SIZE, A_FLAGS, A_PTR } },
	{ "edu_copy", c_edu_copy, 2, { A_EDU, A_SIZE, A_FLAGS, A_OFFSET, A_LENGTH,
				       A_PTR, A_PTR } },
	{ "edu_status", c_edu_status, 5, { A_EDU, A_SIZE, A_FLAGS, A_PTR } },
	{ "test", c_test, 14, { A_WHICH } },
	{ "test_attach", c_test_attach, 20, { A_TEST, A_BUF, A_FLAGS, A_SMALL,
					      A_MS, A_BDF } },
	{ "test_map", c_test_map, 24, { A_TEST, A_SMALL, A_SMALL } },
	{ "test_do", c_test_do, 20, { A_TEST, A_SMALL, A_SMALL } },
	{ "import", c_import, 30, { A_BUF, A_SMALL, A_MS } },
	{ "edu_use", c_edu_use, 4, { A_BUF, A_SMALL } },
	{ "test_fence", c_test_fence, 4, { A_TEST } },
	{ "fence", c_fence, 4, { A_BUF } },
	{ "test_foreign", c_test_foreign, 1, { A_TEST } },
};

const unsigned int nr_buf_calls = sizeof(buf_calls) / sizeof(*buf_calls);
