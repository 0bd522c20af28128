/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter-test-vgpu's driver of vGPUs, and guests for it: this program's memory in a
 * VFIO container or in iommufd. What returns int gives 0 or more, or -errno.
 */
#ifndef TESTS_VGPU_H
#define TESTS_VGPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../kmod/vgpu.h"

#define VT_R	1u
#define VT_W	3u

/* The module's file; bails out if it is not there. */
int vt_open(void);
/* Calls go through this file: vt_open() sets it to the first. */
extern int vt_file;

int vt_map(uint32_t space, uint64_t iova, uint64_t npages, uint32_t prot,
	   uint32_t device, struct vt_map *map);
int vt_unmap(uint32_t space, uint32_t id);
int vt_unmap_many(uint32_t space, const uint32_t *ids, uint32_t nr);
int vt_look(uint32_t space, uint32_t id, uint64_t index, struct vt_look *look);
struct vt_stat vt_stat(uint32_t space);
int vt_copy(uint32_t space, uint64_t iova, void *buffer, uint64_t n, bool write);
int vt_behave(uint32_t space, uint32_t behaviour, uint32_t delay_ms);
/* Of all devices; the PCI device is edu. */
int vt_segments(uint32_t longest, uint64_t boundary);
int vt_letgo(uint32_t space);
int vt_revoke(uint32_t space, uint32_t device);
int vt_mock(uint32_t op, uint32_t arg, uint64_t first, uint64_t npages,
	    struct vt_mock *result);

int vt_time(struct vt_time *time);

struct guest {
	int container, group, fd;
};

/* The device of that number, in a new container, in iommufd, or in that of @other. */
int guest_open(struct guest *g, unsigned int device, const struct guest *other,
	       bool iommufd);
/* The device's own file alone. */
int guest_device(struct guest *g, unsigned int device);
void guest_close(struct guest *g);
int guest_map(const struct guest *g, const volatile void *p, uint64_t iova,
	      uint64_t n, bool write);
int guest_unmap(const struct guest *g, uint64_t iova, uint64_t n);

/* Physical runs of our memory, by /proc/self/pagemap; 0 if it does not say. */
unsigned long runs_of(const volatile void *p, unsigned long npages);

#endif
