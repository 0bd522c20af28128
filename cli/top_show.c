// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A look at all buffers, for eyes and for programs.
 */
#include "top.h"
#include "json.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void head_text(const struct top_look *look, enum top_sort by, FILE *to)
{
	uint64_t length = 0, importers = 0;
	time_t seconds = (time_t)(look->time_ms / 1000);
	int i, waiting = 0, out = 0;
	struct tm local;
	char text[16];

	for (i = 0; i < look->nr; i++) {
		const struct top_buffer *buffer = &look->buffers[i];

		/* What a slice has is its parent's. */
		if (!buffer->slice)
			length += buffer->length;
		importers += (uint64_t)buffer->nr_importers;
		waiting += buffer->state == BARTER_STATE_REVOKING;
		out += buffer->state != BARTER_STATE_OK;
	}
	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	fprintf(to, "%s by %s: %d buffer%s, %s; %d out of reach, %d being revoked; %" PRIu64 " importers\n",
		text, top_sort_names[by], look->nr, look->nr == 1 ? "" : "s",
		SIZE_TEXT(length), out, waiting, importers);
}

static void holders_text(const struct top_buffer *buffer, FILE *to)
{
	int i;

	if (buffer->name[0])
		fprintf(to, " \"%s\"", PLAIN_TEXT(buffer->name));
	for (i = 0; i < buffer->nr_holders; i++)
		fprintf(to, " %d:%d %s", buffer->holders[i].pid, buffer->holders[i].fd,
			PLAIN_TEXT(buffer->holders[i].program));
	putc('\n', to);
}

static void importers_text(const struct top_buffer *buffer, FILE *to)
{
	int i;

	for (i = 0; i < buffer->nr_importers; i++) {
		const struct top_importer *importer = &buffer->importers[i];

		fprintf(to, "     importer %s (%s): %s of %s, %u mapped%s\n",
			PLAIN_TEXT(importer->name), PLAIN_TEXT(importer->driver),
			importer->type[0] ? PLAIN_TEXT(importer->type) :
			"no interconnect in use",
			PLAIN_TEXT(importer->types), importer->maps,
			importer->pinned ? ", pinned" : "");
	}
}

static void buffer_text(const struct top_buffer *buffer, FILE *to)
{
	int plain = buffer->state == BARTER_STATE_OK;
	char place[24], reasons[160];

	snprintf(place, sizeof(place), "%s/%u", buffer->device, buffer->bar);
	fprintf(to, "%4" PRIu64 " %-14s %8s %s%-8s%s %3d %4u %5u %7" PRIu64 " %6.*f %4" PRIu64,
		buffer->id, place, SIZE_TEXT(buffer->length),
		plain ? "" : colour_on(stdout, colour_of_state(buffer->state)),
		barter_state_name(buffer->state), plain ? "" : colour_off(stdout),
		buffer->nr_importers, buffer->maps, buffer->mmaps,
		buffer->faults[0] + buffer->faults[1] + buffer->faults[2],
		buffer->rate < 100 ? 1 : 0, buffer->rate, buffer->generation);
	holders_text(buffer, to);
	if (buffer->state == BARTER_STATE_OK)
		return;
	fprintf(to, "     %s: %s%s%s\n", barter_state_name(buffer->state),
		barter_reasons_format(buffer->reasons, reasons, sizeof(reasons)),
		buffer->blocker[0] ? "; waits for " : "", PLAIN_TEXT(buffer->blocker));
}

void top_text(const struct top_look *look, int importers, enum top_sort by, FILE *to)
{
	int i;

	head_text(look, by, to);
	fprintf(to, "%4s %-14s %8s %-8s %3s %4s %5s %7s %6s %4s %s\n", "ID",
		"DEVICE/BAR", "LENGTH", "STATE", "IMP", "MAPS", "MMAPS", "FAULTS", "/s",
		"GEN", "HELD BY");
	for (i = 0; i < look->nr; i++) {
		buffer_text(&look->buffers[i], to);
		if (importers)
			importers_text(&look->buffers[i], to);
	}
}

static void importer_json(const struct top_importer *importer, struct json *json)
{
	char types[BARTER_TYPES_LENGTH], *type, *rest = types;

	snprintf(types, sizeof(types), "%s", importer->types);
	json_open(json, NULL, '{');
	json_text(json, "name", importer->name);
	json_text(json, "driver", importer->driver);
	json_text(json, "interconnect", importer->type[0] ? importer->type : NULL);
	json_open(json, "interconnects", '[');
	while ((type = strsep(&rest, ",")))
		if (*type)
			json_text(json, NULL, type);
	json_close(json, ']');
	json_number(json, "maps", importer->maps);
	json_bool(json, "pinned", importer->pinned);
	json_close(json, '}');
}

static void people_json(const struct top_buffer *buffer, struct json *json)
{
	int i;

	json_open(json, "importers", '[');
	for (i = 0; i < buffer->nr_importers; i++)
		importer_json(&buffer->importers[i], json);
	json_close(json, ']');
	json_open(json, "holders", '[');
	for (i = 0; i < buffer->nr_holders; i++) {
		json_open(json, NULL, '{');
		json_number(json, "pid", (uint64_t)buffer->holders[i].pid);
		json_number(json, "fd", (uint64_t)buffer->holders[i].fd);
		json_text(json, "program", buffer->holders[i].program);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void buffer_json(const struct top_buffer *buffer, struct json *json)
{
	unsigned int bit;

	json_open(json, NULL, '{');
	json_number(json, "id", buffer->id);
	json_bool(json, "slice", buffer->slice);
	json_number(json, "parent", buffer->parent);
	json_number(json, "slices", buffer->slices);
	json_bool(json, "read_only", buffer->read_only);
	json_text(json, "device", buffer->device);
	json_number(json, "bar", buffer->bar);
	json_number(json, "length", buffer->length);
	json_number(json, "nr_ranges", buffer->nr_ranges);
	json_text(json, "state", barter_state_name(buffer->state));
	json_open(json, "reasons", '[');
	for (bit = 0; bit < 32; bit++)
		if (buffer->reasons & 1U << bit)
			json_text(json, NULL, barter_reason_name(1U << bit));
	json_close(json, ']');
	json_text(json, "blocker", buffer->blocker[0] ? buffer->blocker : NULL);
	json_number(json, "generation", buffer->generation);
	json_number(json, "changes", buffer->changes);
	json_number(json, "attachments", (uint64_t)buffer->nr_importers);
	json_number(json, "maps", buffer->maps);
	json_text(json, "name", buffer->name[0] ? buffer->name : NULL);
	json_text(json, "attribute", buffer->attribute);
	json_number(json, "mmaps", buffer->mmaps);
	json_number(json, "faults_pte", buffer->faults[0]);
	json_number(json, "faults_pmd", buffer->faults[1]);
	json_number(json, "faults_pud", buffer->faults[2]);
	json_number(json, "faults_per_second", (uint64_t)(buffer->rate + 0.5));
	people_json(buffer, json);
	json_close(json, '}');
}

void top_json(const struct top_look *look, FILE *to)
{
	struct json json = { .to = to, .one_line = 1 };
	int i;

	json_open(&json, NULL, '{');
	json_number(&json, "time_ms", look->time_ms);
	json_open(&json, "buffers", '[');
	for (i = 0; i < look->nr; i++)
		buffer_json(&look->buffers[i], &json);
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}
