// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The decision which route two devices have, on a plain description.
 *
 * In this order:
 *  1. An importer that is no PCI device has no route.
 *  2. A bridge above both, and no ACS redirect on the way: by bus address.
 *  3. Through the host bridge, if the CPU is known to pass such DMA, or every
 *     host bridge involved is on the allowlist (route_allow.h) or allowed by
 *     the administrator.
 *  4. None.
 * A kernel that refuses turns any yes into a no, never the reverse.
 *
 * Every answer carries a reason as a number and as a line of text that names
 * what decided it and, where there is one, the way out. This file must stay
 * free of struct device: the unit tests compile it as it is. It never gives a
 * physical or bus address in the text.
 */
#include "route.h"

#ifdef __KERNEL__
#include <linux/array_size.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#endif

#include "route_allow.h"

/* What a host bridge is good for, from worse to better. */
enum host_verdict {
	HOST_UNLISTED,
	HOST_ALONE,		/* on the allowlist, within one bridge only */
	HOST_LISTED,		/* on the allowlist */
	HOST_ADMIN,		/* allowed by the administrator */
};

#define NAME_LENGTH	20	/* "dddddddd:bb:ss.f" */
#define ID_LENGTH	10	/* "vvvv:dddd" */

static void port_name(char name[NAME_LENGTH],
		      const struct barter_route_port *port)
{
	snprintf(name, NAME_LENGTH, "%04x:%02x:%02x.%x", port->domain,
		 port->bus, port->devfn >> 3, port->devfn & 7);
}

static void id_name(char name[ID_LENGTH], struct barter_route_host_id id)
{
	snprintf(name, ID_LENGTH, "%04x:%04x", id.vendor, id.device);
}

static bool same_port(const struct barter_route_port *a,
		      const struct barter_route_port *b)
{
	return a->domain == b->domain && a->bus == b->bus &&
	       a->devfn == b->devfn;
}

static const struct barter_route_port *
first_redirect(const struct barter_route_path *path, u32 end)
{
	u32 i;

	for (i = 0; i < end; i++)
		if (path->ports[i].acs & BARTER_ROUTE_ACS_REDIRECT)
			return &path->ports[i];
	return NULL;
}

/*
 * The lowest port that is on both paths, or NULL. *redirect is the port that
 * closes the way through it, or NULL: a redirect counts on either side and on
 * the common port itself.
 */
static const struct barter_route_port *
common_port(const struct barter_route_desc *desc,
	    const struct barter_route_port **redirect)
{
	const struct barter_route_path *a = &desc->provider;
	const struct barter_route_path *b = &desc->importer;
	u32 i, j;

	*redirect = NULL;
	for (i = 0; i < a->nr; i++) {
		for (j = 0; j < b->nr; j++) {
			if (!same_port(&a->ports[i], &b->ports[j]))
				continue;
			*redirect = first_redirect(a, i + 1);
			if (!*redirect)
				*redirect = first_redirect(b, j);
			return &a->ports[i];
		}
	}
	return NULL;
}

static enum host_verdict judge_host(const struct barter_route_host *host)
{
	u32 i;

	if (host->admin_allowed)
		return HOST_ADMIN;
	for (i = 0; i < ARRAY_SIZE(route_allow); i++) {
		if (route_allow[i].vendor != host->id.vendor)
			continue;
		if (route_allow[i].device != host->id.device &&
		    route_allow[i].device != ALLOW_ANY_DEVICE)
			continue;
		return route_allow[i].one_bridge_only ? HOST_ALONE :
							HOST_LISTED;
	}
	return HOST_UNLISTED;
}

static void set_answer(struct barter_route_answer *answer, u32 route, u32 why)
{
	answer->route = route;
	answer->why = why;
}

