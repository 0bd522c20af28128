// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample mediated devices (kernel/samples/vgpu) and everything that ends: memory
 * that a guest unmaps while the engine writes to it, guests that are killed, vEDUs,
 * engines and memories that are removed, the module. In vgpu_end/: BAR 2, which is lent and
 * taken back (bar2.c), what a guest is charged (charge.c), memory that does not
 * come (stuck.c), and signals from elsewhere (worker.c).
 *
 * vgpu_end: by type 1 containers, and what is different by iommufd where there is one.
 * vgpu_end:pt: where no IOMMU translates, so that nothing but the driver keeps the engine
 * from memory that is not the guest's any more.
 * vgpu_end:never: memory that never comes, by type 1.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/proc.h"
#include "lib/tap.h"
#include "vgpu_end/vgpu_end.h"

char edu[BDF_LENGTH], vram[BDF_LENGTH];
struct guest g;
uint8_t *ram;

void *memory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("out of memory");
	return p;
}

bool all(const uint8_t *p, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

bool guest_up(unsigned int nr, bool by_iommufd)
{
	ram = memory(MEMORY);
	if (!is_errno(vedu_open(&g, nr, by_iommufd), 0, "a guest opens its vEDU"))
		return false;
	return is_errno(vedu_map(&g, ram, IOVA, MEMORY, true), 0, "has memory");
}

void guest_down(void)
{
	vedu_close(&g);
	munmap(ram, MEMORY);
}

void engine_on(struct guest *guest)
{
	static const struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_FILL, .dst = IOVA, .length = MEMORY,
		.value = 0xeeeeeeeeeeeeeeeeull,
	};

	vedu_submit(guest, &cmd);
}

static unsigned int seed = 1;

static unsigned int next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/*
 * Unmap while the engine is in the middle of a transfer, at any point of it. What is
 * in the memory when the call has returned is what stays.
 */
static void unmap_rounds(bool by_iommufd, unsigned int rounds)
{
	unsigned int nr, torn = 0, late = 0, wrong = 0, done = 0;
	long before = pages_pinned();
	int64_t longest = 0;

	if (!guest_up(0, by_iommufd))
		return;
	for (nr = 0; nr < rounds; nr++) {
		uint64_t runs, began = vedu_get64(&g, BARTER_VEDU_TRANSFERS);
		unsigned int slot = g.tail;
		int64_t start;

		memset(ram, 0, MEMORY);
		engine_on(&g);
		/* The pattern is loaded, the first piece of it is on its way. */
		WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > began, 10000);
		usleep(next_random() % 150000);
		start = now_ms();
		if (!runs || vedu_unmap(&g, IOVA, MEMORY))
			break;
		start = now_ms() - start;
		longest = start > longest ? start : longest;
		done += !all(ram, MEMORY, 0);
		memset(ram, 0x11, MEMORY);
		/* More than a transfer takes. */
		usleep(130000);
		late += !all(ram, MEMORY, 0x11);
		wrong += vedu_wait(&g, slot, NULL, 5000) != BARTER_VEDU_S_UNMAPPED;
		torn += vedu_map(&g, ram, IOVA, MEMORY, true) != 0;
	}
	is(nr, rounds, "rounds of unmapping under the engine");
	diag("%u with something written before, unmap took up to %lld ms", done,
	     (long long)longest);
	is(late, 0, "rounds with a byte that was written after the unmap");
	is(wrong, 0, "commands that did not say so");
	is(torn, 0, "maps that failed afterwards");
	ok(done > rounds / 10, "it had been writing before");
	is(vedu_fill(&g, IOVA, 5000, 0x2222222222222222ull), BARTER_VEDU_S_OK,
	   "the next command works");
	ok(all(ram, 5000, 0x22), "on the memory that is there now");
	guest_down();
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages");
}

static void unmap_under_the_engine(void)
{
	struct log log;

	log_open(&log);
	unmap_rounds(false, 100);
	ok(!log_wait(&log, "DMAR", "fault", 0), "the IOMMU had nothing to refuse");
	log_close(&log);
}

static void unmap_under_the_engine_iommufd(void)
{
	unmap_rounds(true, 100);
}

