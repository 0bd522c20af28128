// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * CPU mappings of a buffer: they show the right bytes, cost the right number of
 * faults, and survive whatever a process does to its address space.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/fixture.h"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2 * MIB)

static struct barter_info info_of(int fd)
{
	struct barter_info info;

	if (buf_info(fd, &info))
		tap_bail("info");
	return info;
}

static void wipe(uint32_t seed)
{
	fill(bar, seed, 0, bar_length);
}

static void scattered_ranges_are_contiguous(void)
{
	struct vfio_region_dma_range r[] = {
		{ 5 * MIB, 2 * PAGE }, { 2 * MIB, PAGE },
	};
	volatile uint8_t *p;
	uint32_t v = 0;
	int fd;

	wipe(1);
	fd = buf_export(&mem, BAR, r, 2);
	need(fd >= 0, "export");
	p = buf_map(fd, 0, 3 * PAGE, RW);
	need(p, "one mmap over both");
	is(differs(p, 1, 5 * MIB, 2 * PAGE), -1, "the first range");
	is(differs(p + 2 * PAGE, 1, 2 * MIB, PAGE), -1,
	   "the second follows at once");
	/* Coherence, both ways. */
	fill(p, 2, 0, 3 * PAGE);
	is(differs(bar + 5 * MIB, 2, 0, 2 * PAGE), -1,
	   "writes show in the BAR, first range");
	is(differs(bar + 2 * MIB, 2, 2 * PAGE, PAGE), -1,
	   "writes show in the BAR, second range");
	is(differs(bar + 2 * MIB - PAGE, 1, 2 * MIB - PAGE, PAGE), -1,
	   "the page before is untouched");
	is(differs(bar + 2 * MIB + PAGE, 1, 2 * MIB + PAGE, PAGE), -1,
	   "the page behind is untouched");
	is(differs(bar + 5 * MIB + 2 * PAGE, 1, 5 * MIB + 2 * PAGE, PAGE), -1,
	   "the page behind the first range too");
	*(volatile uint32_t *)(bar + 2 * MIB) = 0x12345678;
	peek(p + 2 * PAGE, &v);
	is(v, 0x12345678, "a write to the BAR shows here");
	munmap((void *)p, 3 * PAGE);
	close(fd);
}

/* Any set of ranges shows exactly what the same pieces of the BAR show. */
static void random_ranges(void)
{
	unsigned int rounds = 24;
	const uint64_t pages = bar_length / PAGE;

	wipe(3);
	srandom(20260101);
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int nr = 1 + (unsigned int)random() % 40;
		struct vfio_region_dma_range r[40];
		uint64_t total = 0, pos = 0;
		volatile uint8_t *p;
		long bad = -1;
		int fd;

		for (unsigned int j = 0; j < nr; j++) {
			uint64_t max = i % 3 ? 8 : 700;
			uint64_t n = 1 + (uint64_t)random() % max;
			uint64_t at = (uint64_t)random() % (pages - n);

			/* Some huge and aligned, some adjacent, some the same. */
			if (i % 4 == 1)
				at &= ~511ull;
			if (j && random() % 4 == 0)
				at = (r[j - 1].offset + r[j - 1].length) / PAGE;
			if (at + n > pages)
				at = pages - n;
			r[j].offset = at * PAGE;
			r[j].length = n * PAGE;
			total += r[j].length;
		}
		fd = buf_export(&mem, BAR, r, nr);
		p = fd < 0 ? NULL : i & 1 ? buf_map(fd, 0, total, RW) :
			buf_map_aligned(fd, 0, total, HUGE);
		if (!ok(p, "round %u, %u ranges, %llu pages", i, nr,
			(unsigned long long)(total / PAGE))) {
			close(fd);
			continue;
		}
		for (unsigned int j = 0; j < nr && bad < 0; j++) {
			bad = differs(p + pos, 3, r[j].offset, r[j].length);
			if (bad >= 0)
				diag("range %u (%#llx + %#llx) differs at %#lx",
				     j, (unsigned long long)r[j].offset,
				     (unsigned long long)r[j].length, bad);
			pos += r[j].length;
		}
		is(bad, -1, "round %u shows the right bytes", i);
		munmap((void *)p, total);
		close(fd);
	}
}

static long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

