// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The sample mediated devices over edu's DMA engine (kernel/samples/vgpu): what each
 * command does, what is refused, and that guests get along: each its share of the
 * engine, none more than its own memory, none in the way of another.
 *
 * vgpu: guests by type 1 containers; vgpu:iommufd: by iommufd.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/access.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/vedu.h"

#define IOVA	0x100000ull
#define MEMORY	(64 * PAGE)

static char edu[BDF_LENGTH], edu0[BDF_LENGTH];
static bool iommufd;

static void *memory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("out of memory");
	return p;
}

/* Bytes that say where they are and whose. */
static void mark(uint8_t *p, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed * 37 + i * 7 + (i >> 8) * 13);
}

static bool all(const uint8_t *p, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* A guest of vEDU 0, its memory at IOVA. */
static struct guest g;
static uint8_t *ram;

static bool guest_up(void)
{
	ram = memory(MEMORY);
	if (!ok(!vedu_open(&g, 0, iommufd), "a guest opens its vEDU"))
		return false;
	return is_errno(vedu_map(&g, ram, IOVA, MEMORY, true), 0, "has memory");
}

static void guest_down(void)
{
	vedu_close(&g);
	munmap(ram, MEMORY);
}

static void types_and_instances(void)
{
	char text[64];
	unsigned int nr;

	is_errno(vedu_available(edu, "memory"), 0, "no memory, no vEDUs that have some");
	is_errno(vedu_create(edu, "memory", 90), ENOSPC, "making one");
	is(vedu_available(edu, "engine"), 14, "two of sixteen are taken");
	for (nr = 20; nr < 34; nr++)
		if (vedu_create(edu, "engine", nr))
			break;
	is(nr, 34, "fourteen more");
	is(vedu_available(edu, "engine"), 0, "none is left");
	is_errno(vedu_create(edu, "engine", nr), ENOSPC, "one too many");
	while (nr-- > 20)
		if (vedu_remove(nr))
			break;
	is(vedu_available(edu, "engine"), 14, "and gone again");
	sysfs_read(text, sizeof(text),
		   "/sys/bus/pci/devices/%s/mdev_supported_types/barter-vedu-engine/device_api",
		   edu);
	ok(!strcmp(text, "vfio-pci"), "device_api: %s", text);
}

static void config_space(void)
{
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = VFIO_PCI_MSI_IRQ_INDEX };
	struct vfio_region_info info;
	uint32_t value = 0, ones = ~0u;
	uint16_t id[2];

	if (!guest_up())
		return;
	is_errno(dev_read(&g.d, PCI_VENDOR_ID, id, 4), 0, "config space can be read");
	ok(id[0] == BARTER_VEDU_VENDOR && id[1] == BARTER_VEDU_DEVICE, "the ids");
	ok(!dev_write(&g.d, PCI_VENDOR_ID, &ones, 4) &&
	   !dev_read(&g.d, PCI_VENDOR_ID, &value, 4) &&
	   value == ((uint32_t)BARTER_VEDU_DEVICE << 16 | BARTER_VEDU_VENDOR), "which stay");
	ok(!dev_write(&g.d, PCI_BASE_ADDRESS_0, &ones, 4) &&
	   !dev_read(&g.d, PCI_BASE_ADDRESS_0, &value, 4) &&
	   value == ~(BARTER_VEDU_BAR0_LENGTH - 1u), "BAR 0 is sized: %#x", value);
	ok(dev_capability(&g.d, PCI_CAP_ID_MSI), "MSI");
	is_errno(dev_read(&g.d, 255, &value, 2), EIO, "beyond its end");
	is_errno(dev_region(&g.d, 2, &info), 0, "BAR 2");
	is(info.size, 0, "there is none");
	is_errno(dev_region(&g.d, VFIO_PCI_NUM_REGIONS, &info), EINVAL, "a region too many");
	is(ioctl(g.d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), 0, "MSI's info");
	is(irq.count, 1, "one vector");
	irq.index = VFIO_PCI_INTX_IRQ_INDEX;
	ok(!ioctl(g.d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq) && !irq.count, "INTx: none");
	irq.index = VFIO_PCI_NUM_IRQS;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq) ? -errno : 0, EINVAL,
		 "an index too many");
	is(vedu_get(&g, BARTER_VEDU_ID), BARTER_VEDU_MAGIC, "BAR 0");
	is_errno(dev_set_memory(&g.d, false), 0, "memory decoding off");
	is_errno(vedu_set(&g, BARTER_VEDU_TAIL, 0), EIO, "BAR 0 does not answer");
	guest_down();
}

