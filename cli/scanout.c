// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter scanout: a VF's buffer as the picture of its PF, by the sample driver
 * barter-pf.
 */
#include "cli.h"
#include "image.h"
#include "json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECES_SHOWN 8

enum {
	OPTION_SET, OPTION_SIZE, OPTION_FORMAT, OPTION_STRIDE, OPTION_OFFSET,
	OPTION_CLEAR, OPTION_O, OPTION_ALL, OPTION_JSON
};

/* What was asked for. */
struct wish {
	const char *name;		/* of the PF */
	int set, clear, all, json;
	struct barter_pf_set picture;
	const char *path;
};

static int call(int pf, unsigned long number, void *arg)
{
	return ioctl(pf, number, arg) ? -errno : 0;
}

static int failed_pf(const char *name, int error)
{
	switch (error) {
	case -ENOENT:
		return failed(name, "is not bound to barter-pf; run: modprobe barter-pf, and: echo barter-pf > /sys/bus/pci/devices/%s/driver_override && echo %s > /sys/bus/pci/drivers_probe",
			      name, name);
	case -EACCES:
		return failed(name, "no permission to open its node /dev/barter-pf-%s; run as root",
			      name);
	case -ENODEV:
		return failed(name, "was unbound from barter-pf meanwhile; bind it again");
	case -ENODATA:
		return failed(name, "no picture was set; run: barter scanout %s --set FD --size WIDTHxHEIGHT",
			      name);
	case -ENOTTY:
	case -E2BIG:
		return failed(name, "the loaded barter-pf.ko is older than this program; load the one that came with it");
	default:
		return failed(name, "%s", strerror(-error));
	}
}

static int pf_open(const char *name)
{
	const char *root = getenv("BARTER_DEV");
	char path[512];
	int pf;

	snprintf(path, sizeof(path), "%s/barter-pf-%s", root ? root : "/dev", name);
	pf = open(path, O_RDWR | O_CLOEXEC);
	return pf < 0 ? -errno : pf;
}

static int failed_set(const struct wish *wish, int error)
{
	const struct barter_pf_set *picture = &wish->picture;
	char name[24];
	uint64_t length = 0;

	snprintf(name, sizeof(name), "fd %d", picture->dmabuf_fd);
	switch (error) {
	case -EBADF:
		return failed(name, "is not open; pass the number of a dma-buf fd that this process inherits");
	case -EBADFD:
		return failed(name, "the buffer is dead: its device was closed or is gone; it has to be exported anew");
	case -ERANGE:
		barter_buffer_length(picture->dmabuf_fd, &length);
		return failed(name, "a picture of %ux%u %s with these strides and offsets does not fit into its %" PRIu64 " bytes; a smaller one, or a longer buffer",
			      picture->width, picture->height,
			      format_name(picture->format), length);
	case -EINVAL:
		if (barter_buffer_length(picture->dmabuf_fd, &length))
			return failed(name, "is no dma-buf");
		return failed(name, "no picture: width and height must be 1 to %u, and even for NV12; a stride at least what a row has (%u bytes here)",
			      BARTER_PF_MAX_SIDE,
			      format_row(picture->format, picture->width));
	case -EOPNOTSUPP:
		return failed(name, "%s cannot show it: the buffer is not barter's, or its device is no VF of this one, or reaches beyond the VF's share of the memory (see dmesg); without SR-IOV an administrator vouches for the pair: echo VF=%s > /sys/module/barter/parameters/pci_bar_pairs",
			      wish->name, wish->name);
	case -ENXIO:
		return failed(name, "where the VF's memory is in that of %s is not known (see dmesg); run: echo VF@OFFSET+LENGTH > /sys/module/barter_pf/parameters/vfs",
			      wish->name);
	default:
		return failed_pf(wish->name, error);
	}
}

