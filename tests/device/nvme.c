// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A disk that reads its blocks straight into another device's memory, and goes on
 * reading while that is taken back, by every cause there is: not a byte may change
 * after the call has returned. The driver is that of the example, the maps are the
 * library's: in a type 1 container, or native buffers in an iommufd.
 *
 * Two kinds of DMA run at once. Identify writes the buffer's first page in one go: that
 * page must not change at all. Reads of the disk write the others. QEMU's disk keeps the
 * memory of a read mapped from its begin to its end, and its IOMMU does not drain that,
 * though it says so: reads that were begun before the call returned may land. Each has
 * data of its own, so that whose bytes landed is known: of a read that was begun later,
 * not one.
 *
 * What the disk says does not count: QEMU's reports success for DMA that faulted. An
 * observer looks at the BAR through sysfs, past VFIO; where memory is off it is turned
 * on behind VFIO's back, so that what keeps the bytes out is the IOMMU. It wants
 * iomem=relaxed on the kernel command line: else the kernel takes its mapping away.
 */
#define _GNU_SOURCE
#define main example_main
#include "../../examples/nvme.c"
#undef main
#undef PAGE

#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"

#define BAR	2
#define WIDTH	(2ull * CHUNK)		/* of the BAR, that the ranges lie in */
#define REGIONS	16			/* of the disk, CHUNK each, all different */
#define FLIGHT	2			/* commands at a time */
#define QUIET	0x11111111u

static struct nvme disk;
static const char *disk_bdf;
static uint32_t disk_way; /* BARTER_OPEN_* */

/* Who lends. */
static struct lender {
	const char *bdf;
	struct barter_device *device;
	struct barter_peer *peer;
	int fd;
	volatile uint8_t *seen;		/* the observer */
} mem, cmb, *lender;

/* ---- The lender ------------------------------------------------------- */

static bool lend(struct lender *l)
{
	volatile uint32_t *regs;
	void *map;
	int ret;

	ret = barter_device_open(l->bdf, BARTER_OPEN_MEMORY, &l->device);
	if (!ret && l == &cmb) {
		/* CMBMSC.CRE: the controller's memory buffer is there. */
		ret = barter_device_map(l->device, 0, 0, PAGE, RW, &map);
		if (!ret) {
			regs = map;
			regs[0x50 / 4] = 1;
			barter_unmap(map, PAGE);
		}
	}
	if (!ret)
		ret = lend_scattered(l->device, BAR, CHUNK, &l->fd);
	if (!ret)
		ret = barter_peer_map(l->device, l->fd, disk.device, WINDOW_IOVA,
				      RW, &l->peer);
	if (ret)
		diag("%s: %s", l->bdf, strerror(-ret));
	return !ret;
}

static void take_down(struct lender *l)
{
	barter_peer_unmap(l->peer);
	close(l->fd);
	barter_device_close(l->device);
	l->peer = NULL;
	l->device = NULL;
}

static bool observe(struct lender *l)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d",
		 l->bdf, BAR);
	fd = open(path, O_RDWR | O_CLOEXEC);
	l->seen = mmap(NULL, WIDTH, RW, MAP_SHARED, fd, 0);
	close(fd);
	return l->seen != MAP_FAILED;
}

/* The page of the BAR that is page @i of the buffer. */
static volatile uint8_t *page_of(unsigned int i)
{
	return lender->seen + 2 * PAGE * (CHUNK / PAGE - 1 - i);
}

static int state(void)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = lender->fd };

	return barter_buffer_info(-1, &info) ? -1 : (int)info.out_state;
}

/* ---- DMA without pause ------------------------------------------------ */

static volatile bool stop;
/* Reads, numbered from 0, and what Identify did. Read @i is of region @i % REGIONS. */
static volatile unsigned int begun, completed, identified, failed;

static void begin_identify(void)
{
	const struct command identify = {
		.opcode = IDENTIFY, .prp1 = WINDOW_IOVA, .cdw = { 1 },
	};

	submit(&disk.queues[0], &identify);
}

/* All pages but the first. */
static void begin_read(unsigned int i)
{
	begin(&disk, READ, i % DEPTH, i % REGIONS * (CHUNK / disk.block) +
	      PAGE / disk.block, CHUNK - PAGE, WINDOW_IOVA + PAGE);
}

