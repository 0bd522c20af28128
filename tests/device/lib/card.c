// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * virtio-gpu by raw calls, see card.h.
 */
#include "card.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MODES	128

static int call(const struct card *card, unsigned long request, void *arg)
{
	return ioctl(card->fd, request, arg) ? -errno : 0;
}

static int open_driver(struct card *card, const char *driver)
{
	for (int i = 0; i < 4; i++) {
		char path[32], name[32] = "";
		struct drm_version version = { .name = name,
					       .name_len = sizeof(name) - 1 };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		card->fd = open(path, O_RDWR | O_CLOEXEC);
		if (card->fd < 0)
			continue;
		if (!call(card, DRM_IOCTL_VERSION, &version) && !strcmp(name, driver))
			return 0;
		close(card->fd);
	}
	return -ENODEV;
}

/*
 * The first connector, and a mode of its that is as large; or the upper left of a
 * larger one, since there is no screen that had to follow its timing.
 */
static int choose_mode(struct card *card)
{
	static struct drm_mode_modeinfo modes[MODES];
	static uint32_t crtcs[16], connectors[16], encoders[16], fbs[16], props[64];
	static uint64_t values[64];
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 16,
		.connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16,
		.encoder_id_ptr = (uintptr_t)encoders, .count_encoders = 16,
		.fb_id_ptr = (uintptr_t)fbs, .count_fbs = 16,
	};
	struct drm_mode_get_connector get = {
		.modes_ptr = (uintptr_t)modes, .count_modes = MODES,
		.encoders_ptr = (uintptr_t)encoders, .count_encoders = 16,
		.props_ptr = (uintptr_t)props, .prop_values_ptr = (uintptr_t)values,
		.count_props = 64,
	};
	struct drm_mode_get_connector probe = { .count_modes = 0 };
	int ret = call(card, DRM_IOCTL_MODE_GETRESOURCES, &res);

	if (ret)
		return ret;
	if (!res.count_crtcs || !res.count_connectors)
		return -ENODEV;
	card->crtc = crtcs[0];
	card->connector = get.connector_id = probe.connector_id = connectors[0];
	/* To ask how many there are is what makes the driver look. */
	ret = call(card, DRM_IOCTL_MODE_GETCONNECTOR, &probe);
	if (!ret)
		ret = call(card, DRM_IOCTL_MODE_GETCONNECTOR, &get);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < get.count_modes && i < MODES; i++) {
		if (modes[i].hdisplay < card->width ||
		    modes[i].vdisplay < card->height)
			continue;
		card->mode = modes[i];
		card->mode.hdisplay = (uint16_t)card->width;
		card->mode.vdisplay = (uint16_t)card->height;
		return 0;
	}
	return -ENOENT;
}

int card_open(struct card *card, uint32_t width, uint32_t height)
{
	int ret;

	*card = (struct card) { .width = width, .height = height };
	ret = open_driver(card, "virtio_gpu");
	if (ret)
		return ret;
	ret = choose_mode(card);
	if (ret)
		close(card->fd);
	return ret;
}

void card_close(struct card *card)
{
	close(card->fd);
}

int card_import(struct card *card, int dmabuf)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	struct drm_mode_fb_cmd2 add = {
		.width = card->width, .height = card->height,
		.pixel_format = DRM_FORMAT_XRGB8888,
		.pitches = { card->width * 4 },
	};
	int ret = call(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);

	if (ret)
		return ret;
	card->handle = add.handles[0] = prime.handle;
	ret = call(card, DRM_IOCTL_MODE_ADDFB2, &add);
	card->fb = add.fb_id;
	return ret;
}

int card_show(struct card *card)
{
	struct drm_mode_crtc set = {
		.crtc_id = card->crtc, .fb_id = card->fb, .mode = card->mode,
		.mode_valid = 1, .count_connectors = 1,
		.set_connectors_ptr = (uintptr_t)&card->connector,
	};

	return call(card, DRM_IOCTL_MODE_SETCRTC, &set);
}

int card_flush(struct card *card)
{
	struct drm_mode_fb_dirty_cmd flush = { .fb_id = card->fb };

	return call(card, DRM_IOCTL_MODE_DIRTYFB, &flush);
}

void card_let_go(struct card *card)
{
	struct drm_gem_close gem = { .handle = card->handle };

	if (card->fb)
		call(card, DRM_IOCTL_MODE_RMFB, &card->fb);
	if (card->handle)
		call(card, DRM_IOCTL_GEM_CLOSE, &gem);
	card->fb = card->handle = 0;
}
