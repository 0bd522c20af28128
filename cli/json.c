// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The JSON writer (RFC 8259). What is not UTF-8 becomes U+FFFD, so that the
 * output is valid whatever a device or a driver calls itself.
 */
#include "json.h"

#include <inttypes.h>
#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence at @s, or 0. */
static size_t utf8_length(const unsigned char *s)
{
	size_t i, length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		length = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		length = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		length = 4;
	else
		return 0;
	for (i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static void write_string(struct json *json, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', json->to);
	while (*s) {
		size_t length = utf8_length(s);

		if (*s == '"' || *s == '\\')
			fprintf(json->to, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", json->to);
		else if (*s == '\t')
			fputs("\\t", json->to);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(json->to, "\\u%04x", *s);
		else if (!length)
			fputs("\\ufffd", json->to);
		else
			fwrite(s, 1, length, json->to);
		s += length ? length : 1;
	}
	putc('"', json->to);
}

static void before(struct json *json, const char *name)
{
	if (json->depth) {
		if (json->one_line)
			fputs(json->used[json->depth] ? ", " : "", json->to);
		else
			fprintf(json->to, "%s\n%*s",
				json->used[json->depth] ? "," : "",
				json->depth * 2, "");
		json->used[json->depth] = 1;
	}
	if (name) {
		write_string(json, name);
		fputs(": ", json->to);
	}
}

void json_open(struct json *json, const char *name, char bracket)
{
	before(json, name);
	putc(bracket, json->to);
	if (json->depth < JSON_DEPTH - 1)
		json->depth++;
	json->used[json->depth] = 0;
}

void json_close(struct json *json, char bracket)
{
	int used = json->used[json->depth];

	json->depth--;
	if (used && !json->one_line)
		fprintf(json->to, "\n%*s", json->depth * 2, "");
	putc(bracket, json->to);
}

void json_text(struct json *json, const char *name, const char *text)
{
	before(json, name);
	if (text)
		write_string(json, text);
	else
		fputs("null", json->to);
}

void json_number(struct json *json, const char *name, uint64_t number)
{
	before(json, name);
	fprintf(json->to, "%" PRIu64, number);
}

void json_index(struct json *json, const char *name, int number)
{
	before(json, name);
	if (number < 0)
		fputs("null", json->to);
	else
		fprintf(json->to, "%d", number);
}

void json_bool(struct json *json, const char *name, int value)
{
	before(json, name);
	fputs(value ? "true" : "false", json->to);
}

void json_end(struct json *json)
{
	putc('\n', json->to);
}
