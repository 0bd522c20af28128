// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * To close a socket in which a client's fds may wait. That closes them too, and the
 * last close of a TCP socket that lingers takes as long as its owner likes. It does
 * not linger for a thread that ends, though: so a thread takes a copy of the table of
 * fds, the loop closes its own, and the thread ends.
 *
 * Where the table cannot be copied the thread closes the socket itself, however long
 * that takes.
 */
#include "server.h"

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct closer {
	struct job job;
	int socket;
	sem_t is_closed;	/* the loop's */
};

static void done_copy(struct job *job)
{
	struct closer *closer = (struct closer *)job;

	job->server->closers--;
	if (job->result) {
		free(closer);
		return;
	}
	close(closer->socket);
	sem_post(&closer->is_closed);
}

static void *end_with_socket(void *argument)
{
	struct closer *closer = argument;

	if (unshare(CLONE_FILES)) {
		closer->job.result = -errno;
		close(closer->socket);
		job_finish(&closer->job);
		return NULL;
	}
	job_finish(&closer->job);
	/*
	 * What else is in this copy goes with the thread, at once. Nothing of it is closed
	 * here: it might be the last close of what another thread of this kind has.
	 */
	while (sem_wait(&closer->is_closed))
		continue;
	sem_destroy(&closer->is_closed);
	free(closer);
	return NULL;
}

int close_elsewhere(struct server *server, int socket)
{
	struct closer *closer;
	pthread_attr_t detached;
	sigset_t all, before;
	pthread_t thread;
	int ret;

	if (server->closers >= CLOSERS)
		return -EAGAIN;
	closer = calloc(1, sizeof(*closer));
	if (!closer)
		return -EAGAIN;
	closer->job.server = server;
	closer->job.done = done_copy;
	closer->socket = socket;
	sem_init(&closer->is_closed, 0, 0);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&thread, &detached, end_with_socket, closer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&detached);
	if (ret) {
		sem_destroy(&closer->is_closed);
		free(closer);
		return -EAGAIN;
	}
	server->closers++;
	return 0;
}
