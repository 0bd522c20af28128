// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Mappings of a BAR that the device's own user makes, through the file of the
 * lending driver.
 *
 * Each is a buffer of its own with one range, whose dma-buf nobody has an fd of:
 * its file takes the place of the driver's in the VMA. So there is one owner of all
 * CPU mappings and one path that takes them away, and /proc/PID/maps has a name for
 * what is mapped. What the user notices of that is the name:
 *
 * - The page offset stays what the user gave. Windows are for taking one buffer
 *   away alone, which nobody does with these; and they could run out.
 * - The VMAs keep the driver's file, as if it were theirs. Not the buffer: others
 *   hold that too, for moments (a revoke, debugfs, an O_PATH open), and the file is
 *   to be closed when the last VMA goes.
 * - Access goes by the driver's lock alone, not by the reasons of the exporter. An
 *   unbind waits for the device's user; it does not take its mappings away.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "priv.h"
#include "trace.h"

static struct barter_buf *barter_bar_new(struct barter_exporter *exp,
					 unsigned int bar,
					 const struct barter_range *range)
{
	u64 bar_length = PAGE_ALIGN(pci_resource_len(exp->pdev, bar));
	struct barter_lend lend = { .ranges = range, .nr = 1 };
	struct barter_buf *buf;
	int ret;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = barter_lend_take(&buf->ranges, &lend, bar_length);
	if (ret) {
		kfree(buf);
		return ERR_PTR(ret);
	}
	buf->shown = &buf->ranges;
	buf->exp = exp;
	buf->bar = bar;
	buf->bar_start = pci_resource_start(exp->pdev, bar);
	buf->bar_length = bar_length;
	buf->domain = pci_domain_nr(exp->pdev->bus);
	buf->bus = exp->pdev->bus->number;
	buf->devfn = exp->pdev->devfn;
	buf->bar_mmap = true;
	ret = barter_buf_make(buf, O_RDWR);
	return ret ? ERR_PTR(ret) : buf;
}

/*
 * Without the exporter mutex, which a revoke holds while it waits, and the caller
 * has mmap_lock. A revoke that does not find the buffer on the list has seen to it
 * before that the driver permits no access.
 */
static int barter_bar_publish(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;

	spin_lock(&exp->list_lock);
	buf->reasons = barter_exporter_reasons(exp);
	if (buf->reasons & BARTER_REASON_CLOSED) {
		spin_unlock(&exp->list_lock);
		return -ENODEV;
	}
	buf->state = buf->reasons ? BARTER_STATE_REVOKED : BARTER_STATE_OK;
	list_add_tail(&buf->exp_node, &exp->bufs);
	spin_unlock(&exp->list_lock);
	barter_buf_list(buf);
	return 0;
}

/**
 * barter_exporter_mmap - map a BAR for the user of the device
 * @exp: the exporter, open
 * @bar: BAR index, 0 to 5; memory, claimed by the driver, and mappable to the end of
 *	its last page
 * @offset: from the start of the BAR, in bytes, whole pages
 * @name: what /proc/PID/maps shows behind "/dmabuf:"; cut after 31 characters
 * @vma: of the driver's own file, in its mmap callback; shared. Its page offset less
 *	@offset is the same for every mapping of that BAR
 *
 * Nothing is mapped before the first access, which the driver's access lock and
 * @access_allowed decide on: at present may be revoked. The mapping is taken away by
 * every barter_exporter_revoke(), but comes back as soon as the driver permits. It
 * holds @vma's file open. Context: mmap_lock held for write; waits for no revoke.
 *
 * Return: 0; -EINVAL: not inside the BAR; -ENODEV: the device is closed; -EBUSY: a
 * page is mapped with another memory attribute, see barter_buf_set_memattr();
 * -ENOMEM; -EINTR on a fatal signal.
 */
int barter_exporter_mmap(struct barter_exporter *exp, unsigned int bar,
			 u64 offset, const char *name,
			 struct vm_area_struct *vma)
{
	const struct barter_range range = {
		.offset = offset,
		.length = vma->vm_end - vma->vm_start,
	};
	struct barter_buf *buf;
	int ret;

	buf = barter_bar_new(exp, bar, &range);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	buf->window = vma->vm_pgoff;
	ret = barter_buf_set_name(buf, name);
	if (!ret)
		ret = barter_bar_publish(buf);
	if (!ret)
		ret = barter_memattr_begin(buf);
	if (ret < 0)
		goto out_put;

	trace_barter_export(buf->id, buf->pdev, bar, buf->ranges.nr,
			    buf->ranges.length);
	buf->held = get_file(vma->vm_file);
	vma_set_file(vma, buf->dmabuf->file);
	barter_vma_begin(buf, vma, ret);
	ret = 0;
out_put:
	dma_buf_put(buf->dmabuf);
	return ret;
}
BARTER_EXPORT(barter_exporter_mmap);

/**
 * barter_bar_zap - remove all mappings of a buffer's BAR
 * @buf: a buffer of barter_exporter_mmap()
 *
 * All of them at once, and once in a revoke: thousands may show the same page.
 * Context: in a revoke, when all its buffers are marked.
 */
void barter_bar_zap(struct barter_buf *buf)
{
	struct barter_exporter *exp = buf->exp;
	u64 first = buf->window - (buf->ranges.runs[0].offset >> PAGE_SHIFT);

	lockdep_assert_held(&exp->lock);

	if (exp->bars_zapped & BIT(buf->bar))
		return;
	exp->bars_zapped |= BIT(buf->bar);
	unmap_mapping_pages(exp->mapping, first, buf->bar_length >> PAGE_SHIFT,
			    true);
}
