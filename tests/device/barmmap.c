// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * mmap of a BAR through the device's own file. With mmap_buffers on (the default)
 * each mapping has a name and is taken away by a reset through sysfs; off, it is
 * vfio-pci-core's own. In everything else the two are the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/fixture.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2 * MIB)
#define SEED	61
#define IOVA	0x40000000ull
#define MMAPS	"/sys/kernel/debug/barter/mmaps"
#define PARAMETER "/sys/module/barter_vfio_pci/parameters/mmap_buffers"

static bool buffers = true;

static void choose(bool on)
{
	buffers = on;
	if (sysfs_put(on ? "Y" : "N", PARAMETER))
		tap_bail("%s", PARAMETER);
}

static const char *mode(void)
{
	return buffers ? "buffers" : "core";
}

/* With the BAR's own mapping of the fixture, for one buffer takes all along. */
static void both(void (*fn)(void))
{
	fn();
	choose(false);
	fixture_reopen();
	fn();
	choose(true);
	fixture_reopen();
}

#define BOTH(fn) static void fn##_both(void) { both(fn); }

static void *map_bar(uint64_t offset, size_t n)
{
	void *p = mmap(NULL, n, RW, MAP_SHARED, mem.fd,
		       (off_t)(mem.offset[BAR] + offset));

	return p == MAP_FAILED ? NULL : p;
}

/* Mappings of this device that debugfs lists, or -errno. */
static int count_mmaps(void)
{
	FILE *f = fopen(MMAPS, "re");
	char line[512];
	int n = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		n += strstr(line, mem.bdf) != NULL;
	fclose(f);
	return n;
}

static bool mmaps_are(int want)
{
	bool there;

	WAIT_FOR(there, count_mmaps() == want, 5000);
	return there;
}

/* The line of /proc/self/maps for the mapping that begins at @p. */
static bool maps_line(const void *p, char line[512])
{
	FILE *f = fopen("/proc/self/maps", "re");
	bool found = false;

	while (f && !found && fgets(line, 512, f))
		found = strtoull(line, NULL, 16) == (uintptr_t)p;
	if (f)
		fclose(f);
	return found;
}

static unsigned long long maps_offset(const char *line)
{
	unsigned long long offset = 0;

	sscanf(line, "%*s %*s %llx", &offset);
	return offset;
}

/* ---- what a mapping looks like ---- */

static void names_on(int region, uint64_t at)
{
	uint64_t offset = mem.offset[region] + at;
	void *p = mmap(NULL, PAGE, RW, MAP_SHARED, mem.fd, (off_t)offset);
	char line[512], want[64], copy[512];

	snprintf(want, sizeof(want), "/dmabuf:vfio:%s/%d", mem.bdf, region);
	need(p != MAP_FAILED && maps_line(p, line), "mmap of BAR %d", region);
	ok(!!strstr(line, want) == buffers, "%s: name %s", mode(), line);
	is(maps_offset(line), offset, "%s: the offset is the user's", mode());
	ok(file_has(MMAPS, strchr(want, ':') + 1) == buffers, "%s: in debugfs",
	   mode());
	ok(!mprotect(p, PAGE, PROT_READ) && maps_line(p, copy) &&
	   !strcmp(strchr(line, ' ') + 5, strchr(copy, ' ') + 5),
	   "%s: stays so when it is protected", mode());
	munmap(p, PAGE);
}

static void names(void)
{
	int before = count_mmaps();

	if (dev_maps_bar(&mem, BAR))
		names_on(BAR, 5 * PAGE);
	names_on(0, 0);
	ok(mmaps_are(before), "%s: none is left", mode());
	if (buffers && dev_maps_bar(&mem, BAR))
		ok(before > 0, "the whole BAR is listed");
	ok(!file_has(BUFFERS, "vfio:"), "%s: no buffer is listed", mode());
}
BOTH(names)

