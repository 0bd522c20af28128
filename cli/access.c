// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Access to memory of a BAR or a buffer.
 *
 * Every access has exactly the width that was asked for, since registers may
 * care. Memory that is taken back raises SIGBUS, which ends here as an error.
 */
#include "access.h"
#include "json.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf out_of_reach;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(out_of_reach, 1);
}

int target_width(const struct command *command, const char *text,
		 uint64_t *width)
{
	if (number_parse(text, width) || (*width != 1 && *width != 2 &&
					  *width != 4 && *width != 8))
		return wrong_usage(command, "--width takes 1, 2, 4 or 8, not \"%s\"",
				   text);
	return EXIT_OK;
}

static int open_buffer(const struct command *command, struct target *target)
{
	uint64_t fd;
	int ret;

	if (number_parse(target->fd_text, &fd) || fd > INT32_MAX)
		return -wrong_usage(command, "--fd takes a number, not \"%s\"",
				    target->fd_text);
	target->fd = (int)fd;
	snprintf(target->name, sizeof(target->name), "fd %d", target->fd);
	ret = barter_buffer_length(target->fd, &target->limit);
	if (ret)
		return -failed(target->name, "%s", ret == -EBADF ?
			       "is not open; pass the number of a dma-buf fd that this process inherits" :
			       "is no dma-buf; barter export and barter borrow pass one as BARTER_FD");
	return 0;
}

static int open_bar(const struct command *command, struct target *target,
		    const char *bdf, const char *bar_text)
{
	struct barter_bdf address;
	uint32_t bar;
	int ret;

	if (barter_bdf_parse(bdf, &address))
		return -wrong_usage(command, "\"%s\" is no PCI address", bdf);
	if (bar_parse(bar_text, &bar))
		return -wrong_usage(command, "\"%s\" is no BAR; expected 0..5",
				    bar_text);
	ret = barter_device_open(bdf, BARTER_OPEN_MEMORY, &target->device);
	if (ret)
		return -failed_open(bdf, ret);
	snprintf(target->name, sizeof(target->name), "%s BAR %u",
		 barter_device_name(target->device), bar);
	ret = barter_device_region(target->device, bar, &target->region);
	if (ret || !target->region.length) {
		barter_device_close(target->device);
		target->device = NULL;
		return -failed(target->name, "the device has no such BAR; see: barter list");
	}
	target->limit = target->region.length;
	return 0;
}

int target_open(const struct command *command, struct target *target, int argc,
		char **argv)
{
	int used = target->fd_text ? 1 : 3, ret;

	target->fd = -1;
	if (argc < used)
		return -wrong_usage(command, "too few arguments");
	if (number_parse(argv[used - 1], &target->offset))
		return -wrong_usage(command, "\"%s\" is no offset",
				    argv[used - 1]);
	ret = target->fd_text ? open_buffer(command, target) :
	      open_bar(command, target, argv[0], argv[1]);
	return ret ? ret : used;
}

void target_close(struct target *target)
{
	barter_device_close(target->device);
}

static void copy(volatile void *to, const volatile void *from,
		 uint64_t length, unsigned int width)
{
	uint64_t i;

	for (i = 0; i < length / width; i++) {
		if (!(i % 65536))
			progress_at(i * width);
		switch (width) {
		case 1:
			((volatile uint8_t *)to)[i] =
				((const volatile uint8_t *)from)[i];
			break;
		case 2:
			((volatile uint16_t *)to)[i] =
				((const volatile uint16_t *)from)[i];
			break;
		case 4:
			((volatile uint32_t *)to)[i] =
				((const volatile uint32_t *)from)[i];
			break;
		default:
			((volatile uint64_t *)to)[i] =
				((const volatile uint64_t *)from)[i];
			break;
		}
	}
}

/* copy(), or -1 if the memory was taken away meanwhile. */
static int copy_guarded(volatile void *to, const volatile void *from,
			uint64_t length, unsigned int width)
{
	struct sigaction old, catch = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &catch, &old);
	if (sigsetjmp(out_of_reach, 1)) {
		sigaction(SIGBUS, &old, NULL);
		return -1;
	}
	copy(to, from, length, width);
	sigaction(SIGBUS, &old, NULL);
	return 0;
}

