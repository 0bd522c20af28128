// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Who may import, what a mapping looks like, and what fences do to a revoke.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cause.h"
#include "lib/fixture.h"
#include "lib/tester.h"

static int t, fd, go[2];

static bool start(uint64_t length)
{
	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, length);
	return ok(fd >= 0, "a buffer");
}

static void finish(void)
{
	close(t);
	close(fd);
}

static void who_may_attach(void)
{
	int id;

	if (!start(PAGE))
		return;
	is_errno(tester_attach(t, fd, BARTER_TEST_F_STATIC), EOPNOTSUPP,
		 "a static importer");
	is_errno(tester_attach(t, fd, BARTER_TEST_F_STATIC |
			       BARTER_TEST_F_PLATFORM), EOPNOTSUPP,
		 "a static importer without PCI");
	is_errno(tester_attach(t, fd, BARTER_TEST_F_NO_P2P), EOPNOTSUPP,
		 "a dynamic importer without peer-to-peer");
	id = tester_attach(t, fd, BARTER_TEST_F_PLATFORM);
	is_errno(id, 0, "no PCI device: attach");
	is_errno(tester_map(t, id, 0, NULL), EXDEV, "no PCI device: map");
	id = tester_attach(t, fd, 0);
	is_errno(id, 0, "a dynamic importer: attach");
	is_errno(tester_map(t, id, 0, NULL), 0, "a dynamic importer: map");
	finish();
}

/* Since 7.1 a pin promises nothing that a revoke would have to break. */
static void pins_outlive_revokes(int id)
{
	is_errno(tester_pin(t, id), 0, "a pin alone");
	is_errno(tester_map(t, id, 0, NULL), 0, "map of the pinned");
	is_errno(tester_pin(t, id), 0, "a second pin");
	dev_set_memory(&mem, false);
	is(buf_state(fd), BARTER_STATE_REVOKED, "pins do not hold a revoke up");
	is(tester_stat(t, id).out_mapped, 0, "the mapping of the pinned is gone");
	is(tester_stat(t, id).out_pins, 2, "both pins are still there");
	is_errno(tester_map(t, id, 0, NULL), ENODEV, "map while revoked");
	dev_set_memory(&mem, true);
	is_errno(tester_map(t, id, 0, NULL), 0, "map after the restore");
	is_errno(tester_unpin(t, id), 0, "unpin of the mapped");
	is(tester_stat(t, id).out_mapped, 1, "the mapping stays");
	is_errno(tester_unmap(t, id), 0, "unmap");
	is_errno(dev_reset(&mem), 0, "reset with a pin");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
}

static void who_may_pin(void)
{
	int id;

	if (!start(PAGE))
		return;
	id = tester_attach(t, fd, 0);
	need(id >= 0, "attach");
	if (!kernel_before(7, 1)) {
		pins_outlive_revokes(id);
		finish();
		return;
	}
	is_errno(tester_pin(t, id), 0, "a pin alone");
	is_errno(tester_map(t, id, 0, NULL), EOPNOTSUPP, "map of the pinned");
	is(tester_stat(t, id).out_mapped, 0, "nothing is mapped");
	is_errno(tester_pin(t, id), EOPNOTSUPP, "a second pin");
	is_errno(tester_unpin(t, id), 0, "unpin");
	is_errno(tester_map(t, id, 0, NULL), 0, "map");
	is_errno(tester_pin(t, id), EOPNOTSUPP, "pin of the mapped");
	is_errno(tester_unmap(t, id), 0, "unmap");
	is_errno(tester_pin(t, id), 0, "a pin alone, again");
	/* A pin holds nothing: it does not delay a revoke. */
	is_errno(dev_reset(&mem), 0, "reset with a pin");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	finish();
}

static void one_revoke_one_notice(void)
{
	struct barter_test_stat st;
	int id;

	if (!start(PAGE))
		return;
	id = tester_attach(t, fd, 0);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "attach and map");
	is(tester_stat(t, id).out_invalidates, 0, "no notice yet");
	dev_set_memory(&mem, false);
	st = tester_stat(t, id);
	is(st.out_invalidates, 1, "one notice by a revoke");
	is(st.out_mapped, 0, "the mapping is gone");
	is_errno(tester_map(t, id, 0, NULL), ENODEV, "map while revoked");
	is_errno(dev_reset(&mem), 0, "a reset within");
	is(tester_stat(t, id).out_invalidates, 1, "gives no further notice");
	dev_set_memory(&mem, true);
	is(tester_stat(t, id).out_invalidates, 1, "a restore gives none");
	is_errno(tester_map(t, id, 0, NULL), 0, "map after the restore");
	dev_set_memory(&mem, false);
	is(tester_stat(t, id).out_invalidates, 2, "one by the next revoke");
	dev_set_memory(&mem, true);
	finish();
}

