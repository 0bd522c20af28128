// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Leases in Prometheus's text format. All lines of a metric stand together, behind its
 * HELP and TYPE; names and units are its conventions'. What is alike for a lease all its
 * life are labels; what changes, and so would begin a new series, is a value.
 */
#include "metrics.h"

#include <barter.h>
#include <inttypes.h>

static void head(FILE *to, const char *name, const char *help)
{
	fprintf(to, "# HELP barter_vend_%s %s\n# TYPE barter_vend_%s gauge\n",
		name, help, name);
}

/* Values of labels are quoted, and three bytes in them escaped. */
static void label(FILE *to, char before, const char *name, const char *value)
{
	fprintf(to, "%c%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", to);
		else if (*value == '"' || *value == '\\')
			fprintf(to, "\\%c", *value);
		else
			fputc(*value, to);
	}
	fputc('"', to);
}

static void sample(FILE *to, const char *name,
		   const struct barter_vend_status *lease, uint64_t value)
{
	fprintf(to, "barter_vend_%s{lease=\"%" PRIu64 "\"", name, lease->lease);
	label(to, ',', "offer", lease->name);
	label(to, ',', "device", lease->device);
	fprintf(to, ",uid=\"%u\"} %" PRIu64 "\n", lease->uid, value);
}

static void write_leases(FILE *to, const struct barter_vend_status *leases,
			 size_t nr)
{
	uint32_t state;
	size_t i, count;

	head(to, "leases", "Leases by state.");
	for (state = BARTER_VEND_LENDING; state <= BARTER_VEND_STUCK; state++) {
		for (i = count = 0; i < nr; i++)
			count += leases[i].state == state;
		fputs("barter_vend_leases", to);
		label(to, '{', "state", barter_vend_state_name(state));
		fprintf(to, "} %zu\n", count);
	}
}

void metrics_write(FILE *to, const struct barter_vend_status *leases, size_t nr)
{
	size_t i;

	write_leases(to, leases, nr);

	head(to, "lease_bytes", "Bytes of a lease.");
	for (i = 0; i < nr; i++)
		sample(to, "lease_bytes", &leases[i], leases[i].length);

	head(to, "lease_held_seconds", "Time since a lease was lent.");
	for (i = 0; i < nr; i++)
		sample(to, "lease_held_seconds", &leases[i], leases[i].held);

	head(to, "lease_left_seconds",
	     "Time until a lease is taken back, if it is limited.");
	for (i = 0; i < nr; i++)
		if (leases[i].flags & BARTER_VEND_LIMITED &&
		    leases[i].state == BARTER_VEND_LENT)
			sample(to, "lease_left_seconds", &leases[i],
			       leases[i].left);

	head(to, "lease_taking_seconds",
	     "Time since a lease is being taken back; an importer may hold that up.");
	for (i = 0; i < nr; i++)
		if (leases[i].state == BARTER_VEND_TAKING ||
		    leases[i].state == BARTER_VEND_STUCK)
			sample(to, "lease_taking_seconds", &leases[i],
			       leases[i].taking);

	head(to, "lease_revoked",
	     "Whether the buffer of a lease is out of use at the moment, such as in a reset.");
	for (i = 0; i < nr; i++)
		sample(to, "lease_revoked", &leases[i],
		       leases[i].buffer_state != BARTER_STATE_OK);

	head(to, "lease_mmaps", "CPU mappings of the buffer of a lease.");
	for (i = 0; i < nr; i++)
		sample(to, "lease_mmaps", &leases[i], leases[i].mmaps);

	head(to, "lease_importers", "Devices attached to the buffer of a lease.");
	for (i = 0; i < nr; i++)
		sample(to, "lease_importers", &leases[i], leases[i].importers);
}
