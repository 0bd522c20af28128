// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * route.c: a table of topologies with the answer for each, and random
 * topologies held against a second opinion and against laws that every answer
 * must obey.
 */
#include "route.h"

#include "tap.h"

#include <stdlib.h>

#define RR BARTER_ROUTE_ACS_REQUEST
#define CR BARTER_ROUTE_ACS_COMPLETION
#define EC BARTER_ROUTE_ACS_EGRESS
#define ACS_SV 0x01			/* source validation: no redirect */
#define ACS_UF 0x10			/* upstream forwarding: no redirect */

#define PORT(bus, slot, function, acs) \
	{ 0, bus, (slot) << 3 | (function), acs }
#define PATH(...) { \
	sizeof((struct barter_route_port[]){ __VA_ARGS__ }) / \
	sizeof(struct barter_route_port), { __VA_ARGS__ } }
#define Q35 { { 0x8086, 0x29c0 }, true, false }
#define Q35_ADMIN { { 0x8086, 0x29c0 }, true, true }
#define HASWELL { { 0x8086, 0x2f00 }, true, false }
#define HASWELL_ADMIN { { 0x8086, 0x2f00 }, true, true }
#define ICELAKE { { 0x8086, 0x09a2 }, true, false }
#define GOOGLE { { 0x1ae0, 0x1234 }, true, false }
#define NO_ROOT_DEVICE { { 0, 0 }, false, false }

struct topology {
	const char *name;
	struct barter_route_desc desc;
	u32 route, why;
	const char *text;
};

#define SAME_HOST(bridge) \
	.provider_host = bridge, .importer_host = bridge, .same_host = true
#define TWO_HOSTS(to, from) \
	.provider_host = to, .importer_host = from, .same_host = false
#define ROOT_BUS \
	.importer_is_pci = true, \
	.provider = PATH(PORT(0, 4, 0, 0)), .importer = PATH(PORT(0, 5, 0, 0))
#define ROOT_PORTS(acs_a, acs_b) \
	.importer_is_pci = true, \
	.provider = PATH(PORT(1, 0, 0, 0), PORT(0, 2, 0, acs_a)), \
	.importer = PATH(PORT(2, 0, 0, 0), PORT(0, 3, 0, acs_b))
/* x3130: root port, upstream port 1:0.0, downstream ports 2:0.0 and 2:1.0 */
#define SWITCH(root, up, down_a, down_b) \
	.importer_is_pci = true, \
	.provider = PATH(PORT(3, 0, 0, 0), PORT(2, 0, 0, down_a), \
			 PORT(1, 0, 0, up), PORT(0, 2, 0, root)), \
	.importer = PATH(PORT(4, 0, 0, 0), PORT(2, 1, 0, down_b), \
			 PORT(1, 0, 0, up), PORT(0, 2, 0, root))
#define SWITCH_AND_ROOT_PORT \
	.importer_is_pci = true, \
	.provider = PATH(PORT(3, 0, 0, 0), PORT(2, 0, 0, 0), \
			 PORT(1, 0, 0, 0), PORT(0, 2, 0, 0)), \
	.importer = PATH(PORT(5, 0, 0, 0), PORT(0, 3, 0, 0))
#define PCI_BRIDGE \
	.importer_is_pci = true, \
	.provider = PATH(PORT(2, 1, 0, 0), PORT(1, 0, 0, 0), \
			 PORT(0, 2, 0, RR | CR)), \
	.importer = PATH(PORT(2, 2, 0, 0), PORT(1, 0, 0, 0), \
			 PORT(0, 2, 0, RR | CR))
#define TWO_FUNCTIONS(root, function_a, function_b) \
	.importer_is_pci = true, \
	.provider = PATH(PORT(1, 0, 0, function_a), PORT(0, 2, 0, root)), \
	.importer = PATH(PORT(1, 0, 1, function_b), PORT(0, 2, 0, root))

#define BUS(at) BARTER_ROUTE_BUS, BARTER_WHY_COMMON_BRIDGE, \
	"common bridge " at ", no ACS redirect on the way"
