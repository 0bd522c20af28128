// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Names of buffers. A name is dma-buf's own: it shows in /proc/PID/maps and fdinfo,
 * and whoever holds the fd may give another (DMA_BUF_SET_NAME).
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "priv.h"

/**
 * barter_buf_set_name - give a new buffer its name
 * @buf: a buffer without one, that no process has an fd of
 * @name: text; cut after 31 characters. Empty: no name
 *
 * Return: 0 or -ENOMEM.
 */
int barter_buf_set_name(struct barter_buf *buf, const char *name)
{
	struct dma_buf *dmabuf = buf->dmabuf;
	char *copy;

	if (!name[0])
		return 0;
	copy = kstrndup(name, BARTER_BUFFER_NAME_LENGTH - 1, GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	/* The lock, because dma-buf's own list in debugfs shows it already. */
	spin_lock(&dmabuf->name_lock);
	dmabuf->name = copy;
	spin_unlock(&dmabuf->name_lock);
	return 0;
}

/**
 * barter_buf_name - the name that a buffer has at present
 * @buf: the buffer
 * @name: set to it, padded with NULs; empty if there is none
 */
void barter_buf_name(struct barter_buf *buf,
		     char name[BARTER_BUFFER_NAME_LENGTH])
{
	struct dma_buf *dmabuf = buf->dmabuf;

	spin_lock(&dmabuf->name_lock);
	strscpy_pad(name, dmabuf->name ?: "", BARTER_BUFFER_NAME_LENGTH);
	spin_unlock(&dmabuf->name_lock);
}
