// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * holder FD dma|stuck: uses a buffer until SIGTERM, for suites that are shell scripts.
 *
 * dma: edu's DMA engine reads it, and each round maps and touches its first page anew;
 * while it is revoked that waits. stuck: an importer that does not let go, until there is a
 * file /tmp/letgo.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/access.h"
#include "lib/buf.h"
#include "lib/edu.h"
#include "lib/tester.h"
#include "lib/vfio.h"

static int fail(const char *what, int error)
{
	fprintf(stderr, "holder: %s: %s\n", what, strerror(error < 0 ? -error : error));
	return 1;
}

static int dma(int fd)
{
	static char bytes[EDU_CHUNK];
	int edu = edu_open(), ret;
	volatile char *page;

	ret = edu < 0 ? edu : edu_import(edu, fd);
	if (ret)
		return fail("import", ret);
	for (;;) {
		ret = edu_read(edu, 0, bytes, sizeof(bytes));
		if (ret && ret != -ENODEV && ret != -EBADFD)
			return fail("DMA", ret);
		page = ret ? NULL : buf_map(fd, 0, 4096, PROT_READ);
		if (page) {
			(void)*page;
			munmap((void *)page, 4096);
		}
		/* Others want the emulated CPUs too. */
		usleep(50000);
	}
}

static int stuck(int fd)
{
	int t = tester_open(), id, ret;

	id = t < 0 ? t : tester_attach(t, fd, BARTER_TEST_F_STUCK);
	ret = id < 0 ? id : tester_map(t, id, BARTER_TEST_TO_DEVICE, NULL);
	if (ret)
		return fail("attach or map", ret);
	puts("mapped");
	fflush(stdout);
	while (access("/tmp/letgo", F_OK))
		usleep(20000);
	ret = tester_letgo(t, id);
	if (ret)
		return fail("let go", ret);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: holder FD dma|stuck\n", stderr);
		return 2;
	}
	return strcmp(argv[2], "stuck") ? dma(atoi(argv[1])) : stuck(atoi(argv[1]));
}