#define BY_CPU(tail) BARTER_ROUTE_HOST, BARTER_WHY_CPU_ALLOWED, \
	"host bridges of this CPU (AMD Zen or later) pass peer-to-peer DMA" tail
#define LISTED(id, tail) BARTER_ROUTE_HOST, BARTER_WHY_BRIDGE_ALLOWED, \
	"host bridge " id " is on the allowlist" tail
#define ADMIN(id, tail) BARTER_ROUTE_HOST, BARTER_WHY_ADMIN_ALLOWED, \
	"host bridge " id \
	" is allowed by module parameter barter.allow_host_bridges" tail
#define UNKNOWN(id, ask, tail) BARTER_ROUTE_NONE, BARTER_WHY_BRIDGE_UNKNOWN, \
	"host bridge " id " is not on the allowlist (module parameter " \
	"barter.allow_host_bridges=" ask " allows it)" tail
#define DIFFER(id, ask) BARTER_ROUTE_NONE, BARTER_WHY_BRIDGES_DIFFER, \
	"two host bridges, and " id " is known to work within one only " \
	"(module parameter barter.allow_host_bridges=" ask " allows it)"
#define NO_HOST(tail) BARTER_ROUTE_NONE, BARTER_WHY_NO_HOST_BRIDGE, \
	"no function on the root bus identifies the host bridge" tail
#define REFUSED(from, to) BARTER_ROUTE_NONE, BARTER_WHY_KERNEL_REFUSED, \
	"the kernel's own check, pci_p2pdma_distance(), refuses DMA from " \
	from " to " to
#define REDIRECT(at) "; ACS redirects at " at

