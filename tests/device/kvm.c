// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A buffer as memory of a virtual machine: KVM has a memory slot over an mmap of
 * it, and the guest writes into the device's BAR. A revoke takes it from the guest
 * too: KVM_RUN fails with EFAULT instead; a restore brings it back, in the same
 * slot. The same for a slot over the BAR's own mmap, by the device fd.
 *
 * The guest is a handful of bytes in real mode, with segments that begin where the
 * test wants them. On an emulated CPU with AMD's virtualisation.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/slice.h"
#include "lib/tester.h"

#define RW		(PROT_READ | PROT_WRITE)
#define CODE		0x1000u		/* guest physical */
#define SMALL		0x10000u	/* where the scattered buffer is */
#define LARGE		(4 * MIB)	/* where the one with huge pages is */
#define STORE		0		/* in the code page: mov [bx], eax; hlt */
#define LOAD		16		/* mov eax, [bx]; hlt */
#define COUNT		32		/* mov [bx], eax; inc eax; jmp back */

static const struct vfio_region_dma_range scattered[] = {
	{ 8 * PAGE, PAGE }, { 3 * PAGE, PAGE }, { 20 * PAGE, 2 * PAGE },
};
#define SCATTERED	(4 * PAGE)

static int kvm = -1, vm, cpu;
static struct kvm_run *run;
static size_t run_size;

/* A buffer in the guest. */
static int buf;
static volatile uint8_t *map;
static uint64_t map_length;
static uint32_t base;			/* guest physical */

static int slot(uint32_t number, uint64_t at, void *memory, uint64_t n)
{
	struct kvm_userspace_memory_region r = {
		.slot = number, .guest_phys_addr = at, .memory_size = n,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r) ? -errno : 0;
}

/* A machine of one CPU and one page of code. */
static bool machine(void)
{
	static const uint8_t store[] = { 0x66, 0x89, 0x07, 0xf4 };
	static const uint8_t load[] = { 0x66, 0x8b, 0x07, 0xf4 };
	static const uint8_t count[] = { 0x66, 0x89, 0x07, 0x66, 0x40, 0xeb, 0xf9 };
	uint8_t *code = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memcpy(code + STORE, store, sizeof(store));
	memcpy(code + LOAD, load, sizeof(load));
	memcpy(code + COUNT, count, sizeof(count));
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || slot(0, CODE, code, PAGE))
		return false;
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run_size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, run_size, RW, MAP_SHARED, cpu, 0);
	return cpu >= 0 && run != MAP_FAILED;
}

static void segment(struct kvm_segment *s, uint64_t at)
{
	s->base = at;
	s->selector = (uint16_t)(at >> 4);
	s->limit = 0xffffffff;
	s->g = 1;
}

/* Set the CPU to begin at @code with these registers. */
static bool prepare(uint32_t code, uint64_t at, uint32_t value)
{
	struct kvm_regs r = {
		.rip = code, .rax = value, .rbx = at & 0xfff, .rflags = 2,
	};
	struct kvm_sregs s;

	if (ioctl(cpu, KVM_GET_SREGS, &s))
		return false;
	segment(&s.cs, CODE);
	segment(&s.ds, base + (at & ~0xfffull));
	return !ioctl(cpu, KVM_SET_SREGS, &s) && !ioctl(cpu, KVM_SET_REGS, &r);
}

/* 0 once the guest has halted; -errno of KVM_RUN. */
static int go(void)
{
	int ret;

	do
		ret = ioctl(cpu, KVM_RUN, 0) ? -errno : 0;
	while (ret == -EINTR || ret == -EAGAIN);
	if (ret)
		return ret;
	if (run->exit_reason == KVM_EXIT_HLT)
		return 0;
	diag("the guest ended with exit %u", run->exit_reason);
	return -EPROTO;
}

static int guest_store(uint64_t at, uint32_t value)
{
	return prepare(STORE, at, value) ? go() : -EIO;
}

static int guest_load(uint64_t at, uint32_t *value)
{
	struct kvm_regs r;
	int ret = prepare(LOAD, at, 0) ? go() : -EIO;

	if (!ret && ioctl(cpu, KVM_GET_REGS, &r))
		return -EIO;
	if (!ret)
		*value = (uint32_t)r.rax;
	return ret;
}

