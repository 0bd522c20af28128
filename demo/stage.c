// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * demo-lend: the main job aloud, step by step. It is the lender; demo-holder
 * is the other process, and edu's driver the importer.
 */
#include "stage.h"
#include "guard.h"
#include "holder.h"
#include "program.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int picture_in_memory(const struct stage *stage)
{
	uint8_t *copy = calloc(1, stage->picture.length);
	int same;

	same = copy &&
	       !guarded_copy(copy, stage->memory + PICTURE_AT,
			     stage->picture.length) &&
	       !memcmp(copy, stage->picture.pixels, stage->picture.length);
	free(copy);
	return same;
}

int picture_at_holder(const struct stage *stage)
{
	uint8_t *copy = calloc(1, stage->picture.length);
	int same;

	same = copy && !holder_ask(stage->holder, HOLDER_READ, PICTURE_AT,
				   copy, (uint32_t)stage->picture.length) &&
	       !memcmp(copy, stage->picture.pixels, stage->picture.length);
	free(copy);
	return same;
}

int buffer_state(const struct stage *stage, char *reasons, size_t length)
{
	struct barter_info info = {
		.size = sizeof(info),
		.dmabuf_fd = stage->buffer,
	};
	int ret = barter_buffer_info(-1, &info);

	snprintf(reasons, length, "?");
	if (ret)
		return ret;
	barter_reasons_format(info.out_reasons, reasons, length);
	return (int)info.out_state;
}

int host_sha256(const struct stage *stage, char text[65])
{
	char command[80];
	FILE *pipe;
	int got;

	snprintf(command, sizeof(command), "vmctl host-sha256 0 0x%llx",
		 (unsigned long long)stage->bar_length);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	got = fscanf(pipe, "%64[0-9a-f]", text);
	return pclose(pipe) || got != 1 || strlen(text) != 64 ? -1 : 0;
}

static void look_at_frame(const struct stage *stage)
{
	struct picture frame;

	step("look at what is left: the file that the DMA filled");
	if (picture_read(stage->frame_path, &frame)) {
		check(0, "a picture", "%s cannot be read", stage->frame_path);
		return;
	}
	check(frame.length == stage->picture.length &&
	      frame.width == stage->picture.width &&
	      !memcmp(frame.pixels, stage->picture.pixels, frame.length),
	      "the same pixels", "frame.png has the input's %u x %u pixels, every byte",
	      stage->picture.width, stage->picture.height);
	picture_free(&frame);
}

int main(void)
{
	struct stage stage = {
		.bdf = from_environment("VM_VRAM0"),
		.engine_bdf = from_environment("VM_EDU"),
		.picture_path = "/picture.png",
		.frame_path = "/out/frame.png",
		.topology_path = "/out/topology.svg",
	};

	if (picture_read(stage.picture_path, &stage.picture))
		return 1;
	report_open("/out/report.txt");
	note("barter %s: lend a PCI device's memory, end to end",
	     barter_version());
	bind_device(&stage);
	export_ranges(&stage);
	write_picture(&stage);
	hand_over(&stage);
	move_by_dma(&stage);
	reset_under_dma(&stage);
	take_away(&stage);
	close_for_good(&stage);
	vend_slices(&stage);
	take_slice_back(&stage);
	look_at_frame(&stage);
	picture_free(&stage.picture);
	return report_close();
}
