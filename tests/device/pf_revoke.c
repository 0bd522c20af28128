// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample PF's picture while its buffer is taken back and given back, and while
 * PF or VF go. For machine vram.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/cause.h"
#include "lib/host.h"
#include "lib/pf.h"

#define ROUNDS	100

static int fd;

static void show(unsigned int i)
{
	fd = pieces_export(&mem);
	if (pf_show(i, fd, 90 + i))
		tap_bail("set");
}

/* At once: nobody asks twice. */
static void is_dark(const char *when)
{
	is(pf_looks(pf), BARTER_PF_DARK, "%s: black", when);
	is(pf_status(pf).out_state, BARTER_PF_DARK, "%s: dark", when);
	is(pf_status(pf).out_nr_pieces, 0, "%s: no pieces", when);
}

/* By itself: nobody asks for a frame before. */
static void is_live(const char *when)
{
	ok(pf_wait(pf, BARTER_PF_LIVE, 5000), "%s: live by itself", when);
	is(pf_looks(pf), BARTER_PF_LIVE, "%s: the picture", when);
}

static void each_cause(void)
{
	for (unsigned int i = 0; i < nr_causes; i++) {
		const struct cause *c = &causes[i];
		struct barter_pf_status before, after;

		show(i % PICTURES);
		before = pf_status(pf);
		is_errno(c->begin(&mem), 0, "%s", c->name);
		if (c->end) {
			is_dark(c->name);
			is_errno(c->end(&mem), 0, "%s: undo", c->name);
		}
		is_live(c->name);
		after = pf_status(pf);
		ok(after.out_invalidates > before.out_invalidates,
		   "%s: it was told to let go", c->name);
		ok(after.out_restored > before.out_restored,
		   "%s: it was told that it is over", c->name);
		ok(after.out_generation >= before.out_generation + 2,
		   "%s: seen by the generation", c->name);
		is_errno(pf_clear(pf), 0, "%s: clear", c->name);
		close(fd);
	}
}

/* Set while it is revoked: dark, until it is given back. */
static void set_while_revoked(void)
{
	struct barter_pf_set set;

	show(0);
	set = picture(0, fd);
	is_errno(pf_clear(pf), 0, "clear");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(pf_set(pf, &set), 0, "set");
	is_dark("set while off");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is_live("memory on");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(pf_clear(pf), 0, "clear while off");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is(pf_status(pf).out_state, BARTER_PF_NONE, "nothing is shown");
	close(fd);
}

/*
 * The PF's own link fails. Recovery resets it, and the PF's driver comes back; a frame
 * is never half of each.
 */
static void error_of_the_pf(void)
{
	static const char inject[] = "pcie_aer_inject_error rp0 DLP";
	struct barter_pf_status before;
	char text[256];
	bool dark;

	show(0);
	before = pf_status(pf);
	is_errno(host_monitor(inject, text, sizeof(text)), 0, "%s", inject);
	WAIT_FOR(dark, pf_status(pf).out_generation > before.out_generation, 10000);
	ok(dark, "the driver is told");
	ok(pf_wait(pf, BARTER_PF_LIVE, 30000), "and is live again");
	is_live("recovered");
	ok(pf_status(pf).out_generation >= before.out_generation + 2,
	   "it was dark in between");
	is(pf_status(pf).out_invalidates, before.out_invalidates,
	   "the VF has nothing to do with it");
	is_errno(pci_reset(pf_bdf), 0, "a reset afterwards");
	is_live("reset");
	close(fd);
}

/* One that is not fatal: the bus may be reset for it, if another driver wants that. */
static void lesser_error_of_the_pf(void)
{
	static const char inject[] = "pcie_aer_inject_error rp0 COMP_TIME";
	struct barter_pf_status before;
	char text[256];
	struct log log;

	show(0);
	before = pf_status(pf);
	log_open(&log);
	is_errno(host_monitor(inject, text, sizeof(text)), 0, "%s", inject);
	ok(log_wait(&log, "device recovery successful", "", 30000), "recovery succeeds");
	log_close(&log);
	is_live("recovered");
	/* The end of it counts in any case. */
	is(pf_status(pf).out_generation - before.out_generation, kernel_before(6, 18) ? 1 : 2,
	   "dark in between, where the bus may be reset");
	close(fd);
}

