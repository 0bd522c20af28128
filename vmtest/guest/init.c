// SPDX-License-Identifier: GPL-2.0-only
/*
 * init: PID 1 of the test machine.
 *
 * Loads the modules, runs one command, and tells the host how it went. The
 * order at the end is the point of this program: what the command left running
 * is killed, /out is handed over, the project's modules are unloaded, kmemleak
 * and the kernel log are searched, and only then the verdict goes out. A machine
 * that dies on the way gives no verdict, and the host takes that as a failure.
 *
 * Nothing here reads the console, and no driver is needed to report: the host
 * listens on write-only I/O ports (QEMU's isa-debugcon), one for the report and
 * two for the command's output. /out goes as a tar archive into a piece of RAM
 * that the kernel was told to leave alone (memmap=), where the host reads it.
 *
 * Report, line by line:
 *	begun		this program runs: what comes late from here on is not the boot
 *	ready MS	the command starts; the kernel has been up for MS ms
 *	out BYTES	/out lies in the reserved RAM
 *	complaint TEXT	the run failed, whatever the command says
 *	note TEXT	what people may want to know
 *	exit STATUS	the command ended
 *	verdict		nothing follows
 *
 * What to do is read from /etc/vmtest: argv and env (NUL-separated), conf
 * (NAME=VALUE lines), modules ("path" or "path !" for one to unload at the end),
 * allow (texts that excuse a line of the kernel log).
 *
 * Where a whole system is booted (system.c) this program runs three times: as PID 1
 * before it, as a service in it, for the command, and as PID 1 after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#define PORT_REPORT	0xe8
#define PORT_STDOUT	0xe9
#define PORT_STDERR	0xea

/* The system's command sees it from another root. */
static const char *etc = "/etc/vmtest";
static bool have_ports;

static void port_write(unsigned short port, const char *buf, size_t len)
{
	if (!have_ports)
		return;
	/* outsb() does not tell the compiler that it reads what buf points to. */
	__asm__ volatile("" : : "r"(buf) : "memory");
	outsb(port, buf, len);
}

void report(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (int i = 0; i < len; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	printf("vmtest-init: %.*s\n", len, line);
	line[len] = '\n';
	port_write(PORT_REPORT, line, len + 1);
}

long long uptime_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static const char *etc_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", etc, name);
	return path;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -errno : 0;
}

static const struct {
	const char *type, *dir;
} mounts[] = {
	{ "proc", "/proc" },
	{ "sysfs", "/sys" },
	{ "devtmpfs", "/dev" },
	{ "devpts", "/dev/pts" },
	{ "tmpfs", "/dev/shm" },
	{ "tmpfs", "/tmp" },
	{ "tmpfs", "/run" },
	{ "tmpfs", "/out" },
	{ "debugfs", "/sys/kernel/debug" },
	{ "tracefs", "/sys/kernel/tracing" },
	{ "cgroup2", "/sys/fs/cgroup" },
};

#define NR_MOUNTS ((int)(sizeof(mounts) / sizeof(mounts[0])))

void unmount_all(void)
{
	for (int i = NR_MOUNTS; i--; )
		umount2(mounts[i].dir, MNT_DETACH);
}

static void mount_all(void)
{
	for (int i = 0; i < NR_MOUNTS; i++) {
		mkdir(mounts[i].dir, 0755);
		/* What this kernel does not have, no test can use. */
		mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0, NULL);
	}
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
}

/* A whole file with a NUL behind it; the caller frees. */
static char *read_file(const char *path, size_t *lenp)
{
	size_t len = 0, room = 65536;
	char *buf = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf + len, room - len - 1)) > 0) {
		len += n;
		if (room - len < 4096)
			buf = realloc(buf, room *= 2);
	}
	if (fd >= 0)
		close(fd);
	buf[len] = 0;
	if (lenp)
		*lenp = len;
	return buf;
}

