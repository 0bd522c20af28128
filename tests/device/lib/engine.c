// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * edu's DMA engine, see engine.h.
 */
#include "engine.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "proc.h"

#define DMA_SOURCE	0x80
#define DMA_TARGET	0x88
#define DMA_COUNT	0x90
#define DMA_COMMAND	0x98
#define DMA_START	1u
#define DMA_TO_BUS	2u

/* edu's own memory, as its engine sees it. */
#define MEMORY		0x40000

volatile uint8_t *engine_map(const struct dev *edu)
{
	uint16_t command = dev_command(edu) | PCI_COMMAND_MASTER |
			   PCI_COMMAND_MEMORY;

	if (dev_write(edu, PCI_COMMAND, &command, 2))
		return NULL;
	return dev_map(edu, 0, 0, 4096);
}

static void set(volatile uint8_t *regs, unsigned int at, uint64_t value)
{
	*(volatile uint64_t *)(regs + at) = value;
}

static void begin(volatile uint8_t *regs, uint64_t source, uint64_t target,
		  size_t n, uint32_t direction)
{
	set(regs, DMA_SOURCE, source);
	set(regs, DMA_TARGET, target);
	set(regs, DMA_COUNT, n);
	*(volatile uint32_t *)(regs + DMA_COMMAND) = DMA_START | direction;
}

bool engine_busy(volatile uint8_t *regs)
{
	return *(volatile uint32_t *)(regs + DMA_COMMAND) & DMA_START;
}

static int finish(volatile uint8_t *regs)
{
	bool idle;

	WAIT_FOR(idle, !engine_busy(regs), 5000);
	return idle ? 0 : -ETIMEDOUT;
}

int engine_load(volatile uint8_t *regs, uint64_t from, size_t n)
{
	begin(regs, from, MEMORY, n, 0);
	return finish(regs);
}

void engine_begin_store(volatile uint8_t *regs, uint64_t to, size_t n)
{
	begin(regs, MEMORY, to, n, DMA_TO_BUS);
}

int engine_store(volatile uint8_t *regs, uint64_t to, size_t n)
{
	engine_begin_store(regs, to, n);
	return finish(regs);
}
