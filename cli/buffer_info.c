// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How a buffer stands, for info and export.
 */
#include "buffer_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANGES_SHOWN 8

int buffer_info_get(const char *name, int fd, struct buffer_info *buffer)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };
	uint64_t length = 0;
	int control, ret;

	*buffer = (struct buffer_info) { .kind = BARTER_KIND_BARTER };
	if (!barter_buffer_kind(fd, &buffer->kind) &&
	    buffer->kind == BARTER_KIND_NATIVE) {
		ret = barter_buffer_length(fd, &length);
		buffer->info.out_length = length;
		return ret ? failed(name, "%s", strerror(-ret)) : EXIT_OK;
	}
	ret = barter_control_open(&control);
	if (ret)
		return failed_control(name, ret);
	ret = barter_buffer_ranges(control, fd, &buffer->ranges,
				   &buffer->nr_ranges);
	if (!ret) {
		info.importers = (uintptr_t)buffer->importers;
		info.nr_importers = BARTER_MAX_INFO_IMPORTERS;
		ret = barter_buffer_info(control, &info);
		if (ret)
			free(buffer->ranges);
	}
	close(control);
	if (ret == -EBADF)
		return failed(
			name,
			"is not open; pass the number of an fd that this process inherits, PID:FD, or a name");
	if (ret == -EINVAL)
		return failed(name, "is no buffer of barter's; those come from: barter export, barter borrow");
	if (ret)
		return failed_control(name, ret);
	buffer->info = info;
	return EXIT_OK;
}

void buffer_info_free(struct buffer_info *buffer)
{
	free(buffer->ranges);
}

static void device_name(const struct barter_info *info, char *text)
{
	struct barter_bdf bdf = {
		.domain = info->out_domain,
		.bus = info->out_bus,
		.devfn = info->out_devfn,
	};

	barter_bdf_format(&bdf, text);
}

static void importer_text(const struct barter_importer_info *importer)
{
	printf("  %s: %s (of %s), %u mapped\n", PLAIN_TEXT(importer->name),
	       importer->type[0] ? PLAIN_TEXT(importer->type) :
				   "no interconnect in use",
	       PLAIN_TEXT(importer->types), importer->maps);
}

static void what_text(const struct barter_info *info)
{
	printf("number       %" PRIu64, (uint64_t)info->out_id);
	if (info->out_flags & BARTER_BUFFER_SLICE && info->out_parent)
		printf(", a slice of %" PRIu64, (uint64_t)info->out_parent);
	else if (info->out_flags & BARTER_BUFFER_SLICE)
		printf(", a slice of what is gone");
	printf("%s\n", info->out_flags & BARTER_BUFFER_READ_ONLY ?
	       ", read-only" : "");
	if (info->out_slices)
		printf("slices       %u held\n", info->out_slices);
}

void buffer_info_text(const struct buffer_info *buffer, int all)
{
	const struct barter_info *info = &buffer->info;
	uint32_t i, shown = buffer->nr_ranges;
	char device[BARTER_BDF_LENGTH], reasons[160];

	printf("kind         %s\n", barter_kind_name(buffer->kind));
	if (buffer->kind == BARTER_KIND_NATIVE) {
		printf("length       %s (%" PRIu64 " bytes)\n",
		       SIZE_TEXT(info->out_length), (uint64_t)info->out_length);
		printf("state        not known: the buffer is of the kernel's own exporter\n");
		return;
	}
	barter_reasons_format(info->out_reasons, reasons, sizeof(reasons));
	what_text(info);
	if (info->out_flags & BARTER_BUFFER_UNTOLD) {
		printf("device       not told to who holds a slice\n");
	} else {
		device_name(info, device);
		printf("device       %s BAR %u\n", device, info->out_bar);
	}
	printf("length       %s (%" PRIu64 " bytes)\n",
	       SIZE_TEXT(info->out_length), (uint64_t)info->out_length);
	printf("state        %s%s%s%s%s%s\n",
	       colour_on(stdout, colour_of_state(info->out_state)),
	       barter_state_name(info->out_state), colour_off(stdout), reasons[0] ? " (" : "", reasons, reasons[0] ? ")" : "");
	if (info->out_blocker[0])
		printf("waits for    %s\n", PLAIN_TEXT(info->out_blocker));
	printf("generation   %" PRIu64 "\n", (uint64_t)info->out_generation);
	printf("importers    %u attached, %u mapped for DMA\n",
	       info->out_attachments, info->out_maps);
	for (i = 0; i < info->out_nr_importers; i++)
		importer_text(&buffer->importers[i]);
	if (i < info->out_attachments)
		printf("  ... %u more\n", info->out_attachments - i);
	if (info->out_name[0])
		printf("name         %s\n", PLAIN_TEXT(info->out_name));
	printf("attribute    %s\n", barter_memattr_name(info->out_memattr));
	printf("mmaps        %u\n", info->out_mmaps);
	printf("faults       %" PRIu64 " by page, %" PRIu64 " by PMD, %" PRIu64
	       " by PUD\n", (uint64_t)info->out_faults_pte,
	       (uint64_t)info->out_faults_pmd, (uint64_t)info->out_faults_pud);
	printf("ranges       %u\n", buffer->nr_ranges);
	if (!all && shown > RANGES_SHOWN)
		shown = RANGES_SHOWN;
	for (i = 0; i < shown; i++)
		printf("  0x%" PRIx64 "+0x%" PRIx64 "\n",
		       (uint64_t)buffer->ranges[i].offset,
		       (uint64_t)buffer->ranges[i].length);
	if (shown < buffer->nr_ranges)
		printf("  ... %u more; see --all\n",
		       buffer->nr_ranges - shown);
}

