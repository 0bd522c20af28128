// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Programs: made at random, changed, kept, written and read as text.
 */
#define _GNU_SOURCE
#include <linux/dma-buf.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/barter-dma.h>
#include <linux/barter-pf.h>
#include <linux/barter-vedu.h>
#include <linux/barter.h>

#include "../device/kmod/barter-test.h"
#include "../device/lib/tap.h"
#include "fuzz.h"

/* ---- the calls ---- */

const struct call_group groups[NR_GROUPS] = {
	{ "vfio", vfio_calls, &nr_vfio_calls, "lend", NULL },
	{ "buffers", buf_calls, &nr_buf_calls, "import", NULL },
	{ "memory", memory_calls, &nr_memory_calls, "map_buf", NULL },
	{ "pf", pf_calls, &nr_pf_calls, "pf_show", pf_init },
	{ "guests", guest_calls, &nr_guest_calls, "vedu_open", guest_init },
	{ "vedu", vedu_calls, &nr_vedu_calls, "vedu_run", vedu_init },
	{ "typed", typed_calls, &nr_typed_calls, "typed_import", typed_init },
	{ "native", native_calls, &nr_native_calls, "native_lend", native_init },
	{ "cdev", cdev_calls, &nr_cdev_calls, "open_cdev", cdev_init },
	{ "iommufd", iommufd_calls, &nr_iommufd_calls, "map_file", iommufd_init },
};

static bool there[NR_GROUPS];
static uint32_t total_weight;

bool group_there(const struct call_group *g)
{
	return there[g - groups];
}

uint32_t nr_call_types(void)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < NR_GROUPS; i++)
		sum += *groups[i].nr;
	return sum;
}

/* @nr becomes its number in there. */
static const struct call_group *find_group(uint32_t *nr)
{
	const struct call_group *g = groups;

	for (; *nr >= *g->nr; g++)
		*nr -= *g->nr;
	return g;
}

const struct call_group *call_group(uint32_t nr)
{
	return find_group(&nr);
}

const struct call_type *call_type(uint32_t nr)
{
	const struct call_group *g = find_group(&nr);

	return &g->calls[nr];
}

static uint32_t weight_of(uint32_t nr)
{
	const struct call_group *g = find_group(&nr);

	return group_there(g) ? g->calls[nr].weight : 0;
}

void prog_init(void)
{
	if (nr_call_types() > MAX_TYPES)
		tap_bail("MAX_TYPES");
	for (unsigned int i = 0; i < NR_GROUPS; i++) {
		const char *lacks = groups[i].init ? groups[i].init() : NULL;

		there[i] = !lacks;
		if (lacks)
			skip(lacks, "calls of %s", groups[i].name);
	}
	for (uint32_t i = 0; i < nr_call_types(); i++)
		total_weight += weight_of(i);
}

void prog_init_all(void)
{
	for (unsigned int i = 0; i < NR_GROUPS; i++)
		there[i] = true;
	for (uint32_t i = 0; i < nr_call_types(); i++)
		total_weight += weight_of(i);
}

/* ---- arguments ---- */

#define PICK(r, list) ((list)[rng_below(r, sizeof(list) / sizeof(*(list)))])

static const uint64_t edges[] = {
	0, 1, 2, 3, 4, 7, 8, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 16 * PAGE,
	2 * MIB - PAGE, 2 * MIB, 16 * MIB - PAGE, 16 * MIB, 16 * MIB + PAGE,
	64 * MIB - PAGE, 64 * MIB, 64 * MIB + 1, 64 * MIB + PAGE, 1ull << 31,
	(1ull << 31) - 1, 1ull << 32, (1ull << 32) - 1, 1ull << 40, 1ull << 47,
	1ull << 63, (1ull << 63) - 1, ~0ull, ~0ull - PAGE + 1, ~0ull << 12,
};

