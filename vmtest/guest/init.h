/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of PID 1: init.c runs the command, the others look after the kernel. */
#ifndef VMTEST_INIT_H
#define VMTEST_INIT_H

#include <stdbool.h>

/* One line of the report to the host (see init.c); newlines become blanks. */
void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long long uptime_ms(void);

/* Unmount what init.c has mounted. */
void unmount_all(void);

/* Boot the system on the first disk; comes back only if it cannot. */
void system_boot(void);
/* Where the system finds the root that it was started from. */
#define SYSTEM_INITRAMFS "/run/initramfs"

/* Load what /etc/vmtest/modules lists, in order; a refusal is a complaint. */
void modules_load(void);
/* Take these for loaded: it was done by who was here before. */
void modules_find(void);
/* Unload the marked ones in reverse; one still in use is a complaint. */
void modules_unload(void);

/* Does a line of the kernel log name one of those that are unloaded? "[barter]" */
bool modules_name(const char *line);

/* Data races: look for them from now on; all lines of the log in order; the sum. */
void races_start(void);
bool race_begins(const char *line);
void race_line(const char *line);
void races_end(void);

/* Search the whole kernel log for signs of a bug and complain of each. */
void kmsg_check(void);

/* Complain of what was allocated after start and leaked. */
void kmemleak_start(void);
void kmemleak_check(void);

/* Complain if DMA API debugging does not watch any more. */
void dma_debug_check(void);

#endif
