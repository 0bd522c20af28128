// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The physical engine: edu's DMA between the bus and 4 KiB of its own, 100 ms a time.
 *
 * Only the engine's worker is in here once it is up, so there is no lock.
 */
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>

#include "vedu.h"

#define EDU_ID			0x00
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_START		BIT(0)
#define EDU_DMA_TO_BUS		BIT(1)	/* else from the bus into edu */

/* edu's own memory, as its engine sees it; the last byte is never used. */
#define EDU_MEMORY		0x40000

#define EDU_POLL_US		500
#define EDU_DEADLINE_US		(5 * USEC_PER_SEC)	/* 100 ms is normal */

/* edu cuts off what is above its mask, and goes to some other address without a word. */
static unsigned int dma_bits = 28;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "Address bits of the engine, no more than edu's dma_mask property says (default: 28, as QEMU's)");

/**
 * edu_transfer - move bytes between the bus and edu's memory
 * @engine: the engine
 * @bus: address on the bus
 * @at: offset in edu's memory
 * @count: bytes; @at and @count in sum at most VEDU_CHUNK
 * @to_bus: the direction
 *
 * When it returns no DMA runs: an engine that misses its deadline loses the right to
 * master the bus first, and is not used again.
 *
 * Return: 0, -EIO.
 */
int edu_transfer(struct vedu_engine *engine, dma_addr_t bus, unsigned int at,
		 size_t count, bool to_bus)
{
	u32 command;

	if (READ_ONCE(engine->failed))
		return -EIO;
	writeq(to_bus ? EDU_MEMORY + at : bus, engine->regs + EDU_DMA_SRC);
	writeq(to_bus ? bus : EDU_MEMORY + at, engine->regs + EDU_DMA_DST);
	writel(count, engine->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_START | (to_bus ? EDU_DMA_TO_BUS : 0),
	       engine->regs + EDU_DMA_COMMAND);
	if (!readl_poll_timeout(engine->regs + EDU_DMA_COMMAND, command,
				!(command & EDU_DMA_START), EDU_POLL_US,
				EDU_DEADLINE_US))
		return 0;

	WRITE_ONCE(engine->failed, true);
	pci_clear_master(engine->pdev);
	pci_wait_for_pending_transaction(engine->pdev);
	dev_err(&engine->pdev->dev, "DMA did not end, the engine is off until the driver is bound anew\n");
	return -EIO;
}

/**
 * edu_enable - bring the function up as an engine
 * @engine: with its pdev
 *
 * All is undone by itself when the driver is unbound.
 *
 * Return: 0; -ENODEV: not an edu; or what the PCI core says.
 */
int edu_enable(struct vedu_engine *engine)
{
	struct pci_dev *pdev = engine->pdev;
	u32 command;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	engine->regs = pcim_iomap_region(pdev, 0, VEDU_NAME);
	if (IS_ERR(engine->regs))
		return PTR_ERR(engine->regs);
	if ((readl(engine->regs + EDU_ID) & 0xff) != 0xed)
		return -ENODEV;

	/* edu takes an address in one write: no more bits than a write has. */
	ret = dma_set_mask_and_coherent(&pdev->dev,
					DMA_BIT_MASK(clamp_t(unsigned int, dma_bits, 20,
							     BITS_PER_LONG)));
	if (ret)
		return ret;
	/* Segments may be of any length. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	engine->bounce = dmam_alloc_coherent(&pdev->dev, VEDU_CHUNK,
					     &engine->bounce_bus, GFP_KERNEL);
	if (!engine->bounce)
		return -ENOMEM;

	/* What an earlier driver may have started must not reach the bus now. */
	ret = readl_poll_timeout(engine->regs + EDU_DMA_COMMAND, command,
				 !(command & EDU_DMA_START), EDU_POLL_US,
				 EDU_DEADLINE_US);
	if (!ret)
		pci_set_master(pdev);
	return ret;
}