static const uint64_t counts[] = {
	0, 15, 16, 17, 255, 256, 16384, 65535, 65536, 65537,
	BARTER_MAX_RANGES - 1, BARTER_MAX_RANGES, BARTER_MAX_RANGES + 1,
	1u << 31, ~0u,
};

static const uint64_t features[] = {
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	10,
	11,
	12,
	0xffff,
	BARTER_FEATURE_EXPORT,
	BARTER_FEATURE_REVOKE,
	BARTER_FEATURE_NATIVE,
	BARTER_FEATURE_MEMATTR,
};

static const uint64_t ops[] = {
	VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET,
	VFIO_DEVICE_FEATURE_PROBE,
	VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET,
	VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET,
	VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, 0, 1u << 31,
};

/* Of config space: what barter looks at, and the neighbourhood. */
static const uint64_t config[] = {
	PCI_COMMAND, PCI_COMMAND, PCI_COMMAND, PCI_COMMAND - 1, PCI_COMMAND + 1,
	PCI_VENDOR_ID, PCI_STATUS, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_2,
	PCI_BASE_ADDRESS_3, PCI_ROM_ADDRESS, PCI_CAPABILITY_LIST,
	/* PM control, device control of QEMU's NVMe and root port children */
	0x44, 0x64, 0x65, 0x88, 0x89, 0xe4, 0xe5,
	0x40, 0x60, 0x80, 0xe0, 0xfc, 0xff, 0x100, 0xffc, 0xfff, 0x1000,
};

static const uint64_t commands[] = {
	VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU,
	VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER,
	VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_GET_INFO,
	VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
	VFIO_DEVICE_RESET, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_IOEVENTFD, VFIO_DEVICE_FEATURE,
	VFIO_IOMMU_GET_INFO, DMA_BUF_IOCTL_SYNC, DMA_BUF_SET_NAME_A,
	BARTER_IOC_INFO, BARTER_IOC_ROUTE, BARTER_IOC_SLICE,
	BARTER_IOC_WATCH,
	_IOWR(BARTER_IOC_TYPE, 0, struct barter_info), BARTER_DMA_IOC_IMPORT,
	BARTER_DMA_IOC_COPY, BARTER_DMA_IOC_STATUS, _IO(BARTER_DMA_IOC_TYPE, 3),
};

static const uint64_t pf_commands[] = {
	BARTER_PF_IOC_SET,    BARTER_PF_IOC_CLEAR,	  BARTER_PF_IOC_FRAME,
	BARTER_PF_IOC_STATUS, _IO(BARTER_PF_IOC_TYPE, 4),
};

/* Of a picture: mostly small, as all of it has to be in the buffer. */
static const uint64_t sides[] = {
	0,
	1,
	2,
	3,
	16,
	63,
	64,
	255,
	1024,
	BARTER_PF_MAX_SIDE - 1,
	BARTER_PF_MAX_SIDE,
	BARTER_PF_MAX_SIDE + 1,
	1u << 16,
	1u << 31,
	~0u,
};

/* Of a vEDU's BAR 0, and the neighbourhood. */
static const uint64_t registers[] = {
	BARTER_VEDU_ID,
	BARTER_VEDU_SLOTS,
	BARTER_VEDU_CONTROL,
	BARTER_VEDU_CONTROL,
	BARTER_VEDU_STATUS,
	BARTER_VEDU_HEAD,
	BARTER_VEDU_TAIL,
	BARTER_VEDU_TAIL,
	BARTER_VEDU_TAIL,
	BARTER_VEDU_INTERRUPT,
	BARTER_VEDU_HALT,
	BARTER_VEDU_COMPLETED,
	BARTER_VEDU_FAILED,
	BARTER_VEDU_TRANSFERS,
	BARTER_VEDU_TAIL - 4,
	BARTER_VEDU_TAIL + 2,
	0x38,
	0x3c,
	0xffc,
	0xfff,
	BARTER_VEDU_RING,
	BARTER_VEDU_RING + 4,
	BARTER_VEDU_RING + 48,
	BARTER_VEDU_BAR0_LENGTH - 4,
	BARTER_VEDU_BAR0_LENGTH,
};

