// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Checks of barter doctor on the machine as a whole: kernel, IOMMU, modules,
 * nodes in /dev, and the limits that everybody should know.
 */
#include "doctor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static int in_folder(const char *variable, const char *fallback,
		     const char *tail, int mode)
{
	const char *root = getenv(variable);
	char path[400];

	snprintf(path, sizeof(path), "%.200s/%.150s",
		 root && *root ? root : fallback, tail);
	return access(path, mode) ? -errno : 0;
}

static int sysfs_has(const char *tail)
{
	return !in_folder("BARTER_SYSFS", "/sys", tail, F_OK);
}

/* Of the kernel that runs, or that a made-up machine says it has. */
static void kernel_release(char *release, size_t size)
{
	const char *root = getenv("BARTER_PROC");
	struct utsname name;
	char path[300];
	FILE *file = NULL;

	if (root && *root) {
		snprintf(path, sizeof(path), "%.200s/sys/kernel/osrelease", root);
		file = fopen(path, "re");
	}
	uname(&name);
	if (!file || fscanf(file, "%63s", name.release) != 1)
		uname(&name);
	if (file)
		fclose(file);
	snprintf(release, size, "%.60s", name.release);
}

/* Comparable, as 0xMMMMmmmm; 0 if it is no version. */
static unsigned long version(const char *text)
{
	unsigned int major, minor;

	return sscanf(text, "%u.%u", &major, &minor) == 2 ? (unsigned long)major << 16 | minor : 0;
}

static void check_kernel(struct doctor *doctor)
{
	struct finding *finding;
	char release[64];

	kernel_release(release, sizeof(release));
	finding = finding_add(doctor, LEVEL_OK, "kernel");
	FINDING_SAY(finding, what, "Linux %s", release);
	if (version(release) < version(BARTER_KERNEL_OLDEST)) {
		finding->level = LEVEL_MISSING;
		FINDING_SAY(finding, why,
			    "barter's modules need Linux " BARTER_KERNEL_OLDEST " or later");
		FINDING_SAY(finding, remedy,
			    "boot a newer kernel; Debian 12: apt install linux-image-6.12-amd64");
	} else if (version(release) > version(BARTER_KERNEL_NEWEST)) {
		finding->level = LEVEL_NOTE;
		FINDING_SAY(finding, what,
			    "Linux %s, newer than " BARTER_KERNEL_NEWEST
			    ", the last that this version of barter was tested with",
			    release);
		FINDING_SAY(finding, why, "DKMS builds no modules for it");
		FINDING_SAY(finding, remedy,
			    "a newer barter, or a kernel up to " BARTER_KERNEL_NEWEST);
	}
}

/* Silent where there is none; a module that is not loaded yet may be refused. */
static void check_secure_boot(struct doctor *doctor)
{
	const char *root = getenv("BARTER_SYSFS");
	unsigned char value[5] = {}; /* attributes, then the value */
	struct finding *finding;
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path),
		 "%.150s/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
		 root && *root ? root : "/sys");
	file = fopen(path, "re");
	if (!file)
		return;
	if (fread(value, 1, sizeof(value), file) != sizeof(value))
		value[4] = 0;
	fclose(file);
	if (!value[4])
		return;
	finding = finding_add(doctor, LEVEL_OK, "Secure Boot");
	if (sysfs_has("module/barter")) {
		FINDING_SAY(finding, what, "on; barter.ko is loaded all the same");
		return;
	}
	finding->level = LEVEL_NOTE;
	FINDING_SAY(finding, what, "on");
	FINDING_SAY(
		finding, why,
		"modprobe fails with \"Key was rejected by service\" until the firmware knows the key that DKMS signs with");
	FINDING_SAY(
		finding, remedy,
		"mokutil --test-key /var/lib/dkms/mok.pub; if it is not enrolled: mokutil --import /var/lib/dkms/mok.pub, reboot, and choose \"Enroll MOK\"");
}

/* Firmware that describes an IOMMU leaves a table. */
static void iommu_remedy(struct finding *finding)
{
	if (sysfs_has("firmware/acpi/tables/DMAR"))
		FINDING_SAY(finding, remedy, "the firmware describes an Intel IOMMU: add intel_iommu=on to the kernel command line and reboot");
	else if (sysfs_has("firmware/acpi/tables/IVRS"))
		FINDING_SAY(finding, remedy, "the firmware describes an AMD IOMMU: take amd_iommu=off and iommu=off from the kernel command line and reboot");
	else
		FINDING_SAY(finding, remedy, "turn the IOMMU on in the firmware's setup (VT-d, AMD-Vi, SMMU); a virtual machine needs a virtual one (QEMU: -device intel-iommu) and intel_iommu=on");
}

