// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What is a request, and what is not: the only place that sees a client's bytes
 * before they are checked. Touches nothing but the message.
 */
#include "server.h"

#include <string.h>

/* What a request of each type has, in its first layout and as we know it. */
static const struct {
	size_t least, known;
} layouts[] = {
	[BARTER_VEND_BORROW] = { 56, sizeof(struct barter_vend_borrow) },
	[BARTER_VEND_RETURN] = { 32, sizeof(struct barter_vend_request) },
	[BARTER_VEND_OFFERS] = { 48, sizeof(struct barter_vend_next_offer) },
	[BARTER_VEND_STATUS] = { 32, sizeof(struct barter_vend_request) },
	[BARTER_VEND_TAKE_BACK] = { 32, sizeof(struct barter_vend_request) },
	[BARTER_VEND_RELOAD] = { 16, sizeof(struct barter_vend_head) },
};

static int is_zero(const char *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (bytes[i])
			return 0;
	return 1;
}

/* A text that ends, and nothing behind its end. */
static int is_text(const char *text, size_t room)
{
	size_t length = strnlen(text, room);

	return length < room && is_zero(text + length, room - length);
}

static int check_fields(const union message *message)
{
	switch (message->head.type) {
	case BARTER_VEND_BORROW:
		return is_text(message->borrow.name,
			       sizeof(message->borrow.name)) &&
		       !message->borrow.flags ? 0 : -EINVAL;
	case BARTER_VEND_OFFERS:
		return is_text(message->offer.after,
			       sizeof(message->offer.after)) ? 0 : -EINVAL;
	case BARTER_VEND_TAKE_BACK:
		return message->request.flags & ~BARTER_VEND_NO_WAIT ||
		       message->request.__reserved ? -EINVAL : 0;
	case BARTER_VEND_RETURN:
	case BARTER_VEND_STATUS:
		return message->request.flags ||
		       message->request.__reserved ? -EINVAL : 0;
	default:
		return 0;
	}
}

void text_make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int message_check(union message *message, size_t length)
{
	const struct barter_vend_head *head = &message->head;
	size_t known;

	if (length < sizeof(*head) || length > sizeof(*message) ||
	    head->size != length)
		return 1;
	if (head->version != BARTER_VEND_VERSION)
		return -EPROTONOSUPPORT;
	if (head->type >= sizeof(layouts) / sizeof(layouts[0]) ||
	    !layouts[head->type].known)
		return -EOPNOTSUPP;
	known = layouts[head->type].known;
	if (length < layouts[head->type].least || head->error)
		return -EINVAL;
	if (length > known && !is_zero(message->bytes + known, length - known))
		return -E2BIG;
	if (length < known)
		memset(message->bytes + length, 0, known - length);
	return check_fields(message);
}
