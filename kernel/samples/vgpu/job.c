// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * A command, transfer by transfer.
 *
 * A copy goes from guest memory into edu's own and from there to guest memory again,
 * both by DMA through the IOMMU; no CPU touches the bytes. The pattern of a fill comes
 * from a page that the CPU wrote. A checksum is the CPU's, over a page that the engine
 * filled: edu can move bytes, not add them up.
 *
 * All memory of a command is pinned and mapped when it begins, in a few calls, and let
 * go when it is over. What the guest unmaps in between, no transfer touches any more.
 *
 * Functions named begin are called by the vEDU's own worker and may take their time;
 * those named step by the engine's worker, which others wait for.
 */
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/unaligned.h>

#include "vedu.h"

#define FNV_BASIS	0xcbf29ce484222325ULL
#define FNV_PRIME	0x00000100000001b3ULL

/* A transfer found its memory taken away: it is to be mapped again. */
#define VEDU_S_AGAIN	(~0U)

/* What of a command's fields an op uses. */
struct vedu_op {
	u32 (*begin)(struct vedu *v);
	u32 (*step)(struct vedu *v);
	u32 flags;
	bool src, dst, length, value;
};

static u32 vedu_status_of(int ret)
{
	switch (ret) {
	case 0:
		return BARTER_VEDU_S_PENDING;
	case -ENOENT:
	case -EFAULT:
	case -EOVERFLOW:
	case -EINVAL:
		return BARTER_VEDU_S_ADDRESS;
	case -EPERM:
		return BARTER_VEDU_S_READ_ONLY;
	case -EREMOTE:
		return BARTER_VEDU_S_DEVICE_MEMORY;
	case -ESTALE:
		return VEDU_S_AGAIN;
	case -EAGAIN:
		return BARTER_VEDU_S_UNMAPPED;
	case -EDQUOT:
		return BARTER_VEDU_S_LIMIT;
	case -ENODEV:
	case -ENXIO:
	case -EIO:
		return BARTER_VEDU_S_ENGINE;
	default:
		return BARTER_VEDU_S_NO_MEMORY;
	}
}

static u32 vedu_transfer(struct vedu *v, dma_addr_t bus, unsigned int at, size_t n,
			 bool to_bus)
{
	int ret = edu_transfer(v->engine, bus, at, n, to_bus);

	mutex_lock(&v->lock);
	v->transfers++;
	mutex_unlock(&v->lock);
	return vedu_status_of(ret);
}

/* Between our own page and edu. */
static u32 vedu_move_own(struct vedu *v, size_t n, bool to_bus)
{
	return vedu_transfer(v, v->engine->bounce_bus, 0, n, to_bus);
}

/*
 * Between guest memory, from byte @offset of what is mapped on, and edu. The guest's
 * unmap waits for the transfer, and there is none after it; likewise when it turns bus
 * mastering or the ring off.
 */
static u32 vedu_move(struct vedu *v, struct vedu_map *map, u64 offset,
		     unsigned int at, size_t n, bool to_bus)
{
	size_t there = n;
	dma_addr_t bus;
	u32 status;
	int ret;

	mutex_lock(&v->dma);
	ret = vedu_map_find(v, map, offset, &bus, &there);
	if (!ret && (there < n || !vedu_may_transfer(v)))
		ret = -ESTALE;
	status = ret ? vedu_status_of(ret) : vedu_transfer(v, bus, at, n, to_bus);
	mutex_unlock(&v->dma);
	return status;
}

/* How much of @n bytes from @offset on is one piece for the engine? */
static u32 vedu_piece(struct vedu *v, struct vedu_map *map, u64 offset, size_t *n)
{
	dma_addr_t bus;
	int ret;

	mutex_lock(&v->dma);
	ret = vedu_map_find(v, map, offset, &bus, n);
	mutex_unlock(&v->dma);
	return vedu_status_of(ret);
}

static u32 vedu_begin_src(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	return vedu_status_of(vedu_map(v, job->cmd.src, job->cmd.length, false,
				       &job->src));
}

static u32 vedu_begin_dst(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	return vedu_status_of(vedu_map(v, job->cmd.dst, job->cmd.length, true,
				       &job->dst));
}

static u32 vedu_begin_copy(struct vedu *v)
{
	return vedu_begin_src(v) ?: vedu_begin_dst(v);
}

