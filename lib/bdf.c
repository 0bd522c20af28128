// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * PCI addresses as text.
 */
#include "internal.h"

#include <stdio.h>

/*
 * Read 1 to @digits hexadecimal digits that are followed by @end. Returns what
 * comes after @end, or NULL.
 */
static const char *hex_until(const char *text, int digits, char end,
			     uint32_t *value)
{
	uint32_t sum = 0;
	int n;

	for (n = 0; n < digits; n++, text++) {
		if (*text >= '0' && *text <= '9')
			sum = sum << 4 | (uint32_t)(*text - '0');
		else if (*text >= 'a' && *text <= 'f')
			sum = sum << 4 | (uint32_t)(*text - 'a' + 10);
		else if (*text >= 'A' && *text <= 'F')
			sum = sum << 4 | (uint32_t)(*text - 'A' + 10);
		else
			break;
	}
	if (!n || *text != end)
		return NULL;
	*value = sum;
	return text + 1;
}

BARTER_API int barter_bdf_parse(const char *text, struct barter_bdf *bdf)
{
	uint32_t domain = 0, bus, slot, function;
	const char *rest;

	if (!text)
		return -EINVAL;
	/* With a domain there are two colons: 8 digits cover VMD's domains. */
	rest = hex_until(text, 8, ':', &domain);
	if (rest)
		rest = hex_until(rest, 2, ':', &bus);
	if (!rest) {
		domain = 0;
		rest = hex_until(text, 2, ':', &bus);
	}
	if (rest)
		rest = hex_until(rest, 2, '.', &slot);
	if (rest)
		rest = hex_until(rest, 1, '\0', &function);
	if (!rest || slot > 0x1f || function > 7)
		return -EINVAL;
	bdf->domain = domain;
	bdf->bus = (uint8_t)bus;
	bdf->devfn = (uint8_t)(slot << 3 | function);
	return 0;
}

BARTER_API char *barter_bdf_format(const struct barter_bdf *bdf, char *text)
{
	snprintf(text, BARTER_BDF_LENGTH, "%04x:%02x:%02x.%x", bdf->domain,
		 bdf->bus, bdf->devfn >> 3, bdf->devfn & 7U);
	return text;
}
