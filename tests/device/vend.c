// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * "barter vend" with real devices, as an ordinary user: a lease is taken back from a
 * client that hangs, and no other notices; whoever is killed, at whatever step, leaves
 * nothing; timeouts, disconnects, resets and unbinds under leases.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/access.h"
#include "lib/broker.h"
#include "lib/buf.h"
#include "lib/host.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define KIB64	(64ul << 10)

static const char *bdf0, *bdf1;
static pid_t broker;

/* left and right are of one device, and neighbours. */
static const char *policy(void)
{
	static char text[2000];

	snprintf(text, sizeof(text),
		 "[left]\ndevice = %s\nbar = 2\nranges = 1M+64K 0+64K\n"
		 "allow = uid:0\naccess = read-write\n"
		 "[right]\ndevice = %s\nbar = 2\nranges = 64K+64K\n"
		 "allow = uid:0\naccess = read-write\n"
		 "[look]\ndevice = %s\nbar = 2\nranges = 0+64K\n"
		 "allow = any\naccess = read-only\nuse = shared\n"
		 "[far]\ndevice = %s\nbar = 2\nranges = 0+1M\n"
		 "allow = any\naccess = read-write\nuse = shared\n"
		 "[brief]\ndevice = %s\nbar = 2\nranges = 2M+64K\n"
		 "allow = any\naccess = read-write\nlifetime = 1s\n"
		 "[frame]\ndevice = %s\nbar = 2\nranges = 4M+64K\n"
		 "allow = any\naccess = read-write\nmemory = wc\n",
		 bdf0, bdf0, bdf1, bdf1, bdf0, bdf0);
	return text;
}

static bool begin(void)
{
	if (broker > 0 && is_running(broker))
		return true;
	broker_policy(policy());
	broker = broker_start();
	return ok(broker > 0 && vend_leases(0, 10000), "a broker, as user %d",
		  BROKER_USER);
}

/* Its exit status. */
static int end(int signal)
{
	int status;

	kill(broker, signal);
	status = reap(broker, 30000);
	broker = 0;
	return status;
}

static uint32_t get(const volatile uint8_t *p)
{
	uint32_t v;
	int signal = peek(p, &v);

	return signal ? 0xdead0000u + (uint32_t)signal : v;
}

#define GONE	(0xdead0000u + SIGBUS)

/*
 * A client that hangs: it has the slice mapped, and does nothing until SIGUSR1. Then
 * it reads, and its exit status is the signal that this raised.
 */
static volatile sig_atomic_t woken;

static void wake(int signal)
{
	(void)signal;
	woken = 1;
}

static int hang(void *name)
{
	int fd, s = vend_connect();
	volatile uint8_t *p;
	uint32_t v;

	if (vend_borrow(s, name, 0, &fd) <= 0)
		return 201;
	p = buf_map(fd, 0, 2 * KIB64, RW);
	if (!p || poke(p, 0x1111) || poke(p + KIB64, 0x2222))
		return 202;
	signal(SIGUSR1, wake);
	while (!woken)
		usleep(1000);
	return peek(p, &v);
}