static void *keep_reading(void *arg)
{
	bool asked = false;

	while (!stop || completed != begun || asked) {
		int ret;

		if (!asked && !stop) {
			begin_identify();
			asked = true;
		}
		ret = ended(&disk.queues[0]);
		if (ret != -EAGAIN) {
			asked = false;
			identified++;
			failed += ret < 0;
		}
		for (; begun - completed < FLIGHT && !stop; begun++)
			begin_read(begun);
		ret = ended(&disk.queues[1]);
		if (ret != -EAGAIN) {
			completed++;
			failed += ret < 0;
		} else {
			sched_yield();
		}
	}
	return arg;
}

/* Wait until all commands of now have ended, and as many that began later. */
static bool let_run(void)
{
	unsigned int from = completed, identify = identified;
	bool did;

	WAIT_FOR(did, completed - from >= 2 * FLIGHT && identified - identify >= 2,
		 20000);
	return did;
}

/* Do bytes arrive, of either kind? */
static bool arrives(void)
{
	volatile uint32_t *first = (volatile uint32_t *)page_of(0);
	volatile uint32_t *last = (volatile uint32_t *)page_of(CHUNK / PAGE - 1);
	bool did;

	*first = *last = QUIET;
	WAIT_FOR(did, *first != QUIET && *last != QUIET, 20000);
	return did;
}

/* May this word of the buffer be that of a read from @first on, before @end? */
static bool is_of_reads(uint64_t at, uint32_t word, unsigned int first,
			unsigned int end)
{
	for (; first != end; first++)
		if (at >= PAGE && word == pattern(first % REGIONS + 1, at))
			return true;
	return false;
}

/*
 * What changed since the snapshot, in words: others' than of the reads from @first on,
 * before @end; and @late of those.
 */
static unsigned int changes(const uint8_t *snapshot, unsigned int first,
			    unsigned int end, unsigned int *late)
{
	unsigned int wrong = 0;

	for (uint64_t at = 0; at < WIDTH; at += 4) {
		uint32_t now = *(volatile uint32_t *)(lender->seen + at), then;
		uint64_t page = CHUNK / PAGE - 1 - at / (2 * PAGE);

		memcpy(&then, snapshot + at, 4);
		if (now == then)
			continue;
		if (at % (2 * PAGE) < PAGE &&
		    is_of_reads(page * PAGE + at % PAGE, now, first, end))
			++*late;
		else
			wrong++;
	}
	return wrong;
}

/* ---- What takes memory away ------------------------------------------- */

static int put(unsigned int at, unsigned int n, uint32_t value)
{
	return barter_device_config_write(lender->device, at, &value, n);
}

static uint32_t get(unsigned int at, unsigned int n)
{
	uint32_t value = 0;

	barter_device_config_read(lender->device, at, &value, n);
	return value;
}

static unsigned int capability(unsigned int id)
{
	unsigned int at = get(PCI_CAPABILITY_LIST, 1);

	while (at && get(at, 1) != id)
		at = get(at + 1, 1);
	return at;
}

static int reset(void)
{
	return barter_device_reset(lender->device);
}

static int memory_off(void)
{
	return barter_device_set_memory(lender->device, 0);
}

static int memory_on(void)
{
	return barter_device_set_memory(lender->device, 1);
}

static int low_power(void)
{
	return barter_device_set_low_power(lender->device, 1);
}

static int low_power_over(void)
{
	int ret = barter_device_set_low_power(lender->device, 0);

	return ret ? ret : memory_on();
}

static int power(unsigned int state)
{
	unsigned int at = capability(PCI_CAP_ID_PM) + PCI_PM_CTRL;

	return put(at, 2, (get(at, 2) & ~3u) | state);
}

static int d3(void)
{
	return power(3);
}

static int d0(void)
{
	int ret = power(0);

	return ret ? ret : memory_on();
}

