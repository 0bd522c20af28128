/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * libbarter: borrow slices of device memory from a broker ("barter vend"). The
 * rules of <barter.h> hold here too.
 *
 * The broker owns VFIO devices and lends named slices of their BARs, as its policy
 * allows, to processes that connect to its socket. A slice comes as a dma-buf fd.
 * It is lent for as long as the connection lasts, and no longer than the policy
 * says; then the broker takes it back: accesses raise SIGBUS, DMA has ended, and
 * the buffer is dead for ever, whoever holds a copy of the fd.
 *
 * The first part of this file is the protocol, for programs that do without the
 * library. The second part is the library's calls.
 *
 * The protocol: a Unix socket of type SOCK_SEQPACKET. One packet is one message: a
 * structure below, in the byte order of the machine, which begins with struct
 * barter_vend_head.
 *
 *  - @size is the length of the packet. A longer structure than the broker knows
 *    is accepted as long as the rest is zero and it has no more than
 *    BARTER_VEND_MESSAGE_MAX bytes (else -E2BIG). One that is shorter than its first
 *    layout, and reserved fields or flags that are not zero, are -EINVAL.
 *  - @version is BARTER_VEND_VERSION. An answer to another one is
 *    -EPROTONOSUPPORT, with the version that the broker speaks.
 *  - An answer has the request's @serial, its @type with BARTER_VEND_ANSWER added,
 *    and in @error 0 or a negative errno. With an error it may be the head alone.
 *    Answers come in the order of the requests: the broker takes no further request
 *    from a connection before its answer was taken.
 *  - What is no message (no head, a @size that is not the packet's length, more than
 *    BARTER_VEND_MESSAGE_MAX bytes, no bytes) and any message with fds ends the
 *    connection.
 *  - The broker never waits for a client. It keeps few connections for each user
 *    (-EMLINK, with serial 0, then it ends the connection), and closes connections
 *    that have no lease and say nothing for a minute.
 */
#ifndef BARTER_VEND_H
#define BARTER_VEND_H

#include <stddef.h>
#include <stdint.h>

#include <barter-pci.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The protocol ----------------------------------------------------- */

/** BARTER_VEND_SOCKET - where the broker listens unless told otherwise */
#define BARTER_VEND_SOCKET	"/run/barter-vend.sock"

#define BARTER_VEND_VERSION	1
#define BARTER_VEND_MESSAGE_MAX	1024

/** BARTER_VEND_NAME_LENGTH - room for the name of an offer, with the final NUL */
#define BARTER_VEND_NAME_LENGTH	32
#define BARTER_VEND_TEXT_LENGTH	256
#define BARTER_VEND_PROGRAM_LENGTH 16
#define BARTER_VEND_BLOCKER_LENGTH 64

/* Types of requests. */
#define BARTER_VEND_BORROW	1 /* barter_vend_borrow; barter_vend_lease and an fd */
#define BARTER_VEND_RETURN	2 /* barter_vend_request; the head, once it is done */
#define BARTER_VEND_OFFERS	3 /* barter_vend_next_offer; barter_vend_offer */
#define BARTER_VEND_STATUS	4 /* barter_vend_request; barter_vend_status */
#define BARTER_VEND_TAKE_BACK	5 /* barter_vend_request; the head */
#define BARTER_VEND_RELOAD	6 /* the head; barter_vend_text */
/* Of an answer: its request's type and this. */
#define BARTER_VEND_ANSWER	0x80
/* Sent unasked, with serial 0: barter_vend_event. */
#define BARTER_VEND_TAKEN	0x100

/* Flags of offers and leases. */
#define BARTER_VEND_READ_ONLY	(1U << 0)
#define BARTER_VEND_WC		(1U << 1) /* write-combining, else uncached */
#define BARTER_VEND_SHARED	(1U << 2) /* several may have it at a time */
#define BARTER_VEND_LIMITED	(1U << 3) /* for at most so many seconds */

/* Flags of BARTER_VEND_TAKE_BACK. */
#define BARTER_VEND_NO_WAIT	(1U << 0) /* answer when it has begun */