static const uint64_t advice[] = {
	MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
	MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE,
	MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DODUMP, MADV_WIPEONFORK, MADV_COLD,
	MADV_PAGEOUT, 22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */,
	24 /* DONTNEED_LOCKED */, 25 /* COLLAPSE */,
};

/* A kind of fd, mostly the right one, and which of them. */
static uint64_t make_fd(struct rng *r, unsigned int kind)
{
	uint32_t which = rng_percent(r, 40) ? LATEST : rng_below(r, NR_FDS);

	if (kind == NR_KINDS || rng_percent(r, 3))
		kind = rng_below(r, NR_KINDS + 3);
	return kind | (uint64_t)which << 8;
}

/* A place in a BAR or buffer: whole pages for the most part. */
static uint64_t make_offset(struct rng *r)
{
	uint32_t how = rng_below(r, 100);

	if (how < 30)
		return rng_below(r, 16) * PAGE;
	if (how < 60)
		return rng_below(r, 64 * MIB / PAGE) * PAGE;
	if (how < 75)
		return rng_below(r, 32) * 2 * MIB;
	if (how < 95)
		return PICK(r, edges);
	return rng_next(r) >> rng_below(r, 64);
}

static uint64_t make_length(struct rng *r)
{
	uint32_t how = rng_below(r, 100);

	if (how < 40)
		return (1 + rng_below(r, 16)) * PAGE;
	if (how < 65)
		return (1 + rng_below(r, 8)) * 2 * MIB;
	if (how < 75)
		return (1 + rng_below(r, 16 * MIB / PAGE)) * PAGE;
	if (how < 95)
		return PICK(r, edges);
	return rng_next(r) >> rng_below(r, 64);
}

/* Mostly where a vEDU's guest has memory. */
static uint64_t make_iova(struct rng *r)
{
	uint32_t how = rng_below(r, 100);

	if (how < 60)
		return GUEST_IOVA + rng_below(r, GUEST_MEMORY / PAGE) * PAGE;
	if (how < 80)
		return GUEST_IOVA + rng_below(r, GUEST_MEMORY);
	return how < 90 ? make_offset(r) : PICK(r, edges);
}

static uint64_t make_arg(struct rng *r, unsigned int kind)
{
	switch (kind) {
	case A_DEV ... A_ANYFD:
		return make_fd(r, kind - A_DEV);
	case A_PTR:
		return rng_percent(r, 95) ? 0 : rng_next(r) & 0xffff;
	case A_SIZE:
		return rng_percent(r, 95) ? 0 : rng_below(r, 12);
	case A_BAR:
		return rng_percent(r, 85) ? 2 : rng_percent(r, 50) ? 0 :
			rng_percent(r, 90) ? rng_below(r, 10) : PICK(r, edges);
	case A_OFFSET:
		return make_offset(r);
	case A_LENGTH:
		return make_length(r);
	case A_NR:
		return rng_percent(r, 92) ? 1 + rng_below(r, 8) :
			rng_percent(r, 70) ? rng_below(r, 1024) : PICK(r, counts);
	case A_SEED:
		return rng_next(r) >> 32;
	case A_VALUE:
		return rng_percent(r, 40) ? PICK(r, edges) :
			rng_next(r) >> rng_below(r, 64);
	case A_FLAGS:
		return rng_percent(r, 80) ? 0 : rng_percent(r, 80) ?
			rng_below(r, 16) : 1ull << rng_below(r, 64);
	case A_SMALL:
		return rng_below(r, 256);
	case A_OPEN:
		return rng_percent(r, 88) ? 02000002 :	/* O_RDWR | O_CLOEXEC */
			rng_percent(r, 70) ? rng_below(r, 4) : rng_next(r);
	case A_FEATURE:
		return PICK(r, features);
	case A_OP:
		return PICK(r, ops);
	case A_CONFIG:
		return rng_percent(r, 85) ? PICK(r, config) : rng_below(r, 4200);
	case A_CMD:
		return rng_percent(r, 10) ? PICK(r, pf_commands) :
		       rng_percent(r, 95) ? PICK(r, commands) :
					    rng_next(r);
	case A_PROT:
		return rng_percent(r, 70) ? 3 : rng_below(r, 8);
	case A_MAP:
		return rng_percent(r, 85) ? MAP_SHARED : rng_below(r, 4) |
			(rng_percent(r, 50) ? MAP_POPULATE : MAP_LOCKED);
	case A_SLOT:
		return rng_percent(r, 40) ? LATEST : rng_below(r, NR_SLOTS);
	case A_ADVICE:
		return PICK(r, advice);
	case A_WHICH:
		return rng_below(r, NR_DEVS);
	case A_BDF:
		return rng_percent(r, 80) ? rng_below(r, 8) : rng_next(r);
	case A_MS:
		return rng_below(r, MAX_MS);
	case A_SIDE:
		return rng_percent(r, 80) ? 1 + rng_below(r, 64) : PICK(r, sides);
	case A_IOVA:
		return make_iova(r);
	case A_REGISTER:
		return rng_percent(r, 85) ? PICK(r, registers) :
					    rng_below(r, 2 * BARTER_VEDU_BAR0_LENGTH);
	case A_ID:
		return rng_percent(r, 40) ? LATEST : rng_below(r, 40);
	}
	return 0;
}

