// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Revokes that meet an importer that does not let go, or a lock that is taken.
 */
#define _GNU_SOURCE
#include "regress.h"

#include <pthread.h>

static int fd, t, id;

static bool start(void)
{
	t = tester_open();
	fd = buf_export1(&mem, BAR, 0, MIB);
	id = tester_attach(t, fd, BARTER_TEST_F_STUCK);
	return setup(fd >= 0 && id >= 0 &&
		     !tester_map(t, id, BARTER_TEST_BIDIRECTIONAL, NULL),
		     "an importer that will not let go");
}

static bool told(int ms)
{
	bool yes;

	WAIT_FOR(yes, tester_stat(t, id).out_owed, ms);
	return yes;
}

/* Who waits can be killed, nothing was begun, and it can be done again. */
static void killable(const char *name)
{
	pid_t pid;
	int status;

	if (!start())
		return;
	pid = spawn(run_cause, (void *)name);
	must(told(10000), "%s asks the importer", name);
	usleep(100000);
	must(is_running(pid), "%s waits for it", name);
	if (!own)
		check(file_has(BUFFERS, edu_bdf()), "debugfs names it");
	kill(pid, SIGKILL);
	status = reap(pid, 3000);
	check(status >= 0 && WIFSIGNALED(status),
	      "%s: who waits can be killed", name);
	must(!tester_letgo(t, id), "it lets go");
	if (status < 0)
		must(reap(pid, 20000) >= 0, "then the call ends");
	must(!cause_find(name)->begin(&mem), "%s once more", name);
	dev_set_memory(&mem, true);
	check_errno(reach(fd), 0, "%s: the buffer is back", name);
	close(t);
	close(fd);
}

void b17a_who_waits_for_an_importer_can_be_killed(void)
{
	killable("VFIO_DEVICE_RESET");
}

static void *close_fixture(void *arg)
{
	(void)arg;
	fixture_close();
	return NULL;
}

void b17b_what_cannot_be_refused_waits_to_the_end(void)
{
	pthread_t thread;
	pid_t pid;

	if (own) {
		lacks("a reset by sysfs revokes nothing at all (M4b)");
		return;
	}
	if (!start())
		return;
	pid = spawn(run_cause, "sysfs reset");
	check(told(10000), "a reset by sysfs asks the importer");
	kill(pid, SIGKILL);
	usleep(300000);
	check(is_running(pid), "it waits, and cannot be killed");
	check(file_has(BUFFERS, edu_bdf()), "debugfs names the importer");
	must(!tester_letgo(t, id), "the importer lets go");
	check(reap(pid, 10000) >= 0, "the reset ends");
	check_errno(reach(fd), 0, "the buffer is back");
	close(t);
	close(fd);

	if (!start())
		return;
	must(!pthread_create(&thread, NULL, close_fixture, NULL), "close");
	check(told(10000), "close asks the importer");
	usleep(300000);
	check(tester_stat(t, id).out_mapped, "it waits");
	check(file_has(BUFFERS, edu_bdf()), "debugfs names the importer");
	must(!tester_letgo(t, id), "the importer lets go");
	pthread_join(thread, NULL);
	check(reach(fd) < 0, "close has ended, the buffer is dead");
	inherited("both wait until the importer lets go");
	close(t);
	close(fd);
	fixture_open();
}

void n6a_hot_reset_waits_without_locks(void)
{
	killable("hot reset");
}

static volatile bool stop;

/* Every read takes the device's memory_lock for a moment. */
static void *reader(void *arg)
{
	static uint8_t data[64 * PAGE];
	const struct dev *d = arg;

	while (!stop)
		if (pread(d->fd, data, sizeof(data), (off_t)d->offset[BAR]) < 0)
			break;
	return NULL;
}

void n6a2_busy_locks_refuse_a_hot_reset(void)
{
	unsigned int busy = 0, done = 0, other = 0, lost = 0;
	int64_t until = now_ms() + 30000;
	pthread_t thread[2];
	int f = buf_export1(&mem, BAR, 0, MIB);

	must(f >= 0, "export");
	stop = false;
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, reader, &mem);
	while (now_ms() < until && (busy < 3 || !done)) {
		int ret = dev_hot_reset(&mem);

		busy += ret == -EBUSY;
		done += !ret;
		other += ret && ret != -EBUSY;
		lost += ret == -EBUSY && reach(f) != 0;
		if (done && !busy)
			usleep(1000);
		if (busy >= 3)
			stop = true;
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	check(!other, "%u refused with EBUSY, %u done, no other answer", busy,
	      done);
	check(busy, "a hot reset while another thread reads: EBUSY");
	check(!lost, "a refused one takes no buffer away");
	check(!dev_hot_reset(&mem) && !reach(f), "with nobody about it is done");
	inherited("EBUSY");
	close(f);
}
