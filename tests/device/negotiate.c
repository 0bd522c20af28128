// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which interconnect an attachment gets: what is registered, what is agreed on when
 * an importer attaches, what the exporter chooses and for how long, and who stays
 * loaded for it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"
#include "negotiate/negotiate.h"

int e, fd;

bool lend(const char *offers, uint32_t flags)
{
	const struct barter_range ranges[] = {
		{ 4 * PAGE, 2 * PAGE }, { PAGE, PAGE },
	};

	e = exporter_new(offers, flags);
	fd = e < 0 ? e : exporter_lend(e, 2, ranges, 2);
	return ok(fd >= 0, "a buffer of %s", offers ? offers : "core's types");
}

void unlend(void)
{
	close(fd);
	close(e);
	typed_close();
	fabric(FABRIC_MATCH, 0, 0);
	fabric(FABRIC_MATCH, 1, 0);
}

static int refs(const char *module)
{
	char text[32];

	return sysfs_read(text, sizeof(text), "/sys/module/%s/refcnt",
			  module) < 0 ? -1 : atoi(text);
}

struct barter_importer_info importer_info(int buffer)
{
	struct barter_importer_info importer = { 0 };
	struct barter_info info = {
		.size = sizeof(info), .dmabuf_fd = buffer, .nr_importers = 1,
		.importers = (uintptr_t)&importer,
	};

	if (ioctl(barter_fd(), BARTER_IOC_INFO, &info) ||
	    info.out_nr_importers != 1)
		tap_bail("info has no importer");
	return importer;
}

/* ---- attach ---- */

/* Both lists, what the fabrics' match callbacks say, and what comes of it. */
static const struct row {
	const char *exporter, *importer;
	int match_a, match_b;
	int error;
	const char *types;
} rows[] = {
	/* The exporter's order counts, not the importer's; all matches are kept. */
	{ "abs", "abs", 0, 0, 0, "abs" },
	{ "abs", "sba", 0, 0, 0, "abs" },
	{ "sba", "abs", 0, 0, 0, "sba" },
	{ "bdas", "sdab", 0, 0, 0, "bdas" },
	{ "b", "abs", 0, 0, 0, "b" },
	{ "abs", "b", 0, 0, 0, "b" },
	{ NULL, "sd", 0, 0, 0, "ds" },
	{ NULL, "abs", 0, 0, 0, "s" },
	{ NULL, "d", 0, 0, 0, "d" },
	/* Of a device that is another's; what else the two have is kept. */
	{ NULL, "spd", 0, 0, 0, "ds" },
	{ NULL, "p", 0, 0, EOPNOTSUPP, "" },
	/* Nothing in common. */
	{ "a", "b", 0, 0, EOPNOTSUPP, "" },
	{ "ab", "sd", 0, 0, EOPNOTSUPP, "" },
	{ NULL, "ab", 0, 0, EOPNOTSUPP, "" },
	/* Skip goes on. */
	{ "abs", "abs", SKIP, 0, 0, "bs" },
	{ "abs", "abs", 0, SKIP, 0, "as" },
	{ "bas", "abs", SKIP, 0, 0, "bs" },
	{ "abs", "abs", SKIP, SKIP, 0, "s" },
	{ "ab", "ab", SKIP, SKIP, EOPNOTSUPP, "" },
	/* Any other errno refuses, also behind a match and before one. */
	{ "abs", "abs", -EACCES, 0, EACCES, "" },
	{ "abs", "abs", 0, -EACCES, EACCES, "" },
	{ "sba", "abs", -ENODEV, 0, ENODEV, "" },
	{ "abs", "abs", -EBUSY, SKIP, EBUSY, "" },
	{ "abs", "abs", SKIP, -EBUSY, EBUSY, "" },
	/* That an errno is one is not taken on trust. */
	{ "abs", "abs", 1, 0, EINVAL, "" },
	/* Who does not list a type is not asked for it. */
	{ "abs", "bs", -EACCES, 0, 0, "bs" },
	{ "bs", "abs", -EACCES, 0, 0, "bs" },
};

