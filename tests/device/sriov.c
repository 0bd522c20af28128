// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * SR-IOV for real: a VF lends, its PF imports by pci-bar. Who is let in, and what
 * happens when the PF's administrator takes the VFs away while they are in use.
 * The PFs keep their own drivers (igb, nvme); the importer is the test module's,
 * attached as the PF.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"
#include "lib/typed.h"
#include "lib/vfio.h"

#define PAGE	4096ull
#define VFS	2

static const char *pf, *other_pf, *third_pf;
static char vf_bdf[VFS][BDF_LENGTH];
static struct dev vf;
static int fd = -1;

static int set_vfs(const char *bdf, int n)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", n);
	return sysfs_write(text, "/sys/bus/pci/devices/%s/sriov_numvfs", bdf);
}

static bool vf_name(const char *bdf, int n, char name[BDF_LENGTH])
{
	char path[128], target[256];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/virtfn%d", bdf, n);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	snprintf(name, BDF_LENGTH, "%.15s", strrchr(target, '/') + 1);
	return true;
}

/* VFs of @bdf, the first one open and a buffer of two of its pages. */
static bool lend_from(const char *bdf)
{
	bool made;
	int i;

	pf = bdf;
	if (!ok(!sysfs_write("0", "/sys/bus/pci/devices/%s/sriov_drivers_autoprobe",
			     pf) && !set_vfs(pf, VFS), "VFs of %s", pf))
		return false;
	for (i = 0, made = true; i < VFS; i++)
		made &= vf_name(pf, i, vf_bdf[i]);
	if (!ok(made, "have names"))
		return false;
	if (!is_errno(dev_open(&vf, vf_bdf[0]), 0, "open %s", vf_bdf[0]))
		return false;
	fd = buf_export1(&vf, 0, PAGE, 2 * PAGE);
	return ok(fd >= 0, "a buffer of it") &&
	       ok(!typed_register(0, "p", 0) && !typed_register(1, "ps", 0),
		  "importers of pci-bar, and of pci-bar and sgt");
}

static void end(void)
{
	typed_close();
	if (fd >= 0)
		close(fd);
	fd = -1;
	dev_close(&vf);
	is_errno(set_vfs(pf, 0), 0, "no VFs again");
}

/* Attach as the device @bdf, which says that the VF has @share bytes. */
static int attach_as(const char *bdf, uint32_t slot, uint64_t share)
{
	struct typed_attach req = {
		.fd = fd, .slot = slot, .share = share, .bdf = typed_bdf(bdf),
	};

	return typed_attach_as(&req);
}

/* What such an attachment works with: a letter, or -errno. */
static int agreed(const char *bdf, uint32_t slot, uint64_t share)
{
	int id = attach_as(bdf, slot, share), type;

	if (id < 0)
		return id;
	type = typed_type(id);
	typed_detach(id);
	return type;
}

static int map(int id, struct barter_range *range, struct typed_map *map)
{
	*map = (struct typed_map) {
		.id = (uint32_t)id, .type = TYPED_PCI_BAR,
		.ranges = (uintptr_t)range, .room = 1,
	};
	return typed_map_as(map);
}

/* ---- who ---- */

static void identity_of(const char *bdf)
{
	struct barter_range got = { 0, 0 };
	struct typed_bdf want;
	struct typed_map m;
	int id;

	if (!lend_from(bdf))
		return;
	id = attach_as(pf, 0, vf.length[0]);
	need(id >= 0, "the VF's own PF attaches");
	is(typed_type(id), 'p', "and works with pci-bar");
	is_errno(map(id, &got, &m), 0, "and maps");
	want = typed_bdf(vf_bdf[0]);
	ok(!memcmp(&m.out_bdf, &want, sizeof(want)) && m.out_bar == 0 &&
	   m.out_nr == 1, "one piece of the VF's BAR 0");
	is(got.offset, PAGE, "at its offset");
	is(got.length, 2 * PAGE, "of its length");
	is_errno(typed_detach(id), 0, "detach");

	is(agreed(vf_bdf[0], 0, vf.length[0]), 'p', "the VF itself");
	is_errno(agreed(vf_bdf[1], 0, vf.length[0]), EOPNOTSUPP, "its sibling");
	is_errno(agreed(other_pf, 0, vf.length[0]), EOPNOTSUPP,
		 "another PF of the same kind");
	is_errno(agreed(third_pf, 0, vf.length[0]), EOPNOTSUPP,
		 "a PF of another kind");
	is(agreed(other_pf, 1, vf.length[0]), 's',
	   "another PF gets DMA addresses, if it takes them");
	is_errno(agreed(pf, 0, vf.length[0] * 2), EOPNOTSUPP,
		 "a BAR smaller than the VF's memory");
	is(agreed(pf, 1, vf.length[0] * 2), 's', "falls back to DMA addresses");
	is_errno(agreed(pf, 0, 2 * PAGE), EOPNOTSUPP,
		 "a range that ends outside of the share");
	is(agreed(pf, 0, 3 * PAGE), 'p', "and one that ends with it");
	end();
}

