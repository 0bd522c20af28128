// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * What is being done, on a terminal only. A thread of its own writes it: the kernel
 * may keep this program in a call for as long as an importer does not let go.
 */
#include "cli.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int runs;		/* there is a thread; of the caller's alone */
	int ends;		/* below lock, as all that follows but done */
	const char *what;
	char object[80];
	uint64_t total;
	atomic_uint_least64_t done;
} progress = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static void *show(void *unused)
{
	struct timespec next;
	int seconds, shown = 0;
	uint64_t done;

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &next);
	pthread_mutex_lock(&progress.lock);
	for (seconds = 1; !progress.ends; seconds++) {
		next.tv_sec++;
		while (!progress.ends &&
		       !pthread_cond_timedwait(&progress.changed, &progress.lock, &next))
			;
		if (progress.ends)
			break;
		shown = 1;
		done = atomic_load(&progress.done);
		fprintf(stderr, "\r\033[Kbarter: %s: %s, %d s", progress.object,
			progress.what, seconds);
		if (progress.total)
			fprintf(stderr, ", %" PRIu64 " %%", done * 100 / progress.total);
		fflush(stderr);
	}
	pthread_mutex_unlock(&progress.lock);
	if (shown)
		fputs("\r\033[K", stderr);
	return NULL;
}

void progress_begin(const char *object, const char *what, uint64_t total)
{
	if (progress.runs || !isatty(STDERR_FILENO))
		return;
	snprintf(progress.object, sizeof(progress.object), "%s", object);
	progress.what = what;
	progress.total = total;
	progress.ends = 0;
	atomic_store(&progress.done, 0);
	progress.runs = !pthread_create(&progress.thread, NULL, show, NULL);
}

void progress_at(uint64_t done)
{
	atomic_store(&progress.done, done);
}

void progress_end(void)
{
	if (!progress.runs)
		return;
	pthread_mutex_lock(&progress.lock);
	progress.ends = 1;
	pthread_cond_signal(&progress.changed);
	pthread_mutex_unlock(&progress.lock);
	pthread_join(progress.thread, NULL);
	progress.runs = 0;
}
