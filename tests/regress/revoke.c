// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Revokes that were forgotten, came twice, came late, or were undone too early;
 * all as an importer sees it.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <pthread.h>

static int fd, t, id;

/* A buffer, mapped by an importer of that kind. */
static bool start(uint32_t flags)
{
	struct barter_test_attach req = {
		.flags = flags, .delay_ms = flags & BARTER_TEST_F_SLOW ? 500 : 0,
	};

	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, MIB);
	req.dmabuf_fd = fd;
	id = tester_attach_as(t, &req);
	return setup(fd >= 0 && id >= 0 &&
		     !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
		     "a buffer, mapped by an importer");
}

static void finish(void)
{
	close(t);
	close(fd);
}

static bool mapped(void)
{
	return tester_stat(t, id).out_mapped;
}

void b1_close_of_a_revoked_device_ends(void)
{
	static const char *const names[] = {
		"memory off by a word", "low power",
	};

	for (int i = 0; i < 2; i++) {
		int64_t begin;

		if (!start(0))
			return;
		must(!cause_find(names[i])->begin(&mem), "%s", names[i]);
		check(!mapped(), "%s: the importer has let go", names[i]);
		begin = now_ms();
		fixture_close();
		check(now_ms() - begin < 20000, "close ends, in %lld ms",
		      (long long)(now_ms() - begin));
		check(reach(fd) < 0, "the buffer is dead");
		fixture_open();
		check(reach(fd) < 0, "opened again: it stays dead");
		finish();
	}
}

void b2_the_second_revoke_waits_too(void)
{
	if (!start(BARTER_TEST_F_SLOW))
		return;
	for (int i = 0; i < 4; i++) {
		int64_t begin = now_ms(), took;

		must(!dev_set_memory(&mem, false), "memory off");
		took = now_ms() - begin;
		check(took >= 480, "revoke %d waits for the importer: %lld ms",
		      i + 1, (long long)took);
		check(!mapped(), "it has let go when the call returns");
		check_errno(reach(fd), ENODEV, "no map while revoked");
		must(!dev_set_memory(&mem, true), "memory on");
		check_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
			    0, "map again");
	}
	finish();
}

static void *close_fixture(void *arg)
{
	(void)arg;
	fixture_close();
	return NULL;
}

/* While close waits for an importer, the device still works for it. */
void b9_close_asks_importers_before_the_device_is_off(void)
{
	const int on = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint16_t command = dev_command(&mem) | PCI_COMMAND_MASTER;
	unsigned int looks = 0, off = 0;
	pthread_t thread;
	bool told;

	must(!dev_write(&mem, PCI_COMMAND, &command, 2) &&
	     (pci_raw_command(mem.bdf) & on) == on, "a bus master");
	if (!start(BARTER_TEST_F_SLOW))
		return;
	pthread_create(&thread, NULL, close_fixture, NULL);
	WAIT_FOR(told, tester_stat(t, id).out_owed, 10000);
	check(told, "close tells the importer");
	while (tester_stat(t, id).out_owed) {
		int now = pci_raw_command(mem.bdf);

		/* A look that comes too late does not count. */
		if (!tester_stat(t, id).out_owed)
			break;
		looks++;
		off += (now & on) != on;
	}
	pthread_join(thread, NULL);
	check(looks && !off, "%u looks meanwhile: the device is on", looks);
	check(!mapped(), "the importer has let go");
	must(!(pci_raw_command(mem.bdf) & PCI_COMMAND_MASTER),
	     "and then it is off");
	fixture_open();
	finish();
}

void b13_no_importer_keeps_the_memory(void)
{
	int ret;

	if (!start(0))
		return;
	check_errno(tester_attach(t, fd, BARTER_TEST_F_STATIC), EOPNOTSUPP,
		    "an importer without callbacks is refused");
	check_errno(tester_attach(t, fd, BARTER_TEST_F_NO_P2P), EOPNOTSUPP,
		    "one that does not take peer-to-peer memory is refused");
	/* Before 7.1 the kernel itself insists on the callback. */
	if (!kernel_before(7, 1)) {
		ret = tester_attach(t, fd, BARTER_TEST_F_MUTE);
		if (ret >= 0)
			ret = tester_map(t, ret, BARTER_TEST_BIDIRECTIONAL,
					 NULL);
		check_errno(ret, EOPNOTSUPP,
			    "one that cannot be told is refused");
	}
	/* A pin is refused, or does not hold a revoke up. */
	tester_unmap(t, id);
	ret = tester_pin(t, id);
	if (!ret)
		ret = tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL);
	check(!ret || ret == -EOPNOTSUPP, "a pinned map: %s",
	      ret ? "refused" : "works");
	must(!dev_set_memory(&mem, false), "memory off");
	check(!mapped(), "nothing is mapped any more");
	dev_set_memory(&mem, true);
	finish();
}

void n5_a_restore_tells_nobody(void)
{
	uint64_t told[3];

	if (!start(0))
		return;
	told[0] = tester_stat(t, id).out_invalidates;
	dev_set_memory(&mem, false);
	told[1] = tester_stat(t, id).out_invalidates;
	dev_set_memory(&mem, true);
	told[2] = tester_stat(t, id).out_invalidates;
	check(told[1] == told[0] + 1, "a revoke tells the importer once");
	check(told[2] == told[1], "a restore tells it nothing: %llu times",
	      (unsigned long long)(told[2] - told[1]));
	finish();
}

void n6b_memory_that_comes_back_brings_buffers_back(void)
{
	static const char *const names[] = { "VFIO_DEVICE_RESET", "hot reset" };

	for (int i = 0; i < 2; i++) {
		if (!start(0))
			return;
		must(!dev_set_memory(&mem, false), "memory off");
		must(!cause_find(names[i])->begin(&mem), "%s", names[i]);
		check_errno(reach(fd), ENODEV, "%s with memory off: revoked",
			    names[i]);
		must(!dev_set_memory(&mem, true), "memory on");
		check_errno(reach(fd), 0, "%s: the same buffer is back",
			    names[i]);
		finish();
	}
}

void m3a_command_in_low_power_gives_nothing_back(void)
{
	if (!start(0))
		return;
	must(!dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),
	     "low power");
	check(!mapped(), "the importer has let go");
	check_errno(reach(fd), ENODEV, "no map in low power");
	must(!dev_set_memory(&mem, true), "COMMAND is written, memory on");
	check_errno(reach(fd), ENODEV, "no map after COMMAND was written");
	must(!dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), "exit");
	dev_set_memory(&mem, true);
	check_errno(reach(fd), 0, "map after the exit");
	finish();
}

void m3b_born_revoked_in_low_power(void)
{
	int born;

	must(!dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),
	     "low power");
	born = buf_export1(&mem, BAR, 0, PAGE);
	check_errno(born, 0, "export in low power");
	check_errno(reach(born), ENODEV, "map of a buffer born in low power");
	must(!dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), "exit");
	dev_set_memory(&mem, true);
	check_errno(reach(born), 0, "map after the exit");
	close(born);
}

void m4b_reset_by_sysfs_revokes(void)
{
	uint64_t told;

	if (!start(0))
		return;
	told = tester_stat(t, id).out_invalidates;
	must(!pci_reset(mem.bdf), "reset by sysfs");
	check(tester_stat(t, id).out_invalidates > told,
	      "the importer was told of a reset by sysfs");
	check(!mapped(), "it has let go");
	dev_set_memory(&mem, true);
	check_errno(reach(fd), 0, "map after the reset");
	finish();
}
