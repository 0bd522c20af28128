// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * An importer that nobody here wrote: the kernel's virtio-gpu takes a scattered buffer of
 * a BAR as the memory of a framebuffer. What is written into the BAR is what the virtual
 * screen shows, as QEMU's own picture of it says; what the memory is taken back for, the
 * screen shows no more.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/card.h"
#include "lib/fixture.h"
#include "lib/host.h"
#include "lib/slice.h"

#define WIDTH	640u
#define HEIGHT	480u
#define FRAME	(WIDTH * HEIGHT * 4)
#define PAGES	(FRAME / PAGE)
#define AT	(3 * MIB)
#define SCREEN	"mem/screen.ppm"
#define HEAD	"P6\n640 480\n255\n"

static struct card card;
static int buffer;

/* ---- Pictures --------------------------------------------------------- */

/* Where page @i of the frame lies in the BAR: in no order, no two together. */
static uint64_t place(unsigned int i)
{
	return AT + 2 * PAGE * (i * 7 % PAGES);
}

static int lend(void)
{
	static struct vfio_region_dma_range ranges[PAGES];

	for (unsigned int i = 0; i < PAGES; i++)
		ranges[i] = (struct vfio_region_dma_range){ place(i), PAGE };
	buffer = buf_export(&mem, BAR, ranges, PAGES);
	return buffer;
}

/* By way of the BAR, not of the buffer. */
static void draw(uint32_t seed)
{
	for (unsigned int i = 0; i < PAGES; i++)
		fill(bar + place(i), seed, i * PAGE, PAGE);
}

/* The pixel at place @i, as a PPM has it. */
static void pixel(uint32_t seed, unsigned int i, uint8_t rgb[3])
{
	uint32_t word = pattern(seed, 4ul * i);

	rgb[0] = (uint8_t)(word >> 16);
	rgb[1] = (uint8_t)(word >> 8);
	rgb[2] = (uint8_t)word;
}

/* The screen as QEMU sees it, in a file where the memories lie. */
static bool dump(void)
{
	char text[200];

	return !host_monitor("screendump " SCREEN " gpu0", text, sizeof(text));
}

/* Is the screen that picture, every pixel? By checksums: the line to the host is slow. */
static bool shows(uint32_t seed)
{
	char is[65], must[65] = "";
	uint8_t rgb[3];
	FILE *f = fopen("/tmp/screen.ppm", "we");

	if (!f || !dump())
		return false;
	fputs(HEAD, f);
	for (unsigned int i = 0; i < WIDTH * HEIGHT; i++) {
		pixel(seed, i, rgb);
		fwrite(rgb, 1, 3, f);
	}
	fclose(f);
	f = popen("sha256sum /tmp/screen.ppm", "re");
	if (!f || fread(must, 1, 64, f) != 64)
		return false;
	pclose(f);
	return !host_sum_of("screen.ppm", 0, strlen(HEAD) + WIDTH * HEIGHT * 3, is) &&
	       !strcmp(is, must);
}

/* Samples of the screen: none of that picture, whatever else it is. */
static bool does_not_show(uint32_t seed)
{
	unsigned int same = 0, nr = 0;
	uint8_t line[3 * 50], rgb[3];

	if (!dump())
		return false;
	for (unsigned int y = 7; y < HEIGHT; y += 80) {
		unsigned int at = y * WIDTH + y;

		if (host_read_of("screen.ppm", strlen(HEAD) + 3 * at, line,
				 sizeof(line)))
			return false;
		for (unsigned int i = 0; i < 50; i++, nr++) {
			pixel(seed, at + i, rgb);
			same += !memcmp(rgb, line + 3 * i, 3);
		}
	}
	diag("%u of %u pixels are the same", same, nr);
	return same < nr / 10;
}

static struct barter_info info(void)
{
	struct barter_info i;

	if (buf_info(buffer, &i))
		memset(&i, 0xff, sizeof(i));
	return i;
}

static bool show(uint32_t seed)
{
	if (lend() < 0)
		return ok(false, "export: %s", strerror(-buffer));
	draw(seed);
	if (!ok(!card_import(&card, buffer), "PRIME import of %zu scattered pages", (size_t)PAGES) ||
	    !ok(!card_show(&card), "scan it out"))
		return false;
	return ok(shows(seed), "the screen shows what is in the BAR");
}

