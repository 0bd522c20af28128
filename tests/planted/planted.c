// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Faults on purpose, one for each checker: a compiler with W=1, sparse,
 * coccinelle. A checker that finds nothing here is not believed when it finds
 * nothing in barter. Compiled only, by scripts/matrix and scripts/lint.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* W=1 of gcc and clang: a global function without a prototype. */
int planted_no_prototype(void)
{
	return 0;
}

/* sparse: a little-endian number used as it is. */
u32 planted_endian(__le32 x);
u32 planted_endian(__le32 x)
{
	return x;
}

/* coccinelle, api/alloc/zalloc-simple: memory that is cleared a second way. */
void *planted_clear(void);
void *planted_clear(void)
{
	void *p;

	p = kmalloc(64, GFP_KERNEL);
	if (!p)
		return NULL;
	memset(p, 0, 64);
	return p;
}

MODULE_DESCRIPTION("faults on purpose, for the checkers");
MODULE_LICENSE("GPL");