static void shows_the_memory(void)
{
	int fd = buf_export1(&mem, BAR, 3 * PAGE, 4 * PAGE);
	volatile uint8_t *map = buf_map(fd, 0, 4 * PAGE, RW);
	volatile uint8_t *p = map_bar(5 * PAGE, 2 * PAGE);

	need(map && p, "a buffer and a mapping of the BAR");
	fill(map, SEED, 0, 4 * PAGE);
	is(differs(p, SEED, 2 * PAGE, 2 * PAGE), -1, "%s: the same bytes",
	   mode());
	fill(p, SEED + 1, 0, 2 * PAGE);
	is(differs(map + 2 * PAGE, SEED + 1, 0, 2 * PAGE), -1,
	   "%s: and the other way round", mode());
	is(differs(map, SEED, 0, 2 * PAGE), -1, "%s: nothing else", mode());
	munmap((void *)p, 2 * PAGE);
	munmap((void *)map, 4 * PAGE);
	close(fd);
}
BOTH(shows_the_memory)

static long faults_of(volatile uint8_t *p, size_t n, size_t step)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < n; i += step)
		(void)*(volatile uint32_t *)(p + i);
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

/* An address that is congruent with the memory: 2 MiB a fault. */
static void huge_pages(void)
{
	char *space = mmap(NULL, 16 * MIB + HUGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)space + HUGE - 1) & ~(HUGE - 1));
	volatile uint8_t *p;
	long faults;

	p = mmap(at, 16 * MIB, RW, MAP_SHARED | MAP_FIXED, mem.fd,
		 (off_t)(mem.offset[BAR] + 16 * MIB));
	need(p != MAP_FAILED, "mmap");
	faults = faults_of(p, 16 * MIB, PAGE);
	ok(faults >= 8 && faults <= 12, "%s: %ld faults for 16 MiB", mode(),
	   faults);
	if (buffers)
		ok(file_has(MMAPS, "vmas 1 faults pte 0 pmd 8 pud 0"),
		   "each of 2 MiB");
	munmap(space, 16 * MIB + HUGE);
}
BOTH(huge_pages)

/* ---- what is refused ---- */

struct attempt {
	int fd;
	uint64_t offset;
	size_t n;
	int prot, flags;
};

static int try(const struct attempt *a)
{
	void *p = mmap(NULL, a->n, a->prot, a->flags, a->fd, (off_t)a->offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, a->n);
	return 0;
}

/* Every region, at and around its ends, in every way: as core answers. */
static unsigned int compare_device(const struct dev *d, unsigned int *allowed)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW };
	static const int flags[] = { MAP_SHARED, MAP_PRIVATE };
	unsigned int n = 0;

	for (unsigned int region = 0; region < 12; region++) {
		uint64_t size = region < 6 ? d->length[region] : 256;
		uint64_t end = (size + PAGE - 1) & ~(PAGE - 1);
		const uint64_t starts[] = {
			0, PAGE, end - PAGE, end, end + PAGE, 1ull << 39,
			(1ull << 40) - PAGE,
		};
		const size_t lengths[] = { PAGE, 2 * PAGE, end, end + PAGE, 1 };

		for (unsigned int i = 0; i < 7 * 5 * 8; i++) {
			struct attempt a = {
				.fd = d->fd,
				.offset = ((uint64_t)region << 40) +
					starts[i % 7],
				.n = lengths[i / 7 % 5],
				.prot = prots[i / 35 % 4],
				.flags = flags[i / 140],
			};
			int with, without;

			if (!a.n || starts[i % 7] >> 40)
				continue;
			with = try(&a);
			choose(false);
			without = try(&a);
			choose(true);
			n++;
			*allowed += !with;
			if (with != without) {
				ok(0, "%s region %u offset %#llx length %#zx prot %d flags %d: %d, core %d",
				   d->bdf, region,
				   (unsigned long long)starts[i % 7], a.n,
				   a.prot, a.flags, with, without);
				return n;
			}
		}
	}
	return n;
}

static void refusals_are_cores(void)
{
	static const uint32_t ids[] = { PCI_TESTDEV, PCI_NVME };
	unsigned int allowed = 0, n;
	int before = count_mmaps();

	n = compare_device(&mem, &allowed);
	ok(n > 2000 && allowed > 50 && allowed < n, "%u attempts, %u allowed",
	   n, allowed);
	for (int i = 0; i < 2; i++) {
		char bdf[BDF_LENGTH];
		struct dev d;

		if (pci_find(ids[i], 0, bdf) || dev_open(&d, bdf))
			continue;
		allowed = 0;
		n = compare_device(&d, &allowed);
		ok(n > 1000, "%s: %u attempts, %u allowed", bdf, n, allowed);
		dev_close(&d);
	}
	ok(mmaps_are(before), "no mapping is left");
}

