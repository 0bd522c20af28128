// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Leases: LENDING -> LENT -> TAKING -> gone. One that is to end while its buffer is
 * being made has a reason (why) and is taken back as soon as it is made. The slice of
 * an exclusive offer is free when the lease is gone, not before.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does a lease stand in the way of this offer? */
static bool is_taken(const struct server *server, const struct offer *offer)
{
	const struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next)
		if (!(lease->offer->flags & offer->flags &
		      BARTER_VEND_SHARED) &&
		    offer_overlaps(lease->offer, offer))
			return true;
	return false;
}

static int check_quota(const struct connection *connection)
{
	const struct server *server = connection->source.server;
	unsigned int all = 0, user = 0, mine = 0;
	const struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next) {
		all++;
		user += lease->uid == connection->peer.uid;
		mine += lease->owner == connection;
	}
	return all >= server->limits.leases ||
	       user >= server->limits.user_leases ||
	       mine >= server->limits.connection_leases ? -EDQUOT : 0;
}

static void set_lifetime(struct lease *lease, uint32_t seconds)
{
	const struct offer *offer = lease->offer;

	lease->flags = offer->flags;
	lease->seconds = offer->seconds;
	if (seconds && (!(offer->flags & BARTER_VEND_LIMITED) ||
			seconds < offer->seconds)) {
		lease->flags |= BARTER_VEND_LIMITED;
		lease->seconds = seconds;
	}
}

int lease_begin(struct connection *connection, const char *name,
		uint32_t seconds, struct lease **result)
{
	struct server *server = connection->source.server;
	struct lease *lease, **at;
	struct device *device;
	struct offer *offer;
	int ret;

	if (server->ends)
		return -ESHUTDOWN;
	offer = policy_find(server->policy, name);
	if (!offer || !offer_allows(offer, &connection->peer))
		return -ENOENT;
	ret = check_quota(connection);
	if (!ret && is_taken(server, offer))
		ret = -EBUSY;
	if (!ret)
		ret = device_get(server, offer->device, &device);
	if (ret)
		return ret;
	lease = calloc(1, sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	lease->id = ++server->last_lease;
	lease->offer = offer_get(offer);
	lease->making = offer_get(offer);
	lease->device = device;
	lease->owner = connection;
	lease->uid = connection->peer.uid;
	lease->gid = connection->peer.gid;
	lease->pid = connection->peer.pid;
	lease->begun = now_ms();
	lease->loan = (struct loan) { .fd = -1, .whole = -1 };
	set_lifetime(lease, seconds);
	for (at = &server->leases; *at; at = &(*at)->next)
		continue;
	*at = lease;
	device->leases++;
	device_lend(lease);
	*result = lease;
	return 0;
}

struct lease *lease_after(struct server *server, uint64_t id)
{
	struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next)
		if (lease->id > id)
			return lease;
	return NULL;
}

struct lease *lease_find(struct server *server, uint64_t id)
{
	struct lease *lease = id ? lease_after(server, id - 1) : NULL;

	return lease && lease->id == id ? lease : NULL;
}

/* The connection that waits for this lease, for an answer of that type. */
static struct connection *next_waiting(struct connection *from, uint64_t id)
{
	while (from && !(from->type && from->lease == id))
		from = from->next;
	return from;
}

/* It is gone: answer whoever waits for that, and forget it. @error is the owner's. */
static void lease_end(struct lease *lease, int error)
{
	struct server *server = lease->device->server;
	struct connection *connection = server->connections;
	struct lease **at = &server->leases;

	while ((connection = next_waiting(connection, lease->id))) {
		connection_answer(connection,
				  connection == lease->owner ? error : 0);
		connection = connection->next;
	}
	/* Its silence counts from here on. */
	if (lease->owner)
		lease->owner->heard = now_ms();
	while (*at != lease)
		at = &(*at)->next;
	*at = lease->next;
	if (lease->loan.fd >= 0)
		close(lease->loan.fd);
	if (lease->loan.whole >= 0)
		close(lease->loan.whole);
	lease->device->leases--;
	offer_put(lease->offer);
	free(lease);
	devices_close(server);
}