static const struct topology topologies[] = {
	/* root bus */
	{ "root bus, unknown bridge", { ROOT_BUS, SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
	{ "root bus, AMD", { ROOT_BUS, SAME_HOST(Q35), .cpu_allowed = true },
	  BY_CPU("") },
	{ "root bus, admin", { ROOT_BUS, SAME_HOST(Q35_ADMIN) },
	  ADMIN("8086:29c0", "") },
	{ "root bus, allowlist", { ROOT_BUS, SAME_HOST(ICELAKE) },
	  LISTED("8086:09a2", "") },
	{ "root bus, one-bridge entry", { ROOT_BUS, SAME_HOST(HASWELL) },
	  LISTED("8086:2f00", "") },
	{ "root bus, vendor-wide entry", { ROOT_BUS, SAME_HOST(GOOGLE) },
	  LISTED("1ae0:1234", "") },
	{ "root bus, nothing identifies the bridge",
	  { ROOT_BUS, SAME_HOST(NO_ROOT_DEVICE) }, NO_HOST("") },
	{ "root bus, nothing identifies the bridge, AMD",
	  { ROOT_BUS, SAME_HOST(NO_ROOT_DEVICE), .cpu_allowed = true },
	  BY_CPU("") },

	/* two root ports */
	{ "root ports, unknown bridge",
	  { ROOT_PORTS(0, 0), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
	{ "root ports, AMD",
	  { ROOT_PORTS(0, 0), SAME_HOST(Q35), .cpu_allowed = true },
	  BY_CPU("") },
	{ "root ports, redirecting: no common bridge to close",
	  { ROOT_PORTS(RR | CR, RR | CR), SAME_HOST(ICELAKE) },
	  LISTED("8086:09a2", "") },

	/* a switch */
	{ "switch", { SWITCH(0, 0, 0, 0), SAME_HOST(Q35) }, BUS("0000:01:00.0") },
	{ "switch, AMD",
	  { SWITCH(0, 0, 0, 0), SAME_HOST(Q35), .cpu_allowed = true },
	  BUS("0000:01:00.0") },
	{ "switch, redirect above the common bridge",
	  { SWITCH(RR | CR | EC, 0, 0, 0), SAME_HOST(Q35) },
	  BUS("0000:01:00.0") },
	{ "switch, ACS bits that do not redirect",
	  { SWITCH(0, 0, ACS_SV | ACS_UF, ACS_SV | ACS_UF), SAME_HOST(Q35) },
	  BUS("0000:01:00.0") },
	{ "switch, request redirect at the provider's port",
	  { SWITCH(0, 0, RR, 0), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:02:00.0")) },
	{ "switch, completion redirect at the provider's port",
	  { SWITCH(0, 0, CR, 0), SAME_HOST(Q35_ADMIN) },
	  ADMIN("8086:29c0", REDIRECT("0000:02:00.0")) },
	{ "switch, egress control at the provider's port",
	  { SWITCH(0, 0, EC, 0), SAME_HOST(ICELAKE) },
	  LISTED("8086:09a2", REDIRECT("0000:02:00.0")) },
	{ "switch, request redirect at the importer's port",
	  { SWITCH(0, 0, 0, RR), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:02:01.0")) },
	{ "switch, completion redirect at the importer's port",
	  { SWITCH(0, 0, 0, CR), SAME_HOST(Q35), .cpu_allowed = true },
	  BY_CPU(REDIRECT("0000:02:01.0")) },
	{ "switch, egress control at the importer's port",
	  { SWITCH(0, 0, 0, EC), SAME_HOST(HASWELL) },
	  LISTED("8086:2f00", REDIRECT("0000:02:01.0")) },
	{ "switch, redirect at the common bridge",
	  { SWITCH(0, RR, 0, 0), SAME_HOST(NO_ROOT_DEVICE) },
	  NO_HOST(REDIRECT("0000:01:00.0")) },
	{ "switch and another root port",
	  { SWITCH_AND_ROOT_PORT, SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
	{ "switch and another root port, AMD",
	  { SWITCH_AND_ROOT_PORT, SAME_HOST(Q35), .cpu_allowed = true },
	  BY_CPU("") },
	{ "a device and the switch port above it",
	  { .importer_is_pci = true, SAME_HOST(Q35),
	    .provider = PATH(PORT(1, 0, 0, 0), PORT(0, 2, 0, 0)),
	    .importer = PATH(PORT(0, 2, 0, 0)) }, BUS("0000:00:02.0") },

	/* conventional PCI */
	{ "behind a PCIe-PCI bridge", { PCI_BRIDGE, SAME_HOST(Q35) },
	  BUS("0000:01:00.0") },

	/* one device */
	{ "two functions", { TWO_FUNCTIONS(0, 0, 0), SAME_HOST(Q35) },
	  BUS("0000:00:02.0") },
	{ "two functions, redirect at the root port",
	  { TWO_FUNCTIONS(RR | CR, 0, 0), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:00:02.0")) },
	{ "two functions, redirect at the root port, AMD",
	  { TWO_FUNCTIONS(RR | CR, 0, 0), SAME_HOST(Q35), .cpu_allowed = true },
	  BY_CPU(REDIRECT("0000:00:02.0")) },
	{ "two functions, the provider redirects",
	  { TWO_FUNCTIONS(0, RR, 0), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:01:00.0")) },
	{ "two functions, the importer redirects",
	  { TWO_FUNCTIONS(0, 0, RR), SAME_HOST(Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:01:00.1")) },
	{ "a device and itself",
	  { .importer_is_pci = true, SAME_HOST(Q35),
	    .provider = PATH(PORT(1, 0, 0, 0), PORT(0, 2, 0, RR)),
	    .importer = PATH(PORT(1, 0, 0, 0), PORT(0, 2, 0, RR)) },
	  BARTER_ROUTE_BUS, BARTER_WHY_COMMON_BRIDGE,
	  "one and the same device, 0000:01:00.0, without ACS redirect" },
	{ "a device that redirects, and itself",
	  { .importer_is_pci = true, SAME_HOST(Q35),
	    .provider = PATH(PORT(1, 0, 0, RR), PORT(0, 2, 0, 0)),
	    .importer = PATH(PORT(1, 0, 0, RR), PORT(0, 2, 0, 0)) },
	  UNKNOWN("8086:29c0", "8086:29c0", REDIRECT("0000:01:00.0")) },

	/* the same numbers in two domains are two devices */
	{ "domains",
	  { .importer_is_pci = true, TWO_HOSTS(Q35, Q35),
	    .provider = { 2, { { 0, 1, 0, 0 }, { 0, 0, 16, 0 } } },
	    .importer = { 2, { { 1, 1, 8, 0 }, { 1, 0, 16, 0 } } } },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },

	/* two host bridges */
	{ "two bridges, AMD",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(Q35, Q35), .cpu_allowed = true },
	  BY_CPU("") },
	{ "two bridges, both listed",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(ICELAKE, GOOGLE) },
	  LISTED("8086:09a2", "") },
	{ "two bridges, the provider's works alone only",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(HASWELL, ICELAKE) },
	  DIFFER("8086:2f00", "8086:2f00") },
	{ "two bridges, the importer's works alone only",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(ICELAKE, HASWELL) },
	  DIFFER("8086:2f00", "8086:2f00") },
	{ "two bridges of a kind that works alone only",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(HASWELL, HASWELL) },
	  DIFFER("8086:2f00", "8086:2f00") },
	{ "two bridges, the provider's unknown",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(Q35, ICELAKE) },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
	{ "two bridges, the importer's unknown",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(ICELAKE, Q35) },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
	{ "two bridges, one unknown, one works alone only",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(HASWELL, Q35) },
	  UNKNOWN("8086:29c0", "8086:2f00,8086:29c0", "") },
	{ "two bridges, both allowed by the administrator",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(Q35_ADMIN, HASWELL_ADMIN) },
	  ADMIN("8086:29c0", "") },
	{ "two bridges, one listed, one by the administrator",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(ICELAKE, Q35_ADMIN) },
	  ADMIN("8086:29c0", "") },
	{ "two bridges, the administrator allows one",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(Q35_ADMIN, HASWELL) },
	  DIFFER("8086:2f00", "8086:2f00") },
	{ "two bridges, nothing identifies the importer's",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(ICELAKE, NO_ROOT_DEVICE) },
	  NO_HOST("") },
	{ "two bridges, nothing identifies the provider's",
	  { ROOT_PORTS(0, 0), TWO_HOSTS(NO_ROOT_DEVICE, Q35) }, NO_HOST("") },

	/* no PCI device */
	{ "not PCI", { .provider = PATH(PORT(0, 4, 0, 0)), SAME_HOST(ICELAKE) },
	  BARTER_ROUTE_NONE, BARTER_WHY_NOT_PCI,
	  "the importer is not a PCI device" },
	{ "not PCI, AMD",
	  { .provider = PATH(PORT(0, 4, 0, 0)), .cpu_allowed = true },
	  BARTER_ROUTE_NONE, BARTER_WHY_NOT_PCI,
	  "the importer is not a PCI device" },

	/* the kernel's own opinion */
	{ "switch, refused by the kernel",
	  { SWITCH(0, 0, 0, 0), SAME_HOST(Q35), .kernel_refuses = true },
	  REFUSED("0000:04:00.0", "0000:03:00.0") },
	{ "allowlist, refused by the kernel",
	  { ROOT_BUS, SAME_HOST(ICELAKE), .kernel_refuses = true },
	  REFUSED("0000:00:05.0", "0000:00:04.0") },
	{ "administrator, refused by the kernel",
	  { ROOT_BUS, SAME_HOST(Q35_ADMIN), .kernel_refuses = true },
	  REFUSED("0000:00:05.0", "0000:00:04.0") },
	{ "unknown bridge, refused by the kernel too",
	  { ROOT_BUS, SAME_HOST(Q35), .kernel_refuses = true },
	  UNKNOWN("8086:29c0", "8086:29c0", "") },
};

static void each_topology_has_its_route_and_reason(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(topologies); i++) {
		const struct topology *t = &topologies[i];
		struct barter_route_desc desc = t->desc;
		struct barter_route_answer answer;

		desc.bus_offset = -0x1000;
		memset(&answer, 0xff, sizeof(answer));
		barter_route_decide(&desc, &answer);
		CHECK(answer.route == t->route, "%s: %u, not %u", t->name,
		      answer.route, t->route);
		CHECK(answer.why == t->why, "%s: %u, not %u", t->name,
		      answer.why, t->why);
		CHECK(!strcmp(answer.text, t->text), "%s: \"%s\", not \"%s\"",
		      t->name, answer.text, t->text);
		CHECK(answer.bus_offset ==
		      (t->route == BARTER_ROUTE_BUS ? -0x1000 : 0),
		      "%s: offset %lld", t->name, (long long)answer.bus_offset);
	}
}

static void the_built_in_allowlist_is_complete(void)
{
	static const struct {
		u16 vendor, device;
		bool alone, pair;
	} rows[] = {
		{ 0x8086, 0x3c00, true, false }, { 0x8086, 0x3c01, true, false },
		{ 0x8086, 0x2f00, true, false }, { 0x8086, 0x2f01, true, false },
		{ 0x8086, 0x2030, true, true }, { 0x8086, 0x2031, true, true },
		{ 0x8086, 0x2032, true, true }, { 0x8086, 0x2033, true, true },
		{ 0x8086, 0x2020, true, true }, { 0x8086, 0x09a2, true, true },
		{ 0x8086, 0x0b25, true, true }, { 0x8086, 0x0cfe, true, true },
		{ 0x8086, 0x11fb, true, true }, { 0x8086, 0x1212, true, true },
		{ 0x8086, 0x1216, true, true }, { 0x8086, 0x4940, true, true },
		{ 0x8086, 0x4942, true, true }, { 0x8086, 0x4944, true, true },
		{ 0x8086, 0x4946, true, true }, { 0x8086, 0x4948, true, true },
		{ 0x1ae0, 0x0000, true, true }, { 0x1ae0, 0xabcd, true, true },
		{ 0x10de, 0x2f95, true, true }, { 0x10de, 0x2f96, true, true },
		{ 0x10de, 0x2f97, true, true }, { 0x10de, 0x2f98, true, true },
		/* neighbours and strangers */
		{ 0x8086, 0x29c0, false, false }, { 0x8086, 0x2f02, false, false },
		{ 0x8086, 0x2034, false, false }, { 0x8086, 0xffff, false, false },
		{ 0x10de, 0x2f94, false, false }, { 0x10de, 0x2f99, false, false },
		{ 0x10de, 0x09a2, false, false }, { 0x1022, 0x1480, false, false },
		{ 0x1ae1, 0x0000, false, false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct barter_route_host host = {
			{ rows[i].vendor, rows[i].device }, true, false
		};
		struct barter_route_desc desc = {
			ROOT_BUS, .provider_host = host, .importer_host = host,
		};
		struct barter_route_answer answer;

		desc.same_host = true;
		barter_route_decide(&desc, &answer);
		CHECK((answer.route == BARTER_ROUTE_HOST) == rows[i].alone,
		      "%04x:%04x alone: %s", host.id.vendor, host.id.device,
		      answer.text);
		desc.same_host = false;
		barter_route_decide(&desc, &answer);
		CHECK((answer.route == BARTER_ROUTE_HOST) == rows[i].pair,
		      "%04x:%04x as a pair: %s", host.id.vendor,
		      host.id.device, answer.text);
	}
}

static void the_longest_texts_fit(void)
{
	struct barter_route_desc desc = { .importer_is_pci = true };
	struct barter_route_answer answer;
	unsigned int round;
	u32 i;

	/* All names as long as they get, with and without a common bridge. */
	desc.provider.nr = desc.importer.nr = 2;
	for (i = 0; i < 2; i++) {
		struct barter_route_port port = { ~0U, 0xff, 0xff - i, 0 };

		desc.provider.ports[i] = desc.importer.ports[i] = port;
	}
	desc.importer.ports[0].devfn = 0xf0;
	desc.provider_host.id.vendor = desc.importer_host.id.vendor = 0xffff;
	desc.provider_host.id.device = 0xfffe;
	desc.importer_host.id.device = 0xfffd;

	for (round = 0; round < 128; round++) {
		desc.importer.ports[1].devfn = round & 1 ? 0xfe : 0xfd;
		desc.provider.ports[1].acs = round & 2 ? RR : 0;
		desc.same_host = round & 4;
		desc.cpu_allowed = round & 8;
		desc.kernel_refuses = round & 16;
		desc.provider_host.identified = round & 32;
		desc.importer_host.identified = true;
		desc.provider_host.admin_allowed = round & 64;
		barter_route_decide(&desc, &answer);
		CHECK(strlen(answer.text) > 0 &&
		      strlen(answer.text) < sizeof(answer.text) - 1,
		      "%s", answer.text);
	}
}

static void the_longest_paths_are_judged_whole(void)
{
	struct barter_route_desc desc = {
		.importer_is_pci = true, SAME_HOST(Q35)
	};
	struct barter_route_answer answer;
	u32 i;

	desc.provider.nr = desc.importer.nr = BARTER_ROUTE_DEPTH;
	for (i = 0; i < BARTER_ROUTE_DEPTH; i++) {
		desc.provider.ports[i].bus = 2 * i + 1;
		desc.importer.ports[i].bus = 2 * i + 2;
	}
	barter_route_decide(&desc, &answer);
	CHECK(answer.why == BARTER_WHY_BRIDGE_UNKNOWN, "%s", answer.text);

	desc.provider.ports[BARTER_ROUTE_DEPTH - 1].bus = 200;
	desc.importer.ports[BARTER_ROUTE_DEPTH - 1].bus = 200;
	barter_route_decide(&desc, &answer);
	CHECK(answer.why == BARTER_WHY_COMMON_BRIDGE, "%s", answer.text);

	desc.importer.ports[BARTER_ROUTE_DEPTH - 2].acs = EC;
	barter_route_decide(&desc, &answer);
	CHECK(answer.why == BARTER_WHY_BRIDGE_UNKNOWN, "%s", answer.text);
}

/*
 * A random machine: up to two host bridges, ports hung below earlier ports. A
 * node's bus number is unique to its parent, its slot to itself.
 */
#define NODES 14

struct machine {
	struct {
		int parent;		/* -1: on a root bus */
		u32 host;
		u16 acs;
	} node[NODES];
	struct barter_route_host host[2];
	bool cpu_allowed, kernel_refuses;
};

static u16 random_acs(void)
{
	static const u16 some[] = {
		0, 0, 0, 0, 0, ACS_SV, ACS_UF | ACS_SV, RR, CR, EC, RR | CR | EC
	};

	return some[random_below(ARRAY_SIZE(some))];
}

static void random_machine(struct machine *m)
{
	static const struct barter_route_host some[] = {
		Q35, Q35_ADMIN, HASWELL, HASWELL_ADMIN, ICELAKE, GOOGLE,
		NO_ROOT_DEVICE
	};
	int i;

	for (i = 0; i < NODES; i++) {
		m->node[i].parent = random_below(4) ?
				    (int)random_below(i + 1) - 1 : -1;
		m->node[i].host = m->node[i].parent < 0 ? random_below(2) :
				  m->node[m->node[i].parent].host;
		m->node[i].acs = random_acs();
	}
	for (i = 0; i < 2; i++)
		m->host[i] = some[random_below(ARRAY_SIZE(some))];
	m->cpu_allowed = !random_below(4);
	m->kernel_refuses = !random_below(8);
}

static void describe_path(const struct machine *m, int node,
			  struct barter_route_path *path)
{
	path->nr = 0;
	while (node >= 0) {
		struct barter_route_port *port = &path->ports[path->nr++];

		port->domain = m->node[node].host;
		port->bus = m->node[node].parent + 1;
		port->devfn = node;
		port->acs = m->node[node].acs;
		node = m->node[node].parent;
	}
}

static void describe(const struct machine *m, int provider, int importer,
		     struct barter_route_desc *desc)
{
	memset(desc, 0, sizeof(*desc));
	describe_path(m, provider, &desc->provider);
	describe_path(m, importer, &desc->importer);
	desc->provider_host = m->host[m->node[provider].host];
	desc->importer_host = m->host[m->node[importer].host];
	desc->same_host = m->node[provider].host == m->node[importer].host;
	desc->importer_is_pci = true;
	desc->cpu_allowed = m->cpu_allowed;
	desc->kernel_refuses = m->kernel_refuses;
	desc->bus_offset = 0x5000;
}

/* The ancestors of a node, itself included, as a set of bits. */
static u32 ancestors(const struct machine *m, int node)
{
	u32 set = 0;

	for (; node >= 0; node = m->node[node].parent)
		set |= 1U << node;
	return set;
}

/* The second opinion, on sets of nodes rather than on paths. */
static u32 opinion(const struct machine *m, int provider, int importer,
		   u32 *why)
{
	u32 both = ancestors(m, provider) & ancestors(m, importer);
	u32 either = ancestors(m, provider) | ancestors(m, importer);
	const struct barter_route_host *hosts[2];
	bool same = m->node[provider].host == m->node[importer].host;
	bool unlisted = false, single = false, admin = false;
	int i;

	*why = BARTER_WHY_COMMON_BRIDGE;
	if (both) {
		/* A child has a higher number than its parent. */
		int lowest = 31 - __builtin_clz(both);
		u32 way = (either & ~both) | 1U << lowest;
		bool open = true;

		for (i = 0; i < NODES; i++)
			if (way & 1U << i &&
			    m->node[i].acs & (0x04 | 0x08 | 0x20))
				open = false;
		if (open)
			return BARTER_ROUTE_BUS;
	}

	*why = BARTER_WHY_CPU_ALLOWED;
	if (m->cpu_allowed)
		return BARTER_ROUTE_HOST;

	hosts[0] = &m->host[m->node[provider].host];
	hosts[1] = &m->host[m->node[importer].host];
	*why = BARTER_WHY_NO_HOST_BRIDGE;
	if (!hosts[0]->identified || !hosts[1]->identified)
		return BARTER_ROUTE_NONE;
	for (i = 0; i < 2; i++) {
		admin |= hosts[i]->admin_allowed;
		if (hosts[i]->admin_allowed)
			continue;
		unlisted |= hosts[i]->id.device == 0x29c0;
		single |= hosts[i]->id.device == 0x2f00;
	}
	*why = unlisted ? BARTER_WHY_BRIDGE_UNKNOWN :
	       single && !same ? BARTER_WHY_BRIDGES_DIFFER :
	       admin ? BARTER_WHY_ADMIN_ALLOWED : BARTER_WHY_BRIDGE_ALLOWED;
	return unlisted || (single && !same) ? BARTER_ROUTE_NONE :
					       BARTER_ROUTE_HOST;
}

#define ROUNDS 100000

static void random_topologies_agree_with_a_second_opinion(void)
{
	unsigned int seen[16] = { 0 };
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer answer;
		struct barter_route_desc desc;
		struct machine m;
		u32 route, why;

		random_machine(&m);
		describe(&m, a, b, &desc);
		route = opinion(&m, a, b, &why);
		if (m.kernel_refuses && route != BARTER_ROUTE_NONE) {
			route = BARTER_ROUTE_NONE;
			why = BARTER_WHY_KERNEL_REFUSED;
		}
		barter_route_decide(&desc, &answer);
		CHECK(answer.route == route && answer.why == why,
		      "round %u: route %u for %u, %s", round, answer.route,
		      route, answer.text);
		CHECK(answer.bus_offset ==
		      (route == BARTER_ROUTE_BUS ? 0x5000 : 0), "offset");
		seen[why]++;
	}
	/* Each reason that a decision can have must have come up. */
	for (i = BARTER_WHY_COMMON_BRIDGE; i <= BARTER_WHY_NO_HOST_BRIDGE; i++)
		CHECK(seen[i] || i == BARTER_WHY_NOT_PCI ||
		      i == BARTER_WHY_DMA_MASK, "reason %u never came up", i);
}

static void exchanged_parts_get_the_same_answer(void)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer there, back;
		struct barter_route_desc desc;
		struct machine m;

		random_machine(&m);
		describe(&m, a, b, &desc);
		barter_route_decide(&desc, &there);
		describe(&m, b, a, &desc);
		barter_route_decide(&desc, &back);
		CHECK(there.route == back.route && there.why == back.why,
		      "round %u: %s; but back: %s", round, there.text,
		      back.text);
	}
}

/* How much a route permits. */
static int worth(const struct barter_route_answer *answer)
{
	return answer->route == BARTER_ROUTE_BUS ? 2 :
	       answer->route == BARTER_ROUTE_HOST ? 1 : 0;
}

static void one_more_acs_redirect_never_permits_more(void)
{
	static const u16 redirects[] = { RR, CR, EC };
	unsigned int round, closed = 0;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer before, after;
		struct barter_route_desc desc;
		struct machine m;

		random_machine(&m);
		describe(&m, a, b, &desc);
		barter_route_decide(&desc, &before);
		m.node[random_below(NODES)].acs |= redirects[random_below(3)];
		describe(&m, a, b, &desc);
		barter_route_decide(&desc, &after);
		CHECK(worth(&after) <= worth(&before),
		      "round %u: %s; then: %s", round, before.text, after.text);
		closed += worth(&after) < worth(&before);
	}
	CHECK(closed > ROUNDS / 1000, "only %u were closed", closed);
}

static void a_refusing_kernel_only_takes_away(void)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer alone, refused;
		struct barter_route_desc desc;
		struct machine m;

		random_machine(&m);
		describe(&m, a, b, &desc);
		desc.kernel_refuses = false;
		barter_route_decide(&desc, &alone);
		desc.kernel_refuses = true;
		barter_route_decide(&desc, &refused);
		CHECK(refused.route == BARTER_ROUTE_NONE, "round %u: %s",
		      round, refused.text);
		CHECK(alone.route != BARTER_ROUTE_NONE ||
		      !strcmp(alone.text, refused.text),
		      "round %u: our own reason is lost", round);
	}
}

static void an_administrator_only_adds(void)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer before, after;
		struct barter_route_desc desc;
		struct machine m;

		random_machine(&m);
		describe(&m, a, b, &desc);
		barter_route_decide(&desc, &before);
		desc.provider_host.admin_allowed = true;
		if (desc.same_host || random_below(2))
			desc.importer_host.admin_allowed = true;
		barter_route_decide(&desc, &after);
		CHECK(worth(&after) >= worth(&before),
		      "round %u: %s; then: %s", round, before.text, after.text);
	}
}

