// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Calls on an open vEDU: its registers, commands that run while calls_guest.c unmaps their
 * memory, interrupts, and its BAR 2, which is mapped and lent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/barter.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../device/lib/proc.h"
#include "../device/lib/tap.h"
#include "../device/lib/vedu.h"
#include "fuzz.h"

#define BAR2 REGION(VFIO_PCI_BAR2_REGION_INDEX)

static int event = -1; /* all interrupts may come there */

const char *vedu_init(void)
{
	const char *lacks = guest_init();

	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return event < 0 ? "no eventfd" : lacks;
}

/* ---- its registers and commands ---- */

static long access_at(struct thread *t, uint64_t vedu, uint64_t at, uint64_t value, uint64_t how,
		      uint64_t ptr)
{
	uint64_t data[8] = { value, ~value, value << 8, value >> 8 };
	size_t n = how % 8 ? 4u << how / 16 % 2 : how / 8 % 80;
	void *p = place(t, ptr, data, sizeof(data));

	if (how & 128)
		return RESULT(pread(fd_get(vedu), p, n, (off_t)at));
	return RESULT(pwrite(fd_get(vedu), p, n, (off_t)at));
}

static long c_register(struct thread *t, const uint64_t *a)
{
	return access_at(t, a[0], a[1], a[2], a[3], a[4]);
}

static long c_config(struct thread *t, const uint64_t *a)
{
	return access_at(t, a[0], CONFIG + a[1], a[2], a[3], a[4]);
}

static long c_bar(struct thread *t, const uint64_t *a)
{
	return access_at(t, a[0], BAR2 + a[1] % (VEDU_BAR2 + PAGE), a[2], a[3], a[4]);
}

static long c_region(struct thread *t, const uint64_t *a)
{
	uint8_t data[2 * PAGE] = { 0 };

	return RESULT(pread(fd_get(a[0]), place(t, a[4], data, sizeof(data)), a[3] % sizeof(data),
			    (off_t)(REGION(a[1]) + a[2])));
}

/* Memory and bus mastering on or off, the ring on or off. */
static long c_master(struct thread *t, const uint64_t *a)
{
	uint16_t command = (a[1] & 1 ? PCI_COMMAND_MEMORY : 0) |
			   (a[1] & 2 ? PCI_COMMAND_MASTER : 0);
	uint32_t control = a[1] / 8 % 4;

	(void)t;
	if (!(a[1] & 64))
		return vedu_start(fd_get(a[0]));
	if (a[1] & 4)
		return RESULT(pwrite(fd_get(a[0]), &command, sizeof(command),
				     (off_t)(CONFIG + PCI_COMMAND)));
	return RESULT(pwrite(fd_get(a[0]), &control, sizeof(control), BARTER_VEDU_CONTROL));
}

static off_t slot_at(uint32_t slot)
{
	return BARTER_VEDU_RING +
	       slot % BARTER_VEDU_NR_SLOTS * (off_t)sizeof(struct barter_vedu_command);
}

/* Anything, anywhere in the ring; with the doorbell, mostly. */
static long c_command(struct thread *t, const uint64_t *a)
{
	struct barter_vedu_command cmd = {
		.op = a[2] % 64 ? a[2] % 8 : (uint32_t)a[2],
		.flags = a[2] / 64 % 4,
		.src = a[3],
		.dst = a[4],
		.length = a[5],
		.value = a[6],
		.__reserved = a[2] / 256 % 32 == 1,
		.__reserved2 = a[2] / 256 % 32 == 2,
	};
	uint32_t tail = ((uint32_t)a[1] + 1) % (a[1] & 128 ? 256 : BARTER_VEDU_NR_SLOTS);
	int fd = fd_get(a[0]);

	/* What an op has no use for is mostly 0. */
	if (a[2] & 0x2000) {
		cmd.value = 0;
		cmd.length %= 4096;
		if (cmd.op >= BARTER_VEDU_OP_HOLD || cmd.op == BARTER_VEDU_OP_CHECKSUM)
			cmd.dst = 0;
		else if (cmd.op != BARTER_VEDU_OP_COPY)
			cmd.src = 0;
	}
	if (pwrite(fd, place(t, a[7], &cmd, sizeof(cmd)), sizeof(cmd), slot_at((uint32_t)a[1])) < 0)
		return -errno;
	if (!(a[2] & 0xc000))
		return 0;
	return RESULT(pwrite(fd, &tail, sizeof(tail), BARTER_VEDU_TAIL));
}

