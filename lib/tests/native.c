// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Native buffers and barter_ioas_map() with real devices, in the test machine:
 * edu (VM_EDU) does DMA through iommufd into scattered pieces of the memory
 * VM_VRAM0, which is bound to barter-vfio-pci. TAP on standard output.
 *
 * What a kernel lacks is a skip only where another sign of it is missing too:
 * feature 11 of stock vfio-pci (asked of VM_VRAM1), /dev/iommu.
 */
#include <barter.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB	(1ULL << 20)
#define PAGE	4096ULL
#define RW	(PROT_READ | PROT_WRITE)
#define RAM	0x1000000ULL
#define WINDOW	0x8000000ULL
#define CHUNK	2048U

static int tests, bad, has_native;
static const char *mem_bdf, *other_bdf, *edu_bdf;

static void is(long long got, long long want, const char *what)
{
	tests++;
	if (got == want) {
		printf("ok %d - lib native: %s\n", tests, what);
		return;
	}
	bad++;
	printf("not ok %d - lib native: %s\n#   got %lld, want %lld\n", tests,
	       what, got, want);
}

static void skip(const char *what, const char *why)
{
	printf("ok %d - lib native: %s # SKIP %s\n", ++tests, what, why);
}

static void hand_to(const char *bdf, const char *driver)
{
	int ret = barter_driver_override(bdf, driver);

	if (!ret)
		ret = barter_driver_detach(bdf);
	if (!ret)
		ret = barter_driver_probe(bdf);
	if (ret) {
		printf("Bail out! %s to %s: %s\n", bdf, driver, strerror(-ret));
		exit(1);
	}
}

static struct barter_device *open_or_die(const char *bdf, uint32_t flags,
					 struct barter_device *beside)
{
	struct barter_device *device;
	int ret = beside ? barter_device_open_beside(bdf, flags, beside,
						     &device) :
		  barter_device_open(bdf, flags, &device);

	if (ret) {
		printf("Bail out! %s: %s\n", bdf, strerror(-ret));
		exit(1);
	}
	return device;
}

static struct barter_range scattered[] = {
	{ 2 * MIB, 2 * PAGE }, { 5 * PAGE, PAGE }, { 63 * MIB, 3 * PAGE },
};

static int lend(struct barter_device *device, uint32_t flags, uint32_t nr,
		int *fd)
{
	struct barter_export what = {
		.size = sizeof(what), .bar = 2, .flags = flags,
		.open_flags = O_RDWR, .nr_ranges = nr, .ranges = scattered,
	};

	return barter_device_export(device, &what, fd);
}

/* On whatever driver the device has; what the kernel can is known before. */
static void kinds(struct barter_device *device, int is_ours)
{
	int want = has_native ? 0 : -EOPNOTSUPP, fd = -1;
	uint64_t length = 0;
	uint32_t kind = 77;

	is(barter_device_can_export(device), is_ours ? 0 : -EOPNOTSUPP,
	   "does the driver lend");
	is(barter_device_can_export_native(device), want,
	   "does the kernel lend");
	is(lend(device, 0, 1, &fd), is_ours ? 0 : -EOPNOTSUPP,
	   "export of barter's");
	if (is_ours) {
		is(barter_buffer_kind(fd, &kind), 0, "kind");
		is(kind, BARTER_KIND_BARTER, "is barter's");
		close(fd);
	}
	fd = -1;
	is(lend(device, BARTER_EXPORT_NATIVE, 2, &fd), -EOPNOTSUPP,
	   "native export of two ranges");
	is(lend(device, BARTER_EXPORT_NATIVE, 1, &fd), want, "native export");
	if (!has_native) {
		is(fd, -1, "leaves the fd alone");
		return;
	}
	is(fcntl(fd, F_GETFD), FD_CLOEXEC, "its fd is close-on-exec");
	is(barter_buffer_kind(fd, &kind), 0, "kind");
	is(kind, BARTER_KIND_NATIVE, "is native");
	is(barter_buffer_length(fd, &length), 0, "length");
	is((long long)length, 2 * PAGE, "of the range");
	close(fd);
}

