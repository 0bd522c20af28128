// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * /dev/barter: info, route and watch, each errno, each size, also for 32-bit callers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/fixture.h"
#include "lib/stall.h"
#include "lib/tester.h"

static int buf = -1;
static int ctl = -1;
static int event = -1;

static int call(unsigned long nr, const void *arg)
{
	return ioctl(ctl, nr, arg) ? -errno : 0;
}

static struct barter_watch watch_request(void)
{
	struct barter_watch w;

	memset(&w, 0xff, sizeof(w));
	w.size = sizeof(w);
	w.flags = 0;
	w.dmabuf_fd = buf;
	w.eventfd = event;
	return w;
}

static int watch_end(void)
{
	struct barter_watch w = watch_request();

	w.flags = BARTER_WATCH_REMOVE;
	return call(BARTER_IOC_WATCH, &w);
}

static struct barter_info info_request(void)
{
	struct barter_info info;

	/* Whatever is in out_ fields does not matter. */
	memset(&info, 0xff, sizeof(info));
	info.size = sizeof(info);
	info.flags = 0;
	info.dmabuf_fd = buf;
	info.nr_ranges = 0;
	info.ranges = 0;
	info.__reserved = 0;
	info.__reserved2 = 0;
	info.__reserved4 = 0;
	return info;
}

static void parse_bdf(const char *bdf, uint32_t *domain, uint8_t *bus,
		      uint8_t *devfn)
{
	unsigned int dom, b, slot, function;

	if (sscanf(bdf, "%x:%x:%x.%u", &dom, &b, &slot, &function) != 4)
		tap_bail("%s is no PCI address", bdf);
	*domain = dom;
	*bus = (uint8_t)b;
	*devfn = (uint8_t)(slot << 3 | function);
}

static struct barter_route route_request(const char *importer)
{
	struct barter_route r;

	memset(&r, 0, sizeof(r));
	memset(r.out_text, 0xff, sizeof(r.out_text));
	r.size = sizeof(r);
	r.dmabuf_fd = buf;
	r.device_fd = -1;
	parse_bdf(importer, &r.domain, &r.bus, &r.devfn);
	r.out_route = r.out_reason = ~0u;
	return r;
}

static void info_answer(void)
{
	struct barter_info info = info_request();
	uint32_t domain;
	uint8_t bus, devfn;

	is_errno(call(BARTER_IOC_INFO, &info), 0, "info");
	parse_bdf(mem.bdf, &domain, &bus, &devfn);
	is(info.out_length, 3 * PAGE, "length");
	is(info.out_nr_ranges, 2, "ranges after merging");
	is(info.out_bar, BAR, "BAR");
	is(info.out_domain, domain, "domain");
	is(info.out_bus, bus, "bus");
	is(info.out_devfn, devfn, "devfn");
	is(info.out_state, BARTER_STATE_OK, "state");
	is(info.out_reasons, 0, "reasons");
	is(info.out_attachments, 0, "attachments");
	is(info.out_maps, 0, "maps");
	is(info.out_mmaps, 0, "mmaps");
	is(info.out_faults_pte + info.out_faults_pmd + info.out_faults_pud, 0,
	   "faults");
	is(info.out_blocker[0], 0, "nobody blocks");
}

static void info_ranges(void)
{
	struct barter_info info = info_request();
	struct barter_range r[3];

	memset(r, 0x55, sizeof(r));
	info.ranges = (uintptr_t)r;
	info.nr_ranges = 1;
	is_errno(call(BARTER_IOC_INFO, &info), 0, "room for one");
	is(info.out_nr_ranges, 2, "but two are told");
	is(r[0].offset, 2 * PAGE, "offset of the first");
	is(r[0].length, 2 * PAGE, "length of the first");
	is(r[1].offset, 0x5555555555555555ull, "the second is not written");
	info.nr_ranges = 3;
	is_errno(call(BARTER_IOC_INFO, &info), 0, "room for three");
	is(r[1].offset, 16 * PAGE, "offset of the second");
	is(r[1].length, PAGE, "length of the second");
	is(r[2].offset, 0x5555555555555555ull, "the third is not written");
	info.nr_ranges = ~0u;
	is_errno(call(BARTER_IOC_INFO, &info), 0,
		 "room for more than there can be");
	info.ranges = 8;
	is_errno(call(BARTER_IOC_INFO, &info), EFAULT, "a bad pointer");
	info.nr_ranges = 0;
	is_errno(call(BARTER_IOC_INFO, &info), 0,
		 "a bad pointer that is not needed");
}

