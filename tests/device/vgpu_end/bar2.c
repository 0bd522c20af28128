// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * BAR 2 of a vEDU: memory of another function, lent like a BAR of barter-vfio-pci's, and
 * taken back.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../lib/buf.h"
#include "../lib/edu.h"
#include "../lib/memattr.h"
#include "../lib/native.h"
#include "../lib/proc.h"
#include "../lib/slice.h"
#include "../lib/tap.h"
#include "vgpu_end.h"

#define WITH_MEMORY	7u

static volatile uint8_t *bar2;
static int fd = -1;

static bool memory_up(unsigned int nr)
{
	if (!guest_up(nr, false))
		return false;
	is(g.d.length[2], VEDU_BAR2, "BAR 2: 4 MiB");
	bar2 = mmap(NULL, VEDU_BAR2, PROT_READ | PROT_WRITE, MAP_SHARED, g.d.fd,
		    (off_t)g.d.offset[2]);
	return ok((void *)bar2 != MAP_FAILED, "is mapped");
}

static void memory_down(void)
{
	munmap((void *)bar2, VEDU_BAR2);
	guest_down();
}

static void lending(void)
{
	static const struct vfio_region_dma_range ranges[] = {
		{ 8 * PAGE, PAGE }, { 0, 2 * PAGE }, { VEDU_BAR2 - PAGE, PAGE },
	};
	static const struct vfio_region_dma_range bad[] = {
		{ VEDU_BAR2, PAGE }, { VEDU_BAR2 - PAGE, 2 * PAGE }, { 0, VEDU_BAR2 + PAGE },
		{ -PAGE, PAGE }, { PAGE, -PAGE }, { 1, PAGE }, { 0, 100 }, { 0, 0 },
	};
	struct barter_info info;
	uint8_t word[8], back[8];
	uint32_t value = 0;
	uint8_t *map;

	if (!memory_up(WITH_MEMORY))
		return;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_errno(buf_export(&g.d, 2, &bad[i], 1), EINVAL, "range %#llx + %#llx",
			 (unsigned long long)bad[i].offset, (unsigned long long)bad[i].length);
	is_errno(buf_export(&g.d, 0, ranges, 1), ENODEV, "BAR 0");
	is_errno(buf_export(&g.d, 2, ranges, 0), EINVAL, "no range");
	fd = buf_export(&g.d, 2, ranges, 3);
	need(fd >= 0, "three ranges of BAR 2 as a buffer");
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(map, "is mapped");
	is_errno(buf_info(fd, &info), 0, "/dev/barter knows it");
	is(info.out_length, 4 * PAGE, "its length");
	is(info.out_state, BARTER_STATE_OK, "its state");
	fill(bar2, 9, 0, VEDU_BAR2);
	is(differs(map, 9, 8 * PAGE, PAGE), -1, "the first range shows what BAR 2 has");
	is(differs(map + PAGE, 9, 0, 2 * PAGE), -1, "the second");
	is(differs(map + 3 * PAGE, 9, VEDU_BAR2 - PAGE, PAGE), -1, "the third");
	memcpy(word, "barter!", 8);
	ok(pwrite(g.d.fd, word, 8, (off_t)(g.d.offset[2] + PAGE + 16)) == 8 &&
	   !memcmp(map + 2 * PAGE + 16, word, 8), "what is written to the region is in it");
	ok(pread(g.d.fd, back, 8, (off_t)(g.d.offset[2] + PAGE + 16)) == 8 &&
	   !memcmp(back, word, 8), "and can be read there");

	is_errno(dev_set_memory(&g.d, false), 0, "memory decoding off");
	is(buf_state(fd), BARTER_STATE_REVOKED, "revoked");
	is(peek(map, &value), SIGBUS, "access faults");
	is(peek(bar2, &value), SIGBUS, "to BAR 2 too");
	is_errno(pread(g.d.fd, back, 8, (off_t)g.d.offset[2]) < 0 ? -errno : 0, EIO,
		 "the region does not answer");
	is_errno(dev_set_memory(&g.d, true), 0, "on");
	is(buf_state(fd), BARTER_STATE_OK, "restored");
	ok(!peek(map, &value) && value == pattern(9, 8 * PAGE), "the same mapping works again");
	is_errno(dev_reset(&g.d), 0, "reset");
	is(buf_state(fd), BARTER_STATE_OK, "back when it returns");
	munmap((void *)bar2, VEDU_BAR2);
	vedu_close(&g);
	is(buf_state(fd), BARTER_STATE_DEAD, "closed: dead");
	is(peek(map, &value), SIGBUS, "access faults");
	munmap(map, 4 * PAGE);
	close(fd);
	munmap(ram, MEMORY);

	if (!memory_up(WITH_MEMORY))
		return;
	ok(all((uint8_t *)bar2, 16 * PAGE, 0) &&
	   all((uint8_t *)bar2 + VEDU_BAR2 - PAGE, PAGE, 0),
	   "the next user finds nothing of the one before");
	memory_down();
}

