// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Watches of buffers, see watch.h.
 */
#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buf.h"
#include "proc.h"
#include "tap.h"

int event_new(void)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return event < 0 ? -errno : event;
}

uint64_t event_take(int event, int ms)
{
	struct pollfd p = { .fd = event, .events = POLLIN };
	uint64_t n = 0;

	if (poll(&p, 1, ms) != 1 || read(event, &n, sizeof(n)) != sizeof(n))
		return 0;
	return n;
}

int watch_file(void)
{
	int file = open("/dev/barter", O_RDWR | O_CLOEXEC);

	return file < 0 ? -errno : file;
}

static int watch_call(int file, int buf, int event, uint32_t flags,
		      struct barter_watch *now)
{
	struct barter_watch w = {
		.size = sizeof(w), .flags = flags, .dmabuf_fd = buf,
		.eventfd = event,
	};

	if (ioctl(file, BARTER_IOC_WATCH, &w))
		return -errno;
	if (now)
		*now = w;
	return 0;
}

int watch_begin(int file, int buf, int event, struct barter_watch *now)
{
	return watch_call(file, buf, event, 0, now);
}

int watch_end(int file, int buf, int event)
{
	return watch_call(file, buf, event, BARTER_WATCH_REMOVE, NULL);
}

uint64_t buf_generation(int buf)
{
	struct barter_info info;

	return buf_info(buf, &info) ? ~0ull : info.out_generation;
}

bool watch_follow(int buf, int event, uint64_t generation, int ms,
		  uint64_t *signals)
{
	struct barter_info info;
	uint64_t n;

	do {
		n = event_take(event, ms);
		if (!n) {
			diag("no signal for generation %llu",
			     (unsigned long long)generation);
			return false;
		}
		if (signals)
			*signals += n;
		if (buf_info(buf, &info))
			return false;
	} while (info.out_generation < generation);
	return true;
}