static int write_frame(int pf, const struct wish *wish)
{
	struct barter_pf_frame frame = { .size = sizeof(frame) };
	uint8_t *pixels = NULL, *rgb = NULL;
	int ret, status;

	/* Another picture may be set between two calls. */
	do {
		uint8_t *more;

		ret = call(pf, BARTER_PF_IOC_FRAME, &frame);
		if (ret != -ENOSPC)
			break;
		more = realloc(pixels, frame.out_length);
		if (!more) {
			ret = -ENOMEM;
			break;
		}
		pixels = more;
		frame.user = (uintptr_t)pixels;
		frame.length = frame.out_length;
	} while (1);
	if (!ret) {
		rgb = malloc((size_t)frame.out_width * frame.out_height * 3);
		ret = rgb ? 0 : -ENOMEM;
	}
	if (ret) {
		status = failed_pf(wish->name, ret);
	} else {
		image_from_frame(frame.out_format, frame.out_width,
				 frame.out_height, pixels, rgb);
		status = image_write(wish->path, frame.out_width,
				     frame.out_height, rgb);
	}
	free(rgb);
	free(pixels);
	return status;
}

/* ---- status ---- */

/* The status and its pieces, which the caller frees. */
static int get_status(int pf, struct barter_pf_status *status,
		      struct barter_range **pieces)
{
	struct barter_range *more;
	int ret;

	*pieces = NULL;
	*status = (struct barter_pf_status) { .size = sizeof(*status) };
	for (;;) {
		ret = call(pf, BARTER_PF_IOC_STATUS, status);
		/* Who is not root gets all but the pieces. */
		if (ret || status->out_nr_pieces <= status->nr_pieces ||
		    geteuid())
			return ret;
		more = realloc(*pieces, status->out_nr_pieces * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*pieces = more;
		status->pieces = (uintptr_t)more;
		status->nr_pieces = status->out_nr_pieces;
	}
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[BARTER_PF_NONE] = "none",
		[BARTER_PF_LIVE] = "live",
		[BARTER_PF_DARK] = "dark",
	};

	return state < sizeof(names) / sizeof(*names) ? names[state] : "?";
}

static void vf_name(const struct barter_pf_status *status, char *text)
{
	struct barter_bdf bdf = {
		.domain = status->out_domain,
		.bus = status->out_bus,
		.devfn = status->out_devfn,
	};

	barter_bdf_format(&bdf, text);
}

static void show_text(const struct wish *wish,
		      const struct barter_pf_status *status,
		      const struct barter_range *pieces)
{
	uint32_t i, shown = pieces ? status->out_nr_pieces : 0;
	char vf[BARTER_BDF_LENGTH];

	printf("device       %s\n", wish->name);
	printf("state        %s\n", state_name(status->out_state));
	if (status->out_state != BARTER_PF_NONE) {
		vf_name(status, vf);
		printf("picture      %u x %u %s\n", status->out_width,
		       status->out_height, format_name(status->out_format));
		printf("buffer of    %s\n", vf);
	}
	printf("generation   %" PRIu64 "\n", (uint64_t)status->out_generation);
	printf("frames       %" PRIu64 " of the picture, %" PRIu64 " black\n",
	       (uint64_t)status->out_frames, (uint64_t)status->out_dark_frames);
	printf("buffers      %" PRIu64 " times mapped, %" PRIu64 " times taken back, %" PRIu64 " times given back\n",
	       (uint64_t)status->out_maps, (uint64_t)status->out_invalidates,
	       (uint64_t)status->out_restored);
	if (status->out_state != BARTER_PF_LIVE)
		return;
	printf("pieces       %u in this device's memory\n", status->out_nr_pieces);
	if (!wish->all && shown > PIECES_SHOWN)
		shown = PIECES_SHOWN;
	for (i = 0; i < shown; i++)
		printf("  0x%" PRIx64 "+0x%" PRIx64 "\n",
		       (uint64_t)pieces[i].offset, (uint64_t)pieces[i].length);
	if (pieces && shown < status->out_nr_pieces)
		printf("  ... %u more; see: --all\n",
		       status->out_nr_pieces - shown);
}

