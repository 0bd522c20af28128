// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A vEDU's registers, its ring, and its worker, which takes commands out of it.
 *
 * Nothing that a guest writes is believed twice: a command is copied out of the ring
 * once, TAIL is below the number of slots or not taken at all. A ring holds 63
 * commands before its guest has to speak up again.
 */
#include <linux/nospec.h>
#include <linux/pci_regs.h>
#include <linux/sched/signal.h>

#include "vedu.h"

static_assert(sizeof(struct barter_vedu_command) == 64);
static_assert(BARTER_VEDU_RING + sizeof_field(struct vedu, ring) ==
	      BARTER_VEDU_BAR0_LENGTH);

/* A job that has begun pauses while the guest does not want it to go on. */
static bool vedu_ring_runs(const struct vedu *v)
{
	lockdep_assert_held(&v->lock);

	return v->enable && !v->halt && vedu_config_master(v);
}

static u32 vedu_status(const struct vedu *v)
{
	return (v->head != v->tail ? BARTER_VEDU_STATUS_BUSY : 0) |
	       (v->halt ? BARTER_VEDU_STATUS_HALTED : 0);
}

static u32 vedu_register_read(const struct vedu *v, u64 offset)
{
	switch (offset) {
	case BARTER_VEDU_ID:
		return BARTER_VEDU_MAGIC;
	case BARTER_VEDU_SLOTS:
		return BARTER_VEDU_NR_SLOTS;
	case BARTER_VEDU_CONTROL:
		return v->enable;
	case BARTER_VEDU_STATUS:
		return vedu_status(v);
	case BARTER_VEDU_HEAD:
		return v->head;
	case BARTER_VEDU_TAIL:
		return v->tail;
	case BARTER_VEDU_INTERRUPT:
		return v->interrupt;
	case BARTER_VEDU_HALT:
		return v->halt;
	case BARTER_VEDU_COMPLETED:
		return lower_32_bits(v->completed);
	case BARTER_VEDU_COMPLETED + 4:
		return upper_32_bits(v->completed);
	case BARTER_VEDU_FAILED:
		return lower_32_bits(v->failed);
	case BARTER_VEDU_FAILED + 4:
		return upper_32_bits(v->failed);
	case BARTER_VEDU_TRANSFERS:
		return lower_32_bits(v->transfers);
	case BARTER_VEDU_TRANSFERS + 4:
		return upper_32_bits(v->transfers);
	default:
		return 0;
	}
}

/* Is a reset wanted? */
static bool vedu_register_write(struct vedu *v, u64 offset, u32 value)
{
	switch (offset) {
	case BARTER_VEDU_CONTROL:
		v->enable = value & BARTER_VEDU_CONTROL_ENABLE;
		return value & BARTER_VEDU_CONTROL_RESET;
	case BARTER_VEDU_TAIL:
		if (v->halt)
			break;
		if (value < BARTER_VEDU_NR_SLOTS)
			v->tail = value;
		else
			v->halt = BARTER_VEDU_HALT_TAIL;
		break;
	case BARTER_VEDU_INTERRUPT:
		v->interrupt &= ~value;
		break;
	}
	return false;
}

/**
 * vedu_ring_access - read or write BAR 0
 * @v: open
 * @data: the bytes
 * @n: how many; no more than one command
 * @offset: all of them inside the BAR
 * @write: the direction
 *
 * Return: 0; 1: and the device is to be reset; -EINVAL: not whole aligned words.
 */
int vedu_ring_access(struct vedu *v, u8 *data, size_t n, u64 offset, bool write)
{
	bool reset = false, runs;
	size_t i;

	if (!n || (offset | n) % 4)
		return -EINVAL;

	mutex_lock(&v->lock);
	if (offset >= BARTER_VEDU_RING) {
		u8 *ring = (u8 *)v->ring + (offset - BARTER_VEDU_RING);

		if (write)
			memcpy(ring, data, n);
		else
			memcpy(data, ring, n);
		mutex_unlock(&v->lock);
		return 0;
	}
	runs = vedu_ring_runs(v);
	for (i = 0; i < n; i += 4) {
		__le32 word;

		if (write) {
			memcpy(&word, data + i, 4);
			reset |= vedu_register_write(v, offset + i,
						     le32_to_cpu(word));
		} else {
			word = cpu_to_le32(vedu_register_read(v, offset + i));
			memcpy(data + i, &word, 4);
		}
	}
	runs = runs && !vedu_ring_runs(v);
	mutex_unlock(&v->lock);
	if (runs)
		vedu_settle(v);
	if (write && !reset)
		vedu_kick(v);
	return reset;
}

/* An empty ring, registers as after a reset. v->lock is held, or @v is closed. */
void vedu_ring_reset(struct vedu *v)
{
	memset(v->ring, 0, sizeof(v->ring));
	v->head = 0;
	v->tail = 0;
	v->enable = 0;
	v->interrupt = 0;
	v->halt = BARTER_VEDU_HALT_NONE;
	v->completed = 0;
	v->failed = 0;
	v->transfers = 0;
}

