/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What barter top knows of all buffers at one moment, and the ways to show it.
 */
#ifndef BARTER_TOP_H
#define BARTER_TOP_H

#include "cli.h"

struct top_importer {
	char name[64];		/* of the device */
	char driver[64];
	uint32_t maps;
	int pinned;
	char type[BARTER_TYPE_LENGTH];		/* in use; empty: none */
	char types[BARTER_TYPES_LENGTH];	/* agreed on */
};

/* A process that has the buffer open. */
struct top_holder {
	uint64_t id;		/* of the buffer */
	int pid, fd;
	char program[20];
};

struct top_buffer {
	uint64_t id;
	char device[BARTER_BDF_LENGTH];
	uint32_t bar;
	uint64_t length;
	uint32_t nr_ranges;
	int slice, read_only;
	uint64_t parent;	/* of a slice; 0: it is gone */
	uint32_t slices;
	char attribute[8];
	char name[BARTER_BUFFER_NAME_LENGTH];
	uint32_t state, reasons;
	uint64_t generation;
	uint32_t maps, mmaps;
	char blocker[BARTER_NAME_LENGTH + 64];
	uint64_t faults[3];	/* by page, PMD, PUD */

	struct top_importer *importers;
	int nr_importers;
	const struct top_holder *holders;
	int nr_holders;

	/* Since the look before; 0 in the first. */
	double rate;		/* faults in a second */
	uint64_t changes;	/* of state */
};

struct top_look {
	struct top_buffer *buffers;
	int nr;
	struct top_holder *holders;	/* by buffer */
	int nr_holders;
	uint64_t time_ms;		/* since the epoch */
	uint64_t clock_ms;		/* monotonic */
};

enum top_sort {
	TOP_BY_ID, TOP_BY_DEVICE, TOP_BY_LENGTH, TOP_BY_STATE, TOP_BY_MMAPS,
	TOP_BY_FAULTS, TOP_BY_RATE, TOP_BY_CHANGES, TOP_SORTS
};
extern const char *const top_sort_names[TOP_SORTS];

/* Reads debugfs. 0, or EXIT_FAILED after complaining. */
int top_read(struct top_look *look);
void top_look_free(struct top_look *look);

/* Who has which buffer open; what may not be seen is left out. */
void top_holders(struct top_look *look);
void top_holders_forget(void);

/* Rates, from the look before (or NULL), then the order. */
void top_compare(struct top_look *look, const struct top_look *before);
void top_sort(struct top_look *look, enum top_sort by);

/* With colours, should stdout have them. */
void top_text(const struct top_look *look, int importers, enum top_sort by, FILE *to);
void top_json(const struct top_look *look, FILE *to);

/* ---- The terminal ------------------------------------------------------ */

/* Keys one by one, another screen; 0, or -errno with nothing changed. */
int terminal_begin(void);
void terminal_end(void);
/* Shows @text from the top, cut at the edges. */
void terminal_show(const char *text);

#endif /* BARTER_TOP_H */