/* The file is a device's, not the dma-buf's: no way to a buffer from here. */
static void no_way_to_the_buffer(void)
{
	char path[96];
	void *p = map_bar(0, 2 * PAGE);
	int fd;

	need(p, "mmap");
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)p, (unsigned long)p + 2 * PAGE);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ok(fd < 0, "its file cannot be opened");
	if (fd >= 0)
		close(fd);
	is(syscall(SYS_remap_file_pages, p, PAGE, 0, 1, 0) ? errno : 0, EINVAL,
	   "nor remapped");
	munmap(p, 2 * PAGE);
}

/* ---- what takes a mapping away ---- */

static void memory_off(void)
{
	volatile uint8_t *p = map_bar(0, 2 * PAGE), *q;
	uint32_t v = 0;

	need(p && !peek(p, &v), "%s: a mapping in use", mode());
	is_errno(dev_set_memory(&mem, false), 0, "%s: memory off", mode());
	is(peek(p, &v), SIGBUS, "%s: what was touched faults", mode());
	is(peek(p + PAGE, &v), SIGBUS, "%s: what was not does too", mode());
	q = map_bar(0, PAGE);
	need(q, "%s: mmap is allowed", mode());
	is(peek(q, &v), SIGBUS, "%s: and faults", mode());
	is_errno(dev_set_memory(&mem, true), 0, "%s: memory on", mode());
	is(peek(p, &v) | peek(p + PAGE, &v) | peek(q, &v), 0,
	   "%s: all work again", mode());
	munmap((void *)p, 2 * PAGE);
	munmap((void *)q, PAGE);
}
BOTH(memory_off)

static void reset_by_sysfs(void)
{
	volatile uint8_t *p = map_bar(0, PAGE);
	long faults;
	uint32_t v;

	need(p && !peek(p, &v), "%s: a mapping in use", mode());
	is(faults_of(p, PAGE, PAGE), 0, "%s: no fault before", mode());
	is_errno(pci_reset(mem.bdf), 0, "%s: reset", mode());
	faults = faults_of(p, PAGE, PAGE);
	ok(buffers ? faults > 0 : !faults, "%s: %ld faults after", mode(),
	   faults);
	is_errno(dev_reset(&mem), 0, "%s: VFIO_DEVICE_RESET", mode());
	ok(faults_of(p, PAGE, PAGE) > 0, "%s: that takes it", mode());
	munmap((void *)p, PAGE);
}
BOTH(reset_by_sysfs)

/* Also where buffers have been taken away, and given back, since it was mapped. */
static void reset_after_memory_off(void)
{
	volatile uint8_t *p = map_bar(0, PAGE);
	uint32_t v;

	need(p && !peek(p, &v), "a mapping in use");
	for (int i = 0; i < 3; i++) {
		dev_set_memory(&mem, false);
		dev_set_memory(&mem, true);
		peek(p, &v);
		pci_reset(mem.bdf);
		ok(faults_of(p, PAGE, PAGE) > 0, "reset %d takes it", i);
	}
	munmap((void *)p, PAGE);
}

static int child_reset(void *arg)
{
	(void)arg;
	return pci_reset(mem.bdf) ? 1 : 0;
}

/*
 * A reset that an importer holds up: what faults meanwhile gets no page, and mmap
 * waits for nobody.
 */
static void in_the_middle_of_a_reset(void)
{
	int fd = buf_export1(&mem, BAR, 0, PAGE), t, id;
	volatile uint8_t *p = map_bar(MIB, 64 * PAGE), *q;
	int64_t took;
	uint32_t v;
	pid_t pid;

	t = tester_open();
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(p && id >= 0 &&
	     !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "a buffer that an importer keeps");
	pid = spawn(child_reset, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "the reset waits");
	is(peek(p, &v), SIGBUS, "a page that was not there is not given");
	took = now_ms();
	q = map_bar(0, PAGE);
	took = now_ms() - took;
	ok(q && took < 5000, "mmap: %d ms", (int)took);
	is(peek(q, &v), SIGBUS, "and faults");
	is_errno(tester_letgo(t, id), 0, "the importer lets go");
	is(reap(pid, 20000), 0, "the reset is over");
	is(peek(p, &v) | peek(q, &v), 0, "both work");
	munmap((void *)p, 64 * PAGE);
	munmap((void *)q, PAGE);
	close(t);
	close(fd);
}