/* One that can be made again: a watch is there only once. */
static int good_call(unsigned long nr, const void *arg)
{
	int ret = call(nr, arg);

	return ret || nr != BARTER_IOC_WATCH ? ret : watch_end();
}

/*
 * Each call at every size below and above its own. @first is what it had in the
 * first release: from there on what a caller does not know counts as zero.
 */
static void sizes(unsigned long nr, const void *good, uint32_t first, uint32_t size)
{
	uint8_t *big = calloc(1, 3 * PAGE);
	uint32_t *head = (uint32_t *)big;
	bool wrong = false;
	int ret;

	for (uint32_t n = 0; n < first; n++) {
		memcpy(big, good, size);
		head[0] = n;
		if (call(nr, big) != -EINVAL) {
			diag("size %u is not EINVAL", n);
			wrong = true;
		}
	}
	ok(!wrong, "sizes 0..%u are EINVAL", first - 1);
	wrong = false;
	for (uint32_t n = first; n < size; n++) {
		memcpy(big, good, size);
		memset(big + n, 0xff, size - n);
		head[0] = n;
		if (good_call(nr, big) || big[n] != 0xff) {
			diag("size %u fails, or more than that is written", n);
			wrong = true;
		}
	}
	if (first < size)
		ok(!wrong, "sizes %u..%u are what older callers know", first,
		   size - 1);
	for (uint32_t n = size; n <= size + 64; n += 8) {
		memset(big, 0, 3 * PAGE);
		memcpy(big, good, size);
		head[0] = n;
		is_errno(good_call(nr, big), 0, "size %u with a tail of zeroes", n);
		if (n == size)
			continue;
		memcpy(big, good, size);
		head[0] = n;
		big[n - 1] = 1;
		is_errno(call(nr, big), E2BIG, "size %u, last byte not zero", n);
	}
	memcpy(big, good, size);
	head[0] = ~0u;
	ret = call(nr, big);
	ok(ret == -E2BIG || ret == -EFAULT, "the largest size is refused");
	free(big);
}

static void info_sizes(void)
{
	struct barter_info info = info_request();

	sizes(BARTER_IOC_INFO, &info,
	      offsetof(struct barter_info, nr_importers), sizeof(info));
}

static void route_sizes(void)
{
	struct barter_route r = route_request(mem.bdf);

	sizes(BARTER_IOC_ROUTE, &r, sizeof(r), sizeof(r));
}

static void info_refusals(void)
{
	struct barter_info info;
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (unsigned int bit = 0; bit < 32; bit++) {
		info = info_request();
		info.flags = 1u << bit;
		is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "flags bit %u",
			 bit);
	}
	info = info_request();
	info.__reserved = 1;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "reserved field");
	info = info_request();
	info.__reserved4 = 1;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "reserved, at the end");
	info = info_request();
	info.__reserved2 = 1;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "reserved2 field");
	info = info_request();
	info.dmabuf_fd = -1;
	is_errno(call(BARTER_IOC_INFO, &info), EBADF, "fd -1");
	info.dmabuf_fd = 1 << 20;
	is_errno(call(BARTER_IOC_INFO, &info), EBADF, "no such fd");
	info.dmabuf_fd = file;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "a file");
	info.dmabuf_fd = ctl;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "/dev/barter itself");
	info.dmabuf_fd = mem.fd;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "the VFIO device");
	close(file);
}

static void pointers(unsigned long nr, const void *good, size_t size)
{
	char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool wrong = false;

	munmap(two + PAGE, PAGE);
	is_errno(call(nr, NULL), EFAULT, "no pointer");
	is_errno(call(nr, (void *)~7ul), EFAULT, "a kernel pointer");
	for (size_t cut = 1; cut <= size; cut++) {
		memcpy(two + PAGE - (size - cut), good, size - cut);
		if (call(nr, two + PAGE - (size - cut)) != -EFAULT) {
			diag("not EFAULT without the last %zu bytes", cut);
			wrong = true;
		}
	}
	ok(!wrong, "every truncation of readable memory is EFAULT");
	memcpy(two + PAGE - size, good, size);
	mprotect(two, PAGE, PROT_READ);
	is_errno(call(nr, two + PAGE - size), EFAULT, "memory is read-only");
	munmap(two, PAGE);
}

