/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * QEMU inside the test machine, and the guest inside that, which does what it is told
 * (guest/main.c): its loads, stores and PCI configuration.
 */
#ifndef TESTS_VMM_VM_H
#define TESTS_VMM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUEST		"/tests/vmm.bin"
#define GUEST_RAM	0x100000u	/* free for the tests from here on: 4 MiB */

struct vm {
	pid_t pid;
	int serial, monitor;
	long begin;		/* of the machine in QEMU's log */
	long mark;		/* of what the tests look at there */
};

/* Start QEMU with these options more, and its guest. Says what went wrong. */
bool vm_start(struct vm *vm, const char *const options[]);
/* Its wait status, or -ETIMEDOUT. */
int vm_quit(struct vm *vm);
int vm_kill(struct vm *vm);
/* A command for QEMU's monitor: false if it answers with an error. */
bool vm_monitor(struct vm *vm, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The guest has (re)started. */
bool vm_up(struct vm *vm);

/* Lines of QEMU's log since vm_mark() with this in them, a pattern of the shell. */
void vm_mark(struct vm *vm);
void vm_mark_begin(struct vm *vm);
int vm_said(struct vm *vm, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* These lines as diagnosis. */
void vm_show(struct vm *vm, const char *pattern);
/* How many of its fds are dma-bufs? */
int vm_dmabufs(struct vm *vm);

/* What the guest's CPU does. */
uint32_t vm_load(struct vm *vm, uint32_t at);
void vm_store(struct vm *vm, uint32_t at, uint32_t value);
void vm_fill(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed, uint32_t place);
/* Only begin it: nothing else can be asked of this guest any more. */
void vm_begin_fill(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed,
		   uint32_t place);
/* The first byte that differs, or -1. */
long vm_differs(struct vm *vm, uint32_t at, uint32_t n, uint8_t seed,
		uint32_t place);
void vm_out(struct vm *vm, uint16_t port, uint32_t value);
uint32_t vm_config(struct vm *vm, int slot, uint32_t at);
void vm_config_set(struct vm *vm, int slot, uint32_t at, uint32_t value);
/* The slot of the guest's device with that id (lib/pci.h), or -1. */
int vm_find(struct vm *vm, uint32_t id);
/* How long a memory BAR is, by writing ones; 0: none. Memory is off meanwhile. */
uint32_t vm_bar_length(struct vm *vm, int slot, int bar);
void vm_bar_place(struct vm *vm, int slot, int bar, uint32_t at);
/* Memory decoding, and with it being master of the bus. */
void vm_memory(struct vm *vm, int slot, bool on);

#endif /* TESTS_VMM_VM_H */
