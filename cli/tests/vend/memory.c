// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Made-up devices: a lease is a memfd. Taking it back cuts it to nothing, so that an
 * access raises SIGBUS, as with the real thing.
 */
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct memory {
	int number;		/* PCI function */
	int wanted;
};

static struct memory memories[8];

static int held(const atomic_int *who, int number)
{
	return atomic_load(who) == number + 1;
}

static int memory_check(const struct offer *offer, const char **why)
{
	if (!(offer->flags & BARTER_VEND_WC))
		return 0;
	*why = "no wc here";
	return -EOPNOTSUPP;
}

static int memory_open(const char *name, int wanted, void **handle)
{
	struct memory *memory = &memories[name[strlen(name) - 1] - '0'];

	if (atomic_load(&steering->fail_open))
		return -atomic_load(&steering->fail_open);
	memory->number = (int)(memory - memories);
	memory->wanted = wanted;
	atomic_fetch_add(&steering->opens, 1);
	*handle = memory;
	return 0;
}

static void memory_close(void *handle)
{
	(void)handle;
	atomic_fetch_add(&steering->closes, 1);
}

static int memory_lend(void *handle, const struct offer *offer,
		       struct loan *loan)
{
	struct memory *memory = handle;
	char path[64];
	int fd;

	while (held(&steering->hold_lend, memory->number))
		usleep(2000);
	if (atomic_load(&steering->fail_lend))
		return -atomic_load(&steering->fail_lend);
	fd = memfd_create(offer->name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)offer->length)) {
		close(fd);
		return -EIO;
	}
	loan->whole = fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	loan->fd = open(path, (offer->flags & BARTER_VEND_READ_ONLY ? O_RDONLY :
			       O_RDWR) | O_CLOEXEC);
	atomic_fetch_add(&steering->lends, 1);
	return loan->fd < 0 ? -errno : 0;
}

static int memory_take(void *handle, const struct loan *loan)
{
	struct memory *memory = handle;

	atomic_fetch_add(&steering->taking, 1);
	while (held(&steering->hold_take, memory->number))
		usleep(2000);
	atomic_fetch_sub(&steering->taking, 1);
	if (atomic_load(&steering->fail_take))
		return -atomic_load(&steering->fail_take);
	atomic_fetch_add(&steering->takes, 1);
	return ftruncate(loan->whole, 0) ? -errno : 0;
}

static int memory_look(const struct loan *loan, struct loan_state *state)
{
	(void)loan;
	state->state = BARTER_STATE_OK;
	if (atomic_load(&steering->hold_take))
		strcpy(state->blocker, "0000:00:06.0 hung\033");
	return 0;
}

const struct backend memory_backend = {
	.check = memory_check,
	.open = memory_open,
	.lend = memory_lend,
	.take = memory_take,
	.close = memory_close,
	.look = memory_look,
};

static void *want(void *unused)
{
	uint64_t one = 1;
	int who;

	(void)unused;
	for (;; usleep(2000)) {
		who = atomic_load(&steering->want);
		if (who && write(memories[who - 1].wanted, &one,
				 sizeof(one)) > 0)
			atomic_store(&steering->want, 0);
	}
	return NULL;
}

void memory_begin(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, want, NULL))
		_exit(99);
	pthread_detach(thread);
}
