// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Buffers for calls without memory, see lend.h.
 */
#define _GNU_SOURCE
#include "lend.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

int lent = -1;

static int witness, files;
static volatile uint8_t *witness_map;

bool lend_shows(const volatile uint8_t *p, uint64_t offset)
{
	uint32_t v = 0;

	return p && !peek(p, &v) && v == pattern(SEED, offset);
}

bool lend_witness(void)
{
	return buf_state(witness) == BARTER_STATE_OK &&
		lend_shows(witness_map + PAGE, PAGE);
}

void lend_begin(void)
{
	fixture_open();
	fault_init();
	buf_count(mem.bdf);
	files = count_fds();
	fill(bar, SEED, 0, OFFSET + LENT);
	witness = buf_export1(&mem, BAR, 0, MIB);
	witness_map = buf_map(witness, 0, MIB, PROT_READ);
	if (!witness_map || !lend_witness())
		tap_bail("no buffer to begin with");
	fault_witness = lend_witness;
}

static void nothing_is_left(void)
{
	bool gone;

	munmap((void *)witness_map, MIB);
	close(witness);
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
	is(count_fds(), files, "no file was left open");
	ok(fault_total() > 0, "%u allocations failed in all", fault_total());
}

int lend_end(void)
{
	CASE(nothing_is_left);
	return tap_done();
}

struct export *lend_request(const struct dev *d, uint32_t nr, uint32_t stride,
			    uint64_t n)
{
	struct vfio_region_dma_range *r = calloc(nr, sizeof(*r));
	struct export *e;

	for (uint64_t i = 0; i < nr; i++)
		r[i] = (struct vfio_region_dma_range){
			(i * stride * n + OFFSET) % d->length[BAR], n };
	e = export_new(BAR, r, nr);
	free(r);
	return e;
}

static void need_lent(void)
{
	if (lent < 0)
		tap_bail("export: %s", strerror(-lent));
}

void lend_ranges(uint32_t nr, uint64_t n)
{
	struct export *e = lend_request(&mem, nr, 3, n);

	lent = export_call(&mem, e);
	free(e);
	need_lent();
}

void lend_one(uint64_t n)
{
	lent = buf_export1(&mem, BAR, OFFSET, n);
	need_lent();
}

void lend_close(void)
{
	close(lent);
	lent = -1;
}
