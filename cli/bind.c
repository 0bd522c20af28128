// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter bind: hand devices to barter-vfio-pci.
 *
 * All devices are checked before the first is touched; one that fails later is
 * given back to what it had.
 */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

struct request {
	struct barter_topology *topology;
	const struct barter_pci **devices;
	int count;
	int force;
};

static int is_wanted(const struct request *request,
		     const struct barter_pci *pci)
{
	int i;

	for (i = 0; i < request->count; i++)
		if (request->devices[i] == pci)
			return 1;
	return 0;
}

/*
 * Siblings with drivers of their own keep the kernel from handing out the
 * group. Those that are bound in the same call are no obstacle.
 */
static int check_siblings(const struct request *request,
			  const struct barter_pci *pci)
{
	const struct barter_pci *other = NULL;
	char list[256] = "";
	size_t used = 0;

	while ((other = barter_topology_next(request->topology, other))) {
		if (other == pci ||
		    barter_pci_group(other) != barter_pci_group(pci) ||
		    !barter_pci_blocks_group(other) ||
		    is_wanted(request, other) || used >= sizeof(list))
			continue;
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s%s (%s)", used ? ", " : "",
					 barter_pci_name(other),
					 barter_pci_driver(other));
	}
	if (!used)
		return EXIT_OK;
	return failed(barter_pci_name(pci),
		      "shares IOMMU group %d with devices of other drivers: %s; the group goes to VFIO as a whole or not at all: name them in the same command, or take them from their drivers first",
		      barter_pci_group(pci), list);
}

static int check_device(const struct request *request,
			const struct barter_pci *pci)
{
	const char *name = barter_pci_name(pci);
	char why[256];

	switch (barter_pci_lendable(request->topology, pci, why,
				    sizeof(why))) {
	case BARTER_LEND_BRIDGE:
		return failed(name, "is a bridge and has nothing to lend; see: barter list");
	case BARTER_LEND_NO_IOMMU:
		return failed(name, "is in no IOMMU group, and VFIO needs one; run: barter doctor");
	default:
		break;
	}
	if (check_siblings(request, pci))
		return EXIT_FAILED;
	if (!request->force && device_in_use(pci, why, sizeof(why)))
		return failed(name, "is in use: %s; end that use, or add --force",
			      why);
	return EXIT_OK;
}

static int is_bound(const struct barter_pci *pci)
{
	const char *driver = barter_pci_driver(pci);

	return driver && !strcmp(driver, BARTER_DRIVER);
}

/* Does sysfs say now that the driver took it? */
static int took_it(const char *name)
{
	struct barter_topology *now;
	const struct barter_pci *pci;
	struct barter_bdf bdf;
	int yes;

	if (barter_bdf_parse(name, &bdf) || barter_topology_read(&now))
		return 0;
	pci = barter_topology_find(now, &bdf);
	yes = pci && is_bound(pci);
	barter_topology_free(now);
	return yes;
}

static int bind_device(const struct barter_pci *pci)
{
	const char *name = barter_pci_name(pci), *step = "driver_override";
	const char *driver = barter_pci_driver(pci);
	struct earlier earlier;
	int ret;

	if (is_bound(pci)) {
		printf("%s: bound to " BARTER_DRIVER " already\n", name);
		return EXIT_OK;
	}
	ret = earlier_save(pci);
	if (ret)
		return failed(name, "cannot remember its driver: %s; run as root",
			      strerror(-ret));
	ret = barter_driver_override(name, BARTER_DRIVER);
	if (!ret) {
		step = "taking it from its driver";
		ret = barter_driver_detach(name);
	}
	if (!ret) {
		step = "binding";
		ret = barter_driver_probe(name);
	}
	if (!ret && took_it(name)) {
		printf("%s: bound to " BARTER_DRIVER ", had %s\n", name,
		       driver ? driver : "no driver");
		return EXIT_OK;
	}
	if (!earlier_load(name, &earlier))
		earlier_restore(name, &earlier);
	earlier_forget(name);
	if (!ret)
		return failed(name, BARTER_DRIVER " did not take it (see the kernel log); it was given back to %s",
			      driver ? driver : "no driver");
	return failed(name, "%s failed: %s; %s", step, strerror(-ret),
		      ret == -EACCES ? "run as root" :
		      "see the kernel log; it was given back to what it had");
}

static int bind_all(struct request *request, char **names)
{
	int i, status = EXIT_OK;

	for (i = 0; i < request->count; i++) {
		struct barter_bdf bdf;

		barter_bdf_parse(names[i], &bdf);
		request->devices[i] =
			barter_topology_find(request->topology, &bdf);
		if (!request->devices[i])
			return failed(names[i], "no such PCI device; see: barter list");
	}
	for (i = 0; i < request->count; i++)
		if (!is_bound(request->devices[i]) &&
		    check_device(request, request->devices[i]))
			status = EXIT_FAILED;
	if (status)
		return status;
	if (!barter_driver_loaded(BARTER_DRIVER))
		return failed(BARTER_DRIVER, "the driver is not loaded; run: modprobe "
			      BARTER_DRIVER);
	for (i = 0; i < request->count; i++)
		if (bind_device(request->devices[i]))
			status = EXIT_FAILED;
	return status;
}

int run_bind(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { "force", NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	struct request request = { .force = 0 };
	int option, i, ret, status;
	struct barter_bdf bdf;

	while ((option = option_next(&options)) >= 0)
		request.force = 1;
	if (option != OPTION_END)
		return option_exit(option);
	request.count = argc - options.at;
	if (!request.count)
		return wrong_usage(command, "expected at least one BDF");
	for (i = options.at; i < argc; i++)
		if (barter_bdf_parse(argv[i], &bdf))
			return wrong_usage(command, "\"%s\" is no PCI address",
					   argv[i]);
	ret = barter_topology_read(&request.topology);
	if (ret)
		return failed("PCI devices", "cannot be read from sysfs: %s",
			      strerror(-ret));
	request.devices = calloc((size_t)request.count,
				 sizeof(*request.devices));
	status = request.devices ? bind_all(&request, argv + options.at) :
		 failed("bind", "out of memory");
	free(request.devices);
	barter_topology_free(request.topology);
	return status;
}