/* States of a lease. A lease that is over is no more. */
#define BARTER_VEND_LENDING	0 /* the buffer is being made */
#define BARTER_VEND_LENT	1
#define BARTER_VEND_TAKING	2 /* being taken back: an importer may hold it up */
#define BARTER_VEND_STUCK	3 /* taking it back failed; tried again and again */

/* Why a lease is taken back. */
#define BARTER_VEND_WHY_NONE		0 /* it is not */
#define BARTER_VEND_WHY_RETURNED	1
#define BARTER_VEND_WHY_DISCONNECTED	2
#define BARTER_VEND_WHY_TIMEOUT		3
#define BARTER_VEND_WHY_OWNER		4 /* the broker's owner asked for it */
#define BARTER_VEND_WHY_POLICY		5 /* a new policy does not allow it */
#define BARTER_VEND_WHY_SHUTDOWN	6 /* the broker ends */
#define BARTER_VEND_WHY_GONE		7 /* the kernel wants the device back */

/**
 * struct barter_vend_head - how each message begins
 * @size: bytes of the message
 * @version: BARTER_VEND_VERSION
 * @type: BARTER_VEND_*
 * @serial: chosen by the client, returned in the answer
 * @error: 0; in an answer 0 or a negative errno
 */
struct barter_vend_head {
	uint32_t size;
	uint16_t version;
	uint16_t type;
	uint32_t serial;
	int32_t error;
};

/**
 * struct barter_vend_borrow - BARTER_VEND_BORROW
 * @head: how each message begins
 * @name: name of an offer; NUL up to its end
 * @flags: 0
 * @seconds: after which it may be taken back; 0 for as long as the policy allows
 *
 * Errors: ENOENT (no such offer for this user), EBUSY (somebody has it, or part of
 * it, or the device is held up by an importer that does not let go), EDQUOT (too
 * many leases of this connection or user), EOPNOTSUPP (the attributes that the
 * policy asks for), ESHUTDOWN (the broker ends), EINVAL, and what opening the device
 * and exporting give.
 */
struct barter_vend_borrow {
	struct barter_vend_head head;
	char name[BARTER_VEND_NAME_LENGTH];
	uint32_t flags;
	uint32_t seconds;
};

/**
 * struct barter_vend_lease - answer to BARTER_VEND_BORROW; an fd comes with it
 * @head: how each message begins
 * @lease: its number, never used again
 * @length: bytes in the buffer
 * @flags: BARTER_VEND_*
 * @seconds: after which it is taken back, with BARTER_VEND_LIMITED
 * @bar: BAR index
 * @nr_ranges: pieces of the BAR in it
 * @device: PCI address
 */
struct barter_vend_lease {
	struct barter_vend_head head;
	uint64_t lease;
	uint64_t length;
	uint32_t flags;
	uint32_t seconds;
	uint32_t bar;
	uint32_t nr_ranges;
	char device[BARTER_BDF_LENGTH];
};

/**
 * struct barter_vend_request - a request about a lease
 * @head: how each message begins
 * @lease: its number. For BARTER_VEND_STATUS: the one before, 0 for the first
 * @flags: BARTER_VEND_NO_WAIT for BARTER_VEND_TAKE_BACK, else 0
 * @__reserved: 0
 *
 * RETURN is for leases of the same connection, TAKE_BACK for the broker's owner and
 * root, STATUS for both: everybody sees the leases of his own user, they see all.
 * Errors: ENOENT (no such lease; STATUS: no more), EPERM, EINVAL.
 */
struct barter_vend_request {
	struct barter_vend_head head;
	uint64_t lease;
	uint32_t flags;
	uint32_t __reserved;
};

/**
 * struct barter_vend_next_offer - BARTER_VEND_OFFERS: the offer after another
 * @head: how each message begins
 * @after: name of an offer, or empty for the first
 *
 * Errors: ENOENT (no more), EINVAL.
 */
struct barter_vend_next_offer {
	struct barter_vend_head head;
	char after[BARTER_VEND_NAME_LENGTH];
};

/**
 * struct barter_vend_offer - answer to BARTER_VEND_OFFERS
 * @head: how each message begins
 * @name: its name
 * @device: PCI address
 * @length: bytes
 * @bar: BAR index
 * @nr_ranges: pieces of the BAR
 * @flags: BARTER_VEND_*
 * @seconds: longest time that it is lent for, with BARTER_VEND_LIMITED
 * @leases: how many have it now
 * @__reserved: 0
 */