static void one_hangs_and_the_other_never_notices(void)
{
	struct barter_info before, after;
	struct barter_vend_status status;
	int s = -1, fd, owner, errors = 0, ret;
	volatile uint8_t *p;
	uint32_t seen[2], i, round;
	int64_t lease;
	pid_t pid;

	need(begin(), "begin");
	s = vend_connect();
	lease = vend_borrow(s, "right", 0, &fd);
	need(lease > 0, "right is lent");
	p = buf_map(fd, 0, KIB64, RW);
	need(p && !poke(p, 0x3333), "and mapped");
	pid = spawn(hang, "left");
	ok(vend_leases(2, 10000), "left is lent to another process");
	WAIT_FOR(ret, !host_read(0, &seen[0], 4) && seen[0] == 0x2222 &&
		 !host_read(MIB, &seen[1], 4) && seen[1] == 0x1111, 10000);
	ok(ret, "both of its ranges are where the policy says");
	host_read(KIB64, &seen[0], 4);
	is(seen[0], 0x3333, "and right is where it says");
	for (i = 0; i < KIB64; i += PAGE)
		errors += get(p + i) == GONE;
	is_errno(buf_info(fd, &before), 0, "info");

	/* All the time: write, read, compare. */
	owner = vend_connect();
	is_errno(vend_status(lease + 1, &status), 0, "the other's lease");
	ok(status.pid == pid && !strcmp(status.name, "left"),
	   "belongs to process %d", status.pid);
	for (round = 0; round < 3; round++) {
		if (round == 1)
			is_errno(vend_lease(owner, BARTER_VEND_TAKE_BACK,
					    lease + 1, 0, 20000), 0,
				 "left is taken back");
		for (i = 0; i < KIB64; i += 4)
			errors += poke(p + i, i ^ round) || get(p + i) !=
				  (i ^ round);
	}
	is(errors, 0, "the other reads what it writes, each time");
	is_errno(buf_info(fd, &after), 0, "info");
	is(after.out_generation, before.out_generation,
	   "its buffer was never revoked");
	is(after.out_faults_pte + after.out_faults_pmd,
	   before.out_faults_pte + before.out_faults_pmd,
	   "no page of it was faulted in again");
	ok(vend_leases(1, 10000), "one lease is left");
	ok(is_running(pid), "who hangs still hangs");
	kill(pid, SIGUSR1);
	is(reap(pid, 10000), SIGBUS << 8, "until it looks: SIGBUS");
	is(vend_borrow(owner, "left", 0, &ret) > 0, 1, "left can be lent again");
	close(ret);
	munmap((void *)p, KIB64);
	close(owner);
	close(s);
	close(fd);
	ok(vend_leases(0, 10000), "all back");
}

static void read_only_is_enforced(void)
{
	struct barter_info info;
	int s, fd;
	void *p;

	need(begin(), "begin");
	s = vend_connect();
	need(vend_borrow(s, "look", 0, &fd) > 0, "look is lent");
	p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	is_errno(p == MAP_FAILED ? -errno : 0, EACCES, "no mapping to write");
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED, "one to read");
	is_errno(mprotect(p, PAGE, RW) ? -errno : 0, EACCES, "stays one");
	is_errno(buf_info(fd, &info), 0, "info");
	ok(info.out_flags & BARTER_BUFFER_READ_ONLY,
	   "no device writes through it either");
	munmap(p, PAGE);
	close(s);
	close(fd);
	ok(vend_leases(0, 10000), "back");
}

/* An importer that does not let go, of a slice of one device. */
static void importer_that_does_not_let_go(void)
{
	struct barter_vend_status status;
	int s, other, fd, other_fd, t, id, ret;
	int64_t lease, began;
	volatile uint8_t *p;

	need(begin(), "begin");
	t = tester_open();
	s = vend_connect();
	other = vend_connect();
	lease = vend_borrow(s, "left", 0, &fd);
	need(lease > 0, "left is lent");
	need(vend_borrow(other, "right", 0, &other_fd) > 0, "right as well");
	p = buf_map(other_fd, 0, KIB64, RW);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "an importer maps left");
	close(s);
	close(fd);
	WAIT_FOR(ret, !vend_status(lease, &status) &&
		 status.state == BARTER_VEND_TAKING &&
		 strstr(status.blocker, edu_bdf()), 10000);
	ok(ret, "the client is gone: being taken back, held up by %s",
	   status.blocker);
	is(status.why, BARTER_VEND_WHY_DISCONNECTED, "why");
	ok(p && !poke(p, 5) && get(p) == 5, "right works");
	s = vend_connect();
	ok(vend_borrow(s, "far", 0, &fd) > 0, "another device lends");
	close(fd);
	is_errno(vend_borrow(s, "left", 0, &fd), EBUSY, "left is not free");
	began = now_ms();
	ok(vend_borrow(s, "brief", 0, &fd) > 0,
	   "the device lends other memory meanwhile");
	ok(now_ms() - began < 4000, "at once");
	close(fd);
	is_errno(tester_letgo(t, id), 0, "let go");
	WAIT_FOR(ret, vend_status(lease, &status) == -ENOENT, 10000);
	ok(ret, "then it is back");
	ok(vend_leases(2, 10000), "and so is brief, whose time is up");
	ok(vend_borrow(s, "left", 0, &fd) > 0, "and lends again");
	close(fd);
	munmap((void *)p, KIB64);
	close(other_fd);
	close(other);
	close(s);
	close(t);
	ok(vend_leases(0, 20000), "all back");
}

