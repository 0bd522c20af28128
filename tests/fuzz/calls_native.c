// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The kernel's own buffers of a device, native ones, what feature 11 gives, and iommufd:
 * the one importer that takes them and nothing else.
 *
 * They are kept from what is known of them (doc/upstream-bugs.md). Each unmap by DMA API
 * leaks a list (M2), which kmemleak sees; a map of two ranges fails, and the kernel warns
 * (N1, N2); and a revoke waits for importers and fences in a way that nobody can kill, with
 * locks held (B17). iommufd has none of that. So native buffers go to iommufd and to
 * dma-buf's own calls, but to nobody else who may map them: fd_get() has none, and buf_own()
 * looks once more, as the number may be another file's by now. And none gets a fence of the
 * test module's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/iommufd_abi.h"
#include "../device/lib/iommufd.h"
#include "../device/lib/native.h"
#include "fuzz.h"

#define FEATURE11 "/sys/module/barter_vfio_pci/parameters/feature11"
#define FILES_AT  (1ull << 30) /* where map_file maps, if it does it well */

static bool has_exporter;
static volatile bool is_barters = true; /* what feature 11 gives */

const char *native_init(void)
{
	char modes[80];

	feature11_read(modes, sizeof(modes));
	has_exporter = strstr(modes, "native");
	return has_exporter ? NULL : "the kernel has no exporter of its own";
}

const char *cdev_init(void)
{
	return iommufd_there() ? NULL : "the kernel has no iommufd";
}

const char *iommufd_init(void)
{
	return !has_exporter ? "the kernel has no exporter of its own" : cdev_init();
}

void feature11_barter(void)
{
	if (is_barters)
		return;
	/* Before: who writes meanwhile says so afterwards. */
	is_barters = true;
	sysfs_put("barter", FEATURE11);
}

/* Is it a dma-buf, and has its fdinfo @line? */
static bool exporter_is(int fd, const char *line)
{
	char path[64], text[512];
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = 0;
	return strstr(text, line);
}

static bool is_native(int fd)
{
	return exporter_is(fd, "exp_name:\t" NATIVE "\n");
}

long buf_put(int fd)
{
	int high;

	if (fd < 0 || !has_exporter || !is_native(fd))
		return fd_put(K_BUF, fd);
	high = fcntl(fd, F_DUPFD_CLOEXEC, NATIVE_FD);
	close(fd);
	return fd_put(K_NATIVE, high);
}

int buf_own(uint64_t arg)
{
	int fd = fcntl(fd_get(arg), F_DUPFD_CLOEXEC, 0);

	if (fd >= 0 && has_exporter && is_native(fd)) {
		close(fd);
		errno = EBUSY;
		return -1;
	}
	return fd;
}

/* ---- native buffers ---- */

/* Until a thread has everybody's memory on again: see world_awake(). */
static long c_feature11(struct thread *t, const uint64_t *a)
{
	static const char *const words[] = { "auto", "native", "barter", "native", "nativ", "" };
	long ret;

	(void)t;
	ret = sysfs_put(words[a[0] < 250 ? a[0] % 4 : 4 + a[0] % 2], FEATURE11);
	is_barters = false;
	return ret;
}

/* As it should be: one range, mostly, as iommufd wants it. */
static long c_lend(struct thread *t, const uint64_t *a)
{
	uint32_t nr = a[1] % 16 == 15 ? 2 : 1;
	struct {
		struct vfio_device_feature h;
		struct vfio_device_feature_dma_buf r;
		struct vfio_region_dma_range ranges[2];
	} arg = {
		.h = {
			.argsz = (uint32_t)(sizeof(arg) - (2 - nr) * sizeof(arg.ranges[0])),
			.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_NATIVE,
		},
		.r = {
			.region_index = 2,
			.open_flags = (a[1] >> 4 & 7) == 7 ? O_RDONLY : O_RDWR | O_CLOEXEC,
			.nr_ranges = nr,
		},
		.ranges = {
			{ (a[1] >> 8) % 6 * 2 * MIB,
			  a[1] >> 12 & 1 ? 2 * MIB : (1 + (a[1] >> 13) % 4) * PAGE },
			{ 14 * MIB, PAGE },
		},
	};

	(void)t;
	return buf_put(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, &arg));
}

