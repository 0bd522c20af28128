// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Colour for terminals alone, by the sequences that all of them know.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has_colour(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(to)) && !(no && *no) && term && *term &&
	       strcmp(term, "dumb");
}

const char *colour_on(FILE *to, enum colour colour)
{
	static const char *const codes[] = {
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_WARN] = "\033[33m",
		[COLOUR_BAD] = "\033[1;31m",
	};

	return has_colour(to) ? codes[colour] : "";
}

const char *colour_off(FILE *to)
{
	return has_colour(to) ? "\033[0m" : "";
}

enum colour colour_of_state(uint32_t state)
{
	return state == BARTER_STATE_OK ? COLOUR_GOOD :
	       state == BARTER_STATE_DEAD ? COLOUR_BAD : COLOUR_WARN;
}
