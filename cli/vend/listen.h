/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's own socket, and room for what clients cost.
 */
#ifndef BARTER_VEND_LISTEN_H
#define BARTER_VEND_LISTEN_H

/*
 * Takes the place of a socket that a dead broker has left. Of two brokers that do so one
 * is first: by @lock, an fd that locks the file PATH.lock. -EADDRINUSE: somebody listens
 * there, or is about to, or it is no socket.
 */
int listen_at(const char *path, int *listener, int *lock);
/* Remove socket and lock file. */
void unlisten(const char *path, int lock);
/* -EMFILE: the hard limit is below. */
int raise_fd_limit(unsigned int needed);

#endif /* BARTER_VEND_LISTEN_H */
