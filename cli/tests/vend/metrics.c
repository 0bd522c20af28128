// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Metrics: of leases that a broker has, and of such as none would have.
 */
#include "bench.h"
#include "../../vend/metrics.h"

#include <stdlib.h>
#include <string.h>

static char *text_of(const struct barter_vend_status *leases, size_t nr)
{
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	metrics_write(to, leases, nr);
	fclose(to);
	return text;
}

static int has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	return at && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void metrics_of_nothing(void)
{
	char *text = text_of(NULL, 0);

	CHECK(has(text, "# TYPE barter_vend_leases gauge"), "%s", text);
	CHECK(has(text, "barter_vend_leases{state=\"lent\"} 0"), "%s", text);
	CHECK(!strstr(text, "barter_vend_lease_bytes{"), "%s", text);
	free(text);
}

static void metrics_of_what_is_lent(void)
{
	struct barter_vend_status status[2] = { 0 };
	struct barter_broker *broker;
	char *text, line[256];
	int64_t lease;

	broker_start(standard_policy, NULL);
	broker = client();
	lease = borrow(broker, "one");
	CHECK(lease > 0, "%lld", (long long)lease);
	CHECK(!barter_broker_status(broker, 0, status), "status");
	text = text_of(status, 1);
	CHECK(has(text, "barter_vend_leases{state=\"lent\"} 1"), "%s", text);
	snprintf(line, sizeof(line),
		 "barter_vend_lease_bytes{lease=\"%lld\",offer=\"one\",device=\"%s\",uid=\"%u\"} %llu",
		 (long long)lease, status[0].device, status[0].uid,
		 (unsigned long long)status[0].length);
	CHECK(status[0].length && has(text, line), "%s\n%s", line, text);
	CHECK(!strstr(text, "barter_vend_lease_taking_seconds{"), "%s", text);
	free(text);

	/* The same, held up, with a device of a name that has to be escaped. */
	status[1] = status[0];
	status[1].lease = 77;
	status[1].state = BARTER_VEND_TAKING;
	status[1].taking = 9;
	status[1].buffer_state = BARTER_STATE_DEAD;
	strcpy(status[1].device, "a\"b\\\n");
	text = text_of(status, 2);
	CHECK(has(text, "barter_vend_leases{state=\"lent\"} 1"), "%s", text);
	snprintf(line, sizeof(line),
		 "barter_vend_lease_taking_seconds{lease=\"77\",offer=\"one\",device=\"a\\\"b\\\\\\n\",uid=\"%u\"} 9",
		 status[0].uid);
	CHECK(has(text, line), "%s\n%s", line, text);
	snprintf(line, sizeof(line),
		 "barter_vend_lease_revoked{lease=\"77\",offer=\"one\",device=\"a\\\"b\\\\\\n\",uid=\"%u\"} 1",
		 status[0].uid);
	CHECK(has(text, line), "%s\n%s", line, text);
	free(text);
	barter_broker_close(broker);
	broker_stop();
}

void metrics_cases(void)
{
	CASE(metrics_of_nothing);
	CASE(metrics_of_what_is_lent);
}
