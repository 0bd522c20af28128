/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the commands of barter share.
 *
 * A command returns the exit status: 0 it is done, 1 it failed, 2 it was asked
 * wrongly. An error goes to stderr and names the object, what is wrong with
 * it and what to do. Nothing but a command's answer goes to stdout.
 */
#ifndef BARTER_CLI_H
#define BARTER_CLI_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <barter.h>

#define EXIT_OK		0
#define EXIT_FAILED	1
#define EXIT_USAGE	2

struct command {
	const char *group;	/* heading in "barter help"; commands of one stand together */
	const char *name;
	const char *arguments;	/* as shown after the name */
	const char *summary;	/* one line */
	const char *help;	/* the rest of "barter help NAME" */
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command commands[];
const struct command *command_find(const char *name);
void command_help(const struct command *command, FILE *to);

/* "barter: OBJECT: TEXT" on stderr; returns EXIT_FAILED. */
int failed(const char *object, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* TEXT of the failure that was complained about last, for answers in JSON; "" if none. */
const char *failed_text(void);
/* The same with the way to the help; returns EXIT_USAGE. */
int wrong_usage(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Says why barter_topology_read() failed; EXIT_FAILED. */
int failed_topology(int error);
/* Says why barter_device_open() failed and what to do; EXIT_FAILED. */
int failed_open(const char *bdf, int error);
/* Says why /dev/barter did not answer; EXIT_FAILED. */
int failed_control(const char *object, int error);
/* Says why a broker at @path (NULL: the usual one) did not answer; EXIT_FAILED. */
int failed_broker(const char *path, int error);
/* What is wrong with /dev/barter and what to do, as one line. */
const char *control_trouble(int error);

/*
 * Options that a command takes, for option_next(). A name that ends in '='
 * takes a value. "help" is understood everywhere.
 */
struct options {
	const struct command *command;
	const char *const *names;	/* ends with NULL */
	int argc;
	char **argv;
	int at;				/* next argument */
	const char *value;		/* of the option just found */
};

#define OPTION_END	(-1)	/* the rest are operands, from argv[at] on */
#define OPTION_WRONG	(-2)	/* already complained about: EXIT_USAGE */
#define OPTION_HELP	(-3)	/* help was printed: EXIT_OK */

/* Index into names of the next option, or one of the above. */
int option_next(struct options *options);
/* Exit status for what option_next() gave below OPTION_END. */
int option_exit(int option);

/* "4096", "0x1000", "4K", "1M", "2G"; -EINVAL, -ERANGE. */
int number_parse(const char *text, uint64_t *number);
int bar_parse(const char *text, uint32_t *bar);

/* "64 MiB": exact, in the largest unit that leaves no rest. */
const char *size_format(uint64_t bytes, char text[24]);
#define SIZE_TEXT(bytes) size_format((bytes), (char[24]) { 0 })

/*
 * What a process or a driver has called itself, for a terminal: at most @length bytes of
 * @from, of which those that are not ASCII that prints become "?". @text has room for a
 * NUL more.
 */
const char *plain_format(const char *from, size_t length, char *text);
#define PLAIN_TEXT(field) \
	plain_format(field, sizeof(field), (char[sizeof(field) + 1]) { 0 })

/* "0: 256 B, 2: 64 MiB" for all memory BARs; "-" if there is none. */
const char *bars_format(const struct barter_pci *pci, char *text,
			size_t length);

/*
 * Colour, where @to is a terminal that knows it and NO_COLOR is not set; else both are
 * empty. Nothing is ever said by colour alone.
 */
enum colour { COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD };

const char *colour_on(FILE *to, enum colour colour);
const char *colour_off(FILE *to);
/* Of a buffer's state. */
enum colour colour_of_state(uint32_t state);

/*
 * Work that may take long: where stderr is a terminal, a line there says, once a second
 * is over, what it is and how far (@total: bytes, or 0 if that is not known), also while a
 * system call does not return. One at a time; progress_end() wipes the line.
 */
void progress_begin(const char *object, const char *what, uint64_t total);
void progress_at(uint64_t done);
void progress_end(void);

/* Flush stdout; EXIT_FAILED if an answer could not be written. */
int answer_done(int status);

int run_list(const struct command *command, int argc, char **argv);
int run_doctor(const struct command *command, int argc, char **argv);
int run_bind(const struct command *command, int argc, char **argv);
int run_unbind(const struct command *command, int argc, char **argv);
int run_export(const struct command *command, int argc, char **argv);
int run_info(const struct command *command, int argc, char **argv);
int run_watch(const struct command *command, int argc, char **argv);
int run_top(const struct command *command, int argc, char **argv);
int run_topo(const struct command *command, int argc, char **argv);
int run_peek(const struct command *command, int argc, char **argv);
int run_poke(const struct command *command, int argc, char **argv);
int run_scanout(const struct command *command, int argc, char **argv);
int run_vend(const struct command *command, int argc, char **argv);
int run_borrow(const struct command *command, int argc, char **argv);

#endif /* BARTER_CLI_H */