static void no_dmabuf(void)
{
	uint32_t kind = 77;

	is(barter_buffer_kind(0, &kind), -EINVAL, "kind of another file");
	is(barter_buffer_kind(987, &kind), -EBADF, "kind of no file");
	is(kind, 77, "leaves the answer alone");
	is(strcmp(barter_kind_name(BARTER_KIND_NATIVE), "native"), 0, "name");
}

/* edu's engine. It reports no fault: only the bytes tell. */
static volatile uint8_t *regs;
static uint8_t *ram;
static volatile uint8_t *bar;

static void transfer(uint64_t source, uint64_t target, uint32_t command)
{
	const struct timespec pause = { 0, 1000000 };
	int left = 20000;

	*(volatile uint64_t *)(regs + 0x80) = source;
	*(volatile uint64_t *)(regs + 0x88) = target;
	*(volatile uint64_t *)(regs + 0x90) = CHUNK;
	*(volatile uint32_t *)(regs + 0x98) = command;
	while (*(volatile uint32_t *)(regs + 0x98) & 1 && left--)
		nanosleep(&pause, NULL);
}

/* A byte repeated, by DMA into the window; did it get to that place? */
static int arrives(uint64_t at, uint64_t offset, uint8_t byte)
{
	unsigned int i, same = 0;

	for (i = 0; i < CHUNK; i++)
		bar[offset + i] = 0;
	memset(ram, byte, CHUNK);
	transfer(RAM, 0x40000, 1);
	transfer(0x40000, WINDOW + at, 3);
	for (i = 0; i < CHUNK; i++)
		same += bar[offset + i] == byte;
	return same == CHUNK ? 1 : same ? -1 : 0;
}

/* An fd for reading lets a device read, also where iommufd is not shown the fd. */
static void rights(struct barter_device *mem, struct barter_device *edu)
{
	struct barter_export what = {
		.size = sizeof(what), .bar = 2,
		.flags = BARTER_EXPORT_READ_ONLY, .open_flags = O_RDONLY,
		.nr_ranges = 1, .ranges = scattered,
	};
	struct barter_peer *peer = NULL;
	int fd = -1;

	is(barter_device_export(mem, &what, &fd), 0, "a read-only buffer");
	is(barter_peer_map(mem, fd, edu, 2 * WINDOW, RW, &peer), -EACCES,
	   "is not mapped for a device to write");
	is(barter_peer_map(mem, fd, edu, 2 * WINDOW, PROT_READ, &peer), 0,
	   "but to read");
	is(barter_peer_unmap(peer), 0, "unmap");
	close(fd);
}

