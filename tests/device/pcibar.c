// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * pci-bar: who is told which bytes of a BAR a buffer is, and that what is told is
 * right, whole, and inside the share of device memory that the importer named.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define PAIRS	"/sys/module/barter/parameters/pci_bar_pairs"

static int e, fd;
static uint64_t bar_length;

/* Both sides: an exporter of @bdf with that list, and an importer. */
static bool sides(const char *bdf, const char *offers, const char *wanted)
{
	e = exporter_of_bdf(bdf, offers, 0);
	fd = -1;
	return ok(e >= 0 && !typed_register(0, wanted, 0), "%s and %s", offers,
		  wanted);
}

static void lend(uint64_t offset, uint64_t n)
{
	if (fd >= 0)
		close(fd);
	fd = exporter_lend1(e, 2, offset, n);
	if (fd < 0)
		tap_bail("a buffer: %s", strerror(-fd));
}

static void end(void)
{
	if (fd >= 0)
		close(fd);
	close(e);
	typed_close();
}

/* Attach as device @bdf, which has that share. */
static int attach_as(const char *bdf, uint64_t share, int answer, uint32_t flags)
{
	struct typed_attach req = {
		.fd = fd, .flags = flags, .share = share,
		.share_answer = answer,
	};

	if (bdf)
		req.bdf = typed_bdf(bdf);
	else
		req.flags |= TYPED_F_NO_DEVICE;
	return typed_attach_as(&req);
}

/* What such an attachment would use: a letter, or -errno of the attach. */
static int agreed(const char *bdf, uint64_t share, int answer)
{
	int id = attach_as(bdf, share, answer, 0), type;

	if (id < 0)
		return id;
	type = typed_type(id);
	typed_detach(id);
	return type;
}

static int same_function(uint64_t share)
{
	return agreed(typed_lender(), share, 0);
}

/* Without a word of what is written, which has line ends in it. */
static int set_pairs(const char *text)
{
	int pairs = open(PAIRS, O_WRONLY | O_CLOEXEC);
	int ret = write(pairs, text, strlen(text)) < 0 ? -errno : 0;

	close(pairs);
	return ret;
}

static bool pairs_are(const char *text)
{
	char got[4096];

	return sysfs_read(got, sizeof(got), PAIRS) >= 0 && !strcmp(got, text);
}

/* ---- who ---- */

static void the_same_function(void)
{
	const struct barter_range want[] = {
		{ 8 * MIB, 3 * PAGE }, { PAGE, PAGE }, { 2 * MIB, MIB },
	};
	struct barter_range got[3];
	struct typed_bdf bdf = typed_bdf(typed_lender());
	struct typed_map map = {
		.type = TYPED_PCI_BAR, .ranges = (uintptr_t)got, .room = 3,
	};
	int id;

	if (!sides(typed_lender(), "ps", "ps"))
		return;
	fd = exporter_lend(e, 2, want, 3);
	id = attach_as(typed_lender(), bar_length, 0, 0);
	need(id >= 0, "attach");
	is(typed_type(id), 'p', "pci-bar");
	map.id = (uint32_t)id;
	is_errno(typed_map_as(&map), 0, "map");
	ok(!memcmp(&map.out_bdf, &bdf, sizeof(bdf)), "the device");
	is(map.out_bar, 2, "the BAR");
	is(map.out_share, bar_length, "the share");
	is(map.out_length, MIB + 4 * PAGE, "the length");
	is(map.out_nr, 3, "three ranges");
	ok(!memcmp(want, got, sizeof(want)), "as they are, in their order");
	is_errno(typed_map(id, 'p'), 0, "a second map");
	is_errno(typed_unmap(id, 0), 0, "unmap the first");
	is(typed_stat(id).out_maps, 1, "the second is there");
	is_errno(typed_unmap(id, 1), 0, "unmap it too");
	is_errno(typed_map(id, 's'), EPROTOTYPE, "sgt is not in use");
	is_errno(typed_detach(id), 0, "detach");
	end();
}

static void others_get_sgt_or_nothing(void)
{
	if (!sides(typed_lender(), "ps", "ps"))
		return;
	lend(0, PAGE);
	is(agreed(edu_bdf(), bar_length, 0), 's', "another function");
	is_errno(agreed(NULL, bar_length, 0), EOPNOTSUPP, "no function");
	end();
	if (!sides(typed_lender(), "p", "ps"))
		return;
	lend(0, PAGE);
	is_errno(agreed(edu_bdf(), bar_length, 0), EOPNOTSUPP,
		 "another function, no sgt");
	is_errno(agreed(NULL, bar_length, 0), EOPNOTSUPP, "no function, no sgt");
	end();
}

