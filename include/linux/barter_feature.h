/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * VFIO_DEVICE_FEATURE numbers of barter's (<uapi/linux/barter.h>) that need nothing of a
 * driver but its exporter: for the device_feature callback of VFIO drivers that lend.
 *
 * Each takes what that callback got and returns what it is to return. The caller keeps
 * the exporter, and calls nothing of this before it has one.
 */
#ifndef _LINUX_BARTER_FEATURE_H
#define _LINUX_BARTER_FEATURE_H

#include <linux/barter.h>
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

/**
 * barter_feature_copy - read a structure that begins with its size, and may have grown
 * @to: filled; what the caller's structure lacks of it is 0
 * @known: bytes at @to
 * @least: bytes that the structure always had
 * @arg: the caller's structure
 * @argsz: bytes that there are at @arg, at least 4: vfio_check_feature() has seen to it
 *
 * Return: 0, -EFAULT, -EINVAL: its size is less than @least or more than @argsz, -E2BIG:
 * it is more than a page, or something unknown in it is not 0.
 */
static inline int barter_feature_copy(void *to, size_t known, size_t least,
				      const void __user *arg, size_t argsz)
{
	u32 size;

	if (get_user(size, (const u32 __user *)arg))
		return -EFAULT;
	if (size < least || size > argsz)
		return -EINVAL;
	/* How much has to be looked through for what is not 0 is our choice. */
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(to, known, arg, size);
}

/**
 * barter_feature_revoke - BARTER_FEATURE_REVOKE: one buffer, for ever
 * @exp: its exporter
 * @flags: the operation
 * @arg: struct barter_feature_revoke
 * @argsz: bytes at @arg
 *
 * Return: 0 or the errno of struct barter_feature_revoke.
 */
static inline int barter_feature_revoke(struct barter_exporter *exp, u32 flags,
					void __user *arg, size_t argsz)
{
	struct barter_feature_revoke req;
	struct dma_buf *dmabuf;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(req));
	if (ret != 1)
		return ret;
	ret = barter_feature_copy(&req, sizeof(req), sizeof(req), arg, argsz);
	if (ret)
		return ret;
	if (req.flags || req.__reserved)
		return -EINVAL;

	dmabuf = dma_buf_get(req.dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = barter_buf_revoke(exp, dmabuf, BARTER_REVOKE_KILLABLE);
	dma_buf_put(dmabuf);
	return ret;
}

/**
 * barter_feature_memattr - BARTER_FEATURE_MEMATTR: how a buffer's mappings are cached
 * @exp: its exporter
 * @flags: the operation
 * @arg: struct barter_feature_memattr
 * @argsz: bytes at @arg
 *
 * Return: 0 or the errno of struct barter_feature_memattr.
 */
static inline int barter_feature_memattr(struct barter_exporter *exp, u32 flags,
					 void __user *arg, size_t argsz)
{
	struct barter_feature_memattr req;
	struct dma_buf *dmabuf;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(req));
	if (ret != 1)
		return ret;
	ret = barter_feature_copy(&req, sizeof(req), sizeof(req), arg, argsz);
	if (ret)
		return ret;
	if (req.flags & ~BARTER_MEMATTR_FORCE)
		return -EINVAL;

	dmabuf = dma_buf_get(req.dmabuf_fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = barter_buf_set_memattr(exp, dmabuf, req.memattr,
				     req.flags & BARTER_MEMATTR_FORCE);
	dma_buf_put(dmabuf);
	return ret;
}

#endif /* _LINUX_BARTER_FEATURE_H */
