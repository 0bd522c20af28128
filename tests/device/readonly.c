// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Read-only buffers: nobody writes through them, neither a CPU nor a device, and who
 * could not be kept from it gets nothing. (That the IOMMU does its part: rogue.c.)
 *
 * readonly untranslated: on a machine where no IOMMU translates what edu sends, so that
 * nothing would stop it. readonly bus: its DMA goes below a bridge, past the IOMMU.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/edu.h"
#include "lib/fixture.h"
#include "lib/slice.h"
#include "lib/tester.h"
#include "lib/typed.h"

#define RW	(PROT_READ | PROT_WRITE)
#define SEED	59
#define AT	(1ull << 30)
#define READ	1u
#define WRITE	2u

static int ro_new(void)
{
	fill(bar, SEED, 0, MIB);
	return buf_export_ro(&mem, BAR, 0, MIB);
}

static void exports(void)
{
	static const struct {
		uint32_t flags;
		unsigned int open_flags;
		int error;
	} tries[] = {
		{ BARTER_EXPORT_READ_ONLY, O_RDONLY | O_CLOEXEC, 0 },
		{ BARTER_EXPORT_READ_ONLY, O_RDONLY, 0 },
		{ BARTER_EXPORT_READ_ONLY, O_RDWR, EINVAL },
		{ BARTER_EXPORT_READ_ONLY, O_WRONLY, EINVAL },
		{ BARTER_EXPORT_READ_ONLY, O_ACCMODE, EINVAL },
		{ 1u << 31, O_RDONLY, EINVAL },
	};
	struct barter_info info;
	unsigned int i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		int fd = buf_export_as(&mem, BAR, 0, PAGE, tries[i].flags,
				       tries[i].open_flags);

		is_errno(fd, tries[i].error, "flags %#x, open_flags %#x",
			 tries[i].flags, tries[i].open_flags);
		if (fd < 0)
			continue;
		is(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY, "mode");
		is_errno(buf_info(fd, &info), 0, "info");
		is(info.out_flags, BARTER_BUFFER_READ_ONLY, "flags");
		ok(file_has(BUFFERS, "  read-only"), "debugfs tells");
		close(fd);
	}
}

/* ---- CPU ---- */

static void cannot_be_written(volatile uint8_t *p, const char *name)
{
	need(p, "%s: mmap", name);
	is(differs(p, SEED, 0, PAGE), -1, "%s: the right bytes", name);
	is(poke(p, 1), SIGSEGV, "%s: a write", name);
	is(mprotect((void *)p, PAGE, RW) ? errno : 0, EACCES,
	   "%s: cannot be made writable", name);
	munmap((void *)p, PAGE);
}

/* /proc/self/mem writes to what may not be written, with FOLL_FORCE. */
static void by_force(int fd)
{
	volatile uint8_t *p = buf_map(fd, 0, PAGE, PROT_READ);
	int memory = open("/proc/self/mem", O_RDWR);
	uint32_t v = 0;

	need(p && memory >= 0 && !peek(p, &v), "/proc/self/mem");
	ok(pwrite(memory, &v, 4, (off_t)(uintptr_t)p) < 0, "refuses a write");
	close(memory);
	munmap((void *)p, PAGE);
}

static void cpu(void)
{
	int fd = ro_new(), copy = dup(fd), t = tester_open(), slice;
	char path[64];
	void *p;

	need(fd >= 0, "export");
	ok(!buf_map(fd, 0, PAGE, RW) && errno == EACCES, "a writable mmap");
	ok(!buf_map(fd, 0, PAGE, PROT_WRITE) && errno == EACCES, "write only");
	cannot_be_written(buf_map(fd, 0, PAGE, PROT_READ), "fd");
	cannot_be_written(buf_map(copy, 0, PAGE, PROT_READ), "dup");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok(open(path, O_RDWR) < 0, "its name cannot be opened for writing");
	slice = slice_read_only(fd, 0, PAGE);
	cannot_be_written(buf_map(slice, 0, PAGE, PROT_READ), "slice");

	/* Somebody else's file, which may be written. */
	p = mmap(NULL, PAGE, RW, MAP_SHARED, t, (off_t)fd * (off_t)PAGE);
	ok(p == MAP_FAILED && errno == EPERM, "an importer's writable mmap");
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t, (off_t)fd * (off_t)PAGE);
	cannot_be_written(p == MAP_FAILED ? NULL : p, "an importer's file");
	p = mmap(NULL, PAGE, RW, MAP_SHARED, t, (off_t)slice * (off_t)PAGE);
	ok(p == MAP_FAILED && errno == EPERM, "of a slice");
	by_force(fd);
	is(differs(bar, SEED, 0, PAGE), -1, "the memory is as it was");
	close(slice);
	close(t);
	close(copy);
	close(fd);
}

/* ---- scatterlists ---- */

