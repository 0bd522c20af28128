// SPDX-License-Identifier: GPL-2.0-only
/*
 * system: a whole system, with an init of its own, in place of the command.
 *
 * It lies on the first virtio disk, as ext4. Its init becomes PID 1 and finds the root
 * that it was started from in /run/initramfs, as a system finds that of a distribution's
 * initramfs: systemd goes back there when it has stopped all services and killed all
 * processes, and runs "shutdown". That is init.c again, which then does all that it does
 * at the end of any run. A system that does not come so far gives no verdict.
 *
 * The command is a service of systemd, vmtest.service, started with the others of
 * multi-user.target; when it ends the machine is switched off, in good order. Other
 * systems run "/run/initramfs/init command" themselves, and "/shutdown" in that root.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

#define ROOT	"/system"
#define DISK	"/dev/vda"
#define UNITS	ROOT "/run/systemd/system"

static const char unit[] =
	"[Unit]\n"
	"Description=The command of this run of the test bed\n"
	"SuccessAction=poweroff\n"
	"FailureAction=poweroff\n"
	"\n"
	"[Service]\n"
	"Type=exec\n"
	"ExecStart=" SYSTEM_INITRAMFS "/init command\n"
	"TimeoutStopSec=5\n";

static bool failed(const char *what)
{
	report("complaint the system cannot be booted: %s: %s", what, strerror(errno));
	return false;
}

/* A folder of the system shows one of this root. */
static bool show(const char *from, const char *to)
{
	mkdir(to, 0755);
	return !mount(from, to, NULL, MS_BIND, NULL) || failed(to);
}

static bool mount_root(void)
{
	system("exec /bin/busybox modprobe -a virtio_pci virtio_blk ext4");
	mkdir(ROOT, 0755);
	/* The disk may take a moment. */
	for (int i = 0; i < 500 && access(DISK, F_OK); i++)
		usleep(10000);
	return !mount(DISK, ROOT, "ext4", 0, NULL) || failed(DISK);
}

static bool put_unit(void)
{
	FILE *f;

	mkdir(ROOT "/run/systemd", 0755);
	mkdir(UNITS, 0755);
	mkdir(UNITS "/multi-user.target.wants", 0755);
	if (symlink("../vmtest.service", UNITS "/multi-user.target.wants/vmtest.service"))
		return failed(UNITS);
	f = fopen(UNITS "/vmtest.service", "we");
	if (!f || fputs(unit, f) < 0 || fclose(f))
		return failed(UNITS);
	return true;
}

/* What the kernel's modules and /out are is the same inside. */
static bool fill_root(void)
{
	if (mount("tmpfs", ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"))
		return failed(ROOT "/run");
	if (symlink("init", "/shutdown"))
		return failed("/shutdown");
	/* Where newer systemds put the system's root, when nothing can be made here any more. */
	if (mkdir("/oldroot", 0755))
		return failed("/oldroot");
	return show("/", ROOT SYSTEM_INITRAMFS) && show("/out", ROOT "/out") &&
	       show("/lib/modules", ROOT "/usr/lib/modules") && put_unit();
}

void system_boot(void)
{
	char *const env[] = { "HOME=/", "TERM=linux", NULL };

	if (!mount_root())
		return;
	/* /out has to outlive the system, in this root itself. */
	unmount_all();
	if (!fill_root())
		return;
	if (chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
		failed(ROOT);
		return;
	}
	execle("/sbin/init", "init", (char *)NULL, env);
	/* Where systemd is there, but not as the system's init. */
	execle("/usr/lib/systemd/systemd", "init", (char *)NULL, env);
	failed("/sbin/init");
}
