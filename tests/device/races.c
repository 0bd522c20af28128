// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Interconnects while everything happens at once: importers of each type come and
 * go, types and importers are registered and forgotten, memory is taken back and
 * given again, exporters end, modules are asked to go. Single calls may fail, but
 * only with an errno that they document; the kernel judges the rest.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define PAGE	4096ull
#define AT	(1ull << 30)
#define SECONDS	3
#define MOST	8

static int e, fd, domain;
static int64_t until;

static bool goes_on(void)
{
	return now_ms() < until;
}

static bool is_one_of(int error, const int *list)
{
	while (*list && *list != error)
		list++;
	return *list;
}

/* What an attach and a map may say while others do what they do here. */
static const int attach_errors[] = { -EOPNOTSUPP, -EBADFD, 0 };
static const int map_errors[] = {
	-ENODEV, -EBADFD, -EOPNOTSUPP, -EPROTOTYPE, -EADDRINUSE, -EINTR, 0,
};

static unsigned int slot_of_child;

/* Attach, map with the call that is chosen, unmap, detach. */
static int import(void *arg)
{
	const char *type = arg;
	unsigned int i, mapped = 0;

	for (i = 0; goes_on(); i++) {
		static const uint32_t manners[] = {
			0, TYPED_F_SLOW, TYPED_F_LEAVE, 0,
		};
		struct typed_attach req = {
			.fd = fd, .slot = slot_of_child, .delay_ms = 2,
			.flags = manners[i % 4], .share = 1ull << 40,
		};
		struct typed_map map = {
			.domain = (uint32_t)domain, .prot = 3, .flags = 1,
		};
		int id, got;

		req.share = 64ull << 20;
		if (*type == 'd')
			req.flags |= TYPED_F_NO_DEVICE;
		else if (*type == 'p')
			req.bdf = typed_bdf(typed_lender());
		else
			req.bdf = typed_bdf(edu_bdf());
		id = typed_attach_as(&req);
		if (id < 0 && !is_one_of(id, attach_errors))
			return 2;
		if (id < 0)
			continue;
		map.id = (uint32_t)id;
		map.type = *type == 's' ? TYPED_SGT : *type == 'p' ?
			TYPED_PCI_BAR : *type == 'd' ? TYPED_DOMAIN :
			TYPED_FABRIC_A;
		/* Neighbours' addresses overlap now and then. */
		map.iova = AT + (slot_of_child * 16 + i % 24) * PAGE;
		got = typed_map_as(&map);
		if (got < 0 && !is_one_of(got, map_errors))
			return 3;
		mapped += got >= 0;
		if (i % 3)
			typed_type(id);
		if (got >= 0 && i % 2)
			typed_unmap(id, got);
		if (typed_detach(id))
			return 4;
	}
	return mapped ? 0 : 5;
}

static int revoke_and_restore(void *unused)
{
	int bad = 0;

	(void)unused;
	while (goes_on()) {
		bad |= exporter_revoke(e);
		usleep(500);
		bad |= exporter_restore(e);
		usleep(3000);
	}
	return bad ? 1 : 0;
}

/* The last slot's importer, and the second fabric, come and go. */
static int registry(void *unused)
{
	int bad = 0;

	(void)unused;
	while (goes_on()) {
		bad |= typed_register(TYPED_IMPORTERS - 1, "abs", 0);
		bad |= fabric(FABRIC_UNREGISTER, 1, 0);
		usleep(500);
		bad |= typed_unregister(TYPED_IMPORTERS - 1);
		bad |= fabric(FABRIC_REGISTER, 1, 0);
		usleep(500);
	}
	return bad ? 1 : 0;
}

static int look(void *unused)
{
	static struct barter_importer_info importers[64];

	(void)unused;
	while (goes_on()) {
		struct barter_info info = {
			.size = sizeof(info), .dmabuf_fd = fd,
			.nr_importers = 64, .importers = (uintptr_t)importers,
		};

		if (ioctl(barter_fd(), BARTER_IOC_INFO, &info))
			return 1;
		file_has(BUFFERS, "no such line");
		file_has("/sys/kernel/debug/barter/interconnects", "none");
		usleep(2000);
	}
	return 0;
}

static pid_t start(int (*fn)(void *), const char *arg, unsigned int slot)
{
	slot_of_child = slot;
	return spawn(fn, (void *)arg);
}

