// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * One buffer is taken back for ever (BARTER_FEATURE_REVOKE): it and what was cut
 * from it, and nothing else of the device.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	58
#define CALL	((uint32_t)(sizeof(struct vfio_device_feature) + \
			    sizeof(struct barter_feature_revoke)))
#define SET	VFIO_DEVICE_FEATURE_SET

/* A buffer with a mapping that was touched, and what info said of it then. */
struct held {
	int fd;
	volatile uint8_t *p;
	struct barter_info was;
};

static bool hold(struct held *h, int fd)
{
	uint32_t v;

	h->fd = fd;
	h->p = buf_map(fd, 0, PAGE, RW);
	return h->p && !peek(h->p, &v) && !buf_info(fd, &h->was);
}

static void drop(struct held *h)
{
	munmap((void *)h->p, PAGE);
	close(h->fd);
}

/* Nothing came near it: not even its mapping has to fault in again. */
static void untouched(const struct held *h, const char *name)
{
	struct barter_info now;
	uint32_t v;

	is(peek(h->p, &v), 0, "%s: still mapped", name);
	is_errno(buf_info(h->fd, &now), 0, "%s: info", name);
	is(now.out_state, BARTER_STATE_OK, "%s: OK", name);
	is(now.out_generation, h->was.out_generation, "%s: same generation",
	   name);
	is(now.out_faults_pte + now.out_faults_pmd,
	   h->was.out_faults_pte + h->was.out_faults_pmd, "%s: no new fault",
	   name);
}

static void dead(const struct held *h, const char *name)
{
	uint32_t v;
	int t = tester_open();

	is(buf_state(h->fd), BARTER_STATE_DEAD, "%s: DEAD", name);
	is(buf_reasons(h->fd), BARTER_REASON_REQUESTED, "%s: reason", name);
	is(peek(h->p, &v), SIGBUS, "%s: access faults", name);
	ok(!buf_map(h->fd, 0, PAGE, PROT_READ) && errno == EBADFD,
	   "%s: no new mmap", name);
	is_errno(slice1(h->fd, 0, PAGE), EBADFD, "%s: no slice", name);
	is_errno(tester_attach(t, h->fd, 0), EBADFD, "%s: no attach", name);
	is_errno(buf_end(&mem, h->fd), EBADFD, "%s: it has ended already", name);
	close(t);
}

static void only_one(void)
{
	struct held a, b, c;
	unsigned int i;

	need(hold(&a, buf_export1(&mem, BAR, 0, MIB)) &&
	     hold(&b, buf_export1(&mem, BAR, 0, MIB)) &&
	     hold(&c, buf_export1(&mem, BAR, MIB, MIB)), "three buffers");
	is_errno(buf_end(&mem, b.fd), 0, "end of one");
	dead(&b, "ended");
	untouched(&a, "same memory");
	untouched(&c, "other memory");
	for (i = 0; i < nr_causes; i++) {
		is_errno(causes[i].begin(&mem), 0, "%s", causes[i].name);
		if (causes[i].end)
			is_errno(causes[i].end(&mem), 0, "and its end");
		is(buf_state(a.fd), BARTER_STATE_OK, "the others come back");
		is(buf_state(b.fd), BARTER_STATE_DEAD, "it does not");
	}
	dead(&b, "after all this");
	drop(&a);
	drop(&b);
	drop(&c);
}

static void while_revoked(void)
{
	struct held a, b;
	uint32_t v;

	need(hold(&a, buf_export1(&mem, BAR, 0, MIB)) &&
	     hold(&b, buf_export1(&mem, BAR, 0, MIB)), "two buffers");
	dev_set_memory(&mem, false);
	is_errno(buf_end(&mem, a.fd), 0, "end of a revoked one");
	is(buf_state(a.fd), BARTER_STATE_DEAD, "DEAD");
	is(buf_reasons(a.fd), BARTER_REASON_REQUESTED | BARTER_REASON_MEMORY,
	   "reasons");
	is(buf_state(b.fd), BARTER_STATE_REVOKED, "the other is revoked");
	dev_set_memory(&mem, true);
	is(buf_state(a.fd), BARTER_STATE_DEAD, "memory on: it stays DEAD");
	is(peek(a.p, &v), SIGBUS, "access faults");
	is(buf_state(b.fd), BARTER_STATE_OK, "the other is back");
	drop(&a);
	drop(&b);
}