static void time_is_up(void)
{
	int64_t start = now_ms(), took;
	volatile uint8_t *p;
	int s, fd;

	need(begin(), "begin");
	s = vend_connect();
	need(vend_borrow(s, "brief", 0, &fd) > 0, "brief is lent");
	p = buf_map(fd, 0, KIB64, RW);
	need(p && !poke(p, 7), "and used");
	is(vend_event(s, NULL, 20000), BARTER_VEND_WHY_TIMEOUT, "event");
	took = now_ms() - start;
	ok(took >= 1000, "after %lld ms", (long long)took);
	ok(vend_leases(0, 10000), "no lease");
	is(get(p), GONE, "SIGBUS");
	is(buf_state(fd), BARTER_STATE_DEAD, "dead for ever");
	ok(buf_reasons(fd) & BARTER_REASON_REQUESTED, "as it was asked for");
	munmap((void *)p, KIB64);
	close(fd);
	close(s);
}

/* ---- Killed, at every step --------------------------------------------- */

#define STEPS	6

/* Go through the protocol, and stop at a step. @fd is the buffer from step 2 on. */
static volatile uint8_t *client_map;

static int client_to(int step, int *fd)
{
	struct barter_vend_borrow request = { .name = "right" };
	struct barter_vend_lease lease = { .lease = 0 };
	struct barter_vend_request back;
	int s = vend_connect();

	*fd = -1;
	if (step < 1)
		return s;
	vend_send(s, BARTER_VEND_BORROW, &request, sizeof(request));
	if (step < 2)
		return s;
	vend_answer(s, &lease, sizeof(lease), fd, 60000);
	if (step < 3)
		return s;
	client_map = buf_map(*fd, 0, PAGE, RW);
	if (client_map)
		poke(client_map, 9);
	if (step < 4)
		return s;
	back = (struct barter_vend_request) { .lease = lease.lease };
	vend_send(s, BARTER_VEND_RETURN, &back, sizeof(back));
	if (step < 5)
		return s;
	vend_answer(s, NULL, 0, NULL, 60000);
	return s;
}

static int die_at(void *step)
{
	int fd;

	client_to(*(int *)step, &fd);
	kill(getpid(), SIGKILL);
	return 0;
}

static void client_killed_at_every_step(void)
{
	bool none;
	int step;

	need(begin(), "begin");
	for (step = 0; step < STEPS; step++) {
		is(in_child(die_at, &step, 60000), 1000 + SIGKILL,
		   "step %d: killed", step);
		ok(vend_leases(0, 20000), "step %d: no lease", step);
		/* A thread of the broker's that closes a socket has it too, for a moment. */
		WAIT_FOR(none, buf_count(bdf0) == 0, 10000);
		ok(none, "step %d: no buffer", step);
	}
}

static void broker_killed_at_every_step(void)
{
	volatile uint8_t *p;
	int step, s, fd;

	for (step = 0; step < STEPS; step++) {
		need(begin(), "step %d: begin", step);
		client_map = NULL;
		s = client_to(step, &fd);
		p = client_map;
		is(end(SIGKILL), SIGKILL, "step %d: killed", step);
		if (fd >= 0) {
			ok(buf_wait(fd, BARTER_STATE_DEAD, 10000),
			   "step %d: the buffer is dead", step);
			ok(!p || get(p) == GONE, "step %d: SIGBUS", step);
			close(fd);
		}
		if (p)
			munmap((void *)p, PAGE);
		close(s);
	}
	need(begin(), "a new broker");
	s = vend_connect();
	ok(vend_borrow(s, "right", 0, &fd) > 0, "lends at once");
	close(fd);
	close(s);
}