static void commands(void)
{
	struct barter_vedu_command cmd = { .op = BARTER_VEDU_OP_CHECKSUM };
	uint64_t value = 0, events = 0;
	uint8_t *wanted = memory(MEMORY);

	if (!guest_up())
		return;
	mark(ram, MEMORY, 1);
	memcpy(wanted, ram, MEMORY);
	is(vedu_copy(&g, IOVA + 8 * PAGE + 5, IOVA + 77, 10000), BARTER_VEDU_S_OK,
	   "copy: 10000 bytes, of no alignment");
	memmove(wanted + 8 * PAGE + 5, wanted + 77, 10000);
	is(vedu_copy(&g, IOVA + 40 * PAGE, IOVA, PAGE), BARTER_VEDU_S_OK, "copy: a page");
	memcpy(wanted + 40 * PAGE, wanted, PAGE);
	is(vedu_copy(&g, IOVA + MEMORY - 1, IOVA, 1), BARTER_VEDU_S_OK,
	   "copy: a byte, the last one");
	wanted[MEMORY - 1] = wanted[0];
	is(vedu_fill(&g, IOVA + 20 * PAGE + 3, 5000, 0x0807060504030201ull),
	   BARTER_VEDU_S_OK, "fill: 5000 bytes");
	for (int i = 0; i < 5000; i++)
		wanted[20 * PAGE + 3 + i] = (uint8_t)(1 + i % 8);
	ok(!memcmp(ram, wanted, MEMORY), "every byte is as it should be, and no other");

	cmd.src = IOVA + 1;
	cmd.length = 9001;
	is(vedu_run(&g, &cmd, &value), BARTER_VEDU_S_OK, "checksum");
	ok(value == fnv1a(ram + 1, 9001), "is the CPU's: %#llx", (unsigned long long)value);
	cmd = (struct barter_vedu_command){
		.op = BARTER_VEDU_OP_FENCE, .flags = BARTER_VEDU_F_INTERRUPT,
		.dst = IOVA + 16, .value = 0x1122334455667788ull,
	};
	ok(read(g.irq, &events, 8) < 0, "no interrupt so far");
	is(vedu_run(&g, &cmd, NULL), BARTER_VEDU_S_OK, "fence");
	ok(!memcmp(ram + 16, &cmd.value, 8), "its value is in memory");
	ok(poll(&(struct pollfd){ .fd = g.irq, .events = POLLIN }, 1, 5000) == 1 &&
	   read(g.irq, &events, 8) == 8 && events == 1, "one interrupt");
	is(vedu_get(&g, BARTER_VEDU_INTERRUPT), 1, "which the register says too");
	is_errno(vedu_set(&g, BARTER_VEDU_INTERRUPT, 1), 0, "cleared");
	is(vedu_get(&g, BARTER_VEDU_INTERRUPT), 0, "is");
	is(vedu_get64(&g, BARTER_VEDU_COMPLETED), 6, "six commands");
	is(vedu_get64(&g, BARTER_VEDU_FAILED), 0, "none failed");
	munmap(wanted, MEMORY);
	guest_down();
}

