// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter unbind: give devices back to the driver they had.
 */
#include "binding.h"

#include <string.h>

static const struct barter_pci *find(const struct barter_topology *topology,
				     const char *name)
{
	struct barter_bdf bdf;

	return barter_bdf_parse(name, &bdf) ? NULL :
	       barter_topology_find(topology, &bdf);
}

/* Tell which driver the device has now. */
static int report(const char *name, const struct earlier *earlier, int known)
{
	struct barter_topology *now;
	const struct barter_pci *pci;
	const char *driver = NULL;
	int status = EXIT_OK, ret;

	ret = barter_topology_read(&now);
	if (ret)
		return failed(name, "cannot be read from sysfs: %s",
			      strerror(-ret));
	pci = find(now, name);
	if (pci)
		driver = barter_pci_driver(pci);
	if (driver && !strcmp(driver, BARTER_DRIVER))
		status = failed(name, "still bound to " BARTER_DRIVER
				"; see the kernel log");
	else if (known && earlier->driver[0] &&
		 (!driver || strcmp(driver, earlier->driver)))
		status = failed(name, "its earlier driver %s did not take it back (has %s now); is that driver loaded?",
				earlier->driver, driver ? driver : "none");
	else
		printf("%s: %s%s\n", name, driver ? "given back to " :
		       "has no driver now", driver ? driver : "");
	barter_topology_free(now);
	return status;
}

static int unbind_device(const struct barter_topology *topology,
			 const char *text)
{
	const struct barter_pci *pci = find(topology, text);
	struct earlier earlier;
	const char *name;
	char why[256];
	int ret, known;

	if (!pci)
		return failed(text, "no such PCI device; see: barter list");
	name = barter_pci_name(pci);
	if (!barter_pci_driver(pci) ||
	    strcmp(barter_pci_driver(pci), BARTER_DRIVER))
		return failed(name, "is not bound to " BARTER_DRIVER
			      " but to %s; nothing was changed",
			      barter_pci_driver(pci) ? barter_pci_driver(pci) :
			      "no driver");
	/* The kernel would make this program wait until that user is gone. */
	if (device_in_use(pci, why, sizeof(why)))
		return failed(name, "is in use: %s; end that program first",
			      why);
	known = !earlier_load(name, &earlier);
	/* Not known: whichever driver the kernel finds for it. */
	if (!known)
		snprintf(earlier.driver, sizeof(earlier.driver), "?");
	ret = earlier_restore(name, &earlier);
	/*
	 * A device that had a driver without an id of its own, or whose driver
	 * is not loaded, makes the probe fail: the report says so.
	 */
	if (ret && ret != -ENODEV && ret != -EINVAL)
		return failed(name, "cannot be given back: %s%s",
			      strerror(-ret),
			      ret == -EACCES ? "; run as root" : "");
	ret = report(name, &earlier, known);
	if (!ret)
		earlier_forget(name);
	return ret;
}

int run_unbind(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	struct barter_topology *topology;
	int option, i, ret, status = EXIT_OK;
	struct barter_bdf bdf;

	option = option_next(&options);
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
		return failed("PCI devices", "cannot be read from sysfs: %s",
			      strerror(-ret));
	for (i = options.at; i < argc; i++)
		if (unbind_device(topology, argv[i]))
			status = EXIT_FAILED;
	barter_topology_free(topology);
	return status;
}
