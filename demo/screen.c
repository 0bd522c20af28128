// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-screen: a picture on a screen that no CPU copied there: the blocks of a file, read
 * by the disk itself into the memory of a display card. What the screen shows QEMU says,
 * by its screendump.
 */
int example_main(int argc, char **argv);
#define main example_main
#define fail example_fail
#include "../examples/nvme.c"
#undef main
#undef fail
#undef PAGE

#include "desktop.h"
#include "look.h"
#include "program.h"
#include "report.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE	4096u
#define WIDTH	DESKTOP_WIDTH
#define HEIGHT	DESKTOP_HEIGHT
#define FRAME	(WIDTH * HEIGHT * 4)
#define PAGES	(FRAME / PAGE)
#define EXTENTS	32

static struct picture picture;

/* Page @i of the file is this page of the picture: the file is shuffled. */
static unsigned int shuffled(unsigned int i)
{
	return i * 7 % PAGES;
}

static void shell(const char *what, char *command)
{
	char *words[] = { "sh", "-c", command, NULL };
	int status = run_program(words);

	check(!status, "exit status 0", "%s: exit status %d", what, status);
	if (status)
		give_up("%s", command);
}

static void draw_page(uint32_t *to, unsigned int page)
{
	for (unsigned int i = 0; i < PAGE / 4; i++) {
		unsigned int pixel = page * (PAGE / 4) + i;

		to[i] = desktop_pixel(&picture, pixel % WIDTH, pixel / WIDTH);
	}
}

static struct fiemap_extent extents[EXTENTS];

/* A file on a file system of the disk, by the kernel's driver; and where it lies. */
static unsigned int write_file(void)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extents[EXTENTS];
	} where = {
		.map = { .fm_length = ~0ull, .fm_flags = FIEMAP_FLAG_SYNC,
			 .fm_extent_count = EXTENTS },
	};
	static uint32_t page[PAGE / 4];
	int fd;

	shell("a file system on the disk, by the kernel's NVMe driver",
	      "modprobe nvme && modprobe ext4 && "
	      "for i in $(seq 100); do ls /dev/nvme*n1 && break; usleep 50000; done >/dev/null 2>&1; "
	      "disk=$(ls /dev/nvme*n1) && mke2fs -b 4096 $disk >/dev/null && mkdir /disk && "
	      "mount -t ext4 $disk /disk");
	fd = open("/disk/desktop", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	for (unsigned int i = 0; i < PAGES; i++) {
		draw_page(page, shuffled(i));
		if (write(fd, page, PAGE) != PAGE)
			give_up("the file cannot be written");
	}
	if (ioctl(fd, FS_IOC_FIEMAP, &where))
		give_up("FIEMAP: %s", strerror(errno));
	close(fd);
	memcpy(extents, where.extents, sizeof(extents));
	note("/disk/desktop: %u bytes in %u extents, its pages shuffled; the first at byte %llu of the disk",
	     FRAME, where.map.fm_mapped_extents,
	     (unsigned long long)extents[0].fe_physical);
	shell("unmount it", "umount /disk");
	return where.map.fm_mapped_extents;
}

/* The display's registers of the mode, 16 bits each. */
static void set_mode(struct barter_device *display)
{
	static const uint16_t values[] = { 0, WIDTH, HEIGHT, 32, 0x41, 0, WIDTH,
					   HEIGHT, 0, 0 };
	static const unsigned int order[] = { 1, 2, 3, 6, 8, 9, 4 };
	volatile uint16_t *dispi;
	void *map;
	int ret = barter_device_map(display, 2, 0, PAGE, RW, &map);

	if (ret)
		give_up("the display's registers: %s", strerror(-ret));
	dispi = (uint16_t *)((char *)map + 0x500);
	dispi[4] = 0;
	for (unsigned int i = 0; i < sizeof(order) / sizeof(*order); i++)
		dispi[order[i]] = values[order[i]];
	barter_unmap(map, PAGE);
}

static int lend_shuffled(struct barter_device *device, uint32_t bar)
{
	static struct barter_range ranges[PAGES];
	struct barter_export what = {
		.size = sizeof(what), .bar = bar, .open_flags = O_RDWR,
		.nr_ranges = PAGES, .ranges = ranges,
	};
	int ret, fd;

	for (unsigned int i = 0; i < PAGES; i++)
		ranges[i] = (struct barter_range) { shuffled(i) * PAGE, PAGE };
	ret = barter_device_export(device, &what, &fd);
	if (ret)
		give_up("export: %s", strerror(-ret));
	return fd;
}

static void vram(void)
{
	const char *disk_bdf = from_environment("VM_NVME");
	const char *display_bdf = from_environment("VM_BOCHS");
	char *bind[] = { "barter", "bind", (char *)disk_bdf, (char *)display_bdf, NULL };
	struct barter_info info = { .size = sizeof(info) };
	struct barter_device *display;
	struct barter_peer *peer;
	unsigned int nr;
	struct nvme disk;
	uint64_t at = 0;
	int ret, fd;

	step("a picture in a file on an NVMe disk");
	nr = write_file();
	step("take disk %s and display %s from the kernel", disk_bdf, display_bdf);
	ret = run_program(bind);
	check(!ret, "exit status 0", "barter bind: exit status %d", ret);
	ret = barter_device_open(display_bdf, BARTER_OPEN_MEMORY, &display);
	if (ret)
		give_up("%s", strerror(-ret));
	ret = nvme_open(disk_bdf, importers_way(display), &disk);
	check(!ret, "0", "a driver in this process, admin and one I/O queue: %s",
	      ret ? strerror(-ret) : "runs");
	if (ret)
		give_up("%s", strerror(-ret));
	set_mode(display);

	step("the disk reads the file into the display's memory, peer to peer");
	fd = lend_shuffled(display, 0);
	ret = barter_peer_map(display, fd, disk.device, WINDOW_IOVA, RW, &peer);
	check(!ret, "0", "%u scattered pages of its BAR 0, in a row for the disk (%s): %s",
	      PAGES, barter_device_is_cdev(disk.device) ? "iommufd" : "type 1",
	      ret ? strerror(-ret) : "mapped");
	for (unsigned int i = 0; i < nr && !ret; i++) {
		ret = extent(&disk, READ, extents[i].fe_physical / disk.block,
			     extents[i].fe_length, WINDOW_IOVA + at, NULL);
		at += extents[i].fe_length;
	}
	check(!ret && at == FRAME, "all of the file", "%llu bytes by DMA",
	      (unsigned long long)at);
	info.dmabuf_fd = fd;
	barter_buffer_info(-1, &info);
	check(!(info.out_faults_pte + info.out_faults_pmd) || info.out_mmaps == 0,
	      "0", "CPU mappings of the buffer: %u", info.out_mmaps);
	look("bochs0", "vram");
	leave_drawn(&picture);
	barter_peer_unmap(peer);
	close(fd);
	barter_device_close(display);
	nvme_close(&disk);
}

int main(void)
{
	if (picture_read("/picture.png", &picture))
		return 2;
	report_open("/out/report.txt");
	note("a disk reads a file straight into a display's memory");
	vram();
	picture_free(&picture);
	return report_close();
}
