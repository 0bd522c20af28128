// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A whole screen of a terminal. What was on it before comes back at the end.
 */
#include "top.h"

#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static int begun;

int terminal_begin(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &before))
		return -errno;
	raw = before;
	/* ^C and ^Z go on being signals. */
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return -errno;
	/* The other screen, no cursor. */
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
	begun = 1;
	return 0;
}

void terminal_end(void)
{
	if (!begun)
		return;
	begun = 0;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* One line up to @columns; sequences of colour take no room. */
static const char *show_line(const char *text, int columns)
{
	int column = 0, sequence = 0;

	for (; *text && *text != '\n'; text++) {
		if (*text == '\033')
			sequence = 1;
		if (sequence || column < columns)
			putchar(*text);
		column += !sequence;
		if (sequence && *text == 'm')
			sequence = 0;
	}
	fputs("\033[K", stdout);
	return *text ? text + 1 : text;
}

void terminal_show(const char *text)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	int row, rows = 0;
	const char *end;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (!size.ws_row || !size.ws_col)
		size = (struct winsize) { .ws_row = 24, .ws_col = 80 };
	for (end = text; *end; end++)
		rows += *end == '\n';
	fputs("\033[H", stdout);
	for (row = 1; *text && row <= size.ws_row; row++, rows--) {
		if (row == size.ws_row && rows > 1) {
			printf("... %d more lines\033[K", rows);
			break;
		}
		text = show_line(text, size.ws_col);
		if (row < size.ws_row)
			fputs("\r\n", stdout);
	}
	/* What an earlier, longer one has left. */
	if (row <= size.ws_row && !*text)
		fputs("\033[J", stdout);
	fflush(stdout);
}
