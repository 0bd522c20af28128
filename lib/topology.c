// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The machine's PCI devices, read once from sysfs.
 */
#include "topology.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int by_address(const void *a, const void *b)
{
	const struct barter_bdf *x = &((const struct barter_pci *)a)->bdf;
	const struct barter_bdf *y = &((const struct barter_pci *)b)->bdf;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	if (x->bus != y->bus)
		return x->bus < y->bus ? -1 : 1;
	return (int)x->devfn - (int)y->devfn;
}

static int add_device(struct barter_topology *topology, size_t *room,
		      const char *name)
{
	struct barter_pci *pci;
	struct barter_bdf bdf;
	int ret;

	if (barter_bdf_parse(name, &bdf))
		return 0;
	if (topology->count == *room) {
		size_t more = *room ? *room * 2 : 32;
		struct barter_pci *grown;

		grown = reallocarray(topology->devices, more, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		topology->devices = grown;
		*room = more;
	}
	pci = &topology->devices[topology->count];
	memset(pci, 0, sizeof(*pci));
	barter_bdf_format(&bdf, pci->name);
	ret = barter_pci_read(pci);
	if (ret == -ENODEV)	/* unplugged since it was listed */
		return 0;
	if (!ret)
		topology->count++;
	return ret;
}

static void link_parents(struct barter_topology *topology)
{
	struct barter_bdf bdf;
	size_t i;

	for (i = 0; i < topology->count; i++) {
		struct barter_pci *pci = &topology->devices[i];

		if (!barter_bdf_parse(pci->parent_name, &bdf))
			pci->parent = barter_topology_find(topology, &bdf);
	}
}

BARTER_API int barter_topology_read(struct barter_topology **topology)
{
	char path[BARTER_PATH_LENGTH];
	struct barter_topology *new;
	struct dirent *entry;
	size_t room = 0;
	DIR *dir;
	int ret;

	ret = barter_path_sysfs(path, sizeof(path), "bus/pci/devices");
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	dir = opendir(path);
	if (!dir) {
		ret = -errno;
		goto err_free_topology;
	}
	while (!ret && (entry = readdir(dir)))
		ret = add_device(new, &room, entry->d_name);
	closedir(dir);
	if (ret)
		goto err_free_topology;
	if (new->count)
		qsort(new->devices, new->count, sizeof(*new->devices),
		      by_address);
	link_parents(new);
	*topology = new;
	return 0;

err_free_topology:
	barter_topology_free(new);
	return ret;
}

BARTER_API void barter_topology_free(struct barter_topology *topology)
{
	if (!topology)
		return;
	free(topology->devices);
	free(topology);
}

BARTER_API const struct barter_pci *barter_topology_next(
		const struct barter_topology *topology,
		const struct barter_pci *after)
{
	size_t index = after ? (size_t)(after - topology->devices) + 1 : 0;

	return index < topology->count ? &topology->devices[index] : NULL;
}

BARTER_API const struct barter_pci *barter_topology_find(
		const struct barter_topology *topology,
		const struct barter_bdf *bdf)
{
	struct barter_pci key;

	if (!topology->count)
		return NULL;
	key.bdf = *bdf;
	return bsearch(&key, topology->devices, topology->count,
		       sizeof(*topology->devices), by_address);
}

BARTER_API int barter_topology_has_iommu(
		const struct barter_topology *topology)
{
	size_t i;

	for (i = 0; i < topology->count; i++)
		if (topology->devices[i].group >= 0)
			return 1;
	return 0;
}
