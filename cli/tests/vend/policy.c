// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The parser of policies: what it takes, and what it says of the rest.
 */
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY "device = 1:00.0\nbar = 2\nranges = 0+4K\nallow = any\naccess = read-write\n"

static struct policy *parse(const char *text, char *error, size_t room)
{
	struct policy *policy = NULL;
	int ret = policy_parse("p", text, strlen(text), &policy, error, room);

	return ret ? NULL : policy;
}

static void all_that_can_be_said(void)
{
	char error[256];
	struct policy *policy;
	const struct offer *offer;

	policy = parse("# a comment, \xc3\xa4\n\n \t[z.9_-a] \t\n"
		       "\tdevice=abcd:01:1f.7\n  bar\t=\t5\t\n"
		       "ranges = 1M+64K 0x1000+4096\nranges = 0+2G\n"
		       "allow = uid:root gid:0 uid:4294967294 any\n"
		       "access = read-only\nmemory = wc\nlifetime = 90m\n"
		       "use = shared\n[a]\n" BODY "lifetime = unlimited\n"
		       "memory = uc\nuse = exclusive",
		       error, sizeof(error));
	CHECK(policy && policy->nr == 2, "%s", error);
	if (!policy)
		return;
	CHECK(!strcmp(policy->offers[0]->name, "a"), "sorted by name");
	offer = policy_find(policy, "z.9_-a");
	CHECK(offer && offer->line == 3 && offer->bar == 5 &&
	      !strcmp(offer->device, "abcd:01:1f.7"), "device and bar");
	CHECK(offer->flags == (BARTER_VEND_READ_ONLY | BARTER_VEND_WC |
			       BARTER_VEND_LIMITED | BARTER_VEND_SHARED) &&
	      offer->seconds == 5400, "flags %x, %u s", offer->flags,
	      offer->seconds);
	CHECK(offer->nr_ranges == 3 && offer->ranges[0].offset == 1 << 20 &&
	      offer->ranges[1].length == 4096 &&
	      offer->length == (64 << 10) + 4096 + (2ULL << 30) &&
	      offer->cover[0].offset == 0, "ranges");
	CHECK(offer->nr_rules == 4 && offer->rules[0].kind == RULE_UID &&
	      !offer->rules[0].id && offer->rules[1].kind == RULE_GID &&
	      offer->rules[2].id == 4294967294U, "rules");
	offer = policy_find(policy, "a");
	CHECK(offer && !offer->flags &&
	      !strcmp(offer->device, "0000:01:00.0"), "the defaults");
	CHECK(!policy_find(policy, "b"), "no such offer");
	policy_free(policy);
	policy = parse("", error, sizeof(error));
	CHECK(policy && !policy->nr, "nothing at all");
	policy_free(policy);
}

/* What several may have at once is of one kind. */
static void shared_memory_has_one_kind(void)
{
	static const char body[] = "device = 1:00.0\nbar = 2\nallow = any\naccess = read-write\n";
	static const struct {
		const char *a, *b;
		int is_wrong;
	} rows[] = {
		{ "ranges = 0+8K\nuse = shared\nmemory = wc\n",
		  "ranges = 4K+8K\nuse = shared\n", 1 },
		{ "ranges = 0+8K\nuse = shared\nmemory = uc\n",
		  "ranges = 64K+4K 4K+4K\nuse = shared\nmemory = wc\n", 1 },
		{ "ranges = 0+8K\nuse = shared\nmemory = wc\n",
		  "ranges = 4K+8K\nuse = shared\nmemory = wc\n", 0 },
		{ "ranges = 0+8K\nuse = shared\nmemory = wc\n",
		  "ranges = 8K+8K\nuse = shared\n", 0 },
		{ "ranges = 0+8K\nuse = shared\nmemory = wc\n",
		  "ranges = 4K+8K\n", 0 },
	};
	char text[600], error[256];
	struct policy *policy;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "[a]\n%s%s[b]\n%s%s", body,
			 rows[i].a, body, rows[i].b);
		policy = parse(text, error, sizeof(error));
		CHECK((policy == NULL) == rows[i].is_wrong, "row %zu: %s", i, error);
		CHECK(policy || strstr(error, ": [b] is shared, and [a] lends"),
		      "%s", error);
		policy_free(policy);
	}
}

