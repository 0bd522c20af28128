// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory for what a guest asks of its vEDU: open and close, VFIO's questions,
 * interrupts, reset, reads and writes of its regions.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/tester.h"
#include "../lib/watch.h"
#include "fault_vedu.h"

/* ---- questions ---- */

static int call_info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(g.d.fd, VFIO_DEVICE_GET_INFO, &info) ? -errno :
	       info.num_regions == VFIO_PCI_NUM_REGIONS	  ? 0 :
							    -EIO;
}

static int call_region_info(void)
{
	struct vfio_region_info info;

	return dev_region(&g.d, VFIO_PCI_BAR2_REGION_INDEX, &info) ?:
		       info.size == VEDU_BAR2			   ? 0 :
								     -EIO;
}

static int call_irq_info(void)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_MSI_IRQ_INDEX,
	};

	return ioctl(g.d.fd, VFIO_DEVICE_GET_IRQ_INFO, &info) ? -errno : info.count == 1 ? 0 : -EIO;
}

/* ---- interrupts ---- */

static int event;

static int set_irq(uint32_t flags, int fd)
{
	struct {
		struct vfio_irq_set h;
		int32_t fd;
	} arg = {
		.h = { .argsz = sizeof(arg),
		       .flags = flags | VFIO_IRQ_SET_ACTION_TRIGGER,
		       .index = VFIO_PCI_MSI_IRQ_INDEX,
		       .count = 1 },
		.fd = fd,
	};

	return ioctl(g.d.fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0;
}

static int call_set_irq(void)
{
	return set_irq(VFIO_IRQ_SET_DATA_EVENTFD, event);
}

static bool whole_set_irq(int ret)
{
	bool fine = !set_irq(VFIO_IRQ_SET_DATA_NONE, -1) && event_take(event, 1000) == 1;

	(void)ret;
	return !set_irq(VFIO_IRQ_SET_DATA_EVENTFD, g.irq) && fine;
}

static int call_raise_irq(void)
{
	return set_irq(VFIO_IRQ_SET_DATA_NONE, -1);
}

static bool whole_raise_irq(int ret)
{
	(void)ret;
	return event_take(g.irq, 1000);
}

/* ---- regions ---- */

static uint8_t data[256];

static int read_at(uint64_t offset, size_t n)
{
	ssize_t done = pread(g.d.fd, data, n, (off_t)offset);

	return done < 0 ? -errno : (size_t)done == n ? 0 : -EIO;
}

static int write_at(uint64_t offset, size_t n)
{
	ssize_t done = pwrite(g.d.fd, data, n, (off_t)offset);

	return done < 0 ? -errno : (size_t)done == n ? 0 : -EIO;
}

static int call_read_config(void)
{
	return read_at(g.d.config, sizeof(data));
}

static int call_read_bar0(void)
{
	return read_at(g.d.offset[0] + BARTER_VEDU_RING, sizeof(data));
}

static int call_read_bar2(void)
{
	return read_at(g.d.offset[2] + 3 * PAGE, sizeof(data));
}

static bool whole_read_bar2(int ret)
{
	(void)ret;
	return differs(data, SEED, 3 * PAGE, sizeof(data)) < 0;
}

static void fill_data(void)
{
	fill(data, SEED, 3 * PAGE, sizeof(data));
}

static int call_write_bar2(void)
{
	return write_at(g.d.offset[2] + 3 * PAGE, sizeof(data));
}

static int call_write_bar0(void)
{
	return write_at(g.d.offset[0] + BARTER_VEDU_RING, 64);
}

static void questions(void)
{
	static const struct fault_call calls[] = {
		{ .name = "device info", .call = call_info, .none = true },
		{ .name = "region info", .call = call_region_info, .none = true },
		{ .name = "interrupt info", .call = call_irq_info, .none = true },
		{ .name = "set an interrupt",
		  .call = call_set_irq,
		  .whole = whole_set_irq,
		  .none = true },
		{ .name = "raise an interrupt",
		  .call = call_raise_irq,
		  .whole = whole_raise_irq,
		  .none = true },
		{ .name = "read config space", .call = call_read_config, .none = true },
		{ .name = "read BAR 0", .call = call_read_bar0, .none = true },
		{ .name = "write BAR 0", .call = call_write_bar0, .none = true },
		{ .name = "read BAR 2",
		  .call = call_read_bar2,
		  .whole = whole_read_bar2,
		  .none = true },
		{ .name = "write BAR 2",
		  .before = fill_data,
		  .call = call_write_bar2,
		  .whole = whole_read_bar2,
		  .none = true },
	};

	guest_up(false);
	event = event_new();
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	close(event);
	guest_down();
}

/* ---- a buffer in use, and what takes it away ---- */

static int buf = -1, importers, id, watches;
static volatile uint8_t *map;

static void use(void)
{
	buf = buf_export1(&g.d, 2, 0, 8 * PAGE);
	map = buf_map(buf, 0, 8 * PAGE, RW);
	importers = tester_open();
	id = tester_attach(importers, buf, 0);
	watches = watch_file();
	event = event_new();
	if (!map || !lend_shows(map, 0) || id < 0 ||
	    tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL) ||
	    watch_begin(watches, buf, event, NULL))
		tap_bail("no buffer in use to begin with");
}