/* The host bridge: @closed says in the text why there is no shorter way. */
static void decide_host(const struct barter_route_desc *desc,
			const char *closed, struct barter_route_answer *answer)
{
	const struct barter_route_host *hosts[2] = {
		&desc->provider_host, &desc->importer_host
	};
	enum host_verdict enough = desc->same_host ? HOST_ALONE : HOST_LISTED;
	enum host_verdict worst = HOST_ADMIN, best = HOST_UNLISTED;
	char ask[2 * ID_LENGTH] = "", bad[ID_LENGTH] = "", id[ID_LENGTH];
	u32 i, nr = desc->same_host ? 1 : 2;

	for (i = 0; i < nr; i++) {
		enum host_verdict verdict;

		if (!hosts[i]->identified) {
			set_answer(answer, BARTER_ROUTE_NONE,
				   BARTER_WHY_NO_HOST_BRIDGE);
			snprintf(answer->text, sizeof(answer->text),
				 "no function on the root bus identifies the host bridge%s",
				 closed);
			return;
		}

		verdict = judge_host(hosts[i]);
		id_name(id, hosts[i]->id);
		if (verdict < enough) {
			if (!ask[0] || verdict < worst)
				memcpy(bad, id, ID_LENGTH);
			if (!ask[0])
				memcpy(ask, id, ID_LENGTH);
			else if (strcmp(ask, id))
				snprintf(ask + ID_LENGTH - 1, ID_LENGTH + 1,
					 ",%s", id);
		}
		if (verdict < worst)
			worst = verdict;
		if (verdict > best)
			best = verdict;
	}

	if (worst == HOST_UNLISTED) {
		set_answer(answer, BARTER_ROUTE_NONE,
			   BARTER_WHY_BRIDGE_UNKNOWN);
		snprintf(answer->text, sizeof(answer->text),
			 "host bridge %s is not on the allowlist (module parameter barter.allow_host_bridges=%s allows it)%s",
			 bad, ask, closed);
	} else if (worst < enough) {
		set_answer(answer, BARTER_ROUTE_NONE,
			   BARTER_WHY_BRIDGES_DIFFER);
		snprintf(answer->text, sizeof(answer->text),
			 "two host bridges, and %s is known to work within one only (module parameter barter.allow_host_bridges=%s allows it)",
			 bad, ask);
	} else if (best == HOST_ADMIN) {
		set_answer(answer, BARTER_ROUTE_HOST, BARTER_WHY_ADMIN_ALLOWED);
		id_name(id, judge_host(hosts[0]) == HOST_ADMIN ? hosts[0]->id :
								 hosts[1]->id);
		snprintf(answer->text, sizeof(answer->text),
			 "host bridge %s is allowed by module parameter barter.allow_host_bridges%s",
			 id, closed);
	} else {
		set_answer(answer, BARTER_ROUTE_HOST,
			   BARTER_WHY_BRIDGE_ALLOWED);
		id_name(id, hosts[0]->id);
		snprintf(answer->text, sizeof(answer->text),
			 "host bridge %s is on the allowlist%s", id, closed);
	}
}

/**
 * barter_route_needs_host - does the decision depend on the host bridges
 * @desc: a description whose host bridges, @same_host and @kernel_refuses need
 *	not be filled in yet
 *
 * Lets the caller save the search for the devices that identify them.
 *
 * Context: any.
 *
 * Return: false if barter_route_decide() will not look at
 * @desc->provider_host, @desc->importer_host and @desc->same_host.
 */
bool barter_route_needs_host(const struct barter_route_desc *desc)
{
	const struct barter_route_port *redirect;

	if (!desc->importer_is_pci || desc->cpu_allowed)
		return false;
	return !common_port(desc, &redirect) || redirect;
}

/**
 * barter_route_decide - which route two devices have, and why
 * @desc: the topology
 * @answer: filled in whole
 *
 * Functions of one device are judged like any other pair. The same two devices
 * with their parts exchanged get the same route and reason; an ACS redirect
 * more never gives a better route.
 *
 * Context: any, no locks needed.
 */
void barter_route_decide(const struct barter_route_desc *desc,
			 struct barter_route_answer *answer)
{
	const struct barter_route_port *common, *redirect;
	char name[NAME_LENGTH], other[NAME_LENGTH];
	char closed[NAME_LENGTH + 20] = "";

