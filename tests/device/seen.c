// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What can be seen of interconnects from outside: /dev/barter's info, debugfs, the
 * tracepoints, and the command line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define PAGE		4096ull
#define TRACING		"/sys/kernel/tracing"
#define INTERCONNECTS	"/sys/kernel/debug/barter/interconnects"
#define INHERITED	100
#define NO_DEVICE	"no device (test-typed)"

static int e, fd;

static bool lend(const char *offers)
{
	e = exporter_new(offers, 0);
	fd = exporter_lend1(e, 2, 0, PAGE);
	return ok(fd >= 0 && !typed_register(0, offers, 0), "both sides of %s",
		  offers);
}

static void end(void)
{
	close(fd);
	close(e);
	typed_close();
}

/* ---- info ---- */

static int ask(struct barter_info *info, void *importers, uint32_t nr)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->dmabuf_fd = fd;
	info->nr_importers = nr;
	info->importers = (uintptr_t)importers;
	return ioctl(barter_fd(), BARTER_IOC_INFO, info) ? -errno : 0;
}

static void info_lists_importers(void)
{
	struct barter_importer_info got[4];
	struct barter_info info;
	char name[BARTER_NAME_LENGTH + 8];
	int first, second, without, with;

	if (!lend("ab"))
		return;
	is_errno(ask(&info, got, 4), 0, "info");
	is(info.out_nr_importers, 0, "nobody");
	first = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	second = typed_attach(fd, 0, 0);
	need(first >= 0 && second >= 0, "two importers");
	memset(got, 0xaa, sizeof(got));
	is_errno(ask(&info, got, 4), 0, "info");
	is(info.out_nr_importers, 2, "two of them");
	is(info.out_attachments, 2, "as it counts");
	/* In no order that dma-buf would promise. */
	without = strcmp(got[0].name, NO_DEVICE) ? 1 : 0;
	with = !without;
	ok(!strcmp(got[without].name, NO_DEVICE), "one: %s", got[without].name);
	snprintf(name, sizeof(name), "%s (", edu_bdf());
	ok(!strncmp(got[with].name, name, strlen(name)), "the other: %s",
	   got[with].name);
	for (int i = 0; i < 2; i++) {
		ok(!strcmp(got[i].types, "test-fabric-a,test-fabric-b"),
		   "%d: what was agreed on: %s", i, got[i].types);
		ok(!got[i].type[0], "%d: none in use", i);
		is(got[i].maps, 0, "%d: no map", i);
		is(got[i].__reserved, 0, "%d: the rest is 0", i);
	}
	ok(got[2].maps == 0xaaaaaaaa, "the entry behind is not touched");
	is_errno(typed_map(second, 'a'), 0, "map");
	is_errno(typed_map(second, 'a'), 0, "twice");
	is_errno(ask(&info, got, 4), 0, "info");
	ok(!strcmp(got[with].type, "test-fabric-a"), "in use: %s", got[with].type);
	is(got[with].maps, 2, "two maps");
	ok(!got[without].type[0], "the other has none in use");
	is(info.out_maps, 2, "two in all");
	is_errno(exporter_revoke(e), 0, "revoke");
	is_errno(ask(&info, got, 4), 0, "info");
	ok(!got[with].type[0] && !got[with].maps, "none in use after a revoke");
	is_errno(exporter_restore(e), 0, "restore");
	end();
}

static void info_truncates(void)
{
	static struct barter_importer_info got[80];
	struct barter_info info;
	bool untouched = true;
	int n = 0;

	if (!lend("a"))
		return;
	while (n < 70 && typed_attach(fd, 0, TYPED_F_NO_DEVICE) >= 0)
		n++;
	need(n == 70, "70 importers");
	is_errno(ask(&info, NULL, 0), 0, "room for none");
	is(info.out_nr_importers, 0, "none");
	is(info.out_attachments, 70, "but all are counted");
	memset(got, 0xaa, sizeof(got));
	is_errno(ask(&info, got, 3), 0, "room for 3");
	is(info.out_nr_importers, 3, "3");
	ok(!got[2].maps && got[3].maps == 0xaaaaaaaa, "no more are written");
	memset(got, 0xaa, sizeof(got));
	is_errno(ask(&info, got, 80), 0, "room for 80");
	is(info.out_nr_importers, BARTER_MAX_INFO_IMPORTERS, "64");
	ok(!got[63].maps && !strcmp(got[63].name, NO_DEVICE), "the 64th");
	for (int i = 64; i < 80; i++)
		untouched &= got[i].maps == 0xaaaaaaaa;
	ok(untouched, "no more are written");
	is_errno(ask(&info, got, UINT32_MAX), 0, "room for any number");
	is(info.out_nr_importers, BARTER_MAX_INFO_IMPORTERS, "64");
	is_errno(ask(&info, (void *)8, 1), EFAULT, "a bad address");
	is_errno(ask(&info, (void *)8, 0), 0, "which nobody writes to");
	end();
}

/* ---- debugfs ---- */

