/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's own socket, and room for what clients cost.
 */
#ifndef BARTER_VEND_LISTEN_H
#define BARTER_VEND_LISTEN_H

/* -EADDRINUSE: somebody listens there, or it is no socket. */
int listen_at(const char *path, int *listener);
/* -EMFILE: the hard limit is below. */
int raise_fd_limit(unsigned int needed);

#endif /* BARTER_VEND_LISTEN_H */