/* What two vEDUs have of one memory does not overlap. */
static void slices(void)
{
	struct guest other;
	uint8_t *second;

	if (!memory_up(WITH_MEMORY))
		return;
	need(!vedu_open(&other, WITH_MEMORY + 1, false), "a second vEDU with memory");
	second = mmap(NULL, VEDU_BAR2, PROT_READ | PROT_WRITE, MAP_SHARED, other.d.fd,
		      (off_t)other.d.offset[2]);
	need(second != MAP_FAILED, "its BAR 2 is mapped");
	memset((void *)bar2, 0xaa, VEDU_BAR2);
	ok(all(second, VEDU_BAR2, 0), "nothing of the first's is in it");
	memset(second, 0xbb, VEDU_BAR2);
	ok(all((uint8_t *)bar2, VEDU_BAR2, 0xaa), "and the other way round");
	munmap(second, VEDU_BAR2);
	vedu_close(&other);
	memory_down();
}

/*
 * What is lent is for devices too: another edu writes into it. And a vEDU cannot pin it:
 * neither BAR 2 as the guest maps it, nor the buffer.
 */
static void buffers_not_pins(void)
{
	uint8_t data[1000];
	struct log log;
	uint8_t *map;
	int other;

	if (!memory_up(WITH_MEMORY))
		return;
	fd = buf_export1(&g.d, 2, 4 * PAGE, 4 * PAGE);
	need(fd >= 0, "a buffer of BAR 2");
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(map, "is mapped");
	log_open(&log);
	is_errno(vedu_map(&g, (void *)bar2, IOVA + (1 << 24), 16 * PAGE, true), 0,
		 "the guest maps BAR 2 for its device");
	is(vedu_copy(&g, IOVA, IOVA + (1 << 24), 64), BARTER_VEDU_S_DEVICE_MEMORY,
	   "a source that is a device's memory");
	ok(log_wait(&log, "which cannot be pinned", "use the dma-buf", 5000), "the log says what to do instead");
	is(vedu_copy(&g, IOVA + (1 << 24) + PAGE, IOVA, 64), BARTER_VEDU_S_DEVICE_MEMORY,
	   "a destination");
	is_errno(vedu_unmap(&g, IOVA + (1 << 24), 16 * PAGE), 0, "unmapped");
	is_errno(vedu_map(&g, map, IOVA + (1 << 24), 4 * PAGE, true), 0,
		 "the guest maps the buffer for its device");
	is(vedu_copy(&g, IOVA, IOVA + (1 << 24), 64), BARTER_VEDU_S_DEVICE_MEMORY,
	   "the same of the buffer's own mapping");
	is_errno(vedu_unmap(&g, IOVA + (1 << 24), 4 * PAGE), 0, "unmapped");
	log_close(&log);

	other = edu_open();
	need(other >= 0, "another device's driver");
	is_errno(edu_import(other, fd), 0, "imports the buffer");
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 3);
	is_errno(edu_write(other, 100, data, sizeof(data)), 0, "and writes into it by DMA");
	ok(!memcmp((uint8_t *)bar2 + 4 * PAGE + 100, data, sizeof(data)),
	   "BAR 2 has every byte");
	is_errno(dev_set_memory(&g.d, false), 0, "memory decoding off");
	is_errno(edu_write(other, 100, data, sizeof(data)), ENODEV, "no DMA any more");
	close(other);
	munmap(map, 4 * PAGE);
	close(fd);
	memory_down();
}