	memset(answer, 0, sizeof(*answer));

	if (!desc->importer_is_pci) {
		set_answer(answer, BARTER_ROUTE_NONE, BARTER_WHY_NOT_PCI);
		snprintf(answer->text, sizeof(answer->text),
			 "the importer is not a PCI device");
		return;
	}

	common = common_port(desc, &redirect);
	if (redirect) {
		port_name(name, redirect);
		snprintf(closed, sizeof(closed), "; ACS redirects at %s", name);
	}

	if (common && !redirect) {
		set_answer(answer, BARTER_ROUTE_BUS, BARTER_WHY_COMMON_BRIDGE);
		port_name(name, common);
		snprintf(answer->text, sizeof(answer->text),
			 same_port(&desc->provider.ports[0],
				   &desc->importer.ports[0]) ?
			 "one and the same device, %s, without ACS redirect" :
			 "common bridge %s, no ACS redirect on the way", name);
	} else if (desc->cpu_allowed) {
		set_answer(answer, BARTER_ROUTE_HOST, BARTER_WHY_CPU_ALLOWED);
		snprintf(answer->text, sizeof(answer->text),
			 "host bridges of this CPU (AMD Zen or later) pass peer-to-peer DMA%s",
			 closed);
	} else {
		decide_host(desc, closed, answer);
	}

	if (desc->kernel_refuses && answer->route != BARTER_ROUTE_NONE) {
		set_answer(answer, BARTER_ROUTE_NONE,
			   BARTER_WHY_KERNEL_REFUSED);
		port_name(name, &desc->provider.ports[0]);
		port_name(other, &desc->importer.ports[0]);
		snprintf(answer->text, sizeof(answer->text),
			 "the kernel's own check, pci_p2pdma_distance(), refuses DMA from %s to %s",
			 other, name);
	}
	if (answer->route == BARTER_ROUTE_BUS)
		answer->bus_offset = desc->bus_offset;
}

/**
 * barter_route_host_listed - is a host bridge in a list of ids
 * @ids: the list
 * @nr: entries at @ids
 * @id: the host bridge
 *
 * Context: any; the caller keeps @ids from changing.
 *
 * Return: true if @id is in the list.
 */
bool barter_route_host_listed(const struct barter_route_host_id *ids, u32 nr,
			      struct barter_route_host_id id)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (ids[i].vendor == id.vendor && ids[i].device == id.device)
			return true;
	return false;
}

/* Exactly four hexadecimal digits; *text moves behind them. */
static bool parse_id(const char **text, u16 *id)
{
	u32 i;

	*id = 0;
	for (i = 0; i < 4; i++) {
		char c = **text;
		u16 digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		*id = *id << 4 | digit;
		(*text)++;
	}
	return true;
}

/**
 * barter_route_parse_hosts - read a list of host bridge ids
 * @text: "vvvv:dddd,vvvv:dddd,...", each id four hexadecimal digits, no blanks;
 *	one newline at the end is ignored; the empty text is the empty list
 * @ids: the list, room for @max entries; may be partly written on error
 * @max: most entries to accept
 * @nr: set to the number of entries, only on success
 *
 * Context: any.
 *
 * Return: 0, or -EINVAL if @text has another form or more than @max entries.
 */
int barter_route_parse_hosts(const char *text, struct barter_route_host_id *ids,
			     u32 max, u32 *nr)
{
	u32 count = 0;

	if (!text[0] || !strcmp(text, "\n")) {
		*nr = 0;
		return 0;
	}

	for (;;) {
		if (count == max)
			return -EINVAL;
		if (!parse_id(&text, &ids[count].vendor) || *text++ != ':' ||
		    !parse_id(&text, &ids[count].device))
			return -EINVAL;
		count++;
		if (*text != ',')
			break;
		text++;
	}
	if (strcmp(text, "") && strcmp(text, "\n"))
		return -EINVAL;
	*nr = count;
	return 0;
}