/* ---- who pays ---- */

#define CGROUP	"/sys/fs/cgroup"
#define GROUP	CGROUP "/pf"
#define RUNS	8192	/* four times the BAR, no two neighbours */

/* What the kernel has allocated on the group's behalf, in KiB. */
static long long kernel_memory(void)
{
	FILE *f = fopen(GROUP "/memory.stat", "re");
	long long bytes = -1;
	char line[128];

	while (f && bytes < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "kernel %lld", &bytes);
	if (f)
		fclose(f);
	return bytes < 0 ? -1 : bytes / 1024;
}

/* The group's numbers may be two seconds old. */
static bool pays(long long least, long long most)
{
	bool is;

	WAIT_FOR(is, kernel_memory() >= least && kernel_memory() <= most, 10000);
	if (!is)
		diag("%lld KiB", kernel_memory());
	return is;
}

/* The exit status tells which check failed; 0 none. */
static int owner(void *arg)
{
	static struct vfio_region_dma_range runs[RUNS];
	struct barter_pf_set set = picture(1, -1);
	long long without, table = RUNS * 16 / 1024;
	int ret = 0;

	(void)arg;
	for (unsigned int i = 0; i < RUNS; i++)
		runs[i] = (struct vfio_region_dma_range){
			(2 * i + (i / 1024 & 1)) * PAGE % bar_length, PAGE
		};
	fd = buf_export(&mem, BAR, runs, RUNS);
	if (fd < 0)
		return 10;
	if (sysfs_write("0", GROUP "/cgroup.procs"))
		return 11;
	set.dmabuf_fd = fd;
	if (pf_set(pf, &set) || dev_set_memory(&mem, false))
		return 12;
	/* Let go: what is left of the group's memory is not the table. */
	sleep(5);
	without = kernel_memory();
	if (without < 0)
		return 13;
	/* Mapped again by a work item. */
	if (dev_set_memory(&mem, true) || !pf_wait(pf, BARTER_PF_LIVE, 5000))
		ret = 14;
	else if (!pays(without + table, without + 4 * table))
		ret = 15;
	else if (dev_set_memory(&mem, false) || !pays(0, without + table / 2))
		ret = 16;
	dev_set_memory(&mem, true);
	pf_clear(pf);
	return ret;
}

static void the_owner_pays_after_a_restore(void)
{
	sysfs_write("+memory", CGROUP "/cgroup.subtree_control");
	if ((mkdir(GROUP, 0755) && errno != EEXIST) || kernel_memory() < 0) {
		skip("this kernel has no memory cgroup", "charged");
		return;
	}
	is(in_child(owner, NULL, 60000), 0, "the group of who has set the picture is charged");
	is(rmdir(GROUP), 0, "the group is empty");
}

static void close_is_for_ever(void)
{
	struct barter_pf_set set;

	show(1);
	set = picture(1, fd);
	fixture_close();
	is_dark("VF closed");
	fixture_open();
	is_dark("VF opened again");
	is_errno(pf_set(pf, &set), EBADFD, "a dead buffer cannot be set");
	is_dark("refused");
	close(fd);
	show(2);
	is(pf_looks(pf), BARTER_PF_LIVE, "a new one can");
	close(fd);
}

/* In a child, which has copies of the VF's files. */
static int unbind_vf(void *arg)
{
	(void)arg;
	fixture_forget();
	return pci_unbind(vf_bdf) ? 1 : 0;
}

static int remove_vf(void *arg)
{
	(void)arg;
	fixture_forget();
	return pci_remove(vf_bdf) ? 1 : 0;
}

