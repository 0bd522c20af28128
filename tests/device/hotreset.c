// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Two devices that are reset together: a hot reset through either takes both
 * devices' buffers, also when the sibling belongs to stock vfio-pci.
 * For the machine whose two ivshmem devices share a group.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/fixture.h"
#include "lib/stall.h"
#include "lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)

static char names[2][BDF_LENGTH];
static struct dev devs[2];

static void find_devices(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		char variable[16];

		snprintf(variable, sizeof(variable), "VM_VRAM%u", i);
		if (!getenv(variable))
			tap_bail("%s is not set", variable);
		snprintf(names[i], BDF_LENGTH, "%.15s", getenv(variable));
	}
	if (pci_group(names[0]) != pci_group(names[1]))
		tap_bail("the two devices are not in one group");
}

static bool open_both(const char *first, const char *second)
{
	return !pci_bind(names[0], first) && !pci_bind(names[1], second) &&
		!dev_open_bound(&devs[0], names[0]) &&
		!dev_set_memory(&devs[0], true) &&
		!dev_open_in(&devs[1], names[1], &devs[0]);
}

static void close_both(void)
{
	dev_close(&devs[1]);
	dev_close(&devs[0]);
}

struct lent {
	int fd;
	volatile uint8_t *map;
};

static bool lend(struct lent *l, const struct dev *d, uint32_t seed)
{
	volatile uint8_t *reference = dev_map(d, BAR, MIB, PAGE);
	uint32_t v;

	if (!reference)
		return false;
	fill(reference, seed, 0, PAGE);
	munmap((void *)reference, PAGE);
	l->fd = buf_export1(d, BAR, MIB, PAGE);
	l->map = buf_map(l->fd, 0, PAGE, RW);
	return l->map && !peek(l->map, &v) && v == pattern(seed, 0);
}

static void lent_free(struct lent *l)
{
	munmap((void *)l->map, PAGE);
	close(l->fd);
}

static uint64_t generation(int fd)
{
	struct barter_info info;

	buf_info(fd, &info);
	return info.out_generation;
}

static uint64_t faults(int fd)
{
	struct barter_info info;

	buf_info(fd, &info);
	return info.out_faults_pte + info.out_faults_pmd;
}

/* Was it taken away and given back, bytes included? */
static void was_revoked(const struct lent *l, uint64_t gen, uint64_t before,
			uint32_t seed, const char *which)
{
	ok(generation(l->fd) >= gen + 2, "%s: away and back", which);
	is(buf_state(l->fd), BARTER_STATE_OK, "%s: OK", which);
	is(differs(l->map, seed, 0, PAGE), -1, "%s: the same bytes", which);
	ok(faults(l->fd) > before, "%s: the mapping was taken away", which);
}

static void through_either(void)
{
	struct lent l[2];

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	for (int i = 0; i < 2; i++) {
		uint64_t gen[2] = { generation(l[0].fd), generation(l[1].fd) };
		uint64_t before[2] = { faults(l[0].fd), faults(l[1].fd) };

		is_errno(dev_hot_reset(&devs[i]), 0, "hot reset through %d", i);
		was_revoked(&l[0], gen[0], before[0], 61, "the first");
		was_revoked(&l[1], gen[1], before[1], 62, "the second");
	}
	lent_free(&l[0]);
	lent_free(&l[1]);
	close_both();
}

/* Memory of one is off: the reset of both gives back the other's only. */
static void one_is_off(void)
{
	struct lent l[2];
	uint32_t v;

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	dev_set_memory(&devs[1], false);
	is(buf_state(l[0].fd), BARTER_STATE_OK, "the other is not touched");
	for (int i = 0; i < 2; i++) {
		is_errno(dev_hot_reset(&devs[i]), 0, "hot reset through %d", i);
		is(buf_state(l[0].fd), BARTER_STATE_OK, "first is OK");
		is(peek(l[0].map, &v), 0, "first can be read");
		is(buf_state(l[1].fd), BARTER_STATE_REVOKED, "second REVOKED");
		is(buf_reasons(l[1].fd), BARTER_REASON_MEMORY, "for MEMORY");
	}
	dev_set_memory(&devs[1], true);
	is(differs(l[1].map, 62, 0, PAGE), -1, "second is back");
	lent_free(&l[0]);
	lent_free(&l[1]);
	close_both();
}