static int map_window(struct target *target, uint64_t start, uint64_t length,
		      int prot, void **address)
{
	if (target->device)
		return barter_device_map(target->device, target->region.index,
					 start, length, prot, address);
	return barter_buffer_map(target->fd, start, length, prot, address);
}

/* A BAR that cannot be mapped, such as one smaller than a page. */
static int move_by_system_call(struct target *target, void *data,
			       uint64_t length, unsigned int width,
			       int is_write)
{
	off_t at = (off_t)(target->region.offset + target->offset);
	int fd = barter_device_fd(target->device);
	uint64_t done;

	for (done = 0; done < length; done += width) {
		char *bytes = (char *)data + done;
		ssize_t moved = is_write ?
			pwrite(fd, bytes, width, at + (off_t)done) :
			pread(fd, bytes, width, at + (off_t)done);

		if (moved != (ssize_t)width)
			return failed(target->name, "access at offset 0x%" PRIx64 " failed: %s; is its memory on? See: barter doctor",
				      target->offset + done,
				      strerror(moved < 0 ? errno : EIO));
	}
	return EXIT_OK;
}

static int map_failed(const struct target *target, int error)
{
	if (error == -EBADFD)
		return failed(target->name, "the buffer is dead: its device was closed or is gone; it has to be exported anew");
	if (error == -EACCES)
		return failed(target->name, "cannot be mapped: the buffer, or this fd of it, is read-only; have it lent without --read-only");
	if (error == -EBUSY)
		return failed(target->name, "cannot be mapped: a buffer that is mapped with another attribute has a page in common with it; end that mapping first");
	return failed(target->name, "cannot be mapped: %s; see: barter info",
		      strerror(-error));
}

static int move(struct target *target, void *data, uint64_t length,
		unsigned int width, int is_write)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start, window;
	void *address;
	int ret;
	char *bytes;

	if (target->offset % width || length % width)
		return failed(target->name, "offset 0x%" PRIx64 " or length %" PRIu64 " is no multiple of the access width, %u; see: --width",
			      target->offset, length, width);
	if (target->offset > target->limit ||
	    length > target->limit - target->offset)
		return failed(target->name, "offset 0x%" PRIx64 " plus %" PRIu64 " bytes is beyond its end at 0x%" PRIx64 "; choose a smaller offset or length",
			      target->offset, length, target->limit);
	start = target->offset & ~(page - 1);
	window = target->offset + length - start;
	ret = map_window(target, start, window,
			 is_write ? PROT_READ | PROT_WRITE : PROT_READ,
			 &address);
	if (ret && target->device)
		return move_by_system_call(target, data, length, width,
					   is_write);
	if (ret)
		return map_failed(target, ret);
	bytes = (char *)address + (target->offset - start);
	progress_begin(target->name, is_write ? "is being written" : "is being read",
		       length);
	ret = is_write ? copy_guarded(bytes, data, length, width) :
	      copy_guarded(data, bytes, length, width);
	progress_end();
	barter_unmap(address, window);
	if (ret)
		return failed(target->name, "memory is out of reach (SIGBUS): the device is revoked at present, or dead; see: barter %s",
			      target->device ? "doctor" : "info");
	return EXIT_OK;
}

int target_read(struct target *target, void *data, uint64_t length,
		unsigned int width)
{
	return move(target, data, length, width, 0);
}

int target_write(struct target *target, const void *data, uint64_t length,
		 unsigned int width)
{
	return move(target, (void *)(uintptr_t)data, length, width, 1);
}

int target_json(const struct target *target, const uint8_t *data,
		uint64_t length, unsigned int width)
{
	struct json json = { .to = stdout };
	char *hex = malloc(length * 2 + 1);
	uint64_t i;

	if (!hex)
		return failed(target->name, "out of memory");
	for (i = 0; i < length; i++)
		snprintf(hex + i * 2, 3, "%02x", data[i]);
	json_open(&json, NULL, '{');
	json_text(&json, "target", target->name);
	json_number(&json, "offset", target->offset);
	json_number(&json, "length", length);
	json_number(&json, "width", width);
	json_text(&json, "bytes", hex);
	json_close(&json, '}');
	json_end(&json);
	free(hex);
	return EXIT_OK;
}