static void info_pointers(void)
{
	struct barter_info info = info_request();

	pointers(BARTER_IOC_INFO, &info, sizeof(info));
}

static void route_pointers(void)
{
	struct barter_route r = route_request(mem.bdf);

	pointers(BARTER_IOC_ROUTE, &r, sizeof(r));
}

static void watch_answer(void)
{
	struct barter_info info = info_request();
	struct barter_watch w = watch_request();

	is_errno(call(BARTER_IOC_INFO, &info), 0, "info");
	is_errno(call(BARTER_IOC_WATCH, &w), 0, "watch");
	is(w.out_generation, info.out_generation, "generation");
	is(w.out_state, BARTER_STATE_OK, "state");
	is(w.out_reasons, 0, "reasons");
	w.flags = BARTER_WATCH_REMOVE;
	w.out_generation = w.out_state = w.out_reasons = 99;
	is_errno(call(BARTER_IOC_WATCH, &w), 0, "remove");
	is(w.out_generation, info.out_generation, "generation");
	is(w.out_state, BARTER_STATE_OK, "state");
	is(w.out_reasons, 0, "reasons");
	is_errno(call(BARTER_IOC_WATCH, &w), ENOENT, "remove again");
}

static void watch_sizes(void)
{
	struct barter_watch w = watch_request();

	sizes(BARTER_IOC_WATCH, &w, sizeof(w), sizeof(w));
}

static void watch_refusals(void)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct barter_watch w;

	for (unsigned int bit = 1; bit < 32; bit++) {
		w = watch_request();
		w.flags = 1u << bit;
		is_errno(call(BARTER_IOC_WATCH, &w), EINVAL, "flags bit %u", bit);
		w.flags |= BARTER_WATCH_REMOVE;
		is_errno(call(BARTER_IOC_WATCH, &w), EINVAL, "remove, flags bit %u",
			 bit);
	}
	for (uint32_t flags = 0; flags <= BARTER_WATCH_REMOVE; flags++) {
		static const int none[] = { -1, 1 << 20 };
		const int wrong[] = { file, ctl, mem.fd };

		for (int i = 0; i < 2; i++) {
			w = watch_request();
			w.flags = flags;
			w.dmabuf_fd = none[i];
			is_errno(call(BARTER_IOC_WATCH, &w), EBADF, "buffer %d",
				 none[i]);
			w = watch_request();
			w.flags = flags;
			w.eventfd = none[i];
			is_errno(call(BARTER_IOC_WATCH, &w), EBADF, "eventfd %d",
				 none[i]);
		}
		for (int i = 0; i < 3; i++) {
			w = watch_request();
			w.flags = flags;
			w.dmabuf_fd = wrong[i];
			is_errno(call(BARTER_IOC_WATCH, &w), EINVAL,
				 "wrong kind of buffer, %d", i);
			w = watch_request();
			w.flags = flags;
			w.eventfd = wrong[i];
			is_errno(call(BARTER_IOC_WATCH, &w), EINVAL,
				 "wrong kind of eventfd, %d", i);
		}
		w = watch_request();
		w.flags = flags;
		w.dmabuf_fd = event;
		is_errno(call(BARTER_IOC_WATCH, &w), EINVAL, "eventfd as buffer");
		w = watch_request();
		w.flags = flags;
		w.eventfd = buf;
		is_errno(call(BARTER_IOC_WATCH, &w), EINVAL, "buffer as eventfd");
	}
	is_errno(watch_end(), ENOENT, "none of these has begun a watch");
	close(file);
}

static void watch_pointers(void)
{
	struct barter_watch w = watch_request();

	pointers(BARTER_IOC_WATCH, &w, sizeof(w));
	is_errno(watch_end(), ENOENT,
		 "an answer that cannot be written leaves no watch");
}

