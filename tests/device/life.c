// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Buffers outlive what they came from: the driver's binding, the device itself,
 * the importer. And no module goes while one of its buffers lives. Before that, what meets
 * by chance: a last close and the list of buffers; an open or a close and a reset.
 *
 * The last suite of its machine: what it unplugs does not come back.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/proc.h"
#include "lib/stall.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	71

static int fd;
static volatile uint8_t *map, *untouched;

static bool lend(void)
{
	uint32_t v = 0;

	fill(bar, SEED, 0, MIB);
	fd = buf_export1(&mem, BAR, 0, MIB);
	map = buf_map(fd, 0, MIB, RW);
	untouched = buf_map(fd, 0, MIB, RW);
	return ok(map && untouched && !peek(map + PAGE, &v) &&
		  v == pattern(SEED, PAGE), "a buffer with live mappings");
}

static void unlend(void)
{
	munmap((void *)map, MIB);
	munmap((void *)untouched, MIB);
	close(fd);
}

static void is_dead(const char *when)
{
	struct barter_info info;
	uint32_t v;
	void *p;

	is_errno(buf_info(fd, &info), 0, "%s: info works", when);
	is(info.out_state, BARTER_STATE_DEAD, "%s: DEAD", when);
	ok(info.out_reasons & (BARTER_REASON_CLOSED | BARTER_REASON_GONE),
	   "%s: the reason", when);
	is(peek(map + PAGE, &v), SIGBUS, "%s: touched mapping faults", when);
	is(peek(untouched, &v), SIGBUS, "%s: untouched mapping faults", when);
	p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	is_errno(p == MAP_FAILED ? -errno : 0, EBADFD, "%s: mmap", when);
	is(buf_count(mem.bdf) >= 0, 1, "%s: debugfs works", when);
}

static int closes_last(void *arg)
{
	int *from = arg;
	char c;

	if (read(from[0], &c, 1) != 1)
		return 1;
	return close(fd) ? 2 : 0;
}

/*
 * Whoever walks the list of buffers takes references. One that has none left is as good as
 * gone, though it is on the list: whoever gave up the last is about to free it. Where
 * lockdep is, nothing comes in between that.
 */
static void listed_while_it_goes(void)
{
	int before, pipes[2];
	bool held;
	pid_t pid;

	if (!access("/proc/lockdep", F_OK)) {
		skip("with lockdep nothing comes in between", "listed while it goes");
		return;
	}
	need(!pipe(pipes), "a pipe");
	fd = buf_export1(&mem, BAR, 0, MIB);
	need(fd >= 0, "a buffer");
	before = buf_count(mem.bdf);
	pid = spawn(closes_last, pipes);
	close(fd);
	is(buf_count(mem.bdf), before, "a child has it");
	stall_after("lockref_put_return", pid);
	need(write(pipes[1], "x", 1) == 1, "it may close it");
	WAIT_FOR(held, stalled() == 1, 10000);
	ok(held, "its last reference is gone");
	is(buf_count(mem.bdf), before - 1, "the list has it no more");
	is(stalled(), 1, "the child has not come to free it");
	stall_ends();
	is(reap(pid, 10000), 0, "it has now");
	stall_at("");
	close(pipes[0]);
	close(pipes[1]);
	is(buf_count(mem.bdf), before - 1, "debugfs works");
}

/* Of 64 bits; all ones if it cannot be read. */
static uint64_t raw_bar(void)
{
	uint64_t v = UINT64_MAX;
	char path[64];
	int config;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", mem.bdf);
	config = open(path, O_RDONLY | O_CLOEXEC);
	if (pread(config, &v, sizeof(v), PCI_BASE_ADDRESS_0 + 4 * BAR) != sizeof(v))
		v = UINT64_MAX;
	close(config);
	return v;
}

static volatile bool enough;
static long nr_resets;

static void *host_resets(void *bdf)
{
	for (unsigned int i = 1; !enough; i++) {
		nr_resets += !sysfs_put("1", "/sys/bus/pci/devices/%s/reset", (char *)bdf);
		usleep(i * 7919 % 20000);
	}
	return NULL;
}

