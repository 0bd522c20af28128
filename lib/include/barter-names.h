/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Part of libbarter, included by <barter.h>: words for the numbers of the ABI, as
 * the barter command writes them.
 */
#ifndef BARTER_NAMES_H
#define BARTER_NAMES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * barter_state_name() - word for a state
 * @state: BARTER_STATE_*
 *
 * Return: "ok", "revoking", "revoked", "dead" or "unknown"; static.
 */
const char *barter_state_name(uint32_t state);

/**
 * barter_kind_name() - word for whose a dma-buf is
 * @kind: BARTER_KIND_*
 *
 * Return: "barter", "native" or "other"; static.
 */
const char *barter_kind_name(uint32_t kind);

/**
 * barter_reason_name() - word for one reason
 * @reason: one BARTER_REASON_* bit
 *
 * Return: such as "reset", or "unknown"; static.
 */
const char *barter_reason_name(uint32_t reason);

/**
 * barter_reasons_format() - words for a set of reasons
 * @reasons: BARTER_REASON_* bits
 * @text: where they go, separated by commas; empty for 0; cut if too long
 * @length: room at @text, at least 1
 *
 * Return: @text.
 */
char *barter_reasons_format(uint32_t reasons, char *text, size_t length);

/**
 * barter_route_name() - word for a route
 * @route: BARTER_ROUTE_*
 *
 * Return: "none", "bus", "host-bridge", "same-device" or "unknown"; static.
 */
const char *barter_route_name(uint32_t route);

/**
 * barter_why_name() - word for the reason of a route's answer
 * @why: BARTER_WHY_*
 *
 * Return: such as "bridge-unknown", or "unknown"; static.
 */
const char *barter_why_name(uint32_t why);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_NAMES_H */
