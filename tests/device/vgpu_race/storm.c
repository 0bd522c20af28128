// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * All at once: threads that map and unmap, a guest that takes memory away, a driver that
 * changes its manners, a second device that comes and goes.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "../lib/access.h"
#include "../lib/buf.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "vgpu_race.h"

/* Four threads: the kernel's DMA debugging bears with eight maps of a page. */
#define MOST 2

#define ENOUGH 20

static int64_t until;
static volatile unsigned long made, failed, unmapped;
static volatile int wrong;

/* For 4 s, and where that is not enough to see something, for longer. */
static bool goes_on(void)
{
	return !wrong && (now_ms() < until ||
			  ((made <= ENOUGH || unmapped <= ENOUGH) && now_ms() < until + 60000));
}

static unsigned int dice(unsigned int *seed, unsigned int sides)
{
	return (unsigned int)rand_r(seed) % sides;
}

static bool may_say(int ret)
{
	return !ret || ret == -EAGAIN || ret == -ENOENT || ret == -ENODEV || ret == -EPERM;
}

/* Maps and unmaps, one or many. */
static int storm_maps(struct job *job)
{
	unsigned int seed = (unsigned int)job->first, nr = 0;
	uint32_t ids[MOST];

	while (goes_on()) {
		static const uint32_t devices[] = {
			VT_NONE,
			VT_PLAIN0,
			VT_PLAIN1,
			VT_PCI,
		};
		uint64_t first = dice(&seed, GUEST_PAGES - 1);
		uint64_t n = 1 + dice(&seed, dice(&seed, 4) ? 16 : 900);
		struct vt_map map;
		int ret;

		n = first + n > GUEST_PAGES ? GUEST_PAGES - first : n;
		if (dice(&seed, 3) == 0)
			first = 0, n = 64;
		ret = vt_map(job->space, job->map.iova + first * PAGE, n,
			     dice(&seed, 2) ? VT_W : VT_R, devices[dice(&seed, 4)], &map);
		if (!may_say(ret))
			wrong = ret;
		if (ret) {
			__sync_fetch_and_add(&failed, 1);
		} else {
			__sync_fetch_and_add(&made, 1);
			ids[nr++] = map.out_id;
		}
		if (nr == MOST || (nr && dice(&seed, 3) == 0)) {
			if (dice(&seed, 2)) {
				vt_unmap_many(job->space, ids, nr);
				nr = 0;
			} else {
				vt_unmap(job->space, ids[--nr]);
			}
		}
	}
	vt_unmap_many(job->space, ids, nr);
	return 0;
}

/* The mock guest takes pages away, and looks whether they are unpinned. */
static int storm_mock_guest(struct job *job)
{
	unsigned int seed = (unsigned int)job->first;

	while (goes_on()) {
		uint64_t first = dice(&seed, GUEST_PAGES), n = 1 + dice(&seed, 300);
		int ret;

		vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_NONE, first, n, NULL);
		ret = vt_mock(VT_MOCK_UNMAP, 0, first, n, NULL);
		if (ret)
			wrong = ret;
		vt_mock(VT_MOCK_PAGES_ARE, VT_PAGE_RW, first, n, NULL);
		unmapped++;
		if (dice(&seed, 20) == 0)
			vt_revoke(VT_MOCK, VT_PLAIN0 + dice(&seed, 2));
		if (dice(&seed, 50) == 0) {
			vt_mock(VT_MOCK_CLOSE, 0, 0, 0, NULL);
			vt_mock(VT_MOCK_OPEN, 0, 0, 0, NULL);
		}
	}
	return 0;
}

/* A real one, in halves; whether pages are unpinned is VFIO's to see. */
static int storm_guest(struct job *job)
{
	unsigned int seed = (unsigned int)job->first;

	while (goes_on()) {
		uint64_t at = dice(&seed, 2) * HALF;
		int ret = guest_unmap(&g, job->map.iova + at, HALF);

		if (!ret)
			ret = guest_map(&g, ram + at, job->map.iova + at, HALF, true);
		if (ret)
			wrong = ret;
		unmapped++;
	}
	return 0;
}

/* A second device in the container comes and goes. */
static int storm_other(struct job *job)
{
	while (goes_on()) {
		int ret = do_open_other(job);

		if (ret)
			wrong = ret;
		usleep(3000);
	}
	return 0;
}

static int storm_driver(struct job *job)
{
	static const uint32_t manners[] = { VT_PROMPT, VT_LATER, VT_PROMPT, VT_MISUSE };

	for (unsigned int i = 0; goes_on(); i++) {
		vt_behave(job->space, manners[i % 4], 2);
		usleep(20000);
	}
	vt_behave(job->space, VT_PROMPT, 0);
	return 0;
}

static void storm(uint32_t space, uint64_t at, int (*guest)(struct job *),
		  int (*other)(struct job *))
{
	struct job jobs[7];
	unsigned int nr = 0;
	bool ended = true;

	made = failed = unmapped = 0;
	wrong = 0;
	until = now_ms() + 4000;
	for (unsigned int i = 0; i < 7; i++)
		jobs[i] = (struct job){
			.space = space,
			.first = i + 1,
			.map.iova = at,
		};
	for (unsigned int i = 0; i < 4; i++)
		start(&jobs[nr++], storm_maps);
	start(&jobs[nr++], guest);
	start(&jobs[nr++], storm_driver);
	if (other)
		start(&jobs[nr++], other);
	for (unsigned int i = 0; i < nr; i++)
		ended = finish(&jobs[i], 90000) != -ETIMEDOUT && ended;
	ok(ended, "all come to an end");
	is(wrong, 0, "nobody saw what may not be");
	vt_letgo(space);
	ok(made > ENOUGH && unmapped > ENOUGH, "%lu maps, %lu that could not be, %lu unmaps", made,
	   failed, unmapped);
	is(vt_stat(space).out_misused, 0, "nobody mapped in an invalidate");
}

static void storm_mock(void)
{
	new_mock();
	storm(VT_MOCK, 0, storm_mock_guest, NULL);
	is_clean("after");
	new_mock();
	vt_mock(VT_MOCK_ANY, 0, 0, 0, NULL);
	storm(VT_MOCK, 0, storm_mock_guest, NULL);
	is_clean("after, with a backend that unpins what it pinned");
}

static void storm_vfio(void)
{
	begin(false);
	storm(VT_VFIO0, AT, storm_guest, storm_other);
	is_empty("after");
	guest_close(&g);
}

static void storm_iommufd(void)
{
	if (access("/dev/iommu", F_OK)) {
		skip("no iommufd", "all at once, with iommufd");
		return;
	}
	begin(true);
	storm(VT_VFIO0, AT, storm_guest, NULL);
	is_empty("after");
	guest_close(&g);
}

void storm_cases(void)
{
	CASE_LIMIT(storm_mock, 200);
	CASE_LIMIT(storm_vfio, 100);
	CASE_LIMIT(storm_iommufd, 100);
}