static void make_args(struct rng *r, struct call *c)
{
	const struct call_type *type = call_type(c->nr);

	memset(c->arg, 0, sizeof(c->arg));
	for (unsigned int i = 0; i < MAX_ARGS && type->arg[i]; i++)
		c->arg[i] = make_arg(r, type->arg[i]);
}

static void make_call(struct rng *r, struct call *c)
{
	uint32_t left = rng_below(r, total_weight);

	for (c->nr = 0; left >= weight_of(c->nr); c->nr++)
		left -= weight_of(c->nr);
	make_args(r, c);
}

static uint32_t number_of(const char *name)
{
	uint32_t nr = 0;

	while (nr < nr_call_types() && strcmp(name, call_type(nr)->name))
		nr++;
	return nr;
}

/*
 * What chance hardly ever finds, as it takes several calls in a row: a buffer, somebody
 * who uses it, what takes it away, and another look; or an importer that holds on, and
 * a call that waits for it and is killed.
 */
#define IN_A_ROW 5
static const char *const in_a_row[][IN_A_ROW] = {
	{ "import", "killed", "command" },
	{ "import", "killed", "reset" },
	{ "import", "killed", "low_power" },
	{ "import", "killed", "hot_reset_well" },
	{ "import", "killed", "end" },
	{ "fence", "killed", "command" },
	{ "fence", "killed", "reset" },
	{ "lend", "keep", "command", "look", "touch" },
	{ "lend", "keep", "reset", "look", "touch" },
	{ "lend", "keep", "end", "look", "touch" },
	{ "lend", "slice_well", "keep", "end", "look" },
	{ "lend", "slice_well", "import", "end", "close_buf" },
	{ "lend", "close_dev", "touch", "info", "close_buf" },
	{ "lend", "import", "command", "test_map", "info" },
	{ "lend", "watch_well", "command", "watch_well", "close_buf" },
	{ "lend", "watch", "end", "close_buf" },
	{ "lend", "memattr", "map_buf", "touch", "reset" },
	{ "map_bar", "touch", "command", "touch", "unmap" },
	{ "map_bar", "touch", "low_power", "touch", "map_bar" },
	{ "lend", "pf_show", "command", "pf_frame_well", "pf_status" },
	{ "lend", "pf_show", "end", "pf_frame_well", "pf_clear" },
	{ "lend", "pf_show", "reset", "pf_frame_well", "close_buf" },
	{ "lend", "slice_well", "pf_show", "pf_reset", "pf_frame_well" },
	{ "lend", "pf_show", "pf_rebind", "pf_frame_well", "pf_open" },
	{ "vedu_open", "vedu_run", "vedu_unmap", "vedu_run", "vedu_reset" },
	{ "vedu_open", "vedu_run", "vedu_ram", "vedu_unmap", "vedu_map" },
	{ "vedu_open_cdev", "vedu_run", "vedu_unmap", "vedu_map", "vedu_run" },
	{ "vedu_open", "vedu_master", "vedu_run", "vedu_master", "vedu_run" },
	{ "vedu_open", "vedu_irq_well", "vedu_run", "vedu_irqs", "vedu_reset" },
	{ "vedu_open", "vedu_run", "vedu_close", "vedu_remove", "vedu_create" },
	{ "vedu_lend", "keep", "vedu_master", "look", "touch" },
	{ "vedu_lend", "import", "vedu_reset", "test_map", "close_buf" },
	{ "vedu_lend", "keep", "vedu_close", "look", "vedu_remove" },
	{ "vedu_map_bar", "touch", "vedu_master", "touch", "unmap" },
	{ "lend", "typed_import", "command", "typed_map", "typed_do" },
	{ "lend", "typed_import", "typed_map", "reset", "typed_detach" },
	{ "lender", "lender_lend", "typed_import", "lender_revoke", "typed_map" },
	{ "lender_lend", "typed_import", "lender_revoke", "lender_restore", "typed_map" },
	{ "lender_lend", "typed_import", "lender_destroy", "typed_do", "close_buf" },
	{ "lender_lend", "slice_well", "typed_import", "lender_revoke", "typed_detach" },
	{ "vedu_lend", "typed_import", "vedu_reset", "typed_map", "typed_detach" },
	{ "lend_read_only", "map_buf", "touch", "import", "reset" },
	{ "lend_read_only", "slice_well", "import", "command", "edu_use" },
	{ "lend_read_only", "typed_import", "typed_map", "end", "look" },
	{ "open_cdev", "native_lend", "map_file", "command", "map_file" },
	{ "ioas", "native_lend", "map_file", "reset", "map_file" },
	{ "open_cdev", "native_lend", "map_file", "close_dev", "map_file" },
	{ "ioas", "feature11", "lend", "map_file", "low_power" },
	{ "feature11", "lend", "map_buf", "import", "feature11" },
};

