/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The matrix of routes, and the ways to draw it.
 */
#ifndef BARTER_TOPO_H
#define BARTER_TOPO_H

#include "cli.h"

struct topo {
	struct barter_topology *topology;
	const struct barter_pci **importers;
	int nr_importers;
	const struct barter_pci **exporters;
	int nr_exporters;
	struct barter_route *routes;	/* [importer][exporter] */
	int error;			/* 0, or why there are no routes */

	/* Different reasons, in the order in which they come up. */
	const char **reasons;
	int nr_reasons;
};

/*
 * The route from importer @i to exporter @e; NULL without routes, and for a
 * device with itself.
 */
const struct barter_route *topo_route(const struct topo *topo, int i, int e);
/* Number of its reason, from 1. */
int topo_reason(const struct topo *topo, const struct barter_route *route);
/* "0000:01:00.0" without a domain of zero: "01:00.0". */
const char *short_name(const struct barter_pci *pci);

void topo_text(const struct topo *topo, FILE *to);
void topo_json(const struct topo *topo, FILE *to);
void topo_dot(const struct topo *topo, FILE *to);
void topo_svg(const struct topo *topo, FILE *to);

#endif /* BARTER_TOPO_H */
