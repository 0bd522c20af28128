// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls on VFIO's files, and what the administrator does to the device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../device/lib/host.h"
#include "../device/lib/pci.h"
#include "fuzz.h"

static long c_open(struct thread *t, const uint64_t *a)
{
	(void)t;
	return dev_open_any((unsigned int)(a[0] % nr_devs));
}

static long c_group(struct thread *t, const uint64_t *a)
{
	struct vfio_group_status status = {
		.argsz = (uint32_t)size_of(a[1], sizeof(status)),
	};
	int group = fd_get(a[0]), container = fd_get(a[4]);

	switch (a[3] % 5) {
	case 0:
		return RESULT(ioctl(group, VFIO_GROUP_GET_STATUS,
				    place(t, a[2], &status, sizeof(status))));
	case 1:
		if (!may_be_container(container))
			return -EBUSY;
		return RESULT(ioctl(group, VFIO_GROUP_SET_CONTAINER,
			place(t, a[2], &container, sizeof(container))));
	case 2:
		return RESULT(ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	case 3:
		return RESULT(ioctl(container, VFIO_SET_IOMMU,
				    VFIO_TYPE1v2_IOMMU));
	}
	return fd_put(K_DEV, ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
		place(t, a[2], devs[a[3] / 5 % nr_devs].bdf, 16)));
}

#define BIG_NR	(BARTER_MAX_RANGES + 2)

struct export {
	struct vfio_device_feature h;
	struct vfio_device_feature_dma_buf r;
	struct vfio_region_dma_range ranges[];
};

/* For requests that are too large for a thread's own memory; all share it. */
static struct export *big_request(void)
{
	static struct export *big;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (!big) {
		big = mmap(NULL, sizeof(*big) + BIG_NR * 16ul,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (big == MAP_FAILED)
			abort();
		for (uint32_t i = 0; i < BIG_NR; i++)
			big->ranges[i] = (struct vfio_region_dma_range){
				i * 2 % 4096 * PAGE, PAGE };
	}
	pthread_mutex_unlock(&lock);
	return big;
}

static void make_ranges(struct vfio_region_dma_range *ranges, uint32_t nr,
			uint64_t seed)
{
	struct rng r = { seed >> 3 };

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t at = rng_below(&r, 1024) * PAGE;
		uint64_t n = (1 + rng_below(&r, 8)) * PAGE;

		switch (seed & 7) {
		case 0:		/* in a row, huge pages possible */
			at = i * 2 * MIB;
			n = 2 * MIB;
			break;
		case 1:		/* each the same, as often as is allowed or more */
			at = 0;
			n = 16 * MIB;
			break;
		case 2:		/* one of them is wrong */
			if (i == nr / 2) {
				at = rng_next(&r) >> rng_below(&r, 64);
				n = rng_next(&r) >> rng_below(&r, 64);
			}
			break;
		case 3:		/* at the end of the BAR */
			at = (rng_below(&r, 2) ? 16 : 64) * MIB - n +
				rng_below(&r, 3) * PAGE;
			break;
		}
		ranges[i] = (struct vfio_region_dma_range){ at, n };
	}
}

#define SMALL_NR 1024u

/* Mostly GET, now and then what an export does not take. */
static uint32_t export_op(int op)
{
	return op == 1 ? VFIO_DEVICE_FEATURE_SET :
		op == 2 ? VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET :
		op == 3 ? VFIO_DEVICE_FEATURE_PROBE : VFIO_DEVICE_FEATURE_GET;
}

/* Feature 11, and native buffers by their own number. */
static long c_export(struct thread *t, const uint64_t *a)
{
	uint32_t nr = (uint32_t)a[3], here = nr < SMALL_NR ? nr : SMALL_NR;
	static __thread struct {
		struct export e;
		struct vfio_region_dma_range ranges[SMALL_NR];
	} small;
	struct export *e = &small.e;
	size_t n = sizeof(*e) + here * 16ul;
	int op = (int)(a[7] % 24);

	if (nr > SMALL_NR)
		e = big_request();
	else
		make_ranges(e->ranges, here, a[4]);
	e->h.flags = export_op(op) | (a[7] / 24 % 4 ? VFIO_DEVICE_FEATURE_DMA_BUF :
				      BARTER_FEATURE_NATIVE);
	e->h.argsz = (uint32_t)size_of(a[1], n);
	e->r.region_index = (uint32_t)a[2];
	e->r.open_flags = (uint32_t)a[5];
	e->r.flags = op == 4;
	e->r.nr_ranges = nr;
	if (op == 2 || op == 3 || op == 1)
		return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
			nr > SMALL_NR ? e : place(t, a[6], e, n)));
	return buf_put(
		ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, nr > SMALL_NR ? e : place(t, a[6], e, n)));
}