static const struct bad {
	const char *what;
	int status;
	struct barter_vedu_command cmd;
} bads[] = {
#define C	BARTER_VEDU_OP_COPY
#define BAD(what, status, ...) { what, BARTER_VEDU_S_##status, { __VA_ARGS__ } }
	BAD("op 0", INVALID, .op = 0),
	BAD("op 7", INVALID, .op = 7),
	BAD("op 0xffffffff", INVALID, .op = ~0u),
	BAD("an unknown flag", INVALID, .op = C, .flags = 4, .src = IOVA, .dst = IOVA, .length = 8),
	BAD("a flag of another op", INVALID, .op = C, .flags = 2, .src = IOVA, .dst = IOVA,
	    .length = 8),
	BAD("a reserved field", INVALID, .op = C, .src = IOVA, .dst = IOVA, .length = 8,
	    .__reserved = 1),
	BAD("another one", INVALID, .op = C, .src = IOVA, .dst = IOVA, .length = 8,
	    .__reserved2 = 1),
	BAD("a source for a fill", INVALID, .op = BARTER_VEDU_OP_FILL, .src = IOVA,
	    .dst = IOVA, .length = 8),
	BAD("a value for a copy", INVALID, .op = C, .src = IOVA, .dst = IOVA, .length = 8,
	    .value = 1),
	BAD("no byte", LENGTH, .op = C, .src = IOVA, .dst = IOVA),
	BAD("too many bytes", LENGTH, .op = C, .src = IOVA, .dst = IOVA,
	    .length = BARTER_VEDU_MAX_LENGTH + 1),
	BAD("2^64 - 1 bytes", LENGTH, .op = C, .src = IOVA, .dst = IOVA, .length = ~0ull),
	BAD("a fence with a length", LENGTH, .op = BARTER_VEDU_OP_FENCE, .dst = IOVA,
	    .length = 8),
	BAD("a fence at an odd address", ALIGNMENT, .op = BARTER_VEDU_OP_FENCE,
	    .dst = IOVA + 1),
	BAD("a source that is not mapped", ADDRESS, .op = C, .src = IOVA - 8, .dst = IOVA,
	    .length = 8),
	BAD("a source that goes on behind the end", ADDRESS, .op = C,
	    .src = IOVA + MEMORY - 8, .dst = IOVA, .length = 9),
	BAD("a destination that does", ADDRESS, .op = C, .src = IOVA,
	    .dst = IOVA + MEMORY - 8, .length = 9),
	BAD("a destination at 2^64 - 8", ADDRESS, .op = C, .src = IOVA, .dst = -8ull,
	    .length = 64),
	BAD("a wild address", ADDRESS, .op = C, .src = 0xdeadbeefcafef00dull, .dst = IOVA,
	    .length = 64),
	BAD("a fence nowhere", ADDRESS, .op = BARTER_VEDU_OP_FENCE, .dst = 0),
	BAD("16 MiB of which a part is mapped", ADDRESS, .op = BARTER_VEDU_OP_FILL,
	    .dst = IOVA, .length = BARTER_VEDU_MAX_LENGTH),
	BAD("release of what is not held", HELD, .op = BARTER_VEDU_OP_RELEASE, .src = IOVA,
	    .length = PAGE),
#undef BAD
#undef C
};

static void bad_commands(void)
{
	unsigned int slots[BARTER_VEDU_NR_SLOTS];
	const int nr = sizeof(bads) / sizeof(*bads);
	struct barter_vedu_command cmd;
	uint8_t *only_read = memory(PAGE);
	uint64_t value;
	int64_t began;

	if (!guest_up())
		return;
	mark(ram, MEMORY, 2);
	mark(only_read, PAGE, 3);
	is_errno(vedu_map(&g, only_read, IOVA + MEMORY + PAGE, PAGE, false), 0,
		 "a page that may be read only");
	for (int i = 0; i < nr; i++)
		is(vedu_run(&g, &bads[i].cmd, &value), bads[i].status, "%s", bads[i].what);
	is(vedu_copy(&g, IOVA + MEMORY + PAGE, IOVA, 64), BARTER_VEDU_S_READ_ONLY,
	   "a destination that may be read only");
	is(vedu_copy(&g, IOVA, IOVA + MEMORY + PAGE, 64), BARTER_VEDU_S_OK,
	   "such a source");
	ok(!memcmp(ram, only_read, 64), "whose bytes arrived");
	is(vedu_get64(&g, BARTER_VEDU_FAILED), nr + 1, "all were counted as failed");

	/* A ring full of them is worked off at once: no engine is needed to say no. */
	began = now_ms();
	for (unsigned int i = 0; i < BARTER_VEDU_NR_SLOTS - 1; i++)
		slots[i] = vedu_submit(&g, &bads[i % nr].cmd);
	for (unsigned int i = 0; i < BARTER_VEDU_NR_SLOTS - 1; i++)
		if (vedu_wait(&g, slots[i], NULL, 10000) != bads[i % nr].status)
			ok(false, "slot %u: %s", i, bads[i % nr].what);
	ok(now_ms() - began < 20000, "63 of them at once: %lld ms",
	   (long long)(now_ms() - began));

	/* Changed after it was read: that counts for nothing. */
	cmd = (struct barter_vedu_command){
		.op = BARTER_VEDU_OP_COPY, .src = IOVA, .dst = IOVA + 8 * PAGE,
		.length = 2 * PAGE,
	};
	value = vedu_submit(&g, &cmd);
	WAIT_FOR(began, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > 4, 10000);
	pwrite(g.d.fd, &bads[18].cmd, sizeof(cmd),
	       (off_t)(g.d.offset[0] + BARTER_VEDU_RING + value * sizeof(cmd)));
	is(vedu_wait(&g, (unsigned int)value, NULL, 10000), BARTER_VEDU_S_OK,
	   "a command that is changed while it runs");
	ok(!memcmp(ram, ram + 8 * PAGE, 2 * PAGE), "did what it was");
	guest_down();
	munmap(only_read, PAGE);
}

