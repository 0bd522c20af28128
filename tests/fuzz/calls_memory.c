// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Mappings of BARs and of buffers; user memory for all calls; and calls made by
 * a process that is killed while it waits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../device/lib/buf.h"
#include "../device/lib/tap.h"
#include "fuzz.h"

/* ---- user memory ---- */

uint64_t size_of(uint64_t how, size_t exact)
{
	switch (how & 15) {
	case 1:
		return exact - 1;
	case 2:
		return exact + 1;
	case 3:
		return 0;
	case 4:
		return PAGE;
	case 5:
		return PAGE + 1;
	case 6:
		return ~0u;
	case 7:
		return exact + 8;
	case 8:
		return 4;
	case 9:
		return 8;
	case 10:
		return 1u << 31;
	case 11:
		return 16;
	}
	return exact;
}

void *place(struct thread *t, uint64_t how, const void *data, size_t n)
{
	uint8_t *end = t->area + AREA_PAGES * PAGE, *p;
	size_t here = n, at = t->used;

	if (at + n + 1 > AREA_PAGES * PAGE)
		at = 0;
	t->used = (at + n + 16) & ~7ul;
	p = t->area + at;
	switch (how & 15) {
	case 1:
		return NULL;
	case 2:
		return end;
	case 3:
		memcpy(p, data, n);
		return t->read_only + at;
	case 4:
		here = n / 2;
		p = end - here;
		break;
	case 5:		/* memory that is lent itself, and may be gone */
		p = slot_address(how >> 4);
		poke_bytes(p, data, n);
		return p;
	case 6:
		p++;
		break;
	case 7:
		return (void *)0xffff888000001000ul;
	case 8:
		return (void *)0x800000000000ul;
	case 9:
		p = end - n;
		break;
	case 10:
		here = 1;
		p = end - 1;
		break;
	case 11:
		return (void *)(~0ul - n / 2);
	}
	memcpy(p, data, here);
	return p;
}

/* ---- mappings ---- */

static void *in_slot(uint64_t slot, uint64_t offset)
{
	return (uint8_t *)slot_address(slot) + (offset % SLOT_SIZE & ~(PAGE - 1));
}

/* What is left of the slot from @offset on, at most. */
static size_t length_in(uint64_t offset, uint64_t length)
{
	size_t left = SLOT_SIZE - (offset % SLOT_SIZE & ~(PAGE - 1));

	return length > left ? left : length;
}

/* Device fds and buffers have a half of the slots each. */
static unsigned int dev_slot(uint64_t slot)
{
	return (unsigned int)(slot % DEV_SLOTS);
}

static unsigned int buf_slot(uint64_t slot)
{
	return DEV_SLOTS + (unsigned int)(slot % (NR_SLOTS - DEV_SLOTS));
}

static long map(int fd, unsigned int slot, uint64_t at, uint64_t length,
		uint64_t prot, uint64_t flags)
{
	/* Longer than a slot can only fail: let the kernel say so. */
	void *where = slot_address(slot);
	int fixed = length <= SLOT_SIZE ? MAP_FIXED : 0;
	void *p = mmap(where, length, (int)prot & 7,
		       ((int)flags & ~(MAP_FIXED | MAP_ANONYMOUS)) | fixed, fd,
		       (off_t)at);

	if (p == MAP_FAILED)
		return -errno;
	if (p != where)
		munmap(p, length);
	slot_used(slot);
	return 0;
}

static long c_map_dev(struct thread *t, const uint64_t *a)
{
	(void)t;
	return map(fd_get(a[0]), dev_slot(a[1]), (a[2] << 40) + a[3], a[4],
		   a[5], a[6]);
}

/* As it should be: all of BAR 2, or a part of it. */
static long c_map_bar(struct thread *t, const uint64_t *a)
{
	uint64_t length = a[2] & 1 ? 16 * MIB : (1 + (a[2] >> 4)) * PAGE;
	uint64_t at = a[2] & 2 ? (a[2] >> 2) * PAGE : 0;

	(void)t;
	return map(fd_get(a[0]), dev_slot(a[1]),
		   (2ull << 40) + (length < 16 * MIB ? at : 0), length, 3,
		   MAP_SHARED | (a[2] & 8 ? MAP_POPULATE : 0));
}