#define ELSEWHERE (IOVA + (1 << 24))

/* By address iommufd cannot tell it from a hole; the log names both. */
static void device_memory_iommufd(void)
{
	struct log log;

	if (!guest_up(WITH_MEMORY, true))
		return;
	bar2 = mmap(NULL, VEDU_BAR2, PROT_READ | PROT_WRITE, MAP_SHARED, g.d.fd,
		    (off_t)g.d.offset[2]);
	need((void *)bar2 != MAP_FAILED, "BAR 2 is mapped");
	log_open(&log);
	is_errno(vedu_map(&g, (void *)bar2, ELSEWHERE, 16 * PAGE, true), 0,
		 "the guest maps BAR 2 for its device");
	is(vedu_copy(&g, IOVA, ELSEWHERE, 64), BARTER_VEDU_S_ADDRESS,
	   "a source that is a device's memory");
	ok(log_wait(&log, "or memory of a device", "use the dma-buf", 5000),
	   "the log says that it may be one, and what to do instead");
	log_close(&log);
	is(vedu_copy(&g, IOVA, IOVA + PAGE, 64), BARTER_VEDU_S_OK, "RAM works");
	memory_down();
}

/* As a buffer of the kernel's own iommufd knows it. */
static void native_buffer_iommufd(void)
{
	char bdf[BDF_LENGTH];
	struct dev mem;
	struct log log;

	need(!pci_find(PCI_IVSHMEM, 0, bdf) && !dev_open(&mem, bdf), "another device with memory");
	fd = native_export(&mem, BARTER_FEATURE_NATIVE, 2, 0, 4 * PAGE);
	if (fd == -EOPNOTSUPP) {
		skip("the kernel has no exporter of its own", "a native buffer");
		dev_close(&mem);
		return;
	}
	need(fd >= 0, "a native buffer");
	if (!guest_up(0, true))
		return;
	is_errno(ioas_map_file(&g.ioas, fd, 0, 4 * PAGE, ELSEWHERE), 0,
		 "the guest maps it for its device");
	log_open(&log);
	is(vedu_copy(&g, IOVA, ELSEWHERE, 64), BARTER_VEDU_S_DEVICE_MEMORY,
	   "a source that is a device's memory");
	ok(log_wait(&log, "which cannot be pinned", "use the dma-buf", 5000),
	   "the log says what to do instead");
	is(vedu_copy(&g, ELSEWHERE, IOVA, 64), BARTER_VEDU_S_DEVICE_MEMORY, "a destination");
	log_close(&log);
	is(vedu_copy(&g, IOVA, IOVA + PAGE, 64), BARTER_VEDU_S_OK, "RAM works");
	guest_down();
	close(fd);
	dev_close(&mem);
}

static int unbind_vram(void *arg)
{
	(void)arg;
	return pci_unbind(vram) ? 1 : 0;
}

