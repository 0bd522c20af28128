// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What the broker does for each request. The message was checked.
 */
#include "server.h"

#include <string.h>

/* A head for an answer of @size bytes. */
static struct barter_vend_head answer_head(const struct connection *connection,
					   size_t size)
{
	return (struct barter_vend_head) {
		.size = (uint32_t)size,
		.version = BARTER_VEND_VERSION,
		.type = connection->type | BARTER_VEND_ANSWER,
		.serial = connection->serial,
	};
}

static void send_answer(struct connection *connection,
			const struct barter_vend_head *head)
{
	connection->type = 0;
	connection_send(connection, head, -1);
}

static int handle_borrow(struct connection *connection, union message *message)
{
	struct lease *lease;
	int ret = lease_begin(connection, message->borrow.name,
			      message->borrow.seconds, &lease);

	/* The answer comes with the buffer. */
	if (!ret)
		connection->lease = lease->id;
	return ret;
}

static int handle_return(struct connection *connection, union message *message)
{
	struct lease *lease = lease_find(connection->source.server,
					 message->request.lease);

	if (!lease || lease->owner != connection)
		return -ENOENT;
	connection->lease = lease->id;
	lease_take(lease, BARTER_VEND_WHY_RETURNED);
	return 0;
}

static int handle_take_back(struct connection *connection,
			    union message *message)
{
	struct lease *lease = lease_find(connection->source.server,
					 message->request.lease);

	if (!connection->is_owner)
		return -EPERM;
	if (!lease)
		return -ENOENT;
	connection->lease = lease->id;
	lease_take(lease, BARTER_VEND_WHY_OWNER);
	if (message->request.flags & BARTER_VEND_NO_WAIT)
		connection_answer(connection, 0);
	return 0;
}

static int handle_status(struct connection *connection, union message *message)
{
	struct server *server = connection->source.server;
	struct lease *lease = lease_after(server, message->request.lease);
	struct barter_vend_status answer;

	while (lease && !connection->is_owner &&
	       lease->uid != connection->peer.uid)
		lease = lease->next;
	if (!lease)
		return -ENOENT;
	memset(&answer, 0, sizeof(answer));
	answer.head = answer_head(connection, sizeof(answer));
	lease_status(lease, &answer);
	send_answer(connection, &answer.head);
	return 0;
}

static int handle_offers(struct connection *connection, union message *message)
{
	struct server *server = connection->source.server;
	struct offer *offer = NULL;
	struct barter_vend_offer answer;
	const struct lease *lease;
	uint32_t i;

	for (i = 0; i < server->policy->nr && !offer; i++) {
		offer = server->policy->offers[i];
		if (strcmp(offer->name, message->offer.after) <= 0 ||
		    (!connection->is_owner &&
		     !offer_allows(offer, &connection->peer)))
			offer = NULL;
	}
	if (!offer)
		return -ENOENT;
	memset(&answer, 0, sizeof(answer));
	answer.head = answer_head(connection, sizeof(answer));
	memcpy(answer.name, offer->name, sizeof(answer.name));
	memcpy(answer.device, offer->device, sizeof(answer.device));
	answer.length = offer->length;
	answer.bar = offer->bar;
	answer.nr_ranges = offer->nr_ranges;
	answer.flags = offer->flags;
	answer.seconds = offer->seconds;
	for (lease = server->leases; lease; lease = lease->next)
		answer.leases += lease->offer == offer;
	send_answer(connection, &answer.head);
	return 0;
}

static int handle_reload(struct connection *connection)
{
	struct barter_vend_text answer;

	if (!connection->is_owner)
		return -EPERM;
	memset(&answer, 0, sizeof(answer));
	answer.head = answer_head(connection, sizeof(answer));
	answer.head.error = server_reload(connection->source.server,
					  answer.text, sizeof(answer.text));
	send_answer(connection, &answer.head);
	return 0;
}

void request_handle(struct connection *connection, union message *message,
		    size_t length)
{
	int ret = message_check(message, length);

	if (ret > 0) {
		connection_drop(connection);
		return;
	}
	connection->type = message->head.type;
	connection->serial = message->head.serial;
	connection->lease = 0;
	if (ret) {
		/* Also for a type of 0, which is none. */
		connection->type |= BARTER_VEND_ANSWER;
		connection_answer(connection, ret);
		return;
	}
	switch (message->head.type) {
	case BARTER_VEND_BORROW:
		ret = handle_borrow(connection, message);
		break;
	case BARTER_VEND_RETURN:
		ret = handle_return(connection, message);
		break;
	case BARTER_VEND_OFFERS:
		ret = handle_offers(connection, message);
		break;
	case BARTER_VEND_STATUS:
		ret = handle_status(connection, message);
		break;
	case BARTER_VEND_TAKE_BACK:
		ret = handle_take_back(connection, message);
		break;
	default:
		ret = handle_reload(connection);
		break;
	}
	if (ret)
		connection_answer(connection, ret);
}
