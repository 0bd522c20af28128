// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Importers that do not let go. Whoever revokes waits; who asked by a system
 * call can be killed, and then the operation was not begun; the culprit is
 * named; everybody else keeps working; all goes on once it lets go.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/tester.h"

#define RW		(PROT_READ | PROT_WRITE)
#define SEED		81
#define MARK		0x5a5a5a5au
#define IVSHMEM_MASK	0	/* BAR 0: a register that a reset clears */

static int t, fd, id;
static volatile uint8_t *map;

static uint32_t mark_get(void)
{
	uint32_t v = 0;

	if (pread(mem.fd, &v, 4, (off_t)(mem.offset[0] + IVSHMEM_MASK)) != 4)
		return 0;
	return v;
}

static bool mark_set(void)
{
	uint32_t v = MARK;

	return pwrite(mem.fd, &v, 4,
		      (off_t)(mem.offset[0] + IVSHMEM_MASK)) == 4 &&
		mark_get() == MARK;
}

/* A buffer with a mapped importer of that kind. */
static bool start(uint32_t flags)
{
	struct barter_test_attach req = {
		.flags = flags, .delay_ms = flags & BARTER_TEST_F_SLOW ? 400 : 0,
	};

	fill(bar, SEED, 0, MIB);
	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, MIB);
	map = buf_map(fd, 0, MIB, RW);
	req.dmabuf_fd = fd;
	id = tester_attach_as(t, &req);
	return ok(map && id >= 0 && differs(map, SEED, 0, PAGE) < 0 &&
		  !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL) &&
		  mark_set(), "a buffer, mapped by an importer");
}

static void finish(void)
{
	close(t);
	munmap((void *)map, MIB);
	close(fd);
}

static int run_begin(void *arg)
{
	const struct cause *c = arg;

	return c->begin(&mem) ? 1 : 0;
}

static void named(const char *when)
{
	struct barter_info info;

	is_errno(buf_info(fd, &info), 0, "%s: info works", when);
	ok(strstr(info.out_blocker, edu_bdf()), "%s: info names the device: %s",
	   when, info.out_blocker);
	ok(strstr(info.out_blocker, "barter-dma"), "%s: and its driver", when);
	is(info.out_maps, 1, "%s: one map is left", when);
	ok(file_has(BUFFERS, edu_bdf()), "%s: debugfs names it", when);
}

static void still_there(const struct cause *c, uint16_t command)
{
	is(mark_get(), MARK, "%s: the device was not reset", c->name);
	is(dev_command(&mem), command, "%s: COMMAND is as it was", c->name);
}

/* Kill whoever waits; then let go, and do it again. */
static void killed(const struct cause *c, int signal)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	uint16_t command = dev_command(&mem);
	int status;
	uint32_t v;
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	pid = spawn(run_begin, (void *)c);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "%s: REVOKING", c->name);
	ok(is_running(pid), "%s: the caller waits", c->name);
	is(tester_stat(t, id).out_owed, 1, "%s: the importer was told", c->name);
	named(c->name);
	is(peek(map + MIB / 2, &v), SIGBUS, "%s: access faults", c->name);
	kill(pid, signal);
	status = reap(pid, 3000);
	ok(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == signal,
	   "%s: signal %d ends it: %#x", c->name, signal, status);
	is(buf_state(fd), BARTER_STATE_REVOKED, "%s: state stays REVOKED",
	   c->name);
	is(buf_reasons(fd), BARTER_REASON_INTERRUPTED,
	   "%s: reason INTERRUPTED and no other", c->name);
	still_there(c, command);
	is(peek(map + PAGE, &v), SIGBUS, "%s: access faults", c->name);
	named("killed");
	is_errno(tester_letgo(t, id), 0, "%s: let go", c->name);
	is(buf_state(fd), BARTER_STATE_REVOKED,
	   "%s: not restored by itself", c->name);
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), ENODEV,
		 "%s: no map", c->name);
	is_errno(reset->begin(&mem), 0, "%s: a new reset", c->name);
	is(mark_get(), 0, "%s: this one was done", c->name);
	is(buf_state(fd), BARTER_STATE_OK, "%s: OK", c->name);
	is(buf_reasons(fd), 0, "%s: no reason left", c->name);
	is(differs(map, SEED, 0, MIB), -1, "%s: all bytes are there", c->name);
	is_errno(tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), 0,
		 "%s: map works", c->name);
	finish();
}

static const struct cause *cause;
static int by_signal;

