// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter export: lend pieces of a BAR as one dma-buf, to a command or to
 * whoever takes the fd.
 */
#include "buffer_info.h"
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	OPTION_READ_ONLY, OPTION_NATIVE, OPTION_ATTRIBUTE, OPTION_FORCE, OPTION_NAME,
	OPTION_JSON
};

/* "OFFSET+LENGTH" */
static int parse_range(char *text, struct barter_range *range)
{
	char *plus = strchr(text, '+');
	uint64_t offset, length;
	int ret;

	if (!plus)
		return -EINVAL;
	*plus = '\0';
	ret = number_parse(text, &offset);
	if (!ret)
		ret = number_parse(plus + 1, &length);
	*plus = '+';
	if (ret)
		return ret;
	range->offset = offset;
	range->length = length;
	return 0;
}

/* Something here lends nothing: the driver, or, for native, the kernel. */
static int failed_to_lend(struct barter_device *device, int is_native)
{
	const char *name = barter_device_name(device);

	if (!is_native)
		return failed(name, "its driver does not lend; run: barter bind %s",
			      name);
	return failed(name, "no native buffer can be had: this kernel's vfio-pci lends nothing by itself, which takes Linux 6.19 or later with CONFIG_VFIO_PCI_DMABUF; without --native barter lends it%s",
		      barter_device_can_export(device) ?
		      ", once it is bound by: barter bind" : "");
}

/* Says which range is wrong, and how. */
static int failed_range(struct barter_device *device,
			const struct barter_export *what)
{
	const char *name = barter_device_name(device);
	struct barter_region region = { .length = 0 };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *wrong = NULL;
	uint32_t i;

	barter_device_region(device, what->bar, &region);
	for (i = 0; i < what->nr_ranges; i++) {
		const struct barter_range *range = &what->ranges[i];

		if (!range->length)
			wrong = "its length is 0";
		else if (range->offset % page || range->length % page)
			wrong = "offset and length must be multiples of the page size";
		else if (range->length > region.length ||
			 range->offset > region.length - range->length)
			wrong = "it ends beyond the BAR";
		if (wrong)
			return failed(name, "range 0x%" PRIx64 "+0x%" PRIx64 " of BAR %u: %s; pages are of %" PRIu64 " bytes, the BAR has %s",
				      (uint64_t)range->offset, (uint64_t)range->length,
				      what->bar, wrong, page,
				      SIZE_TEXT(region.length));
	}
	return failed(name, "not a set of ranges of BAR %u, which has %s; see: barter list",
		      what->bar, SIZE_TEXT(region.length));
}

static int failed_export(struct barter_device *device,
			 const struct barter_export *what, int error)
{
	const char *name = barter_device_name(device);
	uint32_t bar = what->bar;

	switch (error) {
	case -EOPNOTSUPP:
		if (what->memattr && !barter_device_can_export(device))
			return failed(name, "this machine cannot combine writes: its CPU or kernel has no page attribute tables (PAT), or is no x86; lend it with --attribute uc");
		return failed_to_lend(device,
				      what->flags & BARTER_EXPORT_NATIVE);
	case -ENODEV:
		return failed(name, "has no BAR %u; see: barter list", bar);
	case -EINVAL:
	case -EOVERFLOW:
		return failed_range(device, what);
	case -E2BIG:
		return failed(name, "too much for one buffer: at most %u ranges, together at most %u times the BAR; lend it as several",
			      BARTER_MAX_RANGES, BARTER_MAX_OVERCOMMIT);
	case -EPERM:
		return failed(name, "BAR %u is not prefetchable: combined writes may do something else there; --force has it all the same",
			      bar);
	case -EBUSY:
		if (!what->memattr)
			break;
		return failed(name, "a part of this is mapped with another attribute, or another driver has claimed BAR %u; --force has the former all the same",
			      bar);
	default:
		break;
	}
	return failed(name, "cannot be exported: %s; run: barter doctor %s",
		      strerror(-error), name);
}

/* Until stdin ends or a signal comes that ends programs. */
static void hold(void)
{
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN } };
	char sink[256];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fds[1] = (struct pollfd) {
		.fd = signalfd(-1, &set, SFD_CLOEXEC),
		.events = POLLIN,
	};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents)
			return;
		if (fds[0].revents && read(STDIN_FILENO, sink,
					   sizeof(sink)) <= 0)
			return;
	}
}

