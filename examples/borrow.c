/* SPDX-License-Identifier: MIT */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Borrow a slice of device memory from a broker, fill it, and be ready for its end.
 *
 *	borrow SOCKET NAME
 *
 * A slice can be taken back at any moment. Then an access raises SIGBUS, and whoever
 * does not want to die of that catches it; the connection tells why.
 */
#include <barter.h>
#include <barter-vend.h>

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf gone;

static void taken_back(int signal)
{
	siglongjmp(gone, signal);
}

/* Count in the first word of the slice until it is taken back. */
static void use(volatile uint32_t *memory)
{
	if (sigsetjmp(gone, 1))
		return;
	signal(SIGBUS, taken_back);
	for (;; usleep(100000)) {
		memory[0]++;
		printf("%" PRIu32 "\n", memory[0]);
		fflush(stdout);
	}
}

static int borrow(struct barter_broker *broker, const char *name)
{
	struct pollfd wait = { .fd = barter_broker_fd(broker), .events = POLLIN };
	struct barter_vend_event event;
	struct barter_vend_lease lease;
	void *memory;
	int fd, ret;

	ret = barter_broker_borrow(broker, name, 0, &lease, &fd);
	if (ret)
		return ret;
	printf("lease %" PRIu64 ": %" PRIu64 " bytes of %s\n", lease.lease,
	       lease.length, lease.device);
	ret = barter_buffer_map(fd, 0, 0, PROT_READ | PROT_WRITE, &memory);
	if (!ret) {
		use(memory);
		/* Or the broker has died: then there is no event, but -EPIPE. */
		poll(&wait, 1, 1000);
		if (!barter_broker_event(broker, &event))
			printf("taken back (%s)\n",
			       barter_vend_why_name(event.why));
		barter_unmap(memory, lease.length);
	}
	close(fd);
	return ret;
}

int main(int argc, char **argv)
{
	struct barter_broker *broker;
	int ret;

	if (argc != 3) {
		fprintf(stderr, "usage: borrow SOCKET NAME\n");
		return 2;
	}
	ret = barter_broker_open(argv[1], &broker);
	if (!ret) {
		ret = borrow(broker, argv[2]);
		barter_broker_close(broker);
	}
	if (ret)
		fprintf(stderr, "borrow: %s: %s\n", argv[2], strerror(-ret));
	return ret ? 1 : 0;
}
