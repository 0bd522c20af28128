/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * What a broker has lent, as Prometheus reads it.
 */
#ifndef BARTER_VEND_METRICS_H
#define BARTER_VEND_METRICS_H

#include <barter-vend.h>
#include <stddef.h>
#include <stdio.h>

/* The text format, version 0.0.4, of these leases, as barter_broker_status() told. */
void metrics_write(FILE *to, const struct barter_vend_status *leases, size_t nr);

#endif /* BARTER_VEND_METRICS_H */