static void many_importers(void)
{
	/*
	 * DMA API debugging, where the kernel has it, warns of more than seven
	 * mappings of the same memory.
	 */
	const int n = dma_is_debugged() ? 7 : BARTER_TEST_IMPORTERS;
	int ids[BARTER_TEST_IMPORTERS];
	struct barter_info info;
	bool wrong = false;

	if (!start(16 * PAGE))
		return;
	for (int i = 0; i < n; i++) {
		ids[i] = tester_attach(t, fd, 0);
		wrong |= ids[i] < 0 || tester_map(t, ids[i], 0, NULL);
	}
	ok(!wrong, "%d importers map", n);
	buf_info(fd, &info);
	is(info.out_attachments, n, "info counts them");
	is(info.out_maps, n, "and their maps");
	is_errno(dev_reset(&mem), 0, "reset");
	for (int i = 0; i < n; i++) {
		struct barter_test_stat st = tester_stat(t, ids[i]);

		wrong |= st.out_invalidates != 1 || st.out_mapped;
	}
	ok(!wrong, "each was told once and has let go");
	buf_info(fd, &info);
	is(info.out_maps, 0, "no map is left");
	finish();
}

/* Addresses are contiguous within a run and lie in no other. */
static void segments_cover_the_buffer(void)
{
	struct vfio_region_dma_range r[] = {
		{ 8 * MIB, 3 * PAGE }, { 2 * MIB, PAGE },
		{ 2 * MIB + PAGE, PAGE }, { 0, 5 * PAGE }, { 0, 5 * PAGE },
	};
	struct barter_test_map map;
	uint64_t sum = 0;
	bool wrong = false;
	int id;

	t = tester_open();
	fd = buf_export(&mem, BAR, r, 5);
	id = tester_attach(t, fd, 0);
	need(id >= 0, "attach");
	for (uint32_t dir = 0; dir < 3; dir++) {
		is_errno(tester_map(t, id, dir, &map), 0, "map, direction %u",
			 dir);
		is(map.out_length, 15 * PAGE, "all of it");
		ok(map.out_segments <= 4, "%u segments for 4 runs",
		   map.out_segments);
		is_errno(tester_unmap(t, id), 0, "unmap");
	}
	for (uint32_t i = 0; i < map.out_segments; i++) {
		sum += map.segments[i].length;
		wrong |= !map.segments[i].length ||
			map.segments[i].length % PAGE ||
			map.segments[i].address % PAGE;
	}
	is(sum, 15 * PAGE, "the segments' sum");
	ok(!wrong, "each is of whole pages");
	finish();
}

/* 1 MiB does not fit where only 512 KiB can be addressed. */
static void too_few_bits(void)
{
	struct barter_test_attach req = { .dmabuf_fd = fd, .dma_bits = 19 };
	int id = tester_attach_as(t, &req), ret;

	need(id >= 0, "19 address bits");
	ret = tester_map(t, id, 0, NULL);
	ok(ret == -EXDEV || ret == -ENOMEM || ret == -EIO,
	   "map is refused: %s", strerror(-ret));
	is(tester_stat(t, id).out_mapped, 0, "nothing is mapped");
	is_errno(tester_detach(t, id), 0, "detach");
}

static void limits_of_the_importer(void)
{
	struct barter_test_attach req = { .dma_bits = 24 };
	struct barter_test_map map;
	bool wrong = false;
	int id;

	if (!start(MIB))
		return;
	req.dmabuf_fd = fd;
	id = tester_attach_as(t, &req);
	need(id >= 0, "24 address bits");
	is_errno(tester_map(t, id, 0, &map), 0, "map");
	for (uint32_t i = 0; i < map.out_segments && i < 64; i++)
		wrong |= map.segments[i].address + map.segments[i].length >
			1ull << 24;
	ok(!wrong, "no address needs more");
	is_errno(tester_detach(t, id), 0, "detach");

	if (dma_is_debugged())
		skip("DMA API debugging takes a refused mapping for a leak",
		     "19 address bits");
	else if (kernel_has_32_bits())
		skip("a refusal closes the kernel's low addresses to all",
		     "19 address bits");
	else
		too_few_bits();
	id = tester_attach(t, fd, 0);
	is_errno(tester_map(t, id, 0, &map), 0, "without limits it maps");
	finish();
}

