// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A guest's memory that does not come: pages that are filled by userfaultfd, and nobody
 * fills them. The vEDU that pins them can be reset, closed, killed and removed as if
 * nothing was. By iommufd; type 1 does not wait for such pages.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../lib/iommufd.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "vgpu_end.h"

#define NOWHERE	(IOVA + (1ull << 24))
/* After 10 s a wait ends by itself: what is to end it must have done so before. */
#define IMPATIENT 7000

/* Memory that waits for whoever has the file, which is returned; or -errno. */
static int never(void **p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	*p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)*p;
	reg.range.len = MEMORY;
	if (fd < 0 || *p == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return fd;
}

static bool somebody_waits(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 20000) == 1;
}

/* So that a test that has failed comes to an end. */
static void fill_in(int fd)
{
	struct uffdio_zeropage zero = { .range.len = MEMORY };
	struct uffd_msg message;

	if (read(fd, &message, sizeof(message)) != sizeof(message))
		return;
	zero.range.start = message.arg.pagefault.address & ~(PAGE - 1ull);
	ioctl(fd, UFFDIO_ZEROPAGE, &zero);
}

static const struct barter_vedu_command into_nowhere = {
	.op = BARTER_VEDU_OP_FILL, .dst = NOWHERE, .length = MEMORY, .value = 1,
};

/* A kernel with DEBUG_VM says with a stack that type 1 does not wait. */
void never_by_type1(void)
{
	void *p;
	int fd = never(&p);

	need(fd >= 0, "memory that never comes");
	if (!guest_up(0, false))
		return;
	is_errno(vedu_map(&g, p, NOWHERE, MEMORY, true), 0, "the guest maps it");
	is(vedu_run(&g, &into_nowhere, NULL), BARTER_VEDU_S_ADDRESS, "there is none");
	is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "other memory works");
	guest_down();
	close(fd);
	munmap(p, MEMORY);
}

/* A guest whose vEDU waits for memory; its userfaultfd. */
static int waits(void **p)
{
	int fd = never(p);

	if (!ok(fd >= 0, "memory that never comes"))
		return fd;
	if (!guest_up(0, true) ||
	    !is_errno(vedu_map(&g, *p, NOWHERE, MEMORY, true), 0, "the guest maps it"))
		return -1;
	vedu_submit(&g, &into_nowhere);
	return ok(somebody_waits(fd), "a command waits for it") ? fd : -1;
}

static void reset_and_closed(void)
{
	long before = pages_pinned();
	int64_t began;
	void *p;
	int fd = waits(&p);

	need(fd >= 0, "stuck");
	began = now_ms();
	is_errno(dev_reset(&g.d), 0, "reset");
	ok(now_ms() - began < IMPATIENT, "is over: %lld ms", (long long)(now_ms() - began));
	vedu_set(&g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE);
	g.tail = 0;
	is(vedu_fill(&g, IOVA, 100, 0x4444444444444444ull), BARTER_VEDU_S_OK, "the next works");
	ok(all(ram, 100, 0x44), "right");
	vedu_submit(&g, &into_nowhere);
	need(somebody_waits(fd), "it waits again");
	usleep(100000);
	began = now_ms();
	guest_down();
	ok(now_ms() - began < IMPATIENT, "closed: %lld ms", (long long)(now_ms() - began));
	is(pages_pinned_are(before, 10000) - before, 0, "pinned pages");
	close(fd);
	munmap(p, MEMORY);
}

static bool unmaps;

static int waiting_guest(void *arg)
{
	struct guest mine;
	uint8_t *more = memory(MEMORY);
	void *p;
	int fd = never(&p);

	if (fd < 0 || dup2(fd, 200) != 200 || vedu_open(&mine, 1, true) ||
	    vedu_map(&mine, more, IOVA, MEMORY, true) ||
	    vedu_map(&mine, p, NOWHERE, MEMORY, true))
		return 1;
	vedu_hold(&mine, IOVA, MEMORY, NULL);
	vedu_submit(&mine, &into_nowhere);
	if (unmaps && !somebody_waits(fd))
		return 1;
	*(volatile char *)arg = 1;
	/* Other memory, but of the same address space. */
	if (unmaps && vedu_unmap(&mine, IOVA, MEMORY))
		return 1;
	for (;;)
		pause();
}

