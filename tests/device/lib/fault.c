// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls that run out of memory, see fault.h.
 */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "fault_filter.h"
#include "pci.h"
#include "proc.h"
#include "tap.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define FAULT_MOST	20000
#define FAULT_ERRNOS	8
#define NR_MODULES	11

bool (*fault_witness)(void);

static const char *const modules[NR_MODULES] = {
	"barter",
	"barter_vfio_pci",
	"barter_dma",
	"barter_pf",
	"barter_test",
	"barter_test_exporter",
	"barter_test_importer",
	"barter_vgpu",
	"barter_vedu",
	"barter_test_vgpu",
	"vfio",
};

/*
 * What a call that failed must leave as it was. @vmas is what this process has
 * mapped of buffers, @surplus what debugfs counts more than that. @dma is -1
 * where the kernel does not count; one that ceases to has changed.
 */
struct fault_state {
	char buffers[32768];
	int fds;
	int refs[NR_MODULES];
	int vmas, surplus;
	int dma;
	int dmabufs;
};

static int nth = -1; /* whose allocations fail */
static unsigned int total;
static bool dma_watched; /* by DMA API debugging, which may switch itself off */

void fault_task(int tid)
{
	char path[64] = "/proc/thread-self/fail-nth";

	if (tid)
		snprintf(path, sizeof(path), "/proc/%d/fail-nth", tid);
	if (nth >= 0)
		close(nth);
	nth = open(path, O_RDWR | O_CLOEXEC);
	if (nth < 0)
		tap_bail("%s: %s", path, strerror(errno));
}

void fault_init(void)
{
	fault_task(0);
	fault_filter_init();
	dma_watched = dma_is_debugged();
}

unsigned int fault_total(void)
{
	return total;
}

/* From here on the @n-th allocation of this thread fails; 0: none. */
static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(nth, text, (size_t)len, 0) != len)
		tap_bail("fail-nth: %s", strerror(errno));
}

/* Did it fail? */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		tap_bail("fail-nth: %s", strerror(errno));
	arm(0);
	return !atoi(text);
}

static int number(const char *path)
{
	char text[32];

	return sysfs_read(text, sizeof(text), "%s", path) < 0 ? -1 : atoi(text);
}

static int count_dmabufs(void)
{
	FILE *f = fopen(DEBUGFS "dma_buf/bufinfo", "re");
	char line[256];
	int n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Total %d objects", &n);
	if (f)
		fclose(f);
	return n;
}

/* Cut out what may differ: from each @from up to the first of @until. */
static void forget(char *text, const char *from, const char *until)
{
	char *at = text, *end;

	while ((at = strstr(at, from))) {
		at += strlen(from);
		end = at + strcspn(at, until);
		memmove(at, end, strlen(end) + 1);
	}
}

static void count_vmas(struct fault_state *s)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n, mmaps = 0;

	s->vmas = 0;
	while (f && fgets(line, sizeof(line), f))
		/* What the device's user maps is not in the list of buffers. */
		s->vmas += strstr(line, "/dmabuf") && !strstr(line, "/dmabuf:vfio:") &&
			   !strstr(line, "/dmabuf:barter-vedu");
	if (f)
		fclose(f);
	for (char *at = s->buffers; (at = strstr(at, "  mmaps ")); at++)
		if (sscanf(at, "  mmaps %d", &n) == 1)
			mmaps += n;
	s->surplus = mmaps - s->vmas;
}

static void take(struct fault_state *s, const struct fault_call *c)
{
	char path[64];
	size_t n = 0;
	FILE *f = fopen(BUFFERS, "re");

	if (f) {
		n = fread(s->buffers, 1, sizeof(s->buffers) - 1, f);
		fclose(f);
	}
	s->buffers[n] = 0;
	count_vmas(s);
	forget(s->buffers, "buffer ", " ");
	forget(s->buffers, "slice parent ", "\n");
	/* What an attachment has agreed on stays so until a revoke. */
	forget(s->buffers, "    interconnect ", " ");
	forget(s->buffers, "  mmaps", c->moves ? "\n" : "f\n");
	if (c->moves) {
		forget(s->buffers, " generation ", "\n");
		forget(s->buffers, " maps ", "\n");
	}
	for (int i = 0; i < NR_MODULES; i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", modules[i]);
		s->refs[i] = number(path);
	}
	s->fds = count_fds();
	s->dmabufs = count_dmabufs();
	s->dma = dma_entries();
	if (c->moves && s->dma > 0)
		s->dma = 0;
}

static bool same(const struct fault_state *a, const struct fault_state *b,
		 const struct fault_call *c)
{
	return !strcmp(a->buffers, b->buffers) && a->fds == b->fds &&
	       !memcmp(a->refs, b->refs, sizeof(a->refs)) && a->dmabufs == b->dmabufs &&
	       !a->surplus && !b->surplus && (a->vmas == b->vmas || c->splits) && a->dma == b->dma;
}