/* Lend, map, and give it to a new machine. */
static bool lend_ranges(const struct vfio_region_dma_range *ranges, uint32_t nr,
			uint64_t length, uint32_t at, size_t align)
{
	base = at;
	map_length = length;
	buf = buf_export(&mem, BAR, ranges, nr);
	map = buf_map_aligned(buf, 0, length, align);
	return ok(buf >= 0 && map && machine() &&
		  !slot(1, at, (void *)map, length), "a guest with a buffer");
}

static bool lend(void)
{
	return lend_ranges(scattered, 3, SCATTERED, SMALL, PAGE);
}

/* As lend(), but by the device fd, and without the holes: pages 8 to 11 of the BAR. */
static bool lend_bar(void)
{
	base = SMALL;
	map_length = SCATTERED;
	buf = -1;
	map = mmap(NULL, map_length, RW, MAP_SHARED, mem.fd,
		   (off_t)(mem.offset[BAR] + 8 * PAGE));
	return ok(map != MAP_FAILED && machine() &&
		  !slot(1, base, (void *)map, map_length),
		  "a guest with pages of the BAR");
}

static void take_back(void)
{
	munmap(run, run_size);
	close(cpu);
	close(vm);
	munmap((void *)map, map_length);
	if (buf >= 0)
		close(buf);
}

static uint32_t in_bar(uint64_t at)
{
	uint32_t v = 0;

	return peek(bar + at, &v) ? ~0u : v;
}

static uint32_t on_host(uint64_t at)
{
	uint32_t v = 0;

	return host_read(at, &v, sizeof(v)) ? ~0u : v;
}

/* The guest writes to and reads from the right places of the BAR. */
static void reaches(const char *when, uint32_t value)
{
	uint32_t v = 0;

	is_errno(guest_store(8, value), 0, "%s: the guest writes", when);
	is(in_bar(8 * PAGE + 8), value, "%s: into the first range", when);
	is_errno(guest_store(3 * PAGE + 4, value + 1), 0, "%s: and again", when);
	is(in_bar(21 * PAGE + 4), value + 1, "%s: into the last range", when);
	poke(bar + 3 * PAGE + 16, value + 2);
	is_errno(guest_load(PAGE + 16, &v), 0, "%s: the guest reads", when);
	is(v, value + 2, "%s: what is in the second range", when);
}

static void is_cut_off(const char *when)
{
	uint32_t v = 0;

	is_errno(guest_store(8, 0xbad), EFAULT, "%s: a write ends KVM_RUN", when);
	is_errno(guest_store(3 * PAGE, 0xbad), EFAULT,
		 "%s: in the last range too", when);
	is_errno(guest_load(PAGE, &v), EFAULT, "%s: so does a read", when);
}

static void through_the_guest(void)
{
	if (!lend())
		return;
	fill(bar, 5, 0, 32 * PAGE);
	reaches("lent", 0x1000);
	is(differs(bar + 9 * PAGE, 5, 9 * PAGE, 11 * PAGE), -1,
	   "nothing else was written");
	is(on_host(8 * PAGE + 8), 0x1000, "the device has it");
	take_back();
}

static unsigned long faults(void)
{
	struct barter_info info;

	if (buf_info(buf, &info))
		return 0;
	return (unsigned long)(info.out_faults_pte + info.out_faults_pmd);
}

static void each_cause(void)
{
	for (unsigned int i = 0; i < nr_causes; i++) {
		const struct cause *c = &causes[i];
		unsigned long before;

		if (!lend())
			return;
		reaches("before", 0x2000 + i * 16);
		before = faults();
		is_errno(guest_store(8, 1), 0, "%s: the guest writes", c->name);
		is(faults(), before, "%s: without a fault", c->name);
		is_errno(c->begin(&mem), 0, "%s", c->name);
		if (c->end) {
			is_cut_off(c->name);
			is_errno(c->end(&mem), 0, "%s: its end", c->name);
		}
		/* What KVM had mapped is gone, or there would be no fault. */
		is_errno(guest_store(8, 2), 0, "%s: the guest writes again",
			 c->name);
		ok(faults() > before, "%s: by a new fault", c->name);
		reaches(c->name, 0x3000 + i * 16);
		take_back();
	}
}

