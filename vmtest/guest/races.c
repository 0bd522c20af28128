// SPDX-License-Identifier: GPL-2.0-only
/*
 * races: KCSAN's reports of data races, out of the kernel log.
 *
 * A report is a block of lines with the stacks of both sides; %pS puts "[module]"
 * behind a module's function. It is a complaint if a module under test makes one
 * of the two accesses itself, or if the functions that make both were called by one
 * directly, as where a list is changed without its lock. Races of the kernel's own
 * code are many and not ours to fix, also where one side comes from us (capable()
 * changes current->flags under the scheduler's eyes) or both do on a long way (two
 * config writes in vfio-pci-core); they are counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

#define MAX_LINES 48

static char lines[MAX_LINES][256];
static int nr_lines;
static bool in_report;
static int foreign, complaints;

/* Of the report: sides seen, and how many of them we are next to. */
static int sides, our_sides;
static bool our_access;
/* Frames of the side so far. */
static int frames;

static void see_frame(const char *line)
{
	if (!sides || frames++ >= 2 || !modules_name(line))
		return;
	our_access |= frames == 1;
	our_sides++;
}

void races_start(void)
{
	int fd = open("/sys/kernel/debug/kcsan", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "on", 2) != 2)
		report("complaint KCSAN cannot be switched on: %s", strerror(errno));
	close(fd);
}

bool race_begins(const char *line)
{
	return strstr(line, "BUG: KCSAN: ");
}

static void report_ends(void)
{
	if (!in_report)
		return;
	in_report = false;
	/* A race of unknown origin has one side. */
	if (!our_access && (!our_sides || our_sides < sides)) {
		foreign++;
		return;
	}
	/* The first few tell the story; the console log has them all. */
	if (complaints++ < 10)
		for (int i = 0; i < nr_lines; i++)
			report("complaint kernel log: %s", lines[i]);
}

void race_line(const char *line)
{
	bool begins = race_begins(line);

	if (begins || strstr(line, "=================================="))
		report_ends();
	if (begins) {
		in_report = true;
		our_access = false;
		nr_lines = sides = our_sides = 0;
	}
	if (!in_report || !line[0])
		return;
	if (strstr(line, " bytes by ")) {
		sides++;
		frames = 0;
	} else if (line[0] == ' ') {
		see_frame(line);
	}
	if (nr_lines < MAX_LINES)
		snprintf(lines[nr_lines++], sizeof(lines[0]), "%s", line);
}

/* How much KCSAN has looked at: nothing met on one CPU at a time is no good news. */
static void watched(void)
{
	long watchpoints = 0, met = 0;
	char text[1024], *at;
	int fd = open("/sys/kernel/debug/kcsan", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n <= 0)
		return;
	text[n] = 0;
	at = strstr(text, "setup_watchpoints: ");
	if (at)
		sscanf(at, "setup_watchpoints: %ld", &watchpoints);
	at = strstr(text, "data_races: ");
	if (at)
		sscanf(at, "data_races: %ld", &met);
	report("note KCSAN watched %ld accesses, and %ld met another", watchpoints, met);
}

void races_end(void)
{
	report_ends();
	watched();
	if (complaints > 10)
		report("complaint %d more data races", complaints - 10);
	if (foreign)
		report("note data races among others' code: %d, see the console log", foreign);
}
