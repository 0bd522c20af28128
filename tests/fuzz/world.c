// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What all threads work on: fds by kind, places for mappings, devices.
 *
 * An fd leaves its place before it is closed, so that it is closed once; a call
 * that still uses the number then meets EBADF or another of our fds. Mappings
 * are made in an address range of their own, far below where the C library gets
 * memory from: whatever is unmapped or written there is a mapping's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/iommufd_abi.h"
#include "../device/lib/pci.h"
#include "../device/lib/proc.h"
#include "../device/lib/tap.h"
#include "fuzz.h"

#define ARENA		((uint8_t *)0x100000000000ul)
#define DRAIN_MS	5000
#define TELL_MS		20000

struct device devs[NR_DEVS];
unsigned int nr_devs;
const char *edu_name;

static int own_fds[NR_KINDS][NR_FDS];
static int *fds[NR_KINDS];
/* What let_go() sees, too. */
struct shared {
	int fds[NR_FDS]; /* of K_TEST */
	int64_t born[NR_FDS];
	unsigned int late;
};

static struct shared *shared;
static dev_t test_file;
static pid_t let_go_pid;
static uint32_t next_fd[NR_KINDS];
/* Where this thread has put the last fd of a kind, and mapped last. */
static __thread uint32_t latest[NR_KINDS];
static __thread unsigned int latest_slot;
/* A device is being taken from its driver, which waits for all to let go: since when (ms). */
static volatile int64_t draining;
static volatile bool draining_vedus; /* that device is a vEDU */
static pthread_mutex_t rebind_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- fds ---- */

int buf_get(uint64_t arg)
{
	static const int odd[] = { -1, 0x7fffffff, -100 };
	unsigned int kind = arg & 0xff, from = arg >> 8 & 0xff;

	if (kind >= NR_KINDS)
		return odd[kind % 3];
	if (from == LATEST)
		from = latest[kind];
	for (unsigned int i = 0; i < NR_FDS; i++) {
		int fd = __atomic_load_n(&fds[kind][(from + i) % NR_FDS],
					 __ATOMIC_RELAXED);

		if (fd >= 0)
			return fd;
	}
	return -1;
}

int fd_get(uint64_t arg)
{
	return (arg & 0xff) == K_NATIVE ? -1 : buf_get(arg);
}

bool fd_none(enum fd_kind kind)
{
	return fd_get(kind) < 0;
}

static void take_out(unsigned int kind, unsigned int i)
{
	int fd = __atomic_exchange_n(&fds[kind][i], -1, __ATOMIC_SEQ_CST);

	if (fd >= 0)
		any_close(fd);
}

static bool is_test(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == test_file;
}

/* Also those that a thread has opened and not handed over yet. */
void world_in_child(void)
{
	container_in_child();
	fds[K_TEST] = own_fds[K_TEST];
	for (int fd = 3; fd < MAX_FD; fd++)
		if (is_test(fd))
			close(fd);
}

static bool keeps_device(unsigned int kind)
{
	if (draining_vedus)
		return kind == K_VEDU || kind == K_SPACE;
	return kind == K_DEV || kind == K_GROUP || kind == K_CONTAINER || kind == K_IOMMUFD;
}

bool is_draining(void)
{
	return draining;
}

long fd_put(enum fd_kind kind, int fd)
{
	unsigned int i;
	int old;

	if (fd < 0)
		return -errno;
	i = __atomic_fetch_add(&next_fd[kind], 1, __ATOMIC_RELAXED) % NR_FDS;
	latest[kind] = i;
	if (kind == K_TEST && fds[kind] == shared->fds)
		shared->born[i] = now_ms();
	old = __atomic_exchange_n(&fds[kind][i], fd, __ATOMIC_SEQ_CST);
	if (old >= 0)
		any_close(old);
	if (draining && keeps_device(kind))
		take_out(kind, i);
	return fd;
}

long fd_close(uint64_t arg)
{
	unsigned int kind = arg & 0xff;

	/* Those of K_OTHER come from world_init() alone. */
	if (kind >= K_OTHER)
		return -EBADF;
	arg = arg >> 8 & 0xff;
	take_out(kind, arg == LATEST ? latest[kind] : arg % NR_FDS);
	return 0;
}