static void one_row(const struct row *row)
{
	int exporter_refs, importer_refs, id, matched;
	char types[BARTER_TYPES_LENGTH], what[96];
	struct barter_importer_info importer;

	snprintf(what, sizeof(what), "%s and %s, %d %d",
		 row->exporter ? row->exporter : "core's", row->importer,
		 row->match_a, row->match_b);
	fabric(FABRIC_MATCH, 0, row->match_a);
	fabric(FABRIC_MATCH, 1, row->match_b);
	e = exporter_new(row->exporter, 0);
	fd = e < 0 ? e : exporter_lend1(e, 2, 0, PAGE);
	if (fd < 0 || typed_register(0, row->importer, 0)) {
		ok(false, "%s: both sides", what);
		return;
	}
	exporter_refs = refs("barter_test_exporter");
	importer_refs = refs("barter_test_importer");
	id = typed_attach(fd, 0, 0);
	is_errno(id, row->error, "%s: attach", what);
	if (id >= 0) {
		importer = importer_info(fd);
		typed_names(row->types, types);
		ok(!strcmp(importer.types, types), "%s: agreed on %s", what,
		   importer.types);
		matched = !!strchr(row->types, 'a') + !!strchr(row->types, 'b');
		is(refs("barter_test_exporter") - exporter_refs, matched,
		   "%s: each type's module is held", what);
		is(refs("barter_test_importer") - importer_refs, 1,
		   "%s: so is the importer's", what);
		is(typed_type(id), row->types[0], "%s: the first is used", what);
		is_errno(typed_detach(id), 0, "%s: detach", what);
	}
	is(refs("barter_test_exporter"), exporter_refs, "%s: all is given back",
	   what);
	is(refs("barter_test_importer"), importer_refs, "%s: here too", what);
	unlend();
}

static void the_table(void)
{
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		one_row(&rows[i]);
}

