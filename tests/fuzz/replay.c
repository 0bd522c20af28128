// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Suite fuzz:replay: programs that have found something once, tests/regress/NAME.fuzz, NAME
 * being what was seen. Each file is run by one thread, from an empty world, and then by all
 * threads for a moment, for what takes two.
 *
 * The kernel judges, but a program that does not come to the point any more would please it
 * too. So every call of the first run has to succeed, but for what the file says:
 *
 *	# answers: CALL RESULT		each time, -errno
 *
 * And one thing beside: a run by --random can be had again by its seed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "../device/lib/tap.h"
#include "fuzz.h"

#define FOLDER	    "/tests/replay"
#define MAX_ANSWERS 8
#define NR_NOTED    32 /* programs of each thread */

struct answer {
	char call[40];
	long result;
};

static char path[300];
static struct answer answers[MAX_ANSWERS];
static unsigned int nr_answers;
static struct prog (*noted)[NR_NOTED];

/* ---- files ---- */

static void read_answers(void)
{
	FILE *f = fopen(path, "re");
	char line[400];

	nr_answers = 0;
	while (f && fgets(line, sizeof(line), f)) {
		struct answer *a = &answers[nr_answers];

		if (sscanf(line, "# answers: %39s %ld", a->call, &a->result) != 2)
			continue;
		if (++nr_answers == MAX_ANSWERS)
			tap_bail("%s: too many answers", path);
	}
	if (f)
		fclose(f);
}

static const struct answer *answer_of(const char *call)
{
	for (unsigned int i = 0; i < nr_answers; i++)
		if (!strcmp(answers[i].call, call))
			return &answers[i];
	return NULL;
}

static bool all_there(void)
{
	for (uint32_t i = 0; i < nr_replay; i++)
		for (uint32_t k = 0; k < replay[i].n; k++) {
			const struct call_group *g = call_group(replay[i].call[k].nr);

			if (group_there(g))
				continue;
			skip("see above", "%s takes calls of %s", path, g->name);
			return false;
		}
	return true;
}

static void empty(void)
{
	world_empty();
	picture_end();
	typed_end();
	vedu_end();
}

static void run_alone(void)
{
	struct thread *t = &threads[0];

	make_area(t);
	for (uint32_t i = 0; i < nr_replay; i++) {
		t->prog = replay[i];
		if (with_log)
			log_program(t);
		for (uint32_t k = 0; k < t->prog.n; k++) {
			const char *call = call_type(t->prog.call[k].nr)->name;
			const struct answer *a = answer_of(call);
			long ret = run_call(t, &t->prog.call[k]);

			if (a)
				is(ret, a->result, "program %u: %s", i, call);
			else
				ok(ret >= 0, "program %u: %s: %ld", i, call, ret);
		}
		t->programs++;
	}
	drop_kept(t);
}

/* Each counts from 0 again, which choose() goes by. */
static void all_together(void)
{
	unsigned int seen = 0;

	for (unsigned int i = 0; i < nr_threads; i++) {
		threads[i].programs = 0;
		threads[i].done = false;
	}
	run_threads();
	for (unsigned int i = 0; i < nr_threads; i++)
		seen += threads[i].seen_revoked;
	is(seen, 0, "what is revoked cannot be read");
}

static void replay_file(void)
{
	read_replay(path);
	read_answers();
	if (!all_there())
		return;
	empty();
	run_alone();
	empty();
	seconds = 2;
	all_together();
	empty();
}

static int is_program(const struct dirent *e)
{
	const char *end = strrchr(e->d_name, '.');

	return end && !strcmp(end, ".fuzz");
}

/* ---- seeds ---- */

void note_program(const struct thread *t)
{
	if (noted && t->programs < NR_NOTED)
		noted[t->id][t->programs] = t->prog;
}

/* What has run meanwhile has no part in what is made. */
static void a_seed_gives_its_programs_again(void)
{
	struct prog(*first)[NR_NOTED] = calloc(nr_threads, sizeof(*first));
	struct prog(*second)[NR_NOTED] = calloc(nr_threads, sizeof(*second));
	unsigned int same = 0, other = 0, none = 0;

	if (!first || !second)
		tap_bail("memory");
	replay = NULL;
	with_feedback = false;
	seconds = 3;
	noted = first;
	all_together();
	empty();
	noted = second;
	all_together();
	noted = NULL;
	for (unsigned int i = 0; i < nr_threads; i++)
		for (unsigned int k = 0; k < NR_NOTED; k++) {
			const struct prog *p = &first[i][k], *q = &second[i][k];
			size_t calls = p->n * sizeof(p->call[0]);

			if (!p->n || !q->n)
				none++;
			else if (p->n == q->n && !memcmp(p->call, q->call, calls))
				same++;
			else
				other++;
		}
	diag("%u programs are the same, %u are not, %u were made once or not at all", same, other,
	     none);
	is(other, 0, "no program is another one the second time");
	ok(same >= nr_threads, "as many as there are threads, at least");
	free(first);
	free(second);
}

void replay_suite(void)
{
	struct dirent **list;
	int n = scandir(FOLDER, &list, is_program, alphasort);

	ok(n > 0, "there are programs in " FOLDER);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), FOLDER "/%s", list[i]->d_name);
		tap_case(list[i]->d_name, replay_file, 60);
	}
	CASE(a_seed_gives_its_programs_again);
}
