// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * The library against real devices, in the test machine. TAP on standard
 * output. Wants two memories (VM_VRAM0, VM_VRAM1) bound to barter-vfio-pci;
 * argument "shared" if they are in one IOMMU group.
 */
#include <barter.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ULL << 20)

static int tests, bad, shared;
static const char *first_bdf, *second_bdf;

static void is(long long got, long long want, const char *what)
{
	tests++;
	if (got == want) {
		printf("ok %d - lib: %s\n", tests, what);
		return;
	}
	bad++;
	printf("not ok %d - lib: %s\n#   got %lld, want %lld\n", tests, what,
	       got, want);
}

static void skip(const char *what, const char *why)
{
	printf("ok %d - lib: %s # SKIP %s\n", ++tests, what, why);
}

static struct barter_device *open_or_die(const char *bdf, uint32_t flags)
{
	struct barter_device *device;
	int ret = barter_device_open(bdf, flags, &device);

	if (ret) {
		printf("Bail out! %s: %s\n", bdf, strerror(-ret));
		exit(1);
	}
	return device;
}

static void opening(void)
{
	struct barter_device *device, *other;
	struct barter_device *none = NULL;

	is(barter_device_open("nonsense", 0, &none), -EINVAL, "no address");
	is(barter_device_open("0000:ff:1f.7", 0, &none), -ENODEV, "no device");
	is(barter_device_open("00:00.0", BARTER_OPEN_GROUP, &none), -ENXIO,
	   "a device without VFIO driver");
	is(barter_device_open(first_bdf, 1U << 31, &none), -EINVAL,
	   "an unknown flag");
	is(barter_device_open(first_bdf, BARTER_OPEN_GROUP | BARTER_OPEN_CDEV,
			      &none), -EINVAL, "both ways at once");
	is(!none, 1, "a failed open leaves the handle alone");

	device = open_or_die(first_bdf, BARTER_OPEN_GROUP);
	is(barter_device_is_cdev(device), 0, "by group when asked for");
	is(strcmp(barter_device_name(device), first_bdf), 0, "its name");
	is(barter_device_fd(device) >= 0, 1, "its fd");
	is(fcntl(barter_device_fd(device), F_GETFD), FD_CLOEXEC,
	   "its fd is close-on-exec");
	is(barter_device_open(first_bdf, BARTER_OPEN_GROUP, &other), -EBUSY,
	   "a group cannot be opened twice");
	if (shared)
		is(barter_device_open(second_bdf, BARTER_OPEN_GROUP, &other),
		   -EBUSY, "nor by another device of it");
	is(barter_device_open_beside(second_bdf, 0, device, &other), 0,
	   "but beside the first it can");
	/* The address space outlives the device that it came with. */
	barter_device_close(device);
	is(barter_device_dma_unmap(other, 0, 4096), -ENOENT,
	   "its address space outlives the first");
	barter_device_close(other);
	barter_device_close(NULL);

	if (barter_device_open(first_bdf, BARTER_OPEN_CDEV, &device) ==
	    -EOPNOTSUPP) {
		skip("by cdev", "this kernel has none");
		return;
	}
	is(barter_device_is_cdev(device), 1, "by cdev when asked for");
	is(barter_device_open(first_bdf, BARTER_OPEN_CDEV, &other), -EBUSY,
	   "a cdev cannot be opened twice");
	is(barter_device_open(first_bdf, BARTER_OPEN_GROUP, &other), -EBUSY,
	   "nor its group beside it");
	barter_device_close(device);
	device = open_or_die(first_bdf, 0);
	is(barter_device_is_cdev(device), 1, "cdev is the first choice");
	barter_device_close(device);
}