/* For how long (ms) a command is waited for: where nobody is in the way, until it ends. */
static uint64_t patience(uint64_t a)
{
	if (a == PATIENT && is_patient)
		return PATIENT;
	return a > 200 ? 2000 : a * 10;
}

static long wait_for(int fd, uint32_t slot, uint64_t ms)
{
	struct barter_vedu_command cmd = { 0 };
	bool over;

	WAIT_FOR(over, pread(fd, &cmd, sizeof(cmd), slot_at(slot)) < 0 || cmd.out_status,
		 (int64_t)ms);
	if (!over)
		return -ETIMEDOUT;
	return cmd.out_status == BARTER_VEDU_S_OK ? 0 : -EREMOTEIO;
}

/*
 * Commands as they should be, in a row. Those that need the engine take 100 ms for each
 * transfer, so that others unmap their memory meanwhile.
 */
static long c_run(struct thread *t, const uint64_t *a)
{
	static const uint8_t ops[] = {
		BARTER_VEDU_OP_HOLD,	 BARTER_VEDU_OP_HOLD,  BARTER_VEDU_OP_RELEASE,
		BARTER_VEDU_OP_CHECKSUM, BARTER_VEDU_OP_FENCE, BARTER_VEDU_OP_FILL,
		BARTER_VEDU_OP_COPY,	 BARTER_VEDU_OP_HOLD,
	};
	uint32_t nr = 1 + a[2] % 4, tail = 0, first;
	uint64_t at = GUEST_IOVA + (a[2] >= 192) * GUEST_MEMORY + a[3] % MIB;
	int fd = fd_get(a[0]);

	(void)t;
	/* Else a long one of somebody's may be in front. */
	if (a[1] & 128) {
		ioctl(fd, VFIO_DEVICE_RESET);
		vedu_start(fd);
	}
	if (pread(fd, &tail, sizeof(tail), BARTER_VEDU_TAIL) < 0)
		return -errno;
	first = tail;
	for (uint32_t i = 0; i < nr; i++) {
		struct barter_vedu_command cmd = {
			.op = ops[(a[1] >> i) % 8],
			.flags = a[2] / 16 % 2,
		};

		cmd.length = cmd.op == BARTER_VEDU_OP_FENCE ? 0 : 1 + (a[2] << i) % (4 * PAGE);
		if (cmd.op == BARTER_VEDU_OP_FENCE || cmd.op == BARTER_VEDU_OP_FILL)
			cmd.dst = at & ~7ull;
		else
			cmd.src = at;
		if (cmd.op == BARTER_VEDU_OP_COPY)
			cmd.dst = GUEST_IOVA + GUEST_MEMORY / 2 + at % (GUEST_MEMORY / 4);
		if (pwrite(fd, &cmd, sizeof(cmd), slot_at(tail)) < 0)
			return -errno;
		tail = (tail + 1) % BARTER_VEDU_NR_SLOTS;
	}
	if (pwrite(fd, &tail, sizeof(tail), BARTER_VEDU_TAIL) < 0)
		return -errno;
	return wait_for(fd, first, patience(a[4]));
}

static long c_reset(struct thread *t, const uint64_t *a)
{
	(void)t;
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_RESET));
}

/* ---- interrupts, also of other devices, and what VFIO asks ---- */