static long c_map_buf(struct thread *t, const uint64_t *a)
{
	off_t whole = a[6] & 1 ? lseek(fd_get(a[0]), 0, SEEK_END) : 0;

	(void)t;
	if (whole > 0 && whole <= (off_t)SLOT_SIZE)
		return map(fd_get(a[0]), buf_slot(a[1]), 0, (uint64_t)whole,
			   a[4], a[5]);
	/* Mostly from the start, as buffers may be short. */
	return map(fd_get(a[0]), buf_slot(a[1]),
		   a[2] & 0x3000 ? 0 : a[2], a[3], a[4], a[5]);
}

static long c_unmap(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(munmap(in_slot(a[0], a[1]), length_in(a[1], a[2])));
}

/* Within the same half of the slots: see DEV_SLOTS. */
static long c_remap(struct thread *t, const uint64_t *a)
{
	uint64_t half = slot_number(a[0]) / DEV_SLOTS * DEV_SLOTS;
	void *to = slot_address(half + a[4] % DEV_SLOTS);
	void *from = in_slot(a[0], a[1]), *p;

	(void)t;
	if (a[3] > SLOT_SIZE || to == slot_address(a[0]))
		return -EINVAL;
	p = mremap(from, length_in(a[1], a[2]), a[3],
		   MREMAP_MAYMOVE | MREMAP_FIXED |
		   (a[5] & 4 ? 4 /* DONTUNMAP */ : 0), to);
	return p == MAP_FAILED ? -errno : 0;
}

static long c_protect(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(mprotect(in_slot(a[0], a[1]), length_in(a[1], a[2]),
			       (int)a[3] & 7));
}

static long c_advise(struct thread *t, const uint64_t *a)
{
	(void)t;
	if ((uint32_t)a[3] >= 100)	/* HWPOISON and its like */
		return -EINVAL;
	return RESULT(madvise(in_slot(a[0], a[1]), length_in(a[1], a[2]),
			      (int)a[3]));
}

static long c_lock(struct thread *t, const uint64_t *a)
{
	void *p = in_slot(a[0], a[1]);
	size_t n = length_in(a[1], a[2]);

	(void)t;
	switch (a[3] % 4) {
	case 0:
		return RESULT(mlock(p, n));
	case 1:
		return RESULT(munlock(p, n));
	case 2:
		return RESULT(msync(p, n, MS_SYNC));
	}
	return RESULT(mlock2(p, n, MLOCK_ONFAULT));
}

static long c_touch(struct thread *t, const uint64_t *a)
{
	struct rng r = { a[2] };
	uint32_t v;

	(void)t;
	for (unsigned int i = 0; i < 1 + a[3] % 16; i++) {
		/* Buffers are short for the most part. */
		uint64_t page = rng_below(&r, a[3] & 16 ? 4 : 64);
		uint8_t *p = in_slot(a[0], (a[3] & 32 ? 0 : a[1]) + page * PAGE);

		if (rng_percent(&r, 50))
			peek(p, &v);
		else
			poke(p, (uint32_t)a[2]);
	}
	return 0;
}