/* Core's own resets make whoever faults wait, as they always did. */
static volatile bool stop;
static volatile unsigned int touched, failed;

static void *touch(void *arg)
{
	volatile uint8_t *p = arg;

	while (!stop) {
		uint32_t v;

		failed += peek(p, &v) != 0;
		touched++;
	}
	return NULL;
}

static void nobody_notices_a_reset_through_vfio(void)
{
	volatile uint8_t *p = map_bar(0, PAGE);
	unsigned int resets = 0, bad = 0;
	int64_t until = now_ms() + 4000;
	pthread_t thread;

	need(p, "%s: mmap", mode());
	stop = false;
	touched = failed = 0;
	pthread_create(&thread, NULL, touch, (void *)p);
	while (now_ms() < until) {
		bad += dev_reset(&mem) != 0;
		resets++;
	}
	stop = true;
	pthread_join(thread, NULL);
	ok(!bad && resets && touched, "%s: %u resets, %u accesses", mode(),
	   resets, touched);
	is(failed, 0, "%s: none got a signal", mode());
	munmap((void *)p, PAGE);
}
BOTH(nobody_notices_a_reset_through_vfio)

/* ---- who keeps whom ---- */

static int open_group_again(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", pci_group(mem.bdf));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* The mapping keeps the device open, and nothing else of it does. */
static void the_last_munmap_closes(void)
{
	int lent = buf_export1(&mem, BAR, 0, PAGE), o_path;
	volatile uint8_t *p = map_bar(0, 2 * PAGE);
	char path[96];
	uint32_t v;

	need(p && !peek(p, &v), "%s: a mapping in use", mode());
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)p, (unsigned long)p + 2 * PAGE);
	o_path = open(path, O_PATH | O_CLOEXEC);
	ok(o_path >= 0, "%s: O_PATH of its file", mode());
	fixture_close();
	is_errno(open_group_again(), EBUSY, "%s: the device is open", mode());
	is(peek(p, &v), 0, "%s: the mapping works", mode());
	is(buf_state(lent), BARTER_STATE_OK, "%s: a buffer too", mode());
	munmap((void *)p, PAGE);
	is(buf_state(lent), BARTER_STATE_OK, "%s: also when it is cut", mode());
	munmap((void *)(p + PAGE), PAGE);
	is(buf_state(lent), BARTER_STATE_DEAD, "%s: munmap was the close",
	   mode());
	is_errno(open_group_again(), 0, "%s: and is over", mode());
	close(o_path);
	close(lent);
	fixture_open();
	ok(mmaps_are(buffers), "%s: nothing is left", mode());
}
BOTH(the_last_munmap_closes)

static int pipes[2];

static int child_keeps(void *arg)
{
	volatile uint8_t *p = arg;
	uint32_t v;
	char c;

	fixture_forget();
	if (read(pipes[0], &c, 1) != 1)
		return 10;
	return peek(p, &v) ? 11 : 0;
}

static void a_child_keeps_it(void)
{
	volatile uint8_t *p = map_bar(0, PAGE);
	bool closed;
	pid_t pid;

	need(p && !pipe(pipes), "%s: mmap", mode());
	pid = spawn(child_keeps, (void *)p);
	munmap((void *)p, PAGE);
	fixture_close();
	is_errno(open_group_again(), EBUSY, "%s: open by the child", mode());
	is(write(pipes[1], "x", 1), 1, "%s: go on", mode());
	is(reap(pid, 10000), 0, "%s: the child reads", mode());
	WAIT_FOR(closed, !open_group_again(), 5000);
	ok(closed, "%s: closed by its end", mode());
	close(pipes[0]);
	close(pipes[1]);
	fixture_open();
}
BOTH(a_child_keeps_it)

static int child_unbind(void *arg)
{
	munmap(arg, 2 * PAGE);
	fixture_forget();
	return pci_unbind(mem.bdf) ? 1 : 0;
}

