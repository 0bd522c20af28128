// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * same [--apart] A.png B.png: exit status 0 if both have the same pixels, else 1.
 * With --apart 0 if they are of one size, and of a hundred pixels not one is the same.
 */
#include "picture.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	int apart = argc == 4 && !strcmp(argv[1], "--apart");
	size_t same = 0, count, i;
	struct picture a, b;

	if (argc != 3 && !apart) {
		fprintf(stderr, "usage: same [--apart] A.png B.png\n");
		return 2;
	}
	if (picture_read(argv[argc - 2], &a) || picture_read(argv[argc - 1], &b))
		return 1;
	if (a.width != b.width || a.height != b.height)
		return 1;
	count = a.length / 3;
	for (i = 0; i < count; i++)
		same += !memcmp(a.pixels + 3 * i, b.pixels + 3 * i, 3);
	return apart ? same * 100 >= count : same != count;
}
