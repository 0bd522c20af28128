// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 */
#include <stdio.h>

#include "pci.h"
#include "stall.h"
#include "tap.h"

#define STALL "/sys/module/barter_test_stall/parameters/"

void stall_at(const char *function)
{
	is_errno(sysfs_write("0", STALL "task"), 0, "whoever it is");
	is_errno(sysfs_write(function, STALL "at"), 0, "a race is decided at \"%s\"", function);
}

void stall_after(const char *function, pid_t task)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)task);
	is_errno(sysfs_write(text, STALL "task"), 0, "task %s", text);
	is_errno(sysfs_write(function, STALL "after"), 0, "a race is decided after \"%s\"",
		 function);
}

int stalled(void)
{
	char text[16] = "";
	int held;

	if (sysfs_read(text, sizeof(text), STALL "held") <= 0 || sscanf(text, "%d", &held) != 1)
		return -1;
	return held;
}

void stall_ends(void)
{
	is_errno(sysfs_write("1", STALL "go"), 0, "whoever is held may go on");
}
