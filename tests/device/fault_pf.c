// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample PF without memory, as fault does it: a picture is set or the one before
 * stays; a frame comes or does not; a parameter has changed or not; the device is bound
 * and its file opened, or neither.
 * For machine vram, on kernels with fail-nth.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/fault_bind.h"
#include "lib/lend.h"
#include "lib/pf.h"

static void lend(void)
{
	lent = pieces_export(&mem);
	if (lent < 0)
		tap_bail("export: %s", strerror(-lent));
}

static int call_set(void)
{
	struct barter_pf_set set = picture(1, lent);

	return pf_set(pf, &set);
}

/* Set, and shown as soon as a frame is asked for. */
static bool whole_set(int ret)
{
	(void)ret;
	return pf_looks(pf) == BARTER_PF_LIVE &&
		pf_status(pf).out_format == BARTER_PF_RGB565 && !pf_clear(pf);
}

static struct barter_pf_status was;

static void lend_and_show(void)
{
	struct barter_pf_set set;

	lend();
	set = picture(1, lent);
	set.width -= 2;
	if (pf_set(pf, &set))
		tap_bail("set");
	was = pf_status(pf);
}

/* What was there before is there still, unless the call went through. */
static bool whole_replaced(int ret)
{
	struct barter_pf_set set = picture(1, lent);
	bool fine = pf_looks(pf) == BARTER_PF_LIVE;

	(void)ret;
	set.width -= 2;
	return fine && !pf_set(pf, &set);
}

static void clear_and_close(void)
{
	if (pf_status(pf).out_width != was.out_width ||
	    pf_status(pf).out_state != BARTER_PF_LIVE)
		tap_bail("the picture from before has gone");
	pf_clear(pf);
	lend_close();
}

static void lend_and_set(void)
{
	lend();
	if (call_set())
		tap_bail("set");
}

static void clear(void)
{
	pf_clear(pf);
	lend_close();
}

static int call_clear(void)
{
	return pf_clear(pf);
}

/* Nothing is shown, and the buffer has no importer; then it is again. */
static bool whole_clear(int ret)
{
	struct barter_pf_set set = picture(1, lent);
	struct barter_info info;
	bool fine = pf_status(pf).out_state == BARTER_PF_NONE && !buf_info(lent, &info) &&
		    !info.out_attachments;

	(void)ret;
	return !pf_set(pf, &set) && fine;
}

static int call_frame(void)
{
	int ret = pf_looks(pf);

	return ret == BARTER_PF_LIVE ? 0 : ret < 0 ? ret : -EIO;
}

static int call_status(void)
{
	struct barter_range at[PIECES];
	struct barter_pf_status s = {
		.size = sizeof(s), .pieces = (uintptr_t)at, .nr_pieces = PIECES,
	};

	return pf_call(pf, BARTER_PF_IOC_STATUS, &s);
}

/* Revoke and restore are made in one call, so both may find no memory. */
static int call_off_and_on(void)
{
	return dev_set_memory(&mem, false) ?: dev_set_memory(&mem, true);
}

static bool whole_again(int ret)
{
	(void)ret;
	return pf_looks(pf) == BARTER_PF_LIVE;
}

static void sweeps(void)
{
	const struct fault_call calls[] = {
		{ .name = "set",
		  .before = lend,
		  .call = call_set,
		  .whole = whole_set,
		  .after = lend_close,
		  .least = 3,
		  .fails = 3 },
		{ .name = "set in place of another",
		  .before = lend_and_show,
		  .call = call_set,
		  .whole = whole_replaced,
		  .after = clear_and_close,
		  .least = 3,
		  .fails = 3,
		  .moves = true },
		/* Large: what kmalloc() has not comes page by page. */
		{ .name = "frame",
		  .before = lend_and_set,
		  .call = call_frame,
		  .after = clear,
		  .least = 1 },
		{ .name = "status",
		  .before = lend_and_set,
		  .call = call_status,
		  .after = clear,
		  .least = 1,
		  .fails = 1 },
		{ .name = "clear",
		  .before = lend_and_set,
		  .call = call_clear,
		  .whole = whole_clear,
		  .after = clear,
		  .none = true,
		  .moves = true },
		{ .name = "memory off and on",
		  .before = lend_and_set,
		  .call = call_off_and_on,
		  .whole = whole_again,
		  .after = clear,
		  .none = true,
		  .moves = true },
	};

	lend();
	if (pf_show(1, lent, SEED) || pf_clear(pf))
		tap_bail("show");
	lend_close();
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
}

/* ---- the parameter that says where VFs' memory is ---- */

#define SHARES "/sys/module/barter_pf/parameters/vfs"

static int shares = -1;
static char usual[128], changed[128];

static bool shares_are(const char *want)
{
	char text[128];

	return sysfs_read(text, sizeof(text), SHARES) > 0 && !strcmp(text, want);
}

static int put_shares(const char *text)
{
	return pwrite(shares, text, strlen(text), 0) < 0 ? -errno : 0;
}

static int call_shares(void)
{
	return put_shares(changed);
}

static bool whole_shares(int ret)
{
	bool fine = shares_are(changed);

	(void)ret;
	return !put_shares(usual) && fine;
}

static void usual_shares(void)
{
	if (!shares_are(usual))
		tap_bail("a failed call has changed the parameter");
}

static void parameter(void)
{
	const struct fault_call c = {
		.name = "vfs",
		.call = call_shares,
		.whole = whole_shares,
		.after = usual_shares,
		.least = 2,
		.fails = 2,
	};

	shares = open(SHARES, O_WRONLY | O_CLOEXEC);
	need(shares >= 0 && sysfs_read(usual, sizeof(usual), SHARES) > 0, "the parameter");
	snprintf(changed, sizeof(changed), "%s@0x%x+0x%x", vf_bdf, 0x1000, 0x2000);
	fault_sweep(&c);
	close(shares);
}

/* ---- the driver ---- */

static int call_open(void)
{
	return pf_open(pf_bdf);
}

static bool whole_open(int fd)
{
	bool fine = pf_status(fd).out_state == BARTER_PF_NONE;

	close(fd);
	return fine;
}

static bool opens(void)
{
	int fd = pf_open(pf_bdf);

	return fd >= 0 && whole_open(fd);
}

static void driver(void)
{
	const struct fault_call open = {
		.name = "open",
		.call = call_open,
		.whole = whole_open,
		.least = 2,
		.fails = 1,
	};

	close(pf);
	fault_sweep(&open);
	fault_enable(pf_bdf);
	/* What the kernel makes of a region or mapping that it has no memory for. */
	fault_bind_sweep(PF_DRIVER, pf_bdf, opens, EINVAL, EBUSY);
	fault_witness = lend_witness;
	pf = pf_open(pf_bdf);
	ok(pf >= 0, "the PF is open again");
}

int main(void)
{
	pf_begin();
	fixture_close();
	lend_begin();
	CASE_LIMIT(sweeps, 300);
	CASE_LIMIT(parameter, 60);
	CASE_LIMIT(driver, 180);
	return lend_end();
}
