/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * A JSON writer: puts commas, indentation and escapes where they belong. The
 * caller opens and closes in pairs, and gives a name exactly to what is inside
 * an object (NULL elsewhere).
 */
#ifndef BARTER_JSON_H
#define BARTER_JSON_H

#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 16

struct json {
	FILE *to;
	int one_line;		/* for streams, which are read by lines */
	int depth;
	int used[JSON_DEPTH];	/* something stands at this depth already */
};

void json_open(struct json *json, const char *name, char bracket);
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *name, const char *text);
void json_number(struct json *json, const char *name, uint64_t number);
/* null for a negative number: "in no group" and the like. */
void json_index(struct json *json, const char *name, int number);
void json_bool(struct json *json, const char *name, int value);
/* Ends the document with a newline. */
void json_end(struct json *json);

#endif /* BARTER_JSON_H */