static void faults_of_a_contiguous_16_mib(void)
{
	struct barter_info before, after;
	volatile uint8_t *p;
	/* 32-bit x86 maps no device memory in huge pages: 64 KiB a fault. */
	long faults, pmd = kernel_has_32_bits() ? 0 : 8;
	long pte = kernel_has_32_bits() ? 256 : 0;
	int fd = buf_export1(&mem, BAR, 16 * MIB, 16 * MIB);

	need(fd >= 0, "export");
	p = buf_map_aligned(fd, 0, 16 * MIB, HUGE);
	need(p, "mmap, congruent with the memory");
	before = info_of(fd);
	faults = minor_faults();
	for (size_t i = 0; i < 16 * MIB; i += PAGE)
		(void)*(volatile uint32_t *)(p + i);
	faults = minor_faults() - faults;
	after = info_of(fd);
	is(after.out_faults_pmd - before.out_faults_pmd, pmd, "PMD faults");
	is(after.out_faults_pte - before.out_faults_pte, pte, "PTE faults");
	is(after.out_faults_pud - before.out_faults_pud, 0, "PUD faults");
	ok(faults >= pmd + pte && faults <= pmd + pte + 4,
	   "the process saw %ld faults", faults);
	munmap((void *)p, 16 * MIB);
	close(fd);
}

static void faults_of_scattered_pages(void)
{
	struct vfio_region_dma_range r[256];
	struct barter_info after;
	volatile uint8_t *p;
	uint32_t v;
	long faults;
	int fd;

	wipe(4);
	for (unsigned int i = 0; i < 256; i++)
		r[i] = (struct vfio_region_dma_range){
			(i * 37 % 256) * 3 * PAGE, PAGE };
	fd = buf_export(&mem, BAR, r, 256);
	need(fd >= 0, "export");
	p = buf_map_aligned(fd, 0, 256 * PAGE, HUGE);
	need(p, "mmap");
	faults = minor_faults();
	for (size_t i = 0; i < 256; i++)
		peek(p + i * PAGE, &v);
	faults = minor_faults() - faults;
	after = info_of(fd);
	ok(after.out_faults_pte >= 1 && after.out_faults_pte <= 16,
	   "%llu PTE faults, at most 16",
	   (unsigned long long)after.out_faults_pte);
	is(after.out_faults_pmd + after.out_faults_pud, 0, "no larger fault");
	ok(faults <= 20, "the process saw %ld faults", faults);
	for (unsigned int i = 0; i < 256; i++)
		if (differs(p + i * PAGE, 4, r[i].offset, PAGE) >= 0) {
			ok(0, "page %u", i);
			break;
		}
	munmap((void *)p, 256 * PAGE);
	close(fd);
}

static void *try_mmap(int fd, uint64_t offset, size_t n, int prot, int flags,
		      int *error)
{
	void *p = mmap(NULL, n, prot, flags, fd, (off_t)offset);

	*error = p == MAP_FAILED ? -errno : 0;
	if (p != MAP_FAILED)
		munmap(p, n);
	return p;
}

static void refusals(void)
{
	int fd = buf_export1(&mem, BAR, 0, 4 * PAGE), error;
	/* 32-bit kernels let nothing beyond 4 GiB through to a driver. */
	int far = kernel_has_32_bits() ? EOVERFLOW : EINVAL;
	static const int prots[] = { PROT_READ, RW, PROT_NONE };

	need(fd >= 0, "export");
	for (int i = 0; i < 3; i++) {
		try_mmap(fd, 0, PAGE, prots[i], MAP_PRIVATE, &error);
		is_errno(error, EINVAL, "MAP_PRIVATE, prot %d", prots[i]);
	}
	try_mmap(fd, 0, 5 * PAGE, RW, MAP_SHARED, &error);
	is_errno(error, EINVAL, "a page too long");
	try_mmap(fd, 4 * PAGE, PAGE, RW, MAP_SHARED, &error);
	is_errno(error, EINVAL, "begins at the end");
	try_mmap(fd, 3 * PAGE, 2 * PAGE, RW, MAP_SHARED, &error);
	is_errno(error, EINVAL, "runs over the end");
	try_mmap(fd, 1ull << 40, PAGE, RW, MAP_SHARED, &error);
	is_errno(error, far, "far beyond the end");
	/* Where core's own windows of the BARs and barter's lie. */
	for (unsigned int i = 1; i < 12; i++) {
		try_mmap(fd, (uint64_t)i << 40 | 64 * MIB, PAGE, RW,
			 MAP_SHARED, &error);
		if (error != -far)
			is_errno(error, far, "at %u TiB", i);
	}
	try_mmap(fd, ~0ull & ~(PAGE - 1), PAGE, RW, MAP_SHARED, &error);
	ok(error == -EINVAL || error == -EOVERFLOW, "the last page of 64 bits");
	is(info_of(fd).out_mmaps, 0, "no mapping is left");
	close(fd);
}