/* ---- the tree ---- */

/* Two branches of three generations below one buffer. */
static struct held family[7];

static bool family_new(void)
{
	int root = buf_export1(&mem, BAR, 0, MIB), i;
	bool all = hold(&family[0], root);

	for (i = 1; i < 7; i++)
		all &= hold(&family[i], slice1(family[(i - 1) / 2].fd, 0,
					       MIB - (unsigned int)i * PAGE));
	return all;
}

static void family_end(void)
{
	for (int i = 0; i < 7; i++)
		drop(&family[i]);
}

static bool below(int i, int top)
{
	for (; i > top; i = (i - 1) / 2)
		;
	return i == top;
}

static void what_was_cut_from_it(void)
{
	char name[32];
	int top, i;

	for (top = 0; top < 7; top += 1 + (top == 1) * 3) {
		need(family_new(), "seven buffers");
		is_errno(buf_end(&mem, family[top].fd), 0, "end of number %d",
			 top);
		for (i = 0; i < 7; i++) {
			snprintf(name, sizeof(name), "%d: number %d", top, i);
			if (below(i, top))
				dead(&family[i], name);
			else
				untouched(&family[i], name);
		}
		family_end();
	}
}

/* Who is in between has been closed: those below are still below. */
static void across_a_gap(void)
{
	char name[32];
	int i;

	need(family_new(), "seven buffers");
	drop(&family[1]);
	drop(&family[2]);
	is_errno(buf_end(&mem, family[0].fd), 0, "end of the first");
	for (i = 3; i < 7; i++) {
		snprintf(name, sizeof(name), "number %d", i);
		dead(&family[i], name);
	}
	drop(&family[0]);
	for (i = 3; i < 7; i++)
		drop(&family[i]);
}

/* Orphans are nobody's but their own. */
static void orphans(void)
{
	need(family_new(), "seven buffers");
	drop(&family[0]);
	is_errno(buf_end(&mem, family[1].fd), 0, "end of the second");
	dead(&family[3], "its child");
	untouched(&family[2], "the third");
	untouched(&family[5], "its child");
	is_errno(buf_end(&mem, family[6].fd), 0, "end of the last");
	untouched(&family[5], "not its sister");
	for (int i = 1; i < 7; i++)
		drop(&family[i]);
}

/* ---- refusals ---- */

static void refusals(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), t = tester_open();
	struct barter_feature_revoke good = { sizeof(good), 0, fd, 0 }, r;
	int null = open("/dev/null", O_RDWR), foreign = tester_foreign();
	int slice, other_fd;
	struct dev other;

#define REFUSED(field, value, error)					\
	do {								\
		r = good;						\
		r.field = value;					\
		is_errno(revoke_call(&mem, CALL, SET, &r), error,	\
			 #field " = " #value);				\
	} while (0)
	REFUSED(size, 12, EINVAL);
	REFUSED(size, sizeof(r) + 8, EINVAL);
	REFUSED(flags, 1, EINVAL);
	REFUSED(__reserved, 1, EINVAL);
	REFUSED(dmabuf_fd, -1, EBADF);
	REFUSED(dmabuf_fd, null, EINVAL);
	REFUSED(dmabuf_fd, mem.fd, EINVAL);
	REFUSED(dmabuf_fd, foreign, ENODEV);
	is_errno(revoke_call(&mem, CALL - 4, SET, &good), EINVAL, "short argsz");
	is_errno(revoke_call(&mem, CALL, VFIO_DEVICE_FEATURE_GET, &good), EINVAL,
		 "GET");
	is_errno(revoke_call(&mem, CALL, VFIO_DEVICE_FEATURE_PROBE | SET, &good),
		 0, "PROBE");
	is(buf_state(fd), BARTER_STATE_OK, "nothing has ended yet");

	need(!dev_open(&other, getenv("VM_VRAM1")), "another device");
	slice = slice1(fd, 0, PAGE);
	r = good;
	is_errno(revoke_call(&other, CALL, SET, &r), ENODEV,
		 "by another device");
	r.dmabuf_fd = slice;
	is_errno(revoke_call(&other, CALL, SET, &r), ENODEV,
		 "a slice, by another device");
	other_fd = buf_export1(&other, BAR, 0, PAGE);
	is_errno(buf_end(&mem, other_fd), ENODEV, "that device's buffer");
	is(buf_state(other_fd), BARTER_STATE_OK, "goes on");
	is(buf_state(fd), BARTER_STATE_OK, "and this one");
	is_errno(buf_end(&mem, slice), 0, "the slice, by its own device");
	is(buf_state(fd), BARTER_STATE_OK, "is not its parent");
	close(other_fd);
	dev_close(&other);
	close(slice);
	close(foreign);
	close(t);
	close(null);
	close(fd);
}