static void a_pair_is_vouched_for(void)
{
	char pair[64], other[128];
	int id;

	if (!sides(typed_lender(), "ps", "ps"))
		return;
	lend(0, PAGE);
	snprintf(pair, sizeof(pair), "%s=%s", typed_lender(), edu_bdf());
	is_errno(set_pairs(pair), 0, "vouch");
	id = attach_as(edu_bdf(), bar_length, 0, 0);
	is(typed_type(id), 'p', "the pair");
	is_errno(typed_map(id, 'p'), 0, "maps");
	is_errno(agreed(NULL, bar_length, 0), EOPNOTSUPP, "nobody else");
	is(agreed("0000:00:00.0", bar_length, 0), 's', "no other function");
	snprintf(pair, sizeof(pair), "%s=%s", edu_bdf(), typed_lender());
	is_errno(set_pairs(pair), 0, "the other way round");
	is(agreed(edu_bdf(), bar_length, 0), 's', "is another pair");
	is_errno(typed_map(id, 'p'), 0, "what was agreed on stays");
	snprintf(other, sizeof(other), "0001:02:03.4=0005:06:07.0,%s=%s",
		 typed_lender(), edu_bdf());
	is_errno(set_pairs(other), 0, "the second of two");
	is(agreed(edu_bdf(), bar_length, 0), 'p', "counts");
	snprintf(other, sizeof(other), "0001%s=%s", typed_lender() + 4,
		 edu_bdf());
	is_errno(set_pairs(other), 0, "another domain");
	is(agreed(edu_bdf(), bar_length, 0), 's', "is another function");
	is_errno(set_pairs("\n"), 0, "nobody");
	is(agreed(edu_bdf(), bar_length, 0), 's', "not any more");
	end();
}

static void pairs_are_parsed(void)
{
	static const char *const bad[] = {
		"x", "0000:01:00.0", "0000:01:00.0=", "=0000:01:00.0",
		"0000:01:00.0=0000:02:00.0,", "0000:01:00.0=0000:02:00.0,\n",
		",0000:01:00.0=0000:02:00.0", "0000:01:00.0=0000:02:00.0 x",
		"0000:01:00.0=0000:02:00.0,,0000:01:00.0=0000:03:00.0",
		"01:00.0=02:00.0", "0000:01:20.0=0000:02:00.0",
		"0000:01:00.8=0000:02:00.0", "0000:01:00.0=0000:02:00.9",
		"0000:01:00.0=0000:02:20.0", "0000:01:00.0=0000:02:00.00",
		"0000:01:00=0000:02:00", "0000:01:00.0:0000:02:00.0",
		"0000:100:00.0=0000:02:00.0", "0000:-1:00.0=0000:02:00.0",
		"0000:01:00.0=0000:02:00.0;0000:01:00.0=0000:03:00.0",
		"123456789:01:00.0=0000:02:00.0", " 0000:01:00.0=0000:02:00.0",
		"0000: 1:00.0=0000:02:00.0", "0x00:01:00.0=0000:02:00.0",
		"0000:01:00.0= 000:02:00.0", "0000:01:00.0=0000:02:0x.0",
	};
	char many[65 * 26 + 1] = "", line[sizeof(many)];
	struct log log;

	is_errno(set_pairs("0000:0a:1f.7=ABCD:ef:00.0,10000:01:02.3=0:0:0.0"), 0,
		 "two pairs");
	ok(pairs_are("0000:0a:1f.7=abcd:ef:00.0,10000:01:02.3=0000:00:00.0"),
	   "read back");
	log_open(&log);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_errno(set_pairs(bad[i]), EINVAL, "\"%.30s\"", bad[i]);
	ok(log_wait(&log, "pci_bar_pairs", "expected", 5000),
	   "the log says what is expected");
	log_close(&log);
	ok(pairs_are("0000:0a:1f.7=abcd:ef:00.0,10000:01:02.3=0000:00:00.0"),
	   "nothing was changed");
	for (int i = 0; i < 64; i++)
		sprintf(many + strlen(many), "%s0000:%02x:00.0=0000:00:00.1",
			i ? "," : "", (unsigned int)i);
	is_errno(set_pairs(many), 0, "64 pairs");
	strcpy(line, many);
	ok(pairs_are(line), "read back");
	strcat(many, ",0000:ff:00.0=0000:00:00.1");
	is_errno(set_pairs(many), E2BIG, "65");
	ok(pairs_are(line), "nothing was changed");
	is_errno(set_pairs("\n"), 0, "none");
	ok(pairs_are(""), "read back");
}

/* ---- how much ---- */

