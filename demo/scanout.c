// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-scanout: a process that stands for a guest draws through the BAR of a VF; the
 * PF shows what it drew, from its own memory. For machine "vram".
 */
#include "desktop.h"
#include "program.h"
#include "report.h"

#include <barter.h>
#include <linux/barter-pf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BAR	2
#define PAGE	4096U
#define PAGES	(DESKTOP_WIDTH * DESKTOP_HEIGHT * 4 / PAGE)
#define PIECES	64

struct show {
	const char *pf_bdf, *vf_bdf;
	uint64_t vf_offset;		/* of the VF's part of the PF's memory */
	uint64_t bar_length;
	struct picture picture;
	struct barter_device *vf;
	char *bar;			/* the VF's, by its own BAR mapping */
	struct barter_range pieces[PIECES];
	uint32_t nr_pieces;
	uint64_t pages[PAGES];		/* of the framebuffer: where in the BAR */
	int buffer;
	int pf;
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void set_up(struct show *show)
{
	char *bind[] = { "barter", "bind", (char *)show->vf_bdf, NULL };
	char path[128], text[128];
	int ret, status;

	step("a graphics card: PF %s has 32 MiB of memory, VF %s a part of them",
	     show->pf_bdf, show->vf_bdf);
	status = run_program(bind);
	check(!status, "exit status 0", "barter bind of the VF: exit status %d",
	      status);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override",
		 show->pf_bdf);
	ret = write_text(path, "barter-pf");
	if (!ret)
		ret = write_text("/sys/bus/pci/drivers_probe", show->pf_bdf);
	snprintf(path, sizeof(path), "/dev/barter-pf-%s", show->pf_bdf);
	show->pf = open(path, O_RDWR | O_CLOEXEC);
	check(!ret && show->pf >= 0, "a device node", "the PF's driver is barter-pf: %s",
	      path);
	if (show->pf < 0)
		give_up("%s: %s", path, strerror(errno));
	snprintf(text, sizeof(text), "%s=%s", show->vf_bdf, show->pf_bdf);
	ret = write_text("/sys/module/barter/parameters/pci_bar_pairs", text);
	check(!ret, "0", "the administrator vouches: pci_bar_pairs=%s", text);
	snprintf(text, sizeof(text), "%s@%#llx+8M", show->vf_bdf,
		 (unsigned long long)show->vf_offset);
	ret = write_text("/sys/module/barter_pf/parameters/vfs", text);
	check(!ret, "0", "the PF knows where the VF's memory is: vfs=%s", text);
}

/* Small and always the same: what is random here must repeat. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Pieces of 1 to 9 pages, each in a part of the BAR of its own, in shuffled order. */
static void choose_pieces(struct show *show)
{
	uint64_t part = show->bar_length / PIECES;
	uint32_t order[PIECES], seed = 7, left = PAGES, page = 0, i, j;

	for (i = 0; i < PIECES; i++)
		order[i] = i;
	for (i = PIECES - 1; i > 0; i--) {
		uint32_t other = next_random(&seed) % (i + 1), swap = order[i];

		order[i] = order[other];
		order[other] = swap;
	}
	for (i = 0; i < PIECES && left; i++) {
		uint32_t pages = 1 + next_random(&seed) % 9;
		struct barter_range *piece = &show->pieces[i];

		if (pages > left || i == PIECES - 1)
			pages = left;
		piece->length = (uint64_t)pages * PAGE;
		piece->offset = order[i] * part + next_random(&seed) %
				((part - piece->length) / PAGE) * PAGE;
		for (j = 0; j < pages; j++)
			show->pages[page++] = piece->offset + (uint64_t)j * PAGE;
		left -= pages;
		show->nr_pieces++;
	}
}

/* The guest: it has the VF's BAR and the pages of its framebuffer, nothing else. */
static void draw(const struct show *show)
{
	uint32_t x, y;

	for (y = 0; y < DESKTOP_HEIGHT; y++) {
		for (x = 0; x < DESKTOP_WIDTH; x++) {
			uint32_t at = (y * DESKTOP_WIDTH + x) * 4;

			*(volatile uint32_t *)(show->bar + show->pages[at / PAGE] +
					       at % PAGE) =
				desktop_pixel(&show->picture, x, y);
		}
	}
}