static void bad_registers(void)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_FENCE, .dst = IOVA, .value = 1,
	};
	uint16_t command = PCI_COMMAND_MEMORY;
	uint8_t data[80];
	unsigned int slot;
	off_t at;

	if (!guest_up())
		return;
	at = (off_t)g.d.offset[0];
	is_errno(pread(g.d.fd, data, 2, at) < 0 ? -errno : 0, EINVAL, "half a word");
	is_errno(pread(g.d.fd, data, 4, at + 2) < 0 ? -errno : 0, EINVAL, "not aligned");
	is_errno(pread(g.d.fd, data, 4, at + BARTER_VEDU_BAR0_LENGTH) < 0 ? -errno : 0,
		 EINVAL, "behind the BAR");
	is(pread(g.d.fd, data, 80, at + BARTER_VEDU_BAR0_LENGTH - 8), 8, "over its end");
	is_errno(pread(g.d.fd, data, 4, 200ll << 40) < 0 ? -errno : 0, EINVAL,
		 "a region that is none");

	is_errno(dev_write(&g.d, PCI_COMMAND, &command, 2), 0, "bus mastering off");
	slot = vedu_submit(&g, &cmd);
	is_errno(vedu_wait(&g, slot, NULL, 1000), ETIMEDOUT, "nothing runs");
	command |= PCI_COMMAND_MASTER;
	is_errno(dev_write(&g.d, PCI_COMMAND, &command, 2), 0, "and on");
	is(vedu_wait(&g, slot, NULL, 10000), BARTER_VEDU_S_OK, "it runs");

	is_errno(vedu_set(&g, BARTER_VEDU_TAIL, BARTER_VEDU_NR_SLOTS), 0, "TAIL beyond the ring");
	is(vedu_get(&g, BARTER_VEDU_STATUS) & BARTER_VEDU_STATUS_HALTED,
	   BARTER_VEDU_STATUS_HALTED, "halts it");
	is(vedu_get(&g, BARTER_VEDU_HALT), BARTER_VEDU_HALT_TAIL, "for that reason");
	is_errno(vedu_set(&g, BARTER_VEDU_TAIL, 5), 0, "a right one");
	is(vedu_get(&g, BARTER_VEDU_TAIL), 1, "is not taken any more");
	is_errno(vedu_set(&g, BARTER_VEDU_TAIL, ~0u), 0, "nor a wrong one");
	is_errno(vedu_set(&g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_RESET |
			   BARTER_VEDU_CONTROL_ENABLE), 0, "reset");
	is(vedu_get(&g, BARTER_VEDU_STATUS), 0, "mends it");
	is_errno(vedu_set(&g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE), 0, "on");
	g.tail = 0;
	is(vedu_run(&g, &cmd, NULL), BARTER_VEDU_S_OK, "it runs");

	cmd.op = BARTER_VEDU_OP_FILL;
	cmd.length = MEMORY;
	slot = vedu_submit(&g, &cmd);
	is_errno(vedu_wait(&g, slot, NULL, 300), ETIMEDOUT, "a long command runs");
	is_errno(dev_reset(&g.d), 0, "VFIO_DEVICE_RESET");
	memset(ram, 0x5a, MEMORY);
	usleep(300000);
	ok(all(ram, MEMORY, 0x5a), "and it writes no more");
	is(vedu_get(&g, BARTER_VEDU_HEAD), 0, "the ring is empty");
	guest_down();
}

