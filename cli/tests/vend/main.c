// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * vend-test: the broker with made-up devices, and every kind of client.
 */
#include "bench.h"

unsigned int tap_cases, tap_failed_cases;
unsigned long tap_checks, tap_failed_checks;

int main(void)
{
	policy_cases();
	metrics_cases();
	lease_cases();
	hostile_cases();
	bench_end();
	return tap_done();
}