/* The BAR decodes, only nobody may reach it: the guest does not. */
static void not_by_the_hardware(void)
{
	if (!lend())
		return;
	reaches("before", 0x4000);
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(pci_raw_set_memory(mem.bdf, true), 0,
		 "on again behind VFIO's back");
	is_cut_off("revoked");
	is(on_host(8 * PAGE + 8), 0x4000, "the device's memory is as it was");
	is_errno(pci_raw_set_memory(mem.bdf, false), 0, "off");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	reaches("restored", 0x4100);
	take_back();
}

static void closed(void)
{
	if (!lend())
		return;
	reaches("before", 0x5000);
	fixture_close();
	is(buf_state(buf), BARTER_STATE_DEAD, "closed: DEAD");
	is_cut_off("closed");
	fixture_open();
	is_cut_off("opened again");
	take_back();
	if (!lend())
		return;
	reaches("a new buffer in a new guest", 0x5100);
	take_back();
}

static void ended_alone(void)
{
	if (!lend())
		return;
	reaches("before", 0x5200);
	is_errno(buf_end(&mem, buf), 0, "end the buffer alone");
	is_cut_off("ended");
	is_errno(dev_reset(&mem), 0, "reset");
	is_cut_off("for ever");
	take_back();
}

/* Between the two a guest that never touched it must not get at it either. */
static void made_while_revoked(void)
{
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	if (!lend())
		return;
	is_cut_off("born revoked");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	reaches("restored", 0x6000);
	take_back();
}

static void huge_pages(void)
{
	const struct vfio_region_dma_range whole = { 8 * MIB, LARGE };
	struct barter_info info;

	if (!lend_ranges(&whole, 1, LARGE, LARGE, 2 * MIB))
		return;
	is_errno(guest_store(3 * MIB + 8, 0x77), 0, "the guest writes");
	is(in_bar(11 * MIB + 8), 0x77, "where it should");
	is_errno(guest_store(8, 0x78), 0, "and at the begin");
	is(in_bar(8 * MIB + 8), 0x78, "too");
	buf_info(buf, &info);
	is(info.out_faults_pmd, 2, "by huge pages");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	is_errno(guest_store(3 * MIB + 8, 0x79), EFAULT, "a write fails");
	is_errno(guest_store(PAGE, 0x79), EFAULT, "and where none was before");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is_errno(guest_store(3 * MIB + 8, 0x7a), 0, "the guest writes");
	is(in_bar(11 * MIB + 8), 0x7a, "where it should");
	take_back();
}

/* ---- a CPU that writes all the time ---- */

#define RUNS	1
static _Atomic int ended;		/* by what; RUNS: it has not */

static void *spin(void *arg)
{
	(void)arg;
	ended = go();
	return NULL;
}

static void spin_on(pthread_t *thread)
{
	ended = RUNS;
	pthread_create(thread, NULL, spin, NULL);
}

/* Does the guest count? */
static bool moves(void)
{
	uint32_t before = in_bar(8 * PAGE + 64);
	bool moved;

	WAIT_FOR(moved, in_bar(8 * PAGE + 64) != before || ended != RUNS, 20000);
	return moved && ended == RUNS;
}

/* Its memory goes @times times while it writes there, and comes back. */
static void taken_while_it_writes(int times)
{
	uint32_t stopped, moved = 0;
	pthread_t thread;

	for (int i = 0; i < times; i++) {
		need(prepare(COUNT, 64, 1), "a guest that counts");
		spin_on(&thread);
		need(moves(), "in the BAR");
		is_errno(dev_set_memory(&mem, false), 0, "memory off");
		is_errno(pci_raw_set_memory(mem.bdf, true), 0,
			 "on again behind VFIO's back");
		stopped = on_host(8 * PAGE + 64);
		pthread_join(thread, NULL);
		is_errno(ended, EFAULT, "KVM_RUN has ended");
		for (int n = 0; n < 10; n++)
			moved += on_host(8 * PAGE + 64) != stopped;
		is(moved, 0, "nothing is written after the revoke");
		is_errno(pci_raw_set_memory(mem.bdf, false), 0, "off");
		is_errno(dev_set_memory(&mem, true), 0, "memory on");
	}
}

static void revoked_while_it_writes(void)
{
	if (!lend())
		return;
	taken_while_it_writes(5);
	take_back();
}