/* A dead buffer of an earlier life of the device. */
static void after_reopening(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB);

	need(fd >= 0, "export");
	fixture_reopen();
	is_errno(buf_end(&mem, fd), EBADFD, "it died when the device was closed");
	is(buf_reasons(fd), BARTER_REASON_CLOSED, "of that");
	close(fd);
}

/* ---- importers ---- */

static int t, id;

static int end_it(void *arg)
{
	return buf_end(&mem, *(int *)arg) ? 1 : 0;
}

static void told_and_waited_for(void)
{
	struct barter_test_attach slow = {
		.flags = BARTER_TEST_F_SLOW, .delay_ms = 400,
	};
	int fd = buf_export1(&mem, BAR, 0, MIB), slice = slice1(fd, 0, MIB);
	int other = buf_export1(&mem, BAR, 0, MIB), other_id;
	int64_t began;

	t = tester_open();
	slow.dmabuf_fd = slice;
	id = tester_attach_as(t, &slow);
	other_id = tester_attach(t, other, 0);
	if (tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL) ||
	    tester_map(t, other_id, BARTER_TEST_BIDIRECTIONAL, NULL)) {
		skip("no route", "importers");
		goto out;
	}
	began = now_ms();
	is_errno(buf_end(&mem, fd), 0, "end of the parent");
	ok(now_ms() - began >= 300, "waits for the slice's importer");
	is(tester_stat(t, id).out_mapped, 0, "which has unmapped");
	is(tester_stat(t, other_id).out_mapped, 1, "another buffer's has not");
	is(tester_stat(t, other_id).out_invalidates, 0, "nor was it told");
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), EBADFD,
		 "no new map");
out:
	close(t);
	close(other);
	close(slice);
	close(fd);
}

/* What is left when a fatal signal ends the wait. */
static void half_way(int fd, int slice, volatile uint8_t *p)
{
	struct barter_info info;
	uint32_t v;
	int born;

	is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED, not DEAD");
	is(buf_reasons(fd), BARTER_REASON_REQUESTED | BARTER_REASON_INTERRUPTED,
	   "reasons");
	is(buf_reasons(slice), BARTER_REASON_REQUESTED |
	   BARTER_REASON_INTERRUPTED, "of the slice too");
	is_errno(buf_info(slice, &info), 0, "info");
	ok(strstr(info.out_blocker, edu_bdf()), "info names who has not let go: %s",
	   info.out_blocker);
	is(peek(p, &v), SIGBUS, "access faults");
	born = slice1(fd, 0, PAGE);
	is(buf_state(born), BARTER_STATE_REVOKED, "a new slice is born revoked");
	is(buf_reasons(born), buf_reasons(fd), "for the same reasons");
	is_errno(dev_set_memory(&mem, true), 0, "a restore of the device");
	is(buf_state(born), BARTER_STATE_REVOKED, "does not concern it");
	close(born);
}

