// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Who uses a device: what would be lost, or hang, if its driver were changed.
 *
 * Looked for: processes with the VFIO node open, network interfaces that are
 * up, and disks that are mounted, swapped on, or part of another disk.
 */
#include "binding.h"

#include <ctype.h>
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *sysfs_root(void)
{
	const char *root = getenv("BARTER_SYSFS");

	return root && *root ? root : "/sys";
}

static int read_line(const char *path, char *line, size_t length)
{
	FILE *file = fopen(path, "re");
	int ret = -1;

	if (!file)
		return -1;
	if (fgets(line, (int)length, file)) {
		line[strcspn(line, "\n")] = '\0';
		ret = 0;
	}
	fclose(file);
	return ret;
}

/* Does process @pid have @node open? */
static int process_has(const char *pid, const char *node)
{
	char path[300], target[300];
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		ssize_t got;

		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid,
			 entry->d_name);
		got = readlink(path, target, sizeof(target) - 1);
		if (got <= 0)
			continue;
		target[got] = '\0';
		found = !strcmp(target, node);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int open_in_process(const struct barter_pci *pci, char *text,
			   size_t length)
{
	const char *name = barter_pci_vfio_node(pci);
	char node[80], path[64], who[64] = "?";
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	if (!name)
		return 0;
	snprintf(node, sizeof(node), "/dev/%s", name);
	dir = opendir("/proc");
	while (dir && !found && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !process_has(entry->d_name, node))
			continue;
		found = 1;
		snprintf(path, sizeof(path), "/proc/%.20s/comm",
			 entry->d_name);
		read_line(path, who, sizeof(who));
		snprintf(text, length, "process %.20s (%.20s) has %s open",
			 entry->d_name, who, node);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int interface_up(const struct barter_pci *pci, char *text,
			size_t length)
{
	char folder[300], path[600], flags[32];
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%.200s/bus/pci/devices/%s/net",
		 sysfs_root(), barter_pci_name(pci));
	dir = opendir(folder);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%.200s/flags", folder,
			 entry->d_name);
		if (entry->d_name[0] == '.' ||
		    read_line(path, flags, sizeof(flags)))
			continue;
		found = !!(strtoul(flags, NULL, 0) & IFF_UP);
		if (found)
			snprintf(text, length,
				 "network interface %.32s is up",
				 entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The walk over a device's folder hands what it found over in these. */
static char *disk_text;
static size_t disk_length;

static int is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int empty = 1;

	while (dir && empty && (entry = readdir(dir)))
		empty = entry->d_name[0] == '.';
	if (dir)
		closedir(dir);
	return empty;
}

/* Is the disk or partition mounted? @number is "MAJOR:MINOR". */
static int is_mounted(const char *number)
{
	char line[1024], field[64];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%*s %*s %63s", field) == 1 &&
			!strcmp(field, number);
	if (file)
		fclose(file);
	return found;
}

static int is_swap(const char *name)
{
	char line[1024], node[300];
	FILE *file = fopen("/proc/swaps", "re");
	int found = 0;

	snprintf(node, sizeof(node), "/dev/%.250s", name);
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\n")] = '\0';
		found = !strcmp(line, node);
	}
	if (file)
		fclose(file);
	return found;
}

static int look_at(const char *path, const struct stat *status, int kind,
		   struct FTW *where)
{
	char sub[PATH_MAX], target[PATH_MAX], number[32];
	const char *name = path + where->base, *what = NULL;
	ssize_t got;

	(void)status;
	if (kind != FTW_D || where->level > 10)
		return 0;
	snprintf(sub, sizeof(sub), "%.3000s/subsystem", path);
	got = readlink(sub, target, sizeof(target) - 1);
	if (got <= 0)
		return 0;
	target[got] = '\0';
	if (got < 6 || strcmp(target + got - 6, "/block"))
		return 0;
	snprintf(sub, sizeof(sub), "%.3000s/dev", path);
	if (read_line(sub, number, sizeof(number)))
		return 0;
	snprintf(sub, sizeof(sub), "%.3000s/holders", path);
	if (is_mounted(number))
		what = "is mounted";
	else if (is_swap(name))
		what = "is used for swap";
	else if (!is_empty(sub))
		what = "is part of another disk (RAID, LVM, encryption)";
	if (!what)
		return 0;
	snprintf(disk_text, disk_length, "disk %.64s %s", name, what);
	return 1;
}

static int disk_in_use(const struct barter_pci *pci, char *text,
		       size_t length)
{
	char path[300], *real;
	int found;

	if (barter_pci_is_bridge(pci))
		return 0;
	snprintf(path, sizeof(path), "%.200s/bus/pci/devices/%s",
		 sysfs_root(), barter_pci_name(pci));
	real = realpath(path, NULL);
	if (!real)
		return 0;
	disk_text = text;
	disk_length = length;
	found = nftw(real, look_at, 16, FTW_PHYS) > 0;
	free(real);
	return found;
}

int device_in_use(const struct barter_pci *pci, char *text, size_t length)
{
	return open_in_process(pci, text, length) ||
	       interface_up(pci, text, length) ||
	       disk_in_use(pci, text, length);
}
