// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory for a vEDU's worker: it pins and maps what commands are about. A command
 * is done, or says that there is no memory, and then nothing is pinned.
 */
#define _GNU_SOURCE
#include "../lib/iommufd.h"
#include "fault_vedu.h"

static int thread;

/* Of a command; where memory is missing for one of its pages the kernel says EFAULT. */
static int status_errno(int status)
{
	switch (status) {
	case BARTER_VEDU_S_OK:
		return 0;
	case BARTER_VEDU_S_NO_MEMORY:
		return -ENOMEM;
	case BARTER_VEDU_S_ADDRESS:
		return -EFAULT;
	default:
		return status < 0 ? status : -EIO;
	}
}

static int call_hold(void)
{
	return status_errno(vedu_hold(&g, IOVA, PAGES * PAGE, NULL));
}

static bool whole_hold(int ret)
{
	(void)ret;
	return vedu_release(&g, IOVA, PAGES * PAGE) == BARTER_VEDU_S_OK;
}

static void hold(void)
{
	if (call_hold())
		tap_bail("no memory is held to begin with");
	held = PAGES;
}

static int call_release(void)
{
	return status_errno(vedu_release(&g, IOVA, PAGES * PAGE));
}

static bool whole_release(int ret)
{
	(void)ret;
	hold();
	return true;
}

static void release(void)
{
	vedu_release(&g, IOVA, PAGES * PAGE);
	held = 0;
}

static void before_copy(void)
{
	fill(ram, SEED, 0, 4 * PAGE);
	memset(ram + 8 * PAGE, 0, PAGE);
}

static int call_copy(void)
{
	return status_errno(vedu_copy(&g, IOVA + 8 * PAGE, IOVA + PAGE, 256));
}

static bool whole_copy(int ret)
{
	(void)ret;
	return differs(ram + 8 * PAGE, SEED, PAGE, 256) < 0;
}

static void sweep_worker(bool by_iommufd)
{
	const struct fault_call calls[] = {
		{ .name = "HOLD",
		  .call = call_hold,
		  .whole = whole_hold,
		  .least = 5,
		  .fails = 3,
		  .errnos = { EFAULT } },
		{ .name = "RELEASE",
		  .before = hold,
		  .call = call_release,
		  .whole = whole_release,
		  .after = release,
		  .least = by_iommufd ? 1 : 0,
		  .none = !by_iommufd },
		{ .name = "COPY",
		  .before = before_copy,
		  .call = call_copy,
		  .whole = whole_copy,
		  .least = 5,
		  .fails = 3,
		  .errnos = { EFAULT } },
	};

	guest_up(by_iommufd);
	fault_task(thread);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	fault_task(0);
	guest_down();
}

static void commands(void)
{
	sweep_worker(false);
}

static void commands_iommufd(void)
{
	sweep_worker(true);
}

void worker_cases(int worker)
{
	thread = worker;
	CASE_LIMIT(commands, 240);
	if (iommufd_or_skip("commands by iommufd"))
		CASE_LIMIT(commands_iommufd, 240);
}
