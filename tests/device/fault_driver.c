// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory, as in fault, for what drivers do: modules that are loaded and
 * unloaded, devices that are bound, unbound, opened and closed.
 *
 * On machine shared, where two memories are in one IOMMU group. The second stays
 * with stock vfio-pci, so that VFIO has its structure of the group already. It is
 * made with the first device of a group, in vfio_create_group(), whose way back
 * from a failure of dev_set_name() or cdev_device_add() warns by itself, with any
 * driver of VFIO: vfio_group_release() asks that no IOMMU group be there any more,
 * and it still is. And both devices are enabled by sysfs (lib/fault_bind.h). Nothing
 * else is left out.
 *
 * Holds nothing of /dev/barter open, so that modules can go. Last in its boot.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/buf.h"
#include "lib/edu.h"
#include "lib/fault.h"
#include "lib/fault_bind.h"
#include "lib/pci.h"
#include "lib/proc.h"
#include "lib/tap.h"
#include "lib/vfio.h"

#define BAR	2
#define DRIVERS	"/sys/bus/pci/drivers/"
#define LENDER	"barter-vfio-pci"
#define SAMPLE	"barter-dma"
#define MDEV_DRIVER "/sys/bus/mdev/drivers/barter-vedu"

static char lent[BDF_LENGTH], beside[BDF_LENGTH], edu[BDF_LENGTH];

static bool driver_exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), DRIVERS "%s", name);
	return !access(path, F_OK);
}

/* The device can be used with the driver that it has. */
static bool lends(void)
{
	struct dev d;
	int fd;

	if (dev_open_bound(&d, lent))
		return false;
	fd = dev_set_memory(&d, true) ?: buf_export1(&d, BAR, 0, MIB);
	dev_close(&d);
	close(fd);
	return fd >= 0;
}

static bool imports(void)
{
	int fd = edu_open();

	close(fd);
	return fd >= 0;
}

/* ---- modules ---- */

static int module_file = -1;
static const char *module_name;		/* as the kernel spells it */

/* The file that this machine's init loaded the module from. */
static int module_open(const char *file)
{
	FILE *f = fopen("/etc/vmtest/modules", "re");
	char line[512], base[80];
	int fd = -1;

	snprintf(base, sizeof(base), "/%s.ko", file);
	while (f && fd < 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \n")] = 0;
		if (strlen(line) > strlen(base) &&
		    !strcmp(line + strlen(line) - strlen(base), base))
			fd = open(line, O_RDONLY | O_CLOEXEC);
	}
	if (f)
		fclose(f);
	if (fd < 0)
		tap_bail("no module %s in this machine", file);
	return fd;
}

static int module_load(void)
{
	return syscall(SYS_finit_module, module_file, "", 0) ? -errno : 0;
}

static int module_unload(void)
{
	return syscall(SYS_delete_module, module_name, O_NONBLOCK) ? -errno : 0;
}

static bool serves_barter(void)
{
	int fd = open("/dev/barter", O_RDWR | O_CLOEXEC);

	close(fd);
	return fd >= 0;
}

static bool serves_lender(void)
{
	return driver_exists(LENDER);
}

static bool serves_sample(void)
{
	return driver_exists(SAMPLE);
}

static bool gone_barter(void)
{
	return access("/dev/barter", F_OK) && access(BUFFERS, F_OK);
}

static bool gone_lender(void)
{
	return !driver_exists(LENDER) &&
		access("/sys/kernel/debug/barter-vfio-pci", F_OK);
}

static bool gone_sample(void)
{
	return !driver_exists(SAMPLE) && access("/dev/barter-dma0", F_OK);
}

static bool serves_pf(void)
{
	return driver_exists("barter-pf");
}

static bool gone_pf(void)
{
	return !driver_exists("barter-pf");
}

/* It does nothing by itself; its users are loaded on top of it. */
static bool serves_vgpu(void)
{
	return !access("/sys/module/barter_vgpu", F_OK);
}

static bool gone_vgpu(void)
{
	return access("/sys/module/barter_vgpu", F_OK) &&
	       access("/sys/kernel/debug/barter-vgpu", F_OK);
}

static bool serves_vedu(void)
{
	return driver_exists("barter-vedu") && !access(MDEV_DRIVER, F_OK);
}

static bool gone_vedu(void)
{
	return !driver_exists("barter-vedu") && access(MDEV_DRIVER, F_OK);
}

/* What a module's init allocates: what the loader needs before and after is the kernel's. */
#define INIT "do_one_initcall"
/* Not the cache that barter-vgpu has, for which the kernel complains by itself. */
#define VGPU "__alloc_workqueue"