static void killed(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), slice = slice1(fd, 0, MIB), status;
	struct held other;
	volatile uint8_t *p;
	bool gone;
	pid_t pid;
	uint32_t v;

	t = tester_open();
	id = tester_attach(t, slice, BARTER_TEST_F_STUCK);
	p = buf_map(fd, 0, PAGE, RW);
	need(p && !peek(p, &v) &&
	     hold(&other, buf_export1(&mem, BAR, 0, MIB)), "buffers");
	if (tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL)) {
		skip("no route", "a stuck importer");
		goto out;
	}
	pid = spawn(end_it, &fd);
	ok(buf_wait(slice, BARTER_STATE_REVOKING, 10000), "REVOKING");
	WAIT_FOR(gone, peek(p, &v) == SIGBUS, 5000);
	ok(gone, "the CPU has nothing any more");
	ok(is_running(pid), "the caller waits");
	untouched(&other, "meanwhile");
	kill(pid, SIGKILL);
	status = reap(pid, 3000);
	ok(status >= 0 && WIFSIGNALED(status), "killed: %#x", status);
	half_way(fd, slice, p);
	untouched(&other, "half way");

	is_errno(tester_letgo(t, id), 0, "let go");
	is(buf_state(fd), BARTER_STATE_REVOKED, "still REVOKED");
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), ENODEV,
		 "no map");
	is_errno(dev_reset(&mem), 0, "a reset");
	is(buf_state(fd), BARTER_STATE_REVOKED, "does not bring it back");
	is(buf_reasons(fd), BARTER_REASON_REQUESTED, "all was waited for");
	is(buf_state(other.fd), BARTER_STATE_OK, "the other is back");
	is_errno(buf_end(&mem, fd), 0, "a second call ends it");
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(buf_state(slice), BARTER_STATE_DEAD, "the slice too");
	is_errno(buf_end(&mem, fd), EBADFD, "a third");
out:
	munmap((void *)p, PAGE);
	drop(&other);
	close(t);
	close(slice);
	close(fd);
}

/* The second call waits itself, without a reset in between. */
static void killed_twice(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), round;
	pid_t pid;

	t = tester_open();
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	if (tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL)) {
		skip("no route", "a stuck importer");
		goto out;
	}
	for (round = 0; round < 2; round++) {
		pid = spawn(end_it, &fd);
		ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
		ok(is_running(pid), "the caller waits");
		kill(pid, SIGKILL);
		ok(reap(pid, 3000) >= 0, "killed");
		is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED");
	}
	pid = spawn(end_it, &fd);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 5000), 0, "the call succeeds");
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(buf_reasons(fd), BARTER_REASON_REQUESTED, "reason");
out:
	close(t);
	close(fd);
}

static int reset_it(void *arg)
{
	(void)arg;
	return dev_reset(&mem) ? 1 : 0;
}

/* What a killed revoke of the device has left behind does not stay with the dead. */
static void after_a_killed_reset(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB);
	pid_t pid;

	t = tester_open();
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	if (tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL)) {
		skip("no route", "a stuck importer");
		goto out;
	}
	pid = spawn(reset_it, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	kill(pid, SIGKILL);
	ok(reap(pid, 3000) >= 0, "the reset is killed");
	is(buf_reasons(fd), BARTER_REASON_INTERRUPTED, "reason");
	is_errno(tester_letgo(t, id), 0, "let go");
	is_errno(buf_end(&mem, fd), 0, "the end");
	is(buf_reasons(fd), BARTER_REASON_REQUESTED, "of that alone");
	is_errno(dev_reset(&mem), 0, "a reset");
out:
	close(t);
	close(fd);
}

/* ---- others, while one waits ---- */

/* Is the child in that function of the kernel's, and stays there? */
static bool waits(pid_t pid, const char *function)
{
	bool there;

	WAIT_FOR(there, sleeps_in(pid, function), 5000);
	usleep(50000);
	return there && is_running(pid) && sleeps_in(pid, function);
}

/* An end that an importer holds up: of @fd, by a child. */
static pid_t stuck_end(int *fd, int of)
{
	t = tester_open();
	id = tester_attach(t, of, BARTER_TEST_F_STUCK);
	if (tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL)) {
		skip("no route", "a stuck importer");
		close(t);
		return -1;
	}
	return spawn(end_it, fd);
}

/* All but the buffer that waits works: made, cut from, mapped, ended. */
static void others_go_on(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), another, slice;
	struct held other;
	int64_t began;
	uint32_t v;
	pid_t pid;

	need(hold(&other, buf_export1(&mem, BAR, MIB, MIB)), "another buffer");
	pid = stuck_end(&fd, fd);
	if (pid < 0)
		goto out;
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	munmap((void *)other.p, PAGE);
	other.p = buf_map(other.fd, PAGE, PAGE, RW);
	ok(other.p && !peek(other.p, &v), "a new mapping of the other");
	ok(file_has(BUFFERS, "requested"), "debugfs tells the reason");

	began = now_ms();
	another = buf_export1(&mem, BAR, 0, MIB);
	slice = slice1(other.fd, 0, PAGE);
	ok(another >= 0 && slice >= 0, "a new buffer, and a slice of the other");
	is_errno(buf_end(&mem, another), 0, "the end of the new one");
	ok(now_ms() - began < 8000, "none of it waits");
	is(buf_state(fd), BARTER_STATE_REVOKING, "as the first still does");
	is(buf_state(other.fd), BARTER_STATE_OK, "the other is OK");
	close(slice);
	close(another);
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 5000), 0, "the end");
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	close(t);
out:
	drop(&other);
	close(fd);
}