static int flr(void)
{
	unsigned int at = capability(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;

	return put(at, 2, get(at, 2) | PCI_EXP_DEVCTL_BCR_FLR);
}

static int end_of_buffer(void)
{
	return barter_buffer_revoke(lender->device, lender->fd);
}

static int closing(void)
{
	barter_device_close(lender->device);
	lender->device = NULL;
	return 0;
}

static void *unbinding(void *arg)
{
	*(int *)arg = sysfs_put(lender->bdf, "/sys/bus/pci/devices/%s/driver/unbind",
				lender->bdf);
	return arg;
}

/* Root unbinds the device; whoever has it is asked to let go, and does. */
static int unbind(void)
{
	struct pollfd request = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	pthread_t thread;
	int ret, unbound = -EIO;

	ret = barter_device_on_request(lender->device, request.fd);
	if (ret)
		return ret;
	pthread_create(&thread, NULL, unbinding, &unbound);
	if (poll(&request, 1, 20000) != 1)
		ret = -ETIMEDOUT;
	closing();
	pthread_join(thread, NULL);
	close(request.fd);
	return ret ? ret : unbound;
}

/* driver_override is still the lender. */
static int bind_again(void)
{
	return sysfs_put(lender->bdf, "/sys/bus/pci/drivers_probe");
}

/* The kernel's own doing, for which the library does nothing. */
static int kernels_reset(void)
{
	return ioctl(barter_device_fd(lender->device), VFIO_DEVICE_RESET) ? -errno : 0;
}

static int kernels_memory_off(void)
{
	struct barter_region config;
	uint16_t command = (uint16_t)(get(PCI_COMMAND, 2) & ~PCI_COMMAND_MEMORY);
	int ret = barter_device_region(lender->device, VFIO_PCI_CONFIG_REGION_INDEX,
				       &config);

	if (ret)
		return ret;
	return pwrite(barter_device_fd(lender->device), &command, 2,
		      (off_t)config.offset + PCI_COMMAND) == 2 ? 0 : -errno;
}

static const struct cause {
	const char *name;
	int (*begin)(void);
	int (*end)(void);
	int after;		/* the buffer's state when all is over */
	unsigned int rounds;
	struct lender *lender;
	bool kernel;		/* needs an iommufd, which hears of it */
} causes[] = {
	{ "reset", reset, NULL, BARTER_STATE_OK, 150, &mem, false },
	{ "memory off", memory_off, memory_on, BARTER_STATE_OK, 200, &mem, false },
	{ "low power", low_power, low_power_over, BARTER_STATE_OK, 100, &mem, false },
	{ "the buffer's end", end_of_buffer, NULL, BARTER_STATE_DEAD, 200, &mem, false },
	{ "close", closing, NULL, BARTER_STATE_DEAD, 150, &mem, false },
	{ "unbind", unbind, bind_again, BARTER_STATE_DEAD, 40, &mem, false },
	{ "D3hot", d3, d0, BARTER_STATE_OK, 80, &cmb, false },
	{ "memory of the CMB off", memory_off, memory_on, BARTER_STATE_OK, 50, &cmb, false },
	{ "function level reset", flr, memory_on, BARTER_STATE_OK, 20, &cmb, false },
	{ "reset of the CMB's device", reset, memory_on, BARTER_STATE_OK, 20, &cmb, false },
	{ "a reset behind the library's back", kernels_reset, NULL, BARTER_STATE_OK,
	  50, &mem, true },
	{ "memory off behind the library's back", kernels_memory_off, memory_on,
	  BARTER_STATE_OK, 50, &mem, true },
};

#define CAUSES	(sizeof(causes) / sizeof(*causes))

/* ---- Rounds ----------------------------------------------------------- */

struct forced {
	bool memory;
	unsigned int power;
};

/* The power state, past VFIO; @state: another one. */
static unsigned int raw_power(int state)
{
	unsigned int before = 0;
	uint8_t config[256];
	char path[100];
	int fd, at;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", lender->bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (pread(fd, config, sizeof(config), 0) == sizeof(config)) {
		for (at = config[PCI_CAPABILITY_LIST]; at; at = config[at + 1])
			if (config[at] == PCI_CAP_ID_PM)
				break;
		before = at ? config[at + PCI_PM_CTRL] & 3u : 0;
		config[at + PCI_PM_CTRL] = (uint8_t)state;
		if (at && state >= 0 &&
		    pwrite(fd, config + at + PCI_PM_CTRL, 1, at + PCI_PM_CTRL) != 1)
			diag("the power state cannot be set");
	}
	close(fd);
	return before;
}

/* Decode memory, in D0, whatever VFIO thinks; and back. */
static struct forced force_memory(void)
{
	struct forced was = {
		.memory = pci_raw_command(lender->bdf) & PCI_COMMAND_MEMORY,
		.power = raw_power(-1),
	};

	if (was.power)
		raw_power(0);
	if (!was.memory)
		pci_raw_set_memory(lender->bdf, true);
	return was;
}

static void unforce(struct forced was)
{
	if (!was.memory)
		pci_raw_set_memory(lender->bdf, false);
	if (was.power)
		raw_power((int)was.power);
}

static void look(uint8_t *snapshot)
{
	memcpy(snapshot, (const void *)lender->seen, WIDTH);
}