struct barter_vend_offer {
	struct barter_vend_head head;
	char name[BARTER_VEND_NAME_LENGTH];
	char device[BARTER_BDF_LENGTH];
	uint64_t length;
	uint32_t bar;
	uint32_t nr_ranges;
	uint32_t flags;
	uint32_t seconds;
	uint32_t leases;
	uint32_t __reserved;
};

/**
 * struct barter_vend_status - answer to BARTER_VEND_STATUS
 * @head: how each message begins
 * @lease: its number
 * @length: bytes
 * @name: of the offer
 * @device: PCI address
 * @program: who borrowed it; "" if that process is no more
 * @blocker: while it is taken back: the importer that has not let go, if known
 * @pid: process that connected
 * @uid: its user
 * @gid: its group
 * @bar: BAR index
 * @nr_ranges: pieces of the BAR
 * @flags: BARTER_VEND_*
 * @state: BARTER_VEND_LENDING ... BARTER_VEND_STUCK
 * @why: BARTER_VEND_WHY_*
 * @held: seconds since it was lent
 * @left: seconds until it is taken back, with BARTER_VEND_LIMITED
 * @taking: seconds since it is being taken back
 * @buffer_state: BARTER_STATE_* of the buffer, if it could be asked
 * @buffer_reasons: BARTER_REASON_*
 * @mmaps: mappings of the buffer
 * @importers: importers attached
 * @error: with BARTER_VEND_STUCK a negative errno
 * @__reserved: 0
 */
struct barter_vend_status {
	struct barter_vend_head head;
	uint64_t lease;
	uint64_t length;
	char name[BARTER_VEND_NAME_LENGTH];
	char device[BARTER_BDF_LENGTH];
	char program[BARTER_VEND_PROGRAM_LENGTH];
	char blocker[BARTER_VEND_BLOCKER_LENGTH];
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t bar;
	uint32_t nr_ranges;
	uint32_t flags;
	uint32_t state;
	uint32_t why;
	uint32_t held;
	uint32_t left;
	uint32_t taking;
	uint32_t buffer_state;
	uint32_t buffer_reasons;
	uint32_t mmaps;
	uint32_t importers;
	int32_t error;
};

/**
 * struct barter_vend_text - answer to BARTER_VEND_RELOAD
 * @head: how each message begins; -EINVAL if the policy is wrong, and stays as it was
 * @text: what is wrong, with file and line, or what was done
 *
 * For the broker's owner and root, else EPERM.
 */
struct barter_vend_text {
	struct barter_vend_head head;
	char text[BARTER_VEND_TEXT_LENGTH];
};

/**
 * struct barter_vend_event - BARTER_VEND_TAKEN: a lease is being taken back
 * @head: how each message begins
 * @lease: its number
 * @why: BARTER_VEND_WHY_*
 * @__reserved: 0
 */
struct barter_vend_event {
	struct barter_vend_head head;
	uint64_t lease;
	uint32_t why;
	uint32_t __reserved;
};

/* ---- The library's calls ---------------------------------------------- */

/**
 * struct barter_broker - a connection to a broker; opaque
 */
struct barter_broker;

/**
 * barter_broker_open() - connect to a broker
 * @path: its socket, or NULL for BARTER_VEND_SOCKET
 * @broker: where the handle goes; barter_broker_close() releases it
 *
 * Return: 0, -ENOENT (no such socket), -ECONNREFUSED (nobody listens), -EACCES,
 * -EAGAIN (too many connect at this moment, or the broker stands still), -ENAMETOOLONG,
 * -EPROTOTYPE (a socket of another type), -ENOMEM, -EMFILE.
 */
int barter_broker_open(const char *path, struct barter_broker **broker);

/**
 * barter_broker_close() - end a connection
 * @broker: handle, or NULL; invalid afterwards
 *
 * Every lease of the connection is taken back.
 */
void barter_broker_close(struct barter_broker *broker);

