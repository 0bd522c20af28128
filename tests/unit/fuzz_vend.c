// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Fuzz target: what the broker reads of others, its policy and its clients' messages.
 * The first byte says which.
 *
 * A policy that is taken is written down anew, and must read the same. A message that
 * is taken must have every field as the protocol has it.
 */
#include "../../cli/vend/server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) do { if (!(condition)) abort(); } while (0)

static void write_offer(FILE *to, const struct offer *offer)
{
	static const char *const kinds[] = { "any", "uid:", "gid:" };
	uint32_t i;

	fprintf(to, "[%s]\ndevice = %s\nbar = %u\naccess = %s\nmemory = %s\nuse = %s\n",
		offer->name, offer->device, offer->bar,
		offer->flags & BARTER_VEND_READ_ONLY ? "read-only" : "read-write",
		offer->flags & BARTER_VEND_WC ? "wc" : "uc",
		offer->flags & BARTER_VEND_SHARED ? "shared" : "exclusive");
	if (offer->flags & BARTER_VEND_LIMITED)
		fprintf(to, "lifetime = %us\n", offer->seconds);
	for (i = 0; i < offer->nr_ranges; i++)
		fprintf(to, "ranges = 0x%llx+%llu\n",
			(unsigned long long)offer->ranges[i].offset,
			(unsigned long long)offer->ranges[i].length);
	fprintf(to, "allow =");
	for (i = 0; i < offer->nr_rules; i++) {
		fprintf(to, " %s", kinds[offer->rules[i].kind]);
		if (offer->rules[i].kind != RULE_ANY)
			fprintf(to, "%u", offer->rules[i].id);
	}
	fprintf(to, "\n");
}

static void same_offer(const struct offer *a, const struct offer *b)
{
	REQUIRE(!strcmp(a->name, b->name) && offer_same(a, b));
	REQUIRE(a->flags == b->flags && a->length == b->length);
	REQUIRE(!(a->flags & BARTER_VEND_LIMITED) || a->seconds == b->seconds);
	REQUIRE(a->nr_rules == b->nr_rules &&
		!memcmp(a->rules, b->rules, a->nr_rules * sizeof(*a->rules)));
	REQUIRE(a->nr_ranges && a->nr_rules && a->length);
	REQUIRE(offer_overlaps(a, b) && offer_overlaps(b, a));
}

static void fuzz_policy(const char *text, size_t length)
{
	struct policy *policy, *again;
	char error[128], *copy;
	size_t bytes;
	uint32_t i;
	FILE *to;

	memset(error, 'x', sizeof(error));
	if (policy_parse("p", text, length, &policy, error, sizeof(error))) {
		REQUIRE(memchr(error, '\0', sizeof(error)));
		REQUIRE(!strncmp(error, "p:", 2));
		return;
	}
	to = open_memstream(&copy, &bytes);
	REQUIRE(to);
	for (i = 0; i < policy->nr; i++)
		write_offer(to, policy->offers[i]);
	fclose(to);
	REQUIRE(!policy_parse("again", copy, bytes, &again, error,
			      sizeof(error)));
	REQUIRE(again->nr == policy->nr);
	for (i = 0; i < policy->nr; i++) {
		same_offer(policy->offers[i], again->offers[i]);
		REQUIRE(policy_find(policy, again->offers[i]->name) ==
			policy->offers[i]);
	}
	free(copy);
	policy_free(policy);
	policy_free(again);
}

static void fuzz_message(const char *bytes, size_t length)
{
	union message message, before;
	int ret;

	memset(&message, 0, sizeof(message));
	memcpy(&message, bytes, length < sizeof(message) ? length :
	       sizeof(message));
	/* Most lengths are wrong by chance: make some right. */
	if (length >= sizeof(message.head) && message.head.serial & 1)
		message.head.size = (uint32_t)length;
	if (length >= sizeof(message.head) && message.head.serial & 2)
		message.head.version = BARTER_VEND_VERSION;
	before = message;
	ret = message_check(&message, length);
	REQUIRE(ret <= 1);
	REQUIRE(!memcmp(&before, &message, sizeof(message)));
	if (ret)
		return;
	REQUIRE(message.head.size == length && !message.head.error);
	REQUIRE(message.head.type >= BARTER_VEND_BORROW &&
		message.head.type <= BARTER_VEND_RELOAD);
	if (message.head.type == BARTER_VEND_BORROW)
		REQUIRE(strnlen(message.borrow.name, BARTER_VEND_NAME_LENGTH) <
			BARTER_VEND_NAME_LENGTH && !message.borrow.flags);
	if (message.head.type == BARTER_VEND_OFFERS)
		REQUIRE(strnlen(message.offer.after, BARTER_VEND_NAME_LENGTH) <
			BARTER_VEND_NAME_LENGTH);
	if (message.head.type == BARTER_VEND_TAKE_BACK)
		REQUIRE(message.request.flags <= BARTER_VEND_NO_WAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		fuzz_policy((const char *)data + 1, size - 1);
	else
		fuzz_message((const char *)data + 1, size - 1);
	return 0;
}