/* An unbind waits for the user, who keeps what it has mapped until it closes. */
static void unbind_leaves_it_to_the_user(void)
{
	int lent = buf_export1(&mem, BAR, 0, PAGE);
	volatile uint8_t *p = map_bar(0, 2 * PAGE), *q;
	uint32_t v;
	pid_t pid;

	need(lent >= 0 && p && !peek(p, &v), "%s: a mapping in use", mode());
	pid = spawn(child_unbind, (void *)p);
	ok(buf_wait(lent, BARTER_STATE_DEAD, 10000), "%s: buffers are gone",
	   mode());
	ok(is_running(pid), "%s: unbind waits", mode());
	is(peek(p, &v) | peek(p + PAGE, &v), 0, "%s: the mapping works",
	   mode());
	q = map_bar(3 * PAGE, PAGE);
	ok(q && !peek(q, &v), "%s: a new one too", mode());
	dev_set_memory(&mem, false);
	is(peek(p, &v), SIGBUS, "%s: memory off", mode());
	dev_set_memory(&mem, true);
	is(peek(p, &v), 0, "%s: memory on", mode());
	munmap((void *)p, 2 * PAGE);
	munmap((void *)q, PAGE);
	fixture_close();
	is(reap(pid, 20000), 0, "%s: the last close lets it go on", mode());
	close(lent);
	fixture_open();
}
BOTH(unbind_leaves_it_to_the_user)

/* ---- what a process may do to it ---- */

