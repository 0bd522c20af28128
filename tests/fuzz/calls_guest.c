// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * vEDUs, the sample mediated devices: made and removed, opened by a container or by
 * iommufd, given memory and deprived of it.
 *
 * All guests have the same memory, which nothing else is in: whatever a command writes
 * there is nobody's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/iommufd_abi.h"
#include "../device/lib/pci.h"
#include "../device/lib/tap.h"
#include "../device/lib/vedu.h"
#include "fuzz.h"

#define NR_VEDUS 6

/* For vedu_open. */
#define HOW_BESIDE     1 /* with another in one container, or in one iommufd */
#define HOW_BARE       2 /* no memory yet */
#define HOW_KEEP_GROUP 16

static const char *engine, *memory;
static uint8_t *ram;

const char *guest_init(void)
{
	int ret;

	engine = device_named("VM_VEDU");
	memory = device_named("VM_VEDU_MEMORY");
	if (!engine || !memory)
		return "the machine has no edu to spare";
	if (access("/sys/bus/mdev", F_OK))
		return "the kernel has no mediated devices";
	ram = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		tap_bail("memory of guests");
	ret = pci_bind(engine, VEDU_DRIVER);
	ret = ret ?: pci_bind(memory, VEDU_DRIVER);
	if (ret)
		tap_bail("bind %s and %s: %s", engine, memory, strerror(-ret));
	return NULL;
}

/* ---- what the administrator does ---- */

static long c_create(struct thread *t, const uint64_t *a)
{
	(void)t;
	return engine ? vedu_create(engine, a[1] & 1 ? "memory" : "engine",
				    (unsigned int)(a[0] % NR_VEDUS)) :
			-ENODEV;
}

static long do_remove(uint64_t nr)
{
	return vedu_remove((unsigned int)nr);
}

static long c_remove(struct thread *t, const uint64_t *a)
{
	static int64_t last;

	(void)t;
	if (!engine || too_early(&last, 1500))
		return -EAGAIN;
	return vedu_drained(do_remove, a[0] % NR_VEDUS);
}

static long do_rebind(uint64_t of_memory)
{
	const char *bdf = of_memory ? memory : engine;
	long ret = sysfs_put(bdf, "/sys/bus/pci/devices/%s/driver/unbind", bdf);

	return sysfs_put(bdf, "/sys/bus/pci/drivers_probe") ?: ret;
}

/* vEDUs live on without their memory, but not without their engine. */
static long c_rebind(struct thread *t, const uint64_t *a)
{
	static int64_t last;

	(void)t;
	if (!engine || too_early(&last, 4000))
		return -EAGAIN;
	return a[0] & 1 ? do_rebind(1) : vedu_drained(do_rebind, 0);
}

void vedu_end(void)
{
	for (unsigned int nr = 0; engine && nr < NR_VEDUS; nr++)
		vedu_remove(nr);
}

/* ---- a guest ---- */

/* Whichever of the two @space is. */
static long map_dma(int space, void *p, uint64_t iova, uint64_t length, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)p,
		.iova = iova,
		.size = length,
	};
	struct barter_ioas_map_va va = {
		.size = sizeof(va),
		.ioas_id = 1,
		.user_va = (uintptr_t)p,
		.flags = BARTER_IOAS_MAP_FIXED_IOVA | (flags & 1 ? BARTER_IOAS_MAP_READABLE : 0) |
			 (flags & 2 ? BARTER_IOAS_MAP_WRITEABLE : 0),
		.length = length,
		.iova = iova,
	};
	long ret = RESULT(ioctl(space, VFIO_IOMMU_MAP_DMA, &map));

	if (ret != -ENOTTY && ret != -ENODEV)
		return ret;
	return RESULT(ioctl(space, BARTER_IOMMU_IOAS_MAP, &va));
}

/* Memory and bus mastering on, the ring runs. */
long vedu_start(int fd)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint32_t control = BARTER_VEDU_CONTROL_ENABLE;

	if (pwrite(fd, &command, sizeof(command), (off_t)(CONFIG + PCI_COMMAND)) < 0)
		return -errno;
	return RESULT(pwrite(fd, &control, sizeof(control), BARTER_VEDU_CONTROL));
}

