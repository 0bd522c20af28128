// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls on the test modules that are both sides of barter's in-kernel API: exporters of a
 * device that stays where it is, and importers by every interconnect.
 *
 * The modules believe their callers, who keep the API's rules: importers stay registered
 * for as long as they may be attached, but for one that never is; domains stay; nobody
 * else maps where core does; one thread at a time changes a type.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../device/kmod/typed.h"
#include "../device/lib/proc.h"
#include "../device/lib/tap.h"
#include "../device/lib/typed.h"
#include "fuzz.h"

#define EXPORTER   "/dev/barter-test-exporter"
#define IMPORTER   "/dev/barter-test-importer"
#define NR_DOMAINS 2		/* one of edu, which is not in it, one with a device */
#define IMPORTS_AT (1ull << 33) /* where c_import() maps, by thread */
#define PAGES_AT   (1ull << 38) /* where somebody else has a page, by thread */
#define ONLY_BAR   4		/* importers[]: may attach as the PF, whose driver goes */

/* What is registered in the module's slots; the last slot is for c_register() alone. */
static const struct {
	const char *offers;
	uint32_t flags;
} importers[] = {
	{ "s", TYPED_F_RESTORED },
	{ "ds", TYPED_F_RESTORED },
	{ "dpsab", TYPED_F_RESTORED },
	{ "ba", 0 },
	[ONLY_BAR] = { "p", TYPED_F_RESTORED },
	{ "as", TYPED_F_RESTORED },
	{ "s", TYPED_F_NO_P2P },
};

#define NR_IMPORTERS (sizeof(importers) / sizeof(*importers))

static int importer = -1; /* open for as long as the program runs */
static const char *lender, *spare, *pf_bdf;
static __thread uint64_t latest_id;
static __thread uint64_t latest_map;
static pthread_mutex_t types_lock = PTHREAD_MUTEX_INITIALIZER;

static void make_domains(void)
{
	struct typed_domain domain = { .bdf = typed_bdf(edu_name) };

	if (ioctl(importer, TYPED_IOC_DOMAIN, &domain))
		diag("no domain of its own for %s: %s", edu_name, strerror(errno));
	if (!spare)
		return;
	domain = (struct typed_domain){ .bdf = typed_bdf(spare), .attach = 1 };
	if (ioctl(importer, TYPED_IOC_DOMAIN, &domain))
		diag("no domain of its own for %s: %s", spare, strerror(errno));
}

const char *typed_init(void)
{
	/* Nobody removes these. */
	pf_bdf = device_named("VM_PF");
	spare = device_named("VM_CMB");
	lender = pf_bdf ?: spare;
	if (!lender || !edu_name)
		return "the machine has no device that stays";
	importer = typed_open();
	for (uint32_t i = 0; i < NR_IMPORTERS; i++) {
		int ret = typed_register(i, importers[i].offers, importers[i].flags);

		if (ret)
			tap_bail("importer %u: %s", i, strerror(-ret));
	}
	make_domains();
	return NULL;
}

/* All attachments of the module, whichever process has made them. */
void typed_let_go(void)
{
	static int64_t seen[TYPED_ATTACHMENTS];
	int64_t now = now_ms();

	if (importer < 0)
		return;
	for (uint32_t id = 0; id < TYPED_ATTACHMENTS; id++) {
		struct typed_stat stat = { .id = id };

		if (ioctl(importer, TYPED_IOC_STAT, &stat)) {
			seen[id] = 0;
		} else if (!seen[id]) {
			seen[id] = now;
		} else if (now - seen[id] > STUCK_MS) {
			if (ioctl(importer, TYPED_IOC_DETACH, id) && errno == EILSEQ)
				typed_was_late();
			seen[id] = 0;
		}
	}
}

void typed_end(void)
{
	if (importer < 0)
		return;
	for (unsigned long id = 0; id < TYPED_ATTACHMENTS; id++)
		ioctl(importer, TYPED_IOC_DETACH, id);
}

/* ---- exporters ---- */

/* Entries of a list: what there is, and now and then too many, or no type. */
static uint32_t make_list(uint64_t seed, uint8_t list[TYPED_LIST])
{
	static const uint8_t likely[] = {
		TYPED_PCI_BAR, TYPED_DOMAIN, TYPED_SGT, TYPED_FABRIC_A, TYPED_FABRIC_B,
	};
	struct rng r = { seed };
	uint32_t nr = rng_percent(&r, 95) ? 1 + rng_below(&r, 5) : rng_below(&r, TYPED_LIST + 2);
	uint32_t first = rng_below(&r, 5);

	for (uint32_t i = 0; i < TYPED_LIST; i++)
		list[i] = rng_percent(&r, 97) ? likely[(first + i) % 5] :
						(uint8_t)rng_below(&r, TYPED_UNKNOWN + 1);
	return nr;
}

