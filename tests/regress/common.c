// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What several tests need, see regress.h.
 */
#define _GNU_SOURCE
#include "regress.h"

void second_device(char bdf[BDF_LENGTH])
{
	if (!getenv("VM_VRAM1"))
		tap_bail("VM_VRAM1 is not set");
	snprintf(bdf, BDF_LENGTH, "%.15s", getenv("VM_VRAM1"));
}

int reach(int dmabuf)
{
	int t = tester_open(), ret = tester_attach(t, dmabuf, 0);

	if (ret >= 0)
		ret = tester_map(t, ret, BARTER_TEST_BIDIRECTIONAL, NULL);
	close(t);
	return ret;
}

/* The DMA API gives addresses back some milliseconds after they are unmapped. */
int map_soon(int t, int id, struct barter_test_map *map)
{
	bool mapped;
	int ret = 0;

	WAIT_FOR(mapped, !(ret = tester_map(t, id, BARTER_TEST_BIDIRECTIONAL,
					    map)), 2000);
	return mapped ? 0 : ret;
}

int run_cause(void *name)
{
	return cause_find(name)->begin(&mem) ? 1 : 0;
}