static void run_killed(void)
{
	killed(cause, by_signal);
}

/* What another process asks for meanwhile is answered at once. */
static void others_go_on(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	int64_t begin;
	int other;
	void *late;
	uint32_t v;
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	other = buf_export1(&mem, BAR, 2 * MIB, PAGE);
	pid = spawn(run_begin, (void *)reset);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	begin = now_ms();
	for (int i = 0; i < 20; i++)
		buf_state(fd);
	ok(buf_count(mem.bdf) >= 2, "debugfs lists both");
	late = buf_map(fd, 0, PAGE, RW);
	ok(late, "mmap works");
	is(peek(late, &v), SIGBUS, "access faults");
	munmap(late, PAGE);
	ok(buf_state(other) == BARTER_STATE_REVOKING ||
	   buf_state(other) == BARTER_STATE_REVOKED,
	   "the device's other buffer is taken back too");
	close(other);
	is(tester_attach(t, fd, 0) >= 0, 1, "attach works");
	is_errno(tester_map(t, id + 1, BARTER_TEST_BIDIRECTIONAL, NULL), ENODEV,
		 "map is refused");
	ok(now_ms() - begin < 3000, "in %lld ms",
	   (long long)(now_ms() - begin));
	ok(is_running(pid), "the reset still waits");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 10000), 0, "the reset is done");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	finish();
}

static void named_in_the_log(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	struct log log;
	int64_t begin;
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	log_open(&log);
	begin = now_ms();
	pid = spawn(run_begin, (void *)reset);
	ok(log_wait(&log, "barter: ", edu_bdf(), 20000),
	   "the log names the importer's device");
	ok(now_ms() - begin > 8000, "not before 10 s: %lld ms",
	   (long long)(now_ms() - begin));
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 10000), 0, "the reset is done");
	log_close(&log);
	finish();
}

/* Two callers: the second waits for the first, and both can be killed. */
static void two_callers(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	const struct cause *off = cause_find("memory off by a word");
	pid_t first, second;
	int status;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	first = spawn(run_begin, (void *)reset);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	second = spawn(run_begin, (void *)off);
	/* The second has nothing to show for itself but that it waits. */
	usleep(200000);
	ok(is_running(second), "the second waits");
	kill(second, SIGKILL);
	status = reap(second, 3000);
	ok(status >= 0 && WIFSIGNALED(status), "the second can be killed");
	ok(is_running(first), "the first still waits");
	kill(first, SIGKILL);
	status = reap(first, 3000);
	ok(status >= 0 && WIFSIGNALED(status), "the first can be killed");
	is(mark_get(), MARK, "nothing was reset");
	ok(dev_command(&mem) & PCI_COMMAND_MEMORY, "memory is on");
	is_errno(tester_letgo(t, id), 0, "let go");
	is_errno(dev_reset(&mem), 0, "a new reset");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	finish();
}

/* An export waits for a revoke that runs, and can be killed: no buffer is left. */
static int run_export(void *arg)
{
	(void)arg;
	return buf_export1(&mem, BAR, 0, PAGE) < 0;
}

static void export_meanwhile(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	int status, before;
	pid_t first, second;
	bool gone;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	before = buf_count(mem.bdf);
	first = spawn(run_begin, (void *)reset);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	second = spawn(run_export, NULL);
	usleep(200000);
	ok(is_running(second), "the export waits");
	kill(second, SIGTERM);
	status = reap(second, 3000);
	ok(status >= 0 && WIFSIGNALED(status), "it can be killed: %#x", status);
	WAIT_FOR(gone, buf_count(mem.bdf) == before, 5000);
	ok(gone, "no buffer is left");
	second = spawn(run_export, NULL);
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(first, 10000), 0, "the reset is done");
	is(reap(second, 10000), 0, "an export that waited is done too");
	finish();
}

/* What did not come from a system call on the device waits to the end. */
static void waits_to_the_end(const char *name, int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	pid = spawn(fn, arg);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "%s: REVOKING", name);
	named(name);
	kill(pid, SIGKILL);
	usleep(300000);
	ok(is_running(pid), "%s: cannot be killed", name);
	is(mark_get(), MARK, "%s: not begun", name);
	is_errno(tester_letgo(t, id), 0, "%s: let go", name);
	status = reap(pid, 10000);
	ok(status >= 0, "%s: ends then", name);
	is(buf_state(fd), BARTER_STATE_OK, "%s: OK", name);
	is(mark_get(), 0, "%s: was done", name);
	finish();
}