/* Somebody else has its userfaultfd, and keeps it open. */
static void killed_while_it_waits(void)
{
	volatile char *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long before = pages_pinned();
	pid_t pid = spawn(waiting_guest, (void *)ready);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd;
	bool there;

	WAIT_FOR(there, *ready, 20000);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, 200, 0);
	need(there && fd >= 0 && somebody_waits(fd), "a guest whose vEDU waits for memory");
	kill(pid, SIGKILL);
	is(reap(pid, IMPATIENT), SIGKILL, "is killed");
	is(pages_pinned_are(before, 20000) - before, 0, "pinned pages");
	need(!vedu_open(&g, 1, true), "its vEDU can be opened");
	vedu_close(&g);
	close(fd);
	close(pidfd);
	munmap((void *)ready, PAGE);
}

/*
 * And it cannot be killed: it changes the address space that its vEDU's wait has locked. So
 * that wait must not go on for as long as the page does.
 */
static void killed_while_it_unmaps(void)
{
	volatile char *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				    -1, 0);
	long before = pages_pinned();
	int pidfd, fd, status;
	bool there;
	pid_t pid;

	unmaps = true;
	pid = spawn(waiting_guest, (void *)ready);
	unmaps = false;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	WAIT_FOR(there, *ready, 40000);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, 200, 0);
	need(there && fd >= 0, "a guest whose vEDU waits for memory");
	WAIT_FOR(there, sleeps_in(pid, "iopt_unmap"), 5000);
	ok(there, "it unmaps other memory and waits");
	kill(pid, SIGKILL);
	status = reap(pid, 60000);
	if (!is(status, SIGKILL, "is killed")) {
		fill_in(fd);
		is(reap(pid, 30000), SIGKILL, "with the page it is");
	}
	is(pages_pinned_are(before, 20000) - before, 0, "pinned pages");
	need(!vedu_open(&g, 1, true), "its vEDU can be opened");
	vedu_close(&g);
	close(fd);
	close(pidfd);
	munmap((void *)ready, PAGE);
}

/* Nobody waits for ever, nor ends at once, and the next command is not to suffer for it. */
static void patience_ends(void)
{
	int64_t began = now_ms();
	void *p;
	int fd = waits(&p);

	need(fd >= 0, "stuck");
	is(vedu_wait(&g, 0, NULL, 60000), BARTER_VEDU_S_NO_MEMORY, "the command fails");
	ok(now_ms() - began > 8000, "after %lld ms", (long long)(now_ms() - began));
	is(vedu_get64(&g, BARTER_VEDU_COMPLETED), 1, "one is over");
	is(vedu_get64(&g, BARTER_VEDU_FAILED), 1, "it has failed");
	is(vedu_fill(&g, IOVA, 100, 0x4444444444444444ull), BARTER_VEDU_S_OK, "the next works");
	ok(all(ram, 100, 0x44), "right");
	guest_down();
	close(fd);
	munmap(p, MEMORY);
}

/* Edu goes: the guest learns of it, and all that it pinned is let go. */
static void engine_goes(void)
{
	long before = pages_pinned();
	bool gone;
	pid_t pid;
	void *p;
	int fd = waits(&p);

	need(fd >= 0, "stuck");
	pid = fork();
	if (!pid) {
		for (int i = 3; i < 256; i++)
			close(i);
		_exit(unbind_edu(NULL));
	}
	WAIT_FOR(gone, vedu_get(&g, BARTER_VEDU_HALT) == BARTER_VEDU_HALT_GONE, IMPATIENT);
	ok(gone, "unbind: the ring is halted");
	is(pages_pinned_are(before, 10000) - before, 0, "nothing is pinned");
	is(vedu_get64(&g, BARTER_VEDU_COMPLETED), 0, "the command has no end");
	guest_down();
	is(reap(pid, 30000), 0, "it is over when the guest has closed");
	close(fd);
	munmap(p, MEMORY);
	is_errno(pci_bind(edu, VEDU_DRIVER), 0, "bind again");
	works_again();
}

void stuck_cases(void)
{
	if (!iommufd_or_skip("iommufd waits for the engine"))
		return;
	CASE(reset_and_closed);
	CASE_LIMIT(killed_while_it_waits, 120);
	CASE_LIMIT(killed_while_it_unmaps, 200);
	CASE_LIMIT(patience_ends, 120);
	CASE(engine_goes);
}