/* What a match callback is given to decide on. */
static void match_knows_both_sides(void)
{
	struct lend_fabric before = fabric_stat(1), f;
	uint64_t length, flags;
	int id;

	if (!lend("sb", 0))
		return;
	pci_bar(typed_lender(), 2, &length, &flags);
	is_errno(typed_register(0, "bs", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	is_errno(id, 0, "attach");
	f = fabric_stat(1);
	is(f.out_matches - before.out_matches, 1, "asked once");
	is(f.out_bar, 2, "the BAR");
	is(f.out_bar_length, length, "its length");
	is(f.out_end, 6 * PAGE, "where the buffer's highest range ends");
	is(f.out_data, 0xe1ull << 32 | 0x11, "both sides' data");
	unlend();
}

static void a_type_without_match_is_agreed_on(void)
{
	int id;

	if (!lend("ab", 0))
		return;
	is_errno(fabric(FABRIC_NO_MATCH, 0, 0), 0, "no match callback");
	is_errno(typed_register(0, "ab", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	is(typed_type(id), 'a', "agreed on");
	unlend();
}

/* Whoever is not registered gets sgt, and notices nothing else. */
static void the_unregistered_get_sgt(void)
{
	struct barter_importer_info importer;
	int id;

	if (!lend("abds", 0))
		return;
	is_errno(typed_register(0, "abd", 0), 0, "register");
	is_errno(typed_unregister(0), 0, "and unregister");
	id = typed_attach(fd, 0, 0);
	is_errno(id, 0, "attach");
	importer = importer_info(fd);
	ok(!strcmp(importer.types, "sgt"), "agreed on %s", importer.types);
	is(typed_type(id), 's', "sgt is used");
	is_errno(typed_map(id, 's'), 0, "sgt maps");
	is_errno(typed_map(id, 'a'), EOPNOTSUPP, "nothing else does");
	unlend();
	if (!lend("abd", 0))
		return;
	id = typed_attach(fd, 0, 0);
	is_errno(id, EOPNOTSUPP, "an exporter without sgt");
	unlend();
}

static void sgt_needs_peer_to_peer(void)
{
	int id;

	if (!lend("sa", 0))
		return;
	is_errno(typed_register(0, "as", TYPED_F_NO_P2P), 0, "register");
	id = typed_attach(fd, 0, 0);
	is(typed_type(id), 'a', "sgt is left out");
	is_errno(typed_detach(id), 0, "detach");
	is_errno(typed_unregister(0), 0, "unregister");
	is_errno(typed_register(0, "s", TYPED_F_NO_P2P), 0, "register sgt alone");
	is_errno(typed_attach(fd, 0, 0), EOPNOTSUPP, "nothing is left");
	unlend();
	if (!lend(NULL, 0))
		return;
	is_errno(typed_register(0, "sd", TYPED_F_NO_P2P), 0, "register");
	id = typed_attach(fd, 0, 0);
	is(typed_type(id), 'd', "core's list: sgt is left out");
	is_errno(typed_map(id, 's'), EOPNOTSUPP, "it does not map");
	is_errno(typed_detach(id), 0, "detach");
	is_errno(typed_unregister(0), 0, "unregister");
	is_errno(typed_register(0, "s", TYPED_F_NO_P2P), 0, "register sgt alone");
	is_errno(typed_attach(fd, 0, 0), EOPNOTSUPP, "nothing is left");
	unlend();
}

/* ---- registration ---- */

static void importers_are_checked(void)
{
	is_errno(typed_register(0, "", 0), EINVAL, "no offer");
	is_errno(typed_register(0, "a", TYPED_F_NO_OFFERS), EINVAL, "no list");
	is_errno(typed_register(0, "0", 0), EINVAL, "no type");
	is_errno(typed_register(0, "a0", 0), EINVAL, "no type behind one");
	is_errno(typed_register(0, "aa", 0), EINVAL, "one twice");
	is_errno(typed_register(0, "asba", 0), EINVAL, "one twice, apart");
	is_errno(typed_register(0, "abspdabsp", 0), E2BIG, "nine");
	is_errno(typed_register(0, "a", TYPED_F_NO_NAME), EINVAL, "no name");
	is_errno(typed_register(0, "a", TYPED_F_NO_OPS), EINVAL, "no ops");
	is_errno(typed_register(0, "a", TYPED_F_NO_NOTIFY), EINVAL,
		 "ops without a callback that says let go");
	is_errno(typed_register(0, "abspd", 0), 0, "all types");
	is_errno(typed_register(0, "abspd", 0), EEXIST, "again");
	is_errno(typed_register(1, "a", TYPED_F_OPS_OF_0), EEXIST,
		 "another with the same ops");
	is_errno(typed_register(1, "a", 0), 0, "another");
	is_errno(typed_unregister(0), 0, "unregister");
	is_errno(typed_unregister(0), ENOENT, "twice");
	is_errno(typed_register(0, "a", 0), 0, "and register again");
	typed_close();
}

/* By its ops, whoever else is registered. */
static void each_is_found(void)
{
	int id;

	if (!lend("abs", 0))
		return;
	for (unsigned int i = 0; i < TYPED_IMPORTERS; i++)
		is_errno(typed_register(i, i % 2 ? "a" : "b", 0), 0, "register %u", i);
	for (unsigned int i = 0; i < TYPED_IMPORTERS; i++) {
		id = typed_attach(fd, i, 0);
		is(typed_type(id), i % 2 ? 'a' : 'b', "%u: its own list", i);
		is_errno(typed_detach(id), 0, "%u: detach", i);
		is_errno(typed_unregister(i), 0, "%u: unregister", i);
		id = typed_attach(fd, i, 0);
		is(typed_type(id), 's', "%u: not registered", i);
		is_errno(typed_detach(id), 0, "%u: detach", i);
		is_errno(typed_register(i, i % 2 ? "a" : "b", 0), 0, "register %u", i);
	}
	unlend();
}

static int exporter_error(const char *offers)
{
	int got = exporter_new(offers, 0);

	if (got >= 0)
		close(got);
	return got;
}

static void exporters_are_checked(void)
{
	is_errno(exporter_error(""), EINVAL, "no offer");
	is_errno(exporter_error("0"), EINVAL, "no type");
	is_errno(exporter_error("a0"), EINVAL, "no type behind one");
	is_errno(exporter_error("aa"), EINVAL, "one twice");
	is_errno(exporter_error("abspdabsp"), E2BIG, "nine");
	is_errno(exporter_error("abspd"), 0, "all types");
	is_errno(exporter_error(NULL), 0, "core's own");
}

static void types_are_checked(void)
{
	is_errno(fabric_register_named(""), EINVAL, "an empty name");
	is_errno(fabric_register_named("a-name-that-takes-all-32-letters"),
		 EINVAL, "32 letters");
	is_errno(fabric_register_named("a-name-that-takes-all-31-letter"), 0,
		 "31 letters");
	is_errno(fabric_register_named("sgt"), EEXIST, "the name of another");
	is_errno(fabric_register_named("test-fabric-b"), EEXIST,
		 "the name of a vendor's");
	is_errno(fabric(FABRIC_REGISTER, 0, 0), EEXIST, "a type twice");
	is_errno(fabric(FABRIC_UNREGISTER_SGT, 0, 0), 0, "take one of core's away");
	is_errno(fabric_register_named("sgt"), EEXIST, "it stays");
}

/* ---- what is agreed on stays ---- */

static void the_match_set_is_final(void)
{
	char types[BARTER_TYPES_LENGTH];
	int first, second;

	if (!lend("abs", 0))
		return;
	is_errno(typed_register(0, "abs", 0), 0, "one importer");
	is_errno(typed_register(1, "s", 0), 0, "another");
	first = typed_attach(fd, 0, 0);
	need(first >= 0, "attach");
	is_errno(fabric(FABRIC_UNREGISTER, 0, 0), 0, "a type goes");
	fabric(FABRIC_MATCH, 1, -EACCES);
	typed_names("abs", types);
	ok(!strcmp(importer_info(fd).types, types), "the match set stays");
	is(typed_type(first), 'a', "so does the first of them");
	is_errno(typed_map(first, 'a'), 0, "which maps");
	is_errno(typed_unregister(0), 0, "the importer unregisters");
	is_errno(typed_map(first, 'a'), 0, "and still maps");
	second = typed_attach(fd, 1, 0);
	is(typed_type(second), 's', "one that comes later gets its own");
	is(typed_type(first), 'a', "which changes nothing for the first");
	is_errno(typed_detach(first), 0, "detach");
	is_errno(typed_detach(second), 0, "detach the other");
	is_errno(typed_register(0, "as", 0), 0, "register again");
	first = typed_attach(fd, 0, 0);
	is(typed_type(first), 's', "a type that went matches nothing");
	is_errno(fabric(FABRIC_REGISTER, 0, 0), 0, "the type comes back");
	is(typed_type(first), 's', "that comes too late");
	unlend();
}

/* ---- dma-bufs that are not barter's ---- */

static void typed_calls_refuse(int dmabuf, const char *what)
{
	int id;

	is_errno(typed_attach(dmabuf, 0, TYPED_F_NO_DEVICE), EOPNOTSUPP,
		 "%s: attach without a device", what);
	id = typed_attach(dmabuf, 0, 0);
	is_errno(id, 0, "%s: attach", what);
	is(typed_type(id), 's', "%s: sgt", what);
	for (const char *type = "pdab"; *type; type++)
		is_errno(typed_map(id, *type), EOPNOTSUPP, "%s: map of %c", what,
			 *type);
	is(typed_stat(id).out_maps, 0, "%s: nothing is mapped", what);
	is_errno(typed_map(id, 's'), strcmp(what, "system memory") ? EIO : 0,
		 "%s: sgt by dma-buf's own call", what);
	is_errno(typed_detach(id), 0, "%s: detach", what);
}

static void foreign_buffers(void)
{
	int foreign = tester_foreign(), fake;

	if (!lend("abpds", 0))
		return;
	need(foreign >= 0, "a dma-buf of system memory");
	is_errno(typed_register(0, "abpds", 0), 0, "register");
	typed_calls_refuse(foreign, "system memory");
	fake = typed_lookalike(fd);
	is_errno(fake, 0, "a dma-buf with a copy of barter's ops");
	typed_calls_refuse(fake, "a lookalike");
	close(fake);
	close(foreign);
	unlend();
}

/* ---- modules ---- */

static int remove_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static bool refused(int ret)
{
	return ret == -EAGAIN || ret == -EBUSY;
}

static void modules_stay(void)
{
	bool removed;
	int id;

	if (!lend("as", 0))
		return;
	is_errno(typed_register(0, "as", 0), 0, "register");
	id = typed_attach(fd, 0, TYPED_F_KEEP);
	need(id >= 0, "attach");
	typed_close();
	ok(refused(remove_module("barter_test_importer")),
	   "the importer's module stays");
	close(e);
	close(fd);
	ok(refused(remove_module("barter_test_importer")),
	   "also for a dead buffer");
	ok(refused(remove_module("barter_test_exporter")),
	   "so does the exporter's, and the type's");
	is_errno(typed_detach(id), 0, "detach");
	typed_close();
	WAIT_FOR(removed, !remove_module("barter_test_importer"), 5000);
	ok(removed, "then the importer's goes");
	WAIT_FOR(removed, !remove_module("barter_test_exporter"), 5000);
	ok(removed, "and the exporter's");
	is(system("modprobe barter-test-importer"), 0, "both come back");
}

int main(void)
{
	CASE_LIMIT(the_table, 120);
	CASE(match_knows_both_sides);
	CASE(a_type_without_match_is_agreed_on);
	CASE(the_unregistered_get_sgt);
	CASE(sgt_needs_peer_to_peer);
	CASE(importers_are_checked);
	CASE(each_is_found);
	CASE(exporters_are_checked);
	CASE(types_are_checked);
	CASE(the_match_set_is_final);
	choice_cases();
	CASE(foreign_buffers);
	CASE(modules_stay);
	return tap_done();
}