static void foreign_dmabuf(void)
{
	struct barter_info info = info_request();
	struct barter_route r = route_request(mem.bdf);
	struct barter_watch w = watch_request();
	int fd = tester_foreign();

	need(fd >= 0, "a dma-buf of another exporter");
	info.dmabuf_fd = r.dmabuf_fd = fd;
	is_errno(call(BARTER_IOC_INFO, &info), EINVAL, "info");
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "route");
	w.dmabuf_fd = fd;
	is_errno(call(BARTER_IOC_WATCH, &w), EINVAL, "watch");
	close(fd);
}

static void unknown_calls(void)
{
	char zero[256] = { 0 };
	bool wrong = false;

	for (unsigned int nr = 3; nr < 256; nr++) {
		unsigned long c = _IO(BARTER_IOC_TYPE, nr);

		if (c == BARTER_IOC_WATCH)
			continue;
		memset(zero, 0, sizeof(zero));
		*(uint32_t *)zero = sizeof(zero);
		if (ioctl(ctl, c, zero) != -1 || errno != ENOTTY) {
			diag("number %u is not ENOTTY", nr);
			wrong = true;
		}
	}
	ok(!wrong, "all other numbers to 255 are ENOTTY");
	is_errno(call(_IO(0xBB, 0), zero), ENOTTY, "another type");
	is_errno(call(_IOWR(BARTER_IOC_TYPE, 0, int), zero), ENOTTY,
		 "another direction and size");
}

static void route_answer(void)
{
	struct barter_route r, by_bdf;
	char edu[BDF_LENGTH];

	r = route_request(mem.bdf);
	is_errno(call(BARTER_IOC_ROUTE, &r), 0, "to itself");
	is(r.out_route, BARTER_ROUTE_BUS, "is by bus address");
	is(r.out_reason, BARTER_WHY_COMMON_BRIDGE, "by a common bridge");
	ok(memchr(r.out_text, 0, sizeof(r.out_text)), "the text ends");
	if (pci_find(PCI_EDU, 0, edu)) {
		skip("this machine has no edu", "to another device");
		return;
	}
	r = route_request(edu);
	is_errno(call(BARTER_IOC_ROUTE, &r), 0, "from %s", edu);
	is(r.out_route, BARTER_ROUTE_HOST, "goes through the host bridge");
	is(r.out_reason, BARTER_WHY_CPU_ALLOWED, "the CPU allows it");
	ok(r.out_text[0], "in words: %.*s", (int)sizeof(r.out_text),
	   r.out_text);
	by_bdf = route_request(edu);
	by_bdf.flags = BARTER_ROUTE_F_EXPORTER_BDF;
	by_bdf.dmabuf_fd = -1;
	parse_bdf(mem.bdf, &by_bdf.exporter_domain, &by_bdf.exporter_bus,
		  &by_bdf.exporter_devfn);
	is_errno(call(BARTER_IOC_ROUTE, &by_bdf), 0, "exporter by address");
	is(by_bdf.out_route, r.out_route, "same route");
	is(by_bdf.out_reason, r.out_reason, "same reason");
}

static void route_by_device_fd(void)
{
	struct barter_route r = route_request(mem.bdf);

	r.domain = r.bus = r.devfn = 0;
	r.flags = BARTER_ROUTE_F_DEVICE_FD;
	r.device_fd = mem.fd;
	is_errno(call(BARTER_IOC_ROUTE, &r), 0, "the device itself");
	is(r.out_route, BARTER_ROUTE_BUS, "is by bus address");
	r.device_fd = -1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EBADF, "fd -1");
	r.device_fd = ctl;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "not a device fd");
	r.device_fd = buf;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "a dma-buf");
	r.device_fd = mem.group;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "a VFIO group");
}

static volatile pid_t asker;
static volatile int asks;

static void *asks_for_a_route(void *arg)
{
	struct barter_route *r = arg;

	asker = gettid();
	/* Without a system call, which may be held as well. */
	while (!asks)
		;
	return (void *)(intptr_t)call(BARTER_IOC_ROUTE, r);
}

