// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The matrix of routes for eyes and for programs.
 */
#include "topo.h"
#include "json.h"

#include <string.h>

static void text_device(const struct barter_pci *pci, int depth, FILE *to)
{
	const char *driver = barter_pci_driver(pci);
	char bars[160];

	fprintf(to, "%*s%s  %s", depth * 2, "", barter_pci_name(pci),
		barter_pci_class_name(pci));
	if (driver)
		fprintf(to, ", %s", driver);
	if (barter_pci_group(pci) >= 0)
		fprintf(to, ", group %d", barter_pci_group(pci));
	bars_format(pci, bars, sizeof(bars));
	if (!barter_pci_is_bridge(pci) && strcmp(bars, "-"))
		fprintf(to, ", BAR %s", bars);
	putc('\n', to);
}

static void text_below(const struct topo *topo, const struct barter_pci *parent,
		       const char *root, int depth, FILE *to)
{
	const struct barter_pci *pci = NULL;

	while ((pci = barter_topology_next(topo->topology, pci))) {
		if (barter_pci_parent(pci) != parent ||
		    strcmp(barter_pci_root(pci), root))
			continue;
		text_device(pci, depth, to);
		text_below(topo, pci, root, depth + 1, to);
	}
}

static void text_tree(const struct topo *topo, FILE *to)
{
	const struct barter_pci *pci = NULL;
	const char *root = "";

	while ((pci = barter_topology_next(topo->topology, pci))) {
		if (barter_pci_parent(pci) ||
		    !strcmp(root, barter_pci_root(pci)))
			continue;
		root = barter_pci_root(pci);
		fprintf(to, "%s\n", root);
		text_below(topo, NULL, root, 1, to);
	}
}

void topo_text(const struct topo *topo, FILE *to)
{
	char cell[40];
	int i, e;

	text_tree(topo, to);
	if (topo->error || !topo->nr_importers || !topo->nr_exporters)
		return;
	fprintf(to, "\nDMA from       to the memory of\n%-12s", "");
	for (e = 0; e < topo->nr_exporters; e++)
		fprintf(to, "  %-16s", barter_pci_name(topo->exporters[e]));
	putc('\n', to);
	for (i = 0; i < topo->nr_importers; i++) {
		fprintf(to, "%-12s", barter_pci_name(topo->importers[i]));
		for (e = 0; e < topo->nr_exporters; e++) {
			const struct barter_route *route =
				topo_route(topo, i, e);

			snprintf(cell, sizeof(cell), "-");
			if (route)
				snprintf(cell, sizeof(cell), "%s [%d]",
					 barter_route_name(route->out_route),
					 topo_reason(topo, route));
			fprintf(to, "  %-16s", cell);
		}
		putc('\n', to);
	}
	putc('\n', to);
	for (i = 0; i < topo->nr_reasons; i++)
		fprintf(to, "[%d] %s\n", i + 1, topo->reasons[i]);
}

static void json_tree(const struct topo *topo, struct json *json)
{
	const struct barter_pci *pci = NULL;

	json_open(json, "devices", '[');
	while ((pci = barter_topology_next(topo->topology, pci))) {
		const struct barter_pci *parent = barter_pci_parent(pci);

		json_open(json, NULL, '{');
		json_text(json, "device", barter_pci_name(pci));
		json_text(json, "class_name", barter_pci_class_name(pci));
		json_text(json, "root", barter_pci_root(pci));
		json_text(json, "parent",
			  parent ? barter_pci_name(parent) : NULL);
		json_text(json, "driver", barter_pci_driver(pci));
		json_index(json, "group", barter_pci_group(pci));
		json_bool(json, "bridge", barter_pci_is_bridge(pci));
		json_close(json, '}');
	}
	json_close(json, ']');
}

void topo_json(const struct topo *topo, FILE *to)
{
	struct json json = { .to = to };
	int i, e;

	json_open(&json, NULL, '{');
	json_tree(topo, &json);
	json_text(&json, "routes_error",
		  topo->error ? control_trouble(topo->error) : NULL);
	json_open(&json, "routes", '[');
	for (i = 0; i < topo->nr_importers; i++)
		for (e = 0; e < topo->nr_exporters; e++) {
			const struct barter_route *route =
				topo_route(topo, i, e);

			if (!route)
				continue;
			json_open(&json, NULL, '{');
			json_text(&json, "importer",
				  barter_pci_name(topo->importers[i]));
			json_text(&json, "exporter",
				  barter_pci_name(topo->exporters[e]));
			json_text(&json, "route",
				  barter_route_name(route->out_route));
			json_text(&json, "reason",
				  barter_why_name(route->out_reason));
			json_text(&json, "text", route->out_text);
			json_close(&json, '}');
		}
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}