/* NUL-separated strings of a file as a vector that ends in NULL. */
static char **read_vector(const char *path)
{
	size_t len, n = 0;
	char *buf = read_file(path, &len);
	char **vec = calloc(len + 2, sizeof(*vec));

	for (size_t at = 0; at < len; at += strlen(buf + at) + 1)
		vec[n++] = buf + at;
	return vec;
}

static char *conf;

/* The value of NAME in the file conf, or an empty string; never freed. */
static const char *conf_get(const char *name)
{
	size_t len = strlen(name);

	for (char *line = conf; line && *line; ) {
		char *end = strchrnul(line, '\n');

		if (!strncmp(line, name, len) && line[len] == '=')
			return strndup(line + len + 1, end - line - len - 1);
		line = *end ? end + 1 : end;
	}
	return "";
}

/* ---- the command ---- */

static pid_t start_command(int out, int err)
{
	bool shell = atoi(conf_get("interactive"));
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	for (char **env = read_vector(etc_path("env")); *env; env++)
		putenv(*env);
	if (shell) {
		int tty = open("/dev/ttyS0", O_RDWR);

		ioctl(tty, TIOCSCTTY, 1);
		for (int fd = 0; fd < 3; fd++)
			dup2(tty, fd);
	} else {
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(out, 1);
		dup2(err, 2);
	}
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	/* PID 1's privilege to touch I/O ports is not the command's. */
	iopl(0);

	char **argv = read_vector(etc_path("argv"));

	if (!argv[0]) {
		execl("/bin/sh", "-sh", NULL);
	} else {
		execvp(argv[0], argv);
		fprintf(stderr, "vmtest: cannot run %s in the guest: %s\n",
			argv[0], strerror(errno));
	}
	_exit(errno == ENOENT ? 127 : 126);
}

/* Pass on what arrives on the two pipes; false once both are closed. */
static bool pump(struct pollfd fds[2], int timeout)
{
	static const unsigned short ports[2] = { PORT_STDOUT, PORT_STDERR };
	char buf[4096];

	poll(fds, 2, timeout);
	for (int i = 0; i < 2; i++) {
		ssize_t n;

		if (fds[i].fd < 0 || !fds[i].revents)
			continue;
		n = read(fds[i].fd, buf, sizeof(buf));
		if (n > 0) {
			port_write(ports[i], buf, n);
		} else if (n == 0 || errno != EINTR) {
			close(fds[i].fd);
			fds[i].fd = -1;
		}
	}
	return fds[0].fd >= 0 || fds[1].fd >= 0;
}

/* Kill everything but ourselves; whatever can't die within 15 s is named. */
static void kill_leftovers(struct pollfd fds[2])
{
	long long deadline = uptime_ms() + 15000;
	bool open_pipes = fds[0].fd >= 0 || fds[1].fd >= 0;

	while (uptime_ms() < deadline) {
		kill(-1, SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (open_pipes)
			open_pipes = pump(fds, 10);
		else
			usleep(10000);
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD && !open_pipes)
			return;
	}
	report("complaint a process cannot be killed; its stack is in the console log");
	write_text("/proc/sysrq-trigger", "w");
}

static int run_command(long long deadline)
{
	struct pollfd fds[2];
	int out[2], err[2], status = 0;
	bool late = false, ended = false;
	pid_t pid;

	if (pipe(out) || pipe(err))
		return 126;
	report("ready %lld", uptime_ms());
	pid = start_command(out[1], err[1]);
	close(out[1]);
	close(err[1]);
	fds[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };

	while (!ended) {
		int st;
		pid_t gone;

		pump(fds, 20);
		while ((gone = waitpid(-1, &st, WNOHANG)) > 0) {
			if (gone != pid)
				continue;
			ended = true;
			status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		}
		if (!ended && deadline && uptime_ms() > deadline) {
			late = true;
			break;
		}
	}
	if (late) {
		/* Blocked tasks and held locks, for whoever reads the console log. */
		report("complaint the command had not ended when its time was up");
		write_text("/proc/sysrq-trigger", "w");
		write_text("/proc/sysrq-trigger", "d");
		status = 137;
		kill(-pid, SIGKILL);
	}
	if (getpid() == 1) {
		kill_leftovers(fds);
	} else {
		/* What else runs in the system is not of this command. */
		while (poll(fds, 2, 0) > 0 && pump(fds, 0))
			;
	}
	return status;
}

