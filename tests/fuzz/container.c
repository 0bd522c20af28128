// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Containers, and what of VFIO's own the fuzzer is kept from. What a container does not know
 * itself it hands on to type 1 (vfio_fops_unl_ioctl() in drivers/vfio/container.c), which uses
 * after free, seen on 7.3, by the source on 6.12 too, with no barter in it, if that happens
 *
 *   - while the container's last group ends, as nothing is held meanwhile. An open device keeps
 *     its group in the container: its file holds the group's, no UNSET_CONTAINER takes away a
 *     group that is in use, and no unbind goes on. So nobody here reaches type 1 but who holds
 *     a device that is open in that container, for as long.
 *   - by two UNMAP_DMA at once: for pages that an emulated device has pinned,
 *     vfio_notify_dma_unmap() looks at the mapping with no lock that keeps it, and the other
 *     one frees it. So there is one at a time of each container.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../device/lib/tap.h"
#include "fuzz.h"
#undef ioctl

#define NR_TURNS 64
#define TURN_MS	 300 /* to wait for one, at most */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int device; /* its number; 0: not known */
	int id;	    /* of the container: the same for all its numbers; 0: none */
} known_as[MAX_FD]; /* by a container's number */
static int last_id;
static pthread_mutex_t *turns; /* to unmap, by id; children have theirs, too */
static dev_t container_file;

void container_init(void)
{
	pthread_mutexattr_t attr;
	struct stat st;

	turns = mmap(NULL, NR_TURNS * sizeof(*turns), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turns == MAP_FAILED)
		tap_bail("memory of containers");
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	/* A child may be killed in its turn. */
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (unsigned int i = 0; i < NR_TURNS; i++)
		pthread_mutex_init(&turns[i], &attr);
	if (!stat("/dev/vfio/vfio", &st))
		container_file = st.st_rdev;
}

void container_in_child(void)
{
	pthread_mutex_init(&lock, NULL);
}

static bool known(int fd)
{
	return fd > 0 && fd < MAX_FD;
}

int container_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (!known(fd))
		return fd;
	pthread_mutex_lock(&lock);
	known_as[fd].device = 0;
	known_as[fd].id = ++last_id;
	pthread_mutex_unlock(&lock);
	return fd;
}

void container_keep(int container, int device)
{
	if (!known(container) || !known(device))
		return;
	pthread_mutex_lock(&lock);
	known_as[container].device = device;
	pthread_mutex_unlock(&lock);
}

int container_dup(int fd, int from)
{
	int new;

	pthread_mutex_lock(&lock);
	new = fcntl(fd, F_DUPFD_CLOEXEC, from);
	if (known(new))
		known_as[new] = known_as[fd];
	pthread_mutex_unlock(&lock);
	return new;
}

void any_close(int fd)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX_FD; i++)
		if (i == fd || known_as[i].device == fd)
			known_as[i].device = 0;
	if (known(fd))
		known_as[fd].id = 0;
	pthread_mutex_unlock(&lock);
	close(fd);
}

/* By number, as a container or iommufd may be where a device belongs. */
static bool for_type1(unsigned long cmd)
{
	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
	case VFIO_IOMMU_MAP_DMA:
	case VFIO_IOMMU_UNMAP_DMA:
	case VFIO_IOMMU_DIRTY_PAGES:
		return true;
	}
	return false;
}

static bool is_container(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == container_file;
}

static int begin_turn(int id)
{
	struct timespec until;
	int ret;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TURN_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	ret = pthread_mutex_timedlock(&turns[id % NR_TURNS], &until);
	if (ret == EOWNERDEAD)
		ret = pthread_mutex_consistent(&turns[id % NR_TURNS]);
	return ret;
}

static void end_turn(int id)
{
	pthread_mutex_unlock(&turns[id % NR_TURNS]);
}

static int ioctl_in_turn(int id, int fd, unsigned long cmd, void *arg)
{
	int ret, error;

	if (begin_turn(id)) {
		errno = EBUSY;
		return -1;
	}
	ret = ioctl(fd, cmd, arg);
	error = errno;
	end_turn(id);
	errno = error;
	return ret;
}

/* Fds of one's own: nobody closes them, so each stays the file that it was under the lock. */
static int ioctl_of_container(int fd, unsigned long cmd, void *arg)
{
	int device = -1, id = 0, mine, ret = -1, error;
	bool container;

	pthread_mutex_lock(&lock);
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (known(fd) && known_as[fd].device) {
		device = fcntl(known_as[fd].device, F_DUPFD_CLOEXEC, 0);
		id = known_as[fd].id;
	}
	pthread_mutex_unlock(&lock);
	container = is_container(mine);
	if (container && device < 0)
		errno = EBUSY;
	else if (container && cmd == VFIO_IOMMU_UNMAP_DMA)
		ret = ioctl_in_turn(id, mine, cmd, arg);
	else
		ret = ioctl(mine, cmd, arg);
	error = errno;
	if (mine >= 0)
		close(mine);
	if (device >= 0)
		close(device);
	errno = error;
	return ret;
}

int any_ioctl(int fd, unsigned long cmd, ...)
{
	va_list list;
	void *arg;

	va_start(list, cmd);
	arg = va_arg(list, void *);
	va_end(list);
	return for_type1(cmd) ? ioctl_of_container(fd, cmd, arg) : ioctl(fd, cmd, arg);
}
