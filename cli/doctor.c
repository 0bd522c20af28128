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
	json_close(&json, '}');
	json_end(&json);
}

static void doctor_text(const struct doctor *doctor)
{
	int i, missing = count_of(doctor, LEVEL_MISSING);
	int warnings = count_of(doctor, LEVEL_WARN);
	const char *pad = "                                ";

	for (i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		printf("%-8s %-22s %s\n", finding->level == LEVEL_MISSING ?
		       "MISSING" : level_words[finding->level],
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

static int examine(struct doctor *doctor, char **names, int count, int json)
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
	if (json)
		doctor_json(doctor);
	else
		doctor_text(doctor);
	return count_of(doctor, LEVEL_MISSING) ? EXIT_FAILED : EXIT_OK;
}

int run_doctor(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = { "json", NULL };
	struct options options = { command, names, argc, argv, 0, NULL };
	struct doctor doctor = { .control = -ENOENT };
	int option, i, ret, status, json = 0;
	struct barter_bdf bdf;

	while ((option = option_next(&options)) >= 0)
		json = 1;
	if (option != OPTION_END)
		return option_exit(option);
	for (i = options.at; i < argc; i++)
		if (barter_bdf_parse(argv[i], &bdf))
			return wrong_usage(command, "\"%s\" is no PCI address",
					   argv[i]);
	ret = barter_topology_read(&doctor.topology);
	if (ret)
		return failed("PCI devices", "cannot be read from sysfs: %s",
			      strerror(-ret));
	status = examine(&doctor, argv + options.at, argc - options.at, json);
	if (doctor.control >= 0)
		close(doctor.control);
	free(doctor.findings);
	barter_topology_free(doctor.topology);
	return status;
}
