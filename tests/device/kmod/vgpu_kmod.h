/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the files of barter-test-vgpu know of each other.
 *
 * Locks, outermost first: vt_setup_lock (what there is), space->lock (a driver's own
 * table of maps, which its invalidate takes), mock_lock (the mock guest, a leaf).
 */
#ifndef BARTER_TEST_VGPU_KMOD_H
#define BARTER_TEST_VGPU_KMOD_H

#include <linux/barter_vgpu.h>
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "vgpu.h"

struct device;
struct vfio_device;

/**
 * struct vt_space - a driver of a vGPU, as simple as can be
 * @space: barter-vgpu's, or NULL
 * @lock: protects what follows
 * @maps: struct vt_entry by id
 * @by_map: the same by map
 * @behaviour: VT_PROMPT ...
 * @delay_ms: for VT_LATER
 * @owed: entries that the driver was told to let go of and did not
 * @misused: calls from invalidate that were not refused
 * @work: VT_LATER
 */
struct vt_space {
	struct barter_vgpu_space *space;
	struct mutex lock;
	struct xarray maps;
	DECLARE_HASHTABLE(by_map, 8);
	u32 behaviour;
	u32 delay_ms;
	u32 owed;
	u32 misused;
	struct delayed_work work;
};

extern struct vt_space vt_spaces[VT_SPACES];
extern const struct barter_vgpu_ops vt_ops;

void vt_letgo(struct vt_space *vt);

/* vgpu_time.c */
int vt_time(struct vt_space *vt, struct device *dev, struct vt_time *req);

/* vgpu_vfio.c */
struct vfio_device *vt_vfio_device(struct vt_space *vt);
int vt_vfio_init(void);
void vt_vfio_exit(void);

/* vgpu_mock.c */
int vt_mock_call(struct vt_mock *req);
void vt_mock_end(void);

#endif /* BARTER_TEST_VGPU_KMOD_H */
