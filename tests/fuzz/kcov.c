// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Coverage by KCOV: the kernel writes down, for each thread, where it has been.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../device/lib/tap.h"
#include "fuzz.h"

#define KCOV_FILE	"/sys/kernel/debug/kcov"
#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define ENTRIES		(256u << 10)	/* of one thread */

/*
 * All places seen. Kernel and modules lie in the top 2 GiB, so that the lower
 * half of an address tells it; 0 is a free entry.
 */
#define SEEN_BITS	20
static uint32_t seen[1u << SEEN_BITS];
static uint32_t nr_seen;

struct module {
	char name[56];
	uint64_t start, end;
	bool ours;
	uint32_t places;
};

static struct module modules[128];
static unsigned int nr_modules;

static int by_start(const void *a, const void *b)
{
	const struct module *m = a, *n = b;

	return m->start < n->start ? -1 : m->start > n->start;
}

static void read_modules(void)
{
	FILE *f = fopen("/proc/modules", "re");
	char line[400];

	while (f && nr_modules < 128 && fgets(line, sizeof(line), f)) {
		struct module *m = &modules[nr_modules];
		unsigned long long start, size;

		if (sscanf(line, "%55s %llu %*s %*s %*s %llx", m->name, &size,
			   &start) != 3)
			continue;
		m->start = start;
		m->end = start + size;
		m->ours = !strncmp(m->name, "barter", 6) && strncmp(m->name, "barter_test", 11);
		nr_modules++;
	}
	if (f)
		fclose(f);
	/* The size counts data too, which lies elsewhere: end at the next. */
	qsort(modules, nr_modules, sizeof(*modules), by_start);
	for (unsigned int i = 0; i + 1 < nr_modules; i++)
		if (modules[i].end > modules[i + 1].start)
			modules[i].end = modules[i + 1].start;
}

static struct module *module_of(uint64_t pc)
{
	for (unsigned int i = 0; i < nr_modules; i++)
		if (pc >= modules[i].start && pc < modules[i].end)
			return &modules[i];
	return NULL;
}

bool kcov_init(void)
{
	if (access(KCOV_FILE, R_OK | W_OK))
		return false;
	read_modules();
	return true;
}

void kcov_thread(struct kcov *k)
{
	k->trace = NULL;
	k->fd = open(KCOV_FILE, O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return;
	if (ioctl(k->fd, KCOV_INIT_TRACE, (unsigned long)ENTRIES))
		tap_bail("KCOV_INIT_TRACE: %s", strerror(errno));
	k->trace = mmap(NULL, ENTRIES * 8ul, PROT_READ | PROT_WRITE, MAP_SHARED,
			k->fd, 0);
	if (k->trace == MAP_FAILED)
		tap_bail("mmap of KCOV: %s", strerror(errno));
	if (ioctl(k->fd, KCOV_ENABLE, KCOV_TRACE_PC))
		tap_bail("KCOV_ENABLE: %s", strerror(errno));
}

void kcov_begin(struct kcov *k)
{
	if (k->trace)
		__atomic_store_n(&k->trace[0], 0, __ATOMIC_RELAXED);
}

static bool is_new(uint32_t pc)
{
	uint32_t mask = (1u << SEEN_BITS) - 1;
	uint32_t i = pc * 2654435761u >> (32 - SEEN_BITS);

	for (uint32_t left = mask; left; left--, i = (i + 1) & mask) {
		uint32_t old = __atomic_load_n(&seen[i], __ATOMIC_RELAXED);

		if (!old && __atomic_compare_exchange_n(&seen[i], &old, pc,
							false, __ATOMIC_RELAXED,
							__ATOMIC_RELAXED))
			return true;
		if (old == pc)
			return false;
	}
	return false;
}

unsigned int kcov_end(struct kcov *k, unsigned int *ours)
{
	unsigned int fresh = 0;
	uint64_t n;

	*ours = 0;
	if (!k->trace)
		return 0;
	n = __atomic_load_n(&k->trace[0], __ATOMIC_RELAXED);
	if (n > ENTRIES - 1)
		n = ENTRIES - 1;
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t pc = k->trace[i];
		struct module *m;

		if (!(uint32_t)pc || !is_new((uint32_t)pc))
			continue;
		fresh++;
		__atomic_fetch_add(&nr_seen, 1, __ATOMIC_RELAXED);
		m = module_of(pc);
		if (!m)
			continue;
		__atomic_fetch_add(&m->places, 1, __ATOMIC_RELAXED);
		*ours += m->ours;
	}
	return fresh;
}

uint32_t kcov_places(void)
{
	return __atomic_load_n(&nr_seen, __ATOMIC_RELAXED);
}

uint32_t kcov_places_in(const char *module)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < nr_modules; i++)
		if (module ? !strcmp(modules[i].name, module) : modules[i].ours)
			sum += modules[i].places;
	return sum;
}

void kcov_dump(FILE *f)
{
	for (uint32_t i = 0; i < 1u << SEEN_BITS; i++) {
		uint64_t pc = 0xffffffff00000000ull | seen[i];
		struct module *m = seen[i] ? module_of(pc) : NULL;

		if (m && m->ours)
			fprintf(f, "%s+0x%llx\n", m->name,
				(unsigned long long)(pc - m->start));
	}
}
