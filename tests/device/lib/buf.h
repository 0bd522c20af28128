/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Buffers: export through VFIO feature 11, ask /dev/barter, map.
 */
#ifndef TESTS_BUF_H
#define TESTS_BUF_H

#include <linux/barter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio.h"

/* The whole request, so that tests can also write a wrong one. */
struct export {
	struct vfio_device_feature h;
	struct vfio_device_feature_dma_buf r;
	struct vfio_region_dma_range ranges[];
};

struct export *export_new(int bar, const struct vfio_region_dma_range *ranges,
			  uint32_t nr);
/* The dma-buf fd, or -errno. */
int export_call(const struct dev *d, struct export *e);

int buf_export(const struct dev *d, int bar,
	       const struct vfio_region_dma_range *ranges, uint32_t nr);
int buf_export1(const struct dev *d, int bar, uint64_t offset, uint64_t n);

int barter_fd(void);
int buf_info(int fd, struct barter_info *info);
/* How the device @bdf reaches the buffer. */
int buf_route(int fd, const char *bdf, struct barter_route *r);
int buf_state(int fd);
unsigned int buf_reasons(int fd);
/* Poll until the buffer is in @state; false after @ms. */
bool buf_wait(int fd, int state, int ms);
/* The name of a state, for messages. */
const char *state_name(int state);

/* A shared mapping, or NULL and errno. */
void *buf_map(int fd, uint64_t offset, size_t n, int prot);
/* The same at an address that is a multiple of @align (a power of two). */
void *buf_map_aligned(int fd, uint64_t offset, size_t n, size_t align);

/*
 * Mappings of the kernel's own buffers leak (M2 in doc/upstream-bugs.md), which the bed
 * takes for a failure where kmemleak happens to find it. Suite regress counts them there.
 */
bool may_map_native(void);

/* Does a line of that file contain @text? Whole debugfs and log files. */
bool file_has(const char *path, const char *text);
/* Buffers of this device in debugfs' list, or -errno. */
int buf_count(const char *bdf);

#define BUFFERS	"/sys/kernel/debug/barter/buffers"

#endif