static void debugfs_shows_it(void)
{
	int id;

	if (!lend("ab"))
		return;
	ok(file_has(INTERCONNECTS, "type pci-bar module barter"), "core's types");
	ok(file_has(INTERCONNECTS, "type iommu-domain module barter"), "another");
	ok(file_has(INTERCONNECTS, "type sgt module barter"), "and another");
	ok(file_has(INTERCONNECTS,
		    "type test-fabric-b module barter_test_exporter"),
	   "a vendor's");
	ok(file_has(INTERCONNECTS, "importer test-typed module "
		    "barter_test_importer types test-fabric-a,test-fabric-b"),
	   "an importer");
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	ok(file_has(BUFFERS, "interconnect none of "
		    "test-fabric-a,test-fabric-b"), "an attachment");
	is_errno(typed_map(id, 'a'), 0, "map");
	ok(file_has(BUFFERS, "interconnect test-fabric-a of "
		    "test-fabric-a,test-fabric-b"), "what it uses");
	is_errno(typed_unregister(0), 0, "unregister");
	ok(!file_has(INTERCONNECTS, "test-typed"), "the importer is gone");
	is_errno(fabric(FABRIC_UNREGISTER, 1, 0), 0, "unregister a type");
	ok(!file_has(INTERCONNECTS, "test-fabric-b"), "it is gone");
	is_errno(fabric(FABRIC_REGISTER, 1, 0), 0, "and back");
	end();
}

/* A revoke that waits names an importer without a device too. */
static int revoke_child(void *unused)
{
	(void)unused;
	return exporter_revoke(e) ? 1 : 0;
}

static void the_blocker_has_a_name(void)
{
	struct barter_info info;
	int id, map;
	pid_t pid;

	if (!lend("a"))
		return;
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE | TYPED_F_STUCK);
	map = typed_map(id, 'a');
	pid = spawn(revoke_child, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	is_errno(buf_info(fd, &info), 0, "info");
	ok(!strcmp(info.out_blocker, NO_DEVICE), "the blocker: %s",
	   info.out_blocker);
	is_errno(typed_unmap(id, map), 0, "unmap");
	is(reap(pid, 20000), 0, "the revoke ends");
	end();
}

/* ---- tracepoints ---- */

static void tracepoints_show_it(void)
{
	static const char *const want[] = {
		"barter_match: buffer=", " type=test-fabric-a error=-95",
		"barter_match: buffer=", " type=test-fabric-b error=0",
		"barter_match: buffer=", " type=sgt error=0",
		"barter_choose: buffer=", " type=none error=-16",
		"barter_choose: buffer=", " type=sgt error=0",
		"barter_match: buffer=", " type=iommu-domain error=0",
		"barter_match: buffer=", " type=sgt error=-95",
	};
	int id;

	is_errno(sysfs_write("1", TRACING "/events/barter/enable"), 0,
		 "switch the events on");
	is_errno(sysfs_write("0", TRACING "/trace"), 0, "an empty trace");
	fabric(FABRIC_MATCH, 0, -EOPNOTSUPP);
	e = exporter_new("abs", LEND_F_SELECT);
	fd = exporter_lend1(e, 2, 0, PAGE);
	is_errno(typed_register(0, "abs", 0), 0, "register");
	id = typed_attach(fd, 0, 0);
	exporter_select(e, -EBUSY);
	is_errno(typed_type(id), EBUSY, "a choice that is refused");
	exporter_select(e, 1);
	is(typed_type(id), 's', "one that is not");
	end();
	/* For core's list negotiation has a short way. */
	e = exporter_new(NULL, 0);
	fd = exporter_lend1(e, 2, 0, PAGE);
	is_errno(typed_register(0, "sd", TYPED_F_NO_P2P), 0, "register");
	is(typed_type(typed_attach(fd, 0, 0)), 'd', "core's list");
	end();
	fabric(FABRIC_MATCH, 0, 0);
	for (unsigned int i = 0; i < sizeof(want) / sizeof(*want); i += 2) {
		FILE *f = fopen(TRACING "/trace", "re");
		char line[512];
		bool found = false;

		while (f && fgets(line, sizeof(line), f))
			found |= strstr(line, want[i]) && strstr(line, edu_bdf()) &&
				strstr(line, want[i + 1]);
		if (f)
			fclose(f);
		ok(found, "%s...%s", want[i], want[i + 1]);
	}
	sysfs_write("0", TRACING "/events/barter/enable");
}

/* ---- command line ---- */

static bool says(const char *options, const char *text)
{
	char command[96], line[512];
	bool found = false;
	FILE *f;

	snprintf(command, sizeof(command), "barter info %s %d 2>&1", options,
		 INHERITED);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f))
		found |= !!strstr(line, text);
	return f && !pclose(f) && found;
}

static void the_command_line_shows_it(void)
{
	int id, n;

	if (!lend("ab"))
		return;
	/* fd is closed in programs that we start. */
	dup2(fd, INHERITED);
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	ok(says("", "  " NO_DEVICE ": no interconnect in use (of "
		"test-fabric-a,test-fabric-b), 0 mapped"), "none in use");
	ok(says("--json", "\"interconnect\": null"), "the same as JSON");
	is_errno(typed_map(id, 'a'), 0, "map");
	ok(says("", "  " NO_DEVICE ": test-fabric-a (of "
		"test-fabric-a,test-fabric-b), 1 mapped"), "one in use");
	ok(says("--json", "\"interconnect\": \"test-fabric-a\""), "as JSON");
	ok(says("--json", "\"test-fabric-b\""), "with what was agreed on");
	for (n = 1; n < 70; n++)
		typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	ok(says("", "  ... 6 more"), "more than it lists");
	close(INHERITED);
	end();
}

int main(void)
{
	CASE(info_lists_importers);
	CASE(info_truncates);
	CASE(debugfs_shows_it);
	CASE(the_blocker_has_a_name);
	CASE(tracepoints_show_it);
	CASE(the_command_line_shows_it);
	return tap_done();
}
