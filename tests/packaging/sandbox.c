// SPDX-License-Identifier: GPL-2.0-only
/*
 * sandbox: what a service may do. Tries what the directives of barter-vend.service are
 * to keep from it, and what they are not, and prints for each "NAME possible" or
 * "NAME refused WHY". A process of its own does each, since a system call that is
 * filtered may end it. Nothing is changed but files named barter-sandbox.
 *
 *	sandbox			try all
 *	sandbox listen		listen where only this network namespace sees it
 *	sandbox euid		succeeds if it is not run as who started it (set-uid)
 *
 * Run by root without a sandbox, all must be possible, or a refusal says nothing. That
 * is for the test machine only, and nothing is tried elsewhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME	"barter-sandbox"
#define TEST_MACHINE	"/run/initramfs/init"

/* Each returns 0 if it could be done, else -errno. */
static int error_of(long ret)
{
	return ret < 0 ? -errno : 0;
}

static int create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return error_of(unlink(path));
}

static int can_open(const char *path, int how)
{
	int fd = open(path, how | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : close(fd);
}

/* Files: ProtectSystem, ProtectHome, PrivateTmp, and what protects the kernel's. */
static int write_etc(void) { return create("/etc/" FILE_NAME); }
static int write_usr(void) { return create("/usr/" FILE_NAME); }
static int write_var(void) { return create("/var/lib/" FILE_NAME); }
static int write_run(void) { return create("/run/" FILE_NAME); }
static int see_home(void) { return can_open("/home/" FILE_NAME, O_RDONLY); }
static int see_root_home(void) { return can_open("/root/" FILE_NAME, O_RDONLY); }
static int see_tmp(void) { return can_open("/tmp/" FILE_NAME, O_RDONLY); }
static int write_sysctl(void) { return can_open("/proc/sys/vm/swappiness", O_WRONLY); }
static int write_sysfs(void) { return can_open("/sys/bus/pci/drivers_autoprobe", O_WRONLY); }
static int see_meminfo(void) { return can_open("/proc/meminfo", O_RDONLY); }

static int make_cgroup(void)
{
	const char *path = "/sys/fs/cgroup/" FILE_NAME;

	return mkdir(path, 0755) ? -errno : error_of(rmdir(path));
}

static int see_modules(void)
{
	DIR *dir = opendir("/usr/lib/modules");

	return dir ? closedir(dir) : -errno;
}

static int make_suid_file(void)
{
	const char *path = "/tmp/" FILE_NAME ".suid";
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -errno;
	ret = error_of(fchmod(fd, 04700));
	unlink(path);
	return ret;
}

/* Devices, which the test has made everybody's as far as their modes go. */
static int open_disk(void) { return can_open("/dev/vda", O_RDONLY); }
static int open_serial(void) { return can_open("/dev/ttyS1", O_RDWR | O_NOCTTY); }
static int write_kernel_log(void) { return can_open("/dev/kmsg", O_WRONLY); }

/* Privileges. */
static int has_capability(void)
{
	int ret = prctl(PR_CAPBSET_READ, 21 /* CAP_SYS_ADMIN */);

	return ret < 0 ? -errno : ret == 1 ? 0 : -EPERM;
}

static int gain_privilege(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/usr/local/bin/" FILE_NAME, FILE_NAME, "euid", (char *)NULL);
		_exit(2);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 2)
		return -EIO;
	return WEXITSTATUS(status) ? -EPERM : 0;
}

static int make_namespace(void) { return error_of(unshare(CLONE_NEWUSER)); }
static int change_personality(void) { return error_of(personality(PER_LINUX32)); }
static int swap_off(void) { return swapoff("/none") && errno != ENOENT ? -errno : 0; }
static int touch_ports(void) { return error_of(iopl(3)); }
static int trace(void) { return error_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL)); }
static int set_priority(void) { return error_of(setpriority(PRIO_PROCESS, 0, 5)); }
static int set_reboot_key(void)
{
	return error_of(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
				LINUX_REBOOT_CMD_CAD_OFF, NULL));
}

static int set_hostname(void)
{
	char name[64];

	return gethostname(name, sizeof(name)) ? -errno : error_of(sethostname(name, strlen(name)));
}

