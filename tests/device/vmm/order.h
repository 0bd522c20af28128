/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the guest's guest is told over its serial port; it answers each order by one word.
 * 14 bytes are what a 16550's FIFO asks for at once.
 */
#ifndef TESTS_VMM_ORDER_H
#define TESTS_VMM_ORDER_H

#include <stdint.h>

#define ORDER_UP	0x0a707563u	/* after a reset, before any order */

enum {
	ORDER_ECHO,		/* @value */
	ORDER_LOAD,		/* the word at @at */
	ORDER_STORE,		/* @value there */
	ORDER_FILL,		/* @value bytes at @at with the pattern @seed, @place */
	ORDER_DIFFERS,		/* the first of them that differs, or -1 */
	ORDER_OUT,		/* @value to port @at */
	ORDER_CONFIG,		/* PCI configuration, @at as 0xcf8 has it */
	ORDER_CONFIG_SET,	/* the same becomes @value */
};

struct order {
	uint8_t verb, seed;
	uint32_t at, value, place;
} __attribute__((packed));

#endif /* TESTS_VMM_ORDER_H */