static void mapped_for_dma(void)
{
	static const struct {
		uint32_t direction;
		const char *name;
		int error;
	} tries[] = {
		{ BARTER_TEST_BIDIRECTIONAL, "both ways", EPERM },
		{ BARTER_TEST_FROM_DEVICE, "from the device", EPERM },
		{ BARTER_TEST_TO_DEVICE, "to the device", 0 },
	};
	int fd = ro_new(), slice = slice_read_only(fd, PAGE, 2 * PAGE), t, i;
	int id, of_slice;

	t = tester_open();
	id = tester_attach(t, fd, 0);
	of_slice = tester_attach(t, slice, 0);
	need(id >= 0 && of_slice >= 0, "attach");
	for (i = 0; i < 3; i++) {
		is_errno(tester_map(t, id, tries[i].direction, NULL),
			 tries[i].error, "%s", tries[i].name);
		tester_unmap(t, id);
		is_errno(tester_map(t, of_slice, tries[i].direction, NULL),
			 tries[i].error, "slice: %s", tries[i].name);
		tester_unmap(t, of_slice);
	}
	close(t);
	close(slice);
	close(fd);
}

/* What the DMA API gives is not looked up in somebody else's page tables. */
static void in_anothers_page_tables(void)
{
	int fd = ro_new(), t = tester_open(), id = tester_attach(t, fd, 0), domain;

	need(id >= 0, "attach");
	domain = domain_new(edu_bdf(), true);
	need(domain >= 0, "edu in a domain of its own");
	is_errno(tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL), EPERM,
		 "no map while it is there");
	is_errno(domain_free(domain), 0, "back to the DMA API's");
	is_errno(tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL), 0, "a map");
	close(t);
	close(fd);
	typed_close();
}

static void engine_reads_only(void)
{
	int fd = ro_new(), edu = edu_open();
	uint8_t data[1024];

	need(edu >= 0 && !edu_import(edu, fd), "import");
	is_errno(edu_read(edu, PAGE, data, sizeof(data)), 0, "edu reads");
	is(differs(data, SEED, PAGE, sizeof(data)), -1, "the right bytes");
	memset(data, 0, sizeof(data));
	is_errno(edu_write(edu, PAGE, data, sizeof(data)), EPERM, "and writes");
	is(differs(bar, SEED, 0, MIB), -1, "the memory is as it was");
	is_errno(dev_reset(&mem), 0, "a reset in between");
	fill(bar, SEED, 0, MIB);
	is_errno(edu_write(edu, PAGE, data, sizeof(data)), EPERM, "write");
	is_errno(edu_read(edu, PAGE, data, sizeof(data)), 0, "read");
	is(differs(data, SEED, PAGE, sizeof(data)), -1, "the right bytes");
	close(edu);
	close(fd);
}

/* An O_RDONLY fd is something else: it says nothing of devices, as upstream. */
static void an_fd_is_no_buffer(void)
{
	int fd = buf_export_as(&mem, BAR, 0, MIB, 0, O_RDONLY | O_CLOEXEC), edu;
	uint8_t data[1024] = { 1, 2, 3 };
	int slice = slice_read_only(fd, 0, MIB);

	fill(bar, SEED, 0, MIB);
	edu = edu_open();
	need(edu >= 0 && !edu_import(edu, fd), "import");
	is_errno(edu_write(edu, 0, data, sizeof(data)), 0, "edu writes");
	ok(!memcmp((void *)bar, data, sizeof(data)), "it arrives");
	close(edu);
	edu = edu_open();
	need(edu >= 0 && !edu_import(edu, slice), "import of a slice");
	is_errno(edu_write(edu, 0, data, sizeof(data)), EPERM,
		 "which is read-only");
	close(edu);
	close(slice);
	close(fd);
}

/* Not even to read, where nothing keeps it from writing. */
static void nothing_in_between(void)
{
	static const uint32_t directions[] = {
		BARTER_TEST_BIDIRECTIONAL, BARTER_TEST_FROM_DEVICE,
		BARTER_TEST_TO_DEVICE,
	};
	int fd = ro_new(), whole = buf_export1(&mem, BAR, 0, MIB);
	int t = tester_open(), id = tester_attach(t, fd, 0), i;

	need(id >= 0, "attach");
	for (i = 0; i < 3; i++)
		is_errno(tester_map(t, id, directions[i], NULL), EPERM,
			 "direction %u", directions[i]);
	id = tester_attach(t, whole, 0);
	is_errno(tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL), 0,
		 "what may be written can be mapped");
	close(t);
	close(whole);
	close(fd);
}

/* ---- other interconnects ---- */