static void tell_owner(const struct lease *lease)
{
	struct barter_vend_event event = {
		.head = {
			.size = sizeof(event),
			.version = BARTER_VEND_VERSION,
			.type = BARTER_VEND_TAKEN,
		},
		.lease = lease->id,
		.why = lease->why,
	};

	if (lease->owner && lease->why != BARTER_VEND_WHY_RETURNED)
		connection_send(lease->owner, &event.head, -1);
}

void lease_take(struct lease *lease, uint32_t why)
{
	if (lease->why)
		return;
	lease->why = why;
	lease->taking = now_ms();
	if (lease->state != BARTER_VEND_LENT)
		return;
	lease->state = BARTER_VEND_TAKING;
	tell_owner(lease);
	device_take(lease);
}

static int answer_lent(struct connection *connection,
		       const struct lease *lease)
{
	struct barter_vend_lease answer = {
		.head = {
			.size = sizeof(answer),
			.version = BARTER_VEND_VERSION,
			.type = BARTER_VEND_BORROW | BARTER_VEND_ANSWER,
			.serial = connection->serial,
		},
		.lease = lease->id,
		.length = lease->offer->length,
		.flags = lease->flags,
		.seconds = lease->flags & BARTER_VEND_LIMITED ?
			   lease->seconds : 0,
		.bar = lease->offer->bar,
		.nr_ranges = lease->offer->nr_ranges,
	};
	/* A copy: the message may be sent when the lease is no more. */
	int fd = dup(lease->loan.fd);

	if (fd < 0)
		return -errno;
	memcpy(answer.device, lease->offer->device, sizeof(answer.device));
	connection->type = 0;
	connection_send(connection, &answer.head, fd);
	return 0;
}

void lease_lent(struct lease *lease, int result)
{
	struct connection *connection;

	offer_put(lease->making);
	lease->making = NULL;
	if (result) {
		lease_end(lease, result);
		return;
	}
	lease->state = BARTER_VEND_LENT;
	lease->begun = now_ms();
	if (lease->flags & BARTER_VEND_LIMITED)
		lease->deadline = lease->begun + lease->seconds * 1000LL;
	connection = next_waiting(lease->owner, lease->id);
	if (connection != lease->owner)
		connection = NULL;
	/*
	 * Where the answer cannot be sent, that ends the connection, and with it the
	 * lease: it is on its way back already, and not to be taken twice.
	 */
	if (!lease->why && connection && !answer_lent(connection, lease))
		return;
	/* Who asked may be gone, or nobody may have it any more. */
	if (!lease->why) {
		lease->why = BARTER_VEND_WHY_DISCONNECTED;
		lease->taking = lease->begun;
	}
	if (connection)
		connection_answer(connection, -ECANCELED);
	lease->state = BARTER_VEND_TAKING;
	device_take(lease);
}

void lease_taken(struct lease *lease, int result)
{
	if (!result) {
		lease_end(lease, 0);
		return;
	}
	if (lease->state != BARTER_VEND_STUCK || lease->error != result)
		server_log("lease %llu of %s cannot be taken back: %s; tried again",
			   (unsigned long long)lease->id, lease->offer->name,
			   strerror(-result));
	lease->state = BARTER_VEND_STUCK;
	lease->error = result;
	lease->deadline = now_ms() + lease->device->server->limits.retry;
}

static int64_t lease_tick(struct lease *lease, int64_t now)
{
	const struct server *server = lease->device->server;

	switch (lease->state) {
	case BARTER_VEND_LENDING:
		if (!lease->owner)
			return 0;
		if (now < lease->begun + server->limits.lend)
			return lease->begun + server->limits.lend;
		/* Something holds the device up. When it is made it goes back. */
		connection_answer(lease->owner, -EBUSY);
		lease->owner = NULL;
		return 0;
	case BARTER_VEND_LENT:
		if (lease->deadline && now >= lease->deadline)
			lease_take(lease, BARTER_VEND_WHY_TIMEOUT);
		return lease->state == BARTER_VEND_LENT ? lease->deadline : 0;
	case BARTER_VEND_STUCK:
		if (now < lease->deadline)
			return lease->deadline;
		lease->state = BARTER_VEND_TAKING;
		device_take(lease);
		return 0;
	default:
		return 0;
	}
}

int64_t leases_tick(struct server *server, int64_t now)
{
	struct lease *lease;
	int64_t next = 0;

	for (lease = server->leases; lease; lease = lease->next) {
		int64_t due = lease_tick(lease, now);

		if (due && (!next || due < next))
			next = due;
	}
	return next;
}