/* Unmapping one page of many that were pinned together stops nobody else for good. */
static void unmap_a_neighbour(void)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_COPY, .src = IOVA, .dst = IOVA + 16 * PAGE,
		.length = 8 * PAGE,
	};
	unsigned int slot;
	uint64_t runs;
	uint8_t *more = memory(PAGE);

	if (!guest_up(0, false))
		return;
	is_errno(vedu_map(&g, more, IOVA + MEMORY, PAGE, true), 0, "a page behind it");
	is(vedu_hold(&g, IOVA, MEMORY + PAGE, NULL), BARTER_VEDU_S_OK, "all is held");
	for (size_t i = 0; i < 8 * PAGE; i++)
		ram[i] = (uint8_t)(i * 11 + (i >> 8));
	slot = vedu_submit(&g, &cmd);
	WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > 3, 10000);
	is_errno(vedu_unmap(&g, IOVA + MEMORY, PAGE), 0, "that page is unmapped");
	is(vedu_wait(&g, slot, NULL, 30000), BARTER_VEDU_S_OK, "the copy goes on");
	ok(!memcmp(ram, ram + 16 * PAGE, 8 * PAGE), "right");
	is(vedu_release(&g, IOVA, MEMORY + PAGE), BARTER_VEDU_S_OK, "released");
	guest_down();
	munmap(more, PAGE);
}

static int killed_guest(void *arg)
{
	struct guest mine;
	uint8_t *p = memory(MEMORY);

	(void)arg;
	if (vedu_open(&mine, 1, false) || vedu_map(&mine, p, IOVA, MEMORY, true) ||
	    vedu_hold(&mine, IOVA, MEMORY, NULL) != BARTER_VEDU_S_OK)
		return 1;
	for (;;) {
		unsigned int slot = mine.tail;

		engine_on(&mine);
		if (vedu_wait(&mine, slot, NULL, 60000) < 0)
			return 2;
	}
}

/* killed in the middle of it; its neighbour is not disturbed */
static void killed(void)
{
	long before = pages_pinned(), most = 0;
	unsigned int nr;
	int status = 0;

	if (!guest_up(0, false))
		return;
	for (nr = 0; nr < 10; nr++) {
		pid_t pid = spawn(killed_guest, NULL);
		bool runs;

		WAIT_FOR(runs, pages_pinned() - before >= (long)(MEMORY / PAGE), 10000);
		usleep(next_random() % 400000);
		most = pages_pinned() - before > most ? pages_pinned() - before : most;
		if (!runs || kill(pid, SIGKILL))
			break;
		status = reap(pid, 10000);
		if (!WIFSIGNALED(status) ||
		    vedu_fill(&g, IOVA, 100, nr * 0x0101010101010101ull) != BARTER_VEDU_S_OK ||
		    !all(ram, 100, (uint8_t)nr))
			break;
	}
	is(nr, 10, "guests killed (last status %#x, pinned up to %ld)", status, most);
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages afterwards");
	guest_down();
}

/* A guest that closes when it is asked to. */
static int polite_guest(void *arg)
{
	unsigned int nr = *(unsigned int *)arg;
	struct guest mine;
	uint8_t *p = memory(MEMORY);
	int ret = 0;

	if (vedu_open(&mine, nr, false) || vedu_map(&mine, p, IOVA, MEMORY, true))
		return 1;
	engine_on(&mine);
	if (poll(&(struct pollfd){ .fd = mine.request, .events = POLLIN }, 1, 60000) != 1)
		ret = 2;
	else if (vedu_get(&mine, BARTER_VEDU_ID) != BARTER_VEDU_MAGIC)
		ret = 3;
	vedu_close(&mine);
	return ret;
}

int remove_vedu(void *arg)
{
	return vedu_remove(*(unsigned int *)arg) ? 1 : 0;
}

static void remove_while_open(void)
{
	static unsigned int nr = 5;
	pid_t guest, remover;
	bool runs;
	long before = pages_pinned();

	need(!vedu_create(edu, "engine", nr), "a vEDU");
	guest = spawn(polite_guest, &nr);
	WAIT_FOR(runs, pages_pinned() > before, 10000);
	ok(runs, "is in use");
	remover = spawn(remove_vedu, &nr);
	is(reap(guest, 30000), 0, "its guest is asked to close it");
	is(reap(remover, 30000), 0, "and then it is gone");
	is_errno(vedu_remove(nr), ENOENT, "for good");
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages");
}

int unbind_edu(void *arg)
{
	(void)arg;
	return pci_unbind(edu) ? 1 : 0;
}

static int unplug_edu(void *arg)
{
	(void)arg;
	return pci_remove(edu) ? 1 : 0;
}

