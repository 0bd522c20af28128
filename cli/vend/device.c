// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's devices: what is asked of the backend, each by the thread that may
 * wait for it.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define device_of(pointer, member) \
	((struct device *)((char *)(pointer) - offsetof(struct device, member)))
#define lease_of(pointer) \
	((struct lease *)((char *)(pointer) - offsetof(struct lease, job)))

/* ---- In the threads: only what the job is about is touched ------------- */

static int open_handle(struct device *device)
{
	if (device->handle)
		return 0;
	return device->server->backend->open(device->name, device->wanted.fd,
					     &device->handle);
}

static void work_open(struct job *job)
{
	job->result = open_handle(device_of(job, job));
}

static void work_close(struct job *job)
{
	struct device *device = device_of(job, job);

	if (device->handle)
		device->server->backend->close(device->handle);
	device->handle = NULL;
	job->result = 0;
}

static void work_lend(struct job *job)
{
	struct lease *lease = lease_of(job);
	struct device *device = lease->device;

	job->result = open_handle(device);
	lease->is_open = !job->result;
	if (lease->is_open)
		job->result = job->server->backend->lend(device->handle,
							 lease->making,
							 &lease->loan);
}

static void work_take(struct job *job)
{
	struct lease *lease = lease_of(job);

	job->result = job->server->backend->take(lease->device->handle,
						 &lease->loan);
}

/* ---- In the loop ------------------------------------------------------- */

static bool is_named(const struct server *server, const struct device *device)
{
	uint32_t i;

	for (i = 0; i < server->policy->nr; i++)
		if (!strcmp(server->policy->offers[i]->device, device->name))
			return true;
	return false;
}

static void tell_open(struct device *device, int error)
{
	if (error && error != device->error)
		server_log("%s: cannot be opened: %s; tried again when somebody borrows of it; see: barter doctor %s",
			   device->name, strerror(-error), device->name);
	else if (!error && device->error)
		server_log("%s: open", device->name);
	device->error = error;
}

static void done_open(struct job *job)
{
	struct device *device = device_of(job, job);

	device->is_busy = false;
	tell_open(device, job->result);
	devices_close(job->server);
}

static void done_lend(struct job *job)
{
	struct lease *lease = lease_of(job);

	tell_open(lease->device, lease->is_open ? 0 : job->result);
	lease_lent(lease, job->result);
}

static void done_take(struct job *job)
{
	lease_taken(lease_of(job), job->result);
}

static void device_free(struct device *device)
{
	struct device **at = &device->server->devices;

	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
	if (device->wanted.fd >= 0) {
		/* A closer's copy of the table may keep it open a moment longer. */
		epoll_ctl(device->server->epoll, EPOLL_CTL_DEL,
			  device->wanted.fd, NULL);
		close(device->wanted.fd);
	}
	free(device);
}

static void done_close(struct job *job)
{
	struct device *device = device_of(job, job);
	struct server *server = job->server;
	bool was_wanted = device->is_wanted;

	/* It has nothing to do: there is no lease. */
	queue_end(&device->lender);
	queue_join(&device->lender);
	device_free(device);
	/* A policy that came meanwhile may name it; what needs it may not be done. */
	if (!was_wanted)
		devices_open(server);
}

static void wanted_ready(struct source *source, uint32_t events)
{
	struct device *device = device_of(source, wanted);
	struct lease *lease;
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) < 0 || device->is_wanted)
		return;
	device->is_wanted = true;
	server_log("%s: somebody else needs the device: letting go of it",
		   device->name);
	for (lease = device->server->leases; lease; lease = lease->next)
		if (lease->device == device)
			lease_take(lease, BARTER_VEND_WHY_GONE);
	devices_close(device->server);
}

static int device_start(struct server *server, const char *name,
			struct device **result)
{
	struct device *device = calloc(1, sizeof(*device));
	int ret = -ENOMEM;

	if (!device)
		return ret;
	device->server = server;
	device->job.server = server;
	snprintf(device->name, sizeof(device->name), "%s", name);
	device->next = server->devices;
	server->devices = device;
	device->wanted = (struct source) {
		.ready = wanted_ready,
		.server = server,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (device->wanted.fd < 0)
		ret = -errno;
	else
		ret = source_add(&device->wanted, EPOLLIN);
	if (!ret)
		ret = queue_start(&device->lender);
	if (ret) {
		device_free(device);
		return ret;
	}
	*result = device;
	return 0;
}

int device_get(struct server *server, const char *name, struct device **result)
{
	struct device *device;

	for (device = server->devices; device; device = device->next) {
		if (strcmp(device->name, name))
			continue;
		if (device->is_closing || device->is_wanted)
			return -EBUSY;
		*result = device;
		return 0;
	}
	return device_start(server, name, result);
}

static void device_run(struct device *device, void (*work)(struct job *),
		       void (*done)(struct job *))
{
	device->is_busy = true;
	device->job.work = work;
	device->job.done = done;
	queue_add(&device->lender, &device->job);
}

void device_lend(struct lease *lease)
{
	lease->job = (struct job) {
		.work = work_lend,
		.done = done_lend,
		.server = lease->device->server,
	};
	queue_add(&lease->device->lender, &lease->job);
}

void device_take(struct lease *lease)
{
	lease->job = (struct job) {
		.work = work_take,
		.done = done_take,
		.server = lease->device->server,
	};
	/* One that is held up should hold up no other; if need be it may. */
	if (job_run(&lease->job))
		queue_add(&lease->device->lender, &lease->job);
}

void devices_open(struct server *server)
{
	struct device *device;
	uint32_t i;
	int ret;

	if (server->ends)
		return;
	for (i = 0; i < server->policy->nr; i++) {
		const char *name = server->policy->offers[i]->device;

		for (device = server->devices; device; device = device->next)
			if (!strcmp(device->name, name))
				break;
		if (device)
			continue;
		ret = device_start(server, name, &device);
		if (ret)
			server_log("%s: %s", name, strerror(-ret));
		else
			device_run(device, work_open, done_open);
	}
}

void devices_close(struct server *server)
{
	struct device *device;

	for (device = server->devices; device; device = device->next) {
		if (device->leases || device->is_busy)
			continue;
		if (!server->ends && !device->is_wanted &&
		    is_named(server, device))
			continue;
		device->is_closing = true;
		device_run(device, work_close, done_close);
	}
}