/*
 * The PCI core's saved state of a device is everybody's who saves or restores it. A device
 * that was opened or closed while the host reset it has lost its BARs with stock vfio-pci.
 */
static void reset_while_it_opens_and_closes(void)
{
	unsigned int opens = 0, refused = 0, others = 0;
	int64_t end = now_ms() + 60000;
	char bdf[BDF_LENGTH];
	uint64_t before;
	pthread_t host;

	strcpy(bdf, mem.bdf);
	before = raw_bar();
	need(before & ~0xfull && before != UINT64_MAX, "BAR %d is at %#llx", BAR,
	     (unsigned long long)before);
	fixture_close();
	enough = false;
	pthread_create(&host, NULL, host_resets, bdf);
	for (unsigned int i = 0; opens < 60 && now_ms() < end; i++) {
		struct dev d;
		int ret = dev_open_bound(&d, bdf);

		if (ret) {
			/* While a reset has the device. */
			refused += ret == -EAGAIN;
			others += ret != -EAGAIN;
			usleep(1000);
			continue;
		}
		opens++;
		usleep(i * 6007 % 20000);
		dev_close(&d);
	}
	enough = true;
	pthread_join(host, NULL);
	ok(opens == 60 && nr_resets > 20, "opened %u times, reset %ld times", opens, nr_resets);
	is(others, 0, "refused %u times, because it is being reset", refused);
	is(raw_bar(), before, "the BAR is where it was");
	fixture_open();
	need(lend(), "and shows memory");
	unlend();
}

static int unbind_child(void *arg)
{
	(void)arg;
	return pci_unbind(mem.bdf) ? 1 : 0;
}

static int remove_child(void *arg)
{
	(void)arg;
	return pci_remove(mem.bdf) ? 1 : 0;
}

/* Can edu reach the buffer's memory? 0, or what the question comes to. */
static int ask_route(void)
{
	struct barter_route r;

	return buf_route(fd, edu_bdf(), &r);
}

/*
 * The child of spawn() holds the device fd too, and would wait for itself: so
 * the sysfs write is done by a child that has closed everything.
 */
static int without_files(void *how)
{
	fixture_forget();
	for (int i = 3; i < 256; i++)
		close(i);
	return ((int (*)(void *))how)(NULL);
}

/* @how ends the driver's hold on the device while its fd is open. */
static void gone(int (*how)(void *), const char *name)
{
	uint32_t v;
	pid_t pid;

	if (!lend())
		return;
	pid = spawn(without_files, (void *)how);
	ok(buf_wait(fd, BARTER_STATE_DEAD, 10000),
	   "%s: DEAD although the device fd is open", name);
	ok(buf_reasons(fd) & BARTER_REASON_GONE, "%s: reason GONE", name);
	is(peek(map + PAGE, &v), SIGBUS, "%s: access faults", name);
	ok(is_running(pid), "%s: waits for the user", name);
	munmap((void *)bar, bar_length);
	dev_close(&mem);
	is(reap(pid, 30000), 0, "%s: ends when the user has closed", name);
	is_dead(name);
}

static void unbind_while_open(void)
{
	gone(unbind_child, "unbind");
	is_errno(pci_bind(mem.bdf, pci_lender()), 0, "bind again");
	is_dead("bound again");
	fixture_open();
	is_dead("opened again");
	unlend();
	need(lend(), "a new buffer");
	is(buf_state(fd), BARTER_STATE_OK, "is OK");
	unlend();
}

static void unbind_when_closed(void)
{
	if (!lend())
		return;
	fixture_close();
	is_dead("closed");
	is_errno(pci_unbind(mem.bdf), 0, "unbind");
	is_dead("unbound");
	is_errno(pci_bind(mem.bdf, "vfio-pci"), 0, "bind to vfio-pci");
	is_dead("with another driver");
	unlend();
	fixture_open();
}