/* When the guest has turned it off, its memory is its own again. */
static void off_means_off(bool master)
{
	const struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_COPY, .src = IOVA, .dst = IOVA + 32 * PAGE,
		.length = 16 * PAGE,
	};
	uint16_t command = PCI_COMMAND_MEMORY, on = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	const char *what = master ? "bus mastering" : "the ring";
	unsigned int slot, late = 0;

	slot = vedu_submit(&g, &cmd);
	for (int i = 0; i < 6; i++) {
		uint64_t began = vedu_get64(&g, BARTER_VEDU_TRANSFERS), runs;

		WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) > began, 10000);
		/* In the middle of one of the two transfers of a turn. */
		usleep(30000);
		if (master)
			dev_write(&g.d, PCI_COMMAND, &command, 2);
		else
			vedu_set(&g, BARTER_VEDU_CONTROL, 0);
		memset(ram + 32 * PAGE, 0x66, 16 * PAGE);
		usleep(250000);
		late += !all(ram + 32 * PAGE, 16 * PAGE, 0x66);
		if (master)
			dev_write(&g.d, PCI_COMMAND, &on, 2);
		else
			vedu_set(&g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE);
	}
	is(late, 0, "%s off in the middle of a copy: nothing is written any more", what);
	is(vedu_wait(&g, slot, NULL, 30000), BARTER_VEDU_S_OK, "and on: the copy goes on");
	ok(!memcmp(ram + 47 * PAGE, ram + 15 * PAGE, PAGE), "to its end");
}

static void turned_off(void)
{
	if (!guest_up())
		return;
	mark(ram, MEMORY, 8);
	off_means_off(true);
	off_means_off(false);
	guest_down();
}

static void interrupts(void)
{
	struct { struct vfio_irq_set h; int32_t fd; } arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSI_IRQ_INDEX,
			.count = 1,
		},
	};
	uint64_t events;

	if (!guest_up())
		return;
	is(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg), 0, "tried out");
	ok(read(g.irq, &events, 8) == 8 && events == 1, "it comes");
	arg.h.start = 1;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0, EINVAL, "vector 1");
	arg.h.start = 0;
	arg.h.index = VFIO_PCI_INTX_IRQ_INDEX;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0, EINVAL, "INTx");
	arg.h.index = VFIO_PCI_MSI_IRQ_INDEX;
	arg.h.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0, EINVAL, "a mask");
	arg.h.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	arg.fd = g.d.fd;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0, EINVAL,
		 "an fd that is no eventfd");
	arg.fd = 999;
	is_errno(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0, EBADF, "no fd");
	arg.h.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	arg.h.count = 0;
	is(ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg), 0, "taken out");
	arg.h.count = 1;
	ok(!ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) && read(g.irq, &events, 8) < 0,
	   "it does not come");
	guest_down();
}

