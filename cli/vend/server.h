/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker. One thread runs the event loop and owns everything below; it never
 * waits for a client, a device or an importer. What may wait is done by threads that
 * touch nothing but what they were handed:
 *
 *  - each device has one that opens and lends;
 *  - each take back has one, since an importer can hold up the kernel;
 *  - a connection with unread messages is closed by a thread of its own, see closer.c.
 *
 * Everything that a client can have is counted and bounded, see struct limits.
 */
#ifndef BARTER_VEND_SERVER_H
#define BARTER_VEND_SERVER_H

#include "backend.h"

#include <pthread.h>
#include <stdbool.h>

struct server;
struct connection;

/* Something that epoll watches. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
	struct server *server;
	int fd;
};

/* Something for a thread to do, and then for the loop to hear of. */
struct job {
	struct job *next;
	void (*work)(struct job *job);	/* in the thread */
	void (*done)(struct job *job);	/* in the loop */
	struct server *server;
	int result;
};

/* A queue of jobs with a thread that does them. */
struct queue {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	bool ends;		/* when the queue is empty */
};

struct device {
	struct device *next;
	struct server *server;
	char name[BARTER_BDF_LENGTH];
	unsigned int leases;
	bool is_busy;		/* being opened or closed */
	bool is_closing;
	bool is_wanted;		/* the kernel wants it back */
	int error;		/* of the last open, so that it is said once */
	struct source wanted;	/* eventfd */
	struct queue lender;
	struct job job;		/* to open or to close it */
	/* Written by the lender alone, when there is no lease to take back. */
	void *handle;
};

struct lease {
	struct lease *next;
	uint64_t id;
	struct offer *offer;
	struct offer *making;		/* while LENDING: the lender's own */
	struct device *device;
	struct connection *owner;	/* NULL: nobody waits for it or has it */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	uint32_t state, why;
	uint32_t flags, seconds;	/* what the borrower was told */
	int error;
	int64_t begun, taking, deadline;	/* ms; a deadline of 0 is none */
	struct loan loan;
	bool is_open;			/* the device could be opened for it */
	struct job job;
};

/* A message that the client's socket had no room for. */
struct parcel {
	struct parcel *next;
	size_t length;
	int fd;
	char bytes[BARTER_VEND_MESSAGE_MAX];
};

struct connection {
	struct source source;		/* first */
	struct connection *next;
	struct peer peer;
	char program[BARTER_VEND_PROGRAM_LENGTH];
	bool is_owner;			/* the broker's user, or root */
	bool is_over;			/* shut down; freed when it is closed */
	bool is_closed;			/* to be freed after the loop's turn */
	int64_t heard;			/* ms: last request */
	/* The answer that it waits for, or a type of 0. */
	uint16_t type;
	uint32_t serial;
	uint64_t lease;
	struct parcel *parcels;		/* to be sent */
};

struct limits {
	unsigned int connections;	/* in all */
	unsigned int user_connections;
	unsigned int owner_connections;	/* of them kept for the broker's owner */
	unsigned int leases;		/* in all */
	unsigned int user_leases;
	unsigned int connection_leases;
	int64_t idle;			/* ms: without lease and request */
	int64_t lend;			/* ms: for making a buffer */
	int64_t retry;			/* ms: to the next try of a failed take back */
	int64_t grace;			/* ms: at the end */
	bool old_kernel;		/* for tests: as before 6.16, see closer.c */
};

extern const struct limits default_limits;

struct server {
	const struct backend *backend;
	struct limits limits;
	const char *policy_path;
	struct policy *policy;
	int epoll;
	struct source listener, timer, signals, done;
	struct connection *connections;
	struct lease *leases;		/* by rising id */
	struct device *devices;
	uint64_t last_lease;
	int64_t ends;			/* ms: 0, or when it gives up waiting */
	bool is_over;
	int64_t deaf;			/* ms: until when it does not accept */
	unsigned int closers;		/* threads that close a socket */
	/* Jobs that were done; the lock is for these two alone. */
	pthread_mutex_t lock;
	struct job *finished, **finished_last;
};