static void offsets(void)
{
	int fd = buf_export1(&mem, BAR, 8 * MIB, 8 * PAGE);
	bool wrong = false;

	wipe(5);
	need(fd >= 0, "export");
	for (uint64_t at = 0; at < 8; at++) {
		for (uint64_t n = 1; at + n <= 8; n++) {
			volatile uint8_t *p = buf_map(fd, at * PAGE, n * PAGE,
						      RW);

			if (!p || differs(p, 5, 8 * MIB + at * PAGE,
					  n * PAGE) >= 0)
				wrong = true;
			if (p)
				munmap((void *)p, n * PAGE);
		}
	}
	ok(!wrong, "every offset and length shows the right bytes");
	close(fd);
}

static void read_only_file(void)
{
	struct vfio_region_dma_range range = { 0, PAGE };
	struct export *e = export_new(BAR, &range, 1);
	volatile uint8_t *p;
	uint32_t v;
	int fd, error;

	wipe(6);
	e->r.open_flags = O_RDONLY | O_CLOEXEC;
	fd = export_call(&mem, e);
	free(e);
	need(fd >= 0, "export O_RDONLY");
	try_mmap(fd, 0, PAGE, RW, MAP_SHARED, &error);
	is_errno(error, EACCES, "a writable mapping");
	p = buf_map(fd, 0, PAGE, PROT_READ);
	need(p, "a read-only mapping");
	is(peek(p, &v), 0, "can be read");
	is(v, pattern(6, 0), "with the right bytes");
	is(poke(p, 1), SIGSEGV, "cannot be written");
	is(mprotect((void *)p, PAGE, RW) ? errno : 0, EACCES,
	   "cannot be made writable");
	munmap((void *)p, PAGE);
	close(fd);
}

static void size_of_file(void)
{
	int fd = buf_export1(&mem, BAR, PAGE, 3 * PAGE);

	is(lseek(fd, 0, SEEK_END), 3 * PAGE, "SEEK_END");
	is(lseek(fd, 0, SEEK_SET), 0, "SEEK_SET");
	is(lseek(fd, 1, SEEK_SET) < 0 ? errno : 0, EINVAL, "nothing else");
	close(fd);
}

static void cpu_access_brackets(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE);
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_RW | DMA_BUF_SYNC_START,
	};

	is(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0, "begin");
	sync.flags = DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END;
	is(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0, "end");
	close(fd);
}

/* Send an fd to a process that has nothing else of the device. */
static int receive_and_read(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	volatile uint8_t *p;
	int fd;

	if (recvmsg(*(int *)arg, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return 10;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	p = buf_map(fd, 0, 2 * PAGE, RW);
	if (!p || differs(p, 7, PAGE, 2 * PAGE) >= 0)
		return 11;
	fill(p, 8, 0, 2 * PAGE);
	return 0;
}

static void sent_to_another_process(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int pair[2], fd;
	pid_t pid;

	wipe(7);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "a socket");
	pid = spawn(receive_and_read, &pair[1]);
	fd = buf_export1(&mem, BAR, PAGE, 2 * PAGE);
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	is(sendmsg(pair[0], &msg, 0), 1, "the fd is sent");
	is(reap(pid, 10000), 0, "the other process reads and writes");
	is(differs(bar + PAGE, 8, 0, 2 * PAGE), -1, "and the BAR has it");
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

/* System calls that read from and write to the memory. */
static void kernel_copies(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE), pipes[2];
	volatile uint8_t *p;
	char text[64];

	wipe(9);
	p = buf_map(fd, 0, PAGE, RW);
	need(p && !pipe(pipes), "mmap and pipe");
	is(write(pipes[1], (void *)p, 64), 64, "write() from it");
	is(read(pipes[0], text, 64), 64, "read back");
	is(differs(text, 9, 0, 64), -1, "the right bytes");
	is(write(pipes[1], "0123456789abcdef", 16), 16, "write()");
	is(read(pipes[0], (void *)p, 16), 16, "read() into it");
	ok(!memcmp((void *)bar, "0123456789abcdef", 16), "the BAR has it");
	close(pipes[0]);
	close(pipes[1]);
	munmap((void *)p, PAGE);
	close(fd);
}

int main(void)
{
	fixture_open();
	CASE(scattered_ranges_are_contiguous);
	CASE(random_ranges);
	CASE(faults_of_a_contiguous_16_mib);
	CASE(faults_of_scattered_pages);
	CASE(refusals);
	CASE(offsets);
	CASE(read_only_file);
	CASE(size_of_file);
	CASE(cpu_access_brackets);
	CASE(sent_to_another_process);
	CASE(kernel_copies);
	return tap_done();
}
