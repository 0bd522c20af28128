/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which processes have dma-bufs open, as /proc tells.
 */
#ifndef BARTER_HELD_H
#define BARTER_HELD_H

#include "cli.h"

#include <sys/types.h>

struct held {
	int pid, fd;
	ino_t inode; /* of the dma-buf: the same for all who have it */
};

/* Call @see for each, this process's too; what may not be seen is left out. */
void held_each(void (*see)(const struct held *held, void *data), void *data);

/*
 * The fd of another process, or of this one, as one more of this process. -errno:
 * ESRCH no such process, EBADF it has no such fd, EPERM the caller may not trace it.
 */
int held_fetch(int pid, int fd);

#endif /* BARTER_HELD_H */
