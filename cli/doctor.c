// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter doctor: what this machine lacks for lending, and the remedy.
 */
#include "doctor.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_FIX, OPTION_DRY_RUN, OPTION_JSON };

struct mode {
	int fix, dry_run, json;
};

static const char *const level_words[] = {
	[LEVEL_OK] = "ok",
	[LEVEL_NOTE] = "note",
	[LEVEL_WARN] = "warning",
	[LEVEL_MISSING] = "missing",
};

struct finding *finding_add(struct doctor *doctor, enum level level,
			    const char *subject)
{
	static struct finding lost;
	struct finding *finding = &lost;

	if (doctor->count == doctor->room) {
		int room = doctor->room + 32;
		struct finding *grown = realloc(doctor->findings,
						(size_t)room * sizeof(*grown));

		if (grown) {
			doctor->findings = grown;
			doctor->room = room;
		} else {
			doctor->out_of_memory = 1;
		}
	}
	if (doctor->count < doctor->room)
		finding = &doctor->findings[doctor->count++];
	memset(finding, 0, sizeof(*finding));
	finding->level = level;
	FINDING_SAY(finding, subject, "%s", subject);
	return finding;
}

static int count_of(const struct doctor *doctor, enum level level)
{
	int i, count = 0;

	for (i = 0; i < doctor->count; i++)
		count += doctor->findings[i].level == level;
	return count;
}