/**
 * barter_broker_fd() - the connection's fd, to wait for events by poll()
 * @broker: handle
 *
 * When it is readable, call barter_broker_event() until that has no more.
 *
 * Return: the fd; the handle keeps owning it.
 */
int barter_broker_fd(const struct barter_broker *broker);

/**
 * barter_broker_borrow() - borrow a slice
 * @broker: handle
 * @name: name of the offer
 * @seconds: for how long; 0 for as long as the policy allows
 * @lease: where the particulars go
 * @fd: where the dma-buf fd goes; the caller closes it
 *
 * Like all calls below it waits for the answer: while an importer holds up the
 * device, for some seconds.
 *
 * Return: 0; -EPIPE or -ECONNRESET (the broker has ended the connection: it is no
 * more, or has too many), -EMLINK (too many connections of this user), -EPROTO (not
 * the broker's protocol), -EPROTONOSUPPORT (an older broker), -EMFILE (this process may
 * have no more fds, or not this one; what was lent has been given back), or an error of
 * struct barter_vend_borrow.
 */
int barter_broker_borrow(struct barter_broker *broker, const char *name,
			 uint32_t seconds, struct barter_vend_lease *lease,
			 int *fd);

/**
 * barter_broker_return() - give a slice back
 * @broker: handle
 * @lease: number of a lease of this connection
 *
 * When the call returns nobody reaches the memory through the lease's buffer.
 *
 * Return: as barter_broker_borrow(), -ENOENT (no such lease: it was taken back).
 */
int barter_broker_return(struct barter_broker *broker, uint64_t lease);

/**
 * barter_broker_event() - has a lease of this connection been taken back
 * @broker: handle
 * @event: where the answer goes
 *
 * Never waits.
 *
 * Return: 0, -EAGAIN (nothing new), -EPIPE or -ECONNRESET (the broker is no more: all
 * leases are taken back), -EMLINK (too many connections of this user), -EPROTO.
 */
int barter_broker_event(struct barter_broker *broker,
			struct barter_vend_event *event);

/**
 * barter_broker_offer() - what can be borrowed
 * @broker: handle
 * @after: name of the offer before, or NULL for the first
 * @offer: where the answer goes
 *
 * Return: as barter_broker_borrow(), -ENOENT (no more).
 */
int barter_broker_offer(struct barter_broker *broker, const char *after,
			struct barter_vend_offer *offer);

/**
 * barter_broker_status() - what is lent
 * @broker: handle
 * @after: number of the lease before, or 0 for the first
 * @status: where the answer goes
 *
 * Return: as barter_broker_borrow(), -ENOENT (no more).
 */
int barter_broker_status(struct barter_broker *broker, uint64_t after,
			 struct barter_vend_status *status);

/**
 * barter_broker_take_back() - have the broker take a lease back, whoever has it
 * @broker: handle
 * @lease: its number
 * @flags: BARTER_VEND_NO_WAIT: only begin
 *
 * Return: as barter_broker_return(), -EPERM (not the broker's owner).
 */
int barter_broker_take_back(struct barter_broker *broker, uint64_t lease,
			    uint32_t flags);

/**
 * barter_broker_reload() - have the broker read its policy again
 * @broker: handle
 * @text: where the broker's words go
 *
 * Leases that the new policy allows as they are remain; all others are taken back.
 *
 * Return: as barter_broker_borrow(), -EINVAL (the policy is wrong and was not
 * taken; @text says why), -EPERM (not the broker's owner).
 */
int barter_broker_reload(struct barter_broker *broker,
			 struct barter_vend_text *text);

/**
 * barter_vend_state_name() - word for the state of a lease
 * @state: BARTER_VEND_LENDING ... BARTER_VEND_STUCK
 *
 * Return: "lending", "lent", "taking-back", "stuck" or "unknown"; static.
 */
const char *barter_vend_state_name(uint32_t state);

/**
 * barter_vend_why_name() - word for why a lease is taken back
 * @why: BARTER_VEND_WHY_*
 *
 * Return: "none", "returned", "disconnected", "timeout", "owner", "policy",
 * "shutdown", "gone" or "unknown"; static.
 */
const char *barter_vend_why_name(uint32_t why);

#ifdef __cplusplus
}
#endif

#endif /* BARTER_VEND_H */