/* By barter's own number: the ranges lie elsewhere. */
static long c_export_own(struct thread *t, const uint64_t *a)
{
	uint32_t nr = (uint32_t)a[3], here = nr < SMALL_NR ? nr : SMALL_NR;
	static __thread struct vfio_region_dma_range ranges[SMALL_NR];
	struct {
		struct vfio_device_feature h;
		struct barter_feature_export e;
		uint64_t more[2];
	} arg = { 0 };
	int op = (int)(a[7] % 24);
	void *p;
	int ret;

	make_ranges(ranges, here, a[4]);
	arg.h.flags = export_op(op) | BARTER_FEATURE_EXPORT;
	arg.h.argsz = (uint32_t)size_of(a[1], sizeof(arg));
	arg.e.size = op == 5 ? (uint32_t)a[4] % 8192 : sizeof(arg.e);
	arg.e.flags = op == 4 ? 1u << a[4] / 8 % 32 : 0;
	arg.e.region_index = (uint32_t)a[2];
	arg.e.open_flags = (uint32_t)a[5];
	arg.e.nr_ranges = nr;
	arg.e.__reserved = op == 6;
	if (op > 8) {
		arg.e.flags = a[4] & 2;
		arg.e.memattr = (uint32_t)a[4] >> 2 & 3;
		memset(arg.e.name, (int)(a[4] >> 8), a[4] >> 16 & 63 ? 9 : 32);
	}
	/* Now and then with an access mode that does not go with it. */
	if (op > 16) {
		arg.e.flags |= BARTER_EXPORT_READ_ONLY;
		if (a[4] >> 22 & 7)
			arg.e.open_flags &= ~(uint32_t)O_ACCMODE;
	}
	/* What lies behind the structure that the kernel knows. */
	arg.more[0] = op == 7;
	p = nr > SMALL_NR ? big_request()->ranges :
		place(t, a[6] >> 8, ranges, here * sizeof(*ranges));
	arg.e.ranges = op == 8 ? a[4] : (uintptr_t)p;
	ret = ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
		    place(t, a[6] & 0xff, &arg, sizeof(arg)));
	return op >= 1 && op <= 3 ? RESULT(ret) : fd_put(K_BUF, ret);
}

/* How a buffer is cached where it is mapped; or whose BARs' mappings are. */
static long c_memattr(struct thread *t, const uint64_t *a)
{
	/* Of every 32 calls some are no SET alone. */
	static const uint32_t odd[] = {
		VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE,
		VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_PROBE,
		VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE,
		0,
	};
	struct {
		struct vfio_device_feature h;
		struct barter_feature_memattr m;
		uint32_t more[2];
	} arg = { 0 };
	uint32_t which = a[3] % 32;

	if (which == 31)
		return sysfs_put(a[3] & 32 ? "Y" : "N",
				 "/sys/module/barter_vfio_pci/parameters/mmap_buffers");
	arg.h.argsz = (uint32_t)size_of(a[2], sizeof(arg));
	arg.h.flags = BARTER_FEATURE_MEMATTR |
		      (which < sizeof(odd) / sizeof(*odd) ? odd[which] : VFIO_DEVICE_FEATURE_SET);
	arg.m.size = which == 29 ? (uint32_t)a[3] : sizeof(arg.m);
	arg.m.flags = a[3] >> 8 & 3;
	arg.m.dmabuf_fd = buf_get(a[1]);
	arg.m.memattr = a[3] >> 10 & 15 ? a[3] >> 14 & 1 : (uint32_t)a[3];
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
			    place(t, a[4], &arg, sizeof(arg))));
}

/* All as it should be: lent, and mapped. */
static long c_lend(struct thread *t, const uint64_t *a)
{
	static __thread struct {
		struct export e;
		struct vfio_region_dma_range ranges[8];
	} req;
	uint32_t nr = 1 + a[2] % 8;
	uint64_t length = 0;
	int fd;

	(void)t;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t n = a[2] & 8 ? 2 * MIB : (1 + (a[2] >> 4) % 4) * PAGE;
		uint64_t at = (a[2] >> i) % 6 * 2 * MIB;

		req.e.ranges[i] = (struct vfio_region_dma_range){ at, n };
		length += n;
	}
	req.e.h.argsz = sizeof(req);
	req.e.h.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	req.e.r = (struct vfio_device_feature_dma_buf){
		.region_index = 2, .open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = nr,
	};
	fd = ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, &req);
	if (fd >= 0) {
		unsigned int slot = DEV_SLOTS +
			(unsigned int)(a[1] % (NR_SLOTS - DEV_SLOTS));

		mmap(slot_address(slot), length, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, fd, 0);
		slot_used(slot);
	}
	return buf_put(fd);
}