static unsigned int landed_late;

static const char *one_round(const struct cause *c)
{
	static uint8_t snapshot[WIDTH];
	unsigned int first, end, late = 0;
	const char *wrong = NULL;
	struct forced was;
	int ret;

	if (!lender->device ? !lend(lender) : !barter_peer_is_mapped(lender->peer) &&
	    barter_peer_remap(lender->peer))
		return "no map";
	if (!arrives())
		return "no DMA arrives";
	ret = c->begin();
	first = completed;
	end = begun + 1;	/* that one may have begun and not be counted yet */
	was = force_memory();
	/* At once: what lands from now on is seen. Then what Identify would change. */
	look(snapshot);
	for (unsigned int at = 0; at < PAGE; at += 4)
		*(volatile uint32_t *)(page_of(0) + at) = QUIET;
	memcpy(snapshot + (page_of(0) - lender->seen),
	       (const void *)page_of(0), PAGE);
	if (ret)
		wrong = strerror(-ret);
	else if (!let_run())
		wrong = "the disk stands still";
	else if (changes(snapshot, first, end, &late))
		wrong = "bytes changed";
	landed_late += late > 0;
	look(snapshot);
	unforce(was);
	ret = c->end ? c->end() : 0;
	if (!wrong && ret)
		wrong = "it does not end";
	if (!wrong && state() != c->after)
		wrong = "not the state that is due";
	was = force_memory();
	if (!wrong && (!let_run() || changes(snapshot, 0, 0, &late)))
		wrong = "bytes changed after the restore";
	unforce(was);
	if (c->kernel && barter_peer_remap(lender->peer))
		wrong = "it cannot be mapped again";
	if (c->after == BARTER_STATE_DEAD) {
		if (!wrong && barter_peer_remap(lender->peer) != -EBADFD)
			wrong = "what is dead can be mapped";
		take_down(lender);
	}
	return wrong;
}

static const struct cause *cause;

/* A quarter on slow kernels, and where make check wants to be short. */
static unsigned int nr_rounds(void)
{
	const char *scale = getenv("BARTER_TIME_SCALE");
	const char *seconds = getenv("BARTER_SECONDS");
	unsigned int slow = scale ? (unsigned int)atoi(scale) : 1;

	if (seconds && *seconds && slow < 4)
		slow = 4;
	return slow > 1 ? cause->rounds / slow : cause->rounds;
}

static void rounds(void)
{
	unsigned int done = 0, from = completed, bad = failed;
	const char *wrong = NULL;
	pthread_t thread;

	lender = cause->lender;
	need(lend(lender), "a buffer of %s that the disk reaches", lender->bdf);
	stop = false;
	landed_late = 0;
	pthread_create(&thread, NULL, keep_reading, NULL);
	while (done < nr_rounds() && !wrong) {
		wrong = one_round(cause);
		done += !wrong;
	}
	stop = true;
	pthread_join(thread, NULL);
	ok(done == nr_rounds(), "%u rounds, %s", done,
	   wrong ? wrong : "no byte of later DMA");
	diag("%u reads, of all commands %u failed as the disk says; a read begun before landed in %u rounds",
	     completed - from, failed - bad, landed_late);
	if (lender->device)
		take_down(lender);
}

/* ---- Single looks ----------------------------------------------------- */

static bool fill_disk(void)
{
	for (unsigned int i = 0; i < REGIONS; i++) {
		fill(disk.ram + DATA, i + 1, 0, CHUNK);
		begin(&disk, WRITE, 0, i * (CHUNK / disk.block), CHUNK,
		      RAM_IOVA + DATA);
		if (wait_for(&disk.queues[1]))
			return false;
	}
	return true;
}

/* Region @i of the disk by DMA: in its places, and nowhere else. */
static bool lands(unsigned int i)
{
	bool good = true;

	for (size_t at = 0; at < WIDTH; at += 4)
		*(volatile uint32_t *)(lender->seen + at) = QUIET;
	begin(&disk, READ, 0, i * (CHUNK / disk.block), CHUNK, WINDOW_IOVA);
	if (wait_for(&disk.queues[1]))
		return false;
	for (unsigned int p = 0; p < CHUNK / PAGE; p++) {
		volatile uint8_t *page = page_of(p);

		good &= differs(page, i + 1, p * PAGE, PAGE) < 0;
		for (size_t at = PAGE; at < 2 * PAGE; at += 4)
			good &= *(volatile uint32_t *)(page + at) == QUIET;
	}
	return good;
}

