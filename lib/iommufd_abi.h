/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The part of the kernel's VFIO cdev (Linux 6.6) and iommufd (6.2; files from
 * 6.13, dma-bufs from 6.19) ABI that the library uses, for building with older
 * kernel headers. Names that begin with barter_ keep it apart from
 * <linux/iommufd.h> where that exists.
 */
#ifndef BARTER_IOMMUFD_ABI_H
#define BARTER_IOMMUFD_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct barter_vfio_bind {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct barter_vfio_attach {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
};

struct barter_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

struct barter_ioas_map_va {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct barter_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};

#define BARTER_IOAS_MAP_FIXED_IOVA	(1U << 0)
#define BARTER_IOAS_MAP_WRITEABLE	(1U << 1)
#define BARTER_IOAS_MAP_READABLE	(1U << 2)

struct barter_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

#define BARTER_VFIO_BIND_IOMMUFD	_IO(';', 100 + 18)
#define BARTER_VFIO_ATTACH_IOMMUFD	_IO(';', 100 + 19)
#define BARTER_IOMMU_IOAS_ALLOC		_IO(';', 0x81)
#define BARTER_IOMMU_IOAS_MAP		_IO(';', 0x85)
#define BARTER_IOMMU_IOAS_UNMAP		_IO(';', 0x86)
#define BARTER_IOMMU_IOAS_MAP_FILE	_IO(';', 0x8f)

#endif /* BARTER_IOMMUFD_ABI_H */