/* The buffer as it stands; "held" is for whoever will find it from elsewhere. */
static int show(int fd, int json, int held)
{
	struct json writer = { .to = stdout };
	struct buffer_info buffer;
	char place[32];
	int status;

	snprintf(place, sizeof(place), "%d:%d", (int)getpid(), fd);
	status = buffer_info_get(place, fd, &buffer);
	if (status)
		return status;
	if (json) {
		json_open(&writer, NULL, '{');
		json_number(&writer, "pid", (uint64_t)getpid());
		json_number(&writer, "fd", (uint64_t)fd);
		buffer_info_json(&buffer, &writer);
		json_close(&writer, '}');
		json_end(&writer);
	} else {
		buffer_info_text(&buffer, 0);
		if (held)
			printf("held until stdin ends; from elsewhere: barter info %s\n",
			       place);
	}
	buffer_info_free(&buffer);
	return answer_done(EXIT_OK);
}

static int lend(int fd, int json, char **command)
{
	int status = EXIT_OK;

	if (!command || json)
		status = show(fd, json, !command);
	if (status)
		return status;
	if (command)
		return run_with_fd(fd, command);
	hold();
	return EXIT_OK;
}

static int export(const char *bdf, const struct barter_export *what, int json,
		  char **command)
{
	struct barter_device *device;
	int fd, ret, status;

	ret = barter_device_open(bdf, BARTER_OPEN_MEMORY, &device);
	if (ret)
		return failed_open(bdf, ret);
	ret = barter_device_export(device, what, &fd);
	if (ret) {
		status = failed_export(device, what, ret);
	} else {
		status = lend(fd, json, command);
		close(fd);
	}
	barter_device_close(device);
	return status;
}

int run_export(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_READ_ONLY] = "read-only",
		[OPTION_NATIVE] = "native",
		[OPTION_ATTRIBUTE] = "attribute=",
		[OPTION_FORCE] = "force",
		[OPTION_NAME] = "name=",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct barter_export what = {
		.size = sizeof(what),
		.open_flags = O_RDWR,
	};
	const char *attribute = "uc";
	int option, first, i, json = 0, status;
	struct barter_range *ranges;
	struct barter_bdf bdf;
	char **child = NULL;

	while ((option = option_next(&options)) >= 0) {
		if (option == OPTION_JSON)
			json = 1;
		else if (option == OPTION_NATIVE)
			what.flags |= BARTER_EXPORT_NATIVE;
		else if (option == OPTION_FORCE)
			what.flags |= BARTER_EXPORT_FORCE_ATTRIBUTE;
		else if (option == OPTION_NAME)
			what.name = options.value;
		else if (option == OPTION_ATTRIBUTE)
			attribute = options.value;
		else
			what.open_flags = O_RDONLY;
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (!strcmp(attribute, "wc"))
		what.memattr = BARTER_MEMATTR_WC;
	else if (strcmp(attribute, "uc"))
		return wrong_usage(command, "\"%s\" is no attribute; expected uc or wc",
				   attribute);
	if (what.name && strlen(what.name) >= BARTER_BUFFER_NAME_LENGTH)
		return wrong_usage(command, "the name \"%s\" is longer than %d bytes",
				   what.name, BARTER_BUFFER_NAME_LENGTH - 1);
	if (what.flags & BARTER_EXPORT_NATIVE &&
	    (what.memattr || what.name || what.flags & BARTER_EXPORT_FORCE_ATTRIBUTE))
		return wrong_usage(command, "--native goes with neither --attribute, --force nor --name");
	first = options.at;
	for (i = first; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		child = argv + i + 1;
		argc = i;
	}
	if (child && !child[0])
		return wrong_usage(command, "no COMMAND after \"--\"");
	if (argc - first < 3)
		return wrong_usage(command, "expected BDF BAR OFFSET+LENGTH...");
	if (barter_bdf_parse(argv[first], &bdf))
		return wrong_usage(command, "\"%s\" is no PCI address",
				   argv[first]);
	if (bar_parse(argv[first + 1], &what.bar))
		return wrong_usage(command, "\"%s\" is no BAR; expected 0..5",
				   argv[first + 1]);
	if (what.open_flags == O_RDONLY && !(what.flags & BARTER_EXPORT_NATIVE))
		what.flags |= BARTER_EXPORT_READ_ONLY;
	what.nr_ranges = (uint32_t)(argc - first - 2);
	if (what.flags & BARTER_EXPORT_NATIVE && what.nr_ranges > 1)
		return wrong_usage(command, "--native takes one range, as iommufd does; export each by itself, or use barter_ioas_map() of the library");
	ranges = calloc(what.nr_ranges, sizeof(*ranges));
	if (!ranges)
		return failed("export", "out of memory");
	for (i = 0; i < (int)what.nr_ranges; i++) {
		if (parse_range(argv[first + 2 + i], &ranges[i])) {
			free(ranges);
			return wrong_usage(command, "\"%s\" is no OFFSET+LENGTH",
					   argv[first + 2 + i]);
		}
	}
	what.ranges = ranges;
	status = export(argv[first], &what, json, child);
	free(ranges);
	return status;
}