static void regions(struct barter_device *device)
{
	struct barter_region region = { .length = 1 };
	unsigned char bytes[4];
	void *address;

	is(barter_device_region(device, 2, &region), 0, "region of BAR 2");
	is((long long)region.length, 64 * MIB, "its length");
	is(!!(region.flags & VFIO_REGION_INFO_FLAG_MMAP), 1, "can be mapped");
	is(barter_device_region(device, 1, &region), 0, "region of no BAR");
	is((long long)region.length, 0, "has length 0");
	is(barter_device_region(device, 9999, &region), -EINVAL,
	   "no such region");
	is(barter_device_map(device, 1, 0, 4096, PROT_READ, &address), -ENODEV,
	   "map of no BAR");
	is(barter_device_map(device, 6, 0, 4096, PROT_READ, &address), -ENODEV,
	   "map of no BAR index");
	is(barter_device_map(device, 2, 64 * MIB, 4096, PROT_READ, &address),
	   -EINVAL, "map beyond the BAR");
	is(barter_device_map(device, 2, 4096, 64 * MIB, PROT_READ, &address),
	   -EINVAL, "map across the BAR's end");
	is(barter_device_map(device, 2, 0, 0, PROT_READ, &address), -EINVAL,
	   "map of nothing");
	is(barter_device_map(device, 2, 0, UINT64_MAX, PROT_READ, &address),
	   -EINVAL, "map of everything");
	is(barter_device_map(device, 2, 17, 4096, PROT_READ, &address),
	   -EINVAL, "map at no page boundary");
	is(barter_device_map(device, 2, 3 * MIB, 8 * MIB,
			     PROT_READ | PROT_WRITE, &address), 0, "map");
	is((long long)((uintptr_t)address % (2 * MIB)), MIB,
	   "at an address that allows huge pages");
	*(volatile uint32_t *)address = 0x12345678;
	is(*(volatile uint32_t *)address, 0x12345678, "reads what was written");
	is(barter_unmap(address, 8 * MIB), 0, "unmap");

	is(barter_device_config_read(device, 0, bytes, 4), 0, "config read");
	is(bytes[0] | bytes[1] << 8, 0x1af4, "vendor id");
	is(barter_device_config_read(device, 1U << 20, bytes, 4), -EINVAL,
	   "config read far outside");
	is(barter_device_config_write(device, UINT64_MAX, bytes, 4), -EINVAL,
	   "config write far outside");
	is(barter_device_set_master(device, 1), 0, "bus master on");
	barter_device_config_read(device, 4, bytes, 2);
	is(bytes[0] & 6, 6, "memory and bus master are on");
	is(barter_device_set_master(device, 0), 0, "bus master off");
	barter_device_config_read(device, 4, bytes, 2);
	is(bytes[0] & 6, 2, "memory alone is on");
	if (!shared)
		is(barter_device_reset(device), 0, "reset");
}

static void dma_space(struct barter_device *device)
{
	void *memory = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int both = PROT_READ | PROT_WRITE;
	const uint64_t iova = 256 * MIB;

	is(barter_device_dma_map(device, memory, 2 * MIB, iova, both), 0,
	   "DMA map");
	is(barter_device_dma_map(device, memory, 2 * MIB, iova, both), -EEXIST,
	   "DMA map over another");
	is(barter_device_dma_unmap(device, iova, 2 * MIB), 0, "DMA unmap");
	is(barter_device_dma_unmap(device, iova, 2 * MIB), -ENOENT,
	   "DMA unmap of nothing");
	is(barter_device_dma_map(device, memory, 17, iova, both), -EINVAL,
	   "DMA map of no whole page");
	munmap(memory, 2 * MIB);
}

static int try_export(struct barter_device *device, uint32_t bar,
		      uint64_t offset, uint64_t length, uint32_t nr)
{
	struct barter_range ranges[8];
	struct barter_export what = {
		.size = sizeof(what),
		.bar = bar,
		.open_flags = O_RDWR,
		.nr_ranges = nr,
		.ranges = ranges,
	};
	uint32_t i;
	int fd = -1, ret;

	for (i = 0; i < 8; i++)
		ranges[i] = (struct barter_range) { offset, length };
	ret = barter_device_export(device, &what, &fd);
	if (!ret)
		close(fd);
	return ret;
}

