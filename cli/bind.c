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
#include "json.h"

#include <stdlib.h>
#include <string.h>

struct request {
	struct barter_topology *topology;
	const struct barter_pci **devices;
	struct bound *bound;
	int count;
	int force;
	int json;
};

enum { OPTION_FORCE, OPTION_JSON };

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

void driver_now(const char *name, char *driver, size_t length)
{
	struct barter_topology *now;
	const struct barter_pci *pci;
	struct barter_bdf bdf;

	driver[0] = '\0';
	if (barter_bdf_parse(name, &bdf) || barter_topology_read(&now))
		return;
	pci = barter_topology_find(now, &bdf);
	if (pci && barter_pci_driver(pci))
		snprintf(driver, length, "%s", barter_pci_driver(pci));
	barter_topology_free(now);
}

int bind_is_harmless(const struct barter_topology *topology,
		     const struct barter_pci *pci)
{
	char why[256];

	return !barter_pci_driver(pci) &&
	       barter_pci_lendable(topology, pci, NULL, 0) == BARTER_LEND_BIND &&
	       !device_in_use(pci, why, sizeof(why));
}

int bind_one(const struct barter_pci *pci, struct bound *bound)
{
	const char *name = barter_pci_name(pci), *step = "driver_override";
	const char *driver = barter_pci_driver(pci);
	struct earlier earlier;
	int ret;

	ret = earlier_save(pci);
	if (ret)
		return failed(name, "cannot remember its driver below /run: %s%s",
			      strerror(-ret), ret == -EACCES || ret == -EPERM ?
			      "; run as root" : "; make room there");
	progress_begin(name, "is being bound to " BARTER_DRIVER, 0);
	ret = barter_driver_override(name, BARTER_DRIVER);
	if (!ret) {
		step = "taking it from its driver";
		ret = barter_driver_detach(name);
	}
	if (!ret) {
		step = "binding";
		ret = barter_driver_probe(name);
	}
	progress_end();
	driver_now(name, bound->driver, sizeof(bound->driver));
	if (!ret && !strcmp(bound->driver, BARTER_DRIVER))
		return EXIT_OK;
	if (!earlier_load(name, &earlier))
		earlier_restore(name, &earlier);
	earlier_forget(name);
	driver_now(name, bound->driver, sizeof(bound->driver));
	if (!ret)
		return failed(name, BARTER_DRIVER " did not take it (see the kernel log: dmesg); it was given back to %s",
			      driver ? driver : "no driver");
	return failed(name, "%s failed: %s; %s", step, strerror(-ret),
		      ret == -EACCES || ret == -EPERM ? "run as root" :
		      "see the kernel log: dmesg; it was given back to what it had");
}

void bound_json(const struct bound *bound, int count)
{
	struct json json = { .to = stdout };
	int i;

	json_open(&json, NULL, '{');
	json_open(&json, "devices", '[');
	for (i = 0; i < count; i++) {
		json_open(&json, NULL, '{');
		json_text(&json, "device", bound[i].name);
		json_text(&json, "driver",
			  bound[i].driver[0] ? bound[i].driver : NULL);
		json_text(&json, "earlier_driver",
			  bound[i].had[0] ? bound[i].had : NULL);
		json_bool(&json, "done", bound[i].status == EXIT_OK);
		json_text(&json, "error",
			  bound[i].status ? bound[i].error : NULL);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}

/* Keeps what was complained of, for the answer. */
static int keep(struct bound *bound, int status)
{
	bound->status = status;
	if (status)
		snprintf(bound->error, sizeof(bound->error), "%.399s",
			 failed_text());
	return status;
}

static int bind_device(const struct request *request, int i)
{
	const struct barter_pci *pci = request->devices[i];
	struct bound *bound = &request->bound[i];
	int was = is_bound(pci);

	if (keep(bound, was ? EXIT_OK : bind_one(pci, bound)))
		return EXIT_FAILED;
	if (request->json)
		return EXIT_OK;
	if (was)
		printf("%s: bound to " BARTER_DRIVER " already\n", bound->name);
	else
		printf("%s: bound to " BARTER_DRIVER ", had %s\n", bound->name,
		       bound->had[0] ? bound->had : "no driver");
	return EXIT_OK;
}

static int find_all(struct request *request, char **names)
{
	const char *driver;
	int i;

	for (i = 0; i < request->count; i++) {
		struct bound *bound = &request->bound[i];
		struct barter_bdf bdf;

		barter_bdf_parse(names[i], &bdf);
		request->devices[i] =
			barter_topology_find(request->topology, &bdf);
		if (!request->devices[i])
			return failed(names[i], "no such PCI device; see: barter list");
		driver = barter_pci_driver(request->devices[i]);
		bound->name = barter_pci_name(request->devices[i]);
		if (driver) {
			snprintf(bound->had, sizeof(bound->had), "%s", driver);
			snprintf(bound->driver, sizeof(bound->driver), "%s", driver);
		}
	}
	return EXIT_OK;
}

static int bind_all(struct request *request)
{
	int i, status = EXIT_OK;

	for (i = 0; i < request->count; i++)
		if (!is_bound(request->devices[i]) &&
		    keep(&request->bound[i],
			 check_device(request, request->devices[i])))
			status = EXIT_FAILED;
	for (i = 0; status && i < request->count; i++)
		if (!request->bound[i].status && !is_bound(request->devices[i])) {
			request->bound[i].status = status;
			snprintf(request->bound[i].error,
				 sizeof(request->bound[i].error),
				 "left alone, as another of them cannot be bound");
		}
	if (status)
		return status;
	for (i = 0; i < request->count; i++)
		if (bind_device(request, i))
			status = EXIT_FAILED;
	return status;
}

static int bind(struct request *request, char **names)
{
	int status = find_all(request, names);

	if (status)
		return status;
	if (!barter_driver_loaded(BARTER_DRIVER))
		return failed(BARTER_DRIVER, "the driver is not loaded; run: modprobe "
			      BARTER_DRIVER);
	status = bind_all(request);
	if (request->json)
		bound_json(request->bound, request->count);
	return status;
}

int run_bind(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_FORCE] = "force",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct request request = { .force = 0 };
	int option, i, ret, status;
	struct barter_bdf bdf;

	while ((option = option_next(&options)) >= 0)
		*(option == OPTION_FORCE ? &request.force : &request.json) = 1;
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
		return failed_topology(ret);
	request.devices = calloc((size_t)request.count,
				 sizeof(*request.devices));
	request.bound = calloc((size_t)request.count, sizeof(*request.bound));
	status = request.devices && request.bound ?
		 bind(&request, argv + options.at) :
		 failed("bind", "out of memory");
	free(request.bound);
	free(request.devices);
	barter_topology_free(request.topology);
	return status;
}
