// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Buffers, see buf.h.
 */
#define _GNU_SOURCE
#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "access.h"
#include "proc.h"

struct export *export_new(int bar, const struct vfio_region_dma_range *ranges,
			  uint32_t nr)
{
	size_t n = sizeof(struct export) + nr * sizeof(*ranges);
	struct export *e = calloc(1, n);

	if (!e)
		abort();
	e->h.argsz = (uint32_t)n;
	e->h.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	e->r.region_index = (uint32_t)bar;
	e->r.open_flags = O_RDWR | O_CLOEXEC;
	e->r.nr_ranges = nr;
	if (nr)
		memcpy(e->ranges, ranges, nr * sizeof(*ranges));
	return e;
}

int export_call(const struct dev *d, struct export *e)
{
	int fd = ioctl(d->fd, VFIO_DEVICE_FEATURE, e);

	return fd < 0 ? -errno : fd;
}

int buf_export(const struct dev *d, int bar,
	       const struct vfio_region_dma_range *ranges, uint32_t nr)
{
	struct export *e = export_new(bar, ranges, nr);
	int fd = export_call(d, e);

	free(e);
	return fd;
}

int buf_export1(const struct dev *d, int bar, uint64_t offset, uint64_t n)
{
	struct vfio_region_dma_range range = { offset, n };

	return buf_export(d, bar, &range, 1);
}

int barter_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/barter", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int buf_info(int fd, struct barter_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->dmabuf_fd = fd;
	return ioctl(barter_fd(), BARTER_IOC_INFO, info) ? -errno : 0;
}

int buf_route(int fd, const char *bdf, struct barter_route *r)
{
	unsigned int domain, bus, slot, function;

	if (sscanf(bdf, "%x:%x:%x.%u", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	*r = (struct barter_route){
		.size = sizeof(*r),
		.dmabuf_fd = fd,
		.device_fd = -1,
		.domain = domain,
		.bus = (uint8_t)bus,
		.devfn = (uint8_t)(slot << 3 | function),
	};
	return ioctl(barter_fd(), BARTER_IOC_ROUTE, r) ? -errno : 0;
}

int buf_state(int fd)
{
	struct barter_info info;
	int ret = buf_info(fd, &info);

	return ret ?: (int)info.out_state;
}

unsigned int buf_reasons(int fd)
{
	struct barter_info info;

	return buf_info(fd, &info) ? ~0u : info.out_reasons;
}

bool buf_wait(int fd, int state, int ms)
{
	bool there;

	WAIT_FOR(there, buf_state(fd) == state, ms);
	return there;
}

const char *state_name(int state)
{
	static const char *const names[] = { "OK", "REVOKING", "REVOKED", "DEAD" };

	return state >= 0 && state < 4 ? names[state] : "error";
}

void *buf_map(int fd, uint64_t offset, size_t n, int prot)
{
	void *p = mmap(NULL, n, prot, MAP_SHARED, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

/* The reservation is mapped over and then trimmed: other threads map too. */
void *buf_map_aligned(int fd, uint64_t offset, size_t n, size_t align)
{
	char *space = mmap(NULL, n + align, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)space + align - 1) & ~(align - 1));
	void *p;

	if (space == MAP_FAILED)
		return NULL;
	p = mmap(at, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)offset);
	if (at > space)
		munmap(space, (size_t)(at - space));
	munmap(at + n, align - (size_t)(at - space));
	if (p != MAP_FAILED)
		return p;
	munmap(at, n);
	return NULL;
}

static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "re");

	if (!f && !strncmp(path, "/sys/kernel/debug/", 18)) {
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
		f = fopen(path, "re");
	}
	return f;
}

bool file_has(const char *path, const char *text)
{
	FILE *f = open_file(path);
	char *line = NULL;
	bool found = false;
	size_t n = 0;

	while (f && !found && getline(&line, &n, f) > 0)
		found = strstr(line, text);
	free(line);
	if (f)
		fclose(f);
	return found;
}

int buf_count(const char *bdf)
{
	FILE *f = open_file(BUFFERS);
	char *line = NULL;
	size_t n = 0;
	int count = 0;

	if (!f)
		return -errno;
	while (getline(&line, &n, f) > 0)
		count += line[0] != ' ' && line[0] != '\t' && strstr(line, bdf);
	free(line);
	fclose(f);
	return count;
}

bool may_map_native(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) != 0;
}
