// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Work that may wait, in threads of its own: queues, and the way back to the loop.
 */
#include "server.h"

#include <signal.h>
#include <unistd.h>

static struct job *next_job(struct queue *queue)
{
	struct job *job;

	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->ends)
		pthread_cond_wait(&queue->more, &queue->lock);
	job = queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->last = &queue->first;
	}
	pthread_mutex_unlock(&queue->lock);
	return job;
}

static void *work(void *argument)
{
	struct queue *queue = argument;
	struct job *job;

	while ((job = next_job(queue))) {
		job->work(job);
		job_finish(job);
	}
	return NULL;
}

int queue_start(struct queue *queue)
{
	sigset_t all, before;
	int ret;

	*queue = (struct queue) {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER,
	};
	queue->last = &queue->first;
	/* Signals are for the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&queue->thread, NULL, work, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

void queue_add(struct queue *queue, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&queue->lock);
	*queue->last = job;
	queue->last = &job->next;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->lock);
}

void queue_end(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->ends = true;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->lock);
}

void queue_join(struct queue *queue)
{
	pthread_join(queue->thread, NULL);
	pthread_cond_destroy(&queue->more);
	pthread_mutex_destroy(&queue->lock);
}

static void *work_alone(void *argument)
{
	struct job *job = argument;

	job->work(job);
	job_finish(job);
	return NULL;
}

int job_run(struct job *job)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	int ret;

	ret = -pthread_attr_init(&attributes);
	if (ret)
		return ret;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&thread, &attributes, work_alone, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return ret;
}

void job_finish(struct job *job)
{
	struct server *server = job->server;
	uint64_t one = 1;

	job->next = NULL;
	pthread_mutex_lock(&server->lock);
	*server->finished_last = job;
	server->finished_last = &job->next;
	/* Under the lock: behind it the server may be gone. */
	if (write(server->done.fd, &one, sizeof(one)) < 0)
		server_log("eventfd: the loop may be late");
	pthread_mutex_unlock(&server->lock);
}