static void sibling_on_stock_driver(void)
{
	for (int lender = 0; lender < 2; lender++) {
		const struct dev *d = &devs[lender];
		struct lent l;

		need(open_both(lender ? "vfio-pci" : pci_lender(),
			       lender ? pci_lender() : "vfio-pci"),
		     "lender %d: open both", lender);
		need(lend(&l, d, 63), "lender %d: a buffer", lender);
		for (int i = 0; i < 2; i++) {
			uint64_t gen = generation(l.fd);
			uint64_t before = faults(l.fd);

			is_errno(dev_hot_reset(&devs[i]), 0,
				 "lender %d: hot reset through %d", lender, i);
			was_revoked(&l, gen, before, 63, "the lender's");
		}
		lent_free(&l);
		close_both();
	}
}

/* Without the group's fd nothing is reset, and nothing is lost. */
static void refused_reset(void)
{
	struct vfio_pci_hot_reset none = { .argsz = sizeof(none) };
	struct lent l[2];

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &none), -1,
	   "hot reset without a group is refused");
	none.argsz = 4;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &none), -1,
	   "a truncated request is refused");
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, NULL), -1,
	   "a bad pointer is refused");
	is(dev_reset(&devs[0]) < 0, 1, "VFIO_DEVICE_RESET is refused");
	for (int i = 0; i < 2; i++) {
		is(buf_state(l[i].fd), BARTER_STATE_OK, "%d is OK", i);
		is(differs(l[i].map, 61 + (uint32_t)i, 0, PAGE), -1,
		   "%d has its bytes", i);
		lent_free(&l[i]);
	}
	close_both();
}

/* Closing one is no matter of the other's. */
static void close_one(void)
{
	struct lent l[2];
	uint32_t v;

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	dev_close(&devs[1]);
	is(buf_state(l[1].fd), BARTER_STATE_DEAD, "the closed one's is DEAD");
	is(peek(l[1].map, &v), SIGBUS, "and faults");
	is(buf_state(l[0].fd), BARTER_STATE_OK, "the other's is OK");
	is(differs(l[0].map, 61, 0, PAGE), -1, "and has its bytes");
	/* The last close resets the set, with the closed sibling in it. */
	dev_close(&devs[0]);
	is(buf_state(l[0].fd), BARTER_STATE_DEAD, "now both are DEAD");
	is(buf_state(l[1].fd), BARTER_STATE_DEAD, "for ever");
	lent_free(&l[0]);
	lent_free(&l[1]);
}

/* Both at once, from two threads: no deadlock, and all is well at the end. */
static void *resets(void *arg)
{
	for (int i = 0; i < 20; i++)
		dev_hot_reset(arg);
	return NULL;
}

static void at_the_same_time(void)
{
	struct lent l[2];
	pthread_t t[2];

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, resets, &devs[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		is(buf_state(l[i].fd), BARTER_STATE_OK, "%d is OK", i);
		is(buf_reasons(l[i].fd), 0, "%d has no reason left", i);
		is(differs(l[i].map, 61 + (uint32_t)i, 0, PAGE), -1,
		   "%d has its bytes", i);
		lent_free(&l[i]);
	}
	close_both();
}

static int reset_first(void *unused)
{
	(void)unused;
	return -dev_hot_reset(&devs[0]);
}

/*
 * An importer of the sibling does not let go: the caller can still be killed,
 * nothing was reset, and neither device's lock is held meanwhile.
 */
static void stuck_sibling(void)
{
	struct barter_info info;
	struct lent l[2];
	int t, id, status;
	bool waits, dead;
	uint16_t command;
	int64_t took;
	uint32_t v;
	pid_t pid;

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	t = tester_open();
	id = tester_attach(t, l[1].fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "an importer of the second");

	pid = spawn(reset_first, NULL);
	WAIT_FOR(waits, buf_state(l[1].fd) == BARTER_STATE_REVOKING, 5000);
	ok(waits, "a hot reset through the first waits for it");
	buf_info(l[1].fd, &info);
	ok(strstr(info.out_blocker, edu_bdf()), "it is named: %s",
	   info.out_blocker);
	is(pread(devs[1].fd, &command, 2, (off_t)devs[1].config + 4), 2,
	   "the second's config space can be read meanwhile");
	/* A fault takes the device's memory lock. The first may have its turn yet. */
	took = now_ms();
	is(peek(l[1].map, &v), SIGBUS, "access to the second's buffer faults meanwhile");
	peek(l[0].map, &v);
	took = now_ms() - took;
	ok(took < 5000, "faults wait for nobody: %d ms", (int)took);
	kill(pid, SIGKILL);
	status = reap(pid, 5000);
	dead = status != -ETIMEDOUT;
	ok(dead, "the caller can be killed");
	is(buf_state(l[0].fd), BARTER_STATE_OK, "the first is given back");
	is(buf_state(l[1].fd), BARTER_STATE_REVOKED, "the second stays away");
	is(buf_reasons(l[1].fd), BARTER_REASON_INTERRUPTED, "as interrupted");

	is_errno(tester_letgo(t, id), 0, "it lets go");
	if (!dead)
		reap(pid, 10000);
	is_errno(dev_hot_reset(&devs[0]), 0, "another hot reset");
	is(buf_state(l[1].fd), BARTER_STATE_OK, "the second is back");
	is(differs(l[1].map, 62, 0, PAGE), -1, "with its bytes");
	close(t);
	lent_free(&l[0]);
	lent_free(&l[1]);
	close_both();
}

