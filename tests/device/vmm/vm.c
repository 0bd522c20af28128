// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * QEMU inside the test machine, see vm.h. What it says, its traces among it, is in LOG.
 */
#define _GNU_SOURCE
#include "vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/pci.h"
#include "../lib/proc.h"
#include "../lib/tap.h"
#include "order.h"

#define LOG		"/out/vmm-qemu.log"
#define SERIAL		"/tmp/vmm-serial"
#define MONITOR		"/tmp/vmm-monitor"

/* Kernels may come without KVM's PIC and I/O APIC: QEMU's do. */
static const char *const common[] = {
	"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
	"-M", "pc,accel=kvm,kernel-irqchip=split", "-cpu", "host", "-m", "32M", "-bios", GUEST,
	"-serial", "unix:" SERIAL ",server=on,wait=on",
	"-monitor", "unix:" MONITOR ",server=on,wait=off",
	"-msg", "timestamp=off",
	"-trace", "vfio_region_*", "-trace", "vfio_pci_*reset*",
	"-trace", "vfio_listener_*", "-trace", "vfio_ms*", "-trace", "vfio_device_*",
	"-trace", "iommufd_*",
	/* One for each access to a BAR by QEMU itself, and what it says too often. */
	"-trace", "-vfio_region_read", "-trace", "-vfio_region_write",
	"-trace", "-vfio_listener_region_skip",
};

#define COMMON	(sizeof(common) / sizeof(*common))

/* How long anything may take that a guest's guest does, in ms. */
static int patience(void)
{
	const char *scale = getenv("BARTER_TIME_SCALE");

	return 60000 * (scale ? atoi(scale) : 1);
}

/* ---- QEMU ------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, path);
	if (!connect(fd, (struct sockaddr *)&name, sizeof(name)))
		return fd;
	close(fd);
	return -errno;
}

static bool ended(struct vm *vm)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)vm->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
		info.si_pid;
}

/* 0: not yet; less: never. */
static int try(struct vm *vm, const char *path)
{
	int fd = connect_to(path);

	return fd > 0 ? fd : ended(vm) ? -ECHILD : 0;
}

static int await(struct vm *vm, const char *path)
{
	int fd;

	WAIT_FOR(fd, try(vm, path), patience());
	return fd;
}

/* Read until @text has come; false if it does not. */
static bool read_until(int fd, const char *text, char *line, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0, length = strlen(text);

	while (poll(&p, 1, patience()) > 0 && read(fd, line + n, 1) == 1) {
		line[++n] = 0;
		if (n >= length && !strcmp(line + n - length, text))
			return true;
		/* Of what is too long the end will do. */
		if (n == size - 1) {
			memmove(line, line + size / 2, size - size / 2);
			n -= size / 2;
		}
	}
	line[n] = 0;
	return false;
}

bool vm_start(struct vm *vm, const char *const options[])
{
	const char *args[COMMON + 40];
	char text[4096];
	unsigned int n;

	memcpy(args, common, sizeof(common));
	for (n = COMMON; *options && n < COMMON + 39; n++)
		args[n] = *options++;
	args[n] = NULL;
	unlink(SERIAL);
	unlink(MONITOR);
	fflush(stdout);
	vm->serial = vm->monitor = -1;
	vm_mark(vm);
	vm->begin = vm->mark;
	vm->pid = fork();
	if (!vm->pid) {
		int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0644);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	vm->serial = await(vm, SERIAL);
	if (vm->serial > 0)
		vm->monitor = await(vm, MONITOR);
	if (ok(vm->monitor > 0 &&
	       read_until(vm->monitor, "(qemu) ", text, sizeof(text)) && vm_up(vm),
	       "QEMU runs a guest"))
		return true;
	vm_show(vm, "*");
	vm_kill(vm);
	return false;
}

static int reaped(struct vm *vm)
{
	int status = reap(vm->pid, patience());

	close(vm->serial);
	close(vm->monitor);
	return status;
}

int vm_quit(struct vm *vm)
{
	static const char quit[] = "quit\n";

	if (write(vm->monitor, quit, strlen(quit)) < 0)
		return -errno;
	return reaped(vm);
}

int vm_kill(struct vm *vm)
{
	kill(vm->pid, SIGKILL);
	return reaped(vm);
}

bool vm_monitor(struct vm *vm, const char *fmt, ...)
{
	char line[256], text[4096], *answer;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	line[n] = '\n';
	if (write(vm->monitor, line, (size_t)n + 1) != n + 1 ||
	    !read_until(vm->monitor, "(qemu) ", text, sizeof(text)))
		return false;
	/* Errors come behind the echo of what was typed. */
	answer = strstr(text, "Error: ");
	if (answer)
		diag("%.*s: %s", n, line, answer);
	return !answer;
}

/* ---- its log ---------------------------------------------------------- */

static int lines(struct vm *vm, const char *pattern, bool show)
{
	FILE *f = fopen(LOG, "re");
	char line[1024];
	int n = 0;

	if (!f)
		return -errno;
	fseek(f, vm->mark, SEEK_SET);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (fnmatch(pattern, line, FNM_NOESCAPE))
			continue;
		n++;
		if (show)
			diag("%s", line);
	}
	fclose(f);
	return n;
}

