/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * The bugs that the kernel's own exporter of BARs (VFIO, since 6.19) had or has,
 * one test each. A test speaks to feature 11 and to importers only, so the same
 * function judges barter and, in a boot of its own, the kernel's exporter.
 */
#ifndef TESTS_REGRESS_H
#define TESTS_REGRESS_H

#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "../device/lib/cause.h"
#include "../device/lib/edu.h"
#include "../device/lib/fixture.h"
#include "../device/lib/host.h"
#include "../device/lib/tester.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	23
#define GIB	(1ul << 30)

/* What became of a test. */
enum verdict {
	PASSES,
	FAILS,		/* the bug is there */
	LACKS,		/* the exporter lacks what the bug was in */
	INHERITED,	/* barter has it too, from code below it */
};

/**
 * struct bug - one row of the table in doc/upstream-bugs.md
 * @id: as in that table
 * @symptom: what a user saw, or would see
 * @seen: where it was reported; NULL: read in the source of 7.3, or run there
 * @test: name of @fn; NULL: no test
 * @fn: the test
 * @seconds: its limit
 * @own: what the kernel's own exporter does in 7.3, found by running it
 * @warns: in 7.3 that makes the kernel warn, so it has a boot of its own
 * @note: without a test why barter cannot have it; else what to know
 */
struct bug {
	const char *id;
	const char *symptom;
	const char *seen;
	const char *test;
	void (*fn)(void);
	unsigned int seconds;
	enum verdict own;
	bool warns;
	const char *note;
};

/* The kernel's exporter is under test, not barter. */
extern bool own;

/*
 * The property under test: for barter a check of its own; for the kernel's
 * exporter the first that does not hold makes the verdict.
 */
bool check(bool pass, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool check_errno(long long got, int want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What the test needs before it can judge: a failure in any case. */
bool setup(bool pass, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define must(cond, ...)	do { if (!setup(cond, __VA_ARGS__)) return; } while (0)
/* It is there with both, since it is in code below both. */
void inherited(const char *what);
/* The kernel's exporter has nothing like it. */
void lacks(const char *what);
/* This kernel or machine cannot show it. */
void cannot(const char *why);

/* The other small memory of the machine, which no test has opened. */
void second_device(char bdf[BDF_LENGTH]);
/* Map and unmap once, by an importer that behaves: 0 or -errno. */
int reach(int dmabuf);
/* Wait until a map by importer @id works: what was unmapped may take a while. */
int map_soon(int t, int id, struct barter_test_map *map);
/* In a child: the named cause begins. */
int run_cause(void *name);

/* map.c */
void b3_importers_unmap_and_unpin_under_the_lock(void);
void b4_addresses_beyond_8_gib_are_right(void);
void b5_lengths_beyond_4_gib_are_right(void);
void b6_segments_are_of_whole_pages(void);
void n1_two_ranges_map_behind_an_iommu(void);
void n4_a_slice_of_each_range_is_where_it_belongs(void);

/* leak.c */
void b12_importers_come_and_go_without_a_leak(void);
void n2a_refused_maps_leave_nothing_behind(void);
void n2b_maps_that_fail_give_addresses_back_once(void);
void n3_maps_that_run_out_of_memory_leave_nothing_behind(void);
void m2_unmap_frees_the_scatterlist(void);
/* Where M2 has not run: what the kernel's exporter leaked is no failure of the boot. */
void forget_native_leaks(void);

/* export.c */
void b7_close_races_with_export(void);
void b8_born_revoked_while_memory_is_off(void);
void b10_an_exported_bar_is_claimed(void);
void b11_ranges_stay_inside_the_bar(void);
void b15_the_end_of_a_range_is_checked(void);
void b19_split_mappings_fault_quietly(void);
void m4a_a_buffer_can_be_mmapped(void);

/* revoke.c */
void b1_close_of_a_revoked_device_ends(void);
void b2_the_second_revoke_waits_too(void);
void b9_close_asks_importers_before_the_device_is_off(void);
void b13_no_importer_keeps_the_memory(void);
void n5_a_restore_tells_nobody(void);
void n6b_memory_that_comes_back_brings_buffers_back(void);
void m3a_command_in_low_power_gives_nothing_back(void);
void m3b_born_revoked_in_low_power(void);
void m4b_reset_by_sysfs_revokes(void);

/* stuck.c */
void b17a_who_waits_for_an_importer_can_be_killed(void);
void b17b_what_cannot_be_refused_waits_to_the_end(void);
void n6a_hot_reset_waits_without_locks(void);
void n6a2_busy_locks_refuse_a_hot_reset(void);

/* gone.c */
void m4c_an_error_of_the_link_revokes(void);
void m4d_unbind_revokes_at_once(void);

#endif