static long c_lender(struct thread *t, const uint64_t *a)
{
	struct lend_create req = {
		.flags = (a[0] & 3 ? 0 : LEND_F_DEFAULT) | (a[0] & 4 ? LEND_F_SELECT : 0),
	};
	int fd = open(EXPORTER, O_RDWR | O_CLOEXEC);
	long ret;

	(void)t;
	if (lender)
		req.bdf = typed_bdf(lender);
	req.nr_offers = make_list(a[1], req.offers);
	ret = RESULT(ioctl(fd, LEND_IOC_CREATE, &req));
	if (!ret)
		return fd_put(K_LENDER, fd);
	close(fd);
	return ret;
}

static long c_lend(struct thread *t, const uint64_t *a)
{
	struct barter_range ranges[4] = {
		{ a[1], a[2] },
		{ a[1] % (64 * PAGE), PAGE },
		{ a[2], PAGE },
		{ 8 * MIB, a[2] % (64 * PAGE) },
	};
	struct lend_export req = {
		.bar = a[3] % 32 == 1 ? (uint32_t)a[1] : 2,
		.nr = 1 + (a[3] & 64 ? a[3] % 4 : 0),
		.ranges = (uintptr_t)ranges,
		.flags = a[3] >= 240 ? 1u << a[3] % 4 :
			 a[3] & 128  ? BARTER_EXPORT_READ_ONLY :
				       0,
	};
	bool again = a[3] % 8 == 7;

	(void)t;
	if (again)
		req.flags = 0;
	return fd_put(K_BUF,
		      ioctl(fd_get(a[0]), again ? LEND_IOC_EXPORT_AGAIN : LEND_IOC_EXPORT, &req));
}

/* Those that are on or off; the rest is counted, core's own, or for ever. */
static const uint32_t reasons[] = {
	BARTER_REASON_MEMORY,	 BARTER_REASON_LOW_POWER, BARTER_REASON_ERROR,
	BARTER_REASON_REQUESTED, BARTER_REASON_CLOSED,
};

#define NR_REASONS (sizeof(reasons) / sizeof(*reasons))

static long c_revoke(struct thread *t, const uint64_t *a)
{
	int fd = fd_get(a[0]);
	uint32_t reason = reasons[a[1] / 2 % NR_REASONS];
	long ret;

	(void)t;
	if (a[1] & 1)
		return RESULT(ioctl(fd, LEND_IOC_REVOKE, reason));
	/* Of the counted ones each begins and ends. */
	reason = a[1] & 2 ? BARTER_REASON_RESET : BARTER_REASON_CONFIG;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ret = RESULT(ioctl(fd, LEND_IOC_REVOKE, reason));
	if (!ret)
		ioctl(fd, LEND_IOC_RESTORE, reason);
	close(fd);
	return ret;
}

/* Mostly of all reasons, so that not all that is lent stays revoked. */
static long c_restore(struct thread *t, const uint64_t *a)
{
	int fd = fd_get(a[0]);
	long ret = 0;

	(void)t;
	if (a[1] < 64)
		return RESULT(ioctl(fd, LEND_IOC_RESTORE, reasons[a[1] % NR_REASONS]));
	for (unsigned int i = 0; i < NR_REASONS && !ret; i++)
		ret = RESULT(ioctl(fd, LEND_IOC_RESTORE, reasons[i]));
	return ret;
}

static long c_destroy(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(ioctl(fd_get(a[0]), LEND_IOC_DESTROY));
}

/* What the exporter picks, or refuses with. */
static long c_select(struct thread *t, const uint64_t *a)
{
	static const int answers[] = { 0, 0,	       0,      1,	2,     4,
				       8, -EOPNOTSUPP, -EBUSY, -ENOMEM, -4096, 0x7fffffff };

	(void)t;
	return RESULT(ioctl(fd_get(a[0]), LEND_IOC_SELECT,
			    answers[a[1] % (sizeof(answers) / sizeof(*answers))]));
}

static long c_fabric(struct thread *t, const uint64_t *a)
{
	static const uint32_t ops[] = {
		FABRIC_MATCH,	       FABRIC_MATCH, FABRIC_REGISTER,	    FABRIC_UNREGISTER,
		FABRIC_REGISTER_NAMED, FABRIC_STAT,  FABRIC_UNREGISTER_SGT, FABRIC_MATCH,
	};
	static const int answers[] = { 0, 0, 0, 0, -EOPNOTSUPP, -EPERM, 1, -4096 };
	struct lend_fabric req = {
		.op = ops[a[0] % 8],
		.which = a[1] % 2,
		.answer = answers[a[1] / 2 % 8],
	};
	int fd = open(EXPORTER, O_RDWR | O_CLOEXEC);
	long ret;

	(void)t;
	memset(req.name, 'f', a[1] % sizeof(req.name));
	pthread_mutex_lock(&types_lock);
	ret = RESULT(ioctl(fd, LEND_IOC_FABRIC, &req));
	/* Mostly there again for the others. */
	if (req.op == FABRIC_UNREGISTER && a[1] & 0xe0) {
		req.op = FABRIC_REGISTER;
		ioctl(fd, LEND_IOC_FABRIC, &req);
	}
	pthread_mutex_unlock(&types_lock);
	close(fd);
	return ret;
}

