// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Which processes have a buffer open. /proc tells who has a dma-buf; which one it is only
 * the buffer itself can be asked, through a copy of the fd. That copy is made once for
 * each: it keeps the buffer for a moment, which whoever looks should not do all the time.
 */
#include "held.h"
#include "top.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is known of dma-bufs, by inode. */
static struct known {
	ino_t inode;
	uint64_t id;		/* 0: not barter's */
	int used;		/* in this look */
} *known;
static int nr_known, room_known;

static uint64_t ask_id(int pid, int fd)
{
	struct barter_info info = { .size = sizeof(info) };
	int ret;

	info.dmabuf_fd = held_fetch(pid, fd);
	if (info.dmabuf_fd < 0)
		return 0;
	ret = barter_buffer_info(-1, &info);
	close(info.dmabuf_fd);
	return ret ? 0 : info.out_id;
}

static uint64_t id_of(ino_t inode, int pid, int fd)
{
	struct known *more;
	int i;

	for (i = 0; i < nr_known; i++)
		if (known[i].inode == inode) {
			known[i].used = 1;
			return known[i].id;
		}
	if (nr_known == room_known) {
		more = realloc(known, (size_t)(room_known + 64) * sizeof(*more));
		if (!more)
			return ask_id(pid, fd);
		known = more;
		room_known += 64;
	}
	known[nr_known] = (struct known) {
		.inode = inode, .id = ask_id(pid, fd), .used = 1,
	};
	return known[nr_known++].id;
}

static void add(struct top_look *look, uint64_t id, int pid, int fd)
{
	struct top_holder *more;
	char path[64];
	FILE *file;

	more = realloc(look->holders, (size_t)(look->nr_holders + 1) * sizeof(*more));
	if (!more)
		return;
	look->holders = more;
	more += look->nr_holders++;
	*more = (struct top_holder) { .id = id, .pid = pid, .fd = fd };
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(more->program, sizeof(more->program), file))
		more->program[strcspn(more->program, "\n")] = '\0';
	fclose(file);
}

static void see(const struct held *held, void *data)
{
	uint64_t id;

	if (held->pid == (int)getpid())
		return;
	id = id_of(held->inode, held->pid, held->fd);
	if (id)
		add(data, id, held->pid, held->fd);
}

static int order(const void *one, const void *two)
{
	const struct top_holder *a = one, *b = two;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->pid != b->pid ? a->pid - b->pid : a->fd - b->fd;
}

/* Hand each buffer its part of the list. */
static void distribute(struct top_look *look)
{
	int i, first, last;

	for (first = 0; first < look->nr_holders; first = last) {
		const uint64_t id = look->holders[first].id;

		for (last = first; last < look->nr_holders &&
		     look->holders[last].id == id; last++)
			;
		for (i = 0; i < look->nr; i++) {
			if (look->buffers[i].id != id)
				continue;
			look->buffers[i].holders = &look->holders[first];
			look->buffers[i].nr_holders = last - first;
		}
	}
}

void top_holders(struct top_look *look)
{
	int i, kept = 0;

	if (!look->nr)
		return;
	for (i = 0; i < nr_known; i++)
		known[i].used = 0;
	held_each(see, look);
	/* Inodes are used again: forget those that nobody has. */
	for (i = 0; i < nr_known; i++)
		if (known[i].used)
			known[kept++] = known[i];
	nr_known = kept;
	if (look->nr_holders)
		qsort(look->holders, (size_t)look->nr_holders,
		      sizeof(*look->holders), order);
	distribute(look);
}

void top_holders_forget(void)
{
	free(known);
	known = NULL;
	nr_known = room_known = 0;
}