/* The engine goes while a guest uses it that does not care. */
static void engine_goes(int (*how)(void *), const char *name)
{
	long before = pages_pinned();
	unsigned int slot;
	uint64_t runs;
	pid_t pid;

	if (!guest_up(0, false))
		return;
	is(vedu_hold(&g, IOVA, MEMORY, NULL), BARTER_VEDU_S_OK, "%s: memory is held", name);
	slot = g.tail;
	engine_on(&g);
	WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > 3, 10000);
	ok(runs, "%s: the engine runs", name);
	/* The child has our files too: it must not wait for itself. */
	pid = fork();
	if (!pid) {
		for (int i = 3; i < 256; i++)
			close(i);
		_exit(how(NULL));
	}
	WAIT_FOR(runs, vedu_get(&g, BARTER_VEDU_HALT) == BARTER_VEDU_HALT_GONE, 10000);
	ok(runs, "%s: the ring is halted", name);
	is(pages_pinned_are(before, 10000) - before, 0, "%s: nothing is pinned any more", name);
	memset(ram, 0x33, MEMORY);
	is_errno(vedu_wait(&g, slot, NULL, 300), ETIMEDOUT, "%s: the command has no end", name);
	ok(all(ram, MEMORY, 0x33), "%s: and does nothing", name);
	ok(is_running(pid), "%s: it waits for the guest", name);
	ok(poll(&(struct pollfd){ .fd = g.request, .events = POLLIN }, 1, 15000) == 1,
	   "%s: which is asked to close", name);
	is_errno(dev_reset(&g.d), 0, "%s: a reset", name);
	is(vedu_get(&g, BARTER_VEDU_HALT), BARTER_VEDU_HALT_GONE,
	   "%s: does not bring it back", name);
	guest_down();
	is(reap(pid, 30000), 0, "%s: it is over", name);
}

void works_again(void)
{
	is_errno(vedu_create(edu, "engine", 0), 0, "a new vEDU");
	is_errno(vedu_create(edu, "engine", 1), 0, "and another");
	if (!guest_up(0, false))
		return;
	is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "works");
	guest_down();
}

static void unbind_while_in_use(void)
{
	engine_goes(unbind_edu, "unbind");
	is_errno(pci_bind(edu, VEDU_DRIVER), 0, "bind again");
	works_again();
}

static void unplug_while_in_use(void)
{
	engine_goes(unplug_edu, "unplug");
	ok(!pci_exists(edu), "the device is gone");
	is_errno(pci_rescan(), 0, "found again");
	is_errno(pci_bind(edu, VEDU_DRIVER), 0, "bound again");
	works_again();
}

int unload(void)
{
	return syscall(SYS_delete_module, "barter_vedu", O_NONBLOCK) ? -errno : 0;
}

static void module_goes(void)
{
	int ret;

	if (!guest_up(0, false))
		return;
	ret = unload();
	ok(ret == -EBUSY || ret == -EAGAIN, "the module stays while a vEDU is open: %d", ret);
	guest_down();
	is_errno(unload(), 0, "it goes, with all vEDUs, when none is");
	ok(access("/sys/bus/mdev/devices/c0ffee00-0000-4000-8000-000000000000", F_OK),
	   "none is left");
	is(system("modprobe " VEDU_DRIVER), 0, "loaded again");
	is_errno(pci_bind(edu, VEDU_DRIVER), 0, "bound again");
	is_errno(vedu_create(edu, "engine", 0), 0, "a vEDU");
	is_errno(vedu_create(edu, "engine", 1), 0, "and another");
}

int main(int argc, char **argv)
{
	if (pci_find(PCI_EDU, 1, edu) || pci_find(PCI_IVSHMEM, 1, vram))
		tap_bail("the machine has no second edu, or no second memory");
	if (pci_bind(edu, VEDU_DRIVER) || vedu_create(edu, "engine", 0) ||
	    vedu_create(edu, "engine", 1))
		tap_bail("edu does not become the parent of two vEDUs");
	if (argc > 1 && !strcmp(argv[1], "never")) {
		CASE(never_by_type1);
		goto out;
	}
	CASE_LIMIT(unmap_under_the_engine, 120);
	if (argc > 1 && !strcmp(argv[1], "pt"))
		goto out;
	if (iommufd_or_skip("unmap under the engine"))
		CASE_LIMIT(unmap_under_the_engine_iommufd, 120);
	CASE(unmap_a_neighbour);
	CASE(killed);
	CASE(remove_while_open);
	charge_cases();
	bar2_cases();
	stuck_cases();
	worker_cases();
	CASE(unbind_while_in_use);
	CASE(unplug_while_in_use);
	CASE(module_goes);
out:
	is_errno(vedu_remove(0) ?: vedu_remove(1), 0, "main: all are removed");
	is_errno(pci_bind(edu, "barter-dma"), 0, "main: edu is barter-dma's again");
	return tap_done();
}
