/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * virtio-gpu by raw calls: import a dma-buf as a framebuffer, and show it. What returns
 * int gives 0 or -errno.
 */
#ifndef TESTS_CARD_H
#define TESTS_CARD_H

#include <drm.h>
#include <drm_mode.h>
#include <stdint.h>

struct card {
	int fd;
	uint32_t width, height;
	uint32_t crtc, connector, handle, fb;
	struct drm_mode_modeinfo mode;
};

/* The first card of that driver; -ENOENT: no mode is as large. */
int card_open(struct card *card, uint32_t width, uint32_t height);
void card_close(struct card *card);
/* As XRGB8888, rows without gaps. card_let_go() undoes it, also a part of it. */
int card_import(struct card *card, int dmabuf);
int card_show(struct card *card);
/* Tell that the pixels have changed. */
int card_flush(struct card *card);
void card_let_go(struct card *card);

#endif /* TESTS_CARD_H */