static void blocks_land_where_they_should(struct lender *l)
{
	lender = l;
	need(lend(l), "a buffer of %s that the disk reaches", l->bdf);
	ok(lands(3), "a read lands in 16 scattered pages, and nowhere else");
	fill(page_of(5), 99, 0, PAGE);
	begin(&disk, WRITE, 0, REGIONS * (CHUNK / disk.block), CHUNK, WINDOW_IOVA);
	is_errno(wait_for(&disk.queues[1]), 0, "a write from there");
	begin(&disk, READ, 0, REGIONS * (CHUNK / disk.block), CHUNK, RAM_IOVA + DATA);
	is_errno(wait_for(&disk.queues[1]), 0, "a read of it into RAM");
	ok(differs(disk.ram + DATA, 4, 0, 5 * PAGE) < 0 &&
	   differs(disk.ram + DATA + 5 * PAGE, 99, 0, PAGE) < 0 &&
	   differs(disk.ram + DATA + 6 * PAGE, 4, 6 * PAGE, 10 * PAGE) < 0,
	   "every byte came from where it should");
	take_down(l);
}

static void of_a_memory(void)
{
	blocks_land_where_they_should(&mem);
}

static void of_the_disks_own_cmb(void)
{
	blocks_land_where_they_should(&cmb);
}

/* The example as it is: three equal sums, or not 0. */
static int run_example(void *arg)
{
	char *args[] = { "nvme", (char *)disk_bdf, (char *)mem.bdf, "2", "4096",
			 "256+128", "1024+8", "0+64", NULL };

	(void)arg;
	return example_main(8, args);
}

static void the_example(void)
{
	nvme_close(&disk);
	is(in_child(run_example, NULL, 60000), 0, "the example: all sums are equal");
	need(!nvme_open(disk_bdf, disk_way, &disk), "the disk opened again");
	begin(&disk, READ, 0, 4096, 128 * 512, RAM_IOVA + DATA);
	is_errno(wait_for(&disk.queues[1]), 0, "read the copy");
	ok(differs(disk.ram + DATA, 3, 0, CHUNK) < 0, "it is what the extent was");
}