/* @least, @fails, @scope: of loading it, as in struct fault_call. */
static const struct module {
	const char *file, *name;
	bool (*serves)(void);
	bool (*gone)(void);
	unsigned int least, fails;
	const char *scope;
} modules[] = {
	{ "barter", "barter", serves_barter, gone_barter, 10, 3, INIT },
	{ "barter-vfio-pci", "barter_vfio_pci", serves_lender, gone_lender, 10, 3, INIT },
	{ "barter-dma", "barter_dma", serves_sample, gone_sample, 10, 3, INIT },
	{ "barter-pf", "barter_pf", serves_pf, gone_pf, 10, 3, INIT },
	{ "barter-vgpu", "barter_vgpu", serves_vgpu, gone_vgpu, 3, 3, VGPU },
	{ "barter-vedu", "barter_vedu", serves_vedu, gone_vedu, 10, 6, INIT },
}, *module;

#define NR_MODULES ((int)(sizeof(modules) / sizeof(*modules)))

/*
 * Debugfs is no part of it: the kernel's rule is that a file which cannot be made
 * there is missing, and nobody minds.
 */
static bool whole_load(int ret)
{
	bool fine = module->serves();

	(void)ret;
	return !module_unload() && fine;
}

static bool whole_unload(int ret)
{
	bool fine = module->gone();

	(void)ret;
	return !module_load() && module->serves() && fine;
}

static bool is_gone(void)
{
	return module->gone();
}

static bool is_there(void)
{
	return module->serves();
}

/* The modules above it have to be loaded after it, and unloaded before it. */
static void sweep_module(const struct module *m)
{
	char text[2][64];
	/* EINVAL: what the driver core says if it cannot make the folder drivers/. */
	const struct fault_call load = {
		.name = text[0],
		.call = module_load,
		.whole = whole_load,
		.least = m->least,
		.fails = m->fails,
		.scope = m->scope,
		.errnos = { m == modules ? 0 : EINVAL },
	};
	const struct fault_call unload = {
		.name = text[1],
		.call = module_unload,
		.whole = whole_unload,
		.least = 3,
	};

	module = m;
	snprintf(text[0], sizeof(text[0]), "load %s", m->file);
	snprintf(text[1], sizeof(text[1]), "unload %s", m->file);
	module_file = module_open(m->file);
	module_name = m->name;
	fault_witness = is_gone;
	fault_sweep(&load);
	is_errno(module_load(), 0, "%s is loaded again", m->file);
	fault_witness = is_there;
	fault_sweep(&unload);
	fault_witness = NULL;
	ok(m->serves(), "%s is there in the end", m->file);
	close(module_file);
}

/* Whatever else uses a module; it does not come back in this machine. */
static void unload_users(const char *name)
{
	char path[128];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/module/%s/holders", name);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			is(syscall(SYS_delete_module, e->d_name, O_NONBLOCK), 0,
			   "%s is not loaded", e->d_name);
	if (dir)
		closedir(dir);
}

/* Without a device that waits for its driver: that is for bind_lender. */
static void no_modules(void)
{
	static const char *const devices[] = { edu, lent };

	for (int i = 0; i < 2; i++)
		is_errno(sysfs_write("none", "/sys/bus/pci/devices/%s/driver_override",
				     devices[i]), 0, "%s is for no driver",
			 devices[i]);
	for (int i = NR_MODULES - 1; i >= 0; i--) {
		module_name = modules[i].name;
		unload_users(module_name);
		need(!module_unload() && modules[i].gone(), "%s is not loaded",
		     modules[i].file);
	}
}

static void load_barter(void)
{
	sweep_module(&modules[0]);
}

static void load_lender(void)
{
	sweep_module(&modules[1]);
}

static void load_sample(void)
{
	sweep_module(&modules[2]);
}

static void load_pf(void)
{
	sweep_module(&modules[3]);
}

static void load_vgpu(void)
{
	sweep_module(&modules[4]);
}

static void load_vedu(void)
{
	sweep_module(&modules[5]);
}

/* ---- bind and unbind ---- */

static void bind_lender(void)
{
	fault_bind_sweep(LENDER, lent, lends, 0, 0);
}

static void bind_importer(void)
{
	/* What the kernel makes of a region or mapping that it has no memory for. */
	fault_bind_sweep(SAMPLE, edu, imports, EINVAL, EBUSY);
}

/*
 * A domain is made and attached to as well. Not unbind, where the device goes back into
 * the kernel's domain: if memory is missing for that the kernel warns by itself, with any
 * driver (iommu_detach_device()).
 */