/* What is cut from a buffer that waits is born revoked, and dies with it. */
static void cut_while_it_waits(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), born, below;
	volatile uint8_t *p;
	uint32_t v;
	pid_t pid;

	pid = stuck_end(&fd, fd);
	if (pid < 0)
		goto out;
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	born = slice1(fd, 0, 4 * PAGE);
	below = slice1(born, 0, PAGE);
	is(buf_state(born), BARTER_STATE_REVOKED, "a slice is born revoked");
	is(buf_reasons(below), BARTER_REASON_REQUESTED, "one of that, too");
	p = buf_map(born, 0, PAGE, RW);
	is(p ? peek(p, &v) : -1, SIGBUS, "it can be mapped, not read");
	is_errno(buf_end(&mem, below), 0, "the lowest is ended meanwhile");
	is(buf_state(below), BARTER_STATE_DEAD, "and is dead");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 5000), 0, "the end");
	is(buf_state(born), BARTER_STATE_DEAD, "the slice is dead with it");
	is(buf_reasons(born), BARTER_REASON_REQUESTED, "for that reason");
	is(peek(p, &v), SIGBUS, "for ever");
	munmap((void *)p, PAGE);
	close(below);
	close(born);
	close(t);
out:
	close(fd);
}

/* Ends of one buffer, of what it was cut from, and of what is cut from it. */
static void ends_follow_each_other(void)
{
	int top = buf_export1(&mem, BAR, 0, 2 * MIB);
	int fd = slice1(top, 0, MIB), child = slice1(fd, 0, PAGE), i;
	int beside = slice1(top, MIB, PAGE), *whose[] = { &fd, &top, &child };
	pid_t pid, pids[3];

	pid = stuck_end(&fd, fd);
	if (pid < 0)
		goto out;
	ok(buf_wait(child, BARTER_STATE_REVOKING, 10000), "REVOKING");
	for (i = 0; i < 3; i++)
		pids[i] = spawn(end_it, whose[i]);
	for (i = 0; i < 3; i++)
		ok(waits(pids[i], "barter_buf_revoke"), "end %d waits", i);
	is_errno(buf_end(&mem, beside), 0, "one beside it is ended at once");
	kill(pids[1], SIGKILL);
	ok(reap(pids[1], 3000) > 0, "a waiting one can be killed");
	is(buf_state(top), BARTER_STATE_OK, "and has done nothing");
	pids[1] = spawn(end_it, &top);
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 5000), 0, "the first end");
	is(reap(pids[1], 5000), 0, "the end of the parent");
	ok(reap(pids[0], 5000) >= 0 && reap(pids[2], 5000) >= 0,
	   "the others return");
	is(buf_state(top), BARTER_STATE_DEAD, "the parent is dead");
	is(buf_state(fd), BARTER_STATE_DEAD, "the first");
	is(buf_state(child), BARTER_STATE_DEAD, "the child");
	is_errno(buf_end(&mem, fd), EBADFD, "it has ended already");
	close(t);
out:
	close(beside);
	close(child);
	close(fd);
	close(top);
}

static int memory_off(void *arg)
{
	(void)arg;
	return dev_set_memory(&mem, false) ? 1 : 0;
}

/*
 * The device is taken back while the end of one buffer waits: both wait for the same
 * importer. Who is killed leaves at once, though the other holds the device.
 */
