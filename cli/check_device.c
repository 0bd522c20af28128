// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Checks of barter doctor on one device: group, driver, node, routes.
 */
#include "binding.h"
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_lendable(struct doctor *doctor, const struct barter_pci *pci)
{
	struct finding *finding = finding_add(doctor, LEVEL_MISSING,
					      barter_pci_name(pci));
	const char *driver = barter_pci_driver(pci);
	char why[256];
	int lendable;

	lendable = barter_pci_lendable(doctor->topology, pci, why,
				       sizeof(why));
	FINDING_SAY(finding, what, "cannot be lent: %s", why);
	switch (lendable) {
	case BARTER_LEND_NOW:
		finding->level = LEVEL_OK;
		FINDING_SAY(finding, what, "bound to " BARTER_DRIVER);
		break;
	case BARTER_LEND_BIND:
		FINDING_SAY(finding, what, "bound to %s, not to "
			    BARTER_DRIVER, driver ? driver : "no driver");
		FINDING_SAY(finding, why, "only that driver lends");
		FINDING_SAY(finding, remedy, "barter bind %s",
			    barter_pci_name(pci));
		if (bind_is_harmless(doctor->topology, pci)) {
			finding->fix = FIX_BIND;
			FINDING_SAY(finding, object, "%s", barter_pci_name(pci));
		}
		break;
	case BARTER_LEND_SHARED:
		FINDING_SAY(finding, why, "a group goes to VFIO as a whole: its devices can reach each other past the IOMMU");
		FINDING_SAY(finding, remedy, "bind the whole group in one call (barter bind %s ...), or move the card to a slot with a group of its own",
			    barter_pci_name(pci));
		break;
	case BARTER_LEND_NO_IOMMU:
		FINDING_SAY(finding, why, "VFIO hands out a device only with an IOMMU that confines its DMA");
		FINDING_SAY(finding, remedy, "see IOMMU above");
		break;
	default:
		FINDING_SAY(finding, why, "lending is by whole pages of a memory BAR");
		FINDING_SAY(finding, remedy, "choose another: barter list");
		break;
	}
}

/* Everybody else in the group, as one line. */
static void check_group(struct doctor *doctor, const struct barter_pci *pci)
{
	const struct barter_pci *other = NULL;
	struct finding *finding;
	char list[300] = "";
	size_t used = 0;

	if (barter_pci_group(pci) < 0)
		return;
	while ((other = barter_topology_next(doctor->topology, other))) {
		const char *driver = barter_pci_driver(other);

		if (other == pci || used >= sizeof(list) ||
		    barter_pci_group(other) != barter_pci_group(pci))
			continue;
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s%s (%s)", used ? ", " : "",
					 barter_pci_name(other),
					 driver ? driver : "no driver");
	}
	finding = finding_add(doctor, LEVEL_OK, barter_pci_name(pci));
	if (!used) {
		FINDING_SAY(finding, what, "alone in IOMMU group %d",
			    barter_pci_group(pci));
		return;
	}
	finding->level = LEVEL_NOTE;
	FINDING_SAY(finding, what, "shares IOMMU group %d with %s",
		    barter_pci_group(pci), list);
	FINDING_SAY(finding, why, "one program has them all, and DMA among them is not checked by the IOMMU");
}

static void check_node(struct doctor *doctor, const struct barter_pci *pci)
{
	const char *node = barter_pci_vfio_node(pci);
	const char *root = getenv("BARTER_DEV");
	struct finding *finding;
	char path[300];

	if (!node)
		return;
	snprintf(path, sizeof(path), "%.200s/%s",
		 root && *root ? root : "/dev", node);
	finding = finding_add(doctor, LEVEL_OK, barter_pci_name(pci));
	FINDING_SAY(finding, what, "/dev/%s may be opened", node);
	if (!access(path, R_OK | W_OK))
		return;
	finding->level = LEVEL_MISSING;
	FINDING_SAY(finding, what, "/dev/%s may not be opened by this user",
		    node);
	FINDING_SAY(finding, why, "who has it has the device");
	FINDING_SAY(finding, remedy, "chown %d /dev/%s", (int)getuid(), node);
}

void check_device(struct doctor *doctor, const struct barter_pci *pci)
{
	check_lendable(doctor, pci);
	check_group(doctor, pci);
	check_node(doctor, pci);
}

/* The function by which the kernel knows a host bridge: the root bus's first. */
static const struct barter_pci *bridge_of(const struct doctor *doctor,
					  const struct barter_pci *pci)
{
	const struct barter_pci *other = NULL;

	while ((other = barter_topology_next(doctor->topology, other)))
		if (!barter_pci_parent(other) &&
		    !strcmp(barter_pci_root(other), barter_pci_root(pci)))
			return other;
	return NULL;
}

static void bridge_remedy(const struct doctor *doctor, struct finding *finding,
			  const struct barter_pci *exporter,
			  const struct barter_pci *importer)
{
	const struct barter_pci *a = bridge_of(doctor, exporter);
	const struct barter_pci *b = bridge_of(doctor, importer);
	char ids[24] = "vvvv:dddd";

	if (a && b && a != b)
		snprintf(ids, sizeof(ids), "%04x:%04x,%04x:%04x",
			 barter_pci_vendor(a), barter_pci_device(a),
			 barter_pci_vendor(b), barter_pci_device(b));
	else if (a)
		snprintf(ids, sizeof(ids), "%04x:%04x", barter_pci_vendor(a),
			 barter_pci_device(a));
	FINDING_SAY(finding, remedy, "if its maker says that it passes peer-to-peer DMA: echo %s > /sys/module/barter/parameters/allow_host_bridges (for good: \"options barter allow_host_bridges=%s\" in /etc/modprobe.d/barter.conf); else put both cards below one PCIe switch",
		    ids, ids);
}