static void show_json(const struct wish *wish,
		      const struct barter_pf_status *status,
		      const struct barter_range *pieces)
{
	struct json writer = { .to = stdout };
	char vf[BARTER_BDF_LENGTH];
	uint32_t i;

	json_open(&writer, NULL, '{');
	json_text(&writer, "device", wish->name);
	json_text(&writer, "state", state_name(status->out_state));
	if (status->out_state != BARTER_PF_NONE) {
		vf_name(status, vf);
		json_number(&writer, "width", status->out_width);
		json_number(&writer, "height", status->out_height);
		json_text(&writer, "format", format_name(status->out_format));
		json_text(&writer, "buffer_of", vf);
	}
	json_number(&writer, "generation", status->out_generation);
	json_number(&writer, "frames", status->out_frames);
	json_number(&writer, "dark_frames", status->out_dark_frames);
	json_number(&writer, "maps", status->out_maps);
	json_number(&writer, "invalidates", status->out_invalidates);
	json_number(&writer, "restored", status->out_restored);
	if (pieces) {
		json_open(&writer, "pieces", '[');
		for (i = 0; i < status->out_nr_pieces; i++) {
			json_open(&writer, NULL, '{');
			json_number(&writer, "offset", pieces[i].offset);
			json_number(&writer, "length", pieces[i].length);
			json_close(&writer, '}');
		}
		json_close(&writer, ']');
	}
	json_close(&writer, '}');
	json_end(&writer);
}

static int show_status(int pf, const struct wish *wish)
{
	struct barter_pf_status status;
	struct barter_range *pieces;
	int ret = get_status(pf, &status, &pieces);

	if (!ret)
		(wish->json ? show_json : show_text)(wish, &status, pieces);
	free(pieces);
	return ret ? failed_pf(wish->name, ret) : EXIT_OK;
}

static int carry_out(const struct wish *wish)
{
	struct barter_pf_clear clear = { .size = sizeof(clear) };
	struct barter_pf_set picture = wish->picture;
	int pf = pf_open(wish->name), ret, status = EXIT_OK;

	if (pf < 0)
		return failed_pf(wish->name, pf);
	if (wish->set) {
		ret = call(pf, BARTER_PF_IOC_SET, &picture);
		status = ret ? failed_set(wish, ret) : EXIT_OK;
	}
	if (wish->clear) {
		ret = call(pf, BARTER_PF_IOC_CLEAR, &clear);
		status = ret ? failed_pf(wish->name, ret) : EXIT_OK;
	}
	if (!status && wish->path)
		status = write_frame(pf, wish);
	else if (!status && (wish->json || (!wish->set && !wish->clear)))
		status = show_status(pf, wish);
	close(pf);
	return status;
}

/* ---- arguments ---- */

