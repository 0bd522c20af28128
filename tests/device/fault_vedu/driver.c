// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * No memory for what makes and ends vEDUs, their engine and their memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/fault_bind.h"
#include "fault_vedu.h"

#define NR 2u

static int create_file;
static char uuid[40], remove_path[128];

/* Every slice is free, and every share of the engine. */
static bool all_free(void)
{
	return vedu_available(edu, "memory") == 4 && vedu_available(edu, "engine") == 16;
}

static int call_create(void)
{
	return write(create_file, uuid, strlen(uuid)) < 0 ? -errno : 0;
}

/* It has BAR 2, and memory of its guest's can be pinned. */
static bool vedu_works(void)
{
	static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
	uint32_t v = 1;
	struct guest guest;
	bool fine;

	if (vedu_open(&guest, NR, false))
		return false;
	fine = pread(guest.d.fd, &v, 4, (off_t)guest.d.offset[2]) == 4 && !v &&
	       !vedu_map(&guest, page, IOVA, PAGE, true) &&
	       vedu_hold(&guest, IOVA, PAGE, NULL) == BARTER_VEDU_S_OK;
	vedu_close(&guest);
	return fine;
}

static bool whole_create(int ret)
{
	bool fine = vedu_works();

	(void)ret;
	return !vedu_remove(NR) && fine;
}

static void create(void)
{
	if (vedu_create(edu, "memory", NR))
		tap_bail("no vEDU to begin with");
}

static int call_remove(void)
{
	int fd = open(remove_path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, "1", 1) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static bool whole_remove(int ret)
{
	bool fine = access(remove_path, F_OK) && all_free();

	(void)ret;
	create();
	return fine;
}

static void remove_it(void)
{
	vedu_remove(NR);
}

static void create_and_remove(void)
{
	static const struct fault_call calls[] = {
		{ .name = "create: the device",
		  .call = call_create,
		  .whole = whole_create,
		  .least = 10,
		  .fails = 8,
		  .scope = "_vfio_alloc_device" },
		/* VFIO itself goes on without, and open() uses what is not there. */
		{ .name = "create: its set of devices",
		  .call = call_create,
		  .whole = whole_create,
		  .least = 1,
		  .fails = 1,
		  .scope = "vfio_assign_device_set" },
		{ .name = "create: what fails behind it",
		  .call = call_create,
		  .whole = whole_create,
		  .least = 2,
		  .fails = 2,
		  .scope = "iommu_group_alloc" },
		{ .name = "remove",
		  .before = create,
		  .call = call_remove,
		  .whole = whole_remove,
		  .after = remove_it,
		  .least = 10 },
	};
	char path[160];

	snprintf(uuid, sizeof(uuid), VEDU_UUID, NR);
	snprintf(remove_path, sizeof(remove_path), "/sys/bus/mdev/devices/%s/remove", uuid);
	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/mdev_supported_types/" VEDU_DRIVER "-memory/create", edu);
	create_file = open(path, O_WRONLY | O_CLOEXEC);
	need(create_file >= 0 && all_free(), "a type of which no device is there");
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		fault_witness = calls[i].before ? NULL : all_free;
		fault_sweep(&calls[i]);
	}
	fault_witness = NULL;
	ok(all_free(), "nothing is left");
	close(create_file);
}

static bool makes_vedus(void)
{
	bool fine = all_free() && !vedu_create(edu, "memory", NR) &&
		    vedu_available(edu, "memory") == 3;

	return !vedu_remove(NR) && fine;
}

static void bind_memory(void)
{
	fault_enable(vram);
	/* What the kernel makes of a region or mapping that it has no memory for. */
	fault_bind_sweep(VEDU_DRIVER, vram, makes_vedus, EINVAL, EBUSY);
}

static void bind_engine(void)
{
	fault_enable(edu);
	fault_bind_sweep(VEDU_DRIVER, edu, makes_vedus, EINVAL, EBUSY);
}

void driver_cases(void)
{
	CASE_LIMIT(create_and_remove, 300);
	CASE_LIMIT(bind_memory, 180);
	CASE_LIMIT(bind_engine, 240);
}