static void doctor_json(const struct doctor *doctor)
{
	struct json json = { .to = stdout };
	int i;

	json_open(&json, NULL, '{');
	json_number(&json, "missing",
		    (uint64_t)count_of(doctor, LEVEL_MISSING));
	json_number(&json, "warnings",
		    (uint64_t)count_of(doctor, LEVEL_WARN));
	json_open(&json, "findings", '[');
	for (i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		json_open(&json, NULL, '{');
		json_text(&json, "level", level_words[finding->level]);
		json_text(&json, "subject", finding->subject);
		json_text(&json, "what", finding->what);
		json_text(&json, "why",
			  finding->why[0] ? finding->why : NULL);
		json_text(&json, "remedy",
			  finding->remedy[0] ? finding->remedy : NULL);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_open(&json, "fixes", '[');
	for (i = 0; i < doctor->nr_fixed; i++) {
		const struct fixed *fixed = &doctor->fixed[i];

		json_open(&json, NULL, '{');
		json_text(&json, "command", fixed->command);
		json_bool(&json, "done", fixed->done);
		json_text(&json, "error", fixed->error[0] ? fixed->error : NULL);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	json_end(&json);
}

/* What --fix did, and what it leaves to a person. */
static void fixes_text(const struct doctor *doctor, const struct mode *mode)
{
	int i, left = 0;

	for (i = 0; i < doctor->nr_fixed; i++) {
		const struct fixed *fixed = &doctor->fixed[i];

		printf("%s: %s%s%s\n", mode->dry_run ? "would do" : fixed->done ?
		       "done" : "failed", fixed->command,
		       fixed->error[0] ? ": " : "", fixed->error);
	}
	if (!doctor->nr_fixed)
		puts("nothing that --fix does by itself");
	for (i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		if (finding->level < LEVEL_WARN || finding->fix || !finding->remedy[0])
			continue;
		if (!left++)
			puts("left to you, as it gives or takes something:");
		printf("  %s: %s\n", finding->subject, finding->remedy);
	}
}

static void doctor_text(const struct doctor *doctor, const struct mode *mode)
{
	static const enum colour colours[] = {
		[LEVEL_OK] = COLOUR_GOOD,
		[LEVEL_WARN] = COLOUR_WARN,
		[LEVEL_MISSING] = COLOUR_BAD,
	};
	int i, missing = count_of(doctor, LEVEL_MISSING);
	int warnings = count_of(doctor, LEVEL_WARN);
	const char *pad = "                                ";

	for (i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		/* Notes are as they are. */
		printf("%s%-8s%s %-22s %s\n", finding->level == LEVEL_NOTE ? "" :
		       colour_on(stdout, colours[finding->level]),
		       finding->level == LEVEL_MISSING ?
		       "MISSING" : level_words[finding->level],
		       finding->level == LEVEL_NOTE ? "" : colour_off(stdout),
		       finding->subject, finding->what);
		if (finding->why[0])
			printf("%swhy: %s\n", pad, finding->why);
		if (finding->remedy[0])
			printf("%sdo:  %s\n", pad, finding->remedy);
	}
	putchar('\n');
	if (missing)
		printf("%d missing", missing);
	else
		fputs("nothing is missing", stdout);
	if (warnings)
		printf(", %d warning%s", warnings, warnings == 1 ? "" : "s");
	putchar('\n');
	if (mode->fix)
		fixes_text(doctor, mode);
}

/* Devices that lend; if there is none, those that could. */
static void check_all_routes(struct doctor *doctor)
{
	const struct barter_pci *pci = NULL;
	int wanted, found = 0;

	for (wanted = BARTER_LEND_NOW; wanted <= BARTER_LEND_BIND && !found;
	     wanted++)
		while ((pci = barter_topology_next(doctor->topology, pci))) {
			if (barter_pci_lendable(doctor->topology, pci, NULL,
						0) != wanted)
				continue;
			found = 1;
			check_routes(doctor, pci);
		}
	if (!found) {
		struct finding *finding = finding_add(doctor, LEVEL_NOTE,
						      "devices");

		FINDING_SAY(finding, what, "no device here can lend");
		FINDING_SAY(finding, remedy, "see why: barter list");
	}
}

static int examine(struct doctor *doctor, char **names, int count)
{
	const struct barter_pci *pci;
	struct barter_bdf bdf;
	int i;

	check_machine(doctor);
	for (i = 0; i < count; i++) {
		barter_bdf_parse(names[i], &bdf);
		pci = barter_topology_find(doctor->topology, &bdf);
		if (!pci)
			return failed(names[i], "no such PCI device; see: barter list");
		check_device(doctor, pci);
		check_routes(doctor, pci);
	}
	if (!count)
		check_all_routes(doctor);
	check_limits(doctor);
	if (doctor->out_of_memory)
		return failed("doctor", "out of memory");
	return EXIT_OK;
}

/* Begin anew, but for what was fixed. */
static void forget(struct doctor *doctor)
{
	if (doctor->control >= 0)
		close(doctor->control);
	doctor->control = -ENOENT;
	free(doctor->findings);
	doctor->findings = NULL;
	doctor->count = doctor->room = 0;
	barter_topology_free(doctor->topology);
	doctor->topology = NULL;
}

static int look(struct doctor *doctor, char **names, int count)
{
	int ret;

	forget(doctor);
	ret = barter_topology_read(&doctor->topology);
	if (ret)
		return failed_topology(ret);
	return examine(doctor, names, count);
}

/* One fix may show what else is missing: a module first, then its node. */
static int look_and_fix(struct doctor *doctor, const struct mode *mode,
			char **names, int count)
{
	int status = look(doctor, names, count);

	if (!mode->fix || status)
		return status;
	while (fix_findings(doctor, mode->dry_run)) {
		status = look(doctor, names, count);
		if (status)
			return status;
	}
	return EXIT_OK;
}

int run_doctor(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_FIX] = "fix",
		[OPTION_DRY_RUN] = "dry-run",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct doctor doctor = { .control = -ENOENT };
	struct mode mode = { .fix = 0 };
	struct barter_bdf bdf;
	int option, i, status;

	while ((option = option_next(&options)) >= 0)
		*(option == OPTION_FIX ? &mode.fix : option == OPTION_DRY_RUN ?
		  &mode.dry_run : &mode.json) = 1;
	if (option != OPTION_END)
		return option_exit(option);
	if (mode.dry_run && !mode.fix)
		return wrong_usage(command, "--dry-run goes with --fix");
	for (i = options.at; i < argc; i++)
		if (barter_bdf_parse(argv[i], &bdf))
			return wrong_usage(command, "\"%s\" is no PCI address",
					   argv[i]);
	status = look_and_fix(&doctor, &mode, argv + options.at,
			      argc - options.at);
	if (!status) {
		if (mode.json)
			doctor_json(&doctor);
		else
			doctor_text(&doctor, &mode);
		status = count_of(&doctor, LEVEL_MISSING) ? EXIT_FAILED : EXIT_OK;
	}
	forget(&doctor);
	return status;
}