/* The memory goes: what is lent of it is dead, and the vEDU lives on without. */
static void memory_goes(void)
{
	uint32_t value = 0;
	uint8_t *map;

	if (!memory_up(WITH_MEMORY))
		return;
	fd = buf_export1(&g.d, 2, 0, 4 * PAGE);
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(map && !peek(map, &value), "a buffer in use");
	is(in_child(unbind_vram, NULL, 20000), 0, "the memory is unbound: nobody has to close");
	is(buf_state(fd), BARTER_STATE_DEAD, "dead");
	is(peek(map, &value), SIGBUS, "access faults");
	is(peek(bar2, &value), SIGBUS, "to BAR 2 too");
	is_errno(pread(g.d.fd, &value, 4, (off_t)g.d.offset[2]) < 0 ? -errno : 0, EIO,
		 "the region does not answer");
	is_errno(buf_export1(&g.d, 2, 0, PAGE), ENODEV, "nothing is lent");
	is(vedu_fill(&g, IOVA, 100, 0), BARTER_VEDU_S_OK, "commands run");
	munmap(map, 4 * PAGE);
	close(fd);
	memory_down();
	is_errno(pci_bind(vram, VEDU_DRIVER), 0, "bound again");
	is(vedu_available(edu, "memory"), 4, "with free slices");
	is_errno(vedu_remove(WITH_MEMORY), 0, "the old vEDU is removed");
	is_errno(vedu_create(edu, "memory", WITH_MEMORY), 0, "and made anew");
	if (!memory_up(WITH_MEMORY))
		return;
	ok(!poke(bar2, 5) && !peek(bar2, &value) && value == 5, "it has memory");
	memory_down();
}

/* Touches its BAR 2 until it can't, and then never can again. */
static int clinging_guest(void *arg)
{
	struct guest mine;
	volatile uint8_t *p;
	uint32_t value;
	int64_t until;
	int ret = 0;

	(void)arg;
	if (vedu_open(&mine, WITH_MEMORY + 1, false))
		return 1;
	p = mmap(NULL, VEDU_BAR2, PROT_READ | PROT_WRITE, MAP_SHARED, mine.d.fd,
		 (off_t)mine.d.offset[2]);
	if ((void *)p == MAP_FAILED)
		return 2;
	for (until = now_ms() + 20000; !peek(p, &value); )
		if (now_ms() > until)
			return 3;
	for (until = now_ms() + 500; now_ms() < until; )
		if (peek(p, &value) != SIGBUS)
			return 4;
	if (poll(&(struct pollfd){ .fd = mine.request, .events = POLLIN }, 1, 20000) != 1)
		ret = 5;
	vedu_close(&mine);
	return ret;
}

/* A slice goes to somebody else only when nobody sees it any more. */
static void slice_changes_hands(void)
{
	static unsigned int nr = WITH_MEMORY + 1;
	int free, round;
	bool there;

	for (round = 0; round < 5; round++) {
		pid_t guest = spawn(clinging_guest, NULL), remover;

		usleep(300000);
		free = vedu_available(edu, "memory");
		remover = spawn(remove_vedu, &nr);
		WAIT_FOR(there, vedu_available(edu, "memory") == free + 1, 10000);
		if (!there || vedu_create(edu, "memory", WITH_MEMORY + 2) ||
		    !ok(!reap(guest, 60000), "its guest saw no more of the slice") ||
		    reap(remover, 30000) || vedu_remove(WITH_MEMORY + 2) ||
		    vedu_create(edu, "memory", nr))
			break;
	}
	is(round, 5, "a vEDU is removed under a guest that uses its BAR 2, five times");
}

/* A vEDU is removed whose buffer lives on. */
static void buffer_outlives(void)
{
	uint32_t value = 0;
	uint8_t *map;

	if (!memory_up(WITH_MEMORY))
		return;
	fd = buf_export1(&g.d, 2, 0, 4 * PAGE);
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(map && !peek(map, &value), "a buffer in use");
	memory_down();
	is_errno(vedu_remove(WITH_MEMORY), 0, "its vEDU is removed");
	is(vedu_available(edu, "memory"), 4, "the slice is free");
	is(buf_state(fd), BARTER_STATE_DEAD, "the buffer is dead");
	is(peek(map, &value), SIGBUS, "access faults");
	is_errno(vedu_create(edu, "memory", WITH_MEMORY), 0, "another vEDU gets the slice");
	if (memory_up(WITH_MEMORY)) {
		is(peek(map, &value), SIGBUS, "the old buffer does not see it");
		memory_down();
	}
	ok(unload() < 0, "the module stays for the buffer");
	munmap(map, 4 * PAGE);
	close(fd);
}

