// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Errors of a link that two devices share: what is done about them is decided by the
 * drivers of both, and takes as long as the slower one. For a machine whose last two ivshmem
 * devices are functions of one slot, behind the port rp9.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/tester.h"

#define RW   (PROT_READ | PROT_WRITE)
#define SEED 81
#define STUB "barter-test-aer"

/* Errors of the port above both: one that is fatal, and one that is not. */
#define FATAL	 "pcie_aer_inject_error rp9 DLP"
#define NONFATAL "pcie_aer_inject_error rp9 COMP_TIME"

static char names[2][BDF_LENGTH];
static struct dev devs[2];
static int fd;
static volatile uint8_t *map;

static void find_devices(void)
{
	unsigned int n = 0;

	while (!pci_find(PCI_IVSHMEM, n, names[n % 2]))
		n++;
	/* In the order of the functions. */
	if (n < 2 || n % 2 || pci_group(names[0]) != pci_group(names[1]))
		tap_bail("the two devices are not in one group");
}

/* A buffer of the first device, mapped. */
static bool lend(void)
{
	volatile uint8_t *reference = dev_map(&devs[0], BAR, 0, PAGE);
	uint32_t v;

	if (!ok(reference, "the BAR"))
		return false;
	fill(reference, SEED, 0, PAGE);
	munmap((void *)reference, PAGE);
	fd = buf_export1(&devs[0], BAR, 0, PAGE);
	map = buf_map(fd, 0, PAGE, RW);
	return ok(map && !peek(map, &v) && v == pattern(SEED, 0), "a buffer with a live mapping");
}

static void unlend(void)
{
	munmap((void *)map, PAGE);
	close(fd);
}

static void inject(const char *what)
{
	char text[256];

	is_errno(host_monitor(what, text, sizeof(text)), 0, "%s", what);
}

/* Of 64 bits, behind VFIO's back; all ones if it cannot be read. */
static uint64_t raw_bar(const char *bdf)
{
	uint64_t v = UINT64_MAX;
	char path[64];
	int config;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	config = open(path, O_RDONLY | O_CLOEXEC);
	if (pread(config, &v, sizeof(v), PCI_BASE_ADDRESS_0 + 4 * BAR) != sizeof(v))
		v = UINT64_MAX;
	close(config);
	return v;
}

static unsigned int stub_resets(void)
{
	char text[16] = "";

	sysfs_read(text, sizeof(text), "/sys/module/barter_test_aer/parameters/resets");
	return (unsigned int)atoi(text);
}

/*
 * An error that is not fatal, and a neighbour that wants to be reset. The whole bus is, on
 * kernels that do so: nobody may have the memory then.
 */
static void neighbour_wants_a_reset(void)
{
	bool resets = !kernel_before(6, 18), seen;
	int t = tester_open(), id;
	unsigned int before;
	struct log log;
	uint64_t bar_is;
	uint32_t v;

	need(!pci_bind(names[1], STUB), "the neighbour's driver wants resets");
	need(!dev_open(&devs[0], names[0]), "open the first");
	if (!lend())
		return;
	before = stub_resets();
	bar_is = raw_bar(names[0]);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "a stuck importer");
	log_open(&log);
	inject(NONFATAL);
	if (resets) {
		ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
		is(buf_reasons(fd), BARTER_REASON_ERROR, "reason ERROR");
		is(stub_resets(), before, "before the reset");
		is(raw_bar(names[0]), bar_is, "the BAR is where it was");
		is_errno(tester_letgo(t, id), 0, "let go");
	}
	ok(log_wait(&log, "device recovery successful", "", 30000), "recovery succeeds");
	is(stub_resets(), before + 1, "the neighbour was told of a reset");
	if (resets) {
		ok(raw_bar(names[0]) != bar_is, "which has cost the BAR");
		is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED");
		is(buf_reasons(fd), BARTER_REASON_ERROR, "for ERROR, still");
		is(peek(map, &v), SIGBUS, "access faults");
		is_errno(tester_map(t, id, 0, NULL), ENODEV, "a map is refused");
		/* As a guest does that sets its devices up again. */
		is_errno(dev_set_memory(&devs[0], true), 0, "COMMAND is written");
	} else {
		is(buf_state(fd), BARTER_STATE_OK, "of none: nothing was revoked");
		is_errno(tester_letgo(t, id), 0, "the importer behaves from now on");
	}
	is(raw_bar(names[0]), bar_is, "the BAR is there");
	WAIT_FOR(seen, buf_state(fd) == BARTER_STATE_OK, 1000);
	need(seen, "OK");
	is(differs(map, SEED, 0, PAGE), -1, "the same bytes");
	log_close(&log);
	close(t);
	unlend();
	dev_close(&devs[0]);
	is_errno(pci_unbind(names[1]), 0, "the neighbour without its driver");
}