/* ---- importers ---- */

/* Anything, in a slot that nobody attaches by. */
static long c_register(struct thread *t, const uint64_t *a)
{
	struct typed_register req = {
		.slot = a[0] % 16 ? TYPED_IMPORTERS - 1 : (uint32_t)(a[0] / 16 % NR_IMPORTERS),
		.flags = a[0] & 64 ? (uint32_t)a[1] & 0xff & ~TYPED_F_RESTORED : TYPED_F_RESTORED,
	};
	long ret;

	(void)t;
	req.nr_offers = make_list(a[1], req.offers);
	pthread_mutex_lock(&types_lock);
	ret = RESULT(ioctl(importer, TYPED_IOC_REGISTER, &req));
	if (req.slot == TYPED_IMPORTERS - 1)
		ioctl(importer, TYPED_IOC_UNREGISTER, req.slot);
	pthread_mutex_unlock(&types_lock);
	return ret;
}

static long attach(uint64_t buf, uint32_t slot, uint32_t flags, uint64_t how, uint64_t ms)
{
	struct typed_attach req = {
		.slot = slot,
		.flags = flags,
		.delay_ms = (uint32_t)(ms % MAX_MS),
		.share = how % 16 == 1 ? how * PAGE : 1ull << 40,
		.share_answer = how % 16 == 2 ? -EOPNOTSUPP :
				how % 16 == 3 ? -ENXIO :
						0,
	};
	long ret;

	if (importer < 0)
		return -ENODEV;
	if (slot == ONLY_BAR)
		req.bdf = typed_bdf(pf_bdf ?: edu_name);
	else
		req.bdf = typed_bdf(spare && how & 16 ? spare : edu_name);
	req.fd = buf_own(buf);
	ret = RESULT(ioctl(importer, TYPED_IOC_ATTACH, &req));
	close(req.fd);
	if (!ret)
		latest_id = req.out_id;
	return ret;
}

static long c_attach(struct thread *t, const uint64_t *a)
{
	uint32_t flags = (uint32_t)a[2] & (TYPED_F_SLOW | TYPED_F_BLOCK | TYPED_F_NO_DEVICE |
					   TYPED_F_SLOW_RESTORED | TYPED_F_LEAVE);

	(void)t;
	/* Whoever is stuck keeps everybody else waiting: not too many. */
	if (a[2] >= 250)
		flags |= TYPED_F_STUCK;
	return attach(a[0], (uint32_t)(a[1] % NR_IMPORTERS), flags, a[3], a[4]);
}

static uint64_t id_of(uint64_t id)
{
	return id == LATEST ? latest_id : id;
}

static long map(struct typed_map *req)
{
	long ret = RESULT(ioctl(importer, TYPED_IOC_MAP, req));

	if (!ret)
		latest_map = req->out_map;
	return ret;
}

/* As it should be: attached, and mapped by the type that was agreed on. */
static long c_import(struct thread *t, const uint64_t *a)
{
	struct typed_map req = {
		.domain = (uint32_t)(a[1] / 8 % NR_DOMAINS),
		.prot = 3,
		.flags = 1,
		.iova = (t->id + 1) * IMPORTS_AT + a[2] % 64 * 64 * MIB,
	};
	long ret = attach(a[0], (uint32_t)(a[1] % NR_IMPORTERS), 0, 0, 0), type;

	if (ret)
		return ret;
	type = RESULT(ioctl(importer, TYPED_IOC_TYPE, latest_id));
	if (type < 0)
		return type;
	req.id = (uint32_t)latest_id;
	req.type = (uint32_t)type;
	return map(&req);
}