static void importer_json(const struct barter_importer_info *importer,
			  struct json *json)
{
	char types[BARTER_TYPES_LENGTH + 1], *type, *rest = types;

	snprintf(types, sizeof(types), "%.*s", BARTER_TYPES_LENGTH,
		 importer->types);
	json_open(json, NULL, '{');
	json_text(json, "name", importer->name);
	json_text(json, "interconnect", importer->type[0] ? importer->type : NULL);
	json_open(json, "interconnects", '[');
	while ((type = strsep(&rest, ",")))
		json_text(json, NULL, type);
	json_close(json, ']');
	json_number(json, "maps", importer->maps);
	json_close(json, '}');
}

void buffer_info_json(const struct buffer_info *buffer, struct json *json)
{
	const struct barter_info *info = &buffer->info;
	char text[BARTER_NAME_LENGTH + 1];
	unsigned int bit;
	uint32_t i;

	json_text(json, "kind", barter_kind_name(buffer->kind));
	if (buffer->kind == BARTER_KIND_NATIVE) {
		json_number(json, "length", info->out_length);
		return;
	}
	json_number(json, "id", info->out_id);
	json_bool(json, "slice", info->out_flags & BARTER_BUFFER_SLICE);
	json_number(json, "parent", info->out_parent);
	json_number(json, "slices", info->out_slices);
	json_bool(json, "read_only", info->out_flags & BARTER_BUFFER_READ_ONLY);
	if (info->out_flags & BARTER_BUFFER_UNTOLD) {
		json_text(json, "device", NULL);
		json_text(json, "bar", NULL);
	} else {
		device_name(info, text);
		json_text(json, "device", text);
		json_number(json, "bar", info->out_bar);
	}
	json_number(json, "length", info->out_length);
	json_text(json, "state", barter_state_name(info->out_state));
	json_open(json, "reasons", '[');
	for (bit = 0; bit < 32; bit++)
		if (info->out_reasons & 1U << bit)
			json_text(json, NULL, barter_reason_name(1U << bit));
	json_close(json, ']');
	snprintf(text, sizeof(text), "%.*s", BARTER_NAME_LENGTH,
		 info->out_blocker);
	json_text(json, "blocker", text[0] ? text : NULL);
	json_number(json, "generation", info->out_generation);
	json_number(json, "attachments", info->out_attachments);
	json_number(json, "maps", info->out_maps);
	json_open(json, "importers", '[');
	for (i = 0; i < info->out_nr_importers; i++)
		importer_json(&buffer->importers[i], json);
	json_close(json, ']');
	snprintf(text, sizeof(text), "%.*s", BARTER_BUFFER_NAME_LENGTH,
		 info->out_name);
	json_text(json, "name", text[0] ? text : NULL);
	json_text(json, "attribute", barter_memattr_name(info->out_memattr));
	json_number(json, "mmaps", info->out_mmaps);
	json_number(json, "faults_pte", info->out_faults_pte);
	json_number(json, "faults_pmd", info->out_faults_pmd);
	json_number(json, "faults_pud", info->out_faults_pud);
	json_open(json, "ranges", '[');
	for (i = 0; i < buffer->nr_ranges; i++) {
		json_open(json, NULL, '{');
		json_number(json, "offset", buffer->ranges[i].offset);
		json_number(json, "length", buffer->ranges[i].length);
		json_close(json, '}');
	}
	json_close(json, ']');
}