static u32 vedu_step_copy(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	size_t n = min_t(u64, job->cmd.length - job->done, VEDU_CHUNK);
	u32 status;

	status = vedu_piece(v, job->src, job->done, &n) ?:
		 vedu_piece(v, job->dst, job->done, &n);
	if (status)
		return status;
	v->engine->loaded = 0;
	status = vedu_move(v, job->src, job->done, 0, n, false) ?:
		 vedu_move(v, job->dst, job->done, 0, n, true);
	if (status)
		return status;
	job->done += n;
	job->result = job->done;
	return job->done == job->cmd.length ? BARTER_VEDU_S_OK : BARTER_VEDU_S_PENDING;
}

/* edu's memory gets the pattern, unless nobody else has used it since the last time. */
static u32 vedu_load_pattern(struct vedu *v)
{
	struct vedu_engine *engine = v->engine;
	size_t i;
	u32 status;

	if (v->job.number && engine->loaded == v->job.number)
		return BARTER_VEDU_S_PENDING;
	for (i = 0; i < VEDU_CHUNK; i += 8)
		put_unaligned_le64(v->job.cmd.value, engine->bounce + i);
	engine->loaded = 0;
	status = vedu_move_own(v, VEDU_CHUNK, false);
	if (!status) {
		v->job.number = ++engine->last_job;
		engine->loaded = v->job.number;
	}
	return status;
}

static u32 vedu_step_fill(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	unsigned int phase = job->done % 8;
	size_t n = min_t(u64, job->cmd.length - job->done, VEDU_CHUNK - phase);
	u32 status;

	status = vedu_piece(v, job->dst, job->done, &n) ?:
		 vedu_load_pattern(v) ?:
		 vedu_move(v, job->dst, job->done, phase, n, true);
	if (status)
		return status;
	job->done += n;
	job->result = job->done;
	return job->done == job->cmd.length ? BARTER_VEDU_S_OK : BARTER_VEDU_S_PENDING;
}

static u32 vedu_begin_checksum(struct vedu *v)
{
	v->job.result = FNV_BASIS;
	return vedu_begin_src(v);
}

static u32 vedu_step_checksum(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	size_t n = min_t(u64, job->cmd.length - job->done, VEDU_CHUNK), i;
	const u8 *bytes = v->engine->bounce;
	u32 status;

	status = vedu_piece(v, job->src, job->done, &n);
	if (status)
		return status;
	v->engine->loaded = 0;
	status = vedu_move(v, job->src, job->done, 0, n, false) ?:
		 vedu_move_own(v, n, true);
	if (status)
		return status;
	for (i = 0; i < n; i++)
		job->result = (job->result ^ bytes[i]) * FNV_PRIME;
	job->done += n;
	return job->done == job->cmd.length ? BARTER_VEDU_S_OK : BARTER_VEDU_S_PENDING;
}

static u32 vedu_begin_fence(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	if (job->cmd.dst % 8)
		return BARTER_VEDU_S_ALIGNMENT;
	return vedu_status_of(vedu_map(v, job->cmd.dst, 8, true, &job->dst));
}

static u32 vedu_step_fence(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	size_t n = 8;
	u32 status;

	v->engine->loaded = 0;
	put_unaligned_le64(job->cmd.value, v->engine->bounce);
	status = vedu_piece(v, job->dst, 0, &n) ?:
		 vedu_move_own(v, n, false) ?:
		 vedu_move(v, job->dst, 0, 0, n, true);
	return status ?: BARTER_VEDU_S_OK;
}

static struct vedu_map **vedu_held_find(struct vedu *v)
{
	const struct barter_vedu_command *cmd = &v->job.cmd;
	int i;

	for (i = 0; i < BARTER_VEDU_MAX_HELD; i++)
		if (v->held[i] && vedu_map_is(v->held[i], cmd->src, cmd->length,
						cmd->flags & BARTER_VEDU_F_WRITE))
			return &v->held[i];
	return NULL;
}

static u32 vedu_begin_hold(struct vedu *v)
{
	const struct barter_vedu_command *cmd = &v->job.cmd;
	u32 status;
	int i;

	for (i = 0; i < BARTER_VEDU_MAX_HELD && v->held[i]; i++)
		;
	if (i == BARTER_VEDU_MAX_HELD)
		return BARTER_VEDU_S_HELD;
	status = vedu_status_of(vedu_map(v, cmd->src, cmd->length,
					 cmd->flags & BARTER_VEDU_F_WRITE, &v->held[i]));
	if (status)
		return status;
	v->job.result = vedu_map_segments(v, v->held[i]);
	return BARTER_VEDU_S_OK;
}

