// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter top: all buffers, again and again.
 */
#include "top.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_D, OPTION_N, OPTION_SORT, OPTION_IMPORTERS, OPTION_JSON };

struct top {
	int delay_ms;
	uint64_t count;		/* 0: for ever */
	enum top_sort sort;
	int importers, json;

	int screen;		/* a terminal, with keys */
	int signals;		/* signalfd */
	struct top_look look;
};

/* "2", "0.5" */
static int parse_delay(const char *text, int *ms)
{
	double seconds;
	char *end;

	if (*text != '.' && (*text < '0' || *text > '9'))
		return -EINVAL;
	seconds = strtod(text, &end);
	if (*end || !(seconds >= 0.1 && seconds <= 3600))
		return -EINVAL;
	*ms = (int)(seconds * 1000);
	return 0;
}

static int show(struct top *top)
{
	char *text = NULL;
	size_t length;
	FILE *to;

	top_sort(&top->look, top->sort);
	if (top->json) {
		top_json(&top->look, stdout);
		return answer_done(EXIT_OK);
	}
	if (!top->screen) {
		top_text(&top->look, top->importers, top->sort, stdout);
		return answer_done(EXIT_OK);
	}
	to = open_memstream(&text, &length);
	if (!to)
		return failed("top", "out of memory");
	top_text(&top->look, top->importers, top->sort, to);
	fclose(to);
	terminal_show(text);
	free(text);
	return EXIT_OK;
}

static int look_again(struct top *top)
{
	struct top_look look;
	int status = top_read(&look);

	if (status)
		return status;
	top_holders(&look);
	top_compare(&look, top->look.clock_ms ? &top->look : NULL);
	top_look_free(&top->look);
	top->look = look;
	return EXIT_OK;
}

/* ^Z: the terminal is the shell's meanwhile. */
static void stop(struct top *top)
{
	if (top->screen)
		terminal_end();
	raise(SIGSTOP);
	if (top->screen)
		terminal_begin();
}

enum next { NEXT_WAIT, NEXT_SHOW, NEXT_LOOK, NEXT_END };

static enum next on_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof(info)) != sizeof(info))
		return NEXT_WAIT;
	if (info.ssi_signo == SIGWINCH)
		return NEXT_SHOW;
	if (info.ssi_signo != SIGTSTP)
		return NEXT_END;
	stop(top);
	return NEXT_LOOK;
}

static enum next on_key(struct top *top)
{
	char key;

	if (read(STDIN_FILENO, &key, 1) != 1)
		return NEXT_END;	/* the terminal is gone */
	switch (key) {
	case 'q':
		return NEXT_END;
	case 's':
		top->sort = (top->sort + 1) % TOP_SORTS;
		return NEXT_SHOW;
	case 'i':
		top->importers = !top->importers;
		return NEXT_SHOW;
	default:
		return NEXT_LOOK;
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the next look is due. */
static enum next pause_for(struct top *top, int64_t due)
{
	struct pollfd fds[2] = {
		{ .fd = top->signals, .events = POLLIN },
		{ .fd = top->screen ? STDIN_FILENO : -1, .events = POLLIN },
	};
	int64_t left = due - now_ms();

	if (left <= 0 || !poll(fds, 2, (int)left))
		return NEXT_LOOK;
	if (fds[0].revents)
		return on_signal(top);
	return fds[1].revents ? on_key(top) : NEXT_WAIT;
}

/* The first look is there already. */
static int go_on(struct top *top)
{
	int64_t due = now_ms() + top->delay_ms;
	enum next next = NEXT_LOOK;
	uint64_t looks = 1;
	int status;

	for (;;) {
		/* Another size or another order is nothing new for a file. */
		if (next == NEXT_LOOK || (next == NEXT_SHOW && top->screen)) {
			status = show(top);
			if (status)
				return status;
		}
		if (next == NEXT_END || (top->count && looks >= top->count))
			return EXIT_OK;
		next = pause_for(top, due);
		if (next != NEXT_LOOK)
			continue;
		status = look_again(top);
		if (status)
			return status;
		due = now_ms() + top->delay_ms;
		looks++;
		/* Tables behind each other, with a line between. */
		if (!top->screen && !top->json)
			putchar('\n');
	}
}

static int run(struct top *top)
{
	char why[300];
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	top->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (top->signals < 0)
		return failed("top", "%s", strerror(errno));
	/* Before the screen is another one: an error stays to be read. */
	status = look_again(top);
	if (!status && !top->json && top->count != 1 && isatty(STDOUT_FILENO) &&
	    isatty(STDIN_FILENO))
		top->screen = !terminal_begin();
	if (!status)
		status = go_on(top);
	terminal_end();
	if (!status && top->screen && top->count)
		top_text(&top->look, top->importers, top->sort, stdout);
	if (status && top->screen) {
		/* What was said of it is gone with the screen. */
		snprintf(why, sizeof(why), "%.299s", failed_text());
		failed("top", "%s", why);
	}
	top_look_free(&top->look);
	top_holders_forget();
	close(top->signals);
	return status;
}

static int take_option(const struct command *command, struct top *top, int option,
		       const char *value)
{
	int i;

	switch (option) {
	case OPTION_D:
		if (parse_delay(value, &top->delay_ms))
			return wrong_usage(command, "\"%s\" is no number of seconds from 0.1 to 3600",
					   value);
		break;
	case OPTION_N:
		if (number_parse(value, &top->count) || !top->count)
			return wrong_usage(command, "\"%s\" is no number of looks, at least 1",
					   value);
		break;
	case OPTION_SORT:
		for (i = 0; i < TOP_SORTS && strcmp(value, top_sort_names[i]); i++)
			;
		if (i == TOP_SORTS)
			return wrong_usage(command, "\"%s\" is no key to sort by; expected id, device, length, state, mmaps, faults, rate or changes",
					   value);
		top->sort = (enum top_sort)i;
		break;
	case OPTION_IMPORTERS:
		top->importers = 1;
		break;
	default:
		top->json = 1;
		break;
	}
	return EXIT_OK;
}

int run_top(const struct command *command, int argc, char **argv)
{
	static const char *const names[] = {
		[OPTION_D] = "d=",
		[OPTION_N] = "n=",
		[OPTION_SORT] = "sort=",
		[OPTION_IMPORTERS] = "importers",
		[OPTION_JSON] = "json",
		NULL
	};
	struct options options = { command, names, argc, argv, 0, NULL };
	struct top top = { .delay_ms = 2000 };
	int option, status;

	while ((option = option_next(&options)) >= 0) {
		status = take_option(command, &top, option, options.value);
		if (status)
			return status;
	}
	if (option != OPTION_END)
		return option_exit(option);
	if (options.at < argc)
		return wrong_usage(command, "unexpected \"%s\"", argv[options.at]);
	return run(&top);
}
