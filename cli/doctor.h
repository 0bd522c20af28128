/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Findings of barter doctor, and the checks that make them.
 */
#ifndef BARTER_DOCTOR_H
#define BARTER_DOCTOR_H

#include "cli.h"

enum level {
	LEVEL_OK,	/* as it should be */
	LEVEL_NOTE,	/* good to know */
	LEVEL_WARN,	/* something works less than it could */
	LEVEL_MISSING,	/* lending or P2P does not work: exit status 1 */
};

/* What --fix does by itself: nothing that takes or gives away anything. */
enum fix {
	FIX_NONE,	/* the remedy is for a person */
	FIX_MODULE,	/* load a module */
	FIX_NODE,	/* make a node in /dev that the kernel has */
	FIX_BIND,	/* bind a device that was named and has no driver */
};

struct finding {
	enum level level;
	enum fix fix;
	char object[40];	/* of fix: module, node below /dev, device */
	char subject[40];
	char what[400];		/* is the case */
	char why[320];		/* that matters; may be empty */
	char remedy[400];	/* exact; may be empty */
};

/* What --fix has done, or would do. */
struct fixed {
	char command[80];
	int done;
	char error[300];	/* empty: none, or not tried */
};

#define FIXES 32

struct doctor {
	struct fixed fixed[FIXES];
	int nr_fixed;

	struct barter_topology *topology;
	struct finding *findings;
	int count;
	int room;
	int out_of_memory;
	int control;		/* fd of /dev/barter, or -errno */
};

/* Adds a finding to be filled; never NULL. */
struct finding *finding_add(struct doctor *doctor, enum level level,
			    const char *subject);
#define FINDING_SAY(finding, field, ...) \
	snprintf((finding)->field, sizeof((finding)->field), __VA_ARGS__)

void check_machine(struct doctor *doctor);
void check_device(struct doctor *doctor, const struct barter_pci *pci);
void check_routes(struct doctor *doctor, const struct barter_pci *exporter);
void check_limits(struct doctor *doctor);

/*
 * Do what the findings have for --fix and was not tried yet, or only list it. Returns how
 * many were done.
 */
int fix_findings(struct doctor *doctor, int dry_run);

#endif /* BARTER_DOCTOR_H */