long fd_dup(uint64_t arg)
{
	unsigned int kind = arg & 0xff;
	int fd;

	if (kind >= NR_KINDS)
		return -EBADF;
	/* Native ones stay above. */
	fd = buf_get(arg);
	return fd_put(kind, container_dup(fd, fd < NATIVE_FD ? 0 : NATIVE_FD));
}

/* ---- mappings ---- */

unsigned int slot_number(uint64_t slot)
{
	return (unsigned int)((slot == LATEST ? latest_slot : slot) % NR_SLOTS);
}

void *slot_address(uint64_t slot)
{
	return ARENA + slot_number(slot) * SLOT_SIZE;
}

void slot_used(unsigned int slot)
{
	latest_slot = slot;
}

/* An empty file, not to be written: whatever is done to it costs no memory. */
static int empty_file = -1;

static void reserve(unsigned int first, unsigned int n)
{
	void *p = slot_address(first);

	if (mmap(p, n * SLOT_SIZE, PROT_NONE, MAP_SHARED | MAP_FIXED,
		 empty_file, 0) != p)
		tap_bail("room for mappings: %s", strerror(errno));
}

/* ---- devices ---- */

static int group_path(const struct device *d, char *path, size_t size)
{
	int nr = pci_group(d->bdf);

	snprintf(path, size, "/dev/vfio/%d", nr);
	return nr;
}

bool may_be_container(int fd)
{
	struct stat it, iommufd;

	return fstat(fd, &it) || stat("/dev/iommu", &iommufd) || it.st_rdev != iommufd.st_rdev;
}

long dev_open_any(unsigned int which)
{
	const struct device *d = &devs[which % nr_devs];
	int group, container, fd;
	char path[64];
	bool is_in;

	if (draining)
		return -EBUSY;
	group_path(d, path, sizeof(path));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group >= 0) {
		container = container_open("/dev/vfio/vfio");
		is_in = !ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
		if (is_in)
			ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
		fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
		if (is_in)
			container_keep(container, fd);
		fd_put(K_CONTAINER, container);
		fd_put(K_GROUP, group);
		return fd_put(K_DEV, fd);
	}
	/* A group can be opened once: it may be one of ours. */
	for (unsigned int i = 0; i < NR_FDS; i++) {
		group = __atomic_load_n(&fds[K_GROUP][i], __ATOMIC_RELAXED);
		fd = group < 0 ? -1 :
			ioctl(group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
		if (fd >= 0)
			return fd_put(K_DEV, fd);
	}
	return -EBUSY;
}

/*
 * The device's own file, where the kernel has such, and an iommufd for it. Mostly the device
 * is open by its group: of files that mean nothing some are enough.
 */
long dev_open_cdev(unsigned int which)
{
	struct barter_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct barter_vfio_bind bind = { .argsz = sizeof(bind) };
	struct barter_vfio_attach attach = { .argsz = sizeof(attach) };
	static unsigned int useless;
	char path[300];
	struct dirent *e;
	int fd = -1;
	long ret;
	DIR *dir;

	if (draining)
		return -EBUSY;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev",
		 devs[which % nr_devs].bdf);
	dir = opendir(path);
	while (dir && fd < 0 && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", e->d_name);
		if (e->d_name[0] != '.')
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	if (fd < 0)
		return -errno;
	bind.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ret = RESULT(ioctl(bind.iommufd, BARTER_IOMMU_IOAS_ALLOC, &alloc));
	ret = ret ?: RESULT(ioctl(fd, BARTER_VFIO_BIND_IOMMUFD, &bind));
	attach.pt_id = alloc.out_ioas_id;
	ret = ret ?: RESULT(ioctl(fd, BARTER_VFIO_ATTACH_IOMMUFD, &attach));
	/* It also takes calls of containers. */
	fd_put(K_CONTAINER, fcntl(bind.iommufd, F_DUPFD_CLOEXEC, 0));
	fd_put(K_IOMMUFD, bind.iommufd);
	if (ret && __atomic_fetch_add(&useless, 1, __ATOMIC_RELAXED) % 4)
		close(fd);
	else
		fd_put(K_DEV, fd);
	return ret;
}