static void bind_importer_with_a_domain(void)
{
	static const char parameter[] = "/sys/module/barter_dma/parameters/own_domain";

	is_errno(sysfs_write("1", parameter), 0, "with a domain of its own");
	is_errno(pci_bind(edu, SAMPLE) ?: pci_unbind(edu), 0, "from its next bind on");
	fault_bind_only_sweep(SAMPLE, edu, imports, EINVAL, EBUSY);
	is_errno(sysfs_write("0", parameter), 0, "with the kernel's");
	is_errno(pci_unbind(edu), 0, "unbound");
	is_errno(pci_bind(edu, SAMPLE), 0, "bound again");
}

/* ---- open and close ---- */

static struct dev dev;
static int opened = -1;

static int call_open(void)
{
	int fd = ioctl(dev.group, VFIO_GROUP_GET_DEVICE_FD, dev.bdf);

	return fd < 0 ? -errno : fd;
}

/*
 * Lends; and what was lent is gone after the close. From 7.2 on VFIO opens a device
 * also if it cannot map a BAR, which nobody can use then until the next open.
 */
static bool whole_open(int fd)
{
	volatile uint8_t *p = NULL;
	bool fine;
	uint32_t v;
	int buf, ret;

	dev.fd = fd;
	ret = dev_regions(&dev) ?: dev_set_memory(&dev, true);
	buf = buf_export1(&dev, BAR, 0, MIB);
	if (buf >= 0)
		p = buf_map(buf, 0, MIB, PROT_READ);
	if (p)
		fine = !ret && !peek(p, &v);
	else
		fine = !ret && (buf == -ENOMEM || buf == -EBUSY) &&
			!dev_map(&dev, BAR, 0, PAGE);
	close(fd);
	if (p) {
		fine = fine && peek(p, &v) == SIGBUS;
		munmap((void *)p, MIB);
	}
	close(buf);
	dev.fd = -1;
	return fine;
}

static void open_first(void)
{
	opened = call_open();
	if (opened < 0)
		tap_bail("open: %s", strerror(-opened));
}

static int call_close(void)
{
	int fd = opened;

	opened = -1;
	return close(fd) ? -errno : 0;
}

static bool whole_close(int ret)
{
	(void)ret;
	open_first();
	return true;
}

static void close_first(void)
{
	close(opened);
}

/* The first open after a bind makes what later ones find: bind anew for each. */
static void bind_anew(void)
{
	if (fault_unbind() || fault_bind() || dev_open_group(&dev, lent))
		tap_bail("bind anew");
}

static void close_group(void)
{
	dev.fd = -1;
	dev_close(&dev);
}

static void first_open(void)
{
	const struct fault_call first = {
		.name = "first open", .before = bind_anew, .call = call_open,
		.whole = whole_open, .after = close_group, .least = 5,
		.fails = 3,
	};

	fault_bind_begin(LENDER, lent);
	fault_sweep(&first);
	fault_bind_end();
}

static void open_and_close(void)
{
	const struct fault_call later[] = {
		{ .name = "open", .call = call_open, .whole = whole_open, .least = 5, .fails = 3 },
		{ .name = "close",
		  .before = open_first,
		  .call = call_close,
		  .whole = whole_close,
		  .after = close_first,
		  .may_be_none = "the kernel's own part of it, which is all, may do without" },
	};

	need(!pci_bind(lent, LENDER) && !dev_open_group(&dev, lent),
	     "group of %s", lent);
	for (unsigned int i = 0; i < sizeof(later) / sizeof(*later); i++)
		fault_sweep(&later[i]);
	close_group();
}

int main(void)
{
	int fds;

	if (pci_find(PCI_IVSHMEM, 0, lent) || pci_find(PCI_IVSHMEM, 1, beside) ||
	    pci_find(PCI_EDU, 0, edu) || pci_group(lent) != pci_group(beside))
		tap_bail("not the machine with two ivshmem in a group, and edu");
	if (pci_bind(beside, "vfio-pci"))
		tap_bail("%s with vfio-pci", beside);
	fault_enable(lent);
	fault_enable(edu);
	fault_init();
	fds = count_fds();
	CASE(no_modules);
	CASE_LIMIT(load_barter, 120);
	CASE_LIMIT(load_lender, 120);
	CASE_LIMIT(load_sample, 120);
	CASE_LIMIT(load_pf, 120);
	CASE_LIMIT(load_vgpu, 120);
	CASE_LIMIT(load_vedu, 120);
	CASE_LIMIT(bind_lender, 180);
	CASE_LIMIT(bind_importer, 120);
	CASE_LIMIT(bind_importer_with_a_domain, 120);
	CASE_LIMIT(first_open, 180);
	CASE_LIMIT(open_and_close, 180);
	ok(fault_total() > 0, "%u allocations failed in all", fault_total());
	is(count_fds(), fds, "no file was left open");
	return tap_done();
}