static void sigterm_takes_all_back(void)
{
	volatile uint8_t *p, *q;
	int s, fd, fd2;

	need(begin(), "begin");
	s = vend_connect();
	need(vend_borrow(s, "left", 0, &fd) > 0 &&
	     vend_borrow(s, "far", 0, &fd2) > 0, "leases of two devices");
	p = buf_map(fd, 0, PAGE, RW);
	q = buf_map(fd2, 0, PAGE, RW);
	ok(p && q && !poke(p, 1) && !poke(q, 1), "in use");
	is(end(SIGTERM), 0, "exit status 0");
	is(vend_event(s, NULL, 1000), BARTER_VEND_WHY_SHUTDOWN, "event");
	is(get(p), GONE, "SIGBUS");
	is(get(q), GONE, "SIGBUS");
	ok(buf_reasons(fd) & BARTER_REASON_REQUESTED &&
	   buf_reasons(fd2) & BARTER_REASON_REQUESTED,
	   "taken back before the devices were closed");
	munmap((void *)p, PAGE);
	munmap((void *)q, PAGE);
	close(fd);
	close(fd2);
	close(s);
	is(buf_count(bdf0), 0, "no buffer");
}

/* ---- What befalls the device ------------------------------------------- */

static void reset_under_leases(void)
{
	struct barter_vend_status status;
	volatile uint8_t *p;
	int64_t lease;
	int s, fd, ret;

	need(begin(), "begin");
	s = vend_connect();
	lease = vend_borrow(s, "right", 0, &fd);
	need(lease > 0, "right is lent");
	p = buf_map(fd, 0, KIB64, RW);
	need(p && !poke(p, 0x5555), "and mapped");
	is_errno(pci_reset(bdf0), 0, "reset, by root");
	WAIT_FOR(ret, get(p) == 0x5555, 10000);
	ok(ret, "the same mapping works, and the memory is as it was");
	is_errno(vend_status(lease, &status), 0, "status");
	ok(status.state == BARTER_VEND_LENT &&
	   status.buffer_state == BARTER_STATE_OK, "lent, buffer ok");
	is_errno(vend_lease(s, BARTER_VEND_RETURN, lease, 0, 20000), 0,
		 "returned as ever");
	is(get(p), GONE, "SIGBUS");
	munmap((void *)p, KIB64);
	close(fd);
	close(s);
}

/* What the policy says of memory, the page table has. */
static void memory_attribute(void)
{
	static const struct {
		const char *name;
		uint32_t memattr, type;
	} rows[] = {
		{ "frame", BARTER_MEMATTR_WC, BARTER_TEST_TYPE_WC },
		{ "right", BARTER_MEMATTR_UC, BARTER_TEST_TYPE_UC_MINUS },
	};
	int t = tester_open(), s, fd, i;
	struct barter_test_page page;
	struct barter_info info;
	volatile uint8_t *p;
	uint32_t v = 0;

	need(begin(), "begin");
	s = vend_connect();
	for (i = 0; i < 2; i++) {
		need(vend_borrow(s, rows[i].name, 0, &fd) > 0 &&
		     !buf_info(fd, &info), "%s is lent", rows[i].name);
		is(info.out_memattr, rows[i].memattr, "%s: attribute",
		   rows[i].name);
		p = buf_map(fd, 0, KIB64, RW);
		need(p && !poke(p, 0x3333) && !tester_page(t, p, &page),
		     "and mapped");
		is(page.out_type, rows[i].type, "%s: the page's type",
		   rows[i].name);
		munmap((void *)p, KIB64);
		close(fd);
	}
	host_read(4 * MIB, &v, sizeof(v));
	is(v, 0x3333, "what was written is in the BAR");
	close(s);
	close(t);
	ok(vend_leases(0, 20000), "all back");
}

static int unbind(void *bdf)
{
	return pci_unbind(bdf) ? 1 : 0;
}