static u32 vedu_begin_release(struct vedu *v)
{
	struct vedu_map **held = vedu_held_find(v);

	if (!held)
		return BARTER_VEDU_S_HELD;
	vedu_unmap(v, *held);
	*held = NULL;
	return BARTER_VEDU_S_OK;
}

static const struct vedu_op vedu_ops[] = {
	[BARTER_VEDU_OP_COPY] = {
		.begin = vedu_begin_copy, .step = vedu_step_copy,
		.src = true, .dst = true, .length = true,
	},
	[BARTER_VEDU_OP_FILL] = {
		.begin = vedu_begin_dst, .step = vedu_step_fill,
		.dst = true, .length = true, .value = true,
	},
	[BARTER_VEDU_OP_CHECKSUM] = {
		.begin = vedu_begin_checksum, .step = vedu_step_checksum,
		.src = true, .length = true,
	},
	[BARTER_VEDU_OP_FENCE] = {
		.begin = vedu_begin_fence, .step = vedu_step_fence,
		.dst = true, .value = true,
	},
	[BARTER_VEDU_OP_HOLD] = {
		.begin = vedu_begin_hold, .flags = BARTER_VEDU_F_WRITE,
		.src = true, .length = true,
	},
	[BARTER_VEDU_OP_RELEASE] = {
		.begin = vedu_begin_release, .flags = BARTER_VEDU_F_WRITE,
		.src = true, .length = true,
	},
};

static u32 vedu_check(const struct barter_vedu_command *cmd,
		      const struct vedu_op *op)
{
	if (cmd->flags & ~(BARTER_VEDU_F_INTERRUPT | op->flags) || cmd->__reserved ||
	    cmd->__reserved2 || (cmd->src && !op->src) || (cmd->dst && !op->dst) ||
	    (cmd->value && !op->value))
		return BARTER_VEDU_S_INVALID;
	if (op->length ? !cmd->length || cmd->length > BARTER_VEDU_MAX_LENGTH :
			 cmd->length)
		return BARTER_VEDU_S_LENGTH;
	return BARTER_VEDU_S_PENDING;
}

/* What the guest did not unmap itself is there again; or nothing was taken away. */
static u32 vedu_begin_again(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	int ret = 0;

	if (job->src)
		ret = vedu_map_again(v, job->src);
	if (job->dst && !ret)
		ret = vedu_map_again(v, job->dst);
	/* It was there when the command began. */
	return ret == -ENOENT ? BARTER_VEDU_S_UNMAPPED : vedu_status_of(ret);
}

/**
 * vedu_job_begin - make the job ready for the engine, for the first time or again
 * @v: with an active job
 *
 * Context: the vEDU's worker.
 *
 * Return: BARTER_VEDU_S_PENDING: it is; else the job is over.
 */
u32 vedu_job_begin(struct vedu *v)
{
	struct vedu_job *job = &v->job;
	u32 op = job->cmd.op;

	if (job->op)
		return vedu_begin_again(v);
	if (op >= ARRAY_SIZE(vedu_ops) || !vedu_ops[op].begin)
		return BARTER_VEDU_S_INVALID;
	job->op = &vedu_ops[array_index_nospec(op, ARRAY_SIZE(vedu_ops))];
	return vedu_check(&job->cmd, job->op) ?: job->op->begin(v);
}

/**
 * vedu_job_step - do the next piece of a vEDU's job
 * @v: with a job that has begun
 *
 * Context: the engine's worker. At most two transfers.
 *
 * Return: is there more for the engine to do? If not, the job is over, or is to begin
 * again.
 */
bool vedu_job_step(struct vedu *v)
{
	u32 status = v->job.op->step(v);

	if (status == VEDU_S_AGAIN)
		return false;
	v->job.status = status;
	return status == BARTER_VEDU_S_PENDING;
}

/* Whoever has stopped @v, or its worker: the job is no more, its memory is let go. */
void vedu_job_drop(struct vedu *v)
{
	struct vedu_job *job = &v->job;

	if (job->src)
		vedu_unmap(v, job->src);
	if (job->dst)
		vedu_unmap(v, job->dst);
	job->src = NULL;
	job->dst = NULL;
	job->active = false;
}

void vedu_job_drop_held(struct vedu *v)
{
	int i;

	for (i = 0; i < BARTER_VEDU_MAX_HELD; i++) {
		if (v->held[i])
			vedu_unmap(v, v->held[i]);
		v->held[i] = NULL;
	}
}
