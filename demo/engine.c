// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * edu's DMA engine.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

long long clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec time = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

int engine_open(int buffer)
{
	struct barter_dma_import import = {
		.size = sizeof(import),
		.dmabuf_fd = buffer,
	};
	int fd = open("/dev/barter-dma0", O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, BARTER_DMA_IOC_IMPORT, &import))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int engine_copy(int engine, uint32_t flags, uint64_t offset, void *data,
		uint64_t length)
{
	struct barter_dma_copy copy = {
		.size = sizeof(copy),
		.flags = flags,
		.offset = offset,
		.length = length,
		.user = (uintptr_t)data,
	};

	return ioctl(engine, BARTER_DMA_IOC_COPY, &copy) ? -errno : 0;
}

int engine_status(int engine, struct barter_dma_status *status)
{
	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	return ioctl(engine, BARTER_DMA_IOC_STATUS, status) ? -errno : 0;
}

static void *scribble(void *argument)
{
	struct scribbler *scribbler = argument;
	uint8_t data[4096];
	uint8_t round = 0;

	while (!atomic_load(&scribbler->stop)) {
		long long start = clock_ns();
		int ret;

		memset(data, ++round, sizeof(data));
		ret = engine_copy(scribbler->engine, BARTER_DMA_F_TO_BUFFER,
				  scribbler->offset, data, scribbler->length);
		if (!ret) {
			atomic_store(&scribbler->last_start, start);
			atomic_fetch_add(&scribbler->done, 1);
			continue;
		}
		atomic_fetch_add(ret == -ENODEV ? &scribbler->refused :
				 &scribbler->others, 1);
		sleep_ms(1);
	}
	return NULL;
}

int scribbler_start(struct scribbler *scribbler)
{
	if (scribbler->length > 4096)
		return -EINVAL;
	return -pthread_create(&scribbler->thread, NULL, scribble, scribbler);
}

void scribbler_stop(struct scribbler *scribbler)
{
	atomic_store(&scribbler->stop, 1);
	pthread_join(scribbler->thread, NULL);
}
