// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A VMM as it is: an unchanged QEMU inside the test machine assigns devices of
 * barter-vfio-pci to a guest of its own, which finds them, programs their BARs, writes
 * into the memory of one and lets the other's DMA engine do so. The same under stock
 * vfio-pci. "vmm" by a container of type 1; "vmm iommufd" by character devices and an
 * iommufd, where QEMU makes a dma-buf of each BAR and maps that for DMA.
 *
 * QEMU's traces tell which way it took: bytes that arrive some other way prove nothing.
 * The guest's CPU is KVM's, on an emulated CPU with AMD's virtualisation.
 */
#define _GNU_SOURCE
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/native.h"
#include "vmm/vm.h"

#define QUIET		0x11		/* what the BAR holds before */
#define LENGTH		(8 * 1024u)
#define CHUNK		2048u		/* edu moves at a time */

/* Where the guest places its BARs. */
#define MEM_AT		0x10000000u
#define MEM_MOVED	0x18000000u
#define EDU_AT		0x20000000u
#define NVME_AT		0x21000000u
#define APIC		0xfee00000u
#define VECTOR		0x41u
/* Hot unplug of a PC's root bus, by ACPI's ports. */
#define EJECT		0xae08
#define EJECT_BUS	0xae10

/* The wide disk's BAR: registers, the table of MSI-X, its pending bits and more. */
#define REGISTERS	0x3000u
#define BEHIND		0x6000u
#define WIDE		0x8000u
#define ADMIN_QUEUES	0x24u		/* a register that keeps what is written */

static bool iommufd;
static char mem_bdf[BDF_LENGTH], edu_bdf[BDF_LENGTH], wide_bdf[BDF_LENGTH];
static struct vm vm;
static int mem_slot, edu_slot;

/* ---- the machine and its devices -------------------------------------- */

static void device(char *text, size_t size, const char *bdf, const char *id)
{
	snprintf(text, size, "vfio-pci,host=%s,id=%s%s", bdf, id,
		 iommufd ? ",iommufd=iommufd0" : "");
}

/* A machine with edu, and with the memory if @with_mem. */
static bool start(bool with_mem)
{
	char edu[80], memory[80];
	const char *options[12];
	int n = 0;

	if (iommufd) {
		options[n++] = "-object";
		options[n++] = "iommufd,id=iommufd0";
	}
	device(edu, sizeof(edu), edu_bdf, "edu");
	options[n++] = "-device";
	options[n++] = edu;
	if (with_mem) {
		device(memory, sizeof(memory), mem_bdf, "mem");
		options[n++] = "-device";
		options[n++] = memory;
	}
	options[n] = NULL;
	return vm_start(&vm, options);
}

/* A device more while the machine runs, and its end, which the guest has to grant. */
static bool plug(const char *bdf)
{
	char text[80];

	device(text, sizeof(text), bdf, "plugged");
	return ok(vm_monitor(&vm, "device_add %s", text), "plug %s", bdf);
}

static void unplug(int slot)
{
	bool gone;

	ok(vm_monitor(&vm, "device_del plugged"), "unplug");
	vm_out(&vm, EJECT_BUS, 0);
	vm_out(&vm, EJECT, 1u << slot);
	WAIT_FOR(gone, vm_said(&vm, iommufd ? "iommufd_cdev_pasid_detach_ioas_hwpt" :
			       "vfio_device_detach") > 0, 60000);
	ok(gone, "QEMU lets go of the device");
	if (!gone)
		tap_bail("the device cannot be bound to another driver then");
}

/* The guest's own search, and its BAR; the slot. */
static int place(uint32_t id, int bar, uint32_t length, uint32_t at)
{
	int slot = vm_find(&vm, id);

	if (!ok(slot >= 0, "the guest finds %08x", id))
		return slot;
	is(vm_bar_length(&vm, slot, bar), length, "its BAR %d is as long as it is", bar);
	vm_bar_place(&vm, slot, bar, at);
	vm_memory(&vm, slot, true);
	return slot;
}