void vm_mark(struct vm *vm)
{
	struct stat st;

	vm->mark = stat(LOG, &st) ? 0 : st.st_size;
}

void vm_mark_begin(struct vm *vm)
{
	vm->mark = vm->begin;
}

int vm_said(struct vm *vm, const char *fmt, ...)
{
	char pattern[300] = "*";
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(pattern + 1, sizeof(pattern) - 3, fmt, ap);
	va_end(ap);
	strcpy(pattern + 1 + n, "*");
	return lines(vm, pattern, false);
}

void vm_show(struct vm *vm, const char *pattern)
{
	lines(vm, pattern, true);
}

int vm_dmabufs(struct vm *vm)
{
	char path[64], file[320], target[64];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", vm->pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		ssize_t got;

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		got = readlink(file, target, sizeof(target) - 1);
		target[got > 0 ? got : 0] = 0;
		n += !strncmp(target, "/dmabuf:", 8);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* ---- the guest -------------------------------------------------------- */

static bool order(struct vm *vm, uint8_t verb, uint32_t at, uint32_t value,
		  uint32_t seed, uint32_t place)
{
	const struct order o = {
		.verb = verb, .seed = (uint8_t)seed, .at = at, .value = value,
		.place = place,
	};

	return write(vm->serial, &o, sizeof(o)) == sizeof(o);
}

static bool answer(struct vm *vm, uint32_t *value)
{
	struct pollfd p = { .fd = vm->serial, .events = POLLIN };
	size_t n = 0;
	ssize_t got;

	for (; n < sizeof(*value); n += (size_t)got) {
		if (poll(&p, 1, patience()) <= 0)
			return false;
		got = read(vm->serial, (char *)value + n, sizeof(*value) - n);
		if (got <= 0)
			return false;
	}
	return true;
}

static uint32_t tell(struct vm *vm, uint8_t verb, uint32_t at, uint32_t value,
		     uint32_t seed, uint32_t place)
{
	uint32_t word;

	if (!order(vm, verb, at, value, seed, place) || !answer(vm, &word))
		tap_bail("QEMU's guest does not answer");
	return word;
}

bool vm_up(struct vm *vm)
{
	static uint32_t nonce = 0x5a000000;
	uint32_t word;

	return answer(vm, &word) && word == ORDER_UP &&
	       order(vm, ORDER_ECHO, 0, ++nonce, 0, 0) && answer(vm, &word) &&
	       word == nonce;
}

uint32_t vm_load(struct vm *vm, uint32_t at)
{
	return tell(vm, ORDER_LOAD, at, 0, 0, 0);
}

void vm_store(struct vm *vm, uint32_t at, uint32_t value)
{
	tell(vm, ORDER_STORE, at, value, 0, 0);
}

void vm_fill(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed, uint32_t place)
{
	tell(vm, ORDER_FILL, at, n, seed, place);
}

void vm_begin_fill(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed,
		   uint32_t place)
{
	if (!order(vm, ORDER_FILL, at, n, seed, place))
		tap_bail("QEMU's guest cannot be told");
}

long vm_differs(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed,
		uint32_t place)
{
	return (int32_t)tell(vm, ORDER_DIFFERS, at, n, seed, place);
}

void vm_out(struct vm *vm, uint16_t port, uint32_t value)
{
	tell(vm, ORDER_OUT, port, value, 0, 0);
}

static uint32_t address(int slot, uint32_t at)
{
	return 0x80000000u | (uint32_t)slot << 11 | (at & ~3u);
}

uint32_t vm_config(struct vm *vm, int slot, uint32_t at)
{
	return tell(vm, ORDER_CONFIG, address(slot, at), 0, 0, 0);
}

void vm_config_set(struct vm *vm, int slot, uint32_t at, uint32_t value)
{
	tell(vm, ORDER_CONFIG_SET, address(slot, at), value, 0, 0);
}

int vm_find(struct vm *vm, uint32_t id)
{
	for (int slot = 0; slot < 32; slot++)
		if (vm_config(vm, slot, PCI_VENDOR_ID) == (id << 16 | id >> 16))
			return slot;
	return -1;
}

static uint32_t bar_at(int bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * (uint32_t)bar;
}

uint32_t vm_bar_length(struct vm *vm, int slot, int bar)
{
	uint32_t before = vm_config(vm, slot, bar_at(bar)), mask;

	vm_memory(vm, slot, false);
	vm_config_set(vm, slot, bar_at(bar), ~0u);
	mask = vm_config(vm, slot, bar_at(bar));
	vm_config_set(vm, slot, bar_at(bar), before);
	return mask & PCI_BASE_ADDRESS_SPACE_IO ? 0 :
		-(mask & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK);
}

void vm_bar_place(struct vm *vm, int slot, int bar, uint32_t at)
{
	vm_config_set(vm, slot, bar_at(bar), at);
	if (vm_config(vm, slot, bar_at(bar)) & PCI_BASE_ADDRESS_MEM_TYPE_64)
		vm_config_set(vm, slot, bar_at(bar + 1), 0);
}

void vm_memory(struct vm *vm, int slot, bool on)
{
	vm_config_set(vm, slot, PCI_COMMAND,
		      on ? PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER : 0);
}