/*
 * The same with a neighbour that has no driver: recovery fails, and the kernel gives up. But
 * nothing has happened to the memory.
 */
static void not_recovered_and_not_reset(void)
{
	uint64_t bar_is;
	struct log log;
	bool seen;
	uint32_t v;

	need(!dev_open(&devs[0], names[0]), "open the first");
	if (!lend())
		return;
	bar_is = raw_bar(names[0]);
	log_open(&log);
	inject(NONFATAL);
	ok(log_wait(&log, "device recovery failed", "", 30000), "recovery fails");
	is(raw_bar(names[0]), bar_is, "the BAR is there");
	WAIT_FOR(seen, buf_state(fd) == BARTER_STATE_OK, 5000);
	ok(seen, "OK");
	is(peek(map, &v), 0, "it can be read");
	log_close(&log);
	unlend();
	dev_close(&devs[0]);
}

/*
 * The error is fatal: the bus will be reset, as soon as the second device's importer has let
 * go. Meanwhile the first is closed and opened again, and lends; but not for that reset.
 */
static void opened_before_the_reset(void)
{
	int t = tester_open(), id, first, second, ret;
	struct log log;
	bool settled;
	uint32_t v;

	need(!pci_bind(names[0], pci_lender()) && !pci_bind(names[1], pci_lender()) &&
		     !dev_open_bound(&devs[1], names[1]) && !dev_set_memory(&devs[1], true) &&
		     !dev_open_in(&devs[0], names[0], &devs[1]),
	     "open both");
	if (!lend())
		return;
	second = buf_export1(&devs[1], BAR, 0, PAGE);
	id = tester_attach(t, second, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "a stuck importer of the second");
	log_open(&log);
	inject(FATAL);
	ok(buf_wait(second, BARTER_STATE_REVOKING, 10000), "the second: REVOKING");
	is(buf_state(fd), BARTER_STATE_REVOKED, "the first: REVOKED");
	is(buf_reasons(fd), BARTER_REASON_ERROR, "for ERROR");
	unlend();
	dev_close(&devs[0]);
	is_errno(dev_open_in(&devs[0], names[0], &devs[1]), 0, "closed and opened again");
	fd = buf_export1(&devs[0], BAR, 0, PAGE);
	map = buf_map(fd, 0, PAGE, RW);
	need(fd >= 0 && map, "a new buffer");
	is(buf_reasons(fd), BARTER_REASON_ERROR, "is born REVOKED, for ERROR");
	is(peek(map, &v), SIGBUS, "access faults");
	first = tester_attach(t, fd, 0);
	is_errno(tester_map(t, first, 0, NULL), ENODEV, "a map is refused");
	is_errno(dev_set_memory(&devs[0], true), 0, "COMMAND is written");
	is(buf_reasons(fd), BARTER_REASON_ERROR, "which ends nothing");
	is_errno(tester_letgo(t, id), 0, "the second's importer lets go");
	ok(log_wait(&log, "device recovery", "", 30000), "recovery ends");
	log_close(&log);
	is(buf_reasons(fd), BARTER_REASON_ERROR, "the first: ERROR, for its BAR is lost");
	is(buf_reasons(second), BARTER_REASON_ERROR, "and the second's");

	/* Once more. That the first has lost its BAR does not say that this reset has come. */
	is_errno(dev_set_memory(&devs[1], true), 0, "the second gets its BAR back");
	id = tester_attach(t, second, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "another stuck importer of it");
	log_open(&log);
	inject(FATAL);
	ok(buf_wait(second, BARTER_STATE_REVOKING, 10000), "the second: REVOKING");
	is_errno(dev_set_memory(&devs[0], true), 0, "the first gets its BAR back");
	is(buf_reasons(fd), BARTER_REASON_ERROR, "but is not lent");
	is_errno(tester_letgo(t, id), 0, "the second's importer lets go");
	ok(log_wait(&log, "device recovery", "", 30000), "recovery ends");
	log_close(&log);
	is(buf_reasons(fd), BARTER_REASON_ERROR, "the first: ERROR");

	WAIT_FOR(settled, (ret = dev_hot_reset(&devs[0])) != -EAGAIN, 30000);
	is_errno(ret, 0, "hot reset");
	need(buf_state(fd) == BARTER_STATE_OK, "the first: OK");
	is(buf_state(second), BARTER_STATE_OK, "the second: OK");
	is(differs(map, SEED, 0, PAGE), -1, "the same bytes");
	is_errno(tester_map(t, first, 0, NULL), 0, "a map");
	close(t);
	close(second);
	unlend();
	dev_close(&devs[0]);
	dev_close(&devs[1]);
}

int main(void)
{
	find_devices();
	CASE(neighbour_wants_a_reset);
	CASE(not_recovered_and_not_reset);
	CASE(opened_before_the_reset);
	return tap_done();
}