static bool place_both(void)
{
	mem_slot = place(PCI_IVSHMEM, BAR, 64 * MIB, MEM_AT);
	edu_slot = place(PCI_EDU, 0, MIB, EDU_AT);
	return mem_slot >= 0 && edu_slot >= 0;
}

static bool bound(const char *bdf, const char *driver, const char *mode)
{
	return !pci_bind(bdf, driver) &&
	       (strcmp(driver, pci_lender()) || !feature11_write(mode));
}

static bool both_bound(const char *driver)
{
	return bound(mem_bdf, driver, "auto") && bound(edu_bdf, driver, "auto");
}

/* ---- bytes ------------------------------------------------------------ */

/* Does the machine below the test machine see that in the device's memory? */
static bool on_host(uint32_t at, uint32_t n, uint32_t seed)
{
	static uint8_t bytes[LENGTH];

	return !host_read(at, bytes, n) && differs(bytes, seed, at, n) < 0;
}

static bool quiet(uint32_t at, uint32_t n)
{
	static uint8_t bytes[LENGTH];

	if (host_read(at, bytes, n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (bytes[i] != QUIET)
			return false;
	return true;
}

static bool edu_does(uint32_t from, uint32_t to, uint32_t n, uint32_t command)
{
	bool idle;

	vm_store(&vm, EDU_AT + 0x80, from);
	vm_store(&vm, EDU_AT + 0x88, to);
	vm_store(&vm, EDU_AT + 0x90, n);
	vm_store(&vm, EDU_AT + 0x98, command);
	WAIT_FOR(idle, !(vm_load(&vm, EDU_AT + 0x98) & 1), 20000);
	return idle;
}

/* edu's DMA, as the guest has it, from one place to another. */
static bool moves(uint32_t from, uint32_t to, uint32_t n)
{
	return edu_does(from, 0x40000, n, 1) && edu_does(0x40000, to, n, 3);
}

/* DMA from the guest's RAM into the BAR, at @to of it. */
static bool dma_in(uint32_t at, uint32_t to, uint8_t seed)
{
	vm_fill(&vm, GUEST_RAM, CHUNK, seed, to);
	return moves(GUEST_RAM, at + to, CHUNK);
}

/* DMA from the BAR into the guest's RAM. */
static bool dma_out(uint32_t at, uint32_t from, uint8_t seed)
{
	vm_fill(&vm, GUEST_RAM + PAGE, CHUNK, (uint8_t)~seed, 0);
	return moves(at + from, GUEST_RAM + PAGE, CHUNK) &&
	       vm_differs(&vm, GUEST_RAM + PAGE, CHUNK, seed, from) < 0;
}

/* ---- what QEMU did ---------------------------------------------------- */

/* How often it has mapped just this for DMA; in an iommufd by a dma-buf, from @start. */
static int mapped(uint32_t at, uint32_t n, uint32_t start)
{
	if (!iommufd)
		return vm_said(&vm, "vfio_listener_region_add_ram *ram? %#x - %#x ",
			       at, at + n - 1);
	return vm_said(&vm, "iommufd_backend_map_file_dma *iova=%#x size=%#x fd=* start=%u readonly=0 (0)",
		       at, n, start);
}

static int unmapped(uint32_t at, uint32_t n)
{
	if (!iommufd)
		return vm_said(&vm, "vfio_listener_region_del *%#x - %#x", at,
			       at + n - 1);
	return vm_said(&vm, "iommufd_backend_unmap_dma *iova=%#x size=%#x (0)",
		       at, n);
}

static void took_the_container(const char *bdf)
{
	if (iommufd)
		is(vm_said(&vm, "iommufd_cdev_connect_and_bind *%s*", bdf), 1,
		   "QEMU binds %s to its iommufd", bdf);
	else
		is(vm_said(&vm, "vfio_device_attach *(%s) group", bdf), 1,
		   "QEMU has %s in its container", bdf);
}

static bool kernels_own;

/* It has a dma-buf of the BAR, unless nobody here makes any. */
static void has_a_dma_buf(const char *driver, const char *bdf, int bar, uint32_t n)
{
	bool any = !strcmp(driver, pci_lender()) || kernels_own;

	is(vm_said(&vm, "vfio_region_dmabuf *%s* region %d *size: %#x", bdf, bar, n),
	   any, "QEMU has %s dma-buf of its BAR %d", any ? "a" : "no", bar);
	vm_show(&vm, "*dma-buf*");
}

static void says_no_error(void)
{
	is(vm_said(&vm, "peer-to-peer transactions*not supported"), 0,
	   "nowhere does it lack peer-to-peer");
	is(vm_said(&vm, "failed: ") + vm_said(&vm, "vfio_container_dma_*map("), 0,
	   "nothing has failed");
}

/* ---- everything that a guest does, one after the other ---------------- */

static void cpu_and_dma(void)
{
	vm_fill(&vm, MEM_AT + MIB, LENGTH, 1, MIB);
	ok(on_host(MIB, LENGTH, 1), "the guest's stores are in the device's memory");
	ok(quiet(MIB - PAGE, PAGE) && quiet(MIB + LENGTH, PAGE), "and nowhere beside");
	host_fill(2 * MIB, 4, 0xa5);
	is(vm_load(&vm, MEM_AT + 2 * MIB), 0xa5a5a5a5, "the guest loads what is there");
	ok(dma_in(MEM_AT, 3 * MIB, 2) && on_host(3 * MIB, CHUNK, 2),
	   "DMA from RAM to the BAR");
	ok(dma_out(MEM_AT, MIB + PAGE, 1), "DMA from the BAR to RAM");
}

static void memory_off_and_on(void)
{
	vm_mark(&vm);
	vm_memory(&vm, mem_slot, false);
	is(unmapped(MEM_AT, 64 * MIB), 1, "memory off: QEMU unmaps the BAR");
	ok(vm_load(&vm, MEM_AT + MIB) != pattern(1, MIB), "the guest loads nothing");
	ok(dma_in(MEM_AT, 4 * MIB, 3) && quiet(4 * MIB, CHUNK),
	   "DMA goes on and arrives nowhere");
	vm_memory(&vm, mem_slot, true);
	is(mapped(MEM_AT, 64 * MIB, 0), 1, "memory on: QEMU maps it");
	is(vm_differs(&vm, MEM_AT + MIB, LENGTH, 1, MIB), -1, "all is as it was");
	ok(dma_in(MEM_AT, 4 * MIB, 4) && on_host(4 * MIB, CHUNK, 4),
	   "DMA arrives again");
}

static void moved(void)
{
	vm_memory(&vm, mem_slot, false);
	vm_bar_place(&vm, mem_slot, BAR, MEM_MOVED);
	vm_memory(&vm, mem_slot, true);
	is(mapped(MEM_MOVED, 64 * MIB, 0), 1, "the BAR elsewhere: mapped there");
	is(vm_differs(&vm, MEM_MOVED + MIB, LENGTH, 1, MIB), -1, "all is as it was");
	ok(dma_in(MEM_MOVED, 5 * MIB, 5) && on_host(5 * MIB, CHUNK, 5), "DMA arrives");
	ok(dma_in(MEM_AT, 6 * MIB, 6) && quiet(6 * MIB, CHUNK),
	   "no more at its old place");
}

/* Pending for ever: the guest's CPU takes no interrupts. */
static bool pending(void)
{
	return vm_load(&vm, APIC + 0x200 + VECTOR / 32 * 16) & 1u << VECTOR % 32;
}

static void interrupt(void)
{
	uint32_t at = vm_config(&vm, edu_slot, PCI_CAPABILITY_LIST) & 0xfc, flags;
	bool came;

	while (at && (vm_config(&vm, edu_slot, at) & 0xff) != PCI_CAP_ID_MSI)
		at = vm_config(&vm, edu_slot, at) >> 8 & 0xfc;
	need(at, "the guest finds edu's MSI");
	flags = vm_config(&vm, edu_slot, at) >> 16;
	vm_store(&vm, APIC + 0xf0, 0x1ff);
	vm_config_set(&vm, edu_slot, at + PCI_MSI_ADDRESS_LO, APIC);
	vm_config_set(&vm, edu_slot, at + (flags & PCI_MSI_FLAGS_64BIT ?
					   PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
		      VECTOR);
	vm_config_set(&vm, edu_slot, at, (flags | PCI_MSI_FLAGS_ENABLE) << 16);
	is(vm_said(&vm, "vfio_msi_enable *%s", edu_bdf), 1, "QEMU enables edu's MSI");
	ok(!pending(), "no interrupt yet");
	vm_store(&vm, EDU_AT + 0x60, 1);
	WAIT_FOR(came, pending(), 20000);
	ok(came, "edu's interrupt is pending in the guest's APIC");
}

static void machine_reset(void)
{
	vm_mark(&vm);
	need(vm_monitor(&vm, "system_reset") && vm_up(&vm), "system_reset");
	is(vm_said(&vm, "vfio_pci_reset_flr %s", mem_bdf), 1,
	   "QEMU resets the device by VFIO_DEVICE_RESET");
	if (!place_both())
		return;
	is(mapped(MEM_AT, 64 * MIB, 0), 1, "QEMU maps its BAR");
	is(vm_differs(&vm, MEM_AT + MIB, LENGTH, 1, MIB), -1, "its memory is as it was");
	ok(dma_in(MEM_AT, 7 * MIB, 7) && on_host(7 * MIB, CHUNK, 7), "DMA arrives");
}

/* The bed's guest has the device again, with what the guest's guest left in it. */
static void reopens(uint32_t seed, uint32_t at, uint32_t n)
{
	struct dev d;
	uint8_t *map;

	is(buf_count(mem_bdf), 0, "no buffer is left");
	need(!dev_open_bound(&d, mem_bdf), "open the device again");
	dev_set_memory(&d, true);
	map = dev_map(&d, BAR, 0, 8 * MIB);
	need(map, "map its BAR");
	is(differs(map + at, seed, at, n), -1, "what was written is there");
	munmap(map, 8 * MIB);
	dev_close(&d);
}

static void through(const char *driver)
{
	need(both_bound(driver), "%s", driver);
	host_fill(0, 8 * MIB, QUIET);
	if (!start(true))
		return;
	took_the_container(mem_bdf);
	took_the_container(edu_bdf);
	is(vm_said(&vm, "vfio_region_mmap *%s BAR 2 mmaps*0x0 - 0x3ffffff", mem_bdf), 1,
	   "QEMU maps the whole BAR into itself");
	has_a_dma_buf(driver, mem_bdf, BAR, 64 * MIB);
	is(vm_said(&vm, "vfio_pci_reset_flr %s", mem_bdf), 1,
	   "QEMU resets the device by VFIO_DEVICE_RESET");
	if (place_both()) {
		is(mapped(MEM_AT, 64 * MIB, 0), 1, "QEMU maps its BAR for DMA");
		cpu_and_dma();
		memory_off_and_on();
		moved();
		interrupt();
		machine_reset();
	}
	vm_mark_begin(&vm);
	says_no_error();
	is(vm_quit(&vm), 0, "QEMU ends");
	reopens(1, MIB, LENGTH);
	reopens(2, 3 * MIB, CHUNK);
}

static void barter(void) { through(pci_lender()); }
static void stock(void) { through("vfio-pci"); }

/* ---- a BAR with a hole ------------------------------------------------ */

/*
 * The disk's BAR has the table of MSI-X in its middle, where QEMU lets nobody but itself
 * write. The kernel lets it map all of the BAR nonetheless (VFIO_REGION_INFO_CAP_-
 * MSIX_MAPPABLE): so there is one area, and one dma-buf of one range, and for DMA QEMU
 * maps the pieces before and behind the table.
 */
static void wide(const char *driver, const char *mode, bool works)
{
	uint32_t version, queues = 0x30007;
	int slot;

	need(bound(wide_bdf, driver, mode), "%s, feature11=%s", driver, mode);
	vm_mark(&vm);
	if (!plug(wide_bdf))
		return;
	is(vm_said(&vm, "vfio_region_mmap *%s BAR 0 mmaps*0x0 - 0x7fff", wide_bdf), 1,
	   "QEMU maps the whole BAR, the table too");
	has_a_dma_buf(driver, wide_bdf, 0, WIDE);
	slot = place(PCI_NVME, 0, WIDE, NVME_AT);
	if (slot < 0)
		return;
	is(mapped(NVME_AT, REGISTERS, 0), works, "DMA: up to the table: %s",
	   works ? "mapped" : "not mapped");
	is(mapped(NVME_AT + BEHIND, WIDE - BEHIND, BEHIND), works, "behind it: %s",
	   works ? "mapped" : "not mapped");
	is(vm_said(&vm, "peer-to-peer transactions*not supported") > 0, !works,
	   "QEMU says %s", works ? "nothing" : "that it lacks peer-to-peer");

	version = vm_load(&vm, NVME_AT + 8);
	is(version, 0x10400, "the guest reads the disk's version");
	vm_fill(&vm, GUEST_RAM, PAGE, 8, 0);
	ok(moves(NVME_AT, GUEST_RAM, 64), "DMA out of the registers");
	is(vm_load(&vm, GUEST_RAM + 8) == version, works, "the version %s",
	   works ? "arrives" : "does not arrive");
	vm_store(&vm, GUEST_RAM, queues);
	ok(moves(GUEST_RAM, NVME_AT + ADMIN_QUEUES, 4), "DMA into a register");
	is(vm_load(&vm, NVME_AT + ADMIN_QUEUES) == queues, works, "it %s",
	   works ? "arrives" : "does not arrive");
	vm_store(&vm, NVME_AT + ADMIN_QUEUES, 0x10001);
	is(vm_load(&vm, NVME_AT + ADMIN_QUEUES), 0x10001, "the guest's CPU writes there");
	unplug(slot);
}

/* What an iommufd takes is the kernel's own buffers: barter's are none. */
static void msix_in_the_middle(void)
{
	int edu;

	need(bound(edu_bdf, pci_lender(), "auto"), "barter");
	if (!start(false))
		return;
	edu = place(PCI_EDU, 0, MIB, EDU_AT);
	if (edu >= 0) {
		wide("vfio-pci", "", true);
		wide(pci_lender(), "auto", true);
		wide(pci_lender(), "barter", !iommufd);
		if (kernels_own)
			wide(pci_lender(), "native", true);
		/* It should be edu's alone: see doc/upstream.md. */
		diag("QEMU has %d dma-bufs when the disk is gone", vm_dmabufs(&vm));
	}
	is(vm_quit(&vm), 0, "QEMU ends");
	feature11_write("auto");
}

/* ---- ends ------------------------------------------------------------- */

static void killed_while_its_guest_writes(void)
{
	char before[65], after[65];
	bool writes;

	need(both_bound(pci_lender()), "barter");
	host_fill(0, 8 * MIB, QUIET);
	if (!start(true))
		return;
	if (!place_both()) {
		vm_kill(&vm);
		return;
	}
	vm_begin_fill(&vm, MEM_AT, 32 * MIB, 9, 0);
	WAIT_FOR(writes, on_host(PAGE, PAGE, 9), 60000);
	ok(writes, "the guest writes");
	is(vm_kill(&vm), SIGKILL, "QEMU is killed");
	host_sum(0, 32 * MIB, before);
	reopens(9, 0, PAGE);
	host_sum(0, 32 * MIB, after);
	ok(!strcmp(before, after) && before[0], "nobody writes any more");
}

int main(int argc, char *argv[])
{
	iommufd = argc > 1 && !strcmp(argv[1], "iommufd");
	if (system("modprobe kvm_amd") || access("/dev/kvm", R_OK | W_OK))
		tap_bail("this machine has no KVM");
	if (iommufd && system("modprobe iommufd"))
		tap_bail("this kernel has no iommufd");
	if (pci_find(PCI_IVSHMEM, 0, mem_bdf) || pci_find(PCI_EDU, 0, edu_bdf) ||
	    pci_find(PCI_NVME, 2, wide_bdf))
		tap_bail("this machine lacks a device");
	kernels_own = kernel_exports(mem_bdf);
	CASE_LIMIT(barter, 180);
	CASE_LIMIT(stock, 180);
	CASE_LIMIT(msix_in_the_middle, 180);
	CASE_LIMIT(killed_while_its_guest_writes, 120);
	return tap_done();
}
