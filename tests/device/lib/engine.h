/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * edu's DMA engine driven from user space, through a VFIO device's BAR 0. What
 * it reaches is up to the IOMMU alone. It reports no fault: only the data tell.
 */
#ifndef TESTS_ENGINE_H
#define TESTS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio.h"

/* Bytes that edu holds and moves at a time; its very last byte is taboo. */
#define ENGINE_CHUNK	2048u

/* Map edu's registers, let it master the bus; NULL if that fails. */
volatile uint8_t *engine_map(const struct dev *edu);
/* Move @n bytes, at most ENGINE_CHUNK; -ETIMEDOUT if it does not end. */
int engine_load(volatile uint8_t *regs, uint64_t from, size_t n);
int engine_store(volatile uint8_t *regs, uint64_t to, size_t n);
/* The same without waiting for its end. */
void engine_begin_store(volatile uint8_t *regs, uint64_t to, size_t n);
bool engine_busy(volatile uint8_t *regs);

#endif
