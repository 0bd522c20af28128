// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What is chosen of all that was agreed on, at map or pin, and for how long: until the
 * next revoke, whose end restored() tells.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "../lib/buf.h"
#include "../lib/pci.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "../lib/tester.h"
#include "../lib/typed.h"
#include "negotiate.h"

/* ---- what is chosen ---- */

static void select_at_map(void)
{
	struct lend_stat stat;
	int id, map;

	if (!lend("abs", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "sab", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	need(id >= 0, "attach");
	is(exporter_stat(e).out_selects, 0, "nothing is asked at attach");
	ok(!importer_info(fd).type[0], "no type is in use");
	exporter_select(e, 1);
	is_errno(typed_map(id, 'p'), EOPNOTSUPP, "a type that is not agreed on");
	is(exporter_stat(e).out_selects, 0, "asks nothing");
	is_errno(typed_map(id, 'a'), EPROTOTYPE, "one that is not chosen");
	stat = exporter_stat(e);
	is(stat.out_selects, 1, "select() is asked once");
	ok(stat.out_nr == 3 && stat.out_types[0] == TYPED_FABRIC_A &&
	   stat.out_types[1] == TYPED_FABRIC_B && stat.out_types[2] == TYPED_SGT,
	   "with all matches in the exporter's order");
	map = typed_map(id, 'b');
	is_errno(map, 0, "the chosen one maps");
	ok(!strcmp(importer_info(fd).type, "test-fabric-b"), "info names it");
	is(importer_info(fd).maps, 1, "and counts the map");
	exporter_select(e, 2);
	/* Before 7.1 dma-buf pins at each map of sgt, which comes too late here. */
	is_errno(typed_map(id, 's'), kernel_before(7, 1) ? EOPNOTSUPP : EPROTOTYPE,
		 "another while it is mapped");
	is_errno(typed_unmap(id, map), 0, "unmap");
	is(typed_type(id), 'b', "the choice survives the unmap");
	is_errno(typed_map(id, 'b'), 0, "and is what maps again");
	is(exporter_stat(e).out_selects, 1, "nobody has asked anew");
	is_errno(exporter_revoke(e), 0, "revoke");
	ok(!importer_info(fd).type[0], "after an invalidate none is in use");
	is_errno(typed_type(id), ENODEV, "none can be");
	is_errno(typed_map(id, 'b'), ENODEV, "and no map");
	is(exporter_stat(e).out_selects, 1, "while revoked nobody is asked");
	is_errno(exporter_restore(e), 0, "restore");
	is_errno(typed_map(id, 'b'), EPROTOTYPE, "the former choice");
	is(typed_type(id), 's', "is a new one now");
	is(exporter_stat(e).out_selects, 2, "of the next question");
	is_errno(typed_map(id, 's'), 0, "and maps");
	unlend();
}

/* A choice that is refused leaves nothing behind. */
static void select_refuses(void)
{
	static const struct {
		int answer, error;
	} bad[] = {
		{ -EBUSY, EBUSY }, { -EAGAIN, EAGAIN }, { 2, EINVAL },
		{ INT_MAX, EINVAL }, { INT_MIN, EINVAL },
	};
	struct barter_info info;
	int id;

	if (!lend("as", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "as", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	need(id >= 0, "attach");
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		exporter_select(e, bad[i].answer);
		is_errno(typed_map(id, 'a'), bad[i].error, "map, %d",
			 bad[i].answer);
		/* Before 7.1 that is a pin, which must not say EBUSY. */
		is_errno(typed_map(id, 's'), bad[i].error == EBUSY &&
			 kernel_before(7, 1) ? EAGAIN : bad[i].error,
			 "map of sgt, %d", bad[i].answer);
		is_errno(typed_type(id), bad[i].error, "type, %d",
			 bad[i].answer);
		is_errno(buf_info(fd, &info), 0, "info");
		is(info.out_maps, 0, "no map, %d", bad[i].answer);
		ok(!importer_info(fd).type[0], "no choice, %d", bad[i].answer);
		is_errno(exporter_revoke(e), 0, "a revoke waits for nobody");
		is_errno(exporter_restore(e), 0, "restore");
	}
	exporter_select(e, 1);
	is(typed_type(id), 's', "a good answer is taken");
	is_errno(typed_map(id, 's'), 0, "and maps");
	unlend();
}

/* Before 7.1 a pin settles it. */
static void select_at_pin(void)
{
	int id, map;

	if (!lend("abs", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "abs", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	need(id >= 0, "attach");
	exporter_select(e, -EBUSY);
	is_errno(typed_pin(id), kernel_before(7, 1) ? EAGAIN : 0, "pin, refused");
	if (!kernel_before(7, 1)) {
		is(exporter_stat(e).out_selects, 0, "a pin asks nothing");
		exporter_select(e, 1);
		map = typed_map(id, 'b');
		is_errno(map, 0, "map of the pinned");
		is_errno(typed_pin(id), 0, "a pin under a live map");
		is(typed_type(id), 'b', "has the map's type");
		is_errno(typed_unpin(id), 0, "unpin");
		is(typed_type(id), 'b', "which stays");
		unlend();
		return;
	}
	is_errno(typed_unpin(id), ENODATA, "it is not pinned");
	exporter_select(e, 1);
	is_errno(typed_pin(id), 0, "pin");
	is(exporter_stat(e).out_selects, 2, "select() is asked");
	exporter_select(e, 0);
	map = typed_map(id, 'b');
	is_errno(map, 0, "the choice survives until the map");
	is_errno(typed_unmap(id, map), 0, "unmap");
	is(typed_type(id), 'b', "and until after it");
	is_errno(typed_unpin(id), 0, "unpin");
	is(typed_type(id), 'b', "and until after that");
	map = typed_map(id, 'b');
	is_errno(map, 0, "map");
	is_errno(typed_pin(id), EOPNOTSUPP, "a pin under a live map");
	is(exporter_stat(e).out_selects, 2, "all without a new question");
	is_errno(exporter_revoke(e), 0, "revoke");
	is_errno(exporter_restore(e), 0, "restore");
	is(typed_type(id), 'a', "an invalidate allows a new choice");
	unlend();
}

/* What a map comes to does not matter to the choice. */
static void a_map_that_fails_keeps_the_choice(void)
{
	/* No domain at all. */
	struct typed_map map = { .type = TYPED_DOMAIN, .domain = TYPED_DOMAIN_NULL };
	int id;

	if (!lend("ads", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "ads", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	need(id >= 0, "attach");
	exporter_select(e, 1);
	map.id = (uint32_t)id;
	is_errno(typed_map_as(&map), EINVAL, "a map that fails");
	is(exporter_stat(e).out_selects, 1, "select() was asked");
	is(typed_stat(id).out_maps, 0, "nothing is mapped");
	exporter_select(e, 0);
	is(typed_type(id), 'd', "the choice stays");
	is_errno(typed_map(id, 'a'), EPROTOTYPE, "another does not map");
	is(exporter_stat(e).out_selects, 1, "nobody has asked anew");
	is_errno(typed_decline(id, 'd'), 0, "until the importer declines it");
	is(typed_type(id), 'a', "then there is a new one");
	is_errno(exporter_revoke(e), 0, "or a revoke");
	exporter_select(e, 2);
	is_errno(exporter_restore(e), 0, "and restore");
	is(typed_type(id), 's', "ends it");
	unlend();
}

/* An importer that has found out that a type does not work for it. */
static void the_importer_declines(void)
{
	struct lend_stat stat;
	int id, map;

	if (!lend("abs", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "abs", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	is_errno(typed_decline(id, 'd'), EOPNOTSUPP, "what was not agreed on");
	is(typed_type(id), 'a', "the first");
	map = typed_map(id, 'a');
	is_errno(typed_decline(id, 'a'), EBUSY, "while it is mapped");
	is_errno(typed_unmap(id, map), 0, "unmap");
	if (kernel_before(7, 1)) {
		is_errno(typed_pin(id), 0, "pin");
		is_errno(typed_decline(id, 'a'), EBUSY, "while it is pinned");
		is_errno(typed_unpin(id), 0, "unpin");
	}
	is_errno(typed_decline(id, 'a'), 0, "decline");
	is(typed_type(id), 'b', "the next");
	stat = exporter_stat(e);
	ok(stat.out_nr == 2 && stat.out_types[0] == TYPED_FABRIC_B &&
	   stat.out_types[1] == TYPED_SGT, "select() is asked for the others");
	is_errno(typed_map(id, 'a'), EPROTOTYPE, "map of what was declined");
	is_errno(typed_decline(id, 's'), 0, "decline what is not in use");
	is(typed_type(id), 'b', "which changes nothing");
	exporter_select(e, 1);
	is_errno(typed_decline(id, 'b'), 0, "decline the last");
	is_errno(typed_type(id), EOPNOTSUPP, "none is left");
	is_errno(typed_map(id, 'b'), EOPNOTSUPP, "none maps");
	exporter_select(e, 0);
	is_errno(exporter_revoke(e), 0, "revoke");
	is_errno(exporter_restore(e), 0, "restore");
	is(typed_type(id), 'a', "an invalidate brings all back");
	unlend();
}

/* Another attachment's choice is its own. */
static void choices_are_the_attachments(void)
{
	int first, second;

	if (!lend("ab", LEND_F_SELECT))
		return;
	is_errno(typed_register(0, "ab", 0), 0, "register");
	first = typed_attach(fd, 0, 0);
	second = typed_attach(fd, 0, 0);
	exporter_select(e, 1);
	is(typed_type(first), 'b', "the first");
	exporter_select(e, 0);
	is(typed_type(second), 'a', "the second");
	is(typed_type(first), 'b', "the first as before");
	unlend();
}

/* ---- a type that core does not know ---- */

static int revoke_child(void *unused)
{
	(void)unused;
	return exporter_revoke(e) ? 1 : 0;
}

static void a_vendors_type(void)
{
	struct barter_range got[4];
	struct typed_map map = {
		.type = TYPED_FABRIC_B, .ranges = (uintptr_t)got, .room = 4,
	};
	int id;

	if (!lend("bs", 0))
		return;
	is_errno(typed_register(0, "bs", 0), 0, "register");
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	need(id >= 0, "attach without a device");
	map.id = (uint32_t)id;
	is_errno(typed_map_as(&map), 0, "map");
	is(map.out_data, 0xe1, "the exporter's data");
	is(map.out_length, 3 * PAGE, "the length");
	is(map.out_nr, 2, "the ranges");
	ok(got[0].offset == 4 * PAGE && got[0].length == 2 * PAGE &&
	   got[1].offset == PAGE && got[1].length == PAGE,
	   "in the buffer's order");
	is_errno(exporter_revoke(e), 0, "revoke");
	is(typed_stat(id).out_invalidates, 1, "the importer is told");
	is(typed_stat(id).out_maps, 0, "and has let go");
	is_errno(exporter_restore(e), 0, "restore");
	unlend();
}

/* Many ranges, asked for in pieces. */
static void a_vendors_type_with_many_ranges(void)
{
	enum { N = 1000 };
	static struct barter_range want[N], got[N];
	struct typed_map map = {
		.type = TYPED_FABRIC_A, .ranges = (uintptr_t)got, .room = N,
	};
	int id;

	e = exporter_new("a", 0);
	for (unsigned int i = 0; i < N; i++)
		want[i] = (struct barter_range){ (N - i) * 2 * PAGE, PAGE };
	fd = exporter_lend(e, 2, want, N);
	need(fd >= 0, "a buffer");
	is_errno(typed_register(0, "a", 0), 0, "register");
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	map.id = (uint32_t)id;
	is_errno(typed_map_as(&map), 0, "map");
	is(map.out_nr, N, "all");
	ok(!memcmp(want, got, sizeof(want)), "as they are");
	unlend();
}

/* Whatever the type, a revoke waits for the unmap. */
static void a_revoke_waits(void)
{
	static const struct {
		uint32_t flags;
		const char *what;
	} manners[] = {
		{ TYPED_F_SLOW, "unmaps later" },
		{ TYPED_F_BLOCK, "blocks, then unmaps" },
		{ TYPED_F_STUCK, "does nothing" },
	};

	for (unsigned int i = 0; i < 3; i++) {
		struct typed_attach req = {
			.flags = manners[i].flags | TYPED_F_NO_DEVICE,
			.delay_ms = 300,
		};
		int64_t start;
		int id, map;
		pid_t pid;

		if (!lend("a", 0))
			return;
		req.fd = fd;
		is_errno(typed_register(0, "a", 0), 0, "register");
		id = typed_attach_as(&req);
		map = typed_map(id, 'a');
		is_errno(map, 0, "%s: map", manners[i].what);
		start = now_ms();
		pid = spawn(revoke_child, NULL);
		if (manners[i].flags == TYPED_F_STUCK) {
			ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000),
			   "%s: REVOKING", manners[i].what);
			ok(is_running(pid), "%s: it waits", manners[i].what);
			is(typed_stat(id).out_maps, 1, "the map is there");
			is_errno(typed_unmap(id, map), 0, "unmap");
		}
		is(reap(pid, 20000), 0, "%s: the revoke ends", manners[i].what);
		ok(manners[i].flags == TYPED_F_STUCK || now_ms() - start >= 300,
		   "%s: not before", manners[i].what);
		is(typed_stat(id).out_maps, 0, "%s: no map", manners[i].what);
		unlend();
	}
}

/* ---- restored() ---- */

static bool restored(int id, unsigned int n)
{
	bool is;

	WAIT_FOR(is, typed_stat(id).out_restored == n, 5000);
	/* One too many might still be on its way. */
	usleep(20000);
	return is && typed_stat(id).out_restored == n;
}

static void restored_is_called_once(void)
{
	int id, quiet, late;

	if (!lend("as", 0))
		return;
	is_errno(typed_register(0, "as", TYPED_F_RESTORED), 0, "register");
	is_errno(typed_register(1, "as", 0), 0, "one without restored()");
	id = typed_attach(fd, 0, 0);
	quiet = typed_attach(fd, 1, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		is_errno(typed_map(id, 'a'), 0, "map");
		is_errno(exporter_revoke(e), 0, "revoke %u", i);
		ok(restored(id, i - 1), "not yet");
		is_errno(exporter_restore(e), 0, "restore %u", i);
		ok(restored(id, i), "called once for it");
	}
	is(typed_stat(quiet).out_restored, 0, "nobody else is called");
	is_errno(exporter_revoke(e), 0, "revoke");
	late = typed_attach(fd, 0, 0);
	is_errno(exporter_restore(e), 0, "restore");
	ok(restored(late, 1), "also who attached while revoked");
	ok(restored(id, 4), "and the first");
	is_errno(exporter_destroy(e), 0, "the exporter ends");
	ok(restored(id, 4), "which is no restore");
	is(typed_stat(id).out_invalidates, 5, "but an invalidate");
	unlend();
}

/* A restore that another reason outlasts is none. */
static void restored_waits_for_the_last_reason(void)
{
	int id;

	if (!lend("a", 0))
		return;
	is_errno(typed_register(0, "a", TYPED_F_RESTORED), 0, "register");
	id = typed_attach(fd, 0, 0);
	is_errno(exporter_revoke(e), 0, "one reason");
	is(ioctl(e, LEND_IOC_REVOKE, BARTER_REASON_MEMORY), 0, "another");
	is_errno(exporter_restore(e), 0, "the first ends");
	ok(restored(id, 0), "not yet");
	is_errno(typed_map(id, 'a'), ENODEV, "still revoked");
	is(ioctl(e, LEND_IOC_RESTORE, BARTER_REASON_MEMORY), 0, "so does that");
	ok(restored(id, 1), "now");
	is_errno(typed_map(id, 'a'), 0, "map");
	unlend();
}

/* dma_buf_detach() waits for one that runs, and none comes after it. */
static void restored_does_not_outlive_the_detach(void)
{
	struct typed_attach req = {
		.flags = TYPED_F_NO_DEVICE | TYPED_F_SLOW_RESTORED,
		.delay_ms = 200,
	};
	int late = 0;

	if (!lend("a", 0))
		return;
	req.fd = fd;
	is_errno(typed_register(0, "a", TYPED_F_RESTORED), 0, "register");
	for (int i = 0; i < 8; i++) {
		int id = typed_attach_as(&req);

		need(id >= 0 && !exporter_revoke(e) && !exporter_restore(e),
		     "attach, revoke, restore");
		usleep((unsigned int)i * 10000);
		late += typed_detach(id) != 0;
	}
	is(late, 0, "detaches that restored() outlived");
	unlend();
}

void choice_cases(void)
{
	CASE(select_at_map);
	CASE(select_refuses);
	CASE(select_at_pin);
	CASE(a_map_that_fails_keeps_the_choice);
	CASE(the_importer_declines);
	CASE(choices_are_the_attachments);
	CASE(a_vendors_type);
	CASE(a_vendors_type_with_many_ranges);
	CASE(a_revoke_waits);
	CASE(restored_is_called_once);
	CASE(restored_waits_for_the_last_reason);
	CASE(restored_does_not_outlive_the_detach);
}