bool too_early(int64_t *last, int64_t ms)
{
	int64_t before = __atomic_load_n(last, __ATOMIC_RELAXED);
	int64_t now = now_ms();

	return (before && now < before + ms) ||
		!__atomic_compare_exchange_n(last, &before, now, false,
					     __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void world_awake(uint64_t which)
{
	int fd = fd_get(K_DEV | which << 8);
	struct vfio_device_feature leave = {
		.argsz = sizeof(leave),
		.flags = VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	feature11_barter();
	ioctl(fd, VFIO_DEVICE_FEATURE, &leave);
	pwrite(fd, &command, sizeof(command), (off_t)(CONFIG + PCI_COMMAND));
}

/* A device's, group's or container's file; buffers, whose names tell the driver, keep nothing. */
static bool is_vfios(const char *name)
{
	return strstr(name, "vfio") && !strstr(name, "/dmabuf:");
}

static const char *name_of(int fd, char *name, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, size - 1);
	name[n > 0 ? n : 0] = 0;
	return name;
}

/* What keeps the device for so long that the kernel will say so before long. */
static void tell_holders(void)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	for (int fd = 0; fd < MAX_FD; fd++)
		if (is_vfios(name_of(fd, line, sizeof(line))))
			diag("open: %d, %s", fd, line);
	while (maps && fgets(line, sizeof(line), maps))
		if (is_vfios(line))
			diag("mapped: %s", line);
	if (maps)
		fclose(maps);
}

static bool is_to_go(unsigned int kind, int fd, bool all)
{
	char name[256];

	if (!all)
		return keeps_device(kind);
	/* Those from world_init() stay. */
	if (kind == K_OTHER)
		return is_vfios(name_of(fd, name, sizeof(name)));
	return kind != K_TEST || !is_test(fd);
}

/*
 * If it takes long, one of ours may have become another's: a dup of a number that was
 * closed and opened again is where the first one belongs, or its mapping.
 */
static void drain(void)
{
	int64_t since = draining; /* may end meanwhile */
	int64_t ms = since ? now_ms() - since : 0;
	static int64_t told;

	for (unsigned int kind = 0; kind < NR_KINDS; kind++)
		for (unsigned int i = 0; i < NR_FDS; i++)
			if (is_to_go(kind, fds[kind][i], ms > DRAIN_MS))
				take_out(kind, i);
	reserve(0, ms > DRAIN_MS ? NR_SLOTS : DEV_SLOTS);
	if (ms > TELL_MS && told != since) {
		told = since;
		tell_holders();
	}
}

static int give_to_lender(const struct device *d)
{
	int ret;

	ret = sysfs_put(pci_lender(), "/sys/bus/pci/devices/%s/driver_override",
			d->bdf);
	return ret ?: sysfs_put(d->bdf, "/sys/bus/pci/drivers_probe");
}

long dev_rebind(unsigned int which, bool unplug)
{
	const struct device *d = &devs[which % nr_devs];
	long ret;

	if (pthread_mutex_trylock(&rebind_lock))
		return -EBUSY;
	draining = now_ms();
	drain();
	/* Only ivshmem: the rescan would find the NVMe's own driver. */
	if (unplug && which % nr_devs < 2) {
		ret = sysfs_put("1", "/sys/bus/pci/devices/%s/remove", d->bdf);
		sysfs_put("1", "/sys/bus/pci/rescan");
	} else {
		ret = sysfs_put(d->bdf, "/sys/bus/pci/devices/%s/driver/unbind",
				d->bdf);
	}
	give_to_lender(d);
	draining = 0;
	pthread_mutex_unlock(&rebind_lock);
	return ret;
}

long vedu_drained(long (*fn)(uint64_t arg), uint64_t arg)
{
	long ret;

	if (pthread_mutex_trylock(&rebind_lock))
		return -EBUSY;
	draining_vedus = true;
	draining = now_ms();
	drain();
	ret = fn(arg);
	draining = 0;
	draining_vedus = false;
	pthread_mutex_unlock(&rebind_lock);
	return ret;
}

/* ---- all of it ---- */

const char *device_named(const char *name)
{
	const char *bdf = getenv(name);

	return bdf && *bdf ? bdf : NULL;
}

static void add_device(const char *bdf)
{
	int ret;

	if (!bdf || nr_devs == NR_DEVS)
		return;
	ret = pci_bind(bdf, pci_lender());
	if (ret)
		tap_bail("bind %s: %s", bdf, strerror(-ret));
	snprintf(devs[nr_devs++].bdf, sizeof(devs[0].bdf), "%.15s", bdf);
}

/*
 * Takes out fences, and importers, that have held on to memory for long enough. Whoever closes
 * or resets a device may have to wait for them; a page fault waits for the device, fork() for
 * the page fault, and all others of the process for fork(), with mmap_lock. So this is a
 * process of its own, which has the same fds, and nothing else in common but @shared.
 */
static void let_go(void)
{
	for (;; usleep(100000)) {
		int64_t now = now_ms();

		typed_let_go();

		for (unsigned int i = 0; i < NR_FDS; i++) {
			int fd = __atomic_load_n(&shared->fds[i], __ATOMIC_RELAXED);

			/* Another file there by chance is for whoever knows it: drain(). */
			if (fd >= 0 && now - shared->born[i] > STUCK_MS && is_test(fd) &&
			    __atomic_compare_exchange_n(&shared->fds[i], &fd, -1, false,
							__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
				close(fd);
		}
	}
}

static void share(void)
{
	struct stat st;

	if (!stat("/dev/barter-test", &st))
		test_file = st.st_rdev;
	memset(own_fds, 0xff, sizeof(own_fds));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		tap_bail("memory of importers");
	memset(shared->fds, 0xff, sizeof(shared->fds));
	for (unsigned int kind = 0; kind < NR_KINDS; kind++)
		fds[kind] = kind == K_TEST ? shared->fds : own_fds[kind];
}

void typed_was_late(void)
{
	__atomic_fetch_add(&shared->late, 1, __ATOMIC_RELAXED);
}

unsigned int typed_late(void)
{
	return __atomic_load_n(&shared->late, __ATOMIC_RELAXED);
}

void world_init(void)
{
	char path[64];
	int fd = memfd_create("empty", MFD_CLOEXEC);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	empty_file = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	share();
	container_init();
	if (mmap(ARENA, SLOT_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_FIXED_NOREPLACE, -1, 0) != ARENA)
		tap_bail("room for mappings: %s", strerror(errno));
	reserve(0, NR_SLOTS);
	add_device(device_named("VM_VRAM0"));
	add_device(device_named("VM_VRAM1"));
	add_device(device_named("VM_NVME"));
	if (!nr_devs)
		tap_bail("no device: VM_VRAM0 is not set");
	edu_name = device_named("VM_EDU");
	prog_init();
	/* No fork(), which would give it copies of the fds. */
	let_go_pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (let_go_pid < 0)
		tap_bail("clone: %s", strerror(errno));
	if (!let_go_pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		let_go();
	}

	/* What is no fd of ours, to be given where one of ours belongs. */
	fd_put(K_OTHER, memfd_create("fuzz", MFD_CLOEXEC));
	fd_put(K_OTHER, eventfd(0, EFD_CLOEXEC));
	fd_put(K_OTHER, open("/dev/null", O_RDWR | O_CLOEXEC));
	fd_put(K_OTHER, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	fd_put(K_OTHER, open("/dev/barter", O_PATH | O_CLOEXEC));
}

void world_empty(void)
{
	/* First what others wait for. */
	for (unsigned int i = 0; i < NR_FDS; i++)
		take_out(K_TEST, i);
	for (unsigned int kind = 0; kind < NR_KINDS; kind++)
		for (unsigned int i = 0; i < NR_FDS; i++)
			take_out(kind, i);
	reserve(0, NR_SLOTS);
	feature11_barter();
}

void world_end(void)
{
	kill(let_go_pid, SIGKILL);
	waitpid(let_go_pid, NULL, 0);
}

void world_janitor(void)
{
	if (draining)
		drain();
}
