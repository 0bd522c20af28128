// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Processes, time and the kernel log, see proc.h.
 */
#define _GNU_SOURCE
#include "proc.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

pid_t spawn(int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	_exit(fn(arg));
}

int reap(pid_t pid, int ms)
{
	int status = 0;
	pid_t got;

	WAIT_FOR(got, waitpid(pid, &status, WNOHANG), ms);
	return got == pid ? status : -ETIMEDOUT;
}

int in_child(int (*fn)(void *), void *arg, int ms)
{
	const char *scale = getenv("BARTER_TIME_SCALE");
	/* As the limit of the case that it is in. */
	int status = reap(spawn(fn, arg), scale ? ms * atoi(scale) : ms);

	if (status < 0)
		return status;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
		1000 + WTERMSIG(status);
}

bool is_running(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
		!info.si_pid;
}

bool sleeps_in(pid_t pid, const char *function)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return strstr(text, function);
}

void log_open(struct log *log)
{
	log->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log->fd >= 0)
		lseek(log->fd, 0, SEEK_END);
}

static bool log_next(struct log *log, const char *text, const char *text2)
{
	char line[2048];
	ssize_t n;

	for (;;) {
		n = read(log->fd, line, sizeof(line) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return false;
		line[n] = 0;
		if (strstr(line, text) && (!text2 || strstr(line, text2)))
			return true;
	}
}

bool log_wait(struct log *log, const char *text, const char *text2, int ms)
{
	bool found;

	WAIT_FOR(found, log_next(log, text, text2), ms);
	return found;
}

void log_close(struct log *log)
{
	close(log->fd);
}

bool fd_send(int socket, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = { .head = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	} };
	struct iovec io = { "x", 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(socket, &m, 0) == 1;
}

int fd_receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

bool kernel_has_32_bits(void)
{
	struct utsname name;

	return !uname(&name) && !strstr(name.machine, "64");
}

bool kernel_before(unsigned int major, unsigned int minor)
{
	unsigned int a = 0, b = 0;
	struct utsname u;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &a, &b) != 2)
		tap_bail("kernel %s", u.release);
	return a < major || (a == major && b < minor);
}
