/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The far side of the test bed: QEMU's monitor, and a device's memory as the
 * host has it in a file, whatever the guest's mappings show.
 */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <stddef.h>
#include <stdint.h>

/* One line for the monitor; its answer in @text. 0 or -errno. */
int host_monitor(const char *command, char *text, size_t size);
int host_read(uint64_t offset, void *data, size_t n);
/* Of another file that lies where the memories do. */
int host_read_of(const char *what, uint64_t offset, void *data, size_t n);
/* A checksum over part of the memory, 64 hex digits. */
int host_sum(uint64_t offset, uint64_t n, char sum[65]);
int host_sum_of(const char *what, uint64_t offset, uint64_t n, char sum[65]);
int host_fill(uint64_t offset, uint64_t n, uint8_t byte);

#endif
