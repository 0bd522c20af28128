// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Causes within causes. A model says which reasons hold; the state must agree
 * with it after each of some hundred steps in any order.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/cause.h"
#include "lib/fixture.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	41

static int old_fd;			/* exported at the start */
static volatile uint8_t *old_map;
static bool memory, low;		/* the model */

static unsigned int wanted(void)
{
	return (memory ? 0 : BARTER_REASON_MEMORY) |
		(low ? BARTER_REASON_LOW_POWER : 0);
}

static bool agrees(int fd, volatile uint8_t *map, const char *after)
{
	unsigned int want = wanted(), got = buf_reasons(fd);
	int state = buf_state(fd), sig;
	uint32_t v = 0;

	sig = peek(map, &v);
	if (got == want &&
	    state == (want ? BARTER_STATE_REVOKED : BARTER_STATE_OK) &&
	    sig == (want ? SIGBUS : 0) &&
	    (sig || v == pattern(SEED, 0)))
		return true;
	diag("after %s: reasons %#x, want %#x; state %s; access gives %d",
	     after, got, want, state_name(state), sig);
	return false;
}

static void start(void)
{
	old_fd = buf_export1(&mem, BAR, 0, PAGE);
	old_map = buf_map(old_fd, 0, PAGE, RW);
	if (!old_map)
		tap_bail("export and mmap");
	memory = true;
	low = false;
}

static void finish(void)
{
	munmap((void *)old_map, PAGE);
	close(old_fd);
	dev_feature_set(&mem, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	dev_set_memory(&mem, true);
}

enum step {
	MEM_OFF, MEM_ON, LOW_ENTER, LOW_EXIT, RESET, HOT_RESET, SYSFS_RESET,
	STEPS
};

static const char *const step_names[] = {
	"memory off", "memory on", "low power", "low power exit",
	"VFIO_DEVICE_RESET", "hot reset", "sysfs reset",
};

static bool take(enum step step)
{
	static const unsigned int features[] = {
		VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
		VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	};
	int ret = 0;

	switch (step) {
	case MEM_OFF:
	case MEM_ON:
		ret = dev_set_memory(&mem, step == MEM_ON);
		memory = step == MEM_ON;
		break;
	case LOW_ENTER:
		ret = dev_feature_set(&mem, features[0]);
		/* A second entry is an error, and changes nothing. */
		if (low)
			ret = ret == -EINVAL ? 0 : -EPROTO;
		low = true;
		break;
	case LOW_EXIT:
		ret = dev_feature_set(&mem, features[1]);
		low = false;
		break;
	case RESET:
		ret = dev_reset(&mem);
		break;
	case HOT_RESET:
		ret = dev_hot_reset(&mem);
		break;
	default:
		ret = pci_reset(mem.bdf);
	}
	if (ret)
		diag("%s: %s", step_names[step], strerror(-ret));
	return !ret && agrees(old_fd, old_map, step_names[step]);
}

static void sequence(const char *name, const enum step *steps, unsigned int n)
{
	bool good = true;

	start();
	for (unsigned int i = 0; i < n && good; i++)
		good = take(steps[i]);
	ok(good, "%s", name);
	finish();
}

#define SEQUENCE(name, ...)						\
	do {								\
		static const enum step steps_[] = { __VA_ARGS__ };	\
									\
		sequence(name, steps_, sizeof(steps_) / sizeof(*steps_)); \
	} while (0)

static void known_orders(void)
{
	SEQUENCE("reset while memory is off", MEM_OFF, RESET, MEM_ON);
	SEQUENCE("hot reset while memory is off", MEM_OFF, HOT_RESET, MEM_ON);
	SEQUENCE("sysfs reset while memory is off", MEM_OFF, SYSFS_RESET,
		 MEM_ON);
	SEQUENCE("reset in low power", LOW_ENTER, RESET, LOW_EXIT);
	SEQUENCE("sysfs reset in low power", LOW_ENTER, SYSFS_RESET, LOW_EXIT);
	SEQUENCE("COMMAND written in low power", LOW_ENTER, MEM_ON, LOW_EXIT);
	SEQUENCE("memory off and on in low power", LOW_ENTER, MEM_OFF, MEM_ON,
		 LOW_EXIT);
	SEQUENCE("low power ends first", MEM_OFF, LOW_ENTER, LOW_EXIT, MEM_ON);
	SEQUENCE("memory comes first", MEM_OFF, LOW_ENTER, MEM_ON, LOW_EXIT);
	SEQUENCE("low power twice", LOW_ENTER, LOW_ENTER, LOW_EXIT, LOW_EXIT);
	SEQUENCE("exit without entry", LOW_EXIT, MEM_OFF, LOW_EXIT, MEM_ON);
	SEQUENCE("memory off twice", MEM_OFF, MEM_OFF, MEM_ON, MEM_ON);
	SEQUENCE("all at once", MEM_OFF, LOW_ENTER, RESET, HOT_RESET,
		 SYSFS_RESET, MEM_ON, RESET, LOW_EXIT);
}

static void any_order(void)
{
	unsigned int counts[STEPS] = { 0 };
	bool good = true;
	int i;

	srandom(4711);
	start();
	for (i = 0; i < 400 && good; i++) {
		enum step step = (enum step)(random() % STEPS);
		volatile uint8_t *map;
		int fd;

		/* The model and the device are asked about resets less often. */
		if (step >= RESET && random() % 2)
			step = (enum step)(random() % RESET);
		counts[step]++;
		good = take(step);
		if (i % 8)
			continue;
		/* Whatever is born now has the reasons of now. */
		fd = buf_export1(&mem, BAR, 0, PAGE);
		map = buf_map(fd, 0, PAGE, RW);
		good &= map && agrees(fd, map, "an export");
		munmap((void *)map, PAGE);
		close(fd);
	}
	ok(good, "%d steps", i);
	for (i = 0; i < STEPS; i++)
		diag("%s: %u", step_names[i], counts[i]);
	finish();
}

static void export_in_low_power(void)
{
	volatile uint8_t *map;
	uint32_t v;
	int fd;

	start();
	need(take(LOW_ENTER), "low power");
	fd = buf_export1(&mem, BAR, 0, PAGE);
	is_errno(fd, 0, "export");
	map = buf_map(fd, 0, PAGE, RW);
	is(buf_state(fd), BARTER_STATE_REVOKED, "is born REVOKED");
	is(buf_reasons(fd), BARTER_REASON_LOW_POWER, "for low power");
	is(peek(map, &v), SIGBUS, "access faults");
	ok(take(LOW_EXIT), "exit");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	is(peek(map, &v), 0, "access works");
	munmap((void *)map, PAGE);
	close(fd);
	finish();
}

/* Low power with wakeup needs an eventfd and behaves alike. */
static void wakeup_probe(void)
{
	int ret = dev_feature_set(&mem,
			VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);

	start();
	is_errno(ret, EINVAL, "without its data");
	ok(agrees(old_fd, old_map, "a refused entry"), "nothing changed");
	finish();
}

int main(void)
{
	fixture_open();
	fill(bar, SEED, 0, MIB);
	CASE(known_orders);
	CASE_LIMIT(any_order, 120);
	CASE(export_in_low_power);
	CASE(wakeup_probe);
	return tap_done();
}