static void export_errors(struct barter_device *device)
{
	struct barter_range range = { 0, 4096 };
	struct barter_export what = { .size = 1, .bar = 2, .nr_ranges = 1,
				      .ranges = &range };
	int fd = -1;

	is(barter_device_can_export(device), 0, "the driver lends");
	is(try_export(device, 2, 0, 4096, 1), 0, "export");
	is(barter_device_export(device, &what, &fd), -EINVAL,
	   "export: unknown size of the request");
	what.size = sizeof(what);
	what.flags = 1U << 30;
	is(barter_device_export(device, &what, &fd), -EINVAL,
	   "export: unknown flag");
	what.flags = 0;
	what.open_flags = O_APPEND;
	is(barter_device_export(device, &what, &fd), -EINVAL,
	   "export: unknown open flag");
	is(fd, -1, "a failed export leaves the fd alone");
	is(try_export(device, 2, 0, 4096, 0), -EINVAL, "export: no range");
	is(try_export(device, 2, 1, 4096, 1), -EINVAL, "export: misaligned");
	is(try_export(device, 2, 0, 0, 1), -EINVAL, "export: empty range");
	is(try_export(device, 2, 64 * MIB, 4096, 1), -EINVAL,
	   "export: outside the BAR");
	is(try_export(device, 1, 0, 4096, 1), -ENODEV, "export: no such BAR");
	is(try_export(device, 7, 0, 4096, 1), -ENODEV, "export: no BAR at all");
	is(try_export(device, 2, UINT64_MAX - 4095, 8192, 1), -EOVERFLOW,
	   "export: beyond 64 bits");
	is(try_export(device, 2, 0, 64 * MIB, 5), -E2BIG,
	   "export: five times the BAR");
	is(try_export(device, 2, 0, 64 * MIB, 4), 0,
	   "export: four times the BAR");
	what.open_flags = O_RDWR;
	what.nr_ranges = BARTER_MAX_RANGES + 1;
	is(barter_device_export(device, &what, &fd), -E2BIG,
	   "export: too many ranges");
}

static struct barter_info info_of(int fd)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = fd };

	is(barter_buffer_info(-1, &info), 0, "info");
	return info;
}

static void buffers(struct barter_device *device)
{
	struct barter_range ranges[] = {
		{ 48 * MIB, 4096 }, { 3 * MIB, 8 * MIB }, { 0, 8192 },
	};
	struct barter_export what = {
		.size = sizeof(what), .bar = 2, .open_flags = O_RDWR,
		.nr_ranges = 3, .ranges = ranges,
	};
	const uint64_t whole = 8 * MIB + 4096 + 8192;
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = 0 };
	struct barter_range *got = NULL;
	uint64_t length = 0;
	uint32_t nr = 0;
	void *address;
	char *bytes;
	int fd, control;

	is(barter_device_export(device, &what, &fd), 0, "export of 3 ranges");
	is(fcntl(fd, F_GETFD), FD_CLOEXEC, "its fd is close-on-exec");
	is(barter_buffer_length(fd, &length), 0, "length");
	is((long long)length, (long long)whole, "is the sum");
	is(barter_buffer_length(0, &length), -EINVAL, "length of another file");
	is(barter_buffer_length(987, &length), -EBADF, "length of no file");
	is(barter_buffer_info(-1, &info), -EINVAL, "info of another file");
	is(barter_control_open(&control), 0, "control");
	is(barter_buffer_ranges(control, fd, &got, &nr), 0, "ranges");
	is(nr, 3, "three");
	is(nr == 3 && !memcmp(got, ranges, sizeof(ranges)), 1, "as lent");
	free(got);
	close(control);

	is(barter_buffer_map(fd, 1, 4096, PROT_READ, &address), -EINVAL,
	   "map at no page boundary");
	is(barter_buffer_map(fd, whole, 0, PROT_READ, &address), -EINVAL,
	   "map of nothing");
	is(barter_buffer_map(fd, 4096, whole, PROT_READ, &address), -EINVAL,
	   "map beyond the end");
	is(barter_buffer_map(fd, 0, 0, PROT_READ | PROT_WRITE, &address), 0,
	   "map of all");
	bytes = address;
	memset(bytes + 4096, 0x5a, 8 * MIB);
	is(info_of(fd).out_faults_pmd > 0, 1,
	   "the large range, at an odd place, is mapped by huge pages");
	is(info_of(fd).out_mmaps, 1, "one mapping");
	is(barter_unmap(address, whole), 0, "unmap");
	is(info_of(fd).out_mmaps, 0, "no mapping");

	is(barter_device_set_memory(device, 0), 0, "memory off");
	is(info_of(fd).out_state, BARTER_STATE_REVOKED, "revoked");
	is(info_of(fd).out_reasons, BARTER_REASON_MEMORY, "because of memory");
	is(barter_device_set_memory(device, 1), 0, "memory on");
	is(info_of(fd).out_state, BARTER_STATE_OK, "ok");
	barter_device_close(device);
	is(info_of(fd).out_state, BARTER_STATE_DEAD, "dead once closed");
	is(barter_buffer_map(fd, 0, 0, PROT_READ, &address), -EBADFD,
	   "a dead buffer cannot be mapped");
	close(fd);
}

