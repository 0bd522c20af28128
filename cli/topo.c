// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter topo: which device's DMA reaches whose memory, and why. Asks
 * /dev/barter for every pair; the drawing is in topo_*.c.
 */
#include "topo.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_JSON, OPTION_DOT, OPTION_SVG, OPTION_O, OPTION_IMPORTER,
	OPTION_EXPORTER };

#define FILTERS 32

struct filter {
	struct barter_bdf devices[FILTERS];
	int count;
};

static int filter_add(const struct command *command, struct filter *filter,
		      const char *text)
{
	if (filter->count == FILTERS)
		return wrong_usage(command, "at most %d devices", FILTERS);
	if (barter_bdf_parse(text, &filter->devices[filter->count]))
		return wrong_usage(command, "\"%s\" is no PCI address", text);
	filter->count++;
	return EXIT_OK;
}

static int filter_passes(const struct filter *filter,
			 const struct barter_pci *pci)
{
	struct barter_bdf bdf = barter_pci_bdf(pci);
	int i;

	for (i = 0; i < filter->count; i++)
		if (filter->devices[i].domain == bdf.domain &&
		    filter->devices[i].bus == bdf.bus &&
		    filter->devices[i].devfn == bdf.devfn)
			return 1;
	return !filter->count;
}

static int filter_check(const struct topo *topo, const struct filter *filter)
{
	char name[BARTER_BDF_LENGTH];
	int i;

	for (i = 0; i < filter->count; i++)
		if (!barter_topology_find(topo->topology,
					  &filter->devices[i]))
			return failed(barter_bdf_format(&filter->devices[i],
							name),
				      "no such PCI device; see: barter list --all");
	return EXIT_OK;
}

const char *short_name(const struct barter_pci *pci)
{
	const char *name = barter_pci_name(pci);

	return strncmp(name, "0000:", 5) ? name : name + 5;
}

const struct barter_route *topo_route(const struct topo *topo, int i, int e)
{
	if (topo->error || topo->importers[i] == topo->exporters[e])
		return NULL;
	return &topo->routes[i * topo->nr_exporters + e];
}

int topo_reason(const struct topo *topo, const struct barter_route *route)
{
	int i;

	for (i = 0; i < topo->nr_reasons; i++)
		if (!strcmp(topo->reasons[i], route->out_text))
			return i + 1;
	return 0;
}

/* Has a BAR of at least a page, which is what can be lent. */
static int holds_memory(const struct topo *topo, const struct barter_pci *pci)
{
	int lendable = barter_pci_lendable(topo->topology, pci, NULL, 0);

	return lendable != BARTER_LEND_BRIDGE && lendable != BARTER_LEND_NO_BAR;
}

static int choose_devices(struct topo *topo, const struct filter *importers,
			  const struct filter *exporters)
{
	const struct barter_pci *pci = NULL;
	size_t count = 0;

	while ((pci = barter_topology_next(topo->topology, pci)))
		count++;
	topo->importers = calloc(count + 1, sizeof(*topo->importers));
	topo->exporters = calloc(count + 1, sizeof(*topo->exporters));
	if (!topo->importers || !topo->exporters)
		return -ENOMEM;
	while ((pci = barter_topology_next(topo->topology, pci))) {
		if (barter_pci_can_import(pci) && filter_passes(importers, pci))
			topo->importers[topo->nr_importers++] = pci;
		if (holds_memory(topo, pci) && filter_passes(exporters, pci))
			topo->exporters[topo->nr_exporters++] = pci;
	}
	return 0;
}

static int ask_routes(struct topo *topo)
{
	int control, i, e, ret;

	ret = barter_control_open(&control);
	if (ret)
		return ret;
	for (i = 0; i < topo->nr_importers && !ret; i++)
		for (e = 0; e < topo->nr_exporters && !ret; e++) {
			struct barter_bdf from =
				barter_pci_bdf(topo->importers[i]);
			struct barter_bdf to =
				barter_pci_bdf(topo->exporters[e]);
			struct barter_route *route =
				&topo->routes[i * topo->nr_exporters + e];

			if (topo->importers[i] == topo->exporters[e])
				continue;
			ret = barter_route_between(control, &from, &to, route);
			if (ret == -ENODEV) {	/* unplugged meanwhile */
				snprintf(route->out_text,
					 sizeof(route->out_text),
					 "the device is gone");
				ret = 0;
			}
			route->out_text[BARTER_TEXT_LENGTH - 1] = '\0';
			if (!ret && !topo_reason(topo, route))
				topo->reasons[topo->nr_reasons++] =
					route->out_text;
		}
	close(control);
	return ret;
}

static int gather(struct topo *topo, const struct filter *importers,
		  const struct filter *exporters)
{
	size_t pairs;
	int ret;

	ret = choose_devices(topo, importers, exporters);
	if (ret)
		return ret;
	pairs = (size_t)topo->nr_importers * (size_t)topo->nr_exporters + 1;
	topo->routes = calloc(pairs, sizeof(*topo->routes));
	topo->reasons = calloc(pairs, sizeof(*topo->reasons));
	if (!topo->routes || !topo->reasons)
		return -ENOMEM;
	topo->error = ask_routes(topo);
	if (topo->error)
		topo->nr_reasons = 0;
	return 0;
}

static int draw(const struct topo *topo, const char *path,
		void (*with)(const struct topo *topo, FILE *to))
{
	FILE *to = stdout;

	if (path) {
		to = fopen(path, "we");
		if (!to)
			return failed(path, "cannot be written: %s; name another file with -o",
				      strerror(errno));
	}
	with(topo, to);
	if (path && fclose(to))
		return failed(path, "cannot be written: %s", strerror(errno));
	if (topo->error)
		return failed_control("routes", topo->error);
	return EXIT_OK;
}

int run_topo(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_JSON] = "json",
		[OPTION_DOT] = "dot",
		[OPTION_SVG] = "svg",
		[OPTION_O] = "o=",
		[OPTION_IMPORTER] = "importer=",
		[OPTION_EXPORTER] = "exporter=",
		NULL
	};
	static void (*const ways[])(const struct topo *topo, FILE *to) = {
		[OPTION_JSON] = topo_json,
		[OPTION_DOT] = topo_dot,
		[OPTION_SVG] = topo_svg,
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	void (*with)(const struct topo *topo, FILE *to) = NULL;
	struct filter importers = { .count = 0 }, exporters = { .count = 0 };
	struct topo topo = { .error = 0 };
	int option, ret, status = EXIT_OK;
	const char *path = NULL;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_O)
			path = options.value;
		else if (option == OPTION_IMPORTER)
			status = filter_add(command, &importers, options.value);
		else if (option == OPTION_EXPORTER)
			status = filter_add(command, &exporters, options.value);
		else if (with && with != ways[option])
			status = wrong_usage(command, "only one of --json, --dot and --svg");
		else
			with = ways[option];
		if (status)
			return status;
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (options.at < argc)
		return wrong_usage(command, "unexpected \"%s\"",
				   argv[options.at]);
	ret = barter_topology_read(&topo.topology);
	if (ret)
		return failed_topology(ret);
	status = filter_check(&topo, &importers);
	if (!status)
		status = filter_check(&topo, &exporters);
	if (!status) {
		ret = gather(&topo, &importers, &exporters);
		status = ret ? failed("topo", "%s", strerror(-ret)) :
			 draw(&topo, path, with ? with : topo_text);
	}
	free(topo.importers);
	free(topo.exporters);
	free(topo.routes);
	free(topo.reasons);
	barter_topology_free(topo.topology);
	return status;
}
