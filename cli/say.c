// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Errors for people: the object, what is wrong, what to do.
 */
#include "cli.h"

#include <stdarg.h>
#include <string.h>

int failed(const char *object, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "barter: %s: ", object);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILED;
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
		return failed(bdf, "no permission to open its VFIO node; run as root, or have its node in /dev/vfio given to you");
	case -EBUSY:
		return failed(bdf, "somebody else has the device or its IOMMU group open; end that program first");
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
	switch (error) {
	case -ENOENT:
		return "barter.ko is not loaded (no /dev/barter); run: modprobe barter-vfio-pci";
	case -EACCES:
		return "no permission to open /dev/barter; its mode should be 0666: run as root, or: chmod 0666 /dev/barter";
	case -EPERM:
		return "naming devices by address needs root (CAP_SYS_ADMIN)";
	case -ENOTTY:
	case -E2BIG:
		return "the loaded barter.ko is older than this program; load the one that came with it";
	default:
		return strerror(-error);
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