static int try_slice(int from, uint64_t offset, uint64_t length, uint32_t flags)
{
	struct barter_range range = { offset, length };
	struct barter_cut cut = {
		.size = sizeof(cut), .fd = from, .flags = flags,
		.open_flags = flags ? O_RDONLY : O_RDWR,
		.nr_ranges = 1, .ranges = &range,
	};
	int fd = -1, ret = barter_buffer_slice(-1, &cut, &fd);

	return ret ? ret : fd;
}

static void slices(struct barter_device *device, struct barter_device *other)
{
	struct barter_range range = { 2 * MIB, MIB };
	struct barter_export what = {
		.size = sizeof(what), .bar = 2, .open_flags = O_RDWR,
		.nr_ranges = 1, .ranges = &range,
	};
	struct barter_cut wrong = { .size = 1, .nr_ranges = 1, .ranges = &range };
	int fd, one, two, read_only;
	struct barter_info info;
	void *address;

	is(barter_device_export(device, &what, &fd), 0, "export");
	one = try_slice(fd, 4096, 8192, 0);
	two = try_slice(one, 4096, 4096, BARTER_SLICE_READ_ONLY);
	is(one >= 0 && two >= 0, 1, "a slice, and a read-only one of that");
	is(fcntl(one, F_GETFD), FD_CLOEXEC, "its fd is close-on-exec");
	info = info_of(two);
	is(info.out_flags, BARTER_BUFFER_SLICE | BARTER_BUFFER_READ_ONLY |
	   BARTER_BUFFER_UNTOLD, "info says so");
	is(info.out_parent == info_of(one).out_id, 1, "and of what it is");
	is(barter_buffer_map(two, 0, 0, PROT_READ | PROT_WRITE, &address),
	   -EACCES, "cannot be mapped for writing");
	is(try_slice(two, 0, 4096, 0), -EPERM, "no more rights");
	is(try_slice(fd, MIB, 4096, 0), -EINVAL, "a slice outside");
	is(try_slice(0, 0, 4096, 0), -EINVAL, "a slice of another file");
	is(try_slice(987, 0, 4096, 0), -EBADF, "a slice of no file");
	wrong.fd = fd;
	is(barter_buffer_slice(-1, &wrong, &one), -EINVAL,
	   "a slice: unknown size of the request");

	what.flags = BARTER_EXPORT_READ_ONLY;
	is(barter_device_export(device, &what, &read_only), -EINVAL,
	   "read-only, and O_RDWR");
	what.flags |= BARTER_EXPORT_NATIVE;
	what.open_flags = O_RDONLY;
	is(barter_device_export(device, &what, &read_only), -EINVAL,
	   "read-only, and native");
	what.flags = BARTER_EXPORT_READ_ONLY;
	is(barter_device_export(device, &what, &read_only), 0, "read-only");
	is(info_of(read_only).out_flags, BARTER_BUFFER_READ_ONLY, "info says so");

	is(barter_buffer_revoke(other, fd), -ENODEV, "end by another device");
	is(barter_buffer_revoke(device, 0), -EINVAL, "end of another file");
	is(barter_buffer_revoke(device, 987), -EBADF, "end of no file");
	is(barter_buffer_revoke(device, one), 0, "end of a slice");
	is(info_of(one).out_state, BARTER_STATE_DEAD, "it is dead");
	is(info_of(two).out_state, BARTER_STATE_DEAD, "with its own");
	is(info_of(two).out_reasons, BARTER_REASON_REQUESTED, "by request");
	is(info_of(fd).out_state, BARTER_STATE_OK, "its parent goes on");
	is(barter_buffer_revoke(device, one), -EBADFD, "a second time");
	is(try_slice(one, 0, 4096, 0), -EBADFD, "a slice of the dead");
	close(read_only);
	close(two);
	close(one);
	close(fd);
}

