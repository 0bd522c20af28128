// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A memory cgroup, see cgroup.h.
 */
#define _GNU_SOURCE
#include "cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pci.h"

#define TOP	"/tmp/cgroup"
#define CGROUP	TOP "/test"

int cgroup_make(void)
{
	mkdir(TOP, 0755);
	if (mount("cgroup2", TOP, "cgroup2", 0, NULL))
		return -errno;
	sysfs_put("+memory", TOP "/cgroup.subtree_control");
	return mkdir(CGROUP, 0755) ? -errno : 0;
}

int cgroup_remove(void)
{
	int ret = rmdir(CGROUP) ? -errno : 0;

	umount2(TOP, MNT_DETACH);
	return ret;
}

int cgroup_enter(void)
{
	return sysfs_put("0", CGROUP "/cgroup.procs");
}

long long cgroup_charged(void)
{
	FILE *f = fopen(CGROUP "/memory.stat", "re");
	long long bytes = -1;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "kernel %lld", &bytes);
	if (f)
		fclose(f);
	return bytes;
}

int cgroup_leave_room(unsigned long bytes)
{
	char text[64];
	int ret = sysfs_read(text, sizeof(text), CGROUP "/memory.current");

	if (ret < 0)
		return ret;
	snprintf(text, sizeof(text), "%lld", atoll(text) + (long long)bytes);
	return sysfs_put(text, CGROUP "/memory.max");
}
