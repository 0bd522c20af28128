// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * barter doctor --fix: loads modules, makes nodes that the kernel has, binds a device
 * that was named and that nobody uses. Rights, drivers that have a device, host bridges
 * and the kernel's command line are a person's decision and stay as they are.
 */
#include "binding.h"
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void exec_modprobe(const char *module)
{
	static const char *const places[] = {
		"modprobe", "/sbin/modprobe", "/usr/sbin/modprobe",
	};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		execlp(places[i], "modprobe", module, NULL);
	fprintf(stderr, "there is no program modprobe");
	_exit(127);
}

/* What it says goes to fixed->error, in one line. */
static int load(const char *module, struct fixed *fixed)
{
	size_t used = 0, room = sizeof(fixed->error) - 64;
	int pipes[2], status = 0;
	ssize_t got;
	pid_t child;

	if (pipe(pipes))
		return -errno;
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(pipes[0]);
		close(pipes[1]);
		return -errno;
	}
	if (!child) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		exec_modprobe(module);
	}
	close(pipes[1]);
	progress_begin(module, "is being loaded", 0);
	while ((got = read(pipes[0], fixed->error + used, room - used)) > 0)
		used += (size_t)got;
	close(pipes[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	progress_end();
	fixed->error[used] = '\0';
	fixed->error[strcspn(fixed->error, "\n")] = '\0';
	if (status)
		snprintf(fixed->error + strlen(fixed->error), 64, "%s",
			 geteuid() ? "; run as root" :
			 "; is it installed for this kernel? See: dkms status, dmesg");
	return status ? -EIO : 0;
}

/* Its number is in sysfs. */
static int make(const char *node)
{
	const char *sysfs = getenv("BARTER_SYSFS"), *dev = getenv("BARTER_DEV");
	const char *name = strrchr(node, '/');
	unsigned int major, minor;
	char path[300];
	FILE *file;
	int found;

	snprintf(path, sizeof(path), "%.200s/class/misc/%.40s/dev",
		 sysfs && *sysfs ? sysfs : "/sys", name ? name + 1 : node);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	found = fscanf(file, "%u:%u", &major, &minor);
	fclose(file);
	if (found != 2)
		return -ENXIO;
	snprintf(path, sizeof(path), "%.200s/%.40s", dev && *dev ? dev : "/dev", node);
	/* The mode that the kernel gives both. */
	if (mknod(path, S_IFCHR | 0666, makedev(major, minor)) || chmod(path, 0666))
		return -errno;
	return 0;
}

static int bind_device(const struct doctor *doctor, const char *name,
		       struct fixed *fixed)
{
	const struct barter_pci *pci;
	struct bound bound = { .name = name };
	struct barter_bdf bdf;

	pci = barter_bdf_parse(name, &bdf) ? NULL :
	      barter_topology_find(doctor->topology, &bdf);
	if (!pci)
		return -ENODEV;
	if (!barter_driver_loaded(BARTER_DRIVER)) {
		snprintf(fixed->error, sizeof(fixed->error), BARTER_DRIVER " is not loaded");
		return -ENOENT;
	}
	if (bind_one(pci, &bound) == EXIT_OK)
		return 0;
	snprintf(fixed->error, sizeof(fixed->error), "%.299s", failed_text());
	return -EIO;
}

static void describe(const struct finding *finding, char command[80])
{
	static const char *const words[] = {
		[FIX_MODULE] = "modprobe ",
		[FIX_NODE] = "mknod -m 0666 /dev/",
		[FIX_BIND] = "barter bind ",
	};

	snprintf(command, 80, "%s%s", words[finding->fix], finding->object);
}

static int tried(const struct doctor *doctor, const char *command)
{
	int i;

	for (i = 0; i < doctor->nr_fixed; i++)
		if (!strcmp(doctor->fixed[i].command, command))
			return 1;
	return doctor->nr_fixed == FIXES;
}

static int fix(const struct doctor *doctor, const struct finding *finding,
	       struct fixed *fixed)
{
	int ret;

	if (finding->fix == FIX_MODULE)
		ret = load(finding->object, fixed);
	else if (finding->fix == FIX_NODE)
		ret = make(finding->object);
	else
		ret = bind_device(doctor, finding->object, fixed);
	fixed->done = !ret;
	if (ret && !fixed->error[0])
		snprintf(fixed->error, sizeof(fixed->error), "%s%s", strerror(-ret),
			 ret == -EPERM || ret == -EACCES ? "; run as root" : "");
	if (!ret)
		fixed->error[0] = '\0';
	return !ret;
}

int fix_findings(struct doctor *doctor, int dry_run)
{
	struct fixed *fixed;
	int i, done = 0;
	char command[80];

	for (i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		if (finding->fix == FIX_NONE)
			continue;
		describe(finding, command);
		if (tried(doctor, command))
			continue;
		fixed = &doctor->fixed[doctor->nr_fixed++];
		*fixed = (struct fixed) { .done = 0 };
		snprintf(fixed->command, sizeof(fixed->command), "%s", command);
		if (!dry_run)
			done += fix(doctor, finding, fixed);
	}
	return done;
}