/* More than one batch; and the counts of what is pinned. */
static void many_pages(void)
{
	static const unsigned int counts[] = { 1, 511, 512, 513, 1024, 4096 };
	const size_t all_of_it = 4096 * PAGE;
	struct barter_vedu_command cmd = { .op = BARTER_VEDU_OP_COPY };
	uint64_t segments = 0, slot;
	long before, locked;
	uint8_t *p;
	bool runs;

	if (!guest_up())
		return;
	before = pages_pinned();
	locked = memory_locked();
	p = memory(2 * all_of_it);
	is_errno(vedu_map(&g, p, 1ull << 32, 2 * all_of_it, true), 0, "32 MiB of memory");
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		is(vedu_hold(&g, 1ull << 32, counts[i] * PAGE, &segments),
		   BARTER_VEDU_S_OK, "%u pages are held", counts[i]);
		ok(segments && segments <= counts[i], "in %llu segments",
		   (unsigned long long)segments);
		if (!iommufd)
			is(memory_locked() - locked, counts[i] * 4, "KiB that count as locked");
		is(pages_pinned_are(before + counts[i], 5000) - before, counts[i],
		   "pinned pages");
		is(vedu_release(&g, 1ull << 32, counts[i] * PAGE), BARTER_VEDU_S_OK,
		   "%u pages are released", counts[i]);
		is(pages_pinned_are(before, 5000) - before, 0, "pinned pages");
		is(memory_locked() - locked, 0, "KiB that count as locked");
	}

	mark(p, all_of_it, 4);
	cmd.src = 1ull << 32;
	cmd.dst = (1ull << 32) + all_of_it;
	cmd.length = 513 * PAGE;
	slot = vedu_submit(&g, &cmd);
	WAIT_FOR(runs, vedu_get64(&g, BARTER_VEDU_TRANSFERS) >= 7, 20000);
	ok(runs, "a copy of 513 pages is on its way");
	is(pages_pinned_are(before + 1026, 5000) - before, 1026, "pinned pages");
	is_errno(vedu_wait(&g, (unsigned int)slot, NULL, 0), ETIMEDOUT, "not over");
	is_errno(dev_reset(&g.d), 0, "reset");
	ok(!memcmp(p, p + all_of_it, 3 * 4032) &&
	   all(p + all_of_it + 64 * PAGE, 64 * PAGE, 0), "what was copied is right");
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages");
	is_errno(vedu_unmap(&g, 1ull << 32, 2 * all_of_it), 0, "the memory is unmapped");
	munmap(p, 2 * all_of_it);
	guest_down();
}

static void limits(void)
{
	struct barter_vedu_command cmd = {
		.op = BARTER_VEDU_OP_HOLD, .length = BARTER_VEDU_MAX_LENGTH,
	};
	const size_t room = 5ull * BARTER_VEDU_MAX_LENGTH;
	long before;
	uint8_t *p;
	int nr;

	if (!guest_up())
		return;
	before = pages_pinned();
	for (nr = 0; nr < BARTER_VEDU_MAX_HELD; nr++)
		if (vedu_hold(&g, IOVA + nr * PAGE, PAGE, NULL) != BARTER_VEDU_S_OK)
			break;
	is(nr, BARTER_VEDU_MAX_HELD, "eight ranges are held");
	is(vedu_hold(&g, IOVA, PAGE, NULL), BARTER_VEDU_S_HELD, "one more");
	is_errno(dev_reset(&g.d), 0, "a reset lets them go");
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages");
	vedu_set(&g, BARTER_VEDU_CONTROL, BARTER_VEDU_CONTROL_ENABLE);
	g.tail = 0;

	p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "80 MiB of memory");
	is_errno(vedu_map(&g, p, 1ull << 32, room, true), 0, "which the guest maps");
	for (nr = 0; nr < 5; nr++) {
		cmd.src = (1ull << 32) + nr * cmd.length;
		if (vedu_run(&g, &cmd, NULL) != BARTER_VEDU_S_OK)
			break;
	}
	is(nr, 4, "64 MiB can be held");
	is(vedu_run(&g, &cmd, NULL), BARTER_VEDU_S_LIMIT, "more: the limit");
	is(vedu_copy(&g, IOVA, 1ull << 32, 8), BARTER_VEDU_S_LIMIT,
	   "a copy to other pages then, too");
	guest_down();
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages when it is closed");
	munmap(p, room);
}

/* RLIMIT_MEMLOCK holds for an ordinary process. */
static int poor_guest(void *arg)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	uint32_t caps[6] = { ~0u & ~(1u << 14), ~0u & ~(1u << 14), 0, ~0u, ~0u, 0 };
	struct guest poor;
	uint8_t *p = memory(2 << 20);
	int ret;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || syscall(SYS_capset, &header, caps))
		return 10;
	if (vedu_open(&poor, 1, iommufd) || vedu_map(&poor, p, IOVA, 2 << 20, true))
		return 11;
	ret = vedu_hold(&poor, IOVA, 200 * PAGE, NULL);
	if (ret != BARTER_VEDU_S_OK)
		return 12;
	ret = vedu_hold(&poor, IOVA + 200 * PAGE, 200 * PAGE, NULL);
	if (ret != BARTER_VEDU_S_NO_MEMORY)
		return 20 + ret;
	if (vedu_release(&poor, IOVA, 200 * PAGE) != BARTER_VEDU_S_OK)
		return 13;
	ret = vedu_hold(&poor, IOVA + 200 * PAGE, 200 * PAGE, NULL);
	return ret == BARTER_VEDU_S_OK ? 0 : 14;
}