static int mount_something(void)
{
	int ret = error_of(mount("none", "/mnt", "tmpfs", 0, NULL));

	return ret ? ret : error_of(umount("/mnt"));
}

static int be_realtime(void)
{
	struct sched_param parameters = { .sched_priority = 1 };

	return error_of(sched_setscheduler(0, SCHED_FIFO, &parameters));
}

static int load_module(void)
{
	/* No module, which the kernel says who may load one. */
	return syscall(SYS_init_module, "none", 4, "") && errno != ENOEXEC ? -errno : 0;
}

static int set_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return error_of(clock_settime(CLOCK_REALTIME, &now));
}

static int map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int call_as_32_bit(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20 /* getpid */) : "memory");
	return ret > 0 ? 0 : (int)ret;
}

/* The network. */
static int make_socket(void) { return error_of(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

static struct sockaddr_un address(socklen_t *length)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	memcpy(name.sun_path + 1, FILE_NAME, strlen(FILE_NAME));
	*length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(FILE_NAME);
	return name;
}

static int see_network(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length;
	struct sockaddr_un name = address(&length);

	return s < 0 ? -errno : error_of(connect(s, (struct sockaddr *)&name, length));
}

static int listen_for_ever(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length;
	struct sockaddr_un name = address(&length);

	if (s < 0 || bind(s, (struct sockaddr *)&name, length) || listen(s, 100)) {
		perror("sandbox: listen");
		return 1;
	}
	for (;;)
		pause();
}

/* What the broker is there for, and has to stay possible. */
static int open_barter(void) { return can_open("/dev/barter", O_RDWR); }
static int open_vfio(void) { return can_open("/dev/vfio/vfio", O_RDWR); }
static int read_sysfs(void) { return can_open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY); }
static int see_others(void) { return can_open("/proc/1/comm", O_RDONLY); }

static void *nothing(void *p) { return p; }
static int start_thread(void)
{
	pthread_t thread;
	int ret = pthread_create(&thread, NULL, nothing, NULL);

	return ret ? -ret : -pthread_join(thread, NULL);
}

static const struct {
	const char *name;
	int (*attempt)(void);
} attempts[] = {
#define TRY(name) { #name, name }
	TRY(write_etc), TRY(write_usr), TRY(write_var), TRY(write_run), TRY(see_home),
	TRY(see_root_home), TRY(see_tmp), TRY(write_sysctl), TRY(write_sysfs), TRY(see_meminfo),
	TRY(make_cgroup), TRY(see_modules), TRY(make_suid_file), TRY(open_disk), TRY(open_serial),
	TRY(write_kernel_log), TRY(has_capability), TRY(gain_privilege), TRY(make_namespace),
	TRY(change_personality), TRY(mount_something), TRY(swap_off), TRY(set_hostname),
	TRY(touch_ports), TRY(trace), TRY(set_priority), TRY(set_reboot_key), TRY(be_realtime),
	TRY(load_module), TRY(set_clock), TRY(map_code), TRY(call_as_32_bit), TRY(make_socket),
	TRY(see_network),
	TRY(open_barter), TRY(open_vfio), TRY(read_sysfs), TRY(see_others), TRY(start_thread),
};

/* In a process that says how it went by its exit status, or by how it ends. */
static void try(int i)
{
	int status, error;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(-attempts[i].attempt() & 0xff);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("%s unknown %s\n", attempts[i].name, strerror(errno));
	} else if (WIFSIGNALED(status)) {
		printf("%s refused %s\n", attempts[i].name, strsignal(WTERMSIG(status)));
	} else {
		error = WEXITSTATUS(status);
		printf("%s %s %s\n", attempts[i].name, error ? "refused" : "possible",
		       error ? strerror(error) : "");
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "euid"))
		return geteuid() == getuid();
	if (argc > 1 && !strcmp(argv[1], "listen"))
		return listen_for_ever();
	if (access(TEST_MACHINE, F_OK)) {
		fprintf(stderr, "sandbox: this is not the test machine\n");
		return 2;
	}
	for (int i = 0; i < (int)(sizeof(attempts) / sizeof(attempts[0])); i++)
		try(i);
	printf("end of %s\n", argv[0]);
	return 0;
}
