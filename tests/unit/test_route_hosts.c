// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * route.c: lists of host bridges, as the module parameter allow_host_bridges has
 * them.
 */
#include "route.h"

#include "tap.h"

#include <stdlib.h>

static void parameter_lists_are_read_strictly(void)
{
	static const struct {
		const char *text;
		int expected;
		u32 nr;
	} rows[] = {
		{ "", 0, 0 }, { "\n", 0, 0 },
		{ "8086:29c0", 0, 1 }, { "8086:29c0\n", 0, 1 },
		{ "8086:29C0", 0, 1 }, { "8086:29c0,1022:1480", 0, 2 },
		{ "0000:ffff,ffff:0000,abcd:ef01\n", 0, 3 },
		{ "8086:29c0,8086:29c0", 0, 2 },
		{ "8086:29c0,1:2,", -EINVAL, 0 },
		{ ",", -EINVAL, 0 }, { ":", -EINVAL, 0 },
		{ "8086", -EINVAL, 0 }, { "8086:", -EINVAL, 0 },
		{ "8086:29c", -EINVAL, 0 }, { "8086:29c00", -EINVAL, 0 },
		{ "808:29c0", -EINVAL, 0 }, { "08086:29c0", -EINVAL, 0 },
		{ "8086-29c0", -EINVAL, 0 }, { "8086:29g0", -EINVAL, 0 },
		{ "8086:29c0,", -EINVAL, 0 }, { ",8086:29c0", -EINVAL, 0 },
		{ "8086:29c0,,8086:29c0", -EINVAL, 0 },
		{ "8086:29c0 ", -EINVAL, 0 }, { " 8086:29c0", -EINVAL, 0 },
		{ "8086:29c0, 8086:29c0", -EINVAL, 0 },
		{ "8086:29c0;8086:29c0", -EINVAL, 0 },
		{ "8086:29c0\n\n", -EINVAL, 0 }, { "\n\n", -EINVAL, 0 },
		{ "\n8086:29c0", -EINVAL, 0 }, { "all", -EINVAL, 0 },
		{ "0x8086:0x29c0", -EINVAL, 0 }, { "*:*", -EINVAL, 0 },
		{ "0000:0000,0000:0000,0000:0000,0000:0000", 0, 4 },
		{ "0000:0000,0000:0000,0000:0000,0000:0000,0000:0000",
		  -EINVAL, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		/* Just room for 4, and a copy just as long as the text. */
		struct barter_route_host_id *ids = malloc(4 * sizeof(*ids));
		char *text = strdup(rows[i].text);
		u32 nr = 77;
		int ret;

		ret = barter_route_parse_hosts(text, ids, 4, &nr);
		CHECK(ret == rows[i].expected, "\"%s\": %d", text, ret);
		CHECK(nr == (rows[i].expected ? 77 : rows[i].nr), "\"%s\": %u",
		      text, nr);
		free(text);
		free(ids);
	}
}

static void parameter_lists_come_out_as_they_went_in(void)
{
	unsigned int round;

	for (round = 0; round < 20000; round++) {
		struct barter_route_host_id in[8], out[8], stranger;
		u32 nr = random_below(ARRAY_SIZE(in) + 1), got = 77, i;
		char text[128] = "";
		size_t at = 0;

		for (i = 0; i < nr; i++) {
			in[i].vendor = random_u64();
			in[i].device = random_u64();
			at += snprintf(text + at, sizeof(text) - at,
				       random_below(2) ? "%s%04x:%04x" :
							 "%s%04X:%04X",
				       i ? "," : "", in[i].vendor,
				       in[i].device);
		}
		CHECK(!barter_route_parse_hosts(text, out, ARRAY_SIZE(out),
						&got), "\"%s\"", text);
		CHECK(got == nr && !memcmp(in, out, nr * sizeof(in[0])),
		      "\"%s\"", text);
		for (i = 0; i < nr; i++)
			CHECK(barter_route_host_listed(out, nr, in[i]),
			      "\"%s\": %u", text, i);

		if (!nr)
			continue;
		stranger = in[0];
		stranger.device ^= 1;
		for (i = 0; i < nr; i++)
			if (in[i].vendor == stranger.vendor &&
			    in[i].device == stranger.device)
				break;
		if (i == nr)
			CHECK(!barter_route_host_listed(out, nr, stranger),
			      "\"%s\": a stranger", text);

		/* One broken character never gets through. */
		text[random_below(strlen(text))] = "gG/;@`. \n"[random_below(9)];
		CHECK(barter_route_parse_hosts(text, out, ARRAY_SIZE(out),
					       &got) == -EINVAL, "\"%s\"",
		      text);
	}
}

int main(void)
{
	random_start();
	CASE(parameter_lists_are_read_strictly);
	CASE(parameter_lists_come_out_as_they_went_in);
	return tap_done();
}