static int parse_size(const char *text, struct barter_pf_set *picture)
{
	unsigned int width, height;
	int used = 0;

	if (sscanf(text, "%5ux%5u%n", &width, &height, &used) != 2 ||
	    text[used] || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	picture->width = width;
	picture->height = height;
	return 0;
}

/* "N" or "N,N" */
static int parse_planes(const char *text, uint64_t *numbers, int *nr)
{
	const char *comma = strchr(text, ',');
	char first[32];

	*nr = comma ? 2 : 1;
	snprintf(first, sizeof(first), "%.*s",
		 comma ? (int)(comma - text) : (int)strlen(text), text);
	if (number_parse(first, &numbers[0]))
		return -EINVAL;
	return comma ? number_parse(comma + 1, &numbers[1]) : 0;
}

/* What was left out: rows one behind the other, planes one behind the other. */
static int complete(const struct command *command, struct wish *wish,
		    const uint64_t *strides, int nr_strides,
		    const uint64_t *offsets, int nr_offsets)
{
	struct barter_pf_set *picture = &wish->picture;
	int i, planes = picture->format == BARTER_PF_NV12 ? 2 : 1;

	if (nr_strides > planes || nr_offsets > planes)
		return wrong_usage(command, "%s has one plane: one stride, one offset",
				   format_name(picture->format));
	for (i = 0; i < planes; i++) {
		uint64_t stride = nr_strides > i ? strides[i] :
			i ? picture->planes[0].stride :
			format_row(picture->format, picture->width);

		if (stride > UINT32_MAX)
			return wrong_usage(command, "a stride is below 4 GiB");
		picture->planes[i].stride = (uint32_t)stride;
		picture->planes[i].offset = nr_offsets > i ? offsets[i] : i ?
			picture->planes[0].offset + (uint64_t)
			picture->planes[0].stride * picture->height : 0;
	}
	return EXIT_OK;
}

static int check_wish(const struct command *command, const struct wish *wish,
		      int described)
{
	if (wish->set && wish->clear)
		return wrong_usage(command, "only one of --set and --clear");
	if (wish->set && !wish->picture.width)
		return wrong_usage(command, "--set needs --size WIDTHxHEIGHT");
	if (!wish->set && described)
		return wrong_usage(command, "--size, --format, --stride and --offset go with --set");
	if (wish->path && (wish->clear || wish->json))
		return wrong_usage(command, "-o writes a frame; it goes with neither --clear nor --json");
	return EXIT_OK;
}

static int take_option(const struct command *command, struct wish *wish,
		       int option, const char *value)
{
	uint64_t number;

	switch (option) {
	case OPTION_SET:
		if (number_parse(value, &number) || number > INT32_MAX)
			return wrong_usage(command, "--set takes the number of an fd, not \"%s\"",
					   value);
		wish->picture.dmabuf_fd = (int32_t)number;
		wish->set = 1;
		break;
	case OPTION_SIZE:
		if (parse_size(value, &wish->picture) || !wish->picture.width)
			return wrong_usage(command, "\"%s\" is no size; expected WIDTHxHEIGHT, such as 640x480",
					   value);
		break;
	case OPTION_FORMAT:
		wish->picture.format = format_parse(value);
		if (!wish->picture.format)
			return wrong_usage(command, "\"%s\" is no format; expected XRGB8888, RGB565 or NV12",
					   value);
		break;
	case OPTION_CLEAR:
		wish->clear = 1;
		break;
	case OPTION_O:
		wish->path = value;
		break;
	case OPTION_ALL:
		wish->all = 1;
		break;
	default:
		wish->json = 1;
		break;
	}
	return EXIT_OK;
}

int run_scanout(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_SET] = "set=",
		[OPTION_SIZE] = "size=",
		[OPTION_FORMAT] = "format=",
		[OPTION_STRIDE] = "stride=",
		[OPTION_OFFSET] = "offset=",
		[OPTION_CLEAR] = "clear",
		[OPTION_O] = "o=",
		[OPTION_ALL] = "all",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct wish wish = { .picture = {
		.size = sizeof(wish.picture), .format = BARTER_PF_XRGB8888,
	} };
	int option, status, described = 0, nr_strides = 0, nr_offsets = 0;
	uint64_t strides[2], offsets[2];
	char name[BARTER_BDF_LENGTH];
	struct barter_bdf bdf;

	while ((option = option_next(&options)) >= 0) {
		described |= option >= OPTION_SIZE && option <= OPTION_OFFSET;
		if (option == OPTION_STRIDE || option == OPTION_OFFSET)
			status = parse_planes(options.value, option == OPTION_STRIDE ?
					      strides : offsets,
					      option == OPTION_STRIDE ?
					      &nr_strides : &nr_offsets) ?
				wrong_usage(command, "\"%s\" is no number of bytes, nor two with a comma",
					    options.value) : EXIT_OK;
		else
			status = take_option(command, &wish, option, options.value);
		if (status)
			return status;
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (argc - options.at != 1)
		return wrong_usage(command, "expected the PCI address of one PF");
	if (barter_bdf_parse(argv[options.at], &bdf))
		return wrong_usage(command, "\"%s\" is no PCI address",
				   argv[options.at]);
	barter_bdf_format(&bdf, name);
	wish.name = name;
	status = check_wish(command, &wish, described);
	if (!status)
		status = complete(command, &wish, strides, nr_strides, offsets,
				  nr_offsets);
	return status ? status : carry_out(&wish);
}