static void the_device_meanwhile(void)
{
	int fd = buf_export1(&mem, BAR, 0, MIB), slice = slice1(fd, 0, PAGE), round;
	struct held other;
	pid_t pid, device;

	need(hold(&other, buf_export1(&mem, BAR, 0, MIB)), "another buffer");
	pid = stuck_end(&fd, fd);
	if (pid < 0)
		goto out;
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	for (round = 0; round < 2; round++) {
		device = spawn(memory_off, NULL);
		ok(buf_wait(other.fd, BARTER_STATE_REVOKING, 10000),
		   "the device is being taken back");
		ok(waits(device, "barter_exporter_revoke"), "which waits");
		if (round)
			break;
		kill(device, SIGKILL);
		ok(reap(device, 3000) > 0, "it is killed");
		is(buf_state(fd), BARTER_STATE_REVOKING, "the end still waits");
		ok(is_running(pid), "and runs");
	}
	kill(pid, SIGKILL);
	ok(reap(pid, 3000) > 0, "the end is killed while the device waits");
	is(buf_state(fd), BARTER_STATE_REVOKING, "the device still waits for it");
	ok(buf_reasons(fd) & BARTER_REASON_INTERRUPTED, "interrupted");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(device, 5000), 0, "memory is off");
	is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED");
	is(buf_reasons(fd), BARTER_REASON_REQUESTED | BARTER_REASON_MEMORY,
	   "all was waited for");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is(buf_state(other.fd), BARTER_STATE_OK, "the other is back");
	is(buf_state(fd), BARTER_STATE_REVOKED, "this one not");
	is(buf_state(slice), BARTER_STATE_REVOKED, "nor its slice");
	is_errno(buf_end(&mem, fd), 0, "the end");
	is(buf_state(slice), BARTER_STATE_DEAD, "of both");
	close(t);
out:
	drop(&other);
	close(slice);
	close(fd);
}

/*
 * Branches are closed while the end of the root goes through the tree: what was below
 * them is below the root, and is found.
 */
#define BRANCHES	24
#define LEAVES		8

static int branches[BRANCHES], leaves[BRANCHES][LEAVES];
static _Atomic int closer_goes;

static void *closer(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	/* Around the 64th of the walk, where it pauses first. */
	unsigned int first = 5 + seed % 3;
	volatile unsigned int spin = (unsigned int)rand_r(&seed) % 20000;

	while (!closer_goes)
		;
	while (spin--)
		;
	for (unsigned int i = first; i < first + 4; i++)
		close(branches[i]);
	for (unsigned int i = 0; i < BRANCHES; i++)
		if (i < first || i >= first + 4)
			close(branches[i]);
	return NULL;
}

static void released_while_it_is_walked(void)
{
	unsigned int left = 0, round = 0, errors = 0;
	int64_t until = now_ms() + 8000;
	pthread_t thread;

	for (; now_ms() < until; round++) {
		int root = buf_export1(&mem, BAR, 0, MIB);

		for (int i = 0; i < BRANCHES; i++) {
			branches[i] = slice1(root, 0, MIB);
			for (int j = 0; j < LEAVES; j++)
				leaves[i][j] = slice1(branches[i], 0, PAGE);
		}
		closer_goes = 0;
		pthread_create(&thread, NULL, closer, (void *)(uintptr_t)round);
		closer_goes = 1;
		errors += buf_end(&mem, root) != 0;
		for (int i = 0; i < BRANCHES; i++)
			for (int j = 0; j < LEAVES; j++)
				left += buf_state(leaves[i][j]) !=
					BARTER_STATE_DEAD;
		pthread_join(thread, NULL);
		for (int i = 0; i < BRANCHES; i++)
			for (int j = 0; j < LEAVES; j++)
				close(leaves[i][j]);
		close(root);
	}
	is(errors, 0, "%u ends", round);
	is(left, 0, "none that was below is alive");
}

int main(void)
{
	fixture_open();
	fill(bar, SEED, 0, 4 * MIB);
	CASE(only_one);
	CASE(while_revoked);
	CASE(what_was_cut_from_it);
	CASE(across_a_gap);
	CASE(orphans);
	CASE(refusals);
	CASE(after_reopening);
	CASE(told_and_waited_for);
	CASE(killed);
	CASE(killed_twice);
	CASE(after_a_killed_reset);
	CASE(others_go_on);
	CASE(cut_while_it_waits);
	CASE(ends_follow_each_other);
	CASE(the_device_meanwhile);
	CASE_LIMIT(released_while_it_is_walked, 120);
	return tap_done();
}