/* The same remedy for a second device is only pointed at. */
static void say_once(const struct doctor *doctor, struct finding *finding)
{
	const struct finding *earlier;

	for (earlier = doctor->findings; earlier < finding; earlier++) {
		if (strcmp(earlier->remedy, finding->remedy))
			continue;
		finding->why[0] = '\0';
		FINDING_SAY(finding, remedy, "as for %s above",
			    earlier->subject);
		return;
	}
}

static void route_remedy(const struct doctor *doctor, struct finding *finding,
			 uint32_t why, const struct barter_pci *exporter,
			 const struct barter_pci *importer)
{
	switch (why) {
	case BARTER_WHY_BRIDGE_UNKNOWN:
	case BARTER_WHY_BRIDGES_DIFFER:
		FINDING_SAY(finding, why, "a host bridge that drops peer-to-peer DMA loses data without a word, so only known ones are used");
		bridge_remedy(doctor, finding, exporter, importer);
		break;
	case BARTER_WHY_DMA_MASK:
		FINDING_SAY(finding, why, "the importer cannot form addresses that high");
		FINDING_SAY(finding, remedy, "let the IOMMU translate (no iommu=pt on the kernel command line), or choose another importer");
		break;
	case BARTER_WHY_KERNEL_REFUSED:
		FINDING_SAY(finding, why, "the stricter of two answers holds");
		FINDING_SAY(finding, remedy, "no parameter of barter overrules the kernel: put both devices below one PCIe switch, or choose another importer");
		break;
	default:
		FINDING_SAY(finding, remedy, "choose another importer: barter topo");
		break;
	}
}

/* One finding for each kind of refusal, naming all importers it befalls. */
struct refusal {
	uint32_t why;
	int index;		/* of its finding */
	int count;		/* importers after the first */
};

#define REFUSALS 16

static void add_refusal(struct doctor *doctor, struct refusal *refusals,
			int *nr, const struct barter_pci *exporter,
			const struct barter_pci *importer,
			const struct barter_route *route)
{
	struct finding *finding;
	int i;

	for (i = 0; i < *nr; i++) {
		if (refusals[i].why == route->out_reason) {
			refusals[i].count++;
			return;
		}
	}
	if (*nr == REFUSALS)
		return;
	finding = finding_add(doctor, LEVEL_WARN, barter_pci_name(exporter));
	FINDING_SAY(finding, what, "no route for DMA from %s: %.*s",
		    barter_pci_name(importer), BARTER_TEXT_LENGTH,
		    route->out_text);
	route_remedy(doctor, finding, route->out_reason, exporter, importer);
	say_once(doctor, finding);
	refusals[(*nr)++] = (struct refusal) {
		.why = route->out_reason,
		.index = doctor->count - 1,
	};
}

static void routes_not_checked(struct doctor *doctor,
			       const struct barter_pci *exporter, int error)
{
	struct finding *finding = finding_add(doctor, LEVEL_NOTE,
					      barter_pci_name(exporter));

	FINDING_SAY(finding, what, "routes were not checked: %s",
		    error == -ENOENT ? "barter.ko is not loaded" :
		    error == -EPERM ? "naming devices needs root" :
		    strerror(-error));
	FINDING_SAY(finding, remedy, "%s", error == -EPERM ?
		    "sudo barter doctor" : "see /dev/barter above");
}

void check_routes(struct doctor *doctor, const struct barter_pci *exporter)
{
	struct barter_bdf target = barter_pci_bdf(exporter);
	const struct barter_pci *importer = NULL;
	struct refusal refusals[REFUSALS];
	int reached = 0, asked = 0, nr = 0, i, ret;

	if (barter_pci_is_bridge(exporter))
		return;
	if (doctor->control < 0) {
		routes_not_checked(doctor, exporter, doctor->control);
		return;
	}
	while ((importer = barter_topology_next(doctor->topology, importer))) {
		struct barter_bdf source = barter_pci_bdf(importer);
		struct barter_route route;

		if (importer == exporter || !barter_pci_can_import(importer))
			continue;
		ret = barter_route_between(doctor->control, &source, &target,
					   &route);
		if (ret == -ENODEV)
			continue;
		if (ret) {
			routes_not_checked(doctor, exporter, ret);
			return;
		}
		asked++;
		if (route.out_route == BARTER_ROUTE_NONE)
			add_refusal(doctor, refusals, &nr, exporter, importer,
				    &route);
		else
			reached++;
	}
	/* Without any route the refusals are what is missing. */
	for (i = 0; i < nr; i++) {
		struct finding *finding = &doctor->findings[refusals[i].index];
		size_t used = strlen(finding->what);

		if (!reached)
			finding->level = LEVEL_MISSING;
		if (refusals[i].count)
			snprintf(finding->what + used,
				 sizeof(finding->what) - used,
				 "; %d more device%s likewise",
				 refusals[i].count,
				 refusals[i].count == 1 ? "" : "s");
	}
	if (reached || !asked) {
		struct finding *finding = finding_add(doctor, asked ?
						      LEVEL_OK : LEVEL_NOTE,
						      barter_pci_name(exporter));

		if (asked)
			FINDING_SAY(finding, what, "DMA of %d of %d devices reaches its memory; see: barter topo",
				    reached, asked);
		else
			FINDING_SAY(finding, what, "no other device here could do DMA to it");
	}
}
