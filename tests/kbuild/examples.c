// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What surrounds the examples of the pages of section 9, so that they compile: a driver
 * "my". run cuts each example out of its page into PAGE-NUMBER.inc.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/vfio.h>

#include <linux/barter.h>
#include <linux/barter_feature.h>
#include <linux/barter_vgpu.h>

struct my {
	struct barter_exporter exp;
	struct pci_dev *pdev;
	struct mutex lock;
	struct barter_vgpu_space *space;
};

/* What a feature's request begins with. */
struct my_request {
	u32 open_flags;
	u32 nr_ranges;
};

struct my_vgpu {
	struct vfio_device vdev;
	struct barter_vgpu_space *space;
};

int my_ranges_check(struct my *my, const struct barter_range *ranges, u32 nr);
void my_reset(struct my *my);
int my_use_pieces(struct my *my, const struct barter_pci_bar_map *map);
int my_use_dma(struct my *my, struct sg_table *sgt);
void my_invalidate(void *priv, struct barter_vgpu_map *map);
void my_note(struct my *my, struct barter_vgpu_map *map);
int my_export(struct my *my);
int my_export_many(struct my *my, struct my_request req,
		   struct vfio_device_feature_dma_buf __user *arg);
int my_reset_method(struct my *my);
int my_feature(struct my *my, u32 flags, void __user *arg, size_t argsz);
int my_import(struct my *my, struct pci_dev *pdev, struct dma_buf *dmabuf,
	      enum dma_data_direction dir);
const void *my_offers_of_exporter(void);
int my_map(struct my *my, u64 iova, unsigned long npages);

int my_export(struct my *my)
{
#include "barter_export_fd-1.inc"
}

int my_export_many(struct my *my, struct my_request req,
		   struct vfio_device_feature_dma_buf __user *arg)
{
	int ret;
#include "barter_export_fd-2.inc"
}

int my_reset_method(struct my *my)
{
	int ret;
#include "barter_exporter_init-1.inc"
	return 0;
}

int my_feature(struct my *my, u32 flags, void __user *arg, size_t argsz)
{
#include "barter_feature_revoke-1.inc"
}

extern const struct dma_buf_attach_ops my_attach_ops;
extern const void *my_pci_bar;
int my_import(struct my *my, struct pci_dev *pdev, struct dma_buf *dmabuf,
	      enum dma_data_direction dir)
{
	const struct barter_interconnect *type;
	struct dma_buf_attachment *attach;
	int ret;
#include "barter_interconnect-1.inc"
	return ret;
}

extern const struct barter_interconnect my_fabric;
extern const void *my_fabric_calls;
const void *my_offers_of_exporter(void)
{
#include "barter_interconnect-2.inc"
	return &my_exporter_ops;
}

#include "barter_vgpu_create-1.inc"

int my_map(struct my *my, u64 iova, unsigned long npages)
{
	struct barter_vgpu_map *map;
	int ret;
#include "barter_vgpu_map-1.inc"
	return 0;
}

int (*const my_users[])(struct vfio_device *vdev) = { my_init };

MODULE_DESCRIPTION("Examples of the pages of section 9");
MODULE_LICENSE("GPL");