/* Nothing runs any more before a reset, and the guest is told. */
void vedu_ring_halt(struct vedu *v, u32 why)
{
	mutex_lock(&v->lock);
	v->halt = why;
	v->interrupt = 1;
	mutex_unlock(&v->lock);
	vedu_irq_raise(&v->msi);
}

/* Every field little endian, in place: on such machines there is nothing to do. */
static void vedu_command_to_cpu(struct barter_vedu_command *cmd)
{
	cmd->op = le32_to_cpu((__force __le32)cmd->op);
	cmd->flags = le32_to_cpu((__force __le32)cmd->flags);
	cmd->src = le64_to_cpu((__force __le64)cmd->src);
	cmd->dst = le64_to_cpu((__force __le64)cmd->dst);
	cmd->length = le64_to_cpu((__force __le64)cmd->length);
	cmd->value = le64_to_cpu((__force __le64)cmd->value);
	cmd->__reserved = le32_to_cpu((__force __le32)cmd->__reserved);
	cmd->__reserved2 = le64_to_cpu((__force __le64)cmd->__reserved2);
}

/* Asked under v->dma: does the guest want a transfer to begin? */
bool vedu_may_transfer(struct vedu *v)
{
	bool may;

	lockdep_assert_held(&v->dma);

	mutex_lock(&v->lock);
	may = vedu_ring_runs(v);
	mutex_unlock(&v->lock);
	return may;
}

/* The guest has turned transfers off: the one on its way ends before it is told so. */
void vedu_settle(struct vedu *v)
{
	mutex_lock(&v->dma);
	mutex_unlock(&v->dma);
}

/* The next command becomes the job, unless there is one. */
static bool vedu_ring_fetch(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	mutex_lock(&v->lock);
	if (!vedu_ring_runs(v) || (!job->active && v->head == v->tail)) {
		mutex_unlock(&v->lock);
		return false;
	}
	if (!job->active) {
		memset(job, 0, sizeof(*job));
		job->active = true;
		job->cmd = v->ring[v->head];
		vedu_command_to_cpu(&job->cmd);
	}
	mutex_unlock(&v->lock);
	return true;
}

static void vedu_ring_complete(struct vedu *v)
{
	struct barter_vedu_command *slot;
	struct vedu_job *job = &v->job;
	u32 status = job->status;

	mutex_lock(&v->lock);
	slot = &v->ring[array_index_nospec(v->head, BARTER_VEDU_NR_SLOTS)];
	slot->out_value = (__force u64)cpu_to_le64(job->result);
	slot->out_status = (__force u32)cpu_to_le32(status);
	v->head = (v->head + 1) % BARTER_VEDU_NR_SLOTS;
	v->completed++;
	v->failed += status != BARTER_VEDU_S_OK;
	if (job->cmd.flags & BARTER_VEDU_F_INTERRUPT)
		v->interrupt = 1;
	mutex_unlock(&v->lock);
	if (job->cmd.flags & BARTER_VEDU_F_INTERRUPT)
		vedu_irq_raise(&v->msi);
}

/* Do what can be done without the engine; false: no more, for now. */
static bool vedu_work_one(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	if (vedu_engine_has(v) || !vedu_ring_fetch(v))
		return false;
	if (job->status == BARTER_VEDU_S_PENDING)
		job->status = vedu_job_begin(v);
	if (job->status == BARTER_VEDU_S_PENDING) {
		vedu_engine_submit(v);
		return false;
	}
	/* Whoever has stopped us may be why it failed; the job is theirs. */
	if (vedu_engine_has(v))
		return false;
	vedu_job_drop(v);
	vedu_ring_complete(v);
	return true;
}

/**
 * vedu_work - what a vEDU's own worker does
 * @work: in it
 *
 * Commands that need no engine, or are refused, are done in here.
 */
void vedu_work(struct kthread_work *work)
{
	struct vedu *v = container_of(work, struct vedu, work);
	unsigned int n;
	bool again;

	vedu_work_begin(v);
	for (n = 0; n < BARTER_VEDU_NR_SLOTS && vedu_work_next(v) && vedu_work_one(v); n++)
		cond_resched();
	/* With the signal forgotten the next command has its own time. */
	again = n == BARTER_VEDU_NR_SLOTS || fatal_signal_pending(current);
	vedu_work_end(v);
	if (again)
		vedu_kick(v);
}

/**
 * vedu_turn - a vEDU's turn at the engine
 * @v: whose job the engine has
 *
 * Context: the engine's worker.
 *
 * Return: is there more for the engine to do?
 */
bool vedu_turn(struct vedu *v)
{
	return vedu_job_step(v);
}