static void host_bridges_matter_only_when_said_so(void)
{
	static const struct barter_route_host other = ICELAKE;
	unsigned int round, needed = 0;

	for (round = 0; round < ROUNDS; round++) {
		int a = random_below(NODES), b = random_below(NODES);
		struct barter_route_answer with, without;
		struct barter_route_desc desc;
		struct machine m;
		bool expected;
		u32 why;

		random_machine(&m);
		m.kernel_refuses = false;
		describe(&m, a, b, &desc);
		desc.importer_is_pci = random_below(20);
		opinion(&m, a, b, &why);
		expected = desc.importer_is_pci &&
			   why != BARTER_WHY_COMMON_BRIDGE &&
			   why != BARTER_WHY_CPU_ALLOWED;
		CHECK(barter_route_needs_host(&desc) == expected ||
		      (why == BARTER_WHY_COMMON_BRIDGE && m.cpu_allowed),
		      "round %u", round);
		if (barter_route_needs_host(&desc)) {
			needed++;
			continue;
		}
		barter_route_decide(&desc, &with);
		desc.provider_host = desc.importer_host = other;
		desc.same_host = !desc.same_host;
		barter_route_decide(&desc, &without);
		CHECK(!memcmp(&with, &without, sizeof(with)),
		      "round %u: %s; then: %s", round, with.text, without.text);
	}
	CHECK(needed > ROUNDS / 10, "needed only %u times", needed);
}

int main(void)
{
	random_start();
	CASE(each_topology_has_its_route_and_reason);
	CASE(the_built_in_allowlist_is_complete);
	CASE(the_longest_texts_fit);
	CASE(the_longest_paths_are_judged_whole);
	CASE(random_topologies_agree_with_a_second_opinion);
	CASE(exchanged_parts_get_the_same_answer);
	CASE(one_more_acs_redirect_never_permits_more);
	CASE(a_refusing_kernel_only_takes_away);
	CASE(an_administrator_only_adds);
	CASE(host_bridges_matter_only_when_said_so);
	return tap_done();
}
