// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's real devices: each lease is a buffer of its own, exported from the
 * device, and revoked by itself.
 */
#include "backend.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IORESOURCE_PREFETCH 0x2000

/* By sysfs: a line for each BAR, begin, end and flags. */
static int is_prefetchable(const char *device, uint32_t bar)
{
	const char *root = getenv("BARTER_SYSFS");
	unsigned long long flags;
	char path[300], line[128];
	int answer = 1;
	uint32_t i;
	FILE *file;

	snprintf(path, sizeof(path), "%.200s/bus/pci/devices/%s/resource",
		 root ? root : "/sys", device);
	file = fopen(path, "re");
	/* It may come yet. */
	if (!file)
		return 1;
	for (i = 0; i <= bar && fgets(line, sizeof(line), file); i++)
		if (i == bar && sscanf(line, "%*s %*s %llx", &flags) == 1)
			answer = !flags || flags & IORESOURCE_PREFETCH;
	fclose(file);
	return answer;
}

/* Combining writes may change what an access does; the kernel would refuse it later. */
static int vfio_check(const struct offer *offer, const char **why)
{
	if (!(offer->flags & BARTER_VEND_WC) ||
	    is_prefetchable(offer->device, offer->bar))
		return 0;
	*why = "memory = wc: the BAR is not prefetchable";
	return -EPERM;
}

/* Those that are open: a group can be opened once, for all devices in it. */
static struct handle {
	struct handle *next;
	struct barter_device *device;
} *handles;
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;

static int open_alone_or_beside(const char *name,
				struct barter_device **device)
{
	struct handle *other;
	int ret = barter_device_open(name, BARTER_OPEN_MEMORY, device);

	/* Where there is a character device too, this user may own the group's node alone. */
	if (ret == -EACCES)
		ret = barter_device_open(name, BARTER_OPEN_MEMORY |
					 BARTER_OPEN_GROUP, device);
	for (other = handles; ret == -EBUSY && other; other = other->next)
		ret = barter_device_open_beside(name, BARTER_OPEN_MEMORY,
						other->device, device);
	/* Whoever resets it has it: a client may try again. */
	return ret == -EAGAIN ? -EBUSY : ret;
}

static int vfio_open(const char *name, int wanted, void **result)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	int ret;

	if (!handle)
		return -ENOMEM;
	pthread_mutex_lock(&handles_lock);
	ret = open_alone_or_beside(name, &handle->device);
	if (!ret) {
		handle->next = handles;
		handles = handle;
	}
	pthread_mutex_unlock(&handles_lock);
	if (ret) {
		free(handle);
		return ret;
	}
	/* Not having it costs who unbinds the device a wait, no more. */
	barter_device_on_request(handle->device, wanted);
	*result = handle;
	return 0;
}

static void vfio_close(void *closed)
{
	struct handle *handle = closed, **at = &handles;

	pthread_mutex_lock(&handles_lock);
	while (*at != handle)
		at = &(*at)->next;
	*at = handle->next;
	barter_device_close(handle->device);
	pthread_mutex_unlock(&handles_lock);
	free(handle);
}

static int vfio_lend(void *lender, const struct offer *offer,
		     struct loan *loan)
{
	const struct handle *handle = lender;
	struct barter_export what = {
		.size = sizeof(what),
		.bar = offer->bar,
		.open_flags = O_RDWR,
		.nr_ranges = offer->nr_ranges,
		.ranges = offer->ranges,
		.memattr = offer->flags & BARTER_VEND_WC ? BARTER_MEMATTR_WC :
							   BARTER_MEMATTR_UC,
	};

	if (offer->flags & BARTER_VEND_READ_ONLY) {
		what.flags = BARTER_EXPORT_READ_ONLY;
		what.open_flags = O_RDONLY;
	}
	return barter_device_export(handle->device, &what, &loan->fd);
}

static int vfio_look(const struct loan *loan, struct loan_state *state)
{
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = loan->fd,
	};
	int ret = barter_buffer_info(-1, &info);

	if (ret)
		return ret;
	state->state = info.out_state;
	state->reasons = info.out_reasons;
	state->mmaps = info.out_mmaps;
	state->importers = info.out_attachments;
	memcpy(state->blocker, info.out_blocker, sizeof(state->blocker));
	return 0;
}

/* Slices that the borrower has cut from it end with it. */
static int vfio_take(void *lender, const struct loan *loan)
{
	const struct handle *handle = lender;
	int ret = barter_buffer_revoke(handle->device, loan->fd);

	/* Dead already: the device was unplugged, or unbound by force. */
	return ret == -EBADFD ? 0 : ret;
}

const struct backend vfio_backend = {
	.check = vfio_check,
	.open = vfio_open,
	.lend = vfio_lend,
	.take = vfio_take,
	.close = vfio_close,
	.look = vfio_look,
};