/* What belongs together mostly speaks of the same buffer, device and mapping. */
static void make_latest(struct rng *r, struct call *c)
{
	const struct call_type *type = call_type(c->nr);

	for (unsigned int i = 0; i < MAX_ARGS && type->arg[i]; i++) {
		if (type->arg[i] <= A_OTHER && rng_percent(r, 90))
			c->arg[i] = (uint64_t)(type->arg[i] - A_DEV) |
				    LATEST << 8;
		else if ((type->arg[i] == A_SLOT || type->arg[i] == A_ID) && rng_percent(r, 90))
			c->arg[i] = LATEST;
	}
}

/* Returns how many there are, at most @room. */
static uint32_t make_row(struct rng *r, struct call *c, uint32_t room)
{
	const char *const *names = PICK(r, in_a_row);
	uint32_t i;

	for (i = 0; i < IN_A_ROW && i < room && names[i]; i++) {
		uint32_t nr = number_of(names[i]);

		if (!group_there(call_group(nr)))
			break;
		c[i].nr = nr;
		make_args(r, &c[i]);
		make_latest(r, &c[i]);
	}
	return i;
}

void prog_random(struct rng *r, struct prog *p)
{
	p->n = 1 + rng_below(r, MAX_CALLS);
	for (uint32_t i = 0; i < p->n; i++)
		make_call(r, &p->call[i]);
	if (rng_percent(r, 40)) {
		uint32_t at = rng_below(r, p->n);
		uint32_t end = at + make_row(r, &p->call[at], MAX_CALLS - at);

		if (p->n < end)
			p->n = end;
	}
}