/* The driver's remove waits for the user to close, the revoke does not. */
static void vf_goes(const char *how, int (*fn)(void *))
{
	pid_t pid;

	show(0);
	pid = spawn(fn, NULL);
	ok(pf_wait(pf, BARTER_PF_DARK, 10000), "%s: dark", how);
	is_dark(how);
	ok(buf_wait(fd, BARTER_STATE_DEAD, 10000), "%s: the buffer is dead", how);
	fixture_close();
	is(reap(pid, 20000), 0, "%s: done", how);
	is_dark("afterwards");
	is_errno(pf_clear(pf), 0, "clear");
	close(fd);
	if (fn == remove_vf)
		is_errno(pci_rescan(), 0, "the VF comes back");
	fixture_open();
	show(3);
	is(pf_looks(pf), BARTER_PF_LIVE, "%s: a new picture", how);
	close(fd);
}

static void vf_unbound(void)
{
	vf_goes("VF unbound", unbind_vf);
}

static void vf_unplugged(void)
{
	vf_goes("VF unplugged", remove_vf);
}

static int load(void)
{
	char text[32];

	return sysfs_read(text, sizeof(text), "/sys/module/barter_pf/refcnt") < 0 ?
		-1 : atoi(text);
}

static void pf_unbound(void)
{
	struct barter_pf_status status = { .size = sizeof(status) };
	struct barter_pf_frame frame;
	struct barter_pf_set set;
	struct barter_info info;

	show(1);
	set = picture(1, fd);
	is_errno(syscall(SYS_delete_module, "barter_pf", O_NONBLOCK) ? -errno : 0,
		 EAGAIN, "the module stays, with a file open");
	is_errno(pci_unbind(pf_bdf), 0, "unbind the PF under its picture");
	is_errno(pf_set(pf, &set), ENODEV, "set");
	is_errno(pf_clear(pf), ENODEV, "clear");
	is_errno(pf_frame(pf, bright, &frame), ENODEV, "frame");
	is_errno(pf_call(pf, BARTER_PF_IOC_STATUS, &status), ENODEV, "status");
	is_errno(buf_info(fd, &info), 0, "info");
	is(info.out_attachments + info.out_maps, 0, "the buffer was let go");
	is_errno(dev_reset(&mem), 0, "reset of the VF");
	close(pf);
	is_errno(pci_bind(pf_bdf, PF_DRIVER), 0, "bind it again");
	pf = pf_open(pf_bdf);
	need(pf >= 0, "open it");
	is(pf_status(pf).out_state, BARTER_PF_NONE, "no picture");
	is_errno(pf_set(pf, &set), 0, "set");
	close(pf);
	ok(load() > 0, "a picture alone holds the module");
	is_errno(syscall(SYS_delete_module, "barter_pf", O_NONBLOCK) ? -errno : 0,
		 EAGAIN, "which stays");
	pf = pf_open(pf_bdf);
	is_errno(pf_clear(pf), 0, "clear");
	close(pf);
	is(load(), 0, "nothing holds it any more");
	pf = pf_open(pf_bdf);
	close(fd);
}

/* ---- frames meanwhile ---- */

static atomic_bool stop;
static atomic_int lives, darks, torn, errors;

static void *look_on(void *arg)
{
	uint8_t *data = malloc(FRAME_ROOM);
	struct barter_pf_frame frame;

	(void)arg;
	while (data && !atomic_load(&stop)) {
		int ret = pf_frame(pf, data, &frame);

		if (ret)
			atomic_fetch_add(&errors, 1);
		else if (frame.out_state == BARTER_PF_LIVE &&
			 !memcmp(data, bright, frame_length))
			atomic_fetch_add(&lives, 1);
		else if (frame.out_state == BARTER_PF_DARK &&
			 !memcmp(data, black, frame_length))
			atomic_fetch_add(&darks, 1);
		else
			atomic_fetch_add(&torn, 1);
	}
	free(data);
	return NULL;
}

static pthread_t looker;

