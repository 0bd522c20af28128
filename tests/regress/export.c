// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Exports that should have been refused, were born wrong, or raced; and mmap.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <pthread.h>
#include <sys/mount.h>

#define TRACING	"/sys/kernel/tracing"
#define HUGE	(2 * MIB)

static int closed_fd = -1;
static volatile bool stop;

static void *closer(void *arg)
{
	unsigned long *closed = arg;

	while (!stop)
		*closed += !close(closed_fd);
	return NULL;
}

static void trace_all(const char *on)
{
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	sysfs_write(on, TRACING "/events/dma_buf/enable");
	sysfs_write(on, TRACING "/events/barter/enable");
}

/* Two threads have one descriptor number: one fills it, the other closes it. */
void b7_close_races_with_export(void)
{
	unsigned long exported = 0, closed = 0;
	const int64_t begin = now_ms();
	pthread_t thread;
	int fd;

	fd = buf_export1(&mem, BAR, 0, PAGE);
	must(fd >= 0, "export");
	close(fd);
	closed_fd = fd;
	stop = false;
	trace_all("1");
	must(!pthread_create(&thread, NULL, closer, &closed), "a thread");
	/* Longer than 4 s only where the machine is slow. */
	while (now_ms() < begin + 4000 ||
	       (exported < 100 && now_ms() < begin + 40000)) {
		fd = buf_export1(&mem, BAR, 0, PAGE);
		if (fd == closed_fd)
			exported++;
		else if (fd >= 0)
			close(fd);
	}
	stop = true;
	pthread_join(thread, NULL);
	close(closed_fd);
	trace_all("0");
	check(exported >= 100 && closed > exported / 2,
	      "%lu exports, %lu closed by the other thread", exported, closed);
	fd = buf_export1(&mem, BAR, 0, PAGE);
	check_errno(reach(fd), 0, "a buffer still works");
	close(fd);
	if (!own)
		check(buf_count(mem.bdf) == 0, "none is left");
}

static pthread_barrier_t together;

static void *turn_off(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	dev_set_memory(&mem, false);
	return NULL;
}

void b8_born_revoked_while_memory_is_off(void)
{
	int late = 0, round, fd;

	must(!dev_set_memory(&mem, false), "memory off");
	fd = buf_export1(&mem, BAR, 0, PAGE);
	check_errno(fd, 0, "export while memory is off");
	check_errno(reach(fd), ENODEV, "the buffer cannot be mapped");
	dev_set_memory(&mem, true);
	check_errno(reach(fd), 0, "memory on: it can");
	close(fd);

	/* An export and the write that turns memory off, at the same time. */
	pthread_barrier_init(&together, NULL, 2);
	for (round = 0; round < 30 && !late; round++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, turn_off, NULL))
			tap_bail("no thread");
		pthread_barrier_wait(&together);
		fd = buf_export1(&mem, BAR, 0, PAGE);
		pthread_join(thread, NULL);
		late += fd < 0 || reach(fd) != -ENODEV;
		close(fd);
		dev_set_memory(&mem, true);
	}
	pthread_barrier_destroy(&together);
	check(!late, "%d exports raced with memory off: all revoked", round);
}

/* Does a driver of VFIO's own the BAR, as /proc/iomem lists it? */
static bool claimed(uint64_t start)
{
	unsigned long long from, to;
	FILE *f = fopen("/proc/iomem", "re");
	char line[256], name[64];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found |= sscanf(line, " %llx-%llx : %63s", &from, &to, name) == 3 &&
			from == start && strstr(name, "vfio");
	if (f)
		fclose(f);
	return found;
}

void b10_an_exported_bar_is_claimed(void)
{
	uint64_t start, length, flags;
	char bdf[BDF_LENGTH];
	struct dev d;
	int fd;

	second_device(bdf);
	start = pci_bar(bdf, BAR, &length, &flags);
	must(start && !dev_open(&d, bdf), "open %s", bdf);
	fd = buf_export1(&d, BAR, 0, PAGE);
	check_errno(fd, 0, "export of a BAR that nobody has touched");
	check(claimed(start), "the BAR at %#llx is claimed",
	      (unsigned long long)start);
	close(fd);
	dev_close(&d);
	must(!claimed(start), "not any more when the device is closed");
}