long set_irqs(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_irq_set h;
		int32_t fd[4];
	} arg = {
		.h = {
			.argsz = (uint32_t)size_of(a[5], sizeof(arg)),
			.flags = a[2] ? (uint32_t)a[2] : VFIO_IRQ_SET_ACTION_TRIGGER | 1u << a[1] / 8 % 3,
			.index = a[1] & 64  ? VFIO_PCI_MSI_IRQ_INDEX :
				 a[1] & 128 ? VFIO_PCI_REQ_IRQ_INDEX :
					      a[1] % 8,
			.start = a[3] / 4 % 8 == 1,
			.count = a[3] < 128 ? 1 : a[3] < 200 ? a[3] % 3 : (uint32_t)a[3] << 24,
		},
		.fd = { a[3] % 8 == 1 ? -1 :
			a[3] & 48     ? event :
					fd_get(a[4]),
			event, -1, -2 },
	};

	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_SET_IRQS, place(t, a[6], &arg, sizeof(arg))));
}

long set_irq_well(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_irq_set h;
		int32_t fd;
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = a[1] & 1 ? VFIO_PCI_MSI_IRQ_INDEX : VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = event,
	};

	(void)t;
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_SET_IRQS, &arg));
}

static long c_info(struct thread *t, const uint64_t *a)
{
	static const unsigned long cmd[] = {
		VFIO_DEVICE_GET_INFO,
		VFIO_DEVICE_GET_REGION_INFO,
		VFIO_DEVICE_GET_IRQ_INFO,
	};
	uint32_t arg[32] = { (uint32_t)size_of(a[2], 32), 0, (uint32_t)a[3] };

	return RESULT(ioctl(fd_get(a[0]), cmd[a[1] % 3], place(t, a[4], arg, sizeof(arg))));
}

/* ---- its BAR 2 ---- */

static long c_lend(struct thread *t, const uint64_t *a)
{
	struct {
		struct vfio_device_feature h;
		struct vfio_device_feature_dma_buf r;
		struct vfio_region_dma_range ranges[4];
	} arg = {
		.h = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		},
		.r = { .region_index = 2, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 + a[1] % 4 },
	};

	for (unsigned int i = 0; i < 4; i++)
		arg.ranges[i] = (struct vfio_region_dma_range){
			(a[1] >> i) % 8 * PAGE * (a[1] & 8 ? 64 : 1),
			(1 + (a[1] >> i) % 3) * PAGE,
		};
	/* One that is wrong, or the whole. */
	if (a[1] >= 240)
		arg.ranges[0] = (struct vfio_region_dma_range){ a[2], a[1] & 1 ? VEDU_BAR2 : PAGE };
	if (a[1] % 32 == 31)
		arg.r.region_index = (uint32_t)a[2];
	return fd_put(K_BUF,
		      ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, place(t, a[3], &arg, sizeof(arg))));
}