static void guest_draws(struct show *show)
{
	void *address;
	int ret, status;
	pid_t guest;

	step("a process draws %u x %u pixels through the VF's BAR", DESKTOP_WIDTH,
	     DESKTOP_HEIGHT);
	ret = barter_device_open(show->vf_bdf, BARTER_OPEN_MEMORY, &show->vf);
	if (ret)
		give_up("open %s: %s", show->vf_bdf, strerror(-ret));
	show->bar_length = 8 << 20;
	ret = barter_device_map(show->vf, BAR, 0, show->bar_length,
				PROT_READ | PROT_WRITE, &address);
	if (ret)
		give_up("mmap of the BAR: %s", strerror(-ret));
	show->bar = address;
	choose_pieces(show);
	note("its framebuffer is in %u pieces: 0x%06llx+%llu, 0x%06llx+%llu, 0x%06llx+%llu ...",
	     show->nr_pieces, (unsigned long long)show->pieces[0].offset,
	     (unsigned long long)show->pieces[0].length,
	     (unsigned long long)show->pieces[1].offset,
	     (unsigned long long)show->pieces[1].length,
	     (unsigned long long)show->pieces[2].offset,
	     (unsigned long long)show->pieces[2].length);
	fflush(NULL);
	guest = fork();
	if (!guest) {
		draw(show);
		_exit(0);
	}
	if (guest < 0 || waitpid(guest, &status, 0) != guest || status)
		give_up("the process failed");
	note("drawn");
}

/* What the screen shows, as a file; does it have what a pixel should be? */
static void look(const struct show *show, const char *path, int is_dark)
{
	char *scanout[] = { "barter", "scanout", (char *)show->pf_bdf, "-o",
			    (char *)path, NULL };
	uint32_t x, y, wrong = 0;
	struct picture seen;
	int status = run_program(scanout);

	check(!status, "exit status 0", "barter scanout -o %s: exit status %d", path,
	      status);
	if (picture_read(path, &seen) || seen.width != DESKTOP_WIDTH ||
	    seen.height != DESKTOP_HEIGHT) {
		check(0, "a picture", "%s cannot be read", path);
		return;
	}
	for (y = 0; y < DESKTOP_HEIGHT; y++) {
		for (x = 0; x < DESKTOP_WIDTH; x++) {
			uint32_t want = is_dark ? 0 :
				desktop_pixel(&show->picture, x, y);
			const uint8_t *is = seen.pixels +
				((size_t)y * DESKTOP_WIDTH + x) * 3;

			wrong += want != ((uint32_t)is[0] << 16 |
					  (uint32_t)is[1] << 8 | is[2]);
		}
	}
	check(!wrong, "0", "%s: %u pixels are not %s", path, wrong,
	      is_dark ? "black" : "what was drawn");
	picture_free(&seen);
}

static struct barter_pf_status pf_status(const struct show *show,
					 struct barter_range *pieces)
{
	struct barter_pf_status status = {
		.size = sizeof(status),
		.pieces = (uintptr_t)pieces,
		.nr_pieces = pieces ? PIECES : 0,
	};

	if (ioctl(show->pf, BARTER_PF_IOC_STATUS, &status))
		give_up("status of the PF: %s", strerror(errno));
	return status;
}

/* Where the PF reads is where the guest wrote. */
static void compare_addresses(const struct show *show)
{
	struct barter_range seen[PIECES];
	struct barter_pf_status status = pf_status(show, seen);
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = show->buffer,
	};
	uint32_t i, same = 0;
	int ret;

	for (i = 0; i < show->nr_pieces && i < status.out_nr_pieces; i++)
		same += seen[i].offset == show->vf_offset + show->pieces[i].offset &&
			seen[i].length == show->pieces[i].length;
	check(same == show->nr_pieces && status.out_nr_pieces == same,
	      "all of them",
	      "%u of %u pieces: the PF reads at the address in its memory that the guest wrote to",
	      same, show->nr_pieces);
	note("the first: VF's BAR 0x%06llx, PF's memory 0x%07llx",
	     (unsigned long long)show->pieces[0].offset,
	     (unsigned long long)seen[0].offset);
	ret = barter_buffer_info(-1, &info);
	check(!ret && !info.out_mmaps && !info.out_faults_pte &&
	      !info.out_faults_pmd && !info.out_faults_pud, "0 and 0",
	      "no CPU copied anything on the way: %u mappings of the buffer, %llu page faults in it",
	      info.out_mmaps,
	      (unsigned long long)(info.out_faults_pte + info.out_faults_pmd +
				   info.out_faults_pud));
	check(status.out_maps == 1 && info.out_maps == 1, "1",
	      "the PF asked for its pieces %llu time (interconnect pci-bar)",
	      (unsigned long long)status.out_maps);
}