static void sysfs_reset_waits(void)
{
	waits_to_the_end("sysfs reset", run_begin,
			 (void *)cause_find("sysfs reset"));
}

static int close_all(void *arg)
{
	(void)arg;
	fixture_forget();
	return 0;
}

static void close_waits(void)
{
	uint32_t v;
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	/* The child is the last to close the device. */
	pid = spawn(close_all, NULL);
	is(reap(pid, 10000), 0, "a copy of the files can be closed");
	is(buf_state(fd), BARTER_STATE_OK, "and does not matter");
	close(fd);
	fd = buf_export1(&mem, BAR, 0, MIB);
	is_errno(tester_detach(t, id), 0, "start again");
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "map");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* The parent forgets first, then this close is the last. */
		usleep(200000);
		fixture_close();
		_exit(0);
	}
	fixture_forget();
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "close: REVOKING");
	ok(is_running(pid), "close waits");
	ok(buf_reasons(fd) & BARTER_REASON_CLOSED, "reason CLOSED");
	named("close");
	is_errno(tester_letgo(t, id), 0, "let go");
	is(reap(pid, 10000), 0, "close ends");
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(peek(map, &v), SIGBUS, "access faults");
	finish();
	fixture_open();
}

static void closing_the_importer_lets_go(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	pid_t pid;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	pid = spawn(run_begin, (void *)reset);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	/* The child has a copy of the importer's file; detach does it. */
	is_errno(tester_detach(t, id), 0, "detach");
	is(reap(pid, 10000), 0, "the reset is done");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	finish();
}

static void slow_importer(void)
{
	static const char *const names[] = {
		"VFIO_DEVICE_RESET", "hot reset", "sysfs reset",
		"memory off by a word", "low power",
	};

	for (int i = 0; i < 5; i++) {
		const struct cause *c = cause_find(names[i]);
		int64_t begin;

		if (!start(BARTER_TEST_F_SLOW))
			return;
		begin = now_ms();
		is_errno(c->begin(&mem), 0, "%s", c->name);
		ok(now_ms() - begin >= 390, "%s: waited %lld ms for it",
		   c->name, (long long)(now_ms() - begin));
		is(tester_stat(t, id).out_mapped, 0, "%s: it let go", c->name);
		if (c->end)
			is_errno(c->end(&mem), 0, "%s: end", c->name);
		is(buf_state(fd), BARTER_STATE_OK, "%s: OK", c->name);
		finish();
	}
}

/* After a kill the device is closed: the mark of the kill goes with it. */
static void killed_then_closed(void)
{
	const struct cause *reset = cause_find("VFIO_DEVICE_RESET");
	pid_t pid;
	int born;

	if (!start(BARTER_TEST_F_STUCK))
		return;
	pid = spawn(run_begin, (void *)reset);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	kill(pid, SIGKILL);
	ok(reap(pid, 3000) >= 0, "killed");
	born = buf_export1(&mem, BAR, 0, PAGE);
	is(buf_state(born), BARTER_STATE_REVOKED,
	   "what is exported now is REVOKED too");
	is(buf_reasons(born), BARTER_REASON_INTERRUPTED, "for that reason");
	is_errno(tester_letgo(t, id), 0, "let go");
	fixture_reopen();
	is(buf_state(fd), BARTER_STATE_DEAD, "DEAD");
	is(buf_state(born), BARTER_STATE_DEAD, "the other one too");
	close(born);
	born = buf_export1(&mem, BAR, 0, PAGE);
	is(buf_state(born), BARTER_STATE_OK, "a new buffer is OK");
	close(born);
	finish();
}

int main(void)
{
	static const char *const by_call[] = {
		"VFIO_DEVICE_RESET", "hot reset", "memory off by a word",
		"memory off by an 8-byte block", "low power",
	};

	fixture_open();
	for (int i = 0; i < 5; i++) {
		char name[64];

		cause = cause_find(by_call[i]);
		by_signal = i & 1 ? SIGTERM : SIGKILL;
		snprintf(name, sizeof(name), "%s killed", cause->name);
		tap_case(name, run_killed, 60);
	}
	CASE(others_go_on);
	CASE(named_in_the_log);
	CASE(two_callers);
	CASE(export_meanwhile);
	CASE(sysfs_reset_waits);
	CASE(close_waits);
	CASE(closing_the_importer_lets_go);
	CASE(slow_importer);
	CASE(killed_then_closed);
	return tap_done();
}