static void identity_igb(void)
{
	other_pf = getenv("VM_IGB1");
	third_pf = getenv("VM_NVME_PF");
	identity_of(getenv("VM_IGB0"));
}

static void identity_nvme(void)
{
	other_pf = getenv("VM_IGB1");
	third_pf = getenv("VM_IGB0");
	identity_of(getenv("VM_NVME_PF"));
}

/* ---- the VFs are taken away ---- */

/* The children have the device's files too, by fork(): they are no users of it. */
static int disable_vfs(void *bdf)
{
	dev_close(&vf);
	return set_vfs(bdf, 0) ? 1 : 0;
}

/* Reading this takes the device_lock (drivers/pci/iov.c). */
static int take_device_lock(void *bdf)
{
	char text[16];

	dev_close(&vf);
	return sysfs_read(text, sizeof(text), "/sys/bus/pci/devices/%s/sriov_numvfs",
			  (const char *)bdf) < 0;
}

static void disabled_while_open(const char *bdf)
{
	struct barter_range got;
	struct typed_map m;
	pid_t away, lock;
	int id;

	if (!lend_from(bdf))
		return;
	id = attach_as(pf, 0, vf.length[0]);
	need(id >= 0 && !map(id, &got, &m), "the PF has a map");
	away = spawn(disable_vfs, (void *)pf);
	ok(buf_wait(fd, BARTER_STATE_DEAD, 30000), "DEAD at once");
	is(typed_stat(id).out_invalidates, 1, "the PF was told");
	ok(buf_reasons(fd) & BARTER_REASON_GONE, "reason GONE");
	is_errno(map(id, &got, &m), EBADFD, "no map any more");
	ok(is_running(away), "but the VFs wait for the VF's user");
	lock = spawn(take_device_lock, (void *)pf);
	usleep(200000);
	ok(is_running(lock), "the PF's device_lock was held all that time");
	is_errno(typed_detach(id), 0, "the PF detaches meanwhile");
	is_errno(attach_as(pf, 0, vf.length[0]), EBADFD, "and cannot come back");
	dev_close(&vf);
	is(reap(away, 30000), 0, "the user gone, the VFs go");
	is(reap(lock, 30000), 0, "and the device_lock is free");
	ok(!pci_exists(vf_bdf[0]), "the VF is no more");
	is(buf_state(fd), BARTER_STATE_DEAD, "the buffer is still there, dead");
	typed_close();
	close(fd);
	fd = -1;
}

static void disabled_while_open_igb(void)
{
	disabled_while_open(getenv("VM_IGB0"));
}

static void disabled_while_open_nvme(void)
{
	disabled_while_open(getenv("VM_NVME_PF"));
}

/* The user has closed the VF; a buffer and an attachment are left over. */
static void disabled_when_closed(void)
{
	struct barter_range got;
	struct typed_map m;
	int id;

	if (!lend_from(getenv("VM_IGB0")))
		return;
	id = attach_as(pf, 0, vf.length[0]);
	need(id >= 0 && !map(id, &got, &m), "the PF has a map");
	dev_close(&vf);
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD by close");
	is(in_child(disable_vfs, (void *)pf, 30000), 0, "the VFs go");
	ok(!pci_exists(vf_bdf[0]), "the VF is no more");
	is_errno(map(id, &got, &m), EBADFD, "no map");
	is_errno(typed_detach(id), 0, "the PF detaches from what is left");
	is_errno(attach_as(pf, 0, PAGE * 4), EBADFD, "and cannot come back");
	typed_close();
	close(fd);
	fd = -1;
}

