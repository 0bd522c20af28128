// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The PCI tree and the routes for graphviz.
 */
#include "topo.h"

#include <string.h>

/* The inside of a quoted dot string. */
static void dot_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', to);
		if ((unsigned char)*text >= 0x20)
			putc(*text, to);
	}
}

static void dot_node(FILE *to, const struct barter_pci *pci)
{
	const char *driver = barter_pci_driver(pci);
	char bars[160];

	fprintf(to, "\t\"%s\" [label=\"%s\\n", barter_pci_name(pci),
		short_name(pci));
	dot_text(to, barter_pci_class_name(pci));
	if (driver) {
		fputs("\\n", to);
		dot_text(to, driver);
	}
	if (!barter_pci_is_bridge(pci) &&
	    strcmp(bars_format(pci, bars, sizeof(bars)), "-"))
		fprintf(to, "\\nBAR %s", bars);
	if (barter_pci_group(pci) >= 0)
		fprintf(to, "\\ngroup %d", barter_pci_group(pci));
	fprintf(to, "\"%s];\n", barter_pci_is_bridge(pci) ?
		", fillcolor=\"#e8ecf1\"" : "");
}

static void dot_edges(const struct topo *topo, FILE *to)
{
	static const char *const colours[] = {
		[BARTER_ROUTE_NONE] = "#b91c1c",
		[BARTER_ROUTE_BUS] = "#1d4ed8",
		[BARTER_ROUTE_HOST] = "#15803d",
		[BARTER_ROUTE_SAME] = "#7e22ce",
	};
	int i, e;

	for (i = 0; i < topo->nr_importers; i++)
		for (e = 0; e < topo->nr_exporters; e++) {
			const struct barter_route *route =
				topo_route(topo, i, e);

			if (!route)
				continue;
			fprintf(to, "\t\"%s\" -> \"%s\" [constraint=false, label=\"%s\", tooltip=\"",
				barter_pci_name(topo->importers[i]),
				barter_pci_name(topo->exporters[e]),
				barter_route_name(route->out_route));
			dot_text(to, route->out_text);
			fprintf(to, "\", color=\"%s\"%s];\n",
				route->out_route <= BARTER_ROUTE_SAME ?
				colours[route->out_route] : "#000000",
				route->out_route == BARTER_ROUTE_NONE ?
				", style=dotted" : "");
		}
}

void topo_dot(const struct topo *topo, FILE *to)
{
	const struct barter_pci *pci = NULL;

	fputs("digraph barter {\n"
	      "\tnode [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];\n"
	      "\tedge [fontname=\"sans-serif\", fontsize=10];\n", to);
	while ((pci = barter_topology_next(topo->topology, pci))) {
		const struct barter_pci *parent = barter_pci_parent(pci);

		dot_node(to, pci);
		fprintf(to, "\t\"%s\" -> \"%s\" [arrowhead=none, color=\"#94a3b8\"];\n",
			parent ? barter_pci_name(parent) : barter_pci_root(pci),
			barter_pci_name(pci));
	}
	dot_edges(topo, to);
	fputs("}\n", to);
}
