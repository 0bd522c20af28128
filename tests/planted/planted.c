// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A fault on purpose. A compiler that does not warn of it with W=1 is not believed
 * when it finds nothing in barter. Compiled only, by scripts/matrix.
 */
#include <linux/module.h>

/* A global function without a prototype. */
int planted_no_prototype(void)
{
	return 0;
}

MODULE_DESCRIPTION("a fault on purpose");
MODULE_LICENSE("GPL");