static void memlock(void)
{
	is(in_child(poor_guest, NULL, 60000), 0,
	   "over RLIMIT_MEMLOCK: no memory; below it again: some");
}

/* Each guest in a process of its own, both at once, all data checked. */
struct load {
	unsigned int nr, rounds;
	uint64_t length;
};

static int loaded_guest(void *arg)
{
	const struct load *load = arg;
	uint8_t *p = memory(MEMORY), *wanted = memory(MEMORY);
	struct guest mine;
	unsigned int seed = load->nr + 1;
	int ret = 0;

	if (vedu_open(&mine, load->nr, iommufd) || vedu_map(&mine, p, IOVA, MEMORY, true))
		return 2;
	mark(p, MEMORY, seed);
	memcpy(wanted, p, MEMORY);
	for (unsigned int i = 0; i < load->rounds && !ret; i++) {
		uint64_t from = (i * 4099) % (16 * PAGE);
		uint64_t to = 32 * PAGE + (i * 3001) % (16 * PAGE);

		if (vedu_copy(&mine, IOVA + to, IOVA + from, load->length) != BARTER_VEDU_S_OK ||
		    vedu_fill(&mine, IOVA + from, 999, seed * 0x0101010101010101ull) !=
		    BARTER_VEDU_S_OK)
			ret = 3;
		memcpy(wanted + to, wanted + from, load->length);
		memset(wanted + from, (int)seed, 999);
	}
	if (!ret && memcmp(p, wanted, MEMORY))
		ret = 4;
	vedu_close(&mine);
	return ret;
}

static void two_guests(void)
{
	struct load one = { 0, 10, 7000 }, two = { 1, 10, 5001 };
	long before = pages_pinned();
	pid_t a = spawn(loaded_guest, &one), b = spawn(loaded_guest, &two);

	is(reap(a, 110000), 0, "one guest's data is right");
	is(reap(b, 110000), 0, "and the other's, at the same time");
	is(pages_pinned_are(before, 5000) - before, 0, "pinned pages afterwards");
}

/* One asks for as much as it can, forever; the other for a little now and then. */
static void fair(void)
{
	struct barter_vedu_command big = {
		.op = BARTER_VEDU_OP_COPY, .src = IOVA, .dst = IOVA + 32 * PAGE,
		.length = 32 * PAGE,
	};
	uint64_t greedy, modest;
	struct guest other;
	uint8_t *p = memory(MEMORY);
	int64_t began;
	int nr;

	if (!guest_up())
		return;
	need(!vedu_open(&other, 1, iommufd), "another guest");
	is_errno(vedu_map(&other, p, IOVA, MEMORY, true), 0, "has memory at the same address");
	for (int i = 0; i < BARTER_VEDU_NR_SLOTS - 1; i++)
		vedu_submit(&g, &big);
	began = now_ms();
	greedy = vedu_get64(&g, BARTER_VEDU_TRANSFERS);
	for (nr = 0; nr < 8; nr++)
		if (vedu_copy(&other, IOVA, IOVA + PAGE, 4000) != BARTER_VEDU_S_OK)
			break;
	is(nr, 8, "eight small copies beside 63 large ones: %lld ms",
	   (long long)(now_ms() - began));
	modest = vedu_get64(&other, BARTER_VEDU_TRANSFERS);
	greedy = vedu_get64(&g, BARTER_VEDU_TRANSFERS) - greedy;
	is(modest, 16, "took their transfers");
	ok(greedy >= 8 && greedy <= 40, "and the other one got its share meanwhile: %llu",
	   (unsigned long long)greedy);
	vedu_close(&other);
	munmap(p, MEMORY);
	guest_down();
}