static void cut_moved_and_protected(void)
{
	volatile uint8_t *p = map_bar(2 * MIB, 4 * MIB), *q;
	char *space = mmap(NULL, 8 * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t v;

	fill(bar + 2 * MIB, SEED + 2, 2 * MIB, 4 * MIB);
	need(p, "%s: mmap", mode());
	is(differs(p, SEED + 2, 2 * MIB, 4 * MIB), -1, "%s: right bytes",
	   mode());
	munmap((void *)(p + MIB), PAGE);
	is(differs(p + MIB + PAGE, SEED + 2, 3 * MIB + PAGE, MIB), -1,
	   "%s: behind a hole", mode());
	q = mremap((void *)(p + 2 * MIB), 8 * PAGE, 8 * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, space);
	ok((char *)q == space &&
	   differs(q, SEED + 2, 4 * MIB, 8 * PAGE) < 0, "%s: moved", mode());
	is_errno(dev_reset(&mem), 0, "%s: reset", mode());
	is(differs(q, SEED + 2, 4 * MIB, 8 * PAGE), -1, "%s: after a reset",
	   mode());
	ok(mremap((void *)p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	   "%s: does not grow", mode());
	mprotect((void *)p, PAGE, PROT_READ);
	is(poke(p, 1), SIGSEGV, "%s: read-only", mode());
	is(peek(p, &v), 0, "%s: can be read", mode());
	munmap(space, 8 * PAGE);
	munmap((void *)p, 4 * MIB);
}
BOTH(cut_moved_and_protected)

static void type1_dma(void)
{
	volatile uint8_t *p = map_bar(4 * MIB, MIB);

	need(p, "%s: mmap", mode());
	is_errno(dev_dma_map(&mem, (void *)p, IOVA, MIB), 0, "%s: MAP_DMA",
		 mode());
	is(dev_dma_unmap(&mem, IOVA, MIB), MIB, "%s: UNMAP_DMA", mode());
	munmap((void *)p, MIB);
}
BOTH(type1_dma)

/* ---- many ---- */

/* As many as the kernel permits; each VMA one page. */
static int child_many(void *arg)
{
	unsigned int n = 0, least = *(unsigned int *)arg;
	int64_t took;
	uint32_t v;
	void *p;

	while ((p = map_bar((n % 64) * PAGE, PAGE)))
		n++;
	if (errno != ENOMEM)
		return 10;
	if (n < least)
		return 11;
	took = now_ms();
	if (dev_reset(&mem))
		return 12;
	took = now_ms() - took;
	diag("%u mappings, a reset takes %d ms", n, (int)took);
	if (took > 20000)
		return 13;
	return peek(bar, &v) ? 14 : 0;
}

static void many_mappings(void)
{
	bool slow = atoi(getenv("BARTER_TIME_SCALE") ?: "1") > 1;
	unsigned int least = slow ? 1800 : 65000;
	int before = count_mmaps();
	char was[16];

	sysfs_read(was, sizeof(was), "/proc/sys/vm/max_map_count");
	if (slow)
		sysfs_put("2048", "/proc/sys/vm/max_map_count");
	is(in_child(child_many, &least, 200000), 0, "%u mappings or more",
	   least);
	sysfs_put(was, "/proc/sys/vm/max_map_count");
	ok(mmaps_are(before), "none is left");
}

/* ---- at once ---- */

static int worker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg, n = 0;
	int64_t until = now_ms() + 4000;

	for (; now_ms() < until; n++) {
		uint64_t at = (uint64_t)rand_r(&seed) % 64 * PAGE;
		size_t length = (1 + (size_t)rand_r(&seed) % 16) * PAGE;
		uint8_t *p = map_bar(at, length);
		uint32_t v;
		pid_t pid;

		if (!p)
			return 10;
		peek(p + length / 2, &v);
		switch (rand_r(&seed) % 5) {
		case 0:
			munmap(p + length / 2 / PAGE * PAGE, PAGE);
			break;
		case 1:
			mprotect(p, PAGE, PROT_READ);
			break;
		case 2:
			pid = fork();
			if (!pid)
				_exit(peek(p, &v) && 0);
			waitpid(pid, NULL, 0);
			break;
		case 3: {
			void *q = mremap(p, length, length, MREMAP_MAYMOVE |
					 MREMAP_DONTUNMAP, NULL);

			if (q != MAP_FAILED)
				munmap(q, length);
			break;
		}
		}
		poke(p, v);
		munmap(p, length);
	}
	return n ? 0 : 11;
}

static int child_resets(void *arg)
{
	int64_t until = now_ms() + 4000;
	int bad = 0;

	(void)arg;
	while (now_ms() < until) {
		bad |= sysfs_put("1", "/sys/bus/pci/devices/%s/reset", mem.bdf);
		bad |= dev_reset(&mem);
		bad |= dev_set_memory(&mem, false);
		bad |= dev_set_memory(&mem, true);
	}
	/* Two who reset at once get in each other's way. */
	return bad && bad != -EAGAIN && bad != -EBUSY ? 10 : 0;
}

static void all_at_once(void)
{
	int before = count_mmaps();
	pid_t pids[4];
	uint32_t v;

	for (uintptr_t i = 0; i < 3; i++)
		pids[i] = spawn(worker, (void *)(i + 1));
	pids[3] = spawn(child_resets, NULL);
	for (int i = 0; i < 4; i++)
		is(reap(pids[i], 60000), 0, "process %d", i);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	is(peek(bar, &v), 0, "the BAR's own mapping works");
	ok(mmaps_are(before), "no mapping is left");
}

/* The device is closed and let go while others map and touch. */
static int child_short(void *arg)
{
	volatile uint8_t *p = arg;

	fixture_forget();
	for (int i = 0; i < 200; i++) {
		uint32_t v;

		peek(p, &v);
	}
	return 0;
}

static void closed_and_unbound_at_any_point(void)
{
	int bad = 0;

	for (int i = 0; i < 12; i++) {
		volatile uint8_t *p = map_bar(0, 2 * PAGE);
		pid_t children[2], unbind;

		bad |= !p;
		children[0] = spawn(child_short, (void *)p);
		children[1] = spawn(child_short, (void *)p);
		unbind = spawn(child_unbind, (void *)p);
		usleep((unsigned int)(i * 3701 % 20000));
		munmap((void *)p, PAGE);
		fixture_close();
		munmap((void *)(p + PAGE), PAGE);
		bad |= reap(children[0], 20000);
		bad |= reap(children[1], 20000);
		bad |= reap(unbind, 30000);
		fixture_open();
	}
	is(bad, 0, "12 times");
}

int main(void)
{
	fixture_open();
	if (access(PARAMETER, F_OK))
		tap_bail("no %s", PARAMETER);
	CASE(names_both);
	if (!dev_maps_bar(&mem, BAR))
		return tap_done();
	CASE(shows_the_memory_both);
	CASE(huge_pages_both);
	CASE_LIMIT(refusals_are_cores, 120);
	CASE(no_way_to_the_buffer);
	CASE(memory_off_both);
	CASE(reset_by_sysfs_both);
	CASE(reset_after_memory_off);
	CASE(in_the_middle_of_a_reset);
	CASE(nobody_notices_a_reset_through_vfio_both);
	CASE(the_last_munmap_closes_both);
	CASE(a_child_keeps_it_both);
	CASE(unbind_leaves_it_to_the_user_both);
	CASE(cut_moved_and_protected_both);
	CASE(type1_dma_both);
	CASE_LIMIT(many_mappings, 240);
	CASE(all_at_once);
	CASE_LIMIT(closed_and_unbound_at_any_point, 120);
	return tap_done();
}
