// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a device had before it was bound to barter-vfio-pci.
 */
#include "binding.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void earlier_path(const char *bdf, char *path, size_t length)
{
	const char *folder = secure_getenv("BARTER_RUN");

	snprintf(path, length, "%s/%s",
		 folder && *folder ? folder : "/run/barter", bdf);
}

int earlier_save(const struct barter_pci *pci)
{
	const char *driver = barter_pci_driver(pci);
	const char *override = barter_pci_override(pci);
	char path[256], *slash;
	FILE *file;

	earlier_path(barter_pci_name(pci), path, sizeof(path));
	slash = strrchr(path, '/');
	*slash = '\0';
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	*slash = '/';
	file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file, "driver=%s\noverride=%s\n", driver ? driver : "",
		override ? override : "");
	if (fclose(file))
		return -errno;
	return 0;
}

int earlier_load(const char *bdf, struct earlier *earlier)
{
	char path[256], line[128];
	FILE *file;

	memset(earlier, 0, sizeof(*earlier));
	earlier_path(bdf, path, sizeof(path));
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "driver=", 7))
			snprintf(earlier->driver, sizeof(earlier->driver),
				 "%.63s", line + 7);
		else if (!strncmp(line, "override=", 9))
			snprintf(earlier->override, sizeof(earlier->override),
				 "%.63s", line + 9);
	}
	fclose(file);
	return 0;
}

void earlier_forget(const char *bdf)
{
	char path[256];

	earlier_path(bdf, path, sizeof(path));
	unlink(path);
}

int earlier_restore(const char *bdf, const struct earlier *earlier)
{
	int ret;

	ret = barter_driver_override(bdf, earlier->override[0] ?
				     earlier->override : NULL);
	if (!ret)
		ret = barter_driver_detach(bdf);
	if (!ret && earlier->driver[0])
		ret = barter_driver_probe(bdf);
	return ret;
}