/* Is there something to read within 10 s? */
static int is_signalled(struct barter_watcher *watcher)
{
	struct pollfd fd = { .fd = barter_watch_fd(watcher), .events = POLLIN };

	return poll(&fd, 1, 10000) == 1;
}

/* Read changes until one of that generation comes; all of them, counted. */
static long long follow(struct barter_watcher *watcher, uint64_t generation,
			struct barter_change *change)
{
	long long changes = 0;
	int ret;

	do {
		if (!is_signalled(watcher))
			return -ETIMEDOUT;
		ret = barter_watch_read(watcher, change);
		if (!ret)
			changes += (long long)change->changes;
	} while (ret == -EAGAIN || (!ret && change->generation < generation));
	return ret ? ret : changes;
}

static void watches(struct barter_device *device)
{
	struct barter_range range = { 0, 4096 };
	struct barter_export what = {
		.size = sizeof(what), .bar = 2, .open_flags = O_RDWR,
		.nr_ranges = 1, .ranges = &range,
	};
	struct barter_change now = { .generation = 77 }, change = { 0 };
	struct barter_watcher *watcher = NULL, *second;
	int fd, control;

	is(barter_device_export(device, &what, &fd), 0, "export");
	is(barter_watch_open(-1, 0, &now, &watcher), -EINVAL,
	   "watch of another file");
	is(barter_watch_open(-1, 987, &now, &watcher), -EBADF, "watch of no file");
	is(barter_watch_open(0, fd, &now, &watcher), -EOPNOTSUPP,
	   "watch on what is not /dev/barter");
	is(!watcher && now.generation == 77, 1, "leaves all alone");
	is(barter_control_open(&control), 0, "control");
	is(barter_watch_open(control, fd, &now, &watcher), 0, "watch");
	is(barter_watch_open(control, fd, NULL, &second), 0, "another");
	close(control);
	close(fd);
	is(now.state, BARTER_STATE_OK, "state");
	is((long long)now.changes, 0, "no changes yet");
	is(fcntl(barter_watch_fd(watcher), F_GETFD), FD_CLOEXEC,
	   "its fd is close-on-exec");
	is(barter_watch_read(watcher, &change), -EAGAIN, "nothing to read");
	is(barter_device_set_memory(device, 0), 0, "memory off");
	is(follow(watcher, now.generation + 2, &change), 2, "two changes");
	is(change.state, BARTER_STATE_REVOKED, "revoked");
	is(change.reasons, BARTER_REASON_MEMORY, "because of memory");
	is(barter_watch_read(watcher, &change), -EAGAIN, "told once");
	is(barter_device_set_memory(device, 1), 0, "memory on");
	is(follow(watcher, now.generation + 3, &change), 1, "one change");
	is(change.state, BARTER_STATE_OK, "ok");
	is(follow(second, now.generation + 3, &change), 3,
	   "three for who has not looked");
	barter_watch_close(second);
	is(barter_device_reset(device), shared ? -EINVAL : 0, "reset");
	barter_device_close(device);
	follow(watcher, now.generation + (shared ? 5 : 8), &change);
	is(change.state, BARTER_STATE_DEAD, "dead");
	barter_watch_close(watcher);
	barter_watch_close(NULL);
}

