// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A backend for barter-vgpu that is no hypervisor: the guest's memory is an array of
 * pages of our own, and each pin and unpin is counted and checked.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "vgpu_kmod.h"

static struct page *mock_pages[VT_MOCK_PAGES];
/* Of each page of the guest: how often it is pinned, VT_PAGE_*, reported dirty? */
static struct mock_guest {
	u16 pins;
	u8 kind;
	bool dirty;
} *guest;
static struct page *mock_run;
/* Reserved, as a BAR's pages are where they have any. */
static struct page *mock_bar;
static u64 mock_wrong, mock_waiting, mock_asked;
static u32 mock_fail, mock_asks, mock_step;
static int mock_answer[2]; /* of pins, of copies; 0: as it should */
/* Of the last unmap; and how often LET was said. */
static u64 mock_rounds, mock_mapped, mock_lets;
static bool mock_any, mock_hold, mock_hold_unpin;
static unsigned long mock_max_pages, mock_max_maps;
static DECLARE_WAIT_QUEUE_HEAD(mock_wait);
static DEFINE_MUTEX(mock_lock);

static int mock_check(u64 first, unsigned int npages, bool write)
{
	unsigned int i;

	if (first > VT_MOCK_GUEST || npages > VT_MOCK_GUEST - first)
		return -ENOENT;
	for (i = 0; i < npages; i++) {
		u8 kind = guest[first + i].kind;

		if (kind == VT_PAGE_NONE)
			return -ENOENT;
		if (kind == VT_PAGE_BUSY)
			return -EREMOTE;
		if (kind == VT_PAGE_RO && write)
			return -EPERM;
	}
	return 0;
}

/* Until LET, if it is on. */
static void mock_hold_here(const bool *on)
{
	mutex_lock(&mock_lock);
	mock_waiting++;
	mutex_unlock(&mock_lock);
	wait_event(mock_wait, !READ_ONCE(*on));
	mutex_lock(&mock_lock);
	mock_waiting--;
	mutex_unlock(&mock_lock);
}

static int mock_pin(void *data, u64 iova, unsigned int npages, bool write,
		    struct page **pages)
{
	u64 first = iova >> PAGE_SHIFT;
	unsigned int i;
	int ret;

	if (WARN_ON(!npages || npages > BARTER_VGPU_BATCH))
		return -EINVAL;
	mutex_lock(&mock_lock);
	mock_asked++;
	ret = mock_answer[0] ?: mock_check(first, npages, write);
	if (!ret && mock_fail && !--mock_fail)
		ret = -ENOMEM;
	for (i = 0; !ret && i < npages; i++) {
		guest[first + i].pins++;
		pages[i] = mock_pages[(first + i) % VT_MOCK_PAGES];
		if (guest[first + i].kind == VT_PAGE_BAR)
			pages[i] = mock_bar;
	}
	mutex_unlock(&mock_lock);
	mock_hold_here(&mock_hold);
	return ret;
}

static void mock_unpin(void *data, u64 iova, unsigned int npages)
{
	u64 first = iova >> PAGE_SHIFT;
	unsigned int i;

	/* Type 1 may forget something if there is one when it begins. */
	bool killed = fatal_signal_pending(current);

	mock_hold_here(&mock_hold_unpin);
	mutex_lock(&mock_lock);
	if (killed)
		mock_wrong++;
	if (!npages || npages > BARTER_VGPU_BATCH ||
	    first > VT_MOCK_GUEST || npages > VT_MOCK_GUEST - first) {
		mock_wrong++;
	} else {
		for (i = 0; i < npages; i++) {
			if (guest[first + i].pins)
				guest[first + i].pins--;
			else
				mock_wrong++;
		}
	}
	mutex_unlock(&mock_lock);
}

static int mock_rw(void *data, u64 iova, void *buffer, size_t length, bool write)
{
	int ret;

	mutex_lock(&mock_lock);
	mock_asked++;
	ret = mock_answer[1];
	while (length && !ret) {
		size_t offset = offset_in_page(iova);
		size_t part = min_t(size_t, length, PAGE_SIZE - offset);
		void *at;

		ret = mock_check(iova >> PAGE_SHIFT, 1, write);
		if (ret)
			break;
		at = page_address(mock_pages[(iova >> PAGE_SHIFT) % VT_MOCK_PAGES]) + offset;
		if (write)
			memcpy(at, buffer, part);
		else
			memcpy(buffer, at, part);
		iova += part;
		buffer += part;
		length -= part;
	}
	mutex_unlock(&mock_lock);
	mock_hold_here(&mock_hold);
	return ret;
}

static void mock_set_dirty(void *data, u64 iova, unsigned long npages)
{
	u64 first = iova >> PAGE_SHIFT;

	mutex_lock(&mock_lock);
	for (; npages; npages--, first++) {
		if (!guest[first].pins)
			mock_wrong++;
		guest[first].dirty = true;
	}
	mutex_unlock(&mock_lock);
}

static bool mock_unpin_any(void *data)
{
	return mock_any;
}

