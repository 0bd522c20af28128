// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter unbind: give devices back to the driver they had.
 */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

static const struct barter_pci *find(const struct barter_topology *topology,
				     const char *name)
{
	struct barter_bdf bdf;

	return barter_bdf_parse(name, &bdf) ? NULL :
	       barter_topology_find(topology, &bdf);
}

/* Has the device the driver now that it should have? */
static int judge(const struct earlier *earlier, int known, struct bound *bound)
{
	driver_now(bound->name, bound->driver, sizeof(bound->driver));
	if (!strcmp(bound->driver, BARTER_DRIVER))
		return failed(bound->name, "still bound to " BARTER_DRIVER
			      "; see the kernel log: dmesg");
	if (known && earlier->driver[0] &&
	    strcmp(bound->driver, earlier->driver))
		return failed(bound->name, "its earlier driver %s did not take it back (has %s now); load that driver: modprobe %s",
			      earlier->driver,
			      bound->driver[0] ? bound->driver : "none",
			      earlier->driver);
	return EXIT_OK;
}

static int unbind_device(const struct barter_topology *topology,
			 const char *text, struct bound *bound)
{
	const struct barter_pci *pci = find(topology, text);
	const char *name, *driver;
	struct earlier earlier;
	char why[256];
	int ret, known;

	bound->name = text;
	if (!pci)
		return failed(text, "no such PCI device; see: barter list");
	bound->name = name = barter_pci_name(pci);
	driver = barter_pci_driver(pci);
	snprintf(bound->driver, sizeof(bound->driver), "%s", driver ? driver : "");
	snprintf(bound->had, sizeof(bound->had), "%s", bound->driver);
	if (!driver || strcmp(driver, BARTER_DRIVER))
		return failed(name, "is not bound to " BARTER_DRIVER
			      " but to %s; nothing was changed; see: barter list",
			      driver ? driver : "no driver");
	/* The kernel would make this program wait until that user is gone. */
	if (device_in_use(pci, why, sizeof(why)))
		return failed(name, "is in use: %s; end that program first",
			      why);
	known = !earlier_load(name, &earlier);
	/* Not known: whichever driver the kernel finds for it. */
	if (!known)
		snprintf(earlier.driver, sizeof(earlier.driver), "?");
	progress_begin(name, "is being taken from " BARTER_DRIVER, 0);
	ret = earlier_restore(name, &earlier);
	progress_end();
	/*
	 * A device that had a driver without an id of its own, or whose driver
	 * is not loaded, makes the probe fail: the report says so.
	 */
	if (ret && ret != -ENODEV && ret != -EINVAL)
		return failed(name, "cannot be given back: %s; %s", strerror(-ret),
			      ret == -EACCES || ret == -EPERM ? "run as root" :
			      "see the kernel log: dmesg");
	ret = judge(&earlier, known, bound);
	if (!ret)
		earlier_forget(name);
	return ret;
}

static int unbind_all(const struct barter_topology *topology, char **names,
		      int count, int json)
{
	struct bound *bound = calloc((size_t)count, sizeof(*bound));
	int i, status = EXIT_OK;

	if (!bound)
		return failed("unbind", "out of memory");
	for (i = 0; i < count; i++) {
		struct bound *one = &bound[i];

		one->status = unbind_device(topology, names[i], one);
		if (one->status) {
			status = EXIT_FAILED;
			snprintf(one->error, sizeof(one->error), "%.399s",
				 failed_text());
		} else if (!json) {
			printf("%s: %s%s\n", one->name, one->driver[0] ?
			       "given back to " : "has no driver now",
			       one->driver);
		}
	}
	if (json)
		bound_json(bound, count);
	free(bound);
	return status;
}

int run_unbind(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { "json", NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	struct barter_topology *topology;
	int option, i, ret, status, json = 0;
	struct barter_bdf bdf;

	while ((option = option_next(&options)) >= 0)
		json = 1;
	if (option != OPTION_END)
		return option_exit(option);
	if (options.at == argc)
		return wrong_usage(command, "expected at least one BDF");
	for (i = options.at; i < argc; i++)
		if (barter_bdf_parse(argv[i], &bdf))
			return wrong_usage(command, "\"%s\" is no PCI address",
					   argv[i]);
	ret = barter_topology_read(&topology);
	if (ret)
		return failed_topology(ret);
	status = unbind_all(topology, argv + options.at, argc - options.at, json);
	barter_topology_free(topology);
	return status;
}
