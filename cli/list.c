// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter list: PCI devices with memory, and whether it can be lent.
 */
#include "cli.h"
#include "json.h"

#include <string.h>

static int has_memory(const struct barter_pci *pci)
{
	struct barter_bar bar;
	uint32_t i;

	for (i = 0; i < BARTER_BARS; i++)
		if (!barter_pci_bar(pci, i, &bar) &&
		    bar.flags & BARTER_BAR_MEMORY)
			return 1;
	return 0;
}

static int is_shown(const struct barter_pci *pci, int all)
{
	return all || (!barter_pci_is_bridge(pci) && has_memory(pci));
}

static void json_bars(struct json *json, const struct barter_pci *pci)
{
	struct barter_bar bar;
	uint32_t i;

	json_open(json, "bars", '[');
	for (i = 0; i < BARTER_BARS; i++) {
		if (barter_pci_bar(pci, i, &bar))
			continue;
		json_open(json, NULL, '{');
		json_number(json, "index", bar.index);
		json_number(json, "length", bar.length);
		json_text(json, "kind",
			  bar.flags & BARTER_BAR_MEMORY ? "memory" : "io");
		json_bool(json, "prefetchable",
			  bar.flags & BARTER_BAR_PREFETCH);
		json_bool(json, "64bit", bar.flags & BARTER_BAR_64);
		json_bool(json, "assigned",
			  !(bar.flags & BARTER_BAR_UNASSIGNED));
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_device(struct json *json,
			const struct barter_topology *topology,
			const struct barter_pci *pci)
{
	const struct barter_pci *parent = barter_pci_parent(pci);
	const char *node = barter_pci_vfio_node(pci);
	char id[12], class_code[8], why[160], path[80];
	int lendable;

	lendable = barter_pci_lendable(topology, pci, why, sizeof(why));
	snprintf(id, sizeof(id), "%04x:%04x", barter_pci_vendor(pci),
		 barter_pci_device(pci));
	snprintf(class_code, sizeof(class_code), "%06x",
		 barter_pci_class(pci) & 0xffffff);
	snprintf(path, sizeof(path), "/dev/%s", node ? node : "");
	json_open(json, NULL, '{');
	json_text(json, "device", barter_pci_name(pci));
	json_text(json, "id", id);
	json_text(json, "class", class_code);
	json_text(json, "class_name", barter_pci_class_name(pci));
	json_text(json, "driver", barter_pci_driver(pci));
	json_text(json, "driver_override", barter_pci_override(pci));
	json_index(json, "group", barter_pci_group(pci));
	json_text(json, "group_type", barter_pci_group_type(pci));
	json_text(json, "root", barter_pci_root(pci));
	json_text(json, "parent", parent ? barter_pci_name(parent) : NULL);
	json_text(json, "vfio_node", node ? path : NULL);
	json_bars(json, pci);
	json_text(json, "lendable", barter_lendable_name(lendable));
	json_text(json, "why", why);
	json_close(json, '}');
}

static void list_json(const struct barter_topology *topology, int all)
{
	const struct barter_pci *pci = NULL;
	struct json json = { .to = stdout };

	json_open(&json, NULL, '{');
	json_open(&json, "devices", '[');
	while ((pci = barter_topology_next(topology, pci)))
		if (is_shown(pci, all))
			json_device(&json, topology, pci);
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}

/* Columns are as wide as what stands in them. */
struct widths {
	int class_name, driver, bars;
};

static int wider(int width, const char *text)
{
	return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static void list_text(const struct barter_topology *topology, int all)
{
	struct widths w = { 5, 6, 4 };
	const struct barter_pci *pci = NULL;
	char bars[160], why[160], group[16];
	int count = 0;

	while ((pci = barter_topology_next(topology, pci))) {
		const char *driver = barter_pci_driver(pci);

		if (!is_shown(pci, all))
			continue;
		count++;
		w.class_name = wider(w.class_name, barter_pci_class_name(pci));
		w.driver = wider(w.driver, driver ? driver : "-");
		w.bars = wider(w.bars, bars_format(pci, bars, sizeof(bars)));
	}
	if (!count) {
		puts("no PCI device with memory BARs");
		return;
	}
	printf("%-12s  %-*s  %-*s  %5s  %-*s  %s\n", "DEVICE", w.class_name,
	       "CLASS", w.driver, "DRIVER", "GROUP", w.bars, "BARS",
	       "LENDABLE");
	while ((pci = barter_topology_next(topology, pci))) {
		const char *driver = barter_pci_driver(pci);
		int lendable;

		if (!is_shown(pci, all))
			continue;
		lendable = barter_pci_lendable(topology, pci, why,
					       sizeof(why));
		snprintf(group, sizeof(group), "%d", barter_pci_group(pci));
		printf("%-12s  %-*s  %-*s  %5s  %-*s  %s%s%s%s\n",
		       barter_pci_name(pci), w.class_name,
		       barter_pci_class_name(pci), w.driver,
		       driver ? driver : "-",
		       barter_pci_group(pci) < 0 ? "-" : group, w.bars,
		       bars_format(pci, bars, sizeof(bars)),
		       lendable == BARTER_LEND_NOW ?
		       colour_on(stdout, COLOUR_GOOD) : "",
		       lendable > BARTER_LEND_BIND ? "no: " : "", why,
		       lendable == BARTER_LEND_NOW ? colour_off(stdout) : "");
	}
}

int run_list(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { "all", "json", NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	struct barter_topology *topology;
	int option, ret, all = 0, json = 0;

	while ((option = option_next(&options)) >= 0)
		*(option ? &json : &all) = 1;
	if (option != OPTION_END)
		return option_exit(option);
	if (options.at < argc)
		return wrong_usage(command, "unexpected \"%s\"",
				   argv[options.at]);
	ret = barter_topology_read(&topology);
	if (ret)
		return failed_topology(ret);
	if (json)
		list_json(topology, all);
	else
		list_text(topology, all);
	barter_topology_free(topology);
	return EXIT_OK;
}