/* An importer with a live mapping while its exporter's driver goes. */
static void unbind_while_imported(void)
{
	uint8_t data[64];
	int edu = edu_open();
	pid_t pid;

	need(edu >= 0, "open the importer");
	if (!lend())
		return;
	is_errno(edu_import(edu, fd), 0, "import");
	is_errno(edu_read(edu, 0, data, sizeof(data)), 0, "DMA");
	is(edu_status(edu).out_mapped, 1, "a mapping is held");
	pid = spawn(without_files, (void *)unbind_child);
	ok(buf_wait(fd, BARTER_STATE_DEAD, 10000), "DEAD");
	is(edu_status(edu).out_mapped, 0, "the mapping is gone");
	munmap((void *)bar, bar_length);
	dev_close(&mem);
	is(reap(pid, 30000), 0, "unbind ends");
	is_errno(edu_read(edu, 0, data, sizeof(data)), EBADFD, "no DMA");
	is_dead("unbound");
	/* Detach comes after the exporter's device has lost its driver. */
	close(edu);
	is_dead("detached");
	unlend();
	fixture_open();
}

static void importer_unbound(void)
{
	const char *name = getenv("VM_EDU");
	char found[BDF_LENGTH];
	struct barter_info info;
	uint8_t data[64];
	int edu = edu_open();

	if (!name) {
		need(!pci_find(PCI_EDU, 0, found), "edu");
		name = found;
	}
	need(edu >= 0, "open the importer");
	if (!lend())
		return;
	is_errno(edu_import(edu, fd), 0, "import");
	is_errno(edu_read(edu, 0, data, sizeof(data)), 0, "DMA");
	is_errno(pci_unbind(name), 0, "unbind the importer");
	is_errno(edu_read(edu, 0, data, sizeof(data)), ENODEV, "no DMA");
	buf_info(fd, &info);
	is(info.out_attachments + info.out_maps, 0, "nothing is attached");
	is_errno(dev_set_memory(&mem, false), 0, "revoke has nobody to ask");
	is_errno(dev_set_memory(&mem, true), 0, "restore");
	close(edu);
	is_errno(pci_bind(name, "barter-dma"), 0, "bind the importer again");
	edu = edu_open();
	is_errno(edu_import(edu, fd), 0, "import again");
	is_errno(edu_read(edu, 0, data, sizeof(data)), 0, "DMA again");
	is(differs(data, SEED, 0, sizeof(data)), -1, "the right bytes");
	close(edu);
	unlend();
}

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
	int ret;

	if (!lend())
		return;
	fixture_close();
	need(!pci_unbind(mem.bdf), "only the buffer is left");
	ret = remove_module("barter_vfio_pci");
	ok(refused(ret), "barter-vfio-pci stays: %d", ret);
	ret = remove_module("barter");
	ok(refused(ret), "barter stays: %d", ret);
	close(fd);
	ret = remove_module("barter_vfio_pci");
	ok(refused(ret), "mappings hold it too: %d", ret);
	munmap((void *)map, MIB);
	munmap((void *)untouched, MIB);
	WAIT_FOR(removed, !remove_module("barter_vfio_pci"), 10000);
	ok(removed, "it goes when the last mapping has gone");
	is(system("modprobe barter-vfio-pci"), 0, "and can be loaded again");
	fixture_open();
	need(lend(), "a new buffer");
	unlend();
}

/* As by the button of the slot, but done by the kernel. */
static void removed_while_open(void)
{
	bool back;

	gone(remove_child, "remove");
	ok(!pci_exists(mem.bdf), "the device is gone");
	is_errno(ask_route(), ENODEV, "there is no route to it");
	is_errno(pci_rescan(), 0, "rescan");
	WAIT_FOR(back, pci_exists(mem.bdf), 10000);
	need(back, "the device is back");
	is_dead("the device is back");
	fixture_open();
	is_dead("opened again");
	unlend();
	need(lend(), "a new buffer");
	unlend();
}

/*
 * AER: the link fails. An importer that keeps its mapping makes the moment last,
 * so that it can be looked at; what follows depends on the recovery.
 */
