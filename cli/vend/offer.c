// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a policy says when it is asked, and where its text comes from.
 */
#include "policy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct offer *offer_get(struct offer *offer)
{
	offer->references++;
	return offer;
}

void offer_put(struct offer *offer)
{
	if (!offer || --offer->references)
		return;
	free(offer->ranges);
	free(offer->cover);
	free(offer->rules);
	free(offer);
}

void policy_free(struct policy *policy)
{
	uint32_t i;

	if (!policy)
		return;
	for (i = 0; i < policy->nr; i++)
		offer_put(policy->offers[i]);
	free(policy->offers);
	free(policy);
}

struct offer *policy_find(const struct policy *policy, const char *name)
{
	uint32_t i;

	for (i = 0; i < policy->nr; i++)
		if (!strcmp(policy->offers[i]->name, name))
			return policy->offers[i];
	return NULL;
}

static int has_group(const struct peer *peer, gid_t gid)
{
	uint32_t first = 0, end = peer->nr_groups;

	while (first < end) {
		uint32_t middle = first + (end - first) / 2;

		if (peer->groups[middle] == gid)
			return 1;
		if (peer->groups[middle] < gid)
			first = middle + 1;
		else
			end = middle;
	}
	return peer->gid == gid;
}

static int rule_matches(const struct rule *rule, const struct peer *peer)
{
	switch (rule->kind) {
	case RULE_ANY:
		return 1;
	case RULE_UID:
		return peer->uid == rule->id;
	case RULE_GID:
		return has_group(peer, rule->id);
	default:
		return 0;
	}
}

int offer_allows(const struct offer *offer, const struct peer *peer)
{
	uint32_t i;

	for (i = 0; i < offer->nr_rules; i++)
		if (rule_matches(&offer->rules[i], peer))
			return 1;
	return 0;
}

int offer_same(const struct offer *a, const struct offer *b)
{
	const uint32_t how = BARTER_VEND_READ_ONLY | BARTER_VEND_WC;

	return !strcmp(a->device, b->device) && a->bar == b->bar &&
	       (a->flags & how) == (b->flags & how) &&
	       a->nr_ranges == b->nr_ranges &&
	       !memcmp(a->ranges, b->ranges,
		       a->nr_ranges * sizeof(*a->ranges));
}

int offer_overlaps(const struct offer *a, const struct offer *b)
{
	const struct barter_range *one = a->cover, *other = b->cover;
	const struct barter_range *one_end = one + a->nr_ranges;
	const struct barter_range *other_end = other + b->nr_ranges;

	if (strcmp(a->device, b->device) || a->bar != b->bar)
		return 0;
	/*
	 * Ranges of one offer may overlap each other: the one that ends first can
	 * meet nothing that begins later, so it is the one to leave behind.
	 */
	while (one < one_end && other < other_end) {
		uint64_t one_stop = one->offset + one->length;
		uint64_t other_stop = other->offset + other->length;

		if (one->offset < other_stop && other->offset < one_stop)
			return 1;
		if (one_stop <= other->offset)
			one++;
		else
			other++;
	}
	return 0;
}

/* Is the file what only root and this user can have written? */
static int check_file(int fd, const char *path, size_t *length, char *error,
		      size_t room)
{
	struct stat file;

	if (fstat(fd, &file)) {
		snprintf(error, room, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(file.st_mode)) {
		snprintf(error, room, "%s: is no regular file", path);
	} else if (file.st_uid && file.st_uid != geteuid()) {
		snprintf(error, room, "%s: belongs to user %u; it must be root's or this user's",
			 path, file.st_uid);
	} else if (file.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(error, room, "%s: others may write it; run: chmod go-w %s",
			 path, path);
	} else if ((uint64_t)file.st_size > POLICY_BYTES) {
		snprintf(error, room, "%s: more than %u bytes", path,
			 POLICY_BYTES);
	} else {
		*length = (size_t)file.st_size;
		return 0;
	}
	return -EINVAL;
}

int policy_read(const char *path, struct policy **policy, char *error,
		size_t room)
{
	/* Not to be held up by what is no file. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t length = 0, done = 0;
	char *text = NULL;
	int ret;

	if (fd < 0) {
		ret = -errno;
		snprintf(error, room, "%s: %s", path, strerror(errno));
		return ret;
	}
	ret = check_file(fd, path, &length, error, room);
	if (!ret) {
		text = malloc(length + 1);
		if (!text) {
			snprintf(error, room, "%s: out of memory", path);
			ret = -ENOMEM;
		}
	}
	while (!ret && done < length) {
		ssize_t got = read(fd, text + done, length - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			ret = -errno;
			snprintf(error, room, "%s: %s", path, strerror(errno));
		}
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	close(fd);
	if (!ret)
		ret = policy_parse(path, text, done, policy, error, room);
	free(text);
	return ret;
}
