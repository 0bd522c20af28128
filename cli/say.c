// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Errors for people: the object, what is wrong, what to do.
 */
#include "binding.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static char last_failure[1024];

int failed(const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_failure, sizeof(last_failure), format, args);
	va_end(args);
	progress_end();
	fflush(stdout);
	fprintf(stderr, "barter: %s%s%s: %s\n", colour_on(stderr, COLOUR_BAD), object,
		colour_off(stderr), last_failure);
	return EXIT_FAILED;
}

const char *failed_text(void)
{
	return last_failure;
}

int wrong_usage(const struct command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "barter %s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nusage: barter %s %s\nsee: barter help %s\n",
		command->name, command->arguments, command->name);
	return EXIT_USAGE;
}

int failed_topology(int error)
{
	return failed("PCI devices", "cannot be read from sysfs: %s; is /sys mounted, and BARTER_SYSFS right if it is set?",
		      strerror(-error));
}

/* Who has it, and which node it takes: from sysfs, if that tells. */
static int failed_node(const char *bdf, int error)
{
	char who[200] = "somebody else has the device or its IOMMU group open";
	struct barter_topology *topology = NULL;
	const struct barter_pci *pci = NULL;
	const char *node = NULL;
	struct barter_bdf address;
	int status;

	if (!barter_bdf_parse(bdf, &address) && !barter_topology_read(&topology))
		pci = barter_topology_find(topology, &address);
	if (pci)
		node = barter_pci_vfio_node(pci);
	if (error == -EBUSY && pci && !device_in_use(pci, who, sizeof(who)))
		snprintf(who, sizeof(who), "somebody else has the device or its IOMMU group open");
	if (error == -EBUSY)
		status = failed(bdf, "is in use: %s; end that program first", who);
	else
		status = failed(bdf, "no permission to open its VFIO node /dev/%s; run as root, or have root give it to you: chown %d /dev/%s",
				node ? node : "vfio", (int)geteuid(),
				node ? node : "vfio/GROUP");
	barter_topology_free(topology);
	return status;
}

int failed_open(const char *bdf, int error)
{
	switch (error) {
	case -EINVAL:
		return failed(bdf, "is no PCI address; expected DOMAIN:BUS:SLOT.FUNCTION, such as 0000:01:00.0");
	case -ENODEV:
		return failed(bdf, "no such PCI device; see: barter list");
	case -ENXIO:
		return failed(bdf, "is not bound to a VFIO driver; run: barter bind %s",
			      bdf);
	case -EACCES:
	case -EBUSY:
		return failed_node(bdf, error);
	case -EAGAIN:
		return failed(bdf, "is just being reset; try again");
	case -EPERM:
		return failed(bdf, "the kernel does not hand out its IOMMU group; run: barter doctor %s",
			      bdf);
	case -ENOENT:
		return failed(bdf, "VFIO is not there (/dev/vfio/vfio); run: modprobe vfio-pci");
	default:
		return failed(bdf, "cannot be opened: %s; run: barter doctor %s",
			      strerror(-error), bdf);
	}
}

const char *control_trouble(int error)
{
	static char text[120];

	switch (error) {
	case -ENOENT:
		return "barter.ko is not loaded (no /dev/barter); run: modprobe barter-vfio-pci";
	case -EACCES:
		return "no permission to open /dev/barter; its mode should be 0666: run as root, or: chmod 0666 /dev/barter";
	case -EPERM:
		return "naming devices by address takes root (CAP_SYS_ADMIN); run as root";
	case -ENOTTY:
	case -E2BIG:
		return "the loaded barter.ko is older than this program; load the one that came with it";
	default:
		snprintf(text, sizeof(text), "/dev/barter: %s; run: barter doctor",
			 strerror(-error));
		return text;
	}
}

int failed_control(const char *object, int error)
{
	return failed(object, "%s", control_trouble(error));
}

const char *plain_format(const char *from, size_t length, char *text)
{
	size_t i;

	for (i = 0; i < length && from[i]; i++)
		text[i] = from[i] < ' ' || from[i] > '~' ? '?' : from[i];
	text[i] = '\0';
	return text;
}

int answer_done(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "barter: cannot write the answer: %s\n",
				strerror(errno));
		return status ? status : EXIT_FAILED;
	}
	return status;
}