/* What else barter-vfio-pci has for a buffer: its end alone, and how it is cached. */
static void end_and_attribute(void)
{
	int whole, part, combined;
	uint32_t value = 0;
	uint8_t *map;

	if (!memory_up(WITH_MEMORY))
		return;
	whole = buf_export1(&g.d, 2, 0, 4 * PAGE);
	part = slice1(whole, PAGE, PAGE);
	fd = buf_export1(&g.d, 2, 0, 4 * PAGE);
	map = buf_map(whole, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(fd >= 0 && part >= 0 && map && !poke(map, 77), "two buffers and a slice");
	is_errno(buf_end(&g.d, 0), EINVAL, "the end of what is no buffer");
	is_errno(buf_end(&g.d, whole), 0, "one buffer is ended");
	is(buf_state(whole), BARTER_STATE_DEAD, "it is dead");
	is(buf_state(part), BARTER_STATE_DEAD, "so is its slice");
	is(buf_state(fd), BARTER_STATE_OK, "the other of the same pages is not");
	is(peek(map, &value), SIGBUS, "access through the dead one faults");
	ok(!peek(bar2, &value) && value == 77, "BAR 2 itself is there");
	munmap(map, 4 * PAGE);
	close(part);
	close(whole);

	is_errno(buf_memattr(&g.d, fd, BARTER_MEMATTR_WC, 0), EBUSY,
		 "writes combined where BAR 2 is mapped otherwise");
	munmap((void *)bar2, VEDU_BAR2);
	is_errno(buf_memattr(&g.d, fd, BARTER_MEMATTR_WC, 0), 0, "and when it is not");
	map = buf_map(fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE);
	need(map, "is mapped");
	fill(map, 23, 0, 4 * PAGE);
	is(differs(map, 23, 0, 4 * PAGE), -1, "what is written is there");
	bar2 = mmap(NULL, VEDU_BAR2, PROT_READ | PROT_WRITE, MAP_SHARED, g.d.fd,
		    (off_t)g.d.offset[2]);
	ok((void *)bar2 == MAP_FAILED && errno == EBUSY, "BAR 2 cannot be mapped meanwhile");
	is_errno(buf_memattr(&g.d, fd, 7, 0), ENOENT, "an attribute that is none");
	is_errno(buf_memattr(&g.d, fd, BARTER_MEMATTR_UC, 8), EINVAL, "an unknown flag");
	munmap(map, 4 * PAGE);
	combined = buf_export1(&g.d, 2, 8 * PAGE, PAGE);
	is_errno(buf_memattr(&g.d, combined, BARTER_MEMATTR_WC, 0), 0, "another buffer");
	close(combined);
	vedu_close(&g);
	munmap(ram, MEMORY);
	need(!vedu_open(&g, WITH_MEMORY + 1, false), "another vEDU");
	is_errno(buf_memattr(&g.d, fd, BARTER_MEMATTR_WC, 0), ENODEV, "whose buffer it is not");
	is_errno(buf_end(&g.d, fd), ENODEV, "nor to be ended by it");
	vedu_close(&g);
	close(fd);
	need(!vedu_open(&g, 0, false), "a vEDU without memory");
	is_errno(buf_end(&g.d, 0), ENOTTY, "has nothing to end");
	is_errno(buf_memattr(&g.d, 0, BARTER_MEMATTR_WC, 0), ENOTTY, "nor to choose");
	vedu_close(&g);
}

void bar2_cases(void)
{
	if (pci_bind(vram, VEDU_DRIVER) || vedu_create(edu, "memory", WITH_MEMORY) ||
	    vedu_create(edu, "memory", WITH_MEMORY + 1))
		tap_bail("no vEDU with memory");
	CASE(lending);
	CASE(end_and_attribute);
	CASE(slices);
	CASE(buffers_not_pins);
	if (iommufd_or_skip("BAR 2 by iommufd")) {
		CASE(device_memory_iommufd);
		CASE(native_buffer_iommufd);
	}
	CASE(slice_changes_hands);
	CASE(memory_goes);
	CASE(buffer_outlives);
	is_errno(pci_unbind(vram), 0, "main: the memory is free");
}
