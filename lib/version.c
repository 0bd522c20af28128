// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The version, from META by way of the Makefile.
 */
#include "internal.h"

BARTER_API const char *barter_version(void)
{
	return BARTER_VERSION;
}
