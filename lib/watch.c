// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * Hear of every change of a buffer's state.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

struct barter_watcher {
	int control;		/* the open file that the watch belongs to */
	int dmabuf;
	int event;
	uint64_t generation;	/* the last one that was told */
};

/* Copies of all fds: what the caller does with its own does not matter. */
static int copy_fd(int fd, int *copy)
{
	*copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *copy < 0 ? -errno : 0;
}

static int watch_call(const struct barter_watcher *watcher, uint32_t flags,
		      struct barter_watch *request)
{
	*request = (struct barter_watch) {
		.size = sizeof(*request),
		.flags = flags,
		.dmabuf_fd = watcher->dmabuf,
		.eventfd = watcher->event,
	};
	if (!ioctl(watcher->control, BARTER_IOC_WATCH, request))
		return 0;
	return errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

static void watcher_free(struct barter_watcher *watcher)
{
	if (watcher->event >= 0)
		close(watcher->event);
	if (watcher->dmabuf >= 0)
		close(watcher->dmabuf);
	if (watcher->control >= 0)
		close(watcher->control);
	free(watcher);
}

BARTER_API int barter_watch_open(int control, int fd,
				 struct barter_change *now,
				 struct barter_watcher **watcher)
{
	struct barter_watch request;
	struct barter_watcher *new;
	int ret;

	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	*new = (struct barter_watcher) { -1, -1, -1, 0 };
	ret = control < 0 ? barter_control_open(&new->control) :
			    copy_fd(control, &new->control);
	if (!ret)
		ret = copy_fd(fd, &new->dmabuf);
	if (!ret) {
		new->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ret = new->event < 0 ? -errno : 0;
	}
	if (!ret)
		ret = watch_call(new, 0, &request);
	if (ret) {
		watcher_free(new);
		return ret;
	}
	new->generation = request.out_generation;
	if (now)
		*now = (struct barter_change) {
			.generation = request.out_generation,
			.state = request.out_state,
			.reasons = request.out_reasons,
		};
	*watcher = new;
	return 0;
}

BARTER_API int barter_watch_fd(const struct barter_watcher *watcher)
{
	return watcher->event;
}

/*
 * First the eventfd, then the question: a change that comes in between is in the
 * answer, and its signal finds nothing new later.
 */
BARTER_API int barter_watch_read(struct barter_watcher *watcher,
				 struct barter_change *change)
{
	struct barter_info info = {
		.size = sizeof(info), .dmabuf_fd = watcher->dmabuf,
	};
	uint64_t signals;
	int ret;

	if (read(watcher->event, &signals, sizeof(signals)) < 0 &&
	    errno != EAGAIN)
		return -errno;
	ret = barter_buffer_info(watcher->control, &info);
	if (ret) {
		/* Not told: the next poll must not sleep on it. */
		signals = 1;
		if (write(watcher->event, &signals, sizeof(signals)) < 0)
			return -errno;
		return ret;
	}
	if (info.out_generation == watcher->generation)
		return -EAGAIN;
	*change = (struct barter_change) {
		.generation = info.out_generation,
		.changes = info.out_generation - watcher->generation,
		.state = info.out_state,
		.reasons = info.out_reasons,
	};
	watcher->generation = info.out_generation;
	return 0;
}

BARTER_API void barter_watch_close(struct barter_watcher *watcher)
{
	struct barter_watch request;

	if (!watcher)
		return;
	/* The file may be open elsewhere too: what is left there still counts. */
	while (watch_call(watcher, BARTER_WATCH_REMOVE, &request) == -EINTR)
		continue;
	watcher_free(watcher);
}
