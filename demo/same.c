// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * same A.png B.png: exit status 0 if both have the same pixels, else 1.
 */
#include "picture.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct picture a, b;

	if (argc != 3) {
		fprintf(stderr, "usage: same A.png B.png\n");
		return 2;
	}
	if (picture_read(argv[1], &a) || picture_read(argv[2], &b))
		return 1;
	return a.width != b.width || a.height != b.height ||
	       memcmp(a.pixels, b.pixels, a.length);
}