/* With its own number; and what is done to a buffer through its device. */
static long c_feature(struct thread *t, const uint64_t *a)
{
	struct vfio_region_dma_range range = { a[3] % VEDU_BAR2 & ~(PAGE - 1), PAGE };
	struct {
		struct vfio_device_feature h;
		union {
			struct barter_feature_export e;
			struct barter_feature_revoke r;
			struct barter_feature_memattr m;
		};
	} arg = { 0 };
	void *p;

	arg.h.argsz = (uint32_t)size_of(a[4], sizeof(arg));
	switch (a[2] % 4) {
	case 0:
		arg.h.flags = VFIO_DEVICE_FEATURE_SET | BARTER_FEATURE_REVOKE;
		arg.h.argsz = (uint32_t)size_of(a[4], sizeof(arg.h) + sizeof(arg.r));
		arg.r.size = sizeof(arg.r);
		arg.r.dmabuf_fd = fd_get(a[1]);
		break;
	case 1:
		arg.h.flags = VFIO_DEVICE_FEATURE_SET | BARTER_FEATURE_MEMATTR;
		arg.h.argsz = (uint32_t)size_of(a[4], sizeof(arg.h) + sizeof(arg.m));
		arg.m.size = sizeof(arg.m);
		arg.m.flags = a[2] / 4 % 4;
		arg.m.dmabuf_fd = fd_get(a[1]);
		arg.m.memattr = a[2] / 16 % 3;
		break;
	default:
		arg.h.flags = VFIO_DEVICE_FEATURE_GET | BARTER_FEATURE_EXPORT;
		arg.e.size = sizeof(arg.e);
		arg.e.region_index = a[2] / 4 % 16 == 1 ? 0 : 2;
		arg.e.flags = a[2] / 64 % 4;
		arg.e.open_flags = arg.e.flags & BARTER_EXPORT_READ_ONLY ? O_RDONLY : O_RDWR;
		arg.e.nr_ranges = 1;
		arg.e.memattr = a[3] % 3;
		arg.e.ranges = (uintptr_t)&range;
		p = place(t, a[5], &arg, sizeof(arg));
		return fd_put(K_BUF, ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, p));
	}
	return RESULT(ioctl(fd_get(a[0]), VFIO_DEVICE_FEATURE, place(t, a[5], &arg, sizeof(arg))));
}

static long c_map_bar(struct thread *t, const uint64_t *a)
{
	unsigned int slot = (unsigned int)(a[1] % DEV_SLOTS);
	uint64_t length = a[2] & 1 ? VEDU_BAR2 : (1 + a[2] / 16) * PAGE;
	uint64_t at = a[2] & 2 ? a[3] & ~(PAGE - 1) : 0;
	void *p = mmap(slot_address(slot), length, PROT_READ | PROT_WRITE,
		       (a[2] & 12 ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, fd_get(a[0]),
		       (off_t)(BAR2 + at));

	(void)t;
	if (p == MAP_FAILED)
		return -errno;
	slot_used(slot);
	return 0;
}

const struct call_type vedu_calls[] = {
	{ "vedu_register", c_register, 10, { A_VEDU, A_REGISTER, A_VALUE, A_SMALL, A_PTR } },
	{ "vedu_config", c_config, 6, { A_VEDU, A_CONFIG, A_VALUE, A_SMALL, A_PTR } },
	{ "vedu_bar", c_bar, 4, { A_VEDU, A_OFFSET, A_VALUE, A_SMALL, A_PTR } },
	{ "vedu_region", c_region, 4, { A_VEDU, A_BAR, A_REGISTER, A_LENGTH, A_PTR } },
	{ "vedu_master", c_master, 10, { A_VEDU, A_SMALL } },
	{ "vedu_command",
	  c_command,
	  14,
	  { A_VEDU, A_SMALL, A_SEED, A_IOVA, A_IOVA, A_LENGTH, A_VALUE, A_PTR } },
	{ "vedu_run", c_run, 24, { A_VEDU, A_SMALL, A_SMALL, A_OFFSET, A_MS } },
	{ "vedu_reset", c_reset, 4, { A_VEDU } },
	{ "vedu_irqs", set_irqs, 8, { A_VEDU, A_SMALL, A_FLAGS, A_SMALL, A_OTHER, A_SIZE, A_PTR } },
	{ "vedu_irq_well", set_irq_well, 4, { A_VEDU, A_SMALL } },
	{ "vedu_info", c_info, 4, { A_VEDU, A_SMALL, A_SIZE, A_BAR, A_PTR } },
	{ "vedu_lend", c_lend, 14, { A_VEDU, A_SMALL, A_OFFSET, A_PTR } },
	{ "vedu_feature", c_feature, 8, { A_VEDU, A_BUF, A_SEED, A_OFFSET, A_SIZE, A_PTR } },
	{ "vedu_map_bar", c_map_bar, 8, { A_VEDU, A_SLOT, A_SMALL, A_OFFSET } },
};

const unsigned int nr_vedu_calls = sizeof(vedu_calls) / sizeof(*vedu_calls);
