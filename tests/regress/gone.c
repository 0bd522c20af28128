// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The driver or the link goes while the device is open; on the second device.
 */
#define _GNU_SOURCE
#include "regress.h"

static struct dev second;
static int fd, t, id;

static bool start(void)
{
	char bdf[BDF_LENGTH];

	second_device(bdf);
	if (!setup(!dev_open(&second, bdf), "open %s", bdf))
		return false;
	t = tester_open();
	fd = buf_export1(&second, BAR, 0, PAGE);
	id = tester_attach(t, fd, 0);
	return setup(fd >= 0 && id >= 0 &&
		     !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
		     "a buffer, mapped by an importer");
}

/* The child must hold no file of the device, else it waits for itself. */
static int unbind(void *arg)
{
	const char *bdf = arg;

	fixture_forget();
	for (int i = 3; i < 256; i++)
		close(i);
	return pci_unbind(bdf) ? 1 : 0;
}

void m4d_unbind_revokes_at_once(void)
{
	bool gone;
	pid_t pid;

	if (!start())
		return;
	pid = spawn(unbind, second.bdf);
	WAIT_FOR(gone, !tester_stat(t, id).out_mapped, 5000);
	check(gone, "unbind while the device is open: the importer has let go");
	check(is_running(pid), "unbind waits for who has the device open");
	dev_close(&second);
	must(reap(pid, 30000) == 0, "it ends when the device is closed");
	check(!tester_stat(t, id).out_mapped, "the importer has let go by now");
	check(reach(fd) < 0, "the buffer is dead");
	close(t);
	close(fd);
}

/* The last one of the suite: the link may not recover in the test bed. */
void m4c_an_error_of_the_link_revokes(void)
{
	static const char inject[] = "pcie_aer_inject_error rp1 DLP";
	char text[256];
	uint64_t before;
	bool told;

	if (!start())
		return;
	before = tester_stat(t, id).out_invalidates;
	must(!host_monitor(inject, text, sizeof(text)), "%s", inject);
	WAIT_FOR(told, tester_stat(t, id).out_invalidates > before, 10000);
	check(told, "an error of the link: the importer was told");
	check(!tester_stat(t, id).out_mapped, "it has let go");
	close(t);
	close(fd);
	dev_reset(&second);
	dev_close(&second);
}