/* The same, for nobody to write through; by barter's own number, which alone can say so. */
static long c_lend_read_only(struct thread *t, const uint64_t *a)
{
	struct vfio_region_dma_range ranges[4];
	struct {
		struct vfio_device_feature h;
		struct barter_feature_export e;
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT,
		},
		.e = {
			.size = sizeof(arg.e),
			.flags = BARTER_EXPORT_READ_ONLY,
			.region_index = 2,
			.open_flags = O_RDONLY | O_CLOEXEC,
			.nr_ranges = 1 + a[2] % 4,
			.ranges = (uintptr_t)ranges,
			.name = "read only",
		},
	};
	uint64_t length = 0;
	int fd;

	(void)t;
	for (uint32_t i = 0; i < arg.e.nr_ranges; i++) {
		ranges[i].offset = (a[2] >> i) % 6 * 2 * MIB;
		ranges[i].length = a[2] & 8 ? 2 * MIB : (1 + (a[2] >> 4) % 4) * PAGE;
		length += ranges[i].length;
	}
	fd = ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, &arg);
	if (fd >= 0) {
		unsigned int slot = DEV_SLOTS + (unsigned int)(a[1] % (NR_SLOTS - DEV_SLOTS));

		mmap(slot_address(slot), length, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
		slot_used(slot);
	}
	return fd_put(K_BUF, fd);
}

static long c_feature(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_device_feature h;
		uint64_t data[4];
	} arg = {
		.h = {
			.argsz = (uint32_t)size_of(a[3], sizeof(arg)),
			.flags = (uint32_t)(a[1] | a[2]),
		},
		.data = { a[5], a[5] },
	};

	/* An export would give an fd that nobody knows. */
	switch (arg.h.flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
	case BARTER_FEATURE_EXPORT:
	case BARTER_FEATURE_NATIVE:
		if (!(arg.h.flags & VFIO_DEVICE_FEATURE_PROBE))
			return -EINVAL;
	}
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
			    place(t, a[4], &arg, sizeof(arg))));
}

/* One buffer, for ever; mostly in the right way. */
static long c_end(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_device_feature h;
		struct barter_feature_revoke r;
	} arg = {
		.h = {
			.argsz = (uint32_t)size_of(a[2], sizeof(arg)),
			.flags = (a[4] % 16 ? VFIO_DEVICE_FEATURE_SET :
				  export_op((int)(a[4] / 16 % 12))) |
				 BARTER_FEATURE_REVOKE,
		},
		.r = {
			.size = (uint32_t)size_of(a[2] >> 8, sizeof(arg.r)),
			.flags = a[4] == 33,
			.dmabuf_fd = buf_get(a[1]),
			.__reserved = a[4] == 34,
		},
	};

	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
			    place(t, a[3], &arg, sizeof(arg))));
}

static long c_low_power(struct thread *t, const uint64_t *a)
{
	static const uint32_t nr[] = { 3, 5, 5, 4 };
	struct {
		struct vfio_device_feature h;
		int32_t wakeup_eventfd, reserved;
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_SET | nr[a[1] % 4],
		},
		.wakeup_eventfd = fd_get(a[2]),
	};

	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE,
			    place(t, a[3], &arg, sizeof(arg))));
}

static long c_reset(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_RESET));
}

static long c_hot_reset(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_pci_hot_reset h;
		int32_t fds[8];
	} arg = {
		.h = {
			.argsz = (uint32_t)size_of(a[1], sizeof(arg)),
			.flags = (uint32_t)a[2],
			.count = a[3] < 200 ? a[3] % 4 : (uint32_t)a[3] << 24,
		},
	};

	for (unsigned int i = 0; i < 8; i++)
		arg.fds[i] = fd_get(a[4] + ((uint64_t)i << 8));
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_PCI_HOT_RESET,
			    place(t, a[5], &arg, sizeof(arg))));
}