static void all_at_once(void)
{
	static const char *const types[] = { "s", "p", "d", "a" };
	const struct barter_range ranges[] = {
		{ 4 * PAGE, 2 * PAGE }, { PAGE, PAGE }, { 16 * PAGE, PAGE },
	};
	pid_t pids[MOST];
	int nr = 0;

	barter_fd();
	typed_open();
	e = exporter_new("apds", 0);
	fd = exporter_lend(e, 2, ranges, 3);
	domain = domain_new(edu_bdf(), false);
	need(fd >= 0 && domain >= 0, "a buffer, a domain");
	for (uint32_t i = 0; i < 4; i++)
		is_errno(typed_register(i, types[i], 0), 0, "register %s",
			 types[i]);
	until = now_ms() + SECONDS * 1000;
	for (unsigned int i = 0; i < 4; i++)
		pids[nr++] = start(import, types[i], i);
	pids[nr++] = start(import, "d", 2);
	pids[nr++] = start(revoke_and_restore, "", 0);
	pids[nr++] = start(registry, "", 0);
	pids[nr++] = start(look, "", 0);
	for (int i = 0; i < nr; i++) {
		int status = reap(pids[i], 60000);

		ok(status == 0, "%s: %d", i < 5 ? "import" : i == 5 ? "revoke" :
		   i == 6 ? "register" : "look",
		   status < 0 ? status : WEXITSTATUS(status));
	}
	is(domain_check(domain, AT, 0, 256 * PAGE), TYPED_NOTHING,
	   "nothing is left in the domain");
	is(typed_map(typed_attach(fd, 3, 0), 'a'), 0, "and it works");
	close(fd);
	close(e);
	typed_close();
}

/* An exporter that ends at any point of an importer's life. */
static int import_once(void *arg)
{
	const char *type = arg;

	import((void *)type);
	return 0;
}

static void the_exporter_ends_at_any_point(void)
{
	static const char *const types[] = { "s", "p", "d", "a" };
	int bad = 0, n = 0;

	for (int64_t end = now_ms() + SECONDS * 1000; now_ms() < end; n++) {
		const char *type = types[n % 4];
		pid_t one, two;

		e = exporter_new("apds", 0);
		fd = exporter_lend1(e, 2, 0, 4 * PAGE);
		domain = domain_new(edu_bdf(), false);
		if (e < 0 || fd < 0 || domain < 0 || typed_register(0, type, 0))
			tap_bail("no two sides");
		until = now_ms() + 60;
		one = start(import_once, type, 0);
		two = start(import_once, type, 0);
		usleep((unsigned int)(n * 1733 % 40000));
		bad |= exporter_destroy(e);
		bad |= buf_state(fd) != BARTER_STATE_DEAD;
		bad |= reap(one, 30000) != 0;
		bad |= reap(two, 30000) != 0;
		bad |= domain_check(domain, AT, 0, 64 * PAGE) != TYPED_NOTHING;
		close(fd);
		close(e);
		typed_close();
	}
	ok(n > 3 && !bad, "%d exporters ended", n);
}

/* ---- modules ---- */

static int unload(void *unused)
{
	unsigned int gone = 0;

	(void)unused;
	while (goes_on()) {
		if (!syscall(SYS_delete_module, "barter_test_importer",
			     O_NONBLOCK)) {
			gone++;
			if (system("modprobe barter-test-importer"))
				return 1;
		}
		usleep(300);
	}
	return 0;
}

/* Whoever is attached finds its module there; nobody else need. */
static void modules_go_at_any_point(void)
{
	int attached = 0, bad = 0;
	bool there;
	pid_t pid;

	e = exporter_new("a", 0);
	fd = exporter_lend1(e, 2, 0, PAGE);
	need(fd >= 0, "a buffer");
	until = now_ms() + SECONDS * 1000;
	pid = spawn(unload, NULL);
	while (goes_on()) {
		struct typed_register reg = {
			.nr_offers = 1, .offers = { TYPED_FABRIC_A },
		};
		struct typed_attach req = {
			.fd = fd, .flags = TYPED_F_NO_DEVICE | TYPED_F_KEEP,
		};
		int t = open("/dev/barter-test-importer", O_RDWR | O_CLOEXEC);

		if (t < 0) {
			usleep(1000);
			continue;
		}
		bad |= ioctl(t, TYPED_IOC_REGISTER, &reg);
		bad |= ioctl(t, TYPED_IOC_ATTACH, &req);
		close(t);
		/* Only the attachment keeps it now. */
		usleep(2000);
		t = open("/dev/barter-test-importer", O_RDWR | O_CLOEXEC);
		bad |= t < 0 || ioctl(t, TYPED_IOC_DETACH, req.out_id);
		close(t);
		attached++;
	}
	is(reap(pid, 60000), 0, "unload and load");
	ok(attached && !bad, "%d attachments kept their module", attached);
	WAIT_FOR(there, !access("/dev/barter-test-importer", F_OK), 10000);
	ok(there, "the module is there");
	close(fd);
	close(e);
}

int main(void)
{
	CASE(all_at_once);
	CASE(the_exporter_ends_at_any_point);
	CASE(modules_go_at_any_point);
	return tap_done();
}