void leases_disconnected(struct connection *connection)
{
	struct lease *lease;

	for (lease = connection->source.server->leases; lease;
	     lease = lease->next) {
		if (lease->owner != connection)
			continue;
		lease->owner = NULL;
		lease_take(lease, BARTER_VEND_WHY_DISCONNECTED);
	}
}

/* Is this lease what the policy would give to the same client? */
static bool is_allowed(const struct server *server, struct lease *lease)
{
	struct offer *offer = policy_find(server->policy, lease->offer->name);
	const struct lease *other;

	if (!offer || !offer_same(offer, lease->offer) ||
	    !offer_allows(offer, &lease->owner->peer))
		return false;
	/* Where it is exclusive now, the oldest may stay. */
	for (other = server->leases; other != lease; other = other->next)
		if (!other->why && !(other->offer->flags & offer->flags &
				     BARTER_VEND_SHARED) &&
		    offer_overlaps(other->offer, offer))
			return false;
	offer_put(lease->offer);
	lease->offer = offer_get(offer);
	return true;
}

/* A lifetime that is shorter now counts from the beginning. */
static void review_lifetime(struct lease *lease)
{
	const struct offer *offer = lease->offer;

	lease->flags = (lease->flags & ~BARTER_VEND_SHARED) |
		       (offer->flags & BARTER_VEND_SHARED);
	if (!(offer->flags & BARTER_VEND_LIMITED) ||
	    (lease->flags & BARTER_VEND_LIMITED &&
	     lease->seconds <= offer->seconds))
		return;
	lease->flags |= BARTER_VEND_LIMITED;
	lease->seconds = offer->seconds;
	if (lease->state == BARTER_VEND_LENT)
		lease->deadline = lease->begun + lease->seconds * 1000LL;
}

void leases_review(struct server *server)
{
	struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next) {
		if (lease->why || !lease->owner)
			continue;
		if (is_allowed(server, lease))
			review_lifetime(lease);
		else
			lease_take(lease, BARTER_VEND_WHY_POLICY);
	}
}

void leases_take_all(struct server *server, uint32_t why)
{
	struct lease *lease;

	for (lease = server->leases; lease; lease = lease->next)
		lease_take(lease, why);
}

static uint32_t seconds_since(int64_t then)
{
	return then ? (uint32_t)((now_ms() - then) / 1000) : 0;
}

void lease_status(const struct lease *lease, struct barter_vend_status *status)
{
	const struct backend *backend = lease->device->server->backend;
	const struct offer *offer = lease->offer;
	struct loan_state state = { .blocker = "" };

	status->lease = lease->id;
	status->length = offer->length;
	memcpy(status->name, offer->name, sizeof(status->name));
	memcpy(status->device, offer->device, sizeof(status->device));
	if (lease->owner && (lease->owner->peer.pidfd < 0 ||
			     peer_lives(&lease->owner->peer)))
		memcpy(status->program, lease->owner->program,
		       sizeof(status->program));
	status->pid = lease->pid;
	status->uid = lease->uid;
	status->gid = lease->gid;
	status->bar = offer->bar;
	status->nr_ranges = offer->nr_ranges;
	status->flags = lease->flags;
	status->state = lease->state;
	status->why = lease->why;
	status->held = seconds_since(lease->begun);
	if (lease->state == BARTER_VEND_LENT && lease->deadline > now_ms())
		status->left = (uint32_t)((lease->deadline - now_ms() + 999) / 1000);
	status->taking = lease->why ? seconds_since(lease->taking) : 0;
	status->error = lease->state == BARTER_VEND_STUCK ? lease->error : 0;
	/* While it is LENDING the loan is the lender's. */
	if (lease->state == BARTER_VEND_LENDING || lease->loan.fd < 0 ||
	    backend->look(&lease->loan, &state))
		return;
	status->buffer_state = state.state;
	status->buffer_reasons = state.reasons;
	status->mmaps = state.mmaps;
	status->importers = state.importers;
	memcpy(status->blocker, state.blocker, sizeof(status->blocker));
	/* Some drivers name fences after the process that they work for. */
	status->blocker[sizeof(status->blocker) - 1] = '\0';
	text_make_plain(status->blocker);
}