/*
 * While a reset waits for an importer, the sibling is unbound: then VFIO has not
 * the whole bus any more, and nothing may be reset.
 */
static void sibling_leaves_meanwhile(void)
{
	int t, id, status;
	struct lent l;
	bool waits;
	pid_t pid;

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l, &devs[0], 65), "a buffer of the first");
	dev_close(&devs[1]);
	t = tester_open();
	id = tester_attach(t, l.fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
	     "an importer of it");

	pid = spawn(reset_first, NULL);
	WAIT_FOR(waits, buf_state(l.fd) == BARTER_STATE_REVOKING, 5000);
	ok(waits, "a hot reset waits for it");
	is_errno(pci_unbind(names[1]), 0, "the sibling is unbound");
	is_errno(tester_letgo(t, id), 0, "the importer lets go");
	status = reap(pid, 10000);
	is(WIFEXITED(status) ? WEXITSTATUS(status) : -1, EINVAL,
	   "the reset is refused");
	is(buf_state(l.fd), BARTER_STATE_OK, "the buffer is given back");
	is(differs(l.map, 65, 0, PAGE), -1, "with its bytes");
	close(t);
	lent_free(&l);
	dev_close(&devs[0]);
}

static int bind_second(void *unused)
{
	(void)unused;
	dev_close(&devs[0]);
	return pci_bind(names[1], pci_lender()) ? 1 : 0;
}

/*
 * While a reset waits for an importer, the sibling is just being bound, and that fails: it
 * was in the set for a moment, and then it is freed.
 */
static void sibling_fails_to_bind(void)
{
	pid_t binds, resets;
	bool held, waits;
	int t, id;
	struct lent l;

	if (access("/proc/self/fail-nth", F_OK)) {
		skip("only debug kernels have fault injection", "sibling fails to bind");
		return;
	}
	fault_init();
	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l, &devs[0], 66), "a buffer of the first");
	dev_close(&devs[1]);
	is_errno(pci_unbind(names[1]), 0, "the second has no driver");
	t = tester_open();
	id = tester_attach(t, l.fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL), "an importer");

	stall_at("device_iommu_capable");
	binds = spawn(bind_second, NULL);
	WAIT_FOR(held, stalled() == 1, 5000);
	ok(held, "it is just being bound, and in set and group");
	resets = spawn(reset_first, NULL);
	WAIT_FOR(waits, buf_state(l.fd) == BARTER_STATE_REVOKING, 5000);
	ok(waits, "a hot reset waits for the importer");
	is(stalled(), 1, "and the set had both");
	is_errno(sysfs_write("1", "/proc/%d/fail-nth", (int)binds), 0, "its next allocation fails");
	stall_ends();
	is(reap(binds, 10000) >> 8, 1, "it is not bound");
	stall_at("");
	is_errno(tester_letgo(t, id), 0, "the importer lets go");
	is(reap(resets, 10000) >> 8, EINVAL, "the reset is refused");
	is(buf_state(l.fd), BARTER_STATE_OK, "the buffer is given back");
	close(t);
	lent_free(&l);
	dev_close(&devs[0]);
	is_errno(pci_bind(names[1], pci_lender()), 0, "it can be bound");
}