static long c_map(struct thread *t, const uint64_t *a)
{
	struct barter_range ranges[16] = { 0 };
	struct typed_map req = {
		.id = (uint32_t)id_of(a[0]),
		.type = a[1] < 220 ? a[1] / 2 % 5 : (uint32_t)a[1] % 8,
		.domain = a[2] % 8 == 7 ? TYPED_DOMAIN_NULL : (uint32_t)(a[2] % 8 % 3),
		.prot = a[2] & 64 ? (uint32_t)(a[2] / 8) : 3,
		.flags = a[2] & 128 ? (uint32_t)a[3] : 1,
		.nr_devices = a[2] % 32 == 9 ? 65 : a[2] / 8 % 3,
		.iova = a[4] % 4 ? a[4] & ~(PAGE - 1) : a[4],
		.ranges = (uintptr_t)ranges,
		.room = 16,
	};

	(void)t;
	if (importer < 0)
		return -ENODEV;
	/* Whoever else has a page there does not expect us. */
	if (req.iova > PAGES_AT / 2 && req.iova < PAGES_AT * 2)
		req.iova = 0;
	/* The one that was agreed on. */
	if (a[1] & 1)
		req.type = (uint32_t)ioctl(importer, TYPED_IOC_TYPE, (unsigned long)req.id);
	for (unsigned int i = 0; i < 2; i++)
		req.devices[i] = typed_bdf(spare && (i || a[2] & 16) ? spare : edu_name);
	return map(&req);
}

static long c_do(struct thread *t, const uint64_t *a)
{
	static const unsigned long cmd[] = {
		TYPED_IOC_UNMAP, TYPED_IOC_TYPE,  TYPED_IOC_DECLINE,
		TYPED_IOC_PIN,	 TYPED_IOC_UNPIN, TYPED_IOC_UNMAP,
	};
	uint64_t more = a[2] & 1 ? latest_map : a[2] / 2 % (TYPED_MAPS + 1);

	(void)t;
	return RESULT(ioctl(importer, cmd[a[1] % 6], id_of(a[0]) | more << 16));
}

static long c_detach(struct thread *t, const uint64_t *a)
{
	long ret = RESULT(ioctl(importer, TYPED_IOC_DETACH, id_of(a[0])));

	(void)t;
	if (ret == -EILSEQ)
		typed_was_late();
	return ret;
}

/* Somebody else has mapped a page; core's map over it has to fail. */
static long c_page(struct thread *t, const uint64_t *a)
{
	struct typed_page page = {
		.domain = (uint32_t)(a[1] % NR_DOMAINS),
		.iova = PAGES_AT + t->id * MIB + (1 + a[1] / 2 % 4) * PAGE,
	};
	struct typed_map req = {
		.id = (uint32_t)id_of(a[0]),
		.type = TYPED_DOMAIN,
		.domain = page.domain,
		.prot = 3,
		.flags = 1,
		.iova = page.iova - (a[1] & 64 ? PAGE : 0),
	};
	long ret;

	if (ioctl(importer, TYPED_IOC_PAGE, &page))
		return -errno;
	ret = RESULT(ioctl(importer, TYPED_IOC_MAP, &req));
	/* A buffer of a page, before it: not to be left there. */
	if (!ret)
		ioctl(importer, TYPED_IOC_UNMAP, req.id | (unsigned long)req.out_map << 16);
	page.unmap = 1;
	if (ioctl(importer, TYPED_IOC_PAGE, &page))
		return -errno;
	return ret;
}

static long c_lookalike(struct thread *t, const uint64_t *a)
{
	int fd = buf_own(a[0]);
	long ret = fd_put(K_BUF, ioctl(importer, TYPED_IOC_LOOKALIKE, (unsigned long)fd));

	(void)t;
	close(fd);
	return ret;
}

const struct call_type typed_calls[] = {
	{ "lender", c_lender, 8, { A_SMALL, A_SEED } },
	{ "lender_lend", c_lend, 16, { A_LENDER, A_OFFSET, A_LENGTH, A_SMALL } },
	{ "lender_revoke", c_revoke, 6, { A_LENDER, A_SMALL, A_ALONE } },
	{ "lender_restore", c_restore, 10, { A_LENDER, A_SMALL } },
	{ "lender_destroy", c_destroy, 1, { A_LENDER } },
	{ "lender_select", c_select, 4, { A_LENDER, A_SMALL } },
	{ "typed_fabric", c_fabric, 3, { A_SMALL, A_SMALL, A_ALONE } },
	{ "typed_register", c_register, 3, { A_SMALL, A_SEED } },
	{ "typed_attach", c_attach, 12, { A_BUF, A_SMALL, A_SMALL, A_SMALL, A_MS } },
	{ "typed_import", c_import, 24, { A_BUF, A_SMALL, A_SMALL } },
	{ "typed_map", c_map, 14, { A_ID, A_SMALL, A_SMALL, A_FLAGS, A_OFFSET } },
	{ "typed_do", c_do, 14, { A_ID, A_SMALL, A_SMALL } },
	{ "typed_detach", c_detach, 6, { A_ID } },
	{ "typed_page", c_page, 3, { A_ID, A_SMALL, A_ALONE } },
	{ "typed_lookalike", c_lookalike, 1, { A_BUF } },
};

const unsigned int nr_typed_calls = sizeof(typed_calls) / sizeof(*typed_calls);