static void pf_shows(struct show *show)
{
	struct barter_export what = {
		.size = sizeof(what),
		.bar = BAR,
		.open_flags = O_RDWR,
		.nr_ranges = show->nr_pieces,
		.ranges = show->pieces,
	};
	char fd[16], size[24];
	char *scanout[] = { "barter", "scanout", (char *)show->pf_bdf, "--set", fd,
			    "--size", size, NULL };
	int ret, status;

	step("lend the pieces as a dma-buf, and let the PF show it");
	ret = barter_device_export(show->vf, &what, &show->buffer);
	if (ret)
		give_up("export: %s", strerror(-ret));
	fcntl(show->buffer, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", show->buffer);
	snprintf(size, sizeof(size), "%ux%u", DESKTOP_WIDTH, DESKTOP_HEIGHT);
	status = run_program(scanout);
	check(!status, "exit status 0", "barter scanout --set %s --size %s: exit status %d",
	      fd, size, status);
	compare_addresses(show);
	look(show, "/out/scanout.png", 0);
}

static void taken_away(struct show *show)
{
	struct barter_pf_status before = pf_status(show, NULL), after;
	int ret, i;

	step("turn the VF's memory decoding off and reset it, under the picture");
	ret = barter_device_set_memory(show->vf, 0);
	after = pf_status(show, NULL);
	check(!ret && after.out_state == BARTER_PF_DARK, "dark, when the call returns",
	      "memory decoding off: the screen is %s",
	      after.out_state == BARTER_PF_DARK ? "dark" : "not dark");
	ret = barter_device_reset(show->vf);
	check(!ret, "0", "VFIO_DEVICE_RESET: %s", ret ? strerror(-ret) : "done");
	look(show, "/out/scanout-dark.png", 1);
	check(after.out_invalidates > before.out_invalidates, "1 or more",
	      "the PF was told to let go %llu time",
	      (unsigned long long)(after.out_invalidates - before.out_invalidates));

	step("give the memory back");
	ret = barter_device_set_memory(show->vf, 1);
	for (i = 0; i < 500; i++) {
		after = pf_status(show, NULL);
		if (after.out_state == BARTER_PF_LIVE)
			break;
		nanosleep(&(struct timespec) { .tv_nsec = 10000000 }, NULL);
	}
	check(!ret && after.out_state == BARTER_PF_LIVE &&
	      after.out_restored > before.out_restored, "live, and told so",
	      "the PF was told, and shows the picture again by itself");
	look(show, "/out/scanout-again.png", 0);
}

static void let_go(struct show *show)
{
	char *clear[] = { "barter", "scanout", (char *)show->pf_bdf, "--clear", NULL };
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = show->buffer,
	};
	int status;

	step("no picture any more");
	status = run_program(clear);
	check(!status && !barter_buffer_info(-1, &info) && !info.out_attachments,
	      "no importer is left", "barter scanout --clear: exit status %d, importers left: %u",
	      status, info.out_attachments);
	close(show->buffer);
	close(show->pf);
	barter_unmap(show->bar, show->bar_length);
	barter_device_close(show->vf);
}

int main(void)
{
	struct show show = {
		.pf_bdf = from_environment("VM_PF"),
		.vf_bdf = from_environment("VM_VF0"),
		.vf_offset = strtoull(from_environment("VM_VF0_OFFSET"), NULL, 0),
	};

	if (picture_read("/picture.png", &show.picture))
		return 1;
	report_open("/out/report.txt");
	note("a PF shows its VF's framebuffer without a copy");
	set_up(&show);
	guest_draws(&show);
	pf_shows(&show);
	taken_away(&show);
	let_go(&show);
	picture_free(&show.picture);
	return report_close();
}