static void unbind_under_leases(void)
{
	const char *const both[] = { bdf0, bdf1 };
	int s, fd, far, status;
	volatile uint8_t *p;
	pid_t pid;

	need(begin(), "begin");
	s = vend_connect();
	need(vend_borrow(s, "right", 0, &fd) > 0, "right is lent");
	p = buf_map(fd, 0, KIB64, RW);
	need(p && !poke(p, 1), "and mapped");
	pid = spawn(unbind, (void *)bdf0);
	is(vend_event(s, NULL, 30000), BARTER_VEND_WHY_GONE,
	   "unbind: the broker lets go");
	status = reap(pid, 30000);
	is(status, 0, "unbind ends");
	is(get(p), GONE, "SIGBUS");
	is(buf_state(fd), BARTER_STATE_DEAD, "dead");
	ok(vend_borrow(s, "far", 0, &far) > 0, "the other device lends");
	close(far);
	ok(vend_borrow(s, "right", 0, &far) < 0, "this one does not");
	is_errno(broker_devices(both, 2), 0, "bound again");
	ok(vend_borrow(s, "right", 0, &far) > 0, "it lends again");
	close(far);
	munmap((void *)p, KIB64);
	close(fd);
	close(s);
	ok(vend_leases(0, 10000), "all back");
}

static void policy_that_cannot_be_met(void)
{
	char text[600];
	int s, fd;

	if (broker > 0)
		end(SIGTERM);
	/* A suite before this one may have left it with a driver for VFIO. */
	need(!pci_unbind(edu_bdf()), "a device without a driver");
	snprintf(text, sizeof(text),
		 "[beyond]\ndevice = %s\nbar = 2\nranges = 1G+64K\n"
		 "allow = any\naccess = read-write\n"
		 "[nobar]\ndevice = %s\nbar = 3\nranges = 0+4K\n"
		 "allow = any\naccess = read-write\n"
		 "[nodevice]\ndevice = 0000:7f:00.0\nbar = 0\nranges = 0+4K\n"
		 "allow = any\naccess = read-write\n"
		 "[nodriver]\ndevice = %s\nbar = 0\nranges = 0+4K\n"
		 "allow = any\naccess = read-write\n", bdf0, bdf0, edu_bdf());
	broker_policy(text);
	broker = broker_start();
	need(broker > 0, "it starts all the same");
	s = vend_connect();
	is_errno(vend_borrow(s, "beyond", 0, &fd), EINVAL, "beyond the BAR");
	is_errno(vend_borrow(s, "nobar", 0, &fd), ENODEV, "no such BAR");
	is_errno(vend_borrow(s, "nodevice", 0, &fd), ENODEV, "no such device");
	is_errno(vend_borrow(s, "nodriver", 0, &fd), ENXIO, "not for VFIO");
	ok(broker_said("0000:7f:00.0: cannot be opened: No such device"),
	   "the log says so");
	close(s);
	end(SIGTERM);
}

/* ---- The command ------------------------------------------------------- */

static int shell(const char *command)
{
	char line[600];

	snprintf(line, sizeof(line), "(%s) >/tmp/broker/out 2>&1", command);
	return system(line);
}

static void commands(void)
{
	uint32_t seen = 0;

	need(begin(), "begin");
	is(shell("barter borrow --socket " BROKER_SOCKET " left -- sh -c "
		 "'barter poke --fd $BARTER_FD 0x10000 0xcafe && "
		 "barter vend --status --socket " BROKER_SOCKET "'"), 0,
	   "borrow, with a command");
	ok(file_has("/tmp/broker/out", "left") &&
	   file_has("/tmp/broker/out", "lent"), "--status lists it");
	host_read(0, &seen, sizeof(seen));
	is(seen, 0xcafe, "what it wrote is in the BAR");
	ok(vend_leases(0, 10000), "back when the command has ended");
	is(shell("barter borrow --list --json --socket " BROKER_SOCKET), 0,
	   "borrow --list");
	ok(file_has("/tmp/broker/out", "\"name\": \"look\""), "names an offer");
	/* Held: until it is taken back. */
	is(shell("barter borrow --json --socket " BROKER_SOCKET " brief"),
	   1 << 8, "held until its time is up");
	ok(file_has("/tmp/broker/out", "taken back (timeout)"), "which it says");
	is(shell("barter borrow --socket " BROKER_SOCKET " right & "
		 "for i in $(seq 300); do barter vend --status --socket "
		 BROKER_SOCKET " | grep right && break; sleep 0.1; done; "
		 "id=$(barter vend --status --socket " BROKER_SOCKET
		 " | cut -d' ' -f1); barter vend --take-back $id --socket "
		 BROKER_SOCKET " && wait"), 0, "vend --take-back");
	ok(file_has("/tmp/broker/out", "taken back (owner)"),
	   "the borrower says why");
	is(shell("barter vend --reload --socket " BROKER_SOCKET), 0,
	   "vend --reload");
	ok(file_has("/tmp/broker/out", "6 offers"), "says what there is");
}

