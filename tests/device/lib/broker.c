// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker and its protocol, see broker.h.
 */
#define _GNU_SOURCE
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pci.h"
#include "proc.h"
#include "tap.h"

#define POLICY	"/tmp/broker/policy"

int broker_devices(const char *const *bdfs, int nr)
{
	char node[64];
	int i, ret;

	mkdir("/tmp/broker", 0755);
	if (chown("/tmp/broker", BROKER_USER, BROKER_USER))
		return -errno;
	for (i = 0; i < nr; i++) {
		ret = pci_bind(bdfs[i], pci_lender());
		if (ret)
			return ret;
		snprintf(node, sizeof(node), "/dev/vfio/%d",
			 pci_group(bdfs[i]));
		if (chown(node, BROKER_USER, BROKER_USER))
			return -errno;
	}
	return 0;
}

void broker_policy(const char *text)
{
	int fd = open(POLICY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		tap_bail("%s: %s", POLICY, strerror(errno));
	close(fd);
}

static void broker_run(void)
{
	int log = open(BROKER_LOG, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
		       0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDERR_FILENO);
	dup2(log, STDOUT_FILENO);
	/* Nothing of this process may keep a buffer or a device. */
	for (int i = 3; i < 1024; i++)
		close(i);
	if (setgroups(0, NULL) ||
	    setresgid(BROKER_USER, BROKER_USER, BROKER_USER) ||
	    setresuid(BROKER_USER, BROKER_USER, BROKER_USER))
		_exit(97);
	/* Setting ids has cleared it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execlp("barter", "barter", "vend", "--policy", POLICY, "--socket",
	       BROKER_SOCKET, (char *)NULL);
	_exit(98);
}

static bool answers(void)
{
	int s = vend_connect(), ret;

	if (s < 0)
		return false;
	ret = vend_lease(s, BARTER_VEND_STATUS, 0, 0, 5000);
	close(s);
	return !ret || ret == -ENOENT;
}

pid_t broker_start(void)
{
	bool up;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		broker_run();
	WAIT_FOR(up, answers() || !is_running(pid), 20000);
	return up && is_running(pid) ? pid : -ECHILD;
}

bool broker_said(const char *text)
{
	static char log[16384];
	int fd = open(BROKER_LOG, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, log, sizeof(log) - 1);

	close(fd);
	log[n > 0 ? n : 0] = 0;
	return strstr(log, text);
}

int vend_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, BROKER_SOCKET);
	if (s >= 0 && !connect(s, (struct sockaddr *)&address, sizeof(address)))
		return s;
	close(s);
	return -errno;
}

int vend_send(int s, uint16_t type, void *request, size_t n)
{
	*(struct barter_vend_head *)request = (struct barter_vend_head) {
		.size = n,
		.version = BARTER_VEND_VERSION,
		.type = type,
		.serial = 1,
	};
	return send(s, request, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* A message and its fd; its length, 0 at the end, -errno. */
static int receive(int s, void *data, size_t n, int *fd, int ms)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = { .iov_base = data, .iov_len = n };
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct pollfd wait = { .fd = s, .events = POLLIN };
	ssize_t got;

	*fd = -1;
	if (poll(&wait, 1, ms) <= 0)
		return -ETIMEDOUT;
	got = recvmsg(s, &message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.head.cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(&control.head), sizeof(*fd));
	return (int)got;
}

int vend_answer(int s, void *answer, size_t n, int *fd, int ms)
{
	char message[BARTER_VEND_MESSAGE_MAX];
	struct barter_vend_head *head = (void *)message;
	int got, came;

	do {
		memset(message, 0, sizeof(message));
		got = receive(s, message, sizeof(message), &came, ms);
	} while (got > 0 && head->type == BARTER_VEND_TAKEN);
	if (fd)
		*fd = came;
	else if (came >= 0)
		close(came);
	if (got <= 0)
		return got ? got : -EPIPE;
	if (answer)
		memcpy(answer, message, n);
	return head->error;
}

int vend_event(int s, uint64_t *lease, int ms)
{
	struct barter_vend_event event;
	int fd, got = receive(s, &event, sizeof(event), &fd, ms);

	if (got <= 0)
		return got ? got : -EPIPE;
	if (event.head.type != BARTER_VEND_TAKEN)
		return -EPROTO;
	if (lease)
		*lease = event.lease;
	return (int)event.why;
}

int64_t vend_borrow(int s, const char *name, uint32_t seconds, int *fd)
{
	struct barter_vend_borrow request = { .seconds = seconds };
	struct barter_vend_lease lease;
	int ret;

	strcpy(request.name, name);
	ret = vend_send(s, BARTER_VEND_BORROW, &request, sizeof(request));
	if (!ret)
		ret = vend_answer(s, &lease, sizeof(lease), fd, 60000);
	return ret ? ret : (int64_t)lease.lease;
}

int vend_lease(int s, uint16_t type, uint64_t lease, uint32_t flags, int ms)
{
	struct barter_vend_request request = { .lease = lease, .flags = flags };
	int ret = vend_send(s, type, &request, sizeof(request));

	return ret ? ret : vend_answer(s, NULL, 0, NULL, ms);
}

int vend_status(uint64_t lease, struct barter_vend_status *status)
{
	struct barter_vend_request request = { .lease = lease - 1 };
	int s = vend_connect(), ret;

	if (s < 0)
		return s;
	ret = vend_send(s, BARTER_VEND_STATUS, &request, sizeof(request));
	if (!ret)
		ret = vend_answer(s, status, sizeof(*status), NULL, 10000);
	close(s);
	return ret ? ret : status->lease == lease ? 0 : -ENOENT;
}

static int count(void)
{
	struct barter_vend_status status = { .lease = 0 };
	struct barter_vend_request request;
	int s = vend_connect(), nr = 0, ret;

	if (s < 0)
		return s;
	do {
		request = (struct barter_vend_request) {
			.lease = status.lease,
		};
		ret = vend_send(s, BARTER_VEND_STATUS, &request,
				sizeof(request));
		if (!ret)
			ret = vend_answer(s, &status, sizeof(status), NULL,
					  10000);
	} while (!ret && ++nr);
	close(s);
	return ret == -ENOENT ? nr : ret;
}

bool vend_leases(int want, int ms)
{
	bool so;

	WAIT_FOR(so, count() == want, ms);
	return so;
}