/* What a VMM's guest has scattered over two mappings, as one buffer. */
static void maps(struct barter_device *device)
{
	struct barter_range *ranges = NULL;
	struct barter_maps *known;
	struct iovec iov[4];
	char *low, *high, on_stack[8];
	void *a, *b, *shown;
	size_t which = 77;
	uint32_t nr = 0;
	int fd = -1;

	is(barter_maps_new(&known), 0, "maps");
	is(barter_maps_map(known, device, 2, 4 * MIB, 2 * MIB,
			   PROT_READ | PROT_WRITE, &a), 0, "map");
	is(barter_device_map(device, 2, 32 * MIB, MIB, PROT_READ | PROT_WRITE,
			     &b), 0, "map by hand");
	is(barter_maps_add(known, device, 2, 32 * MIB, b, MIB), 0, "make it known");
	is(barter_maps_add(known, device, 2, 64 * MIB, on_stack - (uintptr_t)
			   on_stack % 4096, 4096), -EINVAL, "outside the BAR");
	low = a;
	high = b;
	iov[0] = (struct iovec) { high + 4096, 8192 };
	iov[1] = (struct iovec) { low + 4096, 4000 };
	iov[2] = (struct iovec) { low + 8096, 96 };
	iov[3] = (struct iovec) { high, 4096 };
	is(barter_maps_lend(known, iov, 4, O_RDWR, &fd, &which), 0, "lend");
	is(barter_buffer_ranges(-1, fd, &ranges, &nr), 0, "its ranges");
	is(nr, 3, "three of four");
	is(nr == 3 && ranges[0].offset == 32 * MIB + 4096 &&
	   ranges[0].length == 8192 && ranges[1].offset == 4 * MIB + 4096 &&
	   ranges[1].length == 4096 && ranges[2].offset == 32 * MIB &&
	   ranges[2].length == 4096, 1, "where the guest has them");
	free(ranges);
	is(barter_buffer_map(fd, 0, 0, PROT_READ | PROT_WRITE, &shown), 0,
	   "map the buffer");
	strcpy((char *)shown + 8192 + 4000, "to low");
	strcpy(high + 40, "from high");
	is(strcmp(low + 8096, "to low"), 0, "what is written there is here");
	is(strcmp((char *)shown + 8192 + 4096 + 40, "from high"), 0,
	   "and the reverse");
	barter_unmap(shown, 16384);
	close(fd);

	iov[1].iov_base = on_stack;
	is(barter_maps_lend(known, iov, 2, O_RDWR, &fd, &which), -ENOENT,
	   "memory of the program");
	is((long long)which, 1, "is the second entry");
	iov[1] = low > high ? (struct iovec) { low + 2 * MIB - 4096, 8192 } :
			      (struct iovec) { high + MIB - 4096, 8192 };
	is(barter_maps_lend(known, iov, 2, O_RDWR, &fd, NULL), -EFAULT,
	   "beyond a mapping's end");
	is(barter_maps_remove(known, b, MIB), 0, "forget");
	is(barter_maps_lend(known, iov, 1, O_RDWR, &fd, NULL), -ENOENT,
	   "what is forgotten");
	is(barter_maps_remove(known, a, 2 * MIB), 0, "forget the other");
	barter_unmap(a, 2 * MIB);
	barter_unmap(b, MIB);
	barter_maps_free(known);
}

static void routes(void)
{
	struct barter_route route = { .out_route = 77 };
	struct barter_bdf a, b, none = { .bus = 0xfe };

	barter_bdf_parse(first_bdf, &a);
	barter_bdf_parse(second_bdf, &b);
	is(barter_route_between(-1, &a, &none, &route), -ENODEV,
	   "route to no device");
	is(route.out_route, 77, "leaves the answer alone");
	is(barter_route_between(-1, &a, &b, &route), 0, "route");
	is(route.out_route, shared ? BARTER_ROUTE_BUS : BARTER_ROUTE_HOST,
	   shared ? "below one bridge: by the bus" : "through the host bridge");
	is(route.out_text[0] != 0, 1, "with a reason");
	is(setuid(65534), 0, "as nobody");
	is(barter_route_between(-1, &a, &b, &route), -EPERM,
	   "nobody may not name devices");
}

int main(int argc, char **argv)
{
	struct barter_device *device, *other;

	shared = argc > 1 && !strcmp(argv[1], "shared");
	first_bdf = getenv("VM_VRAM0");
	second_bdf = getenv("VM_VRAM1");
	if (!first_bdf || !second_bdf) {
		puts("Bail out! VM_VRAM0 and VM_VRAM1 are not set");
		return 1;
	}
	opening();
	device = open_or_die(first_bdf, BARTER_OPEN_MEMORY);
	regions(device);
	dma_space(device);
	export_errors(device);
	is(barter_device_open_beside(second_bdf, BARTER_OPEN_MEMORY, device,
				     &other), 0, "another device");
	slices(device, other);
	barter_device_close(other);
	maps(device);
	buffers(device);
	watches(open_or_die(first_bdf, BARTER_OPEN_MEMORY));
	routes();
	printf("1..%d\n", tests);
	return bad ? 1 : 0;
}