/* Of what is written to configuration space only that which takes memory away counts. */
static void writes_that_take_it_away(void)
{
	unsigned int pm, express;

	lender = &cmb;
	need(lend(lender), "a buffer");
	pm = capability(PCI_CAP_ID_PM) + PCI_PM_CTRL;
	express = capability(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
	need(pm > PCI_PM_CTRL && express > PCI_EXP_DEVCTL, "both capabilities");
	put(PCI_COMMAND, 2, get(PCI_COMMAND, 2));
	put(pm, 2, get(pm, 2));
	put(express, 2, get(express, 2));
	put(PCI_CACHE_LINE_SIZE, 1, 0);
	is(barter_peer_is_mapped(lender->peer), 1, "what changes nothing leaves it");
	put(PCI_COMMAND, 1, get(PCI_COMMAND, 1) & ~2u);
	is(barter_peer_is_mapped(lender->peer), 0, "memory off by a byte");
	is_errno(barter_peer_remap(lender->peer), ENODEV, "no map while it is off");
	memory_on();
	is_errno(barter_peer_remap(lender->peer), 0, "mapped again");
	put(PCI_VENDOR_ID + 2, 4, (get(PCI_COMMAND, 2) & ~2u) << 16);
	is(barter_peer_is_mapped(lender->peer), 0, "memory off by 4 bytes at 2");
	memory_on();
	is_errno(barter_peer_remap(lender->peer), 0, "mapped again");
	put(pm - 4, 4, 0);
	is(barter_peer_is_mapped(lender->peer), 1, "the word before the power state");
	put(pm, 1, 3);
	is(barter_peer_is_mapped(lender->peer), 0, "D3hot by a byte");
	d0();
	is_errno(barter_peer_remap(lender->peer), 0, "mapped again");
	ok(lands(7), "and DMA arrives");
	take_down(lender);
}

static void what_is_refused(void)
{
	struct barter_peer *other;
	int pipes[2];

	lender = &mem;
	need(lend(lender) && !pipe2(pipes, O_CLOEXEC), "a buffer");
	is_errno(barter_peer_map(mem.device, mem.fd, disk.device, WINDOW_IOVA, RW,
				 &other), EEXIST, "an address that is taken");
	is_errno(barter_peer_map(mem.device, mem.fd, disk.device, 12, RW, &other),
		 EINVAL, "an address that is none");
	is_errno(barter_peer_map(mem.device, mem.fd, disk.device, -4096ull, RW,
				 &other), EINVAL, "beyond the end of all");
	is_errno(barter_peer_map(mem.device, mem.fd, disk.device, 0x20000000, 0,
				 &other), EINVAL, "no access");
	is_errno(barter_peer_map(mem.device, pipes[0], disk.device, 0x20000000, RW,
				 &other), EINVAL, "not a buffer");
	is_errno(barter_peer_map(disk.device, mem.fd, disk.device, 0x20000000, RW,
				 &other), ENODEV, "another device's buffer");
	is_errno(barter_peer_map(mem.device, mem.fd, disk.device, 0x20000000, RW,
				 &other), 0, "twice, at two addresses");
	barter_buffer_revoke(mem.device, mem.fd);
	is(barter_peer_is_mapped(other) | barter_peer_is_mapped(mem.peer), 0,
	   "the end of the buffer takes both");
	barter_peer_unmap(other);
	close(pipes[0]);
	close(pipes[1]);
	take_down(lender);
}

static void the_disk_goes_first(void)
{
	lender = &mem;
	need(lend(lender), "a buffer");
	nvme_close(&disk);
	is_errno(barter_device_reset(mem.device), 0, "a reset, with the disk closed");
	is(barter_peer_is_mapped(mem.peer), 0, "nothing is mapped");
	is(state(), BARTER_STATE_OK, "the buffer is back");
	take_down(lender);
	ok(!nvme_open(disk_bdf, disk_way, &disk), "the disk opened again");
}

/* Why the library does it, and that bytes which get through are seen. */
static void a_container_alone_knows_no_revoke(void)
{
	void *map;
	int ret;

	lender = &mem;
	need(lend(lender) && !barter_peer_unmap(lender->peer) &&
	     !barter_buffer_map(lender->fd, 0, 0, RW, &map), "a buffer and its mmap");
	lender->peer = NULL;
	ret = barter_device_dma_map(disk.device, map, CHUNK, WINDOW_IOVA, RW);
	if (barter_device_is_cdev(disk.device)) {
		ok(ret < 0, "an iommufd takes no mmap of device memory: %s",
		   strerror(-ret));
	} else {
		is_errno(ret, 0, "MAP_DMA of the mmap");
		is_errno(memory_off(), 0, "memory off");
		is_errno(memory_on(), 0, "memory on");
		ok(lands(9), "DMA still arrives");
		is_errno(barter_buffer_revoke(mem.device, mem.fd), 0, "the buffer's end");
		ok(lands(10), "and still");
		is_errno(barter_device_dma_unmap(disk.device, WINDOW_IOVA, CHUNK), 0,
			 "until it is unmapped");
		ok(!lands(11), "then no more");
	}
	barter_unmap(map, CHUNK);
	take_down(lender);
}

static const char *need_variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : (tap_bail("no %s in this machine", name), NULL);
}

int main(void)
{
	disk_bdf = need_variable("VM_NVME");
	mem.bdf = need_variable("VM_VRAM0");
	cmb.bdf = need_variable("VM_CMB");
	if (pci_bind(disk_bdf, "vfio-pci") || pci_bind(mem.bdf, pci_lender()) ||
	    pci_bind(cmb.bdf, pci_lender()) || !observe(&mem) || !observe(&cmb))
		tap_bail("the devices cannot be bound and seen");
	if (barter_device_open(mem.bdf, 0, &mem.device))
		tap_bail("%s cannot be opened", mem.bdf);
	disk_way = importers_way(mem.device);
	barter_device_close(mem.device);
	if (nvme_open(disk_bdf, disk_way, &disk) || !fill_disk())
		tap_bail("the disk cannot be driven");
	diag("the disk is in %s", barter_device_is_cdev(disk.device) ?
	     "an iommufd" : "a type 1 container");
	CASE(of_a_memory);
	CASE(of_the_disks_own_cmb);
	CASE(the_example);
	CASE(a_container_alone_knows_no_revoke);
	CASE(writes_that_take_it_away);
	CASE(what_is_refused);
	CASE(the_disk_goes_first);
	for (unsigned int i = 0; i < CAUSES; i++) {
		cause = &causes[i];
		if (!cause->kernel || barter_device_is_cdev(disk.device))
			tap_case(cause->name, rounds, 400);
	}
	nvme_close(&disk);
	return tap_done();
}