static bool is_signalled(int sync)
{
	struct pollfd p = { .fd = sync, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static int run_reset(void *arg)
{
	(void)arg;
	return dev_reset(&mem) ? 1 : 0;
}

/* A fence from before the revoke counts. */
static void fence_from_before(void)
{
	struct barter_info info;
	struct log log;
	int fence, sync;
	pid_t pid;

	if (!start(PAGE))
		return;
	fence = tester_fence(t, &sync);
	need(fence >= 0, "a fence");
	is_errno(fence_into(fd, sync), 0, "import it");
	close(sync);
	log_open(&log);
	pid = spawn(run_reset, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	ok(is_running(pid), "the reset waits");
	buf_info(fd, &info);
	ok(strstr(info.out_blocker, "barter-test"), "info names the fence: %s",
	   info.out_blocker);
	ok(log_wait(&log, "barter: ", "barter-test", 20000),
	   "the log names it after 10 s");
	ok(is_running(pid), "the reset still waits");
	is_errno(tester_signal(t, fence), 0, "signal it");
	is(reap(pid, 10000), 0, "the reset is done");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	log_close(&log);
	finish();
}

/* One that nobody signals, and whose file stays open; and one whose file is closed before. */
static void fence_by_itself(void)
{
	int never, after, sync[3], other;
	pid_t pid;

	if (!start(PAGE))
		return;
	is_errno(tester_fence_for(t, &sync[0], 60001), EINVAL, "later than it can be");
	never = tester_fence(t, &sync[0]);
	after = tester_fence_for(t, &sync[1], 500);
	need(never >= 0 && after >= 0, "two fences");
	is_errno(fence_into(fd, sync[1]), 0, "import the one");
	pid = spawn(run_reset, NULL);
	is(reap(pid, 20000), 0, "the reset is done");
	ok(is_signalled(sync[1]), "the fence has been signalled by itself");
	ok(!is_signalled(sync[0]), "the other has not");
	is_errno(tester_signal(t, after), 0, "once more");
	is_errno(tester_signal(t, after), ENOENT, "its id is free");

	other = tester_open();
	need(tester_fence_for(other, &sync[2], 60000) >= 0, "one for a minute");
	ok(!is_signalled(sync[2]), "not yet");
	close(other);
	ok(is_signalled(sync[2]), "its file is closed: it has been signalled");
	for (unsigned int i = 0; i < 3; i++)
		close(sync[i]);
	finish();
}

/* A fence from after it began does not. */
static void fence_from_after(void)
{
	int fence, sync, id;
	pid_t pid;

	if (!start(PAGE))
		return;
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "a stuck importer");
	pid = spawn(run_reset, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	fence = tester_fence(t, &sync);
	need(fence >= 0, "a fence");
	is_errno(fence_into(fd, sync), 0, "import it meanwhile");
	is_errno(tester_letgo(t, id), 0, "the importer lets go");
	is(reap(pid, 10000), 0, "the reset is done without the fence");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	is_errno(tester_signal(t, fence), 0, "signal it at last");
	close(sync);
	finish();
}

/* A holder of the fd cannot prolong a wait by adding fence after fence. */
static void fences_without_end(void)
{
	int fence, sync, more[BARTER_TEST_FENCES], n = 0;
	pid_t pid;

	if (!start(PAGE))
		return;
	fence = tester_fence(t, &sync);
	need(fence >= 0 && !fence_into(fd, sync), "a fence");
	close(sync);
	pid = spawn(run_reset, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	for (int i = 0; i < BARTER_TEST_FENCES - 2; i++) {
		more[n] = tester_fence(t, &sync);
		if (more[n] < 0 || fence_into(fd, sync))
			break;
		close(sync);
		n++;
	}
	is(n, BARTER_TEST_FENCES - 2, "more fences meanwhile");
	ok(is_running(pid), "the reset waits");
	is_errno(tester_signal(t, fence), 0, "signal the first");
	is(reap(pid, 10000), 0, "the reset is done");
	for (int i = 0; i < n; i++)
		tester_signal(t, more[i]);
	finish();
}

static void fence_and_kill(void)
{
	int fence, sync, status;
	pid_t pid;

	if (!start(PAGE))
		return;
	fence = tester_fence(t, &sync);
	need(fence >= 0 && !fence_into(fd, sync), "a fence");
	close(sync);
	pid = spawn(run_reset, NULL);
	ok(buf_wait(fd, BARTER_STATE_REVOKING, 10000), "REVOKING");
	kill(pid, SIGTERM);
	status = reap(pid, 3000);
	ok(status >= 0 && WIFSIGNALED(status), "the caller can be killed");
	is(buf_state(fd), BARTER_STATE_REVOKED, "REVOKED");
	is(buf_reasons(fd), BARTER_REASON_INTERRUPTED, "reason INTERRUPTED");
	is_errno(tester_signal(t, fence), 0, "signal");
	is_errno(dev_reset(&mem), 0, "a new reset");
	is(buf_state(fd), BARTER_STATE_OK, "OK");
	finish();
}

/* A buffer's fence is no matter of another buffer or another device. */
static void fence_of_another_buffer(void)
{
	int fence, sync, other;
	pid_t pid;

	if (!start(PAGE))
		return;
	other = buf_export1(&mem, BAR, 0, PAGE);
	fence = tester_fence(t, &sync);
	need(other >= 0 && fence >= 0 && !fence_into(other, sync),
	     "a fence in another buffer of the device");
	close(sync);
	close(other);
	/* That one is gone, and its fence with it. */
	pid = spawn(run_reset, NULL);
	is(reap(pid, 10000), 0, "the reset does not wait");
	tester_signal(t, fence);
	finish();
}

static void attach_to_the_dead(void)
{
	int id;

	if (!start(PAGE))
		return;
	id = tester_attach(t, fd, 0);
	need(id >= 0 && !tester_map(t, id, 0, NULL), "attach and map");
	fixture_close();
	is(tester_stat(t, id).out_mapped, 0, "the mapping is gone");
	is_errno(tester_map(t, id, 0, NULL), EBADFD, "map");
	is_errno(tester_attach(t, fd, 0), EBADFD, "attach");
	is_errno(tester_detach(t, id), 0, "detach");
	fixture_open();
	is_errno(tester_attach(t, fd, 0), EBADFD, "attach after reopen");
	finish();
}

/*
 * The importers' file is closed while their device's driver goes: nothing of them stays
 * mapped, which DMA API debugging would say. Whoever closes it has little of the CPUs, so that
 * the driver goes meanwhile.
 */
static int close_slowly(void *arg)
{
	char byte;

	(void)arg;
	setpriority(PRIO_PROCESS, 0, 19);
	if (read(go[0], &byte, 1) != 1)
		return 1;
	return close(t) ? 1 : 0;
}

static int keep_busy(void *arg)
{
	int64_t end = now_ms() + 400;

	(void)arg;
	while (now_ms() < end)
		;
	return 0;
}

static bool map_all(const int *dmabufs)
{
	for (unsigned int i = 0; i < BARTER_TEST_IMPORTERS; i++) {
		int id = tester_attach(t, dmabufs[i], 0);

		if (id < 0 || tester_map(t, id, 0, NULL))
			return false;
	}
	return true;
}

static void closed_while_unbound(void)
{
	int dmabufs[BARTER_TEST_IMPORTERS];
	pid_t closer, busy[2];

	for (unsigned int i = 0; i < BARTER_TEST_IMPORTERS; i++)
		dmabufs[i] = tester_foreign();
	need(!pipe(go), "a pipe");
	for (unsigned int round = 0; round < 8; round++) {
		t = tester_open();
		need(map_all(dmabufs), "importers");
		closer = spawn(close_slowly, NULL);
		close(t);
		busy[0] = spawn(keep_busy, NULL);
		busy[1] = spawn(keep_busy, NULL);
		need(write(go[1], "", 1) == 1, "go");
		usleep(round * 15000);
		is_errno(pci_unbind(edu_bdf()), 0, "unbind");
		is(reap(closer, 10000), 0, "close");
		reap(busy[0], 10000);
		reap(busy[1], 10000);
		is_errno(pci_bind(edu_bdf(), "barter-dma"), 0, "bind again");
	}
	close(go[0]);
	close(go[1]);
	for (unsigned int i = 0; i < BARTER_TEST_IMPORTERS; i++)
		close(dmabufs[i]);
}

int main(void)
{
	fixture_open();
	CASE(who_may_attach);
	CASE(who_may_pin);
	CASE(one_revoke_one_notice);
	CASE(many_importers);
	CASE(segments_cover_the_buffer);
	CASE(limits_of_the_importer);
	CASE(fence_from_before);
	CASE(fence_by_itself);
	CASE(fence_from_after);
	CASE(fences_without_end);
	CASE(fence_and_kill);
	CASE(fence_of_another_buffer);
	CASE(attach_to_the_dead);
	CASE(closed_while_unbound);
	return tap_done();
}