static void error_of_the_link(void)
{
	static const char inject[] = "pcie_aer_inject_error rp0 DLP";
	int t = tester_open(), id, ret;
	uint64_t before = raw_bar();
	char text[256];
	bool settled;
	uint32_t v;

	if (!lend())
		return;
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "a stuck importer");
	is_errno(host_monitor(inject, text, sizeof(text)), 0, "%s", inject);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	is(buf_reasons(fd), BARTER_REASON_ERROR, "reason ERROR");
	is(peek(untouched, &v), SIGBUS, "access faults");
	is_errno(tester_map(t, tester_attach(t, fd, 0), 0, NULL), ENODEV,
		 "a map is refused");
	is_errno(tester_letgo(t, id), 0, "let go");
	WAIT_FOR(settled, buf_state(fd) != BARTER_STATE_REVOKING, 10000);
	ok(settled, "the revoke ends");
	/*
	 * Recovery succeeds, or fails and leaves no trace but silence. In either case the link
	 * was reset, and nobody has given the BARs back.
	 */
	WAIT_FOR(settled, raw_bar() != before, 10000);
	ok(settled, "the BAR is lost: %#llx", (unsigned long long)raw_bar());
	WAIT_FOR(settled, buf_state(fd) == BARTER_STATE_OK, 3000);
	ok(!settled && buf_reasons(fd) == BARTER_REASON_ERROR, "and as long as it is, ERROR stays");
	is(peek(map + PAGE, &v), SIGBUS, "access faults");
	close(t);
	/* A reset mends what an error left, once recovery has let go of the device. */
	WAIT_FOR(settled, (ret = dev_reset(&mem)) != -EAGAIN, 30000);
	is_errno(ret, 0, "VFIO_DEVICE_RESET");
	is(raw_bar(), before, "the BAR is back");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	is(buf_reasons(fd), 0, "no reason left");
	is(differs(map, SEED, 0, MIB), -1, "the same bytes");
	unlend();
	fixture_reopen();
	need(lend(), "a new buffer works");
	is(buf_reasons(fd), 0, "without any reason");
	unlend();
}

/* The slot is emptied by the host while everything is in use. */
static void unplugged_while_open(void)
{
	char text[256];
	uint8_t data[64];
	int edu = edu_open();
	bool left;

	if (!lend())
		return;
	need(edu >= 0 && !edu_import(edu, fd) &&
	     !edu_read(edu, 0, data, sizeof(data)), "an importer with a map");
	is_errno(ask_route(), 0, "there is a route");
	need(!host_monitor("device_del ivshm0", text, sizeof(text)), "unplug");
	ok(buf_wait(fd, BARTER_STATE_DEAD, 30000), "DEAD: %s", text);
	ok(buf_reasons(fd) & BARTER_REASON_GONE, "reason GONE");
	is(edu_status(edu).out_mapped, 0, "the importer has let go");
	munmap((void *)bar, bar_length);
	dev_close(&mem);
	WAIT_FOR(left, !pci_exists(mem.bdf), 30000);
	ok(left, "the device is gone");
	/* Its link in sysfs goes a moment before the device does. */
	WAIT_FOR(left, ask_route() == -ENODEV, 10000);
	ok(left, "there is no route to it: ENODEV");
	is_dead("unplugged");
	is_errno(edu_read(edu, 0, data, sizeof(data)), EBADFD, "no DMA");
	close(edu);
	unlend();
	ok(buf_count(mem.bdf) >= 0, "debugfs works");
}

int main(void)
{
	fixture_open();
	CASE(listed_while_it_goes);
	CASE_LIMIT(reset_while_it_opens_and_closes, 120);
	CASE(unbind_while_open);
	CASE(unbind_when_closed);
	CASE(unbind_while_imported);
	CASE(importer_unbound);
	CASE(modules_stay);
	CASE(removed_while_open);
	CASE(error_of_the_link);
	CASE(unplugged_while_open);
	return tap_done();
}
