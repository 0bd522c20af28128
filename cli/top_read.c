// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * All buffers, as debugfs shows them. That is text for people, of the same version as
 * this program: a word that is not known is passed over, what is missing stays 0.
 */
#include "top.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const char *sysfs_path(const char *tail, char path[300])
{
	const char *root = getenv("BARTER_SYSFS");

	snprintf(path, 300, "%.200s/%s", root && *root ? root : "/sys", tail);
	return path;
}

static int failed_read(const char *path, int error)
{
	char other[300];

	if (error == EACCES)
		return failed(path, "all buffers of the machine are for root alone; run it as root (one that you hold: barter info, barter watch)");
	if (error == EPERM)
		return failed(path, "this kernel keeps debugfs shut (lockdown); one buffer at a time: barter info, barter watch");
	if (error != ENOENT)
		return failed(path, "cannot be read: %s", strerror(error));
	if (access(sysfs_path("module/barter", other), F_OK))
		return failed(path, "barter.ko is not loaded; run: modprobe barter-vfio-pci");
	if (access(sysfs_path("kernel/debug", other), F_OK))
		return failed(path, "this kernel has no debugfs (CONFIG_DEBUG_FS); one buffer at a time: barter info, barter watch");
	return failed(path, "debugfs is not mounted; run: mount -t debugfs debugfs /sys/kernel/debug");
}

static uint32_t parse_state(const char *word)
{
	uint32_t state;

	for (state = BARTER_STATE_OK; state < BARTER_STATE_DEAD; state++)
		if (!strcasecmp(word, barter_state_name(state)))
			return state;
	return BARTER_STATE_DEAD;
}

/* The kernel has "memory-off" for what is "memory" everywhere else. */
static int same_reason(const char *kernel, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(kernel, name, length) &&
	       (!kernel[length] || !strcmp(kernel + length, "-off"));
}

static uint32_t parse_reasons(char *words)
{
	uint32_t reasons = 0;
	unsigned int bit;
	char *word;

	while ((word = strsep(&words, ",")))
		for (bit = 0; bit < 32; bit++)
			if (same_reason(word, barter_reason_name(1U << bit)))
				reasons |= 1U << bit;
	return reasons;
}

/* The kernel writes bytes that would end a word as \ooo. */
static void unescape(const char *from, char *to, size_t length)
{
	size_t used = 0;

	while (*from && *from != '\n' && used + 1 < length) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			to[used++] = (char)((from[1] - '0') << 6 |
					    (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			to[used++] = *from++;
		}
	}
	to[used] = '\0';
}

static struct top_importer *add_importer(struct top_buffer *buffer)
{
	struct top_importer *more;

	more = realloc(buffer->importers,
		       (size_t)(buffer->nr_importers + 1) * sizeof(*more));
	if (!more)
		return NULL;
	buffer->importers = more;
	more += buffer->nr_importers++;
	memset(more, 0, sizeof(*more));
	return more;
}

/* The lines below "buffer ...". */
static int parse_detail(struct top_buffer *buffer, const char *line)
{
	struct top_importer *importer;
	char word[32], words[256];
	int at = 0;

	if (sscanf(line, " slice parent %" SCNu64, &buffer->parent) == 1) {
		buffer->slice = 1;
	} else if (sscanf(line, " slices %" SCNu32, &buffer->slices) == 1) {
		return 0;
	} else if (!strcmp(line, "  read-only\n")) {
		buffer->read_only = 1;
	} else if (sscanf(line, " memattr %7s name%n", buffer->attribute, &at) == 1 &&
		   at) {
		unescape(line + at + 1, buffer->name, sizeof(buffer->name));
	} else if (sscanf(line, " state %31s reasons %255s generation %" SCNu64 " maps %" SCNu32,
			  word, words, &buffer->generation, &buffer->maps) == 4) {
		buffer->state = parse_state(word);
		buffer->reasons = parse_reasons(words);
	} else if (!strncmp(line, "  blocker ", 10)) {
		snprintf(buffer->blocker, sizeof(buffer->blocker), "%.*s",
			 (int)strcspn(line + 10, "\n"), line + 10);
	} else if (!strncmp(line, "  importer ", 11)) {
		importer = add_importer(buffer);
		if (!importer)
			return -ENOMEM;
		sscanf(line, " importer %63s driver %63s maps %" SCNu32, importer->name,
		       importer->driver, &importer->maps);
		importer->pinned = !!strstr(line, " pinned\n");
	} else if (sscanf(line, " interconnect %31s of %255s", word, words) == 2 &&
		   buffer->nr_importers) {
		importer = &buffer->importers[buffer->nr_importers - 1];
		if (strcmp(word, "none"))
			snprintf(importer->type, sizeof(importer->type), "%.31s", word);
		snprintf(importer->types, sizeof(importer->types), "%.255s", words);
	} else {
		sscanf(line, " mmaps %" SCNu32 " faults pte %" SCNu64 " pmd %" SCNu64 " pud %" SCNu64,
		       &buffer->mmaps, &buffer->faults[0], &buffer->faults[1],
		       &buffer->faults[2]);
	}
	return 0;
}