/* server.c */
int server_init(struct server *server, const struct backend *backend,
		const struct limits *limits, const char *policy_path,
		int listener);
/* Until SIGTERM; EXIT_OK, or EXIT_FAILED if leases are left. */
int server_run(struct server *server);
/* Text for people; 0 or -EINVAL. */
int server_reload(struct server *server, char *text, size_t room);
int64_t now_ms(void);
int source_add(struct source *source, uint32_t events);
/* "barter vend: ..." on stderr */
void server_log(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* job.c */
int queue_start(struct queue *queue);
void queue_add(struct queue *queue, struct job *job);
/* Ends when it is empty; then it can be joined without a wait. */
void queue_end(struct queue *queue);
void queue_join(struct queue *queue);
/* In a thread of its own; not where there can be no more threads. */
int job_run(struct job *job);
/* From any thread: have job->done() called by the loop. */
void job_finish(struct job *job);

/* device.c */
#define DEVICES	64	/* that a policy may name */
/* By its name; started if need be. -EBUSY: it is being closed. */
int device_get(struct server *server, const char *name,
	       struct device **device);
void device_lend(struct lease *lease);
void device_take(struct lease *lease);
/* Open those that the policy names. */
void devices_open(struct server *server);
/* Close those that nobody needs. */
void devices_close(struct server *server);

/* lease.c */
int lease_begin(struct connection *connection, const char *name,
		uint32_t seconds, struct lease **lease);
void lease_take(struct lease *lease, uint32_t why);
struct lease *lease_after(struct server *server, uint64_t id);
struct lease *lease_find(struct server *server, uint64_t id);
void lease_status(const struct lease *lease,
		  struct barter_vend_status *status);
/* Called by device.c when it is done. */
void lease_lent(struct lease *lease, int result);
void lease_taken(struct lease *lease, int result);
/* What is due; the time of the next that will be, or 0. */
int64_t leases_tick(struct server *server, int64_t now);
void leases_disconnected(struct connection *connection);
void leases_review(struct server *server);
void leases_take_all(struct server *server, uint32_t why);

/* connection.c */
void listener_ready(struct source *source, uint32_t events);
int64_t connections_tick(struct server *server, int64_t now);
/* Free those that are closed. */
void connections_sweep(struct server *server);
void connection_drop(struct connection *connection);
/* Sends or keeps a message; takes @fd over. Without head.type nothing is sent. */
void connection_send(struct connection *connection,
		     const struct barter_vend_head *message, int fd);
/* The answer that the connection waits for, the head alone. */
void connection_answer(struct connection *connection, int error);

/* closer.c */
#define CLOSERS	64
/* Close a socket that may hold fds; -EAGAIN: not now. */
int close_elsewhere(struct server *server, int socket);

/* peer.c */
int peer_get(int socket, struct peer *peer);
void peer_put(struct peer *peer);
bool peer_lives(const struct peer *peer);
void peer_program(const struct peer *peer,
		  char program[BARTER_VEND_PROGRAM_LENGTH]);

/* message.c */
/* What a process may have named itself, for a terminal: ASCII that prints. */
void text_make_plain(char *text);
union message {
	struct barter_vend_head head;
	struct barter_vend_borrow borrow;
	struct barter_vend_request request;
	struct barter_vend_next_offer offer;
	char bytes[BARTER_VEND_MESSAGE_MAX];
};

/*
 * Is this a request? 0: it is whole, and its text ends; a negative errno for the
 * answer; 1: it is no message at all, and its sender is done with.
 */
int message_check(union message *message, size_t length);

/* request.c */
void request_handle(struct connection *connection, union message *message,
		    size_t length);

/* systemd.c */
/* A socket that was handed over; -ENOENT: none was. */
int systemd_listener(void);
void systemd_notify(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* Half the watchdog's time in ms, or 0. */
int64_t systemd_watchdog(void);

#endif /* BARTER_VEND_SERVER_H */
