// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What guest memory is charged to: the guest's RLIMIT_MEMLOCK, and the cgroup of whoever
 * maps it. All of it comes back, also from a guest that is killed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../lib/cgroup.h"
#include "../lib/fixture.h"
#include "vgpu_core.h"

static long status_kib(const char *field)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kib = atol(line + strlen(field) + 1);
	if (f)
		fclose(f);
	return kib;
}

static int memlock_child(void *arg)
{
	struct rlimit limit = { MIB, MIB };
	uint8_t *p = memory(512);
	struct vt_map map;

	(void)arg;
	if (guest_open(&g, 0, NULL, false) || setrlimit(RLIMIT_MEMLOCK, &limit) ||
	    setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
	    guest_map(&g, p, AT, 512 * PAGE, true))
		return 1;
	if (vt_map(VT_VFIO0, AT, 100, VT_W, VT_PLAIN0, &map))
		return 2;
	if (status_kib("VmLck:") != 400)
		return 3;
	if (vt_map(VT_VFIO0, AT, 512, VT_W, VT_PLAIN0, NULL) != -ENOMEM)
		return 4;
	if (status_kib("VmLck:") != 400)
		return 5;
	if (vt_unmap(VT_VFIO0, map.out_id) || status_kib("VmLck:"))
		return 6;
	if (vt_map(VT_VFIO0, AT, 256, VT_W, VT_PLAIN0, NULL) ||
	    status_kib("VmLck:") != 1024)
		return 7;
	return guest_unmap(&g, AT, 512 * PAGE) || status_kib("VmLck:") ? 8 : 0;
}

static void memlock(void)
{
	is(in_child(memlock_child, NULL, 50000), 0,
	   "pinned pages count against RLIMIT_MEMLOCK, and come back to zero");
	is_empty(VT_VFIO0, "the guest is gone");
}

static void charge_all(void)
{
	for (uint32_t i = 0; i < 8; i++)
		vt_map(VT_MOCK, PAGE * (1024 + i), 7000, i & 1 ? VT_W : VT_R,
		       i & 2 ? VT_PLAIN0 : VT_PLAIN1, NULL);
}

static int cgroup_child(void *arg)
{
	long long before, with, after;
	bool settled;

	(void)arg;
	if (cgroup_enter())
		return 1;
	before = cgroup_charged();
	charge_all();
	WAIT_FOR(settled, (with = cgroup_charged()) >= before + (long long)MIB, 6000);
	vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
	/* What is charged is told with a delay of up to 2 s. */
	WAIT_FOR(settled, (after = cgroup_charged()) <= before + 128 * 1024, 6000);
	diag("charged: %lld before, %lld with maps, %lld after", before, with, after);
	if (before < 0 || with < before + (long long)MIB)
		return 2;
	if (!settled)
		return 3;
	vt_mock(VT_MOCK_OPEN, 0, 0, 0, NULL);
	if (cgroup_leave_room(128 * 1024))
		return 4;
	for (uint32_t i = 0; i < 8; i++)
		if (vt_map(VT_MOCK, PAGE * (1024 + i), 7000, VT_R, VT_PLAIN0, NULL) ==
		    -ENOMEM)
			return 0;
	return 6;
}

static void cgroup(void)
{
	need(!cgroup_make(), "a cgroup");
	new_mock();
	is(in_child(cgroup_child, NULL, 80000), 0,
	   "memory is charged to the cgroup, uncharged, and limited: ENOMEM, nobody killed");
	vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
	mock_is_clean("closed");
	is(cgroup_remove(), 0, "the cgroup goes");
}

static int killed_child(void *arg)
{
	uint8_t *p = begin(2000, true);

	vt_map(VT_VFIO0, AT, 2000, VT_W, VT_PCI, NULL);
	vt_map(VT_VFIO0, AT, 1000, VT_W, VT_PLAIN0, NULL);
	(void)p;
	*(volatile char *)arg = 1;
	pause();
	return 0;
}

static void killed(void)
{
	volatile char *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool came;
	pid_t pid;

	for (int round = 0; round < 5; round++) {
		*ready = 0;
		pid = spawn(killed_child, (void *)ready);
		WAIT_FOR(came, *ready, 10000);
		is(came && vt_stat(VT_VFIO0).out_maps == 2, 1, "a guest with two maps");
		kill(pid, SIGKILL);
		reap(pid, 10000);
		is_empty(VT_VFIO0, "it is killed");
	}
}

void charge_cases(void)
{
	CASE_LIMIT(memlock, 100);
	CASE_LIMIT(cgroup, 100);
	CASE(killed);
}