/* Like that, but all as it should be. */
bool prog_warm_up(uint32_t n, struct call *c)
{
#define LAST(kind) ((kind) | LATEST << 8)
	static const struct {
		const char *name;
		uint64_t arg[MAX_ARGS];
	} list[] = {
		{ "open", { 0 } },
		{ "command", { LAST(K_DEV), 2, 0 } },
		{ "lend", { LAST(K_DEV), 0, 8 } },
		{ "map_buf", { LAST(K_BUF), 0, 0, 0, 3, MAP_SHARED, 1 } },
		{ "import", { LAST(K_BUF), 0, 0 } },
		{ "edu_use", { LAST(K_BUF), 2 } },
		{ "edu_status", { LAST(K_EDU), 0, 0, 0 } },
		{ "edu_use", { LAST(K_BUF), 3 } },
		{ "pf_open", { 0 } },
		{ "pf_show", { LAST(K_PF), LAST(K_BUF), 0, 5 } },
		{ "pf_frame_well", { LAST(K_PF), 0 } },
		{ "vedu_create", { 0, 0 } },
		{ "vedu_create", { 1, 1 } },
		{ "vedu_open", { 0, 0 } },
		{ "vedu_run", { LAST(K_VEDU), 0, 0, 16 * PAGE, PATIENT } },
		{ "vedu_open", { 1, 0 } },
		{ "vedu_lend", { LAST(K_VEDU), 0, 0 } },
		{ "lender", { 0, 0, 0 } },
		{ "lender_lend", { LAST(K_LENDER), 0, PAGE, 0 } },
		{ "typed_import", { LAST(K_BUF), 0, 0 } },
		/* The second device, as the first one has been opened by its group. */
		{ "open_cdev", { 1 } },
		{ "command", { LAST(K_DEV), 2, 0 } },
		/* Native buffers: of feature 11, and by their own number. */
		{ "feature11", { 1 } },
		{ "lend", { LAST(K_DEV), 0, 16 } },
		{ "map_file", { LAST(K_IOMMUFD), LAST(K_NATIVE), 0, 0, 0, 1 } },
		{ "feature11", { 2 } },
		{ "native_lend", { LAST(K_DEV), 0 } },
		{ "map_file", { LAST(K_IOMMUFD), LAST(K_NATIVE), 0, 0, 0, 1 | 1 << 20 } },
	};

	for (uint32_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		c->nr = number_of(list[i].name);
		if (!group_there(call_group(c->nr)) || n--)
			continue;
		memcpy(c->arg, list[i].arg, sizeof(c->arg));
		return true;
	}
	return false;
#undef LAST
}

/* ---- changes ---- */

static void change_arg(struct rng *r, struct call *c)
{
	const struct call_type *type = call_type(c->nr);
	unsigned int n = 0, i;

	while (n < MAX_ARGS && type->arg[n])
		n++;
	if (!n)
		return;
	i = rng_below(r, n);
	switch (rng_below(r, 5)) {
	case 0:
		c->arg[i] += rng_percent(r, 50) ? 1 : -1ull;
		break;
	case 1:
		c->arg[i] ^= 1ull << rng_below(r, 64);
		break;
	case 2:
		c->arg[i] += rng_percent(r, 50) ? PAGE : -PAGE;
		break;
	default:
		c->arg[i] = make_arg(r, type->arg[i]);
	}
}