static void in_a_domain(void)
{
	int e = exporter_new("ds", 0), fd, id, map;
	int domain = domain_new(edu_bdf(), false);
	struct typed_map req = {
		.type = TYPED_DOMAIN, .domain = (uint32_t)domain, .iova = AT,
		.flags = 1,
	};

	fd = exporter_lend_read_only(e, BAR, 0, MIB);
	need(e >= 0 && fd >= 0 && domain >= 0 && !typed_register(0, "d", 0),
	     "exporter, buffer, domain, importer");
	id = typed_attach(fd, 0, TYPED_F_NO_DEVICE);
	need(id >= 0, "attach");
	req.id = (uint32_t)id;
	req.prot = READ | WRITE;
	is_errno(typed_map_as(&req), EPERM, "IOMMU_READ | IOMMU_WRITE");
	req.prot = WRITE;
	is_errno(typed_map_as(&req), EPERM, "IOMMU_WRITE");
	is(domain_check(domain, AT, 0, MIB), TYPED_NOTHING, "nothing is mapped");
	req.prot = READ;
	map = typed_map_as(&req);
	is_errno(map, 0, "IOMMU_READ");
	is(domain_check(domain, AT, 0, MIB), TYPED_AS_IT_SHOULD, "is mapped");
	typed_unmap(id, map);
	typed_detach(id);
	domain_free(domain);
	close(fd);
	close(e);
	typed_close();
}

/* Who does not say that it enforces it is left out. */
static void types_that_do_not_say_so(void)
{
	static const struct {
		const char *exporter, *importer;
		int error;
		char type;
	} tries[] = {
		{ "p", "p", EPERM, 0 },
		{ "a", "a", EPERM, 0 },
		{ "pab", "bap", EPERM, 0 },
		{ "ad", "ad", 0, 'd' },
		{ "pas", "spa", 0, 's' },
		{ "a", "d", EOPNOTSUPP, 0 },
	};
	unsigned int i;

	fabric(FABRIC_REGISTER, 0, 0);
	fabric(FABRIC_REGISTER, 1, 0);
	fabric(FABRIC_MATCH, 0, 0);
	fabric(FABRIC_MATCH, 1, 0);
	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		int e = exporter_new(tries[i].exporter, 0), fd, plain, id;
		struct typed_attach as = {
			.slot = 0, .bdf = typed_bdf(edu_bdf()),
		};

		fd = exporter_lend_read_only(e, BAR, 0, MIB);
		plain = exporter_lend1(e, BAR, 0, MIB);
		need(e >= 0 && fd >= 0 && plain >= 0 &&
		     !typed_register(0, tries[i].importer, 0), "both sides");
		as.fd = fd;
		id = typed_attach_as(&as);
		is_errno(id, tries[i].error, "%s and %s", tries[i].exporter,
			 tries[i].importer);
		if (id >= 0)
			is(typed_type(id), tries[i].type, "the type in use");
		typed_detach(id);
		id = typed_attach(plain, 0, 0);
		if (strchr(tries[i].importer, 'a') &&
		    strchr(tries[i].exporter, 'a'))
			is(typed_type(id), 'a', "of what may be written: fabric");
		typed_detach(id);
		typed_unregister(0);
		close(plain);
		close(fd);
		close(e);
	}
	typed_close();
}

/* By the memory's neighbour, whose DMA does not come to where the IOMMU is. */
static void past_the_iommu(void)
{
	const char *neighbour = getenv("VM_VRAM1");
	struct typed_bdf bdf = typed_bdf(neighbour);
	struct barter_test_attach as = {
		.domain = bdf.domain, .bus = bdf.bus, .devfn = bdf.devfn,
	};
	struct barter_test_map map = { .direction = BARTER_TEST_TO_DEVICE };
	int e = exporter_new("s", 0), t = tester_open(), fds[2], i;
	struct barter_route r;

	fds[0] = exporter_lend1(e, BAR, 0, MIB);
	fds[1] = exporter_lend_read_only(e, BAR, 0, MIB);
	need(e >= 0 && fds[0] >= 0 && fds[1] >= 0, "two buffers");
	is_errno(buf_route(fds[1], neighbour, &r), 0, "route");
	is(r.out_route, BARTER_ROUTE_BUS, "below the bridge");
	for (i = 0; i < 2; i++) {
		as.dmabuf_fd = fds[i];
		/* Of the device, until the first is gone; firmware may put the BAR that high. */
		as.dma_bits = i ? 0 : 64;
		need(!ioctl(t, BARTER_TEST_IOC_ATTACH, &as), "attach");
		map.id = as.out_id;
		is_errno(ioctl(t, BARTER_TEST_IOC_MAP, &map) ? -errno : 0,
			 i ? EPERM : 0, "%s, to read",
			 i ? "read-only" : "what may be written");
	}
	close(t);
	close(fds[0]);
	close(fds[1]);
	close(e);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "bus")) {
		CASE(past_the_iommu);
		return tap_done();
	}
	fixture_open();
	if (argc > 1 && !strcmp(argv[1], "untranslated")) {
		CASE(nothing_in_between);
		return tap_done();
	}
	CASE(exports);
	CASE(cpu);
	CASE(mapped_for_dma);
	CASE(in_anothers_page_tables);
	CASE(engine_reads_only);
	CASE(an_fd_is_no_buffer);
	CASE(in_a_domain);
	CASE(types_that_do_not_say_so);
	return tap_done();
}