/* ---- /out ---- */

static void hand_over_out(void)
{
	unsigned long long base = strtoull(conf_get("out_base"), NULL, 0);
	unsigned long long room = strtoull(conf_get("out_size"), NULL, 0);
	struct stat st;
	int fd, mem, rc;
	char *to;

	rc = system("exec /bin/busybox tar -C /out -cf /tmp/.out.tar .");
	fd = open("/tmp/.out.tar", O_RDONLY | O_CLOEXEC);
	if (rc || fd < 0 || fstat(fd, &st)) {
		report("complaint /out could not be packed");
		return;
	}
	if ((unsigned long long)st.st_size > room) {
		report("complaint /out holds %lld bytes, more than the %llu that can come back",
		       (long long)st.st_size, room);
		return;
	}
	mem = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	to = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, mem, base);
	if (mem < 0 || to == MAP_FAILED) {
		report("complaint /out could not be handed over: %s", strerror(errno));
		return;
	}
	for (off_t at = 0; at < st.st_size; ) {
		ssize_t n = read(fd, to + at, st.st_size - at);

		if (n <= 0) {
			report("complaint /out could not be read: %s", strerror(errno));
			return;
		}
		at += n;
	}
	munmap(to, room);
	close(mem);
	close(fd);
	unlink("/tmp/.out.tar");
	report("out %lld", (long long)st.st_size);
}

/* ---- a whole system ---- */

/* As a service of the system: its command, whose status waits for the system's end. */
static int run_in_system(void)
{
	int status;
	FILE *f;

	etc = SYSTEM_INITRAMFS "/etc/vmtest";
	conf = read_file(etc_path("conf"), NULL);
	have_ports = !iopl(3);
	status = run_command(atoll(conf_get("limit_ms")));
	f = fopen(etc_path("status"), "we");
	return !f || fprintf(f, "%d", status) < 0 || fclose(f);
}

/* After the system has ended: what its command's status was. */
static int status_in_system(void)
{
	struct pollfd fds[2] = { { .fd = -1 }, { .fd = -1 } };
	const char *text;

	modules_find();
	kill_leftovers(fds);
	text = read_file(etc_path("status"), NULL);
	if (text[0])
		return atoi(text);
	report("complaint the system ended before the command did");
	return 126;
}

/* ---- PID 1 ---- */

static void begin(void)
{
	mount_all();
	if (!have_ports)
		printf("vmtest-init: no access to I/O ports: %s\n", strerror(errno));
	report("begun");
	sethostname("vmtest", 6);
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "vt100", 1);
	/* busybox modprobe and the kernel's own requests find the same modules. */
	write_text("/proc/sys/kernel/modprobe", "/sbin/modprobe");
	system("exec /bin/busybox ip link set lo up 2>/dev/null");

	kmemleak_start();
	races_start();
	modules_load();
}

int main(int argc, char **argv)
{
	int status;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getpid() != 1)
		return run_in_system();
	conf = read_file(etc_path("conf"), NULL);
	have_ports = !iopl(3);
	if (!strcmp(argv[0], "/shutdown")) {
		/* systemd leaves every file system read-only, this root too. */
		mount(NULL, "/", NULL, MS_REMOUNT, NULL);
		status = status_in_system();
	} else {
		begin();
		if (!atoi(conf_get("system"))) {
			status = run_command(atoll(conf_get("limit_ms")));
		} else {
			system_boot();
			/* It could not, and that is the end. */
			mount_all();
			status = 126;
		}
	}
	hand_over_out();
	if (!atoi(conf_get("keep_modules")))
		modules_unload();
	kmemleak_check();
	dma_debug_check();
	kmsg_check();
	report("exit %d", status);
	report("verdict");
	for (;;)
		pause();
}