/* It goes on by itself behind a reset, since the buffer is back by then. */
static void reset_while_it_writes(void)
{
	unsigned long before;
	pthread_t thread;
	int resumed = 0;

	if (!lend())
		return;
	need(prepare(COUNT, 64, 1), "a guest that counts");
	spin_on(&thread);
	need(moves(), "in the BAR");
	for (int i = 0; i < 10; i++) {
		before = faults();
		is_errno(dev_reset(&mem), 0, "reset %d", i);
		/* It may have hit the gap: then it is told, and goes on. */
		while (!moves()) {
			pthread_join(thread, NULL);
			is_errno(ended, EFAULT, "KVM_RUN has ended in the gap");
			spin_on(&thread);
			resumed++;
		}
		ok(faults() > before, "by a new fault");
	}
	diag("%d times in the gap of 10 resets", resumed);
	fixture_close();
	pthread_join(thread, NULL);
	is_errno(ended, EFAULT, "the device's end ends it");
	take_back();
	fixture_open();
}

/* ---- the BAR's own mmap ---- */

static void reaches_bar(const char *when, uint32_t value)
{
	uint32_t v = 0;

	is_errno(guest_store(8, value), 0, "%s: the guest writes", when);
	is(on_host(8 * PAGE + 8), value, "%s: the device has it", when);
	is_errno(guest_store(3 * PAGE + 4, value + 1), 0, "%s: and again", when);
	is(on_host(11 * PAGE + 4), value + 1, "%s: in the last page", when);
	poke(bar + 9 * PAGE + 16, value + 2);
	is_errno(guest_load(PAGE + 16, &v), 0, "%s: the guest reads", when);
	is(v, value + 2, "%s: what is there", when);
}

static void bar_and_each_cause(void)
{
	char name[64];

	if (!lend_bar())
		return;
	snprintf(name, sizeof(name), "/dmabuf:vfio:%s/%d", mem.bdf, BAR);
	ok(file_has("/proc/self/maps", name), "it is a buffer's: %s", name);
	reaches_bar("mapped", 0x7000);
	for (unsigned int i = 0; i < nr_causes; i++) {
		const struct cause *c = &causes[i];

		is_errno(c->begin(&mem), 0, "%s", c->name);
		if (c->end) {
			is_cut_off(c->name);
			is_errno(c->end(&mem), 0, "%s: its end", c->name);
		}
		reaches_bar(c->name, 0x7100 + i * 16);
	}
	take_back();
}

static int reset_by_sysfs(void *arg)
{
	(void)arg;
	return pci_reset(mem.bdf) ? 1 : 0;
}

/* A reset that core does not see, and that an importer of a buffer holds up. */
static void bar_in_the_middle_of_a_reset(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE), t = tester_open(), id;
	uint32_t v = 0;
	pid_t pid;
	bool cut;

	if (!lend_bar())
		return;
	reaches_bar("mapped", 0x7800);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "a buffer that an importer keeps");
	pid = spawn(reset_by_sysfs, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 20000), "the reset waits");
	/* First buffers are marked, then mappings are taken away. */
	WAIT_FOR(cut, peek(map, &v) == SIGBUS, 20000);
	ok(cut, "this process has lost the BAR");
	is_cut_off("meanwhile");
	is(on_host(8 * PAGE + 8), 0x7800, "nothing was written");
	is_errno(tester_letgo(t, id), 0, "the importer lets go");
	is(reap(pid, 20000), 0, "the reset is over");
	reaches_bar("after it", 0x7900);
	close(t);
	close(fd);
	take_back();
}

static void bar_taken_while_it_writes(void)
{
	if (!lend_bar())
		return;
	taken_while_it_writes(3);
	reaches_bar("at last", 0x7a00);
	take_back();
}

int main(void)
{
	fixture_open();
	if (system("modprobe kvm_amd") == 0)
		kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		tap_bail("/dev/kvm: %s", strerror(errno));
	CASE(through_the_guest);
	CASE_LIMIT(each_cause, 120);
	CASE(not_by_the_hardware);
	CASE(closed);
	CASE(ended_alone);
	CASE(made_while_revoked);
	CASE(huge_pages);
	CASE_LIMIT(revoked_while_it_writes, 120);
	CASE_LIMIT(reset_while_it_writes, 120);
	CASE_LIMIT(bar_and_each_cause, 120);
	CASE(bar_in_the_middle_of_a_reset);
	CASE_LIMIT(bar_taken_while_it_writes, 120);
	return tap_done();
}