/* The file that is looked at is the one that is used. */
static void route_by_an_fd_that_changes(void)
{
	struct barter_route r = route_request(mem.bdf);
	pthread_t thread;
	void *ret = NULL;
	bool held;

	/* The exporter by its address, so that no other file is looked up. */
	parse_bdf(mem.bdf, &r.exporter_domain, &r.exporter_bus, &r.exporter_devfn);
	r.domain = r.bus = r.devfn = 0;
	r.flags = BARTER_ROUTE_F_DEVICE_FD | BARTER_ROUTE_F_EXPORTER_BDF;
	r.dmabuf_fd = -1;
	r.device_fd = fcntl(ctl, F_DUPFD_CLOEXEC, 0);
	need(r.device_fd >= 0, "an fd that is no buffer");
	asker = asks = 0;
	need(!pthread_create(&thread, NULL, asks_for_a_route, &r), "a thread");
	WAIT_FOR(held, asker, 10000);
	stall_task_at("fput", asker);
	asks = 1;
	WAIT_FOR(held, stalled() == 1, 10000);
	ok(held, "the kernel has looked at it");
	is(dup2(buf, r.device_fd), r.device_fd, "it becomes a buffer");
	stall_ends();
	pthread_join(thread, &ret);
	stall_at("");
	is_errno((int)(intptr_t)ret, EINVAL, "it is no device");
	close(r.device_fd);
}

static void route_refusals(void)
{
	struct barter_route r;

	for (unsigned int bit = 2; bit < 32; bit++) {
		r = route_request(mem.bdf);
		r.flags = 1u << bit;
		is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "flags bit %u",
			 bit);
	}
	r = route_request(mem.bdf);
	r.__reserved = 1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "reserved field");
	r = route_request(mem.bdf);
	r.__reserved2 = 1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "reserved2 field");
	r = route_request(mem.bdf);
	r.exporter_domain = 1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL,
		 "exporter's domain without its flag");
	r = route_request(mem.bdf);
	r.exporter_bus = 1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL,
		 "exporter's bus without its flag");
	r = route_request(mem.bdf);
	r.exporter_devfn = 1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL,
		 "exporter's devfn without its flag");
	r = route_request(mem.bdf);
	r.flags = BARTER_ROUTE_F_EXPORTER_BDF;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL,
		 "exporter both by fd and by address");
	r = route_request(mem.bdf);
	r.dmabuf_fd = -1;
	is_errno(call(BARTER_IOC_ROUTE, &r), EBADF, "buffer -1");
	r = route_request(mem.bdf);
	r.dmabuf_fd = ctl;
	is_errno(call(BARTER_IOC_ROUTE, &r), EINVAL, "not a buffer");
	r = route_request(mem.bdf);
	r.domain = 0xffff;
	is_errno(call(BARTER_IOC_ROUTE, &r), ENODEV, "no such domain");
	r = route_request(mem.bdf);
	r.bus = r.devfn = 0xff;
	is_errno(call(BARTER_IOC_ROUTE, &r), ENODEV, "no such device");
}

static int as_nobody(void *arg)
{
	struct barter_route r = route_request(mem.bdf);
	struct barter_watch w = watch_request();
	struct barter_info info = info_request();

	(void)arg;
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		return 10;
	if (call(BARTER_IOC_INFO, &info))
		return 11;
	if (call(BARTER_IOC_ROUTE, &r) != -EPERM)
		return 12;
	r.flags = BARTER_ROUTE_F_EXPORTER_BDF;
	r.dmabuf_fd = -1;
	if (call(BARTER_IOC_ROUTE, &r) != -EPERM)
		return 13;
	/* The importer by fd is fine, the exporter by address still is not. */
	r.flags |= BARTER_ROUTE_F_DEVICE_FD;
	r.device_fd = mem.fd;
	r.domain = r.bus = r.devfn = 0;
	if (call(BARTER_IOC_ROUTE, &r) != -EPERM)
		return 14;
	r.flags = BARTER_ROUTE_F_DEVICE_FD;
	r.dmabuf_fd = buf;
	if (call(BARTER_IOC_ROUTE, &r))
		return 15;
	return call(BARTER_IOC_WATCH, &w) || watch_end() ? 16 : 0;
}

static void without_privilege(void)
{
	is(in_child(as_nobody, NULL, 10000), 0,
	   "info, watch and device fd work, addresses are EPERM");
}

