// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 */
#include <stdio.h>

#include "pci.h"
#include "stall.h"
#include "tap.h"

#define STALL "/sys/module/barter_test_stall/parameters/"

static void stall(const char *where, const char *function, pid_t task)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), STALL "%s", where);
	snprintf(text, sizeof(text), "%d", (int)task);
	is_errno(sysfs_write(text, STALL "task"), 0, "task %s, 0 is any", text);
	is_errno(sysfs_write(function, path), 0, "a race is decided %s \"%s\"", where, function);
}

void stall_at(const char *function)
{
	stall("at", function, 0);
}

void stall_task_at(const char *function, pid_t task)
{
	stall("at", function, task);
}

void stall_after(const char *function, pid_t task)
{
	stall("after", function, task);
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