/* What core will refuse takes no buffer away from anybody, not for a moment. */
static void refused_reset_revokes_nothing(void)
{
	struct {
		struct vfio_pci_hot_reset h;
		int32_t fd;
	} arg = { .h = { .argsz = sizeof(arg), .count = 1 }, .fd = -1 };
	struct vfio_pci_hot_reset none = { .argsz = sizeof(none) };
	struct lent l[2];
	uint64_t gen[2];

	need(open_both(pci_lender(), pci_lender()), "open both");
	need(lend(&l[0], &devs[0], 61) && lend(&l[1], &devs[1], 62),
	     "a buffer of each");
	gen[0] = generation(l[0].fd);
	gen[1] = generation(l[1].fd);
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &none), -1, "no group");
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), -1, "no file");
	arg.fd = l[0].fd;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), -1,
	   "a file that is no group");
	arg.fd = devs[0].group;
	arg.h.flags = 1;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), -1, "a flag");
	arg.h.flags = 0;
	arg.h.argsz = 4;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), -1, "too short");
	arg.h.argsz = sizeof(arg);
	arg.h.count = UINT32_MAX;
	is(ioctl(devs[0].fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), -1, "too many");
	is(generation(l[0].fd), gen[0], "the first never changed");
	is(generation(l[1].fd), gen[1], "the second never changed");
	lent_free(&l[0]);
	lent_free(&l[1]);
	close_both();
}

/* A buffer of the second device, of which nothing else is left. */
static bool lend_and_unbind(struct lent *l)
{
	if (!open_both(pci_lender(), pci_lender()) || !lend(l, &devs[1], 64))
		return false;
	close_both();
	return !pci_unbind(names[1]) &&
		buf_state(l->fd) == BARTER_STATE_DEAD;
}

/* The device that a buffer came from is no part of a later reset. */
static void buffer_outlives_binding(void)
{
	static const char *const drivers[] = { NULL, "vfio-pci" };
	struct lent l;
	uint32_t v;

	for (unsigned int i = 0; i < 2; i++) {
		const char *driver = drivers[i] ? drivers[i] : pci_lender();

		need(lend_and_unbind(&l), "a buffer that outlives its device");
		need(open_both(pci_lender(), driver), "bound again to %s",
		     driver);
		is_errno(dev_hot_reset(&devs[0]), 0, "hot reset, sibling on %s",
			 driver);
		is(buf_state(l.fd), BARTER_STATE_DEAD, "the old one is DEAD");
		is(peek(l.map, &v), SIGBUS, "and faults");
		close_both();
		lent_free(&l);
	}
}

/* ivshmem's IntrMask register: a reset clears it, and nobody restores it. */
static volatile uint32_t *mask_of(const char *bdf)
{
	uint64_t length, flags, start = pci_bar(bdf, 0, &length, &flags);
	char path[64];
	uint8_t *p;
	int fd;

	pci_raw_set_memory(bdf, true);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : (void *)(p + start % PAGE);
}

/* Does closing the first device reset the second? -1 if it can't be told. */
static int close_resets_sibling(void)
{
	volatile uint32_t *mask = mask_of(names[1]);
	uint32_t after;

	if (!mask || dev_open_bound(&devs[0], names[0]))
		return -1;
	*mask = 0x5a;
	if (*mask != 0x5a)
		return -1;
	dev_close(&devs[0]);
	pci_raw_set_memory(names[1], true);
	after = *mask;
	munmap((void *)((uintptr_t)mask & ~(uintptr_t)(PAGE - 1)), PAGE);
	return after == 0 ? 1 : after == 0x5a ? 0 : -1;
}

/* The last close resets the bus only if VFIO has every function on it. */
static void buffer_is_no_title(void)
{
	struct lent l;

	need(lend_and_unbind(&l), "a buffer that outlives its device");
	is(close_resets_sibling(), 0, "a sibling without driver is left alone");
	need(!pci_bind(names[1], pci_lender()), "bind the sibling");
	is(close_resets_sibling(), 1, "one that VFIO has is reset");
	is(buf_state(l.fd), BARTER_STATE_DEAD, "the old one is DEAD");
	lent_free(&l);
}

int main(void)
{
	find_devices();
	CASE(through_either);
	CASE(one_is_off);
	CASE(sibling_on_stock_driver);
	CASE(refused_reset);
	CASE(refused_reset_revokes_nothing);
	CASE(stuck_sibling);
	CASE(sibling_leaves_meanwhile);
	CASE(sibling_fails_to_bind);
	CASE(close_one);
	CASE(at_the_same_time);
	CASE(buffer_outlives_binding);
	CASE(buffer_is_no_title);
	return tap_done();
}
