// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host without /dev/udmabuf: the least of it that QEMU's virtio-gpu needs, for
 * LD_PRELOAD. A list of pieces of files becomes an fd, and an mmap of that fd becomes
 * mmaps of the pieces one after the other: the same memory, so that what the guest's
 * devices write shows at once. Nothing else can be done with such an fd.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct list {
	struct list *next;
	ino_t inode;
	uint32_t count;
	struct udmabuf_create_item items[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list *lists;
static ino_t device;		/* what stands for /dev/udmabuf */

static void *next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

static ino_t inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) ? 0 : status.st_ino;
}

/* A file with a number of its own, which every copy of the fd has too. */
static int token(size_t length)
{
	int fd = memfd_create("udmabuf", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)length)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_device(void)
{
	int fd = token(0);

	device = fd < 0 ? 0 : inode_of(fd);
	return fd;
}

#define OPEN(name)							\
int name(const char *path, int flags, ...)				\
{									\
	int (*real)(const char *, int, ...) = next(#name);		\
	mode_t mode;							\
	va_list list;							\
									\
	va_start(list, flags);						\
	mode = va_arg(list, mode_t);					\
	va_end(list);							\
	return strcmp(path, "/dev/udmabuf") ? real(path, flags, mode) :	\
	       open_device();						\
}

OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)

/* The pieces' files may be closed before the list is: keep them by copies. */
static int create(const struct udmabuf_create_list *request)
{
	size_t bytes = request->count * sizeof(request->list[0]);
	struct list *new = calloc(1, sizeof(*new) + bytes);
	uint64_t length = 0;
	uint32_t i;
	int fd;

	if (!new)
		return -1;
	memcpy(new->items, request->list, bytes);
	new->count = request->count;
	for (i = 0; i < new->count; i++) {
		new->items[i].memfd = (uint32_t)fcntl((int)new->items[i].memfd,
						      F_DUPFD_CLOEXEC, 0);
		length += new->items[i].size;
	}
	fd = token(length);
	if (fd < 0) {
		free(new);
		return -1;
	}
	new->inode = inode_of(fd);
	pthread_mutex_lock(&lock);
	new->next = lists;
	lists = new;
	pthread_mutex_unlock(&lock);
	return fd;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = next("ioctl");
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (request != UDMABUF_CREATE_LIST)
		return real(fd, request, argument);
	if (inode_of(fd) == device)
		return create(argument);
	errno = ENOTTY;
	return -1;
}

static void *map_list(void *(*real)(void *, size_t, int, int, int, off_t),
		      const struct list *list, size_t length, int prot)
{
	char *start = real(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	uint64_t at = 0;
	uint32_t i;

	if (start == MAP_FAILED)
		return start;
	for (i = 0; i < list->count && at < length; i++) {
		const struct udmabuf_create_item *item = &list->items[i];

		if (real(start + at, item->size, prot, MAP_SHARED | MAP_FIXED,
			 (int)item->memfd, (off_t)item->offset) == MAP_FAILED) {
			munmap(start, length);
			return MAP_FAILED;
		}
		at += item->size;
	}
	return start;
}

static void *map(void *(*real)(void *, size_t, int, int, int, off_t), void *address,
		 size_t length, int prot, int flags, int fd, off_t offset)
{
	const struct list *list = NULL;
	ino_t inode;

	if (fd >= 0 && lists) {
		inode = inode_of(fd);
		pthread_mutex_lock(&lock);
		for (list = lists; list && list->inode != inode;)
			list = list->next;
		pthread_mutex_unlock(&lock);
	}
	return list ? map_list(real, list, length, prot) :
		      real(address, length, prot, flags, fd, offset);
}

void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return map(next("mmap"), address, length, prot, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return map(next("mmap64"), address, length, prot, flags, fd, offset);
}