static int parse_line(struct top_look *look, const char *line)
{
	struct top_buffer one = { .id = 0 }, *more;

	if (line[0] == ' ')
		return look->nr ? parse_detail(&look->buffers[look->nr - 1], line) : 0;
	if (sscanf(line, "buffer %" SCNu64 " device %15s bar %" SCNu32 " length %" SCNu64 " ranges %" SCNu32,
		   &one.id, one.device, &one.bar, &one.length, &one.nr_ranges) != 5)
		return 0;
	/* Powers of two, so that many buffers are no trouble. */
	if (!(look->nr & (look->nr - 1))) {
		more = realloc(look->buffers, (look->nr ? (size_t)look->nr * 2 : 1) *
			       sizeof(*more));
		if (!more)
			return -ENOMEM;
		look->buffers = more;
	}
	look->buffers[look->nr++] = one;
	return 0;
}

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int top_read(struct top_look *look)
{
	char path[300], *line = NULL;
	size_t length = 0;
	int ret = 0;
	FILE *file;

	*look = (struct top_look) {
		.time_ms = clock_ms(CLOCK_REALTIME),
		.clock_ms = clock_ms(CLOCK_MONOTONIC),
	};
	file = fopen(sysfs_path("kernel/debug/barter/buffers", path), "re");
	if (!file)
		return failed_read(path, errno);
	while (!ret && getline(&line, &length, file) > 0)
		ret = parse_line(look, line);
	if (!ret && ferror(file))
		ret = -errno;
	free(line);
	fclose(file);
	if (!ret)
		return EXIT_OK;
	top_look_free(look);
	return failed_read(path, -ret);
}

void top_look_free(struct top_look *look)
{
	int i;

	for (i = 0; i < look->nr; i++)
		free(look->buffers[i].importers);
	free(look->buffers);
	free(look->holders);
	*look = (struct top_look) { .nr = 0 };
}

static const struct top_buffer *find(const struct top_look *look, uint64_t id)
{
	int i;

	for (i = 0; i < look->nr; i++)
		if (look->buffers[i].id == id)
			return &look->buffers[i];
	return NULL;
}

static uint64_t all_faults(const struct top_buffer *buffer)
{
	return buffer->faults[0] + buffer->faults[1] + buffer->faults[2];
}

void top_compare(struct top_look *look, const struct top_look *before)
{
	const struct top_buffer *old;
	double seconds;
	int i;

	if (!before || look->clock_ms <= before->clock_ms)
		return;
	seconds = (double)(look->clock_ms - before->clock_ms) / 1000;
	for (i = 0; i < look->nr; i++) {
		struct top_buffer *buffer = &look->buffers[i];

		old = find(before, buffer->id);
		buffer->rate = (double)(all_faults(buffer) -
					(old ? all_faults(old) : 0)) / seconds;
		buffer->changes = buffer->generation - (old ? old->generation : 0);
	}
}

const char *const top_sort_names[TOP_SORTS] = {
	[TOP_BY_ID] = "id",
	[TOP_BY_DEVICE] = "device",
	[TOP_BY_LENGTH] = "length",
	[TOP_BY_STATE] = "state",
	[TOP_BY_MMAPS] = "mmaps",
	[TOP_BY_FAULTS] = "faults",
	[TOP_BY_RATE] = "rate",
	[TOP_BY_CHANGES] = "changes",
};

static enum top_sort sort_key;

/* What is larger, or worse, comes first. */
static double weight(const struct top_buffer *buffer)
{
	/* Who waits first, then who has lost its memory. */
	static const int states[] = {
		[BARTER_STATE_OK] = 0,
		[BARTER_STATE_DEAD] = 1,
		[BARTER_STATE_REVOKED] = 2,
		[BARTER_STATE_REVOKING] = 3,
	};

	switch (sort_key) {
	case TOP_BY_LENGTH:
		return (double)buffer->length;
	case TOP_BY_STATE:
		return states[buffer->state];
	case TOP_BY_MMAPS:
		return buffer->mmaps;
	case TOP_BY_FAULTS:
		return (double)all_faults(buffer);
	case TOP_BY_RATE:
		return buffer->rate;
	case TOP_BY_CHANGES:
		return (double)buffer->changes;
	default:
		return 0;
	}
}

static int order(const void *one, const void *two)
{
	const struct top_buffer *a = one, *b = two;
	double first = weight(a), second = weight(b);
	int ret = sort_key == TOP_BY_DEVICE ? strcmp(a->device, b->device) : 0;

	if (!ret)
		ret = (first < second) - (first > second);
	return ret ? ret : (a->id > b->id) - (a->id < b->id);
}

void top_sort(struct top_look *look, enum top_sort by)
{
	sort_key = by;
	if (look->nr)
		qsort(look->buffers, (size_t)look->nr, sizeof(*look->buffers), order);
}