static void unuse(void)
{
	close(event);
	close(watches);
	close(importers);
	munmap((void *)map, 8 * PAGE);
	close(buf);
	buf = -1;
}

static bool is_taken(int state)
{
	uint32_t v;

	return buf_state(buf) == state && peek(map, &v) == SIGBUS &&
	       !tester_stat(importers, id).out_mapped && event_take(event, 10000);
}

static bool is_back(void)
{
	return buf_state(buf) == BARTER_STATE_OK && lend_shows(map, 0) &&
	       !tester_map(importers, id, BARTER_TEST_TO_DEVICE, NULL);
}

static int call_memory_off(void)
{
	return dev_set_memory(&g.d, false);
}

static bool whole_memory_off(int ret)
{
	bool fine = is_taken(BARTER_STATE_REVOKED);

	(void)ret;
	return !dev_set_memory(&g.d, true) && is_back() && fine;
}

static int call_reset(void)
{
	return dev_reset(&g.d);
}

static bool whole_reset(int ret)
{
	bool fine = !tester_stat(importers, id).out_mapped && event_take(event, 10000) &&
		    vedu_get(&g, BARTER_VEDU_TAIL) == 0;

	(void)ret;
	return is_back() && fine;
}

static void revokes(void)
{
	static const struct fault_call calls[] = {
		{ .name = "memory off",
		  .before = use,
		  .call = call_memory_off,
		  .whole = whole_memory_off,
		  .after = unuse,
		  .none = true,
		  .moves = true },
		{ .name = "reset",
		  .before = use,
		  .call = call_reset,
		  .whole = whole_reset,
		  .after = unuse,
		  .none = true,
		  .moves = true },
	};

	guest_up(false);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	guest_down();
}

/* ---- open and close ---- */

/* It works, and BAR 2 is empty. */
static bool whole_open(int fd)
{
	bool fine;

	fine = !dev_set_memory(&g.d, true) && vedu_get(&g, BARTER_VEDU_ID) == BARTER_VEDU_MAGIC &&
	       !call_read_bar2();
	for (unsigned int i = 0; i < sizeof(data); i++)
		fine = fine && !data[i];
	close(fd);
	g.d.fd = -1;
	return fine;
}

static void open_and_use(void)
{
	volatile uint8_t *p;

	if (guest_reopen() < 0 || dev_set_memory(&g.d, true))
		tap_bail("open: %s", strerror(errno));
	p = mmap(NULL, PAGE, RW, MAP_SHARED, g.d.fd, (off_t)g.d.offset[2]);
	fill(p, SEED, 0, PAGE);
	munmap((void *)p, PAGE);
	use();
}

static int call_close(void)
{
	return close(g.d.fd) ? -errno : 0;
}

static bool whole_close(int ret)
{
	bool fine = is_taken(BARTER_STATE_DEAD);

	(void)ret;
	g.d.fd = -1;
	unuse();
	open_and_use();
	return fine;
}

static void close_used(void)
{
	unuse();
	close(g.d.fd);
	g.d.fd = -1;
}

static void open_and_close(void)
{
	static const struct fault_call calls[] = {
		{ .name = "open",
		  .call = guest_reopen,
		  .whole = whole_open,
		  .least = 3,
		  .fails = 2 },
		{ .name = "close while BAR 2 is lent",
		  .before = open_and_use,
		  .call = call_close,
		  .whole = whole_close,
		  .after = close_used,
		  .none = true,
		  .moves = true },
	};

	guest_up(false);
	close(g.d.fd);
	g.d.fd = -1;
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		fault_sweep(&calls[i]);
	guest_down();
}

void call_cases(void)
{
	CASE_LIMIT(questions, 120);
	CASE_LIMIT(revokes, 120);
	CASE_LIMIT(open_and_close, 180);
}
