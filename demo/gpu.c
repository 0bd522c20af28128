// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-gpu: a screen whose pixels lie in another device's BAR. The kernel's own virtio-gpu
 * takes the buffer as the memory of a framebuffer; what the screen shows QEMU says, by its
 * screendump. For machine "gpu", on a kernel whose virtio-gpu imports.
 */
#include "desktop.h"
#include "look.h"
#include "program.h"
#include "report.h"
#include "../tests/device/lib/card.h"

#include <barter.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BAR	2
#define PAGE	4096u
#define FRAME	(DESKTOP_WIDTH * DESKTOP_HEIGHT * 4)
#define PAGES	(FRAME / PAGE)
#define AT	(5u << 20)

struct act {
	const char *bdf;
	struct picture picture;
	struct barter_device *device;
	int buffer;
	uint32_t *pixels;		/* the buffer, by its own mmap */
	struct card card;
};

static const char *outcome(int ret)
{
	return ret ? strerror(-ret) : "done";
}

static void set_up(struct act *act)
{
	char *bind[] = { "barter", "bind", (char *)act->bdf, NULL };
	char *load[] = { "sh", "-c", "modprobe virtio_pci && modprobe virtio-gpu", NULL };
	struct utsname name;
	int ret;

	uname(&name);
	step("a screen, and a memory elsewhere: virtio-gpu %s, device %s, on Linux %s",
	     from_environment("VM_GPU"), act->bdf, name.release);
	/* By which QEMU's screen shows memory without a copy. */
	note("QEMU uses %s", strcmp(from_environment("VM_UDMABUF"), "host") ?
	     "vmtest/preload/udmabuf.c, for this host has no /dev/udmabuf" :
	     "/dev/udmabuf of this host");
	ret = run_program(bind);
	check(!ret, "exit status 0", "barter bind: exit status %d", ret);
	ret = run_program(load);
	check(!ret, "exit status 0", "the kernel's own virtio-gpu is loaded: exit status %d",
	      ret);
	ret = card_open(&act->card, DESKTOP_WIDTH, DESKTOP_HEIGHT);
	ret = ret ?: barter_device_open(act->bdf, BARTER_OPEN_MEMORY, &act->device);
	if (ret)
		give_up("%s", strerror(-ret));
}

/* One page in each pair of pages, in no order: no two of them lie together. */
static void lend(struct act *act)
{
	static struct barter_range ranges[PAGES];
	struct barter_export what = {
		.size = sizeof(what), .bar = BAR, .open_flags = O_RDWR,
		.nr_ranges = PAGES, .ranges = ranges,
	};
	void *memory;
	int ret;

	step("lend %u scattered pages of its BAR %d as the screen's memory", PAGES, BAR);
	for (uint32_t i = 0; i < PAGES; i++)
		ranges[i] = (struct barter_range){ AT + 2 * PAGE * (i * 7 % PAGES), PAGE };
	ret = barter_device_export(act->device, &what, &act->buffer);
	ret = ret ?: barter_buffer_map(act->buffer, 0, 0, PROT_READ | PROT_WRITE, &memory);
	check(!ret, "0", "a buffer of %u KiB: %s", FRAME >> 10, outcome(ret));
	if (ret)
		give_up("there is nothing to show");
	act->pixels = memory;
}

static uint32_t maps(const struct act *act)
{
	struct barter_info info = { .size = sizeof(info), .dmabuf_fd = act->buffer };

	return barter_buffer_info(-1, &info) ? ~0u : info.out_maps;
}

static void import(struct act *act, const char *how)
{
	int ret = card_import(&act->card, act->buffer);

	check(!ret, "0", "virtio-gpu imports the buffer%s (PRIME): %s", how, outcome(ret));
	ret = card_show(&act->card);
	check(!ret, "0", "and scans it out: %s", outcome(ret));
	check(maps(act) == 1, "1", "maps of the buffer for its DMA: %u", maps(act));
}

static void show(struct act *act)
{
	int ret;

	step("write the picture into the buffer while it is on the screen");
	import(act, "");
	for (uint32_t i = 0; i < DESKTOP_WIDTH * DESKTOP_HEIGHT; i++)
		act->pixels[i] = desktop_pixel(&act->picture, i % DESKTOP_WIDTH,
					       i / DESKTOP_WIDTH);
	ret = card_flush(&act->card);
	check(!ret, "0", "tell virtio-gpu that pixels have changed: %s", outcome(ret));
	look("gpu0", "screen");
}

static void take_back(struct act *act)
{
	int ret;

	step("take the memory back: turn memory decoding off");
	ret = barter_device_set_memory(act->device, 0);
	check(!ret, "0", "memory decoding off: %s", outcome(ret));
	check(maps(act) == 0, "0", "maps of the buffer for its DMA: %u", maps(act));
	ret = card_flush(&act->card);
	check(ret < 0, "an error", "show it once more: %s", outcome(ret));
	look("gpu0", "screen-away");

	step("give it back, and import it anew");
	ret = barter_device_set_memory(act->device, 1);
	check(!ret, "0", "memory decoding on: %s", outcome(ret));
	card_let_go(&act->card);
	import(act, " again");
	look("gpu0", "screen-again");
}

int main(void)
{
	struct act act = { .bdf = from_environment("VM_VRAM0") };

	if (picture_read("/picture.png", &act.picture))
		return 2;
	report_open("/out/report.txt");
	note("a GPU driver that knows nothing of barter shows memory of another device");
	set_up(&act);
	lend(&act);
	show(&act);
	take_back(&act);
	leave_drawn(&act.picture);
	card_let_go(&act.card);
	card_close(&act.card);
	barter_unmap(act.pixels, FRAME);
	close(act.buffer);
	barter_device_close(act.device);
	picture_free(&act.picture);
	return report_close();
}
