// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The parser of policies, see policy.h.
 */
#include "policy.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keys of a section, and which of them it has had. */
enum key {
	KEY_DEVICE, KEY_BAR, KEY_RANGES, KEY_ALLOW, KEY_ACCESS, KEY_MEMORY,
	KEY_LIFETIME, KEY_USE, KEYS
};

static const struct {
	const char *name;
	int is_needed;
} keys[KEYS] = {
	[KEY_DEVICE] = { "device", 1 },
	[KEY_BAR] = { "bar", 1 },
	[KEY_RANGES] = { "ranges", 1 },
	[KEY_ALLOW] = { "allow", 1 },
	[KEY_ACCESS] = { "access", 1 },
	[KEY_MEMORY] = { "memory", 0 },
	[KEY_LIFETIME] = { "lifetime", 0 },
	[KEY_USE] = { "use", 0 },
};

struct parser {
	const char *name;	/* of the file */
	int line;
	char *error;
	size_t room;
	struct policy *policy;
	struct offer *offer;	/* the section's, or NULL */
	unsigned int seen;	/* bits of enum key */
};

static int wrong(struct parser *parser, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(struct parser *parser, int line, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(parser->error, parser->room, "%s:%d: %s", parser->name, line,
		 text);
	return -EINVAL;
}

/* The next word at *@at, which is cut off there; NULL at the end. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " \t");

	if (!*word)
		return NULL;
	*at = word + strcspn(word, " \t");
	if (**at)
		*(*at)++ = '\0';
	return word;
}

static int parse_device(struct parser *parser, char *value)
{
	struct barter_bdf bdf;

	if (barter_bdf_parse(value, &bdf))
		return wrong(parser, parser->line,
			     "\"%s\" is no PCI address; expected DOMAIN:BUS:SLOT.FUNCTION",
			     value);
	barter_bdf_format(&bdf, parser->offer->device);
	return 0;
}

static int parse_bar(struct parser *parser, char *value)
{
	if (bar_parse(value, &parser->offer->bar))
		return wrong(parser, parser->line,
			     "\"%s\" is no BAR; expected 0..5", value);
	return 0;
}

static int parse_range(struct parser *parser, const char *word,
		       struct barter_range *range)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *plus = strchr(word, '+');
	uint64_t offset, length;
	char first[40];

	if (!plus || plus - word >= (int)sizeof(first))
		return wrong(parser, parser->line,
			     "\"%s\" is no OFFSET+LENGTH", word);
	snprintf(first, sizeof(first), "%.*s", (int)(plus - word), word);
	if (number_parse(first, &offset) || number_parse(plus + 1, &length))
		return wrong(parser, parser->line,
			     "\"%s\" is no OFFSET+LENGTH", word);
	if (offset % page || length % page || !length)
		return wrong(parser, parser->line,
			     "\"%s\": offset and length must be multiples of %llu, and the length not 0",
			     word, (unsigned long long)page);
	if (offset > UINT64_MAX - length ||
	    parser->offer->length > UINT64_MAX - length)
		return wrong(parser, parser->line, "\"%s\" is beyond 64 bits",
			     word);
	parser->offer->length += length;
	*range = (struct barter_range) { .offset = offset, .length = length };
	return 0;
}

static int parse_ranges(struct parser *parser, char *value)
{
	struct offer *offer = parser->offer;
	char *word;

	while ((word = next_word(&value))) {
		struct barter_range *more;
		int ret;

		if (offer->nr_ranges == OFFER_RANGES)
			return wrong(parser, parser->line,
				     "more than %u ranges in one offer",
				     OFFER_RANGES);
		more = realloc(offer->ranges,
			       (offer->nr_ranges + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		offer->ranges = more;
		ret = parse_range(parser, word, &more[offer->nr_ranges]);
		if (ret)
			return ret;
		offer->nr_ranges++;
	}
	return 0;
}

/* A number, or a name that @find knows. */
static int parse_id(const char *text, int is_user, uint32_t *id)
{
	uint64_t number;

	if (isdigit((unsigned char)*text)) {
		/* -1 stands for nobody in the kernel's calls. */
		if (number_parse(text, &number) || number >= UINT32_MAX ||
		    text[strspn(text, "0123456789")])
			return -EINVAL;
		*id = (uint32_t)number;
		return 0;
	}
	if (is_user) {
		struct passwd *user = getpwnam(text);

		if (!user)
			return -ENOENT;
		*id = user->pw_uid;
	} else {
		struct group *group = getgrnam(text);

		if (!group)
			return -ENOENT;
		*id = group->gr_gid;
	}
	return 0;
}

static int parse_rule(struct parser *parser, const char *word,
		      struct rule *rule)
{
	int ret;

	rule->id = 0;
	if (!strcmp(word, "any")) {
		rule->kind = RULE_ANY;
		return 0;
	}
	if (strncmp(word, "uid:", 4) && strncmp(word, "gid:", 4))
		return wrong(parser, parser->line,
			     "\"%s\" is nobody; expected any, uid:USER or gid:GROUP",
			     word);
	rule->kind = word[0] == 'u' ? RULE_UID : RULE_GID;
	ret = parse_id(word + 4, word[0] == 'u', &rule->id);
	if (ret)
		return wrong(parser, parser->line, "\"%s\": %s", word,
			     ret == -ENOENT ? "there is no such name here" :
			     "not a number of a user or group");
	return 0;
}

static int parse_allow(struct parser *parser, char *value)
{
	struct offer *offer = parser->offer;
	char *word;
	int ret;

	offer->rules = calloc(OFFER_RULES, sizeof(*offer->rules));
	if (!offer->rules)
		return -ENOMEM;
	while ((word = next_word(&value))) {
		if (offer->nr_rules == OFFER_RULES)
			return wrong(parser, parser->line,
				     "more than %u words; use a group",
				     OFFER_RULES);
		ret = parse_rule(parser, word, &offer->rules[offer->nr_rules]);
		if (ret)
			return ret;
		offer->nr_rules++;
	}
	return 0;
}

/* One of two words; the second one sets @flag. */
static int parse_choice(struct parser *parser, const char *value,
			const char *off, const char *on, uint32_t flag)
{
	if (!strcmp(value, on))
		parser->offer->flags |= flag;
	else if (strcmp(value, off))
		return wrong(parser, parser->line,
			     "\"%s\": expected %s or %s", value, off, on);
	return 0;
}

static int parse_lifetime(struct parser *parser, const char *value)
{
	unsigned long long seconds, unit;
	char *end;

	if (!strcmp(value, "unlimited"))
		return 0;
	errno = 0;
	seconds = isdigit((unsigned char)*value) ? strtoull(value, &end, 10) : 0;
	if (seconds && !errno) {
		unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : 0;
		if (unit && !end[1] && seconds <= UINT32_MAX / 2 / unit) {
			parser->offer->seconds = (uint32_t)(seconds * unit);
			parser->offer->flags |= BARTER_VEND_LIMITED;
			return 0;
		}
	}
	return wrong(parser, parser->line,
		     "\"%s\" is no lifetime; expected such as 90s, 5m, 1h, or unlimited",
		     value);
}

static int parse_value(struct parser *parser, enum key key, char *value)
{
	switch (key) {
	case KEY_DEVICE:
		return parse_device(parser, value);
	case KEY_BAR:
		return parse_bar(parser, value);
	case KEY_RANGES:
		return parse_ranges(parser, value);
	case KEY_ALLOW:
		return parse_allow(parser, value);
	case KEY_ACCESS:
		return parse_choice(parser, value, "read-write", "read-only",
				    BARTER_VEND_READ_ONLY);
	case KEY_MEMORY:
		return parse_choice(parser, value, "uc", "wc", BARTER_VEND_WC);
	case KEY_LIFETIME:
		return parse_lifetime(parser, value);
	default:
		return parse_choice(parser, value, "exclusive", "shared",
				    BARTER_VEND_SHARED);
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct barter_range *one = a, *other = b;

	return one->offset < other->offset ? -1 : one->offset > other->offset;
}

/* The section ends here: is it whole? */
static int end_section(struct parser *parser)
{
	struct offer *offer = parser->offer;
	size_t bytes;
	int key;

	if (!offer)
		return 0;
	for (key = 0; key < KEYS; key++)
		if (keys[key].is_needed && !(parser->seen & 1U << key))
			return wrong(parser, offer->line,
				     "[%s] has no \"%s\"", offer->name,
				     keys[key].name);
	bytes = offer->nr_ranges * sizeof(*offer->cover);
	offer->cover = malloc(bytes);
	if (!offer->cover)
		return -ENOMEM;
	memcpy(offer->cover, offer->ranges, bytes);
	qsort(offer->cover, offer->nr_ranges, sizeof(*offer->cover),
	      by_offset);
	parser->offer = NULL;
	return 0;
}

static int is_name(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t length = strlen(text);

	return length && length < BARTER_VEND_NAME_LENGTH &&
	       strchr(letters, text[0]) &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

static int begin_section(struct parser *parser, char *text)
{
	size_t length = strlen(text);
	struct offer *offer;
	uint32_t i;
	int ret;

	ret = end_section(parser);
	if (ret)
		return ret;
	if (text[length - 1] != ']')
		return wrong(parser, parser->line, "no \"]\" at the end");
	text[length - 1] = '\0';
	text++;
	if (!is_name(text))
		return wrong(parser, parser->line,
			     "\"%s\" is no name; expected up to %d of a-z, 0-9, '.', '_', '-', the first a letter or digit",
			     text, BARTER_VEND_NAME_LENGTH - 1);
	for (i = 0; i < parser->policy->nr; i++)
		if (!strcmp(parser->policy->offers[i]->name, text))
			return wrong(parser, parser->line,
				     "[%s] is there already, in line %d", text,
				     parser->policy->offers[i]->line);
	if (parser->policy->nr == POLICY_OFFERS)
		return wrong(parser, parser->line, "more than %u offers",
			     POLICY_OFFERS);
	offer = calloc(1, sizeof(*offer));
	if (!offer)
		return -ENOMEM;
	offer->references = 1;
	offer->line = parser->line;
	strcpy(offer->name, text);
	parser->policy->offers[parser->policy->nr++] = offer;
	parser->offer = offer;
	parser->seen = 0;
	return 0;
}

static int parse_setting(struct parser *parser, char *text)
{
	char *equals = strchr(text, '='), *name = text, *end, *value;
	int key;

	if (!equals)
		return wrong(parser, parser->line,
			     "expected [NAME] or KEY = VALUE");
	*equals = '\0';
	for (end = equals; end > name && isblank((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	value = equals + 1 + strspn(equals + 1, " \t");
	for (key = 0; key < KEYS && strcmp(keys[key].name, name); key++)
		continue;
	if (key == KEYS)
		return wrong(parser, parser->line, "unknown key \"%s\"", name);
	if (!parser->offer)
		return wrong(parser, parser->line,
			     "\"%s\" before the first [NAME]", name);
	if (parser->seen & 1U << key && key != KEY_RANGES)
		return wrong(parser, parser->line,
			     "\"%s\" twice in [%s]", name, parser->offer->name);
	if (!*value)
		return wrong(parser, parser->line, "\"%s\" has no value", name);
	parser->seen |= 1U << key;
	return parse_value(parser, (enum key)key, value);
}

static int parse_line(struct parser *parser, const char *from, size_t length)
{
	char line[POLICY_LINE], *text = line;
	size_t i;

	if (length >= sizeof(line))
		return wrong(parser, parser->line,
			     "longer than %zu bytes; \"ranges\" may be repeated",
			     sizeof(line) - 1);
	memcpy(line, from, length);
	line[length] = '\0';
	text += strspn(text, " \t");
	if (*text == '#')
		return memchr(line, '\0', length) ?
		       wrong(parser, parser->line, "a NUL byte") : 0;
	for (i = 0; i < length; i++)
		if ((line[i] < ' ' && line[i] != '\t') || line[i] > '~')
			return wrong(parser, parser->line,
				     "byte 0x%02x is not plain text",
				     (unsigned char)line[i]);
	while (length && isblank((unsigned char)line[length - 1]))
		line[--length] = '\0';
	if (!*text)
		return 0;
	return *text == '[' ? begin_section(parser, text) :
	       parse_setting(parser, text);
}

/*
 * What is lent to several at once has one kind of memory: the kernel maps no page in
 * two ways.
 */
static int check_memory(struct parser *parser)
{
	struct offer **offers = parser->policy->offers;
	uint32_t nr = parser->policy->nr, i, j;

	for (i = 0; i < nr; i++)
		for (j = 0; j < i; j++)
			if (offers[i]->flags & offers[j]->flags &
			    BARTER_VEND_SHARED &&
			    (offers[i]->flags ^ offers[j]->flags) &
			    BARTER_VEND_WC &&
			    offer_overlaps(offers[i], offers[j]))
				return wrong(parser, offers[i]->line,
					     "[%s] is shared, and [%s] lends some of it with another \"memory\"",
					     offers[i]->name, offers[j]->name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct offer *const *one = a, *const *other = b;

	return strcmp((*one)->name, (*other)->name);
}

int policy_parse(const char *name, const char *text, size_t length,
		 struct policy **policy, char *error, size_t room)
{
	struct parser parser = { .name = name, .error = error, .room = room };
	const char *end = text + length;
	int ret = 0;

	snprintf(error, room, "%s: out of memory", name);
	parser.policy = calloc(1, sizeof(*parser.policy));
	if (!parser.policy)
		return -ENOMEM;
	parser.policy->offers = calloc(POLICY_OFFERS, sizeof(struct offer *));
	if (!parser.policy->offers)
		ret = -ENOMEM;
	while (!ret && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t bytes = (size_t)((newline ? newline : end) - text);

		parser.line++;
		ret = parse_line(&parser, text, bytes);
		text += bytes + 1;
	}
	if (!ret)
		ret = end_section(&parser);
	if (!ret)
		ret = check_memory(&parser);
	if (ret) {
		policy_free(parser.policy);
		return ret;
	}
	qsort(parser.policy->offers, parser.policy->nr,
	      sizeof(struct offer *), by_name);
	*policy = parser.policy;
	return 0;
}