/* A function level reset of the VF: dark for a moment, then the same again. */
static void reset_of_the_vf(void)
{
	struct barter_range got;
	struct typed_map m;
	int id;

	if (!lend_from(getenv("VM_IGB0")))
		return;
	id = attach_as(pf, 0, vf.length[0]);
	need(id >= 0 && !map(id, &got, &m), "the PF has a map");
	is_errno(dev_reset(&vf), 0, "reset");
	is(typed_stat(id).out_invalidates, 1, "the PF was told");
	is(buf_state(fd), BARTER_STATE_OK, "OK again");
	is_errno(map(id, &got, &m), 0, "the PF maps anew");
	is(got.offset, PAGE, "the same bytes");
	is_errno(typed_detach(id), 0, "detach");
	end();
}

#define TOKEN " vf_token=7d4f4a5e-3f0c-4d3b-9d35-1a2b3c4d5e6f"

/* PF and VF of one user who says that he is. */
static int open_token(struct dev *d, const char *bdf)
{
	char name[128];
	int ret = dev_open_group(d, bdf);

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%s" TOKEN, bdf);
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, name);
	return d->fd < 0 ? -errno : dev_regions(d);
}

static int resets_pf(void *unused)
{
	(void)unused;
	return pci_reset(pf) ? 1 : 0;
}

/* A function level reset of the PF, which takes its VFs away until it is over. */
static void reset_of_the_pf(void)
{
	struct barter_info before, after;
	int t = tester_open(), id;
	struct dev pf_dev;
	pid_t resets;

	pf = getenv("VM_NVME_PF");
	need(!sysfs_write("Y", "/sys/module/barter_vfio_pci/parameters/enable_sriov") &&
		     !pci_bind(pf, pci_lender()) && !open_token(&pf_dev, pf),
	     "open the PF");
	need(!sysfs_write("0", "/sys/bus/pci/devices/%s/sriov_drivers_autoprobe", pf) &&
		     !set_vfs(pf, 1) && vf_name(pf, 0, vf_bdf[0]),
	     "its VF");
	need(!pci_bind(vf_bdf[0], pci_lender()) && !open_token(&vf, vf_bdf[0]), "open that");
	fd = buf_export1(&vf, 0, PAGE, 2 * PAGE);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "a stuck importer of it");

	resets = spawn(resets_pf, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "the PF is reset: REVOKING");
	is(buf_reasons(fd), BARTER_REASON_RESET, "reason RESET");
	ok(is_running(resets), "which waits");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(resets, 30000), 0, "the reset is done");
	is(buf_state(fd), BARTER_STATE_OK, "OK again");
	is_errno(dev_reset(&pf_dev), 0, "VFIO_DEVICE_RESET of the PF");
	is(buf_state(fd), BARTER_STATE_OK, "OK again");
	is(buf_reasons(fd), 0, "no reason left");
	is_errno(tester_map(t, id, 0, NULL), 0, "a map");
	close(t);
	buf_info(fd, &before);
	dev_close(&pf_dev);
	buf_info(fd, &after);
	ok(after.out_generation >= before.out_generation + 2, "the PF's close is a reset, too");
	is(after.out_state, BARTER_STATE_OK, "OK again");
	close(fd);
	fd = -1;
	dev_close(&vf);
	is_errno(set_vfs(pf, 0), 0, "no VFs again");
	is_errno(pci_bind(pf, "nvme"), 0, "the PF's own driver again");
	sysfs_write("N", "/sys/module/barter_vfio_pci/parameters/enable_sriov");
}

int main(void)
{
	if (!getenv("VM_IGB0") || !getenv("VM_IGB1") || !getenv("VM_NVME_PF"))
		tap_bail("this machine has no functions with SR-IOV");
	if (barter_fd() < 0)
		tap_bail("/dev/barter: %s", strerror(-barter_fd()));
	if (system("modprobe igb && modprobe nvme"))
		tap_bail("the drivers of the physical functions");
	CASE(identity_igb);
	CASE(identity_nvme);
	CASE(reset_of_the_vf);
	CASE(reset_of_the_pf);
	CASE(disabled_while_open_igb);
	CASE(disabled_while_open_nvme);
	CASE(disabled_when_closed);
	return tap_done();
}
