// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The broker's process and its clients, see bench.h.
 */
#include "bench.h"
#include "../../vend/listen.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct steering *steering;
pid_t broker_pid;
static char folder[64], path[96], policy_path[96], log_path[96];

const char *const standard_policy =
	"[one]\ndevice = 01:00.0\nbar = 2\nranges = 0+64K\n"
	"allow = any\naccess = read-write\n"
	"[other]\ndevice = 01:00.0\nbar = 2\nranges = 1M+4K 60K+4K\n"
	"allow = any\naccess = read-only\n"
	"[part]\ndevice = 01:00.0\nbar = 2\nranges = 32K+4K\n"
	"allow = any\naccess = read-write\nuse = shared\n"
	"[apart]\ndevice = 01:00.0\nbar = 2\nranges = 8M+4K\n"
	"allow = any\naccess = read-write\n"
	"[many]\ndevice = 01:00.1\nbar = 0\nranges = 0+4K\n"
	"allow = any\naccess = read-write\nuse = shared\n"
	"[short]\ndevice = 01:00.1\nbar = 1\nranges = 0+4K\n"
	"allow = any\naccess = read-write\nlifetime = 2s\n"
	"[secret]\ndevice = 01:00.1\nbar = 3\nranges = 0+4K\n"
	"allow = uid:4000000\naccess = read-write\n";

const char *broker_path(void)
{
	return path;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(name);
		exit(1);
	}
	close(fd);
}

void broker_policy(const char *policy)
{
	write_file(policy_path, policy);
}

const char *broker_log(void)
{
	static char text[16384];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return text;
}

static void set_up(void)
{
	if (folder[0])
		return;
	strcpy(folder, "/tmp/barter-vend-XXXXXX");
	if (!mkdtemp(folder) || chmod(folder, 0755))
		exit(1);
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(policy_path, sizeof(policy_path), "%s/policy", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	steering = mmap(NULL, sizeof(*steering), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (steering == MAP_FAILED)
		exit(1);
}

static void broker_main(const struct limits *limits, int listener)
{
	static struct server server;
	char text[256];
	int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDERR_FILENO);
	if (server_init(&server, &memory_backend, limits, policy_path,
			listener) ||
	    server_reload(&server, text, sizeof(text)))
		exit(98);
	memory_begin();
	/* exit(), so that a leak is seen. */
	exit(server_run(&server));
}

/* No other process starts a broker here: the lock is of no use. */
int listen_alone(const char *at, int *listener)
{
	char name[200];
	int lock, ret = listen_at(at, listener, &lock);

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%s.lock", at);
	unlink(name);
	close(lock);
	return 0;
}

void broker_start(const char *policy, const struct limits *limits)
{
	int listener;

	broker_stop();
	set_up();
	memset(steering, 0, sizeof(*steering));
	broker_policy(policy);
	unlink(path);
	if (listen_alone(path, &listener) || raise_fd_limit(3000))
		exit(1);
	fflush(NULL);
	broker_pid = fork();
	if (!broker_pid)
		broker_main(limits ? limits : &default_limits, listener);
	close(listener);
	/* From then on signals do what they should. */
	CHECK(!count_leases(), "the broker answers");
}

int broker_stop(void)
{
	pid_t pid = broker_pid;

	if (!pid)
		return 0;
	broker_pid = 0;
	kill(pid, SIGTERM);
	return child_end(pid, 30000);
}

void bench_end(void)
{
	broker_stop();
	unlink(path);
	unlink(policy_path);
	unlink(log_path);
	rmdir(folder);
}

/* After a flood the queue of who wants to connect may be full for a moment. */
static int connect_soon(struct barter_broker **broker)
{
	int ret = barter_broker_open(path, broker);
	int64_t end = now_ms() + 5000;

	while (ret == -EAGAIN && now_ms() < end) {
		usleep(1000);
		ret = barter_broker_open(path, broker);
	}
	return ret;
}

struct barter_broker *client(void)
{
	struct barter_broker *broker = NULL;
	int ret = connect_soon(&broker);

	CHECK(!ret, "connect: %s", strerror(-ret));
	if (ret)
		exit(1);
	return broker;
}

int64_t borrow(struct barter_broker *broker, const char *name)
{
	struct barter_vend_lease lease;
	int fd, ret = barter_broker_borrow(broker, name, 0, &lease, &fd);

	if (ret)
		return ret;
	close(fd);
	return (int64_t)lease.lease;
}

int count_leases(void)
{
	struct barter_vend_status status = { .lease = 0 };
	struct barter_broker *broker;
	int ret, nr = 0;

	ret = connect_soon(&broker);
	if (ret)
		return ret;
	while (!(ret = barter_broker_status(broker, status.lease, &status)))
		nr++;
	barter_broker_close(broker);
	return ret == -ENOENT ? nr : ret;
}

void others_go_on(const char *when)
{
	struct barter_broker *broker = client();
	int64_t start = now_ms(), lease;
	int ret;

	lease = borrow(broker, "many");
	CHECK(lease > 0, "%s: another borrows: %s", when,
	      strerror((int)-lease));
	ret = barter_broker_return(broker, (uint64_t)lease);
	CHECK(!ret, "%s: and returns: %s", when, strerror(-ret));
	CHECK(now_ms() - start < 5000, "%s: in %lld ms", when,
	      (long long)(now_ms() - start));
	barter_broker_close(broker);
}

int raw_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -errno;
	}
	return fd;
}

int raw_send(int socket, const void *bytes, size_t length, const int *fds,
	     int nr)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec io = { .iov_base = (void *)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *part;

	if (nr) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE((size_t)nr * sizeof(int));
		part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN((size_t)nr * sizeof(int));
		memcpy(CMSG_DATA(part), fds, (size_t)nr * sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ?
	       -errno : 0;
}

int raw_receive(int socket, union message *message, int ms)
{
	struct pollfd wait = { .fd = socket, .events = POLLIN };
	ssize_t got;

	if (poll(&wait, 1, ms) <= 0)
		return -ETIMEDOUT;
	got = recv(socket, message, sizeof(*message), 0);
	return got < 0 ? -errno : (int)got;
}

struct barter_vend_head raw_head(uint16_t type, size_t size)
{
	return (struct barter_vend_head) {
		.size = (uint32_t)size,
		.version = BARTER_VEND_VERSION,
		.type = type,
		.serial = 77,
	};
}

pid_t child(int (*fn)(void *), void *argument, int uid)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid >= 0 && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			 setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid)))
		_exit(97);
	_exit(fn(argument));
}

int child_end(pid_t pid, int ms)
{
	int status;

	if (!WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid, ms)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -ETIMEDOUT;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	       1000 + WTERMSIG(status);
}
