// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Copyright (c) 2026 the barter developers
 *
 * vmm BDF: what a VMM does with libbarter, without a guest.
 *
 * It maps BAR 2 of the device, takes a scattered picture that its guest would have
 * there (addresses of this process, as a VMM finds them in its memory map), lends it
 * as one dma-buf, and follows the buffer's state: whatever it has mapped elsewhere it
 * would map again at each "ok". Here it takes memory away itself, and ends when the
 * buffer is dead.
 */
#include <barter.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE	4096
#define HALF	(1024 * 1024)

static int fail(const char *what, int error)
{
	fprintf(stderr, "vmm: %s: %s\n", what, strerror(-error));
	return 1;
}

/* The next change; sleeps until there is one. */
static int next_change(struct barter_watcher *watcher,
		       struct barter_change *change)
{
	struct pollfd fd = { .fd = barter_watch_fd(watcher), .events = POLLIN };
	int ret;

	while ((ret = barter_watch_read(watcher, change)) == -EAGAIN)
		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
	return ret;
}

/* Tell of changes until the buffer is in that state. */
static int follow_to(struct barter_watcher *watcher, uint32_t state)
{
	struct barter_change change;
	char reasons[160];
	int ret;

	do {
		ret = next_change(watcher, &change);
		if (ret)
			return ret;
		/* On BARTER_STATE_OK a VMM would map again what it had mapped. */
		printf("%s %s\n", barter_state_name(change.state),
		       barter_reasons_format(change.reasons, reasons,
					     sizeof(reasons)));
	} while (change.state != state);
	return 0;
}

/* The picture's second piece is where the BAR's other half is mapped. */
static int lend(struct barter_maps *maps, char *const half[2], int *fd)
{
	static char guest_ram[PAGE];
	const struct iovec picture[] = {
		{ half[0] + 4 * PAGE, 2 * PAGE },
		{ half[1], PAGE },
		{ half[1] + PAGE, PAGE },
	};
	const struct iovec wrong[] = { picture[0], { guest_ram, PAGE } };
	size_t bad;
	int ret;

	ret = barter_maps_lend(maps, wrong, 2, O_RDWR, fd, &bad);
	if (ret)
		printf("entry %zu cannot be lent: %s\n", bad, strerror(-ret));
	return barter_maps_lend(maps, picture, 3, O_RDWR, fd, NULL);
}

/* What is written through the buffer must be where the guest would see it. */
static int check(int fd, const char *second_half)
{
	const volatile char *guest = second_half;
	volatile char *bytes;
	void *address;
	int ret;

	ret = barter_buffer_map(fd, 0, 0, PROT_READ | PROT_WRITE, &address);
	if (ret)
		return ret;
	bytes = address;
	bytes[2 * PAGE + 5] = 'x';
	ret = guest[5] == 'x' ? 0 : -EIO;
	barter_unmap(address, 4 * PAGE);
	return ret;
}

int main(int argc, char **argv)
{
	struct barter_watcher *watcher;
	struct barter_device *device;
	struct barter_maps *maps;
	char *half[2];
	void *address;
	int fd, i, ret;

	if (argc != 2)
		return fprintf(stderr, "usage: vmm BDF\n"), 2;
	ret = barter_device_open(argv[1], BARTER_OPEN_MEMORY, &device);
	if (!ret)
		ret = barter_maps_new(&maps);
	if (ret)
		return fail(argv[1], ret);
	for (i = 0; i < 2; i++) {
		ret = barter_maps_map(maps, device, 2, (uint64_t)i * HALF, HALF,
				      PROT_READ | PROT_WRITE, &address);
		if (ret)
			return fail("BAR 2", ret);
		half[i] = address;
	}
	ret = lend(maps, half, &fd);
	if (ret)
		return fail("lend", ret);
	ret = check(fd, half[1]);
	if (ret)
		return fail("the buffer's bytes", ret);
	printf("lent\n");

	ret = barter_watch_open(-1, fd, NULL, &watcher);
	if (!ret)
		ret = barter_device_set_memory(device, 0);
	if (!ret)
		ret = follow_to(watcher, BARTER_STATE_REVOKED);
	if (!ret)
		ret = barter_device_set_memory(device, 1);
	if (!ret)
		ret = follow_to(watcher, BARTER_STATE_OK);
	/* A mapping keeps the device open, and then the buffer does not die. */
	for (i = 0; i < 2; i++)
		barter_unmap(half[i], HALF);
	barter_maps_free(maps);
	barter_device_close(device);
	if (!ret)
		ret = follow_to(watcher, BARTER_STATE_DEAD);
	return ret ? fail("watch", ret) : 0;
}