static long put_guest(int fd, int space, uint64_t how)
{
	long ret;

	if (fd < 0) {
		ret = -errno;
		any_close(space);
		return ret;
	}
	if (!(how & HOW_BARE)) {
		map_dma(space, ram, GUEST_IOVA, GUEST_MEMORY, 3);
		vedu_start(fd);
	}
	fd_put(K_SPACE, space);
	return fd_put(K_VEDU, fd);
}

static int open_in_sysfs(unsigned int nr, const char *folder, const char *dev)
{
	char path[300], uuid[40], name[33] = "";
	struct dirent *e;
	char link[128];
	ssize_t n;
	DIR *dir;

	snprintf(uuid, sizeof(uuid), VEDU_UUID, nr);
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/%s", uuid, folder);
	n = readlink(path, link, sizeof(link) - 1);
	if (n > 0) {
		link[n] = 0;
		snprintf(name, sizeof(name), "%.32s", strrchr(link, '/') + 1);
	}
	dir = n > 0 ? NULL : opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			snprintf(name, sizeof(name), "%.32s", e->d_name);
	if (dir)
		closedir(dir);
	if (!name[0]) {
		errno = ENODEV;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%s", dev, name);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int space_for(uint64_t how, const char *path)
{
	if (how & HOW_BESIDE)
		return container_dup(fd_get(K_SPACE | LATEST << 8), 0);
	return container_open(path);
}

static long open_group(unsigned int nr, uint64_t how)
{
	int group, space, fd;
	char uuid[40];
	bool is_in;

	if (is_draining())
		return -EBUSY;
	group = open_in_sysfs(nr, "iommu_group", "/dev/vfio");
	if (group < 0)
		return -errno;
	space = space_for(how, "/dev/vfio/vfio");
	if (!may_be_container(space)) {
		any_close(space);
		close(group);
		return -EBUSY;
	}
	is_in = !ioctl(group, VFIO_GROUP_SET_CONTAINER, &space);
	if (is_in && !(how & HOW_BESIDE))
		ioctl(space, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	snprintf(uuid, sizeof(uuid), VEDU_UUID, nr);
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	if (is_in)
		container_keep(space, fd);
	/* The device's fd keeps the group. */
	if ((how & 0xf0) == HOW_KEEP_GROUP)
		fd_put(K_GROUP, group);
	else
		close(group);
	return put_guest(fd, space, how);
}

static long c_open(struct thread *t, const uint64_t *a)
{
	(void)t;
	return open_group((unsigned int)(a[0] % NR_VEDUS), a[1]);
}

void vedu_open_any(unsigned int which)
{
	unsigned int nr = which % NR_VEDUS;

	if (!engine || is_draining())
		return;
	vedu_create(engine, nr & 1 ? "memory" : "engine", nr);
	open_group(nr, 0);
}

static long c_open_cdev(struct thread *t, const uint64_t *a)
{
	struct barter_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct barter_vfio_bind bind = { .argsz = sizeof(bind) };
	struct barter_vfio_attach attach = { .argsz = sizeof(attach), .pt_id = 1 };
	int fd;

	(void)t;
	if (is_draining())
		return -EBUSY;
	fd = open_in_sysfs((unsigned int)(a[0] % NR_VEDUS), "vfio-dev", "/dev/vfio/devices");
	if (fd < 0)
		return -errno;
	bind.iommufd = space_for(a[1], "/dev/iommu");
	if (!(a[1] & HOW_BESIDE) && !ioctl(bind.iommufd, BARTER_IOMMU_IOAS_ALLOC, &alloc))
		attach.pt_id = alloc.out_ioas_id;
	if (!ioctl(fd, BARTER_VFIO_BIND_IOMMUFD, &bind))
		ioctl(fd, BARTER_VFIO_ATTACH_IOMMUFD, &attach);
	return put_guest(fd, bind.iommufd, a[1]);
}

static long c_close(struct thread *t, const uint64_t *a)
{
	(void)t;
	return fd_close(a[0]);
}

/* ---- its memory ---- */

/*
 * Behind what vedu_open maps there are more such windows, for vedu_map: an unmap of a whole
 * one parts no mapping, which type 1 refuses.
 */
static uint64_t window(uint64_t which)
{
	return GUEST_IOVA + which % 4 * GUEST_MEMORY;
}

static long c_map(struct thread *t, const uint64_t *a)
{
	uint64_t iova = a[1] & ~(a[3] % 16 == 3 ? 0 : PAGE - 1);
	uint64_t length = a[3] & 0x100 ? a[2] : (1 + a[3] / 0x200 % 256) * PAGE;
	uint8_t *p = ram + a[1] / PAGE % 256 * PAGE;

	(void)t;
	/* Another device's memory, or nothing at all. */
	if (a[3] % 8 == 1)
		p = slot_address(a[1]);
	else if (a[3] % 16 == 2)
		p++;
	if (a[3] & 0xc00000)
		iova = window(1 + a[3] / 0x1000000 % 3) + iova % (GUEST_MEMORY / 2);
	return map_dma(fd_get(a[0]), p, iova, length,
		       a[3] & 0x70000 ? 3 : (uint32_t)(a[3] / 0x80000 % 8));
}

static long c_unmap(struct thread *t, const uint64_t *a)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = (uint32_t)size_of(a[3], sizeof(unmap)),
		.iova = a[1],
		.size = a[2],
	};
	struct barter_ioas_unmap range = { .size = sizeof(range), .ioas_id = 1 };
	int space = fd_get(a[0]);
	long ret;

	/* Most are of what vedu_open and vedu_map have mapped. */
	if (a[5] % 4) {
		unmap.iova = a[5] % 4 < 3 ? window(a[5] / 0x100) : a[1] & ~(PAGE - 1);
		unmap.size = a[5] % 4 < 3 ? GUEST_MEMORY : (1 + a[5] / 0x200 % 256) * PAGE;
	} else if (a[5] % 32 == 4) {
		unmap.flags = VFIO_DMA_UNMAP_FLAG_ALL;
		unmap.iova = unmap.size = 0;
	}
	range.iova = unmap.iova;
	range.length = unmap.flags ? UINT64_MAX : unmap.size;
	ret = RESULT(ioctl(space, VFIO_IOMMU_UNMAP_DMA, place(t, a[4], &unmap, sizeof(unmap))));
	if (ret != -ENOTTY && ret != -ENODEV)
		return ret;
	return RESULT(ioctl(space, BARTER_IOMMU_IOAS_UNMAP, place(t, a[4], &range, sizeof(range))));
}

/* The process that is the guest does what it likes to memory that a command uses. */
static long c_ram(struct thread *t, const uint64_t *a)
{
	uint8_t *p = ram + a[0] % 512 * PAGE;
	size_t n = (1 + a[1] % 64) * PAGE;

	(void)t;
	if (n > (size_t)(ram + GUEST_MEMORY - p))
		n = (size_t)(ram + GUEST_MEMORY - p);
	switch (a[1] / 64) {
	case 0:
		return RESULT(mprotect(p, n, a[0] & 1 ? PROT_READ : PROT_READ | PROT_WRITE));
	case 1:
		return RESULT(mprotect(ram, GUEST_MEMORY, PROT_READ | PROT_WRITE));
	case 2:
		return RESULT(madvise(p, n, MADV_DONTNEED));
	}
	return RESULT(madvise(p, n, 23 /* POPULATE_WRITE */));
}

void guest_writable(void)
{
	if (ram)
		mprotect(ram, GUEST_MEMORY, PROT_READ | PROT_WRITE);
}

const struct call_type guest_calls[] = {
	{ "vedu_create", c_create, 8, { A_SMALL, A_SMALL } },
	{ "vedu_remove", c_remove, 2, { A_SMALL, A_ALONE } },
	{ "vedu_rebind", c_rebind, 1, { A_SMALL, A_ALONE } },
	{ "vedu_open", c_open, 16, { A_SMALL, A_SMALL } },
	{ "vedu_open_cdev", c_open_cdev, 10, { A_SMALL, A_SMALL } },
	{ "vedu_close", c_close, 8, { A_VEDU } },
	{ "vedu_map", c_map, 14, { A_SPACE, A_IOVA, A_LENGTH, A_SEED } },
	{ "vedu_unmap", c_unmap, 14, { A_SPACE, A_IOVA, A_LENGTH, A_SIZE, A_PTR, A_SEED } },
	{ "vedu_ram", c_ram, 3, { A_SEED, A_SMALL } },
};

const unsigned int nr_guest_calls = sizeof(guest_calls) / sizeof(*guest_calls);