static void check_iommu(struct doctor *doctor)
{
	const struct barter_pci *pci = NULL;
	struct finding *finding;
	int highest = -1, translating = 0, identity = 0;

	finding = finding_add(doctor, LEVEL_OK, "IOMMU");
	while ((pci = barter_topology_next(doctor->topology, pci))) {
		const char *type = barter_pci_group_type(pci);

		if (barter_pci_group(pci) > highest)
			highest = barter_pci_group(pci);
		if (type && !strncmp(type, "DMA", 3))
			translating++;
		else if (type && !strcmp(type, "identity"))
			identity++;
	}
	if (highest >= 0) {
		FINDING_SAY(finding, what, "on; %d devices translated by default, %d not",
			    translating, identity);
		return;
	}
	finding->level = LEVEL_MISSING;
	FINDING_SAY(finding, what, "no device is in an IOMMU group");
	FINDING_SAY(finding, why, "VFIO hands out a device only with an IOMMU that confines its DMA");
	iommu_remedy(finding);
}

static void load_module(struct finding *finding, const char *name)
{
	FINDING_SAY(finding, remedy, "modprobe %s", name);
	FINDING_SAY(finding, object, "%s", name);
	finding->fix = FIX_MODULE;
}

/* The kernel has it, so that only the name in /dev is missing. */
static void make_node(struct finding *finding, const char *node)
{
	FINDING_SAY(finding, remedy, "barter doctor --fix makes it; for good: mount devtmpfs on /dev");
	FINDING_SAY(finding, object, "%s", node);
	finding->fix = FIX_NODE;
}

/* As root: may nobody else open it? That may be meant, so it is only said. */
static void check_mode(struct finding *finding, const char *node)
{
	const char *root = getenv("BARTER_DEV");
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), "%.200s/%s", root && *root ? root : "/dev", node);
	if (geteuid() || stat(path, &status) || (status.st_mode & 0006) == 0006)
		return;
	finding->level = LEVEL_NOTE;
	FINDING_SAY(finding, what, "can be opened, but not by everybody (mode 0%o)",
		    (unsigned int)status.st_mode & 0777);
	FINDING_SAY(finding, remedy, "unless that is meant: chmod 0666 %s", path);
}

static void check_module(struct doctor *doctor, const char *name,
			 const char *folder, const char *why)
{
	struct finding *finding;
	char path[80];

	snprintf(path, sizeof(path), "module/%s", folder);
	finding = finding_add(doctor, LEVEL_OK, name);
	if (sysfs_has(path)) {
		FINDING_SAY(finding, what, "module is loaded");
		return;
	}
	finding->level = LEVEL_MISSING;
	FINDING_SAY(finding, what, "module is not loaded");
	FINDING_SAY(finding, why, "%s", why);
	load_module(finding, name);
}

/* The IOMMU's user interface: type 1, or iommufd on kernels with both. */
static void check_iommu_interface(struct doctor *doctor)
{
	struct finding *finding;

	if (in_folder("BARTER_DEV", "/dev", "iommu", F_OK)) {
		check_module(doctor, "vfio_iommu_type1", "vfio_iommu_type1",
			     "it sets up the IOMMU for devices that are opened");
		return;
	}
	finding = finding_add(doctor, LEVEL_OK, "/dev/iommu");
	FINDING_SAY(finding, what, "iommufd is there");
}

/* A parameter of barter-vfio-pci; 0 if it is not there. */
static int parameter(const char *name, char *text, size_t length)
{
	const char *root = getenv("BARTER_SYSFS");
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%.200s/module/barter_vfio_pci/parameters/%.40s",
		 root && *root ? root : "/sys", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, (int)length, file))
		text[0] = '\0';
	fclose(file);
	return 1;
}

/* Whose buffers feature 11 gives, for programs that know nothing of barter. */
static void check_feature11(struct doctor *doctor)
{
	struct finding *finding;
	int native, iommufd;
	char text[80];

	if (!parameter("feature11", text, sizeof(text)))
		return;
	native = !!strstr(text, "native");
	iommufd = !in_folder("BARTER_DEV", "/dev", "iommu", F_OK);

	finding = finding_add(doctor, LEVEL_OK, "feature 11");
	if (strstr(text, "[native]"))
		FINDING_SAY(finding, what, "native: gives the kernel's own buffers");
	else if (strstr(text, "[barter]"))
		FINDING_SAY(finding, what, "barter: gives barter's buffers, which iommufd does not accept");
	else if (native && iommufd)
		FINDING_SAY(finding, what, "auto: gives the kernel's own buffers for one range, which iommufd accepts, barter's for several");
	else
		FINDING_SAY(finding, what, "auto: gives barter's buffers, since the kernel has %s",
			    native ? "no iommufd" : "no exporter of its own");
}

