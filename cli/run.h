/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A command with a buffer.
 */
#ifndef BARTER_RUN_H
#define BARTER_RUN_H

/* Run it with @fd open and its number in BARTER_FD; its exit status. */
int run_with_fd(int fd, char **command);

#endif /* BARTER_RUN_H */