/* As a VMM does it: one group, the right size. */
static long c_hot_reset_well(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_pci_hot_reset h;
		int32_t fd;
	} arg = {
		.h = { .argsz = sizeof(arg), .count = 1 },
		.fd = fd_get(a[1]),
	};

	(void)t;
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_PCI_HOT_RESET, &arg));
}

static long c_dev_info(struct thread *t, const uint64_t *a)
{
	static const unsigned long cmd[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
		VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	};
	uint32_t arg[32] = { (uint32_t)size_of(a[2], 32), 0, (uint32_t)a[3] };

	return RESULT(ioctl(fd_get(a[0]), cmd[a[1] % 4],
			    place(t, a[4], arg, sizeof(arg))));
}

static long c_config_write(struct thread *t, const uint64_t *a)
{
	uint64_t data[8] = { a[2], ~a[2], a[2] << 8 };

	return RESULT(pwrite(fd_get(a[0]), place(t, a[4], data, sizeof(data)),
			     a[3] % 8 ? a[3] % 16 : a[3], (off_t)(CONFIG + a[1])));
}

/* COMMAND as drivers write it: memory on or off, by blocks of any length. */
static long c_command(struct thread *t, const uint64_t *a)
{
	static const struct {
		uint8_t offset, n;
	} block[] = { { 4, 1 }, { 4, 2 }, { 4, 4 }, { 0, 8 }, { 2, 4 }, { 3, 2 } };
	unsigned int i = (unsigned int)(a[1] >> 2) % 6;
	uint8_t data[8] = { 0 };

	data[4 - block[i].offset] = a[1] & 1 ? 0 : PCI_COMMAND_MEMORY |
		(a[1] & 2 ? PCI_COMMAND_MASTER : 0);
	return RESULT(pwrite(fd_get(a[0]), place(t, a[2], data, block[i].n),
			     block[i].n, (off_t)(CONFIG + block[i].offset)));
}

/* Power state and function level reset, where the device has them. */
static long c_power(struct thread *t, const uint64_t *a)
{
	int fd = fd_get(a[0]);
	uint8_t at = 0, cap[2];
	uint16_t value;

	(void)t;
	if (pread(fd, &at, 1, (off_t)(CONFIG + PCI_CAPABILITY_LIST)) != 1)
		return -errno;
	for (unsigned int left = 16; at && left; left--, at = cap[1]) {
		if (pread(fd, cap, 2, (off_t)(CONFIG + at)) != 2)
			return -EIO;
		if (cap[0] == PCI_CAP_ID_PM && a[1] & 1) {
			value = a[1] >> 1 & 3;
			return RESULT(pwrite(fd, &value, 2,
				(off_t)(CONFIG + at + PCI_PM_CTRL)));
		}
		if (cap[0] == PCI_CAP_ID_EXP && !(a[1] & 1)) {
			value = PCI_EXP_DEVCTL_BCR_FLR;
			return RESULT(pwrite(fd, &value, 2,
				(off_t)(CONFIG + at + PCI_EXP_DEVCTL)));
		}
	}
	return -ENODEV;
}

static long c_region(struct thread *t, const uint64_t *a)
{
	uint8_t data[64] = { 1, 2, 3 };
	void *p = place(t, a[4], data, sizeof(data));
	off_t at = (off_t)(REGION(a[1]) + a[2]);
	size_t n = a[3] & 64 ? a[3] % 64 : 1u << a[3] % 4;

	/* BAR 0 of the devices has registers: look only. */
	if (a[3] & 128 || !a[1] || a[1] > 5)
		return RESULT(pread(fd_get(a[0]), p, n, at));
	return RESULT(pwrite(fd_get(a[0]), p, n, at));
}

static long c_sysfs_reset(struct thread *t, const uint64_t *a)
{
	static int64_t last;

	(void)t;
	if (too_early(&last, 300))
		return -EAGAIN;
	return sysfs_put("1", "/sys/bus/pci/devices/%s/reset",
			 devs[a[0] % nr_devs].bdf);
}

static long c_rebind(struct thread *t, const uint64_t *a)
{
	static int64_t last;

	(void)t;
	if (too_early(&last, 5000))
		return -EAGAIN;
	return dev_rebind((unsigned int)(a[0] % nr_devs), a[1] & 1);
}

static long c_rebind_edu(struct thread *t, const uint64_t *a)
{
	static int64_t last;
	int ret;

	(void)t;
	(void)a;
	if (!edu_name || too_early(&last, 3000))
		return -ENODEV;
	ret = sysfs_put(edu_name, "/sys/bus/pci/devices/%s/driver/unbind",
			edu_name);
	sysfs_put(edu_name, "/sys/bus/pci/drivers_probe");
	return ret;
}