static void check_control(struct doctor *doctor)
{
	struct finding *finding = finding_add(doctor, LEVEL_OK, "/dev/barter");
	int control = -1, ret;

	ret = barter_control_open(&control);
	doctor->control = ret ? ret : control;
	if (!ret) {
		FINDING_SAY(finding, what, "can be opened");
		check_mode(finding, "barter");
		return;
	}
	finding->level = LEVEL_MISSING;
	FINDING_SAY(finding, why, "it answers what a buffer is, and which routes there are");
	if (ret == -ENOENT && !sysfs_has("module/barter")) {
		FINDING_SAY(finding, what, "is not there, since barter.ko is not loaded");
		load_module(finding, BARTER_DRIVER);
	} else if (ret == -ENOENT) {
		FINDING_SAY(finding, what, "is not there although barter.ko is loaded");
		make_node(finding, "barter");
	} else if (ret == -EACCES || ret == -EPERM) {
		FINDING_SAY(finding, what, "no permission to open it");
		FINDING_SAY(finding, remedy, "chmod 0666 /dev/barter; for good: a udev rule KERNEL==\"barter\", MODE=\"0666\"");
	} else {
		FINDING_SAY(finding, what, "cannot be opened: %s",
			    strerror(-ret));
		FINDING_SAY(finding, remedy, "rmmod barter-vfio-pci barter; modprobe barter-vfio-pci");
	}
}

static void check_vfio_node(struct doctor *doctor)
{
	struct finding *finding = finding_add(doctor, LEVEL_OK,
					      "/dev/vfio/vfio");
	int ret = in_folder("BARTER_DEV", "/dev", "vfio/vfio", R_OK | W_OK);

	if (!ret) {
		FINDING_SAY(finding, what, "can be opened");
		check_mode(finding, "vfio/vfio");
		return;
	}
	finding->level = LEVEL_MISSING;
	FINDING_SAY(finding, why, "devices are opened through it");
	if (ret == -ENOENT) {
		FINDING_SAY(finding, what, "is not there");
		if (sysfs_has("class/misc/vfio/dev"))
			make_node(finding, "vfio/vfio");
		else
			load_module(finding, "vfio");
	} else {
		FINDING_SAY(finding, what, "cannot be opened: %s",
			    strerror(-ret));
		FINDING_SAY(finding, remedy, "chmod 0666 /dev/vfio/vfio (the node alone gives no access to any device)");
	}
}

void check_machine(struct doctor *doctor)
{
	check_kernel(doctor);
	check_secure_boot(doctor);
	check_iommu(doctor);
	check_module(doctor, "barter", "barter",
		     "it makes and revokes the buffers");
	check_module(doctor, BARTER_DRIVER, "barter_vfio_pci",
		     "it is the driver that lends a device's memory");
	check_iommu_interface(doctor);
	check_control(doctor);
	check_feature11(doctor);
	if (in_folder("BARTER_DEV", "/dev", "iommu", F_OK))
		check_vfio_node(doctor);
}

/* Where the guarantee "when a revoke has returned, nobody gets through" ends. */
void check_limits(struct doctor *doctor)
{
	static const char *const limits[] = {
		"VFIO type 1 MAP_DMA of a buffer's mmap keeps its pages after a revoke, as with stock VFIO; libbarter's barter_peer_map() unmaps before what it takes away itself",
		"a configuration write that is raced by the same program's second thread reaches importers one call late",
		"a BAR mapped through the device fd itself stays mapped during a reset through sysfs, as with stock VFIO, since barter_vfio_pci.mmap_buffers is off",
		"buffers of the kernel's own exporter (Linux 6.19 and later) have the kernel's guarantees only",
	};
	char text[8];
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct finding *finding;

		if (strstr(limits[i], "mmap_buffers") &&
		    (!parameter("mmap_buffers", text, sizeof(text)) ||
		     text[0] != 'N'))
			continue;
		finding = finding_add(doctor, LEVEL_NOTE,
						      "limit of revoke");

		FINDING_SAY(finding, what, "%s", limits[i]);
	}
}