static void errors_have_their_line(void)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "x", "p:1: expected [NAME] or KEY = VALUE" },
		{ "\n\nbar = 1\n", "p:3: \"bar\" before the first [NAME]" },
		{ "[a]\n", "p:1: [a] has no \"device\"" },
		{ "[a]\n[b]\n" BODY, "p:1: [a] has no" },
		{ "[a]\n" BODY "[a]\n" BODY, "p:7: [a] is there already, in line 1" },
		{ "[]\n", "p:1: \"\" is no name" },
		{ "[\n", "p:1: no \"]\"" },
		{ "[a\n", "p:1: no \"]\"" },
		{ "[a] x\n", "p:1: no \"]\"" },
		{ "[A]\n", "p:1: \"A\" is no name" },
		{ "[-a]\n", "is no name" },
		{ "[a b]\n", "is no name" },
		{ "[a12345678901234567890123456789012]\n", "is no name" },
		{ "[a]\nBar = 1\n", "p:2: unknown key \"Bar\"" },
		{ "[a]\nbar = 1 # x\n", "p:2: \"1 # x\" is no BAR" },
		{ "[a]\nbar = 1\nbar = 1\n", "p:3: \"bar\" twice in [a]" },
		{ "[a]\nallow = any\nallow = uid:0\n", "p:3: \"allow\" twice" },
		{ "[a]\nbar =\n", "p:2: \"bar\" has no value" },
		{ "[a]\n= 1\n", "p:2: unknown key \"\"" },
		{ "[a]\nbar = 6\n", "p:2: \"6\" is no BAR" },
		{ "[a]\nbar = 01\n", "is no BAR" },
		{ "[a]\ndevice = 01:00\n", "p:2: \"01:00\" is no PCI address" },
		{ "[a]\ndevice = 01:00.0 x\n", "is no PCI address" },
		{ "[a]\nranges = 0\n", "p:2: \"0\" is no OFFSET+LENGTH" },
		{ "[a]\nranges = 0+4K,4K+4K\n", "is no OFFSET+LENGTH" },
		{ "[a]\nranges = -4K+4K\n", "is no OFFSET+LENGTH" },
		{ "[a]\nranges = 0+0\n", "must be multiples of" },
		{ "[a]\nranges = 1+4K\n", "must be multiples of" },
		{ "[a]\nranges = 0+4097\n", "must be multiples of" },
		{ "[a]\nranges = 0xfffffffffffff000+4K\n", "is beyond 64 bits" },
		{ "[a]\nranges = 0+0x8000000000000000 0+0x8000000000000000\n",
		  "is beyond 64 bits" },
		{ "[a]\nallow = root\n", "p:2: \"root\" is nobody" },
		{ "[a]\nallow = uid:\n", "p:2: \"uid:\": there is no such name" },
		{ "[a]\nallow = uid:no-such-user-here\n", "there is no such name" },
		{ "[a]\nallow = gid:no-such-group-here\n", "there is no such name" },
		{ "[a]\nallow = uid:4294967295\n", "not a number of a user" },
		{ "[a]\nallow = uid:1K\n", "not a number of a user" },
		{ "[a]\nallow = uid:0x1\n", "not a number of a user" },
		{ "[a]\nallow = any,uid:0\n", "is nobody" },
		{ "[a]\naccess = rw\n", "p:2: \"rw\": expected read-write or read-only" },
		{ "[a]\nmemory = wb\n", "expected uc or wc" },
		{ "[a]\nuse = both\n", "expected exclusive or shared" },
		{ "[a]\nlifetime = 0s\n", "p:2: \"0s\" is no lifetime" },
		{ "[a]\nlifetime = 10\n", "is no lifetime" },
		{ "[a]\nlifetime = 10sec\n", "is no lifetime" },
		{ "[a]\nlifetime = -1s\n", "is no lifetime" },
		{ "[a]\nlifetime = 99999999h\n", "is no lifetime" },
		{ "[a]\nbar = \x01\n", "p:2: byte 0x01 is not plain text" },
		{ "[a]\nbar = \xc3\n", "p:2: byte 0xc3 is not plain text" },
		{ "[a]\nbar = 1\r\n", "p:2: byte 0x0d is not plain text" },
	};
	static char lines[POLICY_LINE + 100], ranges[OFFER_RANGES * 8 + 100];
	struct policy *policy;
	char error[256];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		error[0] = '\0';
		policy = parse(wrong[i].text, error, sizeof(error));
		CHECK(!policy && strstr(error, wrong[i].error) &&
		      !strncmp(error, "p:", 2), "\"%s\": \"%s\"",
		      wrong[i].text, policy ? "taken" : error);
		policy_free(policy);
	}
	CHECK(policy_parse("p", "#\0\n", 3, &policy, error, sizeof(error)),
	      "a NUL byte");
	memset(lines, ' ', sizeof(lines) - 1);
	CHECK(!parse(lines, error, sizeof(error)) &&
	      strstr(error, "p:1: longer than 4095 bytes"), "%s", error);
	strcpy(ranges, "[a]\n");
	for (i = 0; i <= OFFER_RANGES; i++)
		strcat(ranges + i * 4, i % 256 ? " 0+4K" : "\nranges=0+4K");
	CHECK(!parse(ranges, error, sizeof(error)) &&
	      strstr(error, "more than 4096 ranges"), "%s", error);
}