/*
 * An error of the link above a device: recovery resets what is below. In replayed
 * programs only: the kernel resumes devices under pci_bus_sem then, which
 * vfio-pci-core answers by taking memory_lock, and takes both the other way round
 * in a hot reset. Lockdep says so; both paths are the kernel's own.
 */
static long c_aer(struct thread *t, const uint64_t *a)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	char text[256];
	long ret;

	(void)t;
	if (pthread_mutex_trylock(&one))
		return -EBUSY;
	ret = host_monitor(a[0] & 1 ? "pcie_aer_inject_error rp1 DLP" :
			   "pcie_aer_inject_error rp0 DLP", text, sizeof(text));
	pthread_mutex_unlock(&one);
	return ret;
}

static long c_dma_map(struct thread *t, const uint64_t *a)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = (uint32_t)size_of(a[4], sizeof(map)),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)slot_address(a[1]),
		.iova = a[2] & ~0xfffull,
		.size = a[3] & 15 ? (a[3] & 15) << 12 : a[3],
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	int fd = fd_get(a[0]);
	long ret;

	ret = RESULT(ioctl(fd, VFIO_IOMMU_MAP_DMA,
			   place(t, a[5], &map, sizeof(map))));
	ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
	return ret;
}

const struct call_type vfio_calls[] = {
	{ "open", c_open, 20, { A_WHICH } },
	{ "group", c_group, 6, { A_GROUP, A_SIZE, A_PTR, A_SMALL, A_CONTAINER } },
	{ "export", c_export, 60, { A_DEV, A_SIZE, A_BAR, A_NR, A_SEED, A_OPEN, A_PTR, A_SMALL } },
	{ "export_own",
	  c_export_own,
	  30,
	  { A_DEV, A_SIZE, A_BAR, A_NR, A_SEED, A_OPEN, A_PTR, A_SMALL } },
	{ "lend", c_lend, 40, { A_DEV, A_SLOT, A_SEED } },
	{ "lend_read_only", c_lend_read_only, 12, { A_DEV, A_SLOT, A_SEED } },
	{ "memattr", c_memattr, 20, { A_DEV, A_BUF, A_SIZE, A_SEED, A_PTR } },
	{ "feature", c_feature, 10, { A_DEV, A_FEATURE, A_OP, A_SIZE, A_PTR, A_VALUE } },
	{ "end", c_end, 6, { A_DEV, A_BUF, A_SIZE, A_PTR, A_SMALL } },
	{ "low_power", c_low_power, 12, { A_DEV, A_SMALL, A_OTHER, A_PTR } },
	{ "reset", c_reset, 4, { A_DEV } },
	{ "hot_reset", c_hot_reset, 6, { A_DEV, A_SIZE, A_FLAGS, A_SMALL, A_GROUP, A_PTR } },
	{ "hot_reset_well", c_hot_reset_well, 4, { A_DEV, A_GROUP } },
	{ "dev_info", c_dev_info, 8, { A_DEV, A_SMALL, A_SIZE, A_BAR, A_PTR } },
	{ "irqs", set_irqs, 6, { A_DEV, A_SMALL, A_FLAGS, A_SMALL, A_OTHER, A_SIZE, A_PTR } },
	{ "irq_well", set_irq_well, 3, { A_DEV, A_SMALL } },
	{ "config_write", c_config_write, 14, { A_DEV, A_CONFIG, A_VALUE, A_SMALL, A_PTR } },
	{ "command", c_command, 24, { A_DEV, A_SMALL, A_PTR } },
	{ "power", c_power, 4, { A_DEV, A_SMALL } },
	{ "region", c_region, 10, { A_DEV, A_BAR, A_OFFSET, A_SMALL, A_PTR } },
	{ "sysfs_reset", c_sysfs_reset, 2, { A_WHICH, A_ALONE } },
	{ "rebind", c_rebind, 1, { A_WHICH, A_SMALL, A_ALONE } },
	{ "rebind_edu", c_rebind_edu, 1, { A_WHICH, A_ALONE } },
	{ "aer", c_aer, 0, { A_SMALL } },
	{ "dma_map", c_dma_map, 4, { A_CONTAINER, A_SLOT, A_OFFSET, A_LENGTH, A_SIZE, A_PTR } },
};

const unsigned int nr_vfio_calls = sizeof(vfio_calls) / sizeof(*vfio_calls);
