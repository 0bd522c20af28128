// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Text in, numbers out, and sizes for people.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>

int number_parse(const char *text, uint64_t *number)
{
	unsigned int shift = 0;
	unsigned long long value;
	char *end;

	/* strtoull() takes signs and blanks, which are no numbers here. */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno)
		return -ERANGE;
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (end[shift ? 1 : 0])
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*number = (uint64_t)value << shift;
	return 0;
}

int bar_parse(const char *text, uint32_t *bar)
{
	if (text[0] < '0' || text[0] >= '0' + BARTER_BARS || text[1])
		return -EINVAL;
	*bar = (uint32_t)(text[0] - '0');
	return 0;
}

const char *size_format(uint64_t bytes, char text[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int unit = 0;

	while (unit < 4 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		unit++;
	}
	snprintf(text, 24, "%" PRIu64 " %s", bytes, units[unit]);
	return text;
}