static void what_share_says(void)
{
	/* dma-buf would take the negative ones, too, for an attachment. */
	static const int none[] = { 1, INT_MAX, -4096, INT_MIN };

	if (!sides(typed_lender(), "ps", "ps"))
		return;
	lend(0, PAGE);
	is_errno(agreed(typed_lender(), bar_length, -EACCES), EACCES,
		 "an errno refuses");
	is(agreed(typed_lender(), bar_length, -EOPNOTSUPP), 's', "skip goes on");
	for (unsigned int i = 0; i < sizeof(none) / sizeof(*none); i++)
		is_errno(agreed(typed_lender(), bar_length, none[i]), EINVAL,
			 "%d, no errno, refuses", none[i]);
	is(agreed(edu_bdf(), bar_length, -EACCES), 's',
	   "a stranger is not asked");
	is_errno(typed_unregister(0), 0, "unregister");
	is_errno(typed_register(0, "ps", TYPED_F_NO_SHARE), 0,
		 "one without share()");
	is_errno(same_function(bar_length), EINVAL, "is refused");
	end();
}

static void a_small_bar(void)
{
	char sizes[2][32];
	struct log log;

	if (!sides(typed_lender(), "ps", "ps"))
		return;
	lend(0, PAGE);
	is(same_function(bar_length), 'p', "a BAR that shows all");
	log_open(&log);
	is(same_function(bar_length + 1), 's', "a BAR that lacks a byte");
	snprintf(sizes[0], sizeof(sizes[0]), "has %llu bytes",
		 (unsigned long long)bar_length);
	snprintf(sizes[1], sizeof(sizes[1]), "all %llu bytes",
		 (unsigned long long)bar_length + 1);
	ok(log_wait(&log, sizes[0], sizes[1], 5000), "the log has both sizes");
	log_close(&log);
	end();
}

static void ranges_and_the_share(void)
{
	const struct barter_range beyond[] = {
		{ 0, PAGE }, { MIB, PAGE }, { PAGE, PAGE },
	};
	struct log log;

	if (!sides(typed_lender(), "ps", "ps"))
		return;
	lend(0, MIB);
	is(same_function(MIB), 'p', "all of the share");
	is(same_function(MIB - 1), 's', "a byte less of it");
	is(same_function(0), 's', "none of it");
	lend(MIB - PAGE, PAGE);
	is(same_function(MIB), 'p', "its last page");
	log_open(&log);
	lend(MIB - PAGE, 2 * PAGE);
	is(same_function(MIB), 's', "one inside, one outside");
	ok(log_wait(&log, "ends at byte 1052672", "only 1048576 bytes", 5000),
	   "the log has both numbers");
	log_close(&log);
	lend(MIB, PAGE);
	is(same_function(MIB), 's', "the first page behind it");
	close(fd);
	fd = exporter_lend(e, 2, beyond, 3);
	is(same_function(MIB), 's', "a range in the middle of others");
	lend(bar_length - PAGE, PAGE);
	is(same_function(bar_length), 'p', "the last page of the BAR");
	end();
}

/* The device with the BAR of 16 GiB. */
static const char *huge(void)
{
	static char bdf[BDF_LENGTH];
	uint64_t length, flags;

	for (unsigned int i = 0; !pci_find(PCI_IVSHMEM, i, bdf); i++)
		if (pci_bar(bdf, 2, &length, &flags) && length == 16 * GIB)
			return bdf;
	return NULL;
}

/* Map as the very function; are the ranges these? */
static bool map_is(const char *bdf, uint64_t share,
		   const struct barter_range *want, uint32_t nr)
{
	struct barter_range *got = calloc(nr, sizeof(*got));
	struct typed_map map = {
		.type = TYPED_PCI_BAR, .ranges = (uintptr_t)got, .room = nr,
	};
	int id = attach_as(bdf, share, 0, 0);
	bool same;

	map.id = (uint32_t)id;
	same = id >= 0 && typed_map_as(&map) >= 0 && map.out_nr == nr &&
		map.out_share == share && !memcmp(got, want, nr * sizeof(*got));
	typed_detach(id);
	free(got);
	return same;
}

/* Numbers of more than 32 bits. */
static void far_ranges(void)
{
	static const struct barter_range far[] = {
		{ 4 * GIB - PAGE, 2 * PAGE }, { 8 * GIB, PAGE },
		{ 8 * GIB - PAGE, PAGE }, { 16 * GIB - PAGE, PAGE }, { 0, PAGE },
		{ 5 * GIB, 5 * GIB },
	};
	/* A dma-buf of 4 GiB and more is no thing of a 32-bit kernel. */
	const unsigned int n = sizeof(long) == 8 ? 6 : 5;

	if (!huge()) {
		skip("this machine has no BAR of 16 GiB", "far ranges");
		return;
	}
	if (!sides(huge(), "ps", "ps"))
		return;
	if (n < 6)
		is_errno(exporter_lend(e, 2, far, 6), E2BIG, "more than 4 GiB");
	fd = exporter_lend(e, 2, far, n);
	need(fd >= 0, "a buffer of ranges far apart");
	ok(map_is(huge(), 16 * GIB, far, n), "each at its place");
	is(agreed(huge(), 16 * GIB - 1, 0), 's', "a share that lacks a byte");
	is(agreed(huge(), 16 * GIB + PAGE, 0), 's', "a share beyond the BAR");
	lend(8 * GIB - PAGE, PAGE);
	is(agreed(huge(), 8 * GIB, 0), 'p', "up to 8 GiB of 8 GiB");
	lend(8 * GIB - PAGE, 2 * PAGE);
	is(agreed(huge(), 8 * GIB, 0), 's', "a page more");
	lend(4 * GIB - PAGE, 2 * PAGE);
	is(agreed(huge(), 4 * GIB, 0), 's', "a page beyond 4 GiB");
	is(agreed(huge(), 4 * GIB + PAGE, 0), 'p', "which the share has");
	lend(4 * GIB, PAGE);
	is(agreed(huge(), PAGE, 0), 's', "4 GiB is not 0");
	end();
}

