// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Options of the commands, and BARs for people.
 */
#include "cli.h"

#include <string.h>

/*
 * Options may stand among the operands, so what is found at @found moves to
 * the front and the operands it passed move up by one.
 */
static char *take(struct options *options, int found)
{
	char *text = options->argv[found];
	int i;

	for (i = found; i > options->at; i--)
		options->argv[i] = options->argv[i - 1];
	options->argv[options->at++] = text;
	return text;
}

static int option_found(struct options *options, int index, int next,
			const char *value)
{
	const char *name = options->names[index];
	size_t length = strlen(name);

	if (name[length - 1] != '=') {
		if (!value)
			return index;
		wrong_usage(options->command, "--%s takes no value", name);
		return OPTION_WRONG;
	}
	if (!value && next < options->argc)
		value = take(options, next);
	if (!value) {
		wrong_usage(options->command, "%s%.*s needs a value",
			    length > 2 ? "--" : "-", (int)length - 1, name);
		return OPTION_WRONG;
	}
	options->value = value;
	return index;
}

int option_next(struct options *options)
{
	const char *text, *name, *equals;
	size_t length;
	int i, found;

	if (!options->at)
		options->at = 1;
	for (found = options->at; found < options->argc; found++) {
		text = options->argv[found];
		/* "--" ends options; a lone "-" is an operand. */
		if (!strcmp(text, "--"))
			return OPTION_END;
		if (text[0] == '-' && text[1])
			break;
	}
	if (found == options->argc)
		return OPTION_END;
	text = take(options, found);
	if (!strcmp(text, "-h") || !strcmp(text, "--help")) {
		command_help(options->command, stdout);
		return OPTION_HELP;
	}
	/* One dash for one letter ("-o"), two for words. */
	name = text + (text[1] == '-' ? 2 : 1);
	equals = strchr(name, '=');
	length = equals ? (size_t)(equals - name) : strlen(name);
	for (i = 0; options->names[i]; i++)
		if (strcspn(options->names[i], "=") == length &&
		    !strncmp(options->names[i], name, length) &&
		    (length == 1) == (text[1] != '-'))
			return option_found(options, i, found + 1,
					    equals ? equals + 1 : NULL);
	wrong_usage(options->command, "unknown option \"%s\"", text);
	return OPTION_WRONG;
}

int option_exit(int option)
{
	return option == OPTION_HELP ? EXIT_OK : EXIT_USAGE;
}

const char *bars_format(const struct barter_pci *pci, char *text,
			size_t length)
{
	struct barter_bar bar;
	size_t used = 0;
	uint32_t i;

	snprintf(text, length, "-");
	for (i = 0; i < BARTER_BARS; i++) {
		if (barter_pci_bar(pci, i, &bar) ||
		    !(bar.flags & BARTER_BAR_MEMORY) || used >= length)
			continue;
		used += (size_t)snprintf(text + used, length - used,
					 "%s%u: %s%s", used ? ", " : "", i,
					 SIZE_TEXT(bar.length),
					 bar.flags & BARTER_BAR_UNASSIGNED ?
					 " (no address)" : "");
	}
	return text;
}