#ifdef __x86_64__
/* The i386 entry: same layout, so the same answer. */
static int ioctl32(int fd, unsigned int nr, void *arg)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(54), "b"(fd), "c"(nr), "d"(arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* A kernel without these calls answers with a signal. */
static int has_ioctl32(void *arg)
{
	(void)arg;
	signal(SIGSEGV, SIG_DFL);
	return ioctl32(-1, 0, NULL) == -EBADF ? 0 : 1;
}

static void callers_of_32_bits(void)
{
	struct {
		struct barter_info info;
		struct barter_route route;
		struct barter_watch watch;
		struct barter_range ranges[2];
		uint8_t export[64];
	} *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct barter_info info = info_request();
	struct vfio_region_dma_range range = { 0, PAGE };
	struct export *e = export_new(BAR, &range, 1);
	int fd;

	if (in_child(has_ioctl32, NULL, 5000)) {
		skip("the kernel has no 32-bit system calls", "info");
		return;
	}
	need(low != MAP_FAILED && !((uintptr_t)low >> 32), "low memory");
	low->info = info_request();
	low->info.ranges = (uintptr_t)low->ranges;
	low->info.nr_ranges = 2;
	is_errno(ioctl32(ctl, BARTER_IOC_INFO, &low->info), 0, "info");
	is_errno(call(BARTER_IOC_INFO, &info), 0, "info, 64 bits");
	is(low->ranges[1].offset, 16 * PAGE, "ranges, 32 bits");
	low->info.ranges = 0;
	low->info.nr_ranges = 0;
	ok(!memcmp(&low->info, &info, sizeof(info)), "info is the same");
	low->route = route_request(mem.bdf);
	is_errno(ioctl32(ctl, BARTER_IOC_ROUTE, &low->route), 0, "route");
	is(low->route.out_route, BARTER_ROUTE_BUS, "the route is the same");
	low->watch = watch_request();
	is_errno(ioctl32(ctl, BARTER_IOC_WATCH, &low->watch), 0, "watch");
	is(low->watch.out_generation, info.out_generation,
	   "the generation is the same");
	is_errno(watch_end(), 0, "its end, 64 bits");
	memcpy(low->export, e, sizeof(*e) + sizeof(range));
	fd = ioctl32(mem.fd, VFIO_DEVICE_FEATURE, low->export);
	is_errno(fd, 0, "export");
	is(buf_state(fd), BARTER_STATE_OK, "gives a buffer");
	close(fd);
	free(e);
	munmap(low, PAGE);
}
#endif

static void every_open_mode(void)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (int i = 0; i < 3; i++) {
		struct barter_watch w = watch_request();
		struct barter_info info = info_request();
		int fd = open("/dev/barter", modes[i] | O_CLOEXEC);

		if (is_errno(fd, 0, "open with mode %d", modes[i])) {
			is(ioctl(fd, BARTER_IOC_INFO, &info), 0, "info");
			is(ioctl(fd, BARTER_IOC_WATCH, &w), 0, "watch");
		}
		close(fd);
	}
}

int main(void)
{
	struct vfio_region_dma_range r[] = {
		{ 2 * PAGE, PAGE }, { 3 * PAGE, PAGE }, { 16 * PAGE, PAGE },
	};

	fixture_open();
	ctl = barter_fd();
	event = eventfd(0, EFD_CLOEXEC);
	buf = buf_export(&mem, BAR, r, 3);
	if (buf < 0)
		tap_bail("export: %s", strerror(-buf));
	CASE(info_answer);
	CASE(info_ranges);
	CASE(info_sizes);
	CASE(info_refusals);
	CASE(info_pointers);
	CASE(route_answer);
	CASE(route_by_device_fd);
	CASE_LIMIT(route_by_an_fd_that_changes, 60);
	CASE(route_sizes);
	CASE(route_refusals);
	CASE(route_pointers);
	CASE(watch_answer);
	CASE(watch_sizes);
	CASE(watch_refusals);
	CASE(watch_pointers);
	CASE(foreign_dmabuf);
	CASE(unknown_calls);
	CASE(without_privilege);
#ifdef __x86_64__
	CASE(callers_of_32_bits);
#endif
	CASE(every_open_mode);
	return tap_done();
}