static void isolated(void)
{
	struct guest other;
	uint8_t *p = memory(MEMORY);

	if (!guest_up())
		return;
	need(!vedu_open(&other, 1, iommufd), "another guest");
	is_errno(vedu_map(&other, p, IOVA, MEMORY, true), 0, "the same guest address");
	is_errno(vedu_map(&other, p, IOVA + (1 << 24), MEMORY, true), 0,
		 "and one that the first has not");
	mark(ram, MEMORY, 5);
	memset(p, 0x77, MEMORY);
	is(vedu_fill(&g, IOVA + 7, 6000, 0x9999999999999999ull), BARTER_VEDU_S_OK,
	   "one writes at the address that both have");
	ok(all(p, MEMORY, 0x77), "nothing in the other's memory changed");
	ok(all(ram + 7, 6000, 0x99), "its own did");
	is(vedu_copy(&g, IOVA + (1 << 24), IOVA, 64), BARTER_VEDU_S_ADDRESS,
	   "the address of the other's is none of its own: writing");
	is(vedu_copy(&g, IOVA, IOVA + (1 << 24), 64), BARTER_VEDU_S_ADDRESS, "reading");
	ok(all(p, MEMORY, 0x77), "still nothing changed");
	vedu_close(&other);
	munmap(p, MEMORY);
	guest_down();
}

/* Two vEDUs of one guest share its memory: each has its own pins. */
static void one_guest_two_devices(void)
{
	struct guest second;
	uint64_t segments;

	if (!guest_up())
		return;
	need(!vedu_open_beside(&second, 1, &g), "a second device for the guest");
	mark(ram, MEMORY, 6);
	is(vedu_hold(&g, IOVA, 16 * PAGE, &segments), BARTER_VEDU_S_OK, "one holds pages");
	is(vedu_copy(&second, IOVA + 32 * PAGE, IOVA, 5000), BARTER_VEDU_S_OK,
	   "the other copies them");
	ok(!memcmp(ram, ram + 32 * PAGE, 5000), "right");
	vedu_close(&second);
	is(vedu_copy(&g, IOVA + 40 * PAGE, IOVA, 100), BARTER_VEDU_S_OK,
	   "it goes, and the first works on");
	guest_down();
}

/* As many engines as there are: each has its own queue. */
static void two_engines(void)
{
	struct guest other;
	uint8_t *p = memory(MEMORY);
	char before[64];

	if (!guest_up())
		return;
	pci_driver(edu0, before, sizeof(before));
	is_errno(pci_bind(edu0, VEDU_DRIVER), 0, "a second edu");
	is_errno(vedu_create(edu0, "engine", 2), 0, "with a vEDU");
	need(!vedu_open(&other, 2, iommufd), "and a guest");
	is_errno(vedu_map(&other, p, IOVA, MEMORY, true), 0, "which has memory");
	is(vedu_fill(&other, IOVA, 3000, 0x4242424242424242ull), BARTER_VEDU_S_OK,
	   "fills some");
	is(vedu_fill(&g, IOVA, 3000, 0x4343434343434343ull), BARTER_VEDU_S_OK,
	   "as does the first");
	ok(all(p, 3000, 0x42) && all(ram, 3000, 0x43), "each its own");
	vedu_close(&other);
	is_errno(pci_bind(edu0, before), 0, "back to %s", before);
	is(vedu_fill(&g, IOVA, 300, 0), BARTER_VEDU_S_OK, "the first works on");
	munmap(p, MEMORY);
	guest_down();
}

int main(int argc, char **argv)
{
	iommufd = argc > 1 && !strcmp(argv[1], "iommufd");
	if (pci_find(PCI_EDU, 0, edu0) || pci_find(PCI_EDU, 1, edu))
		tap_bail("the machine has no second edu");
	if (pci_bind(edu, VEDU_DRIVER) || vedu_create(edu, "engine", 0) ||
	    vedu_create(edu, "engine", 1))
		tap_bail("edu does not become the parent of two vEDUs");
	if (!iommufd) {
		CASE(types_and_instances);
		CASE(config_space);
		CASE(bad_registers);
		CASE(turned_off);
		CASE(interrupts);
	}
	CASE(commands);
	CASE(bad_commands);
	CASE(many_pages);
	CASE(limits);
	if (!iommufd)
		CASE(memlock);
	CASE_LIMIT(two_guests, 120);
	CASE(fair);
	CASE(isolated);
	CASE(one_guest_two_devices);
	if (!iommufd)
		CASE(two_engines);
	is_errno(vedu_remove(0) ?: vedu_remove(1), 0, "main: both are removed");
	is_errno(pci_bind(edu, "barter-dma"), 0, "main: edu is barter-dma's again");
	return tap_done();
}