static void hide(void)
{
	card_let_go(&card);
	close(buffer);
}

static void the_screen_shows_the_bar(void)
{
	need(show(1), "a picture");
	is(info().out_attachments, 1, "one importer");
	is(info().out_maps, 1, "one map");
	for (uint32_t seed = 2; seed < 5; seed++) {
		draw(seed);
		is_errno(card_flush(&card), 0, "DIRTYFB");
		ok(shows(seed), "another picture");
	}
	hide();
}

/*
 * What holds when the memory was away, and when it is back: the import stays torn down.
 * (virtio-gpu may map again at the next flush; what QEMU then shows is its affair.)
 */
static void taken_and_given_back(const char *what, uint32_t seed)
{
	is(info().out_maps, 0, "%s: no map is left", what);
	if (buf_state(buffer) != BARTER_STATE_OK) {
		ok(card_flush(&card) < 0, "%s: DIRTYFB fails", what);
		return;
	}
	draw(seed);
	ok(does_not_show(seed), "%s: the screen does not show the BAR", what);
	card_let_go(&card);
	is_errno(card_import(&card, buffer), 0, "%s: import anew", what);
	is_errno(card_show(&card), 0, "%s: scan it out", what);
	ok(shows(seed), "%s: the screen shows it again", what);
	is(info().out_maps, 1, "%s: by one map", what);
}

static void memory_off_and_on(void)
{
	need(show(10), "a picture");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	taken_and_given_back("off", 11);
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	taken_and_given_back("on", 12);
	hide();
}

static void import_while_it_is_away(void)
{
	need(lend() >= 0, "a buffer");
	is_errno(dev_set_memory(&mem, false), 0, "memory off");
	ok(card_import(&card, buffer) < 0, "the import fails");
	is_errno(dev_set_memory(&mem, true), 0, "memory on");
	draw(15);
	is_errno(card_import(&card, buffer), 0, "then it works");
	is_errno(card_show(&card), 0, "and can be scanned out");
	ok(shows(15), "the screen shows it");
	hide();
}

static void reset(void)
{
	need(show(20), "a picture");
	is_errno(dev_reset(&mem), 0, "VFIO_DEVICE_RESET");
	taken_and_given_back("reset", 21);
	hide();
}

static void dead(const char *what)
{
	is(buf_state(buffer), BARTER_STATE_DEAD, "%s: dead", what);
	is(info().out_maps, 0, "%s: no map is left", what);
	ok(card_flush(&card) < 0, "%s: DIRTYFB fails", what);
	card_let_go(&card);
	ok(card_import(&card, buffer) < 0, "%s: no import any more", what);
	close(buffer);
}

static void end_of_the_buffer(void)
{
	need(show(30), "a picture");
	is_errno(buf_end(&mem, buffer), 0, "the buffer's end");
	dead("ended");
	draw(31);
	ok(does_not_show(31), "the screen does not show the BAR");
}

static void close_of_the_device(void)
{
	need(show(40), "a picture");
	fixture_close();
	dead("closed");
	fixture_open();
	draw(41);
	ok(does_not_show(41), "the screen does not show the BAR");
	need(show(42), "a picture after all that");
	hide();
}

static void nothing_is_left(void)
{
	bool gone;

	card_close(&card);
	WAIT_FOR(gone, buf_count(mem.bdf) == 0, 5000);
	ok(gone, "debugfs lists no buffer");
}

int main(void)
{
	fixture_open();
	if (system("modprobe virtio_pci; modprobe virtio-gpu") ||
	    card_open(&card, WIDTH, HEIGHT))
		tap_bail("no virtio-gpu of %ux%u or more", WIDTH, HEIGHT);
	buf_count(mem.bdf);
	CASE(the_screen_shows_the_bar);
	CASE(memory_off_and_on);
	CASE(import_while_it_is_away);
	CASE(reset);
	CASE(end_of_the_buffer);
	CASE(close_of_the_device);
	CASE(nothing_is_left);
	return tap_done();
}