static void many_ranges(void)
{
	enum { N = 65536 };
	struct barter_range *want;

	if (!huge()) {
		skip("this machine has no BAR of 16 GiB", "many ranges");
		return;
	}
	if (!sides(huge(), "p", "p"))
		return;
	want = calloc(N, sizeof(*want));
	/* Scattered over 16 GiB, no two touch. */
	for (uint64_t i = 0; i < N; i++)
		want[i] = (struct barter_range){
			i * 40503 % N * 64 * PAGE, (1 + i % 3) * PAGE,
		};
	fd = exporter_lend(e, 2, want, N);
	need(fd >= 0, "a buffer of %d ranges", N);
	ok(map_is(huge(), 16 * GIB, want, N), "all are told, in order");
	free(want);
	end();
}

/* Once lent, or refused, the copy holds runs: taken for ranges they are another memory. */
static void copied_ranges_are_lent_once(void)
{
	const struct barter_range want[] = {
		{ 8 * MIB, 3 * PAGE }, { PAGE, PAGE }, { 2 * MIB, MIB },
	};

	if (!sides(typed_lender(), "p", "p"))
		return;
	is_errno(exporter_lend_again(e, 2, want, 3), EINVAL, "not a second time");
	is_errno(exporter_lend_again(e, 2, want, 0), EINVAL, "none");
	is_errno(exporter_lend_again(e, 2, want, BARTER_MAX_RANGES + 1), E2BIG,
		 "too many");
	end();
}

/* ---- how long ---- */

static int revoke_child(void *unused)
{
	(void)unused;
	return exporter_revoke(e) ? 1 : 0;
}

static void a_revoke_waits_for_the_unmap(void)
{
	int id, map;
	pid_t pid;

	if (!sides(typed_lender(), "p", "p"))
		return;
	lend(0, PAGE);
	id = attach_as(typed_lender(), bar_length, 0, TYPED_F_STUCK);
	map = typed_map(id, 'p');
	is_errno(map, 0, "map");
	pid = spawn(revoke_child, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	ok(is_running(pid), "the revoke waits");
	is_errno(typed_map(id, 'p'), ENODEV, "no new map");
	is_errno(typed_unmap(id, map), 0, "unmap");
	is(reap(pid, 20000), 0, "then it ends");
	is_errno(typed_map(id, 'p'), ENODEV, "map while revoked");
	is_errno(exporter_restore(e), 0, "restore");
	map = typed_map(id, 'p');
	is_errno(map, 0, "map again");
	is_errno(typed_unmap(id, map), 0, "unmap");
	is_errno(exporter_destroy(e), 0, "the exporter ends");
	is_errno(typed_map(id, 'p'), EBADFD, "map of the dead");
	end();
}

static void an_inline_unmap_is_not_waited_for(void)
{
	int id;

	if (!sides(typed_lender(), "p", "p"))
		return;
	lend(0, PAGE);
	id = attach_as(typed_lender(), bar_length, 0, 0);
	is_errno(typed_map(id, 'p'), 0, "map");
	is_errno(exporter_revoke(e), 0, "revoke");
	is(typed_stat(id).out_maps, 0, "it is unmapped");
	is_errno(exporter_destroy(e), 0, "the exporter ends");
	end();
}

int main(void)
{
	uint64_t flags;

	pci_bar(typed_lender(), 2, &bar_length, &flags);
	CASE(the_same_function);
	CASE(others_get_sgt_or_nothing);
	CASE(a_pair_is_vouched_for);
	CASE(pairs_are_parsed);
	CASE(what_share_says);
	CASE(a_small_bar);
	CASE(ranges_and_the_share);
	CASE(far_ranges);
	CASE(many_ranges);
	CASE(copied_ranges_are_lent_once);
	CASE(a_revoke_waits_for_the_unmap);
	CASE(an_inline_unmap_is_not_waited_for);
	return tap_done();
}