/* Against a second opinion: a map of pages. */
static void overlap_is_any_common_page(void)
{
	uint32_t round, i, j, common;

	random_start();
	for (round = 0; round < 2000; round++) {
		char text[1000] = "", error[256];
		uint64_t pages[2] = { 0, 0 };
		struct policy *policy;

		for (i = 0; i < 2; i++) {
			size_t at = strlen(text);

			at += (size_t)sprintf(text + at, "[%c]\ndevice = 1:0.0\nbar = 0\nallow = any\naccess = read-only\nranges =",
					      'a' + (int)i);
			for (j = 0; j <= random_below(4); j++) {
				uint64_t first = random_below(60);
				uint64_t nr = 1 + random_below(3);

				at += (size_t)sprintf(text + at, " %lluK+%lluK",
						      (unsigned long long)first * 4,
						      (unsigned long long)nr * 4);
				pages[i] |= ((1ULL << nr) - 1) << first;
			}
			strcat(text, "\n");
		}
		policy = parse(text, error, sizeof(error));
		CHECK(policy, "%s", error);
		if (!policy)
			return;
		common = !!(pages[0] & pages[1]);
		CHECK(offer_overlaps(policy->offers[0], policy->offers[1]) ==
		      (int)common, "%s", text);
		CHECK(offer_overlaps(policy->offers[1], policy->offers[0]) ==
		      (int)common, "%s", text);
		policy_free(policy);
	}
}

static void rules_match_by_id(void)
{
	static gid_t groups[] = { 7, 8, 11, 12, 4000000000U };
	struct peer peer = { .uid = 5, .gid = 6, .nr_groups = 5,
			     .groups = groups };
	static const struct {
		const char *allow;
		int matches;
	} rules[] = {
		{ "any", 1 }, { "uid:5", 1 }, { "uid:6", 0 }, { "gid:6", 1 },
		{ "gid:5", 0 }, { "gid:8", 1 }, { "uid:7", 0 }, { "gid:9", 0 },
		{ "uid:1 gid:2 gid:7", 1 }, { "uid:0", 0 }, { "gid:0", 0 },
		{ "gid:7", 1 }, { "gid:10", 0 }, { "gid:11", 1 },
		{ "gid:12", 1 }, { "gid:13", 0 }, { "gid:4000000000", 1 },
		{ "gid:4000000001", 0 },
	};
	char text[300], error[256];
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct policy *policy;

		snprintf(text, sizeof(text), "[a]\ndevice = 1:0.0\nbar = 0\nranges = 0+4K\naccess = read-only\nallow = %s\n",
			 rules[i].allow);
		policy = parse(text, error, sizeof(error));
		CHECK(policy && offer_allows(policy->offers[0], &peer) ==
		      rules[i].matches, "%s", rules[i].allow);
		policy_free(policy);
	}
}

static void file_of_others_is_refused(void)
{
	char name[] = "/tmp/barter-policy-XXXXXX", error[256];
	int fd = mkstemp(name);
	struct policy *policy;

	CHECK(write(fd, "[a]\n" BODY, sizeof("[a]\n" BODY) - 1) > 0, "write");
	fchmod(fd, 0644);
	CHECK(!policy_read(name, &policy, error, sizeof(error)), "%s", error);
	policy_free(policy);
	fchmod(fd, 0664);
	CHECK(policy_read(name, &policy, error, sizeof(error)) == -EINVAL &&
	      strstr(error, "others may write it"), "%s", error);
	fchmod(fd, 0646);
	CHECK(policy_read(name, &policy, error, sizeof(error)) == -EINVAL,
	      "for all");
	fchmod(fd, 0644);
	if (!geteuid()) {
		CHECK(!fchown(fd, 1, 1), "chown");
		CHECK(policy_read(name, &policy, error, sizeof(error)) ==
		      -EINVAL && strstr(error, "belongs to user 1"), "%s",
		      error);
		CHECK(!fchown(fd, 0, 0), "chown");
	}
	CHECK(!ftruncate(fd, POLICY_BYTES + 1) &&
	      policy_read(name, &policy, error, sizeof(error)) == -EINVAL &&
	      strstr(error, "more than"), "%s", error);
	close(fd);
	unlink(name);
	CHECK(policy_read(name, &policy, error, sizeof(error)) == -ENOENT,
	      "%s", error);
	CHECK(policy_read("/dev/null", &policy, error, sizeof(error)) ==
	      -EINVAL && strstr(error, "no regular file"), "%s", error);
}

void policy_cases(void)
{
	CASE(all_that_can_be_said);
	CASE(shared_memory_has_one_kind);
	CASE(errors_have_their_line);
	CASE(overlap_is_any_common_page);
	CASE(rules_match_by_id);
	CASE(file_of_others_is_refused);
}