static bool again(struct fault_state *now, const struct fault_state *was,
		  const struct fault_call *c)
{
	take(now, c);
	return same(was, now, c);
}

static void differ(const struct fault_state *was, const struct fault_state *now)
{
	if (strcmp(was->buffers, now->buffers))
		diag("buffers were\n%snow\n%s", was->buffers, now->buffers);
	diag("files %d -> %d, dma-bufs %d -> %d, DMA mappings %d -> %d, VMAs %d (%+d) -> %d (%+d)",
	     was->fds, now->fds, was->dmabufs, now->dmabufs, was->dma, now->dma,
	     was->vmas, was->surplus, now->vmas, now->surplus);
	for (int i = 0; i < NR_MODULES; i++)
		if (was->refs[i] != now->refs[i])
			diag("references to %s %d -> %d", modules[i],
			     was->refs[i], now->refs[i]);
}

static bool allowed(const struct fault_call *c, int error)
{
	if (error == ENOMEM)
		return true;
	for (int i = 0; i < 4 && c->errnos[i]; i++)
		if (c->errnos[i] == error)
			return true;
	return false;
}

/* How a sweep went. */
struct fault_tally {
	unsigned int failed, absorbed;
	unsigned int wrong_errno, wrong_state, not_whole, not_witness, not_clean;
};

/* One call with its @n-th allocation failing; false if it has fewer. */
static bool fault_once(const struct fault_call *c, unsigned int n,
		       struct fault_tally *t)
{
	static struct fault_state was, now;
	bool fired, fine;
	int ret;

	if (c->before)
		c->before();
	take(&was, c);
	arm(n);
	ret = c->call();
	fired = disarm();

	if (ret < 0 && !fired) {
		diag("%s: without a failing allocation: %s", c->name,
		     strerror(-ret));
		t->not_clean++;
	} else if (ret < 0 && !allowed(c, -ret)) {
		diag("%s, allocation %u: %s", c->name, n, strerror(-ret));
		t->wrong_errno++;
	}
	if (ret >= 0 && c->whole && !c->whole(ret)) {
		diag("%s, allocation %u: not whole", c->name, n);
		t->not_whole++;
	}
	/* The last reference of a file may go a moment later. */
	WAIT_FOR(fine, again(&now, &was, c), 3000);
	if (!fine) {
		diag("%s, allocation %u, %s: not as before", c->name, n,
		     ret < 0 ? strerror(-ret) : "success");
		differ(&was, &now);
		t->wrong_state++;
	}
	if (fault_witness && !fault_witness()) {
		diag("%s, allocation %u: another buffer has changed", c->name, n);
		t->not_witness++;
	}
	if (c->after)
		c->after();
	if (fired && ret < 0)
		t->failed++;
	else if (fired)
		t->absorbed++;
	return fired;
}

void fault_sweep(const struct fault_call *c)
{
	struct fault_tally t = { 0 };
	unsigned int n = 1, injected;
	bool more = true;

	if (!!c->least + c->none + !!c->may_be_none != 1)
		ok(false, "%s: it is said how many allocations there are", c->name);
	fault_filter_scope(c->scope);
	while (more && n < FAULT_MOST) {
		unsigned int absorbed = t.absorbed;

		more = fault_once(c, n, &t);
		/*
		 * A cache that grows asks for more pages than it must have and goes on with
		 * fewer. By the second time it has grown, and the allocation is another.
		 */
		if (!c->sparse && t.absorbed > absorbed) {
			t.absorbed = absorbed;
			more = fault_once(c, n, &t);
		}
		n += c->sparse && n >= 64 ? n / 16 : 1;
	}
	fault_filter_scope(NULL);
	injected = t.failed + t.absorbed;
	total += injected;
	diag("%s: %u allocations failed, %u times the call, %u made good",
	     c->name, injected, t.failed, t.absorbed);
	if (c->may_be_none)
		diag("%s: may be none, since %s", c->name, c->may_be_none);
	if (c->none)
		is(injected, 0, "%s: allocates nothing", c->name);
	else
		ok(!more && injected >= c->least && t.failed >= c->fails,
		   "%s: each allocation failed once, %u or more", c->name, c->least);
	if (c->strict)
		is(t.absorbed, 0, "%s: is not done without memory", c->name);
	is(t.not_clean, 0, "%s: succeeds when none fails", c->name);
	is(t.wrong_errno, 0, "%s: says ENOMEM", c->name);
	is(t.not_whole, 0, "%s: what succeeds is whole", c->name);
	is(t.wrong_state + t.not_witness, 0, "%s: what fails leaves nothing",
	   c->name);
	/* Not seen above if it was between two calls. Told once. */
	if (dma_watched && !dma_is_debugged()) {
		ok(false, "%s: DMA API debugging still watches", c->name);
		dma_watched = false;
	}
}