static int try_range(uint64_t offset, uint64_t length)
{
	int fd = buf_export1(&mem, BAR, offset, length);

	if (fd >= 0)
		close(fd);
	return fd;
}

void b11_ranges_stay_inside_the_bar(void)
{
	struct vfio_region_dma_range r[] = {
		{ 0, PAGE }, { bar_length, PAGE }, { PAGE, PAGE },
	};
	int fd;

	check_errno(try_range(bar_length, PAGE), EINVAL, "behind the BAR");
	check_errno(try_range(bar_length * 4, PAGE), EINVAL, "far behind it");
	check_errno(try_range(0, bar_length + PAGE), EINVAL, "a page too long");
	check(try_range(-PAGE, 2 * PAGE) < 0, "offset and length overflow");
	check(try_range(PAGE, -PAGE) < 0, "a length of nearly 2^64");
	fd = buf_export(&mem, BAR, r, 3);
	check_errno(fd, EINVAL, "one bad range among good ones");
	check_errno(try_range(0, bar_length), 0, "all of the BAR");
}

void b15_the_end_of_a_range_is_checked(void)
{
	for (uint64_t start = PAGE; start < bar_length; start *= 4)
		check_errno(try_range(start, bar_length - start + PAGE), EINVAL,
			    "begins at %#llx, ends a page behind the BAR",
			    (unsigned long long)start);
	check_errno(try_range(bar_length - PAGE, 2 * PAGE), EINVAL,
		    "begins in the last page, ends behind it");
	check_errno(try_range(bar_length - PAGE, PAGE), 0, "the last page");
}

/* Do all pages of [@from, @to) of the mapping show the BAR from @offset on? */
static bool shows(volatile uint8_t *p, uint64_t offset, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += PAGE) {
		uint32_t v;

		if (peek(p + i, &v) || v != pattern(SEED, offset + i))
			return false;
	}
	return true;
}

/* The test bed stops at a warning. */
void b19_split_mappings_fault_quietly(void)
{
	static const size_t cuts[] = {
		PAGE, HUGE - PAGE, HUGE, HUGE + PAGE, 3 * MIB,
	};
	const uint64_t offset = 8 * MIB;
	int fd = buf_export1(&mem, BAR, offset, 2 * HUGE);

	must(fd >= 0, "export");
	fill(bar, SEED, 0, bar_length);
	if (own) {
		lacks("its buffers have no mmap");
		close(fd);
		return;
	}
	for (unsigned int i = 0; i < 5; i++) {
		volatile uint8_t *p = buf_map_aligned(fd, 0, 2 * HUGE, HUGE);
		bool good;

		must(p && shows(p, offset, 0, 2 * HUGE), "a mapping by PMDs");
		must(!munmap((void *)(p + cuts[i]), PAGE), "a hole at %#zx",
		     cuts[i]);
		good = shows(p, offset, 0, cuts[i]) &&
			shows(p, offset, cuts[i] + PAGE, 2 * HUGE);
		dev_set_memory(&mem, false);
		dev_set_memory(&mem, true);
		good &= shows(p, offset, 0, cuts[i]) &&
			shows(p, offset, cuts[i] + PAGE, 2 * HUGE);
		mprotect((void *)p, PAGE, PROT_READ);
		dev_set_memory(&mem, false);
		dev_set_memory(&mem, true);
		good &= shows(p, offset, 0, cuts[i]);
		check(good, "the parts beside a hole at %#zx show their bytes",
		      cuts[i]);
		munmap((void *)p, 2 * HUGE);
	}
	close(fd);
}

void m4a_a_buffer_can_be_mmapped(void)
{
	struct vfio_region_dma_range r[] = {
		{ 3 * MIB, PAGE }, { MIB, PAGE },
	};
	int fd = buf_export(&mem, BAR, r, 2);
	volatile uint8_t *p;

	must(fd >= 0, "export");
	fill(bar, SEED, 0, bar_length);
	p = buf_map(fd, 0, 2 * PAGE, RW);
	if (check_errno(p ? 0 : -errno, 0, "mmap")) {
		check(differs(p, SEED, 3 * MIB, PAGE) < 0, "the first range");
		check(differs(p + PAGE, SEED, MIB, PAGE) < 0, "the second");
		munmap((void *)p, 2 * PAGE);
	}
	close(fd);
}
