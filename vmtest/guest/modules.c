// SPDX-License-Identifier: GPL-2.0-only
/*
 * modules: load the kernel modules of the run, and unload the project's own at
 * the end, so that every run also tests their exit paths and their reference
 * counts.
 *
 * A parameter on the kernel command line, "module.param=value", reaches the
 * module as modprobe would hand it over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define MAX_MODULES 64

static struct module {
	char name[64];
	bool unload;
} modules[MAX_MODULES];
static int nr_modules;

/* "/lib/.../barter-vfio-pci.ko" is called barter_vfio_pci by the kernel. */
static void module_name(char *name, size_t room, const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	snprintf(name, room, "%.*s", (int)strcspn(base, "."), base);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
}

static void module_params(char *params, size_t room, const char *name)
{
	char cmdline[4096] = "", key[64];
	FILE *f = fopen("/proc/cmdline", "re");

	params[0] = 0;
	if (!f)
		return;
	if (fgets(cmdline, sizeof(cmdline), f)) {
		for (char *w = strtok(cmdline, " \n"); w; w = strtok(NULL, " \n")) {
			char *dot = strchr(w, '.');

			if (!dot || dot - w >= (int)sizeof(key))
				continue;
			snprintf(key, sizeof(key), "%.*s", (int)(dot - w), w);
			for (char *c = key; *c; c++)
				if (*c == '-')
					*c = '_';
			if (strcmp(key, name))
				continue;
			strncat(params, dot + 1, room - strlen(params) - 2);
			strcat(params, " ");
		}
	}
	fclose(f);
}

/* Not loaded if it is already, or the kernel refuses it, which is a complaint. */
static bool module_load(const struct module *m, const char *path)
{
	char params[1024];
	bool loaded = false;
	int fd;

	module_params(params, sizeof(params), m->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !syscall(SYS_finit_module, fd, params, 0))
		loaded = true;
	else if (errno != EEXIST)
		report("complaint module %s (%s) does not load: %s", m->name, params,
		       strerror(errno));
	if (fd >= 0)
		close(fd);
	return loaded;
}

/* Those that are listed, in order; @load: and load them. */
static void modules_read(bool load)
{
	FILE *f = fopen("/etc/vmtest/modules", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f) && nr_modules < MAX_MODULES) {
		struct module *m = &modules[nr_modules];
		char *mark = strchr(line, ' ');

		line[strcspn(line, " \n")] = 0;
		m->unload = mark && mark[1] == '!';
		module_name(m->name, sizeof(m->name), line);
		if (!load || module_load(m, line))
			nr_modules++;
	}
	if (f)
		fclose(f);
}

void modules_load(void)
{
	modules_read(true);
}

void modules_find(void)
{
	modules_read(false);
}

void modules_unload(void)
{
	while (nr_modules-- > 0) {
		struct module *m = &modules[nr_modules];

		if (!m->unload)
			continue;
		/* The test may have unloaded it itself. */
		if (syscall(SYS_delete_module, m->name, O_NONBLOCK) && errno != ENOENT)
			report("complaint module %s cannot be unloaded after all processes "
			       "have ended: %s", m->name, strerror(errno));
	}
}

bool modules_name(const char *line)
{
	for (const char *at = line; (at = strchr(at, '[')); at++)
		for (int i = 0; i < MAX_MODULES; i++) {
			size_t length = strlen(modules[i].name);

			if (modules[i].unload && !strncmp(at + 1, modules[i].name, length) &&
			    at[1 + length] == ']')
				return true;
		}
	return false;
}