static bool mock_asks_again(void *data)
{
	return READ_ONCE(mock_asks);
}

static const struct barter_vgpu_backend mock_backend = {
	.name = "mock",
	.pin = mock_pin,
	.unpin = mock_unpin,
	.rw = mock_rw,
	.dirty = mock_set_dirty,
	.unpin_any = mock_unpin_any,
	.asks_again = mock_asks_again,
};

static void mock_free(void)
{
	unsigned int i;

	for (i = VT_MOCK_RUN; i < VT_MOCK_PAGES; i++) {
		if (mock_pages[i])
			__free_page(mock_pages[i]);
	}
	if (mock_run)
		__free_pages(mock_run, ilog2(VT_MOCK_RUN));
	mock_run = NULL;
	if (mock_bar) {
		ClearPageReserved(mock_bar);
		__free_page(mock_bar);
	}
	mock_bar = NULL;
	memset(mock_pages, 0, sizeof(mock_pages));
	vfree(guest);
	guest = NULL;
}

/* One long run, then every page on its own, none next to the one before. */
static int mock_alloc(void)
{
	unsigned int i, j;

	guest = vzalloc(VT_MOCK_GUEST * sizeof(*guest));
	if (!guest)
		return -ENOMEM;
	for (i = VT_MOCK_PAGES; i < VT_MOCK_GUEST; i++)
		guest[i].kind = VT_PAGE_NONE;
	mock_bar = alloc_page(GFP_KERNEL);
	if (!mock_bar)
		return -ENOMEM;
	SetPageReserved(mock_bar);
	mock_run = alloc_pages(GFP_KERNEL | __GFP_ZERO, ilog2(VT_MOCK_RUN));
	for (i = 0; mock_run && i < VT_MOCK_RUN; i++)
		mock_pages[i] = pfn_to_page(page_to_pfn(mock_run) + i);
	for (; mock_run && i < VT_MOCK_PAGES; i++) {
		mock_pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!mock_pages[i])
			break;
	}
	if (i < VT_MOCK_PAGES)
		return -ENOMEM;
	for (i = VT_MOCK_RUN; i + 3 < VT_MOCK_PAGES; i += 4) {
		swap(mock_pages[i], mock_pages[i + 2]);
		for (j = i + 1; j < i + 4; j++)
			if (page_to_pfn(mock_pages[j]) ==
			    page_to_pfn(mock_pages[j - 1]) + 1)
				swap(mock_pages[j], mock_pages[j - 1]);
	}
	return 0;
}

/* Ends the mock guest; without one it does nothing. */
void vt_mock_end(void)
{
	struct vt_space *vt = &vt_spaces[VT_MOCK];

	if (!vt->space)
		return;
	WRITE_ONCE(mock_hold, false);
	WRITE_ONCE(mock_hold_unpin, false);
	wake_up_all(&mock_wait);
	vt_letgo(vt);
	barter_vgpu_close(vt->space);
	barter_vgpu_destroy(vt->space);
	vt->space = NULL;
	mock_free();
}

static int mock_new(void)
{
	struct vt_space *vt = &vt_spaces[VT_MOCK];
	struct barter_vgpu_config config = {
		.name = "mock",
		.ops = &vt_ops,
		.priv = vt,
		.backend = &mock_backend,
		.max_pages = mock_max_pages,
		.max_maps = mock_max_maps,
	};
	int ret;

	vt_mock_end();
	mock_wrong = 0;
	mock_asked = 0;
	mock_any = true;
	mock_fail = 0;
	memset(mock_answer, 0, sizeof(mock_answer));
	mock_asks = 0;
	mock_step = 0;
	mock_rounds = 0;
	ret = mock_alloc();
	if (!ret)
		ret = barter_vgpu_create(&config, &vt->space);
	if (ret) {
		mock_free();
		return ret;
	}
	barter_vgpu_open(vt->space);
	return 0;
}

static void mock_count(struct vt_mock *req)
{
	u64 i, end = min_t(u64, req->first + req->npages, VT_MOCK_GUEST);

	req->out_pinned = 0;
	req->out_most = 0;
	req->out_dirty = 0;
	mutex_lock(&mock_lock);
	for (i = req->first; i < end; i++) {
		req->out_pinned += !!guest[i].pins;
		req->out_most = max_t(u64, req->out_most, guest[i].pins);
		req->out_dirty += guest[i].dirty;
	}
	req->out_wrong = mock_wrong;
	req->out_waiting = mock_waiting;
	req->out_asked = mock_asked;
	req->out_rounds = READ_ONCE(mock_rounds);
	req->out_mapped = READ_ONCE(mock_mapped);
	mutex_unlock(&mock_lock);
}

/* A driver that maps between two rounds. */
static void mock_between(struct barter_vgpu_space *space, u64 first)
{
	struct barter_vgpu_map *map;

	if (READ_ONCE(mock_hold) ||
	    barter_vgpu_map(space, first << PAGE_SHIFT, 1, BARTER_VGPU_READ, NULL, &map))
		return;
	WRITE_ONCE(mock_mapped, mock_rounds);
	barter_vgpu_unmap(map);
}

