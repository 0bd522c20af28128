// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which allocations fail, see fault_filter.h.
 *
 * Who watches shall see. kmemleak makes a note of each object, and one that it has no
 * memory for would be a failure more of each call; DMA API debugging makes notes of
 * memory that a device may write, and switches itself off for ever when it cannot. Of
 * the places in the stack that are spared each kind of failure has room for one, and
 * these two are far apart. So of objects those below DMA API debugging are spared, and
 * kmemleak's by their caches: all others are told to fail. Of pages those that
 * kmemleak's cache grows by are spared. The cache that DMA API debugging's notes are in
 * asks for several pages and then, not failing any more, for fewer.
 */
#define _GNU_SOURCE
#include "fault_filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci.h"
#include "tap.h"

#define DEBUGFS	 "/sys/kernel/debug/"
#define CACHES	 "/sys/kernel/slab"
#define KEPT	 "kmemleak_" /* so their names begin */
#define OBJECTS	 "failslab"
#define PAGES	 "fail_page_alloc"
#define NR_NAMES 8

/* A setting of one kind of failure. */
static void set_one(const char *kind, const char *file, const char *value)
{
	int ret = sysfs_put(value, DEBUGFS "%s/%s", kind, file);

	if (ret)
		tap_bail("%s/%s: %s", kind, file, strerror(-ret));
}

static void set(const char *file, const char *value)
{
	set_one(OBJECTS, file, value);
	set_one(PAGES, file, value);
}

/* The first symbol behind @start, of those from here on in the file. */
static unsigned long long find_next(FILE *f, unsigned long long start)
{
	unsigned long long at, end = 0;
	char line[256];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx", &at) == 1 && at > start && (!end || at < end))
			end = at;
	return end;
}

/* Where a function of the kernel begins, and where the next one does. */
static bool find_function(const char *function, unsigned long long *start, unsigned long long *end)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[256], name[128];

	*start = *end = 0;
	if (!f)
		return false;
	while (!*start && fgets(line, sizeof(line), f)) {
		unsigned long long at;

		if (sscanf(line, "%llx %*c %127s", &at, name) == 2 && !strcmp(name, function))
			*start = at;
	}
	/* The kernel's own are in order of address, those of modules are not. */
	if (strchr(line, '['))
		rewind(f);
	if (*start)
		*end = find_next(f, *start);
	fclose(f);
	return *start && *end;
}

static void set_range(const char *kind, const char *which, unsigned long long start,
		      unsigned long long end)
{
	char file[32], text[32];

	snprintf(file, sizeof(file), "%s-start", which);
	snprintf(text, sizeof(text), "%#llx", start);
	set_one(kind, file, text);
	snprintf(file, sizeof(file), "%s-end", which);
	snprintf(text, sizeof(text), "%#llx", end);
	set_one(kind, file, text);
}

/* Not below these functions, which lie side by side; those that a kernel lacks do not count. */
static void reject(const char *kind, const char *const names[NR_NAMES])
{
	unsigned long long start, end, from = ~0ull, to = 0;

	for (unsigned int i = 0; i < NR_NAMES && names[i]; i++) {
		if (!find_function(names[i], &start, &end))
			continue;
		from = start < from ? start : from;
		to = end > to ? end : to;
	}
	if (to)
		set_range(kind, "reject", from, to);
}

/* Objects of all caches but kmemleak's; those of caches that come later never fail. */
static void choose_caches(void)
{
	DIR *dir = opendir(CACHES);
	struct dirent *e;
	int ret;

	if (!dir)
		tap_bail(CACHES ": %s", strerror(errno));
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || !strncmp(e->d_name, KEPT, strlen(KEPT)))
			continue;
		ret = sysfs_put("1", CACHES "/%.64s/failslab", e->d_name);
		if (ret)
			tap_bail("cache %s: %s", e->d_name, strerror(-ret));
	}
	closedir(dir);
	set_one(OBJECTS, "cache-filter", "Y");
}

static void spare_watchers(void)
{
	static const char *const kmemleak[NR_NAMES] = {
		"kmemleak_alloc",     "kmemleak_alloc_percpu", "kmemleak_vmalloc",
		"kmemleak_scan_area", "kmemleak_alloc_phys",
	};
	static const char *const dma_debug[NR_NAMES] = {
		"add_dma_entry",	 "debug_dma_map_page",	   "debug_dma_map_phys",
		"debug_dma_map_sg",	 "debug_dma_map_resource", "debug_dma_alloc_coherent",
		"debug_dma_alloc_pages",
	};

	choose_caches();
	reject(OBJECTS, dma_debug);
	reject(PAGES, kmemleak);
}

/*
 * Copies from and to user space would fail too where the kernel can make them, among
 * them those of fail-nth itself. A required place in the stack, of a stack of depth
 * 0, is never found.
 */
static void spare_user_copies(void)
{
	static const char *const settings[][2] = {
		{ "stacktrace-depth", "0" },
		{ "require-start", "1" },
	};

	for (int i = 0; i < 2; i++) {
		char path[128];
		int fd;

		snprintf(path, sizeof(path), DEBUGFS "fail_usercopy/%s", settings[i][0]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			return;
		if (fd < 0 || write(fd, settings[i][1], 1) != 1)
			tap_bail("%s: %s", path, strerror(errno));
		close(fd);
	}
}

void fault_filter_init(void)
{
	set("verbose", getenv("BARTER_FAULT_VERBOSE") ?: "0");
	set("ignore-gfp-wait", "N");
	set_one(PAGES, "ignore-gfp-highmem", "N");
	set_one(PAGES, "min-order", "0");
	set("stacktrace-depth", "32");
	spare_watchers();
	spare_user_copies();
}

void fault_filter_scope(const char *function)
{
	unsigned long long start = 0, end = ~0ull;

	if (function && !find_function(function, &start, &end))
		tap_bail("the kernel has no %s", function);
	set_range(OBJECTS, "require", start, end);
	set_range(PAGES, "require", start, end);
}
