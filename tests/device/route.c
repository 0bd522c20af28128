// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A host bridge that nobody vouches for: DMA is refused, and the answer says
 * why; lending and CPU mappings work all the same; the administrator can allow
 * the bridge at run time, unless the kernel itself says no. For the machine
 * without peer-to-peer.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/tester.h"

#define PARAMETER	"/sys/module/barter/parameters/allow_host_bridges"
#define SEED		95

static int fd;

static struct barter_route ask(void)
{
	struct barter_route r;
	int ret = buf_route(fd, edu_bdf(), &r);

	if (ret)
		tap_bail("route: %s", strerror(-ret));
	return r;
}

static void refused_with_a_reason(void)
{
	struct barter_route r = ask();
	int t = tester_open(), id, edu = edu_open();
	uint8_t data[16];

	is(r.out_route, BARTER_ROUTE_NONE, "no route");
	is(r.out_reason, BARTER_WHY_BRIDGE_UNKNOWN, "the bridge is not known");
	ok(strstr(r.out_text, "8086:29c0"), "it is named: %s", r.out_text);
	id = tester_attach(t, fd, 0);
	is_errno(id, 0, "attach");
	is_errno(tester_map(t, id, 0, NULL), EXDEV, "map");
	need(edu >= 0 && !edu_import(edu, fd), "the sample importer attaches");
	is_errno(edu_read(edu, 0, data, sizeof(data)), EXDEV, "DMA");
	close(edu);
	close(t);
}

static void lending_works_without(void)
{
	volatile uint8_t *map = buf_map(fd, 0, PAGE, PROT_READ | PROT_WRITE);

	need(map, "mmap");
	fill(bar, SEED, 0, PAGE);
	is(differs(map, SEED, 0, PAGE), -1, "the right bytes");
	is_errno(dev_reset(&mem), 0, "reset");
	is(differs(map, SEED, 0, PAGE), -1, "and back");
	munmap((void *)map, PAGE);
}

static void allowed_at_run_time(void)
{
	bool kernel_has_a_say = file_has("/proc/kallsyms",
					 " pci_p2pdma_distance_many");
	struct barter_route r;
	uint8_t data[256];
	int edu = edu_open();

	need(edu >= 0 && !edu_import(edu, fd), "import");
	is_errno(edu_read(edu, 0, data, sizeof(data)), EXDEV, "not yet");
	is_errno(sysfs_write("8086:29c0", PARAMETER), 0, "allow the bridge");
	r = ask();
	fill(bar, SEED, 0, PAGE);
	if (kernel_has_a_say) {
		/* CONFIG_PCI_P2PDMA: its no is final. */
		is(r.out_route, BARTER_ROUTE_NONE, "still no route");
		is(r.out_reason, BARTER_WHY_KERNEL_REFUSED,
		   "the kernel refuses");
		ok(strstr(r.out_text, "pci_p2pdma_distance"),
		   "it is named: %s", r.out_text);
		is_errno(edu_read(edu, 0, data, sizeof(data)), EXDEV, "DMA");
	} else {
		is(r.out_route, BARTER_ROUTE_HOST, "through the host bridge");
		is(r.out_reason, BARTER_WHY_ADMIN_ALLOWED,
		   "the administrator allows");
		is_errno(edu_read(edu, 0, data, sizeof(data)), 0, "DMA");
		is(differs(data, SEED, 0, sizeof(data)), -1, "the right bytes");
	}
	is_errno(sysfs_write("\n", PARAMETER), 0, "allow it no more");
	is(ask().out_route, BARTER_ROUTE_NONE, "no route");
	close(edu);
}

static void bad_parameters(void)
{
	static const char *const bad[] = {
		"8086", "8086:", ":29c0", "8086:29c0:1", "x:y", "18086:29c0",
		"8086:29c0,", ",", "8086:29c0 8086", "8086-29c0",
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int ret = sysfs_write(bad[i], PARAMETER);

		ok(ret == -EINVAL || !ret, "'%s' does no harm: %d", bad[i], ret);
		if (!strstr(bad[i], "8086:29c0"))
			is_errno(ret, EINVAL, "'%s'", bad[i]);
	}
	is_errno(sysfs_write("\n", PARAMETER), 0, "empty again");
	is(ask().out_route, BARTER_ROUTE_NONE, "no route");
}

int main(void)
{
	fixture_open();
	fd = buf_export1(&mem, BAR, 0, PAGE);
	if (fd < 0)
		tap_bail("export");
	CASE(refused_with_a_reason);
	CASE(lending_works_without);
	CASE(allowed_at_run_time);
	CASE(bad_parameters);
	return tap_done();
}