static int mock_unmap(struct vt_mock *req)
{
	struct barter_vgpu_space *space = vt_spaces[VT_MOCK].space;
	u64 lets = READ_ONCE(mock_lets);
	u32 asks = READ_ONCE(mock_asks);

	WRITE_ONCE(mock_rounds, 0);
	WRITE_ONCE(mock_mapped, 0);
	for (;;) {
		barter_vgpu_dma_unmap(space, req->first << PAGE_SHIFT,
				      req->npages << PAGE_SHIFT);
		WRITE_ONCE(mock_rounds, mock_rounds + 1);
		if (asks)
			mock_between(space, req->first + mock_step);
		mock_count(req);
		if (!asks || mock_rounds >= VT_MOCK_MOST ||
		    (!req->out_pinned && mock_rounds >= asks))
			break;
		req->first += mock_step;
	}
	if (req->arg)
		wait_event(mock_wait, READ_ONCE(mock_lets) != lets);
	return req->out_pinned ? -EDEADLK : 0;
}

static void mock_tell(struct barter_vgpu_space *space, const struct vt_mock *req)
{
	barter_vgpu_dma_unmap(space, req->first << PAGE_SHIFT, PAGE_SIZE);
}

/* Devices that come and go while VFIO unmaps. */
static int mock_swap(struct vt_mock *req)
{
	struct barter_vgpu_config config = {
		.name = "swapped",
		.ops = &vt_ops,
		.priv = &vt_spaces[VT_MOCK],
		.backend = &mock_backend,
		.max_pages = mock_max_pages,
		.max_maps = mock_max_maps,
	};
	struct barter_vgpu_space *spaces[VT_MOCK_MOST - 1];
	unsigned int i, n;
	int ret = 0;

	WRITE_ONCE(mock_rounds, 0);
	WRITE_ONCE(mock_mapped, 0);
	for (n = 0; !ret && n < ARRAY_SIZE(spaces); n += !ret)
		ret = barter_vgpu_create(&config, &spaces[n]);
	if (ret)
		goto out_destroy;
	for (i = 0; i < n; i++)
		barter_vgpu_open(spaces[i]);
	for (i = 0; i < n; i++)
		mock_tell(spaces[i], req);
	for (i = 0; i < n; i++)
		barter_vgpu_close(spaces[i]);
	WRITE_ONCE(mock_rounds, 1);
	for (i = 0; i < n; i++) {
		barter_vgpu_open(spaces[i]);
		mock_tell(spaces[i], req);
		WRITE_ONCE(mock_rounds, mock_rounds + 1);
		mock_between(spaces[i], req->first);
		barter_vgpu_close(spaces[i]);
	}
	mock_count(req);
out_destroy:
	while (n--)
		barter_vgpu_destroy(spaces[n]);
	return ret;
}

static void mock_set_kind(const struct vt_mock *req)
{
	u64 i, end = min_t(u64, req->first + req->npages, VT_MOCK_GUEST);

	mutex_lock(&mock_lock);
	for (i = req->first; i < end; i++)
		guest[i].kind = req->arg;
	mutex_unlock(&mock_lock);
}

/* Answers VT_MOCK_CALL. NEW excludes all other calls, and that is up to the caller. */
int vt_mock_call(struct vt_mock *req)
{
	struct barter_vgpu_space *space = vt_spaces[VT_MOCK].space;

	if (req->op == VT_MOCK_NEW)
		return mock_new();
	if (req->op == VT_MOCK_LIMITS) {
		mock_max_pages = req->first;
		mock_max_maps = req->npages;
		return 0;
	}
	if (!space)
		return -ENODEV;
	switch (req->op) {
	case VT_MOCK_PAGES_ARE:
		mock_set_kind(req);
		break;
	case VT_MOCK_SWAP:
		return mock_swap(req);
	case VT_MOCK_UNMAP:
		return mock_unmap(req);
	case VT_MOCK_CLOSE:
		barter_vgpu_close(space);
		break;
	case VT_MOCK_OPEN:
		barter_vgpu_open(space);
		break;
	case VT_MOCK_HOLD:
	case VT_MOCK_LET:
		WRITE_ONCE(mock_hold, req->op == VT_MOCK_HOLD && !req->arg);
		WRITE_ONCE(mock_hold_unpin, req->op == VT_MOCK_HOLD && req->arg);
		if (req->op == VT_MOCK_LET)
			WRITE_ONCE(mock_lets, mock_lets + 1);
		wake_up_all(&mock_wait);
		break;
	case VT_MOCK_ANY:
		mock_any = req->arg;
		break;
	case VT_MOCK_FAIL:
		mock_fail = req->arg;
		break;
	case VT_MOCK_ANSWER:
		mock_answer[!!req->arg] = (int)req->first;
		break;
	case VT_MOCK_ASKS:
		WRITE_ONCE(mock_asks, req->arg);
		mock_step = req->npages;
		break;
	default:
		return -EINVAL;
	}
	mock_count(req);
	return 0;
}