const struct call_type native_calls[] = {
	{ "feature11", c_feature11, 2, { A_SMALL, A_ALONE } },
	{ "native_lend", c_lend, 24, { A_DEV, A_SEED } },
};

const unsigned int nr_native_calls = sizeof(native_calls) / sizeof(*native_calls);

/* ---- devices by their own files ---- */

static long c_open_cdev(struct thread *t, const uint64_t *a)
{
	(void)t;
	return dev_open_cdev((unsigned int)(a[0] % nr_devs));
}

const struct call_type cdev_calls[] = {
	{ "open_cdev", c_open_cdev, 6, { A_WHICH } },
};

const unsigned int nr_cdev_calls = sizeof(cdev_calls) / sizeof(*cdev_calls);

/* ---- iommufd, an importer ---- */

/* Addresses that no device uses; an IOAS more in an iommufd that is there, if it is told so. */
static long c_ioas(struct thread *t, const uint64_t *a)
{
	struct barter_ioas_alloc alloc = { .size = (uint32_t)size_of(a[1], sizeof(alloc)) };
	int fd = a[2] % 4 ? open("/dev/iommu", O_RDWR | O_CLOEXEC) :
			    fcntl(fd_get(a[0]), F_DUPFD_CLOEXEC, 0);
	long ret =
		RESULT(ioctl(fd, BARTER_IOMMU_IOAS_ALLOC, place(t, a[3], &alloc, sizeof(alloc))));

	return fd_put(K_IOMMUFD, fd) < 0 ? -EBADF : ret;
}

static long unmap_files(struct thread *t, int fd, uint32_t ioas, uint64_t how, uint64_t iova)
{
	struct barter_ioas_unmap all = {
		.size = sizeof(all),
		.ioas_id = ioas,
		.iova = how & 8 ? iova : 0,
		.length = how & 8 ? PAGE : UINT64_MAX,
	};

	return RESULT(ioctl(fd, BARTER_IOMMU_IOAS_UNMAP, place(t, 0, &all, sizeof(all))));
}

/*
 * iommufd keeps whatever file it is given (iopt_map_file_pages() in 7.3): itself too, or a device
 * that keeps it. Nobody ever frees these again. So here only what keeps no iommufd, or nothing.
 */
static bool may_be_mapped(int fd)
{
	struct stat st;

	return fd < 0 || exporter_is(fd, "exp_name:") || (!fstat(fd, &st) && S_ISREG(st.st_mode));
}

/* Mostly a page in the right way; and half the time taken out again, or all that is there. */
static long c_map_file(struct thread *t, const uint64_t *a)
{
	uint64_t how = a[5];
	struct barter_ioas_map_file arg = {
		.size = (uint32_t)size_of(a[4], sizeof(arg)),
		.flags = (how >> 8 & 15) == 15 ? (uint32_t)(how >> 12 & 15) : 7,
		.ioas_id = 1 + (how >> 16 & 15) / 15,
		/* Of barter's buffers it takes none. */
		.fd = how % 16 == 7 ? fd_get(K_BUF | (a[1] & ~0xffull)) : buf_get(a[1]),
		.start = a[2],
		.length = a[3],
		.iova = a[2],
	};
	int fd = fd_get(a[0]);
	long ret;

	/* One's own, which nobody closes, so that it stays the file that it is. */
	arg.fd = fcntl(arg.fd, F_DUPFD_CLOEXEC, NATIVE_FD);
	if (!may_be_mapped(arg.fd)) {
		close(arg.fd);
		return -EBUSY;
	}
	if (how & 3) {
		arg.start = 0;
		arg.length = PAGE;
		arg.iova = FILES_AT + (how >> 20) % 64 * 2 * MIB;
	}
	ret = RESULT(ioctl(fd, BARTER_IOMMU_IOAS_MAP_FILE, place(t, 0, &arg, sizeof(arg))));
	close(arg.fd);
	if (how & 4)
		unmap_files(t, fd, arg.ioas_id, how, arg.iova);
	return ret;
}

const struct call_type iommufd_calls[] = {
	{ "ioas", c_ioas, 6, { A_IOMMUFD, A_SIZE, A_SMALL, A_PTR } },
	{ "map_file", c_map_file, 24, { A_IOMMUFD, A_NATIVE, A_OFFSET, A_LENGTH, A_SIZE, A_SEED } },
};

const unsigned int nr_iommufd_calls = sizeof(iommufd_calls) / sizeof(*iommufd_calls);