static void look_begin(void)
{
	atomic_store(&stop, false);
	lives = darks = torn = errors = 0;
	if (pthread_create(&looker, NULL, look_on, NULL))
		tap_bail("no thread");
}

static void look_end(void)
{
	atomic_store(&stop, true);
	pthread_join(looker, NULL);
	diag("frames: %d pictures, %d black", lives, darks);
	is(torn, 0, "none was anything else");
	is(errors, 0, "none failed");
}

static void frames_race_revokes(void)
{
	int late = 0, lost = 0, failed = 0;
	struct barter_pf_status before, after;

	show(0);
	before = pf_status(pf);
	look_begin();
	for (int i = 0; i < ROUNDS; i++) {
		bool there;

		failed += !!dev_set_memory(&mem, false);
		late += pf_looks(pf) != BARTER_PF_DARK;
		failed += !!dev_set_memory(&mem, true);
		WAIT_FOR(there, pf_looks(pf) == BARTER_PF_LIVE, 5000);
		lost += !there;
	}
	look_end();
	after = pf_status(pf);
	is(failed, 0, "%d rounds of memory off and on", ROUNDS);
	is(late, 0, "after the call returned all was black");
	is(lost, 0, "and it was shown again");
	ok(lives > 0 && darks > 0, "the other thread saw both");
	ok(after.out_maps - before.out_maps == ROUNDS, "%llu maps",
	   (unsigned long long)(after.out_maps - before.out_maps));
	close(fd);
}

static void frames_race_resets(void)
{
	int failed = 0;

	show(2);
	look_begin();
	for (int i = 0; i < 20; i++)
		failed += !!dev_reset(&mem);
	look_end();
	is(failed, 0, "20 resets of the VF");
	is(pf_looks(pf), BARTER_PF_LIVE, "shown");
	close(fd);
}

/* Its memory does not answer meanwhile. */
static void frames_race_resets_of_the_pf(void)
{
	int failed = 0;

	show(0);
	look_begin();
	for (int i = 0; i < 10; i++)
		failed += !!pci_reset(pf_bdf);
	look_end();
	is(failed, 0, "10 resets of the PF");
	ok(darks > 0, "black meanwhile");
	is_live("after them");
	close(fd);
}

static void *set_and_clear(void *arg)
{
	struct barter_pf_set a = picture(0, fd);
	int *failed = arg;

	while (!atomic_load(&stop)) {
		*failed += !!pf_set(pf, &a);
		*failed += !!pf_set(pf, &a);
		*failed += !!pf_clear(pf);
	}
	return NULL;
}

/* restored() and detach meet. */
static void sets_race_revokes(void)
{
	int failed = 0, wrong = 0;
	pthread_t setter;

	show(0);
	atomic_store(&stop, false);
	if (pthread_create(&setter, NULL, set_and_clear, &failed))
		tap_bail("no thread");
	for (int i = 0; i < ROUNDS; i++) {
		wrong += !!dev_set_memory(&mem, false);
		wrong += !!dev_set_memory(&mem, true);
	}
	atomic_store(&stop, true);
	pthread_join(setter, NULL);
	is(wrong, 0, "%d rounds", ROUNDS);
	is(failed, 0, "set and clear go through all the while");
	is_errno(pf_show(0, fd, 5), 0, "set");
	is_live("afterwards");
	close(fd);
}

int main(void)
{
	pf_begin();
	CASE_LIMIT(each_cause, 120);
	CASE(set_while_revoked);
	CASE(error_of_the_pf);
	CASE(lesser_error_of_the_pf);
	CASE_LIMIT(the_owner_pays_after_a_restore, 90);
	CASE(close_is_for_ever);
	CASE(vf_unbound);
	CASE(vf_unplugged);
	CASE(pf_unbound);
	CASE_LIMIT(frames_race_revokes, 120);
	CASE_LIMIT(frames_race_resets, 120);
	CASE_LIMIT(frames_race_resets_of_the_pf, 120);
	CASE_LIMIT(sets_race_revokes, 120);
	CASE(pf_end);
	return tap_done();
}