/* Until the terminal has shown @text, or 20 s are over. */
static bool shown(int terminal, char *all, size_t size, const char *text)
{
	struct pollfd wait = { .fd = terminal, .events = POLLIN };
	int64_t end = now_ms() + 20000;
	size_t n = strlen(all);
	ssize_t got;

	while (!strstr(all, text) && now_ms() < end && n < size - 1) {
		if (poll(&wait, 1, 100) != 1)
			continue;
		got = read(terminal, all + n, size - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		all[n] = 0;
	}
	if (strstr(all, text))
		return true;
	for (char *at = all; *at; at++) {
		if (*at < ' ')
			*at = '~';
	}
	diag("not \"%s\" within %zu bytes: ...%s", text, n, all + (n > 400 ? n - 400 : 0));
	return false;
}

/* Whoever waits at a terminal is told for whom, and for how long. */
static void take_back_at_a_terminal(void)
{
	char number[24], all[4096] = "", text[64];
	int t, s, fd, id, terminal, status = -1;
	int64_t lease;
	pid_t pid;

	need(begin(), "begin");
	t = tester_open();
	s = vend_connect();
	lease = vend_borrow(s, "left", 0, &fd);
	need(lease > 0, "left is lent");
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "an importer maps it, which does not let go");
	snprintf(number, sizeof(number), "%lld", (long long)lease);
	pid = forkpty(&terminal, NULL, NULL, NULL);
	if (!pid) {
		execlp("barter", "barter", "vend", "--take-back", number, "--socket", BROKER_SOCKET,
		       NULL);
		_exit(127);
	}
	need(pid > 0, "vend --take-back at a terminal");
	snprintf(text, sizeof(text), "lease %s: held up by %s", number, edu_bdf());
	ok(shown(terminal, all, sizeof(all), text), "says who holds it up");
	snprintf(text, sizeof(text), "barter: %s: is being taken back, 2 s", number);
	ok(shown(terminal, all, sizeof(all), text), "and how long it takes");
	is_errno(tester_letgo(t, id), 0, "let go");
	snprintf(text, sizeof(text), "\033[K%s: taken back", number);
	ok(shown(terminal, all, sizeof(all), text), "then it is back, and that line is gone");
	is(waitpid(pid, &status, 0), pid, "it ends");
	is(status, 0, "with success");
	close(terminal);
	close(fd);
	close(s);
	close(t);
	ok(vend_leases(0, 20000), "all back");
}

int main(void)
{
	const char *both[2];

	bdf0 = getenv("VM_VRAM0");
	bdf1 = getenv("VM_VRAM1");
	if (!bdf0 || !bdf1)
		tap_bail("this machine has no two memories");
	both[0] = bdf0;
	both[1] = bdf1;
	if (broker_devices(both, 2))
		tap_bail("the devices cannot be had");
	CASE(one_hangs_and_the_other_never_notices);
	CASE(read_only_is_enforced);
	CASE(importer_that_does_not_let_go);
	CASE(time_is_up);
	CASE_LIMIT(client_killed_at_every_step, 120);
	CASE_LIMIT(broker_killed_at_every_step, 120);
	CASE(sigterm_takes_all_back);
	CASE(reset_under_leases);
	CASE(memory_attribute);
	CASE(unbind_under_leases);
	CASE(commands);
	CASE(take_back_at_a_terminal);
	CASE(policy_that_cannot_be_met);
	return tap_done();
}