void prog_mutate(struct rng *r, struct prog *p, const struct prog *other)
{
	uint32_t at, n;

	do {
		at = rng_below(r, p->n);
		switch (rng_below(r, 8)) {
		case 0:		/* another's tail */
			n = 1 + rng_below(r, other->n);
			if (at + n > MAX_CALLS)
				n = MAX_CALLS - at;
			memcpy(&p->call[at], &other->call[other->n - n],
			       n * sizeof(struct call));
			p->n = at + n;
			break;
		case 1:
		case 2:		/* one more */
			if (p->n == MAX_CALLS)
				break;
			memmove(&p->call[at + 1], &p->call[at],
				(p->n - at) * sizeof(struct call));
			if (rng_percent(r, 80))
				make_call(r, &p->call[at]);
			p->n++;
			break;
		case 3:		/* one less */
			if (p->n == 1)
				break;
			p->n--;
			memmove(&p->call[at], &p->call[at + 1],
				(p->n - at) * sizeof(struct call));
			break;
		default:
			change_arg(r, &p->call[at]);
		}
	} while (rng_percent(r, 50));
}

/* ---- text ---- */

size_t prog_print(const struct prog *p, char *text, size_t size)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->n && n + 200 < size; i++) {
		const struct call_type *type = call_type(p->call[i].nr);

		n += (size_t)sprintf(text + n, "%s", type->name);
		for (unsigned int k = 0; k < MAX_ARGS && type->arg[k]; k++)
			n += (size_t)sprintf(text + n, " 0x%llx",
				(unsigned long long)p->call[i].arg[k]);
		text[n++] = '\n';
	}
	text[n++] = '\n';
	text[n] = 0;
	return n;
}

static void read_call(char *line, struct call *c)
{
	char *save, *word = strtok_r(line, " \n", &save);

	memset(c, 0, sizeof(*c));
	c->nr = number_of(word);
	if (c->nr == nr_call_types())
		tap_bail("there is no call '%s'", word);
	for (unsigned int i = 0; i < MAX_ARGS; i++) {
		word = strtok_r(NULL, " \n", &save);
		if (!word)
			break;
		c->arg[i] = strtoull(word, NULL, 0);
	}
}

bool prog_read(FILE *f, struct prog *p)
{
	char line[400];

	p->n = 0;
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		if (line[0] == '\n' && p->n)
			return true;
		if (line[0] != '\n' && p->n < MAX_CALLS)
			read_call(line, &p->call[p->n++]);
	}
	return p->n;
}

/* ---- the corpus ---- */

#define MAX_CORPUS	8192

static struct prog corpus[MAX_CORPUS];
static int64_t corpus_us[MAX_CORPUS];	/* how long each took */
static uint32_t ours_list[MAX_CORPUS];
static uint32_t nr_corpus, nr_ours;
static pthread_mutex_t corpus_lock = PTHREAD_MUTEX_INITIALIZER;

void corpus_add(const struct prog *p, bool ours, int64_t us)
{
	pthread_mutex_lock(&corpus_lock);
	if (nr_corpus < MAX_CORPUS) {
		corpus[nr_corpus] = *p;
		corpus_us[nr_corpus] = us;
		if (ours) {
			ours_list[nr_ours] = nr_corpus;
			__atomic_store_n(&nr_ours, nr_ours + 1, __ATOMIC_RELEASE);
		}
		__atomic_store_n(&nr_corpus, nr_corpus + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&corpus_lock);
}

uint32_t corpus_size(void)
{
	return __atomic_load_n(&nr_corpus, __ATOMIC_ACQUIRE);
}

const struct prog *corpus_get(uint32_t i)
{
	return &corpus[i];
}

static uint32_t pick_one(struct rng *r, uint32_t ours, uint32_t all)
{
	if (ours && rng_percent(r, 75))
		return ours_list[rng_below(r, ours)];
	return rng_below(r, all);
}

const struct prog *corpus_pick(struct rng *r)
{
	uint32_t ours = __atomic_load_n(&nr_ours, __ATOMIC_ACQUIRE);
	uint32_t all = corpus_size(), one, other;

	if (!all)
		return NULL;
	/* Of two, mostly the quicker one: there is time for more of such. */
	one = pick_one(r, ours, all);
	other = pick_one(r, ours, all);
	if (corpus_us[other] < corpus_us[one] && rng_percent(r, 80))
		one = other;
	return &corpus[one];
}