static void scattered_dma(void)
{
	struct barter_device *mem = open_or_die(mem_bdf, BARTER_OPEN_CDEV |
						BARTER_OPEN_MEMORY, NULL);
	struct barter_device *edu = open_or_die(edu_bdf, BARTER_OPEN_MEMORY |
						BARTER_OPEN_MASTER, mem);
	struct barter_ioas_request request = {
		.size = sizeof(request), .bar = 2, .iova = WINDOW, .prot = RW,
		.nr_ranges = 3, .ranges = scattered,
	};
	struct barter_ioas_area *area = NULL, *second = NULL;
	struct barter_range outside = { 64 * MIB, PAGE };
	void *address;

	is(barter_device_ioas(mem, &request.iommufd, &request.ioas), 0,
	   "the device's IOAS");
	is(barter_device_map(edu, 0, 0, PAGE, RW, &address), 0, "edu's BAR");
	regs = address;
	is(barter_device_map(mem, 2, 0, 64 * MIB, RW, &address), 0, "the BAR");
	bar = address;
	ram = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	is(barter_device_dma_map(edu, ram, PAGE, RAM, RW), 0, "RAM");

	is(barter_ioas_map(mem, &request, &area), 0, "map");
	is((long long)barter_ioas_length(area), 6 * PAGE, "its length");
	bar[2 * MIB + 2 * PAGE] = bar[5 * PAGE - 1] = bar[6 * PAGE] = 0;
	is(arrives(0, 2 * MIB, 1), 1, "DMA into the first piece");
	is(arrives(2 * PAGE, 5 * PAGE, 2), 1, "DMA into the second");
	is(arrives(4 * PAGE, 63 * MIB + PAGE, 3), 1, "DMA into the third");
	is(bar[2 * MIB + 2 * PAGE] | bar[5 * PAGE - 1] | bar[6 * PAGE], 0,
	   "the neighbours are untouched");

	/* The last of three collides: the first two are undone. */
	request.iova = WINDOW - 4 * PAGE;
	is(barter_ioas_map(mem, &request, &second), -EEXIST,
	   "map across the first");
	request.iova = WINDOW - 2 * PAGE;
	request.nr_ranges = 1;
	is(barter_ioas_map(mem, &request, &second), 0,
	   "what it began is undone");
	is(barter_ioas_unmap(second), 0, "unmap");
	request.ranges = &outside;
	is(barter_ioas_map(mem, &request, &second), -EINVAL,
	   "a range outside the BAR");
	request.ranges = scattered;
	request.bar = 1;
	is(barter_ioas_map(mem, &request, &second), -ENODEV, "no such BAR");
	request.bar = 2;
	request.ioas += 1000;
	is(barter_ioas_map(mem, &request, &second), -ENOENT, "no such IOAS");
	request.ioas -= 1000;
	rights(mem, edu);

	is(barter_device_set_memory(mem, 0), 0, "memory off");
	is(barter_ioas_remap(area), -ENODEV, "remap while it is off");
	is(barter_device_set_memory(mem, 1), 0, "memory on");
	is(arrives(0, 2 * MIB, 4), 0, "no DMA before the remap");
	is(barter_ioas_remap(area), 0, "remap");
	is(arrives(2 * PAGE, 5 * PAGE, 5), 1, "DMA arrives again");
	is(barter_ioas_remap(area), 0, "remap without need");
	is(arrives(2 * PAGE, 5 * PAGE, 6), 1, "does no harm");
	is(barter_device_reset(mem), 0, "reset");
	is(arrives(2 * PAGE, 5 * PAGE, 7), 0, "no DMA before the remap");
	is(barter_ioas_remap(area), 0, "remap");
	is(arrives(2 * PAGE, 5 * PAGE, 8), 1, "DMA arrives again");

	barter_unmap((void *)bar, 64 * MIB);
	barter_device_close(mem);
	is(barter_ioas_remap(area), -ENODEV, "remap when the device is closed");
	is(barter_ioas_unmap(area), 0, "unmap");
	barter_unmap((void *)regs, PAGE);
	barter_device_close(edu);
	munmap(ram, PAGE);
}

int main(void)
{
	struct barter_device *device;
	uint32_t ioas;
	int iommufd;

	mem_bdf = getenv("VM_VRAM0");
	other_bdf = getenv("VM_VRAM1");
	edu_bdf = getenv("VM_EDU");
	if (!mem_bdf || !other_bdf || !edu_bdf) {
		puts("Bail out! VM_VRAM0, VM_VRAM1, VM_EDU are not set");
		return 1;
	}
	hand_to(other_bdf, "vfio-pci");
	device = open_or_die(other_bdf, BARTER_OPEN_GROUP | BARTER_OPEN_MEMORY,
			     NULL);
	has_native = !barter_device_can_export_native(device);
	kinds(device, 0);
	barter_device_close(device);
	hand_to(mem_bdf, BARTER_DRIVER);
	device = open_or_die(mem_bdf, BARTER_OPEN_GROUP | BARTER_OPEN_MEMORY,
			     NULL);
	is(barter_device_ioas(device, &iommufd, &ioas), -EOPNOTSUPP,
	   "a container is no IOAS");
	kinds(device, 1);
	barter_device_close(device);
	no_dmabuf();
	if (!has_native) {
		skip("DMA through iommufd", "the kernel lends nothing itself");
	} else if (access("/dev/iommu", F_OK)) {
		skip("DMA through iommufd", "the kernel has no iommufd");
	} else {
		hand_to(edu_bdf, BARTER_DRIVER);
		scattered_dma();
	}
	printf("1..%d\n", tests);
	return bad ? 1 : 0;
}
