// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * /sys/kernel/debug/barter: every buffer, mmaps of BARs, and the registered
 * interconnects and importers, for people and for tests.
 *
 * Works while a revoke waits: it takes no exporter mutex, and each dma_resv only
 * for as long as a buffer's lines take.
 */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/pci.h>
#include <linux/seq_file.h>

#include "priv.h"

static struct dentry *barter_debugfs_dir;

static const char * const barter_reason_names[BARTER_NR_REASONS] = {
	"config", "memory-off", "reset", "low-power", "error", "closed", "gone",
	"requested", "interrupted",
};

/**
 * barter_state_name - a buffer's state as a word
 * @state: BARTER_STATE_*
 *
 * Return: a constant string.
 */
const char *barter_state_name(u32 state)
{
	static const char * const names[] = {
		[BARTER_STATE_OK] = "OK",
		[BARTER_STATE_REVOKING] = "REVOKING",
		[BARTER_STATE_REVOKED] = "REVOKED",
		[BARTER_STATE_DEAD] = "DEAD",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "?";
}

/**
 * barter_reasons_print - a set of reasons as words
 * @reasons: BARTER_REASON_* bits
 * @text: filled with the names, comma separated; "none" for the empty set
 * @length: bytes at @text
 */
void barter_reasons_print(u32 reasons, char *text, size_t length)
{
	size_t used = 0;
	unsigned int i;

	scnprintf(text, length, "none");
	for (i = 0; i < BARTER_NR_REASONS; i++)
		if (reasons & (1U << i))
			used += scnprintf(text + used, length - used, "%s%s",
					  used ? "," : "",
					  barter_reason_names[i]);
}

static void barter_show_kind(struct seq_file *m, struct barter_buf *buf)
{
	u64 parent;
	u32 slices;

	barter_tree_ask(buf, &parent, &slices);
	if (buf->slice)
		seq_printf(m, "  slice parent %llu\n", parent);
	if (slices)
		seq_printf(m, "  slices %u\n", slices);
	if (buf->read_only)
		seq_puts(m, "  read-only\n");
}

static void barter_show_ranges(struct seq_file *m, const struct barter_buf *buf)
{
	/* A million ranges would be no help to anybody. */
	u32 i, shown = min(buf->ranges.nr, 16U);

	for (i = 0; i < shown; i++) {
		struct barter_run run = barter_ranges_run(&buf->ranges, i);

		seq_printf(m, "  range 0x%llx+0x%llx\n", run.offset, run.length);
	}
	if (shown < buf->ranges.nr)
		seq_printf(m, "  ... %u more ranges\n", buf->ranges.nr - shown);
}

static int barter_show_state(struct seq_file *m, struct barter_buf *buf)
{
	struct dma_buf_attachment *attach;
	char text[BARTER_TYPES_LENGTH];

	if (dma_resv_lock_interruptible(buf->dmabuf->resv, NULL))
		return -EINTR;
	barter_reasons_print(buf->reasons, text, sizeof(text));
	seq_printf(m, "  state %s reasons %s generation %llu maps %u\n",
		   barter_state_name(buf->state), text, buf->generation,
		   buf->maps);
	if (barter_buf_waited_for(buf)) {
		barter_buf_blocker(buf, text, sizeof(text));
		if (text[0])
			seq_printf(m, "  blocker %s\n", text);
	}
	list_for_each_entry(attach, &buf->dmabuf->attachments, node) {
		struct barter_attach *ba = attach->priv;

		seq_printf(m, "  importer %s driver %s maps %u%s\n",
			   dev_name(attach->dev), dev_driver_string(attach->dev),
			   ba->maps, ba->pinned ? " pinned" : "");
		barter_attach_types(ba, text, sizeof(text));
		seq_printf(m, "    interconnect %s of %s\n", ba->chosen ?
			   ba->chosen->type->name : "none", text);
	}
	dma_resv_unlock(buf->dmabuf->resv);
	return 0;
}

static void barter_show_name(struct seq_file *m, struct barter_buf *buf)
{
	char name[BARTER_BUFFER_NAME_LENGTH];

	barter_buf_name(buf, name);
	seq_puts(m, " name ");
	seq_escape(m, name, " \t\n\\");
}

static int barter_buffers_show(struct seq_file *m, void *unused)
{
	struct barter_buf *buf;
	int ret = 0;

	for (buf = barter_buf_next(NULL); buf; buf = barter_buf_next(buf)) {
		if (buf->bar_mmap)
			continue;
		seq_printf(m, "buffer %llu device %s bar %u length %llu ranges %u\n",
			   buf->id, pci_name(buf->pdev), buf->bar,
			   buf->ranges.length, buf->ranges.nr);
		barter_show_kind(m, buf);
		barter_show_ranges(m, buf);
		seq_printf(m, "  memattr %s", barter_buf_memattr(buf) ==
			   BARTER_MEMATTR_WC ? "wc" : "uc");
		barter_show_name(m, buf);
		seq_putc(m, '\n');
		ret = barter_show_state(m, buf);
		if (ret) {
			barter_buf_put(buf);
			break;
		}
		seq_printf(m, "  mmaps %u faults pte %lld pmd %lld pud %lld\n",
			   barter_buf_mmaps(buf),
			   atomic64_read(&buf->faults[0]),
			   atomic64_read(&buf->faults[1]),
			   atomic64_read(&buf->faults[2]));
	}
	return ret;
}
DEFINE_SHOW_ATTRIBUTE(barter_buffers);

/* What the users of devices have mapped of BARs; what is lent is in "buffers". */
static int barter_mmaps_show(struct seq_file *m, void *unused)
{
	struct barter_buf *buf;

	for (buf = barter_buf_next(NULL); buf; buf = barter_buf_next(buf)) {
		if (!buf->bar_mmap)
			continue;
		seq_printf(m, "mmap %llu device %s bar %u range 0x%llx+0x%llx",
			   buf->id, pci_name(buf->pdev), buf->bar,
			   buf->ranges.runs[0].offset, buf->ranges.length);
		barter_show_name(m, buf);
		seq_printf(m, " vmas %u faults pte %lld pmd %lld pud %lld\n",
			   barter_buf_mmaps(buf),
			   atomic64_read(&buf->faults[0]),
			   atomic64_read(&buf->faults[1]),
			   atomic64_read(&buf->faults[2]));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(barter_mmaps);

static int barter_interconnects_show(struct seq_file *m, void *unused)
{
	barter_registry_show(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(barter_interconnects);

/**
 * barter_debugfs_init - make the files; a kernel without debugfs goes on without
 */
void barter_debugfs_init(void)
{
	barter_debugfs_dir = debugfs_create_dir("barter", NULL);
	debugfs_create_file("buffers", 0400, barter_debugfs_dir, NULL,
			    &barter_buffers_fops);
	debugfs_create_file("mmaps", 0400, barter_debugfs_dir, NULL,
			    &barter_mmaps_fops);
	debugfs_create_file("interconnects", 0400, barter_debugfs_dir, NULL,
			    &barter_interconnects_fops);
}

/**
 * barter_debugfs_exit - remove the files
 */
void barter_debugfs_exit(void)
{
	debugfs_remove(barter_debugfs_dir);
}