/* The kernel reaches into a mapping: through the page tables, and by pinning. */
static long c_reach(struct thread *t, const uint64_t *a)
{
	struct iovec here = { t->area, 256 };
	struct iovec there = { in_slot(a[0], a[1]), 1 + a[2] % 4096 };

	if (a[2] & 1)
		return RESULT(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	return RESULT(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
}

/* ---- the one thing that is expected ---- */

void drop_kept(struct thread *t)
{
	if (!t->kept_page)
		return;
	munmap((void *)t->kept_page, PAGE);
	close(t->kept);
	t->kept_page = NULL;
}

/* A mapping that no other thread takes away or changes; in the page tables, if it can be. */
static long keep(struct thread *t, int buf)
{
	int fd = fcntl(buf, F_DUPFD_CLOEXEC, 0);
	struct barter_info info;
	uint32_t v;
	void *p;

	if (fd < 0)
		return -errno;
	/* By chance a device, which could not be taken from its driver then. */
	if (buf_info(fd, &info)) {
		close(fd);
		return -EBADF;
	}
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return -ENODEV;
	}
	drop_kept(t);
	t->kept = fd;
	t->kept_page = p;
	peek(p, &v);
	return 0;
}

static long c_keep(struct thread *t, const uint64_t *a)
{
	return keep(t, fd_get(a[0]));
}

void keep_latest(struct thread *t)
{
	keep(t, fd_get(K_BUF | LATEST << 8));
}

/* A buffer that is revoked, and not given back meanwhile, cannot be read. */
long look(struct thread *t)
{
	struct barter_info before, after;
	uint32_t v;

	if (!t->kept_page || buf_info(t->kept, &before))
		return -ENODATA;
	if (before.out_state != BARTER_STATE_REVOKED &&
	    before.out_state != BARTER_STATE_DEAD) {
		/* So that a revoke has something to take away. */
		peek(t->kept_page, &v);
		return -ENODATA;
	}
	t->looks[before.out_state == BARTER_STATE_DEAD]++;
	if (peek(t->kept_page, &v) || buf_info(t->kept, &after) ||
	    after.out_state != before.out_state ||
	    after.out_generation != before.out_generation)
		return 0;
	if (!t->seen_revoked++)
		diag("a buffer was read that is %s, reasons %#x",
		     state_name((int)after.out_state), after.out_reasons);
	return 0;
}

static long c_look(struct thread *t, const uint64_t *a)
{
	(void)a;
	return look(t);
}

/* ---- calls that are killed ---- */

static long c_killed(struct thread *t, const uint64_t *a)
{
	t->kill_ms = 1 + (unsigned int)(a[0] % MAX_MS);
	return 0;
}

/*
 * A child has copies of all fds. With one of an importer that holds on, it would
 * wait for ever for a lock whose owner waits for that importer: the janitor, who
 * closes the parent's, cannot reach it. So it has none, and what needs one is not
 * for a child.
 */
static bool for_a_child(uint32_t nr)
{
	for (unsigned int i = 0; i < MAX_ARGS; i++)
		if (call_type(nr)->arg[i] == A_TEST || call_type(nr)->arg[i] == A_ALONE)
			return false;
	return true;
}

static long run_killed(struct thread *t, const struct call *c, unsigned int ms)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		world_in_child();
		call_type(c->nr)->fn(t, c->arg);
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	for (unsigned int i = 0; i < ms; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return 0;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -EINTR;
}

long run_call(struct thread *t, const struct call *c)
{
	unsigned int ms = t->kill_ms;

	t->used = 0;
	t->kill_ms = 0;
	if (ms && for_a_child(c->nr))
		return run_killed(t, c, ms);
	return call_type(c->nr)->fn(t, c->arg);
}

const struct call_type memory_calls[] = {
	{ "map_dev", c_map_dev, 16, { A_DEV, A_SLOT, A_BAR, A_OFFSET, A_LENGTH,
				      A_PROT, A_MAP } },
	{ "map_bar", c_map_bar, 16, { A_DEV, A_SLOT, A_SMALL } },
	{ "map_buf", c_map_buf, 50, { A_BUF, A_SLOT, A_OFFSET, A_LENGTH, A_PROT,
				      A_MAP, A_SMALL } },
	{ "unmap", c_unmap, 14, { A_SLOT, A_OFFSET, A_LENGTH } },
	{ "remap", c_remap, 6, { A_SLOT, A_OFFSET, A_LENGTH, A_LENGTH, A_SLOT,
				 A_SMALL } },
	{ "protect", c_protect, 6, { A_SLOT, A_OFFSET, A_LENGTH, A_PROT } },
	{ "advise", c_advise, 8, { A_SLOT, A_OFFSET, A_LENGTH, A_ADVICE } },
	{ "lock", c_lock, 4, { A_SLOT, A_OFFSET, A_LENGTH, A_SMALL } },
	{ "touch", c_touch, 50, { A_SLOT, A_OFFSET, A_SEED, A_SMALL } },
	{ "reach", c_reach, 4, { A_SLOT, A_OFFSET, A_LENGTH } },
	{ "keep", c_keep, 8, { A_BUF } },
	{ "look", c_look, 16, { 0 } },
	{ "killed", c_killed, 10, { A_MS } },
};

const unsigned int nr_memory_calls = sizeof(memory_calls) / sizeof(*memory_calls);
